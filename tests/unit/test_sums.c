/* SPDX-License-Identifier: MIT */
/* The pure functions that the risky sums live in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cut_tables.h"
#include "range.h"
#include "subword.h"

#define PAGE  ADDRSPACE_PAGE_SIZE
#define LIMIT (UINT64_C(1) << 48)

static void range_that_fits_is_accepted_up_to_the_last_page(void **state)
{
	(void)state;
	assert_int_equal(check_range(0, PAGE, LIMIT), 0);
	assert_int_equal(check_range(0, LIMIT, LIMIT), 0);
	assert_int_equal(check_range(LIMIT - PAGE, PAGE, LIMIT), 0);
}

static void range_empty_or_misaligned_is_invalid(void **state)
{
	(void)state;
	assert_int_equal(check_range(0, 0, LIMIT), ADDRSPACE_EINVAL);
	assert_int_equal(check_range(1, PAGE, LIMIT), ADDRSPACE_EINVAL);
	assert_int_equal(check_range(0, PAGE - 1, LIMIT), ADDRSPACE_EINVAL);
	assert_int_equal(check_range(0x800, 0x800, LIMIT), ADDRSPACE_EINVAL);
}

static void range_that_wraps_is_invalid_and_one_that_ends_at_the_top_is_not(void **state)
{
	const uint64_t top = UINT64_MAX - PAGE + 1;

	(void)state;
	assert_int_equal(check_range(top, 2 * PAGE, LIMIT), ADDRSPACE_EINVAL);
	assert_int_equal(check_range(PAGE, top, LIMIT), ADDRSPACE_ERANGE);
	assert_int_equal(check_range(2 * PAGE, top, LIMIT), ADDRSPACE_EINVAL);
	/* ends at 2^64 exactly: does not wrap, but lies outside */
	assert_int_equal(check_range(top, PAGE, LIMIT), ADDRSPACE_ERANGE);
}

static void range_beyond_the_limit_is_out_of_range(void **state)
{
	(void)state;
	assert_int_equal(check_range(LIMIT, PAGE, LIMIT), ADDRSPACE_ERANGE);
	assert_int_equal(check_range(LIMIT - PAGE, 2 * PAGE, LIMIT), ADDRSPACE_ERANGE);
	assert_int_equal(check_range(0, LIMIT + PAGE, LIMIT), ADDRSPACE_ERANGE);
}

static void host_range_is_held_against_the_hosts_width(void **state)
{
	const uint64_t host = UINT64_C(1) << 36;

	(void)state;
	assert_int_equal(check_host_range(0, host, 36), 0);
	assert_int_equal(check_host_range(host - PAGE, PAGE, 36), 0);
	assert_int_equal(check_host_range(host, PAGE, 36), ADDRSPACE_ERANGE);
	assert_int_equal(check_host_range(host - PAGE, 2 * PAGE, 36), ADDRSPACE_ERANGE);
	assert_int_equal(check_host_range(UINT64_MAX - PAGE + 1, 2 * PAGE, 52), ADDRSPACE_ERANGE);
	assert_int_equal(check_host_range(0x10, PAGE, 36), ADDRSPACE_EINVAL);
}

/** The same count by trying: which slots above the pages have a boundary strictly inside, below the
 * leaf that it cuts. */
static unsigned count_by_enumeration(uint64_t gpa, unsigned gpa_level, uint64_t end,
				     unsigned end_level)
{
	uint64_t slots[8];
	unsigned levels[8];
	unsigned count = 0;

	for (unsigned boundary = 0; boundary < 2; boundary++) {
		uint64_t at = boundary ? end : gpa;
		unsigned top = boundary ? end_level : gpa_level;

		for (unsigned level = top; level > 0; level--) {
			uint64_t slot = at / level_size(level);
			bool seen = false;

			if (slot * level_size(level) == at)
				break;
			for (unsigned i = 0; i < count; i++)
				seen = seen || (slots[i] == slot && levels[i] == level);
			if (!seen) {
				slots[count] = slot;
				levels[count++] = level;
			}
		}
	}
	return count;
}

