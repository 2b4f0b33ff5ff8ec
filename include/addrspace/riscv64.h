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

/* Instructions. The rest of this file is for HS mode of a riscv64 hart with the H extension. */

/**
 * Has every other hart that has run the VMID execute HFENCE.GVMA for [gpa, gpa + size) of it, and
 * returns when they have: SBI's remote HFENCE.GVMA with VMID (RFENCE extension, function 3, which takes
 * gpa as it is, not shifted), or an inter-processor interrupt of the embedder's. size UINT64_MAX:
 * for all addresses, gpa being 0; the SBI call means the same by it.
 *
 * A hart that spins for the space's lock must be able to answer: the SBI call interrupts M mode, which
 * HS mode cannot mask.
 */
typedef void (*addrspace_gstage_remote)(void *remote_ctx, unsigned vmid, uint64_t gpa,
					uint64_t size);

/**
 * Does what the paging handler's invalidate hook owes, for the VMID that the guest runs under.
 *
 * HFENCE.GVMA on this hart, by address (gpa >> 2) for each leaf-sized step, or for the whole VMID if
 * tables changed, since an address covers leaf entries only, or for more than 512 steps. Then, for
 * ADDRSPACE_ALL_CPUS, one call of remote for the same, which may be NULL if there is no other hart;
 * the stores to the tables are ordered before it. The caller must not move to another hart meanwhile.
 * @return 0, or with nothing done: ADDRSPACE_EINVAL a null pointer or a space of another format;
 * ADDRSPACE_ERANGE a VMID wider than 14 bits.
 */
int addrspace_gstage_invalidate(const struct addrspace *as, unsigned vmid,
				const struct addrspace_invalidation *invalidation,
				addrspace_gstage_remote remote, void *remote_ctx);

/**
 * To be called on the hart that a virtual CPU comes to, before it runs there, if the hart has run
 * another virtual CPU of this space since, or this one has run elsewhere: they share the VMID, and each
 * fences its own translations and code (SFENCE.VMA, FENCE.I) on its hart only.
 *
 * HFENCE.GVMA for the VMID, needed where remote reaches only harts that run the guest at the time;
 * HFENCE.VVMA with the space's hgatp in place of another, interrupts masked meanwhile; FENCE.I.
 * @return as addrspace_gstage_invalidate().
 */
int addrspace_gstage_vcpu_moved(const struct addrspace *as, unsigned vmid);

/**
 * Finds out what hgatp takes, for addrspace_gstage_identify(): its value after the widest MODE that
 * sticks was written, with all bits of the VMID set: those that exist read 1. 0 if only Bare sticks.
 *
 * Before guests run on this hart: hgatp is as it was afterwards, and all guest translations of this
 * hart are fenced. Interrupts are masked meanwhile.
 */
uint64_t addrspace_gstage_probe(void);

/** How wide VMIDs are, from what addrspace_gstage_probe() returned: 0..14 bits. Pure. */
unsigned addrspace_gstage_vmid_bits(uint64_t hgatp);

#ifdef __cplusplus
}
#endif
#endif
