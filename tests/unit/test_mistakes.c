/* SPDX-License-Identifier: MIT */
/* What nested paging has got wrong elsewhere, each mistake as a behaviour that must hold here. */
#include <signal.h>
#include <sys/mman.h>

#include "layouts.h"

#define PAGE FAKE_PAGE_SIZE
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define RW   (ADDRSPACE_READ | ADDRSPACE_WRITE)

static void map_linear(struct fixture *fixture, uint64_t gpa, uint64_t size, uint64_t hpa)
{
	assert_int_equal(addrspace_map_linear(&fixture->as, gpa, size, hpa, &fixture_rw, 0), 0);
}

static void map_alloc(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned flags)
{
	assert_int_equal(addrspace_map_alloc(&fixture->as, gpa, size, &fixture_rw, flags), 0);
}

static void unmap(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	assert_int_equal(addrspace_unmap(&fixture->as, gpa, size), 0);
}

static void guest_resolves(struct fixture *fixture, unsigned cpu, uint64_t gpa, unsigned access)
{
	assert_int_equal(fixture_guest(fixture, cpu, gpa, access), ADDRSPACE_FAULT_RESOLVED);
}

/** No CPU gets through to the page any more, whatever it has cached. */
static void assert_unreachable(struct fixture *fixture, uint64_t gpa)
{
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++) {
		struct fake_access_result result;

		assert_int_equal(
			fake_cpu_access(&fixture->machine, cpu, gpa, ADDRSPACE_READ, &result),
			FAKE_FAULT_NOT_PRESENT);
	}
}

static void assert_frame_is_zero(struct fixture *fixture, uint64_t hpa)
{
	const uint64_t *words = fake_machine_pointer(&fixture->machine, hpa);

	for (size_t i = 0; i < PAGE / sizeof(*words); i++)
		assert_int_equal(words[i], 0);
}

static uint64_t leaf_2m(const struct fixture *fixture)
{
	return layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M) ? 2 * MIB : PAGE;
}

/* ---- what is freed, and when ---- */

struct watch {
	bool invalidated;
	unsigned frees;
	unsigned early_frees;
};

static void watch_frees(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	struct watch *watch = ctx;

	(void)machine;
	if (event == FAKE_AFTER_INVALIDATE)
		watch->invalidated = true;
	if (event == FAKE_AT_FREE) {
		watch->frees++;
		watch->early_frees += !watch->invalidated;
	}
}

static void watch_start(struct fixture *fixture, struct watch *watch)
{
	*watch = (struct watch){0};
	fixture->machine.interlude_ctx = watch;
	fixture->machine.interlude = watch_frees;
}

static void watch_end(struct fixture *fixture, const struct watch *watch, unsigned frees)
{
	fixture->machine.interlude = NULL;
	assert_int_equal(watch->early_frees, 0);
	assert_in_range(watch->frees, frees, UINT64_MAX);
}

static void frames_are_freed_only_after_the_invalidation_has_returned(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start = 2 * MIB - 4 * PAGE;
	struct watch watch;

	map_alloc(fixture, start, 8 * PAGE, ADDRSPACE_MAP_POPULATE);
	for (unsigned i = 0; i < 8; i++) {
		fixture_warm(fixture, start + i * PAGE, ADDRSPACE_WRITE);
		fake_machine_add_hot(&fixture->machine, start + i * PAGE, RW);
	}
	watch_start(fixture, &watch);
	unmap(fixture, 2 * MIB - 2 * PAGE, 4 * PAGE);
	watch_end(fixture, &watch, 4);
	watch_start(fixture, &watch);
	addrspace_clear(&fixture->as);
	watch_end(fixture, &watch, 4);
}

static void discarded_frames_are_freed_only_after_the_invalidation_has_returned(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start = 2 * MIB - 4 * PAGE;
	struct watch watch;

	map_alloc(fixture, start, 8 * PAGE, ADDRSPACE_MAP_POPULATE);
	for (unsigned i = 0; i < 8; i++) {
		fixture_warm(fixture, start + i * PAGE, ADDRSPACE_WRITE);
		fake_machine_add_hot(&fixture->machine, start + i * PAGE, RW);
	}
	watch_start(fixture, &watch);
	assert_int_equal(addrspace_discard(&fixture->as, 2 * MIB - 2 * PAGE, 4 * PAGE), 0);
	watch_end(fixture, &watch, 4);
	/* what is left, and its tables */
	watch_start(fixture, &watch);
	assert_int_equal(addrspace_discard(&fixture->as, start, 8 * PAGE), 0);
	watch_end(fixture, &watch, 4 + fixture->as.levels - 1);
}

