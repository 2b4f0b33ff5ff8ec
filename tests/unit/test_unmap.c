/* SPDX-License-Identifier: MIT */
/* Unmapping: two passes around one invalidation, cut leaves, emptied tables, the order of it all.
 */
#include "layouts.h"

#define PAGE   FAKE_PAGE_SIZE
#define MIB    (UINT64_C(1) << 20)
#define GIB    (UINT64_C(1) << 30)
#define LINEAR FIXTURE_LINEAR

static void unmap(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	assert_int_equal(addrspace_unmap(&fixture->as, gpa, size), 0);
}

static uint64_t leaf_at(struct fixture *fixture, uint64_t gpa)
{
	struct fake_translation seen;

	assert_true(fake_machine_translate(&fixture->machine, gpa, &seen));
	return seen.leaf_size;
}

static void assert_linear(struct fixture *fixture, uint64_t gpa)
{
	fixture_assert_mapped(fixture, gpa, LINEAR + gpa, leaf_at(fixture, gpa), 3);
}

static const struct addrspace_invalidation *only_invalidation(struct fixture *fixture)
{
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	return fake_machine_invalidation(&fixture->machine, 0);
}

static void unmap_of_a_whole_region_gives_everything_back(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, MIB, 3 * MIB);
	fixture_warm(fixture, 2 * MIB, ADDRSPACE_WRITE);
	unmap(fixture, MIB, 3 * MIB);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_REGION_NODE], 0);
	assert_int_equal(fixture_guest(fixture, 0, 2 * MIB, ADDRSPACE_READ),
			 ADDRSPACE_FAULT_NOT_BACKED);
}

static void unmap_invalidates_once_whatever_the_size(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_invalidation *invalidation;

	fixture_map_linear(fixture, 2 * MIB - PAGE, GIB + 2 * PAGE);
	unmap(fixture, 0, 2 * GIB);
	invalidation = only_invalidation(fixture);
	assert_int_equal(invalidation->scope, ADDRSPACE_ALL_CPUS);
	assert_true(invalidation->tables_changed);
	assert_true(invalidation->gpa <= 2 * MIB - PAGE);
	assert_true(invalidation->gpa + invalidation->size >= 2 * MIB + GIB + PAGE);
	assert_int_equal(invalidation->stride, PAGE);
}

static void unmap_of_one_page_beside_others_changes_no_table(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_invalidation *invalidation;

	fixture_populate(fixture, 0, 4 * PAGE);
	unmap(fixture, PAGE, PAGE);
	invalidation = only_invalidation(fixture);
	assert_int_equal(invalidation->gpa, PAGE);
	assert_int_equal(invalidation->size, PAGE);
	assert_int_equal(invalidation->stride, PAGE);
	assert_false(invalidation->tables_changed);
}

static void unmap_of_what_was_never_touched_invalidates_nothing(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, GIB, &fixture_rw, 0), 0);
	unmap(fixture, 0, GIB);
	unmap(fixture, 0, GIB);
	assert_int_equal(fixture->machine.counters.invalidate, 0);
}

static void unmap_of_nothing_is_fine(void **state)
{
	struct fixture *fixture = *state;

	unmap(fixture, 0, layout_limit(fixture->layout));
	assert_int_equal(fixture->machine.counters.invalidate, 0);
}

static void unmap_shrinks_a_region_at_either_end_and_splits_it_in_the_middle(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;

	fixture_populate(fixture, 0, 16 * PAGE);
	unmap(fixture, 0, 2 * PAGE);
	assert_int_equal(addrspace_find_region(&fixture->as, 2 * PAGE, &region), 0);
	assert_int_equal(region.gpa, 2 * PAGE);
	assert_int_equal(region.size, 14 * PAGE);
	unmap(fixture, 14 * PAGE, 2 * PAGE);
	assert_int_equal(addrspace_find_region(&fixture->as, 2 * PAGE, &region), 0);
	assert_int_equal(region.size, 12 * PAGE);
	unmap(fixture, 6 * PAGE, PAGE);
	assert_int_equal(addrspace_find_region(&fixture->as, 2 * PAGE, &region), 0);
	assert_int_equal(region.size, 4 * PAGE);
	assert_int_equal(addrspace_find_region(&fixture->as, 7 * PAGE, &region), 0);
	assert_int_equal(region.size, 7 * PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 11);
}

