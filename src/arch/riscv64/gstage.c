/* SPDX-License-Identifier: MIT */
/* RISC-V G-stage: geometry, what it refuses, and its root register (RISC-V Privileged, hgatp and
 * two-stage translation). */
#include "gstage_format.h"
#include "hgatp.h"

#define ENTRY_FORMAT gstage_entry_format
#include "walker.h"

#ifndef __OPTIMIZE_SIZE__
WALKER_FOR(3, 3);
WALKER_FOR(4, 4);
WALKER_FOR(5, 5);
#endif

#include <addrspace/riscv64.h>

#define ROOT_ORDER 2 /* x4: 16 KiB, 16 KiB aligned */

static unsigned widest_gpa(unsigned levels)
{
	return PAGE_SHIFT + PAGE_TABLE_INDEX_BITS * levels + ROOT_ORDER;
}

static int gstage_set_geometry(struct addrspace *as, const struct addrspace_config *config)
{
	unsigned levels = config->levels;

	if (!levels)
		levels = config->gpa_bits <= widest_gpa(3)
				 ? 3
				 : (config->gpa_bits <= widest_gpa(4) ? 4 : 5);
	if (levels < 3 || levels > 5)
		return ADDRSPACE_ERANGE;
	if (config->gpa_bits < 32 || config->gpa_bits > widest_gpa(levels))
		return ADDRSPACE_ERANGE;
	as->levels = (uint8_t)levels;
	as->root_order = ROOT_ORDER;
	as->absent_cached = !(config->cpu.features & ADDRSPACE_CPU_SVVPTC);
	as->device_unmarked = !(config->cpu.features & ADDRSPACE_CPU_SVPBMT);
	return 0;
}

static int gstage_check_attributes(const struct addrspace *as, unsigned permissions,
				   enum addrspace_memory_type memory_type)
{
	bool svpbmt = as->cpu_features & ADDRSPACE_CPU_SVPBMT;

	if (permissions & ADDRSPACE_WRITE && !(permissions & ADDRSPACE_READ))
		return ADDRSPACE_ENOTSUP;
	if (memory_type == ADDRSPACE_WRITE_THROUGH)
		return ADDRSPACE_ENOTSUP;
	if (memory_type == ADDRSPACE_NON_CACHEABLE && !svpbmt)
		return ADDRSPACE_ENOTSUP;
	return 0;
}

const struct addrspace_format addrspace_gstage = {
	.name = "G-stage",
	.cpu_features = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G | ADDRSPACE_CPU_HARDWARE_AD |
			ADDRSPACE_CPU_SVPBMT | ADDRSPACE_CPU_SVVPTC,
	.set_geometry = gstage_set_geometry,
	.check_attributes = gstage_check_attributes,
	.walkers = {&walker_any, [3] = &walker_3, [4] = &walker_4, [5] = &walker_5},
	WALKER_OPERATIONS,
};

int addrspace_gstage_registers(const struct addrspace *as, unsigned vmid,
			       struct addrspace_gstage_registers *registers)
{
	uint64_t mode;

	if (!as || !registers || as->format != &addrspace_gstage)
		return ADDRSPACE_EINVAL;
	if (vmid >> HGATP_VMID_BITS)
		return ADDRSPACE_ERANGE;
	mode = HGATP_MODE_SV39X4 + (as->levels - 3u);
	registers->hgatp = mode << HGATP_MODE_SHIFT | (uint64_t)vmid << HGATP_VMID_SHIFT |
			   as->root_hpa >> PAGE_SHIFT;
	return 0;
}
