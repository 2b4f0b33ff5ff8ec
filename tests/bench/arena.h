/* SPDX-License-Identifier: MIT */
/* Host memory in 4 KiB frames, touched beforehand, with an O(1) free list for each CPU that is kept
 * outside of the frames: giving or taking a frame never reads or writes the frame itself. */
#ifndef BENCH_ARENA_H
#define BENCH_ARENA_H

#include <addrspace/addrspace.h>

#define ARENA_HPA  (UINT64_C(1) << 30)
#define ARENA_CPUS 2

/** The CPU that this thread plays: whose list it takes from and gives back to. */
extern _Thread_local unsigned bench_cpu;

void arena_create(uint64_t size);
void arena_destroy(void);
/** All frames free, to be given out in ascending order; ends the program if one is still out. */
void arena_reset(void);
/** Frames that are out. */
uint64_t arena_used(void);
/** Guest frames are declared zeroed from now on. */
void arena_declare_zeroed(bool zeroed);
/** What to add to an hpa to get its pointer. */
uint64_t arena_direct_map_offset(void);

/* The hooks. They do not look at ctx. */
bool arena_allocate(void *ctx, const struct addrspace_frame_request *request,
		    struct addrspace_frame *frame);
void arena_free(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa);
void *arena_physical_to_virtual(void *ctx, uint64_t hpa);

#endif
