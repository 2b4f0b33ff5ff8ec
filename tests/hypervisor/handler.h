/* SPDX-License-Identifier: MIT */
/* The paging handler of the one VM: frames from the pool, a quota ledger, swapped-out pages, a lock,
 * and counters that the programs check. */
#ifndef HYPERVISOR_HANDLER_H
#define HYPERVISOR_HANDLER_H

#include <addrspace/addrspace.h>

#include "frame_pool.h"

#define SWAP_SLOTS 64

struct swapped_page {
	bool used;
	uint64_t gpa;
};

/** What a bad embedder would do: for tests of the tests. */
struct vm_sabotage {
	bool no_invalidation;
	bool this_cpu_only; /* the other CPUs' part of an invalidation is left out */
	bool not_zeroed;    /* guest frames are said to come zeroed, and are not */
};

struct vm_memory {
	const struct addrspace *as; /* set once it is initialised */
	uint64_t charged[FRAME_KINDS];
	uint64_t invalidations;             /* of all CPUs; those of a fault are not counted */
	struct addrspace_invalidation last; /* of all CPUs */
	bool no_guest_frames;               /* allocate refuses guest data */
	bool no_runs;                       /* ... of more than a page */
	uint64_t refused_runs;              /* for that, or because there was none */
	uint64_t runs;                      /* of more than a page of guest data, ever */
	bool keep_freed;                    /* guest frames that are freed are swapped out */
	struct vm_sabotage sabotage;
	int lock; /* -1 exclusive, else the number of readers */
	struct swapped_page swapped[SWAP_SLOTS];
};

/** The handler's context is a struct vm_memory. */
extern const struct paging_handler vm_paging_handler;

/** Keeps a copy of the page at hpa that comes back when a frame is next wanted for gpa. */
void vm_memory_swap_out(struct vm_memory *memory, uint64_t gpa, uint64_t hpa);
/** Fails unless pool, ledger and the library's own statistics agree. */
void vm_memory_check(const struct vm_memory *memory, const struct addrspace_statistics *statistics);

#endif
