/* SPDX-License-Identifier: MIT */
/* Calls that only read: translation, regions, gaps, runs, statistics, the dump, names. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "layouts.h"

#define PAGE FAKE_PAGE_SIZE
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define TIB  (UINT64_C(1) << 40)
#define RW   (ADDRSPACE_READ | ADDRSPACE_WRITE)

static void map_linear(struct fixture *fixture, uint64_t gpa, uint64_t size, uint64_t hpa,
		       const struct addrspace_attributes *attributes)
{
	assert_int_equal(addrspace_map_linear(&fixture->as, gpa, size, hpa, attributes, 0), 0);
}

static void map_alloc(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned flags)
{
	assert_int_equal(addrspace_map_alloc(&fixture->as, gpa, size, &fixture_rw, flags), 0);
}

static uint64_t leaf_2m(const struct fixture *fixture)
{
	return layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M) ? 2 * MIB : PAGE;
}

/* ---- translation ---- */

static struct addrspace_translation translated(struct fixture *fixture, uint64_t gpa)
{
	struct addrspace_translation translation;

	assert_int_equal(addrspace_translate(&fixture->as, gpa, &translation), 0);
	return translation;
}

static void assert_not_translated(struct fixture *fixture, uint64_t gpa, int error)
{
	struct addrspace_translation translation;

	assert_int_equal(addrspace_translate(&fixture->as, gpa, &translation), error);
	assert_int_equal(addrspace_walk(&fixture->as, gpa, &translation), error);
}

static void translation_gives_the_host_address_of_the_very_byte(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 4 * MIB, 4 * MIB, FIXTURE_LINEAR + 2 * MIB, &fixture_rw);
	for (uint64_t offset = 1; offset < 4 * MIB; offset = offset * 3 + 5)
		assert_int_equal(translated(fixture, 4 * MIB + offset).hpa,
				 FIXTURE_LINEAR + 2 * MIB + offset);
}

static void translation_of_an_allocated_page_is_what_the_guest_reaches(void **state)
{
	struct fixture *fixture = *state;
	struct fake_access_result result;

	map_alloc(fixture, 2 * MIB - PAGE, 2 * PAGE, ADDRSPACE_MAP_POPULATE);
	for (uint64_t gpa = 2 * MIB - PAGE; gpa < 2 * MIB + PAGE; gpa += PAGE / 2 + 8) {
		assert_int_equal(
			fake_cpu_access(&fixture->machine, 0, gpa, ADDRSPACE_READ, &result),
			FAKE_HIT);
		assert_int_equal(translated(fixture, gpa).hpa, result.hpa);
		assert_int_equal(translated(fixture, gpa).leaf_size, result.leaf_size);
	}
}

static void first_and_last_byte_of_a_region_translate_and_their_neighbours_do_not(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 3 * PAGE, 5 * PAGE, FIXTURE_LINEAR, &fixture_rw);
	assert_not_translated(fixture, 3 * PAGE - 1, ADDRSPACE_ENOENT);
	assert_int_equal(translated(fixture, 3 * PAGE).hpa, FIXTURE_LINEAR);
	assert_int_equal(translated(fixture, 8 * PAGE - 1).hpa, FIXTURE_LINEAR + 5 * PAGE - 1);
	assert_not_translated(fixture, 8 * PAGE, ADDRSPACE_ENOENT);
}

static void first_and_last_byte_of_a_large_leaf_translate(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = layout_largest_leaf(fixture->layout);

	map_linear(fixture, GIB, leaf, FIXTURE_LINEAR, &fixture_rw);
	assert_int_equal(translated(fixture, GIB).hpa, FIXTURE_LINEAR);
	assert_int_equal(translated(fixture, GIB).leaf_size, leaf);
	assert_int_equal(translated(fixture, GIB).remaining, leaf);
	assert_int_equal(translated(fixture, GIB + leaf - 1).hpa, FIXTURE_LINEAR + leaf - 1);
	assert_int_equal(translated(fixture, GIB + leaf - 1).remaining, 1);
	assert_not_translated(fixture, GIB - 1, ADDRSPACE_ENOENT);
	assert_not_translated(fixture, GIB + leaf, ADDRSPACE_ENOENT);
}

static void remaining_ends_with_the_leaf(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
	assert_int_equal(translated(fixture, PAGE).remaining, PAGE);
	assert_int_equal(translated(fixture, PAGE + 1).remaining, PAGE - 1);
	assert_int_equal(translated(fixture, 2 * PAGE - 1).remaining, 1);
}

static void remaining_ends_with_the_region(void **state)
{
	struct fixture *fixture = *state;

	/* Same host memory in a row, but two regions: nothing that was learnt of one holds in the
	 * other. */
	map_linear(fixture, 4 * MIB, MIB, FIXTURE_LINEAR, &fixture_rw);
	map_linear(fixture, 5 * MIB, MIB, FIXTURE_LINEAR + MIB, &fixture_ro);
	assert_int_equal(translated(fixture, 5 * MIB - 1).remaining, 1);
	assert_int_equal(translated(fixture, 6 * MIB - PAGE).remaining, PAGE);
	assert_int_equal(translated(fixture, 6 * MIB - 16).remaining, 16);
}

static void walk_gives_no_remaining_and_all_else_the_same(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_translation walked;
	struct addrspace_translation full;

	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR, &fixture_ro);
	full = translated(fixture, 5 * MIB + 3);
	assert_int_equal(addrspace_walk(&fixture->as, 5 * MIB + 3, &walked), 0);
	assert_int_equal(walked.remaining, 0);
	assert_int_equal(walked.hpa, full.hpa);
	assert_int_equal(walked.leaf_size, full.leaf_size);
	assert_int_equal(walked.permissions, full.permissions);
	assert_int_equal(walked.memory_type, full.memory_type);
	assert_int_equal(walked.accessed, full.accessed);
	assert_int_equal(walked.dirty, full.dirty);
}

