/* SPDX-License-Identifier: MIT */
/*
 * The sorted set of regions: a B+ tree of 4 KiB nodes in frames from the handler. It knows ranges
 * and attributes, no page tables. Changes are prepared (nodes reserved; may fail) and then made
 * (cannot fail). Callers hold the space's lock; ranges are page-aligned, non-empty and do not wrap.
 */
#ifndef ADDRSPACE_SRC_REGION_SET_H
#define ADDRSPACE_SRC_REGION_SET_H

#include <addrspace/addrspace.h>

/** Levels that the tree can grow to: far more than a region per page of the largest space needs. */
#define REGION_SET_MAX_DEPTH 8

struct region_node;

/** A way from the root to a place in a leaf: the nodes, and which record of each. */
struct region_path {
	struct region_node *node[REGION_SET_MAX_DEPTH];
	uint8_t slot[REGION_SET_MAX_DEPTH];
};

/** Where a simple change goes: found by one search when it is prepared, and used when it is made. */
struct region_place {
	enum {
		REGION_PLACE_NONE,    /* the change is not simple */
		REGION_PLACE_GAP,     /* one record comes; none is there, none merges */
		REGION_PLACE_RECORDS, /* records of one leaf go, whole */
		REGION_PLACE_INSIDE,  /* a hole inside the record before the path's place */
	} kind;
	uint8_t behind; /* the last of those records */
	struct region_path path;
};

/** Nodes taken ahead of a change, enough for the insertions it was reserved for; each names the
 * next. */
struct region_reserve {
	unsigned count;
	uint64_t first_hpa;
};

/** A change of regions' attributes that leaves ranges and cookies alone: which bits of a region's
 * packed attributes take which value. */
struct region_edit {
	uint64_t mask;
	uint64_t value;
};

/** Other permissions. */
struct region_edit addrspace_region_edit_permissions(unsigned permissions);
/** Frames come on first fault from now on. For alloc regions only. */
struct region_edit addrspace_region_edit_lazy(void);

/** Copies the region that contains gpa; false if there is none. */
bool addrspace_region_set_find(const struct addrspace *as, uint64_t gpa,
			       struct addrspace_region *region);
/** Where the region that contains gpa ends; 0 if there is none. */
uint64_t addrspace_region_set_end(const struct addrspace *as, uint64_t gpa);
/** Copies the first region that ends above gpa; false if there is none. region may be NULL. */
bool addrspace_region_set_next(const struct addrspace *as, uint64_t gpa,
			       struct addrspace_region *region);
/** True if some region overlaps [gpa, end). */
bool addrspace_region_set_overlaps(const struct addrspace *as, uint64_t gpa, uint64_t end);
/** True if every byte of [gpa, end) lies in some region. */
bool addrspace_region_set_contains(const struct addrspace *as, uint64_t gpa, uint64_t end);
/** The lowest multiple of alignment >= hint such that size bytes from it hold no region and end at
 * or below limit; false if none. */
bool addrspace_region_set_find_gap(const struct addrspace *as, uint64_t hint, uint64_t size,
				   uint64_t alignment, uint64_t limit, uint64_t *gpa);

/**
 * Takes the nodes that the next change needs, and no more than it may need. Each returns 0 or the
 * error of the allocation (then nothing is held). The reserve must be released after the change.
 *
 * reserve_replace: for addrspace_region_set_replace(gpa, end, region). region NULL: for a removal;
 * takes nothing, and so cannot fail, unless [gpa, end) lies strictly inside one region.
 * reserve_at: for addrspace_region_set_replace_at(gpa, end, region, place), if that is possible: else
 * place->kind is REGION_PLACE_NONE, and nothing was taken.
 * reserve_edit: for addrspace_region_set_edit(gpa, end, edit); takes nothing where no region needs it.
 */
int addrspace_region_set_reserve_replace(struct addrspace *as, uint64_t gpa, uint64_t end,
					 const struct addrspace_region *region,
					 struct region_reserve *reserve);
int addrspace_region_set_reserve_at(struct addrspace *as, uint64_t gpa, uint64_t end,
				    const struct addrspace_region *region,
				    struct region_reserve *reserve, struct region_place *place);
int addrspace_region_set_reserve_edit(struct addrspace *as, uint64_t gpa, uint64_t end,
				      struct region_edit edit, struct region_reserve *reserve);
/** Gives back the nodes that were not used. */
void addrspace_region_set_release(struct addrspace *as, struct region_reserve *reserve);

/**
 * Removes [gpa, end) from the set, cutting regions at both ends, and if region is not NULL puts it
 * there (region->gpa == gpa, region->gpa + region->size == end), merging it with equal neighbours.
 * Cannot fail.
 */
void addrspace_region_set_replace(struct addrspace *as, uint64_t gpa, uint64_t end,
				  const struct addrspace_region *region,
				  struct region_reserve *reserve);
/** The same for a simple change, without a search. The set is as it was when place was found. */
void addrspace_region_set_replace_at(struct addrspace *as, uint64_t gpa, uint64_t end,
				     const struct addrspace_region *region,
				     const struct region_place *place,
				     struct region_reserve *reserve);
/** Edits [gpa, end), which is all regions, splitting at the ends and merging what became equal.
 * Cannot fail. */
void addrspace_region_set_edit(struct addrspace *as, uint64_t gpa, uint64_t end,
			       struct region_edit edit, struct region_reserve *reserve);
/** Empties the set and frees its nodes. */
void addrspace_region_set_clear(struct addrspace *as);

/**
 * Checks the set's own shape: order, no overlap, no mergeable neighbours, keys, gaps, fill, counts.
 * @return NULL, or a constant sentence; *gpa is where.
 */
const char *addrspace_region_set_verify(const struct addrspace *as, uint64_t *gpa);

#endif
