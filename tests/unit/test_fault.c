/* SPDX-License-Identifier: MIT */
/* The fault call: its outcomes, that it is idempotent, and what happens when several CPUs fault at
 * once. */
#include "layouts.h"

#define PAGE   FAKE_PAGE_SIZE
#define MIB    (UINT64_C(1) << 20)
#define GIB    (UINT64_C(1) << 30)
#define LINEAR UINT64_C(0x80000000)

static int lazy_setup(void **state)
{
	int result = fixture_setup(state);
	struct fixture *fixture = *state;

	fake_machine_register_linear(&fixture->machine, LINEAR, GIB);
	if (!result)
		result = addrspace_map_alloc(&fixture->as, GIB, GIB, &fixture_rw, 0);
	return result;
}

static int fault(struct fixture *fixture, uint64_t gpa, unsigned access)
{
	return addrspace_handle_fault(&fixture->as, gpa, access, NULL);
}

static uint64_t guest_frames(const struct fixture *fixture)
{
	return fixture->machine.live[ADDRSPACE_FRAME_GUEST];
}

static void first_fault_installs_one_zeroed_page(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t *words;

	assert_int_equal(fault(fixture, GIB + 0x123, ADDRSPACE_WRITE), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), 1);
	fixture_assert_mapped(fixture, GIB, fixture_hpa(fixture, GIB), PAGE, 3);
	fixture_assert_not_mapped(fixture, GIB + PAGE);
	words = fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, GIB));
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(words[i], 0);
}

static void second_fault_is_already_resolved_and_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;

	assert_int_equal(fixture_guest(fixture, 0, GIB, ADDRSPACE_WRITE), 0);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	for (unsigned access = 1; access <= 3; access++)
		assert_int_equal(fault(fixture, GIB + 8, access), ADDRSPACE_FAULT_ALREADY_RESOLVED);
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

static void
access_that_the_region_forbids_is_denied_before_and_after_the_page_is_there(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fault(fixture, GIB, ADDRSPACE_EXECUTE), ADDRSPACE_FAULT_DENIED);
	assert_int_equal(guest_frames(fixture), 0);
	assert_int_equal(fault(fixture, GIB, ADDRSPACE_READ), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(fault(fixture, GIB, ADDRSPACE_EXECUTE), ADDRSPACE_FAULT_DENIED);
	assert_int_equal(fault(fixture, GIB, ADDRSPACE_READ | ADDRSPACE_EXECUTE),
			 ADDRSPACE_FAULT_DENIED);
}

static void fault_outside_of_every_region_is_not_backed(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fault(fixture, GIB - 1, ADDRSPACE_READ), ADDRSPACE_FAULT_NOT_BACKED);
	assert_int_equal(fault(fixture, 2 * GIB, ADDRSPACE_READ), ADDRSPACE_FAULT_NOT_BACKED);
	assert_int_equal(fault(fixture, layout_limit(fixture->layout), ADDRSPACE_READ),
			 ADDRSPACE_FAULT_NOT_BACKED);
	assert_int_equal(fault(fixture, UINT64_MAX, ADDRSPACE_WRITE), ADDRSPACE_FAULT_NOT_BACKED);
}

/** Wipes the entry that maps gpa, behind the library's back. */
static void wipe(struct fake_machine *machine, const struct fake_walk_step *step, void *ctx)
{
	const uint64_t *gpa = ctx;
	struct fake_entry entry = step->entry;

	if (entry.kind != FAKE_ENTRY_TABLE)
		return;
	uint64_t *table = fake_machine_pointer(machine, entry.hpa);
	unsigned shift = fake_level_shift(step->level - 1);

	if (step->level == 1 && *gpa - step->gpa < UINT64_C(1) << fake_level_shift(1))
		table[(*gpa - step->gpa) >> shift] = 0;
}

