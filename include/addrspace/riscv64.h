/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_RISCV64_H
#define ADDRSPACE_RISCV64_H

#include <addrspace/addrspace.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * RISC-V G-stage: Sv39x4 (levels 3, gpa_bits up to 41), Sv48x4 (levels 4, up to 50), Sv57x4 (levels
 * 5, up to 59); gpa_bits at least 32 (RISC-V Privileged, "Guest Physical Address Translation").
 * Refuses write without read. Non-cacheable needs SVPBMT; write-through does not exist. Knows
 * LEAF_2M, LEAF_1G, HARDWARE_AD, SVPBMT, SVVPTC.
 */
extern const struct addrspace_format addrspace_gstage;

struct addrspace_gstage_registers {
	uint64_t hgatp; /**< MODE, VMID, PPN of the 16 KiB root. */
};

/**
 * Computes the register value for the space's root. Constant from init to destroy. Writing another
 * MODE needs HFENCE.GVMA with rs1 = x0 and rs2 = x0.
 * @return 0; ADDRSPACE_EINVAL a null pointer or a space of another format; ADDRSPACE_ERANGE a VMID
 * wider than 14 bits.
 */
int addrspace_gstage_registers(const struct addrspace *as, unsigned vmid,
			       struct addrspace_gstage_registers *registers);

#ifdef __cplusplus
}
#endif
#endif
