/* SPDX-License-Identifier: MIT */
/* The guest's exits, decoded from scause, stval, htval and htinst (RISC-V Privileged, "Hypervisor
 * Extension": traps). */
#include "print.h"
#include "registers.h"
#include "vcpu.h"

#define A0 10
#define RA 1

/* Left to the guest: all its own exceptions but the calls to us and the guest page faults. */
#define HEDELEG_ALL_BUT_OURS 0xb1ff
#define HIDELEG_VS           0x444 /* VS-level software, timer and external interrupts */

#define HTINST_WALK 0x3000 /* pseudo-instruction: an implicit access for VS-stage translation */

struct vcpu machine_vcpu;

void vcpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t first, uint64_t second)
{
	*vcpu = (struct vcpu){
		.pc = entry,
		.sstatus = SSTATUS_SPP | SSTATUS_SPIE | SSTATUS_FS | SSTATUS_VS,
		.hstatus = HSTATUS_VSXL_64 | HSTATUS_SPVP | HSTATUS_SPV,
	};
	vcpu->x[A0] = first;
	vcpu->x[A0 + 1] = second;
	write_csr(CSR_HEDELEG, HEDELEG_ALL_BUT_OURS);
	write_csr(CSR_HIDELEG, HIDELEG_VS);
	write_csr(CSR_HCOUNTEREN, UINT32_MAX);
	write_csr(CSR_HTIMEDELTA, 0);
	write_csr(CSR_HVIP, 0);
	write_csr(CSR_HIE, 0);
	write_csr(CSR_VSSTATUS, 0);
	write_csr(CSR_VSATP, 0);
	hfence_vvma_all();
}

uint64_t vcpu_program_counter(const struct vcpu *vcpu)
{
	return vcpu->pc;
}

void vcpu_skip_instruction(struct vcpu *vcpu)
{
	vcpu->pc += vcpu->instruction.length;
}

void vcpu_return_from_call(struct vcpu *vcpu, uint64_t value)
{
	vcpu->x[A0] = value;
	vcpu->pc = vcpu->x[RA];
}

void vcpu_complete_load(struct vcpu *vcpu, uint64_t value)
{
	const struct memory_instruction *load = &vcpu->instruction;
	unsigned unused = 64 - 8u * load->size;

	value <<= unused;
	value = load->sign_extend ? (uint64_t)((int64_t)value >> unused) : value >> unused;
	if (load->data)
		vcpu->x[load->data] = value;
	vcpu_skip_instruction(vcpu);
}

/** htinst may be 0 for any instruction: it is fetched. Nothing valid if another CPU has just taken the
 * page away. */
static struct memory_instruction fetch_instruction(uint64_t pc)
{
	uint64_t low, high = 0;

	if (guest_load_code(pc, &low))
		return (struct memory_instruction){0};
	if ((low & 3) == 3 && guest_load_code(pc + 2, &high))
		return (struct memory_instruction){0};
	return memory_instruction_decode((uint32_t)(high << 16 | low));
}

static void decode_guest_page_fault(struct vcpu *vcpu, unsigned access, struct vcpu_exit *exit)
{
	const struct memory_instruction *instruction = &vcpu->instruction;

	exit->kind = VCPU_EXIT_FAULT;
	exit->access = access;
	exit->table_walk = (vcpu->htinst & ~UINT64_C(0x20)) == HTINST_WALK;
	exit->gpa = vcpu->htval << 2;
	if (exit->table_walk)
		exit->access = vcpu->htinst & 0x20 ? ADDRSPACE_WRITE : ADDRSPACE_READ;
	else
		exit->gpa |= vcpu->stval & 3;
	if (exit->table_walk || access == ADDRSPACE_EXECUTE)
		return;
	vcpu->instruction = fetch_instruction(vcpu->pc);
	exit->emulatable = instruction->valid;
	if (!instruction->valid)
		return;
	exit->size = instruction->size;
	exit->stored = vcpu->x[instruction->data] & UINT64_MAX >> (64 - 8 * exit->size);
}

static void decode_hypercall(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	exit->kind = VCPU_EXIT_HYPERCALL;
	exit->number = vcpu->x[A0];
	for (unsigned i = 0; i < 3; i++)
		exit->argument[i] = vcpu->x[A0 + 1 + i];
	vcpu->pc += 4;
}

void vcpu_run(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	vcpu_enter(vcpu);
	*exit = (struct vcpu_exit){.kind = VCPU_EXIT_UNEXPECTED, .syndrome = vcpu->scause};
	switch (vcpu->scause) {
	case CAUSE_ECALL_FROM_VS:
		decode_hypercall(vcpu, exit);
		break;
	case CAUSE_GUEST_FETCH_PAGE_FAULT:
		decode_guest_page_fault(vcpu, ADDRSPACE_EXECUTE, exit);
		break;
	case CAUSE_GUEST_LOAD_PAGE_FAULT:
		decode_guest_page_fault(vcpu, ADDRSPACE_READ, exit);
		break;
	case CAUSE_GUEST_STORE_PAGE_FAULT:
		decode_guest_page_fault(vcpu, ADDRSPACE_WRITE, exit);
		break;
	default:
		break;
	}
}
