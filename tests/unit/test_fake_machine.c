/* SPDX-License-Identifier: MIT */
/*
 * The machine that the other tests trust: each rule that it watches is broken here on purpose, over
 * tables written by hand, and must be caught; what is allowed must not be.
 */
#include <string.h>

#include "layouts.h"

#define PAGE    FAKE_PAGE_SIZE
#define READ    ADDRSPACE_READ
#define WRITE   ADDRSPACE_WRITE
#define EXECUTE ADDRSPACE_EXECUTE
#define RWX     (READ | WRITE | EXECUTE)

/** A machine and one format, whose entries are written by hand. */
struct hand {
	struct fake_machine machine;
	const struct fake_walker *walker;
	uint64_t root;
	uint64_t expected; /**< Failures planted and asserted. */
};

static uint64_t leaf_entry(const struct hand *hand, unsigned level, uint64_t hpa,
			   unsigned permissions)
{
	if (hand->walker == &fake_walker_ept)
		return hpa | permissions | 6 << 3 | (level > 0 ? 0x80 : 0);
	if (hand->walker == &fake_walker_npt)
		return hpa | 0x65 | (permissions & WRITE) | (level > 0 ? 0x80 : 0) |
		       (permissions & EXECUTE ? 0 : UINT64_C(1) << 63);
	if (hand->walker == &fake_walker_stage2)
		return hpa | (level > 0 ? 1 : 3) | 15 << 2 | (permissions & READ ? 1 << 6 : 0) |
		       (permissions & WRITE ? 1 << 7 : 0) | 3 << 8 | 1 << 10 |
		       (permissions & EXECUTE ? 0 : UINT64_C(1) << 54);
	return hpa >> 2 | 0xd1 | permissions << 1;
}

static uint64_t table_entry(const struct hand *hand, uint64_t hpa)
{
	if (hand->walker == &fake_walker_ept)
		return hpa | 7;
	if (hand->walker == &fake_walker_npt)
		return hpa | 0x27;
	return hand->walker == &fake_walker_stage2 ? hpa | 3 : hpa >> 2 | 1;
}

static uint64_t take_run(struct hand *hand, enum addrspace_frame_kind kind, unsigned order,
			 uint64_t gpa)
{
	struct addrspace_frame_request request = {.kind = kind, .order = order, .gpa = gpa};
	struct fake_machine *machine = &hand->machine;
	struct addrspace_frame frame;

	assert_true(machine->handler.charge(machine, kind, UINT64_C(1) << order));
	assert_true(machine->handler.allocate(machine, &request, &frame));
	memset(fake_machine_pointer(machine, frame.hpa), 0, PAGE << order);
	return frame.hpa;
}

static uint64_t take(struct hand *hand, enum addrspace_frame_kind kind, uint64_t gpa)
{
	return take_run(hand, kind, 0, gpa);
}

static void give_run(struct hand *hand, enum addrspace_frame_kind kind, unsigned order,
		     uint64_t gpa, uint64_t hpa)
{
	struct addrspace_frame_request request = {.kind = kind, .order = order, .gpa = gpa};

	hand->machine.handler.free(&hand->machine, &request, hpa);
}

static void give(struct hand *hand, enum addrspace_frame_kind kind, uint64_t gpa, uint64_t hpa)
{
	give_run(hand, kind, 0, gpa, hpa);
}

static uint64_t *entry_at(struct hand *hand, uint64_t table, unsigned level, uint64_t gpa)
{
	uint64_t index = gpa >> fake_level_shift(level);

	index &= fake_table_entries(&hand->machine.geometry, level) - 1;
	return (uint64_t *)fake_machine_pointer(&hand->machine, table) + index;
}

/** Links tables down to this level and returns the last one. */
static uint64_t path_to(struct hand *hand, unsigned level, uint64_t gpa)
{
	uint64_t table = hand->root;

	for (unsigned at = hand->machine.geometry.levels - 1; at > level; at--) {
		uint64_t *entry = entry_at(hand, table, at, gpa);
		struct fake_entry decoded;

		if (!*entry)
			*entry = table_entry(hand, take(hand, ADDRSPACE_FRAME_TABLE, 0));
		hand->walker->decode(&hand->machine.geometry, at, *entry, &decoded);
		assert_int_equal(decoded.kind, FAKE_ENTRY_TABLE);
		table = decoded.hpa;
	}
	return table;
}

/** Maps one page to hpa and returns where its entry lies. */
static uint64_t *map_page(struct hand *hand, uint64_t gpa, uint64_t hpa, unsigned permissions)
{
	uint64_t *entry = entry_at(hand, path_to(hand, 0, gpa), 0, gpa);

	*entry = leaf_entry(hand, 0, hpa, permissions);
	return entry;
}

static uint64_t *map_large(struct hand *hand, uint64_t gpa, uint64_t hpa, unsigned permissions)
{
	uint64_t *entry = entry_at(hand, path_to(hand, 1, gpa), 1, gpa);

	*entry = leaf_entry(hand, 1, hpa, permissions);
	return entry;
}

static enum fake_access_outcome touch(struct hand *hand, unsigned cpu, uint64_t gpa,
				      unsigned access)
{
	return fake_cpu_access(&hand->machine, cpu, gpa, access, NULL);
}

static void invalidate(struct hand *hand, uint64_t gpa, uint64_t size, uint64_t stride,
		       bool tables_changed)
{
	struct addrspace_invalidation invalidation = {
		.gpa = gpa,
		.size = size,
		.stride = stride,
		.tables_changed = tables_changed,
		.scope = ADDRSPACE_ALL_CPUS,
	};

	hand->machine.handler.invalidate(&hand->machine, &invalidation);
}

/** Exactly one more failure was recorded, and it says this. */
static void caught(struct hand *hand, const char *what)
{
	if (hand->machine.failures != hand->expected + 1)
		fail_msg("%d failures instead of one more, last: %s",
			 (int)(hand->machine.failures - hand->expected),
			 hand->machine.last_failure);
	hand->expected++;
	if (!strstr(hand->machine.last_failure, what))
		fail_msg("expected \"%s\": %s", what, hand->machine.last_failure);
}

/** Nothing beyond what was planted so far. */
static void nothing_caught(struct hand *hand)
{
	if (hand->machine.failures != hand->expected)
		fail_msg("unexpected: %s", hand->machine.last_failure);
}

