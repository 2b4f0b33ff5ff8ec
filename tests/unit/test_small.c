/* SPDX-License-Identifier: MIT */
/* Regions in which only pages may be executable: no larger leaf ever is, and what becomes executable is cut
 * down to pages. */
#include "layouts.h"

#define PAGE FAKE_PAGE_SIZE
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define LEAF (2 * MIB)
#define R    ADDRSPACE_READ
#define RW   (ADDRSPACE_READ | ADDRSPACE_WRITE)
#define RX   (ADDRSPACE_READ | ADDRSPACE_EXECUTE)

static struct addrspace_attributes small(unsigned permissions, enum addrspace_leaf largest)
{
	return (struct addrspace_attributes){
		.permissions = permissions,
		.cookie = 0x600d,
		.largest_leaf = largest,
		.small_executable = true,
	};
}

static void map_alloc(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned permissions,
		      enum addrspace_leaf largest, unsigned flags)
{
	struct addrspace_attributes attributes = small(permissions, largest);

	assert_int_equal(addrspace_map_alloc(&fixture->as, gpa, size, &attributes, flags), 0);
}

static void map_linear(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned permissions)
{
	struct addrspace_attributes attributes = small(permissions, ADDRSPACE_LEAF_4K);

	assert_int_equal(
		addrspace_map_linear(&fixture->as, gpa, size, FIXTURE_LINEAR + gpa, &attributes, 0),
		0);
}

static uint64_t leaf_size(struct fixture *fixture, uint64_t gpa)
{
	struct fake_translation now = {0};

	return fake_machine_translate(&fixture->machine, gpa, &now) ? now.leaf_size : 0;
}

/** The largest leaf of at most size. */
static uint64_t at_most(const struct fixture *fixture, uint64_t size)
{
	uint64_t largest = layout_largest_leaf(fixture->layout);

	if (fixture->as.levels == 2 && largest > LEAF)
		largest = LEAF;
	return largest < size ? largest : size;
}

/** Each leaf of the range that may be executed is a page, and says what the region says. */
static void assert_small(struct fixture *fixture, uint64_t gpa, uint64_t end)
{
	struct addrspace_run run;

	for (; addrspace_next_run(&fixture->as, gpa, &run) == 0 && run.gpa < end;
	     gpa = run.gpa + run.size) {
		if (run.permissions & ADDRSPACE_EXECUTE)
			assert_int_equal(run.leaf_size, PAGE);
	}
}

/* ---- mapping ---- */

static void executable_memory_is_mapped_by_pages(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, 2 * LEAF, RX);
	assert_int_equal(leaf_size(fixture, LEAF), PAGE);
	map_alloc(fixture, 2 * LEAF, LEAF, RX, ADDRSPACE_LEAF_2M, ADDRSPACE_MAP_POPULATE);
	assert_int_equal(leaf_size(fixture, 2 * LEAF), PAGE);
	map_alloc(fixture, 3 * LEAF, LEAF, RX, ADDRSPACE_LEAF_2M, 0);
	assert_int_equal(addrspace_handle_fault(&fixture->as, 3 * LEAF, R, NULL),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(leaf_size(fixture, 3 * LEAF), PAGE);
	assert_int_equal(addrspace_prefault(&fixture->as, 3 * LEAF, LEAF, 0, NULL), 0);
	assert_small(fixture, 0, 4 * LEAF);
}

static void other_memory_is_mapped_large(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, 2 * LEAF, RW);
	assert_int_equal(leaf_size(fixture, LEAF), at_most(fixture, LEAF));
	map_alloc(fixture, 2 * LEAF, LEAF, RW, ADDRSPACE_LEAF_2M, 0);
	assert_int_equal(addrspace_handle_fault(&fixture->as, 2 * LEAF, R, NULL),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(leaf_size(fixture, 2 * LEAF), at_most(fixture, LEAF));
}

/* ---- protect ---- */

static void becoming_executable_cuts_runs_down_to_pages(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hpa;

	map_alloc(fixture, 0, 4 * LEAF, RW, ADDRSPACE_LEAF_2M, 0);
	fixture_warm(fixture, LEAF + 5 * PAGE, ADDRSPACE_WRITE);
	fixture_warm(fixture, 2 * LEAF + 7 * PAGE, ADDRSPACE_WRITE);
	hpa = fixture_hpa(fixture, LEAF + 5 * PAGE);
	assert_int_equal(addrspace_protect(&fixture->as, 0, 4 * LEAF, RX), 0);
	fixture_check(fixture);
	assert_small(fixture, 0, 4 * LEAF);
	fixture_assert_mapped(fixture, LEAF + 5 * PAGE, hpa, PAGE, RX);
	assert_int_equal(leaf_size(fixture, 2 * LEAF + 7 * PAGE), PAGE);
	fixture_warm(fixture, LEAF + 5 * PAGE, ADDRSPACE_EXECUTE);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
			 fake_machine_token(LEAF + 5 * PAGE));
	assert_int_equal(addrspace_unmap(&fixture->as, LEAF, 2 * LEAF), 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
}

