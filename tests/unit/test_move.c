/* SPDX-License-Identifier: MIT */
/* Moving one page to another frame, while the guest runs. */
#include "layouts.h"

#define PAGE   FAKE_PAGE_SIZE
#define MIB    (UINT64_C(1) << 20)
#define LINEAR FIXTURE_LINEAR

/** Moves a page of an alloc region to a frame of the test's, contents and all. */
static uint64_t move(struct fixture *fixture, uint64_t gpa)
{
	uint64_t hpa = fake_machine_lend(&fixture->machine, 0);

	assert_int_equal(addrspace_replace_frame(&fixture->as, gpa, hpa, fake_machine_copy_frame,
						 &fixture->machine),
			 0);
	fake_machine_hand_over(&fixture->machine, hpa, gpa, fixture_rw.cookie);
	return hpa;
}

static void moved_page_keeps_contents_and_attributes_and_frees_its_old_frame(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hpa;

	fixture_populate(fixture, 0, 3 * PAGE);
	fixture_warm(fixture, PAGE, ADDRSPACE_WRITE);
	hpa = move(fixture, PAGE);
	fixture_assert_mapped(fixture, PAGE, hpa, PAGE, 3);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
			 fake_machine_token(PAGE));
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 3);
	assert_int_equal(fixture->machine.counters.frees[ADDRSPACE_FRAME_GUEST], 1);
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		assert_int_equal(fixture_guest(fixture, cpu, PAGE, ADDRSPACE_READ), 0);
}

static void move_invalidates_once_and_only_the_page(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_invalidation *invalidation;

	fixture_populate(fixture, 0, 3 * PAGE);
	move(fixture, PAGE);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	invalidation = fake_machine_invalidation(&fixture->machine, 0);
	assert_int_equal(invalidation->gpa, PAGE);
	assert_int_equal(invalidation->size, PAGE);
	assert_false(invalidation->tables_changed);
}

static void move_of_a_page_needs_no_memory(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 0, 3 * PAGE);
	fixture->machine.fail_at = 1;
	move(fixture, PAGE);
	assert_int_equal(fixture->machine.fail_at, 1);
	fixture->machine.fail_at = 0;
}

struct copy_watch {
	struct fixture *fixture;
	uint64_t gpa;
	bool reachable;
	unsigned calls;
};

/** While the contents are copied no CPU may reach either frame. */
static void watch_copy(void *ctx, uint64_t old_hpa, uint64_t new_hpa)
{
	struct copy_watch *watch = ctx;
	struct fake_machine *machine = &watch->fixture->machine;
	struct fake_translation seen;

	watch->calls++;
	watch->reachable = fake_machine_translate(machine, watch->gpa, &seen);
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++) {
		watch->reachable |= fake_cpu_reaches(&machine->cpus[cpu], old_hpa, PAGE);
		watch->reachable |= fake_cpu_reaches(&machine->cpus[cpu], new_hpa, PAGE);
	}
	fake_machine_copy_frame(machine, old_hpa, new_hpa);
}

static void contents_are_copied_while_no_cpu_can_reach_the_page(void **state)
{
	struct fixture *fixture = *state;
	struct copy_watch watch = {.fixture = fixture, .gpa = PAGE};
	uint64_t hpa;

	fixture_populate(fixture, 0, 3 * PAGE);
	fixture_warm(fixture, PAGE, ADDRSPACE_WRITE);
	hpa = fake_machine_lend(&fixture->machine, 0);
	assert_int_equal(addrspace_replace_frame(&fixture->as, PAGE, hpa, watch_copy, &watch), 0);
	fake_machine_hand_over(&fixture->machine, hpa, PAGE, fixture_rw.cookie);
	assert_int_equal(watch.calls, 1);
	assert_false(watch.reachable);
}

static void move_of_what_is_not_there_is_refused_and_keeps_the_frame_with_the_caller(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hpa = fake_machine_lend(&fixture->machine, 0);

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, MIB, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_replace_frame(&fixture->as, PAGE, hpa, NULL, NULL),
			 ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_replace_frame(&fixture->as, MIB, hpa, NULL, NULL),
			 ADDRSPACE_ENOENT);
	fake_machine_take_back(&fixture->machine, hpa);
}

static void move_onto_the_same_frame_is_refused(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 0, PAGE);
	assert_int_equal(
		addrspace_replace_frame(&fixture->as, 0, fixture_hpa(fixture, 0), NULL, NULL),
		ADDRSPACE_EINVAL);
}

