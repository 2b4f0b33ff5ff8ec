/* SPDX-License-Identifier: MIT */
/* Mapping: linear and alloc, eager and lazy, leaf sizes, overlap, replace, merging. */
#include "layouts.h"

#define PAGE   FAKE_PAGE_SIZE
#define MIB    (UINT64_C(1) << 20)
#define GIB    (UINT64_C(1) << 30)
#define LINEAR FIXTURE_LINEAR

static void map_linear(struct fixture *fixture, uint64_t gpa, uint64_t size, uint64_t hpa,
		       unsigned flags)
{
	assert_int_equal(addrspace_map_linear(&fixture->as, gpa, size, hpa, &fixture_rw, flags), 0);
}

static void map_alloc(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned flags)
{
	assert_int_equal(addrspace_map_alloc(&fixture->as, gpa, size, &fixture_rw, flags), 0);
}

static struct addrspace_statistics count(struct fixture *fixture)
{
	struct addrspace_statistics statistics;

	assert_int_equal(addrspace_statistics(&fixture->as, &statistics), 0);
	return statistics;
}

static uint64_t region_count(struct fixture *fixture)
{
	return count(fixture).regions;
}

/** The leaf that the CPU's features allow for this size and no smaller. */
static uint64_t leaf_for(const struct fixture *fixture, uint64_t size)
{
	if (size >= GIB && layout_largest_leaf(fixture->layout) == GIB)
		return GIB;
	if (size >= 2 * MIB && layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M))
		return 2 * MIB;
	return PAGE;
}

/* ---- linear ---- */

static void linear_page_translates_to_its_host_page(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 5 * PAGE, PAGE, LINEAR + 9 * PAGE, 0);
	fixture_assert_mapped(fixture, 5 * PAGE + 0x123, LINEAR + 9 * PAGE + 0x123, PAGE,
			      ADDRSPACE_READ | ADDRSPACE_WRITE);
	fixture_assert_not_mapped(fixture, 4 * PAGE);
	fixture_assert_not_mapped(fixture, 6 * PAGE);
}

static void linear_offset_may_be_negative(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 3 * GIB, 2 * MIB, LINEAR, 0);
	map_linear(fixture, PAGE, PAGE, LINEAR + GIB, 0);
	fixture_assert_mapped(fixture, 3 * GIB, LINEAR, leaf_for(fixture, 2 * MIB),
			      ADDRSPACE_READ | ADDRSPACE_WRITE);
	fixture_assert_mapped(fixture, PAGE, LINEAR + GIB, PAGE, ADDRSPACE_READ | ADDRSPACE_WRITE);
}

static void linear_ranges_may_alias_one_host_range(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, PAGE, LINEAR, 0);
	map_linear(fixture, GIB, PAGE, LINEAR, 0);
	fixture_assert_mapped(fixture, 0, LINEAR, PAGE, ADDRSPACE_READ | ADDRSPACE_WRITE);
	fixture_assert_mapped(fixture, GIB, LINEAR, PAGE, ADDRSPACE_READ | ADDRSPACE_WRITE);
}

static void aligned_range_takes_the_largest_leaves_that_the_cpu_has(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = leaf_for(fixture, GIB);
	struct addrspace_statistics statistics;

	if (leaf == PAGE) {
		map_linear(fixture, 0, 4 * MIB, LINEAR, 0);
		assert_int_equal(count(fixture).leaves_4k, 4 * MIB / PAGE);
		return;
	}
	map_linear(fixture, GIB, GIB, LINEAR, 0);
	statistics = count(fixture);
	assert_int_equal(statistics.leaves_1g, leaf == GIB ? 1 : 0);
	assert_int_equal(statistics.leaves_2m, leaf == GIB ? 0 : 512);
	assert_int_equal(statistics.leaves_4k, 0);
	fixture_assert_mapped(fixture, 2 * GIB - 1, LINEAR + GIB - 1, leaf,
			      ADDRSPACE_READ | ADDRSPACE_WRITE);
}

static void misaligned_ends_get_small_leaves_and_the_middle_large_ones(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = leaf_for(fixture, 2 * MIB);

	map_linear(fixture, 2 * MIB - PAGE, 4 * MIB + 2 * PAGE, LINEAR + 2 * MIB - PAGE, 0);
	fixture_assert_mapped(fixture, 2 * MIB - PAGE, LINEAR + 2 * MIB - PAGE, PAGE, 3);
	fixture_assert_mapped(fixture, 2 * MIB, LINEAR + 2 * MIB, leaf, 3);
	fixture_assert_mapped(fixture, 6 * MIB - 1, LINEAR + 6 * MIB - 1, leaf, 3);
	fixture_assert_mapped(fixture, 6 * MIB, LINEAR + 6 * MIB, PAGE, 3);
	fixture_assert_not_mapped(fixture, 6 * MIB + PAGE);
}

