/* SPDX-License-Identifier: MIT */
/* The region set alone: no page table, and a handler that knows frames only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/frames.h"
#include "../../src/region_set.h"

#define LEAF_RECORDS 124u
#define SPACE_PAGES  (UINT64_C(1) << 36)

static uint64_t pages(uint64_t count)
{
	return count << PAGE_SHIFT;
}

/* A machine that hands out nodes. */

struct machine {
	uint64_t live;
	uint64_t charged;
	uint64_t quota; /* 0: none */
	uint64_t allocations;
	uint64_t fail_at; /* the allocation that fails, counted from 1; 0: none */
	uint64_t visits;  /* how often a node was looked up */
};

static bool machine_allocate(void *ctx, const struct addrspace_frame_request *request,
			     struct addrspace_frame *frame)
{
	struct machine *machine = ctx;
	void *node;

	assert_int_equal(request->kind, ADDRSPACE_FRAME_REGION_NODE);
	assert_int_equal(request->order, 0);
	if (++machine->allocations == machine->fail_at)
		return false;
	node = aligned_alloc(ADDRSPACE_PAGE_SIZE, ADDRSPACE_PAGE_SIZE);
	assert_non_null(node);
	memset(node, 0xa5, ADDRSPACE_PAGE_SIZE);
	frame->hpa = (uintptr_t)node;
	frame->contents = ADDRSPACE_FRAME_DIRTY;
	machine->live++;
	return true;
}

static void machine_free(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	struct machine *machine = ctx;

	assert_int_equal(request->kind, ADDRSPACE_FRAME_REGION_NODE);
	assert_true(machine->live > 0);
	machine->live--;
	memset((void *)(uintptr_t)hpa, 0x5a, ADDRSPACE_PAGE_SIZE);
	free((void *)(uintptr_t)hpa);
}

static bool machine_charge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	struct machine *machine = ctx;

	assert_int_equal(kind, ADDRSPACE_FRAME_REGION_NODE);
	if (machine->quota && machine->charged + frames > machine->quota)
		return false;
	machine->charged += frames;
	return true;
}

static void machine_uncharge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	struct machine *machine = ctx;

	assert_int_equal(kind, ADDRSPACE_FRAME_REGION_NODE);
	assert_true(machine->charged >= frames);
	machine->charged -= frames;
}

static void *machine_pointer(void *ctx, uint64_t hpa)
{
	struct machine *machine = ctx;

	machine->visits++;
	return (void *)(uintptr_t)hpa;
}

static const struct paging_handler machine_handler = {
	.allocate = machine_allocate,
	.free = machine_free,
	.physical_to_virtual = machine_pointer,
	.charge = machine_charge,
	.uncharge = machine_uncharge,
};

static struct machine machine;
static struct addrspace as;

static int setup(void **state)
{
	(void)state;
	memset(&machine, 0, sizeof(machine));
	memset(&as, 0, sizeof(as));
	as.handler = &machine_handler;
	as.handler_ctx = &machine;
	as.gpa_limit = pages(SPACE_PAGES);
	return 0;
}

static void check_set(void)
{
	uint64_t gpa = 0;
	const char *what = addrspace_region_set_verify(&as, &gpa);

	if (what)
		fail_msg("%s, at 0x%llx", what, (unsigned long long)gpa);
	assert_int_equal(machine.live, as.region_nodes);
	assert_int_equal(machine.charged, as.region_nodes);
}

static int teardown(void **state)
{
	(void)state;
	check_set();
	addrspace_region_set_clear(&as);
	check_set();
	assert_int_equal(machine.live, 0);
	assert_int_equal(as.region_count, 0);
	return 0;
}

/* Short ways to say things; positions and sizes are in pages. */

static struct addrspace_region lazy(uint64_t first, uint64_t count, uint64_t cookie)
{
	return (struct addrspace_region){
		.gpa = pages(first),
		.size = pages(count),
		.permissions = ADDRSPACE_READ | ADDRSPACE_WRITE,
		.cookie = cookie,
		.backend.kind = ADDRSPACE_ALLOC,
	};
}

static struct addrspace_region linear(uint64_t first, uint64_t count, uint64_t hpa)
{
	struct addrspace_region region = lazy(first, count, 0);

	region.backend.kind = ADDRSPACE_LINEAR;
	region.backend.u.linear.offset = region.gpa - hpa;
	return region;
}

static struct addrspace_region with_permissions(struct addrspace_region region,
						unsigned permissions)
{
	region.permissions = permissions;
	return region;
}

static bool found(uint64_t gpa)
{
	struct addrspace_region region;

	return addrspace_region_set_find(&as, gpa, &region);
}

/** Every other simple change is made at the place that its preparation has found. */
static int reserve_any(uint64_t gpa, uint64_t end, const struct addrspace_region *region,
		       struct region_reserve *reserve, struct region_place *place)
{
	static unsigned changes;
	int error = 0;

	place->kind = REGION_PLACE_NONE;
	if (++changes % 2)
		error = addrspace_region_set_reserve_at(&as, gpa, end, region, reserve, place);
	if (error || place->kind != REGION_PLACE_NONE)
		return error;
	return addrspace_region_set_reserve_replace(&as, gpa, end, region, reserve);
}

static void replace_any(uint64_t gpa, uint64_t end, const struct addrspace_region *region,
			struct region_reserve *reserve, const struct region_place *place)
{
	if (place->kind != REGION_PLACE_NONE)
		addrspace_region_set_replace_at(&as, gpa, end, region, place, reserve);
	else
		addrspace_region_set_replace(&as, gpa, end, region, reserve);
}

/** Nodes still in the reserve after the change were not needed. */
static void replace(uint64_t first, uint64_t count, const struct addrspace_region *region)
{
	uint64_t gpa = pages(first);
	uint64_t end = pages(first + count);
	struct region_reserve reserve;
	struct region_place place;

	assert_int_equal(reserve_any(gpa, end, region, &reserve, &place), 0);
	replace_any(gpa, end, region, &reserve, &place);
	assert_int_equal(reserve.count, 0);
	addrspace_region_set_release(&as, &reserve);
}

static void put(struct addrspace_region region)
{
	replace(region.gpa >> PAGE_SHIFT, region.size >> PAGE_SHIFT, &region);
}

static void take_out(uint64_t first, uint64_t count)
{
	uint64_t allocations = machine.allocations;
	struct addrspace_region region;
	bool hole = addrspace_region_set_find(&as, pages(first), &region) &&
		    region.gpa < pages(first) && region.gpa + region.size > pages(first + count);

	replace(first, count, NULL);
	if (!hole)
		assert_int_equal(machine.allocations, allocations);
}

static void edit(uint64_t first, uint64_t count, struct region_edit edit)
{
	uint64_t gpa = pages(first);
	uint64_t end = pages(first + count);
	struct region_reserve reserve;

	assert_int_equal(addrspace_region_set_reserve_edit(&as, gpa, end, edit, &reserve), 0);
	addrspace_region_set_edit(&as, gpa, end, edit, &reserve);
	addrspace_region_set_release(&as, &reserve);
}

static void protect(uint64_t first, uint64_t count, unsigned permissions)
{
	edit(first, count, addrspace_region_edit_permissions(permissions));
}

static void make_lazy(uint64_t first, uint64_t count)
{
	edit(first, count, addrspace_region_edit_lazy());
}

static void assert_same_region(const struct addrspace_region *a, const struct addrspace_region *b)
{
	assert_int_equal(a->gpa, b->gpa);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->permissions, b->permissions);
	assert_int_equal(a->memory_type, b->memory_type);
	assert_int_equal(a->cookie, b->cookie);
	assert_int_equal(a->backend.kind, b->backend.kind);
	if (a->backend.kind == ADDRSPACE_LINEAR)
		assert_int_equal(a->backend.u.linear.offset, b->backend.u.linear.offset);
	else
		assert_int_equal(a->backend.u.alloc.populate, b->backend.u.alloc.populate);
	assert_int_equal(a->largest_leaf, b->largest_leaf);
	assert_int_equal(a->fault_around, b->fault_around);
	assert_int_equal(a->small_executable, b->small_executable);
}