static void translation_tells_permissions_and_type_as_encoded(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned permissions = 1; permissions < 8; permissions++) {
		for (unsigned type = 0; type <= ADDRSPACE_WRITE_THROUGH; type++) {
			struct addrspace_attributes attributes = {
				.permissions = permissions,
				.memory_type = (enum addrspace_memory_type)type,
			};
			uint64_t gpa = (permissions * 4 + type) * PAGE;
			struct addrspace_translation translation;

			if (!layout_can_permit(fixture->layout, permissions) ||
			    !layout_has_type(fixture->layout, attributes.memory_type))
				continue;
			map_linear(fixture, gpa, PAGE, FIXTURE_LINEAR, &attributes);
			translation = translated(fixture, gpa);
			assert_int_equal(translation.permissions, permissions);
			assert_int_equal(
				translation.memory_type,
				layout_encoded_type(fixture->layout, attributes.memory_type));
		}
	}
}

static void page_not_faulted_in_does_not_translate(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, 4 * PAGE, 0);
	assert_not_translated(fixture, PAGE, ADDRSPACE_ENOENT);
	assert_int_equal(fixture_guest(fixture, 0, 2 * PAGE, ADDRSPACE_READ),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_not_translated(fixture, PAGE, ADDRSPACE_ENOENT);
	assert_int_equal(translated(fixture, 2 * PAGE).leaf_size, PAGE);
}

static void page_without_permissions_does_not_translate(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
	map_linear(fixture, 2 * MIB, 2 * MIB, FIXTURE_LINEAR, &fixture_rw);
	assert_int_equal(addrspace_protect(&fixture->as, PAGE, PAGE, 0), 0);
	assert_int_equal(addrspace_protect(&fixture->as, 2 * MIB, 2 * MIB, 0), 0);
	assert_not_translated(fixture, PAGE, ADDRSPACE_ENOENT);
	assert_not_translated(fixture, 3 * MIB, ADDRSPACE_ENOENT);
	assert_int_equal(translated(fixture, 2 * PAGE).remaining, PAGE);
}

static void translation_outside_of_the_space_is_out_of_range(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);

	assert_not_translated(fixture, limit - 1, ADDRSPACE_ENOENT);
	assert_not_translated(fixture, limit, ADDRSPACE_ERANGE);
	assert_not_translated(fixture, UINT64_MAX, ADDRSPACE_ERANGE);
}

static void accessed_and_dirty_follow_hardware_where_it_maintains_them(void **state)
{
	struct fixture *fixture = *state;
	bool hardware = layout_has(fixture->layout, ADDRSPACE_CPU_HARDWARE_AD);

	map_alloc(fixture, 0, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
	assert_int_equal(translated(fixture, PAGE).accessed, !hardware);
	assert_int_equal(translated(fixture, PAGE).dirty, !hardware);
	fixture_warm(fixture, PAGE, ADDRSPACE_READ);
	assert_true(translated(fixture, PAGE).accessed);
	assert_int_equal(translated(fixture, PAGE).dirty, !hardware);
	fixture_warm(fixture, PAGE, ADDRSPACE_WRITE);
	assert_true(translated(fixture, PAGE).dirty);
	assert_int_equal(translated(fixture, 2 * PAGE).accessed, !hardware);
}

static void page_that_may_not_be_written_is_clean(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, PAGE, FIXTURE_LINEAR, &fixture_ro);
	fixture_warm(fixture, 0, ADDRSPACE_READ);
	assert_true(translated(fixture, 0).accessed);
	assert_false(translated(fixture, 0).dirty);
}

/* ---- regions ---- */

static void found_region_is_described_whole_from_any_byte_of_it(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;

	map_linear(fixture, 3 * PAGE, 5 * PAGE, FIXTURE_LINEAR, &fixture_ro);
	for (uint64_t gpa = 3 * PAGE; gpa < 8 * PAGE; gpa += 1111) {
		assert_int_equal(addrspace_find_region(&fixture->as, gpa, &region), 0);
		assert_int_equal(region.gpa, 3 * PAGE);
		assert_int_equal(region.size, 5 * PAGE);
		assert_int_equal(region.permissions, ADDRSPACE_READ);
		assert_int_equal(region.memory_type, ADDRSPACE_WRITE_BACK);
		assert_int_equal(region.cookie, fixture_ro.cookie);
		assert_int_equal(region.backend.kind, ADDRSPACE_LINEAR);
		assert_int_equal(region.backend.u.linear.offset, 3 * PAGE - FIXTURE_LINEAR);
	}
	assert_int_equal(addrspace_find_region(&fixture->as, 8 * PAGE - 1, &region), 0);
	assert_int_equal(addrspace_find_region(&fixture->as, 8 * PAGE, &region), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_find_region(&fixture->as, 3 * PAGE - 1, &region),
			 ADDRSPACE_ENOENT);
}

static void found_region_tells_lazy_from_populated(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;

	map_alloc(fixture, 0, PAGE, 0);
	map_alloc(fixture, PAGE, PAGE, ADDRSPACE_MAP_POPULATE);
	assert_int_equal(addrspace_find_region(&fixture->as, 0, &region), 0);
	assert_int_equal(region.backend.kind, ADDRSPACE_ALLOC);
	assert_false(region.backend.u.alloc.populate);
	assert_int_equal(addrspace_find_region(&fixture->as, PAGE, &region), 0);
	assert_int_equal(region.backend.kind, ADDRSPACE_ALLOC);
	assert_true(region.backend.u.alloc.populate);
}

static void looking_for_a_region_outside_of_the_space_is_out_of_range(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;
	uint64_t limit = layout_limit(fixture->layout);

	map_alloc(fixture, 0, limit, 0);
	assert_int_equal(addrspace_find_region(&fixture->as, limit - 1, &region), 0);
	assert_int_equal(addrspace_find_region(&fixture->as, limit, &region), ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_find_region(&fixture->as, UINT64_MAX, &region),
			 ADDRSPACE_ERANGE);
}

static void iteration_meets_each_region_once_in_order(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;
	uint64_t limit = layout_limit(fixture->layout);
	uint64_t gpa = 0;
	unsigned count = 0;

	map_alloc(fixture, limit - PAGE, PAGE, 0);
	for (unsigned i = 0; i < 300; i++)
		map_alloc(fixture, (i * 7 % 300) * 3 * PAGE, 2 * PAGE, 0);
	while (addrspace_next_region(&fixture->as, gpa, &region) == 0) {
		assert_int_equal(region.gpa, count < 300 ? count * 3 * PAGE : limit - PAGE);
		gpa = region.gpa + region.size;
		count++;
	}
	assert_int_equal(count, 301);
	assert_int_equal(gpa, limit);
}

