/* SPDX-License-Identifier: MIT */
/* Large runs of frames: what a fault takes, what it makes do with, and that every frame of a run goes back
 * exactly once, however the run was taken apart. */
#include <string.h>

#include "layouts.h"

#define PAGE FAKE_PAGE_SIZE
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define LEAF (2 * MIB)
#define RW   (ADDRSPACE_READ | ADDRSPACE_WRITE)

static void map(struct fixture *fixture, uint64_t gpa, uint64_t size, enum addrspace_leaf largest)
{
	struct addrspace_attributes attributes = fixture_rw;

	attributes.largest_leaf = largest;
	assert_int_equal(addrspace_map_alloc(&fixture->as, gpa, size, &attributes, 0), 0);
}

static int fault(struct fixture *fixture, uint64_t gpa)
{
	return addrspace_handle_fault(&fixture->as, gpa, ADDRSPACE_WRITE, NULL);
}

static uint64_t guest_frames(const struct fixture *fixture)
{
	return fixture->machine.live[ADDRSPACE_FRAME_GUEST];
}

/** The leaf that a region of up to 2 MiB leaves gets here. */
static uint64_t leaf_of(const struct fixture *fixture)
{
	return layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M) ? LEAF : PAGE;
}

static void assert_leaf(struct fixture *fixture, uint64_t gpa, uint64_t leaf_size)
{
	struct fake_translation now = {0};

	assert_true(fake_machine_translate(&fixture->machine, gpa, &now));
	assert_int_equal(now.leaf_size, leaf_size);
}

static void assert_zeroed(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	const uint64_t *words =
		fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, gpa & -size));

	for (uint64_t i = 0; i < size / sizeof(*words); i++)
		assert_int_equal(words[i], 0);
}

/** Answers that there is no run of more than a page. */
static struct paging_handler honest;
static unsigned refused_runs;

static bool allocate_pages_only(void *ctx, const struct addrspace_frame_request *request,
				struct addrspace_frame *frame)
{
	if (request->kind == ADDRSPACE_FRAME_GUEST && request->order > 0) {
		refused_runs++;
		return false;
	}
	return honest.allocate(ctx, request, frame);
}

static void refuse_runs(struct fixture *fixture)
{
	honest = fixture->machine.handler;
	refused_runs = 0;
	fixture->machine.handler.allocate = allocate_pages_only;
}

/* ---- what a fault takes ---- */

static void fault_in_an_empty_span_takes_one_zeroed_run(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = leaf_of(fixture);

	map(fixture, GIB, GIB, ADDRSPACE_LEAF_2M);
	assert_int_equal(fault(fixture, GIB + LEAF + 5 * PAGE + 0x123), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), leaf / PAGE);
	assert_int_equal(fixture->machine.counters.allocations[ADDRSPACE_FRAME_GUEST], 1);
	assert_leaf(fixture, GIB + LEAF + 5 * PAGE, leaf);
	assert_zeroed(fixture, GIB + LEAF + 5 * PAGE, leaf);
	fixture_assert_not_mapped(fixture, GIB + LEAF - PAGE);
	fixture_assert_not_mapped(fixture, GIB + 2 * LEAF);
	assert_int_equal(fault(fixture, GIB + LEAF + 5 * PAGE), ADDRSPACE_FAULT_ALREADY_RESOLVED);
}

static void guest_writes_through_a_run_from_every_cpu(void **state)
{
	struct fixture *fixture = *state;
	uint64_t end = 2 * LEAF;

	map(fixture, 0, end, ADDRSPACE_LEAF_2M);
	for (uint64_t gpa = 0; gpa < end; gpa += 37 * PAGE)
		assert_int_equal(fixture_guest(fixture, (unsigned)(gpa / PAGE % FAKE_CPUS), gpa,
					       ADDRSPACE_WRITE),
				 ADDRSPACE_FAULT_RESOLVED);
	for (uint64_t gpa = 0; gpa < end; gpa += 37 * PAGE) {
		const uint64_t *word =
			fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, gpa));

		assert_int_equal(*word, fake_machine_token(gpa));
	}
}