/** The set is exactly these regions. */
static void expect(const struct addrspace_region *regions, size_t count)
{
	struct addrspace_region region;
	uint64_t gpa = 0;

	check_set();
	assert_int_equal(as.region_count, count);
	for (size_t i = 0; i < count; i++) {
		assert_true(addrspace_region_set_next(&as, gpa, &region));
		assert_same_region(&region, &regions[i]);
		gpa = region.gpa + region.size;
	}
	assert_false(addrspace_region_set_next(&as, gpa, &region));
}

#define EXPECT(...)                                                                                \
	expect((const struct addrspace_region[]){__VA_ARGS__},                                     \
	       sizeof((const struct addrspace_region[]){__VA_ARGS__}) /                            \
		       sizeof(struct addrspace_region))

static void expect_gap(uint64_t hint, uint64_t count, uint64_t alignment, uint64_t limit,
		       uint64_t first)
{
	uint64_t gpa = 1;

	assert_true(addrspace_region_set_find_gap(&as, pages(hint), pages(count), pages(alignment),
						  pages(limit), &gpa));
	assert_int_equal(gpa, pages(first));
}

static void expect_no_gap(uint64_t hint, uint64_t count, uint64_t alignment, uint64_t limit)
{
	uint64_t gpa;

	assert_false(addrspace_region_set_find_gap(&as, pages(hint), pages(count), pages(alignment),
						   pages(limit), &gpa));
}

/** Single pages at 2 * i + 1, in ascending order: full leaves. */
static void fill_with_gaps(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		put(lazy(2 * i + 1, 1, i));
}

/** Regions of four pages that touch but differ, in ascending order: full leaves. */
static void fill_touching(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		put(lazy(4 * i, 4, i));
}

static uint64_t hash_value(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * UINT64_C(0x100000001b3) + (hash >> 29);
}

/** A number that any change of the set's contents or storage changes. */
static uint64_t fingerprint(void)
{
	struct addrspace_region region;
	uint64_t hash = hash_value(as.region_nodes, as.region_count);
	uint64_t gpa = 0;

	hash = hash_value(hash_value(hash, as.region_depth), machine.live);
	while (addrspace_region_set_next(&as, gpa, &region)) {
		hash = hash_value(hash_value(hash, region.gpa), region.size);
		hash = hash_value(hash_value(hash, region.permissions), region.cookie);
		gpa = region.gpa + region.size;
	}
	return hash;
}

/** Numbers that repeat from the seed. */
static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state * UINT64_C(0x2545f4914f6cdd1d) >> 20) % limit;
}

