/* SPDX-License-Identifier: MIT */
/* Collapsing: tables of leaves that say what one leaf could say give way to it, in place, with the guest
 * running. */
#include <string.h>

#include "layouts.h"

#define PAGE  FAKE_PAGE_SIZE
#define MIB   (UINT64_C(1) << 20)
#define GIB   (UINT64_C(1) << 30)
#define LARGE (2 * MIB)
#define PAGES (LARGE / PAGE)
#define RW    (ADDRSPACE_READ | ADDRSPACE_WRITE)

static bool has_large(const struct fixture *fixture)
{
	return layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M);
}

static bool has_ad(const struct fixture *fixture)
{
	return layout_has(fixture->layout, ADDRSPACE_CPU_HARDWARE_AD);
}

static uint64_t collapse(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	uint64_t collapsed = UINT64_MAX;

	assert_int_equal(addrspace_collapse(&fixture->as, gpa, size, &collapsed), 0);
	return collapsed;
}

static void protect(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned permissions)
{
	assert_int_equal(addrspace_protect(&fixture->as, gpa, size, permissions), 0);
}

/** Takes the leaf that holds gpa down to pages, and leaves all as it was. */
static void split(struct fixture *fixture, uint64_t gpa)
{
	protect(fixture, gpa, PAGE, ADDRSPACE_READ);
	protect(fixture, gpa, PAGE, RW);
	fixture_assert_mapped(fixture, gpa, fixture_hpa(fixture, gpa), PAGE, RW);
}

static uint64_t leaf_size_at(struct fixture *fixture, uint64_t gpa)
{
	struct fake_translation now = {0};

	return fake_machine_translate(&fixture->machine, gpa, &now) ? now.leaf_size : 0;
}

static uint64_t tables(const struct fixture *fixture)
{
	return fixture->machine.live[ADDRSPACE_FRAME_TABLE];
}

static uint64_t all_allocations(const struct fixture *fixture)
{
	uint64_t sum = 0;

	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		sum += fixture->machine.counters.allocations[kind];
	return sum;
}

