/* SPDX-License-Identifier: MIT */
/* Reading whole tables: runs of leaves, counts, and the check of tables against regions and against
 * the format. */
#ifndef ADDRSPACE_SRC_WALK_REPORT_H
#define ADDRSPACE_SRC_WALK_REPORT_H

#include "walk_fault.h"

static RARELY enum addrspace_memory_type leaf_type(const struct addrspace *as, uint64_t leaf,
						   unsigned level)
{
	return ENTRY_FORMAT.memory_type(space_traits(as), leaf, level);
}

static struct addrspace_run leaf_run(const struct addrspace *as, uint64_t entry, unsigned level,
				     uint64_t gpa)
{
	uint64_t size = level_size(level);

	return (struct addrspace_run){
		.gpa = gpa & ~(size - 1),
		.hpa = ENTRY_FORMAT.leaf_address(entry, level),
		.size = size,
		.leaf_size = size,
		.permissions = ENTRY_FORMAT.permissions(entry),
		.memory_type = leaf_type(as, entry, level),
		.owned = (entry & ENTRY_FORMAT.owned) != 0,
	};
}

/** Lengthens the run by the next leaf if that goes on where it ends. */
static bool run_extend(struct addrspace_run *run, const struct addrspace_run *next)
{
	if (next->gpa != run->gpa + run->size || next->hpa != run->hpa + run->size ||
	    next->leaf_size != run->leaf_size || next->permissions != run->permissions ||
	    next->memory_type != run->memory_type || next->owned != run->owned)
		return false;
	run->size += next->size;
	return true;
}

/** Goes, or waits for an operation to put it on. At rest only in the ranges of jobs. */
static bool entry_in_flight(uint64_t entry)
{
	return !(entry & ENTRY_FORMAT.present) &&
	       entry & (ENTRY_FORMAT.dead | ENTRY_FORMAT.pending);
}

static RARELY bool walk_leaf(const struct addrspace *as, uint64_t gpa, struct addrspace_run *leaf)
{
	struct page_table_position position;
	uint64_t entry = walk_any(as, gpa, &position);

	if (!entry || entry_in_flight(entry))
		return false;
	*leaf = leaf_run(as, entry, position.level, gpa);
	return true;
}

static RARELY bool walk_next_run(const struct addrspace *as, uint64_t gpa, uint64_t end,
				 struct addrspace_run *run)
{
	struct walk walk;

	run->size = 0;
	walk_start_root(&walk, as, gpa, end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t entry = entry_read(walk_slot(&walk));
			struct addrspace_run next;

			if (entry_in_flight(entry))
				entry = 0;
			if (entry && ENTRY_FORMAT.is_table(entry, walk.level)) {
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			if (!entry && run->size)
				return true;
			if (entry) {
				next = leaf_run(as, entry, walk.level, walk.gpa);
				if (!run->size)
					*run = next;
				else if (!run_extend(run, &next))
					return true;
			}
			walk_next(&walk);
		}
	} while (walk_leave(&walk));
	return run->size != 0;
}

/** A table, and all that is below it, in [gpa, end). */
static RARELY void count_tree(const struct addrspace *as, uint64_t *table, unsigned level,
			      uint64_t gpa, uint64_t end, struct addrspace_statistics *statistics)
{
	uint64_t leaves[PAGE_TABLE_MAX_LEAF + 1] = {0};
	struct walk walk;

	statistics->table_frames += level == root_level(as) ? UINT64_C(1) << as->root_order : 1;
	walk_start(&walk, as, table, level, gpa, end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t entry = entry_read(walk_slot(&walk));

			if (entry && ENTRY_FORMAT.is_table(entry, walk.level)) {
				statistics->table_frames++;
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			if (entry) {
				leaves[walk.level] += !entry_in_flight(entry);
				if (entry & ENTRY_FORMAT.owned)
					statistics->data_frames +=
						level_size(walk.level) >> PAGE_SHIFT;
			}
			walk_next(&walk);
		}
	} while (walk_leave(&walk));
	statistics->leaves_4k += leaves[0];
	statistics->leaves_2m += leaves[1];
	statistics->leaves_1g += leaves[2];
}