static void seed_random(void)
{
	const char *text = getenv("ADDRSPACE_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 1;

	print_message("ADDRSPACE_SEED=%llu\n", (unsigned long long)seed);
	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/* Find, next, overlaps, contains. */

static void empty_set_answers_no(void **state)
{
	struct region_reserve reserve;

	(void)state;
	assert_false(found(0));
	assert_false(addrspace_region_set_next(&as, 0, NULL));
	assert_false(addrspace_region_set_overlaps(&as, 0, pages(SPACE_PAGES)));
	assert_false(addrspace_region_set_contains(&as, 0, pages(1)));
	expect_gap(0, SPACE_PAGES, 1, SPACE_PAGES, 0);
	take_out(0, SPACE_PAGES);
	assert_int_equal(addrspace_region_set_reserve_edit(
				 &as, 0, pages(1), addrspace_region_edit_permissions(0), &reserve),
			 0);
	assert_int_equal(reserve.count, 0);
}

static void find_answers_from_first_to_last_byte_only(void **state)
{
	struct addrspace_region expected = lazy(10, 5, 7);
	struct addrspace_region region;

	(void)state;
	put(expected);
	assert_false(addrspace_region_set_find(&as, pages(10) - 1, &region));
	assert_true(addrspace_region_set_find(&as, pages(10), &region));
	assert_same_region(&region, &expected);
	assert_true(addrspace_region_set_find(&as, pages(15) - 1, &region));
	assert_same_region(&region, &expected);
	assert_false(addrspace_region_set_find(&as, pages(15), &region));
	assert_true(found(pages(12) + 123));
}

static void find_at_the_last_addresses_of_all_finds_nothing(void **state)
{
	(void)state;
	put(lazy(0, SPACE_PAGES, 0));
	assert_true(found(pages(SPACE_PAGES) - 1));
	assert_false(found(UINT64_MAX - 1));
	assert_false(found(UINT64_MAX));
	assert_false(addrspace_region_set_next(&as, UINT64_MAX - 1, NULL));
	assert_false(addrspace_region_set_next(&as, UINT64_MAX, NULL));
}

static void find_answers_at_every_record_of_a_full_leaf(void **state)
{
	struct addrspace_region region;

	(void)state;
	fill_with_gaps(LEAF_RECORDS);
	assert_int_equal(as.region_nodes, 1);
	for (unsigned i = 0; i < LEAF_RECORDS; i++) {
		assert_false(addrspace_region_set_find(&as, pages(2 * i), &region));
		assert_true(addrspace_region_set_find(&as, pages(2 * i + 1), &region));
		assert_int_equal(region.cookie, i);
	}
	assert_false(addrspace_region_set_find(&as, pages(2 * LEAF_RECORDS), &region));
}

static void region_comes_back_with_everything_it_was_given(void **state)
{
	struct addrspace_region a = linear(SPACE_PAGES - 5, 5, 0x123456789000);
	struct addrspace_region b = lazy(3, UINT64_C(1) << 35, UINT64_MAX);
	struct addrspace_region c = lazy(0, 3, UINT64_C(1) << 63);

	(void)state;
	a.permissions = ADDRSPACE_READ | ADDRSPACE_EXECUTE;
	a.memory_type = ADDRSPACE_WRITE_THROUGH;
	a.cookie = UINT64_C(0xfedcba9876543210);
	b.permissions = 0;
	b.memory_type = ADDRSPACE_DEVICE;
	b.backend.u.alloc.populate = true;
	b.largest_leaf = ADDRSPACE_LEAF_1G;
	b.fault_around = ADDRSPACE_MAX_FAULT_AROUND;
	b.small_executable = true;
	c.largest_leaf = ADDRSPACE_LEAF_2M;
	c.fault_around = 2;
	c.permissions = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
	c.memory_type = ADDRSPACE_NON_CACHEABLE;
	put(a);
	put(b);
	put(c);
	EXPECT(c, b, a);
}

static void largest_region_of_any_space_fits(void **state)
{
	struct addrspace_region region = lazy(0, UINT64_C(1) << 47, 0);

	(void)state;
	region.permissions = 7;
	region.memory_type = ADDRSPACE_WRITE_THROUGH;
	put(region);
	EXPECT(region);
	take_out((UINT64_C(1) << 47) - 1, 1);
	region.size -= pages(1);
	EXPECT(region);
}

static void next_gives_the_region_at_or_after_an_address(void **state)
{
	struct addrspace_region region;

	(void)state;
	put(lazy(10, 5, 1));
	put(lazy(20, 5, 2));
	assert_true(addrspace_region_set_next(&as, 0, &region));
	assert_int_equal(region.cookie, 1);
	assert_true(addrspace_region_set_next(&as, pages(15) - 1, &region));
	assert_int_equal(region.cookie, 1);
	assert_true(addrspace_region_set_next(&as, pages(15), &region));
	assert_int_equal(region.cookie, 2);
	assert_true(addrspace_region_set_next(&as, pages(25) - 1, NULL));
	assert_false(addrspace_region_set_next(&as, pages(25), &region));
}

static void next_walks_over_the_borders_of_nodes(void **state)
{
	struct addrspace_region region;
	uint64_t gpa = 0;

	(void)state;
	fill_with_gaps(1000);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(addrspace_region_set_next(&as, gpa, &region));
		assert_int_equal(region.cookie, i);
		gpa = region.gpa + region.size;
	}
	assert_false(addrspace_region_set_next(&as, gpa, &region));
}

static void overlaps_is_about_shared_bytes_only(void **state)
{
	(void)state;
	put(lazy(10, 5, 1));
	assert_false(addrspace_region_set_overlaps(&as, 0, pages(10)));
	assert_true(addrspace_region_set_overlaps(&as, 0, pages(11)));
	assert_true(addrspace_region_set_overlaps(&as, pages(12), pages(13)));
	assert_true(addrspace_region_set_overlaps(&as, pages(14), pages(99)));
	assert_true(addrspace_region_set_overlaps(&as, 0, pages(99)));
	assert_false(addrspace_region_set_overlaps(&as, pages(15), pages(99)));
}

static void contains_needs_every_byte(void **state)
{
	(void)state;
	put(lazy(10, 5, 1));
	put(lazy(15, 5, 2));
	put(lazy(21, 5, 3));
	assert_true(addrspace_region_set_contains(&as, pages(10), pages(20)));
	assert_true(addrspace_region_set_contains(&as, pages(12), pages(17)));
	assert_true(addrspace_region_set_contains(&as, pages(21), pages(26)));
	assert_false(addrspace_region_set_contains(&as, pages(9), pages(20)));
	assert_false(addrspace_region_set_contains(&as, pages(10), pages(21)));
	assert_false(addrspace_region_set_contains(&as, pages(10), pages(26)));
	assert_false(addrspace_region_set_contains(&as, pages(20), pages(21)));
	assert_false(addrspace_region_set_contains(&as, pages(21), pages(27)));
}

static void contains_sees_one_missing_page_among_many_regions(void **state)
{
	(void)state;
	fill_touching(2000);
	assert_true(addrspace_region_set_contains(&as, 0, pages(8000)));
	assert_false(addrspace_region_set_contains(&as, 0, pages(8001)));
	for (unsigned page = 3; page < 8000; page += 497) {
		struct addrspace_region region;

		assert_true(addrspace_region_set_find(&as, pages(page), &region));
		take_out(page, 1);
		assert_false(addrspace_region_set_contains(&as, 0, pages(8000)));
		assert_true(addrspace_region_set_contains(&as, 0, pages(page)));
		assert_true(addrspace_region_set_contains(&as, pages(page + 1), pages(8000)));
		put(lazy(page, 1, region.cookie));
	}
	assert_true(addrspace_region_set_contains(&as, 0, pages(8000)));
	assert_int_equal(as.region_count, 2000);
}

/* Merging. */

static void equal_region_merges_with_its_left_neighbour(void **state)
{
	(void)state;
	put(lazy(10, 5, 1));
	put(lazy(15, 5, 1));
	EXPECT(lazy(10, 10, 1));
}

static void equal_region_merges_with_its_right_neighbour(void **state)
{
	(void)state;
	put(lazy(15, 5, 1));
	put(lazy(10, 5, 1));
	EXPECT(lazy(10, 10, 1));
}

static void equal_region_closes_the_gap_between_two(void **state)
{
	(void)state;
	put(lazy(10, 5, 1));
	put(lazy(20, 5, 1));
	put(lazy(15, 5, 1));
	EXPECT(lazy(10, 15, 1));
}

static void linear_regions_merge_if_host_addresses_continue(void **state)
{
	(void)state;
	put(linear(10, 5, 0x40000000));
	put(linear(15, 5, 0x40005000));
	EXPECT(linear(10, 10, 0x40000000));
}

static void regions_with_a_page_between_do_not_merge(void **state)
{
	(void)state;
	put(lazy(10, 5, 1));
	put(lazy(16, 5, 1));
	EXPECT(lazy(10, 5, 1), lazy(16, 5, 1));
}

static void merging_needs_no_node(void **state)
{
	uint64_t allocations;

	(void)state;
	fill_with_gaps(LEAF_RECORDS);
	allocations = machine.allocations;
	put(lazy(2 * 60 + 2, 1, 60));
	put(lazy(2 * 70, 1, 70));
	assert_int_equal(machine.allocations, allocations);
	check_set();
	assert_int_equal(as.region_count, LEAF_RECORDS);
}

static void neighbours_merge_over_the_border_of_two_nodes(void **state)
{
	(void)state;
	fill_with_gaps(2 * LEAF_RECORDS);
	put(lazy(2 * LEAF_RECORDS - 1, 1, 1000));
	put(lazy(2 * LEAF_RECORDS + 1, 1, 1000));
	put(lazy(2 * LEAF_RECORDS, 1, 1000));
	check_set();
	assert_int_equal(as.region_count, 2 * LEAF_RECORDS - 1);
}

static void expect_no_merge(struct addrspace_region left, struct addrspace_region right)
{
	put(left);
	put(right);
	EXPECT(left, right);
	take_out(0, 100);
	put(right);
	put(left);
	EXPECT(left, right);
}

static void different_permissions_do_not_merge(void **state)
{
	(void)state;
	expect_no_merge(lazy(10, 5, 1), with_permissions(lazy(15, 5, 1), ADDRSPACE_READ));
}

static void different_memory_types_do_not_merge(void **state)
{
	struct addrspace_region right = lazy(15, 5, 1);

	(void)state;
	right.memory_type = ADDRSPACE_DEVICE;
	expect_no_merge(lazy(10, 5, 1), right);
}

static void different_cookies_do_not_merge(void **state)
{
	(void)state;
	expect_no_merge(lazy(10, 5, 1), lazy(15, 5, UINT64_C(1) << 63 | 1));
}

static void different_backends_do_not_merge(void **state)
{
	(void)state;
	expect_no_merge(lazy(10, 5, 0), linear(15, 5, pages(15)));
}

static void different_population_does_not_merge(void **state)
{
	struct addrspace_region right = lazy(15, 5, 1);

	(void)state;
	right.backend.u.alloc.populate = true;
	expect_no_merge(lazy(10, 5, 1), right);
}

static void different_leaf_limits_do_not_merge(void **state)
{
	struct addrspace_region right = lazy(15, 5, 1);

	(void)state;
	right.largest_leaf = ADDRSPACE_LEAF_2M;
	expect_no_merge(lazy(10, 5, 1), right);
	right.largest_leaf = ADDRSPACE_LEAF_4K;
	right.fault_around = 16;
	expect_no_merge(lazy(10, 5, 1), right);
	right.fault_around = 0;
	right.small_executable = true;
	expect_no_merge(lazy(10, 5, 1), right);
}

static void equal_leaf_limits_merge(void **state)
{
	struct addrspace_region left = lazy(10, 5, 1);
	struct addrspace_region right;

	(void)state;
	left.largest_leaf = ADDRSPACE_LEAF_1G;
	left.fault_around = 64;
	left.small_executable = true;
	right = left;
	right.gpa = pages(15);
	put(left);
	put(right);
	left.size = pages(10);
	EXPECT(left);
}

static void different_host_addresses_do_not_merge(void **state)
{
	(void)state;
	expect_no_merge(linear(10, 5, 0x40000000), linear(15, 5, 0x40000000));
}

/* Removing. */

static void removing_all_regions_frees_all_nodes(void **state)
{
	(void)state;
	fill_with_gaps(1000);
	for (unsigned i = 0; i < 1000; i++) {
		take_out(2 * i + 1, 1);
		check_set();
	}
	assert_int_equal(machine.live, 0);
	assert_int_equal(as.region_depth, 0);
}

static void clearing_frees_all_nodes(void **state)
{
	(void)state;
	fill_with_gaps(20000);
	assert_int_equal(as.region_depth, 3);
	addrspace_region_set_clear(&as);
	assert_int_equal(machine.live, 0);
	check_set();
	put(lazy(1, 1, 1));
	EXPECT(lazy(1, 1, 1));
}

static void removing_where_nothing_is_changes_nothing(void **state)
{
	(void)state;
	put(lazy(10, 5, 1));
	put(lazy(20, 5, 2));
	take_out(0, 10);
	take_out(15, 5);
	take_out(25, 100);
	EXPECT(lazy(10, 5, 1), lazy(20, 5, 2));
}

static void removing_the_head_trims_a_region(void **state)
{
	(void)state;
	put(lazy(10, 5, 1));
	take_out(8, 4);
	EXPECT(lazy(12, 3, 1));
}

static void removing_the_tail_trims_a_region(void **state)
{
	(void)state;
	put(lazy(10, 5, 1));
	take_out(12, 4);
	EXPECT(lazy(10, 2, 1));
}

static void trimming_keeps_the_offset_of_a_linear_region(void **state)
{
	(void)state;
	put(linear(10, 10, 0x40000000));
	take_out(10, 2);
	take_out(18, 2);
	EXPECT(linear(12, 6, 0x40002000));
}

static void hole_leaves_both_ends_of_a_region(void **state)
{
	(void)state;
	put(linear(10, 10, 0x40000000));
	take_out(13, 2);
	EXPECT(linear(10, 3, 0x40000000), linear(15, 5, 0x40005000));
}

static void removing_across_many_regions_trims_the_outer_two(void **state)
{
	(void)state;
	fill_touching(5000);
	take_out(6, 4 * 5000 - 6 - 9);
	EXPECT(lazy(0, 4, 0), lazy(4, 2, 1), lazy(4 * 4998 - 1, 1, 4997), lazy(4 * 4998, 4, 4998),
	       lazy(4 * 4999, 4, 4999));
	assert_int_equal(as.region_nodes, 1);
}

static void removing_whole_regions_or_their_ends_allocates_nothing(void **state)
{
	uint64_t allocations;

	(void)state;
	fill_touching(LEAF_RECORDS * LEAF_RECORDS);
	allocations = machine.allocations;
	take_out(4 * 100, 4);
	take_out(4 * 200, 1);
	take_out(4 * 300 + 3, 1);
	take_out(4 * 400 + 1, 4 * 500);
	check_set();
	assert_int_equal(machine.allocations, allocations);
}

static void removing_many_regions_looks_at_few_nodes(void **state)
{
	(void)state;
	fill_touching(50000);
	machine.visits = 0;
	take_out(5, 4 * 50000 - 10);
	/* A leaf of 124 regions at a time, and the way down to it. */
	assert_in_range(machine.visits, 1, 50000 / LEAF_RECORDS * 12);
	assert_int_equal(as.region_count, 4);
}

static void sparse_nodes_are_merged_as_regions_go(void **state)
{
	(void)state;
	fill_with_gaps(20000);
	for (unsigned i = 0; i < 20000; i++)
		if (i % 10)
			take_out(2 * i + 1, 1);
	check_set();
	assert_int_equal(as.region_count, 2000);
	assert_in_range(as.region_nodes, 1, 2000 / 40);
}

static void nodes_on_both_sides_of_a_freed_one_are_merged(void **state)
{
	(void)state;
	fill_with_gaps(5 * LEAF_RECORDS);
	assert_int_equal(as.region_nodes, 6);
	/* Too few to stand alone, but beside a full node. */
	take_out(0, 2 * (LEAF_RECORDS - 40));
	take_out(2 * (2 * LEAF_RECORDS + 40), 2 * (LEAF_RECORDS - 40));
	assert_int_equal(as.region_nodes, 6);
	take_out(2 * LEAF_RECORDS, 2 * LEAF_RECORDS);
	assert_int_equal(as.region_nodes, 4);
	assert_int_equal(as.region_count, 2 * LEAF_RECORDS + 80);
}

static void last_regions_below_a_full_root_can_go(void **state)
{
	(void)state;
	fill_with_gaps(LEAF_RECORDS * LEAF_RECORDS);
	assert_int_equal(as.region_nodes, LEAF_RECORDS + 1);
	for (unsigned i = LEAF_RECORDS * LEAF_RECORDS; i-- > LEAF_RECORDS * (LEAF_RECORDS - 2);) {
		take_out(2 * i + 1, 1);
		check_set();
	}
	assert_int_equal(as.region_nodes, LEAF_RECORDS - 1);
}

/* Replacing. */

static void replacing_the_middle_of_a_region_leaves_three(void **state)
{
	(void)state;
	put(lazy(10, 10, 1));
	put(lazy(13, 2, 2));
	EXPECT(lazy(10, 3, 1), lazy(13, 2, 2), lazy(15, 5, 1));
}

static void replacing_part_by_the_same_changes_nothing(void **state)
{
	(void)state;
	put(lazy(10, 10, 1));
	put(lazy(13, 2, 1));
	put(lazy(10, 10, 1));
	put(lazy(10, 1, 1));
	put(lazy(19, 1, 1));
	EXPECT(lazy(10, 10, 1));
}

static void replacing_over_many_regions_leaves_one(void **state)
{
	(void)state;
	fill_touching(3000);
	put(lazy(6, 4 * 3000 - 12, 77777));
	EXPECT(lazy(0, 4, 0), lazy(4, 2, 1), lazy(6, 4 * 3000 - 12, 77777),
	       lazy(4 * 2998 + 2, 2, 2998), lazy(4 * 2999, 4, 2999));
}

static void replacing_between_two_regions_moves_their_border(void **state)
{
	(void)state;
	put(lazy(10, 5, 1));
	put(lazy(15, 5, 2));
	put(lazy(13, 2, 2));
	EXPECT(lazy(10, 3, 1), lazy(13, 7, 2));
	put(lazy(13, 4, 1));
	EXPECT(lazy(10, 7, 1), lazy(17, 3, 2));
}

static void replacing_whole_regions_needs_no_node(void **state)
{
	uint64_t allocations;

	(void)state;
	fill_touching(LEAF_RECORDS * LEAF_RECORDS);
	allocations = machine.allocations;
	put(lazy(4 * 100, 4, 1000000));
	put(lazy(4 * 200 + 1, 4 * 300, 1000001));
	put(lazy(4 * 1000 + 2, 2, 1001));
	check_set();
	assert_int_equal(machine.allocations, allocations);
}

static void replacing_can_join_all_there_is(void **state)
{
	(void)state;
	put(lazy(0, 10, 1));
	for (unsigned i = 0; i < 500; i++)
		put(lazy(10 + i, 1, 100 + i));
	put(lazy(510, 10, 1));
	put(lazy(10, 500, 1));
	EXPECT(lazy(0, 520, 1));
}

/* Protecting. */

static void protecting_the_middle_leaves_three_regions(void **state)
{
	(void)state;
	put(lazy(10, 10, 1));
	protect(13, 2, ADDRSPACE_READ);
	EXPECT(lazy(10, 3, 1), with_permissions(lazy(13, 2, 1), ADDRSPACE_READ), lazy(15, 5, 1));
}

static void protecting_back_merges_again(void **state)
{
	(void)state;
	put(lazy(10, 10, 1));
	protect(13, 2, 0);
	protect(13, 2, ADDRSPACE_READ | ADDRSPACE_WRITE);
	EXPECT(lazy(10, 10, 1));
}

static void protecting_the_head_splits_once(void **state)
{
	(void)state;
	put(lazy(10, 10, 1));
	protect(10, 2, ADDRSPACE_READ);
	EXPECT(with_permissions(lazy(10, 2, 1), ADDRSPACE_READ), lazy(12, 8, 1));
}

static void protecting_the_tail_splits_once(void **state)
{
	(void)state;
	put(lazy(10, 10, 1));
	protect(18, 2, ADDRSPACE_READ);
	EXPECT(lazy(10, 8, 1), with_permissions(lazy(18, 2, 1), ADDRSPACE_READ));
}

static void protecting_page_by_page_moves_one_border(void **state)
{
	uint64_t allocations;

	(void)state;
	put(lazy(10, 10, 1));
	protect(10, 1, ADDRSPACE_READ);
	allocations = machine.allocations;
	for (unsigned i = 1; i < 9; i++) {
		protect(10 + i, 1, ADDRSPACE_READ);
		EXPECT(with_permissions(lazy(10, 1 + i, 1), ADDRSPACE_READ),
		       lazy(11 + i, 9 - i, 1));
	}
	assert_int_equal(machine.allocations, allocations);
}

static void protecting_many_regions_splits_at_the_ends_only(void **state)
{
	struct addrspace_region region;

	(void)state;
	fill_touching(1000);
	protect(2, 4 * 1000 - 4, ADDRSPACE_READ);
	check_set();
	assert_int_equal(as.region_count, 1002);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(addrspace_region_set_find(&as, pages(4 * i + (i ? 0 : 2)), &region));
		assert_int_equal(region.permissions, ADDRSPACE_READ);
		assert_int_equal(region.cookie, i);
	}
	assert_true(addrspace_region_set_find(&as, 0, &region));
	assert_int_equal(region.permissions, ADDRSPACE_READ | ADDRSPACE_WRITE);
	assert_true(addrspace_region_set_find(&as, pages(3999), &region));
	assert_int_equal(region.permissions, ADDRSPACE_READ | ADDRSPACE_WRITE);
}

