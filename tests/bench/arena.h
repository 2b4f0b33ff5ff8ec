/* SPDX-License-Identifier: MIT */
/* Host memory in 4 KiB frames, touched beforehand, with an O(1) free list that is kept outside of the
 * frames: giving or taking a frame never reads or writes the frame itself. */
#ifndef BENCH_ARENA_H
#define BENCH_ARENA_H

#include <addrspace/addrspace.h>

#define ARENA_HPA  (UINT64_C(1) << 30)
#define ARENA_CPUS 2

/** What one CPU takes from and gives back to: no two CPUs share a line of it. */
struct arena_list {
	_Alignas(128) uint32_t *stack; /* indices of free frames */
	uint32_t count;
	uint32_t first; /* the frames that are this list's own */
	uint32_t frames;
};

struct arena {
	unsigned char *base; /* of the frame at ARENA_HPA */
	uint64_t size;
	struct arena_list lists[ARENA_CPUS];
	uint32_t first_root;
	uint32_t roots;    /* frames of roots that are out */
	bool guest_zeroed; /* guest frames are declared zeroed */
};

/** The CPU that this thread plays. */
extern _Thread_local unsigned bench_cpu;

void arena_create(struct arena *arena, uint64_t size);
void arena_destroy(struct arena *arena);
/** All frames free, to be given out in ascending order; ends the program if one is still out. */
void arena_reset(struct arena *arena);
/** Frames that are out. */
uint64_t arena_used(const struct arena *arena);

static inline void *arena_pointer(const struct arena *arena, uint64_t hpa)
{
	return arena->base + (hpa - ARENA_HPA);
}

/* The hooks: ctx begins with a struct arena. */
bool arena_allocate(void *ctx, const struct addrspace_frame_request *request,
		    struct addrspace_frame *frame);
void arena_free(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa);
void *arena_physical_to_virtual(void *ctx, uint64_t hpa);

#endif
