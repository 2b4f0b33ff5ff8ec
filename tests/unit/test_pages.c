/* SPDX-License-Identifier: MIT */
/* Leaves without permissions: out of the guest's reach, but their frames and addresses stay. */
#include "layouts.h"

#define PAGE FAKE_PAGE_SIZE
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define RW   (ADDRSPACE_READ | ADDRSPACE_WRITE)

static const struct addrspace_attributes guard = {.cookie = 0x600d};

static void map_linear(struct fixture *fixture, uint64_t gpa, uint64_t size, uint64_t hpa)
{
	assert_int_equal(addrspace_map_linear(&fixture->as, gpa, size, hpa, &fixture_rw, 0), 0);
}

static void map_populated(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	assert_int_equal(
		addrspace_map_alloc(&fixture->as, gpa, size, &fixture_rw, ADDRSPACE_MAP_POPULATE),
		0);
}

static void protect(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned permissions)
{
	assert_int_equal(addrspace_protect(&fixture->as, gpa, size, permissions), 0);
}

static void assert_denied(struct fixture *fixture, uint64_t gpa)
{
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++) {
		assert_int_equal(fixture_guest(fixture, cpu, gpa, ADDRSPACE_READ),
				 ADDRSPACE_FAULT_DENIED);
		assert_int_equal(fixture_guest(fixture, cpu, gpa, ADDRSPACE_WRITE),
				 ADDRSPACE_FAULT_DENIED);
	}
}

static struct addrspace_run parked_run(struct fixture *fixture, uint64_t gpa)
{
	struct addrspace_run run;

	assert_int_equal(addrspace_next_run(&fixture->as, gpa, &run), 0);
	assert_int_equal(run.permissions, 0);
	return run;
}

static uint64_t leaf_2m(const struct fixture *fixture)
{
	return layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M) ? 2 * MIB : PAGE;
}

static void populated_guard_has_frames_that_become_visible_zeroed(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(addrspace_map_alloc(&fixture->as, 2 * MIB - PAGE, 2 * PAGE, &guard,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 2);
	assert_denied(fixture, 2 * MIB - PAGE);
	assert_denied(fixture, 2 * MIB);
	protect(fixture, 2 * MIB - PAGE, 2 * PAGE, RW);
	for (uint64_t gpa = 2 * MIB - PAGE; gpa <= 2 * MIB; gpa += PAGE) {
		const uint64_t *words =
			fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, gpa));

		for (unsigned i = 0; i < 512; i++)
			assert_int_equal(words[i], 0);
		assert_int_equal(fixture_guest(fixture, 0, gpa, ADDRSPACE_READ),
				 ADDRSPACE_FAULT_RESOLVED);
	}
}

static void page_without_permissions_keeps_its_contents(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hpa;

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, MIB, &fixture_rw, 0), 0);
	fixture_warm(fixture, 5 * PAGE, ADDRSPACE_WRITE);
	hpa = fixture_hpa(fixture, 5 * PAGE);
	protect(fixture, 0, MIB, 0);
	assert_denied(fixture, 5 * PAGE);
	protect(fixture, 0, MIB, ADDRSPACE_READ);
	fixture_assert_mapped(fixture, 5 * PAGE, hpa, PAGE, ADDRSPACE_READ);
	assert_int_equal(fixture_guest(fixture, 1, 5 * PAGE, ADDRSPACE_READ),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
			 fake_machine_token(5 * PAGE));
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 1);
}

static void taking_all_permissions_away_is_one_invalidation(void **state)
{
	struct fixture *fixture = *state;
	uint64_t before;

	map_populated(fixture, 0, 8 * PAGE);
	for (unsigned i = 0; i < 8; i++)
		fixture_warm(fixture, i * PAGE, ADDRSPACE_WRITE);
	before = fixture->machine.counters.invalidate;
	protect(fixture, 0, 8 * PAGE, 0);
	assert_int_equal(fixture->machine.counters.invalidate, before + 1);
	for (unsigned i = 0; i < 8; i++)
		assert_denied(fixture, i * PAGE);
}

