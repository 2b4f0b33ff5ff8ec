/* SPDX-License-Identifier: MIT */
/* Timers, interrupts, floating point and the rest are the guest's own: nothing here is virtual but memory
 * and firmware. Only the physical timer traps, so that each tick of the guest is an exit. */
#include "linux_machine.h"

#include "print.h"
#include "psci.h"
#include "ram.h"
#include "registers.h"
#include "vcpu.h"

#define DISTRIBUTOR       UINT64_C(0x08000000) /* GICv3 */
#define DISTRIBUTOR_SIZE  UINT64_C(0x20000)
#define REDISTRIBUTOR     UINT64_C(0x080a0000)
#define REDISTRIBUTOR_CPU UINT64_C(0x20000)

static void map_device(struct addrspace *as, uint64_t address, uint64_t size)
{
	const struct addrspace_attributes attributes = {
		.permissions = ADDRSPACE_READ | ADDRSPACE_WRITE,
		.memory_type = ADDRSPACE_DEVICE,
	};

	require(addrspace_map_linear(as, address, size, address, &attributes, 0));
}

void linux_machine_map_devices(struct addrspace *as)
{
	map_device(as, MACHINE_UART_HPA, ADDRSPACE_PAGE_SIZE);
	map_device(as, DISTRIBUTOR, DISTRIBUTOR_SIZE);
	map_device(as, REDISTRIBUTOR, MACHINE_CPUS * REDISTRIBUTOR_CPU);
}

/* ---- registers of EL2 (Arm ARM D24.2, unless it says otherwise) ---- */

#define HCR_APK (UINT64_C(1) << 40)
#define HCR_API (UINT64_C(1) << 41)
/* RES1 bits; floating point, SVE and SME are the guest's. */
#define CPTR UINT64_C(0x22ff)
/* The physical counter is the guest's, EL1PCTEN; EL1PCEN is clear: the physical timer traps (D24.10). */
#define CNTHCTL UINT64_C(1)
/* System registers rather than memory, at EL1 too (GICv3, 12.2.26). */
#define ICC_SRE UINT64_C(0xf)
#define LONGEST UINT64_C(0xf) /* SVE and SME vectors as long as there are */
#define FA64    (UINT64_C(1) << 31)

static bool has_pointer_authentication(void)
{
	uint64_t isar1 = read_register(id_aa64isar1_el1);

	return register_field(isar1, 4, 8) || register_field(isar1, 24, 8);
}

static void allow_vectors(void)
{
	write_register(cptr_el2, CPTR);
	barrier("isb");
	if (register_field(read_register(id_aa64pfr0_el1), 32, 4))
		write_register(s3_4_c1_c2_0, LONGEST); /* ZCR_EL2 */
	if (register_field(read_register(id_aa64pfr1_el1), 24, 4))
		write_register(s3_4_c1_c2_6, LONGEST | FA64); /* SMCR_EL2 */
}

void linux_machine_prepare_cpu(void)
{
	if (has_pointer_authentication())
		write_register(hcr_el2, read_register(hcr_el2) | HCR_APK | HCR_API);
	allow_vectors();
	write_register(cnthctl_el2, CNTHCTL);
	write_register(hstr_el2, 0);
	/* HPMN: all performance counters are the guest's. */
	write_register(mdcr_el2, register_field(read_register(pmcr_el0), 11, 5));
	write_register(s3_4_c12_c9_5, read_register(s3_4_c12_c9_5) | ICC_SRE); /* ICC_SRE_EL2 */
	write_register(s3_4_c12_c11_0, 0);                                     /* ICH_HCR_EL2 */
	barrier("isb");
}

/* x1 to x3 of the first CPU are 0 (Documentation/arch/arm64/booting). */
void linux_machine_reset_vcpu(unsigned cpu, uint64_t entry, uint64_t argument)
{
	vcpu_reset(machine_vcpu(cpu), entry, argument, 0);
}

