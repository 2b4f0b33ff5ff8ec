/* SPDX-License-Identifier: MIT */
/* Frames before the guest asks for them: around a fault, and by prefault, whole or as far as memory goes. */
#include <addrspace/job.h>

#include "layouts.h"

#define PAGE    FAKE_PAGE_SIZE
#define MIB     (UINT64_C(1) << 20)
#define GIB     (UINT64_C(1) << 30)
#define LEAF    (2 * MIB)
#define RW      (ADDRSPACE_READ | ADDRSPACE_WRITE)
#define PARTIAL ((unsigned)ADDRSPACE_PREFAULT_PARTIAL)

static void map(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned permissions,
		enum addrspace_leaf largest, unsigned around)
{
	struct addrspace_attributes attributes = fixture_rw;

	attributes.permissions = permissions;
	attributes.largest_leaf = largest;
	attributes.fault_around = around;
	assert_int_equal(addrspace_map_alloc(&fixture->as, gpa, size, &attributes, 0), 0);
}

static void map_lazy(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	map(fixture, gpa, size, RW, ADDRSPACE_LEAF_4K, 0);
}

static int fault(struct fixture *fixture, uint64_t gpa)
{
	return addrspace_handle_fault(&fixture->as, gpa, ADDRSPACE_READ, NULL);
}

static int prefault(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned flags,
		    uint64_t *done)
{
	*done = 0x123;
	return addrspace_prefault(&fixture->as, gpa, size, flags, done);
}

static uint64_t guest_frames(const struct fixture *fixture)
{
	return fixture->machine.live[ADDRSPACE_FRAME_GUEST];
}

static bool is_mapped(struct fixture *fixture, uint64_t gpa)
{
	struct fake_translation now;

	return fake_machine_translate(&fixture->machine, gpa, &now);
}

static uint64_t leaf_size(struct fixture *fixture, uint64_t gpa)
{
	struct fake_translation now = {0};

	return fake_machine_translate(&fixture->machine, gpa, &now) ? now.leaf_size : 0;
}

static uint64_t leaf_of(const struct fixture *fixture)
{
	return layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M) ? LEAF : PAGE;
}

/** Room for so many more frames, of any kind. */
static void set_quota(struct fixture *fixture, uint64_t frames)
{
	fixture->machine.quota = frames;
	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		fixture->machine.quota += fixture->machine.charged[kind];
}

/* ---- around a fault ---- */

static void fault_brings_the_aligned_block_around_it(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t *words;

	map(fixture, 0, GIB, RW, ADDRSPACE_LEAF_4K, 16);
	assert_int_equal(fault(fixture, LEAF + 21 * PAGE + 5), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), 16);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(is_mapped(fixture, LEAF + i * PAGE), i >= 16 && i < 32);
	words = fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, LEAF + 31 * PAGE));
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(words[i], 0);
	assert_int_equal(fault(fixture, LEAF + 31 * PAGE), ADDRSPACE_FAULT_ALREADY_RESOLVED);
	assert_int_equal(guest_frames(fixture), 16);
}

static void block_ends_where_the_region_does(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, LEAF + 5 * PAGE, 20 * PAGE, RW, ADDRSPACE_LEAF_4K, 16);
	assert_int_equal(fault(fixture, LEAF + 9 * PAGE), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), 11);
	assert_int_equal(fault(fixture, LEAF + 16 * PAGE), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), 20);
}

static void largest_block_is_one_table(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, GIB, RW, ADDRSPACE_LEAF_4K, ADDRSPACE_MAX_FAULT_AROUND);
	assert_int_equal(fault(fixture, 2 * LEAF - 1), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), 512);
	assert_true(is_mapped(fixture, LEAF));
	assert_false(is_mapped(fixture, LEAF - PAGE));
	assert_false(is_mapped(fixture, 2 * LEAF));
}

static void block_keeps_what_is_there(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hpa;

	map(fixture, 0, GIB, RW, ADDRSPACE_LEAF_4K, 8);
	fixture_warm(fixture, 3 * PAGE, ADDRSPACE_WRITE);
	hpa = fixture_hpa(fixture, 3 * PAGE);
	assert_int_equal(addrspace_discard(&fixture->as, PAGE, PAGE), 0);
	assert_int_equal(addrspace_protect(&fixture->as, 6 * PAGE, PAGE, 0), 0);
	assert_int_equal(fault(fixture, PAGE), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(fixture_hpa(fixture, 3 * PAGE), hpa);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
			 fake_machine_token(3 * PAGE));
	assert_int_equal(guest_frames(fixture), 8);
	fixture_assert_not_mapped(fixture, 6 * PAGE);
}