static void tables_are_freed_only_after_the_invalidation_has_returned(void **state)
{
	struct fixture *fixture = *state;
	struct watch watch;

	map_linear(fixture, GIB - 4 * PAGE, 8 * PAGE, FIXTURE_LINEAR);
	fixture_warm(fixture, GIB - PAGE, ADDRSPACE_READ);
	fixture_warm(fixture, GIB, ADDRSPACE_READ);
	fake_machine_add_hot(&fixture->machine, GIB - PAGE, ADDRSPACE_READ);
	fake_machine_add_hot(&fixture->machine, GIB, ADDRSPACE_READ);
	watch_start(fixture, &watch);
	unmap(fixture, GIB - 4 * PAGE, 8 * PAGE);
	watch_end(fixture, &watch, fixture->as.levels);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

static void replaced_frames_are_freed_only_after_the_invalidation_has_returned(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lent = fake_machine_lend(&fixture->machine, 0);
	struct watch watch;

	map_alloc(fixture, 0, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
	fixture_warm(fixture, PAGE, ADDRSPACE_READ);
	fixture_warm(fixture, 2 * PAGE, ADDRSPACE_READ);
	watch_start(fixture, &watch);
	assert_int_equal(addrspace_replace_frame(&fixture->as, PAGE, lent, fake_machine_copy_frame,
						 &fixture->machine),
			 0);
	fake_machine_hand_over(&fixture->machine, lent, PAGE, fixture_rw.cookie);
	watch_end(fixture, &watch, 1);
	watch_start(fixture, &watch);
	assert_int_equal(addrspace_map_linear(&fixture->as, 2 * PAGE, PAGE, FIXTURE_LINEAR,
					      &fixture_rw, ADDRSPACE_MAP_REPLACE),
			 0);
	watch_end(fixture, &watch, 1);
}

static void emptied_tables_are_given_back(void **state)
{
	struct fixture *fixture = *state;
	uint64_t one_page;

	map_alloc(fixture, 0, GIB, 0);
	guest_resolves(fixture, 0, 0, ADDRSPACE_READ);
	one_page = fixture->machine.live[ADDRSPACE_FRAME_TABLE];
	for (uint64_t gpa = 2 * MIB; gpa < GIB; gpa += 64 * MIB)
		guest_resolves(fixture, 0, gpa, ADDRSPACE_READ);
	assert_in_range(fixture->machine.live[ADDRSPACE_FRAME_TABLE], one_page + 1, 1000);
	for (uint64_t gpa = 2 * MIB; gpa < GIB; gpa += 64 * MIB)
		unmap(fixture, gpa, PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], one_page);
	unmap(fixture, 0, PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

/* ---- what the flush covers ---- */

static void flush_covers_every_page_of_the_range_on_every_cpu(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start = 2 * MIB - 20 * PAGE;

	map_alloc(fixture, start, 40 * PAGE, ADDRSPACE_MAP_POPULATE);
	for (unsigned i = 0; i < 40; i++)
		fixture_warm(fixture, start + i * PAGE, ADDRSPACE_WRITE);
	fixture->machine.counters.invalidate = 0;
	unmap(fixture, start, 40 * PAGE);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	for (unsigned i = 0; i < 40; i++)
		assert_unreachable(fixture, start + i * PAGE);
}

static void flush_of_large_and_small_leaves_steps_by_the_smallest(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_invalidation *invalidation;

	map_linear(fixture, 2 * MIB - 2 * PAGE, 4 * MIB + 3 * PAGE,
		   FIXTURE_LINEAR + 2 * MIB - 2 * PAGE);
	fixture_warm(fixture, 2 * MIB - 2 * PAGE, ADDRSPACE_READ);
	fixture_warm(fixture, 2 * MIB - PAGE, ADDRSPACE_READ);
	fixture_warm(fixture, 3 * MIB, ADDRSPACE_READ);
	fixture_warm(fixture, 5 * MIB, ADDRSPACE_READ);
	fixture_warm(fixture, 6 * MIB, ADDRSPACE_READ);
	unmap(fixture, 2 * MIB - 2 * PAGE, 4 * MIB + 3 * PAGE);
	invalidation = fake_machine_invalidation(&fixture->machine, 0);
	assert_int_equal(invalidation->stride, PAGE);
	assert_in_range(invalidation->gpa, 0, 2 * MIB - 2 * PAGE);
	assert_in_range(invalidation->gpa + invalidation->size, 6 * MIB + PAGE, UINT64_MAX);
	assert_unreachable(fixture, 2 * MIB - 2 * PAGE);
	assert_unreachable(fixture, 2 * MIB - PAGE);
	assert_unreachable(fixture, 3 * MIB);
	assert_unreachable(fixture, 5 * MIB);
	assert_unreachable(fixture, 6 * MIB);
}

static void invalidation_names_guest_physical_addresses_and_every_cpu(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_invalidation *invalidation;

	map_linear(fixture, 7 * MIB, 4 * PAGE, FIXTURE_LINEAR + 3 * MIB);
	map_alloc(fixture, 9 * MIB, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
	unmap(fixture, 7 * MIB + PAGE, PAGE);
	invalidation = fake_machine_invalidation(&fixture->machine, 0);
	assert_int_equal(invalidation->gpa, 7 * MIB + PAGE);
	assert_int_equal(invalidation->size, PAGE);
	assert_int_equal(invalidation->scope, ADDRSPACE_ALL_CPUS);
	assert_int_equal(addrspace_protect(&fixture->as, 9 * MIB + 2 * PAGE, PAGE, ADDRSPACE_READ),
			 0);
	invalidation = fake_machine_invalidation(&fixture->machine, 0);
	assert_int_equal(invalidation->gpa, 9 * MIB + 2 * PAGE);
	assert_int_equal(invalidation->size, PAGE);
	assert_int_equal(invalidation->scope, ADDRSPACE_ALL_CPUS);
}

static void fault_disturbs_no_other_cpu(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, GIB, 0);
	for (unsigned i = 0; i < 4; i++) {
		guest_resolves(fixture, i % FAKE_CPUS, i * PAGE, ADDRSPACE_WRITE);
		guest_resolves(fixture, (i + 1) % FAKE_CPUS, i * PAGE, ADDRSPACE_READ);
	}
	if (!fixture->layout->caches_not_present)
		assert_int_equal(fixture->machine.counters.invalidate, 0);
	for (unsigned age = 0; age < fixture->machine.counters.invalidate; age++)
		assert_int_equal(fake_machine_invalidation(&fixture->machine, age)->scope,
				 ADDRSPACE_THIS_CPU);
}

/* ---- part of a large leaf ---- */

/** Guest memory full of what would pass for tables and leaves of every format. */
static void fill_with_entries(struct fixture *fixture, uint64_t hpa, uint64_t size)
{
	static const uint64_t low_bits[] = {0x1, 0x7, 0x3, 0xb7, 0x4df, 0x7ff};
	uint64_t *words = fake_machine_pointer(&fixture->machine, hpa);

	for (size_t i = 0; i < size / sizeof(*words); i++)
		words[i] = (hpa + i % 512 * PAGE) | low_bits[i % 6];
}

static void assert_filled_with_entries(struct fixture *fixture, uint64_t hpa, uint64_t size)
{
	static const uint64_t low_bits[] = {0x1, 0x7, 0x3, 0xb7, 0x4df, 0x7ff};
	const uint64_t *words = fake_machine_pointer(&fixture->machine, hpa);

	for (size_t i = 0; i < size / sizeof(*words); i++)
		if (words[i] != ((hpa + i % 512 * PAGE) | low_bits[i % 6]))
			fail_msg("guest data changed at word %zu", i);
}

static void unmap_inside_a_large_leaf_never_takes_guest_data_for_a_table(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lent = fake_machine_lend(&fixture->machine, 9);

	fill_with_entries(fixture, lent, 2 * MIB);
	map_linear(fixture, 4 * MIB, 2 * MIB, lent);
	fixture_assert_mapped(fixture, 4 * MIB, lent, leaf_2m(fixture), RW);
	unmap(fixture, 5 * MIB, PAGE);
	assert_filled_with_entries(fixture, lent, 2 * MIB);
	unmap(fixture, 4 * MIB, 2 * MIB);
	assert_filled_with_entries(fixture, lent, 2 * MIB);
}

static void unmap_4_kib_inside_a_large_leaf_keeps_all_other_pages(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	fixture_warm(fixture, 5 * MIB, ADDRSPACE_READ);
	fixture_warm(fixture, 6 * MIB - PAGE, ADDRSPACE_READ);
	fake_machine_add_hot(&fixture->machine, 5 * MIB, ADDRSPACE_READ);
	fake_machine_add_hot(&fixture->machine, 6 * MIB - PAGE, ADDRSPACE_READ);
	unmap(fixture, 5 * MIB, PAGE);
	fake_machine_clear_hot(&fixture->machine);
	for (uint64_t offset = 0; offset < 2 * MIB; offset += PAGE) {
		if (offset == MIB)
			fixture_assert_not_mapped(fixture, 4 * MIB + offset);
		else
			fixture_assert_mapped(fixture, 4 * MIB + offset, FIXTURE_LINEAR + offset,
					      PAGE, RW);
	}
	assert_unreachable(fixture, 5 * MIB);
}

static void protect_4_kib_inside_a_large_leaf_changes_that_page_only(void **state)
{
	struct fixture *fixture = *state;
	struct fake_access_result result;

	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	fixture_warm(fixture, 5 * MIB, ADDRSPACE_WRITE);
	fixture_warm(fixture, 6 * MIB - PAGE, ADDRSPACE_WRITE);
	fake_machine_add_hot(&fixture->machine, 5 * MIB, RW);
	fake_machine_add_hot(&fixture->machine, 6 * MIB - PAGE, RW);
	assert_int_equal(addrspace_protect(&fixture->as, 5 * MIB, PAGE, ADDRSPACE_READ), 0);
	fake_machine_clear_hot(&fixture->machine);
	for (uint64_t offset = 0; offset < 2 * MIB; offset += PAGE)
		fixture_assert_mapped(fixture, 4 * MIB + offset, FIXTURE_LINEAR + offset, PAGE,
				      offset == MIB ? ADDRSPACE_READ : RW);
	/* A CPU may still hold the hole that it met while the leaf was broken. */
	fixture_warm(fixture, 5 * MIB, ADDRSPACE_READ);
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		assert_int_equal(
			fake_cpu_access(&fixture->machine, cpu, 5 * MIB, ADDRSPACE_WRITE, &result),
			FAKE_FAULT_PERMISSION);
}

static void part_of_a_1_gib_leaf_can_go_and_the_rest_stays(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = layout_largest_leaf(fixture->layout);
	uint64_t gpa = GIB + 9 * MIB + 3 * PAGE;
	uint64_t size = leaf == GIB ? GIB : 16 * MIB;

	map_linear(fixture, GIB, size, FIXTURE_LINEAR);
	fixture_assert_mapped(fixture, GIB, FIXTURE_LINEAR, leaf, RW);
	unmap(fixture, gpa, PAGE);
	fixture_assert_not_mapped(fixture, gpa);
	fixture_assert_mapped(fixture, gpa - PAGE, FIXTURE_LINEAR + (gpa - PAGE - GIB), PAGE, RW);
	fixture_assert_mapped(fixture, gpa + PAGE, FIXTURE_LINEAR + (gpa + PAGE - GIB), PAGE, RW);
	fixture_assert_mapped(fixture, GIB, FIXTURE_LINEAR, leaf_2m(fixture), RW);
	fixture_assert_mapped(fixture, GIB + size - 1, FIXTURE_LINEAR + size - 1, leaf_2m(fixture),
			      RW);
}

static void large_leaf_fits_where_small_pages_have_been(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < 512; i += 7)
		map_linear(fixture, 4 * MIB + i * PAGE, PAGE, FIXTURE_LINEAR + PAGE);
	for (unsigned i = 0; i < 512; i += 7)
		unmap(fixture, 4 * MIB + i * PAGE, PAGE);
	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	fixture_assert_mapped(fixture, 5 * MIB, FIXTURE_LINEAR + MIB, leaf_2m(fixture), RW);
}

static void large_leaf_fits_after_a_small_map_has_failed(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned n = 1; n <= fixture->as.levels; n++) {
		fixture->machine.fail_at = n;
		assert_int_equal(addrspace_map_linear(&fixture->as, 4 * MIB, PAGE, FIXTURE_LINEAR,
						      &fixture_rw, 0),
				 ADDRSPACE_ENOMEM);
	}
	fixture->machine.fail_at = 0;
	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	fixture_assert_mapped(fixture, 5 * MIB, FIXTURE_LINEAR + MIB, leaf_2m(fixture), RW);
}

/* ---- faults ---- */

static void second_fault_on_a_page_keeps_its_frame(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hpa;

	map_alloc(fixture, 0, GIB, 0);
	guest_resolves(fixture, 0, 5 * PAGE, ADDRSPACE_WRITE);
	hpa = fixture_hpa(fixture, 5 * PAGE);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			addrspace_handle_fault(&fixture->as, 5 * PAGE + i, ADDRSPACE_WRITE, NULL),
			ADDRSPACE_FAULT_ALREADY_RESOLVED);
	assert_int_equal(fixture_hpa(fixture, 5 * PAGE), hpa);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 1);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
			 fake_machine_token(5 * PAGE));
}

