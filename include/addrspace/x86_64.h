/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_X86_64_H
#define ADDRSPACE_X86_64_H

#include <addrspace/addrspace.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Intel EPT (Intel SDM 3C, chapter 29.3). levels 4 with gpa_bits 32..48, or 5 with gpa_bits 32..57
 * (0: 4 up to 48 bits). Refuses write without read, and execute-only without
 * ADDRSPACE_CPU_EXECUTE_ONLY. Knows LEAF_2M, LEAF_1G, HARDWARE_AD, EXECUTE_ONLY,
 * INVEPT_SINGLE.
 */
extern const struct addrspace_format addrspace_ept;

struct addrspace_ept_registers {
	uint64_t eptp; /**< VMCS field 0x201a: write-back walks, levels - 1, A/D enable, root (SDM
			  3C, table 25-9). */
};

/**
 * Computes the register values for the space's root. Constant from init to destroy.
 * @return 0, or ADDRSPACE_EINVAL: a null pointer, or a space of another format.
 */
int addrspace_ept_registers(const struct addrspace *as, struct addrspace_ept_registers *registers);

#ifdef __cplusplus
}
#endif
#endif
