/* SPDX-License-Identifier: MIT */
#include <addrspace/x86_64.h>

#include "format_facts.h"

#define PAT_FIELDS   8
#define ADDRESS_BITS UINT64_C(0x000ffffffffff000)

/** EPT (Intel SDM 3C, 29.3.3.1: what is misconfigured; 29.3.5: accessed and dirty flags make walks write;
 * 29.3.7: memory types). */
static struct format_facts ept_facts(const struct addrspace_config *config)
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
		.address_bits = ADDRESS_BITS,
		.walks_write = config->cpu.features & ADDRSPACE_CPU_HARDWARE_AD,
		.tells_cause = true,
	};
}

/** The library's types that the PAT has: 6 WB, 1 WC, 0 UC, 4 WT (AMD APM 2, 7.8.2). */
static uint8_t types_of_pat(uint64_t pat)
{
	unsigned types = 0;

	for (unsigned i = 0; i < PAT_FIELDS; i++) {
		unsigned field = pat >> 8 * i & 0xff;

		types |= field == 6 ? 1u << ADDRSPACE_WRITE_BACK : 0;
		types |= field == 1 ? 1u << ADDRSPACE_NON_CACHEABLE : 0;
		types |= field == 0 ? 1u << ADDRSPACE_DEVICE : 0;
		types |= field == 4 ? 1u << ADDRSPACE_WRITE_THROUGH : 0;
	}
	return (uint8_t)types;
}

/** NPT (AMD APM 2, 5.4.1: what is present can be read; 15.25.5: walks write; 15.25.8: memory types). */
static struct format_facts npt_facts(const struct addrspace_config *config)
{
	return (struct format_facts){
		.refused_permissions = PERMISSION_SET(ADDRSPACE_WRITE) |
				       PERMISSION_SET(ADDRSPACE_EXECUTE) |
				       PERMISSION_SET(ADDRSPACE_WRITE | ADDRSPACE_EXECUTE),
		.memory_types = types_of_pat(config->host_pat),
		.nameable_bits = (uint8_t)config->cpu.host_bits,
		.address_bits = ADDRESS_BITS,
		.walks_write = true,
		.tells_cause = true,
	};
}

struct format_facts format_facts(const struct addrspace_config *config)
{
	return config->format == &addrspace_npt ? npt_facts(config) : ept_facts(config);
}
