/* SPDX-License-Identifier: MIT */
/* Control and status registers, by number where an assembler without the H extension does not know
 * the name, and the H extension's instructions (RISC-V Privileged, "Hypervisor Extension"). */
#ifndef HYPERVISOR_RISCV64_REGISTERS_H
#define HYPERVISOR_RISCV64_REGISTERS_H

#define CSR_SIE        0x104
#define CSR_SIP        0x144
#define CSR_VSSTATUS   0x200
#define CSR_VSIE       0x204
#define CSR_VSTVEC     0x205
#define CSR_VSSCRATCH  0x240
#define CSR_VSEPC      0x241
#define CSR_VSCAUSE    0x242
#define CSR_VSTVAL     0x243
#define CSR_VSIP       0x244
#define CSR_VSATP      0x280
#define CSR_HSTATUS    0x600
#define CSR_HEDELEG    0x602
#define CSR_HIDELEG    0x603
#define CSR_HIE        0x604
#define CSR_HTIMEDELTA 0x605
#define CSR_HCOUNTEREN 0x606
#define CSR_HENVCFG    0x60a
#define CSR_HTVAL      0x643
#define CSR_HVIP       0x645
#define CSR_HTINST     0x64a
#define CSR_HGATP      0x680

#define SSTATUS_SPIE (1 << 5)
#define SSTATUS_SPP  (1 << 8)
#define SSTATUS_VS   (3 << 9)
#define SSTATUS_FS   (3 << 13)

#define HSTATUS_SPV     (1 << 7)
#define HSTATUS_SPVP    (1 << 8)
#define HSTATUS_VSXL_64 (2ull << 32)

/* STCE, PBMTE, ADUE, CBZE, CBCFE, CBIE, FIOM: what the hart has, the guest may use. */
#define HENVCFG_ALL  0xe0000000000000f1ull
#define HENVCFG_STCE (1ull << 63)

/* Interrupts: bits of sie, sip and hvip, and what scause says. */
#define INTERRUPT_S_SOFTWARE  1
#define INTERRUPT_VS_SOFTWARE 2
#define INTERRUPT_S_TIMER     5
#define INTERRUPT_VS_TIMER    6

#define CAUSE_INTERRUPT              (1ull << 63)
#define CAUSE_ECALL_FROM_VS          10
#define CAUSE_GUEST_FETCH_PAGE_FAULT 20
#define CAUSE_GUEST_LOAD_PAGE_FAULT  21
#define CAUSE_GUEST_STORE_PAGE_FAULT 23

#ifndef __ASSEMBLER__

#include <stdint.h>

#define csr_text_(csr) #csr
#define csr_text(csr)  csr_text_(csr)

#define read_csr(csr)                                                                              \
	({                                                                                         \
		uint64_t csr_value;                                                                \
		__asm__ volatile("csrr %0, " csr_text(csr) : "=r"(csr_value) : : "memory");        \
		csr_value;                                                                         \
	})

#define write_csr(csr, value)                                                                      \
	__asm__ volatile("csrw " csr_text(csr) ", %0" : : "rK"((uint64_t)(value)) : "memory")

#define set_csr_bits(csr, bits)                                                                    \
	__asm__ volatile("csrs " csr_text(csr) ", %0" : : "rK"((uint64_t)(bits)) : "memory")

#define clear_csr_bits(csr, bits)                                                                  \
	__asm__ volatile("csrc " csr_text(csr) ", %0" : : "rK"((uint64_t)(bits)) : "memory")

/** HFENCE.GVMA with rs1 = rs2 = x0: everything, whatever hgatp's MODE was. */
static inline void hfence_gvma_all(void)
{
	__asm__ volatile(".insn r 0x73, 0, 0x31, x0, x0, x0" : : : "memory");
}

/** HFENCE.VVMA with rs1 = rs2 = x0: what the guest's own tables said, for hgatp's VMID. */
static inline void hfence_vvma_all(void)
{
	__asm__ volatile(".insn r 0x73, 0, 0x11, x0, x0, x0" : : : "memory");
}

#endif
#endif
