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

/** Raw ID registers that tell what stage 2 can do. */
struct addrspace_stage2_id {
	uint64_t id_aa64mmfr0_el1; /**< PARange, TGran4, TGran4_2. */
	uint64_t id_aa64mmfr1_el1; /**< HAFDBS, VMIDBits. */
	uint64_t id_aa64mmfr2_el1; /**< FWB. */
	uint64_t id_aa64isar0_el1; /**< TLB. */
};

/**
 * Fills *cpu for stage 2 (Arm ARM D24.2, the four registers). Pure.
 *
 * Features: LEAF_2M, LEAF_1G, HARDWARE_AD, FWB, VMID16, TLBI_RANGE. Where CPUs differ, as big ones
 * from little ones, keep of features what all have, and the smallest host_bits and max_levels.
 * @return 0, or with *cpu unchanged:
 *   ADDRSPACE_EINVAL   a null pointer
 *   ADDRSPACE_ENOTSUP  no 4 KiB granule at stage 2
 */
int addrspace_stage2_identify(const struct addrspace_stage2_id *id, struct addrspace_cpu *cpu);

/** Raw registers of an exit from the guest, read before they change. */
struct addrspace_stage2_fault_registers {
	uint64_t esr_el2;
	uint64_t hpfar_el2;
	uint64_t far_el2;
	uint64_t par_el1; /**< Of AT S1E1R on far_el2, with the guest's registers in place; only if
			     par_valid. */
	bool par_valid;
};

/**
 * Describes an abort that stage 2 took to EL2 (Arm ARM D24.2: ESR_EL2, ISS encodings of
 * instruction and data aborts; HPFAR_EL2 and rule FKLWR). Pure.
 *
 * A permission fault on the access itself leaves HPFAR_EL2 unknown: the answer is NEEDS_AT unless
 * par_valid. Then translate far_el2 and call again; the guest's PAR_EL1 must survive. RETRY: the
 * guest's translation has changed meanwhile, enter it again.
 *
 * Of the CPU's accesses to the guest's page tables, and where FAR_EL2 is said to be not valid or not
 * precise, only the page is known: gpa_page_only. An access to a page table reads; if the entry is
 * there and refuses, it reads and writes, since then the CPU wanted to set a flag in the guest's
 * table. Cache maintenance reads. An address size fault is ADDRSPACE_CAUSE_MISCONFIGURED.
 * @return an enum addrspace_decode, or with *info unchanged:
 *   ADDRSPACE_EINVAL   a null pointer
 *   ADDRSPACE_ENOTSUP  no abort, or none of a translation from a lower exception level: external
 *                      aborts, TLB conflicts, alignment, unsupported atomic updates, the
 *                      hypervisor's own faults; or a permission fault without a valid FAR_EL2
 */
int addrspace_stage2_decode_fault(const struct addrspace_stage2_fault_registers *registers,
				  struct addrspace_fault_info *info);

/*
 * Instructions. The rest of this file is for EL2 of an aarch64 CPU, with HCR_EL2.E2H and TGE as the
 * hypervisor likes them. Interrupts (DAIF.I and F) are masked meanwhile, and registers come back as
 * they were. CPUs whose errata ask for each TLBI and DSB twice are not covered (Cortex-A55 2441007,
 * A76 1286807, A510 2441009).
 */

/**
 * Does what the paging handler's invalidate hook owes, for the VMID that the guest runs under.
 *
 * DSB ISHST, so the hook needs no barrier; then, with the space's VMID in place of another that may be
 * loaded, TLBI IPAS2E1IS for each leaf-sized step, or RIPAS2E1IS with TLBI_RANGE; DSB; VMALLE1IS for
 * what combines both stages; DSB; ISB (Arm ARM D8.14). VMALLS12E1IS instead if tables changed, or
 * for more than 512 steps. All in the inner shareable domain; for ADDRSPACE_THIS_CPU the forms that
 * stay on this CPU, and then the caller must not move to another meanwhile.
 * @return 0, or with nothing done: ADDRSPACE_EINVAL a null pointer or a space of another format;
 * ADDRSPACE_ERANGE a VMID wider than the space's.
 */
int addrspace_stage2_invalidate(const struct addrspace *as, unsigned vmid,
				const struct addrspace_invalidation *invalidation);

/**
 * To be called on the CPU that a virtual CPU comes to, before it runs there, if the CPU has run another
 * virtual CPU of this space since, or this one has run elsewhere: virtual CPUs share the VMID, and each
 * may have changed its own translations or code on its CPU only.
 *
 * TLBI VMALLE1, and IC IALLU unless CTR_EL0.DIC, for the space's VMID on this CPU. What stage 2 said
 * needs nothing: addrspace_stage2_invalidate() has reached every CPU.
 * @return as addrspace_stage2_invalidate().
 */
int addrspace_stage2_vcpu_moved(const struct addrspace *as, unsigned vmid);

/**
 * Translates a virtual address of the guest by its own tables and returns PAR_EL1 of AT S1E1R: what
 * ADDRSPACE_DECODE_NEEDS_AT asks for. The guest's PAR_EL1 is kept.
 *
 * The virtual CPU's EL1 registers and its stage 2 (VTTBR_EL2, VTCR_EL2, HCR_EL2.VM) must be loaded on
 * this CPU, as they are right after its exit. An external abort on the walk is taken by EL2's own
 * vector, at the AT instruction.
 */
uint64_t addrspace_stage2_translate_va(uint64_t va);

/**
 * Does what the paging handler's prepare_frame hook owes: the guest sees these contents also with its
 * caches off, and executes no older instructions. size bytes at address, as this CPU reads them;
 * multiples of the page size.
 *
 * cpu_features are the space's. DC CIVAC by line unless they have FWB, which makes every access of
 * the guest cacheable. Leave FWB out for memory that is mapped with another type than write-back, and
 * in the hook, which does not know the type, if the space has such memory. IC IVAU by line, or
 * IC IALLUIS, unless CTR_EL0.DIC. With the barriers.
 */
void addrspace_stage2_prepare_frame(const void *address, uint64_t size, uint32_t cpu_features);

#ifdef __cplusplus
}
#endif
#endif