static void host_address_out_of_step_forces_small_leaves(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 2 * MIB, 2 * MIB, LINEAR + PAGE, 0);
	assert_int_equal(count(fixture).leaves_4k, 512);
	fixture_assert_mapped(fixture, 4 * MIB - 1, LINEAR + 2 * MIB + PAGE - 1, PAGE, 3);
}

static void host_address_in_step_with_2_mib_only_forces_2_mib_leaves(void **state)
{
	struct fixture *fixture = *state;

	if (leaf_for(fixture, 2 * MIB) == PAGE)
		return;
	map_linear(fixture, GIB, GIB, LINEAR + 2 * MIB, 0);
	assert_int_equal(count(fixture).leaves_2m, 512);
}

static void mapping_uses_no_more_tables_than_the_layout_needs(void **state)
{
	struct fixture *fixture = *state;
	uint64_t before = fixture->machine.live[ADDRSPACE_FRAME_TABLE];

	/* One page: a table for each level below the root. */
	map_linear(fixture, 0, PAGE, LINEAR, 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE] - before,
			 fixture->as.levels - 1u);
	/* Its neighbour, in the same tables: none. */
	map_linear(fixture, 8 * PAGE, PAGE, LINEAR, 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE] - before,
			 fixture->as.levels - 1u);
	/* The next 2 MiB, as pages: one. */
	map_linear(fixture, 2 * MIB, PAGE, LINEAR, 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE] - before,
			 (uint64_t)fixture->as.levels);
}

static void the_last_page_of_the_space_can_be_mapped(void **state)
{
	struct fixture *fixture = *state;
	uint64_t last = layout_limit(fixture->layout) - PAGE;

	map_linear(fixture, last, PAGE, LINEAR, 0);
	map_linear(fixture, 0, PAGE, LINEAR + PAGE, 0);
	fixture_assert_mapped(fixture, last, LINEAR, PAGE, 3);
	fixture_assert_mapped(fixture, 0, LINEAR + PAGE, PAGE, 3);
}

static void range_across_two_slots_of_the_root_is_mapped_in_both(void **state)
{
	struct fixture *fixture = *state;
	unsigned shift = fake_level_shift(fixture->as.levels - 1u);
	uint64_t border = UINT64_C(1) << shift;

	if (border >= layout_limit(fixture->layout))
		return; /* one slot of the root spans it all */
	map_linear(fixture, border - 2 * PAGE, 4 * PAGE, LINEAR + 5 * PAGE, 0);
	fixture_assert_mapped(fixture, border - 1, LINEAR + 7 * PAGE - 1, PAGE, 3);
	fixture_assert_mapped(fixture, border, LINEAR + 7 * PAGE, PAGE, 3);
	fixture_assert_mapped(fixture, border + 2 * PAGE - 1, LINEAR + 9 * PAGE - 1, PAGE, 3);
}

static void each_memory_type_is_encoded_as_the_walker_reads_it(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned type = 0; type <= ADDRSPACE_WRITE_THROUGH; type++) {
		struct addrspace_attributes attributes = fixture_rw;
		struct fake_translation seen;
		uint64_t gpa = type * PAGE;

		attributes.memory_type = (enum addrspace_memory_type)type;
		if (!layout_has_type(fixture->layout, attributes.memory_type)) {
			assert_int_equal(addrspace_map_linear(&fixture->as, gpa, PAGE, LINEAR,
							      &attributes, 0),
					 ADDRSPACE_ENOTSUP);
			continue;
		}
		assert_int_equal(
			addrspace_map_linear(&fixture->as, gpa, PAGE, LINEAR, &attributes, 0), 0);
		assert_true(fake_machine_translate(&fixture->machine, gpa, &seen));
		assert_int_equal(seen.memory_type,
				 layout_encoded_type(fixture->layout, attributes.memory_type));
	}
}

