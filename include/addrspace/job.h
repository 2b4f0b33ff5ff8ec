/* SPDX-License-Identifier: MIT */
/*
 * Changes of any size in steps of a bounded length, so that a hypervisor stays preemptible.
 *
 * addrspace_unmap(), discard, clear and destroy hold the exclusive lock until the last frame has gone
 * back, and populating a region holds it until the last one has been zeroed: for a large guest that is
 * seconds. As a job, the same change has a beginning, which takes a constant time, and as many steps as
 * the caller's budget makes of it:
 *
 *	struct addrspace_job job;
 *
 *	error = addrspace_unmap_begin(&vm->as, &job, gpa, size);
 *	while (!error && addrspace_job_step(&job, 512) == 1)
 *		run_something_else();
 *
 * A job that takes away makes its range unreachable when it begins, and invalidates it then, once. Its
 * steps free what stood there. A job that populates fills frames that nobody sees, and links them
 * all at once with its last step.
 *
 * Until its last step the job holds its range. A fault there is ADDRSPACE_FAULT_NOT_BACKED; changes
 * that touch the range answer ADDRSPACE_EBUSY, and addrspace_find_gap() does not find it; all
 * beside it goes on as ever. Runs of leaves, translations and dumps do not show what is going.
 * Statistics count it, as tables and data frames but not as leaves, until it has gone; what is
 * being populated counts once it is linked. The regions of the range may be found until the job's
 * last steps, which remove them.
 *
 * "Not backed" is for a guest that has lost its memory. Beside a discard a guest that is well may touch
 * the range: compare the address with the ranges of the discards that you have under way before you
 * take it for a mistake, and enter the guest again once the job is done. access.h answers
 * ADDRSPACE_ENOENT.
 *
 * Several jobs may be under way in one space. The steps of different jobs may be taken on different
 * CPUs at once; those of one job, and its cancelling, one after another.
 */
#ifndef ADDRSPACE_JOB_H
#define ADDRSPACE_JOB_H

#include <addrspace/addrspace.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A change under way. The caller's, at an address that stays, from begin to the last step; its fields
 * are private. Need not be initialised; may be used again once it is done. One that did not begin is
 * done (unless as was NULL). To begin one again that is under way in the space is ADDRSPACE_EBUSY, and
 * does it no harm. */
struct addrspace_job {
	struct addrspace *as; /* NULL: done */
	struct addrspace_job *next;
	uint64_t gpa;
	uint64_t end;
	uint64_t at;        /* where the freeing, or filling, goes on */
	uint64_t region_at; /* the same of regions */
	/* Tables that are not linked, and reach over the range: at its ends, or a root of its own
	 * that is being populated. */
	struct {
		uint64_t entry; /* 0: none */
		unsigned level; /* of the slot that it was in */
	} trees[2];
	/* The regions at the range's ends, which are not in the set any more; or the one to be. */
	struct addrspace_region regions[2];
	uint64_t frames; /* populated so far */
	unsigned kind;
};

/**
 * Begins what addrspace_unmap() does. Exclusive lock.
 *
 * Takes a time that does not depend on the size of the range, but on the tables that its ends lie
 * in: it visits the root's entries, and for each end at most 512 entries of one table a level, a
 * few times. Allocation as addrspace_unmap(): cannot fail if it takes whole regions or their ends
 * and cuts no large leaf. The one invalidation, if anything was mapped.
 * @return 0, or with nothing changed and the job not begun, any error of addrspace_unmap(), and:
 *   ADDRSPACE_EINVAL  job is NULL
 */
int addrspace_unmap_begin(struct addrspace *as, struct addrspace_job *job, uint64_t gpa,
			  uint64_t size);

/**
 * Begins what addrspace_discard() does. Exclusive lock.
 *
 * As addrspace_unmap_begin(), but it also looks each region of the range up, to see that all may be
 * discarded. The guest's pages of the range come back, on fault, once the job is done.
 * @return 0, or with nothing changed and the job not begun, any error of addrspace_discard(), and:
 *   ADDRSPACE_EINVAL  job is NULL
 */
int addrspace_discard_begin(struct addrspace *as, struct addrspace_job *job, uint64_t gpa,
			    uint64_t size);

/**
 * Begins what addrspace_clear() does: an unmap of the whole space, which needs no memory. Exclusive
 * lock.
 * @return 0, or with nothing changed and the job not begun:
 *   ADDRSPACE_EINVAL  a null pointer
 *   ADDRSPACE_EBUSY   another job is under way in the space
 */
int addrspace_clear_begin(struct addrspace *as, struct addrspace_job *job);

/**
 * Begins what addrspace_destroy() does. Exclusive lock.
 *
 * No CPU may enter the guest any more. Until the last step, which frees the root and makes *as
 * unusable, only calls that read, addrspace_job_step() and addrspace_destroy(), which finishes at
 * once, are allowed.
 * @return as addrspace_clear_begin()
 */
int addrspace_destroy_begin(struct addrspace *as, struct addrspace_job *job);

/**
 * Begins what addrspace_map_alloc() does with ADDRSPACE_MAP_POPULATE, into a range that is free.
 * Exclusive lock.
 *
 * Charges all frames of the range, and allocates a second root (kind ROOT) to fill them into;
 * guests see nothing of it. The region comes with the last step. With a largest_leaf a run of
 * frames counts as the one entry that it fills, however long it takes to zero.
 * @return 0, or with nothing changed and the job not begun, any error of addrspace_map_alloc(), and:
 *   ADDRSPACE_EINVAL  job is NULL
 */
int addrspace_populate_begin(struct addrspace *as, struct addrspace_job *job, uint64_t gpa,
			     uint64_t size, const struct addrspace_attributes *attributes);

/**
 * Goes on with the job, visiting at most budget entries of page tables, and regions, and a constant
 * beyond: on the way down to where it stopped one entry a level and up to the ends of the entries
 * on the way back; and in the last step what the beginning of a job may visit.
 *
 * A job that takes away frees what it visits, under the exclusive lock. Its last step gives back the
 * tables that it shared with what went from beside its range meanwhile, with an invalidation of its own
 * if there are any.
 *
 * A job that populates allocates, fills and prepares its frames without a lock: the hooks of the
 * handler that take part must bear that. Its last step links them under the exclusive lock.
 * @return 1: there is more to do. 0: done, and the job is the caller's to use again; also for one that
 *   addrspace_clear() or addrspace_destroy() has finished. Or:
 *   ADDRSPACE_EINVAL  job is NULL, budget is 0
 *   ADDRSPACE_ENOMEM, ADDRSPACE_EDQUOT, ADDRSPACE_EFAULT  (populating only) from allocating: nothing is
 *                     lost; the step may be tried again, or the job be cancelled
 */
int addrspace_job_step(struct addrspace_job *job, uint64_t budget);

/**
 * Gives up populating: the job becomes one that returns all that it has taken, step by step. Exclusive
 * lock. The range is held until the last of them. Frames that were charged and not taken are
 * uncharged at once.
 * @return 0, or with nothing changed:
 *   ADDRSPACE_EINVAL  job is NULL, or does not populate
 *   ADDRSPACE_ENOENT  the job is done
 */
int addrspace_job_cancel(struct addrspace_job *job);

#ifdef __cplusplus
}
#endif
#endif
