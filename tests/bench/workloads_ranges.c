/* SPDX-License-Identifier: MIT */
/* Whole ranges: map, unmap, populate, protect, lazy. */
#include <addrspace/job.h>

#include "floors.h"

#define PAGES_1G   (GIB / PAGE)
#define LEAVES_64G (64 * GIB / (2 * MIB))
/* Host memory that nobody reads: linear leaves name it. Larger leaves do not fit its alignment. */
#define LINEAR_PAGES (UINT64_C(1) << 36 | PAGE)
#define LINEAR_LARGE (UINT64_C(1) << 36 | 2 * MIB)

#define FLOORS bench->format->floors

static void unmap_all(struct bench *bench)
{
	addrspace_clear(&bench->space.as);
}

static void drop_tables(struct bench *bench)
{
	FLOORS->drop(bench, false);
}

static void drop_frames(struct bench *bench)
{
	FLOORS->drop(bench, true);
}

static uint64_t map_pages(struct bench *bench)
{
	bench_require(!addrspace_map_linear(&bench->space.as, 0, GIB, LINEAR_PAGES, &bench_rwx, 0));
	return PAGES_1G;
}

static uint64_t map_large(struct bench *bench)
{
	bench_require(
		!addrspace_map_linear(&bench->space.as, 0, 64 * GIB, LINEAR_LARGE, &bench_rwx, 0));
	return LEAVES_64G;
}

static uint64_t map_populated(struct bench *bench)
{
	bench_require(
		!addrspace_map_alloc(&bench->space.as, 0, GIB, &bench_rwx, ADDRSPACE_MAP_POPULATE));
	return PAGES_1G;
}

static uint64_t unmap_pages(struct bench *bench)
{
	bench_require(!addrspace_unmap(&bench->space.as, 0, GIB));
	return PAGES_1G;
}

static uint64_t unmap_large(struct bench *bench)
{
	bench_require(!addrspace_unmap(&bench->space.as, 0, 64 * GIB));
	return LEAVES_64G;
}

#define STEP_BUDGET 512u

/** The same as a job. */
static uint64_t unmap_in_steps(struct bench *bench)
{
	struct addrspace_job job;

	bench_require(!addrspace_unmap_begin(&bench->space.as, &job, 0, GIB));
	while (addrspace_job_step(&job, STEP_BUDGET))
		;
	return PAGES_1G;
}

static uint64_t populate_in_steps(struct bench *bench)
{
	struct addrspace_job job;
	int result;

	bench_require(!addrspace_populate_begin(&bench->space.as, &job, 0, GIB, &bench_rwx));
	while ((result = addrspace_job_step(&job, STEP_BUDGET)) > 0)
		;
	bench_require(!result);
	return PAGES_1G;
}

static uint64_t protect_pages(struct bench *bench)
{
	bench_require(!addrspace_protect(&bench->space.as, 0, GIB, bench_ro.permissions));
	return PAGES_1G;
}

/** By other host memory: one step for those who look. */
static uint64_t replace_pages(struct bench *bench)
{
	bench_require(!addrspace_map_linear(&bench->space.as, 0, GIB, LINEAR_PAGES + GIB,
					    &bench_rwx, ADDRSPACE_MAP_REPLACE));
	return PAGES_1G;
}

static uint64_t discard_pages(struct bench *bench)
{
	bench_require(!addrspace_discard(&bench->space.as, 0, GIB));
	return PAGES_1G;
}

static void before_map_pages(struct bench *bench)
{
	map_pages(bench);
}

static void before_map_large(struct bench *bench)
{
	map_large(bench);
}

static void before_map_populated(struct bench *bench)
{
	map_populated(bench);
}

static uint64_t floor_fill_pages(struct bench *bench)
{
	return FLOORS->fill_pages(bench, PAGES_1G);
}

static uint64_t floor_fill_large(struct bench *bench)
{
	return FLOORS->fill_large(bench, LEAVES_64G);
}

static uint64_t floor_clear_pages(struct bench *bench)
{
	return FLOORS->clear_pages(bench, PAGES_1G);
}

static uint64_t floor_clear_large(struct bench *bench)
{
	return FLOORS->clear_large(bench, LEAVES_64G);
}

static uint64_t floor_clear_bit(struct bench *bench)
{
	return FLOORS->clear_bit(bench, PAGES_1G);
}

