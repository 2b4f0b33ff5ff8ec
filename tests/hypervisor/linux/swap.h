/* SPDX-License-Identifier: MIT */
/* The handler of the Linux guest's space: that of all programs, plus a swap area with a place for each
 * page of the guest's RAM. */
#ifndef LINUX_SWAP_H
#define LINUX_SWAP_H

#include <addrspace/addrspace.h>

/** What machine_mode() says: the handler makes a mistake, and the run must fail. */
enum swap_mistake {
	SWAP_NO_MISTAKE,
	SWAP_NO_INVALIDATION,    /**< No TLB is told of any change. */
	SWAP_LOCAL_INVALIDATION, /**< Only this CPU's is. */
	SWAP_LATE_WRITES_LOST, /**< The contents are saved while the guest may still write to them. */
};

/** The handler, whose context is a struct vm_memory; the area is at least as large as the guest's RAM. */
const struct paging_handler *swap_create(uint64_t hpa, uint64_t size, enum swap_mistake mistake);
/** Takes the frames of the range away; their contents come back with the next fault on each page. Adds
 * the number of pages that were there to *evicted. As addrspace_discard(). */
int swap_evict(struct addrspace *as, uint64_t gpa, uint64_t size, uint64_t *evicted);
/** Whether the page has ever been evicted. */
bool swap_holds(uint64_t gpa);

#endif
