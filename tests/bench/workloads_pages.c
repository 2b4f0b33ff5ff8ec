/* SPDX-License-Identifier: MIT */
/* One page at a time: faults, translations. */
#include "floors.h"

#define PAGES_1G  (GIB / PAGE)
#define LARGE_ALL UINT64_C(32768) /* 2 MiB leaves in 64 GiB */

#define FLOORS bench->format->floors

static void in_sequence(struct bench *bench, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		bench->order[i] = i;
}

/* ---- faults ---- */

static void lazy(struct bench *bench)
{
	bench_require(!addrspace_map_alloc(&bench->space.as, 0, GIB, &bench_rwx, 0));
}

static void lazy_in_sequence(struct bench *bench)
{
	in_sequence(bench, PAGES_1G);
	lazy(bench);
}

static void lazy_at_random(struct bench *bench)
{
	bench_shuffle(bench, PAGES_1G);
	lazy(bench);
}

static void unmap(struct bench *bench)
{
	bench_require(!addrspace_unmap(&bench->space.as, 0, GIB));
}

static uint64_t fault_all(struct bench *bench, int outcome)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < PAGES_1G; i++)
		wrong += addrspace_handle_fault(&bench->space.as, bench->order[i] * PAGE,
						ADDRSPACE_READ, NULL) != outcome;
	bench_require(!wrong);
	return PAGES_1G;
}

static uint64_t fault_first(struct bench *bench)
{
	return fault_all(bench, ADDRSPACE_FAULT_RESOLVED);
}

static uint64_t fault_again(struct bench *bench)
{
	return fault_all(bench, ADDRSPACE_FAULT_ALREADY_RESOLVED);
}

static void faulted_at_random(struct bench *bench)
{
	lazy_at_random(bench);
	fault_first(bench);
}

static uint64_t floor_each(struct bench *bench, bool (*call)(struct bench *bench, uint64_t gpa))
{
	uint64_t done = 0;

	for (uint64_t i = 0; i < PAGES_1G; i++)
		done += call(bench, bench->order[i] * PAGE);
	bench_require(done == PAGES_1G);
	return PAGES_1G;
}

static uint64_t floor_fault(struct bench *bench)
{
	return floor_each(bench, bench->variant & WITH_LOCK ? FLOORS->fault_locked : FLOORS->fault);
}

static uint64_t floor_touch(struct bench *bench)
{
	return floor_each(bench, bench->variant & WITH_LOCK ? FLOORS->touch_locked : FLOORS->touch);
}

static void order_in_sequence(struct bench *bench)
{
	in_sequence(bench, PAGES_1G);
}

static void order_at_random(struct bench *bench)
{
	bench_shuffle(bench, PAGES_1G);
}

static void floor_faulted_at_random(struct bench *bench)
{
	order_at_random(bench);
	floor_fault(bench);
}

static void drop_frames(struct bench *bench)
{
	FLOORS->drop(bench, true);
}

/* ---- 2 MiB at a time ---- */

#define LARGE_RUNS UINT64_C(8192)

static void lazy_large(struct bench *bench)
{
	struct addrspace_attributes attributes = bench_rwx;

	attributes.largest_leaf = ADDRSPACE_LEAF_2M;
	bench_shuffle(bench, LARGE_RUNS);
	bench_require(
		!addrspace_map_alloc(&bench->space.as, 0, LARGE_RUNS * 2 * MIB, &attributes, 0));
}

static uint64_t fault_large(struct bench *bench)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < LARGE_RUNS; i++)
		wrong += addrspace_handle_fault(&bench->space.as, bench->order[i] * 2 * MIB,
						ADDRSPACE_READ, NULL) != ADDRSPACE_FAULT_RESOLVED;
	bench_require(!wrong);
	return LARGE_RUNS;
}

static void unmap_large(struct bench *bench)
{
	bench_require(!addrspace_unmap(&bench->space.as, 0, LARGE_RUNS * 2 * MIB));
}

static void order_large(struct bench *bench)
{
	bench_shuffle(bench, LARGE_RUNS);
}

static uint64_t floor_fault_large(struct bench *bench)
{
	uint64_t done = 0;

	for (uint64_t i = 0; i < LARGE_RUNS; i++)
		done += FLOORS->fault_large(bench, bench->order[i] * 2 * MIB);
	bench_require(done == LARGE_RUNS);
	return LARGE_RUNS;
}

/* ---- another frame for a page ---- */

