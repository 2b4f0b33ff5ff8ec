/* SPDX-License-Identifier: MIT */
/*
 * Counts instructions: each public call on its way most travelled, for each format. Runs under
 * valgrind's callgrind, which writes down what it is told to collect; by itself it counts nothing. The
 * handler's hooks are part of the count, and so is the loop around the calls.
 */
#include "bench.h"

#include <stdio.h>

#include <addrspace/access.h>
#include <addrspace/job.h>

#include <valgrind/callgrind.h>

#define ARENA_SIZE (160 * MIB)
#define PAGES      8192u
#define SIZE       (PAGES * PAGE)
#define LEAVES     4096u /* of 2 MiB */
#define LARGE_SIZE (LEAVES * 2 * MIB)
#define CALLS      4096u
#define LAZY_GPA   (64 * TIB)
#define LAZY_SIZE  (64 * TIB)
/* Host memory that nobody reads. Larger leaves do not fit its alignment. */
#define HPA_PAGES (UINT64_C(1) << 36 | PAGE)
#define HPA_LARGE (UINT64_C(1) << 36 | 2 * MIB)

struct operation {
	const char *name;
	unsigned variant;
	struct side side;
};

/* ---- what may stand there ---- */

static void linear_pages(struct bench *bench)
{
	bench_require(!addrspace_map_linear(&bench->space.as, 0, SIZE, HPA_PAGES, &bench_rwx, 0));
}

static void linear_leaves(struct bench *bench)
{
	bench_require(
		!addrspace_map_linear(&bench->space.as, 0, LARGE_SIZE, HPA_LARGE, &bench_rwx, 0));
}

static void populated(struct bench *bench)
{
	bench_require(!addrspace_map_alloc(&bench->space.as, 0, SIZE, &bench_rwx,
					   ADDRSPACE_MAP_POPULATE));
}

static void lazy(struct bench *bench)
{
	bench_shuffle(bench, PAGES);
	bench_require(!addrspace_map_alloc(&bench->space.as, 0, SIZE, &bench_rwx, 0));
}

static void lazy_read_only(struct bench *bench)
{
	bench_shuffle(bench, PAGES);
	bench_require(!addrspace_map_alloc(&bench->space.as, 0, SIZE, &bench_ro, 0));
}

static void untouched(struct bench *bench)
{
	bench_require(!addrspace_map_alloc(&bench->space.as, LAZY_GPA, LAZY_SIZE, &bench_rwx, 0));
}

static void shuffled_pages(struct bench *bench)
{
	bench_shuffle(bench, PAGES);
	linear_pages(bench);
}

static void shuffled_leaves(struct bench *bench)
{
	bench_shuffle(bench, LEAVES);
	linear_leaves(bench);
}

static void regions(struct bench *bench)
{
	bench_shuffle(bench, CALLS);
	for (uint64_t i = 0; i < CALLS; i++)
		bench_require(!addrspace_map_alloc(
			&bench->space.as, bench_region_gpa(bench->order[i]), PAGE, &bench_rwx, 0));
}

/** In memory that is not there: mapped, protected and cut all the same. */
static void clear(struct bench *bench)
{
	addrspace_clear(&bench->space.as);
}

/* ---- whole ranges ---- */

static uint64_t map_pages(struct bench *bench)
{
	linear_pages(bench);
	return PAGES;
}

static uint64_t map_leaves(struct bench *bench)
{
	linear_leaves(bench);
	return LEAVES;
}

static uint64_t replace_pages(struct bench *bench)
{
	bench_require(!addrspace_map_linear(&bench->space.as, 0, SIZE, HPA_PAGES + GIB, &bench_rwx,
					    ADDRSPACE_MAP_REPLACE));
	return PAGES;
}

static uint64_t unmap_pages(struct bench *bench)
{
	bench_require(!addrspace_unmap(&bench->space.as, 0, SIZE));
	return PAGES;
}

static uint64_t unmap_leaves(struct bench *bench)
{
	bench_require(!addrspace_unmap(&bench->space.as, 0, LARGE_SIZE));
	return LEAVES;
}

static uint64_t protect_pages(struct bench *bench)
{
	bench_require(!addrspace_protect(&bench->space.as, 0, SIZE, ADDRSPACE_READ));
	return PAGES;
}