static void fault_on_a_populated_page_keeps_its_frame(void **state)
{
	struct fixture *fixture = *state;
	uint64_t hpa;

	map_alloc(fixture, 0, 8 * PAGE, ADDRSPACE_MAP_POPULATE);
	hpa = fixture_hpa(fixture, 3 * PAGE);
	guest_resolves(fixture, 0, 3 * PAGE, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_handle_fault(&fixture->as, 3 * PAGE, ADDRSPACE_WRITE, NULL),
			 ADDRSPACE_FAULT_ALREADY_RESOLVED);
	assert_int_equal(fixture_hpa(fixture, 3 * PAGE), hpa);
	assert_int_equal(fixture->machine.counters.allocations[ADDRSPACE_FRAME_GUEST], 8);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
			 fake_machine_token(3 * PAGE));
}

static void lazily_allocated_frame_is_zeroed(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, GIB, 0);
	guest_resolves(fixture, 0, 2 * MIB, ADDRSPACE_READ);
	assert_frame_is_zero(fixture, fixture_hpa(fixture, 2 * MIB));
}

static void frame_that_held_another_guests_data_is_zeroed(void **state)
{
	struct fixture *fixture = *state;
	uint64_t *words;
	uint64_t hpa;

	map_alloc(fixture, 0, 4 * PAGE, 0);
	guest_resolves(fixture, 0, PAGE, ADDRSPACE_WRITE);
	hpa = fixture_hpa(fixture, PAGE);
	words = fake_machine_pointer(&fixture->machine, hpa);
	words[511] = 0x5ec2e7;
	unmap(fixture, 0, 4 * PAGE);
	map_alloc(fixture, 8 * MIB, 64 * PAGE, ADDRSPACE_MAP_POPULATE);
	for (unsigned i = 0; i < 64; i++)
		assert_frame_is_zero(fixture, fixture_hpa(fixture, 8 * MIB + i * PAGE));
	assert_int_not_equal(words[511], 0x5ec2e7);
}