static void memory_for_one_page_is_enough_for_the_fault(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, GIB, RW, ADDRSPACE_LEAF_4K, 16);
	set_quota(fixture, fixture->as.levels + 2);
	assert_int_equal(fault(fixture, 5 * PAGE), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), 3);
	assert_true(is_mapped(fixture, 5 * PAGE));
	fake_machine_assert_charges_balanced(&fixture->machine);
	fixture->machine.quota = UINT64_MAX;
}

static void any_one_allocation_of_a_block_may_fail(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;
	unsigned tables = fixture->as.levels - 1u;
	uint64_t n = 0;

	map(fixture, 0, GIB, RW, ADDRSPACE_LEAF_4K, 4);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	do {
		int result;

		fixture->machine.fail_at = ++n;
		result = fault(fixture, 2 * PAGE);
		assert_int_equal(result, n <= tables + 1 ? ADDRSPACE_FAULT_OUT_OF_MEMORY
							 : ADDRSPACE_FAULT_RESOLVED);
		fixture_check(fixture);
		assert_int_equal(addrspace_discard(&fixture->as, 0, GIB), 0);
		fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
	} while (!fixture->machine.fail_at);
	assert_int_equal(n, tables + 5);
	fixture->machine.fail_at = 0;
}

static void run_comes_rather_than_a_block(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, GIB, RW, ADDRSPACE_LEAF_2M, 8);
	assert_int_equal(fault(fixture, LEAF), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), leaf_of(fixture) == LEAF ? 512 : 8);
	/* The rest of a span with a page in it comes by blocks. */
	assert_int_equal(addrspace_discard(&fixture->as, LEAF + 8 * PAGE, LEAF - 8 * PAGE), 0);
	assert_int_equal(fault(fixture, LEAF + 8 * PAGE), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), 16);
}

/** Another CPU faults for the last page of the block while the first one asks for its frames. */
struct rival {
	struct fixture *fixture;
	uint64_t gpa;
	unsigned left; /* allocations before it comes */
	int outcome;
};

static void rival_faults(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	struct rival *rival = ctx;

	if (event != FAKE_AT_ALLOCATE || !rival->left || --rival->left)
		return;
	machine->in_event = false;
	fake_machine_set_cpu(machine, 1);
	rival->outcome = fault(rival->fixture, rival->gpa);
	fake_machine_set_cpu(machine, 0);
	machine->in_event = true;
}

static void two_cpus_that_bring_one_block_share_it(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, GIB, RW, ADDRSPACE_LEAF_4K, 8);
	for (unsigned left = 1; left <= 8u + fixture->as.levels; left++) {
		struct rival rival = {fixture, 7 * PAGE, left, -1};
		int outcome;

		fixture->machine.interlude = rival_faults;
		fixture->machine.interlude_ctx = &rival;
		outcome = fault(fixture, 2 * PAGE);
		fixture->machine.interlude = NULL;
		assert_true(outcome == ADDRSPACE_FAULT_RESOLVED ||
			    outcome == ADDRSPACE_FAULT_ALREADY_RESOLVED);
		assert_int_equal(guest_frames(fixture), 8);
		fixture_check(fixture);
		assert_int_equal(addrspace_discard(&fixture->as, 0, GIB), 0);
		assert_int_equal(guest_frames(fixture), 0);
	}
}

/* ---- prefault ---- */

static void prefaulted_pages_need_no_fault(void **state)
{
	struct fixture *fixture = *state;
	uint64_t done;

	map_lazy(fixture, 0, GIB);
	for (unsigned flags = 0; flags <= PARTIAL; flags += PARTIAL) {
		uint64_t gpa = LEAF - 3 * PAGE + flags * 4 * LEAF;

		assert_int_equal(prefault(fixture, gpa, 7 * PAGE, flags, &done), 0);
		assert_int_equal(done, 7 * PAGE);
		assert_false(is_mapped(fixture, gpa - PAGE));
		assert_false(is_mapped(fixture, gpa + 7 * PAGE));
		for (unsigned i = 0; i < 7; i++)
			assert_int_equal(fixture_guest(fixture, i % FAKE_CPUS, gpa + i * PAGE,
						       ADDRSPACE_WRITE),
					 ADDRSPACE_FAULT_RESOLVED);
	}
	assert_int_equal(guest_frames(fixture), 14);
}