static uint64_t floor_populate(struct bench *bench)
{
	return FLOORS->populate(bench, PAGES_1G);
}

static uint64_t floor_release(struct bench *bench)
{
	return FLOORS->release(bench, PAGES_1G);
}

static void before_fill_pages(struct bench *bench)
{
	floor_fill_pages(bench);
}

static void before_fill_large(struct bench *bench)
{
	floor_fill_large(bench);
}

static void before_populate(struct bench *bench)
{
	floor_populate(bench);
}

/* ---- how long a step keeps others out ---- */

#define STEP_ROUNDS 7u
#define STEP_MOST   (PAGES_1G / 256)

/** Of the steps of an unmap of 1 GiB, its beginning too, the one that takes longest. Each is the fastest of
 * some rounds, so that it is the longest by what it does. */
static uint64_t longest_step(struct bench *bench)
{
	static uint64_t fastest[STEP_MOST];
	uint64_t longest = 0;
	unsigned steps = 0;
	struct addrspace_job job;

	for (unsigned round = 0; round < STEP_ROUNDS; round++) {
		int result = 1;

		map_populated(bench);
		for (steps = 0; result > 0; steps++) {
			uint64_t time = bench_now();

			bench_require(steps < STEP_MOST);
			result = steps ? addrspace_job_step(&job, STEP_BUDGET)
				       : !addrspace_unmap_begin(&bench->space.as, &job, 0, GIB);
			time = bench_now() - time;
			if (!round || time < fastest[steps])
				fastest[steps] = time;
		}
	}
	for (unsigned i = 0; i < steps; i++)
		longest = fastest[i] > longest ? fastest[i] : longest;
	bench->figure = (double)longest;
	return 1;
}

/** As many frames as a step may give back. */
static uint64_t floor_longest_step(struct bench *bench)
{
	uint64_t fastest = UINT64_MAX;

	for (unsigned round = 0; round < STEP_ROUNDS; round++) {
		uint64_t time;

		FLOORS->populate(bench, STEP_BUDGET);
		time = bench_now();
		FLOORS->release(bench, STEP_BUDGET);
		time = bench_now() - time;
		fastest = time < fastest ? time : fastest;
		drop_tables(bench);
	}
	bench->figure = (double)fastest;
	return 1;
}

/* ---- before the guest asks ---- */

static void before_prefault(struct bench *bench)
{
	bench_require(!addrspace_map_alloc(&bench->space.as, 0, GIB, &bench_rwx, 0));
}

static inline uint64_t prefault(struct bench *bench, unsigned flags)
{
	uint64_t done;

	bench_require(!addrspace_prefault(&bench->space.as, 0, GIB, flags, &done));
	bench_require(done == GIB);
	return PAGES_1G;
}

/** What faults in sequence take at least. */
static uint64_t floor_faults(struct bench *bench)
{
	uint64_t done = 0;

	for (uint64_t i = 0; i < PAGES_1G; i++)
		done += FLOORS->fault_locked(bench, i * PAGE);
	bench_require(done == PAGES_1G);
	return PAGES_1G;
}

static uint64_t prefault_whole(struct bench *bench)
{
	return prefault(bench, 0);
}

static uint64_t prefault_partial(struct bench *bench)
{
	return prefault(bench, ADDRSPACE_PREFAULT_PARTIAL);
}

/* ---- lazy: operations so short that each is timed by itself ---- */

#define LAZY_ROUNDS 200u
#define LAZY_GPA    (64 * TIB)

static uint64_t map_lazy(struct bench *bench, uint64_t size)
{
	for (unsigned i = 0; i < LAZY_ROUNDS; i++) {
		bench_timer_start();
		bench_require(
			!addrspace_map_alloc(&bench->space.as, LAZY_GPA, size, &bench_rwx, 0));
		bench_timer_stop();
		bench_require(!addrspace_unmap(&bench->space.as, LAZY_GPA, size));
	}
	return LAZY_ROUNDS;
}

static uint64_t map_lazy_1m(struct bench *bench)
{
	return map_lazy(bench, MIB);
}

static uint64_t map_lazy_64t(struct bench *bench)
{
	return map_lazy(bench, 64 * TIB);
}

static uint64_t unmap_lazy(struct bench *bench)
{
	for (unsigned i = 0; i < LAZY_ROUNDS; i++) {
		bench_require(
			!addrspace_map_alloc(&bench->space.as, LAZY_GPA, 64 * TIB, &bench_rwx, 0));
		bench_timer_start();
		bench_require(!addrspace_unmap(&bench->space.as, LAZY_GPA, 64 * TIB));
		bench_timer_stop();
	}
	return LAZY_ROUNDS;
}