/** Nothing of the range collapses, nothing changes, nothing is invalidated. */
static void assert_stays(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	struct fake_snapshot before;

	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	fixture->machine.counters.invalidate = 0;
	assert_int_equal(collapse(fixture, gpa, size), 0);
	assert_int_equal(fixture->machine.counters.invalidate, 0);
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

/* ---- what collapses ---- */

static void leaf_that_was_split_becomes_whole_again(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t leaf = layout_largest_leaf(fixture->layout);
	uint64_t before;

	if (!has_large(fixture))
		return;
	fixture_map_linear(fixture, leaf, leaf);
	before = tables(fixture);
	split(fixture, leaf + leaf / 2 + 5 * PAGE);
	assert_true(tables(fixture) > before);
	fixture_warm(fixture, leaf + 7 * PAGE, ADDRSPACE_WRITE);
	fixture_warm(fixture, leaf + leaf / 2 + 5 * PAGE, ADDRSPACE_WRITE);
	assert_int_equal(collapse(fixture, leaf, leaf), leaf);
	assert_int_equal(tables(fixture), before);
	fixture_assert_mapped(fixture, leaf, FIXTURE_LINEAR + leaf, leaf, RW);
	fixture_warm(fixture, 2 * leaf - PAGE, ADDRSPACE_WRITE);
}

static void leaves_of_2_mib_become_one_of_1_gib_where_the_cpu_has_it(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t leaf = layout_largest_leaf(fixture->layout);

	if (!has_large(fixture))
		return;
	fixture_map_linear(fixture, GIB, GIB);
	/* Two of them are pages, the others are not. */
	split(fixture, GIB);
	split(fixture, 2 * GIB - PAGE);
	assert_int_equal(leaf_size_at(fixture, GIB + LARGE), LARGE);
	assert_int_equal(collapse(fixture, 0, 4 * GIB), leaf == GIB ? GIB : 2 * LARGE);
	fixture_assert_mapped(fixture, GIB, FIXTURE_LINEAR + GIB, leaf, RW);
	fixture_assert_mapped(fixture, 2 * GIB - PAGE, FIXTURE_LINEAR + 2 * GIB - PAGE, leaf, RW);
}

static void range_takes_whole_slots_only(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t base = GIB;

	if (!has_large(fixture))
		return;
	fixture_map_linear(fixture, base, 4 * LARGE);
	for (unsigned i = 0; i < 4; i++)
		split(fixture, base + i * LARGE);
	assert_stays(fixture, base + PAGE, LARGE - PAGE);
	assert_stays(fixture, base + PAGE, 2 * LARGE - 2 * PAGE);
	assert_stays(fixture, base, LARGE - PAGE);
	assert_int_equal(collapse(fixture, base + PAGE, 3 * LARGE - 2 * PAGE), LARGE);
	assert_int_equal(leaf_size_at(fixture, base), PAGE);
	assert_int_equal(leaf_size_at(fixture, base + LARGE), LARGE);
	assert_int_equal(leaf_size_at(fixture, base + 2 * LARGE), PAGE);
	assert_int_equal(collapse(fixture, base, 4 * LARGE), 3 * LARGE);
	assert_stays(fixture, base, 4 * LARGE);
}

static void many_slots_collapse_with_one_invalidation_of_them_all(void **state)
{
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;
	const struct addrspace_invalidation *invalidation;

	if (!has_large(fixture))
		return;
	fixture_map_linear(fixture, GIB, 8 * LARGE);
	for (unsigned i = 1; i < 7; i += 2)
		split(fixture, GIB + i * LARGE + 3 * PAGE);
	for (unsigned i = 0; i < 8; i++)
		fixture_warm(fixture, GIB + i * LARGE + i * PAGE, ADDRSPACE_WRITE);
	machine->counters = (struct fake_counters){0};
	assert_int_equal(collapse(fixture, 0, 3 * GIB), 3 * LARGE);
	assert_int_equal(machine->counters.invalidate, 1);
	assert_int_equal(all_allocations(fixture), 0);
	assert_int_equal(machine->counters.frees[ADDRSPACE_FRAME_TABLE], 3);
	invalidation = fake_machine_invalidation(machine, 0);
	assert_int_equal(invalidation->gpa, GIB + LARGE);
	assert_int_equal(invalidation->size, 5 * LARGE);
	assert_int_equal(invalidation->stride, PAGE);
	assert_true(invalidation->tables_changed);
	assert_int_equal(invalidation->scope, ADDRSPACE_ALL_CPUS);
}

static void pages_without_permissions_collapse_and_come_back_as_one(void **state)
{
	struct fixture *fixture = *state;

	if (!has_large(fixture))
		return;
	fixture_map_linear(fixture, GIB, LARGE);
	for (unsigned i = 0; i < 4; i++)
		protect(fixture, GIB + i * LARGE / 4, LARGE / 4, 0);
	assert_int_equal(collapse(fixture, GIB, LARGE), LARGE);
	fixture_assert_not_mapped(fixture, GIB);
	assert_int_equal(fixture_guest(fixture, 1, GIB + PAGE, ADDRSPACE_READ),
			 ADDRSPACE_FAULT_DENIED);
	protect(fixture, GIB, LARGE, RW);
	fixture_assert_mapped(fixture, GIB, FIXTURE_LINEAR + GIB, LARGE, RW);
}

static void memory_type_and_permissions_stay(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_attributes device = {.permissions = ADDRSPACE_READ,
						    .memory_type = ADDRSPACE_DEVICE};
	struct fake_translation now;

	if (!has_large(fixture))
		return;
	assert_int_equal(addrspace_map_linear(&fixture->as, GIB, LARGE, FIXTURE_LINEAR, &device, 0),
			 0);
	protect(fixture, GIB + PAGE, PAGE, RW);
	assert_stays(fixture, GIB, LARGE);
	protect(fixture, GIB + PAGE, PAGE, ADDRSPACE_READ);
	assert_int_equal(collapse(fixture, GIB, LARGE), LARGE);
	assert_true(fake_machine_translate(&fixture->machine, GIB, &now));
	assert_int_equal(now.leaf_size, LARGE);
	assert_int_equal(now.permissions, ADDRSPACE_READ);
	assert_int_equal(now.memory_type, layout_encoded_type(fixture->layout, ADDRSPACE_DEVICE));
}

/* ---- what does not ---- */

static void hole_other_memory_or_other_attributes_keep_pages_apart(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_attributes other = fixture_rw;

	fixture_map_linear(fixture, GIB, 8 * LARGE);
	/* the last page away; the first at another address; one that cannot be written; a cookie */
	assert_int_equal(addrspace_unmap(as, GIB + LARGE - PAGE, PAGE), 0);
	assert_int_equal(addrspace_replace_frame(as, GIB + LARGE, FIXTURE_LINEAR, NULL, NULL), 0);
	protect(fixture, GIB + 2 * LARGE + 300 * PAGE, PAGE, ADDRSPACE_READ);
	other.cookie++;
	assert_int_equal(addrspace_map_linear(as, GIB + 3 * LARGE + 9 * PAGE, PAGE,
					      FIXTURE_LINEAR + GIB + 3 * LARGE + 9 * PAGE, &other,
					      ADDRSPACE_MAP_REPLACE),
			 0);
	assert_stays(fixture, GIB, 8 * LARGE);
	assert_stays(fixture, 0, layout_limit(fixture->layout));
}

static void memory_that_is_not_aligned_stays_pages(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(addrspace_map_linear(&fixture->as, GIB, 2 * LARGE, FIXTURE_LINEAR + PAGE,
					      &fixture_rw, 0),
			 0);
	assert_stays(fixture, GIB, 2 * LARGE);
}

static void leaves_of_2_mib_that_are_not_aligned_to_1_gib_stay(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(addrspace_map_linear(&fixture->as, GIB, GIB, FIXTURE_LINEAR + LARGE,
					      &fixture_rw, 0),
			 0);
	assert_stays(fixture, GIB, GIB);
}

static void space_with_nothing_to_collapse_is_left_alone(void **state)
{
	struct fixture *fixture = *state;

	assert_stays(fixture, 0, layout_limit(fixture->layout));
	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, GIB, &fixture_rw, 0), 0);
	assert_stays(fixture, 0, layout_limit(fixture->layout));
	assert_int_equal(fixture_guest(fixture, 0, 5 * PAGE, ADDRSPACE_WRITE), 0);
	assert_stays(fixture, 0, layout_limit(fixture->layout));
}