static uint64_t protect_leaves(struct bench *bench)
{
	bench_require(!addrspace_protect(&bench->space.as, 0, LARGE_SIZE, ADDRSPACE_READ));
	return LEAVES;
}

static uint64_t populate(struct bench *bench)
{
	populated(bench);
	return PAGES;
}

static uint64_t discard(struct bench *bench)
{
	bench_require(!addrspace_discard(&bench->space.as, 0, SIZE));
	return PAGES;
}

static uint64_t unmap_in_steps(struct bench *bench)
{
	struct addrspace_job job;

	bench_require(!addrspace_unmap_begin(&bench->space.as, &job, 0, SIZE));
	while (addrspace_job_step(&job, 512))
		;
	return PAGES;
}

static uint64_t populate_in_steps(struct bench *bench)
{
	struct addrspace_job job;

	bench_require(!addrspace_populate_begin(&bench->space.as, &job, 0, SIZE, &bench_rwx));
	while (addrspace_job_step(&job, 512) > 0)
		;
	return PAGES;
}

/** What a job costs beside its work: beginning, and one step that ends it. */
static uint64_t unmap_page_as_job(struct bench *bench)
{
	struct addrspace_job job;

	for (uint64_t i = 0; i < CALLS; i++) {
		bench_require(!addrspace_unmap_begin(&bench->space.as, &job, i * PAGE, PAGE));
		bench_require(!addrspace_job_step(&job, 512));
	}
	return CALLS;
}

static uint64_t map_lazy(struct bench *bench)
{
	untouched(bench);
	return 1;
}

static uint64_t unmap_lazy(struct bench *bench)
{
	bench_require(!addrspace_unmap(&bench->space.as, LAZY_GPA, LAZY_SIZE));
	return 1;
}

static uint64_t statistics(struct bench *bench)
{
	struct addrspace_statistics result;

	bench_require(!addrspace_statistics(&bench->space.as, &result));
	bench_require(result.leaves_4k == PAGES);
	return PAGES;
}

static uint64_t verify(struct bench *bench)
{
	bench_require(!addrspace_verify(&bench->space.as, NULL));
	return PAGES;
}

/* ---- one address at a time ---- */

static inline uint64_t fault_all(struct bench *bench, unsigned access, int outcome)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		wrong += addrspace_handle_fault(&bench->space.as, bench->order[i] * PAGE, access,
						NULL) != outcome;
	bench_require(!wrong);
	return PAGES;
}

static uint64_t fault_first(struct bench *bench)
{
	return fault_all(bench, ADDRSPACE_READ, ADDRSPACE_FAULT_RESOLVED);
}

static uint64_t fault_again(struct bench *bench)
{
	return fault_all(bench, ADDRSPACE_READ, ADDRSPACE_FAULT_ALREADY_RESOLVED);
}

static uint64_t fault_denied(struct bench *bench)
{
	return fault_all(bench, ADDRSPACE_WRITE, ADDRSPACE_FAULT_DENIED);
}

static uint64_t fault_not_backed(struct bench *bench)
{
	return fault_all(bench, ADDRSPACE_READ, ADDRSPACE_FAULT_NOT_BACKED);
}

static void trap(struct bench *bench)
{
	bench_shuffle(bench, PAGES);
	bench_require(!addrspace_map_trap(&bench->space.as, 0, SIZE, &bench_rwx, 0));
}

static uint64_t fault_trap(struct bench *bench)
{
	struct addrspace_region region;
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		wrong += addrspace_handle_fault(&bench->space.as, bench->order[i] * PAGE,
						ADDRSPACE_READ, &region) != ADDRSPACE_FAULT_EMULATE;
	bench_require(!wrong);
	return PAGES;
}

static void faulted(struct bench *bench)
{
	lazy(bench);
	fault_first(bench);
}

static void order_only(struct bench *bench)
{
	bench_shuffle(bench, PAGES);
}

static inline uint64_t translate_all(struct bench *bench, uint64_t count, uint64_t scale,
				     int (*call)(struct addrspace *, uint64_t,
						 struct addrspace_translation *))
{
	struct addrspace_translation translation;
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < count; i++)
		wrong += call(&bench->space.as, bench->order[i] * scale, &translation) != 0;
	bench_require(!wrong);
	return count;
}

