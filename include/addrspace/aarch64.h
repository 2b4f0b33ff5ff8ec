/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_AARCH64_H
#define ADDRSPACE_AARCH64_H

#include <addrspace/addrspace.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Arm VMSAv8-64 stage 2 with the 4 KiB granule (Arm ARM D8.2, D8.3). gpa_bits is the IPA
 * width, 32..48, at most cpu.host_bits, which is PARange in bits: 32, 36, 40, 42, 44, 48 (52 counts
 * as 48: no LPA2). levels 4 starts at Arm level 0, 3 at level 1, 2 at level 2, each legal where the
 * start level resolves 1 to 13 bits (up to 16 concatenated tables); level 0 only above 42 bits of
 * cpu.host_bits. Refuses execute without read (Arm ARM D8.4: stage 2 grants execution only where it
 * grants reads); write-only is legal for data. Write-through needs FWB off. Knows LEAF_2M, LEAF_1G,
 * HARDWARE_AD, FWB, VMID16, TLBI_RANGE.
 */
extern const struct addrspace_format addrspace_stage2;

struct addrspace_stage2_registers {
	uint64_t vtcr_el2;  /**< All fields: RES1, PS, SH0, ORGN0, IRGN0, SL0, T0SZ, VS, HA, HD (Arm
			       ARM D24.2). */
	uint64_t vttbr_el2; /**< VMID and root. */
	uint64_t hcr_el2; /**< Bits of HCR_EL2 that must be set: VM, and FWB if it was promised. */
	uint64_t hcr_el2_mask; /**< Bits of HCR_EL2 that the tables rely on: those not in hcr_el2
				  must be clear. */
};

/**
 * Computes the register values for the space's root. Constant from init to destroy.
 * @return 0; ADDRSPACE_EINVAL a null pointer or a space of another format; ADDRSPACE_ERANGE a VMID
 * wider than 8 bits (16 with VMID16).
 */
int addrspace_stage2_registers(const struct addrspace *as, unsigned vmid,
			       struct addrspace_stage2_registers *registers);

#ifdef __cplusplus
}
#endif
#endif
