/* SPDX-License-Identifier: MIT */
/*
 * What the core and the backends ask of a page table, without knowing its entries. One constant
 * struct of operations for each format; one indirect call for each range.
 */
#ifndef ADDRSPACE_SRC_PAGE_TABLE_H
#define ADDRSPACE_SRC_PAGE_TABLE_H

#include <addrspace/job.h>

#include "frames.h"

#define PAGE_TABLE_MAX_LEVELS 5
#define PAGE_TABLE_INDEX_BITS 9
#define PAGE_TABLE_ENTRIES    512
#define PAGE_TABLE_MAX_LEAF   2 /* level of 1 GiB leaves */

/** Bytes that one entry at this level maps. */
static inline uint64_t level_size(unsigned level)
{
	return UINT64_C(1) << (PAGE_SHIFT + PAGE_TABLE_INDEX_BITS * level);
}

enum page_table_source {
	PAGE_TABLE_LINEAR,      /* the embedder's memory, from hpa on */
	PAGE_TABLE_ALLOCATE,    /* a frame from the handler for each page */
	PAGE_TABLE_HANDED_OVER, /* one page that becomes the space's own */
};

struct region_record;

/** What to put into [gpa, end). */
struct page_table_fill {
	uint64_t gpa;
	uint64_t end;
	uint64_t hpa;
	uint64_t cookie;
	enum page_table_source source;
	unsigned permissions;
	enum addrspace_memory_type memory_type;
	uint8_t largest_leaf; /* enum addrspace_leaf */
	bool dirty;           /* where hardware tracks it: the leaves start as written to */
};

/** A new mapping of a range, built beside the one that stands there. */
struct page_table_shadow {
	uint64_t entry; /* goes into a slot at level, or stands for a second root */
	unsigned level;
};

/**
 * A change of [gpa, end) under way, from its preparation to its end: the tables it took ahead for
 * the leaves that its ends cut, those leaves as they were when they were broken, and what its one
 * invalidation must cover.
 */
struct page_table_change {
	uint64_t gpa;
	uint64_t end;
	uint64_t flush_gpa;
	uint64_t flush_end; /* flush_gpa: nothing to invalidate */
	uint64_t stride;
	uint64_t broken[2]; /* leaves cut at gpa and at end; 0: none */
	uint64_t spare_hpa; /* of a table taken ahead, whose first word names the next */
	uint64_t spare_count;
	uint8_t permissions; /* of what stays inside the range; used by protect */
	bool protect;        /* the range stays, with permissions; else it goes */
	bool tables_changed;
	bool found; /* the range was not empty */
	/* Of the region that protect is at only pages may be executable, and they become so. */
	bool small;
	bool small_broken; /* leaves of such a region are dead until they become tables */
	bool keep_charge;  /* frames that go leave their charge behind, for their successors */
};

/** What a job is: struct addrspace_job's kind. */
enum {
	ADDRSPACE_JOB_UNMAP,
	ADDRSPACE_JOB_DISCARD,
	ADDRSPACE_JOB_CLEAR,
	ADDRSPACE_JOB_DESTROY,
	ADDRSPACE_JOB_POPULATE,
	ADDRSPACE_JOB_CANCELLED, /* it was populating */
};

/** Where a descent for one address ended. Stable under the shared lock. */
struct page_table_position {
	uint64_t *slot;
	uint64_t *parent; /* the slot that names the slot's table; NULL in the root */
	unsigned level;
};

/** A fault that another CPU was faster with: walk again. Distinct from fault outcomes and errors. */
#define PAGE_TABLE_LOST 100

/** The calls for one address, for a number of levels: see walk_fault.h. */
struct addrspace_walker {
	/**
	 * Descends, judges the access, and resolves what the page's region lets it resolve: an outcome,
	 * an error or PAGE_TABLE_LOST. *level: where the descent ended.
	 */
	int (*fault)(struct addrspace *as, uint64_t gpa, unsigned access, unsigned *level);
	/** False: no accessible leaf. */
	bool (*translate)(const struct addrspace *as, uint64_t gpa,
			  struct addrspace_translation *translation);
	/**
	 * How many bytes from gpa on, at most so many, lie side by side from *hpa on, in leaves of one
	 * table that allow the access, are no device's, and need no mark that they were written to. 0:
	 * none, or look closer.
	 */
	uint64_t (*reach)(const struct addrspace *as, uint64_t gpa, uint64_t most, unsigned access,
			  uint64_t *hpa);
};

struct addrspace_format {
	const char *name;
	uint32_t cpu_features; /* that it knows */

	/** Sets levels, root_order, absent_cached and what is the format's own from the configuration:
	 * 0, ADDRSPACE_ERANGE, or an error of the format's own. */
	int (*set_geometry)(struct addrspace *as, const struct addrspace_config *config);
	/** 0 or ADDRSPACE_ENOTSUP. */
	int (*check_attributes)(const struct addrspace *as, unsigned permissions,
				enum addrspace_memory_type memory_type);

	/*
	 * A range that is empty: prepare hangs up invisible entries, commit turns them on and
	 * cannot fail. After a failure abort takes down what was reached.
	 */
	int (*map_prepare)(struct addrspace *as, const struct page_table_fill *fill,
			   uint64_t *reached);
	void (*map_abort)(struct addrspace *as, const struct page_table_fill *fill,
			  uint64_t reached);
	void (*map_commit)(struct addrspace *as, const struct page_table_fill *fill);