static RARELY void walk_count(const struct addrspace *as, struct addrspace_statistics *statistics)
{
	struct addrspace_statistics detached = {0};

	count_tree(as, frame_pointer(as, as->root_hpa), root_level(as), 0, as->gpa_limit,
		   statistics);
	for (const struct addrspace_job *job = as->jobs; job; job = job->next) {
		for (unsigned i = 0; i < 2; i++) {
			uint64_t entry = job->trees[i].entry;
			unsigned level = job->trees[i].level - 1;

			/* A root that is being populated is its job's alone. */
			if (entry && job->kind != ADDRSPACE_JOB_POPULATE)
				count_tree(as, entry_table(as, entry), level,
					   job_tree_start(job, i), job_tree_end(as, job, i),
					   &detached);
		}
	}
	/* Leaves that hardware cannot reach are none. */
	statistics->table_frames += detached.table_frames;
	statistics->data_frames += detached.data_frames;
}

/* ---- verify ---- */

struct checker {
	const struct addrspace *as;
	struct addrspace_region region; /* the last one a leaf was found in */
	struct addrspace_region
		mandatory; /* first region at or above here that must be whole; size 0: none */
};

/** Goes on to the first region that ends above gpa and must have all its leaves. */
static void checker_seek_mandatory(struct checker *checker, uint64_t gpa)
{
	struct addrspace_region *region = &checker->mandatory;

	while (addrspace_region_set_next(checker->as, gpa, region)) {
		if (backend_is_whole(region))
			return;
		gpa = region->gpa + region->size;
	}
	region->gpa = UINT64_MAX;
	region->size = 0;
}

static const char *check_empty(struct checker *checker, uint64_t gpa, uint64_t end)
{
	const struct addrspace_region *region = &checker->mandatory;

	for (;; checker_seek_mandatory(checker, gpa)) {
		if (region->size && region->gpa + region->size <= gpa)
			checker_seek_mandatory(checker, gpa);
		if (!region->size || region->gpa >= end)
			return NULL;
		/* A job's regions lie in its range whole. */
		gpa = region->gpa > gpa ? region->gpa : gpa;
		if (!held(checker->as, gpa, gpa + 1))
			return "a leaf is missing in a linear or populated region";
		gpa = region->gpa + region->size;
	}
}

/** The handler's two directions against each other. */
static const char *check_pointer(const struct addrspace *as, uint64_t hpa)
{
	const struct paging_handler *handler = as->handler;

	if (!handler->virtual_to_physical ||
	    handler->virtual_to_physical(as->handler_ctx, frame_pointer(as, hpa)) == hpa)
		return NULL;
	return "virtual_to_physical does not lead back to a table's address";
}

static const char *check_table(const struct checker *checker, uint64_t entry, unsigned level)
{
	const char *what = ENTRY_FORMAT.defect(space_traits(checker->as), entry, level);

	if (what)
		return what;
	if (ENTRY_FORMAT.table_address(entry) & checker->as->frame_forbidden)
		return "a table lies beyond the host's width";
	return check_pointer(checker->as, ENTRY_FORMAT.table_address(entry));
}

/** A leaf against its region. */
static const char *check_backing(const struct checker *checker, uint64_t entry, unsigned level,
				 uint64_t gpa)
{
	const struct addrspace_region *region = &checker->region;
	const struct addrspace *as = checker->as;
	bool owned = (entry & ENTRY_FORMAT.owned) != 0;
	uint64_t expected = ENTRY_FORMAT.leaf(space_traits(as), level, region->permissions,
					      region->memory_type);

	if (region->backend.kind == ADDRSPACE_TRAP)
		return "a leaf in a trap region";
	if (level_size(level) > region->gpa + region->size - gpa)
		return "a leaf reaches beyond its region";
	if (!(entry & ENTRY_FORMAT.present) != !region->permissions ||
	    ENTRY_FORMAT.permissions(entry) != region->permissions)
		return "a leaf's permissions are not its region's";
	if (leaf_type(as, entry, level) != leaf_type(as, expected, level))
		return "a leaf's memory type is not its region's";
	if (level > 0 && region->small_executable && region->permissions & ADDRSPACE_EXECUTE)
		return "a large leaf may be executed where only pages may";
	if (owned != (region->backend.kind == ADDRSPACE_ALLOC))
		return "a leaf's ownership is not its region's";
	if (!owned &&
	    ENTRY_FORMAT.leaf_address(entry, level) != gpa - region->backend.u.linear.offset)
		return "a leaf's address is not its region's";
	return NULL;
}