static int set_up(void **state, const struct fake_walker *walker, bool non_coherent)
{
	struct hand *hand = test_calloc(1, sizeof(*hand));
	struct fake_geometry geometry = {
		.walker = walker,
		.levels = 3,
		.input_bits = walker == &fake_walker_gstage ? 41 : 39,
		.host_bits = 40,
		.leaf_2m = true,
		.leaf_1g = true,
		.no_execute = true,
		.caches_not_present = walker == &fake_walker_gstage,
	};

	hand->walker = walker;
	fake_machine_init(&hand->machine, UINT64_C(16) << 20);
	if (non_coherent)
		fake_machine_set_non_coherent(&hand->machine);
	hand->root = take_run(hand, ADDRSPACE_FRAME_ROOT, walker == &fake_walker_gstage ? 2 : 0, 0);
	geometry.root_hpa = hand->root;
	fake_machine_attach_geometry(&hand->machine, &geometry);
	hand->machine.allow_unlocked = true;
	hand->machine.capture_failures = true;
	*state = hand;
	return 0;
}

static int set_up_ept(void **state)
{
	return set_up(state, &fake_walker_ept, false);
}

static int set_up_npt(void **state)
{
	return set_up(state, &fake_walker_npt, false);
}

static int set_up_stage2(void **state)
{
	return set_up(state, &fake_walker_stage2, false);
}

static int set_up_gstage(void **state)
{
	return set_up(state, &fake_walker_gstage, false);
}

static int set_up_non_coherent(void **state)
{
	return set_up(state, &fake_walker_stage2, true);
}

static int tear_down(void **state)
{
	struct hand *hand = *state;

	nothing_caught(hand);
	fake_machine_destroy(&hand->machine);
	test_free(hand);
	return 0;
}

/* ---- Frames ---- */

static void frames_are_poisoned_when_they_come_and_when_they_go(void **state)
{
	struct hand *hand = *state;
	struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_TABLE};
	struct fake_machine *machine = &hand->machine;
	struct addrspace_frame frame;
	uint64_t *words;

	assert_true(machine->handler.charge(machine, ADDRSPACE_FRAME_TABLE, 1));
	assert_true(machine->handler.allocate(machine, &request, &frame));
	assert_int_equal(frame.contents, ADDRSPACE_FRAME_DIRTY);
	words = fake_machine_pointer(machine, frame.hpa);
	assert_int_equal(words[511], FAKE_POISON);
	memset(words, 0, PAGE);
	give(hand, ADDRSPACE_FRAME_TABLE, 0, frame.hpa);
	assert_int_equal(words[0], FAKE_POISON);
}

static void zeroed_and_valid_frames_hold_what_they_promise(void **state)
{
	struct hand *hand = *state;
	struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST, .gpa = 7 * PAGE};
	struct fake_machine *machine = &hand->machine;
	struct addrspace_frame frame;
	uint64_t *words;

	assert_true(machine->handler.charge(machine, ADDRSPACE_FRAME_GUEST, 2));
	machine->answer = ADDRSPACE_FRAME_ZEROED;
	assert_true(machine->handler.allocate(machine, &request, &frame));
	words = fake_machine_pointer(machine, frame.hpa);
	assert_int_equal(frame.contents, ADDRSPACE_FRAME_ZEROED);
	assert_int_equal(words[0] | words[511], 0);
	machine->answer = ADDRSPACE_FRAME_VALID;
	assert_true(machine->handler.allocate(machine, &request, &frame));
	words = fake_machine_pointer(machine, frame.hpa);
	assert_int_equal(frame.contents, ADDRSPACE_FRAME_VALID);
	assert_int_equal(words[511], fake_machine_token(7 * PAGE + 4088));
}

static void runs_are_naturally_aligned_and_free_in_pieces(void **state)
{
	struct hand *hand = *state;
	uint64_t run = take_run(hand, ADDRSPACE_FRAME_GUEST, 9, 0);

	assert_int_equal(run % (PAGE << 9), 0);
	give_run(hand, ADDRSPACE_FRAME_GUEST, 8, PAGE << 8, run + (PAGE << 8));
	give(hand, ADDRSPACE_FRAME_GUEST, 3 * PAGE, run + 3 * PAGE);
	nothing_caught(hand);
	assert_int_equal(hand->machine.live[ADDRSPACE_FRAME_GUEST], 255);
	give_run(hand, ADDRSPACE_FRAME_GUEST, 1, 2 * PAGE, run + 2 * PAGE);
	caught(hand, "free already");
	give_run(hand, ADDRSPACE_FRAME_GUEST, 1, PAGE, run + PAGE);
	caught(hand, "not aligned");
}

static void wrong_frees_are_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t spare = take(hand, ADDRSPACE_FRAME_GUEST, 4 * PAGE);
	uint64_t frame = take(hand, ADDRSPACE_FRAME_GUEST, 5 * PAGE);
	uint64_t neighbour = take(hand, ADDRSPACE_FRAME_GUEST, 6 * PAGE);
	uint64_t lent = fake_machine_lend(&hand->machine, 0);
	struct addrspace_frame_request request = {
		.kind = ADDRSPACE_FRAME_GUEST, .gpa = 5 * PAGE, .cookie = 1};

	hand->machine.handler.free(&hand->machine, &request, frame);
	caught(hand, "wrong cookie");
	give(hand, ADDRSPACE_FRAME_GUEST, 6 * PAGE, frame);
	caught(hand, "wrong gpa");
	give(hand, ADDRSPACE_FRAME_TABLE, 0, frame);
	caught(hand, "wrong kind");
	assert_int_equal(frame % (2 * PAGE), 0);
	give_run(hand, ADDRSPACE_FRAME_GUEST, 1, 5 * PAGE, frame);
	caught(hand, "larger than what was allocated");
	give(hand, ADDRSPACE_FRAME_GUEST, 5 * PAGE, UINT64_C(0x1000));
	caught(hand, "not memory");
	give(hand, ADDRSPACE_FRAME_GUEST, 5 * PAGE, lent);
	caught(hand, "embedder");
	give(hand, ADDRSPACE_FRAME_GUEST, 5 * PAGE, frame);
	give(hand, ADDRSPACE_FRAME_GUEST, 5 * PAGE, frame);
	caught(hand, "double free");
	give(hand, ADDRSPACE_FRAME_GUEST, 6 * PAGE, neighbour);
	give(hand, ADDRSPACE_FRAME_GUEST, 4 * PAGE, spare);
	nothing_caught(hand);
}