static void next_region_is_the_one_around_or_behind_the_byte(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_region region;

	map_alloc(fixture, 2 * PAGE, 2 * PAGE, 0);
	map_alloc(fixture, 8 * PAGE, 2 * PAGE, 0);
	assert_int_equal(addrspace_next_region(&fixture->as, 0, &region), 0);
	assert_int_equal(region.gpa, 2 * PAGE);
	assert_int_equal(addrspace_next_region(&fixture->as, 4 * PAGE - 1, &region), 0);
	assert_int_equal(region.gpa, 2 * PAGE);
	assert_int_equal(addrspace_next_region(&fixture->as, 4 * PAGE, &region), 0);
	assert_int_equal(region.gpa, 8 * PAGE);
	assert_int_equal(addrspace_next_region(&fixture->as, 10 * PAGE, &region), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_next_region(&fixture->as, UINT64_MAX, &region),
			 ADDRSPACE_ENOENT);
}

static void range_over_adjacent_regions_that_differ_is_contained(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, PAGE, 2 * PAGE, 0);
	map_linear(fixture, 3 * PAGE, 2 * PAGE, FIXTURE_LINEAR, &fixture_ro);
	map_alloc(fixture, 5 * PAGE, PAGE, ADDRSPACE_MAP_POPULATE);
	assert_true(addrspace_contains_range(&fixture->as, PAGE, 5 * PAGE));
	assert_true(addrspace_contains_range(&fixture->as, PAGE + 1, 5 * PAGE - 1));
	assert_true(addrspace_contains_range(&fixture->as, 6 * PAGE - 1, 1));
	assert_false(addrspace_contains_range(&fixture->as, PAGE - 1, 5 * PAGE));
	assert_false(addrspace_contains_range(&fixture->as, PAGE, 5 * PAGE + 1));
}

static void range_with_a_hole_of_one_page_is_not_contained(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, 4 * MIB, 0);
	assert_true(addrspace_contains_range(&fixture->as, 0, 4 * MIB));
	assert_int_equal(addrspace_unmap(&fixture->as, MIB, PAGE), 0);
	assert_false(addrspace_contains_range(&fixture->as, 0, 4 * MIB));
	assert_true(addrspace_contains_range(&fixture->as, 0, MIB));
	assert_true(addrspace_contains_range(&fixture->as, MIB + PAGE, 3 * MIB - PAGE));
}

static void empty_and_wrapping_ranges_are_not_contained(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);

	map_alloc(fixture, 0, limit, 0);
	assert_true(addrspace_contains_range(&fixture->as, 0, limit));
	assert_true(addrspace_contains_range(&fixture->as, limit - 1, 1));
	assert_false(addrspace_contains_range(&fixture->as, 0, 0));
	assert_false(addrspace_contains_range(&fixture->as, limit, 0));
	assert_false(addrspace_contains_range(&fixture->as, limit, 1));
	assert_false(addrspace_contains_range(&fixture->as, 1, limit));
	assert_false(addrspace_contains_range(&fixture->as, PAGE, UINT64_MAX - PAGE + 1));
	assert_false(addrspace_contains_range(&fixture->as, UINT64_MAX, 2));
}

/* ---- gaps ---- */

static uint64_t gap(struct fixture *fixture, uint64_t hint, uint64_t size, uint64_t alignment,
		    uint64_t limit)
{
	uint64_t gpa;

	assert_int_equal(addrspace_find_gap(&fixture->as, hint, size, alignment, limit, &gpa), 0);
	return gpa;
}

static void assert_no_gap(struct fixture *fixture, uint64_t hint, uint64_t size, uint64_t alignment,
			  uint64_t limit)
{
	uint64_t gpa = 0x1234;

	assert_int_equal(addrspace_find_gap(&fixture->as, hint, size, alignment, limit, &gpa),
			 ADDRSPACE_ENOSPC);
}

static void gap_in_an_empty_space_is_at_the_hint_rounded_up(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);

	assert_int_equal(gap(fixture, 0, limit, PAGE, 0), 0);
	assert_int_equal(gap(fixture, 0x123, PAGE, PAGE, 0), PAGE);
	assert_int_equal(gap(fixture, MIB + 1, PAGE, 2 * MIB, 0), 2 * MIB);
	assert_int_equal(gap(fixture, limit - PAGE, PAGE, PAGE, 0), limit - PAGE);
}

static void gap_is_the_lowest_that_fits(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, PAGE, PAGE, 0);
	map_alloc(fixture, 4 * PAGE, PAGE, 0);
	map_alloc(fixture, 8 * PAGE, PAGE, 0);
	assert_int_equal(gap(fixture, 0, PAGE, PAGE, 0), 0);
	assert_int_equal(gap(fixture, 0, 2 * PAGE, PAGE, 0), 2 * PAGE);
	assert_int_equal(gap(fixture, 0, 3 * PAGE, PAGE, 0), 5 * PAGE);
	assert_int_equal(gap(fixture, 0, 4 * PAGE, PAGE, 0), 9 * PAGE);
	assert_int_equal(gap(fixture, 3 * PAGE, 2 * PAGE, PAGE, 0), 5 * PAGE);
	assert_int_equal(gap(fixture, 0, 2 * PAGE, 4 * PAGE, 0), 12 * PAGE);
}

static void gap_ends_at_or_below_the_limit(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);

	map_alloc(fixture, 0, 2 * PAGE, 0);
	assert_int_equal(gap(fixture, 0, 2 * PAGE, PAGE, 4 * PAGE), 2 * PAGE);
	assert_no_gap(fixture, 0, 2 * PAGE, PAGE, 4 * PAGE - 1);
	assert_no_gap(fixture, 0, 3 * PAGE, PAGE, 4 * PAGE);
	assert_no_gap(fixture, 4 * PAGE, PAGE, PAGE, 4 * PAGE);
	assert_no_gap(fixture, 0, limit, PAGE, 0);
	assert_no_gap(fixture, limit, PAGE, PAGE, 0);
	assert_no_gap(fixture, UINT64_MAX, PAGE, PAGE, 0);
	assert_no_gap(fixture, 0, UINT64_MAX - PAGE + 1, PAGE, 0);
}

static void full_space_has_no_gap(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, layout_limit(fixture->layout), 0);
	assert_no_gap(fixture, 0, PAGE, PAGE, 0);
}

