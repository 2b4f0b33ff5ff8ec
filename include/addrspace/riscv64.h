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

/**
 * Fills *cpu for the G-stage from the devicetree's riscv,isa string and hgatp. Pure.
 *
 * isa ("rv64imafdch_zicsr_svpbmt", any case, versions allowed) has length bytes and need not end in
 * a NUL; it is read up to the first byte that cannot be in one. hgatp is what it reads after the
 * widest MODE that sticks was written.
 *
 * Features: LEAF_2M, LEAF_1G, SVPBMT, SVVPTC, and HARDWARE_AD where Svadu is listed and Svade is
 * not; where both are, A and D fault until firmware is asked otherwise (SBI FWFT): add HARDWARE_AD
 * after that. No register tells the platform's width: host_bits is 52, the most that init takes.
 * @return 0, or with *cpu unchanged:
 *   ADDRSPACE_EINVAL   a null pointer
 *   ADDRSPACE_ENOTSUP  not rv64, no H extension, or no MODE of 8, 9 or 10
 */
int addrspace_gstage_identify(const char *isa, size_t length, uint64_t hgatp,
			      struct addrspace_cpu *cpu);

/**
 * Describes a guest-page fault from the CSRs of the trap (RISC-V Privileged, hypervisor extension).
 * Pure.
 *
 * The cause is always ADDRSPACE_CAUSE_UNKNOWN. If htinst holds the pseudoinstruction for the CPU's
 * own access to the guest's page table, gpa is that of the entry, and access what was done to it.
 * If not, and htval is 0, the CPU did not report the address (or it is below 4): the answer is
 * NEEDS_WALK, and access what the guest did. Walk the guest's table from stval, as vsatp says: each
 * entry on the way is a read at its gpa, and where the walk ends is the gpa of the access.
 * @return ADDRSPACE_DECODED, ADDRSPACE_DECODE_NEEDS_WALK, or with *info unchanged:
 *   ADDRSPACE_EINVAL   info is NULL
 *   ADDRSPACE_ENOTSUP  an interrupt, or a cause other than 20, 21 and 23
 */
int addrspace_gstage_decode_fault(uint64_t scause, uint64_t htval, uint64_t stval, uint64_t htinst,
				  struct addrspace_fault_info *info);

#ifdef __cplusplus
}
#endif
#endif
