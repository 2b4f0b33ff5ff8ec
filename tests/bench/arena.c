/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#include "arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ADDRSPACE_PAGE_SIZE
/* Kept apart for roots, whose runs are longer than a frame. */
#define ROOT_FRAMES 64u
/* Runs of 2 MiB for guests, behind all frames: addresses, which nobody touches. */
#define RUN_FRAMES 512u
#define RUNS       8192u

/** What one CPU takes from and gives back to: no two CPUs share a line of it. */
struct arena_list {
	_Alignas(128) uint32_t *stack; /* indices of free frames */
	uint32_t count;
	uint32_t first; /* the frames that are this list's own */
	uint32_t frames;
};

static struct {
	unsigned char *base; /* of the frame at ARENA_HPA */
	uint64_t size;
	uint32_t first_root;
	uint32_t roots; /* frames of roots that are out */
	uint32_t runs;  /* that are free */
	uint32_t run_stack[RUNS];
	enum addrspace_frame_contents guest_contents;
	struct arena_list lists[ARENA_CPUS];
} arena;

_Thread_local unsigned bench_cpu;

static void *map_memory(uint64_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("bench: memory");
		exit(2);
	}
	return memory;
}

static uint64_t run_hpa(uint32_t run)
{
	const uint64_t size = RUN_FRAMES * PAGE;

	return ((ARENA_HPA + arena.size + size - 1) & ~(size - 1)) + run * size;
}

void arena_create(uint64_t size)
{
	const uint64_t alignment = UINT64_C(1) << 21;
	uint32_t each = (uint32_t)((size / PAGE - ROOT_FRAMES) / ARENA_CPUS);
	uintptr_t memory = (uintptr_t)map_memory(size + 2 * alignment + RUNS * alignment);

	arena.base = (unsigned char *)((memory + alignment - 1) & ~(alignment - 1));
	arena.size = size;
	arena.first_root = each * ARENA_CPUS;
	madvise(arena.base, size, MADV_HUGEPAGE);
	memset(arena.base, 0, size);
	for (unsigned i = 0; i < ARENA_CPUS; i++) {
		struct arena_list *list = &arena.lists[i];

		/* Either may get all of them back. */
		list->stack = map_memory(arena.first_root * sizeof(*list->stack));
		list->first = i * each;
		list->frames = each;
		list->count = each;
	}
	arena.runs = RUNS;
	arena_reset();
}

void arena_destroy(void)
{
	for (unsigned i = 0; i < ARENA_CPUS; i++)
		munmap(arena.lists[i].stack, arena.first_root * sizeof(*arena.lists[i].stack));
	munmap(arena.base, run_hpa(RUNS) - ARENA_HPA);
}

uint64_t arena_used(void)
{
	uint64_t used = arena.roots + arena.first_root + (RUNS - arena.runs) * RUN_FRAMES;

	for (unsigned i = 0; i < ARENA_CPUS; i++)
		used -= arena.lists[i].count;
	return used;
}

void arena_reset(void)
{
	if (arena_used()) {
		fprintf(stderr, "bench: %lu frames have not come back\n", arena_used());
		exit(2);
	}
	for (unsigned cpu = 0; cpu < ARENA_CPUS; cpu++) {
		struct arena_list *list = &arena.lists[cpu];

		list->count = list->frames;
		for (uint32_t i = 0; i < list->frames; i++)
			list->stack[i] = list->first + list->frames - 1 - i;
	}
	for (arena.runs = 0; arena.runs < RUNS; arena.runs++)
		arena.run_stack[arena.runs] = RUNS - 1 - arena.runs;
}

void arena_declare_zeroed(bool zeroed)
{
	arena.guest_contents = zeroed ? ADDRSPACE_FRAME_ZEROED : ADDRSPACE_FRAME_DIRTY;
}

uint64_t arena_direct_map_offset(void)
{
	return (uintptr_t)arena.base - ARENA_HPA;
}

static bool allocate_run(struct addrspace_frame *frame)
{
	if (!arena.runs)
		return false;
	frame->hpa = run_hpa(arena.run_stack[--arena.runs]);
	frame->contents = ADDRSPACE_FRAME_ZEROED;
	return true;
}

static bool allocate_root(unsigned order, uint64_t *hpa)
{
	uint32_t run = 1u << order;
	uint32_t first = (arena.first_root + arena.roots + run - 1) & ~(run - 1);

	if (first + run > arena.first_root + ROOT_FRAMES)
		return false;
	arena.roots += run;
	*hpa = ARENA_HPA + (uint64_t)first * PAGE;
	return true;
}

bool arena_allocate(void *ctx, const struct addrspace_frame_request *request,
		    struct addrspace_frame *frame)
{
	struct arena_list *list = &arena.lists[bench_cpu];

	(void)ctx;
	if (request->kind == ADDRSPACE_FRAME_ROOT)
		return allocate_root(request->order, &frame->hpa);
	if (request->order)
		return allocate_run(frame);
	if (!list->count)
		return false;
	frame->hpa = ARENA_HPA + (uint64_t)list->stack[--list->count] * PAGE;
	if (request->kind == ADDRSPACE_FRAME_GUEST)
		frame->contents = arena.guest_contents;
	return true;
}

void arena_free(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	struct arena_list *list = &arena.lists[bench_cpu];

	(void)ctx;
	if (request->kind == ADDRSPACE_FRAME_ROOT)
		arena.roots -= 1u << request->order;
	else if (request->order)
		arena.run_stack[arena.runs++] =
			(uint32_t)((hpa - run_hpa(0)) / (RUN_FRAMES * PAGE));
	else
		list->stack[list->count++] = (uint32_t)((hpa - ARENA_HPA) / PAGE);
}

void *arena_physical_to_virtual(void *ctx, uint64_t hpa)
{
	(void)ctx;
	return arena.base + (hpa - ARENA_HPA);
}
