/* SPDX-License-Identifier: MIT */
/* Fields and control bits of VMX that the hypervisor uses (Intel SDM 3C, chapter 25 and appendix B). */
#ifndef HYPERVISOR_X86_64_VMCS_H
#define HYPERVISOR_X86_64_VMCS_H

/* Fields of segments stand in this order, VMCS_NEXT apart: ES, CS, SS, DS, FS, GS, LDTR, TR; the
 * host's have no LDTR. */
#define VMCS_NEXT 2

#define VMCS_VPID               0x0000
#define VMCS_GUEST_ES           0x0800
#define VMCS_HOST_ES            0x0c00
#define VMCS_HOST_CS            0x0c02
#define VMCS_HOST_SS            0x0c04
#define VMCS_HOST_DS            0x0c06
#define VMCS_HOST_FS            0x0c08
#define VMCS_HOST_GS            0x0c0a
#define VMCS_HOST_TR            0x0c0c
#define VMCS_MSR_BITMAP         0x2004
#define VMCS_EPTP               0x201a
#define VMCS_GUEST_PHYSICAL     0x2400
#define VMCS_LINK_POINTER       0x2800
#define VMCS_GUEST_DEBUGCTL     0x2802
#define VMCS_GUEST_EFER         0x2806
#define VMCS_HOST_EFER          0x2c02
#define VMCS_PIN_CONTROLS       0x4000
#define VMCS_PRIMARY_CONTROLS   0x4002
#define VMCS_EXCEPTION_BITMAP   0x4004
#define VMCS_CR3_TARGET_COUNT   0x400a
#define VMCS_EXIT_CONTROLS      0x400c
#define VMCS_EXIT_STORE_COUNT   0x400e
#define VMCS_EXIT_LOAD_COUNT    0x4010
#define VMCS_ENTRY_CONTROLS     0x4012
#define VMCS_ENTRY_LOAD_COUNT   0x4014
#define VMCS_ENTRY_EVENT        0x4016
#define VMCS_SECONDARY_CONTROLS 0x401e
#define VMCS_INSTRUCTION_ERROR  0x4400
#define VMCS_EXIT_REASON        0x4402
#define VMCS_GUEST_ES_LIMIT     0x4800
#define VMCS_GUEST_GDTR_LIMIT   0x4810
#define VMCS_GUEST_IDTR_LIMIT   0x4812
#define VMCS_GUEST_ES_RIGHTS    0x4814
#define VMCS_GUEST_BLOCKING     0x4824
#define VMCS_GUEST_ACTIVITY     0x4826
#define VMCS_GUEST_SYSENTER_CS  0x482a
#define VMCS_HOST_SYSENTER_CS   0x4c00
#define VMCS_CR0_MASK           0x6000
#define VMCS_CR4_MASK           0x6002
#define VMCS_CR0_SHADOW         0x6004
#define VMCS_CR4_SHADOW         0x6006
#define VMCS_QUALIFICATION      0x6400
#define VMCS_GUEST_CR0          0x6800
#define VMCS_GUEST_CR3          0x6802
#define VMCS_GUEST_CR4          0x6804
#define VMCS_GUEST_ES_BASE      0x6806
#define VMCS_GUEST_GDTR_BASE    0x6816
#define VMCS_GUEST_IDTR_BASE    0x6818
#define VMCS_GUEST_DR7          0x681a
#define VMCS_GUEST_RSP          0x681c
#define VMCS_GUEST_RIP          0x681e
#define VMCS_GUEST_RFLAGS       0x6820
#define VMCS_GUEST_PENDING      0x6822
#define VMCS_GUEST_SYSENTER_ESP 0x6824
#define VMCS_GUEST_SYSENTER_EIP 0x6826
#define VMCS_HOST_CR0           0x6c00
#define VMCS_HOST_CR3           0x6c02
#define VMCS_HOST_CR4           0x6c04
#define VMCS_HOST_FS_BASE       0x6c06
#define VMCS_HOST_GS_BASE       0x6c08
#define VMCS_HOST_TR_BASE       0x6c0a
#define VMCS_HOST_GDTR_BASE     0x6c0c
#define VMCS_HOST_IDTR_BASE     0x6c0e
#define VMCS_HOST_SYSENTER_ESP  0x6c10
#define VMCS_HOST_SYSENTER_EIP  0x6c12
#define VMCS_HOST_RSP           0x6c14
#define VMCS_HOST_RIP           0x6c16

#define PIN_INTERRUPT_EXITS    0x00000001u
#define PIN_NMI_EXITS          0x00000008u
#define PRIMARY_HLT_EXITS      0x00000080u
#define PRIMARY_MSR_BITMAP     0x10000000u
#define PRIMARY_SECONDARY      0x80000000u
#define SECONDARY_EPT          0x00000002u
#define SECONDARY_VPID         0x00000020u
#define SECONDARY_UNRESTRICTED 0x00000080u
#define EXIT_HOST_64_BIT       0x00000200u
#define EXIT_ACKNOWLEDGE       0x00008000u
#define EXIT_SAVE_EFER         0x00100000u
#define EXIT_LOAD_EFER         0x00200000u
#define ENTRY_LONG_MODE        0x00000200u
#define ENTRY_LOAD_EFER        0x00008000u

/* Access rights of segments. */
#define RIGHTS_CODE     0xa09bu /* 64 bits */
#define RIGHTS_DATA     0xc093u
#define RIGHTS_TASK     0x008bu
#define RIGHTS_UNUSABLE 0x10000u

#define REASON_BASIC     0x0000ffff
#define REASON_INTERRUPT 1
#define REASON_VMCALL    18

#endif