static void protecting_regions_that_differ_in_permissions_leaves_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		put(with_permissions(lazy(4 * i, 4, 1), i % 2 ? ADDRSPACE_READ : 0));
	assert_int_equal(as.region_count, 1000);
	protect(0, 4000, ADDRSPACE_EXECUTE);
	EXPECT(with_permissions(lazy(0, 4000, 1), ADDRSPACE_EXECUTE));
	assert_int_equal(as.region_nodes, 1);
}

static void protecting_with_the_permissions_there_are_changes_nothing(void **state)
{
	uint64_t before;
	uint64_t allocations;

	(void)state;
	fill_touching(LEAF_RECORDS * LEAF_RECORDS);
	before = fingerprint();
	allocations = machine.allocations;
	protect(2, 4 * 1000 - 4, ADDRSPACE_READ | ADDRSPACE_WRITE);
	assert_int_equal(fingerprint(), before);
	assert_int_equal(machine.allocations, allocations);
}

static void protecting_takes_no_more_than_two_insertions_need(void **state)
{
	uint64_t allocations;

	(void)state;
	fill_touching(LEAF_RECORDS * LEAF_RECORDS);
	allocations = machine.allocations;
	protect(4 * 100 + 2, 4 * 5000, ADDRSPACE_READ);
	/* Two leaves, and the full root above, which gets a root of its own. */
	assert_int_equal(machine.allocations - allocations, 4);
	assert_int_equal(as.region_count, LEAF_RECORDS * LEAF_RECORDS + 2);
	check_set();
}

