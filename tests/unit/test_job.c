/* SPDX-License-Identifier: MIT */
/*
 * Jobs: after any steps of any budget things are as the call at once leaves them; between the steps the
 * range is out of reach and held, and all beside it goes on.
 */
#include <string.h>

#include <addrspace/job.h>

#include "interleave.h"
#include "layouts.h"

#define PAGE FAKE_PAGE_SIZE
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define RW   (ADDRSPACE_READ | ADDRSPACE_WRITE)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- a space with something of everything ---- */

#define POPULATED      UINT64_C(0)
#define POPULATED_SIZE (2 * MIB + 3 * PAGE)
#define LAZY           (8 * MIB)
#define LAZY_SIZE      (56 * MIB)
#define SMALL          (80 * MIB) /* many small regions, and a gap between any two */
#define SMALL_COUNT    40
#define BIG            (GIB - 2 * MIB)
#define BIG_SIZE       (4 * MIB + GIB)

static void map_small_regions(struct addrspace *as)
{
	for (uint64_t i = 0; i < SMALL_COUNT; i++) {
		const struct addrspace_attributes attributes = {
			.permissions = i % 5 ? ADDRSPACE_READ : 0, .cookie = i};
		unsigned flags = i % 3 ? ADDRSPACE_MAP_POPULATE : 0;

		assert_int_equal(
			addrspace_map_alloc(as, SMALL + 4 * i * PAGE, 2 * PAGE, &attributes, flags),
			0);
	}
}

static void map_memory(struct fixture *fixture)
{
	struct addrspace *as = &fixture->as;

	fixture_populate(fixture, POPULATED, POPULATED_SIZE);
	assert_int_equal(addrspace_map_alloc(as, LAZY, LAZY_SIZE, &fixture_ro, 0), 0);
	map_small_regions(as);
	for (uint64_t gpa = LAZY; gpa < LAZY + LAZY_SIZE; gpa += MIB + 5 * PAGE)
		assert_int_equal(fixture_guest(fixture, 1, gpa, ADDRSPACE_READ), 0);
	for (uint64_t gpa = 0; gpa < POPULATED_SIZE; gpa += 64 * PAGE)
		fixture_warm(fixture, gpa, ADDRSPACE_WRITE);
	fixture_warm(fixture, POPULATED_SIZE - PAGE, ADDRSPACE_WRITE);
}

static void map_all(struct fixture *fixture)
{
	map_memory(fixture);
	fixture_map_linear(fixture, BIG, BIG_SIZE);
	for (uint64_t gpa = BIG; gpa < BIG + BIG_SIZE; gpa += 256 * MIB)
		fixture_warm(fixture, gpa, ADDRSPACE_READ);
}

struct range {
	uint64_t gpa;
	uint64_t size;
};

static const struct range ranges[] = {
	{POPULATED, POPULATED_SIZE},
	{POPULATED, 3 * PAGE},
	{POPULATED + 2 * MIB, 3 * PAGE},
	{POPULATED + 7 * PAGE, 9 * PAGE},
	{POPULATED + MIB, MIB + 2 * PAGE},
	{LAZY, LAZY_SIZE},
	{LAZY + 2 * MIB + 8 * PAGE, 16 * MIB},
	{4 * MIB, 2 * MIB},
	{4 * MIB, 24 * MIB},
	{SMALL, 4 * SMALL_COUNT *PAGE},
	{SMALL + PAGE, (4 * SMALL_COUNT - 4) * PAGE},
	{BIG, BIG_SIZE},
	{BIG + MIB, BIG_SIZE - 2 * MIB},
	{GIB + 5 * MIB + PAGE, PAGE},
	{PAGE, BIG + 3 * MIB},
	{MIB, 3 * GIB},
};

static const uint64_t budgets[] = {1, 3, 64, 512, UINT64_MAX};

/** All budgets where a layout stands for its format, one elsewhere: it takes long. */
static unsigned next_budget(const struct fixture *fixture, unsigned i)
{
	return i + (fixture->layout->canonical ? 1 : (unsigned)COUNT(budgets));
}

static unsigned first_budget(const struct fixture *fixture)
{
	return fixture->layout->canonical ? 0 : 2;
}

/* ---- steps ---- */

/** What stands between two steps: nothing but the job's range is out of order. */
static void check_between(struct fixture *fixture)
{
	struct fake_machine *machine = &fixture->machine;
	struct addrspace_defect defect;

	fake_machine_assert_unlocked(machine);
	fake_machine_check_tables(machine);
	fake_machine_check_tlbs(machine);
	fake_machine_assert_charges_balanced(machine);
	if (addrspace_verify(&fixture->as, &defect))
		fake_fail(machine, "addrspace_verify: %s", defect.what);
}

/** What statistics counts is what is out. */
static void check_statistics(struct fixture *fixture)
{
	const uint64_t *live = fixture->machine.live;
	struct addrspace_statistics statistics;

	assert_int_equal(addrspace_statistics(&fixture->as, &statistics), 0);
	assert_int_equal(statistics.data_frames, live[ADDRSPACE_FRAME_GUEST]);
	assert_int_equal(statistics.table_frames,
			 live[ADDRSPACE_FRAME_TABLE] + live[ADDRSPACE_FRAME_ROOT]);
	assert_int_equal(statistics.region_nodes, live[ADDRSPACE_FRAME_REGION_NODE]);
}

static uint64_t frees(const struct fixture *fixture)
{
	uint64_t sum = 0;

	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		sum += fixture->machine.counters.frees[kind];
	return sum;
}

