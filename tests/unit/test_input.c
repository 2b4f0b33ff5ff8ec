/* SPDX-License-Identifier: MIT */
/* Whatever an embedder or a guest passes, the answer is the documented error and nothing changes.
 */
#include <string.h>

#include <addrspace/aarch64.h>
#include <addrspace/riscv64.h>
#include <addrspace/x86_64.h>

#include "layouts.h"

#define PAGE       FAKE_PAGE_SIZE
#define MIB        (UINT64_C(1) << 20)
#define LARGE      (2 * MIB)
#define LINEAR_GPA UINT64_C(0x40000000)
#define LINEAR_HPA UINT64_C(0x80000000)
#define POPULATED  UINT64_C(0x10000)
#define LAZY       UINT64_C(0x200000)
#define FREE_GPA   UINT64_C(0x8000000)

/** What must be the same after a refused call. */
struct before {
	struct fake_snapshot snapshot;
	struct fake_counters counters;
};

static void look_before(struct fixture *fixture, struct before *before)
{
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before->snapshot);
	before->counters = fixture->machine.counters;
}

/** Not only is the result as it was: nothing was taken, given back or invalidated on the way. */
static void assert_nothing_happened(struct fixture *fixture, const struct before *before)
{
	const struct fake_counters *now = &fixture->machine.counters;

	assert_memory_equal(now->allocations, before->counters.allocations,
			    sizeof(now->allocations));
	assert_memory_equal(now->frees, before->counters.frees, sizeof(now->frees));
	assert_int_equal(now->invalidate, before->counters.invalidate);
	assert_int_equal(now->prepare_frame, before->counters.prepare_frame);
	assert_int_equal(now->charge, before->counters.charge);
	fake_machine_assert_unlocked(&fixture->machine);
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before->snapshot);
}

/** Asserts that a call answers this, and changes nothing. */
#define assert_refused(fixture, call, expected)                                                    \
	do {                                                                                       \
		struct before before_call;                                                         \
                                                                                                   \
		look_before(fixture, &before_call);                                                \
		assert_int_equal(call, expected);                                                  \
		assert_nothing_happened(fixture, &before_call);                                    \
	} while (0)