static void what_is_there_stays(void **state)
{
	struct fixture *fixture = *state;
	uint64_t done;

	for (unsigned flags = 0; flags <= PARTIAL; flags += PARTIAL) {
		uint64_t gpa = flags * 4 * LEAF;
		uint64_t hpa;

		map_lazy(fixture, gpa, LEAF);
		fixture_warm(fixture, gpa + 3 * PAGE, ADDRSPACE_WRITE);
		fixture_warm(fixture, gpa + 5 * PAGE, ADDRSPACE_WRITE);
		assert_int_equal(addrspace_protect(&fixture->as, gpa + 5 * PAGE, PAGE, 0), 0);
		hpa = fixture_hpa(fixture, gpa + 3 * PAGE);
		assert_int_equal(prefault(fixture, gpa, LEAF, flags, &done), 0);
		assert_int_equal(done, LEAF);
		assert_int_equal(fixture_hpa(fixture, gpa + 3 * PAGE), hpa);
		assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
				 fake_machine_token(gpa + 3 * PAGE));
		fixture_assert_not_mapped(fixture, gpa + 5 * PAGE);
		assert_int_equal(guest_frames(fixture), 512 * (1 + flags));
		fixture_check(fixture);
		/* Again: nothing is left to do. */
		assert_int_equal(prefault(fixture, gpa, LEAF, flags, &done), 0);
		assert_int_equal(done, LEAF);
		assert_int_equal(guest_frames(fixture), 512 * (1 + flags));
	}
}

static void prefault_takes_runs_that_fit_into_the_range(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = leaf_of(fixture);
	uint64_t done;

	map(fixture, 0, GIB, RW, ADDRSPACE_LEAF_2M, 0);
	for (unsigned flags = 0; flags <= PARTIAL; flags += PARTIAL) {
		uint64_t gpa = flags * 8 * LEAF;

		assert_int_equal(prefault(fixture, gpa + PAGE, 3 * LEAF, flags, &done), 0);
		assert_int_equal(done, 3 * LEAF);
		assert_int_equal(leaf_size(fixture, gpa + PAGE), PAGE);
		assert_int_equal(leaf_size(fixture, gpa + LEAF), leaf);
		assert_int_equal(leaf_size(fixture, gpa + 2 * LEAF), leaf);
		assert_int_equal(leaf_size(fixture, gpa + 3 * LEAF), PAGE);
		assert_int_equal(leaf_size(fixture, gpa + 3 * LEAF + PAGE), 0);
		assert_int_equal(leaf_size(fixture, gpa), 0);
		assert_int_equal(guest_frames(fixture), 3 * LEAF / PAGE * (1 + flags));
	}
}

/** Regions of every kind side by side: only lazy ones want something. */
static void prefault_spans_regions_of_all_kinds(void **state)
{
	struct fixture *fixture = *state;
	uint64_t end = 8 * PAGE;
	uint64_t done;

	for (unsigned flags = 0; flags <= PARTIAL; flags += PARTIAL) {
		map_lazy(fixture, 0, 2 * PAGE);
		fixture_map_linear(fixture, 2 * PAGE, 2 * PAGE);
		map(fixture, 4 * PAGE, PAGE, 0, ADDRSPACE_LEAF_4K, 0);
		fixture_populate(fixture, 5 * PAGE, PAGE);
		map(fixture, 6 * PAGE, 2 * PAGE, ADDRSPACE_READ, ADDRSPACE_LEAF_2M, 0);
		assert_int_equal(prefault(fixture, 0, end, flags, &done), 0);
		assert_int_equal(done, end);
		assert_int_equal(guest_frames(fixture), 6);
		assert_true(is_mapped(fixture, PAGE));
		assert_true(is_mapped(fixture, 7 * PAGE));
		fixture_assert_not_mapped(fixture, 4 * PAGE);
		fixture_check(fixture);
		assert_int_equal(addrspace_unmap(&fixture->as, 0, end), 0);
		assert_int_equal(guest_frames(fixture), 0);
	}
}