static void span_that_reaches_out_of_the_region_gets_pages(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, PAGE, 2 * LEAF - 2 * PAGE, ADDRSPACE_LEAF_1G);
	assert_int_equal(fault(fixture, PAGE), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(fault(fixture, 2 * LEAF - 2 * PAGE), ADDRSPACE_FAULT_RESOLVED);
	assert_leaf(fixture, PAGE, PAGE);
	assert_leaf(fixture, 2 * LEAF - 2 * PAGE, PAGE);
	assert_int_equal(guest_frames(fixture), 2);
}

static void region_of_exactly_one_span_gets_a_run(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, LEAF, LEAF, ADDRSPACE_LEAF_1G);
	assert_int_equal(fault(fixture, 2 * LEAF - 1), ADDRSPACE_FAULT_RESOLVED);
	assert_leaf(fixture, 2 * LEAF - 1, leaf_of(fixture));
}

static void region_without_a_limit_gets_pages(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, GIB, ADDRSPACE_LEAF_4K);
	assert_int_equal(fault(fixture, LEAF), ADDRSPACE_FAULT_RESOLVED);
	assert_leaf(fixture, LEAF, PAGE);
}

static void span_with_a_page_in_it_gets_pages(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, GIB, ADDRSPACE_LEAF_2M);
	refuse_runs(fixture);
	assert_int_equal(fault(fixture, LEAF), ADDRSPACE_FAULT_RESOLVED);
	fixture->machine.handler = honest;
	assert_int_equal(fault(fixture, LEAF + PAGE), ADDRSPACE_FAULT_RESOLVED);
	assert_leaf(fixture, LEAF, PAGE);
	assert_leaf(fixture, LEAF + PAGE, PAGE);
	assert_int_equal(guest_frames(fixture), 2);
	assert_int_equal(fault(fixture, 2 * LEAF), ADDRSPACE_FAULT_RESOLVED);
	assert_leaf(fixture, 2 * LEAF, leaf_of(fixture));
}

static void denied_access_brings_no_run(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, GIB, ADDRSPACE_LEAF_1G);
	assert_int_equal(addrspace_handle_fault(&fixture->as, LEAF, ADDRSPACE_EXECUTE, NULL),
			 ADDRSPACE_FAULT_DENIED);
	assert_int_equal(guest_frames(fixture), 0);
}

static void contents_that_the_handler_vouches_for_are_kept(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t *words;

	map(fixture, 0, GIB, ADDRSPACE_LEAF_2M);
	fixture->machine.answer = ADDRSPACE_FRAME_VALID;
	assert_int_equal(fault(fixture, LEAF + 3 * PAGE), ADDRSPACE_FAULT_RESOLVED);
	words = fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, LEAF + 3 * PAGE));
	assert_int_equal(words[0], fake_machine_token(LEAF + 3 * PAGE));
	assert_int_equal(words[511], fake_machine_token(LEAF + 4 * PAGE - 8));
}

/* ---- what it makes do with ---- */

static void handler_without_runs_is_asked_and_then_gives_a_page(void **state)
{
	struct fixture *fixture = *state;
	bool runs = layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M);
	bool huge = layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_1G) && fixture->as.levels > 2;

	map(fixture, GIB, GIB, ADDRSPACE_LEAF_1G);
	refuse_runs(fixture);
	assert_int_equal(fault(fixture, GIB + LEAF), ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(refused_runs, runs + huge);
	assert_leaf(fixture, GIB + LEAF, PAGE);
	assert_int_equal(guest_frames(fixture), 1);
	fixture->machine.handler = honest;
}

static void quota_too_small_for_a_run_still_gives_a_page(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, GIB, ADDRSPACE_LEAF_1G);
	fixture->machine.quota = 0;
	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		fixture->machine.quota += fixture->machine.charged[kind];
	fixture->machine.quota += LEAF / PAGE - 1;
	assert_int_equal(fault(fixture, LEAF), ADDRSPACE_FAULT_RESOLVED);
	assert_leaf(fixture, LEAF, PAGE);
	assert_int_equal(guest_frames(fixture), 1);
	fake_machine_assert_charges_balanced(&fixture->machine);
}