static void unmap_across_regions_and_holes_takes_all_of_the_range(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 0, 4 * PAGE);
	fixture_map_linear(fixture, 6 * PAGE, 4 * PAGE);
	assert_int_equal(addrspace_map_alloc(&fixture->as, GIB, GIB, &fixture_rw, 0), 0);
	assert_int_equal(fixture_guest(fixture, 0, GIB + 5 * PAGE, ADDRSPACE_WRITE), 0);
	unmap(fixture, 2 * PAGE, GIB + 6 * PAGE - 2 * PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 2);
	assert_false(addrspace_contains_range(&fixture->as, 6 * PAGE, PAGE));
	assert_true(addrspace_contains_range(&fixture->as, GIB + 6 * PAGE, GIB - 6 * PAGE));
}

/* ---- cut leaves ---- */

static void hole_at_any_position_of_a_2_mib_leaf_keeps_its_neighbours(void **state)
{
	static const uint64_t positions[] = {0, 1, 255, 510, 511};
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < 5; i++) {
		uint64_t leaf = (2 + 2 * i) * MIB;
		uint64_t hole = leaf + positions[i] * PAGE;

		fixture_map_linear(fixture, leaf, 2 * MIB);
		fixture_warm(fixture, leaf + 300 * PAGE, ADDRSPACE_WRITE);
		unmap(fixture, hole, PAGE);
		fixture_check(fixture);
		for (uint64_t page = 0; page < 512; page++) {
			if (page == positions[i])
				fixture_assert_not_mapped(fixture, leaf + page * PAGE);
			else
				assert_linear(fixture, leaf + page * PAGE);
		}
		assert_int_equal(fixture_guest(fixture, 0, hole, ADDRSPACE_READ),
				 ADDRSPACE_FAULT_NOT_BACKED);
	}
}

static void hole_in_a_1_gib_leaf_splits_exactly(void **state)
{
	struct fixture *fixture = *state;
	bool large = layout_largest_leaf(fixture->layout) == GIB;
	uint64_t tables;

	if (!large)
		return;
	fixture_map_linear(fixture, GIB, GIB);
	tables = fixture->machine.live[ADDRSPACE_FRAME_TABLE];
	fixture_warm(fixture, GIB + 7 * MIB, ADDRSPACE_WRITE);
	unmap(fixture, GIB + 5 * MIB, PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], tables + 2);
	assert_int_equal(leaf_at(fixture, GIB), 2 * MIB);
	assert_int_equal(leaf_at(fixture, GIB + 4 * MIB), PAGE);
	assert_int_equal(leaf_at(fixture, GIB + 6 * MIB), 2 * MIB);
	assert_linear(fixture, GIB + 5 * MIB - 1);
	assert_linear(fixture, GIB + 5 * MIB + PAGE);
	assert_linear(fixture, 2 * GIB - 1);
	/* Both ends in different slots of the same leaf: one more table. */
	fixture_map_linear(fixture, 2 * GIB, GIB);
	tables = fixture->machine.live[ADDRSPACE_FRAME_TABLE];
	unmap(fixture, 2 * GIB + 3 * MIB, 6 * MIB);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], tables + 3);
	assert_linear(fixture, 2 * GIB + 3 * MIB - 1);
	assert_linear(fixture, 2 * GIB + 9 * MIB);
}

static void cut_is_invalidated_over_the_whole_leaf(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_invalidation *invalidation;
	uint64_t leaf;

	fixture_map_linear(fixture, 2 * MIB, 2 * MIB);
	leaf = leaf_at(fixture, 2 * MIB);
	unmap(fixture, 2 * MIB + 5 * PAGE, PAGE);
	invalidation = only_invalidation(fixture);
	if (leaf == PAGE) {
		assert_int_equal(invalidation->gpa, 2 * MIB + 5 * PAGE);
		return;
	}
	assert_int_equal(invalidation->gpa, 2 * MIB);
	assert_int_equal(invalidation->size, 2 * MIB);
	assert_int_equal(invalidation->stride, 2 * MIB);
	assert_false(invalidation->tables_changed);
}

