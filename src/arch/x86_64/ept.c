/* SPDX-License-Identifier: MIT */
/* Intel EPT: geometry, what it refuses, and its root register (Intel SDM 3C, 29.3 and 25.6.11). */
#include "ept_format.h"

#define ENTRY_FORMAT ept_entry_format
#include "walker.h"

#include "levels.h"

#ifndef __OPTIMIZE_SIZE__
WALKER_FOR(4, 4);
WALKER_FOR(5, 5);
#endif

#include <addrspace/x86_64.h>

#define EPTP_WRITE_BACK   UINT64_C(6)
#define EPTP_LEVELS_SHIFT 3
#define EPTP_HARDWARE_AD  (UINT64_C(1) << 6)

static int ept_set_geometry(struct addrspace *as, const struct addrspace_config *config)
{
	as->absent_cached = false;
	return x86_set_levels(as, config);
}

static int ept_check_attributes(const struct addrspace *as, unsigned permissions,
				enum addrspace_memory_type memory_type)
{
	(void)memory_type;
	if (permissions & ADDRSPACE_WRITE && !(permissions & ADDRSPACE_READ))
		return ADDRSPACE_ENOTSUP;
	if (permissions == ADDRSPACE_EXECUTE && !(as->cpu_features & ADDRSPACE_CPU_EXECUTE_ONLY))
		return ADDRSPACE_ENOTSUP;
	return 0;
}

const struct addrspace_format addrspace_ept = {
	.name = "EPT",
	.cpu_features = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G | ADDRSPACE_CPU_HARDWARE_AD |
			ADDRSPACE_CPU_EXECUTE_ONLY | ADDRSPACE_CPU_INVEPT_SINGLE,
	.set_geometry = ept_set_geometry,
	.check_attributes = ept_check_attributes,
	.walkers = {&walker_any, [4] = &walker_4, [5] = &walker_5},
	WALKER_OPERATIONS,
};

int addrspace_ept_registers(const struct addrspace *as, struct addrspace_ept_registers *registers)
{
	if (!as || !registers || as->format != &addrspace_ept)
		return ADDRSPACE_EINVAL;
	registers->eptp =
		as->root_hpa | EPTP_WRITE_BACK | (uint64_t)(as->levels - 1u) << EPTP_LEVELS_SHIFT;
	if (as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD)
		registers->eptp |= EPTP_HARDWARE_AD;
	return 0;
}