static void malformed_requests_are_caught(void **state)
{
	struct hand *hand = *state;
	struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_TABLE, .order = 1};
	struct addrspace_frame frame;

	assert_false(hand->machine.handler.allocate(&hand->machine, &request, &frame));
	caught(hand, "of order 1");
	request = (struct addrspace_frame_request){.kind = ADDRSPACE_FRAME_TABLE, .cookie = 1};
	assert_false(hand->machine.handler.allocate(&hand->machine, &request, &frame));
	caught(hand, "cookie");
	request = (struct addrspace_frame_request){.kind = ADDRSPACE_FRAME_GUEST, .gpa = 8};
	assert_false(hand->machine.handler.allocate(&hand->machine, &request, &frame));
	caught(hand, "aligned");
}

static void nth_allocation_fails_once(void **state)
{
	struct hand *hand = *state;
	struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_TABLE};
	struct addrspace_frame frame;

	assert_true(hand->machine.handler.charge(&hand->machine, ADDRSPACE_FRAME_TABLE, 3));
	hand->machine.fail_at = 2;
	assert_true(hand->machine.handler.allocate(&hand->machine, &request, &frame));
	assert_false(hand->machine.handler.allocate(&hand->machine, &request, &frame));
	assert_true(hand->machine.handler.allocate(&hand->machine, &request, &frame));
	assert_int_equal(hand->machine.counters.failed_allocations, 1);
}

static void charges_and_quota_are_watched(void **state)
{
	struct hand *hand = *state;
	struct fake_machine *machine = &hand->machine;
	struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_TABLE};
	struct addrspace_frame frame;

	assert_true(machine->handler.allocate(machine, &request, &frame));
	caught(hand, "beyond what was charged");
	fake_machine_assert_charges_balanced(machine);
	caught(hand, "charged");
	assert_true(machine->handler.charge(machine, ADDRSPACE_FRAME_TABLE, 1));
	machine->handler.uncharge(machine, ADDRSPACE_FRAME_TABLE, 1);
	caught(hand, "still out");
	machine->handler.uncharge(machine, ADDRSPACE_FRAME_TABLE, 1);
	caught(hand, "never charged");
	machine->quota = 3;
	assert_false(machine->handler.charge(machine, ADDRSPACE_FRAME_TABLE, 4));
}

static void leaks_are_caught(void **state)
{
	struct hand *hand = *state;

	give_run(hand, ADDRSPACE_FRAME_ROOT, hand->walker == &fake_walker_gstage ? 2 : 0, 0,
		 hand->root);
	hand->machine.handler.uncharge(&hand->machine, ADDRSPACE_FRAME_ROOT,
				       hand->walker == &fake_walker_gstage ? 4 : 1);
	fake_machine_assert_all_returned(&hand->machine);
	nothing_caught(hand);
	take(hand, ADDRSPACE_FRAME_REGION_NODE, 0);
	hand->machine.handler.uncharge(&hand->machine, ADDRSPACE_FRAME_REGION_NODE, 1);
	caught(hand, "still out");
	fake_machine_assert_all_returned(&hand->machine);
	caught(hand, "leaked");
}

/* ---- Locks ---- */

static void hooks_without_their_lock_are_caught(void **state)
{
	struct hand *hand = *state;
	struct fake_machine *machine = &hand->machine;
	struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_TABLE};
	struct addrspace_frame frame;

	machine->allow_unlocked = false;
	machine->handler.charge(machine, ADDRSPACE_FRAME_TABLE, 1);
	caught(hand, "charge without a lock");
	machine->handler.allocate(machine, &request, &frame);
	caught(hand, "allocate without a lock");
	machine->handler.free(machine, &request, frame.hpa);
	caught(hand, "free without a lock");
	machine->handler.lock_shared(machine);
	invalidate(hand, 0, PAGE, PAGE, false);
	caught(hand, "without the exclusive lock");
	machine->handler.unlock_shared(machine);
	machine->handler.lock_exclusive(machine);
	invalidate(hand, 0, PAGE, PAGE, false);
	machine->handler.unlock_exclusive(machine);
	fake_machine_assert_unlocked(machine);
}

static void wrong_locking_is_caught(void **state)
{
	struct hand *hand = *state;
	struct fake_machine *machine = &hand->machine;

	machine->handler.lock_shared(machine);
	fake_machine_set_cpu(machine, 1);
	machine->handler.lock_shared(machine);
	nothing_caught(hand);
	machine->handler.unlock_exclusive(machine);
	caught(hand, "does not hold that lock");
	machine->handler.lock_exclusive(machine);
	caught(hand, "for ever");
	fake_machine_set_cpu(machine, 0);
	machine->handler.unlock_shared(machine);
	fake_machine_assert_unlocked(machine);
	caught(hand, "still holds");
	machine->handler.lock_shared(machine);
	caught(hand, "for ever");
	machine->handler.lock_shared(machine);
	hand->expected++;
	caught(hand, "for ever");
}

static void malformed_invalidations_are_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t limit = UINT64_C(1) << hand->machine.geometry.input_bits;

	invalidate(hand, 0, limit, PAGE, true);
	nothing_caught(hand);
	assert_int_equal(fake_machine_invalidation(&hand->machine, 0)->size, limit);
	invalidate(hand, PAGE, limit, PAGE, true);
	caught(hand, "leaves the space");
	invalidate(hand, 0, 0, PAGE, true);
	caught(hand, "invalidate:");
	invalidate(hand, 0, PAGE, 2 * PAGE, true);
	caught(hand, "stride");
}

/* ---- TLBs ---- */

