/* SPDX-License-Identifier: MIT */
/* Discarding: frames go and regions stay, so the next fault brings zeroes, or what the handler has
 * kept. */
#include <string.h>

#include "layouts.h"

#define PAGE FAKE_PAGE_SIZE
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define RW   (ADDRSPACE_READ | ADDRSPACE_WRITE)

static void map_lazy(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	assert_int_equal(addrspace_map_alloc(&fixture->as, gpa, size, &fixture_rw, 0), 0);
}

static void discard(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	assert_int_equal(addrspace_discard(&fixture->as, gpa, size), 0);
}

static void guest_writes(struct fixture *fixture, uint64_t gpa, unsigned pages)
{
	for (unsigned i = 0; i < pages; i++)
		assert_int_equal(
			fixture_guest(fixture, i % FAKE_CPUS, gpa + i * PAGE, ADDRSPACE_WRITE),
			ADDRSPACE_FAULT_RESOLVED);
}

static uint64_t guest_frames(const struct fixture *fixture)
{
	return fixture->machine.live[ADDRSPACE_FRAME_GUEST];
}

static uint64_t first_word(struct fixture *fixture, uint64_t gpa)
{
	return *(uint64_t *)fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, gpa));
}

static void assert_region(struct fixture *fixture, uint64_t gpa, uint64_t size, bool populated)
{
	struct addrspace_region region;

	assert_int_equal(addrspace_find_region(&fixture->as, gpa, &region), 0);
	assert_int_equal(region.gpa, gpa);
	assert_int_equal(region.size, size);
	assert_int_equal(region.backend.kind, ADDRSPACE_ALLOC);
	assert_int_equal(region.backend.u.alloc.populate, populated);
	assert_int_equal(region.cookie, fixture_rw.cookie);
}

static void assert_every_cpu_faults(struct fixture *fixture, uint64_t gpa)
{
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		assert_int_equal(fake_cpu_access(&fixture->machine, cpu, gpa, ADDRSPACE_READ, NULL),
				 FAKE_FAULT_NOT_PRESENT);
}

/* ---- contents ---- */

