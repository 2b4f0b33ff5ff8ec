/* SPDX-License-Identifier: MIT */
/* AMD's virtualisation: the guest's state, and its exits. */
#include "svm.h"

#include <addrspace/x86_64.h>

#include "guest_entry.h"
#include "print.h"
#include "registers.h"
#include "space.h"
#include "virtualization.h"

#define CPUID_FEATURES       0x80000001
#define CPUID_ADDRESS_WIDTHS 0x80000008
#define CPUID_SVM            0x8000000a
#define EFER_SVME            UINT64_C(0x1000)
#define RFLAGS_ALWAYS        0x002
#define RFLAGS_IF            0x200
#define DR6_ALWAYS           0xffff0ff0
#define DR7_ALWAYS           0x400
#define PAT_AT_RESET         UINT64_C(0x0007040600070406)
#define TASK_LIMIT           0x67
#define HYPERCALL_LENGTH     3

/* link.ld: guest_root, or 0 in a program without a guest. */
extern char guest_root_gpa[];

/* What the guest's own entries can name ends at the CPU's width. The last two have no room for the
 * story. */
static const struct layout layouts[] = {
	{"NPT 40 bits, hardware A/D", 40, 4, 0},
	{"NPT 40 bits, A/D preset", 40, 4, ADDRSPACE_CPU_HARDWARE_AD},
	{"NPT 48 bits, hardware A/D", 48, 4, 0},
	{"NPT 39 bits, leaves up to 2 MiB", 39, 4, ADDRSPACE_CPU_LEAF_1G},
	{"NPT 33 bits, A/D preset", 33, 4, ADDRSPACE_CPU_HARDWARE_AD},
	{"NPT 32 bits, leaves of 4 KiB", 32, 4, ADDRSPACE_CPU_LEAF_1G | ADDRSPACE_CPU_LEAF_2M},
};

static void identify(struct addrspace_cpu *cpu)
{
	const struct addrspace_npt_id id = {
		.cpuid_80000001_edx = read_cpuid(CPUID_FEATURES).edx,
		.cpuid_80000008_eax = read_cpuid(CPUID_ADDRESS_WIDTHS).eax,
		.cpuid_8000000a_edx = read_cpuid(CPUID_SVM).edx,
		.efer = read_msr(MSR_EFER),
		.cr4 = read_control_register(cr4),
	};
	int error = addrspace_npt_identify(&id, cpu);

	if (error)
		fail("addrspace_npt_identify: %s", addrspace_error_name(error));
}

