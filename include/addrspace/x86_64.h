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

/**
 * Fills *cpu from MSR 0x48c, IA32_VMX_EPT_VPID_CAP (Intel SDM 3D, A.10), and MAXPHYADDR, CPUID
 * 8000_0008 EAX bits 7:0. Pure.
 *
 * Features: LEAF_2M, LEAF_1G, HARDWARE_AD, EXECUTE_ONLY, INVEPT_SINGLE. Clear HARDWARE_AD if leaves
 * are to start dirty and guests may keep page tables in read-only memory; lower host_bits where
 * address bits hold a memory encryption key.
 * @return 0, or with *cpu unchanged:
 *   ADDRSPACE_EINVAL   cpu is NULL
 *   ADDRSPACE_ENOTSUP  no 4-level walk, no write-back walks, no INVEPT or not for all contexts, or
 *                      a MAXPHYADDR outside 32..52
 */
int addrspace_ept_identify(uint64_t vpid_ept_cap, uint32_t cpuid_80000008_eax,
			   struct addrspace_cpu *cpu);

/**
 * Describes an EPT violation or misconfiguration (Intel SDM 3C, 28.2.1 and table 28-7). Pure.
 *
 * From the VMCS: exit_reason is field 0x4402, qualification 0x6400, gpa 0x2400 (guest-physical
 * address). With HARDWARE_AD the CPU's reads of the guest's page tables are reads and writes: they
 * are denied in read-only memory. table_walk is false also where the CPU does not tell, as for the
 * PDPTEs that MOV to CR3 loads. A misconfiguration tells nothing but gpa: access is 0.
 *
 * What else the qualification holds stays to be done by the caller: bit 12, NMI unblocking by IRET.
 * @return ADDRSPACE_DECODED, or with *info unchanged:
 *   ADDRSPACE_EINVAL   info is NULL
 *   ADDRSPACE_ENOTSUP  another exit, or a failed VM entry
 */
int addrspace_ept_decode_fault(uint32_t exit_reason, uint64_t qualification, uint64_t gpa,
			       struct addrspace_fault_info *info);

/**
 * AMD nested paging, in the format of long mode (AMD APM 2, 15.25 and 5.3). levels is what the host
 * itself runs with when it executes VMRUN (15.25.3): 4, gpa_bits 32..48, or with CR4.LA57 5,
 * gpa_bits 32..57. addrspace_npt_identify() puts it into cpu.min_levels and max_levels.
 * Refuses what cannot be read; without ADDRSPACE_CPU_NX also what cannot be executed, 0 excepted.
 * Knows LEAF_2M, LEAF_1G, HARDWARE_AD, NX, FLUSH_BY_ASID.
 *
 * A and D cannot be turned off. Without HARDWARE_AD all entries have them from the start, so that
 * the CPU never stores to a table.
 *
 * A memory type is what the host's PAT has at the lowest index for it: WB for
 * ADDRSPACE_WRITE_BACK, WC for NON_CACHEABLE, UC (not UC-) for DEVICE, WT for WRITE_THROUGH. It
 * combines with the guest's own PAT, the VMCB's G_PAT, and then with the MTRRs of the host-physical
 * range (15.25.8). config.host_pat is what IA32_PAT holds when the host executes VMRUN; init
 * refuses one with a reserved type (ADDRSPACE_EINVAL), or whose entry 0, by which the CPU reads the
 * tables, is not WB (ADDRSPACE_ENOTSUP). map refuses a type that it lacks.
 *
 * The guest's page tables must be writable in the nested table, even where the guest only reads
 * through them (15.25.5). In the VMCB's byte 090h, Guest Mode Execute Trap and SSSCheckEn must be
 * clear: they give U and D other meanings.
 */
extern const struct addrspace_format addrspace_npt;

struct addrspace_npt_registers {
	uint64_t ncr3;          /**< VMCB field 0b0h, N_CR3: the root. */
	uint64_t host_cr4;      /**< Of the host when it executes VMRUN: CR4.LA57 as the levels */
	uint64_t host_cr4_mask; /**< demand; the bits of CR4 that host_cr4 decides. */
	uint64_t host_efer;     /**< Bits that EFER must have then: NXE with ADDRSPACE_CPU_NX. */
};

/**
 * Computes the register values for the space's root. Constant from init to destroy.
 * @return 0, or ADDRSPACE_EINVAL: a null pointer, or a space of another format.
 */
int addrspace_npt_registers(const struct addrspace *as, struct addrspace_npt_registers *registers);