static void missing_leaf_in_a_linear_or_populated_region_is_a_configuration_error(void **state)
{
	struct fixture *fixture = *state;
	uint64_t linear = 16 * PAGE;
	uint64_t populated = 64 * PAGE;

	assert_int_equal(
		addrspace_map_linear(&fixture->as, linear, 2 * PAGE, LINEAR, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_map_alloc(&fixture->as, populated, 2 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(fault(fixture, linear, ADDRSPACE_READ), ADDRSPACE_FAULT_ALREADY_RESOLVED);
	assert_int_equal(fault(fixture, populated, ADDRSPACE_READ),
			 ADDRSPACE_FAULT_ALREADY_RESOLVED);

	uint64_t hpa = fixture_hpa(fixture, populated);
	struct addrspace_frame_request request = {
		.kind = ADDRSPACE_FRAME_GUEST, .gpa = populated, .cookie = fixture_rw.cookie};

	fake_machine_walk_all(&fixture->machine, wipe, &linear);
	fake_machine_walk_all(&fixture->machine, wipe, &populated);
	assert_int_equal(fault(fixture, linear, ADDRSPACE_READ), ADDRSPACE_FAULT_CONFIGURATION);
	assert_int_equal(fault(fixture, populated, ADDRSPACE_READ), ADDRSPACE_FAULT_CONFIGURATION);
	assert_int_equal(addrspace_verify(&fixture->as, NULL), ADDRSPACE_EFAULT);
	/* Take the damage back out, so that the teardown can be strict. */
	assert_int_equal(addrspace_unmap(&fixture->as, linear, 2 * PAGE), 0);
	assert_int_equal(addrspace_unmap(&fixture->as, populated, 2 * PAGE), 0);
	fixture->machine.allow_unlocked = true;
	fixture->machine.handler.free(&fixture->machine, &request, hpa);
	if (fixture->machine.handler.uncharge)
		fixture->machine.handler.uncharge(&fixture->machine, ADDRSPACE_FRAME_GUEST, 1);
	fixture->machine.allow_unlocked = false;
}

static void no_frame_is_out_of_memory_and_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;

	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	for (uint64_t n = 1;; n++) {
		int result;

		fixture->machine.fail_at = n;
		result = fault(fixture, GIB + 5 * PAGE, ADDRSPACE_WRITE);
		if (result == ADDRSPACE_FAULT_RESOLVED) {
			/* the frame and a table for each level below the root */
			assert_int_equal(n, fixture->as.levels + 1u);
			break;
		}
		assert_int_equal(result, ADDRSPACE_FAULT_OUT_OF_MEMORY);
		fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
	}
	fixture->machine.fail_at = 0;
}

static void refused_quota_is_out_of_memory(void **state)
{
	struct fixture *fixture = *state;

	fixture->machine.quota = 0;
	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		fixture->machine.quota += fixture->machine.charged[kind];
	assert_int_equal(fault(fixture, GIB, ADDRSPACE_READ), ADDRSPACE_FAULT_OUT_OF_MEMORY);
	assert_int_equal(guest_frames(fixture), 0);
	fixture->machine.quota = UINT64_MAX;
	assert_int_equal(fault(fixture, GIB, ADDRSPACE_READ), ADDRSPACE_FAULT_RESOLVED);
}

static void region_of_the_fault_is_handed_out_with_every_outcome_that_has_one(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;

	assert_int_equal(addrspace_handle_fault(&fixture->as, GIB, ADDRSPACE_READ, &region),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(region.gpa, GIB);
	assert_int_equal(region.size, GIB);
	assert_int_equal(region.cookie, fixture_rw.cookie);
	assert_int_equal(addrspace_handle_fault(&fixture->as, GIB, ADDRSPACE_READ, &region),
			 ADDRSPACE_FAULT_ALREADY_RESOLVED);
	assert_int_equal(region.size, GIB);
	assert_int_equal(addrspace_handle_fault(&fixture->as, GIB, ADDRSPACE_EXECUTE, &region),
			 ADDRSPACE_FAULT_DENIED);
	assert_int_equal(region.size, GIB);
	assert_int_equal(addrspace_handle_fault(&fixture->as, 0, ADDRSPACE_READ, &region),
			 ADDRSPACE_FAULT_NOT_BACKED);
	assert_int_equal(region.size, 0);
}

static void pages_fault_in_at_random_and_each_keeps_its_own_contents(void **state)
{
	struct fixture *fixture = *state;
	uint64_t page = 1;

	for (unsigned i = 0; i < 300; i++, page = page * 75 % 65537)
		assert_int_equal(
			fixture_guest(fixture, i % FAKE_CPUS, GIB + page * PAGE, ADDRSPACE_WRITE),
			0);
	page = 1;
	for (unsigned i = 0; i < 300; i++, page = page * 75 % 65537) {
		uint64_t gpa = GIB + page * PAGE;
		const uint64_t *word =
			fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, gpa));

		assert_int_equal(*word, fake_machine_token(gpa));
	}
	assert_int_equal(guest_frames(fixture), 300);
}

static void faults_invalidate_only_here_and_only_where_not_present_entries_are_cached(void **state)
{
	struct fixture *fixture = *state;
	bool cached = fixture->machine.geometry.caches_not_present;

	assert_int_equal(fault(fixture, GIB, ADDRSPACE_READ), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(fault(fixture, GIB, ADDRSPACE_READ), ADDRSPACE_FAULT_ALREADY_RESOLVED);
	if (!cached) {
		assert_int_equal(fixture->machine.counters.invalidate, 0);
		return;
	}
	assert_int_equal(fixture->machine.counters.invalidate, 2);
	assert_int_equal(fake_machine_invalidation(&fixture->machine, 0)->scope,
			 ADDRSPACE_THIS_CPU);
	assert_int_equal(fake_machine_invalidation(&fixture->machine, 0)->gpa, GIB);
	assert_int_equal(fake_machine_invalidation(&fixture->machine, 0)->size, PAGE);
}

static void spurious_fault_on_every_cpu_is_answered_after_a_plain_map(void **state)
{
	struct fixture *fixture = *state;
	struct fake_access_result result;

	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		fake_cpu_access(&fixture->machine, cpu, 5 * PAGE, ADDRSPACE_READ, &result);
	assert_int_equal(addrspace_map_linear(&fixture->as, 5 * PAGE, PAGE, LINEAR, &fixture_rw, 0),
			 0);
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		assert_int_equal(fixture_guest(fixture, cpu, 5 * PAGE, ADDRSPACE_WRITE), 0);
}

/* ---- other CPUs, at the moment before the page is published ---- */

struct rival {
	struct fixture *fixture;
	uint64_t gpa;
	unsigned at; /* acts at the n-th allocation */
	unsigned seen;
	int result;
};

/** Another CPU's fault, nested into ours: it also has the lock shared. */
static void rival_fault(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	struct rival *rival = ctx;

	if (event != FAKE_AT_ALLOCATE || ++rival->seen != rival->at)
		return;
	machine->interlude = NULL;
	fake_machine_set_cpu(machine, 1);
	rival->result = fault(rival->fixture, rival->gpa, ADDRSPACE_WRITE);
	fake_machine_set_cpu(machine, 0);
}

static void race(struct fixture *fixture, struct rival *rival)
{
	fixture->machine.interlude = rival_fault;
	fixture->machine.interlude_ctx = rival;
}

static void loser_of_a_race_for_one_page_gives_everything_back(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned at = 1; at <= fixture->as.levels; at++) {
		uint64_t gpa = GIB + at * 64 * MIB;
		struct rival rival = {.fixture = fixture, .gpa = gpa, .at = at, .result = -1};
		uint64_t frames = guest_frames(fixture);
		int result;

		race(fixture, &rival);
		result = fault(fixture, gpa, ADDRSPACE_WRITE);
		/* With the tables there from the first round, one allocation is all there is. */
		assert_int_equal(result, rival.result == ADDRSPACE_FAULT_RESOLVED
						 ? ADDRSPACE_FAULT_ALREADY_RESOLVED
						 : ADDRSPACE_FAULT_RESOLVED);
		assert_int_equal(guest_frames(fixture), frames + 1);
		fixture->machine.interlude = NULL;
		fixture_check(fixture);
	}
}

/** Another CPU takes the last frame, for the very page. */
static void rival_takes_the_last_frame(struct fake_machine *machine, enum fake_event event,
				       void *ctx)
{
	rival_fault(machine, event, ctx);
	if (!machine->interlude)
		machine->fail_at = 1;
}

static void fault_without_memory_is_resolved_if_another_cpu_has_resolved_it(void **state)
{
	struct fixture *fixture = *state;
	struct rival rival = {.fixture = fixture, .gpa = GIB, .at = 1, .result = -1};
	int result;

	fixture->machine.interlude = rival_takes_the_last_frame;
	fixture->machine.interlude_ctx = &rival;
	result = fault(fixture, GIB, ADDRSPACE_WRITE);
	assert_int_equal(rival.result, ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(result, ADDRSPACE_FAULT_ALREADY_RESOLVED);
	assert_int_equal(guest_frames(fixture), 1);
	fixture->machine.fail_at = 0;
}

static void loser_of_a_race_for_a_table_uses_the_winners(void **state)
{
	struct fixture *fixture = *state;
	struct rival rival = {.fixture = fixture, .gpa = GIB + PAGE, .at = 1};
	uint64_t tables;

	race(fixture, &rival);
	assert_int_equal(fault(fixture, GIB, ADDRSPACE_WRITE), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(rival.result, ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), 2);
	tables = fixture->machine.live[ADDRSPACE_FRAME_TABLE];
	assert_int_equal(tables, fixture->as.levels - 1u);
	fixture_check(fixture);
}

static void faults_allocate_exactly_the_tables_on_the_path(void **state)
{
	struct fixture *fixture = *state;
	uint64_t below_root = fixture->as.levels - 1u;

	assert_int_equal(fault(fixture, GIB, ADDRSPACE_READ), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], below_root);
	assert_int_equal(fault(fixture, GIB + PAGE, ADDRSPACE_READ), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], below_root);
	assert_int_equal(fault(fixture, GIB + 2 * MIB, ADDRSPACE_READ), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], below_root + 1);
}