static void alignment_larger_than_the_space_leaves_only_0(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(gap(fixture, 0, PAGE, UINT64_C(1) << 63, 0), 0);
	assert_no_gap(fixture, 1, PAGE, UINT64_C(1) << 63, 0);
	map_alloc(fixture, 0, PAGE, 0);
	assert_no_gap(fixture, 0, PAGE, UINT64_C(1) << 63, 0);
}

static void malformed_gap_searches_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint64_t limit = layout_limit(fixture->layout);
	uint64_t gpa;

	assert_int_equal(addrspace_find_gap(as, 0, 0, PAGE, 0, &gpa), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_find_gap(as, 0, PAGE + 1, PAGE, 0, &gpa), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_find_gap(as, 0, PAGE, 0, 0, &gpa), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_find_gap(as, 0, PAGE, PAGE / 2, 0, &gpa), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_find_gap(as, 0, PAGE, 3 * PAGE, 0, &gpa), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_find_gap(as, 0, PAGE, PAGE, 0, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_find_gap(NULL, 0, PAGE, PAGE, 0, &gpa), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_find_gap(as, 0, PAGE, PAGE, limit + 1, &gpa), ADDRSPACE_ERANGE);
}

/** Bit n of taken: page n holds a region. What find_gap should say, in pages; 64: none. */
static unsigned lowest_gap(uint64_t taken, unsigned hint, unsigned size, unsigned alignment)
{
	for (unsigned at = hint; at + size <= 64; at++) {
		uint64_t wanted = ((UINT64_C(1) << size) - 1) << at;

		if (at % alignment == 0 && !(taken & wanted))
			return at;
	}
	return 64;
}

static void gaps_agree_with_a_bitmap(void **state)
{
	static const uint64_t maps[] = {UINT64_C(0x8001f00f0e0c0a91), UINT64_C(0x7ffffffffffffffe),
					UINT64_C(0x00ff00ff00ff0001)};
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned page = 0; page < 64; page++)
			if (maps[i] >> page & 1)
				map_alloc(fixture, page * PAGE, PAGE,
					  page % 2 ? ADDRSPACE_MAP_POPULATE : 0);
		for (unsigned hint = 0; hint < 64; hint++) {
			for (unsigned size = 1; size <= 9; size++) {
				for (unsigned alignment = 1; alignment <= 16; alignment *= 2) {
					unsigned expected =
						lowest_gap(maps[i], hint, size, alignment);

					if (expected == 64)
						assert_no_gap(fixture, hint * PAGE, size * PAGE,
							      alignment * PAGE, 64 * PAGE);
					else
						assert_int_equal(gap(fixture, hint * PAGE,
								     size * PAGE, alignment * PAGE,
								     64 * PAGE),
								 expected * PAGE);
				}
			}
		}
		addrspace_clear(&fixture->as);
	}
}

/* ---- runs ---- */

static struct addrspace_run run_at(struct fixture *fixture, uint64_t gpa)
{
	struct addrspace_run run;

	assert_int_equal(addrspace_next_run(&fixture->as, gpa, &run), 0);
	return run;
}

static void assert_run(struct fixture *fixture, uint64_t from, uint64_t gpa, uint64_t size,
		       uint64_t hpa)
{
	struct addrspace_run run = run_at(fixture, from);

	assert_int_equal(run.gpa, gpa);
	assert_int_equal(run.size, size);
	assert_int_equal(run.hpa, hpa);
}

static void assert_last_run(struct fixture *fixture, uint64_t from)
{
	struct addrspace_run run;

	assert_int_equal(addrspace_next_run(&fixture->as, from, &run), ADDRSPACE_ENOENT);
}

static void run_goes_on_across_tables(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_run run;

	/* Host out of step with the guest, so all leaves are small. */
	map_linear(fixture, GIB - MIB, 2 * MIB, FIXTURE_LINEAR + PAGE, &fixture_rw);
	run = run_at(fixture, 0);
	assert_int_equal(run.gpa, GIB - MIB);
	assert_int_equal(run.size, 2 * MIB);
	assert_int_equal(run.hpa, FIXTURE_LINEAR + PAGE);
	assert_int_equal(run.leaf_size, PAGE);
	assert_int_equal(run.permissions, RW);
	assert_int_equal(run.memory_type, ADDRSPACE_WRITE_BACK);
	assert_false(run.owned);
	assert_last_run(fixture, GIB + MIB);
}

static void run_goes_on_across_regions_that_differ_only_in_the_cookie(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_attributes other = fixture_rw;

	other.cookie++;
	map_linear(fixture, 0, PAGE, FIXTURE_LINEAR, &fixture_rw);
	map_linear(fixture, PAGE, PAGE, FIXTURE_LINEAR + PAGE, &other);
	assert_run(fixture, 0, 0, 2 * PAGE, FIXTURE_LINEAR);
}

static void run_breaks_where_permissions_change(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, 6 * PAGE, FIXTURE_LINEAR, &fixture_rw);
	assert_int_equal(addrspace_protect(&fixture->as, 2 * PAGE, 2 * PAGE, ADDRSPACE_READ), 0);
	assert_run(fixture, 0, 0, 2 * PAGE, FIXTURE_LINEAR);
	assert_run(fixture, 2 * PAGE, 2 * PAGE, 2 * PAGE, FIXTURE_LINEAR + 2 * PAGE);
	assert_int_equal(run_at(fixture, 2 * PAGE).permissions, ADDRSPACE_READ);
	assert_run(fixture, 4 * PAGE, 4 * PAGE, 2 * PAGE, FIXTURE_LINEAR + 4 * PAGE);
	assert_last_run(fixture, 6 * PAGE);
}

static void run_breaks_where_the_memory_type_changes(void **state)
{
	struct addrspace_attributes device = fixture_rw;
	struct fixture *fixture = *state;
	bool told_apart = layout_encoded_type(fixture->layout, ADDRSPACE_DEVICE) !=
			  layout_encoded_type(fixture->layout, ADDRSPACE_WRITE_BACK);

	device.memory_type = ADDRSPACE_DEVICE;
	map_linear(fixture, 0, PAGE, FIXTURE_LINEAR, &fixture_rw);
	map_linear(fixture, PAGE, PAGE, FIXTURE_LINEAR + PAGE, &device);
	assert_run(fixture, 0, 0, told_apart ? PAGE : 2 * PAGE, FIXTURE_LINEAR);
}

