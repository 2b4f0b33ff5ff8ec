/* SPDX-License-Identifier: MIT */
/* The guest's exits, decoded from ESR_EL2, FAR_EL2 and HPFAR_EL2 (Arm ARM D24.2.40, ISS encodings).
 */
#include "print.h"
#include "registers.h"
#include "vcpu.h"

#define EC_HVC               0x16
#define EC_INSTRUCTION_ABORT 0x20
#define EC_DATA_ABORT        0x24

#define ISS_WRITE       (UINT64_C(1) << 6)  /* WnR */
#define ISS_TABLE_WALK  (UINT64_C(1) << 7)  /* S1PTW */
#define ISS_MAINTENANCE (UINT64_C(1) << 8)  /* CM */
#define ISS_FAR_INVALID (UINT64_C(1) << 10) /* FnV */
#define ISS_64_BIT      (UINT64_C(1) << 15) /* SF */
#define ISS_SIGNED      (UINT64_C(1) << 21) /* SSE */
#define ISS_VALID       (UINT64_C(1) << 24) /* ISV */

#define PSTATE_EL1H_MASKED 0x3c5
#define SCTLR_EL1_OFF      0x30d00800
#define ZERO_REGISTER      31

static struct vcpu vcpus[MACHINE_CPUS];

struct vcpu *machine_vcpu(unsigned cpu)
{
	return &vcpus[cpu];
}

void vcpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t first, uint64_t second)
{
	*vcpu = (struct vcpu){.pc = entry, .pstate = PSTATE_EL1H_MASKED};
	vcpu->x[0] = first;
	vcpu->x[1] = second;
	write_register(sctlr_el1, SCTLR_EL1_OFF);
	write_register(vpidr_el2, read_register(midr_el1));
	write_register(vmpidr_el2, read_register(mpidr_el1));
	write_register(cntvoff_el2, 0);
	barrier("isb");
}

uint64_t vcpu_program_counter(const struct vcpu *vcpu)
{
	return vcpu->pc;
}

void vcpu_skip_instruction(struct vcpu *vcpu)
{
	vcpu->pc += 4;
}

void vcpu_return_from_call(struct vcpu *vcpu, uint64_t value)
{
	vcpu->x[0] = value;
	vcpu->pc = vcpu->x[30];
}

void vcpu_complete_load(struct vcpu *vcpu, uint64_t value)
{
	uint64_t iss = read_register(esr_el2);
	unsigned target = register_field(iss, 16, 5);
	unsigned unused = 64 - (8u << register_field(iss, 22, 2));

	value <<= unused;
	value = iss & ISS_SIGNED ? (uint64_t)((int64_t)value >> unused) : value >> unused;
	if (!(iss & ISS_64_BIT))
		value = (uint32_t)value;
	if (target != ZERO_REGISTER)
		vcpu->x[target] = value;
	vcpu_skip_instruction(vcpu);
}

static bool is_translation_or_size_fault(uint64_t esr)
{
	return register_field(esr, 0, 6) < 8;
}

static bool is_permission_fault(uint64_t esr)
{
	return register_field(esr, 2, 4) == 3;
}

/* HPFAR_EL2 is not valid for a permission fault on the access itself: the guest's own translation
 * is done once more. It may have changed meanwhile, then the guest retries. */
static bool translate_again(uint64_t far, uint64_t *gpa)
{
	uint64_t guests_par = read_register(par_el1);
	uint64_t par;

	__asm__ volatile("at s1e1r, %0\n\tisb" : : "r"(far) : "memory");
	par = read_register(par_el1);
	write_register(par_el1, guests_par);
	*gpa = (par & UINT64_C(0x000ffffffffff000)) | (far & 0xfff);
	return !(par & 1);
}

/** The low 12 bits of a table walk's address are not reported: they are 0 in the answer. */
static bool fault_address(uint64_t esr, uint64_t *gpa)
{
	uint64_t far = read_register(far_el2);

	if (is_permission_fault(esr) && !(esr & ISS_TABLE_WALK))
		return translate_again(far, gpa);
	*gpa = (read_register(hpfar_el2) & UINT64_C(0x00000ffffffffff0)) << 8;
	if (!(esr & ISS_TABLE_WALK))
		*gpa |= far & 0xfff;
	return true;
}

/* A walk reads. If reading is what the table page allows and the walk faults all the same, it was
 * the CPU that updates the access flag in the guest's table, although WnR says read. */
static unsigned fault_access(uint64_t esr)
{
	if (esr & ISS_TABLE_WALK)
		return is_permission_fault(esr) ? ADDRSPACE_WRITE : ADDRSPACE_READ;
	if (register_field(esr, 26, 6) == EC_INSTRUCTION_ABORT)
		return ADDRSPACE_EXECUTE;
	if (esr & ISS_MAINTENANCE)
		return ADDRSPACE_READ;
	return esr & ISS_WRITE ? ADDRSPACE_WRITE : ADDRSPACE_READ;
}

static void decode_abort(const struct vcpu *vcpu, uint64_t esr, struct vcpu_exit *exit)
{
	bool data = register_field(esr, 26, 6) == EC_DATA_ABORT;
	unsigned source = register_field(esr, 16, 5);

	if (!is_translation_or_size_fault(esr) && !is_permission_fault(esr))
		return;
	if (esr & ISS_FAR_INVALID)
		return;
	exit->kind = fault_address(esr, &exit->fault.gpa) ? VCPU_EXIT_FAULT : VCPU_EXIT_RETRY;
	exit->fault.access = fault_access(esr);
	exit->fault.table_walk = (esr & ISS_TABLE_WALK) != 0;
	exit->emulatable = data && (esr & ISS_VALID) && !exit->fault.table_walk;
	exit->size = 1u << register_field(esr, 22, 2);
	exit->stored = source == ZERO_REGISTER ? 0 : vcpu->x[source];
	exit->stored &= UINT64_MAX >> (64 - 8 * exit->size);
}

void vcpu_run(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	unsigned vector = vcpu_enter(vcpu);
	uint64_t esr = read_register(esr_el2);

	*exit = (struct vcpu_exit){.kind = VCPU_EXIT_UNEXPECTED, .syndrome = esr};
	if (vector != GUEST_SYNCHRONOUS)
		return;
	switch (register_field(esr, 26, 6)) {
	case EC_HVC:
		exit->kind = VCPU_EXIT_HYPERCALL;
		exit->number = vcpu->x[0];
		for (unsigned i = 0; i < 3; i++)
			exit->argument[i] = vcpu->x[1 + i];
		break;
	case EC_INSTRUCTION_ABORT:
	case EC_DATA_ABORT:
		decode_abort(vcpu, esr, exit);
		break;
	default:
		break;
	}
}