static void region_with_small_executable_leaves_keeps_them(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_attributes small = fixture_rwx;

	if (!has_large(fixture))
		return;
	small.small_executable = true;
	assert_int_equal(addrspace_map_linear(&fixture->as, GIB, LARGE, FIXTURE_LINEAR, &small, 0),
			 0);
	if (small.permissions & ADDRSPACE_EXECUTE)
		assert_stays(fixture, GIB, LARGE);
	protect(fixture, GIB, PAGE, ADDRSPACE_READ);
	protect(fixture, GIB + PAGE, LARGE - PAGE, ADDRSPACE_READ);
	assert_int_equal(collapse(fixture, GIB, LARGE), LARGE);
	assert_int_equal(leaf_size_at(fixture, GIB), LARGE);
}

/* ---- what hardware records ---- */

static void assert_recorded(struct fixture *fixture, uint64_t gpa, bool accessed, bool dirty)
{
	struct addrspace_translation now;

	assert_int_equal(addrspace_walk(&fixture->as, gpa, &now), 0);
	assert_int_equal(now.leaf_size, LARGE);
	assert_int_equal(now.accessed, accessed);
	assert_int_equal(now.dirty, dirty);
}

static void leaf_is_as_dirty_as_the_dirtiest_of_its_pages(void **state)
{
	static const unsigned accesses[] = {0, ADDRSPACE_READ, ADDRSPACE_WRITE};
	struct fixture *fixture = *state;

	if (!has_large(fixture) || !has_ad(fixture))
		return;
	fixture_map_linear(fixture, GIB, 3 * LARGE);
	for (unsigned i = 0; i < 3; i++) {
		split(fixture, GIB + i * LARGE + 9 * PAGE);
		if (accesses[i])
			fixture_warm(fixture, GIB + i * LARGE + (511 - i) * PAGE, accesses[i]);
	}
	assert_int_equal(collapse(fixture, GIB, 3 * LARGE), 3 * LARGE);
	for (unsigned i = 0; i < 3; i++)
		assert_recorded(fixture, GIB + i * LARGE, accesses[i] != 0,
				accesses[i] == ADDRSPACE_WRITE);
	protect(fixture, GIB + 2 * LARGE, LARGE, ADDRSPACE_READ);
	assert_recorded(fixture, GIB + 2 * LARGE, true, true);
}

/** Another CPU, which has the page cached as clean, stores to it until the very invalidation. */
static void store_before_invalidation(struct fake_machine *machine, enum fake_event event,
				      void *ctx)
{
	unsigned *stores = ctx;

	if (event == FAKE_BEFORE_INVALIDATE)
		*stores += fake_cpu_access(machine, 1, GIB + 77 * PAGE, ADDRSPACE_WRITE, NULL) ==
			   FAKE_HIT;
}

