/* SPDX-License-Identifier: MIT */
/*
 * The parts of jobs that look into tables: pass two of a removal, and filling a private root, each
 * as far as a budget goes.
 *
 * A step goes on where the last one stopped by descending there anew: tables above that place have not
 * been freed, nor finished, yet. What a step has passed of a table holds zeroes when it stops.
 */
#ifndef ADDRSPACE_SRC_WALK_JOB_H
#define ADDRSPACE_SRC_WALK_JOB_H

#include "walk_map.h"

/** Where the job's part of a detached table begins: the first one is at the start of the range. */
static uint64_t job_tree_start(const struct addrspace_job *job, unsigned tree)
{
	uint64_t slot = level_size(job->trees[tree].level) - 1;

	return tree ? (job->end - 1) & ~slot : job->gpa;
}

static uint64_t job_tree_end(const struct addrspace *as, const struct addrspace_job *job,
			     unsigned tree)
{
	return tree ? job->end : table_boundary(as, job->gpa, job->trees[tree].level - 1, job->end);
}

/** The slot on the way to gpa that holds a dead table which reaches over [gpa, end); else NULL. */
static uint64_t *find_dead_over(const struct addrspace *as, uint64_t at,
				const struct addrspace_job *job, unsigned *level)
{
	uint64_t *table = frame_pointer(as, as->root_hpa);

	for (*level = root_level(as);; --*level) {
		uint64_t *slot = &table[slot_index(as, at, *level)];
		uint64_t entry = entry_read(slot);
		uint64_t start = at & ~(level_size(*level) - 1);

		if (!entry || !ENTRY_FORMAT.is_table(entry, *level))
			return NULL;
		if (!(entry & ENTRY_FORMAT.present))
			return start < job->gpa || job->end - start < level_size(*level) ? slot
											 : NULL;
		table = entry_table(as, entry);
	}
}

static RARELY void walk_take_out(struct addrspace *as, struct addrspace_job *job)
{
	for (unsigned i = 0; i < 2; i++) {
		unsigned level;
		uint64_t *slot = find_dead_over(as, i ? job->end - 1 : job->gpa, job, &level);

		if (!slot)
			continue;
		job->trees[i].entry = entry_read(slot);
		job->trees[i].level = level;
		entry_write(slot, 0);
		if (as->handler->sync_table)
			as->handler->sync_table(as->handler_ctx, slot, sizeof(*slot));
	}
}

/** Goes on with a detached table; at its end the table itself goes. */
static uint64_t release_tree(struct addrspace *as, struct addrspace_job *job, unsigned tree,
			     struct walk_owner *owner)
{
	uint64_t entry = job->trees[tree].entry;
	unsigned level = job->trees[tree].level;
	uint64_t end = job_tree_end(as, job, tree);
	uint64_t reached = end;

	if (entry & ENTRY_FORMAT.owned)
		reached = free_range(as, entry_table(as, entry), level - 1, job->at, end, level,
				     owner);
	if (reached == end) {
		free_table(as, ENTRY_FORMAT.table_address(entry), level - 1);
		job->trees[tree].entry = 0;
	}
	return reached;
}

static RARELY void walk_release_some(struct addrspace *as, struct addrspace_job *job,
				     uint64_t *budget)
{
	struct walk_owner owner = {
		.gpa = job->regions[0].gpa,
		.size = job->regions[0].size,
		.cookie = job->regions[0].cookie,
	};

	while (job->at < job->end && *budget) {
		uint64_t end = job->trees[1].entry ? job_tree_start(job, 1) : job->end;

		/* The way down to where it stopped does not count. */
		owner.left = *budget + as->levels + 1;
		if (owner.left <= *budget)
			owner.left = 0;
		if (job->trees[0].entry)
			job->at = release_tree(as, job, 0, &owner);
		else if (job->at >= end)
			job->at = release_tree(as, job, 1, &owner);
		else
			job->at = free_range(as, frame_pointer(as, as->root_hpa), root_level(as),
					     job->at, end, 0, &owner);
		if (owner.left <= as->levels + 1u)
			*budget = 0;
		else if (owner.left - as->levels - 1 < *budget)
			*budget = owner.left - as->levels - 1;
	}
}

static RARELY int walk_private_start(struct addrspace *as, const struct page_table_fill *fill,
				     struct addrspace_job *job)
{
	struct builder builder;
	int error;

	builder_start(&builder, as, fill);
	error = builder_charge(&builder);
	if (error)
		return error;
	job->trees[0].level = as->levels;
	error = build_empty_table(&builder, root_level(as), fill->gpa, fill->end,
				  &job->trees[0].entry);
	if (error)
		builder_uncharge(&builder);
	return error;
}

static RARELY int walk_private_fill(struct addrspace *as, const struct page_table_fill *fill,
				    struct addrspace_job *job, uint64_t budget)
{
	struct builder builder;
	struct walk walk;
	uint64_t entry;
	int error;

	builder_start(&builder, as, fill);
	builder.left = budget < UINT64_MAX ? budget + 1 : 0;
	walk_start(&walk, as, entry_table(as, job->trees[0].entry), root_level(as), job->at,
		   fill->end);
	while (walk.level && (entry = entry_read(walk_slot(&walk))))
		walk_descend(&walk, entry_table(as, entry));
	error = build_range(&builder, &walk, as->levels);
	/* Frames come in the order of their pages. */
	job->frames += builder.frames;
	job->at = job->gpa + (job->frames << PAGE_SHIFT);
	return error;
}

#endif