/* Making lazy. */

static struct addrspace_region populated(uint64_t first, uint64_t count, uint64_t cookie)
{
	struct addrspace_region region = lazy(first, count, cookie);

	region.backend.u.alloc.populate = true;
	return region;
}

static void making_the_middle_lazy_leaves_three_regions(void **state)
{
	(void)state;
	put(populated(10, 10, 1));
	make_lazy(13, 2);
	EXPECT(populated(10, 3, 1), lazy(13, 2, 1), populated(15, 5, 1));
}

static void making_the_rest_lazy_merges_with_it(void **state)
{
	(void)state;
	put(populated(10, 10, 1));
	make_lazy(13, 2);
	make_lazy(10, 3);
	EXPECT(lazy(10, 5, 1), populated(15, 5, 1));
	make_lazy(12, 8);
	EXPECT(lazy(10, 10, 1));
}

static void making_lazy_keeps_what_differs_apart(void **state)
{
	(void)state;
	put(populated(0, 4, 1));
	put(with_permissions(populated(4, 4, 1), 0));
	put(populated(8, 4, 2));
	put(lazy(12, 4, 2));
	make_lazy(1, 14);
	EXPECT(populated(0, 1, 1), lazy(1, 3, 1), with_permissions(lazy(4, 4, 1), 0),
	       lazy(8, 8, 2));
}

static void making_lazy_what_is_lazy_takes_nothing(void **state)
{
	uint64_t allocations;
	uint64_t before;

	(void)state;
	fill_touching(LEAF_RECORDS * LEAF_RECORDS);
	before = fingerprint();
	allocations = machine.allocations;
	make_lazy(2, 4 * 1000 - 4);
	assert_int_equal(fingerprint(), before);
	assert_int_equal(machine.allocations, allocations);
}

/* Gaps. */

static void gap_before_the_first_region_is_found(void **state)
{
	(void)state;
	put(lazy(10, 5, 1));
	expect_gap(0, 10, 1, SPACE_PAGES, 0);
	expect_gap(3, 7, 1, SPACE_PAGES, 3);
	expect_gap(3, 8, 1, SPACE_PAGES, 15);
}

static void gap_after_the_last_region_is_found(void **state)
{
	(void)state;
	put(lazy(0, 5, 1));
	expect_gap(0, 100, 1, SPACE_PAGES, 5);
	expect_gap(0, SPACE_PAGES - 5, 1, SPACE_PAGES, 5);
	expect_no_gap(0, SPACE_PAGES - 4, 1, SPACE_PAGES);
}

static void gap_that_fits_exactly_is_found(void **state)
{
	(void)state;
	put(lazy(0, 5, 1));
	put(lazy(8, 5, 1));
	expect_gap(0, 3, 1, SPACE_PAGES, 5);
	expect_gap(0, 4, 1, SPACE_PAGES, 13);
}

static void gap_starts_at_or_after_the_hint(void **state)
{
	uint64_t gpa;

	(void)state;
	put(lazy(10, 5, 1));
	put(lazy(25, 5, 1));
	expect_gap(12, 2, 1, SPACE_PAGES, 15);
	expect_gap(18, 2, 1, SPACE_PAGES, 18);
	expect_gap(24, 2, 1, SPACE_PAGES, 30);
	expect_gap(1000, 2, 1, SPACE_PAGES, 1000);
	assert_true(addrspace_region_set_find_gap(&as, pages(18) + 1, pages(2), pages(1),
						  pages(SPACE_PAGES), &gpa));
	assert_int_equal(gpa, pages(19));
}

static void gap_is_aligned(void **state)
{
	(void)state;
	put(lazy(0, 5, 1));
	put(lazy(12, 5, 1));
	put(lazy(40, 5, 1));
	expect_gap(0, 4, 8, SPACE_PAGES, 8);
	expect_gap(0, 5, 8, SPACE_PAGES, 24);
	expect_gap(0, 4, 64, SPACE_PAGES, 64);
	expect_gap(20, 1, 4, SPACE_PAGES, 20);
}

static void gap_ends_at_or_below_the_limit(void **state)
{
	(void)state;
	put(lazy(0, 5, 1));
	put(lazy(12, 5, 1));
	expect_gap(0, 7, 1, 12, 5);
	expect_no_gap(0, 7, 1, 11);
	expect_no_gap(0, 8, 1, 24);
	expect_gap(0, 8, 1, 25, 17);
	expect_no_gap(30, 1, 1, 30);
	expect_no_gap(31, 1, 1, 30);
}

static void gap_search_near_the_end_of_numbers_does_not_wrap(void **state)
{
	uint64_t gpa;

	(void)state;
	assert_false(addrspace_region_set_find_gap(&as, UINT64_MAX, pages(1), pages(1),
						   pages(SPACE_PAGES), &gpa));
	assert_false(addrspace_region_set_find_gap(&as, pages(1), UINT64_MAX - 4095, pages(1),
						   pages(SPACE_PAGES), &gpa));
	assert_false(addrspace_region_set_find_gap(&as, pages(1), pages(1), UINT64_C(1) << 63,
						   pages(SPACE_PAGES), &gpa));
}

static void full_space_has_no_gap(void **state)
{
	(void)state;
	put(lazy(0, SPACE_PAGES / 2, 1));
	put(lazy(SPACE_PAGES / 2, SPACE_PAGES / 2, 2));
	expect_no_gap(0, 1, 1, SPACE_PAGES);
}

static void gap_between_the_regions_of_two_nodes_is_found(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3 * LEAF_RECORDS; i++)
		put(lazy(2 * i + (i < LEAF_RECORDS ? 0 : 5), 1, i));
	assert_int_equal(as.region_nodes, 4);
	expect_gap(0, 6, 1, SPACE_PAGES, 2 * LEAF_RECORDS - 1);
	expect_gap(0, 7, 1, SPACE_PAGES, 6 * LEAF_RECORDS + 4);
}

