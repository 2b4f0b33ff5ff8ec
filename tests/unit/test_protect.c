/* SPDX-License-Identifier: MIT */
/* Changing permissions: regions split and merge, leaves are cut exactly, frames stay, hardware's
 * bits are kept. */
#include "layouts.h"

#define PAGE   FAKE_PAGE_SIZE
#define MIB    (UINT64_C(1) << 20)
#define GIB    (UINT64_C(1) << 30)
#define LINEAR FIXTURE_LINEAR
#define RW     (ADDRSPACE_READ | ADDRSPACE_WRITE)

static void protect(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned permissions)
{
	assert_int_equal(addrspace_protect(&fixture->as, gpa, size, permissions), 0);
}

static struct fake_translation seen_at(struct fixture *fixture, uint64_t gpa)
{
	struct fake_translation seen;

	assert_true(fake_machine_translate(&fixture->machine, gpa, &seen));
	return seen;
}

static uint64_t region_count(struct fixture *fixture)
{
	struct addrspace_statistics statistics;

	assert_int_equal(addrspace_statistics(&fixture->as, &statistics), 0);
	return statistics.regions;
}

static void write_permission_can_be_taken_and_given_back(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 0, 4 * PAGE);
	fixture_warm(fixture, PAGE, ADDRSPACE_WRITE);
	protect(fixture, 0, 4 * PAGE, ADDRSPACE_READ);
	assert_int_equal(fixture_guest(fixture, 0, PAGE, ADDRSPACE_WRITE), ADDRSPACE_FAULT_DENIED);
	assert_int_equal(fixture_guest(fixture, 0, PAGE, ADDRSPACE_READ), ADDRSPACE_FAULT_RESOLVED);
	protect(fixture, 0, 4 * PAGE, RW);
	assert_int_equal(fixture_guest(fixture, 0, PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(fixture->machine.counters.allocations[ADDRSPACE_FRAME_GUEST], 4);
}

static void one_invalidation_and_none_if_nothing_is_mapped_or_changes(void **state)
{
	struct fixture *fixture = *state;

	fixture_map_linear(fixture, 0, GIB);
	protect(fixture, PAGE, GIB - 2 * PAGE, ADDRSPACE_READ);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	protect(fixture, PAGE, GIB - 2 * PAGE, ADDRSPACE_READ);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	assert_int_equal(addrspace_map_alloc(&fixture->as, GIB, GIB, &fixture_rw, 0), 0);
	protect(fixture, GIB, GIB, ADDRSPACE_READ);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
}

static void part_of_a_region_becomes_a_region_and_merges_back(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;

	fixture_populate(fixture, 0, 8 * PAGE);
	protect(fixture, 2 * PAGE, 3 * PAGE, ADDRSPACE_READ);
	assert_int_equal(region_count(fixture), 3);
	assert_int_equal(addrspace_find_region(&fixture->as, 3 * PAGE, &region), 0);
	assert_int_equal(region.gpa, 2 * PAGE);
	assert_int_equal(region.size, 3 * PAGE);
	assert_int_equal(region.permissions, ADDRSPACE_READ);
	protect(fixture, 0, 8 * PAGE, RW);
	assert_int_equal(region_count(fixture), 1);
	protect(fixture, 0, 4 * PAGE, ADDRSPACE_READ);
	protect(fixture, 4 * PAGE, 4 * PAGE, ADDRSPACE_READ);
	assert_int_equal(region_count(fixture), 1);
}

static void range_over_several_regions_changes_them_all(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 0, 4 * PAGE);
	fixture_map_linear(fixture, 4 * PAGE, 4 * PAGE);
	assert_int_equal(addrspace_map_alloc(&fixture->as, 8 * PAGE, 4 * PAGE, &fixture_ro, 0), 0);
	assert_int_equal(addrspace_map_alloc(&fixture->as, 12 * PAGE, 4 * PAGE, &fixture_rw, 0), 0);
	protect(fixture, PAGE, 13 * PAGE, ADDRSPACE_READ);
	assert_int_equal(seen_at(fixture, 0).permissions, RW);
	assert_int_equal(seen_at(fixture, PAGE).permissions, ADDRSPACE_READ);
	assert_int_equal(seen_at(fixture, 7 * PAGE).permissions, ADDRSPACE_READ);
	assert_int_equal(fixture_guest(fixture, 0, 13 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_DENIED);
	assert_int_equal(fixture_guest(fixture, 0, 14 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
}

static void hole_in_the_range_is_an_error_and_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;

	fixture_populate(fixture, 0, 2 * PAGE);
	fixture_populate(fixture, 3 * PAGE, PAGE);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	assert_int_equal(addrspace_protect(&fixture->as, 0, 4 * PAGE, ADDRSPACE_READ),
			 ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_protect(&fixture->as, GIB, PAGE, ADDRSPACE_READ),
			 ADDRSPACE_ENOENT);
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

static void part_of_a_large_leaf_is_protected_exactly(void **state)
{
	struct fixture *fixture = *state;
	static const uint64_t firsts[] = {0, 3, 511};

	for (unsigned i = 0; i < 3; i++) {
		uint64_t base = (2 + 2 * i) * MIB;
		uint64_t page = base + firsts[i] * PAGE;

		fixture_map_linear(fixture, base, 2 * MIB);
		fixture_warm(fixture, base + 77 * PAGE, ADDRSPACE_WRITE);
		protect(fixture, page, PAGE, ADDRSPACE_READ);
		fixture_check(fixture);
		for (uint64_t gpa = base; gpa < base + 2 * MIB; gpa += PAGE)
			fixture_assert_mapped(fixture, gpa, LINEAR + gpa, PAGE,
					      gpa == page ? ADDRSPACE_READ : RW);
	}
}

static void both_ends_of_a_1_gib_leaf_are_cut_exactly(void **state)
{
	struct fixture *fixture = *state;

	fixture_map_linear(fixture, GIB, GIB);
	fixture_warm(fixture, GIB + 5 * MIB, ADDRSPACE_WRITE);
	protect(fixture, GIB + 5 * MIB, 100 * MIB + PAGE, ADDRSPACE_READ);
	assert_int_equal(seen_at(fixture, GIB + 5 * MIB - 1).permissions, RW);
	assert_int_equal(seen_at(fixture, GIB + 5 * MIB).permissions, ADDRSPACE_READ);
	assert_int_equal(seen_at(fixture, GIB + 105 * MIB).permissions, ADDRSPACE_READ);
	assert_int_equal(seen_at(fixture, GIB + 105 * MIB + PAGE).permissions, RW);
	assert_int_equal(seen_at(fixture, 2 * GIB - 1).hpa, LINEAR + 2 * GIB - 1);
	if (layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M))
		assert_int_equal(seen_at(fixture, GIB + 50 * MIB).leaf_size, 2 * MIB);
}

static void neighbours_of_a_cut_stay_accessible_where_no_break_is_needed(void **state)
{
	struct fixture *fixture = *state;
	uint64_t faults;

	if (fixture->machine.geometry.walker->break_before_make)
		return;
	fixture_map_linear(fixture, 2 * MIB, 2 * MIB);
	fake_machine_add_hot(&fixture->machine, 3 * MIB, ADDRSPACE_READ | ADDRSPACE_WRITE);
	fixture_warm(fixture, 3 * MIB, ADDRSPACE_WRITE);
	faults = fixture->machine.counters.hot_faults;
	protect(fixture, 2 * MIB, PAGE, ADDRSPACE_READ);
	assert_int_equal(fixture->machine.counters.hot_faults, faults);
}

static void no_permissions_hide_the_page_and_keep_its_frame(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hpa;

	fixture_populate(fixture, 0, 3 * PAGE);
	fixture_warm(fixture, PAGE, ADDRSPACE_WRITE);
	hpa = fixture_hpa(fixture, PAGE);
	protect(fixture, PAGE, PAGE, 0);
	fixture_assert_not_mapped(fixture, PAGE);
	assert_int_equal(fixture_guest(fixture, 0, PAGE, ADDRSPACE_READ), ADDRSPACE_FAULT_DENIED);
	fixture_check(fixture);
	protect(fixture, PAGE, PAGE, RW);
	assert_int_equal(fixture_hpa(fixture, PAGE), hpa);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
			 fake_machine_token(PAGE));
	assert_int_equal(fixture_guest(fixture, 0, PAGE, ADDRSPACE_WRITE), 0);
}

static void page_without_permissions_is_freed_by_unmap(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 0, 3 * PAGE);
	protect(fixture, 0, 3 * PAGE, 0);
	assert_int_equal(addrspace_unmap(&fixture->as, 0, 3 * PAGE), 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

static void part_of_a_large_leaf_can_lose_and_regain_all_permissions(void **state)
{
	struct fixture *fixture = *state;

	fixture_map_linear(fixture, 0, 4 * MIB);
	protect(fixture, 0, 4 * MIB, 0);
	fixture_assert_not_mapped(fixture, MIB);
	protect(fixture, MIB, 2 * MIB, RW);
	fixture_assert_not_mapped(fixture, MIB - PAGE);
	assert_int_equal(seen_at(fixture, MIB).hpa, LINEAR + MIB);
	assert_int_equal(seen_at(fixture, 3 * MIB - 1).hpa, LINEAR + 3 * MIB - 1);
	fixture_assert_not_mapped(fixture, 3 * MIB);
	fixture_check(fixture);
	protect(fixture, 0, 4 * MIB, ADDRSPACE_READ);
	assert_int_equal(seen_at(fixture, 0).permissions, ADDRSPACE_READ);
	assert_int_equal(region_count(fixture), 1);
}

static void lazy_pages_come_with_the_new_permissions(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, GIB, &fixture_rw, 0), 0);
	protect(fixture, 0, GIB, ADDRSPACE_READ);
	assert_int_equal(fixture_guest(fixture, 0, 5 * PAGE, ADDRSPACE_READ), 0);
	assert_int_equal(seen_at(fixture, 5 * PAGE).permissions, ADDRSPACE_READ);
}

