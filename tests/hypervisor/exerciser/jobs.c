/* SPDX-License-Identifier: MIT */
/* Changes in steps while guests run: one stays on CPU 1 in a loop, beside the range or inside it, and one
 * on CPU 0 runs between any two steps. */
#include <addrspace/job.h>

#include "looper.h"
#include "two_cpus.h"

#define BUDGET 24
#define PAGES  UINT64_C(150) /* in one table, with pages beside them */
#define BESIDE UINT64_C(8)

struct stage {
	struct space *space;
	uint64_t range;
	uint64_t beside; /* lazy pages in the range's own table */
	bool inside;     /* CPU 1 loops in the range, else beside it */
	unsigned steps;
	struct looper looper;
};

/** The guest on this CPU: nothing of the range can be had, what is beside it comes as ever. */
static void run_guest_between(struct stage *stage)
{
	const struct request held = {.operation = GUEST_READ,
				     .size = 8,
				     .gpa = stage->range + stage->steps * 7 % PAGES * SIZE_4K};
	const struct request other = {.operation = GUEST_WRITE,
				      .size = 8,
				      .gpa = stage->beside + stage->steps % BESIDE * SIZE_4K,
				      .value = stage->steps};
	struct answer answer = subject_try(stage->space, &held);

	if (check_equal("an access to what a job holds succeeds", false, answer.done)) {
		space_check_fault(stage->space, &answer.fault, ADDRSPACE_FAULT_NOT_BACKED);
		subject_abandon(stage->space);
	}
	subject_do(stage->space, &other, NULL, NULL);
	check_equal("what the guest wrote beside it", stage->steps,
		    *(uint64_t *)space_host(stage->space, other.gpa));
}

/** CPU 1 is as far as it can be. */
static void check_looper(struct stage *stage)
{
	if (stage->inside)
		looper_check_stopped(&stage->looper, ADDRSPACE_FAULT_NOT_BACKED);
	else
		check_true("the guest goes on", looper_turns(&stage->looper));
}

static void take_steps(struct stage *stage, struct addrspace_job *job)
{
	int result;

	stage->steps = 0;
	do {
		check_looper(stage);
		check_named("unmap of what a job holds", ADDRSPACE_EBUSY,
			    addrspace_unmap(&stage->space->as, stage->range, SIZE_4K),
			    addrspace_error_name);
		run_guest_between(stage);
		result = addrspace_job_step(job, BUDGET);
		stage->steps++;
	} while (result == 1);
	space_check_ok("job_step", result);
	check_true("the job took several steps", stage->steps > 3);
}

/** Frames that go are the pool's, and nobody writes to them any more. */
static void unmap_in_steps(struct stage *stage)
{
	uint64_t first = (uintptr_t)space_host(stage->space, stage->range);
	uint64_t last = (uintptr_t)space_host(stage->space, stage->range + (PAGES - 1) * SIZE_4K);
	struct addrspace_job job;

	space_check_ok("unmap_begin", addrspace_unmap_begin(&stage->space->as, &job, stage->range,
							    PAGES * SIZE_4K));
	take_steps(stage, &job);
	check_true("the first frame is as the pool left it", frame_pool_is_intact(first));
	check_true("the last frame is as the pool left it", frame_pool_is_intact(last));
}

static void populate_in_steps(struct stage *stage)
{
	const struct addrspace_attributes attributes = {.permissions = RW};
	const struct request each = {.operation = GUEST_ATOMIC_EACH,
				     .gpa = stage->range,
				     .value = 1,
				     .stride = SIZE_4K,
				     .repeat = PAGES};
	unsigned resolved = 0;
	struct addrspace_job job;

	space_check_ok("populate_begin",
		       addrspace_populate_begin(&stage->space->as, &job, stage->range,
						PAGES * SIZE_4K, &attributes));
	take_steps(stage, &job);
	check_equal("fresh pages", PAGES, subject_do(stage->space, &each, &resolved, NULL));
	check_equal("faults that brought one", 0, resolved);
}

/** What begins as a populate ends with nothing. */
static void cancel_in_steps(struct stage *stage)
{
	const struct addrspace_attributes attributes = {.permissions = RW};
	struct addrspace_job job;

	space_check_ok("populate_begin",
		       addrspace_populate_begin(&stage->space->as, &job, stage->range,
						PAGES * SIZE_4K, &attributes));
	for (unsigned i = 0; i < 5; i++)
		check_equal("steps go on", 1, (uint64_t)addrspace_job_step(&job, BUDGET));
	space_check_ok("job_cancel", addrspace_job_cancel(&job));
	take_steps(stage, &job);
}

static void run_rounds(struct space *space, const char *name, bool inside)
{
	uint64_t range = space_place(space, 1) + 16 * SIZE_4K;
	struct stage stage = {
		.space = space,
		.range = range,
		.beside = range - BESIDE * SIZE_4K,
		.inside = inside,
		.looper = {.space = space},
	};
	uint64_t page = inside ? range + 3 * SIZE_4K : range + PAGES * SIZE_4K;

	check_at(page, name);
	stage.looper.request = (struct request){.operation = GUEST_LOOP_WRITE, .gpa = page};
	space_map_alloc(space, stage.beside, BESIDE * SIZE_4K, RW, 0);
	space_map_alloc(space, range, PAGES * SIZE_4K, RW, ADDRSPACE_MAP_POPULATE);
	space_map_alloc(space, range + PAGES * SIZE_4K, SIZE_4K, RW, 0);
	looper_start(&stage.looper);
	space_new_invalidations(space);
	for (unsigned round = 0; round < space->rounds; round++) {
		unmap_in_steps(&stage);
		cancel_in_steps(&stage);
		populate_in_steps(&stage);
		looper_resume(&stage.looper);
		check_true("the guest goes on", looper_turns(&stage.looper));
	}
	check_equal("invalidations", space->rounds, space_new_invalidations(space));
	looper_end(&stage.looper);
	space_unmap(space, stage.beside, (BESIDE + PAGES + 1) * SIZE_4K);
	space_check_empty(space);
}

void jobs_run(struct space *space)
{
	run_rounds(space, "jobs beside a loop", false);
	run_rounds(space, "jobs under a loop", true);
}