static void gap_among_many_regions_is_found_in_few_steps(void **state)
{
	const unsigned count = 100000;

	(void)state;
	fill_with_gaps(count);
	take_out(2 * 77777 + 1, 1);
	check_set();
	machine.visits = 0;
	expect_gap(0, 3, 1, SPACE_PAGES, 2 * 77777);
	assert_in_range(machine.visits, 1, 4 * as.region_depth);
	machine.visits = 0;
	expect_gap(0, 4, 1, SPACE_PAGES, 2 * count);
	assert_in_range(machine.visits, 1, 4 * as.region_depth);
	machine.visits = 0;
	expect_gap(2 * 50000, 1, 1, SPACE_PAGES, 2 * 50000);
	assert_in_range(machine.visits, 1, 4 * as.region_depth);
}

/* Size. */

static void expect_compact(unsigned count)
{
	check_set();
	assert_int_equal(as.region_count, count);
	assert_in_range(as.region_nodes * ADDRSPACE_PAGE_SIZE, 1, 64 * count);
	print_message("%u regions: %.1f bytes each, depth %u\n", count,
		      (double)(as.region_nodes * ADDRSPACE_PAGE_SIZE) / count, as.region_depth);
}

static void ascending_100000_regions_take_64_bytes_each(void **state)
{
	(void)state;
	fill_with_gaps(100000);
	expect_compact(100000);
}

static void descending_100000_regions_take_64_bytes_each(void **state)
{
	(void)state;
	for (unsigned i = 100000; i--;)
		put(lazy(2 * i + 1, 1, i));
	expect_compact(100000);
}

static void ascending_below_a_top_region_100000_regions_take_64_bytes_each(void **state)
{
	(void)state;
	put(lazy(SPACE_PAGES - 1, 1, 0));
	fill_with_gaps(99999);
	expect_compact(100000);
}

static void descending_above_a_bottom_region_100000_regions_take_64_bytes_each(void **state)
{
	(void)state;
	put(lazy(0, 1, UINT64_MAX));
	for (unsigned i = 99999; i--;)
		put(lazy(2 * i + 1, 1, i));
	expect_compact(100000);
}

static void random_100000_regions_take_64_bytes_each(void **state)
{
	static unsigned order[100000];
	struct addrspace_region region;

	(void)state;
	seed_random();
	for (unsigned i = 0; i < 100000; i++)
		order[i] = i;
	for (unsigned i = 100000; i > 1; i--) {
		unsigned other = (unsigned)random_below(i);
		unsigned value = order[i - 1];

		order[i - 1] = order[other];
		order[other] = value;
	}
	for (unsigned i = 0; i < 100000; i++)
		put(lazy(2 * order[i] + 1, 1, order[i]));
	expect_compact(100000);
	for (unsigned i = 0; i < 100000; i++) {
		assert_true(addrspace_region_set_find(&as, pages(2 * order[i] + 1), &region));
		assert_int_equal(region.cookie, order[i]);
		take_out(2 * order[i] + 1, 1);
	}
	assert_int_equal(machine.live, 0);
}

static void find_looks_at_one_node_a_level(void **state)
{
	(void)state;
	fill_with_gaps(100000);
	machine.visits = 0;
	assert_true(found(pages(2 * 55555 + 1)));
	assert_int_equal(as.region_depth, 3);
	assert_int_equal(machine.visits, 3);
}

/* Failure. */

/** Reserves with each allocation failing in turn, then makes the change; returns how many it took.
 */
static uint64_t fail_each_allocation(uint64_t first, uint64_t count,
				     const struct addrspace_region *region)
{
	uint64_t before = fingerprint();
	uint64_t n = 0;
	struct region_reserve reserve;
	struct region_place place;
	int error;

	do {
		machine.allocations = 0;
		machine.fail_at = ++n;
		error = reserve_any(pages(first), pages(first + count), region, &reserve, &place);
		if (error) {
			assert_int_equal(error, ADDRSPACE_ENOMEM);
			assert_int_equal(fingerprint(), before);
			check_set();
		}
	} while (error);
	replace_any(pages(first), pages(first + count), region, &reserve, &place);
	addrspace_region_set_release(&as, &reserve);
	check_set();
	assert_int_not_equal(fingerprint(), before);
	return n - 1;
}

static void failed_first_insertion_leaves_the_set_empty(void **state)
{
	struct addrspace_region region = lazy(1, 1, 1);

	(void)state;
	assert_int_equal(fail_each_allocation(1, 1, &region), 1);
}

static void failed_insertion_leaves_the_set_as_it_was(void **state)
{
	struct addrspace_region region = lazy(2 * 5000, 1, UINT64_MAX);

	(void)state;
	fill_with_gaps(LEAF_RECORDS * LEAF_RECORDS);
	assert_int_equal(fail_each_allocation(2 * 5000, 1, &region), 3);
}

static void failed_hole_leaves_the_set_as_it_was(void **state)
{
	(void)state;
	fill_touching(LEAF_RECORDS * LEAF_RECORDS);
	assert_int_equal(fail_each_allocation(4 * 5000 + 1, 2, NULL), 3);
	assert_int_equal(as.region_count, LEAF_RECORDS * LEAF_RECORDS + 1);
}

static void failed_replacement_inside_a_region_leaves_the_set_as_it_was(void **state)
{
	struct addrspace_region region = lazy(4 * 5000 + 1, 2, UINT64_MAX);

	(void)state;
	fill_touching(LEAF_RECORDS * LEAF_RECORDS);
	assert_int_equal(fail_each_allocation(4 * 5000 + 1, 2, &region), 3);
	assert_int_equal(as.region_count, LEAF_RECORDS * LEAF_RECORDS + 2);
}

static void replacement_inside_a_region_of_an_almost_full_leaf_splits_it_once(void **state)
{
	struct addrspace_region region = lazy(4 * 60 + 1, 2, UINT64_MAX);

	(void)state;
	fill_touching(LEAF_RECORDS - 1);
	assert_int_equal(fail_each_allocation(4 * 60 + 1, 2, &region), 2);
	assert_int_equal(as.region_nodes, 3);
}

static void failed_protection_leaves_the_set_as_it_was(void **state)
{
	uint64_t gpa = pages(4 * 1000 + 1);
	uint64_t end = pages(4 * 9000 + 3);
	uint64_t n = 0;
	uint64_t before;
	struct region_reserve reserve;
	int error;

	(void)state;
	fill_touching(LEAF_RECORDS * LEAF_RECORDS);
	before = fingerprint();
	do {
		machine.allocations = 0;
		machine.fail_at = ++n;
		error = addrspace_region_set_reserve_edit(
			&as, gpa, end, addrspace_region_edit_permissions(0), &reserve);
		if (error) {
			assert_int_equal(error, ADDRSPACE_ENOMEM);
			assert_int_equal(fingerprint(), before);
		}
	} while (error);
	addrspace_region_set_edit(&as, gpa, end, addrspace_region_edit_permissions(0), &reserve);
	addrspace_region_set_release(&as, &reserve);
	assert_int_equal(n, 5);
	assert_int_equal(as.region_count, LEAF_RECORDS * LEAF_RECORDS + 2);
}

static void protection_inside_a_region_reserves_for_two_insertions(void **state)
{
	struct region_reserve reserve;
	uint64_t gpa = pages(4 * 60 + 1);

	(void)state;
	fill_touching(LEAF_RECORDS - 1);
	assert_int_equal(addrspace_region_set_reserve_edit(&as, gpa, gpa + pages(2),
							   addrspace_region_edit_permissions(0),
							   &reserve),
			 0);
	assert_int_equal(reserve.count, 2);
	addrspace_region_set_edit(&as, gpa, gpa + pages(2), addrspace_region_edit_permissions(0),
				  &reserve);
	addrspace_region_set_release(&as, &reserve);
	assert_int_equal(as.region_count, LEAF_RECORDS + 1);
}

/** The part at both ends of the range is one and the same. */
static void edit_inside_a_region_of_a_node_with_room_for_two_reserves_nothing(void **state)
{
	uint64_t allocations;

	(void)state;
	fill_touching(LEAF_RECORDS - 2);
	allocations = machine.allocations;
	protect(4 * 60 + 1, 2, 0);
	assert_int_equal(machine.allocations, allocations);
	assert_int_equal(as.region_count, LEAF_RECORDS);
}

