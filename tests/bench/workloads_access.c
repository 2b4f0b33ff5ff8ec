/* SPDX-License-Identifier: MIT */
/*
 * Guest memory, in pages with frames of their own, copied to and from a buffer that stays in the cache.
 * The floor is memcpy() of the same bytes by addresses that it knows.
 */
#include "bench.h"

#include <string.h>

#include <addrspace/access.h>

#define MEMORY (128 * MIB)
#define HOT    (256 * KIB) /* what stays in a cache of the second level, with the buffer */
#define BUFFER MIB
/* Bytes of a run: far more than the clock's grain. */
#define VOLUME MEMORY
#define CALLS  (UINT64_C(1) << 18)

static unsigned char buffer[BUFFER] __attribute__((aligned(4096)));
static unsigned char *floor_memory;

/* ---- what is there ---- */

/** The pieces of the memory in the order in which they are accessed. */
static void put_in_order(struct bench *bench, uint64_t pieces, bool at_random)
{
	if (at_random)
		bench_shuffle(bench, pieces);
	for (uint64_t i = 0; !at_random && i < pieces; i++)
		bench->order[i] = i;
}

static void populated(struct bench *bench, uint64_t size, uint64_t step, bool at_random)
{
	put_in_order(bench, size / step, at_random);
	bench_require(!addrspace_map_alloc(&bench->space.as, 0, size, &bench_rwx,
					   ADDRSPACE_MAP_POPULATE));
}

/** No page's frame lies beside that of the next one. */
static void scattered(struct bench *bench)
{
	bench_shuffle(bench, MEMORY / PAGE);
	bench_require(!addrspace_map_alloc(&bench->space.as, 0, MEMORY, &bench_rwx, 0));
	for (uint64_t i = 0; i < MEMORY / PAGE; i++)
		bench_require(addrspace_handle_fault(&bench->space.as, bench->order[i] * PAGE,
						     ADDRSPACE_READ, NULL) == 0);
	bench_shuffle(bench, MEMORY / MIB);
}

/** As many frames, which come in order. */
static void floor_frames(struct bench *bench, uint64_t size, uint64_t step, bool at_random)
{
	const struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST};
	struct addrspace_frame frame;
	uint64_t first = 0;

	put_in_order(bench, size / step, at_random);
	for (uint64_t i = 0; i < size / PAGE; i++) {
		bench_require(bench->handler.allocate(&bench->space, &request, &frame));
		first = i ? first : frame.hpa;
		bench_require(frame.hpa == first + i * PAGE);
	}
	floor_memory = (unsigned char *)(uintptr_t)(first + arena_direct_map_offset());
}

static void floor_give_back(struct bench *bench, uint64_t size)
{
	const struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST};
	uint64_t first = (uintptr_t)floor_memory - arena_direct_map_offset();

	for (uint64_t i = 0; i < size / PAGE; i++)
		bench->handler.free(&bench->space, &request, first + i * PAGE);
}

static void clear(struct bench *bench)
{
	addrspace_clear(&bench->space.as);
}

/* ---- what is done ---- */

/** 0, and the compiler does not know. */
static volatile uint64_t nothing;

/** Where the i-th access goes: the pieces of the memory in their order, again and again. As in a device
 * model, it depends on the last byte that was read before. */
static inline uint64_t place(const struct bench *bench, uint64_t i, uint64_t memory, uint64_t step,
			     uint64_t size)
{
	uint64_t seen = buffer[size - 1] & nothing;

	return bench->order[(i + seen) % (memory / step)] * step;
}

static inline uint64_t read_all(struct bench *bench, uint64_t memory, uint64_t step, uint64_t size,
				uint64_t count)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < count; i++)
		wrong += addrspace_read(&bench->space.as, place(bench, i, memory, step, size),
					buffer, size, 0, NULL) != 0;
	bench_require(!wrong);
	return count;
}

static inline uint64_t write_all(struct bench *bench, uint64_t memory, uint64_t step, uint64_t size,
				 uint64_t count)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < count; i++)
		wrong += addrspace_write(&bench->space.as, place(bench, i, memory, step, size),
					 buffer, size, 0, NULL) != 0;
	bench_require(!wrong);
	return count;
}

/** Calls of the C library's, as the library's are. */
static void *(*volatile copy)(void *to, const void *from, size_t size) = memcpy;

static inline uint64_t floor_read(struct bench *bench, uint64_t memory, uint64_t step,
				  uint64_t size, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		copy(buffer, floor_memory + place(bench, i, memory, step, size), size);
	return count;
}

static inline uint64_t floor_write(struct bench *bench, uint64_t memory, uint64_t step,
				   uint64_t size, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		copy(floor_memory + place(bench, i, memory, step, size), buffer, size);
	return count;
}