static void cpu_walks_and_then_uses_what_it_kept(void **state)
{
	struct hand *hand = *state;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 3 * PAGE);
	struct fake_access_result result;

	map_page(hand, 3 * PAGE, hpa, READ | WRITE);
	assert_int_equal(fake_cpu_access(&hand->machine, 0, 3 * PAGE + 24, WRITE, &result),
			 FAKE_HIT);
	assert_int_equal(result.hpa, hpa + 24);
	assert_int_equal(result.leaf_size, PAGE);
	assert_int_equal(result.permissions, READ | WRITE);
	assert_int_equal(result.memory_type, ADDRSPACE_WRITE_BACK);
	assert_false(result.from_tlb);
	assert_int_equal(fake_cpu_access(&hand->machine, 0, 3 * PAGE + 24, READ, &result),
			 FAKE_HIT);
	assert_true(result.from_tlb);
	assert_int_equal(((uint64_t *)fake_machine_pointer(&hand->machine, hpa))[3],
			 fake_machine_token(3 * PAGE + 24));
	assert_int_equal(touch(hand, 0, 3 * PAGE, EXECUTE), FAKE_FAULT_PERMISSION);
	assert_int_equal(touch(hand, 0, UINT64_C(1) << 41, READ), FAKE_FAULT_NOT_PRESENT);
	fake_machine_check_tables(&hand->machine);
	fake_machine_check_tlbs(&hand->machine);
}

static void stale_leaf_serves_until_it_is_invalidated(void **state)
{
	struct hand *hand = *state;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);
	uint64_t *entry = map_page(hand, 0, hpa, READ);

	touch(hand, 0, 0, READ);
	touch(hand, 1, 0, READ);
	*entry = 0;
	assert_int_equal(touch(hand, 0, 0, READ), FAKE_HIT);
	fake_machine_check_tlbs(&hand->machine);
	hand->expected++;
	caught(hand, "not mapped any more");
	give(hand, ADDRSPACE_FRAME_GUEST, 0, hpa);
	caught(hand, "the TLB of CPU 0 reaches it");
	assert_int_equal(touch(hand, 1, 0, READ), FAKE_HIT);
	caught(hand, "reached a free frame");
	invalidate(hand, 0, PAGE, PAGE, false);
	assert_int_equal(touch(hand, 1, 0, READ), FAKE_FAULT_NOT_PRESENT);
	/* Its only table is empty now. */
	fake_machine_check_tables(&hand->machine);
	caught(hand, "empty table");
}

static void invalidation_of_this_cpu_leaves_the_others(void **state)
{
	struct hand *hand = *state;
	uint64_t *entry = map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ);
	struct addrspace_invalidation invalidation = {
		.size = PAGE,
		.stride = PAGE,
		.scope = ADDRSPACE_THIS_CPU,
	};

	touch(hand, 0, 0, READ);
	touch(hand, 1, 0, READ);
	*entry = 0;
	fake_machine_set_cpu(&hand->machine, 1);
	hand->machine.handler.invalidate(&hand->machine, &invalidation);
	assert_int_equal(touch(hand, 1, 0, READ), FAKE_FAULT_NOT_PRESENT);
	assert_int_equal(touch(hand, 0, 0, READ), FAKE_HIT);
}

static void spinning_cpu_flushes_before_it_enters(void **state)
{
	struct hand *hand = *state;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);
	uint64_t *entry = map_page(hand, 0, hpa, READ);

	touch(hand, 2, 0, READ);
	fake_cpu_set_spinning(&hand->machine.cpus[2], true);
	*entry = 0;
	invalidate(hand, 0, PAGE, PAGE, false);
	assert_true(hand->machine.cpus[2].flush_pending);
	give(hand, ADDRSPACE_FRAME_GUEST, 0, hpa);
	nothing_caught(hand);
	touch(hand, 2, 0, READ);
	caught(hand, "while it spins");
	fake_cpu_set_spinning(&hand->machine.cpus[2], false);
	assert_int_equal(touch(hand, 2, 0, READ), FAKE_FAULT_NOT_PRESENT);
}

/** Detaches the table of 4 KiB pages, and tells only half of it to the TLBs. */
static void walk_cache_outlives_invalidation_by_address(void **state)
{
	struct hand *hand = *state;
	uint64_t table = path_to(hand, 0, 0);
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);

	map_page(hand, 0, hpa, READ);
	touch(hand, 0, 0, READ);
	*entry_at(hand, path_to(hand, 1, 0), 1, 0) = 0;
	invalidate(hand, 0, UINT64_C(2) << 20, PAGE, false);
	if (!hand->walker->walk_cache_survives_by_address) {
		assert_int_equal(touch(hand, 0, 0, READ), FAKE_FAULT_NOT_PRESENT);
		return;
	}
	assert_int_equal(touch(hand, 0, 0, READ), FAKE_HIT);
	give(hand, ADDRSPACE_FRAME_TABLE, 0, table);
	caught(hand, "the TLB of CPU 0 reaches it");
	assert_int_equal(touch(hand, 0, PAGE, READ), FAKE_FAULT_MISCONFIGURED);
	caught(hand, "not a table's");
	invalidate(hand, 0, UINT64_C(2) << 20, PAGE, true);
	assert_int_equal(touch(hand, 0, 0, READ), FAKE_FAULT_NOT_PRESENT);
}

static void stale_walk_cache_is_caught_at_rest(void **state)
{
	struct hand *hand = *state;

	map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ);
	touch(hand, 0, 0, READ);
	fake_machine_check_tlbs(&hand->machine);
	nothing_caught(hand);
	*entry_at(hand, path_to(hand, 1, 0), 1, 0) = 0;
	fake_machine_check_tlbs(&hand->machine);
	hand->expected++;
	caught(hand, "stale");
}

static void stride_that_is_too_long_misses_pages(void **state)
{
	struct hand *hand = *state;
	uint64_t *entry = map_page(hand, PAGE, take(hand, ADDRSPACE_FRAME_GUEST, PAGE), READ);

	touch(hand, 0, PAGE, READ);
	*entry = 0;
	invalidate(hand, 0, UINT64_C(2) << 20, UINT64_C(2) << 20, false);
	assert_int_equal(touch(hand, 0, PAGE, READ), hand->walker->walk_cache_survives_by_address
							     ? FAKE_HIT
							     : FAKE_FAULT_NOT_PRESENT);
	invalidate(hand, 0, UINT64_C(2) << 20, PAGE, false);
	assert_int_equal(touch(hand, 0, PAGE, READ), FAKE_FAULT_NOT_PRESENT);
}

static void raised_permission_meets_the_stale_leaf(void **state)
{
	struct hand *hand = *state;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);

	map_page(hand, 0, hpa, READ);
	touch(hand, 0, 0, READ);
	map_page(hand, 0, hpa, READ | WRITE);
	assert_int_equal(touch(hand, 0, 0, WRITE),
			 hand->walker->fault_drops_cached ? FAKE_HIT : FAKE_FAULT_PERMISSION);
	fake_machine_check_tlbs(&hand->machine);
	nothing_caught(hand);
	touch(hand, 1, 0, WRITE);
	map_page(hand, 0, hpa, READ);
	fake_machine_check_tlbs(&hand->machine);
	hand->expected += hand->walker->fault_drops_cached;
	caught(hand, "allows less");
}

