/* SPDX-License-Identifier: MIT */
/* SVM on one CPU: turned on, with what it needs to find its own state again (AMD APM 2, 15.4, 15.5). */
#include "svm.h"

#include "machine.h"
#include "print.h"
#include "registers.h"

#define MSR_PAT       0x277
#define MSR_VM_CR     0xc0010114
#define MSR_HOST_SAVE 0xc0010117

#define CPUID_FEATURES    0x80000001
#define CPUID_ECX_SVM     (UINT32_C(1) << 2)
#define VM_CR_SVM_DISABLE UINT64_C(0x10)
#define EFER_SVME         UINT64_C(0x1000)

/* WB, WC, UC-, UC, WB, WP, UC-, WT: every type of the library's, one of them by an index above 3. Our own
 * tables use the indices 0 and 3, which are so after reset as well. */
#define HOST_PAT UINT64_C(0x0407050600070106)

/* The CPU's own: what VMRUN keeps there is nobody's business. */
static uint8_t save_areas[MACHINE_CPUS][4096] __attribute__((aligned(4096)));
/* What VMRUN does not keep: task, system-call registers, FS and GS (15.5.2). */
static struct vmcb host_vmcbs[MACHINE_CPUS];
static struct vmcb guest_vmcbs[MACHINE_CPUS];

/* svm_entry.S */
void svm_enter(uint64_t *registers, const struct vmcb *guest, const struct vmcb *host);

bool svm_present(void)
{
	return (read_cpuid(CPUID_FEATURES).ecx & CPUID_ECX_SVM) != 0;
}

struct vmcb *svm_vmcb(void)
{
	return &guest_vmcbs[machine_this_cpu()];
}

uint64_t svm_host_pat(void)
{
	return read_msr(MSR_PAT);
}

void svm_start(void)
{
	unsigned cpu = machine_this_cpu();

	if (read_msr(MSR_VM_CR) & VM_CR_SVM_DISABLE)
		fail("SVM is locked away: VM_CR is 0x%lx", read_msr(MSR_VM_CR));
	write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SVME);
	write_msr(MSR_HOST_SAVE, (uintptr_t)save_areas[cpu]);
	write_msr(MSR_PAT, HOST_PAT);
	__asm__ volatile("vmsave %%rax" : : "a"(&host_vmcbs[cpu]) : "memory");
}

void svm_enter_guest(uint64_t *registers)
{
	unsigned cpu = machine_this_cpu();

	svm_enter(registers, &guest_vmcbs[cpu], &host_vmcbs[cpu]);
}