static void rest_of_a_cut_leaf_stays_reachable_where_no_break_is_needed(void **state)
{
	struct fixture *fixture = *state;
	uint64_t faults;

	if (fixture->machine.geometry.walker->break_before_make)
		return;
	fixture_map_linear(fixture, 2 * MIB, 2 * MIB);
	fake_machine_add_hot(&fixture->machine, 3 * MIB, ADDRSPACE_READ | ADDRSPACE_WRITE);
	fixture_warm(fixture, 3 * MIB, ADDRSPACE_WRITE);
	faults = fixture->machine.counters.hot_faults;
	unmap(fixture, 2 * MIB, PAGE);
	assert_int_equal(fixture->machine.counters.hot_faults, faults);
}

static void hole_across_two_large_leaves_cuts_both(void **state)
{
	struct fixture *fixture = *state;

	fixture_map_linear(fixture, 2 * MIB, 8 * MIB);
	fixture_warm(fixture, 3 * MIB, ADDRSPACE_READ);
	fixture_warm(fixture, 9 * MIB, ADDRSPACE_READ);
	unmap(fixture, 3 * MIB, 6 * MIB);
	assert_linear(fixture, 3 * MIB - 1);
	fixture_assert_not_mapped(fixture, 3 * MIB);
	fixture_assert_not_mapped(fixture, 9 * MIB - 1);
	assert_linear(fixture, 9 * MIB);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
}

static void cut_leaf_keeps_permissions_and_type(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_attributes attributes = {.permissions = ADDRSPACE_READ,
							.memory_type = ADDRSPACE_DEVICE};
	struct fake_translation seen;

	assert_int_equal(addrspace_map_linear(&fixture->as, 0, 2 * MIB, LINEAR, &attributes, 0), 0);
	unmap(fixture, MIB, PAGE);
	assert_true(fake_machine_translate(&fixture->machine, MIB + PAGE, &seen));
	assert_int_equal(seen.permissions, ADDRSPACE_READ);
	assert_int_equal(seen.memory_type, layout_encoded_type(fixture->layout, ADDRSPACE_DEVICE));
}

/* ---- emptied tables ---- */

static void tables_go_with_their_last_page_and_not_before(void **state)
{
	struct fixture *fixture = *state;
	uint64_t tables;

	fixture_populate(fixture, 0, 3 * PAGE);
	fixture_populate(fixture, GIB, PAGE);
	tables = fixture->machine.live[ADDRSPACE_FRAME_TABLE];
	unmap(fixture, 0, PAGE);
	unmap(fixture, 2 * PAGE, PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], tables);
	unmap(fixture, PAGE, PAGE);
	assert_true(fixture->machine.live[ADDRSPACE_FRAME_TABLE] < tables);
	unmap(fixture, GIB, PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

static void unmap_reaching_past_the_pages_still_empties_the_tables(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 2 * MIB - PAGE, 2 * PAGE);
	unmap(fixture, MIB, 2 * MIB);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

static void entry_beside_the_hole_at_either_end_keeps_the_table(void **state)
{
	static const uint64_t kept[] = {0, 9, 11, 511};
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < 4; i++) {
		fixture_populate(fixture, kept[i] * PAGE, PAGE);
		fixture_populate(fixture, 10 * PAGE, PAGE);
		unmap(fixture, 10 * PAGE, PAGE);
		fixture_check(fixture);
		assert_true(fixture->machine.live[ADDRSPACE_FRAME_TABLE] > 0);
		assert_true(fixture_hpa(fixture, kept[i] * PAGE) != 0);
		unmap(fixture, kept[i] * PAGE, PAGE);
		assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	}
}

/* ---- the order: unreachable, invalidated, freed ---- */

struct order {
	unsigned invalidations;
	unsigned frees_before;
	unsigned frees_after;
};

static void watch_order(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	struct order *order = ctx;

	(void)machine;
	if (event == FAKE_AFTER_INVALIDATE)
		order->invalidations++;
	if (event == FAKE_AT_FREE && order->invalidations)
		order->frees_after++;
	else if (event == FAKE_AT_FREE)
		order->frees_before++;
}