static void absent_entries_stay_cached_only_where_they_may(void **state)
{
	struct hand *hand = *state;
	bool cached = hand->machine.geometry.caches_not_present;

	assert_int_equal(touch(hand, 0, 0, READ), FAKE_FAULT_NOT_PRESENT);
	map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ);
	assert_int_equal(touch(hand, 0, 0, READ), cached ? FAKE_FAULT_NOT_PRESENT : FAKE_HIT);
	fake_machine_check_tlbs(&hand->machine);
	/* What was absent above the pages outlives an invalidation by address. */
	invalidate(hand, 0, PAGE, PAGE, false);
	assert_int_equal(touch(hand, 0, 0, READ), cached ? FAKE_FAULT_NOT_PRESENT : FAKE_HIT);
	invalidate(hand, 0, PAGE, PAGE, true);
	assert_int_equal(touch(hand, 0, 0, READ), FAKE_HIT);
	/* An absent page does not. */
	assert_int_equal(touch(hand, 0, PAGE, READ), FAKE_FAULT_NOT_PRESENT);
	map_page(hand, PAGE, take(hand, ADDRSPACE_FRAME_GUEST, PAGE), READ);
	assert_int_equal(touch(hand, 0, PAGE, READ), cached ? FAKE_FAULT_NOT_PRESENT : FAKE_HIT);
	invalidate(hand, PAGE, PAGE, PAGE, false);
	assert_int_equal(touch(hand, 0, PAGE, READ), FAKE_HIT);
}

/* ---- Break before make ---- */

static void other_frame_without_a_break_is_caught(void **state)
{
	struct hand *hand = *state;

	map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ);
	touch(hand, 0, 0, READ);
	map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ);
	assert_int_equal(touch(hand, 1, 0, READ), FAKE_FAULT_MISCONFIGURED);
	caught(hand, "another output address");
	fake_machine_check_tlbs(&hand->machine);
	caught(hand, "the page is elsewhere");
}

static void other_type_without_a_break_is_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t *entry = map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ);

	hand->machine.geometry.svpbmt = true;
	touch(hand, 0, 0, READ);
	if (hand->walker == &fake_walker_ept)
		*entry &= ~UINT64_C(0x38);
	else if (hand->walker == &fake_walker_npt)
		*entry |= 0x18; /* entry 3 of the PAT: UC */
	else if (hand->walker == &fake_walker_stage2)
		*entry ^= (15 ^ 1) << 2;
	else
		*entry |= UINT64_C(2) << 61;
	assert_int_equal(touch(hand, 1, 0, READ), FAKE_FAULT_MISCONFIGURED);
	caught(hand, "another type");
	fake_machine_check_tlbs(&hand->machine);
	caught(hand, "another type");
}

/** The old table stays in the walk caches of the CPU that used it. */
static void other_table_without_a_break_is_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t table = take(hand, ADDRSPACE_FRAME_TABLE, 0);

	map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ);
	touch(hand, 0, 0, READ);
	memcpy(fake_machine_pointer(&hand->machine, table),
	       fake_machine_pointer(&hand->machine, path_to(hand, 0, 0)), PAGE);
	*entry_at(hand, path_to(hand, 1, 0), 1, 0) = table_entry(hand, table);
	touch(hand, 1, 0, READ);
	if (hand->walker->break_before_make)
		caught(hand, "another table");
	fake_machine_check_tlbs(&hand->machine);
	caught(hand, "the table is elsewhere");
}

static void merge_to_other_frames_is_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t run = take_run(hand, ADDRSPACE_FRAME_GUEST, 9, 0);

	map_page(hand, 5 * PAGE, take(hand, ADDRSPACE_FRAME_GUEST, 5 * PAGE), READ);
	touch(hand, 0, 5 * PAGE, READ);
	map_large(hand, 0, run, READ);
	assert_int_equal(touch(hand, 1, PAGE, READ), FAKE_FAULT_MISCONFIGURED);
	caught(hand, hand->walker->break_before_make ? "became a leaf" : "another output address");
}

static void other_permission_needs_no_break(void **state)
{
	struct hand *hand = *state;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);

	map_page(hand, 0, hpa, READ | WRITE);
	touch(hand, 0, 0, WRITE);
	map_page(hand, 0, hpa, READ);
	assert_int_equal(touch(hand, 1, 0, READ), FAKE_HIT);
}

/** Fills a table with the pages of the large leaf and links it over the live leaf. */
static void split_needs_a_break_only_on_arm(void **state)
{
	struct hand *hand = *state;
	uint64_t run = take_run(hand, ADDRSPACE_FRAME_GUEST, 9, 0);
	uint64_t *entry = map_large(hand, 0, run, READ);
	uint64_t table = take(hand, ADDRSPACE_FRAME_TABLE, 0);

	assert_int_equal(touch(hand, 0, 5 * PAGE, READ), FAKE_HIT);
	for (uint64_t i = 0; i < 512; i++)
		*entry_at(hand, table, 0, i * PAGE) = leaf_entry(hand, 0, run + i * PAGE, READ);
	*entry = table_entry(hand, table);
	if (hand->walker->break_before_make) {
		fake_machine_check_tlbs(&hand->machine);
		caught(hand, "another size");
		touch(hand, 1, 0, READ);
		caught(hand, "became a table");
	}
	invalidate(hand, 0, UINT64_C(2) << 20, PAGE, true);
	if (hand->walker->break_before_make)
		caught(hand, "a leaf of another size went live without break");
	assert_int_equal(touch(hand, 1, 0, READ), FAKE_HIT);
	fake_machine_check_tables(&hand->machine);
	fake_machine_check_tlbs(&hand->machine);
}