static void quota_that_the_run_would_eat_still_gives_a_page_and_its_tables(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, GIB, ADDRSPACE_LEAF_2M);
	fixture->machine.quota = LEAF / PAGE;
	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		fixture->machine.quota += fixture->machine.charged[kind];
	assert_int_equal(fault(fixture, LEAF), ADDRSPACE_FAULT_RESOLVED);
	/* A root whose slots are no larger than the run needs no table for it. */
	if (fixture->as.levels > 2)
		assert_leaf(fixture, LEAF, PAGE);
	fake_machine_assert_charges_balanced(&fixture->machine);
}

static void any_one_allocation_may_fail(void **state)
{
	struct fixture *fixture = *state;
	uint64_t n = 0;

	if (!layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M))
		return;
	map(fixture, 0, GIB, ADDRSPACE_LEAF_2M);
	do {
		struct fake_snapshot before;

		fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
		fixture->machine.fail_at = ++n;
		assert_int_equal(fault(fixture, LEAF + PAGE), ADDRSPACE_FAULT_RESOLVED);
		assert_int_equal(fault(fixture, LEAF + PAGE), ADDRSPACE_FAULT_ALREADY_RESOLVED);
		assert_leaf(fixture, LEAF + PAGE, fixture->machine.fail_at ? LEAF : PAGE);
		fixture_check(fixture);
		assert_int_equal(addrspace_discard(&fixture->as, 0, GIB), 0);
		fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
	} while (!fixture->machine.fail_at);
	/* the run, and the tables above it */
	assert_int_equal(n, fixture->as.levels);
	fixture->machine.fail_at = 0;
}

static bool allocate_nothing(void *ctx, const struct addrspace_frame_request *request,
			     struct addrspace_frame *frame)
{
	(void)ctx;
	(void)request;
	(void)frame;
	return false;
}

static void no_frame_at_all_is_out_of_memory_and_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;

	map(fixture, 0, GIB, ADDRSPACE_LEAF_1G);
	honest = fixture->machine.handler;
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	fixture->machine.handler.allocate = allocate_nothing;
	assert_int_equal(fault(fixture, LEAF), ADDRSPACE_FAULT_OUT_OF_MEMORY);
	fixture->machine.handler = honest;
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

static bool allocate_beyond_the_host(void *ctx, const struct addrspace_frame_request *request,
				     struct addrspace_frame *frame)
{
	if (!honest.allocate(ctx, request, frame))
		return false;
	if (request->order > 0)
		frame->hpa += PAGE;
	return true;
}

static void free_what_was_moved(void *ctx, const struct addrspace_frame_request *request,
				uint64_t hpa)
{
	honest.free(ctx, request, request->order > 0 ? hpa - PAGE : hpa);
}

static void run_that_is_not_aligned_goes_back_and_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;

	if (!layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M))
		return;
	map(fixture, 0, GIB, ADDRSPACE_LEAF_2M);
	honest = fixture->machine.handler;
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	fixture->machine.handler.allocate = allocate_beyond_the_host;
	fixture->machine.handler.free = free_what_was_moved;
	assert_int_equal(fault(fixture, LEAF), ADDRSPACE_EFAULT);
	fixture->machine.handler = honest;
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

/* ---- attributes ---- */

static void attributes_are_reported_and_kept_apart(void **state)
{
	struct addrspace_attributes attributes = fixture_rw;
	struct fixture *fixture = *state;
	struct addrspace_region region;

	attributes.largest_leaf = ADDRSPACE_LEAF_2M;
	attributes.fault_around = 64;
	attributes.small_executable = true;
	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, LEAF, &attributes, 0), 0);
	assert_int_equal(addrspace_map_alloc(&fixture->as, LEAF, LEAF, &attributes, 0), 0);
	assert_int_equal(addrspace_find_region(&fixture->as, LEAF, &region), 0);
	assert_int_equal(region.size, 2 * LEAF);
	assert_int_equal(region.largest_leaf, ADDRSPACE_LEAF_2M);
	assert_int_equal(region.fault_around, 64);
	assert_true(region.small_executable);
	attributes.fault_around = 1;
	assert_int_equal(addrspace_map_alloc(&fixture->as, 2 * LEAF, LEAF, &attributes, 0), 0);
	assert_int_equal(addrspace_find_region(&fixture->as, 2 * LEAF, &region), 0);
	assert_int_equal(region.gpa, 2 * LEAF);
	assert_int_equal(region.fault_around, 0);
}

