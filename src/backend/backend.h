/* SPDX-License-Identifier: MIT */
/*
 * What backs a region. backend.c and this file are the one place that looks at a backend's kind; each
 * kind has a file. A new kind adds a member to the public union, a file here, and a case to each
 * switch.
 */
#ifndef ADDRSPACE_SRC_BACKEND_BACKEND_H
#define ADDRSPACE_SRC_BACKEND_BACKEND_H

#include "page_table.h"
#include "region_set.h"

/** kinds: a set of BACKEND_ALLOC and the like. 0; ADDRSPACE_ENOENT if part of the range has no region,
 * else ADDRSPACE_ENOTSUP if part of it is of another kind. */
int addrspace_backend_check_kinds(const struct addrspace *as, uint64_t gpa, uint64_t end,
				  unsigned kinds);

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

/* Sets of kinds, a bit each. */
#define BACKEND_ALLOC (1u << ADDRSPACE_ALLOC)
#define BACKEND_TRAP  (1u << ADDRSPACE_TRAP)
/* Leaves say where its bytes are. */
#define BACKEND_MEMORY (1u << ADDRSPACE_LINEAR | BACKEND_ALLOC)

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

/** What a fault means that the region allows and that nothing can be installed for. */
static inline enum addrspace_fault backend_record_unresolved(const struct region_record *record)
{
	uint64_t kind = (record->pages_and_attributes & REGION_KIND) >> REGION_KIND_SHIFT;

	return kind == ADDRSPACE_TRAP ? ADDRSPACE_FAULT_EMULATE : ADDRSPACE_FAULT_CONFIGURATION;
}

/** backend_faults_in() of a record. */
static inline bool backend_record_faults_in(const struct region_record *record)
{
	const uint64_t mask = REGION_KIND | REGION_POPULATE;

	return (record->pages_and_attributes & mask) == (uint64_t)ADDRSPACE_ALLOC
								<< REGION_KIND_SHIFT;
}

/** The same, where the region asks for no more than that page. */
static inline bool backend_record_faults_page_in(const struct region_record *record)
{
	const uint64_t mask =
		REGION_KIND | REGION_POPULATE | REGION_LARGEST_LEAF | REGION_FAULT_AROUND;

	return (record->pages_and_attributes & mask) == (uint64_t)ADDRSPACE_ALLOC
								<< REGION_KIND_SHIFT;
}

/** backend_is_memory() of a record. */
static inline bool backend_record_is_memory(const struct region_record *record)
{
	uint64_t kind = (record->pages_and_attributes & REGION_KIND) >> REGION_KIND_SHIFT;

	return BACKEND_MEMORY >> kind & 1;
}

/** Of a region whose frames come with faults: the level of the largest leaf that one may bring. */
static inline unsigned backend_record_largest_run(const struct region_record *record)
{
	if (record->pages_and_attributes & REGION_SMALL_EXECUTABLE &&
	    region_record_permissions(record) & ADDRSPACE_EXECUTE)
		return ADDRSPACE_LEAF_4K;
	return (record->pages_and_attributes & REGION_LARGEST_LEAF) >> REGION_LARGEST_LEAF_SHIFT;
}

/** Whether large leaves of the region would be what small_executable forbids. */
static inline bool backend_pages_only(const struct addrspace_region *region)
{
	return region->small_executable && region->permissions & ADDRSPACE_EXECUTE;
}

/** The largest leaf that the region takes, if CPU, alignment and memory allow it. */
enum addrspace_leaf addrspace_backend_largest_leaf(const struct addrspace_region *region);

static inline bool backend_is_memory(const struct addrspace_region *region)
{
	return BACKEND_MEMORY >> region->backend.kind & 1;
}

#endif