static void merge_needs_a_break_only_on_arm(void **state)
{
	struct hand *hand = *state;
	uint64_t run = take_run(hand, ADDRSPACE_FRAME_GUEST, 9, 0);

	map_page(hand, 5 * PAGE, run + 5 * PAGE, READ);
	assert_int_equal(touch(hand, 0, 5 * PAGE, READ), FAKE_HIT);
	map_large(hand, 0, run, READ);
	if (!hand->walker->break_before_make) {
		assert_int_equal(touch(hand, 1, PAGE, READ), FAKE_HIT);
		return;
	}
	touch(hand, 1, PAGE, READ);
	caught(hand, "became a leaf");
	/* By address the pages go, but not what leads to their table. */
	invalidate(hand, 0, UINT64_C(2) << 20, PAGE, false);
	caught(hand, "a leaf of another size went live without break");
	touch(hand, 1, PAGE, READ);
	caught(hand, "became a leaf");
	invalidate(hand, 0, UINT64_C(2) << 20, PAGE, true);
	assert_int_equal(touch(hand, 1, PAGE, READ), FAKE_HIT);
}

/* ---- What a guest may reach ---- */

static void guest_in_foreign_frames_is_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t node = take(hand, ADDRSPACE_FRAME_REGION_NODE, 0);
	uint64_t other = take(hand, ADDRSPACE_FRAME_GUEST, 9 * PAGE);
	uint64_t lent = fake_machine_lend(&hand->machine, 0);

	map_page(hand, 0, node, READ);
	touch(hand, 0, 0, READ);
	caught(hand, "a region's node");
	map_page(hand, PAGE, hand->root, READ);
	touch(hand, 0, PAGE, READ);
	caught(hand, "the root");
	map_page(hand, 2 * PAGE, other, READ);
	touch(hand, 0, 2 * PAGE, READ);
	caught(hand, "the frame of gpa");
	map_page(hand, 3 * PAGE, UINT64_C(0x1000), READ);
	touch(hand, 0, 3 * PAGE, READ);
	caught(hand, "not its own");
	fake_machine_register_linear(&hand->machine, 0x1000, PAGE);
	assert_int_equal(touch(hand, 0, 3 * PAGE, READ), FAKE_HIT);
	map_page(hand, 4 * PAGE, lent, READ);
	assert_int_equal(touch(hand, 0, 4 * PAGE, READ), FAKE_HIT);
	nothing_caught(hand);
	fake_machine_take_back(&hand->machine, lent);
	caught(hand, "TLB");
}

static void frame_that_was_not_zeroed_is_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);
	uint64_t *words = fake_machine_pointer(&hand->machine, hpa);

	map_page(hand, 0, hpa, READ);
	words[2] = FAKE_POISON;
	touch(hand, 0, 16, READ);
	caught(hand, "not its own data");
	words[2] = fake_machine_token(16);
	touch(hand, 0, 16, READ);
}

static void free_of_a_mapped_frame_is_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);

	map_page(hand, 0, hpa, READ);
	give(hand, ADDRSPACE_FRAME_GUEST, 0, hpa);
	caught(hand, "an entry still names it");
	fake_machine_check_tables(&hand->machine);
	caught(hand, "no guest data");
}

static void free_of_a_linked_table_is_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t table;

	map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ);
	table = path_to(hand, 0, 0);
	give(hand, ADDRSPACE_FRAME_TABLE, 0, table);
	caught(hand, "an entry still names it");
	fake_machine_walk_all(&hand->machine, NULL, NULL);
	caught(hand, "names no table's frame");
}

static void free_of_a_frame_that_a_dead_entry_names_is_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);
	uint64_t *entry = map_page(hand, 0, hpa, READ);
	uint64_t present = hand->walker == &fake_walker_ept ? 7 : 1;

	*entry &= ~present;
	fake_machine_check_tables(&hand->machine);
	nothing_caught(hand);
	give(hand, ADDRSPACE_FRAME_GUEST, 0, hpa);
	caught(hand, "an entry still names it");
}

/* ---- Tables at rest ---- */

static void leaked_and_doubly_used_tables_are_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t table;

	map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ);
	fake_machine_check_tables(&hand->machine);
	nothing_caught(hand);
	table = take(hand, ADDRSPACE_FRAME_TABLE, 0);
	fake_machine_check_tables(&hand->machine);
	caught(hand, "2 tables reachable, 3 allocated");
	give(hand, ADDRSPACE_FRAME_TABLE, 0, table);
	*entry_at(hand, path_to(hand, 1, 0), 1, UINT64_C(2) << 20) =
		table_entry(hand, path_to(hand, 0, 0));
	fake_machine_check_tables(&hand->machine);
	caught(hand, "reached twice");
}

static void leaked_and_doubly_used_frames_are_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);

	fake_machine_check_tables(&hand->machine);
	caught(hand, "0 guest frames mapped or parked, 1 out");
	map_page(hand, 0, hpa, READ);
	map_page(hand, PAGE, hpa, READ);
	fake_machine_check_tables(&hand->machine);
	caught(hand, "the frame of another page");
}

static void illegal_entries_are_caught_by_walk_and_check(void **state)
{
	struct hand *hand = *state;
	uint64_t *entry = map_page(hand, 0, fake_machine_lend(&hand->machine, 0), READ);

	*entry = FAKE_POISON;
	assert_int_equal(touch(hand, 0, 0, READ), FAKE_FAULT_MISCONFIGURED);
	caught(hand, hand->walker->name);
	fake_machine_check_tables(&hand->machine);
	caught(hand, hand->walker->name);
	*entry = FAKE_STALE_POISON;
	fake_machine_check_tables(&hand->machine);
	caught(hand, hand->walker->name);
}

static void snapshot_sees_each_kind_of_change(void **state)
{
	struct hand *hand = *state;
	struct fake_snapshot before;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);
	uint64_t *entry = map_page(hand, 0, hpa, READ | WRITE);

	fake_machine_snapshot(&hand->machine, NULL, &before);
	touch(hand, 0, 0, WRITE);
	fake_machine_assert_unchanged(&hand->machine, NULL, &before);
	nothing_caught(hand);
	*entry = leaf_entry(hand, 0, hpa, READ);
	fake_machine_assert_unchanged(&hand->machine, NULL, &before);
	caught(hand, "changed leaves");
	*entry = leaf_entry(hand, 0, hpa, READ | WRITE);
	fake_machine_frame(&hand->machine, hpa)->cookie = 1;
	fake_machine_assert_unchanged(&hand->machine, NULL, &before);
	caught(hand, "which frames");
	fake_machine_frame(&hand->machine, hpa)->cookie = 0;
	take(hand, ADDRSPACE_FRAME_TABLE, 0);
	fake_machine_assert_unchanged(&hand->machine, NULL, &before);
	caught(hand, "changed kind 1");
}

