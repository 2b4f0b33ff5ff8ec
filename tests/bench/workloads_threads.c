/* SPDX-License-Identifier: MIT */
/* Two threads, each on a CPU of its own: figures are the time for all pages. */
#include "floors.h"

#define PAGES (GIB / PAGE)
#define HALF  (PAGES / 2)

/* ---- apart: each has half of the pages ---- */

static void lazy(struct bench_space *space)
{
	bench_require(!addrspace_map_alloc(&space->as, 0, GIB, &bench_rwx, 0));
}

static void one_space(struct bench *bench)
{
	bench_shuffle(bench, HALF);
	lazy(&bench->space);
}

static void two_spaces(struct bench *bench)
{
	one_space(bench);
	bench_open_other(bench);
	lazy(&bench->other);
}

static uint64_t fault_half(struct bench *bench, struct bench_space *space, unsigned part)
{
	const uint64_t count = HALF / BENCH_PARTS;
	uint64_t first = bench_cpu * HALF;

	for (uint64_t i = part * count; i < (part + 1) * count; i++) {
		if (addrspace_handle_fault(&space->as, (first + bench->order[i]) * PAGE,
					   ADDRSPACE_READ, NULL) != ADDRSPACE_FAULT_RESOLVED)
			__builtin_trap();
	}
	return count;
}

static uint64_t half_of_one(struct bench *bench, unsigned part)
{
	return fault_half(bench, &bench->space, part);
}

static uint64_t half_of_its_own(struct bench *bench, unsigned part)
{
	return fault_half(bench, bench_cpu ? &bench->other : &bench->space, part);
}

static uint64_t apart_in_one(struct bench *bench)
{
	bench_require(bench_on_both(bench, half_of_one) == PAGES);
	return PAGES;
}

static uint64_t apart_in_two(struct bench *bench)
{
	bench_require(bench_on_both(bench, half_of_its_own) == PAGES);
	return PAGES;
}

static void clear(struct bench *bench)
{
	addrspace_clear(&bench->space.as);
}

static void clear_two(struct bench *bench)
{
	clear(bench);
	bench_close_other(bench);
}

/* ---- the same pages in the same order: one of the two resolves each ---- */

static void all_pages(struct bench *bench)
{
	bench_shuffle(bench, PAGES);
	lazy(&bench->space);
}

static uint64_t fault_part(struct bench *bench, unsigned part)
{
	const uint64_t count = PAGES / BENCH_PARTS;
	uint64_t resolved = 0;

	for (uint64_t i = part * count; i < (part + 1) * count; i++) {
		int outcome = addrspace_handle_fault(&bench->space.as, bench->order[i] * PAGE,
						     ADDRSPACE_READ, NULL);

		if (outcome == ADDRSPACE_FAULT_RESOLVED)
			resolved++;
		else if (outcome != ADDRSPACE_FAULT_ALREADY_RESOLVED)
			__builtin_trap();
	}
	return resolved;
}

static uint64_t same_pages(struct bench *bench)
{
	uint64_t resolved = bench_on_both(bench, fault_part);

	bench_require(resolved == PAGES);
	return PAGES;
}

static uint64_t alone(struct bench *bench)
{
	uint64_t resolved = 0;

	for (unsigned part = 0; part < BENCH_PARTS; part++)
		resolved += fault_part(bench, part);
	bench_require(resolved == PAGES);
	return PAGES;
}

static void order(struct bench *bench)
{
	bench_shuffle(bench, PAGES);
}

static uint64_t floor_part(struct bench *bench, unsigned part)
{
	const uint64_t count = PAGES / BENCH_PARTS;
	uint64_t done = 0;

	for (uint64_t i = part * count; i < (part + 1) * count; i++)
		done += bench->format->floors->fault_locked(bench, bench->order[i] * PAGE);
	return done;
}

static uint64_t floor_same_pages(struct bench *bench)
{
	uint64_t done = bench_on_both(bench, floor_part);

	bench_require(done == PAGES);
	return PAGES;
}

static void drop_frames(struct bench *bench)
{
	bench->format->floors->drop(bench, true);
}

/* clang-format off */
#define BOTH    (WITH_LOCK | TWO_CPUS)
/* Ratios of times: 0.9 and 0.8 of the pages per second, at least. */
#define LIMIT_0_9 1.11
#define LIMIT_0_8 1.25

static const struct workload list[] = {
	{"2 CPUs apart, against two spaces", "page", ZEROED | BOTH, LIMIT_0_9, 0,
	 {one_space, apart_in_one, clear}, {two_spaces, apart_in_two, clear_two}, NULL},
	{"2 CPUs apart, against one CPU", "page", ZEROED | BOTH, 0, 0,
	 {one_space, apart_in_one, clear}, {all_pages, alone, clear}, NULL},
	{"2 CPUs, the same pages", "page", ZEROED | BOTH, LIMIT_0_9, 0,
	 {all_pages, same_pages, clear}, {order, floor_same_pages, drop_frames}, NULL},
	{"2 CPUs, the same pages, zeroed, against one", "page", BOTH, LIMIT_0_8, 0,
	 {all_pages, same_pages, clear}, {all_pages, alone, clear}, NULL},
};
/* clang-format on */

const struct workload_list workloads_threads = {list, sizeof(list) / sizeof(list[0])};
