/* SPDX-License-Identifier: MIT */
/* Which TLB and cache instructions stage 2 needs, and their operands. Instructions are in cpu.c. */
#ifndef ADDRSPACE_SRC_ARCH_AARCH64_STAGE2_TLB_H
#define ADDRSPACE_SRC_ARCH_AARCH64_STAGE2_TLB_H

#include "frames.h"
#include "invalidation.h"

#include <addrspace/addrspace.h>

/*
 * Operand of TLBI RIPAS2E1IS (Arm ARM C5.5, "TLBI RIPAS2E1IS"; D8.14, range instructions), for
 * (NUM + 1) << (5 * SCALE + 1) pages from BaseADDR on:
 *
 *	47:46 TG = 1: 4 KiB | 45:44 SCALE | 43:39 NUM | 38:37 TTL = 0: any level | 36:0 BaseADDR >> 12
 */
#define TLBI_TG_4K       (UINT64_C(1) << 46)
#define TLBI_SCALE_SHIFT 44
#define TLBI_NUM_SHIFT   39
#define TLBI_NUM_BITS    5
#define TLBI_SCALES      4
/** Pages that a number of ranges, one of each SCALE, and one single page can make up: fewer than. */
#define TLBI_RANGE_LIMIT (UINT64_C(1) << (1 + TLBI_SCALES * TLBI_NUM_BITS))

enum stage2_tlbi {
	STAGE2_TLBI_DONE,
	STAGE2_TLBI_IPA,   /* IPAS2E1: the leaf that holds a page, whatever its size */
	STAGE2_TLBI_RANGE, /* RIPAS2E1 */
};

/** What is left to do of a range. */
struct stage2_tlbi_list {
	uint64_t gpa;
	uint64_t steps; /* of size */
	uint64_t size;  /* bytes */
	bool ranges;    /* a step is a page: the list may use ranges */
};

/** True if the whole VMID goes: entries above the leaves changed, or by address would take longer. */
static inline bool stage2_tlbi_all(uint32_t cpu_features,
				   const struct addrspace_invalidation *invalidation)
{
	uint64_t steps = invalidation_steps(invalidation);

	if (cpu_features & ADDRSPACE_CPU_TLBI_RANGE)
		return invalidation->tables_changed ||
		       steps >= TLBI_RANGE_LIMIT / (invalidation->stride >> PAGE_SHIFT);
	return invalidation->tables_changed || steps > INVALIDATION_MOST_STEPS;
}

static inline struct stage2_tlbi_list
stage2_tlbi_start(uint32_t cpu_features, const struct addrspace_invalidation *invalidation)
{
	struct stage2_tlbi_list list = {
		.gpa = invalidation_start(invalidation),
		.steps = invalidation_steps(invalidation),
		.size = invalidation->stride,
	};

	/* One leaf of any size is one operation. */
	if (cpu_features & ADDRSPACE_CPU_TLBI_RANGE && list.steps > 1) {
		list.steps *= list.size >> PAGE_SHIFT;
		list.size = ADDRSPACE_PAGE_SIZE;
		list.ranges = true;
	}
	return list;
}

/** The next operation: the steps' lowest bit is a single one, each five bits above it a range. */
static inline enum stage2_tlbi stage2_tlbi_next(struct stage2_tlbi_list *list, uint64_t *operand)
{
	uint64_t page = list->gpa >> PAGE_SHIFT;

	if (!list->steps)
		return STAGE2_TLBI_DONE;
	if (!list->ranges || list->steps & 1) {
		*operand = page;
		list->gpa += list->size;
		list->steps--;
		return STAGE2_TLBI_IPA;
	}
	for (unsigned scale = 0;; scale++) {
		unsigned shift = 1 + scale * TLBI_NUM_BITS;
		uint64_t count = list->steps >> shift & ((1 << TLBI_NUM_BITS) - 1);

		if (!count)
			continue;
		*operand = TLBI_TG_4K | (uint64_t)scale << TLBI_SCALE_SHIFT |
			   (count - 1) << TLBI_NUM_SHIFT | page;
		list->gpa += count << shift << PAGE_SHIFT;
		list->steps -= count << shift;
		return STAGE2_TLBI_RANGE;
	}
}

/* HCR_EL2: with both, what is said of EL1&0 from EL2 means EL2&0 (Arm ARM D8.14, TLBI; C5.4, AT). */
#define HCR_TGE (UINT64_C(1) << 27)
#define HCR_E2H (UINT64_C(1) << 34)

/** HCR_EL2 with which TLBI and AT reach the guest's regime. */
static inline uint64_t stage2_guest_hcr(uint64_t hcr_el2)
{
	return (hcr_el2 & (HCR_E2H | HCR_TGE)) == (HCR_E2H | HCR_TGE) ? hcr_el2 & ~HCR_TGE
								      : hcr_el2;
}

/* CTR_EL0 (Arm ARM D24.2): line sizes as a power of two of words. */

/** Bytes of the smallest data cache line. */
static inline uint64_t data_line_size(uint64_t ctr_el0)
{
	return UINT64_C(4) << (ctr_el0 >> 16 & 0xf);
}

/** Bytes of the smallest instruction cache line. */
static inline uint64_t instruction_line_size(uint64_t ctr_el0)
{
	return UINT64_C(4) << (ctr_el0 & 0xf);
}

enum instruction_work {
	INSTRUCTION_COHERENT, /* DIC: nothing to do */
	INSTRUCTION_LINES,
	INSTRUCTION_ALL,
};

/**
 * What makes instruction fetches see new contents of size bytes. By line only where the cache is
 * physically indexed and tagged (L1Ip 3): elsewhere the guest's address may lead to other lines than
 * ours (Arm ARM D7.5).
 */
static inline enum instruction_work instruction_work(uint64_t ctr_el0, uint64_t size)
{
	if (ctr_el0 >> 29 & 1)
		return INSTRUCTION_COHERENT;
	if ((ctr_el0 >> 14 & 3) != 3 ||
	    size / instruction_line_size(ctr_el0) > INVALIDATION_MOST_STEPS)
		return INSTRUCTION_ALL;
	return INSTRUCTION_LINES;
}

#endif