static void discarded_page_does_not_come_back_with_old_data(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, GIB, 0);
	for (unsigned i = 0; i < 8; i++)
		guest_resolves(fixture, 0, i * PAGE, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_discard(&fixture->as, PAGE, 6 * PAGE), 0);
	for (unsigned i = 1; i < 7; i++) {
		assert_unreachable(fixture, i * PAGE);
		guest_resolves(fixture, 0, i * PAGE, ADDRSPACE_READ);
		assert_frame_is_zero(fixture, fixture_hpa(fixture, i * PAGE));
	}
}

static void map_lazy_1_gib_allocates_no_table(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, GIB, GIB, 0);
	assert_int_equal(fixture->machine.counters.allocations[ADDRSPACE_FRAME_TABLE], 0);
	assert_int_equal(fixture->machine.counters.allocations[ADDRSPACE_FRAME_GUEST], 0);
	guest_resolves(fixture, 0, GIB + 300 * MIB, ADDRSPACE_READ);
	assert_int_equal(fixture->machine.counters.allocations[ADDRSPACE_FRAME_TABLE],
			 fixture->as.levels - 1u);
}

/* ---- failures ---- */

static void failed_map_leaves_no_entry_no_table_and_no_frame(void **state)
{
	struct fixture *fixture = *state;
	struct fake_snapshot before;
	unsigned n = 0;
	int error;

	map_linear(fixture, GIB, PAGE, FIXTURE_LINEAR);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	for (;;) {
		fixture->machine.fail_at = ++n;
		error = addrspace_map_alloc(&fixture->as, 2 * MIB - 2 * PAGE, 4 * PAGE, &fixture_rw,
					    ADDRSPACE_MAP_POPULATE);
		if (!error)
			break;
		assert_int_equal(error, ADDRSPACE_ENOMEM);
		fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
		assert_int_equal(addrspace_verify(&fixture->as, NULL), 0);
		for (unsigned i = 0; i < 4; i++)
			fixture_assert_not_mapped(fixture, 2 * MIB - 2 * PAGE + i * PAGE);
	}
	fixture->machine.fail_at = 0;
	/* Four frames and the tables of two slots at least, each of which has failed once. */
	assert_in_range(n, 4 + 2 + 1, 100);
}

static void out_of_memory_is_reported_as_out_of_memory(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, MIB, 0);
	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_handle_fault(&fixture->as, 0, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_OUT_OF_MEMORY);
	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_map_alloc(&fixture->as, 4 * MIB, PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 ADDRSPACE_ENOMEM);
	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	if (leaf_2m(fixture) == 2 * MIB) {
		fixture->machine.fail_at = 1;
		assert_int_equal(addrspace_unmap(&fixture->as, 4 * MIB, PAGE), ADDRSPACE_ENOMEM);
		fixture->machine.fail_at = 1;
		assert_int_equal(
			addrspace_protect(&fixture->as, 4 * MIB, 2 * MIB - PAGE, ADDRSPACE_READ),
			ADDRSPACE_ENOMEM);
	}
	fixture->machine.fail_at = 0;
}

static void init_without_memory_is_out_of_memory(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_config config;
	struct addrspace other;
	bool allow_unlocked = fixture->machine.allow_unlocked;

	fixture_config(fixture->layout, &fixture->machine, &config);
	fixture->machine.allow_unlocked = true;
	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_init(&other, &config), ADDRSPACE_ENOMEM);
	fixture->machine.fail_at = 0;
	fixture->machine.allow_unlocked = allow_unlocked;
}

/* ---- addresses ---- */

static void ranges_that_wrap_are_refused_by_every_call(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint64_t last = UINT64_MAX - PAGE + 1;

	map_alloc(fixture, 0, 4 * PAGE, 0);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t gpa = i ? last : 2 * PAGE;
		uint64_t size = i ? 2 * PAGE : last;

		assert_int_equal(addrspace_map_alloc(as, gpa, size, &fixture_rw, 0),
				 ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_map_linear(as, gpa, size, 0, &fixture_rw, 0),
				 ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_unmap(as, gpa, size), ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_protect(as, gpa, size, ADDRSPACE_READ),
				 ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_discard(as, gpa, size), ADDRSPACE_EINVAL);
		assert_false(addrspace_contains_range(as, gpa, size));
	}
	assert_true(addrspace_contains_range(as, 0, 4 * PAGE));
}

static void host_range_that_wraps_is_refused(void **state)
{
	struct fixture *fixture = *state;
	uint64_t last = UINT64_MAX - PAGE + 1;

	assert_int_equal(addrspace_map_linear(&fixture->as, 0, 2 * PAGE, last, &fixture_rw, 0),
			 ADDRSPACE_ERANGE);
	assert_false(addrspace_contains_range(&fixture->as, 0, PAGE));
}

static void remaining_is_what_is_left_after_the_address(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_translation translation;

	map_alloc(fixture, 2 * MIB, 8 * PAGE, ADDRSPACE_MAP_POPULATE);
	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	assert_int_equal(addrspace_translate(&fixture->as, 2 * MIB + 3 * PAGE + 0x10, &translation),
			 0);
	assert_int_equal(translation.remaining, PAGE - 0x10);
	assert_int_equal(addrspace_translate(&fixture->as, 5 * MIB + 0x777, &translation), 0);
	assert_int_equal(translation.remaining,
			 leaf_2m(fixture) - ((5 * MIB + 0x777) & (leaf_2m(fixture) - 1)));
}

static unsigned widest_gpa(const struct layout *layout)
{
	static const unsigned root_extra[] = {[LAYOUT_EPT] = 0,
					      [LAYOUT_NPT] = 0,
					      [LAYOUT_STAGE2] = 4,
					      [LAYOUT_GSTAGE] = 2,
					      [LAYOUT_HOSTILE] = 1};

	return 12 + 9 * layout->levels + root_extra[layout->kind];
}

