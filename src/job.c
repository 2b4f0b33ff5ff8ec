/* SPDX-License-Identifier: MIT */
/*
 * Changes in steps. What is removed goes through the same two passes as in addrspace.c, but the second
 * one stops and goes on; the regions that tell whose frames are freed stand until it is done. Those at
 * the ends of the range are taken out of the set at the beginning, and kept in the job: what is mapped
 * beside the range meanwhile would merge with them, and to cut them out again might need memory.
 */
#include <addrspace/job.h>

#include "backend/backend.h"
#include "change.h"
#include "held.h"
#include "memory.h"
#include "range.h"
#include "region_set.h"

static void start_job(struct addrspace_job *job, uint64_t gpa, uint64_t end, unsigned kind)
{
	memset(job, 0, sizeof(*job));
	job->gpa = gpa;
	job->end = end;
	job->at = gpa;
	job->region_at = gpa;
	job->kind = kind;
}

static void finish_jobs(struct addrspace *as, bool populating);

/** From here on the job holds its range. */
static void enlist(struct addrspace *as, struct addrspace_job *job)
{
	job->as = as;
	job->next = as->jobs;
	as->jobs = job;
	as->finish_jobs = finish_jobs;
	choose_walker(as);
}

/**
 * Takes the exclusive lock for a job that begins: error, if that is not 0; ADDRSPACE_EBUSY; or 0.
 * Only then is the lock held. A job that is not under way is done, whatever comes of this.
 */
static NEVER_INLINE int lock_begin(struct addrspace *as, struct addrspace_job *job, int error,
				   uint64_t gpa, uint64_t end)
{
	const struct addrspace_job *other;

	lock_exclusive(as);
	for (other = as->jobs; other && other != job;)
		other = other->next;
	if (!other)
		job->as = NULL;
	if (!error && (other || held(as, gpa, end)))
		error = ADDRSPACE_EBUSY;
	if (error)
		unlock_exclusive(as);
	return error;
}

static void delist(struct addrspace *as, struct addrspace_job *job)
{
	struct addrspace_job **link = &as->jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	job->as = NULL;
	choose_walker(as);
}

/* ---- what goes: the beginning ---- */

/** Copies the part of a region that lies in the job's range. */
static bool region_within(const struct addrspace *as, uint64_t gpa, const struct addrspace_job *job,
			  struct addrspace_region *part)
{
	uint64_t end;

	if (!addrspace_region_set_find(as, gpa, part))
		return false;
	end = region_end(part) < job->end ? region_end(part) : job->end;
	part->gpa = part->gpa > job->gpa ? part->gpa : job->gpa;
	part->size = end - part->gpa;
	return true;
}

/** The parts of regions at both ends of the range; one of size 0 is none. */
static void find_end_regions(const struct addrspace *as, struct addrspace_job *job)
{
	struct addrspace_region *first = &job->regions[0];
	struct addrspace_region *last = &job->regions[1];

	if (!region_within(as, job->gpa, job, first))
		first->size = 0;
	if (!region_within(as, job->end - 1, job, last) || (first->size && last->gpa == first->gpa))
		last->size = 0;
}

/** Makes the range unreachable. Cannot fail. */
static void detach_range(struct addrspace *as, struct addrspace_job *job,
			 struct page_table_change *change)
{
	const struct addrspace_format *format = as->format;

	format->detach(as, change, true);
	if (!change->found)
		return;
	format->take_out(as, job);
	invalidate_change(as, change);
	format->finish_cuts(as, change);
}

/** The regions at the ends change: those of an unmap leave the set. */
static void change_end_regions(struct addrspace *as, const struct addrspace_job *job,
			       struct region_reserve *reserve)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct addrspace_region *region = &job->regions[i];

		if (!region->size)
			continue;
		if (job->kind == ADDRSPACE_JOB_DISCARD)
			addrspace_region_set_edit(as, region->gpa, region_end(region),
						  addrspace_region_edit_lazy(), reserve);
		else
			addrspace_region_set_replace(as, region->gpa, region_end(region), NULL,
						     reserve);
	}
}

/** All that a beginning may fail in comes before the first change. */
static int begin_removal(struct addrspace *as, struct addrspace_job *job,
			 struct region_reserve *reserve)
{
	struct page_table_change change = start_change(job->gpa, job->end);
	int error = as->format->change_prepare(as, &change);

	if (!error) {
		find_end_regions(as, job);
		detach_range(as, job, &change);
		change_end_regions(as, job, reserve);
		enlist(as, job);
	}
	release_tables(as, &change);
	return error;
}

/** The region nodes that it may need. */
static int reserve_removal(struct addrspace *as, uint64_t gpa, uint64_t end, unsigned kind,
			   struct region_reserve *reserve)
{
	int error;

	if (kind == ADDRSPACE_JOB_UNMAP)
		return addrspace_region_set_reserve_replace(as, gpa, end, NULL, reserve);
	error = addrspace_backend_check_kinds(as, gpa, end, BACKEND_ALLOC);
	if (error)
		return error;
	return addrspace_region_set_reserve_edit(as, gpa, end, addrspace_region_edit_lazy(),
						 reserve);
}