/** Steps to the end; answers how many. Checks every so often: a full check takes long. */
static unsigned run_job(struct fixture *fixture, struct addrspace_job *job, uint64_t budget)
{
	unsigned steps = 0;
	int result;

	do {
		if (steps < 3 || steps % 499 == 0) {
			check_between(fixture);
			check_statistics(fixture);
		}
		result = addrspace_job_step(job, budget);
		assert_true(result == 0 || result == 1);
		steps++;
	} while (result);
	return steps;
}

static bool overlaps(const struct range *range, uint64_t gpa)
{
	return gpa - range->gpa < range->size;
}

/** Everything in the range is out of reach, for guests and for changes. */
static void check_held(struct fixture *fixture, const struct range *range)
{
	struct addrspace *as = &fixture->as;
	struct addrspace_translation translation;
	uint64_t places[] = {range->gpa, range->gpa + range->size - PAGE,
			     range->gpa + range->size / 2 / PAGE * PAGE};
	uint64_t frame = fake_machine_lend(&fixture->machine, 0);

	for (unsigned i = 0; i < COUNT(places); i++) {
		uint64_t gpa = places[i];

		fixture_assert_not_mapped(fixture, gpa);
		assert_int_equal(fixture_guest(fixture, i, gpa + 5, ADDRSPACE_READ),
				 ADDRSPACE_FAULT_NOT_BACKED);
		assert_int_equal(addrspace_walk(as, gpa, &translation), ADDRSPACE_ENOENT);
		assert_int_equal(
			addrspace_map_alloc(as, gpa, PAGE, &fixture_rw, ADDRSPACE_MAP_REPLACE),
			ADDRSPACE_EBUSY);
		assert_int_equal(
			addrspace_map_linear(as, gpa, PAGE, FIXTURE_LINEAR, &fixture_rw, 0),
			ADDRSPACE_EBUSY);
		assert_int_equal(
			addrspace_map_trap(as, gpa, PAGE, &fixture_rw, ADDRSPACE_MAP_REPLACE),
			ADDRSPACE_EBUSY);
		assert_int_equal(addrspace_collapse(as, gpa, PAGE, NULL), ADDRSPACE_EBUSY);
		assert_int_equal(addrspace_unmap(as, gpa, PAGE), ADDRSPACE_EBUSY);
		assert_int_equal(addrspace_protect(as, gpa, PAGE, ADDRSPACE_READ), ADDRSPACE_EBUSY);
		assert_int_equal(addrspace_discard(as, gpa, PAGE), ADDRSPACE_EBUSY);
		assert_int_equal(addrspace_replace_frame(as, gpa, frame, NULL, NULL),
				 ADDRSPACE_EBUSY);
	}
	fake_machine_take_back(&fixture->machine, frame);
}

static void check_that_others_are_refused(struct fixture *fixture, const struct range *range)
{
	uint64_t last = range->gpa + range->size - PAGE;
	struct addrspace *as = &fixture->as;
	struct addrspace_job other;
	uint64_t gpa;

	assert_int_equal(addrspace_unmap_begin(as, &other, range->gpa, PAGE), ADDRSPACE_EBUSY);
	assert_int_equal(addrspace_discard_begin(as, &other, last, PAGE), ADDRSPACE_EBUSY);
	assert_int_equal(addrspace_populate_begin(as, &other, last, PAGE, &fixture_rw),
			 ADDRSPACE_EBUSY);
	assert_int_equal(addrspace_clear_begin(as, &other), ADDRSPACE_EBUSY);
	assert_int_equal(addrspace_destroy_begin(as, &other), ADDRSPACE_EBUSY);
	assert_int_equal(addrspace_unmap(as, 0, layout_limit(fixture->layout)), ADDRSPACE_EBUSY);
	assert_int_equal(addrspace_find_gap(as, range->gpa, PAGE, PAGE, 0, &gpa), 0);
	assert_false(overlaps(range, gpa));
}

/* ---- the same as at once ---- */

typedef int (*change_at_once)(struct addrspace *as, uint64_t gpa, uint64_t size);
typedef int (*change_begin)(struct addrspace *as, struct addrspace_job *job, uint64_t gpa,
			    uint64_t size);

/** What a change leaves, frames' addresses aside. */
struct outcome {
	struct fake_snapshot snapshot;
	struct addrspace_statistics statistics;
	uint64_t frees;
	uint64_t invalidations;
	uint64_t flush_gpa;
	uint64_t flush_size;
	uint64_t stride;
	uint64_t tables_changed;
};

static void look(struct fixture *fixture, struct outcome *outcome)
{
	struct fake_machine *machine = &fixture->machine;
	const struct addrspace_invalidation *last;

	fake_machine_snapshot(machine, &fixture->as, &outcome->snapshot);
	outcome->snapshot.leaf_digest = 0;
	outcome->snapshot.guest_digest = 0;
	assert_int_equal(addrspace_statistics(&fixture->as, &outcome->statistics), 0);
	outcome->frees = frees(fixture);
	outcome->invalidations = machine->counters.invalidate;
	if (!outcome->invalidations)
		return;
	last = fake_machine_invalidation(machine, 0);
	outcome->flush_gpa = last->gpa;
	outcome->flush_size = last->size;
	outcome->stride = last->stride;
	outcome->tables_changed = last->tables_changed;
}

static void start_over(struct fixture *fixture, void (*prepare)(struct fixture *fixture))
{
	addrspace_clear(&fixture->as);
	prepare(fixture);
	memset(&fixture->machine.counters, 0, sizeof(fixture->machine.counters));
}