/** Raw registers that tell what nested paging can do. */
struct addrspace_npt_id {
	uint32_t cpuid_80000001_edx; /**< Bit 20 NX, bit 26 1 GiB leaves. */
	uint32_t cpuid_80000008_eax; /**< Bits 7:0: width of physical addresses. */
	uint32_t cpuid_8000000a_edx; /**< Bit 0 nested paging, bit 6 FlushByAsid. */
	uint64_t efer;               /**< The host's at VMRUN: LMA, NXE. */
	uint64_t cr4;                /**< The host's at VMRUN: LA57. */
};

/**
 * Fills *cpu for nested paging (AMD APM 3, E.4; APM 2, 15.25.3). Pure.
 *
 * Features: LEAF_2M, LEAF_1G, NX, HARDWARE_AD, FLUSH_BY_ASID. The levels are those of the host's
 * own tables. Lower host_bits where memory encryption takes address bits (CPUID 8000_001f EBX bits
 * 11:6).
 * @return 0, or with *cpu unchanged:
 *   ADDRSPACE_EINVAL   a null pointer
 *   ADDRSPACE_ENOTSUP  no nested paging, a host that is not in long mode, or a width outside 32..52
 */
int addrspace_npt_identify(const struct addrspace_npt_id *id, struct addrspace_cpu *cpu);

/**
 * Describes a nested page fault, #VMEXIT code 0x400 (AMD APM 2, 15.25.6). Pure.
 *
 * From the VMCB: exitinfo1 at 0x078, exitinfo2 (the gpa) at 0x080. The CPU's accesses to the
 * guest's page tables count as writes, whatever they do: access is read and write, and they are
 * denied in read-only memory. A fetch is told from a read only where NX works.
 * @return ADDRSPACE_DECODED, or with *info unchanged:
 *   ADDRSPACE_EINVAL   info is NULL
 *   ADDRSPACE_ENOTSUP  a violation of the reverse map (SEV-SNP), not of the nested table
 */
int addrspace_npt_decode_fault(uint64_t exitinfo1, uint64_t exitinfo2,
			       struct addrspace_fault_info *info);

/*
 * Flushing. No instruction of x86 reaches another CPU's nested translations, so each CPU flushes for
 * itself, before it enters the guest: <addrspace/shootdown.h> says when, and makes the paging
 * handler's invalidate hook. With what:
 *
 *	EPT	addrspace_shootdown_enter() > 0: addrspace_ept_flush(), before the entry
 *	NPT	addrspace_shootdown_enter() > 0: addrspace_npt_tlb_control() into TLB_CONTROL of the
 *		VMCB, else 0 there; the entry itself flushes
 *
 * A virtual CPU that comes to a CPU where it, or another one under the same VPID or ASID, ran before
 * may meet what that left there of the guest's own translations: flush then as well. Both ways drop
 * them too: INVEPT takes all that was combined with this EPT pointer, for every VPID (SDM 3C,
 * 29.4.3.1), TLB_CONTROL all of the ASID.
 */

/**
 * Drops on this CPU all that was cached for the space's EPT pointer: INVEPT single-context, or
 * all-context without ADDRSPACE_CPU_INVEPT_SINGLE. In VMX root operation (elsewhere #UD), and such
 * that the caller does not move to another CPU before it enters the guest.
 * @return 0, or:
 *   ADDRSPACE_EINVAL   as is NULL, or a space of another format
 *   ADDRSPACE_ENOTSUP  the CPU refused: it lacks what the space's features promised
 */
int addrspace_ept_flush(const struct addrspace *as);

/**
 * Drops on this CPU what was cached for any EPT pointer: INVEPT all-context. To be called once after
 * VMXON, since what was cached before VMXOFF may still be there (SDM 3C, 29.4.3.4). Otherwise as
 * addrspace_ept_flush().
 * @return 0, or ADDRSPACE_ENOTSUP: the CPU refused.
 */
int addrspace_ept_flush_all(void);

/**
 * What to write to the VMCB's TLB_CONTROL (offset 0x05c) before a VMRUN that must flush: 3, this
 * ASID's entries, with ADDRSPACE_CPU_FLUSH_BY_ASID; else 1, everything (AMD APM 2, 15.16.2). Write 0
 * again after the exit. cpu_features are the space's. Pure.
 */
uint8_t addrspace_npt_tlb_control(uint32_t cpu_features);

#ifdef __cplusplus
}
#endif
#endif
