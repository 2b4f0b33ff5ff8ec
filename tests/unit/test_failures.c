/* SPDX-License-Identifier: MIT */
/*
 * All or nothing: each call that takes frames is repeated with its first, second, third ...
 * allocation failing until it succeeds. After each failure the guest, the owners of frames, the
 * regions and the number of tables are what they were.
 */
#include "layouts.h"

#define PAGE       FAKE_PAGE_SIZE
#define LARGE      (UINT64_C(2) << 20)
#define GIB        (UINT64_C(1) << 30)
#define LINEAR_HPA UINT64_C(0x50000000) /* up to 4 GiB: within every host's width */
#define DEVICE     UINT64_C(0x80000000)
#define NEVER      100000 /* attempts that no call needs */

struct scenario {
	void (*prepare)(struct fixture *fixture);
	int (*operation)(struct fixture *fixture);
	bool is_fault; /* of the guest: frames that are not there are an outcome, not an error */
	bool cuts;     /* takes frames only where there are large leaves to cut */
};

/** A page for replace_frame, lent when the scenario is prepared. */
static uint64_t lent_hpa;

/* ---- mapping ---- */

static void prepare_nothing(struct fixture *fixture)
{
	(void)fixture;
}

/** The largest leaf, or where there are only pages what a table of them spans. */
static uint64_t big_leaf(const struct fixture *fixture)
{
	uint64_t size = layout_largest_leaf(fixture->layout);

	return size > LARGE ? size : LARGE;
}

static int map_pages_over_a_table_border(struct fixture *fixture)
{
	return addrspace_map_linear(&fixture->as, LARGE - 4 * PAGE, 8 * PAGE, DEVICE + 3 * PAGE,
				    &fixture_rw, 0);
}

static int map_pages_over_a_gigabyte_border(struct fixture *fixture)
{
	return addrspace_map_linear(&fixture->as, GIB - 2 * PAGE, 4 * PAGE, DEVICE + PAGE,
				    &fixture_rwx, 0);
}

/** Pages, 2 MiB leaves, the largest leaf, and down again. */
static int map_mixed_leaves(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);
	uint64_t gpa = 2 * big - LARGE - 2 * PAGE;

	return addrspace_map_linear(&fixture->as, gpa, 2 * LARGE + big + 5 * PAGE,
				    gpa + DEVICE - 2 * big, &fixture_rwx, 0);
}

static int map_leaves_of_2_mib_over_a_gigabyte_border(struct fixture *fixture)
{
	return addrspace_map_linear(&fixture->as, GIB - 2 * LARGE - PAGE, 4 * LARGE + 2 * PAGE,
				    DEVICE + 5 * LARGE - PAGE, &fixture_rw, 0);
}

static int map_one_big_leaf(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	return addrspace_map_linear(&fixture->as, big, big, DEVICE, &fixture_ro, 0);
}