static void store_during_the_collapse_is_not_forgotten(void **state)
{
	struct fixture *fixture = *state;
	unsigned stores = 0;

	if (!has_large(fixture))
		return;
	fixture_map_linear(fixture, GIB, LARGE);
	split(fixture, GIB + 9 * PAGE);
	fixture_warm(fixture, GIB + 77 * PAGE, ADDRSPACE_READ);
	fixture->machine.interlude = store_before_invalidation;
	fixture->machine.interlude_ctx = &stores;
	assert_int_equal(collapse(fixture, GIB, LARGE), LARGE);
	fixture->machine.interlude = NULL;
	assert_int_equal(stores, 1);
	assert_recorded(fixture, GIB, true, true);
}

/** Nothing of the slot is reachable for a CPU that has nothing cached, until the leaf is there. */
static void walk_after_invalidation(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	enum fake_access_outcome *seen = ctx;

	if (event == FAKE_AFTER_INVALIDATE)
		*seen = fake_cpu_access(machine, 2, GIB, ADDRSPACE_READ, NULL);
}

static void slot_is_absent_until_its_tables_can_go(void **state)
{
	struct fixture *fixture = *state;
	enum fake_access_outcome seen = FAKE_HIT;

	if (!has_large(fixture))
		return;
	fixture_map_linear(fixture, GIB, LARGE);
	split(fixture, GIB + 9 * PAGE);
	fixture->machine.interlude = walk_after_invalidation;
	fixture->machine.interlude_ctx = &seen;
	assert_int_equal(collapse(fixture, GIB, LARGE), LARGE);
	fixture->machine.interlude = NULL;
	assert_int_equal(seen, FAKE_FAULT_NOT_PRESENT);
	/* ... and the CPU that kept that needs only ask. */
	assert_int_equal(fixture_guest(fixture, 2, GIB, ADDRSPACE_READ), ADDRSPACE_FAULT_RESOLVED);
}

static void guests_that_use_the_pages_meanwhile_see_nothing_wrong(void **state)
{
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;
	const uint64_t leaf = layout_largest_leaf(fixture->layout);

	if (!has_large(fixture))
		return;
	fixture_map_linear(fixture, leaf, 2 * leaf);
	for (unsigned i = 0; i < 8; i++)
		fake_machine_add_hot(machine, leaf + i * leaf / 4 + i * PAGE, RW);
	for (unsigned round = 0; round < 4; round++) {
		split(fixture, leaf + round * leaf / 2);
		assert_int_equal(collapse(fixture, 0, 4 * leaf), leaf);
	}
	assert_true(machine->counters.hot_hits > 0);
}

/* ---- frames from the handler ---- */

#define FILLERS_MAX 2048

static struct {
	uint64_t hpa[FILLERS_MAX];
	unsigned count;
} fillers;

/** Keeps frames back until the next one that is asked for alone starts a leaf of 2 MiB. */
static void fill_up(struct fixture *fixture)
{
	fillers.count = 0;
	do {
		assert_true(fillers.count < FILLERS_MAX);
		fillers.hpa[fillers.count] = fake_machine_lend(&fixture->machine, 0);
	} while ((fillers.hpa[fillers.count++] + PAGE) % LARGE);
}

static void drop_fillers(struct fixture *fixture)
{
	while (fillers.count)
		fake_machine_take_back(&fixture->machine, fillers.hpa[--fillers.count]);
}

/** Lazy memory at gpa, 2 MiB, whose frames come one by one, side by side and aligned. */
static void fault_in_a_run(struct fixture *fixture, uint64_t gpa)
{
	const uint64_t last = gpa + LARGE - PAGE;
	uint64_t frame;

	fixture->machine.runs_join = true;
	/* The last page first: it brings the tables. It moves to its place when the others are there. */
	assert_int_equal(fixture_guest(fixture, 0, last, ADDRSPACE_WRITE), 0);
	fill_up(fixture);
	for (uint64_t at = gpa; at < last; at += PAGE)
		assert_int_equal(fixture_guest(fixture, 0, at, ADDRSPACE_WRITE), 0);
	frame = fake_machine_lend(&fixture->machine, 0);
	assert_int_equal(addrspace_replace_frame(&fixture->as, last, frame, fake_machine_copy_frame,
						 &fixture->machine),
			 0);
	fake_machine_hand_over(&fixture->machine, frame, last, fixture_rw.cookie);
	drop_fillers(fixture);
	assert_int_equal(frame, fixture_hpa(fixture, gpa) + LARGE - PAGE);
	assert_int_equal(fixture_hpa(fixture, gpa) % LARGE, 0);
}