static uint64_t walk_pages(struct bench *bench)
{
	return translate_all(bench, PAGES, PAGE, addrspace_walk);
}

static uint64_t walk_leaves(struct bench *bench)
{
	return translate_all(bench, LEAVES, 2 * MIB, addrspace_walk);
}

static uint64_t translate_pages(struct bench *bench)
{
	return translate_all(bench, PAGES, PAGE, addrspace_translate);
}

static uint64_t move_pages(struct bench *bench)
{
	const struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST};

	for (uint64_t i = 0; i < PAGES; i++) {
		struct addrspace_frame frame;

		bench_require(bench->handler.allocate(&bench->space, &request, &frame));
		bench_require(!addrspace_replace_frame(&bench->space.as, bench->order[i] * PAGE,
						       frame.hpa, NULL, NULL));
	}
	return PAGES;
}

/* ---- parts of leaves and regions ---- */

static uint64_t punch_holes(struct bench *bench)
{
	for (uint64_t i = 0; i < LEAVES; i++)
		bench_require(!addrspace_unmap(&bench->space.as, (2 * i * MIB) + 77 * PAGE, PAGE));
	return LEAVES;
}

static uint64_t protect_parts(struct bench *bench)
{
	for (uint64_t i = 0; i < LEAVES; i++)
		bench_require(!addrspace_protect(&bench->space.as, (2 * i * MIB) + 77 * PAGE, PAGE,
						 ADDRSPACE_READ));
	return LEAVES;
}

static void split_leaves(struct bench *bench)
{
	linear_leaves(bench);
	for (uint64_t i = 0; i < LEAVES; i++) {
		uint64_t gpa = (2 * i * MIB) + 77 * PAGE;

		bench_require(!addrspace_protect(&bench->space.as, gpa, PAGE, ADDRSPACE_READ));
		bench_require(
			!addrspace_protect(&bench->space.as, gpa, PAGE, bench_rwx.permissions));
	}
}

static uint64_t collapse(struct bench *bench)
{
	uint64_t collapsed;

	bench_require(!addrspace_collapse(&bench->space.as, 0, LARGE_SIZE, &collapsed));
	bench_require(collapsed == LARGE_SIZE);
	return LEAVES;
}

static uint64_t insert(struct bench *bench)
{
	for (uint64_t i = 0; i < CALLS; i++)
		bench_require(!addrspace_map_alloc(
			&bench->space.as, bench_region_gpa(bench->order[i]), PAGE, &bench_rwx, 0));
	return CALLS;
}

static uint64_t take_out(struct bench *bench)
{
	for (uint64_t i = 0; i < CALLS; i++)
		bench_require(!addrspace_unmap(&bench->space.as, bench_region_gpa(bench->order[i]),
					       PAGE));
	return CALLS;
}

static uint64_t find_regions(struct bench *bench)
{
	struct addrspace_region region;

	for (uint64_t i = 0; i < CALLS; i++)
		bench_require(!addrspace_find_region(&bench->space.as,
						     bench_region_gpa(bench->order[i]), &region));
	return CALLS;
}

static uint64_t each_region(struct bench *bench)
{
	struct addrspace_region region = {0};
	uint64_t count = 0;

	while (!addrspace_next_region(&bench->space.as, region.gpa + region.size, &region))
		count++;
	bench_require(count == CALLS);
	return CALLS;
}

static uint64_t each_run(struct bench *bench)
{
	struct addrspace_run found = {0};
	uint64_t count = 0;

	while (!addrspace_next_run(&bench->space.as, found.gpa + found.size, &found))
		count++;
	bench_require(count == LEAVES / 8);
	return LEAVES / 8;
}

/** Every eighth leaf, so that none continues another. */
static void leaves_apart(struct bench *bench)
{
	for (uint64_t i = 0; i < LEAVES; i += 8)
		bench_require(!addrspace_map_linear(&bench->space.as, i * 2 * MIB, 2 * MIB,
						    HPA_LARGE, &bench_rwx, 0));
}

static uint64_t find_gaps(struct bench *bench)
{
	uint64_t gpa;

	for (uint64_t i = 0; i < CALLS; i++)
		bench_require(!addrspace_find_gap(
			&bench->space.as, bench_region_gpa(bench->order[i]), MIB, PAGE, 0, &gpa));
	return CALLS;
}

