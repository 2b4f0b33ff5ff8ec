/* SPDX-License-Identifier: MIT */
/* The two halves of VMX: the CPU and its VMCS (vmx_cpu.c), the guest and its exits (vmx.c). */
#ifndef HYPERVISOR_X86_64_VMX_H
#define HYPERVISOR_X86_64_VMX_H

#include <stdbool.h>
#include <stdint.h>

#include "vmcs.h"

/* Of the guest, on each CPU. */
#define VMX_VPID 1

bool vmx_present(void);
void vmx_start(void);
/** IA32_VMX_EPT_VPID_CAP. */
uint64_t vmx_ept_capabilities(void);

/* On the VMCS of this CPU. */
uint64_t vmx_read(uint32_t field);
void vmx_write(uint32_t field, uint64_t value);
/** Drops what this CPU has cached of the guest's own tables: a guest that starts over has others. */
void vmx_flush_guest_linear(void);

/** Enters the guest; true if the instruction itself failed. registers as in struct vcpu. */
bool vmx_enter(uint64_t *registers, bool launched);

#endif
