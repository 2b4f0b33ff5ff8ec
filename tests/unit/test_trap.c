/* SPDX-License-Identifier: MIT */
/* Trap regions, in which the embedder carries out each access; and host memory that no linear region
 * may touch. */
#include <string.h>

#include "layouts.h"

#define PAGE FAKE_PAGE_SIZE
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define ALL  (ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE)
#define RW   (ADDRSPACE_READ | ADDRSPACE_WRITE)

#define DEVICE_COOKIE UINT64_C(0xde71ce)

static const struct addrspace_attributes device = {
	.permissions = RW,
	.cookie = DEVICE_COOKIE,
};

static void map_trap(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned flags)
{
	assert_int_equal(addrspace_map_trap(&fixture->as, gpa, size, &device, flags), 0);
}

static uint64_t allocations(const struct fixture *fixture)
{
	uint64_t sum = 0;

	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		sum += fixture->machine.counters.allocations[kind];
	return sum;
}

/** The access at this byte is the embedder's to carry out, at this offset of the device. */
static void assert_emulated(struct fixture *fixture, uint64_t gpa, unsigned access, uint64_t offset)
{
	struct addrspace_region region;

	assert_int_equal(addrspace_handle_fault(&fixture->as, gpa, access, &region),
			 ADDRSPACE_FAULT_EMULATE);
	assert_int_equal(region.backend.kind, ADDRSPACE_TRAP);
	assert_int_equal(region.cookie, DEVICE_COOKIE);
	assert_int_equal(gpa - region.backend.u.trap.base, offset);
	assert_true(gpa - region.gpa < region.size);
}

static void assert_region(struct fixture *fixture, uint64_t gpa, uint64_t size, uint64_t base)
{
	struct addrspace_region region;

	assert_int_equal(addrspace_find_region(&fixture->as, gpa, &region), 0);
	assert_int_equal(region.gpa, gpa);
	assert_int_equal(region.size, size);
	assert_int_equal(region.backend.kind, ADDRSPACE_TRAP);
	assert_int_equal(region.backend.u.trap.base, base);
}

/* ---- what a fault says ---- */

static void access_to_a_trap_is_the_embedders_with_cookie_and_offset(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t gpa = layout_limit(fixture->layout) - GIB;

	map_trap(fixture, gpa, GIB, 0);
	assert_emulated(fixture, gpa, ADDRSPACE_READ, 0);
	assert_emulated(fixture, gpa + 5, ADDRSPACE_WRITE, 5);
	assert_emulated(fixture, gpa + 7 * PAGE + 0xff8, RW, 7 * PAGE + 0xff8);
	assert_emulated(fixture, gpa + GIB - 1, ADDRSPACE_READ, GIB - 1);
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		assert_int_equal(fixture_guest(fixture, cpu, gpa + PAGE, ADDRSPACE_READ),
				 ADDRSPACE_FAULT_EMULATE);
	assert_int_equal(addrspace_handle_fault(&fixture->as, gpa - 1, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_NOT_BACKED);
}

static void trap_of_any_size_takes_no_table_and_invalidates_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_counters *counters = &fixture->machine.counters;

	*counters = (struct fake_counters){0};
	map_trap(fixture, 0, layout_limit(fixture->layout), 0);
	assert_emulated(fixture, GIB - 1, ADDRSPACE_READ, GIB - 1);
	assert_int_equal(addrspace_protect(&fixture->as, MIB, PAGE, ADDRSPACE_READ), 0);
	assert_int_equal(addrspace_unmap(&fixture->as, 2 * MIB, MIB), 0);
	assert_int_equal(allocations(fixture), counters->allocations[ADDRSPACE_FRAME_REGION_NODE]);
	assert_int_equal(counters->invalidate, 0);
	assert_int_equal(counters->sync_table, 0);
}

static void accesses_that_a_trap_does_not_have_are_denied(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned permissions = 0; permissions <= ALL; permissions++) {
		const struct addrspace_attributes attributes = {.permissions = permissions};

		assert_int_equal(addrspace_map_trap(&fixture->as, MIB, PAGE, &attributes,
						    ADDRSPACE_MAP_REPLACE),
				 0);
		for (unsigned access = 1; access <= ALL; access++)
			assert_int_equal(addrspace_handle_fault(&fixture->as, MIB, access, NULL),
					 access & ~permissions ? ADDRSPACE_FAULT_DENIED
							       : ADDRSPACE_FAULT_EMULATE);
	}
}

