/* SPDX-License-Identifier: MIT */
/* Stage 2 (Arm ARM D8.4.1 S2AP, D8.4.2 XN, D8.5.5 and D8.5.6 MemAttr without and with FWB). */
#include "format_facts.h"

struct format_facts format_facts(const struct addrspace_config *config)
{
	bool fwb = config->cpu.features & ADDRSPACE_CPU_FWB;

	return (struct format_facts){
		/* Write-only is an S2AP; execution is granted only where reads are. */
		.refused_permissions = PERMISSION_SET(ADDRSPACE_EXECUTE) |
				       PERMISSION_SET(ADDRSPACE_WRITE | ADDRSPACE_EXECUTE),
		.memory_types = 1 << ADDRSPACE_WRITE_BACK | 1 << ADDRSPACE_NON_CACHEABLE |
				1 << ADDRSPACE_DEVICE | (fwb ? 0 : 1 << ADDRSPACE_WRITE_THROUGH),
		.nameable_bits = config->cpu.host_bits < 48 ? (uint8_t)config->cpu.host_bits : 48,
		.address_bits = UINT64_C(0x0000fffffffff000),
		.tells_cause = true,
	};
}
