/* SPDX-License-Identifier: MIT */
#include "looper.h"

#include "second_cpu.h"
#include "spin.h"

/* One turn may have been on its way when the call was made, and is counted after it. */
#define TURNS_TO_BE_SURE 3

#define load(place)         __atomic_load_n(place, __ATOMIC_ACQUIRE)
#define store(place, value) __atomic_store_n(place, value, __ATOMIC_RELEASE)

static bool is_over(int outcome)
{
	return outcome == ADDRSPACE_FAULT_RESOLVED || outcome == ADDRSPACE_FAULT_ALREADY_RESOLVED;
}

/* So that both go through the fault call for the same page at once, however the emulator's threads are
 * scheduled. */
static void meet_partner(struct looper *looper, uint64_t gpa)
{
	uint64_t turns = 0;

	store(&looper->at, gpa);
	while (looper->partner && load(&looper->partner->at) < gpa)
		spin(&turns, "the guest on the other CPU to come as far");
}

static void answer_fault(struct looper *looper, const struct addrspace_fault_info *fault)
{
	uint64_t turns = 0;
	int outcome;

	meet_partner(looper, fault->gpa);
	outcome = addrspace_handle_fault(&looper->space->as, fault->gpa, fault->access, NULL);
	if (outcome < 0 || outcome >= FAULT_OUTCOMES) {
		looper->errors++;
		return;
	}
	looper->outcomes[outcome]++;
	if (is_over(outcome) || (outcome == ADDRSPACE_FAULT_DENIED && looper->retries_denied))
		return;
	store(&looper->waits_with, outcome);
	while (load(&looper->waits_with) != -1)
		spin(&turns, "CPU 0 to let the guest go on");
}

void looper_run_here(struct looper *looper)
{
	struct answer answer = subject_try(looper->space, &looper->request);

	while (!answer.done) {
		answer_fault(looper, &answer.fault);
		answer = subject_again(looper->space);
	}
	looper->result = answer.result;
	store(&looper->at, UINT64_MAX);
}

static void run_on_second_cpu(void *context)
{
	struct looper *looper = context;

	machine_load_root(&looper->space->as);
	looper_run_here(looper);
}

static bool is_loop(enum guest_operation operation)
{
	return operation >= GUEST_LOOP_READ;
}

static uint64_t turns_of(const struct looper *looper)
{
	return load(&looper->space->mailbox[1]->turns);
}

void looper_start(struct looper *looper)
{
	uint64_t turns = 0;

	for (unsigned i = 0; i < FAULT_OUTCOMES; i++)
		looper->outcomes[i] = 0;
	looper->errors = 0;
	looper->waits_with = -1;
	store(&looper->space->mailbox[1]->turns, 0);
	store(&looper->space->mailbox[1]->pace, 0);
	second_cpu_call(run_on_second_cpu, looper);
	while (is_loop(looper->request.operation) && !turns_of(looper))
		spin(&turns, "the guest on CPU 1 to begin its loop");
}

bool looper_turns(struct looper *looper)
{
	uint64_t start = turns_of(looper);
	uint64_t turns = 0;

	while (turns_of(looper) - start < TURNS_TO_BE_SURE) {
		if (load(&looper->waits_with) != -1)
			return false;
		spin(&turns, "the guest on CPU 1 to go on with its loop");
	}
	return true;
}

void looper_check_stopped(struct looper *looper, enum addrspace_fault outcome)
{
	if (check_equal("a stale access of CPU 1 succeeds", false, looper_turns(looper)))
		check_named("outcome of the fault on CPU 1", (int)outcome,
			    load(&looper->waits_with), addrspace_fault_name);
}

void looper_resume(struct looper *looper)
{
	store(&looper->waits_with, -1);
}

uint64_t looper_end(struct looper *looper)
{
	store(&looper->space->mailbox[1]->stop, 1);
	looper_resume(looper);
	second_cpu_join();
	check_equal("errors of the fault call on CPU 1", 0, looper->errors);
	return turns_of(looper);
}

uint64_t looper_result(const struct looper *looper)
{
	return load(&looper->space->mailbox[1]->result);
}