/** The tables have as many levels as our own, whatever the layout says. */
static void configure(struct addrspace_config *config)
{
	config->levels = config->cpu.max_levels;
	config->host_pat = svm_host_pat();
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static void describe(void)
{
	struct addrspace_cpu cpu;

	identify(&cpu);
	print("CPU        SVM, %u physical address bits, CPUID 8000_000A EDX 0x%x\n", cpu.host_bits,
	      read_cpuid(CPUID_SVM).edx);
	print("           NPT of %u levels, as the host's own; 1 GiB leaves %s, NX %s, flush by "
	      "ASID "
	      "%s, host PAT 0x%lx\n",
	      cpu.max_levels, yes_no(cpu.features & ADDRSPACE_CPU_LEAF_1G),
	      yes_no(cpu.features & ADDRSPACE_CPU_NX),
	      yes_no(cpu.features & ADDRSPACE_CPU_FLUSH_BY_ASID), svm_host_pat());
	print("           a guest's own entries hold addresses of %u bits: none above is tried\n",
	      cpu.host_bits);
}

/** The host must run as the registers say. */
static uint64_t ncr3(const struct addrspace *as)
{
	struct addrspace_npt_registers registers;
	int error = addrspace_npt_registers(as, &registers);

	if (error)
		fail("addrspace_npt_registers: %s", addrspace_error_name(error));
	if ((read_control_register(cr4) & registers.host_cr4_mask) != registers.host_cr4 ||
	    (read_msr(MSR_EFER) & registers.host_efer) != registers.host_efer)
		fail("the space needs CR4 & 0x%lx = 0x%lx and EFER 0x%lx", registers.host_cr4_mask,
		     registers.host_cr4, registers.host_efer);
	return registers.ncr3;
}

static void describe_root(const struct addrspace *as)
{
	print("NPT        nCR3 0x%lx: walks as the host's own, memory types from its PAT\n",
	      ncr3(as));
}

/** The entry itself flushes. */
static void flush(const struct addrspace *as)
{
	struct addrspace_cpu cpu;

	(void)as;
	identify(&cpu);
	svm_vmcb()->tlb_control = addrspace_npt_tlb_control(cpu.features);
}

static void load_root(const struct addrspace *as)
{
	svm_vmcb()->ncr3 = ncr3(as);
	flush(as);
}

static void reset_segments(struct vmcb *vmcb)
{
	static const struct vmcb_segment data = {GUEST_DATA, ATTRIBUTES_DATA, UINT32_MAX, 0};
	static const struct vmcb_segment none;

	vmcb->cs = (struct vmcb_segment){GUEST_CODE, ATTRIBUTES_CODE, UINT32_MAX, 0};
	vmcb->es = vmcb->ss = vmcb->ds = data;
	vmcb->fs = vmcb->gs = vmcb->ldtr = none;
	vmcb->gdtr = vmcb->idtr = none;
	vmcb->tr = (struct vmcb_segment){0, ATTRIBUTES_TASK, TASK_LIMIT, 0};
	vmcb->cpl = 0;
}

static void reset_control(struct vmcb *vmcb)
{
	vmcb->intercept_instructions =
		INTERCEPT_INTERRUPT | INTERCEPT_NMI | INTERCEPT_HLT | INTERCEPT_SHUTDOWN;
	vmcb->intercept_svm = INTERCEPT_VMRUN | INTERCEPT_VMMCALL;
	vmcb->asid = SVM_ASID;
	vmcb->interrupt_control = VMCB_INTERRUPT_MASKING;
	vmcb->interrupt_shadow = 0;
	vmcb->nested_control = VMCB_NESTED_PAGING;
	vmcb->event = 0;
}

/* SVM needs EFER.SVME, in the guest as well (APM 2, 15.5.1). Interrupts exit whatever the guest's RFLAGS.IF
 * says; but Bochs masks them when it is 0. */
static void reset(struct vcpu *vcpu)
{
	struct vmcb *vmcb = svm_vmcb();

	(void)vcpu;
	reset_control(vmcb);
	reset_segments(vmcb);
	vmcb->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME;
	vmcb->cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE;
	vmcb->cr3 = (uintptr_t)guest_root_gpa;
	vmcb->cr4 = CR4_PAE;
	vmcb->dr6 = DR6_ALWAYS;
	vmcb->dr7 = DR7_ALWAYS;
	vmcb->rflags = RFLAGS_ALWAYS | RFLAGS_IF;
	vmcb->pat = PAT_AT_RESET;
	/* A guest that starts over has other tables of its own. */
	flush(space_here());
}

/** An exception whose delivery was cut off by the exit is delivered anew (APM 2, 15.7.2). */
static uint64_t event_to_repeat(uint64_t event)
{
	bool exception = (event & VMCB_EVENT_TYPE) == VMCB_EVENT_IS_EXCEPTION;

	return event & VMCB_EVENT_VALID && exception ? event : 0;
}

static void enter(struct vcpu *vcpu, struct vmcb *vmcb)
{
	vmcb->rip = vcpu->rip;
	vmcb->rsp = vcpu->registers[VCPU_RSP];
	vmcb->rax = vcpu->registers[VCPU_RAX];
	svm_enter_guest(vcpu->registers);
	if (vmcb->exit_code == EXIT_CODE_INVALID)
		fail("VMRUN: the guest's state is not accepted");
	vmcb->tlb_control = 0;
	vmcb->event = event_to_repeat(vmcb->exit_event);
	vcpu->rip = vmcb->rip;
	vcpu->registers[VCPU_RSP] = vmcb->rsp;
	vcpu->registers[VCPU_RAX] = vmcb->rax;
}

static void run(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct vmcb *vmcb = svm_vmcb();

	enter(vcpu, vmcb);
	exit->syndrome = vmcb->exit_info_1 << 16 | vmcb->exit_code;
	switch (vmcb->exit_code) {
	case EXIT_CODE_INTERRUPT: /* taken already, see svm_enter */
		exit->kind = VCPU_EXIT_RETRY;
		break;
	case EXIT_CODE_VMMCALL:
		vcpu->rip += HYPERCALL_LENGTH;
		exit->kind = VCPU_EXIT_HYPERCALL;
		break;
	case EXIT_CODE_NPF:
		if (!addrspace_npt_decode_fault(vmcb->exit_info_1, vmcb->exit_info_2, &exit->fault))
			exit->kind = VCPU_EXIT_FAULT;
		break;
	default:
		break;
	}
}

const struct virtualization svm = {
	.format = &addrspace_npt,
	.layouts = layouts,
	.layout_count = sizeof(layouts) / sizeof(layouts[0]),
	.hypercall = GUEST_VMMCALL,
	.present = svm_present,
	.start = svm_start,
	.describe = describe,
	.identify = identify,
	.configure = configure,
	.describe_root = describe_root,
	.load_root = load_root,
	.flush = flush,
	.reset = reset,
	.run = run,
};