#define LAZY_TEST(test) cmocka_unit_test_setup_teardown(test, lazy_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LAZY_TEST(first_fault_installs_one_zeroed_page),
		LAZY_TEST(second_fault_is_already_resolved_and_changes_nothing),
		LAZY_TEST(
			access_that_the_region_forbids_is_denied_before_and_after_the_page_is_there),
		LAZY_TEST(fault_outside_of_every_region_is_not_backed),
		LAZY_TEST(missing_leaf_in_a_linear_or_populated_region_is_a_configuration_error),
		LAZY_TEST(no_frame_is_out_of_memory_and_leaves_nothing),
		LAZY_TEST(refused_quota_is_out_of_memory),
		LAZY_TEST(region_of_the_fault_is_handed_out_with_every_outcome_that_has_one),
		LAZY_TEST(pages_fault_in_at_random_and_each_keeps_its_own_contents),
		LAZY_TEST(
			faults_invalidate_only_here_and_only_where_not_present_entries_are_cached),
		LAZY_TEST(spurious_fault_on_every_cpu_is_answered_after_a_plain_map),
		LAZY_TEST(loser_of_a_race_for_one_page_gives_everything_back),
		LAZY_TEST(fault_without_memory_is_resolved_if_another_cpu_has_resolved_it),
		LAZY_TEST(loser_of_a_race_for_a_table_uses_the_winners),
		LAZY_TEST(faults_allocate_exactly_the_tables_on_the_path),
	};

	return run_over_layouts("fault", tests, sizeof(tests) / sizeof(tests[0]));
}