static void discarded_pages_come_back_as_zeroes_and_their_neighbours_stay(void **state)
{
	struct fixture *fixture = *state;
	uint64_t neighbour;

	map_lazy(fixture, 0, GIB);
	guest_writes(fixture, 0, 4);
	neighbour = fixture_hpa(fixture, 3 * PAGE);
	discard(fixture, PAGE, 2 * PAGE);
	assert_int_equal(guest_frames(fixture), 2);
	assert_every_cpu_faults(fixture, PAGE);
	assert_every_cpu_faults(fixture, 2 * PAGE);
	fixture_warm(fixture, PAGE, ADDRSPACE_READ);
	assert_int_equal(first_word(fixture, PAGE), 0);
	assert_int_equal(fixture_guest(fixture, 1, 2 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(first_word(fixture, 0), fake_machine_token(0));
	assert_int_equal(first_word(fixture, 3 * PAGE), fake_machine_token(3 * PAGE));
	assert_int_equal(fixture_hpa(fixture, 3 * PAGE), neighbour);
}

static void discarded_pages_come_back_with_what_the_handler_supplies(void **state)
{
	struct fixture *fixture = *state;

	map_lazy(fixture, 0, GIB);
	guest_writes(fixture, 0, 2);
	discard(fixture, 0, GIB);
	assert_int_equal(guest_frames(fixture), 0);
	fixture->machine.answer = ADDRSPACE_FRAME_VALID;
	fixture_warm(fixture, PAGE, ADDRSPACE_READ);
	assert_int_equal(first_word(fixture, PAGE), fake_machine_token(PAGE));
}

/* A handler that keeps a page's contents when it is freed, and brings them back. */
static struct {
	struct paging_handler honest;
	uint64_t gpa;
	uint64_t cookie;
	bool kept;
	uint8_t contents[4096];
} store;

static void free_and_keep(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	if (request->kind == ADDRSPACE_FRAME_GUEST && request->gpa == store.gpa) {
		assert_int_equal(request->order, 0);
		assert_int_equal(request->cookie, store.cookie);
		assert_false(store.kept);
		memcpy(store.contents, fake_machine_pointer(ctx, hpa), PAGE);
		store.kept = true;
	}
	store.honest.free(ctx, request, hpa);
}

static bool allocate_what_was_kept(void *ctx, const struct addrspace_frame_request *request,
				   struct addrspace_frame *frame)
{
	if (!store.honest.allocate(ctx, request, frame))
		return false;
	if (request->kind == ADDRSPACE_FRAME_GUEST && request->gpa == store.gpa && store.kept) {
		memcpy(fake_machine_pointer(ctx, frame->hpa), store.contents, PAGE);
		frame->contents = ADDRSPACE_FRAME_VALID;
		store.kept = false;
	}
	return true;
}

static void start_store(struct fixture *fixture, uint64_t gpa)
{
	store.honest = fixture->machine.handler;
	store.gpa = gpa;
	store.cookie = fixture_rw.cookie;
	store.kept = false;
	fixture->machine.handler.free = free_and_keep;
	fixture->machine.handler.allocate = allocate_what_was_kept;
}

/** A CPU that has the page cached stores into it until the very invalidation. */
static void store_at_the_last_moment(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	bool *hit = ctx;

	if (event == FAKE_BEFORE_INVALIDATE)
		*hit = fake_cpu_access(machine, 1, store.gpa, ADDRSPACE_WRITE, NULL) == FAKE_HIT;
}

static void the_free_hook_sees_the_guests_last_store(void **state)
{
	struct fixture *fixture = *state;
	bool hit = false;

	map_lazy(fixture, 0, GIB);
	guest_writes(fixture, 6 * PAGE, 1);
	fixture_warm(fixture, 5 * PAGE, ADDRSPACE_READ);
	/* what a store needs beyond that, it takes without leaving a trace in memory */
	assert_int_equal(fixture_guest(fixture, 1, 5 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
	memset(fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, 5 * PAGE)), 0, PAGE);
	start_store(fixture, 5 * PAGE);
	fixture->machine.interlude = store_at_the_last_moment;
	fixture->machine.interlude_ctx = &hit;
	discard(fixture, 5 * PAGE, PAGE);
	fixture->machine.interlude = NULL;
	assert_true(hit);
	assert_true(store.kept);
	fixture_warm(fixture, 5 * PAGE, ADDRSPACE_READ);
	assert_int_equal(first_word(fixture, 5 * PAGE), fake_machine_token(5 * PAGE));
	fixture->machine.handler = store.honest;
}

static void pages_are_discarded_and_come_back_while_guests_use_them(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start = 2 * MIB - 4 * PAGE;

	map_lazy(fixture, 0, GIB);
	for (unsigned i = 0; i < 8; i++) {
		fixture_warm(fixture, start + i * PAGE, ADDRSPACE_WRITE);
		fake_machine_add_hot(&fixture->machine, start + i * PAGE, RW);
	}
	for (unsigned round = 0; round < 8; round++) {
		fake_cpu_set_spinning(&fixture->machine.cpus[2], round & 1);
		discard(fixture, start + round % 3 * PAGE, 6 * PAGE);
		fake_cpu_set_spinning(&fixture->machine.cpus[2], false);
		assert_int_equal(guest_frames(fixture), 2);
		fixture_check(fixture);
		for (unsigned i = 0; i < 6; i++)
			fixture_warm(fixture, start + (round % 3 + i) * PAGE, ADDRSPACE_READ);
		for (unsigned i = 0; i < 8; i++)
			fixture_warm(fixture, start + i * PAGE, ADDRSPACE_WRITE);
	}
	assert_true(fixture->machine.counters.hot_hits > 0);
}

/* ---- regions ---- */

static void discarded_part_of_a_populated_region_becomes_lazy(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 0, 8 * PAGE);
	fixture_warm(fixture, 3 * PAGE, ADDRSPACE_WRITE);
	discard(fixture, 3 * PAGE, 2 * PAGE);
	assert_int_equal(guest_frames(fixture), 6);
	assert_region(fixture, 0, 3 * PAGE, true);
	assert_region(fixture, 3 * PAGE, 2 * PAGE, false);
	assert_region(fixture, 5 * PAGE, 3 * PAGE, true);
	fixture_check(fixture);
	guest_writes(fixture, 3 * PAGE, 2);
	assert_int_equal(guest_frames(fixture), 8);
}

static void discarding_the_rest_of_a_populated_region_leaves_one_lazy_region(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 0, 8 * PAGE);
	map_lazy(fixture, 8 * PAGE, 8 * PAGE);
	discard(fixture, 3 * PAGE, 2 * PAGE);
	discard(fixture, 0, 4 * PAGE);
	assert_region(fixture, 0, 5 * PAGE, false);
	discard(fixture, 4 * PAGE, 12 * PAGE);
	assert_region(fixture, 0, 16 * PAGE, false);
	assert_int_equal(guest_frames(fixture), 0);
	guest_writes(fixture, 0, 16);
}