static uint64_t take_frame(struct bench *bench, uint64_t gpa)
{
	const struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST, .gpa = gpa};
	struct addrspace_frame frame;

	bench_require(bench->handler.allocate(&bench->space, &request, &frame));
	return frame.hpa;
}

/** The embedder fills new frames: here nobody does. */
static uint64_t move_all(struct bench *bench)
{
	for (uint64_t i = 0; i < PAGES_1G; i++) {
		uint64_t gpa = bench->order[i] * PAGE;

		if (addrspace_replace_frame(&bench->space.as, gpa, take_frame(bench, gpa), NULL,
					    NULL))
			__builtin_trap();
	}
	return PAGES_1G;
}

static uint64_t floor_move(struct bench *bench)
{
	for (uint64_t i = 0; i < PAGES_1G; i++) {
		uint64_t gpa = bench->order[i] * PAGE;

		FLOORS->move(bench, gpa, take_frame(bench, gpa));
	}
	return PAGES_1G;
}

/* ---- translations ---- */

static void linear_pages(struct bench *bench)
{
	bench_shuffle(bench, PAGES_1G);
	bench_require(!addrspace_map_linear(&bench->space.as, 0, GIB, UINT64_C(1) << 36 | PAGE,
					    &bench_rwx, 0));
}

static void linear_large(struct bench *bench)
{
	bench_shuffle(bench, LARGE_ALL);
	bench_require(!addrspace_map_linear(&bench->space.as, 0, 64 * GIB,
					    UINT64_C(1) << 36 | 2 * MIB, &bench_rwx, 0));
}

static void unmap_all(struct bench *bench)
{
	bench_require(!addrspace_unmap(&bench->space.as, 0, 64 * GIB));
}

static inline uint64_t translate(struct bench *bench, uint64_t count, uint64_t scale,
				 int (*call)(struct addrspace *, uint64_t,
					     struct addrspace_translation *))
{
	struct addrspace_translation translation = {0};
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (call(&bench->space.as, bench->order[i] * scale, &translation))
			__builtin_trap();
		sum += translation.hpa;
	}
	bench->sink += sum;
	return count;
}

static uint64_t walk_pages(struct bench *bench)
{
	return translate(bench, PAGES_1G, PAGE, addrspace_walk);
}

static uint64_t walk_large(struct bench *bench)
{
	return translate(bench, LARGE_ALL, 2 * MIB, addrspace_walk);
}

static uint64_t translate_pages(struct bench *bench)
{
	return translate(bench, PAGES_1G, PAGE, addrspace_translate);
}

/** The next address uses the last result in its index bits. */
static uint64_t walk_dependent(struct bench *bench)
{
	struct addrspace_translation translation = {0};

	for (uint64_t i = 0; i < PAGES_1G; i++) {
		uint64_t page = (bench->order[i] ^ (translation.hpa >> 12)) % PAGES_1G;

		if (addrspace_walk(&bench->space.as, page * PAGE, &translation))
			__builtin_trap();
	}
	bench->sink += translation.hpa;
	return PAGES_1G;
}

static void floor_pages(struct bench *bench)
{
	bench_shuffle(bench, PAGES_1G);
	FLOORS->fill_pages(bench, PAGES_1G);
}

static void floor_large(struct bench *bench)
{
	bench_shuffle(bench, LARGE_ALL);
	FLOORS->fill_large(bench, LARGE_ALL);
}

static uint64_t floor_translate(struct bench *bench, uint64_t count, uint64_t scale)
{
	uint64_t hpa = 0;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (!FLOORS->translate(bench, bench->order[i] * scale, &hpa))
			__builtin_trap();
		sum += hpa;
	}
	bench->sink += sum;
	return count;
}

static uint64_t floor_walk_pages(struct bench *bench)
{
	return floor_translate(bench, PAGES_1G, PAGE);
}

static uint64_t floor_walk_large(struct bench *bench)
{
	return floor_translate(bench, LARGE_ALL, 2 * MIB);
}

/** The same, and a search among as many records as the space has regions. */
static uint64_t floor_walk_and_find(struct bench *bench)
{
	uint64_t hpa = 0;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < PAGES_1G; i++) {
		uint64_t gpa = bench->order[i] * PAGE;

		if (!FLOORS->translate(bench, gpa, &hpa))
			__builtin_trap();
		sum += hpa + records_find(bench, gpa)->size;
	}
	bench->sink += sum;
	return PAGES_1G;
}