static void cut_needs_one_table_for_each_slot_that_a_boundary_lies_in(void **state)
{
	static const uint64_t offsets[] = {0,
					   PAGE,
					   UINT64_C(2) << 20,
					   (UINT64_C(2) << 20) + PAGE,
					   (UINT64_C(4) << 20) - PAGE,
					   UINT64_C(512) << 20,
					   (UINT64_C(1) << 30) - PAGE,
					   (UINT64_C(1) << 30),
					   (UINT64_C(1) << 30) + PAGE,
					   (UINT64_C(1) << 30) + (UINT64_C(2) << 20),
					   (UINT64_C(3) << 30) + (UINT64_C(5) << 20)};
	const size_t n = sizeof(offsets) / sizeof(offsets[0]);

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			for (unsigned gpa_level = 0; gpa_level <= 2; gpa_level++)
				for (unsigned end_level = 0; end_level <= 2; end_level++) {
					/* one leaf holds both only if it is the same leaf */
					unsigned top =
						gpa_level > end_level ? gpa_level : end_level;

					if (gpa_level != end_level && top &&
					    offsets[i] / level_size(top) ==
						    offsets[j] / level_size(top))
						continue;
					unsigned count = cut_table_count(offsets[i], gpa_level,
									 offsets[j], end_level);

					assert_int_equal(
						count, count_by_enumeration(offsets[i], gpa_level,
									    offsets[j], end_level));
					assert_true(count <= 2 * PAGE_TABLE_MAX_LEAF);
				}
}

#define EXCLUSION_PAGES 10

/** Writes the pages of the set as ranges from base on, runs of pages together or page by page. */
static size_t ranges_of(unsigned set, uint64_t base, bool together,
			struct addrspace_host_range *ranges)
{
	size_t count = 0;

	for (unsigned page = 0; page < EXCLUSION_PAGES; page++) {
		bool goes_on = together && page && set >> (page - 1) & 1;

		if (!(set >> page & 1))
			continue;
		if (goes_on)
			ranges[count - 1].size += PAGE;
		else
			ranges[count++] = (struct addrspace_host_range){base + page * PAGE, PAGE};
	}
	return count;
}

/** Every query below these ranges, against the set. */
static void assert_exclusions(unsigned set, uint64_t base, bool together)
{
	struct addrspace_host_range ranges[EXCLUSION_PAGES];
	size_t count = ranges_of(set, base, together, ranges);

	assert_int_equal(check_excluded(ranges, count), 0);
	for (unsigned from = 0; from < EXCLUSION_PAGES; from++)
		for (unsigned pages = 1; pages <= EXCLUSION_PAGES - from; pages++) {
			unsigned query = ((1u << pages) - 1) << from;

			assert_int_equal(
				touches_excluded(ranges, count, base + from * PAGE, pages * PAGE),
				(set & query) != 0);
		}
}

/* At the bottom, in the middle, and up to the last byte that there is. */
static void excluded_memory_is_found_by_every_query_over_every_set_of_ranges(void **state)
{
	static const uint64_t bases[] = {0, LIMIT - 3 * PAGE,
					 UINT64_MAX - EXCLUSION_PAGES * PAGE + 1};

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		for (unsigned set = 0; set < 1u << EXCLUSION_PAGES; set++) {
			assert_exclusions(set, bases[i], false);
			assert_exclusions(set, bases[i], true);
		}
}

static void exclusions_out_of_order_or_malformed_are_invalid(void **state)
{
	const uint64_t top = UINT64_MAX - PAGE + 1;
	struct addrspace_host_range ranges[2];

	(void)state;
	assert_int_equal(check_excluded(NULL, 0), 0);
	assert_int_equal(check_excluded(NULL, 1), ADDRSPACE_EINVAL);
	for (unsigned a = 0; a < EXCLUSION_PAGES; a++)
		for (unsigned b = 0; b < EXCLUSION_PAGES; b++) {
			ranges[0] = (struct addrspace_host_range){a * PAGE, 2 * PAGE};
			ranges[1] = (struct addrspace_host_range){b * PAGE, PAGE};
			assert_int_equal(check_excluded(ranges, 2),
					 b >= a + 2 ? 0 : ADDRSPACE_EINVAL);
		}
	ranges[0] = (struct addrspace_host_range){top, PAGE};
	assert_int_equal(check_excluded(ranges, 1), 0);
	/* nothing is above the last page */
	ranges[1] = (struct addrspace_host_range){0, PAGE};
	assert_int_equal(check_excluded(ranges, 2), ADDRSPACE_EINVAL);
	ranges[0].size = 2 * PAGE;
	assert_int_equal(check_excluded(ranges, 1), ADDRSPACE_EINVAL);
	ranges[0] = (struct addrspace_host_range){PAGE, 0};
	assert_int_equal(check_excluded(ranges, 1), ADDRSPACE_EINVAL);
	ranges[0] = (struct addrspace_host_range){PAGE + 1, PAGE};
	assert_int_equal(check_excluded(ranges, 1), ADDRSPACE_EINVAL);
	ranges[0] = (struct addrspace_host_range){PAGE, PAGE + 1};
	assert_int_equal(check_excluded(ranges, 1), ADDRSPACE_EINVAL);
}