static void frames_that_came_one_by_one_go_as_one_run(void **state)
{
	struct fixture *fixture = *state;
	struct fake_counters *counters = &fixture->machine.counters;

	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, 2 * LARGE, &fixture_rw, 0), 0);
	fault_in_a_run(fixture, LARGE);
	if (!has_large(fixture)) {
		assert_stays(fixture, 0, 4 * LARGE);
		return;
	}
	assert_int_equal(collapse(fixture, 0, 4 * LARGE), LARGE);
	fixture_check(fixture);
	fixture_warm(fixture, LARGE + 7 * PAGE, ADDRSPACE_READ);
	counters->frees[ADDRSPACE_FRAME_GUEST] = 0;
	assert_int_equal(addrspace_unmap(&fixture->as, LARGE, LARGE), 0);
	assert_int_equal(counters->frees[ADDRSPACE_FRAME_GUEST], 1);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
}

/** Brings the page at gpa, in lazy memory, back into the very frame at hpa, which is free. */
static void fault_in_at(struct fixture *fixture, uint64_t gpa, uint64_t hpa)
{
	struct fake_machine *machine = &fixture->machine;

	assert_int_equal(fixture_guest(fixture, 1, gpa, ADDRSPACE_WRITE), 0);
	fillers.count = 0;
	while (fixture_hpa(fixture, gpa) != hpa) {
		uint64_t frame = fake_machine_lend(machine, 0);

		assert_true(fillers.count < FILLERS_MAX);
		if (frame != hpa) {
			fillers.hpa[fillers.count++] = frame;
			continue;
		}
		assert_int_equal(addrspace_replace_frame(&fixture->as, gpa, frame,
							 fake_machine_copy_frame, machine),
				 0);
		fake_machine_hand_over(machine, frame, gpa, fixture_rw.cookie);
	}
	drop_fillers(fixture);
}

static void collapsed_run_is_taken_apart_again_frame_by_frame(void **state)
{
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;
	uint64_t hpa;

	if (!has_large(fixture))
		return;
	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, LARGE, &fixture_rw, 0), 0);
	fault_in_a_run(fixture, LARGE);
	hpa = fixture_hpa(fixture, LARGE);
	for (uint64_t at = 100 * PAGE; at < LARGE; at += 200 * PAGE) {
		assert_int_equal(collapse(fixture, LARGE, LARGE), LARGE);
		assert_int_equal(addrspace_discard(&fixture->as, LARGE + at, PAGE), 0);
		assert_int_equal(machine->live[ADDRSPACE_FRAME_GUEST], PAGES - 1);
		assert_stays(fixture, LARGE, LARGE);
		fault_in_at(fixture, LARGE + at, hpa + at);
	}
	assert_int_equal(collapse(fixture, LARGE, LARGE), LARGE);
	assert_int_equal(addrspace_unmap(&fixture->as, LARGE + PAGE, LARGE - 2 * PAGE), 0);
	assert_int_equal(machine->live[ADDRSPACE_FRAME_GUEST], 2);
	fixture_warm(fixture, LARGE, ADDRSPACE_WRITE);
}

static void one_page_elsewhere_or_missing_at_any_place_keeps_all_apart(void **state)
{
	static const unsigned places[] = {0, 1, 2, 3, 4, 5, 6, 7, 255, 508, 509, 510, 511};
	struct fixture *fixture = *state;
	uint64_t hpa;

	if (!has_large(fixture))
		return;
	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, LARGE, &fixture_rw, 0), 0);
	fault_in_a_run(fixture, LARGE);
	hpa = fixture_hpa(fixture, LARGE);
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint64_t at = places[i] * PAGE;
		uint64_t frame = fake_machine_lend(&fixture->machine, 0);

		assert_int_equal(addrspace_replace_frame(&fixture->as, LARGE + at, frame,
							 fake_machine_copy_frame,
							 &fixture->machine),
				 0);
		fake_machine_hand_over(&fixture->machine, frame, LARGE + at, fixture_rw.cookie);
		assert_stays(fixture, LARGE, LARGE);
		assert_int_equal(addrspace_discard(&fixture->as, LARGE + at, PAGE), 0);
		assert_stays(fixture, LARGE, LARGE);
		fault_in_at(fixture, LARGE + at, hpa + at);
	}
	assert_int_equal(collapse(fixture, LARGE, LARGE), LARGE);
}