/** In a table that holds nothing of the space's own yet. */
static void prefaulted_pages_beside_linear_ones_go_back(void **state)
{
	struct fixture *fixture = *state;
	uint64_t done;

	for (unsigned flags = 0; flags <= PARTIAL; flags += PARTIAL) {
		fixture_map_linear(fixture, 0, 2 * PAGE);
		map_lazy(fixture, 2 * PAGE, 2 * PAGE);
		assert_int_equal(prefault(fixture, 0, 4 * PAGE, flags, &done), 0);
		fixture_check(fixture);
		assert_int_equal(addrspace_unmap(&fixture->as, 0, 4 * PAGE), 0);
		assert_int_equal(guest_frames(fixture), 0);
	}
}

static void prefault_of_what_cannot_be_backed_is_refused(void **state)
{
	struct addrspace_attributes trap = fixture_rw;
	struct fixture *fixture = *state;
	uint64_t done;

	map_lazy(fixture, 0, 2 * PAGE);
	assert_int_equal(addrspace_map_trap(&fixture->as, 2 * PAGE, PAGE, &trap, 0), 0);
	for (unsigned flags = 0; flags <= PARTIAL; flags += PARTIAL) {
		assert_int_equal(prefault(fixture, 0, 3 * PAGE, flags, &done), ADDRSPACE_ENOTSUP);
		assert_int_equal(done, 0);
		assert_int_equal(prefault(fixture, 0, 4 * PAGE, flags, &done), ADDRSPACE_ENOENT);
		assert_int_equal(done, 0);
		assert_int_equal(prefault(fixture, 0, 0, flags, &done), ADDRSPACE_EINVAL);
		assert_int_equal(prefault(fixture, 1, PAGE, flags, &done), ADDRSPACE_EINVAL);
		assert_int_equal(prefault(fixture, PAGE, -PAGE, flags, &done), ADDRSPACE_ERANGE);
		assert_int_equal(prefault(fixture, 2 * PAGE, -PAGE, flags, &done),
				 ADDRSPACE_EINVAL);
		assert_int_equal(
			prefault(fixture, 0, 2 * layout_limit(fixture->layout), flags, &done),
			ADDRSPACE_ERANGE);
		assert_int_equal(addrspace_prefault(NULL, 0, PAGE, flags, NULL), ADDRSPACE_EINVAL);
	}
	assert_int_equal(prefault(fixture, 0, PAGE, 2, &done), ADDRSPACE_EINVAL);
	assert_int_equal(guest_frames(fixture), 0);
	assert_int_equal(addrspace_prefault(&fixture->as, 0, PAGE, 0, NULL), 0);
}

/** A range with pages, an empty table's worth and a run in it, in two regions. */
static void map_mixed(struct fixture *fixture)
{
	map_lazy(fixture, LEAF - 8 * PAGE, 8 * PAGE);
	map(fixture, LEAF, 2 * LEAF, ADDRSPACE_READ, ADDRSPACE_LEAF_2M, 0);
	fixture_warm(fixture, LEAF - 4 * PAGE, ADDRSPACE_WRITE);
	fixture_warm(fixture, LEAF + 4 * PAGE, ADDRSPACE_READ);
	if (leaf_of(fixture) == LEAF)
		assert_int_equal(addrspace_discard(&fixture->as, LEAF, LEAF - 4 * PAGE), 0);
}

static void whole_prefault_that_fails_changes_nothing(void **state)
{
	uint64_t gpa = LEAF - 6 * PAGE;
	uint64_t end = 2 * LEAF + 3 * PAGE;
	struct fixture *fixture = *state;
	struct fake_snapshot before;
	uint64_t n = 0;
	uint64_t done;
	int result;

	map_mixed(fixture);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	do {
		/* Each of the first ones, and some of the many. */
		n += n < 12 ? 1 : 61;
		fixture->machine.fail_at = n;
		result = prefault(fixture, gpa, end - gpa, 0, &done);
		if (!result)
			break;
		assert_int_equal(result, ADDRSPACE_ENOMEM);
		assert_int_equal(done, 0);
		fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
		fixture_check(fixture);
	} while (true);
	fixture->machine.fail_at = 0;
	assert_true(n > 100);
	assert_int_equal(done, end - gpa);
}