static void attributes_that_mean_nothing_are_refused(void **state)
{
	struct addrspace_attributes attributes = fixture_rw;
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;

	attributes.largest_leaf = (enum addrspace_leaf)3;
	assert_int_equal(addrspace_map_alloc(as, 0, LEAF, &attributes, 0), ADDRSPACE_EINVAL);
	attributes.largest_leaf = ADDRSPACE_LEAF_2M;
	assert_int_equal(addrspace_map_linear(as, 0, LEAF, LEAF, &attributes, 0), ADDRSPACE_EINVAL);
	attributes.largest_leaf = ADDRSPACE_LEAF_4K;
	attributes.fault_around = 3;
	assert_int_equal(addrspace_map_alloc(as, 0, LEAF, &attributes, 0), ADDRSPACE_EINVAL);
	attributes.fault_around = 2 * ADDRSPACE_MAX_FAULT_AROUND;
	assert_int_equal(addrspace_map_alloc(as, 0, LEAF, &attributes, 0), ADDRSPACE_EINVAL);
	attributes.fault_around = 16;
	assert_int_equal(addrspace_map_linear(as, 0, LEAF, LEAF, &attributes, 0), ADDRSPACE_EINVAL);
	assert_int_equal(as->region_count, 0);
}

/* ---- taking runs apart ---- */

static void discarding_a_run_gives_it_back_whole(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, GIB, ADDRSPACE_LEAF_2M);
	fixture_warm(fixture, LEAF, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_discard(&fixture->as, 0, GIB), 0);
	assert_int_equal(guest_frames(fixture), 0);
	assert_int_equal(fixture->machine.counters.frees[ADDRSPACE_FRAME_GUEST], 1);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	fixture_warm(fixture, LEAF, ADDRSPACE_WRITE);
	assert_leaf(fixture, LEAF, leaf_of(fixture));
}

static void discarding_pages_of_a_run_leaves_the_others(void **state)
{
	struct fixture *fixture = *state;
	uint64_t kept = leaf_of(fixture) / PAGE - 3;

	map(fixture, 0, GIB, ADDRSPACE_LEAF_2M);
	for (unsigned i = 0; i < 6; i++)
		fixture_warm(fixture, LEAF + i * PAGE, ADDRSPACE_WRITE);
	if (leaf_of(fixture) == PAGE)
		kept = 3;
	assert_int_equal(addrspace_discard(&fixture->as, LEAF + PAGE, 3 * PAGE), 0);
	assert_int_equal(guest_frames(fixture), kept);
	fixture_assert_not_mapped(fixture, LEAF + PAGE);
	assert_leaf(fixture, LEAF, PAGE);
	assert_leaf(fixture, LEAF + 4 * PAGE, PAGE);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine,
							   fixture_hpa(fixture, LEAF + 4 * PAGE)),
			 fake_machine_token(LEAF + 4 * PAGE));
	fixture_check(fixture);
	fixture_warm(fixture, LEAF + PAGE, ADDRSPACE_READ);
	assert_int_equal(guest_frames(fixture), kept + 1);
}