static void run_breaks_where_the_host_address_jumps(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, 2 * PAGE, FIXTURE_LINEAR, &fixture_rw);
	map_linear(fixture, 2 * PAGE, 2 * PAGE, FIXTURE_LINEAR + 3 * PAGE, &fixture_rw);
	assert_run(fixture, 0, 0, 2 * PAGE, FIXTURE_LINEAR);
	assert_run(fixture, 2 * PAGE, 2 * PAGE, 2 * PAGE, FIXTURE_LINEAR + 3 * PAGE);
}

static void run_breaks_at_a_hole(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, 5 * PAGE, FIXTURE_LINEAR, &fixture_rw);
	assert_int_equal(addrspace_unmap(&fixture->as, 2 * PAGE, PAGE), 0);
	assert_run(fixture, 0, 0, 2 * PAGE, FIXTURE_LINEAR);
	assert_run(fixture, 2 * PAGE, 3 * PAGE, 2 * PAGE, FIXTURE_LINEAR + 3 * PAGE);
}

static void run_breaks_where_the_leaf_size_changes(void **state)
{
	struct fixture *fixture = *state;
	bool large = leaf_2m(fixture) != PAGE;

	map_linear(fixture, 2 * MIB - PAGE, 4 * MIB + 2 * PAGE, FIXTURE_LINEAR + 2 * MIB - PAGE,
		   &fixture_rw);
	if (!large) {
		assert_run(fixture, 0, 2 * MIB - PAGE, 4 * MIB + 2 * PAGE,
			   FIXTURE_LINEAR + 2 * MIB - PAGE);
		return;
	}
	assert_run(fixture, 0, 2 * MIB - PAGE, PAGE, FIXTURE_LINEAR + 2 * MIB - PAGE);
	assert_run(fixture, 2 * MIB, 2 * MIB, 4 * MIB, FIXTURE_LINEAR + 2 * MIB);
	assert_int_equal(run_at(fixture, 2 * MIB).leaf_size, 2 * MIB);
	assert_run(fixture, 6 * MIB, 6 * MIB, PAGE, FIXTURE_LINEAR + 6 * MIB);
	assert_last_run(fixture, 6 * MIB + PAGE);
}

static void run_from_inside_a_leaf_starts_with_that_leaf(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = layout_largest_leaf(fixture->layout);

	map_linear(fixture, GIB, leaf, FIXTURE_LINEAR, &fixture_rw);
	assert_run(fixture, GIB + leaf / 2 + 1, GIB, leaf, FIXTURE_LINEAR);
	assert_last_run(fixture, GIB + leaf);
}

static void run_tells_whose_the_frames_are(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, PAGE, ADDRSPACE_MAP_POPULATE);
	map_linear(fixture, PAGE, PAGE, fixture_hpa(fixture, 0) + PAGE, &fixture_rw);
	assert_true(run_at(fixture, 0).owned);
	assert_int_equal(run_at(fixture, 0).size, PAGE);
	assert_false(run_at(fixture, PAGE).owned);
	assert_int_equal(addrspace_unmap(&fixture->as, PAGE, PAGE), 0);
}

static void leaves_without_permissions_are_runs_too(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 2 * MIB, 2 * MIB, FIXTURE_LINEAR, &fixture_rw);
	assert_int_equal(addrspace_protect(&fixture->as, 2 * MIB, 2 * MIB, 0), 0);
	assert_run(fixture, 0, 2 * MIB, 2 * MIB, FIXTURE_LINEAR);
	assert_int_equal(run_at(fixture, 0).permissions, 0);
	assert_int_equal(run_at(fixture, 0).leaf_size, leaf_2m(fixture));
}

static void no_run_lies_outside_of_the_space(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);

	map_linear(fixture, limit - PAGE, PAGE, FIXTURE_LINEAR, &fixture_rw);
	assert_run(fixture, 0, limit - PAGE, PAGE, FIXTURE_LINEAR);
	assert_run(fixture, limit - 1, limit - PAGE, PAGE, FIXTURE_LINEAR);
	assert_last_run(fixture, limit);
	assert_last_run(fixture, UINT64_MAX);
}

/* ---- statistics ---- */

static struct addrspace_statistics count(struct fixture *fixture)
{
	struct addrspace_statistics statistics;

	assert_int_equal(addrspace_statistics(&fixture->as, &statistics), 0);
	return statistics;
}

static void statistics_count_leaves_by_size(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = layout_largest_leaf(fixture->layout);
	struct addrspace_statistics statistics;

	map_linear(fixture, GIB, leaf, FIXTURE_LINEAR, &fixture_rw);
	if (leaf_2m(fixture) != PAGE)
		map_linear(fixture, 2 * GIB, 6 * MIB, FIXTURE_LINEAR, &fixture_rw);
	map_linear(fixture, 3 * GIB, 5 * PAGE, FIXTURE_LINEAR + 2 * MIB, &fixture_rw);
	statistics = count(fixture);
	assert_int_equal(statistics.leaves_1g, leaf == GIB);
	assert_int_equal(statistics.leaves_2m,
			 (leaf == 2 * MIB) + (leaf_2m(fixture) != PAGE ? 3 : 0));
	assert_int_equal(statistics.leaves_4k, 5 + (leaf == PAGE));
}