static void check_one_range(struct fixture *fixture, const struct range *range,
			    void (*prepare)(struct fixture *), change_at_once at_once,
			    change_begin begin)
{
	struct outcome expected;
	struct outcome seen;
	struct addrspace_job job;

	memset(&expected, 0, sizeof(expected));
	memset(&seen, 0, sizeof(seen));
	start_over(fixture, prepare);
	assert_int_equal(at_once(&fixture->as, range->gpa, range->size), 0);
	look(fixture, &expected);
	for (unsigned i = first_budget(fixture); i < COUNT(budgets); i = next_budget(fixture, i)) {
		start_over(fixture, prepare);
		assert_int_equal(begin(&fixture->as, &job, range->gpa, range->size), 0);
		/* The only one: steps change nothing that a CPU may have cached. */
		assert_int_equal(fixture->machine.counters.invalidate, expected.invalidations);
		assert_int_equal(frees(fixture), 0);
		fake_machine_hold(&fixture->machine, range->gpa, range->size);
		check_held(fixture, range);
		check_that_others_are_refused(fixture, range);
		assert_int_equal(frees(fixture), 0);
		run_job(fixture, &job, budgets[i]);
		fake_machine_let_go(&fixture->machine, range->gpa);
		assert_int_equal(addrspace_job_step(&job, 1), 0);
		look(fixture, &seen);
		assert_memory_equal(&seen, &expected, sizeof(seen));
		fixture_check(fixture);
	}
}

static void unmap_in_steps_leaves_what_unmap_leaves(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < COUNT(ranges); i++)
		check_one_range(fixture, &ranges[i], map_all, addrspace_unmap,
				addrspace_unmap_begin);
}

static void map_discardable(struct fixture *fixture)
{
	map_memory(fixture);
	/* no holes */
	assert_int_equal(addrspace_map_alloc(&fixture->as, POPULATED_SIZE, LAZY - POPULATED_SIZE,
					     &fixture_rw, 0),
			 0);
}

static void discard_in_steps_leaves_what_discard_leaves(void **state)
{
	static const struct range within[] = {
		{POPULATED, POPULATED_SIZE},
		{POPULATED + 7 * PAGE, 9 * PAGE},
		{POPULATED, 3 * PAGE},
		{POPULATED + 2 * MIB, 3 * PAGE},
		{MIB, 7 * MIB},
		{MIB, LAZY + LAZY_SIZE - 2 * MIB},
		{LAZY + 2 * MIB + 8 * PAGE, 16 * MIB},
		{SMALL + 4 * PAGE, 2 * PAGE},
	};
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < COUNT(within); i++)
		check_one_range(fixture, &within[i], map_discardable, addrspace_discard,
				addrspace_discard_begin);
}

/* ---- the whole space ---- */

static void clear_in_steps_leaves_an_empty_space(void **state)
{
	struct fixture *fixture = *state;
	const struct range all = {0, layout_limit(fixture->layout)};
	struct addrspace_statistics statistics;
	struct addrspace_job job;

	for (unsigned i = first_budget(fixture); i < COUNT(budgets); i = next_budget(fixture, i)) {
		start_over(fixture, map_all);
		assert_int_equal(addrspace_clear_begin(&fixture->as, &job), 0);
		assert_int_equal(fixture->machine.counters.invalidate, 1);
		assert_int_equal(frees(fixture), 0);
		fake_machine_hold(&fixture->machine, 0, all.size);
		check_held(fixture, &all);
		run_job(fixture, &job, budgets[i]);
		fake_machine_let_go(&fixture->machine, 0);
		assert_int_equal(fixture->machine.counters.invalidate, 1);
		assert_int_equal(addrspace_statistics(&fixture->as, &statistics), 0);
		assert_int_equal(statistics.regions + statistics.region_nodes, 0);
		assert_int_equal(statistics.data_frames, 0);
		assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
		fixture_check(fixture);
	}
}

static void destroy_in_steps_gives_everything_back(void **state)
{
	struct fixture *fixture = *state;
	unsigned steps = 0;
	struct addrspace_job job;

	map_all(fixture);
	assert_int_equal(addrspace_destroy_begin(&fixture->as, &job), 0);
	while (addrspace_job_step(&job, 64) == 1) {
		assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_ROOT],
				 UINT64_C(1) << fixture->as.root_order);
		steps++;
	}
	assert_true(steps > 8);
	fake_machine_assert_all_returned(&fixture->machine);
	fake_machine_assert_unlocked(&fixture->machine);
	assert_int_equal(addrspace_job_step(&job, 64), 0);
	fixture->initialised = false;
}

/** A job of each kind, some under way; their ranges do not overlap. */
static void begin_several(struct fixture *fixture, struct addrspace_job job[5])
{
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_unmap_begin(as, &job[0], POPULATED + PAGE, MIB), 0);
	assert_int_equal(addrspace_discard_begin(as, &job[1], LAZY + PAGE, LAZY_SIZE / 2), 0);
	assert_int_equal(addrspace_unmap_begin(as, &job[2], SMALL, 16 * PAGE), 0);
	assert_int_equal(addrspace_populate_begin(as, &job[3], SMALL + MIB, MIB, &fixture_rw), 0);
	assert_int_equal(addrspace_populate_begin(as, &job[4], 4 * MIB, MIB, &fixture_rw), 0);
	for (unsigned i = 0; i < 5; i++) {
		fixture->machine.allow_unlocked = true;
		assert_int_equal(addrspace_job_step(&job[i], 7), 1);
		fixture->machine.allow_unlocked = false;
	}
	assert_int_equal(addrspace_job_cancel(&job[4]), 0);
	assert_int_equal(addrspace_job_step(&job[4], 3), 1);
}

static void destroy_finishes_jobs_of_all_kinds(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_job job[5];

	map_all(fixture);
	begin_several(fixture, job);
	fixture_destroy_space(fixture);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(addrspace_job_step(&job[i], 1), 0);
}