static void only_what_becomes_executable_is_cut(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, 4 * LEAF, RW);
	fixture_warm(fixture, LEAF, R);
	fixture_warm(fixture, 3 * LEAF, R);
	assert_int_equal(addrspace_protect(&fixture->as, LEAF + 3 * PAGE, 2 * LEAF, RX), 0);
	fixture_check(fixture);
	assert_int_equal(leaf_size(fixture, 0), at_most(fixture, LEAF));
	fixture_assert_mapped(fixture, LEAF, FIXTURE_LINEAR + LEAF, PAGE, RW);
	fixture_assert_mapped(fixture, LEAF + 3 * PAGE, FIXTURE_LINEAR + LEAF + 3 * PAGE, PAGE, RX);
	fixture_assert_mapped(fixture, 2 * LEAF, FIXTURE_LINEAR + 2 * LEAF, PAGE, RX);
	fixture_assert_mapped(fixture, 3 * LEAF + 2 * PAGE, FIXTURE_LINEAR + 3 * LEAF + 2 * PAGE,
			      PAGE, RX);
	fixture_assert_mapped(fixture, 3 * LEAF + 3 * PAGE, FIXTURE_LINEAR + 3 * LEAF + 3 * PAGE,
			      PAGE, RW);
	assert_small(fixture, 0, 4 * LEAF);
}

static void gigabyte_is_cut_only_as_far_as_it_becomes_executable(void **state)
{
	struct fixture *fixture = *state;
	uint64_t from = GIB + 5 * LEAF + 3 * PAGE;
	uint64_t end = GIB + 7 * LEAF + PAGE;

	map_linear(fixture, GIB, GIB, RW);
	fixture_warm(fixture, GIB, R);
	assert_int_equal(leaf_size(fixture, GIB), at_most(fixture, GIB));
	assert_int_equal(addrspace_protect(&fixture->as, from, end - from, RX), 0);
	fixture_check(fixture);
	assert_int_equal(leaf_size(fixture, GIB + 4 * LEAF), at_most(fixture, LEAF));
	assert_int_equal(leaf_size(fixture, GIB + 8 * LEAF), at_most(fixture, LEAF));
	for (uint64_t gpa = GIB + 5 * LEAF; gpa < GIB + 8 * LEAF; gpa += PAGE)
		fixture_assert_mapped(fixture, gpa, FIXTURE_LINEAR + gpa, PAGE,
				      gpa >= from && gpa < end ? RX : RW);
	assert_small(fixture, GIB, 2 * GIB);
	fixture_assert_mapped(fixture, GIB, FIXTURE_LINEAR + GIB, at_most(fixture, LEAF), RW);
}

/** Its ends cut nothing, so every table is one of those that pages need. */
static void whole_gigabyte_becomes_pages(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, GIB, GIB, RW);
	fixture_warm(fixture, GIB, R);
	assert_int_equal(addrspace_protect(&fixture->as, GIB, GIB, RX), 0);
	fixture_check(fixture);
	assert_small(fixture, GIB, 2 * GIB);
	fixture_assert_mapped(fixture, GIB, FIXTURE_LINEAR + GIB, PAGE, RX);
	fixture_assert_mapped(fixture, 2 * GIB - PAGE, FIXTURE_LINEAR + 2 * GIB - PAGE, PAGE, RX);
}

static void guards_become_executable_by_pages(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, 2 * LEAF, 0);
	assert_int_equal(addrspace_protect(&fixture->as, 0, 2 * LEAF, RX), 0);
	fixture_check(fixture);
	assert_int_equal(leaf_size(fixture, LEAF), PAGE);
	fixture_assert_mapped(fixture, LEAF + PAGE, FIXTURE_LINEAR + LEAF + PAGE, PAGE, RX);
}

static void neighbours_that_may_be_large_stay_large(void **state)
{
	struct fixture *fixture = *state;

	fixture_map_linear(fixture, 0, LEAF);
	map_linear(fixture, LEAF, LEAF, RW);
	fixture_map_linear(fixture, 2 * LEAF, LEAF);
	assert_int_equal(addrspace_protect(&fixture->as, 0, 3 * LEAF, RX), 0);
	fixture_check(fixture);
	assert_int_equal(leaf_size(fixture, 0), at_most(fixture, LEAF));
	assert_int_equal(leaf_size(fixture, LEAF), PAGE);
	assert_int_equal(leaf_size(fixture, 2 * LEAF), at_most(fixture, LEAF));
	/* No longer executable: nothing is put together, and nothing else is cut. */
	assert_int_equal(addrspace_protect(&fixture->as, 0, 3 * LEAF, R), 0);
	assert_int_equal(leaf_size(fixture, LEAF), PAGE);
	assert_int_equal(leaf_size(fixture, 2 * LEAF), at_most(fixture, LEAF));
}