/* ---- Accessed and dirty ---- */

static void hardware_sets_accessed_and_dirty(void **state)
{
	struct hand *hand = *state;
	struct fake_translation now;
	uint64_t *entry = map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ | WRITE);
	uint64_t accessed = 1 << 8, dirty = 1 << 9;

	if (hand->walker == &fake_walker_stage2) {
		accessed = 1 << 10;
		dirty = 1 << 7;
		*entry |= UINT64_C(1) << 51;
	} else if (hand->walker == &fake_walker_gstage) {
		accessed = 1 << 6;
		dirty = 1 << 7;
	} else if (hand->walker == &fake_walker_npt) {
		accessed = 1 << 5;
		dirty = 1 << 6;
	}
	hand->machine.geometry.hardware_ad = true;
	*entry &= ~(accessed | dirty);
	assert_int_equal(touch(hand, 0, 0, READ), FAKE_HIT);
	assert_true(*entry & accessed);
	assert_false(*entry & dirty);
	assert_true(fake_machine_translate(&hand->machine, 0, &now));
	assert_int_equal(now.permissions, READ | WRITE);
	assert_true(now.accessed && !now.dirty);
	/* A kept clean leaf is not good enough for a store. */
	assert_int_equal(touch(hand, 0, 0, WRITE), FAKE_HIT);
	assert_true(*entry & dirty);
}

static void missing_accessed_or_dirty_flag_is_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t *entry = map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ | WRITE);

	if (hand->walker == &fake_walker_stage2) {
		*entry &= ~(UINT64_C(1) << 10);
	} else {
		uint64_t accessed = hand->walker == &fake_walker_npt ? 1 << 5 : 1 << 6;

		*entry &= ~(2 * accessed);
		assert_int_equal(touch(hand, 0, 0, READ), FAKE_HIT);
		assert_int_equal(touch(hand, 0, 0, WRITE), FAKE_FAULT_MISCONFIGURED);
		caught(hand, "dirty fault");
		*entry &= ~accessed;
	}
	assert_int_equal(touch(hand, 1, 0, READ), FAKE_FAULT_MISCONFIGURED);
	caught(hand, "access flag");
}

/* ---- Behind the caches ---- */

static void unprepared_frame_is_caught(void **state)
{
	struct hand *hand = *state;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);

	map_page(hand, 0, hpa, READ | WRITE);
	hand->machine.require_prepare = false;
	touch(hand, 0, 0, READ);
	caught(hand, "behind the caches");
	hand->machine.require_prepare = true;
	touch(hand, 0, 8, WRITE);
	caught(hand, "never prepared");
	hand->machine.handler.prepare_frame(&hand->machine, hpa, PAGE);
	touch(hand, 0, 0, READ);
	touch(hand, 0, 8, READ);
	nothing_caught(hand);
	hand->machine.handler.prepare_frame(&hand->machine, hand->root, PAGE);
	caught(hand, "not guest data");
}

static void unsynced_table_is_caught(void **state)
{
	struct hand *hand = *state;
	struct fake_translation now;
	uint64_t hpa = take(hand, ADDRSPACE_FRAME_GUEST, 0);
	struct paging_handler *handler = &hand->machine.handler;
	uint64_t *entry = map_page(hand, 0, hpa, READ);
	uint64_t tables[3] = {hand->root, path_to(hand, 1, 0), path_to(hand, 0, 0)};

	for (unsigned i = 0; i < 3; i++)
		handler->sync_table(&hand->machine, fake_machine_pointer(&hand->machine, tables[i]),
				    PAGE);
	fake_machine_check_synced(&hand->machine);
	assert_true(fake_iommu_translate(&hand->machine, 0, &now));
	assert_int_equal(now.hpa, hpa);
	*entry = 0;
	assert_true(fake_iommu_translate(&hand->machine, 0, &now));
	fake_machine_check_synced(&hand->machine);
	caught(hand, "not synced");
	handler->sync_table(&hand->machine, entry, sizeof(*entry));
	assert_false(fake_iommu_translate(&hand->machine, 0, &now));
	fake_machine_check_synced(&hand->machine);
	nothing_caught(hand);
	handler->sync_table(&hand->machine, fake_machine_pointer(&hand->machine, hpa), 8);
	caught(hand, "not in a table");
}

/* ---- Callbacks ---- */

static void play(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	unsigned *seen = ctx;

	(void)machine;
	*seen |= 1u << event;
}

static void hot_addresses_are_touched_in_every_callback(void **state)
{
	struct hand *hand = *state;
	unsigned seen = 0;
	uint64_t *entry = map_page(hand, 0, take(hand, ADDRSPACE_FRAME_GUEST, 0), READ | WRITE);

	fake_machine_add_hot(&hand->machine, 0, READ | WRITE);
	hand->machine.interlude = play;
	hand->machine.interlude_ctx = &seen;
	invalidate(hand, 0, PAGE, PAGE, false);
	assert_int_equal(seen, 1u << FAKE_BEFORE_INVALIDATE | 1u << FAKE_AFTER_INVALIDATE);
	assert_int_equal(hand->machine.counters.hot_hits, 2 * 2 * FAKE_CPUS);
	*entry = 0;
	/* The touch before it still hits what was kept, the one after does not. */
	invalidate(hand, 0, PAGE, PAGE, true);
	assert_int_equal(hand->machine.counters.hot_hits, 3 * 2 * FAKE_CPUS);
	assert_int_equal(hand->machine.counters.hot_faults, 2 * FAKE_CPUS);
}

static void direct_map_is_an_offset_or_a_callback(void **state)
{
	struct hand *hand = *state;
	struct paging_handler *handler = &hand->machine.handler;
	void *pointer = fake_machine_pointer(&hand->machine, hand->root);

	assert_null(handler->physical_to_virtual);
	assert_ptr_equal((void *)(uintptr_t)(hand->root + handler->direct_map_offset), pointer);
	fake_machine_use_callback(&hand->machine);
	assert_ptr_equal(handler->physical_to_virtual(&hand->machine, hand->root), pointer);
	assert_int_equal(handler->virtual_to_physical(&hand->machine, pointer), hand->root);
	handler->physical_to_virtual(&hand->machine, hand->root + 8);
	caught(hand, "not aligned");
}