static void clear_finishes_what_goes_and_leaves_what_comes(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_translation translation;
	struct addrspace_job job[5];

	map_all(fixture);
	begin_several(fixture, job);
	addrspace_clear(&fixture->as);
	for (unsigned i = 0; i < 5; i++) {
		if (i != 3)
			assert_int_equal(addrspace_job_step(&job[i], 1), 0);
	}
	fake_machine_hold(&fixture->machine, SMALL + MIB, MIB);
	fake_machine_check_tables(&fixture->machine);
	fake_machine_let_go(&fixture->machine, SMALL + MIB);
	fixture->machine.allow_unlocked = true;
	assert_int_equal(addrspace_job_step(&job[3], UINT64_MAX), 0);
	fixture->machine.allow_unlocked = false;
	assert_int_equal(addrspace_translate(&fixture->as, SMALL + MIB, &translation), 0);
	assert_int_equal(translation.remaining, PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 256);
}

/* ---- beside a job ---- */

/** Allocates, frees, maps and faults in the tables that the job's range shares, up to its very ends. */
static void work_beside(struct fixture *fixture, uint64_t below, uint64_t above, unsigned round)
{
	struct addrspace *as = &fixture->as;
	uint64_t places[] = {below - 2 * PAGE, above};

	for (unsigned i = 0; i < 2; i++) {
		uint64_t gpa = places[i];

		assert_int_equal(addrspace_map_alloc(as, gpa, 2 * PAGE, &fixture_rw, 0), 0);
		assert_int_equal(fixture_guest(fixture, round % FAKE_CPUS, gpa, ADDRSPACE_WRITE),
				 0);
		fixture_warm(fixture, gpa + PAGE, ADDRSPACE_READ);
		assert_int_equal(addrspace_protect(as, gpa, PAGE, ADDRSPACE_READ), 0);
		assert_int_equal(addrspace_discard(as, gpa, 2 * PAGE), 0);
		assert_int_equal(addrspace_map_linear(as, gpa, PAGE, FIXTURE_LINEAR, &fixture_ro,
						      ADDRSPACE_MAP_REPLACE),
				 0);
		fixture_warm(fixture, gpa, ADDRSPACE_READ);
		check_between(fixture);
		assert_int_equal(addrspace_unmap(as, gpa, 2 * PAGE), 0);
		check_between(fixture);
	}
}

static void all_beside_a_job_goes_on_between_its_steps(void **state)
{
	struct fixture *fixture = *state;
	uint64_t gpa = MIB + 8 * PAGE;
	uint64_t size = 5 * MIB;
	struct addrspace_job job;
	unsigned round = 0;

	fixture_populate(fixture, gpa, size);
	fixture_warm(fixture, gpa, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_unmap_begin(&fixture->as, &job, gpa, size), 0);
	fake_machine_hold(&fixture->machine, gpa, size);
	do
		work_beside(fixture, gpa, gpa + size, round++);
	while (addrspace_job_step(&job, 97) == 1);
	assert_true(round > 8);
	fake_machine_let_go(&fixture->machine, gpa);
	work_beside(fixture, gpa, gpa + size, round);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

static void tables_that_a_neighbour_leaves_are_given_back_by_the_last_step(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_job job;

	fixture_populate(fixture, 0, 16 * PAGE);
	fixture_warm(fixture, 9 * PAGE, ADDRSPACE_READ);
	assert_int_equal(addrspace_unmap_begin(as, &job, 4 * PAGE, 4 * PAGE), 0);
	fake_machine_hold(&fixture->machine, 4 * PAGE, 4 * PAGE);
	assert_int_equal(addrspace_unmap(as, 0, 4 * PAGE), 0);
	assert_int_equal(addrspace_unmap(as, 8 * PAGE, 8 * PAGE), 0);
	check_between(fixture);
	assert_int_equal(fixture->machine.counters.invalidate, 3);
	while (addrspace_job_step(&job, 1) == 1)
		;
	fake_machine_let_go(&fixture->machine, 4 * PAGE);
	assert_int_equal(fixture->machine.counters.invalidate, 4);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

/** So many regions that one more and one more again need another node of the set. */
static void map_many_regions(struct addrspace *as)
{
	for (uint64_t cookie = 0; cookie < 123; cookie++) {
		const struct addrspace_attributes attributes = {.permissions = ADDRSPACE_READ,
								.cookie = cookie};

		assert_int_equal(addrspace_map_alloc(as, GIB + cookie * PAGE, PAGE, &attributes, 0),
				 0);
	}
}

static void equal_neighbours_that_come_meanwhile_cost_no_memory_later(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_region region;
	struct addrspace_job job;

	map_many_regions(as);
	fixture_populate(fixture, 4 * PAGE, 4 * PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_REGION_NODE], 1);
	assert_int_equal(addrspace_unmap_begin(as, &job, 4 * PAGE, 4 * PAGE), 0);
	fixture_populate(fixture, 0, 4 * PAGE);
	fixture_populate(fixture, 8 * PAGE, 4 * PAGE);
	fixture->machine.fail_at = 1;
	while (addrspace_job_step(&job, 1) == 1)
		;
	fixture->machine.fail_at = 0;
	assert_int_equal(addrspace_find_region(as, 0, &region), 0);
	assert_int_equal(region.size, 4 * PAGE);
	assert_int_equal(addrspace_find_region(as, 4 * PAGE, &region), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_find_region(as, 8 * PAGE, &region), 0);
	assert_int_equal(region.size, 4 * PAGE);
}

static void faults_that_bring_more_than_a_page_leave_what_a_job_holds(void **state)
{
	const struct addrspace_attributes large = {.permissions = RW,
						   .largest_leaf = ADDRSPACE_LEAF_2M};
	const struct addrspace_attributes around = {.permissions = RW, .fault_around = 16};
	const struct addrspace_attributes *const attributes[] = {&large, &around};
	const struct range range = {4 * MIB + 8 * PAGE, 100 * PAGE};
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;

	for (unsigned i = 0; i < COUNT(attributes); i++) {
		uint64_t beside[] = {range.gpa - PAGE, range.gpa + range.size};
		unsigned steps = 0;
		struct addrspace_job job;

		assert_int_equal(addrspace_map_alloc(as, 0, GIB, attributes[i], 0), 0);
		for (uint64_t gpa = range.gpa; gpa < range.gpa + range.size; gpa += 16 * PAGE)
			assert_int_equal(fixture_guest(fixture, 0, gpa, ADDRSPACE_WRITE), 0);
		assert_int_equal(addrspace_discard(as, 4 * MIB, 8 * PAGE), 0);
		/* All else of its 2 MiB is empty. */
		assert_int_equal(addrspace_discard(as, beside[1], 6 * MIB - beside[1]), 0);
		assert_int_equal(addrspace_discard_begin(as, &job, range.gpa, range.size), 0);
		fake_machine_hold(&fixture->machine, range.gpa, range.size);
		do {
			if (steps < 2)
				assert_int_equal(
					fixture_guest(fixture, 1, beside[steps], ADDRSPACE_WRITE),
					0);
			check_held(fixture, &range);
			check_between(fixture);
			steps++;
		} while (addrspace_job_step(&job, 9) == 1);
		fake_machine_let_go(&fixture->machine, range.gpa);
		addrspace_clear(as);
	}
}

static void jobs_of_one_table_run_at_once_and_end_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	static const unsigned orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}};

	for (unsigned i = 0; i < COUNT(orders); i++) {
		struct addrspace_job job[3];

		fixture_populate(fixture, 0, 3 * MIB);
		fixture_warm(fixture, 2 * MIB, ADDRSPACE_WRITE);
		for (uint64_t k = 0; k < 3; k++) {
			assert_int_equal(addrspace_unmap_begin(as, &job[k], k * MIB, MIB), 0);
			fake_machine_hold(&fixture->machine, k * MIB, MIB);
		}
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(addrspace_job_step(&job[k], 40 + k), 1);
		for (unsigned k = 0; k < 3; k++) {
			run_job(fixture, &job[orders[i][k]], 50);
			fake_machine_let_go(&fixture->machine, orders[i][k] * MIB);
		}
		assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
		assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
		fixture_check(fixture);
	}
}

