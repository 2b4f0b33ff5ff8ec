/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include "guest_paging.h"
#include "print.h"

/* ---- the guest's own translation ---- */

/* The last one is left to subject_set_window(). */
#define FREE_WINDOWS (GUEST_WINDOWS - 1)

void subject_set_window(struct space *space, unsigned cpu, unsigned slot, uint64_t entry)
{
	uint64_t *in_table = &space->gib_table[cpu][GUEST_FIRST_WINDOW + slot];

	if (*in_table == entry)
		return;
	__atomic_store_n(in_table, entry, __ATOMIC_RELEASE);
	space->mailbox[cpu]->flush = 1;
}

uint64_t subject_virtual(struct space *space, unsigned cpu, uint64_t gpa)
{
	uint64_t gib = gpa / GUEST_GIB;
	/* Of addresses that differ in one bit only, most get different windows. */
	unsigned slot = (unsigned)((gib ^ gib / 11 ^ gib / 997) % FREE_WINDOWS);

	if (gib == GUEST_IMAGE / GUEST_GIB)
		return gpa;
	subject_set_window(space, cpu, slot, guest_leaf_entry(gib * GUEST_GIB, 2));
	return (GUEST_FIRST_WINDOW + slot) * GUEST_GIB + gpa % GUEST_GIB;
}

/* ---- running ---- */

static void check_sound(const struct addrspace_fault_info *fault)
{
	if (fault->cause != ADDRSPACE_CAUSE_MISCONFIGURED &&
	    fault->cause != ADDRSPACE_CAUSE_ACCESS_FLAG)
		return;
	check_at(fault->gpa, "any access");
	check_equal("a fault for a damaged table", ADDRSPACE_CAUSE_PERMISSION, fault->cause);
}

static struct answer run(struct space *space, unsigned cpu)
{
	struct vcpu *vcpu = machine_vcpu(cpu);
	struct vcpu_exit exit;

	if (space->restart[cpu])
		vcpu_reset(vcpu, GUEST_IMAGE, cpu, GUEST_TABLES(cpu));
	space->restart[cpu] = false;
	do {
		vcpu_run(vcpu, &exit);
	} while (exit.kind == VCPU_EXIT_RETRY);
	__atomic_fetch_add(&space->exits, 1, __ATOMIC_RELAXED);
	if (exit.kind == VCPU_EXIT_FAULT) {
		check_sound(&exit.fault);
		return (struct answer){
			.fault = exit.fault,
			.emulatable = exit.emulatable,
			.size = exit.size,
			.stored = exit.stored,
		};
	}
	if (exit.kind != VCPU_EXIT_HYPERCALL)
		fail("CPU %u: an exit with syndrome 0x%lx at 0x%lx", cpu, exit.syndrome,
		     vcpu_program_counter(vcpu));
	if (exit.number != HYPERCALL_DONE)
		fail("CPU %u: the guest crashed: syndrome 0x%lx at 0x%lx, address 0x%lx", cpu,
		     exit.argument[0], exit.argument[1], exit.argument[2]);
	space->mailbox[cpu]->flush = 0;
	return (struct answer){.done = true, .result = space->mailbox[cpu]->result};
}

struct answer subject_try_virtual(struct space *space, const struct request *request,
				  uint64_t address)
{
	unsigned cpu = machine_this_cpu();
	struct guest_mailbox *mailbox = space->mailbox[cpu];

	mailbox->operation = request->operation;
	mailbox->size = request->size;
	mailbox->address = address;
	mailbox->value = request->value;
	mailbox->stride = request->stride;
	mailbox->repeat = request->repeat;
	mailbox->result = 0;
	mailbox->stop = 0;
	mailbox->turns = 0;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return run(space, cpu);
}

struct answer subject_try(struct space *space, const struct request *request)
{
	return subject_try_virtual(space, request,
				   subject_virtual(space, machine_this_cpu(), request->gpa));
}

struct answer subject_again(struct space *space)
{
	return run(space, machine_this_cpu());
}

void subject_abandon(struct space *space)
{
	space->restart[machine_this_cpu()] = true;
}

uint64_t subject_do(struct space *space, const struct request *request, unsigned *resolved,
		    unsigned *already)
{
	struct answer answer = subject_try(space, request);

	while (!answer.done) {
		int outcome = addrspace_handle_fault(&space->as, answer.fault.gpa,
						     answer.fault.access, NULL);

		if (outcome == ADDRSPACE_FAULT_RESOLVED && resolved)
			++*resolved;
		if (outcome == ADDRSPACE_FAULT_ALREADY_RESOLVED && already)
			++*already;
		if (outcome != ADDRSPACE_FAULT_RESOLVED &&
		    outcome != ADDRSPACE_FAULT_ALREADY_RESOLVED) {
			check_at(answer.fault.gpa, "a fault");
			check_named("outcome", ADDRSPACE_FAULT_RESOLVED, outcome,
				    addrspace_fault_name);
			subject_abandon(space);
			return 0;
		}
		answer = subject_again(space);
	}
	return answer.result;
}