static void whole_prefault_beyond_the_quota_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;
	uint64_t done;

	map_mixed(fixture);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	set_quota(fixture, 100);
	assert_int_equal(prefault(fixture, LEAF - 6 * PAGE, LEAF, 0, &done), ADDRSPACE_EDQUOT);
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
	fixture->machine.quota = UINT64_MAX;
}

static void partial_prefault_keeps_what_it_got(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;
	uint64_t end = LEAF + 6 * PAGE;
	uint64_t n = 0;
	int result;

	map_lazy(fixture, LEAF - 4 * PAGE, 16 * PAGE);
	fixture_warm(fixture, LEAF - 2 * PAGE, ADDRSPACE_WRITE);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	do {
		uint64_t gpa = LEAF - 4 * PAGE;
		uint64_t done;

		fixture->machine.fail_at = ++n;
		result = prefault(fixture, gpa, end - gpa, PARTIAL, &done);
		assert_int_equal(result, fixture->machine.fail_at ? 0 : ADDRSPACE_ENOMEM);
		assert_int_equal(done % PAGE, 0);
		assert_true(result ? done < end - gpa : done == end - gpa);
		for (uint64_t at = 0; at < 10 * PAGE; at += PAGE)
			assert_true(is_mapped(fixture, gpa + at) == (at < done) ||
				    gpa + at == LEAF - 2 * PAGE);
		fixture_check(fixture);
		assert_int_equal(addrspace_discard(&fixture->as, gpa, 2 * PAGE), 0);
		assert_int_equal(addrspace_discard(&fixture->as, LEAF - PAGE, 8 * PAGE), 0);
		fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
	} while (!fixture->machine.fail_at);
	/* 9 pages, one of which needs a table. */
	assert_int_equal(n, 11);
	fixture->machine.fail_at = 0;
}

static void partial_prefault_makes_do_with_pages(void **state)
{
	struct fixture *fixture = *state;
	uint64_t done;

	map(fixture, 0, 2 * LEAF, RW, ADDRSPACE_LEAF_2M, 0);
	set_quota(fixture, 300);
	assert_int_equal(prefault(fixture, 0, 2 * LEAF, PARTIAL, &done), ADDRSPACE_EDQUOT);
	assert_true(done >= 290 * PAGE && done < 300 * PAGE);
	assert_int_equal(guest_frames(fixture), done / PAGE);
	fixture->machine.quota = UINT64_MAX;
	assert_int_equal(prefault(fixture, 0, 2 * LEAF, PARTIAL, &done), 0);
	assert_int_equal(leaf_size(fixture, LEAF), leaf_of(fixture));
}

static void partial_prefault_beside_a_fault_gives_back_what_is_twice(void **state)
{
	struct fixture *fixture = *state;

	map_lazy(fixture, 0, GIB);
	for (unsigned left = 1; left <= 8u + fixture->as.levels; left++) {
		struct rival rival = {fixture, 5 * PAGE, left, -1};
		uint64_t done;

		fixture->machine.interlude = rival_faults;
		fixture->machine.interlude_ctx = &rival;
		assert_int_equal(prefault(fixture, 0, 8 * PAGE, PARTIAL, &done), 0);
		fixture->machine.interlude = NULL;
		assert_int_equal(done, 8 * PAGE);
		assert_int_equal(guest_frames(fixture), 8);
		fixture_check(fixture);
		assert_int_equal(addrspace_discard(&fixture->as, 0, GIB), 0);
	}
}

static bool refuse_runs;
static struct paging_handler honest;
static struct fixture *unmapped;

/** The rest of the region goes while the lock is dropped. */
static void unlock_and_unmap(void *ctx)
{
	struct fixture *fixture = unmapped;

	honest.unlock_shared(ctx);
	if (!fixture || guest_frames(fixture) < 512)
		return;
	unmapped = NULL;
	assert_int_equal(addrspace_unmap(&fixture->as, LEAF, LEAF), 0);
}