/** Each depends on the last. None finds a region, so 0 is what it reads. */
static uint64_t floor_two_searches(struct bench *bench)
{
	struct addrspace_region region = {0};

	for (unsigned i = 0; i < LAZY_ROUNDS; i++) {
		bench_timer_start();
		addrspace_find_region(&bench->space.as, LAZY_GPA + region.gpa, &region);
		addrspace_find_region(&bench->space.as, LAZY_GPA + region.gpa, &region);
		bench_timer_stop();
	}
	return LAZY_ROUNDS;
}

static uint64_t floor_scan_root(struct bench *bench)
{
	const volatile uint64_t *root = bench->floor_root;

	for (unsigned i = 0; i < LAZY_ROUNDS; i++) {
		uint64_t any = 0;

		bench_timer_start();
		for (unsigned k = 0; k < 64 * TIB >> 39; k++)
			any |= root[k];
		bench->sink += any;
		bench_timer_stop();
	}
	return LAZY_ROUNDS;
}

/* ---- a hole in a large leaf ---- */

#define HOLE_LEAVES 512u

static void before_holes(struct bench *bench)
{
	bench_require(!addrspace_map_linear(&bench->space.as, 0, HOLE_LEAVES * 2 * MIB,
					    LINEAR_LARGE, &bench_rwx, 0));
}

static uint64_t punch_holes(struct bench *bench)
{
	for (uint64_t i = 0; i < HOLE_LEAVES; i++)
		bench_require(!addrspace_unmap(&bench->space.as, i * 2 * MIB + 77 * PAGE, PAGE));
	return HOLE_LEAVES;
}

/** Takes a table frame for each and fills it. */
static uint64_t floor_holes(struct bench *bench)
{
	return FLOORS->fill_pages(bench, HOLE_LEAVES * 512) / 512;
}

/* ---- large leaves again ---- */

/** Each is split by a page that differs for a moment, as a dirty log leaves it. */
static void before_collapse(struct bench *bench)
{
	before_holes(bench);
	for (uint64_t i = 0; i < HOLE_LEAVES; i++) {
		uint64_t gpa = i * 2 * MIB + 77 * PAGE;

		bench_require(
			!addrspace_protect(&bench->space.as, gpa, PAGE, bench_ro.permissions));
		bench_require(
			!addrspace_protect(&bench->space.as, gpa, PAGE, bench_rwx.permissions));
	}
}

static uint64_t collapse(struct bench *bench)
{
	uint64_t collapsed;

	bench_require(!addrspace_collapse(&bench->space.as, 0, GIB, &collapsed));
	bench_require(collapsed == HOLE_LEAVES * 2 * MIB);
	return HOLE_LEAVES;
}

static uint64_t floor_collapse(struct bench *bench)
{
	return FLOORS->collapse(bench, HOLE_LEAVES);
}

/** Not present any more, so that drop() does not find them: the tables are found by filling again. */
static void drop_cleared_pages(struct bench *bench)
{
	before_fill_pages(bench);
	drop_tables(bench);
}

static void drop_cleared_large(struct bench *bench)
{
	before_fill_large(bench);
	drop_tables(bench);
}

/* clang-format off */
#define FILL_PAGES {NULL, floor_fill_pages, drop_tables}, NULL
#define POPULATE   {NULL, map_populated, unmap_all}, {NULL, floor_populate, drop_frames}, NULL
#define RELEASE    {before_populate, floor_release, drop_tables}, NULL
#define SEARCHES   {NULL, floor_two_searches, NULL}, NULL