static void large_leaf_without_permissions_stays_one_leaf(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = layout_largest_leaf(fixture->layout);
	uint64_t tables;

	map_linear(fixture, GIB, leaf, FIXTURE_LINEAR);
	tables = fixture->machine.live[ADDRSPACE_FRAME_TABLE];
	protect(fixture, GIB, leaf, 0);
	assert_int_equal(parked_run(fixture, 0).leaf_size, leaf);
	assert_int_equal(parked_run(fixture, 0).hpa, FIXTURE_LINEAR);
	assert_denied(fixture, GIB + leaf / 2);
	protect(fixture, GIB, leaf, RW);
	fixture_assert_mapped(fixture, GIB + leaf - 1, FIXTURE_LINEAR + leaf - 1, leaf, RW);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], tables);
}

static void part_of_a_large_leaf_without_permissions_can_get_some(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	protect(fixture, 4 * MIB, 2 * MIB, 0);
	protect(fixture, 5 * MIB, PAGE, RW);
	fixture_assert_mapped(fixture, 5 * MIB, FIXTURE_LINEAR + MIB, PAGE, RW);
	assert_int_equal(fixture_guest(fixture, 0, 5 * MIB, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_denied(fixture, 5 * MIB - PAGE);
	assert_denied(fixture, 5 * MIB + PAGE);
	assert_int_equal(parked_run(fixture, 5 * MIB + PAGE).hpa, FIXTURE_LINEAR + MIB + PAGE);
	assert_int_equal(parked_run(fixture, 5 * MIB + PAGE).size, MIB - PAGE);
}

static void part_of_a_large_leaf_can_lose_all_permissions(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	fixture_warm(fixture, 5 * MIB, ADDRSPACE_WRITE);
	protect(fixture, 5 * MIB, PAGE, 0);
	assert_denied(fixture, 5 * MIB);
	fixture_assert_mapped(fixture, 5 * MIB - PAGE, FIXTURE_LINEAR + MIB - PAGE, PAGE, RW);
	fixture_assert_mapped(fixture, 5 * MIB + PAGE, FIXTURE_LINEAR + MIB + PAGE, PAGE, RW);
	protect(fixture, 5 * MIB, PAGE, RW);
	fixture_assert_mapped(fixture, 5 * MIB, FIXTURE_LINEAR + MIB, PAGE, RW);
}

static void part_of_a_large_leaf_without_permissions_can_be_unmapped(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 4 * MIB, 4 * MIB, FIXTURE_LINEAR);
	protect(fixture, 4 * MIB, 4 * MIB, 0);
	assert_int_equal(addrspace_unmap(&fixture->as, 5 * MIB, PAGE), 0);
	assert_int_equal(fixture_guest(fixture, 0, 5 * MIB, ADDRSPACE_READ),
			 ADDRSPACE_FAULT_NOT_BACKED);
	assert_int_equal(parked_run(fixture, 4 * MIB).size, MIB);
	assert_int_equal(parked_run(fixture, 5 * MIB).gpa, 5 * MIB + PAGE);
	protect(fixture, 4 * MIB, MIB, RW);
	protect(fixture, 5 * MIB + PAGE, 3 * MIB - PAGE, ADDRSPACE_READ);
	fixture_assert_mapped(fixture, 5 * MIB - PAGE, FIXTURE_LINEAR + MIB - PAGE, PAGE, RW);
	fixture_assert_not_mapped(fixture, 5 * MIB);
	fixture_assert_mapped(fixture, 5 * MIB + PAGE, FIXTURE_LINEAR + MIB + PAGE, PAGE,
			      ADDRSPACE_READ);
	fixture_assert_mapped(fixture, 7 * MIB, FIXTURE_LINEAR + 3 * MIB, leaf_2m(fixture),
			      ADDRSPACE_READ);
}

static void frames_without_permissions_are_freed_by_unmap(void **state)
{
	struct fixture *fixture = *state;

	map_populated(fixture, 2 * MIB - 4 * PAGE, 8 * PAGE);
	protect(fixture, 2 * MIB - 2 * PAGE, 4 * PAGE, 0);
	assert_int_equal(addrspace_unmap(&fixture->as, 2 * MIB - PAGE, 2 * PAGE), 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 6);
	assert_int_equal(addrspace_unmap(&fixture->as, 0, 4 * MIB), 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

static void frames_without_permissions_are_freed_by_clear(void **state)
{
	struct fixture *fixture = *state;

	map_populated(fixture, 0, 8 * PAGE);
	protect(fixture, 0, 8 * PAGE, 0);
	addrspace_clear(&fixture->as);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

static void frames_without_permissions_are_freed_by_a_map_that_replaces_them(void **state)
{
	struct fixture *fixture = *state;

	map_populated(fixture, 0, 8 * PAGE);
	protect(fixture, 0, 8 * PAGE, 0);
	assert_int_equal(addrspace_map_linear(&fixture->as, 2 * PAGE, 4 * PAGE, FIXTURE_LINEAR,
					      &fixture_rw, ADDRSPACE_MAP_REPLACE),
			 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 4);
	fixture_assert_mapped(fixture, 3 * PAGE, FIXTURE_LINEAR + PAGE, PAGE, RW);
	assert_denied(fixture, PAGE);
	assert_denied(fixture, 6 * PAGE);
}

static void map_onto_leaves_without_permissions_is_refused(void **state)
{
	struct fixture *fixture = *state;

	map_populated(fixture, 0, 2 * PAGE);
	protect(fixture, 0, 2 * PAGE, 0);
	assert_int_equal(
		addrspace_map_linear(&fixture->as, PAGE, PAGE, FIXTURE_LINEAR, &fixture_rw, 0),
		ADDRSPACE_EEXIST);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 2);
}

static void fault_on_a_page_without_permissions_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;
	struct fake_snapshot before;

	map_populated(fixture, 0, 4 * PAGE);
	protect(fixture, PAGE, PAGE, 0);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	for (unsigned access = 1; access < 8; access++)
		assert_int_equal(addrspace_handle_fault(&fixture->as, PAGE + 8, access, &region),
				 ADDRSPACE_FAULT_DENIED);
	assert_int_equal(region.gpa, PAGE);
	assert_int_equal(region.permissions, 0);
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

static void moved_page_without_permissions_stays_out_of_reach(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lent = fake_machine_lend(&fixture->machine, 0);

	map_populated(fixture, 0, 4 * PAGE);
	fixture_warm(fixture, PAGE, ADDRSPACE_WRITE);
	protect(fixture, 0, 4 * PAGE, 0);
	assert_int_equal(addrspace_replace_frame(&fixture->as, PAGE, lent, fake_machine_copy_frame,
						 &fixture->machine),
			 0);
	fake_machine_hand_over(&fixture->machine, lent, PAGE, fixture_rw.cookie);
	assert_denied(fixture, PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 4);
	protect(fixture, 0, 4 * PAGE, RW);
	fixture_assert_mapped(fixture, PAGE, lent, PAGE, RW);
	assert_int_equal(fixture_guest(fixture, 0, PAGE, ADDRSPACE_READ), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, lent),
			 fake_machine_token(PAGE));
}

static void page_of_a_large_leaf_without_permissions_can_be_moved(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lent = fake_machine_lend(&fixture->machine, 0);

	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	protect(fixture, 4 * MIB, 2 * MIB, 0);
	assert_int_equal(addrspace_replace_frame(&fixture->as, 5 * MIB, lent, NULL, NULL), 0);
	assert_int_equal(parked_run(fixture, 5 * MIB).hpa, lent);
	assert_denied(fixture, 5 * MIB);
	protect(fixture, 4 * MIB, 2 * MIB, RW);
	fixture_assert_mapped(fixture, 5 * MIB, lent, PAGE, RW);
	fixture_assert_mapped(fixture, 5 * MIB - PAGE, FIXTURE_LINEAR + MIB - PAGE, PAGE, RW);
	fixture_assert_mapped(fixture, 5 * MIB + PAGE, FIXTURE_LINEAR + MIB + PAGE, PAGE, RW);
}

static void leaf_without_permissions_at_host_address_0_is_not_empty(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_attributes attributes = guard;

	fake_machine_register_linear(&fixture->machine, 0, 4 * MIB);
	for (unsigned type = 0; type <= ADDRSPACE_WRITE_THROUGH; type++) {
		attributes.memory_type = (enum addrspace_memory_type)type;
		if (!layout_has_type(fixture->layout, attributes.memory_type))
			continue;
		assert_int_equal(addrspace_map_linear(&fixture->as, 0, 2 * MIB, 0, &attributes, 0),
				 0);
		assert_int_equal(
			addrspace_map_linear(&fixture->as, 2 * MIB, 3 * PAGE, 0, &attributes, 0),
			0);
		assert_int_equal(parked_run(fixture, 0).size, 2 * MIB);
		assert_int_equal(parked_run(fixture, 2 * MIB).size, 3 * PAGE);
		fixture_check(fixture);
		protect(fixture, 0, 2 * MIB + 3 * PAGE, RW);
		fixture_assert_mapped(fixture, 0, 0, leaf_2m(fixture), RW);
		fixture_assert_mapped(fixture, 2 * MIB, 0, PAGE, RW);
		assert_int_equal(addrspace_unmap(&fixture->as, 0, 4 * MIB), 0);
		assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	}
}

static void memory_type_outlives_the_permissions(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned type = 0; type <= ADDRSPACE_WRITE_THROUGH; type++) {
		struct addrspace_attributes attributes = fixture_rw;
		struct fake_translation seen;

		attributes.memory_type = (enum addrspace_memory_type)type;
		if (!layout_has_type(fixture->layout, attributes.memory_type))
			continue;
		assert_int_equal(addrspace_map_linear(&fixture->as, type * PAGE, PAGE,
						      FIXTURE_LINEAR, &attributes, 0),
				 0);
		protect(fixture, type * PAGE, PAGE, 0);
		protect(fixture, type * PAGE, PAGE, RW);
		assert_true(fake_machine_translate(&fixture->machine, type * PAGE, &seen));
		assert_int_equal(seen.memory_type,
				 layout_encoded_type(fixture->layout, attributes.memory_type));
	}
}

static void dirty_page_is_dirty_again_when_it_gets_its_permissions_back(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_translation translation;

	map_populated(fixture, 0, 2 * PAGE);
	fixture_warm(fixture, 0, ADDRSPACE_WRITE);
	protect(fixture, 0, 2 * PAGE, 0);
	protect(fixture, 0, 2 * PAGE, RW);
	assert_int_equal(addrspace_walk(&fixture->as, 0, &translation), 0);
	assert_true(translation.dirty);
	assert_int_equal(addrspace_walk(&fixture->as, PAGE, &translation), 0);
	assert_int_equal(translation.dirty,
			 !layout_has(fixture->layout, ADDRSPACE_CPU_HARDWARE_AD));
}

static void split_of_a_leaf_without_permissions_that_fails_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;

	if (leaf_2m(fixture) == PAGE)
		return;
	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	protect(fixture, 4 * MIB, 2 * MIB, 0);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_protect(&fixture->as, 5 * MIB, PAGE, RW), ADDRSPACE_ENOMEM);
	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_unmap(&fixture->as, 5 * MIB, PAGE), ADDRSPACE_ENOMEM);
	fixture->machine.fail_at = 0;
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

