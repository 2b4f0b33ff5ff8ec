/* SPDX-License-Identifier: MIT */
/* The guest's exits (Arm ARM D24.2.40: ESR_EL2, ISS encodings). */
#include <addrspace/aarch64.h>

#include "print.h"
#include "registers.h"
#include "vcpu.h"

#define EC_HVC               0x16
#define EC_SMC               0x17
#define EC_INSTRUCTION_ABORT 0x20
#define EC_DATA_ABORT        0x24

#define ISS_64_BIT (UINT64_C(1) << 15) /* SF */
#define ISS_SIGNED (UINT64_C(1) << 21) /* SSE */
#define ISS_VALID  (UINT64_C(1) << 24) /* ISV */

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

/** The library keeps the guest's PAR_EL1. */
static uint64_t translate_again(uint64_t far)
{
	uint64_t guests_par = read_register(par_el1);
	uint64_t par = addrspace_stage2_translate_va(far);

	if (read_register(par_el1) != guests_par)
		fail("addrspace_stage2_translate_va has lost the guest's PAR_EL1");
	return par;
}

/* Where the fault does not tell its address, the guest's own translation is done once more. It may
 * have changed meanwhile, then the guest retries. */
static int decode_fault(uint64_t esr, struct addrspace_fault_info *fault)
{
	struct addrspace_stage2_fault_registers registers = {
		.esr_el2 = esr,
		.hpfar_el2 = read_register(hpfar_el2),
		.far_el2 = read_register(far_el2),
	};
	int answer = addrspace_stage2_decode_fault(&registers, fault);

	if (answer != ADDRSPACE_DECODE_NEEDS_AT)
		return answer;
	registers.par_el1 = translate_again(registers.far_el2);
	registers.par_valid = true;
	return addrspace_stage2_decode_fault(&registers, fault);
}

static void decode_abort(const struct vcpu *vcpu, uint64_t esr, struct vcpu_exit *exit)
{
	bool data = register_field(esr, 26, 6) == EC_DATA_ABORT;
	unsigned source = register_field(esr, 16, 5);
	int answer = decode_fault(esr, &exit->fault);

	if (answer < 0)
		return;
	exit->kind = answer == ADDRSPACE_DECODED ? VCPU_EXIT_FAULT : VCPU_EXIT_RETRY;
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
	case EC_SMC:
		/* Trapped by TSC, so it was not executed: the return address is its own. */
		vcpu_skip_instruction(vcpu);
		/* fall through */
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