/* ---- With a space of the library ---- */

static void expect_failure(struct fixture *fixture, const char *what)
{
	if (!fixture->machine.failures || !strstr(fixture->machine.last_failure, what))
		fail_msg("expected \"%s\": %s", what, fixture->machine.last_failure);
	fixture->machine.failures = 0;
}

static void snapshot_sees_regions_and_charges(void **state)
{
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;
	struct fake_snapshot before;

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, PAGE, &fixture_rw, 0), 0);
	fake_machine_snapshot(machine, &fixture->as, &before);
	fake_machine_assert_unchanged(machine, &fixture->as, &before);
	assert_int_equal(addrspace_protect(&fixture->as, 0, PAGE, READ), 0);
	machine->capture_failures = true;
	fake_machine_assert_unchanged(machine, &fixture->as, &before);
	expect_failure(fixture, "changed regions");
	machine->charged[ADDRSPACE_FRAME_GUEST]++;
	before.regions = 0;
	fake_machine_assert_unchanged(machine, NULL, &before);
	machine->charged[ADDRSPACE_FRAME_GUEST]--;
	assert_true(machine->failures >= 1);
	machine->capture_failures = false;
}

static void entry_changed_behind_the_library_is_caught(void **state)
{
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;
	struct fake_translation now;

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, PAGE, &fixture_rw, 0), 0);
	fixture_warm(fixture, 0, WRITE);
	assert_true(fake_machine_translate(machine, 0, &now));
	machine->capture_failures = true;
	fake_machine_frame(machine, now.hpa)->gpa = PAGE;
	assert_int_equal(fake_cpu_access(machine, 0, 0, READ, NULL), FAKE_HIT);
	expect_failure(fixture, "the frame of gpa");
	fixture_check(fixture);
	expect_failure(fixture, "0 guest frames mapped or parked, 1 out");
	fake_machine_frame(machine, now.hpa)->gpa = 0;
	fixture_check(fixture);
	assert_int_equal(machine->failures, 0);
	machine->capture_failures = false;
}

#define ON_EPT(test)                                                                               \
	{                                                                                          \
#test " [ept]", test, set_up_ept, tear_down, NULL                                  \
	}
#define ON_NPT(test)                                                                               \
	{                                                                                          \
#test " [npt]", test, set_up_npt, tear_down, NULL                                  \
	}
#define ON_STAGE2(test)                                                                            \
	{                                                                                          \
#test " [stage 2]", test, set_up_stage2, tear_down, NULL                           \
	}
#define ON_GSTAGE(test)                                                                            \
	{                                                                                          \
#test " [G-stage]", test, set_up_gstage, tear_down, NULL                           \
	}
#define BEHIND_CACHES(test)                                                                        \
	{                                                                                          \
#test, test, set_up_non_coherent, tear_down, NULL                                  \
	}
#define ON_ALL(test) ON_EPT(test), ON_NPT(test), ON_STAGE2(test), ON_GSTAGE(test)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		ON_EPT(frames_are_poisoned_when_they_come_and_when_they_go),
		ON_EPT(zeroed_and_valid_frames_hold_what_they_promise),
		ON_EPT(runs_are_naturally_aligned_and_free_in_pieces),
		ON_EPT(wrong_frees_are_caught),
		ON_EPT(malformed_requests_are_caught),
		ON_EPT(nth_allocation_fails_once),
		ON_EPT(charges_and_quota_are_watched),
		ON_ALL(leaks_are_caught),
		ON_EPT(hooks_without_their_lock_are_caught),
		ON_EPT(wrong_locking_is_caught),
		ON_ALL(malformed_invalidations_are_caught),
		ON_ALL(cpu_walks_and_then_uses_what_it_kept),
		ON_ALL(stale_leaf_serves_until_it_is_invalidated),
		ON_ALL(invalidation_of_this_cpu_leaves_the_others),
		ON_ALL(spinning_cpu_flushes_before_it_enters),
		ON_ALL(walk_cache_outlives_invalidation_by_address),
		ON_ALL(stale_walk_cache_is_caught_at_rest),
		ON_ALL(stride_that_is_too_long_misses_pages),
		ON_ALL(raised_permission_meets_the_stale_leaf),
		ON_ALL(absent_entries_stay_cached_only_where_they_may),
		ON_ALL(other_frame_without_a_break_is_caught),
		ON_ALL(other_type_without_a_break_is_caught),
		ON_ALL(other_table_without_a_break_is_caught),
		ON_ALL(merge_to_other_frames_is_caught),
		ON_ALL(other_permission_needs_no_break),
		ON_ALL(split_needs_a_break_only_on_arm),
		ON_ALL(merge_needs_a_break_only_on_arm),
		ON_ALL(guest_in_foreign_frames_is_caught),
		ON_ALL(frame_that_was_not_zeroed_is_caught),
		ON_ALL(free_of_a_mapped_frame_is_caught),
		ON_ALL(free_of_a_linked_table_is_caught),
		ON_ALL(free_of_a_frame_that_a_dead_entry_names_is_caught),
		ON_ALL(leaked_and_doubly_used_tables_are_caught),
		ON_ALL(leaked_and_doubly_used_frames_are_caught),
		ON_ALL(illegal_entries_are_caught_by_walk_and_check),
		ON_ALL(snapshot_sees_each_kind_of_change),
		ON_ALL(hardware_sets_accessed_and_dirty),
		ON_STAGE2(missing_accessed_or_dirty_flag_is_caught),
		ON_GSTAGE(missing_accessed_or_dirty_flag_is_caught),
		ON_NPT(missing_accessed_or_dirty_flag_is_caught),
		BEHIND_CACHES(unprepared_frame_is_caught),
		BEHIND_CACHES(unsynced_table_is_caught),
		ON_ALL(hot_addresses_are_touched_in_every_callback),
		ON_EPT(direct_map_is_an_offset_or_a_callback),
	};

	static const struct CMUnitTest with_space[] = {
		cmocka_unit_test(snapshot_sees_regions_and_charges),
		cmocka_unit_test(entry_changed_behind_the_library_is_caught),
	};
	int failed = cmocka_run_group_tests_name("fake machine", tests, NULL, NULL);

	return failed + run_over_canonical_layouts("fake machine and library", with_space,
						   sizeof(with_space) / sizeof(with_space[0]));
}