/* ---- what hardware records ---- */

static bool has_hardware_ad(const struct fixture *fixture)
{
	return layout_has(fixture->layout, ADDRSPACE_CPU_HARDWARE_AD);
}

static void fresh_leaves_are_clean_where_hardware_tracks_them(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_translation translation;

	fixture_populate(fixture, 0, PAGE);
	assert_int_equal(addrspace_walk(&fixture->as, 0, &translation), 0);
	assert_int_equal(translation.accessed, !has_hardware_ad(fixture));
	assert_int_equal(translation.dirty, !has_hardware_ad(fixture));
	fixture_warm(fixture, 0, ADDRSPACE_READ);
	assert_int_equal(addrspace_walk(&fixture->as, 0, &translation), 0);
	assert_true(translation.accessed);
	assert_int_equal(translation.dirty, !has_hardware_ad(fixture));
	fixture_warm(fixture, 0, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_walk(&fixture->as, 0, &translation), 0);
	assert_true(translation.dirty);
}

static void dirty_page_stays_dirty_through_protect(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_translation translation;

	if (!has_hardware_ad(fixture))
		return;
	fixture_populate(fixture, 0, 2 * PAGE);
	fixture_warm(fixture, 0, ADDRSPACE_WRITE);
	protect(fixture, 0, 2 * PAGE, ADDRSPACE_READ);
	assert_int_equal(addrspace_walk(&fixture->as, 0, &translation), 0);
	assert_true(translation.dirty);
	assert_int_equal(translation.permissions, ADDRSPACE_READ);
	assert_int_equal(addrspace_walk(&fixture->as, PAGE, &translation), 0);
	assert_false(translation.dirty);
	protect(fixture, 0, 2 * PAGE, RW);
	assert_int_equal(addrspace_walk(&fixture->as, 0, &translation), 0);
	assert_true(translation.dirty);
	assert_int_equal(addrspace_walk(&fixture->as, PAGE, &translation), 0);
	assert_false(translation.dirty);
}