static uint64_t contains(struct bench *bench)
{
	for (uint64_t i = 0; i < CALLS; i++)
		bench_require(addrspace_contains_range(&bench->space.as,
						       bench_region_gpa(bench->order[i]), PAGE));
	return CALLS;
}

/* ---- guest memory ---- */

static void populated_shuffled(struct bench *bench)
{
	bench_shuffle(bench, PAGES);
	populated(bench);
}

static unsigned char bytes[16 * PAGE];

static inline uint64_t read_all(struct bench *bench, size_t size)
{
	for (uint64_t i = 0; i < PAGES; i++)
		bench_require(!addrspace_read(&bench->space.as, bench->order[i] * PAGE, bytes, size,
					      0, NULL));
	return PAGES;
}

static inline uint64_t write_all(struct bench *bench, size_t size)
{
	for (uint64_t i = 0; i < PAGES; i++)
		bench_require(!addrspace_write(&bench->space.as, bench->order[i] * PAGE, bytes,
					       size, 0, NULL));
	return PAGES;
}

static uint64_t read_64(struct bench *bench)
{
	return read_all(bench, 64);
}

static uint64_t read_page(struct bench *bench)
{
	return read_all(bench, PAGE);
}

static uint64_t write_64(struct bench *bench)
{
	return write_all(bench, 64);
}

static uint64_t write_page(struct bench *bench)
{
	return write_all(bench, PAGE);
}

/** Half of it is in the next table. */
static uint64_t read_in_sequence(struct bench *bench)
{
	for (uint64_t i = 8; i + 16 <= PAGES; i += 16)
		bench_require(
			!addrspace_read(&bench->space.as, i * PAGE, bytes, sizeof(bytes), 0, NULL));
	return PAGES - 16;
}

static uint64_t copy_pages(struct bench *bench)
{
	for (uint64_t i = 0; i < PAGES; i++)
		bench_require(!addrspace_copy(&bench->space.as, bench->order[i] * PAGE, i * PAGE,
					      PAGE, 0, NULL));
	return PAGES;
}

static uint64_t load_each(struct bench *bench)
{
	uint64_t value;

	for (uint64_t i = 0; i < PAGES; i++)
		bench_require(
			!addrspace_load(&bench->space.as, bench->order[i] * PAGE, 8, &value, 0));
	return PAGES;
}

static uint64_t store_each(struct bench *bench)
{
	for (uint64_t i = 0; i < PAGES; i++)
		bench_require(!addrspace_store(&bench->space.as, bench->order[i] * PAGE, 8, i, 0));
	return PAGES;
}

static void populated_with_zeroes(struct bench *bench)
{
	populated_shuffled(bench);
	bench_require(!addrspace_fill(&bench->space.as, 0, 0, SIZE, 0, NULL));
}

static uint64_t exchange_each(struct bench *bench)
{
	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t expected = 0;

		bench_require(!addrspace_compare_exchange(&bench->space.as, bench->order[i] * PAGE,
							  8, &expected, 0, 0));
	}
	return PAGES;
}

static uint64_t segment_each(struct bench *bench)
{
	struct addrspace_segments segments;
	struct addrspace_segment segment;

	for (uint64_t i = 0; i < PAGES; i++) {
		bench_require(!addrspace_segments_begin(&segments, &bench->space.as,
							bench->order[i] * PAGE, PAGE,
							ADDRSPACE_READ, 0));
		bench_require(addrspace_segments_next(&segments, &segment) == 1);
		bench_require(addrspace_segments_next(&segments, &segment) == 0);
		addrspace_segments_end(&segments);
	}
	return PAGES;
}

static uint64_t read_faulting(struct bench *bench)
{
	for (uint64_t i = 0; i < PAGES; i++)
		bench_require(!addrspace_read(&bench->space.as, bench->order[i] * PAGE, bytes, 64,
					      ADDRSPACE_ACCESS_FAULT_IN, NULL));
	return PAGES;
}

static void lazy_by_leaves(struct bench *bench)
{
	struct addrspace_attributes attributes = bench_rwx;

	attributes.largest_leaf = ADDRSPACE_LEAF_2M;
	bench_shuffle(bench, LEAVES);
	bench_require(!addrspace_map_alloc(&bench->space.as, 0, LARGE_SIZE, &attributes, 0));
}