static void range_over_several_regions_loses_all_frames(void **state)
{
	const struct addrspace_attributes other = {.permissions = ADDRSPACE_READ, .cookie = 9};
	struct fixture *fixture = *state;
	struct addrspace_region region;

	fixture_populate(fixture, 0, 4 * PAGE);
	assert_int_equal(addrspace_map_alloc(&fixture->as, 4 * PAGE, 4 * PAGE, &other,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	map_lazy(fixture, 8 * PAGE, GIB);
	guest_writes(fixture, 8 * PAGE, 4);
	guest_writes(fixture, GIB, 1);
	discard(fixture, PAGE, GIB + 6 * PAGE);
	assert_int_equal(guest_frames(fixture), 1);
	assert_region(fixture, 0, PAGE, true);
	assert_region(fixture, PAGE, 3 * PAGE, false);
	assert_int_equal(addrspace_find_region(&fixture->as, 5 * PAGE, &region), 0);
	assert_int_equal(region.cookie, 9);
	assert_int_equal(region.permissions, ADDRSPACE_READ);
	assert_false(region.backend.u.alloc.populate);
	assert_region(fixture, 8 * PAGE, GIB, false);
	assert_int_equal(fixture_guest(fixture, 0, 5 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_DENIED);
	assert_int_equal(fixture_guest(fixture, 0, 5 * PAGE, ADDRSPACE_READ),
			 ADDRSPACE_FAULT_RESOLVED);
}

static void pages_without_permissions_lose_their_frames_too(void **state)
{
	struct fixture *fixture = *state;

	fixture_populate(fixture, 0, 4 * PAGE);
	guest_writes(fixture, 0, 4);
	assert_int_equal(addrspace_protect(&fixture->as, 0, 3 * PAGE, 0), 0);
	fixture->machine.counters.invalidate = 0;
	discard(fixture, PAGE, 2 * PAGE);
	/* no CPU could reach them */
	assert_int_equal(fixture->machine.counters.invalidate, 0);
	assert_int_equal(guest_frames(fixture), 2);
	assert_int_equal(fixture_guest(fixture, 0, PAGE, ADDRSPACE_READ), ADDRSPACE_FAULT_DENIED);
	assert_int_equal(addrspace_protect(&fixture->as, 0, 3 * PAGE, RW), 0);
	fixture_warm(fixture, 0, ADDRSPACE_READ);
	fixture_warm(fixture, PAGE, ADDRSPACE_READ);
	assert_int_equal(first_word(fixture, 0), fake_machine_token(0));
	assert_int_equal(first_word(fixture, PAGE), 0);
	assert_int_equal(guest_frames(fixture), 3);
}

static void range_with_a_hole_or_linear_memory_is_refused_and_nothing_changes(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct fake_snapshot before;

	fixture_populate(fixture, 0, 4 * PAGE);
	fixture_map_linear(fixture, 4 * PAGE, 4 * PAGE);
	fixture_populate(fixture, 8 * PAGE, 4 * PAGE);
	fixture_populate(fixture, 13 * PAGE, PAGE);
	fake_machine_snapshot(&fixture->machine, as, &before);
	assert_int_equal(addrspace_discard(as, 12 * PAGE, PAGE), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_discard(as, 9 * PAGE, 5 * PAGE), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_discard(as, GIB, PAGE), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_discard(as, 4 * PAGE, 4 * PAGE), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_discard(as, 0, 12 * PAGE), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_discard(as, 3 * PAGE, 2 * PAGE), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_discard(as, 7 * PAGE, 2 * PAGE), ADDRSPACE_ENOTSUP);
	/* both: the hole is told first */
	assert_int_equal(addrspace_discard(as, 0, 14 * PAGE), ADDRSPACE_ENOENT);
	fake_machine_assert_unchanged(&fixture->machine, as, &before);
	assert_int_equal(fixture->machine.counters.invalidate, 0);
}

/* ---- invalidations, tables, charges ---- */

static void assert_invalidation(struct fixture *fixture, uint64_t gpa, uint64_t size, bool tables)
{
	const struct addrspace_invalidation *last = fake_machine_invalidation(&fixture->machine, 0);

	assert_int_equal(fixture->machine.counters.invalidate, 1);
	assert_int_equal(last->gpa, gpa);
	assert_int_equal(last->size, size);
	assert_int_equal(last->stride, PAGE);
	assert_int_equal(last->tables_changed, tables);
	assert_int_equal(last->scope, ADDRSPACE_ALL_CPUS);
}

static void discard_invalidates_once_the_pages_that_were_there(void **state)
{
	struct fixture *fixture = *state;

	map_lazy(fixture, 0, GIB);
	guest_writes(fixture, 0, 16);
	fixture->machine.counters.invalidate = 0;
	discard(fixture, 3 * PAGE, 5 * PAGE);
	assert_invalidation(fixture, 3 * PAGE, 5 * PAGE, false);
	fixture->machine.counters.invalidate = 0;
	/* of what is gone there is nothing to invalidate */
	discard(fixture, 2 * PAGE, 8 * PAGE);
	assert_invalidation(fixture, 2 * PAGE, 8 * PAGE, false);
	discard(fixture, 2 * PAGE, 8 * PAGE);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
}

static void discard_of_the_last_pages_of_a_table_says_that_tables_changed(void **state)
{
	struct fixture *fixture = *state;

	map_lazy(fixture, 0, GIB);
	guest_writes(fixture, 4 * MIB, 4);
	guest_writes(fixture, 8 * MIB, 1);
	fixture->machine.counters.invalidate = 0;
	discard(fixture, 4 * MIB, MIB);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	assert_true(fake_machine_invalidation(&fixture->machine, 0)->tables_changed);
}

static void discard_of_what_was_never_touched_does_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_counters before;

	map_lazy(fixture, 0, layout_limit(fixture->layout));
	before = fixture->machine.counters;
	discard(fixture, MIB, layout_limit(fixture->layout) - 2 * MIB);
	assert_memory_equal(fixture->machine.counters.allocations, before.allocations,
			    sizeof(before.allocations));
	assert_memory_equal(fixture->machine.counters.frees, before.frees, sizeof(before.frees));
	assert_int_equal(fixture->machine.counters.invalidate, 0);
}

static void emptied_tables_are_given_back_and_others_stay(void **state)
{
	struct fixture *fixture = *state;
	uint64_t tables;

	map_lazy(fixture, 0, 4 * GIB);
	guest_writes(fixture, 0, 1);
	tables = fixture->machine.live[ADDRSPACE_FRAME_TABLE];
	for (uint64_t gpa = 2 * MIB; gpa < 3 * GIB; gpa += 128 * MIB)
		guest_writes(fixture, gpa, 2);
	discard(fixture, PAGE, 4 * GIB - PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], tables);
	discard(fixture, 0, PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	assert_region(fixture, 0, 4 * GIB, false);
}

static void discarded_pages_are_no_longer_charged(void **state)
{
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;

	map_lazy(fixture, 0, GIB);
	guest_writes(fixture, 0, 4);
	assert_int_equal(machine->charged[ADDRSPACE_FRAME_GUEST], 4);
	machine->quota = 0;
	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		machine->quota += machine->charged[kind];
	assert_int_equal(fixture_guest(fixture, 0, 4 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_OUT_OF_MEMORY);
	discard(fixture, PAGE, PAGE);
	assert_int_equal(machine->charged[ADDRSPACE_FRAME_GUEST], 3);
	assert_int_equal(fixture_guest(fixture, 0, 4 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(discarded_pages_come_back_as_zeroes_and_their_neighbours_stay),
		cmocka_unit_test(discarded_pages_come_back_with_what_the_handler_supplies),
		cmocka_unit_test(the_free_hook_sees_the_guests_last_store),
		cmocka_unit_test(pages_are_discarded_and_come_back_while_guests_use_them),
		cmocka_unit_test(discarded_part_of_a_populated_region_becomes_lazy),
		cmocka_unit_test(discarding_the_rest_of_a_populated_region_leaves_one_lazy_region),
		cmocka_unit_test(range_over_several_regions_loses_all_frames),
		cmocka_unit_test(pages_without_permissions_lose_their_frames_too),
		LINEAR_TEST(range_with_a_hole_or_linear_memory_is_refused_and_nothing_changes),
		cmocka_unit_test(discard_invalidates_once_the_pages_that_were_there),
		cmocka_unit_test(discard_of_the_last_pages_of_a_table_says_that_tables_changed),
		cmocka_unit_test(discard_of_what_was_never_touched_does_nothing),
		cmocka_unit_test(emptied_tables_are_given_back_and_others_stay),
		cmocka_unit_test(discarded_pages_are_no_longer_charged),
	};

	return run_over_layouts("discard", tests, sizeof(tests) / sizeof(tests[0]));
}