static void gap_is_found_behind_what_jobs_hold(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_job first;
	struct addrspace_job second;
	uint64_t gpa;

	assert_int_equal(addrspace_populate_begin(as, &first, 4 * PAGE, 4 * PAGE, &fixture_rw), 0);
	assert_int_equal(addrspace_unmap_begin(as, &second, 9 * PAGE, 7 * PAGE), 0);
	assert_int_equal(addrspace_find_gap(as, 0, 4 * PAGE, PAGE, 0, &gpa), 0);
	assert_int_equal(gpa, 0);
	assert_int_equal(addrspace_find_gap(as, PAGE, PAGE, 4 * PAGE, 0, &gpa), 0);
	assert_int_equal(gpa, 8 * PAGE);
	assert_int_equal(addrspace_find_gap(as, 0, 5 * PAGE, PAGE, 0, &gpa), 0);
	assert_int_equal(gpa, 16 * PAGE);
	assert_int_equal(addrspace_find_gap(as, 0, 5 * PAGE, PAGE, 20 * PAGE, &gpa),
			 ADDRSPACE_ENOSPC);
	assert_int_equal(addrspace_job_cancel(&first), 0);
	assert_int_equal(addrspace_job_step(&first, 100), 0);
	assert_int_equal(addrspace_job_step(&second, 100), 0);
	assert_int_equal(addrspace_find_gap(as, 0, 5 * PAGE, PAGE, 20 * PAGE, &gpa), 0);
	assert_int_equal(gpa, 0);
}

/* ---- what a step visits ---- */

/** On the way down to where it stopped, and back up: see addrspace_job_step(). */
#define BEYOND_BUDGET 24u

/** What a beginning, or an end, visits: the root's entries, and one table a level at both ends. */
static uint64_t most_at_the_ends(const struct addrspace *as)
{
	return 4 * ((UINT64_C(512) << as->root_order) + (as->levels - 1u) * 2 * 512);
}

static void steps_visit_no_more_than_their_budget(void **state)
{
	struct fixture *fixture = *state;
	uint64_t most = most_at_the_ends(&fixture->as);
	struct addrspace_job job;

	interleave_switch_format(fixture);
	for (unsigned i = 0; i < COUNT(ranges); i++) {
		for (unsigned k = first_budget(fixture); k + 1 < COUNT(budgets);
		     k = next_budget(fixture, k)) {
			int result = 1;

			start_over(fixture, map_all);
			interleave_visits = 0;
			assert_int_equal(addrspace_unmap_begin(&fixture->as, &job, ranges[i].gpa,
							       ranges[i].size),
					 0);
			assert_in_range(interleave_visits, 0, most);
			while (result) {
				uint64_t before = frees(fixture);

				interleave_visits = 0;
				result = addrspace_job_step(&job, budgets[k]);
				assert_in_range(interleave_visits, 0,
						budgets[k] + BEYOND_BUDGET + (result ? 0 : most));
				assert_in_range(frees(fixture) - before, 0,
						budgets[k] + BEYOND_BUDGET);
			}
		}
	}
}

static void each_step_gets_on(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_job job;
	unsigned steps = 0;

	map_all(fixture);
	assert_int_equal(addrspace_unmap_begin(&fixture->as, &job, 0, LAZY + LAZY_SIZE), 0);
	while (addrspace_job_step(&job, 64) == 1)
		steps++;
	/* 575 pages and some 60 tables with few entries each */
	assert_in_range(steps, 9, 700);
}

