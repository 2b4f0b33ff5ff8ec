/* SPDX-License-Identifier: MIT */
/* The guest's exits, decoded from scause, stval, htval and htinst (RISC-V Privileged, "Hypervisor
 * Extension": traps). */
#include <addrspace/riscv64.h>

#include "registers.h"
#include "vcpu.h"

#define A0 10
#define RA 1

/* Left to the guest: all its own exceptions but the calls to us and the guest page faults. */
#define HEDELEG_ALL_BUT_OURS 0xb1ff
#define HIDELEG_VS           0x444 /* VS-level software, timer and external interrupts */

static struct vcpu vcpus[MACHINE_CPUS];

struct vcpu *machine_vcpu(unsigned cpu)
{
	return &vcpus[cpu];
}

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
	write_csr(CSR_HENVCFG, HENVCFG_ALL);
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

/** htinst may be 0 for any instruction: it is fetched. False if another CPU has just taken the page away. */
static bool fetch_instruction(uint64_t pc, struct memory_instruction *instruction)
{
	uint64_t low, high = 0;

	*instruction = (struct memory_instruction){0};
	if (guest_load_code(pc, &low) || ((low & 3) == 3 && guest_load_code(pc + 2, &high)))
		return false;
	*instruction = memory_instruction_decode((uint32_t)(high << 16 | low));
	return true;
}

/* ---- the guest's own walk, where the CPU does not say what it found ---- */

#define SATP_MODE_SHIFT 60
#define SATP_PPN        ((UINT64_C(1) << 44) - 1)
#define PTE_VALID       UINT64_C(1)
#define PTE_RWX         UINT64_C(0xe)
#define PTE_PPN_SHIFT   10
#define PTE_PPN         ((UINT64_C(1) << 44) - 1)

/** Loads from a guest-physical address: with vsatp 0 that is what a guest-virtual one is. */
static uint64_t load_guest_physical(uint64_t gpa, uint64_t *value)
{
	uint64_t vsatp = read_csr(CSR_VSATP);
	uint64_t trap;

	write_csr(CSR_VSATP, 0);
	hfence_vvma_all();
	trap = guest_load_word(gpa, value);
	write_csr(CSR_VSATP, vsatp);
	hfence_vvma_all();
	return trap;
}

/* RISC-V Privileged, "Virtual Address Translation Process". An entry that cannot be read is the fault;
 * one that is not valid any more has been changed since, by another CPU of the guest's. */
static enum vcpu_exit_kind walk_guest_table(uint64_t va, struct addrspace_fault_info *fault)
{
	uint64_t vsatp = read_csr(CSR_VSATP);
	unsigned mode = (unsigned)(vsatp >> SATP_MODE_SHIFT);
	unsigned levels = mode ? mode - 5 : 0; /* Sv39 is 8 */
	uint64_t entry = PTE_VALID | (vsatp & SATP_PPN) << PTE_PPN_SHIFT;
	uint64_t page_mask = UINT64_MAX;

	for (unsigned level = levels; level && !(entry & PTE_RWX); level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t at = ((entry >> PTE_PPN_SHIFT & PTE_PPN) << 12) + (va >> shift & 511) * 8;

		page_mask = (UINT64_C(1) << shift) - 1;
		if (load_guest_physical(at, &entry)) {
			*fault = (struct addrspace_fault_info){
				.gpa = at, .access = ADDRSPACE_READ, .table_walk = true};
			return VCPU_EXIT_FAULT;
		}
		if (!(entry & PTE_VALID))
			return VCPU_EXIT_RETRY;
	}
	fault->gpa = (((entry >> PTE_PPN_SHIFT & PTE_PPN) << 12) & ~page_mask) | (va & page_mask);
	return VCPU_EXIT_FAULT;
}

/* ---- exits ---- */

static void decode_guest_page_fault(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct memory_instruction *instruction = &vcpu->instruction;
	int answer = addrspace_gstage_decode_fault(vcpu->scause, vcpu->htval, vcpu->stval,
						   vcpu->htinst, &exit->fault);

	if (answer < 0)
		return;
	exit->kind = answer == ADDRSPACE_DECODE_NEEDS_WALK
			     ? walk_guest_table(vcpu->stval, &exit->fault)
			     : VCPU_EXIT_FAULT;
	if (exit->fault.table_walk || exit->fault.access == ADDRSPACE_EXECUTE)
		return;
	exit->instruction_gone = !fetch_instruction(vcpu->pc, instruction);
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
	case CAUSE_GUEST_LOAD_PAGE_FAULT:
	case CAUSE_GUEST_STORE_PAGE_FAULT:
		decode_guest_page_fault(vcpu, exit);
		break;
	default:
		break;
	}
}