static void each_permission_set_is_encoded_as_the_walker_reads_it_or_refused(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned permissions = 0; permissions < 8; permissions++) {
		struct addrspace_attributes attributes = {.permissions = permissions};
		uint64_t gpa = GIB + permissions * PAGE;
		int error = addrspace_map_linear(&fixture->as, gpa, PAGE, LINEAR, &attributes, 0);

		if (!layout_can_permit(fixture->layout, permissions)) {
			assert_int_equal(error, ADDRSPACE_ENOTSUP);
			fixture_assert_not_mapped(fixture, gpa);
			continue;
		}
		assert_int_equal(error, 0);
		if (permissions)
			fixture_assert_mapped(fixture, gpa, LINEAR, PAGE, permissions);
		else
			fixture_assert_not_mapped(fixture, gpa);
	}
}

static void large_leaves_carry_every_permission_and_type(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = leaf_for(fixture, GIB);
	struct addrspace_attributes attributes = {.permissions = ADDRSPACE_READ,
						  .memory_type = ADDRSPACE_DEVICE};
	struct fake_translation seen;

	if (leaf == PAGE)
		return;
	assert_int_equal(addrspace_map_linear(&fixture->as, GIB, leaf, LINEAR, &attributes, 0), 0);
	fixture_assert_mapped(fixture, GIB + leaf - 1, LINEAR + leaf - 1, leaf, ADDRSPACE_READ);
	assert_true(fake_machine_translate(&fixture->machine, GIB, &seen));
	assert_int_equal(seen.memory_type, layout_encoded_type(fixture->layout, ADDRSPACE_DEVICE));
}

/* ---- alloc ---- */

static void populated_region_has_a_zeroed_frame_for_every_page(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 2 * MIB - 3 * PAGE, 6 * PAGE, ADDRSPACE_MAP_POPULATE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 6);
	for (unsigned i = 0; i < 6; i++) {
		uint64_t gpa = 2 * MIB - 3 * PAGE + i * PAGE;
		const uint64_t *words =
			fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, gpa));

		for (unsigned word = 0; word < 512; word++)
			assert_int_equal(words[word], 0);
		assert_int_equal(fixture_guest(fixture, 0, gpa, ADDRSPACE_READ),
				 ADDRSPACE_FAULT_RESOLVED);
	}
	assert_int_equal(fixture->machine.counters.allocations[ADDRSPACE_FRAME_GUEST], 6);
}

static void populated_frames_carry_their_gpa_and_cookie(void **state)
{
	struct fixture *fixture = *state;
	struct fake_frame *frame;

	map_alloc(fixture, 7 * PAGE, 2 * PAGE, ADDRSPACE_MAP_POPULATE);
	frame = fake_machine_frame(&fixture->machine, fixture_hpa(fixture, 8 * PAGE));
	assert_int_equal(frame->gpa, 8 * PAGE);
	assert_int_equal(frame->cookie, fixture_rw.cookie);
}

static void lazy_region_of_any_size_takes_no_table_and_no_frame(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);

	map_alloc(fixture, 0, limit, 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_REGION_NODE], 1);
	assert_true(addrspace_contains_range(&fixture->as, 0, limit));
}

