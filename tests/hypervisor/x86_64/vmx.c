/* SPDX-License-Identifier: MIT */
/* Intel's virtualisation: the guest's state, and its exits. */
#include "vmx.h"

#include <addrspace/x86_64.h>

#include "apic.h"
#include "guest_entry.h"
#include "print.h"
#include "registers.h"
#include "virtualization.h"

#define CPUID_ADDRESS_WIDTHS 0x80000008
#define RFLAGS_ALWAYS        0x002
#define RFLAGS_IF            0x200
#define DR7_ALWAYS           0x400
#define CR4_VMXE             0x2000
#define TASK_LIMIT           0x67
#define HYPERCALL_LENGTH     3

/* link.ld: guest_root, or 0 in a program without a guest. */
extern char guest_root_gpa[];

/* A guest that has not been launched since its VMCS was cleared must be, once. */
static bool launched[MACHINE_CPUS];

/* What the guest's own entries can name ends at the CPU's width, so above 40 bits nothing is to be seen in
 * Bochs but that a wider space works. The last two have no room for the story. */
static const struct layout layouts[] = {
	{"EPT 40 bits, hardware A/D", 40, 4, 0},
	{"EPT 40 bits, A/D preset", 40, 4, ADDRSPACE_CPU_HARDWARE_AD},
	{"EPT 48 bits, INVEPT of all only", 48, 4, ADDRSPACE_CPU_INVEPT_SINGLE},
	{"EPT 39 bits, leaves up to 2 MiB", 39, 4, ADDRSPACE_CPU_LEAF_1G},
	{"EPT 33 bits, no execute-only", 33, 4, ADDRSPACE_CPU_EXECUTE_ONLY},
	{"EPT 32 bits, leaves of 4 KiB", 32, 4, ADDRSPACE_CPU_LEAF_1G | ADDRSPACE_CPU_LEAF_2M},
};

