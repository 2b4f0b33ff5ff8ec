/* SPDX-License-Identifier: MIT */
/* Spaces to measure, and the hooks they get. */
#define _DEFAULT_SOURCE
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROOT_SLOTS 2048u

const struct addrspace_attributes bench_rwx = {
	.permissions = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE,
};
const struct addrspace_attributes bench_ro = {.permissions = ADDRSPACE_READ};

void bench_check(bool condition, const char *text)
{
	if (condition)
		return;
	fprintf(stderr, "bench: not true: %s\n", text);
	exit(2);
}

static void lock_shared(void *ctx)
{
	struct bench_space *space = ctx;

	addrspace_rwlock_lock_shared(&space->lock, bench_cpu);
}

static void unlock_shared(void *ctx)
{
	struct bench_space *space = ctx;

	addrspace_rwlock_unlock_shared(&space->lock, bench_cpu);
}

static void lock_exclusive(void *ctx)
{
	struct bench_space *space = ctx;

	addrspace_rwlock_lock_exclusive(&space->lock);
}

static void unlock_exclusive(void *ctx)
{
	struct bench_space *space = ctx;

	addrspace_rwlock_unlock_exclusive(&space->lock);
}

static void invalidate(void *ctx, const struct addrspace_invalidation *invalidation)
{
	struct bench_space *space = ctx;

	if (invalidation->scope == ADDRSPACE_ALL_CPUS)
		space->invalidations++;
}

static bool counted_allocate(void *ctx, const struct addrspace_frame_request *request,
			     struct addrspace_frame *frame)
{
	struct bench_space *space = ctx;

	space->frames_out[request->kind] += UINT64_C(1) << request->order;
	return arena_allocate(ctx, request, frame);
}

static void counted_free(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	struct bench_space *space = ctx;

	space->frames_out[request->kind] -= UINT64_C(1) << request->order;
	arena_free(ctx, request, hpa);
}

static void set_handler(struct bench *bench)
{
	bench->handler = (struct paging_handler){
		.allocate = arena_allocate,
		.free = arena_free,
		.direct_map_offset = arena_direct_map_offset(),
		.invalidate = invalidate,
	};
	if (bench->variant & COUNTED) {
		bench->handler.allocate = counted_allocate;
		bench->handler.free = counted_free;
	}
	if (bench->variant & WITH_CALLBACK)
		bench->handler.physical_to_virtual = arena_physical_to_virtual;
	if (bench->variant & WITH_LOCK) {
		bench->handler.lock_shared = lock_shared;
		bench->handler.unlock_shared = unlock_shared;
		bench->handler.lock_exclusive = lock_exclusive;
		bench->handler.unlock_exclusive = unlock_exclusive;
	}
}

static void open_space(struct bench *bench, struct bench_space *space)
{
	uint32_t features = bench->format->cpu_features;
	const struct addrspace_config config = {
		.format = bench->format->format,
		.handler = &bench->handler,
		.handler_ctx = space,
		.gpa_bits = bench->format->gpa_bits,
		.levels = bench->format->levels,
		.cpu.features = bench->variant & ABSENT_CACHED
					? features & ~bench->format->absent_feature
					: features,
		.cpu.host_bits = 48,
	};

	addrspace_rwlock_init(&space->lock, space->lock_cpus, ARENA_CPUS);
	memset(space->frames_out, 0, sizeof(space->frames_out));
	bench_require(!addrspace_init(&space->as, &config));
	space->invalidations = 0;
}

void bench_open(struct bench *bench)
{
	arena_reset();
	arena_declare_zeroed(bench->variant & ZEROED);
	set_handler(bench);
	open_space(bench, &bench->space);
	if (!(bench->variant & MANY_REGIONS))
		return;
	for (uint64_t i = 0; i < BENCH_MANY; i++)
		bench_require(!addrspace_map_alloc(&bench->space.as, TIB + bench_region_gpa(i),
						   PAGE, &bench_rwx, 0));
}

void bench_close(struct bench *bench)
{
	addrspace_destroy(&bench->space.as);
	bench_require(arena_used() == 0);
}

void bench_open_other(struct bench *bench)
{
	open_space(bench, &bench->other);
}

void bench_close_other(struct bench *bench)
{
	addrspace_destroy(&bench->other.as);
}

uint64_t bench_region_gpa(uint64_t number)
{
	/* Every 4 MiB, give or take: gaps differ. The first one is where the pages are. */
	return number * 4 * MIB + (number * UINT64_C(0x9e3779b97f4a7c15) >> 40) % 509 * PAGE;
}

uint64_t bench_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void bench_shuffle(struct bench *bench, uint64_t count)
{
	uint64_t state = 88172645463325252u;

	bench_require(count <= BENCH_ORDER);
	for (uint64_t i = 0; i < count; i++)
		bench->order[i] = i;
	for (uint64_t i = count; i > 1; i--) {
		uint64_t other = bench_random(&state) % i;
		uint64_t swap = bench->order[i - 1];

		bench->order[i - 1] = bench->order[other];
		bench->order[other] = swap;
	}
}

/** In large pages where the host has them, as a hypervisor's own memory is. */
static void *reserve(uint64_t size)
{
	const uint64_t large = 2 * MIB;
	void *memory = aligned_alloc(large, (size + large - 1) & ~(large - 1));

	bench_require(memory != NULL);
	madvise(memory, size, MADV_HUGEPAGE);
	memset(memory, 0, size);
	return memory;
}

void bench_create(struct bench *bench, uint64_t arena_size)
{
	arena_create(arena_size);
	bench->floor_root = reserve(ROOT_SLOTS * sizeof(uint64_t));
	bench->order = reserve(BENCH_ORDER * sizeof(*bench->order));
	bench->records = reserve(BENCH_ORDER * sizeof(*bench->records));
}