static void guard_region_without_permissions_can_be_mapped_and_unmapped(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_attributes guard = {0};

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, GIB, &guard, 0), 0);
	assert_int_equal(
		addrspace_map_alloc(&fixture->as, GIB, 4 * PAGE, &guard, ADDRSPACE_MAP_POPULATE),
		0);
	assert_int_equal(addrspace_map_linear(&fixture->as, 2 * GIB, 4 * MIB, LINEAR, &guard, 0),
			 0);
	fixture_assert_not_mapped(fixture, GIB);
	assert_int_equal(addrspace_handle_fault(&fixture->as, PAGE, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_DENIED);
	assert_int_equal(addrspace_handle_fault(&fixture->as, GIB, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_DENIED);
	fixture_check(fixture);
	assert_int_equal(addrspace_unmap(&fixture->as, 0, 4 * GIB), 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

/* ---- overlap and merging ---- */

static void map_over_any_part_of_a_region_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;

	map_linear(fixture, 4 * PAGE, 4 * PAGE, LINEAR, 0);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	for (uint64_t first = 0; first < 8; first++) {
		for (uint64_t pages = 1; pages <= 12; pages++) {
			int error;

			if (first + pages <= 4)
				continue;
			error = addrspace_map_alloc(&fixture->as, first * PAGE, pages * PAGE,
						    &fixture_rw, ADDRSPACE_MAP_POPULATE);
			assert_int_equal(error, ADDRSPACE_EEXIST);
		}
	}
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

static void neighbours_equal_in_everything_merge(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, PAGE, LINEAR, 0);
	map_linear(fixture, 2 * PAGE, PAGE, LINEAR + 2 * PAGE, 0);
	assert_int_equal(region_count(fixture), 2);
	map_linear(fixture, PAGE, PAGE, LINEAR + PAGE, 0);
	assert_int_equal(region_count(fixture), 1);
	map_alloc(fixture, GIB, PAGE, 0);
	map_alloc(fixture, GIB + PAGE, PAGE, 0);
	assert_int_equal(region_count(fixture), 2);
}

static void neighbours_that_differ_in_anything_do_not_merge(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_attributes other = fixture_rw;

	map_alloc(fixture, 0, PAGE, 0);
	map_alloc(fixture, PAGE, PAGE, ADDRSPACE_MAP_POPULATE);
	map_linear(fixture, 2 * PAGE, PAGE, LINEAR, 0);
	map_linear(fixture, 3 * PAGE, PAGE, LINEAR, 0);
	other.cookie++;
	assert_int_equal(
		addrspace_map_linear(&fixture->as, 4 * PAGE, PAGE, LINEAR + PAGE, &other, 0), 0);
	other.permissions = ADDRSPACE_READ;
	assert_int_equal(
		addrspace_map_linear(&fixture->as, 5 * PAGE, PAGE, LINEAR + 2 * PAGE, &other, 0),
		0);
	other.memory_type = ADDRSPACE_DEVICE;
	assert_int_equal(
		addrspace_map_linear(&fixture->as, 6 * PAGE, PAGE, LINEAR + 3 * PAGE, &other, 0),
		0);
	assert_int_equal(region_count(fixture), 7);
}

/* ---- replace ---- */

static void replace_on_an_empty_range_is_a_plain_map(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, PAGE, PAGE, LINEAR, ADDRSPACE_MAP_REPLACE);
	fixture_assert_mapped(fixture, PAGE, LINEAR, PAGE, 3);
	assert_int_equal(fixture->machine.counters.invalidate, 0);
}

static void replace_swaps_a_populated_range_for_a_linear_one_with_one_invalidation(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 2 * MIB, 2 * MIB, ADDRSPACE_MAP_POPULATE);
	fixture_warm(fixture, 3 * MIB, ADDRSPACE_WRITE);
	map_linear(fixture, 2 * MIB, 2 * MIB, LINEAR, ADDRSPACE_MAP_REPLACE);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	fixture_assert_mapped(fixture, 3 * MIB, LINEAR + MIB, leaf_for(fixture, 2 * MIB), 3);
	assert_int_equal(fixture_guest(fixture, 0, 3 * MIB, ADDRSPACE_READ),
			 ADDRSPACE_FAULT_RESOLVED);
}

static void replace_of_the_middle_keeps_both_neighbours(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, 8 * MIB, LINEAR, 0);
	map_alloc(fixture, 3 * MIB, PAGE, ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE);
	assert_int_equal(region_count(fixture), 3);
	fixture_assert_mapped(fixture, 3 * MIB - PAGE, LINEAR + 3 * MIB - PAGE, PAGE, 3);
	fixture_assert_mapped(fixture, 3 * MIB + PAGE, LINEAR + 3 * MIB + PAGE, PAGE, 3);
	fixture_assert_mapped(fixture, 4 * MIB, LINEAR + 4 * MIB, leaf_for(fixture, 2 * MIB), 3);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 1);
	assert_true(fixture_hpa(fixture, 3 * MIB) < LINEAR);
}

static void replace_of_a_split_table_by_a_large_leaf_gives_the_table_back(void **state)
{
	struct fixture *fixture = *state;
	uint64_t tables;

	map_linear(fixture, 0, 4 * MIB, LINEAR, 0);
	tables = fixture->machine.live[ADDRSPACE_FRAME_TABLE];
	assert_int_equal(addrspace_protect(&fixture->as, PAGE, PAGE, ADDRSPACE_READ), 0);
	map_linear(fixture, 0, 4 * MIB, LINEAR, ADDRSPACE_MAP_REPLACE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], tables);
	assert_int_equal(region_count(fixture), 1);
	fixture_assert_mapped(fixture, PAGE, LINEAR + PAGE, leaf_for(fixture, 2 * MIB), 3);
}

