/* SPDX-License-Identifier: MIT */
/* How a range is taken apart into invalidations of single leaves, and when that is not worth it. */
#ifndef ADDRSPACE_SRC_INVALIDATION_H
#define ADDRSPACE_SRC_INVALIDATION_H

#include <addrspace/paging_handler.h>

/**
 * Most invalidations by address for one range; beyond that everything of the guest goes at once. As
 * many as one table has entries: a CPU's TLB holds a small multiple of that, so filling it again
 * costs no more than the single invalidations would, and those are made with the space locked. Linux
 * draws the same line on both architectures (MAX_DVM_OPS; PTRS_PER_PTE in its RISC-V KVM).
 */
#define INVALIDATION_MOST_STEPS 512

/** First byte of the leaf that the range begins in. */
static inline uint64_t invalidation_start(const struct addrspace_invalidation *invalidation)
{
	return invalidation->gpa & ~(invalidation->stride - 1);
}

/** Leaf-sized steps from there until the range is covered. */
static inline uint64_t invalidation_steps(const struct addrspace_invalidation *invalidation)
{
	uint64_t start = invalidation_start(invalidation);
	uint64_t size = invalidation->gpa - start + invalidation->size;

	return size / invalidation->stride + (size % invalidation->stride != 0);
}

#endif