static uint64_t fault_leaves(struct bench *bench)
{
	for (uint64_t i = 0; i < LEAVES; i++)
		bench_require(addrspace_handle_fault(&bench->space.as, bench->order[i] * 2 * MIB,
						     ADDRSPACE_READ,
						     NULL) == ADDRSPACE_FAULT_RESOLVED);
	return LEAVES;
}

static void lazy_around(struct bench *bench)
{
	struct addrspace_attributes attributes = bench_rwx;

	attributes.fault_around = 16;
	bench_require(!addrspace_map_alloc(&bench->space.as, 0, SIZE, &attributes, 0));
}

static uint64_t fault_around(struct bench *bench)
{
	for (uint64_t i = 0; i < PAGES; i += 16)
		bench_require(addrspace_handle_fault(&bench->space.as, i * PAGE, ADDRSPACE_READ,
						     NULL) == ADDRSPACE_FAULT_RESOLVED);
	return PAGES;
}

static inline uint64_t prefault(struct bench *bench, unsigned flags)
{
	bench_require(!addrspace_prefault(&bench->space.as, 0, SIZE, flags, NULL));
	return PAGES;
}

static uint64_t prefault_whole(struct bench *bench)
{
	return prefault(bench, 0);
}

static uint64_t prefault_partial(struct bench *bench)
{
	return prefault(bench, ADDRSPACE_PREFAULT_PARTIAL);
}

static uint64_t live_and_die(struct bench *bench)
{
	for (uint64_t i = 0; i < CALLS; i++) {
		bench_open_other(bench);
		bench_close_other(bench);
	}
	return CALLS;
}

