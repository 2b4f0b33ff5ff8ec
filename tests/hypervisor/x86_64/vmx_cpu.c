/* SPDX-License-Identifier: MIT */
/* VMX on one CPU: turned on, with a VMCS whose host half never changes (Intel SDM 3C, 24 to 27). */
#include "vmx.h"

#include "machine.h"
#include "print.h"
#include "registers.h"
#include "segments.h"

#define MSR_FEATURE_CONTROL    0x3a
#define MSR_VMX_BASIC          0x480
#define MSR_CR0_FIXED_0        0x486
#define MSR_CR0_FIXED_1        0x487
#define MSR_CR4_FIXED_0        0x488
#define MSR_CR4_FIXED_1        0x489
#define MSR_SECONDARY_CONTROLS 0x48b
#define MSR_VPID_EPT_CAP       0x48c
#define MSR_PIN_CONTROLS       0x48d /* these four in the "true" version */
#define MSR_PRIMARY_CONTROLS   0x48e
#define MSR_EXIT_CONTROLS      0x48f
#define MSR_ENTRY_CONTROLS     0x490

#define FEATURE_LOCKED  UINT64_C(1)
#define FEATURE_VMX     UINT64_C(4)
#define BASIC_REVISION  UINT64_C(0x7fffffff)
#define BASIC_TRUE      (UINT64_C(1) << 55)
#define CPUID_1_ECX_VMX (UINT32_C(1) << 5)
#define INVVPID_SINGLE  UINT64_C(1)

struct vmx_page {
	uint32_t revision;
	uint8_t rest[4092];
} __attribute__((aligned(4096)));

static struct vmx_page on_regions[MACHINE_CPUS];
static struct vmx_page vmcs_regions[MACHINE_CPUS];
/* All zeroes: the guest accesses its MSRs without an exit. */
static uint8_t msr_bitmap[4096] __attribute__((aligned(4096)));

extern const char vmx_exit[];

uint64_t vmx_read(uint32_t field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0" : "=rm"(value) : "r"((uint64_t)field) : "cc", "memory");
	return value;
}

void vmx_write(uint32_t field, uint64_t value)
{
	bool failed;

	__asm__ volatile("vmwrite %2, %1"
			 : "=@ccbe"(failed)
			 : "r"((uint64_t)field), "rm"(value)
			 : "memory");
	if (failed)
		fail("VMWRITE of field 0x%x", field);
}

#define execute_on_page(instruction, page)                                                         \
	do {                                                                                       \
		uint64_t page_hpa = (uintptr_t)(page);                                             \
		bool failed;                                                                       \
		__asm__ volatile(instruction " %1" : "=@ccbe"(failed) : "m"(page_hpa) : "memory"); \
		if (failed)                                                                        \
			fail("%s", instruction);                                                   \
	} while (0)

bool vmx_present(void)
{
	return (read_cpuid(1).ecx & CPUID_1_ECX_VMX) != 0;
}

uint64_t vmx_ept_capabilities(void)
{
	return read_msr(MSR_VPID_EPT_CAP);
}

/** What the CPU demands, plus what we do; the low half of the MSR must be 1, what the high half lacks
 * must be 0. */
static uint64_t controls(uint32_t msr, uint32_t wanted)
{
	uint64_t allowed = read_msr(msr);

	if (wanted & ~(uint32_t)(allowed >> 32))
		fail("VMX lacks controls 0x%x of MSR 0x%x", wanted & ~(uint32_t)(allowed >> 32),
		     msr);
	return (uint32_t)allowed | wanted;
}

static void write_controls(void)
{
	if (!(read_msr(MSR_VMX_BASIC) & BASIC_TRUE))
		fail("VMX without the true control MSRs");
	vmx_write(VMCS_PIN_CONTROLS,
		  controls(MSR_PIN_CONTROLS, PIN_INTERRUPT_EXITS | PIN_NMI_EXITS));
	vmx_write(VMCS_PRIMARY_CONTROLS,
		  controls(MSR_PRIMARY_CONTROLS,
			   PRIMARY_HLT_EXITS | PRIMARY_MSR_BITMAP | PRIMARY_SECONDARY));
	vmx_write(VMCS_SECONDARY_CONTROLS,
		  controls(MSR_SECONDARY_CONTROLS,
			   SECONDARY_EPT | SECONDARY_VPID | SECONDARY_UNRESTRICTED));
	vmx_write(VMCS_EXIT_CONTROLS,
		  controls(MSR_EXIT_CONTROLS,
			   EXIT_HOST_64_BIT | EXIT_ACKNOWLEDGE | EXIT_SAVE_EFER | EXIT_LOAD_EFER));
	vmx_write(VMCS_ENTRY_CONTROLS,
		  controls(MSR_ENTRY_CONTROLS, ENTRY_LONG_MODE | ENTRY_LOAD_EFER));
	vmx_write(VMCS_MSR_BITMAP, (uintptr_t)msr_bitmap);
	vmx_write(VMCS_VPID, VMX_VPID);
	vmx_write(VMCS_LINK_POINTER, UINT64_MAX);
}

