/* SPDX-License-Identifier: MIT */
/* Arm stage 2: geometry, what it refuses, and its root registers (Arm ARM D8.2, D24.2.181,
 * D24.2.184). */
#include "stage2_format.h"

#define ENTRY_FORMAT stage2_entry_format
#include "walker.h"

#ifndef __OPTIMIZE_SIZE__
WALKER_FOR(2, 2);
WALKER_FOR(3, 3);
WALKER_FOR(4, 4);
#endif

#include <addrspace/aarch64.h>

#define MAX_CONCATENATION_ORDER 4

#define VTCR_RES1     (UINT64_C(1) << 31)
#define VTCR_HD       (UINT64_C(1) << 22)
#define VTCR_HA       (UINT64_C(1) << 21)
#define VTCR_VS       (UINT64_C(1) << 19)
#define VTCR_PS_SHIFT 16
#define VTCR_INNER_WBWA                                                                            \
	(UINT64_C(3) << 12 | UINT64_C(1) << 10 | UINT64_C(1) << 8) /* SH0, ORGN0, IRGN0 */
#define VTCR_SL0_SHIFT   6
#define VTTBR_VMID_SHIFT 48
#define HCR_VM           (UINT64_C(1) << 0)
#define HCR_FWB          (UINT64_C(1) << 46)

/** ID_AA64MMFR0_EL1.PARange of a width, or -1. 52 bits without LPA2 count as 48. */
static int pa_range(unsigned host_bits)
{
	static const uint8_t widths[] = {32, 36, 40, 42, 44, 48, 52};

	for (unsigned i = 0; i < sizeof(widths); i++) {
		if (widths[i] == host_bits)
			return host_bits == 52 ? 5 : (int)i;
	}
	return -1;
}

/** True if a root `levels` above the pages resolves gpa_bits with 1 to 13 bits, 4 of them by
 * concatenation. */
static bool levels_fit(unsigned levels, unsigned gpa_bits)
{
	unsigned below = PAGE_SHIFT + PAGE_TABLE_INDEX_BITS * (levels - 1);

	return gpa_bits > below &&
	       gpa_bits <= below + PAGE_TABLE_INDEX_BITS + MAX_CONCATENATION_ORDER;
}

static unsigned fewest_levels(unsigned gpa_bits)
{
	return levels_fit(2, gpa_bits) ? 2 : levels_fit(3, gpa_bits) ? 3 : 4;
}

static int stage2_set_geometry(struct addrspace *as, const struct addrspace_config *config)
{
	unsigned gpa_bits = config->gpa_bits;
	unsigned host_bits = config->cpu.host_bits > 48 ? 48 : config->cpu.host_bits;
	unsigned levels = config->levels ? config->levels : fewest_levels(gpa_bits);
	unsigned root_bits;

	if (pa_range(config->cpu.host_bits) < 0 || gpa_bits < 32 || gpa_bits > host_bits)
		return ADDRSPACE_ERANGE;
	if (levels < 2 || levels > 4 || !levels_fit(levels, gpa_bits))
		return ADDRSPACE_ERANGE;
	if (levels == 4 && host_bits <= 42)
		return ADDRSPACE_ERANGE;
	root_bits = gpa_bits - PAGE_SHIFT - PAGE_TABLE_INDEX_BITS * (levels - 1);
	as->levels = (uint8_t)levels;
	as->root_order =
		(uint8_t)(root_bits > PAGE_TABLE_INDEX_BITS ? root_bits - PAGE_TABLE_INDEX_BITS
							    : 0);
	as->host_bits = (uint8_t)host_bits;
	as->absent_cached = false;
	return 0;
}

/** Execution is granted only where reads are (Arm ARM D8.4.3, stage 2 base permissions). */
static int stage2_check_attributes(const struct addrspace *as, unsigned permissions,
				   enum addrspace_memory_type memory_type)
{
	if (permissions & ADDRSPACE_EXECUTE && !(permissions & ADDRSPACE_READ))
		return ADDRSPACE_ENOTSUP;
	if (memory_type == ADDRSPACE_WRITE_THROUGH && as->cpu_features & ADDRSPACE_CPU_FWB)
		return ADDRSPACE_ENOTSUP;
	return 0;
}

const struct addrspace_format addrspace_stage2 = {
	.name = "stage 2",
	.cpu_features = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G | ADDRSPACE_CPU_HARDWARE_AD |
			ADDRSPACE_CPU_FWB | ADDRSPACE_CPU_VMID16 | ADDRSPACE_CPU_TLBI_RANGE,
	.set_geometry = stage2_set_geometry,
	.check_attributes = stage2_check_attributes,
	.walkers = {&walker_any, [2] = &walker_2, [3] = &walker_3, [4] = &walker_4},
	WALKER_OPERATIONS,
};

static uint64_t vtcr_el2(const struct addrspace *as)
{
	uint64_t start = as->levels - 2u; /* SL0 0, 1, 2: Arm level 2, 1, 0 */
	uint64_t vtcr = VTCR_RES1 | VTCR_INNER_WBWA | start << VTCR_SL0_SHIFT |
			(64u - as->gpa_bits) |
			(uint64_t)(unsigned)pa_range(as->host_bits) << VTCR_PS_SHIFT;

	if (as->cpu_features & ADDRSPACE_CPU_VMID16)
		vtcr |= VTCR_VS;
	if (as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD)
		vtcr |= VTCR_HA | VTCR_HD;
	return vtcr;
}

int addrspace_stage2_registers(const struct addrspace *as, unsigned vmid,
			       struct addrspace_stage2_registers *registers)
{
	if (!as || !registers || as->format != &addrspace_stage2)
		return ADDRSPACE_EINVAL;
	if (vmid >> (as->cpu_features & ADDRSPACE_CPU_VMID16 ? 16 : 8))
		return ADDRSPACE_ERANGE;
	registers->vtcr_el2 = vtcr_el2(as);
	registers->vttbr_el2 = (uint64_t)vmid << VTTBR_VMID_SHIFT | as->root_hpa;
	registers->hcr_el2 = HCR_VM | (as->cpu_features & ADDRSPACE_CPU_FWB ? HCR_FWB : 0);
	registers->hcr_el2_mask = HCR_VM | HCR_FWB;
	return 0;
}