/** A space that holds something of each kind, to be damaged. */
static struct fixture *furnish(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;

	fake_machine_register_linear(&fixture->machine, LINEAR_HPA, LINEAR_HPA);
	assert_int_equal(
		addrspace_map_linear(as, LINEAR_GPA, 2 * LARGE, LINEAR_HPA, &fixture_rwx, 0), 0);
	assert_int_equal(
		addrspace_map_alloc(as, POPULATED, 4 * PAGE, &fixture_rw, ADDRSPACE_MAP_POPULATE),
		0);
	assert_int_equal(addrspace_map_alloc(as, LAZY, 16 * PAGE, &fixture_rw, 0), 0);
	assert_int_equal(fixture_guest(fixture, 0, LAZY, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
	return fixture;
}

/** Width of host addresses that the format makes use of: stage 2 without LPA2 stops at 48. */
static unsigned host_bits(const struct layout *layout)
{
	return layout->kind == LAYOUT_STAGE2 && layout->host_bits > 48 ? 48 : layout->host_bits;
}

/* ---- ranges ---- */

struct bad_range {
	uint64_t gpa;
	uint64_t size;
	int error;
};

#define BAD_RANGES 17

static void list_bad_ranges(const struct layout *layout, struct bad_range ranges[BAD_RANGES])
{
	const uint64_t limit = layout_limit(layout);
	const uint64_t top = UINT64_MAX - PAGE + 1;
	const struct bad_range list[BAD_RANGES] = {
		{POPULATED + 0x800, PAGE, ADDRSPACE_EINVAL},
		{POPULATED + 1, PAGE, ADDRSPACE_EINVAL},
		{POPULATED, PAGE - 1, ADDRSPACE_EINVAL},
		{POPULATED, PAGE + 0x800, ADDRSPACE_EINVAL},
		{POPULATED + 0x800, PAGE - 0x800, ADDRSPACE_EINVAL},
		{POPULATED, 1, ADDRSPACE_EINVAL},
		{POPULATED, 0, ADDRSPACE_EINVAL},
		{limit, 0, ADDRSPACE_EINVAL},
		{top, 2 * PAGE, ADDRSPACE_EINVAL},
		{2 * PAGE, top, ADDRSPACE_EINVAL},
		{LINEAR_GPA, UINT64_MAX - LINEAR_GPA + 1 + PAGE, ADDRSPACE_EINVAL},
		{top, PAGE, ADDRSPACE_ERANGE},
		{PAGE, top, ADDRSPACE_ERANGE},
		{limit, PAGE, ADDRSPACE_ERANGE},
		{limit - PAGE, 2 * PAGE, ADDRSPACE_ERANGE},
		{0, limit + PAGE, ADDRSPACE_ERANGE},
		/* one bit wider than the root's index: must not alias onto low memory */
		{limit + LINEAR_GPA, PAGE, ADDRSPACE_ERANGE},
	};

	memcpy(ranges, list, sizeof(list));
}

static void map_linear_refuses_a_bad_range(void **state)
{
	struct fixture *fixture = furnish(state);
	struct bad_range bad[BAD_RANGES];

	list_bad_ranges(fixture->layout, bad);
	for (size_t i = 0; i < BAD_RANGES; i++) {
		assert_refused(fixture,
			       addrspace_map_linear(&fixture->as, bad[i].gpa, bad[i].size,
						    LINEAR_HPA, &fixture_rw, 0),
			       bad[i].error);
		assert_refused(fixture,
			       addrspace_map_linear(&fixture->as, bad[i].gpa, bad[i].size,
						    LINEAR_HPA, &fixture_rw, ADDRSPACE_MAP_REPLACE),
			       bad[i].error);
	}
}

static void map_alloc_refuses_a_bad_range(void **state)
{
	const unsigned all = ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE;
	struct fixture *fixture = furnish(state);
	struct bad_range bad[BAD_RANGES];

	list_bad_ranges(fixture->layout, bad);
	for (size_t i = 0; i < BAD_RANGES; i++) {
		for (unsigned flags = 0; flags <= all; flags++)
			assert_refused(fixture,
				       addrspace_map_alloc(&fixture->as, bad[i].gpa, bad[i].size,
							   &fixture_rw, flags),
				       bad[i].error);
	}
}

static void unmap_refuses_a_bad_range(void **state)
{
	struct fixture *fixture = furnish(state);
	struct bad_range bad[BAD_RANGES];

	list_bad_ranges(fixture->layout, bad);
	for (size_t i = 0; i < BAD_RANGES; i++)
		assert_refused(fixture, addrspace_unmap(&fixture->as, bad[i].gpa, bad[i].size),
			       bad[i].error);
}

static void protect_refuses_a_bad_range(void **state)
{
	struct fixture *fixture = furnish(state);
	struct bad_range bad[BAD_RANGES];

	list_bad_ranges(fixture->layout, bad);
	for (size_t i = 0; i < BAD_RANGES; i++)
		assert_refused(
			fixture,
			addrspace_protect(&fixture->as, bad[i].gpa, bad[i].size, ADDRSPACE_READ),
			bad[i].error);
}

static void discard_refuses_a_bad_range(void **state)
{
	struct fixture *fixture = furnish(state);
	struct bad_range bad[BAD_RANGES];

	list_bad_ranges(fixture->layout, bad);
	for (size_t i = 0; i < BAD_RANGES; i++)
		assert_refused(fixture, addrspace_discard(&fixture->as, bad[i].gpa, bad[i].size),
			       bad[i].error);
}

static void range_that_ends_at_the_top_of_the_space_is_accepted(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t top = layout_limit(fixture->layout) - PAGE;

	assert_int_equal(
		addrspace_map_alloc(&fixture->as, top, PAGE, &fixture_rw, ADDRSPACE_MAP_POPULATE),
		0);
	assert_int_equal(fixture_guest(fixture, 0, top + PAGE - 8, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_true(addrspace_contains_range(&fixture->as, top, PAGE));
	assert_int_equal(addrspace_protect(&fixture->as, top, PAGE, ADDRSPACE_READ), 0);
	assert_int_equal(addrspace_discard(&fixture->as, top, PAGE), 0);
	assert_int_equal(addrspace_unmap(&fixture->as, top, PAGE), 0);
}

/* ---- host addresses ---- */

static void map_linear_refuses_host_memory_that_is_misaligned_wraps_or_is_too_wide(void **state)
{
	struct fixture *fixture = furnish(state);
	const uint64_t limit = UINT64_C(1) << host_bits(fixture->layout);
	const uint64_t top = UINT64_MAX - PAGE + 1;
	const struct {
		uint64_t hpa;
		uint64_t size;
		int error;
	} bad[] = {
		{LINEAR_HPA + 1, PAGE, ADDRSPACE_EINVAL},
		{LINEAR_HPA + 0x800, PAGE, ADDRSPACE_EINVAL},
		{limit, PAGE, ADDRSPACE_ERANGE},
		{limit - PAGE, 2 * PAGE, ADDRSPACE_ERANGE},
		{limit + LINEAR_HPA, PAGE, ADDRSPACE_ERANGE},
		{top, PAGE, ADDRSPACE_ERANGE},
		{top, 2 * PAGE, ADDRSPACE_ERANGE},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(fixture,
			       addrspace_map_linear(&fixture->as, FREE_GPA, bad[i].size, bad[i].hpa,
						    &fixture_rw, 0),
			       bad[i].error);
}

static void replace_frame_refuses_a_frame_that_is_misaligned_or_too_wide(void **state)
{
	struct fixture *fixture = furnish(state);
	const uint64_t limit = UINT64_C(1) << host_bits(fixture->layout);
	const uint64_t pages[] = {POPULATED, LAZY, LINEAR_GPA + PAGE};

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		struct addrspace *as = &fixture->as;

		assert_refused(fixture,
			       addrspace_replace_frame(as, pages[i], LINEAR_HPA + 8, NULL, NULL),
			       ADDRSPACE_EINVAL);
		assert_refused(fixture, addrspace_replace_frame(as, pages[i], limit, NULL, NULL),
			       ADDRSPACE_ERANGE);
		assert_refused(
			fixture,
			addrspace_replace_frame(as, pages[i], limit + LINEAR_HPA, NULL, NULL),
			ADDRSPACE_ERANGE);
		assert_refused(
			fixture,
			addrspace_replace_frame(as, pages[i], UINT64_MAX - PAGE + 1, NULL, NULL),
			ADDRSPACE_ERANGE);
	}
}

static void replace_frame_refuses_a_page_that_is_misaligned_or_outside(void **state)
{
	struct fixture *fixture = furnish(state);
	const uint64_t limit = layout_limit(fixture->layout);
	const uint64_t hpa = fake_machine_lend(&fixture->machine, 0);
	const struct {
		uint64_t gpa;
		int error;
	} bad[] = {
		{POPULATED + 8, ADDRSPACE_EINVAL},     {limit, ADDRSPACE_ERANGE},
		{limit + POPULATED, ADDRSPACE_ERANGE}, {UINT64_MAX - PAGE + 1, ADDRSPACE_ERANGE},
		{FREE_GPA, ADDRSPACE_ENOENT},          {LAZY + PAGE, ADDRSPACE_ENOENT},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(fixture,
			       addrspace_replace_frame(&fixture->as, bad[i].gpa, hpa, NULL, NULL),
			       bad[i].error);
	fake_machine_take_back(&fixture->machine, hpa);
}

/* ---- flags, permissions, types ---- */

static void map_refuses_unknown_flags(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;

	for (unsigned bit = 0; bit < 32; bit++) {
		unsigned flag = 1u << bit;

		if (flag & (ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE))
			continue;
		assert_refused(fixture, addrspace_map_alloc(as, FREE_GPA, PAGE, &fixture_rw, flag),
			       ADDRSPACE_EINVAL);
		assert_refused(
			fixture,
			addrspace_map_linear(as, FREE_GPA, PAGE, LINEAR_HPA, &fixture_rw, flag),
			ADDRSPACE_EINVAL);
	}
}

static void map_linear_refuses_populate(void **state)
{
	struct fixture *fixture = furnish(state);

	assert_refused(fixture,
		       addrspace_map_linear(&fixture->as, FREE_GPA, PAGE, LINEAR_HPA, &fixture_rw,
					    ADDRSPACE_MAP_POPULATE),
		       ADDRSPACE_EINVAL);
}

static void unknown_permission_bits_are_refused(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;

	for (unsigned bit = 3; bit < 32; bit++) {
		struct addrspace_attributes attributes = fixture_rw;

		attributes.permissions |= 1u << bit;
		assert_refused(fixture, addrspace_map_alloc(as, FREE_GPA, PAGE, &attributes, 0),
			       ADDRSPACE_EINVAL);
		assert_refused(fixture,
			       addrspace_map_linear(as, FREE_GPA, PAGE, LINEAR_HPA, &attributes, 0),
			       ADDRSPACE_EINVAL);
		assert_refused(fixture,
			       addrspace_protect(as, POPULATED, PAGE, attributes.permissions),
			       ADDRSPACE_EINVAL);
	}
}

static void permissions_that_the_format_cannot_encode_are_refused(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;
	unsigned refused = 0;

	for (unsigned permissions = 0; permissions < 8; permissions++) {
		struct addrspace_attributes attributes = {.permissions = permissions};

		if (layout_can_permit(fixture->layout, permissions))
			continue;
		refused++;
		assert_refused(fixture, addrspace_map_alloc(as, FREE_GPA, PAGE, &attributes, 0),
			       ADDRSPACE_ENOTSUP);
		assert_refused(fixture,
			       addrspace_map_alloc(as, POPULATED, PAGE, &attributes,
						   ADDRSPACE_MAP_POPULATE | ADDRSPACE_MAP_REPLACE),
			       ADDRSPACE_ENOTSUP);
		assert_refused(fixture,
			       addrspace_map_linear(as, FREE_GPA, PAGE, LINEAR_HPA, &attributes, 0),
			       ADDRSPACE_ENOTSUP);
		assert_refused(fixture, addrspace_protect(as, POPULATED, PAGE, permissions),
			       ADDRSPACE_ENOTSUP);
		assert_refused(fixture, addrspace_protect(as, LINEAR_GPA + PAGE, PAGE, permissions),
			       ADDRSPACE_ENOTSUP);
	}
	/* each format forbids something */
	assert_true(refused > 0);
}

static void memory_types_that_the_format_cannot_encode_are_refused(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;

	for (int type = ADDRSPACE_WRITE_BACK; type <= ADDRSPACE_WRITE_THROUGH; type++) {
		struct addrspace_attributes attributes = fixture_rw;

		attributes.memory_type = (enum addrspace_memory_type)type;
		if (layout_has_type(fixture->layout, attributes.memory_type)) {
			assert_int_equal(addrspace_map_linear(as, FREE_GPA, PAGE, LINEAR_HPA,
							      &attributes, 0),
					 0);
			assert_int_equal(addrspace_unmap(as, FREE_GPA, PAGE), 0);
			continue;
		}
		assert_refused(fixture,
			       addrspace_map_linear(as, FREE_GPA, PAGE, LINEAR_HPA, &attributes, 0),
			       ADDRSPACE_ENOTSUP);
		assert_refused(fixture, addrspace_map_alloc(as, FREE_GPA, PAGE, &attributes, 0),
			       ADDRSPACE_ENOTSUP);
	}
}

static void unknown_memory_types_are_refused(void **state)
{
	const int unknown[] = {4, 5, 255, 1 << 20};
	struct fixture *fixture = furnish(state);

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct addrspace_attributes attributes = fixture_rw;

		attributes.memory_type = (enum addrspace_memory_type)unknown[i];
		assert_refused(fixture,
			       addrspace_map_linear(&fixture->as, FREE_GPA, PAGE, LINEAR_HPA,
						    &attributes, 0),
			       ADDRSPACE_EINVAL);
		assert_refused(fixture,
			       addrspace_map_alloc(&fixture->as, FREE_GPA, PAGE, &attributes, 0),
			       ADDRSPACE_EINVAL);
	}
}

/* ---- what stands there ---- */

static void map_over_a_region_is_refused_without_replace(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;
	const uint64_t pages[] = {POPULATED, POPULATED + 3 * PAGE, LAZY + PAGE,
				  LINEAR_GPA + LARGE + PAGE};

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		assert_refused(fixture, addrspace_map_alloc(as, pages[i], PAGE, &fixture_rw, 0),
			       ADDRSPACE_EEXIST);
		assert_refused(fixture,
			       addrspace_map_alloc(as, pages[i] - PAGE, 3 * PAGE, &fixture_rw,
						   ADDRSPACE_MAP_POPULATE),
			       ADDRSPACE_EEXIST);
		assert_refused(fixture,
			       addrspace_map_linear(as, pages[i] & ~(LARGE - 1), LARGE, LINEAR_HPA,
						    &fixture_rw, 0),
			       ADDRSPACE_EEXIST);
	}
}

static void protect_and_discard_of_a_range_with_a_hole_are_refused(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;
	const struct {
		uint64_t gpa;
		uint64_t size;
	} holes[] = {
		{FREE_GPA, PAGE},
		{POPULATED - PAGE, 2 * PAGE},
		{POPULATED + 3 * PAGE, 2 * PAGE},
		{POPULATED, LAZY + PAGE - POPULATED},
		{LINEAR_GPA + PAGE, 2 * LARGE},
	};

	for (size_t i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		assert_refused(fixture,
			       addrspace_protect(as, holes[i].gpa, holes[i].size, ADDRSPACE_READ),
			       ADDRSPACE_ENOENT);
		assert_refused(fixture, addrspace_discard(as, holes[i].gpa, holes[i].size),
			       ADDRSPACE_ENOENT);
	}
}

static void discard_of_linear_memory_is_refused(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;

	assert_refused(fixture, addrspace_discard(as, LINEAR_GPA, 2 * LARGE), ADDRSPACE_ENOTSUP);
	assert_refused(fixture, addrspace_discard(as, LINEAR_GPA + PAGE, PAGE), ADDRSPACE_ENOTSUP);
}

static void unmap_of_nothing_changes_nothing(void **state)
{
	struct fixture *fixture = furnish(state);

	assert_refused(fixture, addrspace_unmap(&fixture->as, FREE_GPA, 16 * LARGE), 0);
}

/* ---- faults ---- */

static void handle_fault_refuses_no_access_and_unknown_access_bits(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace_region region;

	assert_refused(fixture, addrspace_handle_fault(&fixture->as, LAZY + PAGE, 0, &region),
		       ADDRSPACE_EINVAL);
	for (unsigned bit = 3; bit < 32; bit++)
		assert_refused(fixture,
			       addrspace_handle_fault(&fixture->as, LAZY + PAGE,
						      ADDRSPACE_READ | 1u << bit, &region),
			       ADDRSPACE_EINVAL);
}

static void fault_outside_of_the_space_is_not_backed(void **state)
{
	struct fixture *fixture = furnish(state);
	const uint64_t limit = layout_limit(fixture->layout);
	const uint64_t outside[] = {limit, limit + LAZY + PAGE, UINT64_MAX, UINT64_MAX - PAGE};
	static const struct addrspace_region none;

	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		struct addrspace_region region;

		memset(&region, 0xff, sizeof(region));
		assert_refused(
			fixture,
			addrspace_handle_fault(&fixture->as, outside[i], ADDRSPACE_READ, &region),
			ADDRSPACE_FAULT_NOT_BACKED);
		assert_memory_equal(&region, &none, sizeof(region));
	}
}

/* ---- queries ---- */

static void queries_outside_of_the_space_say_so(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;
	const uint64_t limit = layout_limit(fixture->layout);
	const uint64_t outside[] = {limit, limit + POPULATED, UINT64_MAX, UINT64_MAX - PAGE};

	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		struct addrspace_translation translation;
		struct addrspace_region region;
		struct addrspace_run run;
		uint64_t gap;

		assert_refused(fixture, addrspace_walk(as, outside[i], &translation),
			       ADDRSPACE_ERANGE);
		assert_refused(fixture, addrspace_translate(as, outside[i], &translation),
			       ADDRSPACE_ERANGE);
		assert_refused(fixture, addrspace_find_region(as, outside[i], &region),
			       ADDRSPACE_ERANGE);
		assert_refused(fixture, addrspace_next_region(as, outside[i], &region),
			       ADDRSPACE_ENOENT);
		assert_refused(fixture, addrspace_next_run(as, outside[i], &run), ADDRSPACE_ENOENT);
		assert_refused(fixture, addrspace_find_gap(as, outside[i], PAGE, PAGE, 0, &gap),
			       ADDRSPACE_ENOSPC);
	}
}

static void contains_range_is_false_for_what_is_empty_wraps_or_lies_outside(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;
	const uint64_t limit = layout_limit(fixture->layout);

	assert_true(addrspace_contains_range(as, POPULATED, PAGE));
	assert_refused(fixture, addrspace_contains_range(as, POPULATED, 0), false);
	assert_refused(fixture, addrspace_contains_range(as, limit, PAGE), false);
	assert_refused(fixture, addrspace_contains_range(as, limit + POPULATED, PAGE), false);
	assert_refused(fixture, addrspace_contains_range(as, limit - PAGE, 2 * PAGE), false);
	assert_refused(fixture, addrspace_contains_range(as, POPULATED, limit), false);
	assert_refused(fixture, addrspace_contains_range(as, POPULATED, UINT64_MAX), false);
	assert_refused(fixture, addrspace_contains_range(as, UINT64_MAX, UINT64_MAX), false);
	assert_refused(fixture,
		       addrspace_contains_range(as, UINT64_MAX - PAGE + 1, POPULATED + 2 * PAGE),
		       false);
	assert_false(addrspace_contains_range(NULL, POPULATED, PAGE));
}

static void find_gap_refuses_bad_sizes_alignments_and_limits(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;
	const uint64_t limit = layout_limit(fixture->layout);
	uint64_t gap;

	assert_refused(fixture, addrspace_find_gap(as, 0, 0, PAGE, 0, &gap), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_find_gap(as, 0, PAGE + 1, PAGE, 0, &gap),
		       ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_find_gap(as, 0, PAGE, 0, 0, &gap), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_find_gap(as, 0, PAGE, PAGE / 2, 0, &gap),
		       ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_find_gap(as, 0, PAGE, 3 * PAGE, 0, &gap),
		       ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_find_gap(as, 0, PAGE, PAGE, limit + 1, &gap),
		       ADDRSPACE_ERANGE);
	assert_refused(fixture, addrspace_find_gap(as, 0, PAGE, PAGE, UINT64_MAX, &gap),
		       ADDRSPACE_ERANGE);
	assert_refused(fixture, addrspace_find_gap(as, 0, limit, PAGE, 0, &gap), ADDRSPACE_ENOSPC);
	assert_refused(fixture, addrspace_find_gap(as, 0, UINT64_MAX - PAGE + 1, PAGE, 0, &gap),
		       ADDRSPACE_ENOSPC);
	assert_refused(fixture, addrspace_find_gap(as, 1, PAGE, UINT64_C(1) << 63, 0, &gap),
		       ADDRSPACE_ENOSPC);
	assert_refused(fixture, addrspace_find_gap(as, POPULATED, PAGE, PAGE, POPULATED, &gap),
		       ADDRSPACE_ENOSPC);
}

/* ---- null pointers ---- */

static void changes_refuse_null_pointers(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;

	assert_refused(fixture,
		       addrspace_map_linear(NULL, FREE_GPA, PAGE, LINEAR_HPA, &fixture_rw, 0),
		       ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_map_linear(as, FREE_GPA, PAGE, LINEAR_HPA, NULL, 0),
		       ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_map_alloc(NULL, FREE_GPA, PAGE, &fixture_rw, 0),
		       ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_map_alloc(as, FREE_GPA, PAGE, NULL, 0), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_unmap(NULL, POPULATED, PAGE), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_protect(NULL, POPULATED, PAGE, 0), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_discard(NULL, POPULATED, PAGE), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_replace_frame(NULL, POPULATED, LINEAR_HPA, NULL, NULL),
		       ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_handle_fault(NULL, LAZY, ADDRSPACE_READ, NULL),
		       ADDRSPACE_EINVAL);
}

static void queries_refuse_null_pointers(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace *as = &fixture->as;
	struct addrspace_translation translation;
	struct addrspace_statistics statistics;
	struct addrspace_region region;
	struct addrspace_run run;
	uint64_t gap;

	assert_refused(fixture, addrspace_walk(NULL, POPULATED, &translation), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_walk(as, POPULATED, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_translate(NULL, POPULATED, &translation),
		       ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_translate(as, POPULATED, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_find_region(NULL, POPULATED, &region), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_find_region(as, POPULATED, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_next_region(NULL, 0, &region), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_next_region(as, 0, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_find_gap(NULL, 0, PAGE, PAGE, 0, &gap), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_find_gap(as, 0, PAGE, PAGE, 0, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_next_run(NULL, 0, &run), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_next_run(as, 0, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_statistics(NULL, &statistics), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_statistics(as, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_verify(NULL, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_verify(as, NULL), 0);
}

static void ignore_line(void *print_ctx, const char *line)
{
	(void)line;
	(*(unsigned *)print_ctx)++;
}

static void dump_refuses_null_pointers(void **state)
{
	struct fixture *fixture = furnish(state);
	unsigned lines = 0;

	assert_refused(fixture, addrspace_dump(NULL, ignore_line, &lines), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_dump(&fixture->as, NULL, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(lines, 0);
	assert_refused(fixture, addrspace_dump(&fixture->as, ignore_line, &lines), 0);
	assert_true(lines >= 3);
}

/* ---- init ---- */

/** Asserts that init refuses this, and calls no hook. */
static void assert_init_refused(struct fixture *fixture, const struct addrspace_config *config,
				int error)
{
	struct addrspace other;

	assert_refused(fixture, addrspace_init(&other, config), error);
}

static void init_refuses_null_pointers(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace_config config;

	fixture_config(fixture->layout, &fixture->machine, &config);
	assert_refused(fixture, addrspace_init(NULL, &config), ADDRSPACE_EINVAL);
	assert_init_refused(fixture, NULL, ADDRSPACE_EINVAL);
	config.format = NULL;
	assert_init_refused(fixture, &config, ADDRSPACE_EINVAL);
	fixture_config(fixture->layout, &fixture->machine, &config);
	config.handler = NULL;
	assert_init_refused(fixture, &config, ADDRSPACE_EINVAL);
}

static void init_refuses_a_handler_without_its_required_hooks(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace_config config;
	struct paging_handler handler;

	fixture_config(fixture->layout, &fixture->machine, &config);
	config.handler = &handler;
	handler = *fake_machine_handler(&fixture->machine);
	handler.allocate = NULL;
	assert_init_refused(fixture, &config, ADDRSPACE_EINVAL);
	handler = *fake_machine_handler(&fixture->machine);
	handler.free = NULL;
	assert_init_refused(fixture, &config, ADDRSPACE_EINVAL);
	handler = *fake_machine_handler(&fixture->machine);
	handler.invalidate = NULL;
	assert_init_refused(fixture, &config, ADDRSPACE_EINVAL);
}

static void init_refuses_host_widths_that_no_cpu_has(void **state)
{
	const unsigned bad[] = {0, 1, 31, 53, 64, 256 + 48, UINT32_MAX};
	struct fixture *fixture = furnish(state);
	struct addrspace_config config;

	fixture_config(fixture->layout, &fixture->machine, &config);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config.cpu.host_bits = bad[i];
		assert_init_refused(fixture, &config, ADDRSPACE_EINVAL);
	}
}

static void init_refuses_guest_widths_that_the_format_does_not_have(void **state)
{
	static const unsigned widest[] = {
		[LAYOUT_EPT] = 57,    [LAYOUT_NPT] = 57,     [LAYOUT_STAGE2] = 48,
		[LAYOUT_GSTAGE] = 59, [LAYOUT_HOSTILE] = 49,
	};
	struct fixture *fixture = furnish(state);
	const unsigned bad[] = {0,         1,  11,
				12,        31, widest[fixture->layout->kind] + 1,
				63,        64, 256 + fixture->layout->gpa_bits,
				UINT32_MAX};
	struct addrspace_config config;

	fixture_config(fixture->layout, &fixture->machine, &config);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config.gpa_bits = bad[i];
		config.levels = fixture->layout->levels;
		assert_init_refused(fixture, &config, ADDRSPACE_ERANGE);
		config.levels = 0;
		assert_init_refused(fixture, &config, ADDRSPACE_ERANGE);
	}
}

static void init_refuses_levels_that_the_format_does_not_have(void **state)
{
	const unsigned bad[] = {1, 6, 256 + 4, UINT32_MAX};
	struct fixture *fixture = furnish(state);
	struct addrspace_config config;

	fixture_config(fixture->layout, &fixture->machine, &config);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config.levels = bad[i];
		assert_init_refused(fixture, &config, ADDRSPACE_ERANGE);
	}
}

static void init_refuses_fewer_levels_than_the_width_needs(void **state)
{
	struct fixture *fixture = furnish(state);
	struct addrspace_config config;

	fixture_config(fixture->layout, &fixture->machine, &config);
	switch (fixture->layout->kind) {
	case LAYOUT_EPT:
	case LAYOUT_NPT:
		config.gpa_bits = 49;
		config.levels = 4;
		break;
	case LAYOUT_STAGE2:
		/* 16 concatenated tables are the most: level 2 resolves up to 34 bits, 1 up to 43
		 */
		config.cpu.host_bits = 48;
		config.gpa_bits = 35;
		config.levels = 2;
		assert_init_refused(fixture, &config, ADDRSPACE_ERANGE);
		config.gpa_bits = 44;
		config.levels = 3;
		break;
	case LAYOUT_GSTAGE:
		config.gpa_bits = 42;
		config.levels = 3;
		assert_init_refused(fixture, &config, ADDRSPACE_ERANGE);
		config.gpa_bits = 51;
		config.levels = 4;
		break;
	case LAYOUT_HOSTILE:
		config.gpa_bits = 41;
		config.levels = 3;
		break;
	}
	assert_init_refused(fixture, &config, ADDRSPACE_ERANGE);
}

static void init_of_stage_2_refuses_what_the_host_width_forbids(void **state)
{
	static const unsigned pa_ranges[] = {32, 36, 40, 42, 44, 48};
	struct fixture *fixture = furnish(state);
	struct addrspace_config config;

	if (fixture->layout->kind != LAYOUT_STAGE2)
		return;
	fixture_config(fixture->layout, &fixture->machine, &config);
	config.levels = 0;
	for (size_t i = 0; i < sizeof(pa_ranges) / sizeof(pa_ranges[0]); i++) {
		config.cpu.host_bits = pa_ranges[i];
		config.gpa_bits = pa_ranges[i] + 1;
		assert_init_refused(fixture, &config, ADDRSPACE_ERANGE);
	}
	/* no PARange encodes these */
	config.gpa_bits = 32;
	config.cpu.host_bits = 33;
	assert_init_refused(fixture, &config, ADDRSPACE_ERANGE);
	config.cpu.host_bits = 47;
	assert_init_refused(fixture, &config, ADDRSPACE_ERANGE);
	/* Arm level 0 is no start level at 42 bits or less */
	config.cpu.host_bits = 42;
	config.gpa_bits = 42;
	config.levels = 4;
	assert_init_refused(fixture, &config, ADDRSPACE_ERANGE);
}

static void init_refuses_features_that_the_format_does_not_know(void **state)
{
	static const uint32_t known[] = {
		[LAYOUT_EPT] = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G |
			       ADDRSPACE_CPU_HARDWARE_AD | ADDRSPACE_CPU_EXECUTE_ONLY |
			       ADDRSPACE_CPU_INVEPT_SINGLE,
		[LAYOUT_NPT] = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G |
			       ADDRSPACE_CPU_HARDWARE_AD | ADDRSPACE_CPU_NX |
			       ADDRSPACE_CPU_FLUSH_BY_ASID,
		[LAYOUT_STAGE2] = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G |
				  ADDRSPACE_CPU_HARDWARE_AD | ADDRSPACE_CPU_FWB |
				  ADDRSPACE_CPU_VMID16 | ADDRSPACE_CPU_TLBI_RANGE,
		[LAYOUT_GSTAGE] = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G |
				  ADDRSPACE_CPU_HARDWARE_AD | ADDRSPACE_CPU_SVPBMT |
				  ADDRSPACE_CPU_SVVPTC,
		[LAYOUT_HOSTILE] =
			ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G | ADDRSPACE_CPU_HARDWARE_AD,
	};
	struct fixture *fixture = furnish(state);
	struct addrspace_config config;

	fixture_config(fixture->layout, &fixture->machine, &config);
	for (unsigned bit = 0; bit < 32; bit++) {
		if (known[fixture->layout->kind] >> bit & 1)
			continue;
		config.cpu.features = fixture->layout->cpu_features | UINT32_C(1) << bit;
		assert_init_refused(fixture, &config, ADDRSPACE_ENOTSUP);
	}
}

static void init_refuses_levels_that_the_cpu_does_not_walk(void **state)
{
	struct fixture *fixture = furnish(state);
	const unsigned levels = fixture->layout->levels;
	struct addrspace_config config;

	fixture_config(fixture->layout, &fixture->machine, &config);
	config.cpu.max_levels = levels - 1;
	assert_init_refused(fixture, &config, ADDRSPACE_ENOTSUP);
	config.cpu.max_levels = 0;
	config.cpu.min_levels = levels + 1;
	assert_init_refused(fixture, &config, ADDRSPACE_ENOTSUP);
}

/* ---- root registers ---- */

static void register_values_are_refused_for_null_pointers_and_other_formats(void **state)
{
	struct fixture *fixture = furnish(state);
	const enum layout_format kind = fixture->layout->kind;
	struct addrspace *as = &fixture->as;
	struct addrspace_stage2_registers stage2;
	struct addrspace_gstage_registers gstage;
	struct addrspace_ept_registers ept;
	struct addrspace_npt_registers npt;

	assert_refused(fixture, addrspace_ept_registers(NULL, &ept), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_ept_registers(as, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_npt_registers(NULL, &npt), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_npt_registers(as, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_stage2_registers(NULL, 1, &stage2), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_stage2_registers(as, 1, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_gstage_registers(NULL, 1, &gstage), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_gstage_registers(as, 1, NULL), ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_ept_registers(as, &ept),
		       kind == LAYOUT_EPT ? 0 : ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_npt_registers(as, &npt),
		       kind == LAYOUT_NPT ? 0 : ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_stage2_registers(as, 1, &stage2),
		       kind == LAYOUT_STAGE2 ? 0 : ADDRSPACE_EINVAL);
	assert_refused(fixture, addrspace_gstage_registers(as, 1, &gstage),
		       kind == LAYOUT_GSTAGE ? 0 : ADDRSPACE_EINVAL);
}

static void vmid_wider_than_its_field_is_refused(void **state)
{
	struct fixture *fixture = furnish(state);
	const struct layout *layout = fixture->layout;
	unsigned bits = layout_has(layout, ADDRSPACE_CPU_VMID16) ? 16 : 8;
	struct addrspace_stage2_registers stage2;
	struct addrspace_gstage_registers gstage;

	if (layout->kind == LAYOUT_STAGE2) {
		assert_int_equal(
			addrspace_stage2_registers(&fixture->as, (1u << bits) - 1, &stage2), 0);
		assert_refused(fixture,
			       addrspace_stage2_registers(&fixture->as, 1u << bits, &stage2),
			       ADDRSPACE_ERANGE);
		assert_refused(fixture,
			       addrspace_stage2_registers(&fixture->as, UINT32_MAX, &stage2),
			       ADDRSPACE_ERANGE);
	}
	if (layout->kind == LAYOUT_GSTAGE) {
		assert_int_equal(addrspace_gstage_registers(&fixture->as, (1u << 14) - 1, &gstage),
				 0);
		assert_refused(fixture, addrspace_gstage_registers(&fixture->as, 1u << 14, &gstage),
			       ADDRSPACE_ERANGE);
		assert_refused(fixture,
			       addrspace_gstage_registers(&fixture->as, UINT32_MAX, &gstage),
			       ADDRSPACE_ERANGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_linear_refuses_a_bad_range),
		cmocka_unit_test(map_alloc_refuses_a_bad_range),
		cmocka_unit_test(unmap_refuses_a_bad_range),
		cmocka_unit_test(protect_refuses_a_bad_range),
		cmocka_unit_test(discard_refuses_a_bad_range),
		cmocka_unit_test(range_that_ends_at_the_top_of_the_space_is_accepted),
		cmocka_unit_test(
			map_linear_refuses_host_memory_that_is_misaligned_wraps_or_is_too_wide),
		cmocka_unit_test(replace_frame_refuses_a_frame_that_is_misaligned_or_too_wide),
		cmocka_unit_test(replace_frame_refuses_a_page_that_is_misaligned_or_outside),
		cmocka_unit_test(map_refuses_unknown_flags),
		cmocka_unit_test(map_linear_refuses_populate),
		cmocka_unit_test(unknown_permission_bits_are_refused),
		cmocka_unit_test(permissions_that_the_format_cannot_encode_are_refused),
		cmocka_unit_test(memory_types_that_the_format_cannot_encode_are_refused),
		cmocka_unit_test(unknown_memory_types_are_refused),
		cmocka_unit_test(map_over_a_region_is_refused_without_replace),
		cmocka_unit_test(protect_and_discard_of_a_range_with_a_hole_are_refused),
		cmocka_unit_test(discard_of_linear_memory_is_refused),
		cmocka_unit_test(unmap_of_nothing_changes_nothing),
		cmocka_unit_test(handle_fault_refuses_no_access_and_unknown_access_bits),
		cmocka_unit_test(fault_outside_of_the_space_is_not_backed),
		cmocka_unit_test(queries_outside_of_the_space_say_so),
		cmocka_unit_test(contains_range_is_false_for_what_is_empty_wraps_or_lies_outside),
		cmocka_unit_test(find_gap_refuses_bad_sizes_alignments_and_limits),
		cmocka_unit_test(changes_refuse_null_pointers),
		cmocka_unit_test(queries_refuse_null_pointers),
		cmocka_unit_test(dump_refuses_null_pointers),
		cmocka_unit_test(init_refuses_null_pointers),
		cmocka_unit_test(init_refuses_a_handler_without_its_required_hooks),
		cmocka_unit_test(init_refuses_host_widths_that_no_cpu_has),
		cmocka_unit_test(init_refuses_guest_widths_that_the_format_does_not_have),
		cmocka_unit_test(init_refuses_levels_that_the_format_does_not_have),
		cmocka_unit_test(init_refuses_fewer_levels_than_the_width_needs),
		cmocka_unit_test(init_of_stage_2_refuses_what_the_host_width_forbids),
		cmocka_unit_test(init_refuses_features_that_the_format_does_not_know),
		cmocka_unit_test(init_refuses_levels_that_the_cpu_does_not_walk),
		cmocka_unit_test(register_values_are_refused_for_null_pointers_and_other_formats),
		cmocka_unit_test(vmid_wider_than_its_field_is_refused),
	};

	return run_over_layouts("input", tests, sizeof(tests) / sizeof(tests[0]));
}