static void space_one_bit_wider_than_its_root_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_config config;
	struct addrspace other;

	fixture_config(fixture->layout, &fixture->machine, &config);
	config.gpa_bits = widest_gpa(fixture->layout) + 1;
	assert_int_equal(addrspace_init(&other, &config), ADDRSPACE_ERANGE);
	config.levels = 0;
	config.gpa_bits = 60;
	assert_int_equal(addrspace_init(&other, &config), ADDRSPACE_ERANGE);
}

static void address_one_bit_above_the_space_does_not_alias_low_memory(void **state)
{
	struct fixture *fixture = *state;
	uint64_t alias = layout_limit(fixture->layout) + 4 * PAGE;
	struct addrspace_translation translation;
	struct addrspace_region region;
	struct fake_access_result result;

	map_alloc(fixture, 0, 8 * PAGE, ADDRSPACE_MAP_POPULATE);
	guest_resolves(fixture, 0, 4 * PAGE, ADDRSPACE_READ);
	assert_int_equal(addrspace_walk(&fixture->as, alias, &translation), ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_translate(&fixture->as, alias, &translation), ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_find_region(&fixture->as, alias, &region), ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_map_alloc(&fixture->as, alias, PAGE, &fixture_rw, 0),
			 ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_unmap(&fixture->as, alias, PAGE), ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_discard(&fixture->as, alias, PAGE), ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_handle_fault(&fixture->as, alias, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_NOT_BACKED);
	assert_int_equal(fake_cpu_access(&fixture->machine, 0, alias, ADDRSPACE_READ, &result),
			 FAKE_FAULT_NOT_PRESENT);
}

static void host_address_beyond_the_hosts_width_is_refused(void **state)
{
	struct fixture *fixture = *state;
	uint64_t host_limit = UINT64_C(1) << fixture->as.host_bits;
	struct addrspace *as = &fixture->as;

	fake_machine_register_linear(&fixture->machine, host_limit - PAGE, PAGE);
	assert_int_equal(addrspace_map_linear(as, 0, PAGE, host_limit, &fixture_rw, 0),
			 ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_map_linear(as, 0, 2 * PAGE, host_limit - PAGE, &fixture_rw, 0),
			 ADDRSPACE_ERANGE);
	assert_int_equal(
		addrspace_map_linear(as, 0, PAGE, host_limit + FIXTURE_LINEAR, &fixture_rw, 0),
		ADDRSPACE_ERANGE);
	assert_false(addrspace_contains_range(as, 0, PAGE));
	map_linear(fixture, 0, PAGE, host_limit - PAGE);
	fixture_assert_mapped(fixture, 0, host_limit - PAGE, PAGE, RW);
	assert_int_equal(addrspace_replace_frame(as, 0, host_limit, NULL, NULL), ADDRSPACE_ERANGE);
}

static uint64_t wide_bit;
static bool (*narrow_allocate)(void *, const struct addrspace_frame_request *,
			       struct addrspace_frame *);
static void (*narrow_free)(void *, const struct addrspace_frame_request *, uint64_t);

static bool wide_allocate(void *ctx, const struct addrspace_frame_request *request,
			  struct addrspace_frame *frame)
{
	if (!narrow_allocate(ctx, request, frame))
		return false;
	frame->hpa |= wide_bit;
	return true;
}

static void wide_free(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	narrow_free(ctx, request, hpa & ~wide_bit);
}

static void frame_beyond_the_hosts_width_is_given_back_and_refused(void **state)
{
	struct fixture *fixture = *state;
	struct paging_handler *handler = &fixture->machine.handler;
	struct fake_snapshot before;

	map_alloc(fixture, 0, MIB, 0);
	fake_machine_snapshot(&fixture->machine, &fixture->as, &before);
	wide_bit = UINT64_C(1) << fixture->as.host_bits;
	narrow_allocate = handler->allocate;
	narrow_free = handler->free;
	handler->allocate = wide_allocate;
	handler->free = wide_free;
	assert_int_equal(addrspace_handle_fault(&fixture->as, 0, ADDRSPACE_READ, NULL),
			 ADDRSPACE_EFAULT);
	assert_int_equal(
		addrspace_map_alloc(&fixture->as, MIB, PAGE, &fixture_rw, ADDRSPACE_MAP_POPULATE),
		ADDRSPACE_EFAULT);
	handler->allocate = narrow_allocate;
	handler->free = narrow_free;
	fake_machine_assert_unchanged(&fixture->machine, &fixture->as, &before);
}

/** A new space on the machine, which reaches frames in this way. */
static void restart(struct fixture *fixture, void (*reach)(struct fake_machine *machine))
{
	struct addrspace_config config;

	fixture_destroy_space(fixture);
	reach(&fixture->machine);
	fixture_config(fixture->layout, &fixture->machine, &config);
	assert_int_equal(addrspace_init(&fixture->as, &config), 0);
	fixture->initialised = true;
	fake_machine_attach(&fixture->machine, &fixture->as, fixture->layout);
}

static void physical_addresses_are_never_used_as_pointers(void **state)
{
	struct fixture *fixture = *state;
	uint64_t calls;

	assert_ptr_not_equal(fake_machine_pointer(&fixture->machine, FAKE_ARENA_BASE),
			     (void *)(uintptr_t)FAKE_ARENA_BASE);
	restart(fixture, fake_machine_use_callback);
	calls = fixture->machine.counters.physical_to_virtual;
	map_alloc(fixture, 0, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
	fixture_hpa(fixture, PAGE);
	assert_in_range(fixture->machine.counters.physical_to_virtual, calls + 1, UINT64_MAX);
	restart(fixture, fake_machine_use_offset);
	calls = fixture->machine.counters.physical_to_virtual;
	map_alloc(fixture, 2 * MIB, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
	unmap(fixture, 2 * MIB, 4 * PAGE);
	assert_int_equal(fixture->machine.counters.physical_to_virtual, calls);
}

/* ---- entries that are not present, holes, and how much is visited ---- */

static void entry_with_address_but_not_present_is_unmapped_too(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 2 * MIB - 4 * PAGE, 8 * PAGE, ADDRSPACE_MAP_POPULATE);
	assert_int_equal(addrspace_protect(&fixture->as, 2 * MIB - 4 * PAGE, 8 * PAGE, 0), 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 8);
	unmap(fixture, 2 * MIB - PAGE, 2 * PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 6);
	unmap(fixture, 2 * MIB - 4 * PAGE, 8 * PAGE);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

static void region_without_permissions_is_unmapped_and_leaks_nothing(void **state)
{
	const struct addrspace_attributes guard = {.cookie = 0x600d};
	struct fixture *fixture = *state;

	assert_int_equal(
		addrspace_map_alloc(&fixture->as, 0, 8 * PAGE, &guard, ADDRSPACE_MAP_POPULATE), 0);
	assert_int_equal(addrspace_map_alloc(&fixture->as, MIB, MIB, &guard, 0), 0);
	assert_int_equal(
		addrspace_map_linear(&fixture->as, 4 * MIB, 4 * MIB, FIXTURE_LINEAR, &guard, 0), 0);
	fixture_check(fixture);
	unmap(fixture, 3 * PAGE, 5 * MIB);
	fixture_check(fixture);
	unmap(fixture, 0, GIB);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_REGION_NODE], 0);
}

static void unmap_goes_on_behind_holes_and_ends(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);
	struct addrspace_region region;
	struct addrspace_run run;

	map_alloc(fixture, 0, 2 * PAGE, ADDRSPACE_MAP_POPULATE);
	map_linear(fixture, 2 * MIB + PAGE, PAGE, FIXTURE_LINEAR);
	map_linear(fixture, GIB, 2 * MIB, FIXTURE_LINEAR);
	map_alloc(fixture, 2 * GIB, GIB, 0);
	guest_resolves(fixture, 0, 2 * GIB + 600 * MIB, ADDRSPACE_READ);
	map_alloc(fixture, limit - PAGE, PAGE, ADDRSPACE_MAP_POPULATE);
	unmap(fixture, 0, limit);
	assert_int_equal(addrspace_next_region(&fixture->as, 0, &region), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_next_run(&fixture->as, 0, &run), ADDRSPACE_ENOENT);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	unmap(fixture, 0, limit);
}