static void run_taken_apart_page_by_page_goes_back_exactly_once(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, 2 * LEAF, ADDRSPACE_LEAF_2M);
	fixture_warm(fixture, 0, ADDRSPACE_WRITE);
	fixture_warm(fixture, LEAF, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_unmap(&fixture->as, 7 * PAGE, PAGE), 0);
	assert_int_equal(addrspace_protect(&fixture->as, 9 * PAGE, PAGE, 0), 0);
	assert_int_equal(addrspace_discard(&fixture->as, 8 * PAGE, 4 * PAGE), 0);
	assert_int_equal(addrspace_unmap(&fixture->as, LEAF - PAGE, 2 * PAGE), 0);
	map(fixture, LEAF - PAGE, 2 * PAGE, ADDRSPACE_LEAF_2M);
	fixture_warm(fixture, LEAF, ADDRSPACE_WRITE);
	fixture_check(fixture);
	assert_int_equal(addrspace_unmap(&fixture->as, 0, 2 * LEAF), 0);
	assert_int_equal(guest_frames(fixture), 0);
}

static void replacing_part_of_a_run_frees_that_part(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, 2 * LEAF, ADDRSPACE_LEAF_2M);
	fixture_warm(fixture, LEAF / 2, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_map_alloc(&fixture->as, LEAF / 2, LEAF, &fixture_ro,
					     ADDRSPACE_MAP_REPLACE),
			 0);
	assert_int_equal(guest_frames(fixture), leaf_of(fixture) == LEAF ? LEAF / 2 / PAGE : 0);
	fixture_assert_not_mapped(fixture, LEAF / 2);
}

static void moving_a_page_of_a_run_frees_that_page(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hpa;
	uint64_t frames;

	map(fixture, 0, LEAF, ADDRSPACE_LEAF_2M);
	fixture_warm(fixture, 5 * PAGE, ADDRSPACE_WRITE);
	frames = guest_frames(fixture);
	hpa = fake_machine_lend(&fixture->machine, 0);
	assert_int_equal(addrspace_replace_frame(&fixture->as, 5 * PAGE, hpa,
						 fake_machine_copy_frame, &fixture->machine),
			 0);
	fake_machine_hand_over(&fixture->machine, hpa, 5 * PAGE, fixture_rw.cookie);
	assert_int_equal(fixture_hpa(fixture, 5 * PAGE), hpa);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
			 fake_machine_token(5 * PAGE));
	assert_int_equal(guest_frames(fixture), frames);
	fixture_check(fixture);
}

/** Fails at each allocation in turn, until the change has what it needs. */
static void cutting_a_run_without_memory_for_its_tables_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;
	uint64_t n = 0;
	int result;

	if (!layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M))
		return;
	map(fixture, 0, 2 * LEAF, ADDRSPACE_LEAF_2M);
	fixture_warm(fixture, 0, ADDRSPACE_WRITE);
	fixture_warm(fixture, LEAF, ADDRSPACE_WRITE);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	do {
		fixture->machine.fail_at = ++n;
		result = addrspace_discard(&fixture->as, LEAF / 2, LEAF);
		if (result)
			fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
	} while (result == ADDRSPACE_ENOMEM);
	assert_int_equal(result, 0);
	assert_int_equal(n, 3);
	assert_int_equal(guest_frames(fixture), LEAF / PAGE);
	fixture->machine.fail_at = 0;
}

/* ---- several CPUs ---- */

/** Another CPU faults on the other page while the first one asks for its frames. */
struct rival {
	struct fixture *fixture;
	uint64_t gpa;
	int outcome;
	bool came;
};

static void rival_faults(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	struct rival *rival = ctx;

	if (event != FAKE_AT_ALLOCATE || rival->came)
		return;
	rival->came = true;
	machine->in_event = false;
	fake_machine_set_cpu(machine, 1);
	rival->outcome = fault(rival->fixture, rival->gpa);
	fake_machine_set_cpu(machine, 0);
	machine->in_event = true;
}

