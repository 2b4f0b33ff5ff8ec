/* SPDX-License-Identifier: MIT */
/* What each CPU has done, counted by itself; added up and printed at the end. */
#ifndef LINUX_COUNTS_H
#define LINUX_COUNTS_H

#include <addrspace/addrspace.h>

#define FAULT_OUTCOMES (ADDRSPACE_FAULT_EMULATE + 1)

struct counts {
	uint64_t exits;
	uint64_t outcomes[FAULT_OUTCOMES];
	uint64_t reads;
	uint64_t writes;
	uint64_t fetches;
	uint64_t table_walks; /* of these accesses, those to the guest's own page tables */
	uint64_t fault_microseconds;
	uint64_t refills;
	uint64_t evictions; /* in pages, all of these */
	uint64_t moves;
	uint64_t protects;
	uint64_t unprotects;
	uint64_t splits; /* of leaves larger than a page, by any of these */
	uint64_t merges; /* back to one large leaf */
};

void counts_add(struct counts *sum, const struct counts *more);
void counts_print(const struct counts *counts, uint64_t invalidations);
/** Fails if something that a run is to contain has not happened. */
void counts_require_all(const struct counts *counts);

#endif