/* clang-format off */
static const struct operation operations[] = {
	{"map linear, per 4 KiB page", 0, {NULL, map_pages, clear}},
	{"map linear, per 2 MiB leaf", 0, {NULL, map_leaves, clear}},
	{"replace linear, per 4 KiB page", 0, {linear_pages, replace_pages, clear}},
	{"unmap linear, per 4 KiB page", 0, {linear_pages, unmap_pages, NULL}},
	{"unmap linear, per 2 MiB leaf", 0, {linear_leaves, unmap_leaves, NULL}},
	{"protect, per 4 KiB page", 0, {linear_pages, protect_pages, clear}},
	{"protect, per 2 MiB leaf", 0, {linear_leaves, protect_leaves, clear}},
	{"populate, per page", ZEROED, {NULL, populate, clear}},
	{"unmap populated, per page", ZEROED, {populated, unmap_pages, NULL}},
	{"populate in steps of 512, per page", ZEROED, {NULL, populate_in_steps, clear}},
	{"unmap populated in steps of 512, per page", ZEROED, {populated, unmap_in_steps, NULL}},
	{"unmap a page as a job", ZEROED, {populated, unmap_page_as_job, clear}},
	{"discard populated, per page", ZEROED, {populated, discard, clear}},
	{"statistics, per page", ZEROED, {populated, statistics, clear}},
	{"verify, per page", ZEROED, {populated, verify, clear}},
	{"map lazy 64 TiB", MANY_REGIONS, {NULL, map_lazy, clear}},
	{"unmap untouched lazy 64 TiB", MANY_REGIONS, {untouched, unmap_lazy, NULL}},
	{"fault", ZEROED, {lazy, fault_first, clear}},
	{"fault, lock", ZEROED | WITH_LOCK, {lazy, fault_first, clear}},
	{"fault, callback", ZEROED | WITH_CALLBACK, {lazy, fault_first, clear}},
	{"fault, 1,000 regions", ZEROED | MANY_REGIONS, {lazy, fault_first, clear}},
	{"fault, 2 MiB", ZEROED | WITH_LOCK, {lazy_by_leaves, fault_leaves, clear}},
	{"fault, 16 pages around, per page", ZEROED | WITH_LOCK, {lazy_around, fault_around, clear}},
	{"prefault, per page", ZEROED, {lazy, prefault_whole, clear}},
	{"prefault as far as memory goes, per page", ZEROED | WITH_LOCK,
	 {lazy, prefault_partial, clear}},
	{"fault, already resolved", ZEROED, {faulted, fault_again, clear}},
	{"fault, already resolved, lock", ZEROED | WITH_LOCK, {faulted, fault_again, clear}},
	{"fault, denied", ZEROED, {lazy_read_only, fault_denied, clear}},
	{"fault, not backed", ZEROED, {order_only, fault_not_backed, NULL}},
	{"fault, trap, and its region", 0, {trap, fault_trap, clear}},
	{"walk, 4 KiB page", 0, {shuffled_pages, walk_pages, clear}},
	{"walk, 2 MiB leaf", 0, {shuffled_leaves, walk_leaves, clear}},
	{"walk, callback", WITH_CALLBACK, {shuffled_pages, walk_pages, clear}},
	{"walk, lock", WITH_LOCK, {shuffled_pages, walk_pages, clear}},
	{"translate", 0, {shuffled_pages, translate_pages, clear}},
	{"translate, 1,000 regions", MANY_REGIONS, {shuffled_pages, translate_pages, clear}},
	{"move a page", ZEROED, {faulted, move_pages, clear}},
	{"unmap 4 KiB of a 2 MiB leaf", 0, {linear_leaves, punch_holes, clear}},
	{"protect 4 KiB of a 2 MiB leaf", 0, {linear_leaves, protect_parts, clear}},
	{"collapse into a 2 MiB leaf", 0, {split_leaves, collapse, clear}},
	{"map one of 4,096 regions", 0, {order_only, insert, clear}},
	{"unmap one of 4,096 regions", 0, {regions, take_out, NULL}},
	{"find one of 4,096 regions", 0, {regions, find_regions, clear}},
	{"next region", 0, {regions, each_region, clear}},
	{"next run, 8 leaves on", 0, {leaves_apart, each_run, clear}},
	{"find a gap", 0, {regions, find_gaps, clear}},
	{"contains range", 0, {regions, contains, clear}},
	{"guest read 64 B", ZEROED, {populated_shuffled, read_64, clear}},
	{"guest read 64 B, callback", ZEROED | WITH_CALLBACK, {populated_shuffled, read_64, clear}},
	{"guest write 64 B", ZEROED, {populated_shuffled, write_64, clear}},
	{"guest read 4 KiB", ZEROED, {populated_shuffled, read_page, clear}},
	{"guest write 4 KiB", ZEROED, {populated_shuffled, write_page, clear}},
	{"guest read 64 KiB, per page", ZEROED, {populated_shuffled, read_in_sequence, clear}},
	{"guest read 64 B, fault", ZEROED, {lazy, read_faulting, clear}},
	{"guest copy 4 KiB", ZEROED, {populated_shuffled, copy_pages, clear}},
	{"guest load", ZEROED, {populated_shuffled, load_each, clear}},
	{"guest store", ZEROED, {populated_shuffled, store_each, clear}},
	{"guest compare-exchange", ZEROED, {populated_with_zeroes, exchange_each, clear}},
	{"segment of 4 KiB", ZEROED, {populated_shuffled, segment_each, clear}},
	{"init and destroy", 0, {NULL, live_and_die, NULL}},
};
/* clang-format on */

#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/** Leaves a dump named operation, format, units. */
static void count(struct bench *bench, const struct operation *operation)
{
	char name[128];
	uint64_t units;

	bench->variant = operation->variant;
	bench_open(bench);
	if (operation->side.before)
		operation->side.before(bench);
	CALLGRIND_ZERO_STATS;
	CALLGRIND_TOGGLE_COLLECT;
	units = operation->side.run(bench);
	CALLGRIND_TOGGLE_COLLECT;
	if (operation->side.after)
		operation->side.after(bench);
	bench_close(bench);
	snprintf(name, sizeof(name), "%s\t%s\t%lu", operation->name, bench->format->name, units);
	CALLGRIND_DUMP_STATS_AT(name);
}

int main(void)
{
	static struct bench bench;

	bench_create(&bench, ARENA_SIZE);
	CALLGRIND_START_INSTRUMENTATION;
	for (unsigned i = 0; i < OPERATIONS; i++) {
		for (unsigned f = 0; f < BENCH_FORMATS; f++) {
			bench.format = &bench_formats[f];
			count(&bench, &operations[i]);
		}
	}
	CALLGRIND_STOP_INSTRUMENTATION;
	arena_destroy();
	return 0;
}