static void nothing_of_a_trap_can_be_translated_moved_or_discarded(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint64_t frame = fake_machine_lend(&fixture->machine, 0);
	struct addrspace_translation translation;
	struct fake_snapshot before;

	map_trap(fixture, 0, 4 * PAGE, 0);
	fixture_populate(fixture, 4 * PAGE, 4 * PAGE);
	fake_machine_snapshot(&fixture->machine, as, &before);
	assert_int_equal(addrspace_walk(as, PAGE, &translation), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_translate(as, PAGE, &translation), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_replace_frame(as, PAGE, frame, NULL, NULL), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_discard(as, 0, PAGE), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_discard(as, 0, 8 * PAGE), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_discard(as, 3 * PAGE, 8 * PAGE), ADDRSPACE_ENOENT);
	fake_machine_assert_unchanged(&fixture->machine, as, &before);
	assert_true(addrspace_contains_range(as, 0, 8 * PAGE));
	fake_machine_take_back(&fixture->machine, frame);
}

/* ---- cutting and merging ---- */

static void offset_in_the_device_survives_every_cut(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;

	map_trap(fixture, MIB, 16 * PAGE, 0);
	assert_int_equal(addrspace_unmap(as, MIB, PAGE), 0);
	assert_int_equal(addrspace_unmap(as, MIB + 4 * PAGE, 2 * PAGE), 0);
	assert_int_equal(addrspace_protect(as, MIB + 8 * PAGE, PAGE, ADDRSPACE_READ), 0);
	fixture_populate(fixture, MIB + 4 * PAGE, PAGE);
	assert_region(fixture, MIB + PAGE, 3 * PAGE, MIB);
	assert_region(fixture, MIB + 6 * PAGE, 2 * PAGE, MIB);
	assert_region(fixture, MIB + 8 * PAGE, PAGE, MIB);
	assert_region(fixture, MIB + 9 * PAGE, 7 * PAGE, MIB);
	assert_emulated(fixture, MIB + 8 * PAGE + 4, ADDRSPACE_READ, 8 * PAGE + 4);
	assert_emulated(fixture, MIB + 16 * PAGE - 1, ADDRSPACE_WRITE, 16 * PAGE - 1);
	assert_int_equal(addrspace_protect(as, MIB + 8 * PAGE, PAGE, RW), 0);
	assert_region(fixture, MIB + 6 * PAGE, 10 * PAGE, MIB);
}

static void traps_side_by_side_stay_devices_of_their_own(void **state)
{
	struct fixture *fixture = *state;

	map_trap(fixture, 0, PAGE, 0);
	map_trap(fixture, PAGE, PAGE, 0);
	assert_region(fixture, 0, PAGE, 0);
	assert_region(fixture, PAGE, PAGE, PAGE);
	assert_emulated(fixture, PAGE + 8, ADDRSPACE_READ, 8);
}

static void trap_never_merges_with_linear_memory_of_the_same_offset(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_attributes same = {.permissions = RW, .cookie = DEVICE_COOKIE};

	/* gpa - hpa is the same number as the trap's base. */
	fake_machine_register_linear(&fixture->machine, PAGE, PAGE);
	map_trap(fixture, PAGE, PAGE, 0);
	assert_int_equal(addrspace_map_linear(&fixture->as, 2 * PAGE, PAGE, PAGE, &same, 0), 0);
	assert_region(fixture, PAGE, PAGE, PAGE);
}

/* ---- in place of memory, and back ---- */