static int begin_range_locked(struct addrspace *as, struct addrspace_job *job, uint64_t gpa,
			      uint64_t end, unsigned kind)
{
	struct region_reserve reserve;
	int error = reserve_removal(as, gpa, end, kind, &reserve);

	if (error)
		return error;
	start_job(job, gpa, end, kind);
	error = begin_removal(as, job, &reserve);
	addrspace_region_set_release(as, &reserve);
	return error;
}

static int begin_range(struct addrspace *as, struct addrspace_job *job, uint64_t gpa, uint64_t size,
		       unsigned kind)
{
	int error;

	if (!as || !job)
		return ADDRSPACE_EINVAL;
	error = check_range(gpa, size, as->gpa_limit);
	error = lock_begin(as, job, error, gpa, gpa + size);
	if (error)
		return error;
	error = begin_range_locked(as, job, gpa, gpa + size, kind);
	unlock_exclusive(as);
	return error;
}

int addrspace_unmap_begin(struct addrspace *as, struct addrspace_job *job, uint64_t gpa,
			  uint64_t size)
{
	return begin_range(as, job, gpa, size, ADDRSPACE_JOB_UNMAP);
}

int addrspace_discard_begin(struct addrspace *as, struct addrspace_job *job, uint64_t gpa,
			    uint64_t size)
{
	return begin_range(as, job, gpa, size, ADDRSPACE_JOB_DISCARD);
}

/** Of the whole space: nothing is beside it that could merge with a region of it. */
static int begin_all(struct addrspace *as, struct addrspace_job *job, unsigned kind)
{
	struct page_table_change change;
	int error;

	if (!as || !job)
		return ADDRSPACE_EINVAL;
	error = lock_begin(as, job, 0, 0, as->gpa_limit);
	if (error)
		return error;
	start_job(job, 0, as->gpa_limit, kind);
	change = start_change(0, as->gpa_limit);
	detach_range(as, job, &change);
	enlist(as, job);
	unlock_exclusive(as);
	return 0;
}

int addrspace_clear_begin(struct addrspace *as, struct addrspace_job *job)
{
	return begin_all(as, job, ADDRSPACE_JOB_CLEAR);
}

int addrspace_destroy_begin(struct addrspace *as, struct addrspace_job *job)
{
	return begin_all(as, job, ADDRSPACE_JOB_DESTROY);
}

/* ---- what goes: the steps ---- */

/** Removes the regions that are left in the range, or makes them lazy. None of them reaches over it, so
 * that needs no memory. */
static NEVER_INLINE void pass_regions(struct addrspace *as, struct addrspace_job *job,
				      uint64_t *budget)
{
	struct region_reserve none = {0};
	struct addrspace_region region;

	for (; *budget && job->region_at < job->end; --*budget) {
		uint64_t gpa = job->region_at;

		if (!addrspace_region_set_next(as, gpa, &region) || region.gpa >= job->end) {
			job->region_at = job->end;
			continue;
		}
		gpa = region.gpa > gpa ? region.gpa : gpa;
		job->region_at = region_end(&region) < job->end ? region_end(&region) : job->end;
		if (job->kind == ADDRSPACE_JOB_DISCARD)
			addrspace_region_set_edit(as, gpa, job->region_at,
						  addrspace_region_edit_lazy(), &none);
		else
			addrspace_region_set_replace(as, gpa, job->region_at, NULL, &none);
	}
}

/** Gives back tables at the ends of the range that have become empty since the job began: others
 * removed what they still held. */
static NEVER_INLINE void prune(struct addrspace *as, const struct addrspace_job *job)
{
	struct page_table_change change = start_change(job->gpa, job->end);

	as->format->detach(as, &change, true);
	if (change.flush_gpa == change.flush_end)
		return;
	invalidate_change(as, &change);
	as->format->release(as, &change);
}

/** True once all has gone, and the job is none any more. */
static bool remove_some(struct addrspace *as, struct addrspace_job *job, uint64_t budget)
{
	as->format->release_some(as, job, &budget);
	if (job->at < job->end)
		return false;
	pass_regions(as, job, &budget);
	if (job->region_at < job->end)
		return false;
	prune(as, job);
	delist(as, job);
	return true;
}

static void remove_all(struct addrspace *as, struct addrspace_job *job)
{
	while (!remove_some(as, job, UINT64_MAX))
		;
}

static int step_removal(struct addrspace *as, struct addrspace_job *job, uint64_t budget)
{
	bool gone = false;

	lock_exclusive(as);
	/* Else addrspace_clear() was faster. */
	if (job->as && remove_some(as, job, budget))
		gone = job->kind == ADDRSPACE_JOB_DESTROY;
	if (gone)
		addrspace_frame_free(as, ADDRSPACE_FRAME_ROOT, as->root_order, as->root_hpa);
	unlock_exclusive(as);
	if (gone)
		memset(as, 0, sizeof(*as));
	return job->as ? 1 : 0;
}