static void refused_quota_leaves_the_set_as_it_was(void **state)
{
	struct addrspace_region region = lazy(2 * 5000, 1, UINT64_MAX);
	struct region_reserve reserve;
	uint64_t before;

	(void)state;
	fill_with_gaps(LEAF_RECORDS * LEAF_RECORDS);
	before = fingerprint();
	machine.quota = machine.charged + 2;
	assert_int_equal(addrspace_region_set_reserve_replace(
				 &as, region.gpa, region.gpa + region.size, &region, &reserve),
			 ADDRSPACE_EDQUOT);
	assert_int_equal(reserve.count, 0);
	assert_int_equal(fingerprint(), before);
	check_set();
	machine.quota++;
	put(region);
	assert_int_equal(as.region_count, LEAF_RECORDS * LEAF_RECORDS + 1);
}

static void unusable_node_is_given_back(void **state)
{
	struct addrspace_region region = lazy(1, 1, 1);
	struct region_reserve reserve;

	(void)state;
	as.frame_forbidden = UINT64_MAX;
	assert_int_equal(addrspace_region_set_reserve_replace(
				 &as, region.gpa, region.gpa + region.size, &region, &reserve),
			 ADDRSPACE_EFAULT);
	assert_int_equal(reserve.count, 0);
	assert_int_equal(machine.allocations, 1);
	check_set();
}

static void reserve_that_is_not_used_is_given_back(void **state)
{
	struct addrspace_region region = lazy(2 * 5000, 1, UINT64_MAX);
	struct region_reserve reserve;
	uint64_t before;

	(void)state;
	fill_with_gaps(LEAF_RECORDS * LEAF_RECORDS);
	before = fingerprint();
	assert_int_equal(addrspace_region_set_reserve_replace(
				 &as, pages(2 * 5000), pages(2 * 5000 + 1), &region, &reserve),
			 0);
	assert_int_equal(reserve.count, 3);
	addrspace_region_set_release(&as, &reserve);
	assert_int_equal(reserve.count, 0);
	assert_int_equal(fingerprint(), before);
}

/* Verify sees what is broken. */

static void expect_defect_at_word(unsigned word, uint64_t bits)
{
	uint64_t *node = machine_pointer(&machine, as.region_root);
	uint64_t gpa;

	check_set();
	node[word] ^= bits;
	assert_non_null(addrspace_region_set_verify(&as, &gpa));
	node[word] ^= bits;
	check_set();
}

static void verify_sees_a_damaged_leaf(void **state)
{
	(void)state;
	fill_touching(20);
	expect_defect_at_word(0, 1);                              /* count */
	expect_defect_at_word(1, UINT64_C(1) << PAGE_SHIFT);      /* sample */
	expect_defect_at_word(16 + 4 * 3, UINT64_C(1));           /* start not aligned */
	expect_defect_at_word(16 + 4 * 3, UINT64_C(1) << 40);     /* start out of order */
	expect_defect_at_word(16 + 4 * 3 + 1, UINT64_C(8) << 16); /* overlap */
	expect_defect_at_word(16 + 4 * 3 + 1, UINT64_C(4) << 16); /* empty */
	expect_defect_at_word(16 + 4 * 3 + 1, UINT64_C(1) << 63); /* beyond any space */
	expect_defect_at_word(16 + 4 * 3 + 2, 3 ^ 2);             /* mergeable */
	expect_defect_at_word(16 + 4 * 20, UINT64_C(1) << 40);    /* padding */
	as.region_count++;
	assert_non_null(addrspace_region_set_verify(&as, &(uint64_t){0}));
	as.region_count--;
	as.region_nodes++;
	assert_non_null(addrspace_region_set_verify(&as, &(uint64_t){0}));
	as.region_nodes--;
}

static void verify_sees_a_damaged_inner_node(void **state)
{
	(void)state;
	fill_with_gaps(5 * LEAF_RECORDS);
	expect_defect_at_word(16 + 4 * 3, UINT64_C(1) << PAGE_SHIFT);     /* start */
	expect_defect_at_word(16 + 4 * 3 + 1, UINT64_C(1) << PAGE_SHIFT); /* end */
	expect_defect_at_word(16 + 4 * 3 + 2, UINT64_C(2) << PAGE_SHIFT); /* largest gap */
}

/* Random operations against a flat model: what each page is. */

#define MODEL_PAGES 32768u

/* 0: nothing; else 1 + 8 * template + permissions. */
static uint8_t model[MODEL_PAGES];

#define MODEL_POPULATED 4 /* template 0 with its frames there */

static struct addrspace_region model_region(uint64_t first, uint64_t count, uint8_t value)
{
	unsigned template = (value - 1u) / 8;
	struct addrspace_region region;

	region = template & 1 ? linear(first, count, pages(first) + template * UINT64_C(0x100000))
			      : lazy(first, count, template == MODEL_POPULATED ? 0 : template / 2);
	if (template == MODEL_POPULATED)
		region.backend.u.alloc.populate = true;
	if (template == 6)
		region.memory_type = ADDRSPACE_NON_CACHEABLE;
	region.permissions = (value - 1u) % 8;
	return region;
}

static void compare_with_model(void)
{
	struct addrspace_region region;
	struct addrspace_region expected;
	uint64_t gpa = 0;
	unsigned first = 0;

	while (first < MODEL_PAGES) {
		unsigned end = first + 1;

		while (end < MODEL_PAGES && model[end] == model[first])
			end++;
		if (model[first]) {
			expected = model_region(first, end - first, model[first]);
			assert_true(addrspace_region_set_next(&as, gpa, &region));
			assert_same_region(&region, &expected);
			gpa = region.gpa + region.size;
		}
		first = end;
	}
	assert_false(addrspace_region_set_next(&as, gpa, &region));
}

static void compare_gap_with_model(void)
{
	unsigned hint = (unsigned)random_below(MODEL_PAGES);
	unsigned count = 1 + (unsigned)random_below(12);
	unsigned alignment = 1u << random_below(5);
	unsigned limit = hint + (unsigned)random_below(MODEL_PAGES - hint);
	unsigned first = (hint + alignment - 1) / alignment * alignment;

	for (; first + count <= limit; first += alignment) {
		unsigned free = 0;

		while (free < count && !model[first + free])
			free++;
		if (free == count) {
			expect_gap(hint, count, alignment, limit, first);
			return;
		}
	}
	expect_no_gap(hint, count, alignment, limit);
}

static void compare_range_with_model(unsigned first, unsigned count)
{
	unsigned used = 0;
	struct addrspace_region region;

	for (unsigned i = first; i < first + count; i++)
		used += model[i] != 0;
	assert_int_equal(addrspace_region_set_overlaps(&as, pages(first), pages(first + count)),
			 used != 0);
	assert_int_equal(addrspace_region_set_contains(&as, pages(first), pages(first + count)),
			 used == count);
	assert_int_equal(addrspace_region_set_find(&as, pages(first) + 5, &region),
			 model[first] != 0);
}

/** Some reservations fail; none of them may show. */
static bool refuse_sometimes(uint64_t gpa, uint64_t end, const struct addrspace_region *region)
{
	struct region_reserve reserve;
	struct region_place place;
	uint64_t live = machine.live;
	int error;

	machine.fail_at = machine.allocations + 1 + random_below(3);
	error = reserve_any(gpa, end, region, &reserve, &place);
	machine.fail_at = 0;
	if (!error)
		addrspace_region_set_release(&as, &reserve);
	assert_int_equal(machine.live, live);
	return error != 0;
}

static unsigned random_count(unsigned first)
{
	unsigned limit = random_below(50) ? 8 : random_below(20) ? 200 : 8000;
	unsigned count = 1 + (unsigned)random_below(limit);

	return count < MODEL_PAGES - first ? count : MODEL_PAGES - first;
}

static void random_edit(unsigned first, unsigned count, unsigned permissions)
{
	bool protects = random_below(2);

	if (protects)
		protect(first, count, permissions);
	else
		make_lazy(first, count);
	for (unsigned i = first; i < first + count; i++) {
		unsigned template = (model[i] - 1u) / 8;

		if (protects)
			model[i] = (uint8_t)(1 + template * 8 + permissions);
		else if (template == MODEL_POPULATED)
			model[i] = (uint8_t)(1 + (model[i] - 1u) % 8);
	}
}