/** The region of the pages comes first. */
static void floor_pages_and_records(struct bench *bench)
{
	floor_pages(bench);
	records_make(bench, bench->variant & MANY_REGIONS ? BENCH_MANY + 1 : 1);
	bench->records[0].size = GIB;
}

static uint64_t floor_dependent(struct bench *bench)
{
	uint64_t hpa = 0;

	for (uint64_t i = 0; i < PAGES_1G; i++) {
		uint64_t page = (bench->order[i] ^ (hpa >> 12)) % PAGES_1G;

		if (!FLOORS->translate(bench, page * PAGE, &hpa))
			__builtin_trap();
	}
	bench->sink += hpa;
	return PAGES_1G;
}

static void drop_tables(struct bench *bench)
{
	FLOORS->drop(bench, false);
}

/* clang-format off */
#define SEQUENTIAL {lazy_in_sequence, fault_first, unmap}, {order_in_sequence, floor_fault, drop_frames}
#define RANDOM     {lazy_at_random, fault_first, unmap}, {order_at_random, floor_fault, drop_frames}
#define SPURIOUS   {faulted_at_random, fault_again, unmap}, \
		   {floor_faulted_at_random, floor_touch, drop_frames}
#define TRANSLATE  {linear_pages, translate_pages, unmap_all}, \
		   {floor_pages_and_records, floor_walk_and_find, drop_tables}

static const struct workload list[] = {
	{"fault in sequence", "fault", ZEROED, 2.6, 0, SEQUENTIAL, NULL},
	{"fault at random", "fault", ZEROED, 2.2, 0, RANDOM, NULL},
	{"fault in sequence, lock", "fault", ZEROED | WITH_LOCK, 1.6, 0, SEQUENTIAL, NULL},
	{"fault at random, lock", "fault", ZEROED | WITH_LOCK, 1.6, 0, RANDOM, NULL},
	{"fault at random, 1,000 regions", "fault", ZEROED | MANY_REGIONS, 0, 0, RANDOM, NULL},
	{"fault at random, callback", "fault", ZEROED | WITH_CALLBACK, 0, 0, RANDOM, NULL},
	{"fault at random, absent cached", "fault", ZEROED | ABSENT_CACHED, 0, 0, RANDOM, NULL},
	{"fault at random, zeroed by the library", "fault", 0, 0, 0, RANDOM, NULL},
	/* Out of the way of faults for pages: two calls more and registers saved, 13 ns beside the 100 us that
	 * zeroing takes where frames do not come zeroed. */
	{"fault for 2 MiB at random", "fault", ZEROED | WITH_LOCK, 3.5, 0,
	 {lazy_large, fault_large, unmap_large}, {order_large, floor_fault_large, drop_frames}, NULL},
	{"second fault", "fault", ZEROED, 2.4, 0, SPURIOUS, NULL},
	{"second fault, lock", "fault", ZEROED | WITH_LOCK, 1.6, 0, SPURIOUS, NULL},
	{"walk 4 KiB pages at random", "call", 0, 2.0, 0,
	 {linear_pages, walk_pages, unmap_all}, {floor_pages, floor_walk_pages, drop_tables}, NULL},
	{"walk 2 MiB leaves at random", "call", 0, 2.2, 0,
	 {linear_large, walk_large, unmap_all}, {floor_large, floor_walk_large, drop_tables}, NULL},
	{"walk 4 KiB pages at random, callback", "call", WITH_CALLBACK, 0, 0,
	 {linear_pages, walk_pages, unmap_all}, {floor_pages, floor_walk_pages, drop_tables}, NULL},
	{"walk 4 KiB pages at random, lock", "call", WITH_LOCK, 0, 0,
	 {linear_pages, walk_pages, unmap_all}, {floor_pages, floor_walk_pages, drop_tables}, NULL},
	{"translate at random, one region", "call", 0, 2.4, 0, TRANSLATE, NULL},
	{"translate at random, 1,000 regions", "call", MANY_REGIONS, 2.4, 0, TRANSLATE, NULL},
	{"walk, each depending on the last", "call", 0, 1.25, 0,
	 {linear_pages, walk_dependent, unmap_all}, {floor_pages, floor_dependent, drop_tables}, NULL},
	{"move a page to another frame", "page", ZEROED, 0, PAGES_1G,
	 {faulted_at_random, move_all, unmap}, {floor_faulted_at_random, floor_move, drop_frames}, NULL},
};
/* clang-format on */

const struct workload_list workloads_pages = {list, sizeof(list) / sizeof(list[0])};