static void nothing_is_freed_before_the_invalidation_has_returned(void **state)
{
	struct fixture *fixture = *state;
	struct order order = {0};

	fixture_populate(fixture, 0, 5 * MIB);
	for (uint64_t gpa = 0; gpa < 5 * MIB; gpa += MIB)
		fake_machine_add_hot(&fixture->machine, gpa, ADDRSPACE_READ | ADDRSPACE_WRITE);
	fixture->machine.interlude = watch_order;
	fixture->machine.interlude_ctx = &order;
	unmap(fixture, 0, 5 * MIB);
	assert_int_equal(order.invalidations, 1);
	assert_int_equal(order.frees_before, 0);
	assert_true(order.frees_after >= 5 * MIB / PAGE);
	fixture->machine.interlude = NULL;
}

struct probe {
	uint64_t gpa;
	uint64_t size;
	bool reachable;
};

/** While the invalidation is under way, no new walk may find anything of the range. */
static void probe_range(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	struct probe *probe = ctx;
	struct fake_translation seen;

	if (event != FAKE_BEFORE_INVALIDATE)
		return;
	for (uint64_t gpa = probe->gpa; gpa < probe->gpa + probe->size; gpa += PAGE)
		probe->reachable |= fake_machine_translate(machine, gpa, &seen);
}

static void range_is_unreachable_before_the_invalidation_begins(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = {.gpa = MIB, .size = 4 * MIB};

	fixture_map_linear(fixture, 0, 3 * MIB);
	fixture_populate(fixture, 3 * MIB, 3 * MIB);
	fixture->machine.interlude = probe_range;
	fixture->machine.interlude_ctx = &probe;
	unmap(fixture, probe.gpa, probe.size);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	assert_false(probe.reachable);
	fixture->machine.interlude = NULL;
}

static void clear_takes_everything_with_one_invalidation(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;

	fixture_populate(fixture, 0, MIB);
	fixture_map_linear(fixture, GIB, GIB);
	assert_int_equal(addrspace_map_alloc(&fixture->as, 3 * GIB, GIB, &fixture_rw, 0), 0);
	fixture_warm(fixture, GIB, ADDRSPACE_READ);
	fixture_warm(fixture, 3 * GIB, ADDRSPACE_READ);
	fixture->machine.counters.invalidate = 0;
	addrspace_clear(&fixture->as);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	assert_int_equal(addrspace_next_region(&fixture->as, 0, &region), ADDRSPACE_ENOENT);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	fixture_check(fixture);
	fixture_populate(fixture, 0, PAGE);
	assert_int_equal(fixture_guest(fixture, 1, 0, ADDRSPACE_WRITE), 0);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(unmap_of_a_whole_region_gives_everything_back),
		LINEAR_TEST(unmap_invalidates_once_whatever_the_size),
		LINEAR_TEST(unmap_of_one_page_beside_others_changes_no_table),
		LINEAR_TEST(unmap_of_what_was_never_touched_invalidates_nothing),
		LINEAR_TEST(unmap_of_nothing_is_fine),
		LINEAR_TEST(unmap_shrinks_a_region_at_either_end_and_splits_it_in_the_middle),
		LINEAR_TEST(unmap_across_regions_and_holes_takes_all_of_the_range),
		LINEAR_TEST(hole_at_any_position_of_a_2_mib_leaf_keeps_its_neighbours),
		LINEAR_TEST(hole_in_a_1_gib_leaf_splits_exactly),
		LINEAR_TEST(cut_is_invalidated_over_the_whole_leaf),
		LINEAR_TEST(rest_of_a_cut_leaf_stays_reachable_where_no_break_is_needed),
		LINEAR_TEST(hole_across_two_large_leaves_cuts_both),
		LINEAR_TEST(cut_leaf_keeps_permissions_and_type),
		LINEAR_TEST(tables_go_with_their_last_page_and_not_before),
		LINEAR_TEST(unmap_reaching_past_the_pages_still_empties_the_tables),
		LINEAR_TEST(entry_beside_the_hole_at_either_end_keeps_the_table),
		LINEAR_TEST(nothing_is_freed_before_the_invalidation_has_returned),
		LINEAR_TEST(range_is_unreachable_before_the_invalidation_begins),
		LINEAR_TEST(clear_takes_everything_with_one_invalidation),
	};

	return run_over_layouts("unmap", tests, sizeof(tests) / sizeof(tests[0]));
}