static void identify(struct addrspace_cpu *cpu)
{
	int error = addrspace_ept_identify(vmx_ept_capabilities(),
					   read_cpuid(CPUID_ADDRESS_WIDTHS).eax, cpu);

	if (error)
		fail("addrspace_ept_identify: %s", addrspace_error_name(error));
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static void describe(void)
{
	struct addrspace_cpu cpu;

	identify(&cpu);
	print("CPU        VMX, %u physical address bits, IA32_VMX_EPT_VPID_CAP 0x%lx\n",
	      cpu.host_bits, vmx_ept_capabilities());
	print("           EPT levels up to %u, 2 MiB leaves %s, 1 GiB leaves %s, hardware A/D %s, "
	      "execute-only %s\n",
	      cpu.max_levels, yes_no(cpu.features & ADDRSPACE_CPU_LEAF_2M),
	      yes_no(cpu.features & ADDRSPACE_CPU_LEAF_1G),
	      yes_no(cpu.features & ADDRSPACE_CPU_HARDWARE_AD),
	      yes_no(cpu.features & ADDRSPACE_CPU_EXECUTE_ONLY));
	print("           a guest's own entries hold addresses of %u bits: none above is tried%s\n",
	      cpu.host_bits, cpu.max_levels < 5 ? "; 5 levels are for the host's tests only" : "");
}

static uint64_t eptp(const struct addrspace *as)
{
	struct addrspace_ept_registers registers;
	int error = addrspace_ept_registers(as, &registers);

	if (error)
		fail("addrspace_ept_registers: %s", addrspace_error_name(error));
	return registers.eptp;
}

static void describe_root(const struct addrspace *as)
{
	uint64_t value = eptp(as);

	print("EPT        EPTP 0x%lx: write-back walks of %lu levels from 0x%lx, %s\n", value,
	      (value >> 3 & 7) + 1, value & ~UINT64_C(0xfff),
	      value & 0x40 ? "hardware maintains A and D" : "A and D are preset");
}

static void load_root(const struct addrspace *as)
{
	vmx_write(VMCS_EPTP, eptp(as));
}

static void flush(const struct addrspace *as)
{
	int error = addrspace_ept_flush(as);

	if (error)
		fail("addrspace_ept_flush: %s", addrspace_error_name(error));
}

static void reset_segments(void)
{
	static const struct {
		uint16_t selector;
		uint32_t limit;
		uint32_t rights;
	} segments[] = {
		{GUEST_DATA, UINT32_MAX, RIGHTS_DATA}, /* ES */
		{GUEST_CODE, UINT32_MAX, RIGHTS_CODE}, /* CS */
		{GUEST_DATA, UINT32_MAX, RIGHTS_DATA}, /* SS */
		{GUEST_DATA, UINT32_MAX, RIGHTS_DATA}, /* DS */
		{0, 0, RIGHTS_UNUSABLE},               /* FS */
		{0, 0, RIGHTS_UNUSABLE},               /* GS */
		{0, 0, RIGHTS_UNUSABLE},               /* LDTR */
		{0, TASK_LIMIT, RIGHTS_TASK},          /* TR */
	};

	for (unsigned i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
		vmx_write(VMCS_GUEST_ES + i * VMCS_NEXT, segments[i].selector);
		vmx_write(VMCS_GUEST_ES_BASE + i * VMCS_NEXT, 0);
		vmx_write(VMCS_GUEST_ES_LIMIT + i * VMCS_NEXT, segments[i].limit);
		vmx_write(VMCS_GUEST_ES_RIGHTS + i * VMCS_NEXT, segments[i].rights);
	}
}

/* VMX needs CR4.VMXE, which the guest neither sees nor may clear; CR0.NE it keeps set itself. Interrupts exit
 * whatever RFLAGS.IF says; but when it goes from 0 in the host to 0 in the guest, Bochs keeps them masked. */
static void reset(struct vcpu *vcpu)
{
	static const struct {
		uint16_t field;
		uint64_t value;
	} state[] = {
		{VMCS_GUEST_CR0, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE},
		{VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE},
		{VMCS_CR4_MASK, CR4_VMXE},
		{VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_NXE},
		{VMCS_GUEST_RFLAGS, RFLAGS_ALWAYS | RFLAGS_IF},
		{VMCS_GUEST_DR7, DR7_ALWAYS},
		{VMCS_GUEST_GDTR_BASE, 0},
		{VMCS_GUEST_GDTR_LIMIT, 0},
		{VMCS_GUEST_IDTR_BASE, 0},
		{VMCS_GUEST_IDTR_LIMIT, 0},
		{VMCS_GUEST_BLOCKING, 0},
		{VMCS_GUEST_ACTIVITY, 0},
		{VMCS_GUEST_PENDING, 0},
	};

	(void)vcpu;
	for (unsigned i = 0; i < sizeof(state) / sizeof(state[0]); i++)
		vmx_write(state[i].field, state[i].value);
	vmx_write(VMCS_GUEST_CR3, (uintptr_t)guest_root_gpa);
	reset_segments();
	vmx_flush_guest_linear();
}

static void enter(struct vcpu *vcpu)
{
	bool *here = &launched[machine_this_cpu()];

	vmx_write(VMCS_GUEST_RIP, vcpu->rip);
	vmx_write(VMCS_GUEST_RSP, vcpu->registers[VCPU_RSP]);
	if (vmx_enter(vcpu->registers, *here))
		fail("VM entry: VM-instruction error %lu", vmx_read(VMCS_INSTRUCTION_ERROR));
	*here = true;
	vcpu->rip = vmx_read(VMCS_GUEST_RIP);
	vcpu->registers[VCPU_RSP] = vmx_read(VMCS_GUEST_RSP);
}

static void run(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	uint32_t reason;

	enter(vcpu);
	reason = (uint32_t)vmx_read(VMCS_EXIT_REASON);
	exit->syndrome = (vmx_read(VMCS_QUALIFICATION) & UINT32_MAX) << 32 | reason;
	switch (reason) {
	case REASON_INTERRUPT:
		apic_end_of_interrupt();
		exit->kind = VCPU_EXIT_RETRY;
		break;
	case REASON_VMCALL:
		vcpu->rip += HYPERCALL_LENGTH;
		exit->kind = VCPU_EXIT_HYPERCALL;
		break;
	default:
		if (!addrspace_ept_decode_fault(reason, vmx_read(VMCS_QUALIFICATION),
						vmx_read(VMCS_GUEST_PHYSICAL), &exit->fault))
			exit->kind = VCPU_EXIT_FAULT;
		break;
	}
}

const struct virtualization vmx = {
	.format = &addrspace_ept,
	.layouts = layouts,
	.layout_count = sizeof(layouts) / sizeof(layouts[0]),
	.hypercall = GUEST_VMCALL,
	.present = vmx_present,
	.start = vmx_start,
	.describe = describe,
	.identify = identify,
	.describe_root = describe_root,
	.load_root = load_root,
	.flush = flush,
	.reset = reset,
	.run = run,
};