static void write_host(unsigned cpu)
{
	vmx_write(VMCS_HOST_CR0, read_control_register(cr0));
	vmx_write(VMCS_HOST_CR3, read_control_register(cr3));
	vmx_write(VMCS_HOST_CR4, read_control_register(cr4));
	vmx_write(VMCS_HOST_EFER, read_msr(MSR_EFER));
	vmx_write(VMCS_HOST_ES, SELECTOR_DATA);
	vmx_write(VMCS_HOST_CS, SELECTOR_CODE);
	vmx_write(VMCS_HOST_SS, SELECTOR_DATA);
	vmx_write(VMCS_HOST_DS, SELECTOR_DATA);
	vmx_write(VMCS_HOST_TR, SELECTOR_TASK + 16 * cpu);
	vmx_write(VMCS_HOST_TR_BASE, segments_task_base(cpu));
	vmx_write(VMCS_HOST_GDTR_BASE, segments_table_base());
	vmx_write(VMCS_HOST_IDTR_BASE, segments_vectors_base());
	vmx_write(VMCS_HOST_RIP, (uintptr_t)vmx_exit);
}

static void write_zeroes(void)
{
	static const uint16_t fields[] = {
		VMCS_HOST_FS,
		VMCS_HOST_GS,
		VMCS_HOST_FS_BASE,
		VMCS_HOST_GS_BASE,
		VMCS_HOST_SYSENTER_CS,
		VMCS_HOST_SYSENTER_ESP,
		VMCS_HOST_SYSENTER_EIP,
		VMCS_EXCEPTION_BITMAP,
		VMCS_CR3_TARGET_COUNT,
		VMCS_EXIT_STORE_COUNT,
		VMCS_EXIT_LOAD_COUNT,
		VMCS_ENTRY_LOAD_COUNT,
		VMCS_ENTRY_EVENT,
		VMCS_GUEST_DEBUGCTL,
		VMCS_GUEST_SYSENTER_CS,
		VMCS_GUEST_SYSENTER_ESP,
		VMCS_GUEST_SYSENTER_EIP,
		VMCS_CR0_MASK,
		VMCS_CR0_SHADOW,
		VMCS_CR4_SHADOW,
	};

	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		vmx_write(fields[i], 0);
}

/** The firmware has not locked it: Bochs starts without one. */
static void allow_vmx(void)
{
	uint64_t features = read_msr(MSR_FEATURE_CONTROL);

	if (!(features & FEATURE_LOCKED))
		write_msr(MSR_FEATURE_CONTROL, features | FEATURE_LOCKED | FEATURE_VMX);
	else if (!(features & FEATURE_VMX))
		fail("VMX is locked away: IA32_FEATURE_CONTROL is 0x%lx", features);
}

void vmx_start(void)
{
	unsigned cpu = machine_this_cpu();
	uint32_t revision = (uint32_t)(read_msr(MSR_VMX_BASIC) & BASIC_REVISION);

	allow_vmx();
	write_control_register(cr0, (read_control_register(cr0) | read_msr(MSR_CR0_FIXED_0)) &
					    read_msr(MSR_CR0_FIXED_1));
	write_control_register(cr4, (read_control_register(cr4) | read_msr(MSR_CR4_FIXED_0)) &
					    read_msr(MSR_CR4_FIXED_1));
	on_regions[cpu].revision = revision;
	vmcs_regions[cpu].revision = revision;
	execute_on_page("vmxon", &on_regions[cpu]);
	execute_on_page("vmclear", &vmcs_regions[cpu]);
	execute_on_page("vmptrld", &vmcs_regions[cpu]);
	write_zeroes();
	write_controls();
	write_host(cpu);
}

void vmx_flush_guest_linear(void)
{
	const uint64_t operand[2] = {VMX_VPID, 0};
	bool failed;

	__asm__ volatile("invvpid %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(operand), "r"(INVVPID_SINGLE)
			 : "memory");
	if (failed)
		fail("INVVPID of the guest's identifier");
}
