/* SPDX-License-Identifier: MIT */
/* EPT (Intel SDM 3C, 29.3.3.1: what is misconfigured; 29.3.5: accessed and
 * dirty flags make walks write; 29.3.7: memory types). */
#include "format_facts.h"

struct format_facts format_facts(const struct addrspace_config *config)
{
	bool execute_only = config->cpu.features & ADDRSPACE_CPU_EXECUTE_ONLY;

	return (struct format_facts){
		.refused_permissions =
			(uint8_t)(PERMISSION_SET(ADDRSPACE_WRITE) |
				  PERMISSION_SET(ADDRSPACE_WRITE | ADDRSPACE_EXECUTE) |
				  (execute_only ? 0 : PERMISSION_SET(ADDRSPACE_EXECUTE))),
		.memory_types = 1 << ADDRSPACE_WRITE_BACK | 1 << ADDRSPACE_NON_CACHEABLE |
				1 << ADDRSPACE_DEVICE | 1 << ADDRSPACE_WRITE_THROUGH,
		.nameable_bits = (uint8_t)config->cpu.host_bits,
		.address_bits = UINT64_C(0x000ffffffffff000),
		.walks_write = config->cpu.features & ADDRSPACE_CPU_HARDWARE_AD,
		.tells_cause = true,
	};
}
