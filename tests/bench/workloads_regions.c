/* SPDX-License-Identifier: MIT */
/* The set of regions. */
#include "bench.h"

#define FINDS   200000u
#define CHANGES 2000u

void regions_make(struct bench *bench, uint64_t count)
{
	/* At random, as guests do; in order, every node would be full. */
	bench_shuffle(bench, count);
	for (uint64_t i = 0; i < count; i++)
		bench_require(!addrspace_map_alloc(
			&bench->space.as, bench_region_gpa(bench->order[i]), PAGE, &bench_rwx, 0));
	bench->record_count = count;
}

static void regions_100k(struct bench *bench)
{
	regions_make(bench, 100000);
}

static void regions_1m(struct bench *bench)
{
	regions_make(bench, 1000000);
}

static void clear(struct bench *bench)
{
	addrspace_clear(&bench->space.as);
}

/** Each lookup depends on the last: the record found says which one is next. */
uint64_t regions_find(struct bench *bench)
{
	struct addrspace_region region = {0};

	for (uint64_t i = 0; i < FINDS; i++) {
		uint64_t number = bench->order[i % bench->record_count];

		if (addrspace_find_region(&bench->space.as,
					  bench_region_gpa(number) + region.permissions, &region))
			__builtin_trap();
	}
	bench->sink += region.gpa;
	return FINDS;
}

static void records(struct bench *bench, uint64_t count)
{
	records_make(bench, count);
	bench_shuffle(bench, count);
}

static void records_100k(struct bench *bench)
{
	records(bench, 100000);
}

static void records_1m(struct bench *bench)
{
	records(bench, 1000000);
}

static inline uint64_t find_records(struct bench *bench,
				    const struct record *(*search)(const struct bench *bench,
								   uint64_t gpa))
{
	uint64_t last = 0;

	for (uint64_t i = 0; i < FINDS; i++) {
		uint64_t number = bench->order[i % bench->record_count];
		const struct record *record = search(bench, bench_region_gpa(number) + last);

		last = record->cookie + record->offset; /* 0 */
	}
	bench->sink += last;
	return FINDS;
}

static uint64_t floor_find(struct bench *bench)
{
	return find_records(bench, records_find);
}

static uint64_t floor_find_branchy(struct bench *bench)
{
	return find_records(bench, records_find_branchy);
}

/** A page in the gap behind a region. */
static uint64_t gap_gpa(uint64_t number)
{
	return bench_region_gpa(number) + MIB;
}

static void come(struct bench *bench, uint64_t gpa)
{
	bench_require(!addrspace_map_alloc(&bench->space.as, gpa, PAGE, &bench_rwx, 0));
}

static void go(struct bench *bench, uint64_t gpa)
{
	bench_require(!addrspace_unmap(&bench->space.as, gpa, PAGE));
}

/* The whole public call, by which a page comes or goes. Then it is as before. */

uint64_t regions_insert(struct bench *bench)
{
	for (uint64_t i = 0; i < CHANGES; i++) {
		uint64_t gpa = gap_gpa(bench->order[i % bench->record_count]);

		bench_timer_start();
		come(bench, gpa);
		bench_timer_stop();
		go(bench, gpa);
	}
	return CHANGES;
}

uint64_t regions_remove(struct bench *bench)
{
	for (uint64_t i = 0; i < CHANGES; i++) {
		uint64_t gpa = bench_region_gpa(bench->order[i % bench->record_count]);

		bench_timer_start();
		go(bench, gpa);
		bench_timer_stop();
		come(bench, gpa);
	}
	return CHANGES;
}

static uint64_t floor_search_timed(struct bench *bench)
{
	for (uint64_t i = 0; i < CHANGES; i++) {
		uint64_t gpa = bench_region_gpa(bench->order[i]);

		bench_timer_start();
		bench->sink += records_find(bench, gpa)->size;
		bench_timer_stop();
	}
	return CHANGES;
}

static uint64_t floor_search_branchy_timed(struct bench *bench)
{
	for (uint64_t i = 0; i < CHANGES; i++) {
		uint64_t gpa = bench_region_gpa(bench->order[i]);

		bench_timer_start();
		bench->sink += records_find_branchy(bench, gpa)->size;
		bench_timer_stop();
	}
	return CHANGES;
}

/* ---- storage ---- */

#define STORED 100000u

/** Bytes that the set takes for each region. */
static uint64_t storage(struct bench *bench)
{
	struct addrspace_statistics statistics;

	for (uint64_t i = 0; i < STORED; i++)
		bench_require(!addrspace_map_alloc(
			&bench->space.as, bench_region_gpa(bench->order[i]), PAGE, &bench_rwx, 0));
	bench_require(!addrspace_statistics(&bench->space.as, &statistics));
	bench_require(statistics.regions == STORED);
	bench->figure = (double)(statistics.region_nodes * PAGE) / STORED;
	return STORED;
}

static void ascending(struct bench *bench)
{
	for (uint64_t i = 0; i < STORED; i++)
		bench->order[i] = i;
}

static void descending(struct bench *bench)
{
	for (uint64_t i = 0; i < STORED; i++)
		bench->order[i] = STORED - 1 - i;
}

static void at_random(struct bench *bench)
{
	bench_shuffle(bench, STORED);
}

/** The record itself. */
static uint64_t floor_storage(struct bench *bench)
{
	bench->figure = sizeof(struct record);
	return STORED;
}

/* clang-format off */
#define STORAGE NOT_TIMED, 2.0, 0
#define RECORDS {NULL, floor_storage, NULL}, NULL

static const struct workload list[] = {
	{"find one of 100,000 regions", "call", 0, 1.0, 0,
	 {regions_100k, regions_find, clear}, {records_100k, floor_find, NULL}, floor_find_branchy},
	{"find one of 1,000,000 regions", "call", 0, 1.0, 0,
	 {regions_1m, regions_find, clear}, {records_1m, floor_find, NULL}, floor_find_branchy},
	{"insert one region among 100,000", "call", 0, 2.0, 0,
	 {regions_100k, regions_insert, clear}, {records_100k, floor_search_timed, NULL},
	 floor_search_branchy_timed},
	{"remove one region among 100,000", "call", 0, 2.0, 0,
	 {regions_100k, regions_remove, clear}, {records_100k, floor_search_timed, NULL},
	 floor_search_branchy_timed},
	{"storage, 100,000 regions ascending", "bytes/region", STORAGE,
	 {ascending, storage, clear}, RECORDS},
	{"storage, 100,000 regions descending", "bytes/region", STORAGE,
	 {descending, storage, clear}, RECORDS},
	{"storage, 100,000 regions at random", "bytes/region", STORAGE,
	 {at_random, storage, clear}, RECORDS},
};
/* clang-format on */

const struct workload_list workloads_regions = {list, sizeof(list) / sizeof(list[0])};