static const char *check_leaf(struct checker *checker, uint64_t entry, unsigned level, uint64_t gpa)
{
	const struct addrspace *as = checker->as;
	const char *what = ENTRY_FORMAT.defect(space_traits(as), entry, level);

	if (level > PAGE_TABLE_MAX_LEAF || !(as->leaf_levels >> level & 1))
		return "a leaf of a size that this CPU does not have";
	if (what)
		return what;
	if (ENTRY_FORMAT.leaf_address(entry, level) &
	    (as->frame_forbidden | (level_size(level) - 1)))
		return "a leaf's address is misaligned or beyond the host's width";
	if (gpa - checker->region.gpa >= checker->region.size &&
	    !addrspace_region_set_find(as, gpa, &checker->region))
		return "a leaf outside of every region";
	return check_backing(checker, entry, level, gpa);
}

static const char *check_entry(struct checker *checker, const struct walk *walk, uint64_t entry)
{
	if (!entry || (entry_in_flight(entry) && held(checker->as, walk->gpa, walk->gpa + 1)))
		return check_empty(checker, walk->gpa, walk_slot_end(walk));
	if (entry_in_flight(entry))
		return "an entry was left behind by an operation";
	if (!(entry & ENTRY_FORMAT.present) && ENTRY_FORMAT.is_table(entry, walk->level))
		return "an entry that is not present looks like a table";
	if (!ENTRY_FORMAT.is_table(entry, walk->level))
		return check_leaf(checker, entry, walk->level, walk->gpa);
	return check_table(checker, entry, walk->level);
}

static bool report_defect(struct addrspace_defect *defect, const struct walk *walk, uint64_t gpa,
			  uint64_t entry, const char *what)
{
	*defect = (struct addrspace_defect){
		.gpa = gpa & ~(level_size(walk->level) - 1),
		.level = walk->level,
		.entry = entry,
		.what = what,
	};
	return false;
}

static RARELY bool walk_verify(const struct addrspace *as, struct addrspace_defect *defect)
{
	struct checker checker = {.as = as};
	unsigned filled = 0; /* bit n: the current table at level n holds something */
	unsigned owning = 0; /* ... holds a table or an owned frame */
	const char *what;
	struct walk walk;

	checker_seek_mandatory(&checker, 0);
	walk_start_root(&walk, as, 0, as->gpa_limit);
	what = check_pointer(as, as->root_hpa);
	if (what)
		return report_defect(defect, &walk, 0, 0, what);
	for (;;) {
		while (walk.gpa < walk.table_end) {
			uint64_t entry = entry_read(walk_slot(&walk));

			what = check_entry(&checker, &walk, entry);
			if (what)
				return report_defect(defect, &walk, walk.gpa, entry, what);
			if (entry)
				filled |= 1u << walk.level;
			if (entry && holds_owned(entry, walk.level))
				owning |= 1u << walk.level;
			if (entry && ENTRY_FORMAT.is_table(entry, walk.level) &&
			    !entry_in_flight(entry)) {
				filled &= ~(1u << (walk.level - 1));
				owning &= ~(1u << (walk.level - 1));
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			walk_next(&walk);
		}
		do {
			unsigned child = walk.level;
			uint64_t entry;

			if (!walk_ascend(&walk))
				return true;
			entry = entry_read(walk_left_slot(&walk));
			/* What a job has emptied, together with others, goes with its last step. */
			if (!(filled >> child & 1) &&
			    !held(as, (walk.gpa - 1) & ~(level_size(walk.level) - 1), walk.gpa))
				return report_defect(defect, &walk, walk.gpa - 1, entry,
						     "an empty table");
			if (owning >> child & 1 && !(entry & ENTRY_FORMAT.owned))
				return report_defect(defect, &walk, walk.gpa - 1, entry,
						     "a table does not say that it owns something");
		} while (walk.gpa == walk.table_end);
	}
}

#endif
