/* SPDX-License-Identifier: MIT */
/*
 * What backs a region. backend.c and this file are the one place that looks at a backend's kind; each
 * kind has a file. A new kind adds a member to the public union, a file here, and a case to each switch.
 */
#ifndef ADDRSPACE_SRC_BACKEND_BACKEND_H
#define ADDRSPACE_SRC_BACKEND_BACKEND_H

#include "page_table.h"

/** Describes what must be in the table once the region is mapped; false if nothing: it comes with
 * faults. */
bool addrspace_backend_fill(const struct addrspace_region *region, struct page_table_fill *fill);

/**
 * Describes how the page at gpa is filled from new_hpa. True if that makes the page a region of its
 * own: *region becomes it.
 */
bool addrspace_backend_replace(struct addrspace_region *region, uint64_t gpa, uint64_t new_hpa,
			       struct page_table_fill *fill);

/* linear.c */
void addrspace_linear_fill(const struct addrspace_region *region, struct page_table_fill *fill);
void addrspace_linear_move(struct addrspace_region *region, uint64_t gpa, uint64_t new_hpa);

/* alloc.c */
bool addrspace_alloc_fill(const struct addrspace_region *region, struct page_table_fill *fill);
void addrspace_alloc_hand_over(uint64_t new_hpa, struct page_table_fill *fill);

/** What a fault means that the region allows and that nothing can be installed for. */
static inline enum addrspace_fault backend_unresolved(const struct addrspace_region *region)
{
	return region->backend.kind == ADDRSPACE_TRAP ? ADDRSPACE_FAULT_EMULATE
						      : ADDRSPACE_FAULT_CONFIGURATION;
}

/** Whether every page of the region has a leaf. */
static inline bool backend_is_whole(const struct addrspace_region *region)
{
	return region->backend.kind == ADDRSPACE_LINEAR ||
	       (region->backend.kind == ADDRSPACE_ALLOC && region->backend.u.alloc.populate);
}

/** Whether a page of the region without a leaf gets a frame from the handler when it faults. */
static inline bool backend_faults_in(const struct addrspace_region *region)
{
	return region->backend.kind == ADDRSPACE_ALLOC && !region->backend.u.alloc.populate;
}

/** Whether leaves say where its bytes are. */
static inline bool backend_is_memory(const struct addrspace_region *region)
{
	return region->backend.kind == ADDRSPACE_LINEAR || region->backend.kind == ADDRSPACE_ALLOC;
}

#endif