/* ---- all or nothing ---- */

static int begin_hole_in_large_leaves(struct fixture *fixture, struct addrspace_job *job)
{
	return addrspace_unmap_begin(&fixture->as, job, GIB + PAGE, GIB / 2 + 3 * PAGE);
}

static int begin_discard_of_a_middle(struct fixture *fixture, struct addrspace_job *job)
{
	return addrspace_discard_begin(&fixture->as, job, POPULATED + 5 * PAGE, 9 * PAGE);
}

static int begin_populate(struct fixture *fixture, struct addrspace_job *job)
{
	return addrspace_populate_begin(&fixture->as, job, 4 * MIB, MIB, &fixture_rw);
}

static void beginning_without_memory_changes_nothing(void **state)
{
	static int (*const begin[])(struct fixture *, struct addrspace_job *) = {
		begin_hole_in_large_leaves, begin_discard_of_a_middle, begin_populate};
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < COUNT(begin); i++) {
		int error = ADDRSPACE_ENOMEM;

		start_over(fixture, map_all);
		for (uint64_t n = 1; error; n++) {
			struct fake_snapshot before;
			struct addrspace_job job;

			fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
			fixture->machine.fail_at = n;
			error = begin[i](fixture, &job);
			fixture->machine.fail_at = 0;
			if (error) {
				assert_int_equal(error, ADDRSPACE_ENOMEM);
				fake_machine_assert_unchanged(&fixture->machine, &fixture->as,
							      &before);
				assert_null(fixture->as.jobs);
				continue;
			}
			fixture->machine.allow_unlocked = true;
			assert_int_equal(addrspace_job_step(&job, UINT64_MAX), 0);
			fixture->machine.allow_unlocked = false;
		}
		fixture_check(fixture);
	}
}