static void names_of_errors_and_outcomes_are_distinct(void **state)
{
	static const int errors[] = {0,
				     ADDRSPACE_EPERM,
				     ADDRSPACE_ENOENT,
				     ADDRSPACE_ENOMEM,
				     ADDRSPACE_EACCES,
				     ADDRSPACE_EFAULT,
				     ADDRSPACE_EEXIST,
				     ADDRSPACE_EINVAL,
				     ADDRSPACE_ENOSPC,
				     ADDRSPACE_ERANGE,
				     ADDRSPACE_ENOTSUP,
				     ADDRSPACE_EDQUOT};
	const size_t n = sizeof(errors) / sizeof(errors[0]);

	(void)state;
	assert_string_equal(addrspace_error_name(1), "unknown");
	for (size_t i = 0; i < n; i++) {
		assert_string_not_equal(addrspace_error_name(errors[i]), "unknown");
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(addrspace_error_name(errors[i]),
						addrspace_error_name(errors[j]));
	}
	assert_string_equal(addrspace_fault_name(ADDRSPACE_FAULT_EMULATE + 1), "unknown");
	for (int i = 0; i <= ADDRSPACE_FAULT_EMULATE; i++) {
		assert_string_not_equal(addrspace_fault_name(i), "unknown");
		for (int j = 0; j < i; j++)
			assert_string_not_equal(addrspace_fault_name(i), addrspace_fault_name(j));
	}
}

static void bytes_are_checked_without_forming_their_end(void **state)
{
	(void)state;
	assert_int_equal(check_bytes(LIMIT - 1, 1, LIMIT), 0);
	assert_int_equal(check_bytes(0, LIMIT, LIMIT), 0);
	assert_int_equal(check_bytes(UINT64_MAX, 0, LIMIT), 0);
	assert_int_equal(check_bytes(LIMIT - 1, 2, LIMIT), ADDRSPACE_ERANGE);
	assert_int_equal(check_bytes(LIMIT, 1, LIMIT), ADDRSPACE_ERANGE);
	assert_int_equal(check_bytes(0, LIMIT + 1, LIMIT), ADDRSPACE_ERANGE);
	assert_int_equal(check_bytes(UINT64_MAX, 1, LIMIT), ADDRSPACE_ERANGE);
	assert_int_equal(check_bytes(0, UINT64_MAX, LIMIT), ADDRSPACE_ERANGE);
	assert_int_equal(check_bytes(1, UINT64_MAX, LIMIT), ADDRSPACE_ERANGE);
	assert_int_equal(check_bytes(2, UINT64_MAX, LIMIT), ADDRSPACE_EINVAL);
	assert_int_equal(check_bytes(UINT64_MAX, 2, LIMIT), ADDRSPACE_EINVAL);
}

/** What CPUs get whose compilers have no exchange of 1 or 2 bytes. */
static void exchange_of_part_of_a_word_leaves_the_rest(void **state)
{
	(void)state;
	for (unsigned size = 1; size <= 2; size++) {
		for (unsigned at = 0; at < 8; at += size) {
			const uint64_t before = UINT64_C(0x80f1e2d3c4b5a697);
			const unsigned shift = 8 * at;
			const uint64_t mask = (size == 1 ? UINT64_C(0xff) : UINT64_C(0xffff));
			uint64_t expected = (before >> shift & mask) ^ 1;
			uint32_t words[2];
			uint64_t after;

			memcpy(words, &before, sizeof(words));
			assert_false(subword_exchange((uint8_t *)words + at, size, &expected, 0));
			assert_memory_equal(words, &before, sizeof(words));
			assert_int_equal(expected, before >> shift & mask);
			assert_true(subword_exchange((uint8_t *)words + at, size, &expected,
						     UINT64_C(0x9182) & mask));
			assert_int_equal(expected, before >> shift & mask);
			memcpy(&after, words, sizeof(after));
			assert_int_equal(after, (before & ~(mask << shift)) |
							(UINT64_C(0x9182) & mask) << shift);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(range_that_fits_is_accepted_up_to_the_last_page),
		cmocka_unit_test(range_empty_or_misaligned_is_invalid),
		cmocka_unit_test(range_that_wraps_is_invalid_and_one_that_ends_at_the_top_is_not),
		cmocka_unit_test(range_beyond_the_limit_is_out_of_range),
		cmocka_unit_test(host_range_is_held_against_the_hosts_width),
		cmocka_unit_test(cut_needs_one_table_for_each_slot_that_a_boundary_lies_in),
		cmocka_unit_test(excluded_memory_is_found_by_every_query_over_every_set_of_ranges),
		cmocka_unit_test(exclusions_out_of_order_or_malformed_are_invalid),
		cmocka_unit_test(names_of_errors_and_outcomes_are_distinct),
		cmocka_unit_test(bytes_are_checked_without_forming_their_end),
		cmocka_unit_test(exchange_of_part_of_a_word_leaves_the_rest),
	};

	return cmocka_run_group_tests_name("sums", tests, NULL, NULL);
}