static void prepare_pages_at_both_sides(struct fixture *fixture)
{
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_linear(as, GIB - 16 * PAGE, PAGE, DEVICE, &fixture_rw, 0),
			 0);
	assert_int_equal(addrspace_map_alloc(as, GIB + LARGE + 4 * PAGE, 2 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(
		addrspace_map_linear(as, GIB + 4 * LARGE - PAGE, PAGE, DEVICE, &fixture_rw, 0), 0);
	fixture_warm(fixture, GIB - 16 * PAGE, ADDRSPACE_READ);
}

/** The first and the last pages go into tables that are there, between them new ones are needed. */
static int map_into_existing_tables(struct fixture *fixture)
{
	return addrspace_map_linear(&fixture->as, GIB + LARGE + 6 * PAGE, 2 * LARGE + 9 * PAGE,
				    DEVICE + PAGE, &fixture_rw, 0);
}

static int populate_over_a_gigabyte_border(struct fixture *fixture)
{
	return addrspace_map_alloc(&fixture->as, GIB - 7 * PAGE, 12 * PAGE, &fixture_rw,
				   ADDRSPACE_MAP_POPULATE);
}

static int populate_into_existing_tables(struct fixture *fixture)
{
	return addrspace_map_alloc(&fixture->as, GIB - 4 * PAGE, 8 * PAGE, &fixture_rw,
				   ADDRSPACE_MAP_POPULATE);
}

static int populate_without_permissions(struct fixture *fixture)
{
	const struct addrspace_attributes guard = {.cookie = 7};

	return addrspace_map_alloc(&fixture->as, LARGE - 2 * PAGE, 4 * PAGE, &guard,
				   ADDRSPACE_MAP_POPULATE);
}

static int map_lazy(struct fixture *fixture)
{
	return addrspace_map_alloc(&fixture->as, 0, layout_limit(fixture->layout), &fixture_rw, 0);
}

/** Regions that cannot merge, until the next one would need another node of the region set. */
static void prepare_full_region_node(struct fixture *fixture)
{
	struct fake_machine *machine = &fixture->machine;
	uint64_t gpa = GIB;
	int error = 0;

	for (uint64_t cookie = 0; !error; cookie++, gpa += 8 * PAGE) {
		const struct addrspace_attributes attributes = {
			.permissions = ADDRSPACE_READ | ADDRSPACE_WRITE, .cookie = cookie};

		machine->fail_at = cookie ? 1 : 0;
		error = addrspace_map_alloc(&fixture->as, gpa, 4 * PAGE, &attributes, 0);
		assert_true(cookie < NEVER);
	}
	assert_int_equal(error, ADDRSPACE_ENOMEM);
	machine->fail_at = 0;
}

static int map_lazy_beyond_a_full_region_node(struct fixture *fixture)
{
	return addrspace_map_alloc(&fixture->as, 0, PAGE, &fixture_rw, 0);
}

static int map_linear_beyond_a_full_region_node(struct fixture *fixture)
{
	return addrspace_map_linear(&fixture->as, GIB + 4 * PAGE, 4 * PAGE, DEVICE + PAGE,
				    &fixture_rw, 0);
}

/* ---- replacing ---- */

static void prepare_big_leaves(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	assert_int_equal(addrspace_map_linear(&fixture->as, big, 2 * big, DEVICE, &fixture_rwx, 0),
			 0);
	fixture_warm(fixture, big, ADDRSPACE_READ);
	fixture_warm(fixture, 2 * big - PAGE, ADDRSPACE_WRITE);
}

static void prepare_leaves_of_2_mib(struct fixture *fixture)
{
	assert_int_equal(addrspace_map_linear(&fixture->as, 4 * LARGE, 3 * LARGE, DEVICE + LARGE,
					      &fixture_rwx, 0),
			 0);
	fixture_warm(fixture, 4 * LARGE, ADDRSPACE_READ);
	fixture_warm(fixture, 6 * LARGE + PAGE, ADDRSPACE_WRITE);
}

/** [GIB - 16 pages: populated][GIB: lazy, partly faulted in][hole][linear] */
static void prepare_mixed_neighbours(struct fixture *fixture)
{
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_alloc(as, GIB - 16 * PAGE, 16 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(addrspace_map_alloc(as, GIB, 8 * PAGE, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_map_linear(as, GIB + 16 * PAGE, 3 * LARGE - 16 * PAGE,
					      DEVICE + 16 * PAGE, &fixture_rwx, 0),
			 0);
	fixture_warm(fixture, GIB - 5 * PAGE, ADDRSPACE_WRITE);
	assert_int_equal(fixture_guest(fixture, 1, GIB + 2 * PAGE, ADDRSPACE_WRITE), 0);
	assert_int_equal(fixture_guest(fixture, 2, GIB + 7 * PAGE, ADDRSPACE_READ), 0);
	fixture_warm(fixture, GIB + LARGE, ADDRSPACE_READ);
}

static int replace_mixed_by_linear(struct fixture *fixture)
{
	return addrspace_map_linear(&fixture->as, GIB - 8 * PAGE, LARGE + 12 * PAGE,
				    DEVICE + GIB / 2 + PAGE, &fixture_ro, ADDRSPACE_MAP_REPLACE);
}

static int replace_mixed_by_populated(struct fixture *fixture)
{
	return addrspace_map_alloc(&fixture->as, GIB - 8 * PAGE, 28 * PAGE, &fixture_ro,
				   ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE);
}

static int replace_mixed_by_lazy(struct fixture *fixture)
{
	return addrspace_map_alloc(&fixture->as, GIB + PAGE, LARGE + 3 * PAGE, &fixture_ro,
				   ADDRSPACE_MAP_REPLACE);
}

static int replace_all_mixed_by_large_leaves(struct fixture *fixture)
{
	return addrspace_map_linear(&fixture->as, GIB - LARGE, 5 * LARGE, DEVICE + LARGE,
				    &fixture_rwx, ADDRSPACE_MAP_REPLACE);
}

static int replace_the_middle_of_a_big_leaf_by_populated(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	return addrspace_map_alloc(&fixture->as, big + big / 2 - 3 * PAGE, 5 * PAGE, &fixture_rw,
				   ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE);
}

static int replace_over_two_big_leaves_by_linear(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	return addrspace_map_linear(&fixture->as, 2 * big - LARGE / 2, LARGE + PAGE,
				    DEVICE + 3 * PAGE, &fixture_rw, ADDRSPACE_MAP_REPLACE);
}

static int replace_the_middle_of_a_big_leaf_by_lazy(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	return addrspace_map_alloc(&fixture->as, big + PAGE, 2 * big - 2 * PAGE, &fixture_rw,
				   ADDRSPACE_MAP_REPLACE);
}

/* ---- unmapping and protecting ---- */

static int unmap_a_hole_in_a_leaf_of_2_mib(struct fixture *fixture)
{
	return addrspace_unmap(&fixture->as, 5 * LARGE + 9 * PAGE, 3 * PAGE);
}

static int unmap_from_one_leaf_of_2_mib_into_another(struct fixture *fixture)
{
	return addrspace_unmap(&fixture->as, 5 * LARGE - 9 * PAGE, LARGE + 12 * PAGE);
}

static int unmap_a_hole_in_a_big_leaf(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	return addrspace_unmap(&fixture->as, big + big / 2 + PAGE, PAGE);
}

static int unmap_most_of_a_big_leaf(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	return addrspace_unmap(&fixture->as, big + PAGE, big - 2 * PAGE);
}

static int unmap_from_one_big_leaf_into_another(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	return addrspace_unmap(&fixture->as, 2 * big - 9 * PAGE, 12 * PAGE);
}

static int unmap_a_hole_with_a_full_region_node(struct fixture *fixture)
{
	return addrspace_unmap(&fixture->as, GIB + 17 * PAGE, PAGE);
}

static int protect_the_middle_of_a_leaf_of_2_mib(struct fixture *fixture)
{
	return addrspace_protect(&fixture->as, 5 * LARGE + 9 * PAGE, 3 * PAGE, ADDRSPACE_READ);
}

static int protect_from_one_leaf_of_2_mib_into_another(struct fixture *fixture)
{
	return addrspace_protect(&fixture->as, 5 * LARGE - 9 * PAGE, LARGE + 12 * PAGE, 0);
}

static int protect_the_middle_of_a_big_leaf(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	return addrspace_protect(&fixture->as, big + big / 2 + PAGE, PAGE, ADDRSPACE_READ);
}

static int protect_from_one_big_leaf_into_another(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	return addrspace_protect(&fixture->as, big + PAGE, 2 * big - 2 * PAGE, ADDRSPACE_READ);
}

static int protect_with_a_full_region_node(struct fixture *fixture)
{
	return addrspace_protect(&fixture->as, GIB + 17 * PAGE, PAGE, ADDRSPACE_READ);
}

/** Regions that touch, all of other attributes, with large leaves at both ends, and a full region
 * node. */
static void prepare_several_regions(struct fixture *fixture)
{
	struct addrspace *as = &fixture->as;

	assert_int_equal(
		addrspace_map_linear(as, 4 * LARGE, LARGE, DEVICE + LARGE, &fixture_rwx, 0), 0);
	assert_int_equal(
		addrspace_map_alloc(as, 5 * LARGE, 4 * PAGE, &fixture_rw, ADDRSPACE_MAP_POPULATE),
		0);
	assert_int_equal(
		addrspace_map_alloc(as, 5 * LARGE + 4 * PAGE, LARGE - 4 * PAGE, &fixture_rw, 0), 0);
	assert_int_equal(
		addrspace_map_linear(as, 6 * LARGE, LARGE, DEVICE + 8 * LARGE, &fixture_rwx, 0), 0);
	fixture_warm(fixture, 4 * LARGE, ADDRSPACE_READ);
	fixture_warm(fixture, 6 * LARGE, ADDRSPACE_READ);
	assert_int_equal(fixture_guest(fixture, 1, 5 * LARGE + 9 * PAGE, ADDRSPACE_WRITE), 0);
	prepare_full_region_node(fixture);
}

static int protect_several_regions(struct fixture *fixture)
{
	return addrspace_protect(&fixture->as, 4 * LARGE + PAGE, 3 * LARGE - 2 * PAGE,
				 ADDRSPACE_READ);
}

/* ---- discarding ---- */

/** A populated region between others, in a region set without room for another record. */
static void prepare_populated_with_a_full_region_node(struct fixture *fixture)
{
	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE - 8 * PAGE, 16 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	fixture_warm(fixture, LARGE - PAGE, ADDRSPACE_WRITE);
	prepare_full_region_node(fixture);
}

static int discard_inside_a_populated_region(struct fixture *fixture)
{
	return addrspace_discard(&fixture->as, LARGE - 2 * PAGE, 4 * PAGE);
}

static int discard_the_end_of_a_populated_region(struct fixture *fixture)
{
	return addrspace_discard(&fixture->as, LARGE, 8 * PAGE);
}

static int discard_from_one_populated_region_into_another(struct fixture *fixture)
{
	return addrspace_discard(&fixture->as, GIB - 8 * PAGE, 12 * PAGE);
}

/** As prepare_mixed_neighbours(), with two populated regions that touch, and a full node. */
static void prepare_populated_neighbours(struct fixture *fixture)
{
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_alloc(as, GIB - 16 * PAGE, 16 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	prepare_full_region_node(fixture);
	assert_int_equal(addrspace_map_alloc(as, GIB, 8 * PAGE, &fixture_ro,
					     ADDRSPACE_MAP_POPULATE | ADDRSPACE_MAP_REPLACE),
			 0);
	fixture_warm(fixture, GIB - PAGE, ADDRSPACE_WRITE);
	fixture_warm(fixture, GIB, ADDRSPACE_READ);
}

/* ---- faults ---- */

static void prepare_lazy(struct fixture *fixture)
{
	assert_int_equal(map_lazy(fixture), 0);
}

static void prepare_lazy_with_one_page(struct fixture *fixture)
{
	prepare_lazy(fixture);
	assert_int_equal(fixture_guest(fixture, 0, GIB, ADDRSPACE_WRITE), 0);
}

static int fault_in_an_empty_root(struct fixture *fixture)
{
	return addrspace_handle_fault(&fixture->as, layout_limit(fixture->layout) - 1,
				      ADDRSPACE_READ, NULL);
}

static int fault_beside_a_page(struct fixture *fixture)
{
	return addrspace_handle_fault(&fixture->as, GIB + PAGE, ADDRSPACE_WRITE, NULL);
}

static int fault_beside_a_table_of_pages(struct fixture *fixture)
{
	return addrspace_handle_fault(&fixture->as, GIB + LARGE, ADDRSPACE_WRITE, NULL);
}

static int fault_beside_a_table_of_tables(struct fixture *fixture)
{
	return addrspace_handle_fault(&fixture->as, 2 * GIB, ADDRSPACE_WRITE, NULL);
}

/* ---- moving a page ---- */

static void lend_page(struct fixture *fixture)
{
	lent_hpa = fake_machine_lend(&fixture->machine, 0);
}

static void prepare_moving_in_leaves_of_2_mib(struct fixture *fixture)
{
	prepare_leaves_of_2_mib(fixture);
	lend_page(fixture);
}

static void prepare_moving_in_big_leaves(struct fixture *fixture)
{
	prepare_big_leaves(fixture);
	lend_page(fixture);
}

static void prepare_moving_with_a_full_region_node(struct fixture *fixture)
{
	assert_int_equal(
		addrspace_map_linear(&fixture->as, LARGE, 8 * PAGE, DEVICE + PAGE, &fixture_rwx, 0),
		0);
	fixture_warm(fixture, LARGE + 2 * PAGE, ADDRSPACE_READ);
	prepare_full_region_node(fixture);
	lend_page(fixture);
}

static int move(struct fixture *fixture, uint64_t gpa)
{
	return addrspace_replace_frame(&fixture->as, gpa, lent_hpa, NULL, NULL);
}

static int move_in_the_middle_of_a_leaf_of_2_mib(struct fixture *fixture)
{
	return move(fixture, 5 * LARGE + 17 * PAGE);
}

static int move_the_first_page_of_a_leaf_of_2_mib(struct fixture *fixture)
{
	return move(fixture, 4 * LARGE);
}

static int move_in_the_middle_of_a_big_leaf(struct fixture *fixture)
{
	uint64_t big = big_leaf(fixture);

	return move(fixture, big + big / 2 + 5 * PAGE);
}

static int move_the_last_page_of_a_big_leaf(struct fixture *fixture)
{
	return move(fixture, 2 * big_leaf(fixture) - PAGE);
}

static int move_in_linear_with_a_full_region_node(struct fixture *fixture)
{
	return move(fixture, LARGE + 3 * PAGE);
}

/* ---- a handler that hands out what cannot be used ---- */

static struct {
	struct paging_handler honest;
	unsigned at;  /* the n-th allocation from now is bad */
	uint64_t hpa; /* what is handed out then */
	unsigned handed_out;
	unsigned given_back;
	struct addrspace_frame_request request;
} bad;

static bool allocate_bad(void *ctx, const struct addrspace_frame_request *request,
			 struct addrspace_frame *frame)
{
	if (!bad.at || --bad.at)
		return bad.honest.allocate(ctx, request, frame);
	bad.handed_out++;
	bad.request = *request;
	frame->hpa = bad.hpa;
	frame->contents = ADDRSPACE_FRAME_ZEROED;
	return true;
}

static void free_bad(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	if (hpa != bad.hpa) {
		bad.honest.free(ctx, request, hpa);
		return;
	}
	bad.given_back++;
	assert_int_equal(request->kind, bad.request.kind);
	assert_int_equal(request->order, bad.request.order);
	assert_int_equal(request->gpa, bad.request.gpa);
	assert_int_equal(request->cookie, bad.request.cookie);
}

static void make_handler_bad(struct fake_machine *machine)
{
	bad.honest = machine->handler;
	bad.at = 0;
	machine->handler.allocate = allocate_bad;
	machine->handler.free = free_bad;
}

static void make_handler_honest(struct fake_machine *machine)
{
	bad.at = 0;
	machine->handler.allocate = bad.honest.allocate;
	machine->handler.free = bad.honest.free;
}

/* ---- the repetition ---- */

static struct fixture *start(void **state, const struct scenario *scenario)
{
	struct fixture *fixture = *state;

	fake_machine_register_linear(&fixture->machine, LINEAR_HPA, 4 * GIB - LINEAR_HPA);
	scenario->prepare(fixture);
	fixture_check(fixture);
	return fixture;
}

static void assert_nothing_changed(struct fixture *fixture, const struct fake_snapshot *before)
{
	fake_machine_assert_unlocked(&fixture->machine);
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, before);
	fixture_check(fixture);
}

/** A test that never failed an allocation shows nothing. */
static void assert_failed_before(const struct fixture *fixture, const struct scenario *scenario,
				 unsigned attempts)
{
	if (!scenario->cuts || layout_largest_leaf(fixture->layout) > PAGE)
		assert_true(attempts > 0);
	assert_true(attempts < NEVER);
}

static void repeat_without_memory(void **state, const struct scenario *scenario)
{
	int expected = scenario->is_fault ? ADDRSPACE_FAULT_OUT_OF_MEMORY : ADDRSPACE_ENOMEM;
	struct fixture *fixture = start(state, scenario);
	struct fake_machine *machine = &fixture->machine;
	unsigned attempt;

	for (attempt = 0; attempt < NEVER; attempt++) {
		uint64_t failed = machine->counters.failed_allocations;
		struct fake_snapshot before;
		int result;

		fake_machine_snapshot(machine, &fixture->as, &before);
		machine->fail_at = attempt + 1;
		result = scenario->operation(fixture);
		if (result == 0) {
			assert_int_equal(machine->counters.failed_allocations, failed);
			break;
		}
		assert_int_equal(result, expected);
		assert_int_equal(machine->counters.failed_allocations, failed + 1);
		assert_nothing_changed(fixture, &before);
	}
	machine->fail_at = 0;
	assert_failed_before(fixture, scenario, attempt);
}

static uint64_t charged_frames(const struct fake_machine *machine)
{
	uint64_t frames = 0;

	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		frames += machine->charged[kind];
	return frames;
}

static void repeat_without_quota(void **state, const struct scenario *scenario)
{
	int expected = scenario->is_fault ? ADDRSPACE_FAULT_OUT_OF_MEMORY : ADDRSPACE_EDQUOT;
	struct fixture *fixture = start(state, scenario);
	struct fake_machine *machine = &fixture->machine;
	uint64_t unlimited = machine->quota;
	unsigned attempt;

	for (attempt = 0; attempt < NEVER; attempt++) {
		struct fake_snapshot before;
		int result;

		fake_machine_snapshot(machine, &fixture->as, &before);
		machine->quota = charged_frames(machine) + attempt;
		result = scenario->operation(fixture);
		if (result == 0)
			break;
		assert_int_equal(result, expected);
		assert_nothing_changed(fixture, &before);
	}
	machine->quota = unlimited;
	assert_failed_before(fixture, scenario, attempt);
}

static void repeat_with_unusable_frames(void **state, const struct scenario *scenario)
{
	struct fixture *fixture = start(state, scenario);
	struct fake_machine *machine = &fixture->machine;
	const uint64_t unusable[] = {
		FAKE_ARENA_BASE + 0x800,                            /* misaligned */
		UINT64_C(1) << fixture->layout->host_bits,          /* too wide for the host */
		(UINT64_C(1) << 63) + FAKE_ARENA_BASE + 100 * PAGE, /* for every host */
	};
	unsigned attempt;

	make_handler_bad(machine);
	for (attempt = 0; attempt < NEVER; attempt++) {
		struct fake_snapshot before;
		int result;

		fake_machine_snapshot(machine, &fixture->as, &before);
		bad.hpa = unusable[attempt % 3];
		bad.at = attempt / 3 + 1;
		bad.handed_out = 0;
		bad.given_back = 0;
		result = scenario->operation(fixture);
		assert_int_equal(bad.given_back, bad.handed_out);
		if (result == 0)
			break;
		assert_int_equal(result, ADDRSPACE_EFAULT);
		assert_int_equal(bad.handed_out, 1);
		assert_nothing_changed(fixture, &before);
	}
	assert_int_equal(bad.handed_out, 0);
	make_handler_honest(machine);
	assert_failed_before(fixture, scenario, attempt);
}

/* prepare, operation, is_fault, cuts */
#define SCENARIOS(_)                                                                               \
	_(prepare_nothing, map_pages_over_a_table_border, false, false)                            \
	_(prepare_nothing, map_pages_over_a_gigabyte_border, false, false)                         \
	_(prepare_nothing, map_mixed_leaves, false, false)                                         \
	_(prepare_nothing, map_leaves_of_2_mib_over_a_gigabyte_border, false, false)               \
	_(prepare_nothing, map_one_big_leaf, false, false)                                         \
	_(prepare_pages_at_both_sides, map_into_existing_tables, false, false)                     \
	_(prepare_nothing, populate_over_a_gigabyte_border, false, false)                          \
	_(prepare_pages_at_both_sides, populate_into_existing_tables, false, false)                \
	_(prepare_nothing, populate_without_permissions, false, false)                             \
	_(prepare_nothing, map_lazy, false, false)                                                 \
	_(prepare_full_region_node, map_lazy_beyond_a_full_region_node, false, false)              \
	_(prepare_full_region_node, map_linear_beyond_a_full_region_node, false, false)            \
	_(prepare_mixed_neighbours, replace_mixed_by_linear, false, false)                         \
	_(prepare_mixed_neighbours, replace_mixed_by_populated, false, false)                      \
	_(prepare_mixed_neighbours, replace_mixed_by_lazy, false, true)                            \
	_(prepare_mixed_neighbours, replace_all_mixed_by_large_leaves, false, false)               \
	_(prepare_big_leaves, replace_the_middle_of_a_big_leaf_by_populated, false, false)         \
	_(prepare_big_leaves, replace_over_two_big_leaves_by_linear, false, false)                 \
	_(prepare_big_leaves, replace_the_middle_of_a_big_leaf_by_lazy, false, true)               \
	_(prepare_leaves_of_2_mib, unmap_a_hole_in_a_leaf_of_2_mib, false, true)                   \
	_(prepare_leaves_of_2_mib, unmap_from_one_leaf_of_2_mib_into_another, false, true)         \
	_(prepare_big_leaves, unmap_a_hole_in_a_big_leaf, false, true)                             \
	_(prepare_big_leaves, unmap_most_of_a_big_leaf, false, true)                               \
	_(prepare_big_leaves, unmap_from_one_big_leaf_into_another, false, true)                   \
	_(prepare_full_region_node, unmap_a_hole_with_a_full_region_node, false, false)            \
	_(prepare_leaves_of_2_mib, protect_the_middle_of_a_leaf_of_2_mib, false, true)             \
	_(prepare_leaves_of_2_mib, protect_from_one_leaf_of_2_mib_into_another, false, true)       \
	_(prepare_big_leaves, protect_the_middle_of_a_big_leaf, false, true)                       \
	_(prepare_big_leaves, protect_from_one_big_leaf_into_another, false, true)                 \
	_(prepare_full_region_node, protect_with_a_full_region_node, false, false)                 \
	_(prepare_several_regions, protect_several_regions, false, false)                          \
	_(prepare_populated_with_a_full_region_node, discard_inside_a_populated_region, false,     \
	  false)                                                                                   \
	_(prepare_populated_with_a_full_region_node, discard_the_end_of_a_populated_region, false, \
	  false)                                                                                   \
	_(prepare_populated_neighbours, discard_from_one_populated_region_into_another, false,     \
	  false)                                                                                   \
	_(prepare_lazy, fault_in_an_empty_root, true, false)                                       \
	_(prepare_lazy_with_one_page, fault_beside_a_page, true, false)                            \
	_(prepare_lazy_with_one_page, fault_beside_a_table_of_pages, true, false)                  \
	_(prepare_lazy_with_one_page, fault_beside_a_table_of_tables, true, false)                 \
	_(prepare_moving_in_leaves_of_2_mib, move_in_the_middle_of_a_leaf_of_2_mib, false, true)   \
	_(prepare_moving_in_leaves_of_2_mib, move_the_first_page_of_a_leaf_of_2_mib, false, true)  \
	_(prepare_moving_in_big_leaves, move_in_the_middle_of_a_big_leaf, false, true)             \
	_(prepare_moving_in_big_leaves, move_the_last_page_of_a_big_leaf, false, true)             \
	_(prepare_moving_with_a_full_region_node, move_in_linear_with_a_full_region_node, false,   \
	  false)

#define DEFINE_TESTS(preparation, call, fault, needs_large)                                        \
	static const struct scenario scenario_##call = {                                           \
		.prepare = preparation,                                                            \
		.operation = call,                                                                 \
		.is_fault = fault,                                                                 \
		.cuts = needs_large,                                                               \
	};                                                                                         \
	static void call##_without_memory_changes_nothing(void **state)                            \
	{                                                                                          \
		repeat_without_memory(state, &scenario_##call);                                    \
	}                                                                                          \
	static void call##_without_quota_changes_nothing(void **state)                             \
	{                                                                                          \
		repeat_without_quota(state, &scenario_##call);                                     \
	}                                                                                          \
	static void call##_with_unusable_frames_changes_nothing(void **state)                      \
	{                                                                                          \
		repeat_with_unusable_frames(state, &scenario_##call);                              \
	}

SCENARIOS(DEFINE_TESTS)

#define LIST_TESTS(preparation, call, fault, needs_large)                                          \
	cmocka_unit_test(call##_without_memory_changes_nothing),                                   \
		cmocka_unit_test(call##_without_quota_changes_nothing),                            \
		cmocka_unit_test(call##_with_unusable_frames_changes_nothing),

/* ---- init ---- */

/** Destroys the space: each test below makes its own, on the same machine. */
static struct fixture *without_space(void **state, struct addrspace_config *config)
{
	struct fixture *fixture = *state;

	fixture_destroy_space(fixture);
	fixture_config(fixture->layout, &fixture->machine, config);
	fixture->machine.allow_unlocked = true;
	return fixture;
}

static void assert_init_succeeds(struct fixture *fixture, const struct addrspace_config *config)
{
	struct fake_machine *machine = &fixture->machine;

	fake_machine_assert_all_returned(machine);
	assert_int_equal(addrspace_init(&fixture->as, config), 0);
	fake_machine_attach(machine, &fixture->as, fixture->layout);
	fixture->initialised = true;
	fixture_check(fixture);
}

static void init_without_memory_takes_nothing(void **state)
{
	struct addrspace_config config;
	struct fixture *fixture = without_space(state, &config);

	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_init(&fixture->as, &config), ADDRSPACE_ENOMEM);
	assert_init_succeeds(fixture, &config);
}

static void init_without_quota_takes_nothing(void **state)
{
	struct addrspace_config config;
	struct fixture *fixture = without_space(state, &config);
	uint64_t unlimited = fixture->machine.quota;

	fixture->machine.quota = 0;
	assert_int_equal(addrspace_init(&fixture->as, &config), ADDRSPACE_EDQUOT);
	fixture->machine.quota = unlimited;
	assert_init_succeeds(fixture, &config);
}

static void init_with_an_unusable_root_takes_nothing(void **state)
{
	struct addrspace_config config;
	struct fixture *fixture = without_space(state, &config);
	struct fake_machine *machine = &fixture->machine;
	const uint64_t unusable[] = {FAKE_ARENA_BASE + 0x800,
				     UINT64_C(1) << fixture->layout->host_bits};

	make_handler_bad(machine);
	for (size_t i = 0; i < 2; i++) {
		bad.hpa = unusable[i];
		bad.at = 1;
		bad.given_back = 0;
		assert_int_equal(addrspace_init(&fixture->as, &config), ADDRSPACE_EFAULT);
		assert_int_equal(bad.given_back, 1);
	}
	make_handler_honest(machine);
	assert_init_succeeds(fixture, &config);
}

/** A root of several frames is aligned to its whole size, or the register truncates it. */
static void init_refuses_a_root_aligned_to_less_than_its_size(void **state)
{
	struct addrspace_config config;
	struct fixture *fixture = without_space(state, &config);
	struct fake_machine *machine = &fixture->machine;

	make_handler_bad(machine);
	bad.hpa = FAKE_ARENA_BASE + PAGE;
	bad.at = 1;
	bad.given_back = 0;
	if (fixture->layout->kind == LAYOUT_GSTAGE || fixture->layout->kind == LAYOUT_HOSTILE) {
		assert_int_equal(addrspace_init(&fixture->as, &config), ADDRSPACE_EFAULT);
		assert_int_equal(bad.given_back, 1);
	}
	make_handler_honest(machine);
	assert_init_succeeds(fixture, &config);
}

/* ---- what takes no frame at all ---- */

static uint64_t allocations(const struct fake_machine *machine)
{
	uint64_t count = machine->counters.failed_allocations;

	for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
		count += machine->counters.allocations[kind];
	return count;
}

/** Asserts that a call succeeds where the very first allocation would fail. */
#define assert_takes_nothing(fixture, call)                                                        \
	do {                                                                                       \
		uint64_t before_call = allocations(&(fixture)->machine);                           \
                                                                                                   \
		(fixture)->machine.fail_at = 1;                                                    \
		assert_int_equal(call, 0);                                                         \
		(fixture)->machine.fail_at = 0;                                                    \
		assert_int_equal(allocations(&(fixture)->machine), before_call);                   \
		fixture_check(fixture);                                                            \
	} while (0)

static const struct scenario several_regions = {.prepare = prepare_several_regions};
static const struct scenario mixed_neighbours = {.prepare = prepare_mixed_neighbours};
static const struct scenario big_leaves = {.prepare = prepare_big_leaves};

static void unmap_of_whole_regions_takes_no_memory(void **state)
{
	struct fixture *fixture = start(state, &several_regions);
	struct addrspace *as = &fixture->as;

	assert_takes_nothing(fixture, addrspace_unmap(as, 5 * LARGE, 4 * PAGE));
	assert_takes_nothing(fixture, addrspace_unmap(as, 4 * LARGE, 3 * LARGE));
	assert_takes_nothing(fixture, addrspace_unmap(as, GIB + 8 * PAGE, 4 * PAGE));
	assert_takes_nothing(fixture, addrspace_unmap(as, 0, layout_limit(fixture->layout)));
}

static void unmap_of_ends_of_regions_takes_no_memory(void **state)
{
	struct fixture *fixture = start(state, &mixed_neighbours);
	struct addrspace *as = &fixture->as;

	assert_takes_nothing(fixture, addrspace_unmap(as, GIB - 16 * PAGE, 3 * PAGE));
	assert_takes_nothing(fixture, addrspace_unmap(as, GIB - 2 * PAGE, 2 * PAGE));
	assert_takes_nothing(fixture, addrspace_unmap(as, GIB, 2 * PAGE));
	/* from inside the lazy region over a hole and pages into the first large leaf's place */
	assert_takes_nothing(fixture, addrspace_unmap(as, GIB + 7 * PAGE, LARGE - 7 * PAGE));
	assert_takes_nothing(fixture, addrspace_unmap(as, GIB + 2 * LARGE, LARGE));
}

static void unmap_of_ends_with_a_full_region_node_takes_no_memory(void **state)
{
	struct fixture *fixture = start(state, &several_regions);
	struct addrspace *as = &fixture->as;

	assert_takes_nothing(fixture, addrspace_unmap(as, GIB, PAGE));
	assert_takes_nothing(fixture, addrspace_unmap(as, GIB + 11 * PAGE, 6 * PAGE));
	assert_takes_nothing(fixture, addrspace_unmap(as, 5 * LARGE + PAGE, 10 * PAGE));
}

static void unmap_of_whole_large_leaves_takes_no_memory(void **state)
{
	struct fixture *fixture = start(state, &big_leaves);
	uint64_t big = big_leaf(fixture);

	assert_takes_nothing(fixture, addrspace_unmap(&fixture->as, 2 * big, big));
	assert_takes_nothing(fixture, addrspace_unmap(&fixture->as, big, big));
}

static void unmap_of_a_hole_in_a_region_takes_no_memory_while_its_node_has_room(void **state)
{
	struct fixture *fixture = start(state, &mixed_neighbours);

	assert_takes_nothing(fixture, addrspace_unmap(&fixture->as, GIB - 8 * PAGE, PAGE));
	assert_takes_nothing(fixture, addrspace_unmap(&fixture->as, GIB + 4 * PAGE, PAGE));
}

static void protect_of_whole_regions_takes_no_memory(void **state)
{
	struct fixture *fixture = start(state, &several_regions);
	struct addrspace *as = &fixture->as;

	assert_takes_nothing(fixture, addrspace_protect(as, 4 * LARGE, 3 * LARGE, ADDRSPACE_READ));
	assert_takes_nothing(fixture, addrspace_protect(as, 4 * LARGE, 3 * LARGE, 0));
}

static void discard_in_lazy_regions_and_of_whole_regions_takes_no_memory(void **state)
{
	struct fixture *fixture = start(state, &several_regions);
	struct addrspace *as = &fixture->as;

	assert_takes_nothing(fixture, addrspace_discard(as, 5 * LARGE + 9 * PAGE, PAGE));
	assert_takes_nothing(fixture, addrspace_discard(as, GIB + PAGE, 2 * PAGE));
	assert_takes_nothing(fixture, addrspace_discard(as, 5 * LARGE, 8 * PAGE));
	assert_takes_nothing(fixture, addrspace_discard(as, 5 * LARGE, LARGE));
}

static void moving_a_page_of_an_alloc_region_takes_no_memory(void **state)
{
	struct fixture *fixture = start(state, &mixed_neighbours);
	struct fake_machine *machine = &fixture->machine;
	const uint64_t pages[] = {GIB - 5 * PAGE, GIB + 2 * PAGE};

	for (size_t i = 0; i < 2; i++) {
		uint64_t count = allocations(machine);

		lend_page(fixture);
		machine->fail_at = 1;
		assert_int_equal(addrspace_replace_frame(&fixture->as, pages[i], lent_hpa,
							 fake_machine_copy_frame, machine),
				 0);
		machine->fail_at = 0;
		fake_machine_hand_over(machine, lent_hpa, pages[i], fixture_rw.cookie);
		assert_int_equal(allocations(machine), count);
		fixture_check(fixture);
	}
}

static void clear_takes_no_memory(void **state)
{
	struct fixture *fixture = start(state, &several_regions);

	assert_takes_nothing(fixture, (addrspace_clear(&fixture->as), 0));
}

static void faults_on_what_is_there_or_refused_take_no_memory(void **state)
{
	struct fixture *fixture = start(state, &mixed_neighbours);
	struct addrspace *as = &fixture->as;
	uint64_t count = allocations(&fixture->machine);

	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_handle_fault(as, GIB + 2 * PAGE, ADDRSPACE_WRITE, NULL),
			 ADDRSPACE_FAULT_ALREADY_RESOLVED);
	assert_int_equal(addrspace_handle_fault(as, GIB + LARGE, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_ALREADY_RESOLVED);
	assert_int_equal(addrspace_handle_fault(as, GIB + PAGE, ADDRSPACE_EXECUTE, NULL),
			 ADDRSPACE_FAULT_DENIED);
	assert_int_equal(addrspace_handle_fault(as, GIB + 12 * PAGE, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_NOT_BACKED);
	fixture->machine.fail_at = 0;
	assert_int_equal(allocations(&fixture->machine), count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIOS(LIST_TESTS) cmocka_unit_test(init_without_memory_takes_nothing),
		cmocka_unit_test(init_without_quota_takes_nothing),
		cmocka_unit_test(init_with_an_unusable_root_takes_nothing),
		cmocka_unit_test(init_refuses_a_root_aligned_to_less_than_its_size),
		cmocka_unit_test(unmap_of_whole_regions_takes_no_memory),
		cmocka_unit_test(unmap_of_ends_of_regions_takes_no_memory),
		cmocka_unit_test(unmap_of_ends_with_a_full_region_node_takes_no_memory),
		cmocka_unit_test(unmap_of_whole_large_leaves_takes_no_memory),
		cmocka_unit_test(
			unmap_of_a_hole_in_a_region_takes_no_memory_while_its_node_has_room),
		cmocka_unit_test(protect_of_whole_regions_takes_no_memory),
		cmocka_unit_test(discard_in_lazy_regions_and_of_whole_regions_takes_no_memory),
		cmocka_unit_test(moving_a_page_of_an_alloc_region_takes_no_memory),
		cmocka_unit_test(clear_takes_no_memory),
		cmocka_unit_test(faults_on_what_is_there_or_refused_take_no_memory),
	};

	return run_over_layouts("failures", tests, sizeof(tests) / sizeof(tests[0]));
}