static void loser_of_a_race_for_a_span_gives_its_run_back(void **state)
{
	struct fixture *fixture = *state;
	struct rival rival = {fixture, LEAF + 9 * PAGE, -1, false};

	if (leaf_of(fixture) == PAGE)
		return;
	map(fixture, 0, GIB, ADDRSPACE_LEAF_2M);
	fixture->machine.interlude = rival_faults;
	fixture->machine.interlude_ctx = &rival;
	assert_int_equal(fault(fixture, LEAF), ADDRSPACE_FAULT_ALREADY_RESOLVED);
	fixture->machine.interlude = NULL;
	assert_int_equal(rival.outcome, ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(guest_frames(fixture), LEAF / PAGE);
	assert_int_equal(fixture->machine.counters.frees[ADDRSPACE_FRAME_GUEST], 1);
	fake_machine_assert_charges_balanced(&fixture->machine);
}

/* ---- 1 GiB ---- */

static int setup_huge(void **state)
{
	return fixture_setup_with(state, 3 * GIB);
}

static void gigabyte_faults_in_at_once_and_is_taken_apart(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, 2 * GIB, ADDRSPACE_LEAF_1G);
	fixture_warm(fixture, GIB + 123 * PAGE, ADDRSPACE_WRITE);
	assert_leaf(fixture, GIB, GIB);
	assert_int_equal(guest_frames(fixture), GIB / PAGE);
	/* Half of a 2 MiB piece at each end: two tables below the one that takes the leaf's place. */
	assert_int_equal(addrspace_discard(&fixture->as, GIB + LEAF / 2, GIB - LEAF), 0);
	assert_int_equal(guest_frames(fixture), LEAF / PAGE);
	assert_leaf(fixture, GIB, PAGE);
	assert_leaf(fixture, 2 * GIB - PAGE, PAGE);
	fixture_check(fixture);
	fixture_warm(fixture, GIB + GIB / 2, ADDRSPACE_WRITE);
	assert_leaf(fixture, GIB + GIB / 2, LEAF);
	fixture_warm(fixture, 0, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_unmap(&fixture->as, PAGE, 2 * GIB - 2 * PAGE), 0);
	assert_int_equal(guest_frames(fixture), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fault_in_an_empty_span_takes_one_zeroed_run),
		cmocka_unit_test(guest_writes_through_a_run_from_every_cpu),
		cmocka_unit_test(span_that_reaches_out_of_the_region_gets_pages),
		cmocka_unit_test(region_of_exactly_one_span_gets_a_run),
		cmocka_unit_test(region_without_a_limit_gets_pages),
		cmocka_unit_test(span_with_a_page_in_it_gets_pages),
		cmocka_unit_test(denied_access_brings_no_run),
		cmocka_unit_test(contents_that_the_handler_vouches_for_are_kept),
		cmocka_unit_test(handler_without_runs_is_asked_and_then_gives_a_page),
		cmocka_unit_test(quota_too_small_for_a_run_still_gives_a_page),
		cmocka_unit_test(quota_that_the_run_would_eat_still_gives_a_page_and_its_tables),
		cmocka_unit_test(any_one_allocation_may_fail),
		cmocka_unit_test(no_frame_at_all_is_out_of_memory_and_leaves_nothing),
		cmocka_unit_test(run_that_is_not_aligned_goes_back_and_is_an_error),
		cmocka_unit_test(attributes_are_reported_and_kept_apart),
		cmocka_unit_test(attributes_that_mean_nothing_are_refused),
		cmocka_unit_test(discarding_a_run_gives_it_back_whole),
		cmocka_unit_test(discarding_pages_of_a_run_leaves_the_others),
		cmocka_unit_test(run_taken_apart_page_by_page_goes_back_exactly_once),
		cmocka_unit_test(replacing_part_of_a_run_frees_that_part),
		cmocka_unit_test(moving_a_page_of_a_run_frees_that_page),
		cmocka_unit_test(cutting_a_run_without_memory_for_its_tables_changes_nothing),
		cmocka_unit_test(loser_of_a_race_for_a_span_gives_its_run_back),
	};
	const struct CMUnitTest huge[] = {
		cmocka_unit_test_setup_teardown(gigabyte_faults_in_at_once_and_is_taken_apart,
						setup_huge, fixture_teardown),
	};

	return run_over_layouts("large", tests, sizeof(tests) / sizeof(tests[0])) +
	       run_over_canonical_layouts("large huge", huge, sizeof(huge) / sizeof(huge[0]));
}