static void region_that_goes_meanwhile_ends_a_partial_prefault(void **state)
{
	struct fixture *fixture = *state;
	uint64_t done;

	map_lazy(fixture, 0, 2 * LEAF);
	honest = fixture->machine.handler;
	unmapped = fixture;
	fixture->machine.handler.unlock_shared = unlock_and_unmap;
	assert_int_equal(prefault(fixture, 0, 2 * LEAF, PARTIAL, &done), ADDRSPACE_ENOENT);
	assert_int_equal(done, LEAF);
	assert_int_equal(guest_frames(fixture), 512);
	fixture->machine.handler = honest;
}

static void job_that_holds_part_of_the_range_keeps_prefault_out(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_job job;
	uint64_t done;

	map_lazy(fixture, 0, 2 * LEAF);
	assert_int_equal(prefault(fixture, 0, 4 * PAGE, 0, &done), 0);
	assert_int_equal(addrspace_discard_begin(&fixture->as, &job, 2 * PAGE, 2 * PAGE), 0);
	for (unsigned flags = 0; flags <= PARTIAL; flags += PARTIAL) {
		assert_int_equal(prefault(fixture, 0, 4 * PAGE, flags, &done), ADDRSPACE_EBUSY);
		assert_int_equal(done, 0);
		assert_int_equal(prefault(fixture, 4 * PAGE, PAGE, flags, &done), 0);
	}
	while (addrspace_job_step(&job, 1) == 1)
		;
	assert_int_equal(guest_frames(fixture), 3);
	assert_int_equal(prefault(fixture, 0, 4 * PAGE, PARTIAL, &done), 0);
	assert_int_equal(guest_frames(fixture), 5);
}

/** With runs that are there and that are not, by budgets that end anywhere. */
static void populating_in_steps_takes_runs_and_makes_do_with_pages(void **state)
{
	struct addrspace_attributes attributes = fixture_rw;
	struct fixture *fixture = *state;
	struct addrspace_job job;
	uint64_t n = 1;

	attributes.largest_leaf = ADDRSPACE_LEAF_2M;
	for (uint64_t budget = 1; budget < 600; budget += 97, n++) {
		int result;

		assert_int_equal(addrspace_populate_begin(&fixture->as, &job, LEAF - 2 * PAGE,
							  2 * LEAF, &attributes),
				 0);
		fixture->machine.fail_at = n;
		/* Steps of a populate are. */
		fixture->machine.allow_unlocked = true;
		do {
			result = addrspace_job_step(&job, budget);
		} while (result == 1 || result == ADDRSPACE_ENOMEM);
		fixture->machine.allow_unlocked = false;
		assert_int_equal(result, 0);
		fixture->machine.fail_at = 0;
		fixture_check(fixture);
		assert_int_equal(guest_frames(fixture), 2 * LEAF / PAGE);
		assert_int_equal(addrspace_unmap(&fixture->as, PAGE, 4 * LEAF), 0);
		assert_int_equal(guest_frames(fixture), 0);
	}
}

/* ---- populating ---- */

static bool allocate_pages_only(void *ctx, const struct addrspace_frame_request *request,
				struct addrspace_frame *frame)
{
	if (refuse_runs && request->kind == ADDRSPACE_FRAME_GUEST && request->order > 0)
		return false;
	return honest.allocate(ctx, request, frame);
}

static void populating_takes_runs_and_makes_do_with_pages(void **state)
{
	struct addrspace_attributes attributes = fixture_rw;
	struct fixture *fixture = *state;

	attributes.largest_leaf = ADDRSPACE_LEAF_1G;
	honest = fixture->machine.handler;
	fixture->machine.handler.allocate = allocate_pages_only;
	for (unsigned i = 0; i < 4; i++) {
		bool replace = i >= 2;
		uint64_t leaf = i % 2 ? PAGE : leaf_of(fixture);

		refuse_runs = i % 2 != 0;
		if (replace)
			map_lazy(fixture, 0, LEAF);
		assert_int_equal(addrspace_map_alloc(&fixture->as, 0, 2 * LEAF + 3 * PAGE,
						     &attributes,
						     ADDRSPACE_MAP_POPULATE |
							     (replace ? ADDRSPACE_MAP_REPLACE : 0)),
				 0);
		assert_int_equal(guest_frames(fixture), 2 * LEAF / PAGE + 3);
		assert_int_equal(leaf_size(fixture, 0), leaf);
		assert_int_equal(leaf_size(fixture, 2 * LEAF - PAGE), leaf);
		assert_int_equal(leaf_size(fixture, 2 * LEAF), PAGE);
		fixture_check(fixture);
		assert_int_equal(addrspace_unmap(&fixture->as, PAGE, 2 * LEAF + 2 * PAGE), 0);
		assert_int_equal(guest_frames(fixture), 1);
		assert_int_equal(addrspace_unmap(&fixture->as, 0, PAGE), 0);
	}
	fixture->machine.handler = honest;
}

