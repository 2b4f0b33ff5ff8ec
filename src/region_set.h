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

/**
 * A region as the set keeps it. The fault path reads what it needs from here, where the others take
 * copies.
 */
struct region_record {
	uint64_t start;
	uint64_t pages_and_attributes;
	uint64_t cookie;
	uint64_t offset_or_base; /* of a linear region, of a trap region; else 0 */
};

/*
 *	63 ... 16   15 ... 12      11                10, 9         8         7 ... 5   4, 3   2 ... 0
 *	pages       fault-around   small_executable  largest leaf  populate  kind      type   permissions
 *	            (order)
 */
#define REGION_ATTRIBUTE_BITS     16
#define REGION_ATTRIBUTES         UINT64_C(0xffff)
#define REGION_PERMISSIONS        UINT64_C(0x7)
#define REGION_MEMORY_TYPE_SHIFT  3
#define REGION_MEMORY_TYPE        (UINT64_C(0x3) << REGION_MEMORY_TYPE_SHIFT)
#define REGION_KIND_SHIFT         5
#define REGION_KIND               (UINT64_C(0x7) << REGION_KIND_SHIFT)
#define REGION_POPULATE           (UINT64_C(1) << 8)
#define REGION_LARGEST_LEAF_SHIFT 9
#define REGION_LARGEST_LEAF       (UINT64_C(0x3) << REGION_LARGEST_LEAF_SHIFT)
#define REGION_SMALL_EXECUTABLE   (UINT64_C(1) << 11)
#define REGION_FAULT_AROUND_SHIFT 12
#define REGION_FAULT_AROUND       (UINT64_C(0xf) << REGION_FAULT_AROUND_SHIFT)

static inline uint64_t region_record_size(const struct region_record *record)
{
	return record->pages_and_attributes >> REGION_ATTRIBUTE_BITS << 12;
}

static inline unsigned region_record_permissions(const struct region_record *record)
{
	return (unsigned)(record->pages_and_attributes & REGION_PERMISSIONS);
}

static inline enum addrspace_memory_type
region_record_memory_type(const struct region_record *record)
{
	return (enum addrspace_memory_type)((record->pages_and_attributes & REGION_MEMORY_TYPE) >>
					    REGION_MEMORY_TYPE_SHIFT);
}

/** The order of how many pages a fault brings. */
static inline unsigned region_record_fault_around(const struct region_record *record)
{
	return (unsigned)((record->pages_and_attributes & REGION_FAULT_AROUND) >>
			  REGION_FAULT_AROUND_SHIFT);
}

static inline void region_record_set_range(struct region_record *record, uint64_t start,
					   uint64_t end)
{
	record->start = start;
	record->pages_and_attributes = (end - start) >> 12 << REGION_ATTRIBUTE_BITS |
				       (record->pages_and_attributes & REGION_ATTRIBUTES);
}

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

/** The record of the region that contains gpa, good while the lock is held; NULL if there is none. */
const struct region_record *addrspace_region_set_record(const struct addrspace *as, uint64_t gpa);
/** The region of a record. */
void addrspace_region_unpack(const struct region_record *record, struct addrspace_region *region);
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
