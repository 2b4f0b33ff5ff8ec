/* SPDX-License-Identifier: MIT */
/* What a hypervisor does to a guest's memory while the guest runs: evict, move, write-protect, split and
 * merge, here on pages chosen at random. Each CPU has its own pressure. */
#ifndef LINUX_PRESSURE_H
#define LINUX_PRESSURE_H

#include <addrspace/addrspace.h>

#include "counts.h"

#define PRESSURE_PROTECTED 64

struct pressure {
	struct addrspace *as;
	struct counts *counts;
	uint64_t random;                        /* not 0 */
	uint64_t protected[PRESSURE_PROTECTED]; /* gpas, or 0; the oldest at next */
	unsigned next;
};

/** Does something to a page or a few. */
void pressure_apply(struct pressure *pressure);
/** Gives the guest every permission on the page that it was denied: it has now been noted. */
void pressure_unprotect(struct pressure *pressure, uint64_t gpa);

#endif