static void replacing_one_span_takes_a_run_or_pages(void **state)
{
	struct addrspace_attributes attributes = fixture_rw;
	struct fixture *fixture = *state;

	attributes.largest_leaf = ADDRSPACE_LEAF_2M;
	honest = fixture->machine.handler;
	fixture->machine.handler.allocate = allocate_pages_only;
	for (unsigned i = 0; i < 2; i++) {
		refuse_runs = i != 0;
		assert_int_equal(
			addrspace_map_alloc(&fixture->as, LEAF, LEAF, &attributes,
					    ADDRSPACE_MAP_POPULATE | ADDRSPACE_MAP_REPLACE),
			0);
		assert_int_equal(leaf_size(fixture, LEAF), refuse_runs ? PAGE : leaf_of(fixture));
		assert_int_equal(guest_frames(fixture), LEAF / PAGE);
		fixture_check(fixture);
	}
	fixture->machine.handler = honest;
}

/** With runs to fall back from, one failure is no failure, two in a row may be. */
static void populating_that_fails_changes_nothing(void **state)
{
	struct addrspace_attributes attributes = fixture_rw;
	struct fixture *fixture = *state;
	struct fake_snapshot before;
	uint64_t n = 0;
	int result;

	attributes.largest_leaf = ADDRSPACE_LEAF_2M;
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	do {
		fixture->machine.fail_at = ++n;
		result = addrspace_map_alloc(&fixture->as, LEAF - 2 * PAGE, 2 * LEAF, &attributes,
					     ADDRSPACE_MAP_POPULATE);
		fixture_check(fixture);
		if (!result) {
			assert_int_equal(guest_frames(fixture), 2 * LEAF / PAGE);
			assert_int_equal(addrspace_unmap(&fixture->as, 0, GIB), 0);
		}
		fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
	} while (!fixture->machine.fail_at && n < 40);
	fixture->machine.fail_at = 0;
	assert_true(n > 5);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fault_brings_the_aligned_block_around_it),
		cmocka_unit_test(block_ends_where_the_region_does),
		cmocka_unit_test(largest_block_is_one_table),
		cmocka_unit_test(block_keeps_what_is_there),
		cmocka_unit_test(memory_for_one_page_is_enough_for_the_fault),
		cmocka_unit_test(any_one_allocation_of_a_block_may_fail),
		cmocka_unit_test(run_comes_rather_than_a_block),
		cmocka_unit_test(two_cpus_that_bring_one_block_share_it),
		cmocka_unit_test(prefaulted_pages_need_no_fault),
		cmocka_unit_test(what_is_there_stays),
		cmocka_unit_test(prefault_takes_runs_that_fit_into_the_range),
		LINEAR_TEST(prefault_spans_regions_of_all_kinds),
		LINEAR_TEST(prefaulted_pages_beside_linear_ones_go_back),
		cmocka_unit_test(prefault_of_what_cannot_be_backed_is_refused),
		cmocka_unit_test(whole_prefault_that_fails_changes_nothing),
		cmocka_unit_test(whole_prefault_beyond_the_quota_changes_nothing),
		cmocka_unit_test(partial_prefault_keeps_what_it_got),
		cmocka_unit_test(partial_prefault_makes_do_with_pages),
		cmocka_unit_test(partial_prefault_beside_a_fault_gives_back_what_is_twice),
		cmocka_unit_test(region_that_goes_meanwhile_ends_a_partial_prefault),
		cmocka_unit_test(job_that_holds_part_of_the_range_keeps_prefault_out),
		cmocka_unit_test(populating_in_steps_takes_runs_and_makes_do_with_pages),
		cmocka_unit_test(populating_takes_runs_and_makes_do_with_pages),
		cmocka_unit_test(replacing_one_span_takes_a_run_or_pages),
		cmocka_unit_test(populating_that_fails_changes_nothing),
	};

	return run_over_layouts("prefault", tests, sizeof(tests) / sizeof(tests[0]));
}