/** Another CPU writes through the large leaf at the last moment: the bit must reach the pieces. */
static void write_late(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	struct fake_access_result result;

	(void)ctx;
	if (event == FAKE_AT_ALLOCATE || event == FAKE_AT_SYNC)
		fake_cpu_access(machine, 1, 3 * MIB, ADDRSPACE_WRITE, &result);
}

static void dirty_bit_set_during_a_split_is_not_lost(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_translation translation;

	if (!has_hardware_ad(fixture))
		return;
	fixture_map_linear(fixture, 2 * MIB, 2 * MIB);
	fixture->machine.interlude = write_late;
	protect(fixture, 2 * MIB, PAGE, ADDRSPACE_READ);
	fixture->machine.interlude = NULL;
	assert_int_equal(addrspace_walk(&fixture->as, 3 * MIB, &translation), 0);
	assert_true(translation.dirty);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(write_permission_can_be_taken_and_given_back),
		LINEAR_TEST(one_invalidation_and_none_if_nothing_is_mapped_or_changes),
		LINEAR_TEST(part_of_a_region_becomes_a_region_and_merges_back),
		LINEAR_TEST(range_over_several_regions_changes_them_all),
		LINEAR_TEST(hole_in_the_range_is_an_error_and_changes_nothing),
		LINEAR_TEST(part_of_a_large_leaf_is_protected_exactly),
		LINEAR_TEST(both_ends_of_a_1_gib_leaf_are_cut_exactly),
		LINEAR_TEST(neighbours_of_a_cut_stay_accessible_where_no_break_is_needed),
		LINEAR_TEST(no_permissions_hide_the_page_and_keep_its_frame),
		LINEAR_TEST(page_without_permissions_is_freed_by_unmap),
		LINEAR_TEST(part_of_a_large_leaf_can_lose_and_regain_all_permissions),
		LINEAR_TEST(lazy_pages_come_with_the_new_permissions),
		LINEAR_TEST(fresh_leaves_are_clean_where_hardware_tracks_them),
		LINEAR_TEST(dirty_page_stays_dirty_through_protect),
		LINEAR_TEST(dirty_bit_set_during_a_split_is_not_lost),
	};

	return run_over_layouts("protect", tests, sizeof(tests) / sizeof(tests[0]));
}