/** A range that begins and ends inside large leaves, of a region that must be small and one that need not. */
static void range_that_cuts_both_kinds_is_changed_exactly(void **state)
{
	struct fixture *fixture = *state;
	uint64_t from = LEAF / 2;
	uint64_t end = LEAF + LEAF / 2;

	map_linear(fixture, 0, LEAF, RW);
	fixture_map_linear(fixture, LEAF, LEAF);
	fixture_warm(fixture, 0, ADDRSPACE_READ);
	fixture_warm(fixture, LEAF, ADDRSPACE_READ);
	assert_int_equal(addrspace_protect(&fixture->as, from, end - from, RX), 0);
	fixture_check(fixture);
	for (uint64_t gpa = 0; gpa < 2 * LEAF; gpa += PAGE)
		fixture_assert_mapped(fixture, gpa, FIXTURE_LINEAR + gpa, PAGE,
				      gpa >= from && gpa < end ? RX : RW);
}

static void invalidation_covers_whole_leaves_once(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_invalidation *invalidation;
	uint64_t count;

	if (!layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M))
		return;
	map_linear(fixture, 0, 4 * LEAF, RW);
	fixture_warm(fixture, 2 * LEAF, R);
	count = fixture->machine.counters.invalidate;
	assert_int_equal(addrspace_protect(&fixture->as, LEAF + PAGE, 2 * LEAF, RX), 0);
	assert_int_equal(fixture->machine.counters.invalidate, count + 1);
	invalidation = fake_machine_invalidation(&fixture->machine, 0);
	assert_int_equal(invalidation->gpa, LEAF);
	assert_int_equal(invalidation->size, 3 * LEAF);
	assert_int_equal(invalidation->stride, LEAF);
}

static void change_without_memory_for_its_tables_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;
	uint64_t n = 0;
	int result;

	map_alloc(fixture, 0, 8 * LEAF, RW, ADDRSPACE_LEAF_2M, ADDRSPACE_MAP_POPULATE);
	fixture_warm(fixture, LEAF, ADDRSPACE_WRITE);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	do {
		fixture->machine.fail_at = ++n;
		result = addrspace_protect(&fixture->as, PAGE, 7 * LEAF, RX);
		if (result)
			fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
	} while (result == ADDRSPACE_ENOMEM);
	assert_int_equal(result, 0);
	assert_true(n > (layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M) ? 8 : 0));
	fixture->machine.fail_at = 0;
	assert_small(fixture, 0, 8 * LEAF);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 8 * LEAF / PAGE);
}

static void tables_beyond_the_quota_change_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;

	if (!layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M))
		return;
	map_linear(fixture, 0, 8 * LEAF, RW);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	fixture->machine.quota = 4;
	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		fixture->machine.quota += fixture->machine.charged[kind];
	assert_int_equal(addrspace_protect(&fixture->as, 0, 8 * LEAF, RX), ADDRSPACE_EDQUOT);
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

/** The other CPUs write all the while: what they marked dirty stays dirty. */
static void guest_runs_on_while_its_memory_becomes_executable(void **state)
{
	struct fixture *fixture = *state;
	struct fake_translation now = {0};

	map_alloc(fixture, 0, 4 * LEAF, RW, ADDRSPACE_LEAF_2M, ADDRSPACE_MAP_POPULATE);
	for (uint64_t gpa = 0; gpa < 4 * LEAF; gpa += LEAF)
		fake_machine_add_hot(&fixture->machine, gpa + 9 * PAGE, RW);
	assert_int_equal(addrspace_protect(&fixture->as, LEAF, 2 * LEAF, RX), 0);
	fake_machine_clear_hot(&fixture->machine);
	fixture_check(fixture);
	for (uint64_t gpa = 0; gpa < 4 * LEAF; gpa += LEAF) {
		const uint64_t *word = fake_machine_pointer(&fixture->machine,
							    fixture_hpa(fixture, gpa + 9 * PAGE));

		if (*word == fake_machine_token(gpa + 9 * PAGE) &&
		    layout_has(fixture->layout, ADDRSPACE_CPU_HARDWARE_AD)) {
			assert_true(
				fake_machine_translate(&fixture->machine, gpa + 9 * PAGE, &now));
			assert_true(now.dirty || !(now.permissions & ADDRSPACE_WRITE));
		}
	}
	assert_small(fixture, 0, 4 * LEAF);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(executable_memory_is_mapped_by_pages),
		LINEAR_TEST(other_memory_is_mapped_large),
		cmocka_unit_test(becoming_executable_cuts_runs_down_to_pages),
		LINEAR_TEST(only_what_becomes_executable_is_cut),
		LINEAR_TEST(gigabyte_is_cut_only_as_far_as_it_becomes_executable),
		LINEAR_TEST(whole_gigabyte_becomes_pages),
		LINEAR_TEST(guards_become_executable_by_pages),
		LINEAR_TEST(neighbours_that_may_be_large_stay_large),
		LINEAR_TEST(range_that_cuts_both_kinds_is_changed_exactly),
		LINEAR_TEST(invalidation_covers_whole_leaves_once),
		cmocka_unit_test(change_without_memory_for_its_tables_changes_nothing),
		LINEAR_TEST(tables_beyond_the_quota_change_nothing),
		cmocka_unit_test(guest_runs_on_while_its_memory_becomes_executable),
	};

	return run_over_layouts("small", tests, sizeof(tests) / sizeof(tests[0]));
}