static void lazy_page_not_yet_there_survives_a_time_without_permissions(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, MIB, &fixture_rw, 0), 0);
	protect(fixture, 0, MIB, 0);
	assert_denied(fixture, PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	protect(fixture, 0, MIB, RW);
	assert_int_equal(fixture_guest(fixture, 0, PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(populated_guard_has_frames_that_become_visible_zeroed),
		LINEAR_TEST(page_without_permissions_keeps_its_contents),
		LINEAR_TEST(taking_all_permissions_away_is_one_invalidation),
		LINEAR_TEST(large_leaf_without_permissions_stays_one_leaf),
		LINEAR_TEST(part_of_a_large_leaf_without_permissions_can_get_some),
		LINEAR_TEST(part_of_a_large_leaf_can_lose_all_permissions),
		LINEAR_TEST(part_of_a_large_leaf_without_permissions_can_be_unmapped),
		LINEAR_TEST(frames_without_permissions_are_freed_by_unmap),
		LINEAR_TEST(frames_without_permissions_are_freed_by_clear),
		LINEAR_TEST(frames_without_permissions_are_freed_by_a_map_that_replaces_them),
		LINEAR_TEST(map_onto_leaves_without_permissions_is_refused),
		LINEAR_TEST(fault_on_a_page_without_permissions_changes_nothing),
		LINEAR_TEST(moved_page_without_permissions_stays_out_of_reach),
		LINEAR_TEST(page_of_a_large_leaf_without_permissions_can_be_moved),
		LINEAR_TEST(leaf_without_permissions_at_host_address_0_is_not_empty),
		LINEAR_TEST(memory_type_outlives_the_permissions),
		LINEAR_TEST(dirty_page_is_dirty_again_when_it_gets_its_permissions_back),
		LINEAR_TEST(split_of_a_leaf_without_permissions_that_fails_changes_nothing),
		LINEAR_TEST(lazy_page_not_yet_there_survives_a_time_without_permissions),
	};

	return run_over_layouts("pages", tests, sizeof(tests) / sizeof(tests[0]));
}
