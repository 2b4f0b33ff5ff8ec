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
	const struct addrspace_invalidation *last = fake_machine_invalidation(machine, 0);

	fake_machine_snapshot(machine, &fixture->as, &outcome->snapshot);
	outcome->snapshot.leaf_digest = 0;
	outcome->snapshot.guest_digest = 0;
	assert_int_equal(addrspace_statistics(&fixture->as, &outcome->statistics), 0);
	outcome->frees = frees(fixture);
	outcome->invalidations = machine->counters.invalidate;
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
	for (unsigned i = 0; i < COUNT(budgets); i++) {
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

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(unmap_in_steps_leaves_what_unmap_leaves),
		LINEAR_TEST(discard_in_steps_leaves_what_discard_leaves),
	};

	return run_over_layouts("job", tests, COUNT(tests));
}