static void replace_with_a_lazy_region_leaves_no_table_behind(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, GIB - 2 * PAGE, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
	fixture_warm(fixture, GIB, ADDRSPACE_READ);
	map_alloc(fixture, GIB - 4 * PAGE, 8 * PAGE, ADDRSPACE_MAP_REPLACE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	assert_int_equal(fixture_guest(fixture, 1, GIB, ADDRSPACE_WRITE), ADDRSPACE_FAULT_RESOLVED);
}

static void replace_across_slots_of_the_root_swaps_all_of_it(void **state)
{
	struct fixture *fixture = *state;
	unsigned shift = fake_level_shift(fixture->as.levels - 1u);
	uint64_t border = UINT64_C(1) << shift;

	if (border >= layout_limit(fixture->layout))
		return; /* one slot of the root spans it all */
	map_linear(fixture, border - 4 * PAGE, 8 * PAGE, LINEAR, 0);
	map_alloc(fixture, border - 3 * PAGE, 6 * PAGE,
		  ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE);
	fixture_assert_mapped(fixture, border - 4 * PAGE, LINEAR, PAGE, 3);
	fixture_assert_mapped(fixture, border + 3 * PAGE, LINEAR + 7 * PAGE, PAGE, 3);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 6);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_ROOT],
			 UINT64_C(1) << fixture->as.root_order);
	fixture_check(fixture);
}

static void replace_over_several_regions_and_holes_takes_them_all(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, 3 * PAGE, LINEAR, 0);
	map_alloc(fixture, 5 * PAGE, 2 * PAGE, ADDRSPACE_MAP_POPULATE);
	map_alloc(fixture, 9 * PAGE, 3 * PAGE, 0);
	map_linear(fixture, 2 * PAGE, 8 * PAGE, LINEAR + MIB, ADDRSPACE_MAP_REPLACE);
	assert_int_equal(region_count(fixture), 3);
	fixture_assert_mapped(fixture, PAGE, LINEAR + PAGE, PAGE, 3);
	for (unsigned i = 0; i < 8; i++)
		fixture_assert_mapped(fixture, (2 + i) * PAGE, LINEAR + MIB + i * PAGE, PAGE, 3);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(linear_page_translates_to_its_host_page),
		LINEAR_TEST(linear_offset_may_be_negative),
		LINEAR_TEST(linear_ranges_may_alias_one_host_range),
		LINEAR_TEST(aligned_range_takes_the_largest_leaves_that_the_cpu_has),
		LINEAR_TEST(misaligned_ends_get_small_leaves_and_the_middle_large_ones),
		LINEAR_TEST(host_address_out_of_step_forces_small_leaves),
		LINEAR_TEST(host_address_in_step_with_2_mib_only_forces_2_mib_leaves),
		LINEAR_TEST(mapping_uses_no_more_tables_than_the_layout_needs),
		LINEAR_TEST(the_last_page_of_the_space_can_be_mapped),
		LINEAR_TEST(range_across_two_slots_of_the_root_is_mapped_in_both),
		LINEAR_TEST(each_memory_type_is_encoded_as_the_walker_reads_it),
		LINEAR_TEST(each_permission_set_is_encoded_as_the_walker_reads_it_or_refused),
		LINEAR_TEST(large_leaves_carry_every_permission_and_type),
		LINEAR_TEST(populated_region_has_a_zeroed_frame_for_every_page),
		LINEAR_TEST(populated_frames_carry_their_gpa_and_cookie),
		LINEAR_TEST(lazy_region_of_any_size_takes_no_table_and_no_frame),
		LINEAR_TEST(guard_region_without_permissions_can_be_mapped_and_unmapped),
		LINEAR_TEST(map_over_any_part_of_a_region_is_refused),
		LINEAR_TEST(neighbours_equal_in_everything_merge),
		LINEAR_TEST(neighbours_that_differ_in_anything_do_not_merge),
		LINEAR_TEST(replace_on_an_empty_range_is_a_plain_map),
		LINEAR_TEST(replace_swaps_a_populated_range_for_a_linear_one_with_one_invalidation),
		LINEAR_TEST(replace_of_the_middle_keeps_both_neighbours),
		LINEAR_TEST(replace_of_a_split_table_by_a_large_leaf_gives_the_table_back),
		LINEAR_TEST(replace_with_a_lazy_region_leaves_no_table_behind),
		LINEAR_TEST(replace_across_slots_of_the_root_swaps_all_of_it),
		LINEAR_TEST(replace_over_several_regions_and_holes_takes_them_all),
	};

	return run_over_layouts("map", tests, sizeof(tests) / sizeof(tests[0]));
}