static void trap_that_replaces_memory_is_closed_to_every_cpu_on_return(void **state)
{
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;

	fixture_populate(fixture, 0, 4 * MIB);
	for (uint64_t gpa = 0; gpa < 4 * MIB; gpa += 64 * PAGE)
		fixture_warm(fixture, gpa, ADDRSPACE_WRITE);
	fake_machine_add_hot(machine, MIB, RW);
	fake_machine_add_hot(machine, MIB - PAGE, RW);
	machine->counters.invalidate = 0;
	map_trap(fixture, MIB, 2 * MIB, ADDRSPACE_MAP_REPLACE);
	assert_int_equal(machine->counters.invalidate, 1);
	assert_int_equal(machine->live[ADDRSPACE_FRAME_GUEST], 2 * MIB / PAGE);
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		assert_int_equal(fake_cpu_access(machine, cpu, MIB, ADDRSPACE_READ, NULL),
				 FAKE_FAULT_NOT_PRESENT);
	assert_emulated(fixture, MIB + 12, RW, 12);
	fixture_warm(fixture, MIB - PAGE, ADDRSPACE_WRITE);
	fixture_warm(fixture, 3 * MIB, ADDRSPACE_WRITE);
}

static void trap_that_cuts_a_large_leaf_leaves_the_rest(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t leaf = layout_largest_leaf(fixture->layout);

	fixture_map_linear(fixture, 0, leaf > PAGE ? leaf : 4 * PAGE);
	map_trap(fixture, PAGE, PAGE, ADDRSPACE_MAP_REPLACE);
	fixture_assert_mapped(fixture, 0, FIXTURE_LINEAR, PAGE, RW);
	fixture_assert_not_mapped(fixture, PAGE);
	fixture_assert_mapped(fixture, 2 * PAGE, FIXTURE_LINEAR + 2 * PAGE, PAGE, RW);
	assert_emulated(fixture, PAGE + 1, ADDRSPACE_READ, 1);
}

static void memory_that_replaces_a_trap_is_reached_at_once(void **state)
{
	struct fixture *fixture = *state;

	map_trap(fixture, 0, 8 * PAGE, 0);
	fixture->machine.counters.invalidate = 0;
	assert_int_equal(addrspace_map_linear(&fixture->as, PAGE, PAGE, FIXTURE_LINEAR, &fixture_rw,
					      ADDRSPACE_MAP_REPLACE),
			 0);
	assert_int_equal(addrspace_map_alloc(&fixture->as, 4 * PAGE, PAGE, &fixture_rw,
					     ADDRSPACE_MAP_REPLACE),
			 0);
	assert_int_equal(fixture->machine.counters.invalidate, 0);
	fixture_warm(fixture, PAGE, ADDRSPACE_READ);
	fixture_warm(fixture, 4 * PAGE, ADDRSPACE_WRITE);
	assert_emulated(fixture, 5 * PAGE, ADDRSPACE_READ, 5 * PAGE);
	assert_int_equal(addrspace_map_trap(&fixture->as, 4 * PAGE, PAGE, &device, 0),
			 ADDRSPACE_EEXIST);
}

/* ---- permissions ---- */

