/* SPDX-License-Identifier: MIT */
/* The two halves of SVM: the CPU (svm_cpu.c), the guest and its exits (svm.c). */
#ifndef HYPERVISOR_X86_64_SVM_H
#define HYPERVISOR_X86_64_SVM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmcb.h"

/* Of the guest, on each CPU; 0 is the host's. */
#define SVM_ASID 1

bool svm_present(void);
void svm_start(void);

/** Of the guest that this CPU runs. */
struct vmcb *svm_vmcb(void);
/** What this CPU's PAT is while it runs the guest. */
uint64_t svm_host_pat(void);
/** Enters the guest. registers as in struct vcpu; rax and rsp go through the VMCB. */
void svm_enter_guest(uint64_t *registers);

#endif