static void run_that_came_whole_and_was_split_becomes_whole_again(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_attributes large = fixture_rw;
	struct addrspace_region region;

	if (!has_large(fixture))
		return;
	large.largest_leaf = ADDRSPACE_LEAF_2M;
	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, LARGE, &large, 0), 0);
	assert_int_equal(fixture_guest(fixture, 0, LARGE + PAGE, ADDRSPACE_WRITE), 0);
	assert_int_equal(leaf_size_at(fixture, LARGE), LARGE);
	split(fixture, LARGE + PAGE);
	assert_int_equal(collapse(fixture, LARGE, LARGE), LARGE);
	fixture_warm(fixture, LARGE + PAGE, ADDRSPACE_READ);
	assert_int_equal(addrspace_find_region(&fixture->as, LARGE, &region), 0);
	assert_int_equal(region.largest_leaf, ADDRSPACE_LEAF_2M);
}

static void two_regions_side_by_side_do_not_share_a_leaf(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_attributes other = fixture_rw;

	/* Same memory, permissions and type, but who frees it is told another cookie. */
	other.cookie++;
	fixture_map_linear(fixture, GIB, LARGE / 2);
	assert_int_equal(addrspace_map_linear(&fixture->as, GIB + LARGE / 2, LARGE / 2,
					      FIXTURE_LINEAR + GIB + LARGE / 2, &other, 0),
			 0);
	assert_stays(fixture, GIB, LARGE);
}

/* ---- input ---- */

static void malformed_ranges_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	const uint64_t limit = layout_limit(fixture->layout);
	uint64_t collapsed = 7;

	assert_int_equal(addrspace_collapse(NULL, 0, PAGE, &collapsed), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_collapse(as, 1, PAGE, &collapsed), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_collapse(as, 0, 0, &collapsed), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_collapse(as, 0, PAGE + 1, &collapsed), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_collapse(as, PAGE, UINT64_MAX - PAGE + 1, &collapsed),
			 ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_collapse(as, 2 * PAGE, UINT64_MAX - PAGE + 1, &collapsed),
			 ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_collapse(as, limit, PAGE, &collapsed), ADDRSPACE_ERANGE);
	assert_int_equal(collapsed, 7);
	assert_int_equal(addrspace_collapse(as, 0, limit, NULL), 0);
}

#define LINEAR_TEST(name)                                                                          \
	cmocka_unit_test_setup_teardown(name, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(leaf_that_was_split_becomes_whole_again),
		LINEAR_TEST(leaves_of_2_mib_become_one_of_1_gib_where_the_cpu_has_it),
		LINEAR_TEST(range_takes_whole_slots_only),
		LINEAR_TEST(many_slots_collapse_with_one_invalidation_of_them_all),
		LINEAR_TEST(pages_without_permissions_collapse_and_come_back_as_one),
		LINEAR_TEST(memory_type_and_permissions_stay),
		LINEAR_TEST(hole_other_memory_or_other_attributes_keep_pages_apart),
		LINEAR_TEST(memory_that_is_not_aligned_stays_pages),
		LINEAR_TEST(leaves_of_2_mib_that_are_not_aligned_to_1_gib_stay),
		cmocka_unit_test(space_with_nothing_to_collapse_is_left_alone),
		LINEAR_TEST(region_with_small_executable_leaves_keeps_them),
		LINEAR_TEST(leaf_is_as_dirty_as_the_dirtiest_of_its_pages),
		LINEAR_TEST(store_during_the_collapse_is_not_forgotten),
		LINEAR_TEST(slot_is_absent_until_its_tables_can_go),
		LINEAR_TEST(guests_that_use_the_pages_meanwhile_see_nothing_wrong),
		cmocka_unit_test(frames_that_came_one_by_one_go_as_one_run),
		cmocka_unit_test(collapsed_run_is_taken_apart_again_frame_by_frame),
		cmocka_unit_test(one_page_elsewhere_or_missing_at_any_place_keeps_all_apart),
		cmocka_unit_test(run_that_came_whole_and_was_split_becomes_whole_again),
		LINEAR_TEST(two_regions_side_by_side_do_not_share_a_leaf),
		cmocka_unit_test(malformed_ranges_are_refused),
	};

	return run_over_layouts("collapse", tests, sizeof(tests) / sizeof(tests[0]));
}
