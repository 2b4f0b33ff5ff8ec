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

void frame_pool_init(void);
/** Takes a naturally aligned run, poisoned; false if there is none. */
bool frame_pool_take(const struct addrspace_frame_request *request, uint64_t *hpa);
/** Gives a run or a piece of one back; poisons it. */
void frame_pool_give(const struct addrspace_frame_request *request, uint64_t hpa);
struct frame_counts frame_pool_counts(void);
const char *frame_kind_name(enum addrspace_frame_kind kind);

#endif