static uint64_t pointers_asked_to_unmap_one_of(struct fixture *fixture, uint64_t gpa,
					       unsigned regions)
{
	uint64_t calls;

	for (unsigned i = 0; i < regions; i++)
		map_alloc(fixture, gpa + 2 * i * PAGE, PAGE, 0);
	calls = fixture->machine.counters.physical_to_virtual;
	unmap(fixture, gpa + regions / 2 * 2 * PAGE, PAGE);
	return fixture->machine.counters.physical_to_virtual - calls;
}

static void unmapping_one_of_many_regions_visits_few(void **state)
{
	struct fixture *fixture = *state;
	uint64_t of_few;
	uint64_t of_many;

	fake_machine_use_callback(&fixture->machine);
	of_few = pointers_asked_to_unmap_one_of(fixture, 0, 4);
	of_many = pointers_asked_to_unmap_one_of(fixture, GIB, 4000);
	assert_in_range(of_many, 1, of_few + 32);
}

/* ---- who may reach what ---- */

static void assert_leaf_is_the_guests(struct fake_machine *machine,
				      const struct fake_walk_step *step, void *ctx)
{
	unsigned *pages = ctx;
	uint64_t size = UINT64_C(1) << fake_level_shift(step->level);

	if (step->entry.kind != FAKE_ENTRY_LEAF)
		return;
	for (uint64_t offset = 0; offset < size; offset += PAGE) {
		const struct fake_frame *frame =
			fake_machine_frame(machine, step->entry.hpa + offset);

		if (!frame)
			return;
		assert_true(frame->state == FAKE_GUEST || frame->state == FAKE_LENT);
		++*pages;
	}
}

static void no_leaf_leads_to_the_librarys_own_frames(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lent = fake_machine_lend(&fixture->machine, 9);
	unsigned pages = 0;

	map_alloc(fixture, 0, GIB, 0);
	for (unsigned i = 0; i < 8; i++)
		guest_resolves(fixture, 0, i * 70 * MIB, ADDRSPACE_WRITE);
	map_linear(fixture, GIB, 2 * MIB, lent);
	assert_int_equal(addrspace_protect(&fixture->as, GIB + MIB, PAGE, ADDRSPACE_READ), 0);
	/* Frames that were guest data come back as tables and nodes. */
	unmap(fixture, 0, 300 * MIB);
	for (unsigned i = 0; i < 300; i++)
		map_alloc(fixture, i * MIB, PAGE, 0);
	for (unsigned i = 0; i < 300; i += 20)
		guest_resolves(fixture, 0, i * MIB, ADDRSPACE_WRITE);
	fake_machine_walk_all(&fixture->machine, assert_leaf_is_the_guests, &pages);
	assert_int_equal(pages, 512 + 3 + 15);
}

static void write_without_read_is_refused_where_the_format_forbids_it(void **state)
{
	const struct addrspace_attributes write_only = {.permissions = ADDRSPACE_WRITE};
	struct fixture *fixture = *state;
	bool legal = layout_can_permit(fixture->layout, ADDRSPACE_WRITE);

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, PAGE, &write_only, 0),
			 legal ? 0 : ADDRSPACE_ENOTSUP);
	map_alloc(fixture, MIB, PAGE, ADDRSPACE_MAP_POPULATE);
	assert_int_equal(addrspace_protect(&fixture->as, MIB, PAGE, ADDRSPACE_WRITE),
			 legal ? 0 : ADDRSPACE_ENOTSUP);
	fixture_assert_mapped(fixture, MIB, fixture_hpa(fixture, MIB), PAGE,
			      legal ? ADDRSPACE_WRITE : RW);
}

static void page_without_execute_permission_cannot_be_executed(void **state)
{
	struct fixture *fixture = *state;
	struct fake_access_result result;

	map_alloc(fixture, 0, PAGE, ADDRSPACE_MAP_POPULATE);
	map_linear(fixture, 2 * MIB, 2 * MIB, FIXTURE_LINEAR);
	for (unsigned i = 0; i < 2; i++) {
		guest_resolves(fixture, 0, i * 2 * MIB, ADDRSPACE_READ);
		assert_int_equal(fake_cpu_access(&fixture->machine, 0, i * 2 * MIB,
						 ADDRSPACE_EXECUTE, &result),
				 FAKE_FAULT_PERMISSION);
		assert_int_equal(fixture_guest(fixture, 0, i * 2 * MIB, ADDRSPACE_EXECUTE),
				 ADDRSPACE_FAULT_DENIED);
	}
}

static void root_is_one_aligned_run_as_wide_as_its_index(void **state)
{
	struct fixture *fixture = *state;
	uint64_t entries = fake_root_entries(&fixture->machine.geometry);
	uint64_t frames = entries <= 512 ? 1 : entries / 512;

	if (fixture->layout->kind == LAYOUT_GSTAGE)
		frames = 4;
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_ROOT], frames);
	assert_int_equal(fixture->machine.geometry.root_hpa % (frames * PAGE), 0);
}