static void bad_input_is_refused_and_nothing_changes(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint64_t limit = layout_limit(fixture->layout);
	struct fake_snapshot before;
	struct addrspace_job job;

	map_all(fixture);
	fake_machine_snapshot(&fixture->machine, as, &before);
	assert_int_equal(addrspace_unmap_begin(NULL, &job, 0, PAGE), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_unmap_begin(as, NULL, 0, PAGE), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_unmap_begin(as, &job, 1, PAGE), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_unmap_begin(as, &job, 0, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_unmap_begin(as, &job, limit, PAGE), ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_discard_begin(NULL, &job, 0, PAGE), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_discard_begin(as, NULL, 0, PAGE), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_discard_begin(as, &job, 0, limit + PAGE), ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_discard_begin(as, &job, 0, 4 * MIB), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_discard_begin(as, &job, BIG, MIB), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_clear_begin(NULL, &job), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_clear_begin(as, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_destroy_begin(NULL, &job), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_destroy_begin(as, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_populate_begin(NULL, &job, 0, PAGE, &fixture_rw),
			 ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_populate_begin(as, NULL, 0, PAGE, &fixture_rw),
			 ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_populate_begin(as, &job, 4 * MIB, PAGE, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_populate_begin(as, &job, limit - PAGE, 2 * PAGE, &fixture_rw),
			 ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_populate_begin(as, &job, MIB, 4 * MIB, &fixture_rw),
			 ADDRSPACE_EEXIST);
	assert_int_equal(addrspace_job_step(NULL, 1), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_job_cancel(NULL), ADDRSPACE_EINVAL);
	fake_machine_assert_unchanged(&fixture->machine, as, &before);
	assert_null(as->jobs);
	assert_int_equal(addrspace_unmap_begin(as, &job, 0, PAGE), 0);
	assert_int_equal(addrspace_job_step(&job, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_job_cancel(&job), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_job_step(&job, 100), 0);
	assert_int_equal(addrspace_job_cancel(&job), ADDRSPACE_ENOENT);
}

typedef int (*failing_begin)(struct addrspace *as, struct addrspace_job *job);

static int fail_unmap(struct addrspace *as, struct addrspace_job *job)
{
	return addrspace_unmap_begin(as, job, 1, PAGE);
}

static int fail_discard(struct addrspace *as, struct addrspace_job *job)
{
	return addrspace_discard_begin(as, job, BIG, MIB);
}

static int fail_populate(struct addrspace *as, struct addrspace_job *job)
{
	return addrspace_populate_begin(as, job, 0, PAGE, NULL);
}

/** The space is busy by then. */
static int fail_clear(struct addrspace *as, struct addrspace_job *job)
{
	return addrspace_clear_begin(as, job);
}

static void job_that_did_not_begin_is_done(void **state)
{
	static const failing_begin fail[] = {fail_unmap, fail_discard, fail_populate, fail_clear};
	struct fixture *fixture = *state;
	struct addrspace_job other;
	struct addrspace_job job;

	map_all(fixture);
	assert_int_equal(addrspace_unmap_begin(&fixture->as, &other, 0, PAGE), 0);
	for (unsigned i = 0; i < COUNT(fail); i++) {
		memset(&job, 0xa5, sizeof(job));
		assert_in_range(-fail[i](&fixture->as, &job), 1, 1000);
		assert_int_equal(addrspace_job_step(&job, 1), 0);
		assert_int_equal(addrspace_job_cancel(&job), ADDRSPACE_ENOENT);
	}
	assert_int_equal(addrspace_job_step(&other, 100), 0);
}

static void job_that_is_under_way_does_not_begin_again(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_job jobs[2];

	map_all(fixture);
	assert_int_equal(addrspace_unmap_begin(as, &jobs[0], 0, PAGE), 0);
	assert_int_equal(addrspace_populate_begin(as, &jobs[1], 4 * MIB, PAGE, &fixture_rw), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct addrspace_job before = jobs[i];

		assert_int_equal(addrspace_unmap_begin(as, &jobs[i], MIB, PAGE), ADDRSPACE_EBUSY);
		assert_int_equal(addrspace_unmap_begin(as, &jobs[i], 1, PAGE), ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_populate_begin(as, &jobs[i], 8 * MIB, PAGE, &fixture_rw),
				 ADDRSPACE_EBUSY);
		assert_memory_equal(&jobs[i], &before, sizeof(before));
	}
	assert_int_equal(addrspace_job_step(&jobs[0], 100), 0);
	assert_int_equal(addrspace_job_cancel(&jobs[1]), 0);
	assert_int_equal(addrspace_job_step(&jobs[1], 100), 0);
	assert_null(as->jobs);
}

/* ---- populating ---- */

#define FRESH      (2 * MIB - 5 * PAGE)
#define FRESH_SIZE (2 * MIB + 12 * PAGE) /* in three tables */

/** Neighbours in both of the tables at the ends; with them the region would merge. */
static void map_around_fresh(struct fixture *fixture)
{
	fixture_populate(fixture, FRESH - 3 * PAGE, 3 * PAGE);
	fixture_populate(fixture, FRESH + FRESH_SIZE, 4 * PAGE);
	fixture_warm(fixture, FRESH - PAGE, ADDRSPACE_WRITE);
}

static int step_unlocked(struct fixture *fixture, struct addrspace_job *job, uint64_t budget)
{
	int result;

	fixture->machine.allow_unlocked = true;
	result = addrspace_job_step(job, budget);
	fixture->machine.allow_unlocked = false;
	return result;
}

static void begin_fresh(struct fixture *fixture, struct addrspace_job *job)
{
	assert_int_equal(
		addrspace_populate_begin(&fixture->as, job, FRESH, FRESH_SIZE, &fixture_rw), 0);
	fake_machine_hold(&fixture->machine, FRESH, FRESH_SIZE);
}

static void populated_in_steps_is_as_populated_at_once(void **state)
{
	const struct range fresh = {FRESH, FRESH_SIZE};
	struct fixture *fixture = *state;
	struct outcome expected = {0};
	struct outcome seen = {0};
	struct addrspace_job job;
	int result;

	start_over(fixture, map_around_fresh);
	fixture_populate(fixture, FRESH, FRESH_SIZE);
	look(fixture, &expected);
	for (unsigned i = first_budget(fixture); i < COUNT(budgets); i = next_budget(fixture, i)) {
		start_over(fixture, map_around_fresh);
		begin_fresh(fixture, &job);
		check_held(fixture, &fresh);
		check_that_others_are_refused(fixture, &fresh);
		do {
			uint64_t before = fixture->machine.live[ADDRSPACE_FRAME_GUEST];

			fixture->machine.counters.lock_exclusive = 0;
			fixture->machine.counters.lock_shared = 0;
			result = step_unlocked(fixture, &job, budgets[i]);
			/* No lock until all is there. */
			assert_int_equal(fixture->machine.counters.lock_exclusive, result == 0);
			assert_int_equal(fixture->machine.counters.lock_shared, 0);
			assert_in_range(fixture->machine.live[ADDRSPACE_FRAME_GUEST] - before, 0,
					budgets[i]);
			if (result && i > 1) {
				check_held(fixture, &fresh);
				fake_machine_check_tables(&fixture->machine);
			}
		} while (result == 1);
		assert_int_equal(result, 0);
		fake_machine_let_go(&fixture->machine, FRESH);
		look(fixture, &seen);
		seen.frees = expected.frees;
		assert_memory_equal(&seen, &expected, sizeof(seen));
		for (uint64_t gpa = FRESH; gpa < FRESH + FRESH_SIZE; gpa += 37 * PAGE)
			fixture_warm(fixture, gpa, ADDRSPACE_WRITE);
		fixture_check(fixture);
	}
}

static void populating_without_memory_loses_nothing_and_goes_on(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_job job;
	unsigned failures = 0;
	int result;

	map_around_fresh(fixture);
	begin_fresh(fixture, &job);
	do {
		/* In each pair of tries one allocation fails, each time another. */
		fixture->machine.fail_at = 1 + failures % 9;
		result = step_unlocked(fixture, &job, 16);
		fixture->machine.fail_at = 0;
		assert_true(result == 0 || result == 1 || result == ADDRSPACE_ENOMEM);
		failures += result < 0;
		result = result < 0 ? step_unlocked(fixture, &job, 1) : result;
	} while (result);
	assert_true(failures > 20);
	fake_machine_let_go(&fixture->machine, FRESH);
	fixture_warm(fixture, FRESH + MIB, ADDRSPACE_WRITE);
}

static void link_without_memory_for_the_region_can_be_tried_again(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_job job;
	uint64_t pages = FRESH_SIZE / PAGE;

	begin_fresh(fixture, &job);
	while (fixture->machine.live[ADDRSPACE_FRAME_GUEST] < pages - 1)
		assert_int_equal(step_unlocked(fixture, &job, 1), 1);
	/* The set has no node yet: it comes behind the last page. */
	for (unsigned i = 0; i < 3; i++) {
		fixture->machine.fail_at = i ? 1 : 2;
		assert_int_equal(step_unlocked(fixture, &job, 1), ADDRSPACE_ENOMEM);
		assert_int_equal(fixture_guest(fixture, 0, FRESH, ADDRSPACE_READ),
				 ADDRSPACE_FAULT_NOT_BACKED);
	}
	assert_int_equal(step_unlocked(fixture, &job, 1), 0);
	fake_machine_let_go(&fixture->machine, FRESH);
	fixture_warm(fixture, FRESH, ADDRSPACE_READ);
}

static void populating_can_be_cancelled_at_every_point(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;
	bool done = false;

	map_around_fresh(fixture);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	for (unsigned steps = 0; !done; steps += steps < 8 ? 1 : 61) {
		struct addrspace_job job;

		begin_fresh(fixture, &job);
		for (unsigned i = 0; i < steps && !done; i++)
			done = step_unlocked(fixture, &job, 1) == 0;
		if (!done) {
			assert_int_equal(addrspace_job_cancel(&job), 0);
			assert_int_equal(addrspace_job_cancel(&job), ADDRSPACE_EINVAL);
			run_job(fixture, &job, 1 + steps % 7);
		}
		fake_machine_let_go(&fixture->machine, FRESH);
		if (!done)
			fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
	}
}

static void populating_is_charged_when_it_begins(void **state)
{
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;
	struct addrspace_job job;

	machine->quota = FRESH_SIZE / PAGE - 1;
	assert_int_equal(
		addrspace_populate_begin(&fixture->as, &job, FRESH, FRESH_SIZE, &fixture_rw),
		ADDRSPACE_EDQUOT);
	assert_int_equal(machine->charged[ADDRSPACE_FRAME_GUEST], 0);
	machine->quota = UINT64_MAX;
	begin_fresh(fixture, &job);
	assert_int_equal(machine->charged[ADDRSPACE_FRAME_GUEST], FRESH_SIZE / PAGE);
	assert_int_equal(step_unlocked(fixture, &job, 40), 1);
	assert_int_equal(addrspace_job_cancel(&job), 0);
	fake_machine_assert_charges_balanced(machine);
	run_job(fixture, &job, 5);
	fake_machine_let_go(machine, FRESH);
	assert_int_equal(machine->charged[ADDRSPACE_FRAME_GUEST], 0);
}

/** Another CPU, whenever the step calls a hook: it populates without a lock. */
static void fault_and_change_beside(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	struct fixture *fixture = ctx;
	uint64_t gpa = FRESH + FRESH_SIZE + 64 * PAGE;
	struct addrspace_defect defect;

	if (event == FAKE_AT_LOCK || event == FAKE_AT_UNLOCK ||
	    machine->held[machine->current_cpu] != FAKE_UNLOCKED)
		return;
	fake_machine_set_cpu(machine, 1);
	if (machine->counters.allocations[ADDRSPACE_FRAME_GUEST] % 16 == 0) {
		addrspace_unmap(&fixture->as, gpa, PAGE);
		addrspace_map_alloc(&fixture->as, gpa, PAGE, &fixture_rw, 0);
		if (addrspace_verify(&fixture->as, &defect))
			fake_fail(machine, "beside a step: %s", defect.what);
	}
	addrspace_handle_fault(&fixture->as, gpa, ADDRSPACE_READ, NULL);
	if (addrspace_handle_fault(&fixture->as, FRESH, ADDRSPACE_READ, NULL) !=
	    ADDRSPACE_FAULT_NOT_BACKED)
		fake_fail(machine, "a page is there before it was linked");
	fake_machine_set_cpu(machine, 0);
}

static void populating_goes_on_while_others_fault_and_change(void **state)
{
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;
	struct addrspace_job job;
	int result;

	map_around_fresh(fixture);
	begin_fresh(fixture, &job);
	machine->interlude = fault_and_change_beside;
	machine->interlude_ctx = fixture;
	do
		result = step_unlocked(fixture, &job, 100);
	while (result == 1);
	machine->interlude = NULL;
	fake_machine_let_go(machine, FRESH);
	assert_int_equal(result, 0);
	fixture_warm(fixture, FRESH, ADDRSPACE_WRITE);
	assert_int_equal(fixture_guest(fixture, 2, FRESH + FRESH_SIZE + 64 * PAGE, ADDRSPACE_READ),
			 0);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(unmap_in_steps_leaves_what_unmap_leaves),
		LINEAR_TEST(discard_in_steps_leaves_what_discard_leaves),
		LINEAR_TEST(clear_in_steps_leaves_an_empty_space),
		LINEAR_TEST(destroy_in_steps_gives_everything_back),
		LINEAR_TEST(destroy_finishes_jobs_of_all_kinds),
		LINEAR_TEST(clear_finishes_what_goes_and_leaves_what_comes),
		LINEAR_TEST(all_beside_a_job_goes_on_between_its_steps),
		LINEAR_TEST(tables_that_a_neighbour_leaves_are_given_back_by_the_last_step),
		LINEAR_TEST(equal_neighbours_that_come_meanwhile_cost_no_memory_later),
		LINEAR_TEST(faults_that_bring_more_than_a_page_leave_what_a_job_holds),
		LINEAR_TEST(jobs_of_one_table_run_at_once_and_end_in_any_order),
		LINEAR_TEST(gap_is_found_behind_what_jobs_hold),
		LINEAR_TEST(steps_visit_no_more_than_their_budget),
		LINEAR_TEST(each_step_gets_on),
		LINEAR_TEST(beginning_without_memory_changes_nothing),
		LINEAR_TEST(bad_input_is_refused_and_nothing_changes),
		LINEAR_TEST(job_that_did_not_begin_is_done),
		LINEAR_TEST(job_that_is_under_way_does_not_begin_again),
		LINEAR_TEST(populated_in_steps_is_as_populated_at_once),
		LINEAR_TEST(populating_without_memory_loses_nothing_and_goes_on),
		LINEAR_TEST(link_without_memory_for_the_region_can_be_tried_again),
		LINEAR_TEST(populating_can_be_cancelled_at_every_point),
		LINEAR_TEST(populating_is_charged_when_it_begins),
		LINEAR_TEST(populating_goes_on_while_others_fault_and_change),
	};

	return run_over_layouts("job", tests, COUNT(tests));
}