static void page_of_a_large_linear_leaf_becomes_a_region_of_its_own(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;
	uint64_t hpa = fake_machine_lend(&fixture->machine, 0);

	assert_int_equal(
		addrspace_map_linear(&fixture->as, 2 * MIB, 2 * MIB, LINEAR, &fixture_rw, 0), 0);
	fixture_warm(fixture, 3 * MIB, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_replace_frame(&fixture->as, 2 * MIB + 7 * PAGE, hpa, NULL, NULL),
			 0);
	fixture_assert_mapped(fixture, 2 * MIB + 7 * PAGE, hpa, PAGE, 3);
	fixture_assert_mapped(fixture, 2 * MIB + 6 * PAGE, LINEAR + 6 * PAGE, PAGE, 3);
	fixture_assert_mapped(fixture, 2 * MIB + 8 * PAGE, LINEAR + 8 * PAGE, PAGE, 3);
	assert_int_equal(addrspace_find_region(&fixture->as, 2 * MIB + 7 * PAGE, &region), 0);
	assert_int_equal(region.size, PAGE);
	assert_int_equal(region.gpa - region.backend.u.linear.offset, hpa);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	/* And back: the three regions are one again. */
	assert_int_equal(addrspace_replace_frame(&fixture->as, 2 * MIB + 7 * PAGE,
						 LINEAR + 7 * PAGE, NULL, NULL),
			 0);
	assert_int_equal(addrspace_find_region(&fixture->as, 2 * MIB, &region), 0);
	assert_int_equal(region.size, 2 * MIB);
	fake_machine_take_back(&fixture->machine, hpa);
}

static void hidden_page_can_be_moved_and_stays_hidden(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hpa;

	fixture_populate(fixture, 0, 2 * PAGE);
	fixture_warm(fixture, 0, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_protect(&fixture->as, 0, PAGE, 0), 0);
	hpa = move(fixture, 0);
	fixture_assert_not_mapped(fixture, 0);
	assert_int_equal(addrspace_protect(&fixture->as, 0, PAGE, ADDRSPACE_READ), 0);
	fixture_assert_mapped(fixture, 0, hpa, PAGE, ADDRSPACE_READ);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
			 fake_machine_token(0));
}

static void moved_page_counts_as_dirty_where_hardware_tracks_it(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_translation translation;

	fixture_populate(fixture, 0, 2 * PAGE);
	fixture_warm(fixture, PAGE, ADDRSPACE_WRITE);
	move(fixture, PAGE);
	assert_int_equal(addrspace_walk(&fixture->as, PAGE, &translation), 0);
	assert_true(translation.dirty);
	assert_true(translation.accessed);
	/* Also after a detour without write permission. */
	assert_int_equal(addrspace_protect(&fixture->as, PAGE, PAGE, ADDRSPACE_READ), 0);
	move(fixture, PAGE);
	assert_int_equal(addrspace_protect(&fixture->as, PAGE, PAGE, 3), 0);
	assert_int_equal(addrspace_walk(&fixture->as, PAGE, &translation), 0);
	assert_true(translation.dirty);
}

static void device_page_is_moved_without_being_prepared_as_memory(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_attributes device = {.permissions = ADDRSPACE_READ,
						    .memory_type = ADDRSPACE_DEVICE};

	assert_int_equal(addrspace_map_linear(&fixture->as, 0, 4 * PAGE, LINEAR, &device, 0), 0);
	fixture->machine.counters.prepare_frame = 0;
	assert_int_equal(
		addrspace_replace_frame(&fixture->as, PAGE, LINEAR + 64 * PAGE, NULL, NULL), 0);
	assert_int_equal(fixture->machine.counters.prepare_frame, 0);
	fixture_assert_mapped(fixture, PAGE, LINEAR + 64 * PAGE, PAGE, ADDRSPACE_READ);
}

static void charges_pass_from_the_old_frame_to_the_new_one(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 0, 2 * PAGE);
	fixture->machine.counters.charge = 0;
	fixture->machine.counters.uncharge = 0;
	move(fixture, 0);
	assert_int_equal(fixture->machine.counters.charge, 0);
	assert_int_equal(fixture->machine.counters.uncharge, 0);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(moved_page_keeps_contents_and_attributes_and_frees_its_old_frame),
		LINEAR_TEST(move_invalidates_once_and_only_the_page),
		LINEAR_TEST(move_of_a_page_needs_no_memory),
		LINEAR_TEST(contents_are_copied_while_no_cpu_can_reach_the_page),
		LINEAR_TEST(
			move_of_what_is_not_there_is_refused_and_keeps_the_frame_with_the_caller),
		LINEAR_TEST(move_onto_the_same_frame_is_refused),
		LINEAR_TEST(page_of_a_large_linear_leaf_becomes_a_region_of_its_own),
		LINEAR_TEST(hidden_page_can_be_moved_and_stays_hidden),
		LINEAR_TEST(moved_page_counts_as_dirty_where_hardware_tracks_it),
		LINEAR_TEST(device_page_is_moved_without_being_prepared_as_memory),
		LINEAR_TEST(charges_pass_from_the_old_frame_to_the_new_one),
	};

	return run_over_layouts("move", tests, sizeof(tests) / sizeof(tests[0]));
}
