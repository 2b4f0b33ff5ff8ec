/* SPDX-License-Identifier: MIT */
/* Host memory in frames, with an owner for each: what the hypervisor's allocator would be. Every
 * misuse ends the machine with FAIL. */
#ifndef HYPERVISOR_FRAME_POOL_H
#define HYPERVISOR_FRAME_POOL_H

#include <addrspace/addrspace.h>

#define FRAME_KINDS 4

struct frame_counts {
	uint64_t of_kind[FRAME_KINDS];
	uint64_t total;
};

/** Where the frames are: aligned to the largest run that is to be had. The pool's own books are there too. */
struct frame_area {
	uint64_t hpa;
	uint64_t size;
	unsigned
		holes; /* of so many runs of 2 MiB all but one have a frame that is not to be had; 0: none */
	bool scattered; /* hands frames out in a random order instead of the lowest first */
};

/** Empties the pool and lets it have the machine's MACHINE_POOL_SIZE bytes, in order. */
void frame_pool_init(void);
void frame_pool_init_in(const struct frame_area *where);
/** Takes a naturally aligned run, poisoned; false if there is none. */
bool frame_pool_take(const struct addrspace_frame_request *request, uint64_t *hpa);
/** Gives a run or a piece of one back; poisons it. */
void frame_pool_give(const struct addrspace_frame_request *request, uint64_t hpa);
/** The frame is free, and nobody has written to it since it was given back. */
bool frame_pool_is_intact(uint64_t hpa);
struct frame_counts frame_pool_counts(void);
const char *frame_kind_name(enum addrspace_frame_kind kind);

#endif