/** One kind of run: accesses of so many bytes, one at each step of the memory, so many times. */
#define ACCESS_RUN(name, memory, at_random, step, size, count)                                     \
	static void before_##name(struct bench *bench)                                             \
	{                                                                                          \
		populated(bench, memory, step, at_random);                                         \
	}                                                                                          \
	static void floor_before_##name(struct bench *bench)                                       \
	{                                                                                          \
		floor_frames(bench, memory, step, at_random);                                      \
	}                                                                                          \
	static void floor_after_##name(struct bench *bench)                                        \
	{                                                                                          \
		floor_give_back(bench, memory);                                                    \
	}                                                                                          \
	static uint64_t read_##name(struct bench *bench)                                           \
	{                                                                                          \
		return read_all(bench, memory, step, size, count);                                 \
	}                                                                                          \
	static uint64_t write_##name(struct bench *bench)                                          \
	{                                                                                          \
		return write_all(bench, memory, step, size, count);                                \
	}                                                                                          \
	static uint64_t floor_read_##name(struct bench *bench)                                     \
	{                                                                                          \
		return floor_read(bench, memory, step, size, count);                               \
	}                                                                                          \
	static uint64_t floor_write_##name(struct bench *bench)                                    \
	{                                                                                          \
		return floor_write(bench, memory, step, size, count);                              \
	}

ACCESS_RUN(64, MEMORY, true, PAGE, 64, CALLS)
ACCESS_RUN(4k, MEMORY, false, PAGE, PAGE, VOLUME / PAGE)
ACCESS_RUN(4k_random, MEMORY, true, PAGE, PAGE, VOLUME / PAGE)
ACCESS_RUN(4k_hot, HOT, true, PAGE, PAGE, VOLUME / PAGE)
ACCESS_RUN(1m, MEMORY, true, MIB, MIB, VOLUME / MIB)

/** As many bytes, from pages that the floor knows one by one. */
static void floor_before_scattered(struct bench *bench)
{
	floor_frames(bench, MEMORY, PAGE, true);
}

static uint64_t floor_read_scattered(struct bench *bench)
{
	for (uint64_t i = 0; i < VOLUME / PAGE; i++)
		copy(buffer + i * PAGE % MIB, floor_memory + bench->order[i] * PAGE, PAGE);
	return VOLUME / MIB;
}

static uint64_t floor_write_scattered(struct bench *bench)
{
	for (uint64_t i = 0; i < VOLUME / PAGE; i++)
		copy(floor_memory + bench->order[i] * PAGE, buffer + i * PAGE % MIB, PAGE);
	return VOLUME / MIB;
}

/* clang-format off */
#define READ(name)  {before_##name, read_##name, clear}, \
		    {floor_before_##name, floor_read_##name, floor_after_##name}
#define WRITE(name) {before_##name, write_##name, clear}, \
		    {floor_before_##name, floor_write_##name, floor_after_##name}

static const struct workload list[] = {
	{"guest read 64 B at random", "call", ZEROED, 1.4, 0, READ(64), NULL},
	{"guest write 64 B at random", "call", ZEROED, 2.2, 0, WRITE(64), NULL},
	{"guest read 4 KiB", "call", ZEROED, 1.2, 0, READ(4k), NULL},
	{"guest write 4 KiB", "call", ZEROED, 1.2, 0, WRITE(4k), NULL},
	{"guest read 4 KiB, lock, 1,000 regions", "call", ZEROED | WITH_LOCK | MANY_REGIONS, 1.2, 0, READ(4k), NULL},
	{"guest read 4 KiB at random", "call", ZEROED, 1.4, 0, READ(4k_random), NULL},
	{"guest write 4 KiB at random", "call", ZEROED, 1.3, 0, WRITE(4k_random), NULL},
	{"guest read 4 KiB, in the cache", "call", ZEROED, 1.4, 0, READ(4k_hot), NULL},
	{"guest write 4 KiB, in the cache", "call", ZEROED, 1.6, 0, WRITE(4k_hot), NULL},
	{"guest read 1 MiB", "call", ZEROED, 1.2, 0, READ(1m), NULL},
	{"guest write 1 MiB", "call", ZEROED, 1.2, 0, WRITE(1m), NULL},
	{"guest read 1 MiB, frames scattered", "call", ZEROED, 1.2, 0,
	 {scattered, read_1m, clear}, {floor_before_scattered, floor_read_scattered, floor_after_1m}, NULL},
	{"guest write 1 MiB, frames scattered", "call", ZEROED, 1.2, 0,
	 {scattered, write_1m, clear}, {floor_before_scattered, floor_write_scattered, floor_after_1m}, NULL},
	{"guest read 1 MiB, callback", "call", ZEROED | WITH_CALLBACK, 1.2, 0, READ(1m), NULL},
};
/* clang-format on */

const struct workload_list workloads_access = {list, sizeof(list) / sizeof(list[0])};