/* ---- what is populated ---- */

/** What goes into a region's range. */
static struct page_table_fill fill_of(const struct addrspace_job *job)
{
	struct page_table_fill fill;

	addrspace_backend_fill(&job->regions[0], &fill);
	return fill;
}

static int populate_begin_locked(struct addrspace *as, struct addrspace_job *job,
				 const struct addrspace_region *region)
{
	struct page_table_fill fill;
	int error;

	if (addrspace_region_set_overlaps(as, region->gpa, region_end(region)))
		return ADDRSPACE_EEXIST;
	start_job(job, region->gpa, region_end(region), ADDRSPACE_JOB_POPULATE);
	job->regions[0] = *region;
	fill = fill_of(job);
	error = as->format->private_start(as, &fill, job);
	if (error)
		return error;
	note_device(as, region);
	enlist(as, job);
	return 0;
}

int addrspace_populate_begin(struct addrspace *as, struct addrspace_job *job, uint64_t gpa,
			     uint64_t size, const struct addrspace_attributes *attributes)
{
	struct addrspace_region region = {.gpa = gpa, .size = size};
	int error;

	if (!as || !job)
		return ADDRSPACE_EINVAL;
	if (!attributes)
		return lock_begin(as, job, ADDRSPACE_EINVAL, gpa, gpa);
	region.permissions = attributes->permissions;
	region.memory_type = attributes->memory_type;
	region.cookie = attributes->cookie;
	region.largest_leaf = attributes->largest_leaf;
	region.fault_around = attributes->fault_around;
	region.small_executable = attributes->small_executable;
	region.backend.kind = ADDRSPACE_ALLOC;
	region.backend.u.alloc.populate = true;
	error = check_range(gpa, size, as->gpa_limit);
	if (!error)
		error = addrspace_judge_region(as, &region);
	error = lock_begin(as, job, error, gpa, gpa + size);
	if (error)
		return error;
	error = populate_begin_locked(as, job, &region);
	unlock_exclusive(as);
	return error;
}

/** The region, and its frames at once. */
static int link_private(struct addrspace *as, struct addrspace_job *job)
{
	const struct page_table_fill fill = fill_of(job);
	const struct page_table_shadow shadow = {job->trees[0].entry, job->trees[0].level};
	struct region_reserve reserve;
	int error = addrspace_region_set_reserve_replace(as, job->gpa, job->end, &job->regions[0],
							 &reserve);

	if (error)
		return error;
	addrspace_region_set_replace(as, job->gpa, job->end, &job->regions[0], &reserve);
	addrspace_region_set_release(as, &reserve);
	as->format->shadow_graft(as, &fill, &shadow);
	delist(as, job);
	return 0;
}

static NEVER_INLINE int step_populate(struct addrspace *as, struct addrspace_job *job,
				      uint64_t budget)
{
	const struct page_table_fill fill = fill_of(job);
	int error = 0;

	if (job->at < job->end)
		error = as->format->private_fill(as, &fill, job, budget);
	if (error || job->at < job->end)
		return error ? error : 1;
	lock_exclusive(as);
	error = link_private(as, job);
	unlock_exclusive(as);
	return error;
}

static void cancel_locked(struct addrspace *as, struct addrspace_job *job)
{
	addrspace_frame_uncharge(as, ADDRSPACE_FRAME_GUEST,
				 ((job->end - job->gpa) >> PAGE_SHIFT) - job->frames);
	job->kind = ADDRSPACE_JOB_CANCELLED;
	job->at = job->gpa;
}

int addrspace_job_cancel(struct addrspace_job *job)
{
	struct addrspace *as;

	if (!job)
		return ADDRSPACE_EINVAL;
	as = job->as;
	if (!as)
		return ADDRSPACE_ENOENT;
	if (job->kind != ADDRSPACE_JOB_POPULATE)
		return ADDRSPACE_EINVAL;
	lock_exclusive(as);
	cancel_locked(as, job);
	unlock_exclusive(as);
	return 0;
}

/* ---- all jobs ---- */

/** Those that populate are on other CPUs, perhaps: only a space that goes takes them along. */
static void finish_jobs(struct addrspace *as, bool populating)
{
	struct addrspace_job *next;

	for (struct addrspace_job *job = as->jobs; job; job = next) {
		next = job->next;
		if (job->kind == ADDRSPACE_JOB_POPULATE) {
			if (!populating)
				continue;
			cancel_locked(as, job);
		}
		remove_all(as, job);
	}
}

int addrspace_job_step(struct addrspace_job *job, uint64_t budget)
{
	struct addrspace *as;

	if (!job || !budget)
		return ADDRSPACE_EINVAL;
	as = job->as;
	if (!as)
		return 0;
	if (job->kind == ADDRSPACE_JOB_POPULATE)
		return step_populate(as, job, budget);
	return step_removal(as, job, budget);
}
