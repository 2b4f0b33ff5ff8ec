/* SPDX-License-Identifier: MIT */
/* What virtual CPUs have in common. */
#include "vcpu.h"

#include "libc.h"
#include "print.h"
#include "space.h"
#include "virtualization.h"

static struct vcpu vcpus[MACHINE_CPUS];

struct vcpu *machine_vcpu(unsigned cpu)
{
	return &vcpus[cpu];
}

/** The guest's code and stack have the same addresses in both its views. */
static bool read_guest(uint64_t gpa, void *to, size_t size)
{
	struct addrspace_translation translation;
	uint8_t *bytes = to;

	for (size_t i = 0; i < size; i++) {
		if (!i || !((gpa + i) % ADDRSPACE_PAGE_SIZE)) {
			if (addrspace_walk(space_here(), gpa + i, &translation))
				return false;
		} else {
			translation.hpa++;
		}
		bytes[i] = *(const uint8_t *)(uintptr_t)translation.hpa;
	}
	return true;
}

void vcpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t first, uint64_t second)
{
	*vcpu = (struct vcpu){.rip = entry};
	vcpu->registers[VCPU_RDI] = first;
	vcpu->registers[VCPU_RSI] = second;
	vcpu->registers[VCPU_RBX] = virtualization()->hypercall;
	virtualization()->reset(vcpu);
}

static void decode_hypercall(const struct vcpu *vcpu, struct vcpu_exit *exit)
{
	exit->number = vcpu->registers[VCPU_RAX];
	exit->argument[0] = vcpu->registers[VCPU_RDI];
	exit->argument[1] = vcpu->registers[VCPU_RSI];
	exit->argument[2] = vcpu->registers[VCPU_RDX];
}

static void decode_access(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct instruction *instruction = &vcpu->instruction;
	uint8_t bytes[INSTRUCTION_MAX_LENGTH];
	bool writes = exit->fault.access & ADDRSPACE_WRITE;

	if (exit->fault.table_walk || exit->fault.access & ADDRSPACE_EXECUTE)
		return;
	if (!read_guest(vcpu->rip, bytes, sizeof(bytes)) || !instruction_decode(bytes, instruction))
		return;
	exit->emulatable = instruction->store == writes;
	exit->size = instruction->size;
	exit->stored =
		vcpu->registers[instruction->register_index] & UINT64_MAX >> (64 - 8 * exit->size);
}

void vcpu_run(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	*exit = (struct vcpu_exit){.kind = VCPU_EXIT_UNEXPECTED};
	space_enter();
	virtualization()->run(vcpu, exit);
	space_leave();
	if (exit->kind == VCPU_EXIT_HYPERCALL)
		decode_hypercall(vcpu, exit);
	else if (exit->kind == VCPU_EXIT_FAULT)
		decode_access(vcpu, exit);
}

uint64_t vcpu_program_counter(const struct vcpu *vcpu)
{
	return vcpu->rip;
}

void vcpu_skip_instruction(struct vcpu *vcpu)
{
	vcpu->rip += vcpu->instruction.length;
}

void vcpu_complete_load(struct vcpu *vcpu, uint64_t value)
{
	uint64_t *target = &vcpu->registers[vcpu->instruction.register_index];

	*target = instruction_loaded(&vcpu->instruction, *target, value);
	vcpu_skip_instruction(vcpu);
}

void vcpu_return_from_call(struct vcpu *vcpu, uint64_t value)
{
	uint64_t *stack = &vcpu->registers[VCPU_RSP];

	if (!read_guest(*stack, &vcpu->rip, sizeof(vcpu->rip)))
		fail("the guest's stack at 0x%lx is not in its memory", *stack);
	*stack += sizeof(vcpu->rip);
	vcpu->registers[VCPU_RAX] = value;
}