static void traps_take_permissions_that_no_entry_could_say(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct fake_snapshot before;

	map_trap(fixture, 0, 4 * PAGE, 0);
	fixture_populate(fixture, 4 * PAGE, 4 * PAGE);
	assert_int_equal(addrspace_protect(as, 0, PAGE, ADDRSPACE_WRITE), 0);
	assert_int_equal(addrspace_handle_fault(as, 0, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_DENIED);
	assert_emulated(fixture, 0, ADDRSPACE_WRITE, 0);
	assert_int_equal(addrspace_protect(as, 0, PAGE, ALL + 1), ADDRSPACE_EINVAL);
	if (layout_can_permit(fixture->layout, ADDRSPACE_WRITE))
		return;
	fake_machine_snapshot(&fixture->machine, as, &before);
	assert_int_equal(addrspace_protect(as, 0, 5 * PAGE, ADDRSPACE_WRITE), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_protect(as, 4 * PAGE, PAGE, ADDRSPACE_WRITE), ADDRSPACE_ENOTSUP);
	fake_machine_assert_unchanged(&fixture->machine, as, &before);
}

static void protect_over_a_trap_and_memory_changes_both(void **state)
{
	struct fixture *fixture = *state;

	map_trap(fixture, 0, 4 * PAGE, 0);
	fixture_populate(fixture, 4 * PAGE, 4 * PAGE);
	fixture_warm(fixture, 4 * PAGE, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_protect(&fixture->as, 2 * PAGE, 4 * PAGE, ADDRSPACE_READ), 0);
	assert_emulated(fixture, PAGE, ADDRSPACE_WRITE, PAGE);
	assert_emulated(fixture, 2 * PAGE, ADDRSPACE_READ, 2 * PAGE);
	assert_int_equal(fixture_guest(fixture, 0, 2 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_DENIED);
	assert_int_equal(fixture_guest(fixture, 1, 4 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_DENIED);
	assert_int_equal(fixture_guest(fixture, 2, 6 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
}

/* ---- input ---- */

static void malformed_traps_are_refused_and_change_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	const uint64_t limit = layout_limit(fixture->layout);
	struct addrspace_attributes bad = device;
	struct fake_snapshot before;

	fixture_populate(fixture, 0, PAGE);
	fake_machine_snapshot(&fixture->machine, as, &before);
	assert_int_equal(addrspace_map_trap(NULL, 0, PAGE, &device, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_map_trap(as, MIB, PAGE, NULL, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_map_trap(as, MIB, PAGE, &device, ADDRSPACE_MAP_POPULATE),
			 ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_map_trap(as, MIB + 1, PAGE, &device, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_map_trap(as, MIB, 0, &device, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_map_trap(as, MIB, UINT64_MAX - PAGE + 1, &device, 0),
			 ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_map_trap(as, limit - PAGE, 2 * PAGE, &device, 0),
			 ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_map_trap(as, 0, 2 * PAGE, &device, 0), ADDRSPACE_EEXIST);
	for (int type = ADDRSPACE_NON_CACHEABLE; type <= ADDRSPACE_WRITE_THROUGH + 1; type++) {
		bad.memory_type = (enum addrspace_memory_type)type;
		assert_int_equal(addrspace_map_trap(as, MIB, PAGE, &bad, 0), ADDRSPACE_EINVAL);
	}
	bad = device;
	bad.permissions = ALL + 1;
	assert_int_equal(addrspace_map_trap(as, MIB, PAGE, &bad, 0), ADDRSPACE_EINVAL);
	fake_machine_assert_unchanged(&fixture->machine, as, &before);
}

static void collect_line(void *ctx, const char *line)
{
	char *text = ctx;

	strcpy(text, line); /* the last one stays; a line fits by the dump's own tests */
}

static void dump_tells_where_a_device_begins(void **state)
{
	struct fixture *fixture = *state;
	char line[256] = "";

	map_trap(fixture, MIB, 4 * PAGE, 0);
	assert_int_equal(addrspace_unmap(&fixture->as, MIB, PAGE), 0);
	assert_int_equal(addrspace_dump(&fixture->as, collect_line, line), 0);
	assert_non_null(strstr(line, "0x000000000101000-0x000000000103fff"));
	assert_non_null(strstr(line, " rw- write-back trap base 0x000000000100000 cookie"));
}

/* ---- host memory that is excluded ---- */

#define EXCLUDED (FIXTURE_LINEAR + 16 * PAGE) /* one page, a gap of one, and two pages */

static const struct addrspace_host_range excluded[] = {
	{0, PAGE},
	{EXCLUDED, PAGE},
	{EXCLUDED + 2 * PAGE, 2 * PAGE},
	{FIXTURE_LINEAR + GIB, UINT64_MAX - FIXTURE_LINEAR - GIB + 1}, /* up to the very end */
};

/** fixture_setup_linear(), and the space made again with these ranges excluded. */
static void exclude(struct fixture *fixture, const struct addrspace_host_range *ranges,
		    size_t count)
{
	struct addrspace_config config;

	fixture_destroy_space(fixture);
	fixture_config(fixture->layout, &fixture->machine, &config);
	config.excluded = ranges;
	config.excluded_count = count;
	assert_int_equal(addrspace_init(&fixture->as, &config), 0);
	fixture->initialised = true;
	fake_machine_attach(&fixture->machine, &fixture->as, fixture->layout);
}

static int map_at(struct fixture *fixture, uint64_t hpa, uint64_t pages, unsigned flags)
{
	return addrspace_map_linear(&fixture->as, 0, pages * PAGE, hpa, &fixture_rw, flags);
}

static void linear_region_that_touches_excluded_memory_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;

	exclude(fixture, excluded, 4);
	assert_int_equal(map_at(fixture, EXCLUDED - PAGE, 1, 0), 0);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	assert_int_equal(map_at(fixture, EXCLUDED, 1, ADDRSPACE_MAP_REPLACE), ADDRSPACE_EPERM);
	assert_int_equal(map_at(fixture, EXCLUDED - PAGE, 2, ADDRSPACE_MAP_REPLACE),
			 ADDRSPACE_EPERM);
	assert_int_equal(map_at(fixture, EXCLUDED - 8 * PAGE, 256, ADDRSPACE_MAP_REPLACE),
			 ADDRSPACE_EPERM);
	assert_int_equal(map_at(fixture, EXCLUDED + 3 * PAGE, 1, ADDRSPACE_MAP_REPLACE),
			 ADDRSPACE_EPERM);
	assert_int_equal(map_at(fixture, EXCLUDED + 3 * PAGE, 9, ADDRSPACE_MAP_REPLACE),
			 ADDRSPACE_EPERM);
	assert_int_equal(map_at(fixture, FIXTURE_LINEAR + GIB - PAGE, 2, ADDRSPACE_MAP_REPLACE),
			 ADDRSPACE_EPERM);
	assert_int_equal(map_at(fixture, 0, 1, ADDRSPACE_MAP_REPLACE), ADDRSPACE_EPERM);
	/* Out of the host's width is out of range, whatever is excluded. */
	assert_int_equal(map_at(fixture, UINT64_C(1) << fixture->layout->host_bits, 1, 0),
			 ADDRSPACE_ERANGE);
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

static void linear_region_beside_and_between_excluded_memory_is_mapped(void **state)
{
	struct fixture *fixture = *state;

	exclude(fixture, excluded, 4);
	assert_int_equal(map_at(fixture, FIXTURE_LINEAR, 16, ADDRSPACE_MAP_REPLACE), 0);
	assert_int_equal(map_at(fixture, EXCLUDED + PAGE, 1, ADDRSPACE_MAP_REPLACE), 0);
	assert_int_equal(map_at(fixture, EXCLUDED + 4 * PAGE, 512, ADDRSPACE_MAP_REPLACE), 0);
	assert_int_equal(map_at(fixture, FIXTURE_LINEAR + GIB - PAGE, 1, ADDRSPACE_MAP_REPLACE), 0);
}

static void page_of_a_linear_region_does_not_move_to_excluded_memory(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct fake_snapshot before;

	exclude(fixture, excluded, 4);
	assert_int_equal(map_at(fixture, FIXTURE_LINEAR, 8, 0), 0);
	fake_machine_snapshot(&fixture->machine, as, &before);
	assert_int_equal(addrspace_replace_frame(as, PAGE, EXCLUDED + 3 * PAGE, NULL, NULL),
			 ADDRSPACE_EPERM);
	fake_machine_assert_unchanged(&fixture->machine, as, &before);
	assert_int_equal(addrspace_replace_frame(as, PAGE, EXCLUDED + PAGE, NULL, NULL), 0);
	fixture_assert_mapped(fixture, PAGE, EXCLUDED + PAGE, PAGE, RW);
}

static void frames_from_the_handler_may_come_from_excluded_memory(void **state)
{
	static const struct addrspace_host_range arena = {FAKE_ARENA_BASE, FAKE_ARENA_SIZE};
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;
	uint64_t frame = fake_machine_lend(machine, 0);

	exclude(fixture, &arena, 1);
	fixture_populate(fixture, 0, 2 * PAGE);
	assert_int_equal(map_at(fixture, frame, 1, ADDRSPACE_MAP_REPLACE), ADDRSPACE_EPERM);
	assert_int_equal(addrspace_replace_frame(&fixture->as, PAGE, frame, fake_machine_copy_frame,
						 machine),
			 0);
	fake_machine_hand_over(machine, frame, PAGE, fixture_rw.cookie);
	fixture_warm(fixture, PAGE, ADDRSPACE_WRITE);
}

static void malformed_exclusions_are_refused_by_init(void **state)
{
	static const struct addrspace_host_range bad[][2] = {
		{{0, PAGE}, {0, PAGE}},                         /* twice */
		{{MIB, PAGE}, {0, PAGE}},                       /* out of order */
		{{0, 2 * PAGE}, {PAGE, PAGE}},                  /* overlapping */
		{{0, PAGE}, {2 * PAGE, 0}},                     /* empty */
		{{0, PAGE}, {2 * PAGE + 8, PAGE}},              /* misaligned */
		{{0, PAGE}, {2 * PAGE, PAGE + 8}},              /* misaligned size */
		{{0, PAGE}, {2 * PAGE, UINT64_MAX - PAGE + 1}}, /* wrapping */
		{{PAGE, UINT64_MAX - PAGE - PAGE + 1 + PAGE}, {0, PAGE}},
	};
	struct fixture *fixture = *state;
	struct addrspace_config config;
	struct addrspace other;

	fixture_config(fixture->layout, &fixture->machine, &config);
	config.excluded_count = 2;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config.excluded = bad[i];
		assert_int_equal(addrspace_init(&other, &config), ADDRSPACE_EINVAL);
	}
	config.excluded = NULL;
	assert_int_equal(addrspace_init(&other, &config), ADDRSPACE_EINVAL);
}

/* ---- allocations that fail ---- */

static void trap_over_parts_of_memory_fails_whole_for_every_allocation(void **state)
{
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;
	const uint64_t leaf = layout_largest_leaf(fixture->layout);
	const uint64_t size = 2 * (leaf > PAGE ? leaf : 4 * PAGE);
	struct fake_snapshot before;
	int error = ADDRSPACE_ENOMEM;
	unsigned failed = 0;

	fixture_map_linear(fixture, 0, size);
	fake_machine_snapshot(machine, &fixture->as, &before);
	for (uint64_t n = 1; error; n++) {
		machine->fail_at = n;
		error = addrspace_map_trap(&fixture->as, size / 2 - PAGE, 2 * PAGE, &device,
					   ADDRSPACE_MAP_REPLACE);
		if (!error)
			break;
		failed++;
		assert_int_equal(error, ADDRSPACE_ENOMEM);
		fake_machine_assert_unchanged(machine, &fixture->as, &before);
	}
	machine->fail_at = 0;
	/* Each of the two leaves is cut down to pages: a table for each level. */
	assert_int_equal(failed, leaf == GIB ? 4 : leaf > PAGE ? 2 : 0);
	assert_emulated(fixture, size / 2, ADDRSPACE_READ, PAGE);
}

#define LINEAR_TEST(name)                                                                          \
	cmocka_unit_test_setup_teardown(name, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(access_to_a_trap_is_the_embedders_with_cookie_and_offset),
		cmocka_unit_test(trap_of_any_size_takes_no_table_and_invalidates_nothing),
		cmocka_unit_test(accesses_that_a_trap_does_not_have_are_denied),
		cmocka_unit_test(nothing_of_a_trap_can_be_translated_moved_or_discarded),
		cmocka_unit_test(offset_in_the_device_survives_every_cut),
		cmocka_unit_test(traps_side_by_side_stay_devices_of_their_own),
		cmocka_unit_test(trap_never_merges_with_linear_memory_of_the_same_offset),
		cmocka_unit_test(trap_that_replaces_memory_is_closed_to_every_cpu_on_return),
		LINEAR_TEST(trap_that_cuts_a_large_leaf_leaves_the_rest),
		LINEAR_TEST(memory_that_replaces_a_trap_is_reached_at_once),
		cmocka_unit_test(traps_take_permissions_that_no_entry_could_say),
		cmocka_unit_test(protect_over_a_trap_and_memory_changes_both),
		cmocka_unit_test(malformed_traps_are_refused_and_change_nothing),
		cmocka_unit_test(dump_tells_where_a_device_begins),
		LINEAR_TEST(linear_region_that_touches_excluded_memory_is_refused),
		LINEAR_TEST(linear_region_beside_and_between_excluded_memory_is_mapped),
		LINEAR_TEST(page_of_a_linear_region_does_not_move_to_excluded_memory),
		LINEAR_TEST(frames_from_the_handler_may_come_from_excluded_memory),
		cmocka_unit_test(malformed_exclusions_are_refused_by_init),
		LINEAR_TEST(trap_over_parts_of_memory_fails_whole_for_every_allocation),
	};

	return run_over_layouts("trap", tests, sizeof(tests) / sizeof(tests[0]));
}