	/* A range that is not: built aside, then grafted into what the removal left; or aborted,
	 * also half-built. */
	int (*shadow_build)(struct addrspace *as, const struct page_table_fill *fill,
			    struct page_table_shadow *shadow);
	void (*shadow_abort)(struct addrspace *as, const struct page_table_fill *fill,
			     const struct page_table_shadow *shadow);
	void (*shadow_graft)(struct addrspace *as, const struct page_table_fill *fill,
			     const struct page_table_shadow *shadow);

	/** Takes the tables for the leaves that the change's ends cut. The caller frees what is not
	 * used. */
	int (*change_prepare)(struct addrspace *as, struct page_table_change *change);
	/** Pass one of a removal: nothing in the range can be reached by a new walk. prune: emptied
	 * tables go as well. */
	void (*detach)(struct addrspace *as, struct page_table_change *change, bool prune);
	/** Takes the tables for large leaves in [gpa, end), part of the change's range, that must
	 * become pages. The caller frees what is not used. */
	int (*small_prepare)(struct addrspace *as, struct page_table_change *change, uint64_t gpa,
			     uint64_t end);
	/** After finish_cuts(): puts tables in place of those that were broken. */
	void (*small_finish)(struct addrspace *as, struct page_table_change *change);
	/** Pass one of a protect of [gpa, end), part of the change's range. */
	void (*protect)(struct addrspace *as, struct page_table_change *change, uint64_t gpa,
			uint64_t end);
	/** After the invalidation: puts tables in place of broken leaves. */
	void (*finish_cuts)(struct addrspace *as, struct page_table_change *change);
	/** Pass two of a removal: empties the dead entries and frees what they name. */
	void (*release)(struct addrspace *as, struct page_table_change *change);

	/** Pass one of a collapse: breaks the slots whose tables say no more than a leaf could; returns
	 * the bytes that they map. */
	uint64_t (*collapse_break)(struct addrspace *as, struct page_table_change *change);
	/** After the invalidation: puts those leaves in place and frees the tables. */
	void (*collapse_finish)(struct addrspace *as, const struct page_table_change *change);

	/*
	 * Jobs. take_out: between detach and the invalidation, moves the dead tables that reach over
	 * the change's range from their slots to the job, so that what is beside the range can have
	 * others. release_some: goes on with pass two of its removal, from job->at on; *budget is what
	 * may be visited. private_start: charges a fill, and makes the root that it goes into.
	 * private_fill: goes on with it, from job->at on.
	 */
	void (*take_out)(struct addrspace *as, struct addrspace_job *job);
	void (*release_some)(struct addrspace *as, struct addrspace_job *job, uint64_t *budget);
	int (*private_start)(struct addrspace *as, const struct page_table_fill *fill,
			     struct addrspace_job *job);
	int (*private_fill)(struct addrspace *as, const struct page_table_fill *fill,
			    struct addrspace_job *job, uint64_t budget);

	/*
	 * A range of lazy regions that may be filled in part, all or nothing: prepare hangs up
	 * invisible entries where there are none, in one region's part; then commit turns them on,
	 * part by part, or abort takes all of them down.
	 */
	int (*prefault_prepare)(struct addrspace *as, const struct page_table_fill *fill);
	void (*prefault_abort)(struct addrspace *as, uint64_t gpa, uint64_t end);
	void (*prefault_commit)(struct addrspace *as, const struct page_table_fill *fill);
	/**
	 * The same as far as memory goes, under the shared lock. record: the region's, with the part of
	 * its range that is to be filled; *reached, inside of that, moves on to where all before it is
	 * present. 0 or an error; 0 without a move: try again.
	 */
	int (*prefault_some)(struct addrspace *as, const struct region_record *record,
			     uint64_t *reached);

	/** With the direct map the walker at the number of levels, without it the one at 0. */
	const struct addrspace_walker *walkers[PAGE_TABLE_MAX_LEVELS + 1];

	/** Cleans the entries on the way to gpa, for walkers that do not snoop. */
	void (*sync_path)(const struct addrspace *as, uint64_t gpa);
	/** True if a leaf allows the access. */
	bool (*allows)(const struct addrspace *as, uint64_t gpa, unsigned access);
	/** Of a leaf that is there, also one without permissions: hardware shall say that it was
	 * written to. Nothing where hardware says no such thing. */
	void (*mark_dirty)(const struct addrspace *as, uint64_t gpa);
	/** The one leaf at gpa, also one without permissions; false if there is none. */
	bool (*leaf)(const struct addrspace *as, uint64_t gpa, struct addrspace_run *leaf);
	/** Of what lies below end. */
	bool (*next_run)(const struct addrspace *as, uint64_t gpa, uint64_t end,
			 struct addrspace_run *run);
	/** Adds leaves, tables and data frames, those of jobs' tables too. */
	void (*count)(const struct addrspace *as, struct addrspace_statistics *statistics);
	/** False: *defect is the first one. */
	bool (*verify)(const struct addrspace *as, struct addrspace_defect *defect);
};

#endif
