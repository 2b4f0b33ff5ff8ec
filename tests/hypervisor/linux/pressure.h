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
	const struct pressure *other;           /* of another CPU */
	uint64_t last_fault;                    /* gpa; the guest uses it this very moment */
	uint64_t random;                        /* not 0 */
	uint64_t protected[PRESSURE_PROTECTED]; /* gpas, or 0; the oldest at next */
	unsigned next;
};

/** Does something to a page or a few. */
void pressure_apply(struct pressure *pressure);
/** Tells the other CPU's pressure which page this CPU's guest has just got. */
void pressure_note_fault(struct pressure *pressure, uint64_t gpa);
/** Gives the guest every permission on the page that it was denied: it has now been noted. */
void pressure_unprotect(struct pressure *pressure, uint64_t gpa);

#endif