static void statistics_agree_with_the_frames_handed_out(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t *live = fixture->machine.live;
	struct addrspace_statistics statistics;

	map_alloc(fixture, 0, 20 * PAGE, ADDRSPACE_MAP_POPULATE);
	map_alloc(fixture, GIB, GIB, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(fixture_guest(fixture, 0, GIB + i * 70 * MIB, ADDRSPACE_READ),
				 ADDRSPACE_FAULT_RESOLVED);
	map_linear(fixture, 3 * GIB, 4 * MIB, FIXTURE_LINEAR, &fixture_rw);
	assert_int_equal(addrspace_protect(&fixture->as, 3 * GIB + PAGE, PAGE, 0), 0);
	for (unsigned i = 0; i < 300; i++)
		map_alloc(fixture, 2 * GIB + (2 * i + 1) * PAGE, PAGE, 0);
	statistics = count(fixture);
	assert_int_equal(statistics.table_frames,
			 live[ADDRSPACE_FRAME_ROOT] + live[ADDRSPACE_FRAME_TABLE]);
	assert_int_equal(statistics.data_frames, live[ADDRSPACE_FRAME_GUEST]);
	assert_int_equal(statistics.data_frames, 25);
	assert_int_equal(statistics.region_nodes, live[ADDRSPACE_FRAME_REGION_NODE]);
	assert_int_equal(statistics.regions, 2 + 3 + 300);
}

static void statistics_of_an_empty_space_are_its_root(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_statistics statistics;

	map_alloc(fixture, 0, 20 * PAGE, ADDRSPACE_MAP_POPULATE);
	addrspace_clear(&fixture->as);
	statistics = count(fixture);
	assert_int_equal(statistics.table_frames, UINT64_C(1) << fixture->as.root_order);
	assert_int_equal(statistics.regions + statistics.region_nodes + statistics.data_frames, 0);
	assert_int_equal(statistics.leaves_4k + statistics.leaves_2m + statistics.leaves_1g, 0);
}

static void null_pointers_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_translation translation;
	struct addrspace_statistics statistics;
	struct addrspace_region region;
	struct addrspace_run run;

	assert_int_equal(addrspace_walk(NULL, 0, &translation), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_walk(as, 0, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_translate(NULL, 0, &translation), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_translate(as, 0, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_find_region(NULL, 0, &region), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_find_region(as, 0, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_next_region(NULL, 0, &region), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_next_region(as, 0, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_next_run(NULL, 0, &run), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_next_run(as, 0, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_statistics(NULL, &statistics), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_statistics(as, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_dump(as, NULL, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_verify(NULL, NULL), ADDRSPACE_EINVAL);
	assert_false(addrspace_contains_range(NULL, 0, PAGE));
}

static void queries_take_the_shared_lock_and_give_it_back(void **state)
{
	struct fixture *fixture = *state;
	struct fake_counters *counters = &fixture->machine.counters;
	struct addrspace_region region;
	uint64_t exclusive;
	uint64_t shared;
	uint64_t gpa;

	map_linear(fixture, 0, PAGE, FIXTURE_LINEAR, &fixture_rw);
	exclusive = counters->lock_exclusive;
	shared = counters->lock_shared;
	translated(fixture, 0);
	count(fixture);
	run_at(fixture, 0);
	addrspace_find_region(&fixture->as, 0, &region);
	addrspace_next_region(&fixture->as, 0, &region);
	addrspace_find_gap(&fixture->as, 0, PAGE, PAGE, 0, &gpa);
	addrspace_contains_range(&fixture->as, 0, PAGE);
	addrspace_verify(&fixture->as, NULL);
	assert_int_equal(counters->lock_shared, shared + 8);
	assert_int_equal(counters->lock_exclusive, exclusive);
	fake_machine_assert_unlocked(&fixture->machine);
}

/* ---- dump ---- */

#define DUMP_LINES 32

struct dump {
	unsigned lines;
	char line[DUMP_LINES][160];
};

static void collect_line(void *ctx, const char *line)
{
	struct dump *dump = ctx;

	assert_in_range(dump->lines, 0, DUMP_LINES - 1);
	assert_in_range(strlen(line), 1, sizeof(dump->line[0]) - 1);
	assert_null(strchr(line, '\n'));
	memcpy(dump->line[dump->lines++], line, strlen(line) + 1);
}

static void dump_space(struct fixture *fixture, struct dump *dump)
{
	dump->lines = 0;
	assert_int_equal(addrspace_dump(&fixture->as, collect_line, dump), 0);
}

static void dump_of_an_empty_space_is_its_heading(void **state)
{
	static const char *const names[] = {[LAYOUT_EPT] = "EPT",
					    [LAYOUT_NPT] = "NPT",
					    [LAYOUT_STAGE2] = "stage 2",
					    [LAYOUT_GSTAGE] = "G-stage",
					    [LAYOUT_HOSTILE] = "hostile"};
	struct fixture *fixture = *state;
	struct dump dump;
	char expected[80];

	dump_space(fixture, &dump);
	assert_int_equal(dump.lines, 1);
	snprintf(expected, sizeof(expected), "%s, %u bits, %u levels, 0 regions",
		 names[fixture->layout->kind], fixture->layout->gpa_bits, fixture->layout->levels);
	assert_string_equal(dump.line[0], expected);
	map_alloc(fixture, 0, PAGE, 0);
	dump_space(fixture, &dump);
	assert_non_null(strstr(dump.line[0], ", 1 region"));
	assert_null(strstr(dump.line[0], "regions"));
}

static void dump_shows_regions_and_the_runs_below_them(void **state)
{
	/* clang-format off */
	static const char *const expected[] = {
		"0x000000000000000-0x000000000003fff 16 KiB r-- write-back linear cookie 0x000000000000600d",
		"  0x000000000000000 -> 0x0000080001000 4 x 4 KiB r-- write-back",
		"0x000000000200000-0x0000000005fffff 4 MiB rw- device linear cookie 0xfedcba9876543210",
		"  0x000000000200000 -> 0x0000080200000 2 x 2 MiB rw- device",
		"0x000000000800000-0x000000000bfffff 4 MiB rw- write-back alloc lazy cookie 0x000000000000600d",
		"  0x000000000803000 -> 0x0000040000000 1 x 4 KiB rw- write-back",
		"0x000000040000000-0x00000007fffffff 1 GiB --- write-back alloc lazy cookie 0x0000000000000000",
		"0x000000080000000-0x000000080000fff 4 KiB rw- write-back alloc populated cookie 0x000000000000600d",
		"  0x000000080000000 -> 0x0000040000000 1 x 4 KiB rw- write-back",
	};
	/* clang-format on */
	const struct addrspace_attributes device = {
		.permissions = RW,
		.memory_type = ADDRSPACE_DEVICE,
		.cookie = UINT64_C(0xfedcba9876543210),
	};
	const struct addrspace_attributes guard = {0};
	struct fixture *fixture = *state;
	struct dump dump;
	char line[160];

	map_linear(fixture, 0, 4 * PAGE, FIXTURE_LINEAR + PAGE, &fixture_ro);
	map_linear(fixture, 2 * MIB, 4 * MIB, FIXTURE_LINEAR + 2 * MIB, &device);
	map_alloc(fixture, 8 * MIB, 4 * MIB, 0);
	assert_int_equal(fixture_guest(fixture, 0, 8 * MIB + 3 * PAGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(addrspace_map_alloc(&fixture->as, GIB, GIB, &guard, 0), 0);
	map_alloc(fixture, 2 * GIB, PAGE, ADDRSPACE_MAP_POPULATE);
	dump_space(fixture, &dump);
	assert_int_equal(dump.lines, 10);
	assert_non_null(strstr(dump.line[0], " bits, "));
	assert_non_null(strstr(dump.line[0], ", 5 regions"));
	for (unsigned i = 0; i < 9; i++) {
		memcpy(line, expected[i], strlen(expected[i]) + 1);
		/* Where the two frames lie is the machine's choice, and a type may have no
		 * encoding. */
		if (i == 5 || i == 8) {
			uint64_t gpa = i == 5 ? 8 * MIB + 3 * PAGE : 2 * GIB;
			char hpa[14];

			snprintf(hpa, sizeof(hpa), "%013" PRIx64, fixture_hpa(fixture, gpa));
			memcpy(strstr(line, "0000040000000"), hpa, 13);
		}
		if (i == 3 &&
		    layout_encoded_type(fixture->layout, ADDRSPACE_DEVICE) != ADDRSPACE_DEVICE)
			strcpy(strstr(line, "device"), "write-back");
		assert_string_equal(dump.line[i + 1], line);
	}
}

static void dump_shows_the_widest_addresses_whole(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);
	uint64_t host_limit = UINT64_C(1) << fixture->as.host_bits;
	const struct addrspace_attributes widest = {
		.permissions = fixture_rwx.permissions,
		.memory_type = layout_has_type(fixture->layout, ADDRSPACE_NON_CACHEABLE)
				       ? ADDRSPACE_NON_CACHEABLE
				       : ADDRSPACE_WRITE_BACK,
		.cookie = UINT64_MAX,
	};
	const char *permissions = widest.permissions == RW ? "rw-" : "rwx";
	const char *type = widest.memory_type ? "non-cacheable" : "write-back";
	struct dump dump;
	char expected[160];

	map_alloc(fixture, 0, limit - 2 * PAGE, 0);
	fake_machine_register_linear(&fixture->machine, host_limit - PAGE, PAGE);
	map_linear(fixture, limit - PAGE, PAGE, host_limit - PAGE, &widest);
	dump_space(fixture, &dump);
	assert_int_equal(dump.lines, 4);
	snprintf(expected, sizeof(expected),
		 "0x%015x-0x%015" PRIx64 " %" PRIu64
		 " KiB rw- write-back alloc lazy cookie 0x000000000000600d",
		 0, limit - 2 * PAGE - 1, (limit - 2 * PAGE) / 1024);
	assert_string_equal(dump.line[1], expected);
	snprintf(expected, sizeof(expected),
		 "0x%015" PRIx64 "-0x%015" PRIx64 " 4 KiB %s %s linear cookie 0x%" PRIx64,
		 limit - PAGE, limit - 1, permissions, type, UINT64_MAX);
	assert_string_equal(dump.line[2], expected);
	snprintf(expected, sizeof(expected),
		 "  0x%015" PRIx64 " -> 0x%013" PRIx64 " 1 x 4 KiB %s %s", limit - PAGE,
		 host_limit - PAGE, permissions, type);
	assert_string_equal(dump.line[3], expected);
}

static void longest_line_of_a_dump_is_not_cut_off(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);
	const struct addrspace_attributes longest = {
		.memory_type = layout_has_type(fixture->layout, ADDRSPACE_NON_CACHEABLE)
				       ? ADDRSPACE_NON_CACHEABLE
				       : ADDRSPACE_WRITE_BACK,
		.cookie = UINT64_MAX,
	};
	struct dump dump;

	/* Populated regions of this size have the longest line, but no memory holds them. */
	assert_int_equal(addrspace_map_alloc(&fixture->as, PAGE, limit - PAGE, &longest, 0), 0);
	dump_space(fixture, &dump);
	assert_int_equal(dump.lines, 2);
	assert_non_null(strstr(dump.line[1], " alloc lazy cookie 0xffffffffffffffff"));
	assert_in_range(strlen(dump.line[1]) + strlen("populated") - strlen("lazy"), 80, 120);
}

static void dump_names_a_region_of_1_tib_so(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);
	uint64_t size = limit < TIB ? limit : TIB;
	struct dump dump;
	char expected[32];

	map_alloc(fixture, 0, size, 0);
	dump_space(fixture, &dump);
	assert_int_equal(dump.lines, 2);
	snprintf(expected, sizeof(expected), " %" PRIu64 " %s rw-", size < TIB ? size / GIB : 1,
		 size < TIB ? "GiB" : "TiB");
	assert_non_null(strstr(dump.line[1], expected));
}

static void dump_shows_each_region_its_part_of_a_common_run(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_attributes other = fixture_rw;
	struct dump dump;

	other.cookie = 1;
	map_linear(fixture, 0, 3 * PAGE, FIXTURE_LINEAR, &fixture_rw);
	map_linear(fixture, 3 * PAGE, PAGE, FIXTURE_LINEAR + 3 * PAGE, &other);
	dump_space(fixture, &dump);
	assert_int_equal(dump.lines, 5);
	assert_string_equal(dump.line[2],
			    "  0x000000000000000 -> 0x0000080000000 3 x 4 KiB rw- write-back");
	assert_string_equal(dump.line[4],
			    "  0x000000000003000 -> 0x0000080003000 1 x 4 KiB rw- write-back");
}

static void dump_holds_the_shared_lock_while_it_prints(void **state)
{
	struct fixture *fixture = *state;
	uint64_t shared = fixture->machine.counters.lock_shared;
	struct dump dump;

	dump_space(fixture, &dump);
	assert_int_equal(fixture->machine.counters.lock_shared, shared + 1);
	fake_machine_assert_unlocked(&fixture->machine);
}

/* ---- names ---- */

static void every_error_has_its_name(void **state)
{
	(void)state;
	assert_string_equal(addrspace_error_name(0), "ADDRSPACE_OK");
	assert_string_equal(addrspace_error_name(ADDRSPACE_EPERM), "ADDRSPACE_EPERM");
	assert_string_equal(addrspace_error_name(ADDRSPACE_ENOENT), "ADDRSPACE_ENOENT");
	assert_string_equal(addrspace_error_name(ADDRSPACE_ENOMEM), "ADDRSPACE_ENOMEM");
	assert_string_equal(addrspace_error_name(ADDRSPACE_EACCES), "ADDRSPACE_EACCES");
	assert_string_equal(addrspace_error_name(ADDRSPACE_EFAULT), "ADDRSPACE_EFAULT");
	assert_string_equal(addrspace_error_name(ADDRSPACE_EEXIST), "ADDRSPACE_EEXIST");
	assert_string_equal(addrspace_error_name(ADDRSPACE_EINVAL), "ADDRSPACE_EINVAL");
	assert_string_equal(addrspace_error_name(ADDRSPACE_ENOSPC), "ADDRSPACE_ENOSPC");
	assert_string_equal(addrspace_error_name(ADDRSPACE_ERANGE), "ADDRSPACE_ERANGE");
	assert_string_equal(addrspace_error_name(ADDRSPACE_ENOTSUP), "ADDRSPACE_ENOTSUP");
	assert_string_equal(addrspace_error_name(ADDRSPACE_EDQUOT), "ADDRSPACE_EDQUOT");
	assert_string_equal(addrspace_error_name(1), "unknown");
	assert_string_equal(addrspace_error_name(-3), "unknown");
	assert_string_equal(addrspace_error_name(INT32_MIN), "unknown");
}

static void every_fault_outcome_has_a_name_of_its_own(void **state)
{
	(void)state;
	assert_string_equal(addrspace_fault_name(ADDRSPACE_FAULT_RESOLVED), "resolved");
	for (int outcome = 0; outcome <= ADDRSPACE_FAULT_EMULATE; outcome++) {
		assert_string_not_equal(addrspace_fault_name(outcome), "unknown");
		for (int other = 0; other < outcome; other++)
			assert_string_not_equal(addrspace_fault_name(outcome),
						addrspace_fault_name(other));
	}
	assert_string_equal(addrspace_fault_name(-1), "unknown");
	assert_string_equal(addrspace_fault_name(ADDRSPACE_FAULT_EMULATE + 1), "unknown");
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(translation_gives_the_host_address_of_the_very_byte),
		LINEAR_TEST(translation_of_an_allocated_page_is_what_the_guest_reaches),
		LINEAR_TEST(first_and_last_byte_of_a_region_translate_and_their_neighbours_do_not),
		LINEAR_TEST(first_and_last_byte_of_a_large_leaf_translate),
		LINEAR_TEST(remaining_ends_with_the_leaf),
		LINEAR_TEST(remaining_ends_with_the_region),
		LINEAR_TEST(walk_gives_no_remaining_and_all_else_the_same),
		LINEAR_TEST(translation_tells_permissions_and_type_as_encoded),
		LINEAR_TEST(page_not_faulted_in_does_not_translate),
		LINEAR_TEST(page_without_permissions_does_not_translate),
		LINEAR_TEST(translation_outside_of_the_space_is_out_of_range),
		LINEAR_TEST(accessed_and_dirty_follow_hardware_where_it_maintains_them),
		LINEAR_TEST(page_that_may_not_be_written_is_clean),
		LINEAR_TEST(found_region_is_described_whole_from_any_byte_of_it),
		LINEAR_TEST(found_region_tells_lazy_from_populated),
		LINEAR_TEST(looking_for_a_region_outside_of_the_space_is_out_of_range),
		LINEAR_TEST(iteration_meets_each_region_once_in_order),
		LINEAR_TEST(next_region_is_the_one_around_or_behind_the_byte),
		LINEAR_TEST(range_over_adjacent_regions_that_differ_is_contained),
		LINEAR_TEST(range_with_a_hole_of_one_page_is_not_contained),
		LINEAR_TEST(empty_and_wrapping_ranges_are_not_contained),
		LINEAR_TEST(gap_in_an_empty_space_is_at_the_hint_rounded_up),
		LINEAR_TEST(gap_is_the_lowest_that_fits),
		LINEAR_TEST(gap_ends_at_or_below_the_limit),
		LINEAR_TEST(full_space_has_no_gap),
		LINEAR_TEST(alignment_larger_than_the_space_leaves_only_0),
		LINEAR_TEST(malformed_gap_searches_are_refused),
		LINEAR_TEST(run_goes_on_across_tables),
		LINEAR_TEST(run_goes_on_across_regions_that_differ_only_in_the_cookie),
		LINEAR_TEST(run_breaks_where_permissions_change),
		LINEAR_TEST(run_breaks_where_the_memory_type_changes),
		LINEAR_TEST(run_breaks_where_the_host_address_jumps),
		LINEAR_TEST(run_breaks_at_a_hole),
		LINEAR_TEST(run_breaks_where_the_leaf_size_changes),
		LINEAR_TEST(run_from_inside_a_leaf_starts_with_that_leaf),
		LINEAR_TEST(run_tells_whose_the_frames_are),
		LINEAR_TEST(leaves_without_permissions_are_runs_too),
		LINEAR_TEST(no_run_lies_outside_of_the_space),
		LINEAR_TEST(statistics_count_leaves_by_size),
		LINEAR_TEST(statistics_agree_with_the_frames_handed_out),
		LINEAR_TEST(statistics_of_an_empty_space_are_its_root),
		LINEAR_TEST(null_pointers_are_refused),
		LINEAR_TEST(queries_take_the_shared_lock_and_give_it_back),
		LINEAR_TEST(dump_of_an_empty_space_is_its_heading),
		LINEAR_TEST(dump_shows_the_widest_addresses_whole),
		LINEAR_TEST(longest_line_of_a_dump_is_not_cut_off),
		LINEAR_TEST(dump_names_a_region_of_1_tib_so),
		LINEAR_TEST(dump_shows_each_region_its_part_of_a_common_run),
		LINEAR_TEST(dump_holds_the_shared_lock_while_it_prints),
	};
	/* The same set of regions, or the same lines, whatever the layout. */
	const struct CMUnitTest on_canonical[] = {
		LINEAR_TEST(gaps_agree_with_a_bitmap),
		LINEAR_TEST(dump_shows_regions_and_the_runs_below_them),
	};
	const struct CMUnitTest names[] = {
		cmocka_unit_test(every_error_has_its_name),
		cmocka_unit_test(every_fault_outcome_has_a_name_of_its_own),
	};
	int failed = run_over_layouts("query", tests, sizeof(tests) / sizeof(tests[0]));

	failed += run_over_canonical_layouts("query", on_canonical,
					     sizeof(on_canonical) / sizeof(on_canonical[0]));
	return failed + cmocka_run_group_tests_name("names", names, NULL, NULL);
}
