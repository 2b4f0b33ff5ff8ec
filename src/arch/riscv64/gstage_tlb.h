/* SPDX-License-Identifier: MIT */
/* Which fences the G-stage needs, and their operands. Instructions are in cpu.c. */
#ifndef ADDRSPACE_SRC_ARCH_RISCV64_GSTAGE_TLB_H
#define ADDRSPACE_SRC_ARCH_RISCV64_GSTAGE_TLB_H

#include "hgatp.h"
#include "invalidation.h"

/** True if the whole VMID is fenced: an address covers leaf entries only (RISC-V Privileged,
 * SFENCE.VMA and HFENCE.GVMA), or by address would take longer. */
static inline bool gstage_fence_all(const struct addrspace_invalidation *invalidation)
{
	return invalidation->tables_changed ||
	       invalidation_steps(invalidation) > INVALIDATION_MOST_STEPS;
}

/** rs1 of HFENCE.GVMA: guest-physical addresses come shifted right by 2. */
static inline uint64_t gstage_fence_operand(const struct addrspace_invalidation *invalidation,
					    uint64_t step)
{
	return (invalidation_start(invalidation) + step * invalidation->stride) >> 2;
}

/** What to write to find out whether hgatp takes this MODE, and which VMID bits exist. */
static inline uint64_t gstage_probe_value(uint64_t mode)
{
	uint64_t vmid = (UINT64_C(1) << HGATP_VMID_BITS) - 1;

	return mode << HGATP_MODE_SHIFT | vmid << HGATP_VMID_SHIFT;
}

#endif