static void guest_reaches_every_quarter_of_the_root(void **state)
{
	struct fixture *fixture = *state;
	uint64_t limit = layout_limit(fixture->layout);

	map_alloc(fixture, 0, limit, 0);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t gpa = limit / 4 * (i + 1) - PAGE;

		guest_resolves(fixture, 0, gpa, ADDRSPACE_WRITE);
		guest_resolves(fixture, 1, gpa, ADDRSPACE_READ);
		assert_int_equal(
			fake_machine_frame(&fixture->machine, fixture_hpa(fixture, gpa))->gpa, gpa);
	}
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 4);
}

/* ---- dirty bits ---- */

static struct {
	void (*sync_table)(void *ctx, const void *entries, size_t size);
	uint64_t gpa;
	unsigned hits;
} late_store;

/** Another CPU stores just when a table has been filled that is to take the leaf's place. */
static void sync_with_late_store(void *ctx, const void *entries, size_t size)
{
	struct fake_machine *machine = ctx;

	if (late_store.sync_table)
		late_store.sync_table(ctx, entries, size);
	if (!late_store.hits &&
	    fake_cpu_access(machine, 1, late_store.gpa, ADDRSPACE_WRITE, NULL) == FAKE_HIT)
		late_store.hits++;
}

static void store_while_a_leaf_is_split_keeps_its_dirty_bit(void **state)
{
	struct fixture *fixture = *state;
	struct paging_handler *handler = &fixture->machine.handler;
	uint64_t lent = fake_machine_lend(&fixture->machine, 9);
	struct addrspace_translation translation;

	map_linear(fixture, 4 * MIB, 2 * MIB, lent);
	late_store.sync_table = handler->sync_table;
	late_store.gpa = 5 * MIB + 7 * PAGE;
	late_store.hits = 0;
	handler->sync_table = sync_with_late_store;
	assert_int_equal(addrspace_protect(&fixture->as, 5 * MIB, PAGE, ADDRSPACE_READ), 0);
	handler->sync_table = late_store.sync_table;
	/* Where a leaf is broken before it is split there may be nothing to hit. */
	if (!fixture->machine.geometry.walker->break_before_make)
		assert_int_equal(late_store.hits, 1);
	else
		guest_resolves(fixture, 1, late_store.gpa, ADDRSPACE_WRITE);
	assert_int_equal(addrspace_walk(&fixture->as, late_store.gpa, &translation), 0);
	assert_true(translation.dirty);
	assert_true(translation.accessed);
}

static void cutting_a_dirty_leaf_leaves_dirty_pieces(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lent = fake_machine_lend(&fixture->machine, 9);
	struct addrspace_translation translation;

	map_linear(fixture, 4 * MIB, 2 * MIB, lent);
	for (unsigned i = 0; i < 512; i++)
		guest_resolves(fixture, 0, 4 * MIB + i * PAGE, ADDRSPACE_WRITE);
	unmap(fixture, 5 * MIB, PAGE);
	assert_int_equal(addrspace_protect(&fixture->as, 4 * MIB, 16 * PAGE, ADDRSPACE_READ), 0);
	assert_int_equal(addrspace_protect(&fixture->as, 4 * MIB, 16 * PAGE, RW), 0);
	for (unsigned i = 0; i < 512; i++) {
		if (i == 256)
			continue;
		assert_int_equal(addrspace_walk(&fixture->as, 4 * MIB + i * PAGE, &translation), 0);
		assert_true(translation.dirty);
	}
}

/* Write-protects the table that holds an entry, so that the library's first store there traps after
 * the entry was read: there hardware sets D for a store of the guest. */
static struct {
	uint8_t *page;
	unsigned level;
	const struct fake_geometry *geometry;
	volatile unsigned stores;
	struct sigaction before;
} trap;

static void store_of_the_guest(int signal_number, siginfo_t *info, void *context)
{
	uint8_t *at = info->si_addr;
	uint64_t *slot = (uint64_t *)((uintptr_t)at & ~UINT64_C(7));
	struct fake_entry entry;

	(void)signal_number;
	(void)context;
	if (at < trap.page || at >= trap.page + PAGE) {
		sigaction(SIGSEGV, &trap.before, NULL);
		return;
	}
	mprotect(trap.page, PAGE, PROT_READ | PROT_WRITE);
	trap.geometry->walker->decode(trap.geometry, trap.level, *slot, &entry);
	if (entry.kind == FAKE_ENTRY_LEAF && entry.permissions & ADDRSPACE_WRITE) {
		*slot = trap.geometry->walker->touch(trap.geometry, trap.level, *slot, true);
		trap.stores++;
	}
}

/** The entry that decides about gpa: a leaf at this level. */
static uint64_t *leaf_entry(struct fixture *fixture, uint64_t gpa, unsigned leaf_level)
{
	const struct fake_geometry *geometry = &fixture->machine.geometry;
	uint64_t hpa = geometry->root_hpa;

	for (unsigned level = geometry->levels - 1;; level--) {
		uint64_t index =
			(gpa >> fake_level_shift(level)) % fake_table_entries(geometry, level);
		uint64_t *slot = (uint64_t *)fake_machine_pointer(&fixture->machine, hpa) + index;
		struct fake_entry entry;

		geometry->walker->decode(geometry, level, *slot, &entry);
		assert_int_equal(entry.kind,
				 level == leaf_level ? FAKE_ENTRY_LEAF : FAKE_ENTRY_TABLE);
		if (level == leaf_level)
			return slot;
		hpa = entry.hpa;
	}
}

static void trap_store(struct fixture *fixture, uint64_t gpa, unsigned level)
{
	uintptr_t slot = (uintptr_t)leaf_entry(fixture, gpa, level);
	struct sigaction action = {.sa_sigaction = store_of_the_guest, .sa_flags = SA_SIGINFO};

	trap.page = (uint8_t *)(slot & ~(PAGE - 1));
	trap.level = level;
	trap.geometry = &fixture->machine.geometry;
	trap.stores = 0;
	assert_int_equal(sigaction(SIGSEGV, &action, &trap.before), 0);
	assert_int_equal(mprotect(trap.page, PAGE, PROT_READ), 0);
}