/* Not WFI: no interrupt comes when the virtual CPU is started. */
void linux_machine_rest(void)
{
	machine_relax();
}

/* ---- interrupts ---- */

/* In the second half of a redistributor (GICv3, 12.11). */
#define SGI_FRAME 0x10000
#define ISENABLER 0x0100
#define PRIORITY  0x0400
#define URGENT    15 /* the SGI; Linux has no use for it */

/* A CPU that Linux has stopped waits in an interrupt that it never ends: only a more urgent one wakes it.
 * It stays masked, so the guest goes on behind its WFI. (ICC_SGI1R_EL1, GICv3 12.2.17.) */
void linux_machine_wake(unsigned cpu)
{
	uint64_t frame = REDISTRIBUTOR + cpu * REDISTRIBUTOR_CPU + SGI_FRAME;

	*(volatile uint8_t *)(frame + PRIORITY + URGENT) = 0;
	*(volatile uint32_t *)(frame + ISENABLER) = 1u << URGENT;
	barrier("dsb sy");
	write_register(s3_0_c12_c11_5, (uint64_t)URGENT << 24 | UINT64_C(1) << cpu);
	barrier("isb");
}

/* ---- exits ---- */

#define EC_SYSTEM_REGISTER 0x18
/* ISS of a trapped system register: Op0, Op2, Op1, CRn, CRm; Rt and the direction are not among them. */
#define REGISTER(op0, op1, crn, crm, op2)                                                          \
	((op0) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | (crm) << 1)
#define REGISTER_MASK REGISTER(3u, 7u, 15u, 15u, 7u)
#define CNTP_TVAL     REGISTER(3u, 3u, 14u, 2u, 0u)
#define CNTP_CTL      REGISTER(3u, 3u, 14u, 2u, 1u)
#define CNTP_CVAL     REGISTER(3u, 3u, 14u, 2u, 2u)
#define ZERO_REGISTER 31

static uint64_t read_timer(uint32_t which)
{
	switch (which) {
	case CNTP_TVAL:
		return read_register(cntp_tval_el0);
	case CNTP_CTL:
		return read_register(cntp_ctl_el0);
	default:
		return read_register(cntp_cval_el0);
	}
}

static void write_timer(uint32_t which, uint64_t value)
{
	switch (which) {
	case CNTP_TVAL:
		write_register(cntp_tval_el0, value);
		break;
	case CNTP_CTL:
		write_register(cntp_ctl_el0, value);
		break;
	default:
		write_register(cntp_cval_el0, value);
		break;
	}
	barrier("isb");
}

/** Does what the guest wanted to do; false if it is not a register of the timer. */
static bool access_timer(struct vcpu *vcpu, uint32_t iss)
{
	uint32_t which = iss & REGISTER_MASK;
	unsigned number = register_field(iss, 5, 5);
	bool is_read = iss & 1;

	if (which != CNTP_TVAL && which != CNTP_CTL && which != CNTP_CVAL)
		return false;
	if (!is_read)
		write_timer(which, number == ZERO_REGISTER ? 0 : vcpu->x[number]);
	else if (number != ZERO_REGISTER)
		vcpu->x[number] = read_timer(which);
	vcpu_skip_instruction(vcpu);
	return true;
}

enum linux_action linux_machine_answer(unsigned cpu, const struct vcpu_exit *exit)
{
	struct vcpu *vcpu = machine_vcpu(cpu);

	if (exit->kind == VCPU_EXIT_HYPERCALL)
		return psci_call(cpu, exit);
	if (register_field(exit->syndrome, 26, 6) == EC_SYSTEM_REGISTER &&
	    access_timer(vcpu, (uint32_t)register_field(exit->syndrome, 0, 25)))
		return LINUX_GO_ON;
	fail("an exit with syndrome 0x%lx at 0x%lx", exit->syndrome, vcpu_program_counter(vcpu));
}
