/* SPDX-License-Identifier: MIT */
/* What the hypervisor uses of SVM's control block (AMD APM 2, appendix B), and of its MSRs. */
#ifndef HYPERVISOR_X86_64_VMCB_H
#define HYPERVISOR_X86_64_VMCB_H

#include <stddef.h>
#include <stdint.h>

/* Bits of intercept_instructions (offset 0x00c) and intercept_svm (0x010). */
#define INTERCEPT_INTERRUPT (UINT32_C(1) << 0)
#define INTERCEPT_NMI       (UINT32_C(1) << 1)
#define INTERCEPT_HLT       (UINT32_C(1) << 24)
#define INTERCEPT_SHUTDOWN  (UINT32_C(1) << 31)
#define INTERCEPT_VMRUN     (UINT32_C(1) << 0) /* must be set (15.5.1) */
#define INTERCEPT_VMMCALL   (UINT32_C(1) << 1)

#define VMCB_INTERRUPT_MASKING  (UINT64_C(1) << 24) /* the host's RFLAGS.IF masks interrupts */
#define VMCB_NESTED_PAGING      UINT64_C(1)
#define VMCB_EVENT_IS_EXCEPTION (UINT64_C(3) << 8)
#define VMCB_EVENT_TYPE         (UINT64_C(7) << 8)
#define VMCB_EVENT_VALID        (UINT64_C(1) << 31)

#define EXIT_CODE_INTERRUPT 0x60
#define EXIT_CODE_VMMCALL   0x81
#define EXIT_CODE_NPF       0x400
#define EXIT_CODE_INVALID   UINT64_MAX

/* Attributes of segments: descriptor bits 55:52 and 47:40. */
#define ATTRIBUTES_CODE 0xa9b /* 64 bits */
#define ATTRIBUTES_DATA 0xc93
#define ATTRIBUTES_TASK 0x08b

struct vmcb_segment {
	uint16_t selector;
	uint16_t attributes;
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	uint32_t intercept_registers[2];
	uint32_t intercept_exceptions;
	uint32_t intercept_instructions;
	uint32_t intercept_svm;
	uint8_t reserved_1[0x058 - 0x014];
	uint32_t asid;
	uint8_t tlb_control;
	uint8_t reserved_2[3];
	uint64_t interrupt_control;
	uint64_t interrupt_shadow;
	uint64_t exit_code;
	uint64_t exit_info_1;
	uint64_t exit_info_2;
	uint64_t exit_event; /**< What was being delivered when the exit came. */
	uint64_t nested_control;
	uint8_t reserved_3[0x0a8 - 0x098];
	uint64_t event; /**< To be delivered at the entry. */
	uint64_t ncr3;
	uint8_t reserved_4[0x400 - 0x0b8];

	/* The guest's state. */
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_5[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t reserved_6;
	uint64_t efer;
	uint8_t reserved_7[0x548 - 0x4d8];
	uint64_t cr4;
	uint64_t cr3;
	uint64_t cr0;
	uint64_t dr7;
	uint64_t dr6;
	uint64_t rflags;
	uint64_t rip;
	uint8_t reserved_8[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t reserved_9[0x5f8 - 0x5e0];
	uint64_t rax;
	uint8_t reserved_10[0x668 - 0x600];
	uint64_t pat;
	uint8_t reserved_11[0x1000 - 0x670];
} __attribute__((aligned(4096)));

_Static_assert(offsetof(struct vmcb, asid) == 0x058 && offsetof(struct vmcb, exit_code) == 0x070 &&
		       offsetof(struct vmcb, nested_control) == 0x090 &&
		       offsetof(struct vmcb, event) == 0x0a8 &&
		       offsetof(struct vmcb, es) == 0x400 && offsetof(struct vmcb, tr) == 0x490 &&
		       offsetof(struct vmcb, cpl) == 0x4cb &&
		       offsetof(struct vmcb, efer) == 0x4d0 &&
		       offsetof(struct vmcb, cr4) == 0x548 && offsetof(struct vmcb, rip) == 0x578 &&
		       offsetof(struct vmcb, rsp) == 0x5d8 && offsetof(struct vmcb, rax) == 0x5f8 &&
		       offsetof(struct vmcb, pat) == 0x668 && sizeof(struct vmcb) == 0x1000,
	       "APM 2, appendix B");

#endif