/** One random operation; removals get likelier as removal goes from 0 to 9. */
static void random_operation(unsigned removal)
{
	unsigned first = (unsigned)random_below(MODEL_PAGES);
	unsigned count = random_count(first);
	uint8_t value = (uint8_t)(1 + random_below(64));
	struct addrspace_region region = model_region(first, count, value);

	if (random_below(10) < removal) {
		take_out(first, count);
		memset(&model[first], 0, count);
	} else if (random_below(2)) {
		if (!random_below(8))
			refuse_sometimes(pages(first), pages(first + count), &region);
		put(region);
		memset(&model[first], value, count);
	} else {
		while (count && !model[first + count - 1])
			count--;
		for (unsigned i = count; i--;)
			if (!model[first + i]) {
				first += i + 1;
				count -= i + 1;
				break;
			}
		if (!count)
			return;
		random_edit(first, count, region.permissions);
	}
	compare_range_with_model(first, count);
}

static void random_operations_match_a_flat_model(void **state)
{
	uint64_t most = 0;

	(void)state;
	seed_random();
	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < MODEL_PAGES; i += 2) {
		uint8_t value = (uint8_t)(1 + random_below(64));

		put(model_region(i, 1, value));
		model[i] = value;
	}
	for (unsigned i = 0; i < 12000; i++) {
		random_operation(i / 1500 % 2 ? 8 : 3);
		check_set();
		compare_gap_with_model();
		if (i % 64 == 0)
			compare_with_model();
		if (as.region_count > most)
			most = as.region_count;
	}
	compare_with_model();
	assert_true(most > LEAF_RECORDS * LEAF_RECORDS);
	take_out(0, MODEL_PAGES);
	assert_int_equal(machine.live, 0);
}

static void random_operations_at_the_turn_of_a_full_tree_match_a_flat_model(void **state)
{
	(void)state;
	seed_random();
	memset(model, 0, sizeof(model));
	/* Full leaves below a full root: every insertion splits up to a new root. */
	for (unsigned i = 0; i < LEAF_RECORDS * LEAF_RECORDS; i++) {
		model[2 * i] = 1 + 8;
		put(model_region(2 * i, 1, 1 + 8));
	}
	for (unsigned i = 0; i < 3000; i++) {
		unsigned first = (unsigned)random_below(MODEL_PAGES - 3);
		unsigned count = 1 + (unsigned)random_below(3);
		uint8_t value = (uint8_t)(1 + random_below(64));

		if (i % 100 < 50) {
			take_out(first, count);
			memset(&model[first], 0, count);
		} else {
			put(model_region(first, count, value));
			memset(&model[first], value, count);
		}
		check_set();
	}
	compare_with_model();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(empty_set_answers_no),
		TEST(find_answers_from_first_to_last_byte_only),
		TEST(find_at_the_last_addresses_of_all_finds_nothing),
		TEST(find_answers_at_every_record_of_a_full_leaf),
		TEST(region_comes_back_with_everything_it_was_given),
		TEST(largest_region_of_any_space_fits),
		TEST(next_gives_the_region_at_or_after_an_address),
		TEST(next_walks_over_the_borders_of_nodes),
		TEST(overlaps_is_about_shared_bytes_only),
		TEST(contains_needs_every_byte),
		TEST(contains_sees_one_missing_page_among_many_regions),
		TEST(equal_region_merges_with_its_left_neighbour),
		TEST(equal_region_merges_with_its_right_neighbour),
		TEST(equal_region_closes_the_gap_between_two),
		TEST(linear_regions_merge_if_host_addresses_continue),
		TEST(regions_with_a_page_between_do_not_merge),
		TEST(merging_needs_no_node),
		TEST(neighbours_merge_over_the_border_of_two_nodes),
		TEST(different_permissions_do_not_merge),
		TEST(different_memory_types_do_not_merge),
		TEST(different_cookies_do_not_merge),
		TEST(different_backends_do_not_merge),
		TEST(different_population_does_not_merge),
		TEST(different_leaf_limits_do_not_merge),
		TEST(equal_leaf_limits_merge),
		TEST(different_host_addresses_do_not_merge),
		TEST(removing_all_regions_frees_all_nodes),
		TEST(clearing_frees_all_nodes),
		TEST(removing_where_nothing_is_changes_nothing),
		TEST(removing_the_head_trims_a_region),
		TEST(removing_the_tail_trims_a_region),
		TEST(trimming_keeps_the_offset_of_a_linear_region),
		TEST(hole_leaves_both_ends_of_a_region),
		TEST(removing_across_many_regions_trims_the_outer_two),
		TEST(removing_whole_regions_or_their_ends_allocates_nothing),
		TEST(removing_many_regions_looks_at_few_nodes),
		TEST(sparse_nodes_are_merged_as_regions_go),
		TEST(nodes_on_both_sides_of_a_freed_one_are_merged),
		TEST(last_regions_below_a_full_root_can_go),
		TEST(replacing_the_middle_of_a_region_leaves_three),
		TEST(replacing_part_by_the_same_changes_nothing),
		TEST(replacing_over_many_regions_leaves_one),
		TEST(replacing_between_two_regions_moves_their_border),
		TEST(replacing_whole_regions_needs_no_node),
		TEST(replacing_can_join_all_there_is),
		TEST(protecting_the_middle_leaves_three_regions),
		TEST(protecting_back_merges_again),
		TEST(protecting_the_head_splits_once),
		TEST(protecting_the_tail_splits_once),
		TEST(protecting_page_by_page_moves_one_border),
		TEST(protecting_many_regions_splits_at_the_ends_only),
		TEST(protecting_regions_that_differ_in_permissions_leaves_one),
		TEST(protecting_with_the_permissions_there_are_changes_nothing),
		TEST(protecting_takes_no_more_than_two_insertions_need),
		TEST(making_the_middle_lazy_leaves_three_regions),
		TEST(making_the_rest_lazy_merges_with_it),
		TEST(making_lazy_keeps_what_differs_apart),
		TEST(making_lazy_what_is_lazy_takes_nothing),
		TEST(gap_before_the_first_region_is_found),
		TEST(gap_after_the_last_region_is_found),
		TEST(gap_that_fits_exactly_is_found),
		TEST(gap_starts_at_or_after_the_hint),
		TEST(gap_is_aligned),
		TEST(gap_ends_at_or_below_the_limit),
		TEST(gap_search_near_the_end_of_numbers_does_not_wrap),
		TEST(full_space_has_no_gap),
		TEST(gap_between_the_regions_of_two_nodes_is_found),
		TEST(gap_among_many_regions_is_found_in_few_steps),
		TEST(ascending_100000_regions_take_64_bytes_each),
		TEST(descending_100000_regions_take_64_bytes_each),
		TEST(ascending_below_a_top_region_100000_regions_take_64_bytes_each),
		TEST(descending_above_a_bottom_region_100000_regions_take_64_bytes_each),
		TEST(random_100000_regions_take_64_bytes_each),
		TEST(find_looks_at_one_node_a_level),
		TEST(failed_first_insertion_leaves_the_set_empty),
		TEST(failed_insertion_leaves_the_set_as_it_was),
		TEST(failed_hole_leaves_the_set_as_it_was),
		TEST(failed_replacement_inside_a_region_leaves_the_set_as_it_was),
		TEST(replacement_inside_a_region_of_an_almost_full_leaf_splits_it_once),
		TEST(failed_protection_leaves_the_set_as_it_was),
		TEST(protection_inside_a_region_reserves_for_two_insertions),
		TEST(edit_inside_a_region_of_a_node_with_room_for_two_reserves_nothing),
		TEST(refused_quota_leaves_the_set_as_it_was),
		TEST(unusable_node_is_given_back),
		TEST(reserve_that_is_not_used_is_given_back),
		TEST(verify_sees_a_damaged_leaf),
		TEST(verify_sees_a_damaged_inner_node),
		TEST(random_operations_match_a_flat_model),
		TEST(random_operations_at_the_turn_of_a_full_tree_match_a_flat_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