static void trap_end(void)
{
	assert_int_equal(sigaction(SIGSEGV, &trap.before, NULL), 0);
	assert_int_equal(mprotect(trap.page, PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(trap.stores, 1);
}

static void assert_dirty(struct fixture *fixture, uint64_t gpa)
{
	struct addrspace_translation translation;

	assert_int_equal(addrspace_walk(&fixture->as, gpa, &translation), 0);
	assert_true(translation.dirty);
}

static void dirty_bit_that_hardware_sets_meanwhile_survives_protect(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned permissions = 0; permissions <= ADDRSPACE_READ; permissions++) {
		map_alloc(fixture, 0, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
		trap_store(fixture, PAGE, 0);
		assert_int_equal(addrspace_protect(&fixture->as, PAGE, PAGE, permissions), 0);
		trap_end();
		assert_int_equal(addrspace_protect(&fixture->as, PAGE, PAGE, RW), 0);
		assert_dirty(fixture, PAGE);
		unmap(fixture, 0, 4 * PAGE);
	}
}

static void dirty_bit_that_hardware_sets_meanwhile_survives_a_split(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	trap_store(fixture, 5 * MIB, leaf_2m(fixture) == PAGE ? 0 : 1);
	assert_int_equal(addrspace_protect(&fixture->as, 5 * MIB, PAGE, ADDRSPACE_READ), 0);
	trap_end();
	assert_int_equal(addrspace_protect(&fixture->as, 5 * MIB, PAGE, RW), 0);
	for (uint64_t gpa = 4 * MIB; gpa < 6 * MIB; gpa += PAGE)
		assert_dirty(fixture, gpa);
}

static void dirty_bit_that_hardware_sets_meanwhile_survives_a_hole(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	trap_store(fixture, 5 * MIB, leaf_2m(fixture) == PAGE ? 0 : 1);
	unmap(fixture, 5 * MIB, PAGE);
	trap_end();
	fixture_assert_not_mapped(fixture, 5 * MIB);
	for (uint64_t gpa = 4 * MIB; gpa < 6 * MIB; gpa += PAGE)
		if (gpa != 5 * MIB)
			assert_dirty(fixture, gpa);
}

static void dirty_bit_that_hardware_sets_meanwhile_survives_a_move_nearby(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lent = fake_machine_lend(&fixture->machine, 0);

	map_linear(fixture, 4 * MIB, 2 * MIB, FIXTURE_LINEAR);
	trap_store(fixture, 5 * MIB, leaf_2m(fixture) == PAGE ? 0 : 1);
	assert_int_equal(addrspace_replace_frame(&fixture->as, 5 * MIB, lent, NULL, NULL), 0);
	trap_end();
	for (uint64_t gpa = 4 * MIB; gpa < 6 * MIB; gpa += PAGE)
		if (gpa != 5 * MIB)
			assert_dirty(fixture, gpa);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(frames_are_freed_only_after_the_invalidation_has_returned),
		LINEAR_TEST(discarded_frames_are_freed_only_after_the_invalidation_has_returned),
		LINEAR_TEST(tables_are_freed_only_after_the_invalidation_has_returned),
		LINEAR_TEST(replaced_frames_are_freed_only_after_the_invalidation_has_returned),
		LINEAR_TEST(emptied_tables_are_given_back),
		LINEAR_TEST(flush_covers_every_page_of_the_range_on_every_cpu),
		LINEAR_TEST(flush_of_large_and_small_leaves_steps_by_the_smallest),
		LINEAR_TEST(invalidation_names_guest_physical_addresses_and_every_cpu),
		LINEAR_TEST(fault_disturbs_no_other_cpu),
		LINEAR_TEST(unmap_inside_a_large_leaf_never_takes_guest_data_for_a_table),
		LINEAR_TEST(unmap_4_kib_inside_a_large_leaf_keeps_all_other_pages),
		LINEAR_TEST(protect_4_kib_inside_a_large_leaf_changes_that_page_only),
		LINEAR_TEST(part_of_a_1_gib_leaf_can_go_and_the_rest_stays),
		LINEAR_TEST(large_leaf_fits_where_small_pages_have_been),
		LINEAR_TEST(large_leaf_fits_after_a_small_map_has_failed),
		LINEAR_TEST(second_fault_on_a_page_keeps_its_frame),
		LINEAR_TEST(fault_on_a_populated_page_keeps_its_frame),
		LINEAR_TEST(lazily_allocated_frame_is_zeroed),
		LINEAR_TEST(frame_that_held_another_guests_data_is_zeroed),
		LINEAR_TEST(discarded_page_does_not_come_back_with_old_data),
		LINEAR_TEST(map_lazy_1_gib_allocates_no_table),
		LINEAR_TEST(failed_map_leaves_no_entry_no_table_and_no_frame),
		LINEAR_TEST(out_of_memory_is_reported_as_out_of_memory),
		LINEAR_TEST(init_without_memory_is_out_of_memory),
		LINEAR_TEST(ranges_that_wrap_are_refused_by_every_call),
		LINEAR_TEST(host_range_that_wraps_is_refused),
		LINEAR_TEST(remaining_is_what_is_left_after_the_address),
		LINEAR_TEST(space_one_bit_wider_than_its_root_is_refused),
		LINEAR_TEST(address_one_bit_above_the_space_does_not_alias_low_memory),
		LINEAR_TEST(host_address_beyond_the_hosts_width_is_refused),
		LINEAR_TEST(frame_beyond_the_hosts_width_is_given_back_and_refused),
		LINEAR_TEST(physical_addresses_are_never_used_as_pointers),
		LINEAR_TEST(entry_with_address_but_not_present_is_unmapped_too),
		LINEAR_TEST(region_without_permissions_is_unmapped_and_leaks_nothing),
		LINEAR_TEST(unmap_goes_on_behind_holes_and_ends),
		LINEAR_TEST(unmapping_one_of_many_regions_visits_few),
		LINEAR_TEST(no_leaf_leads_to_the_librarys_own_frames),
		LINEAR_TEST(write_without_read_is_refused_where_the_format_forbids_it),
		LINEAR_TEST(page_without_execute_permission_cannot_be_executed),
		LINEAR_TEST(root_is_one_aligned_run_as_wide_as_its_index),
		LINEAR_TEST(guest_reaches_every_quarter_of_the_root),
		LINEAR_TEST(store_while_a_leaf_is_split_keeps_its_dirty_bit),
		LINEAR_TEST(cutting_a_dirty_leaf_leaves_dirty_pieces),
		LINEAR_TEST(dirty_bit_that_hardware_sets_meanwhile_survives_protect),
		LINEAR_TEST(dirty_bit_that_hardware_sets_meanwhile_survives_a_split),
		LINEAR_TEST(dirty_bit_that_hardware_sets_meanwhile_survives_a_hole),
		LINEAR_TEST(dirty_bit_that_hardware_sets_meanwhile_survives_a_move_nearby),
	};

	return run_over_layouts("mistakes", tests, sizeof(tests) / sizeof(tests[0]));
}