static const struct workload list[] = {
	{"map linear 1 GiB, 4 KiB pages", "page", 0, 1.6, 0, {NULL, map_pages, unmap_all}, FILL_PAGES},
	{"map linear 1 GiB, 4 KiB pages, callback", "page", WITH_CALLBACK, 0, 0,
	 {NULL, map_pages, unmap_all}, FILL_PAGES},
	{"map linear 64 GiB, 2 MiB leaves", "leaf", 0, 1.6, 0,
	 {NULL, map_large, unmap_all}, {NULL, floor_fill_large, drop_tables}, NULL},
	{"replace linear 1 GiB, 4 KiB pages", "page", 0, 0, 1,
	 {before_map_pages, replace_pages, unmap_all}, FILL_PAGES},
	{"unmap linear 1 GiB, 4 KiB pages", "page", 0, 0.2, 1,
	 {before_map_pages, unmap_pages, NULL},
	 {before_fill_pages, floor_clear_pages, drop_cleared_pages}, NULL},
	{"unmap linear 64 GiB, 2 MiB leaves", "leaf", 0, 0.2, 1,
	 {before_map_large, unmap_large, NULL},
	 {before_fill_large, floor_clear_large, drop_cleared_large}, NULL},
	{"populate 1 GiB, frames come zeroed", "page", ZEROED, 2.0, 0, POPULATE},
	{"populate 1 GiB, callback", "page", ZEROED | WITH_CALLBACK, 0, 0, POPULATE},
	{"populate 1 GiB, zeroed by the library", "page", 0, 1.2, 0, POPULATE},
	/* As populating, and a look at what is missing first. */
	{"prefault 1 GiB, frames come zeroed", "page", ZEROED, 2.0, 0,
	 {before_prefault, prefault_whole, unmap_all}, {NULL, floor_populate, drop_frames}, NULL},
	/* Beside faults, so it makes their compare-and-swap for each page; but one walk for each table, and one
	 * lock: half of the floor of faults. */
	{"prefault 1 GiB as far as memory goes", "page", ZEROED | WITH_LOCK, 1.0, 0,
	 {before_prefault, prefault_partial, unmap_all}, {NULL, floor_faults, drop_frames}, NULL},
	{"unmap populated 1 GiB", "page", ZEROED, 2.0, 1,
	 {before_map_populated, unmap_pages, NULL}, RELEASE},
	/* As unmap, and the region is edited; most of the rest is how far its times scatter. */
	{"discard populated 1 GiB", "page", ZEROED, 2.5, 1,
	 {before_map_populated, discard_pages, unmap_all}, RELEASE},
	{"unmap populated 1 GiB in steps of 512", "page", ZEROED, 1.2, 1,
	 {before_map_populated, unmap_in_steps, NULL}, {before_map_populated, unmap_pages, NULL}, NULL},
	{"populate 1 GiB in steps of 512", "page", ZEROED, 1.2, 0,
	 {NULL, populate_in_steps, unmap_all}, {NULL, map_populated, unmap_all}, NULL},
	{"longest step of an unmap of 1 GiB, 512 entries", "ns", ZEROED | NOT_TIMED, 3.0,
	 ANY_INVALIDATIONS, {NULL, longest_step, NULL}, {NULL, floor_longest_step, NULL}, NULL},
	{"map lazy 1 MiB, 1,000 regions", "call", MANY_REGIONS, 2.0, 0,
	 {NULL, map_lazy_1m, NULL}, SEARCHES},
	{"map lazy 64 TiB, 1,000 regions", "call", MANY_REGIONS, 2.0, 0,
	 {NULL, map_lazy_64t, NULL}, SEARCHES},
	{"map lazy 64 TiB against 1 MiB", "call", MANY_REGIONS, 1.3, 0,
	 {NULL, map_lazy_64t, NULL}, {NULL, map_lazy_1m, NULL}, NULL},
	{"map lazy 64 TiB, no other region", "call", 0, 0, 0, {NULL, map_lazy_64t, NULL}, SEARCHES},
	{"unmap untouched lazy 64 TiB", "call", 0, 2.0, 0,
	 {NULL, unmap_lazy, NULL}, {NULL, floor_scan_root, NULL}, NULL},
	{"hole of 4 KiB in a 2 MiB leaf", "hole", 0, 1.5, HOLE_LEAVES,
	 {before_holes, punch_holes, unmap_all}, {NULL, floor_holes, drop_tables}, NULL},
	{"collapse 1 GiB of 4 KiB pages into 2 MiB leaves", "leaf", 0, 1.5, 1,
	 {before_collapse, collapse, unmap_all},
	 {before_fill_pages, floor_collapse, drop_tables}, NULL},
	{"remove write from 1 GiB of 4 KiB pages", "page", 0, 1.6, 1,
	 {before_map_pages, protect_pages, unmap_all},
	 {before_fill_pages, floor_clear_bit, drop_tables}, NULL},
};
/* clang-format on */

const struct workload_list workloads_ranges = {list, sizeof(list) / sizeof(list[0])};
