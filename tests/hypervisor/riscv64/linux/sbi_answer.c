/* SPDX-License-Identifier: MIT */
/* The SBI for the guest. Harts and power are the program's; the rest is passed on to the real firmware, with
 * the guest's harts, which are our CPUs, put as the harts that these are, and its fences as fences of
 * what VS mode translates. */
#include "sbi_answer.h"

#include "cpus.h"
#include "print.h"
#include "ram.h"
#include "registers.h"
#include "sbi.h"
#include "vcpu.h"

#define A0 10
#define A6 16
#define A7 17

struct call {
	uint64_t function;
	const uint64_t *argument;
	enum linux_action action;
};

static struct sbi_result result_of(int64_t error)
{
	return (struct sbi_result){.error = error};
}

/**
 * Puts a set of the guest's harts, in two words, as harts of the machine in the same two words: bit n of
 * the first one is hart n plus the second one, which may be -1, for all (SBI, "Hart List Parameter").
 * False if the guest has no such hart.
 */
static bool translate_harts(const struct call *call, uint64_t argument[5])
{
	uint64_t mask = call->argument[0];
	uint64_t base = call->argument[1];
	uint64_t all = (UINT64_C(1) << MACHINE_CPUS) - 1;

	if (base == UINT64_MAX) {
		mask = all;
		base = 0;
	}
	if (base >= MACHINE_CPUS || mask > all >> base)
		return false;
	mask <<= base;
	argument[0] = 0;
	argument[1] = 0;
	for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++)
		if (mask >> cpu & 1)
			argument[0] |= UINT64_C(1) << cpus_hart(cpu);
	return true;
}

static struct sbi_result answer_base(struct call *call);

static struct sbi_result answer_time(struct call *call)
{
	uint64_t argument[5] = {call->argument[0]};

	if (call->function != SBI_TIME_SET_TIMER)
		return result_of(SBI_NOT_SUPPORTED);
	/* Setting the timer takes the old one's interrupt back. */
	clear_csr_bits(CSR_HVIP, 1 << INTERRUPT_VS_TIMER);
	set_csr_bits(CSR_SIE, 1 << INTERRUPT_S_TIMER);
	return sbi_call(SBI_TIME, SBI_TIME_SET_TIMER, argument);
}

static struct sbi_result answer_ipi(struct call *call)
{
	uint64_t argument[5] = {0};

	if (call->function != SBI_IPI_SEND)
		return result_of(SBI_NOT_SUPPORTED);
	if (!translate_harts(call, argument))
		return result_of(SBI_INVALID_PARAM);
	return sbi_call(SBI_IPI, SBI_IPI_SEND, argument);
}

/* The firmware's HFENCE.VVMA is for the VMID in the caller's hgatp, which all CPUs have. */
static struct sbi_result answer_rfence(struct call *call)
{
	static const uint8_t ours[] = {
		[SBI_RFENCE_REMOTE_FENCE_I] = SBI_RFENCE_REMOTE_FENCE_I,
		[SBI_RFENCE_REMOTE_SFENCE_VMA] = SBI_RFENCE_REMOTE_HFENCE_VVMA,
		[SBI_RFENCE_REMOTE_SFENCE_VMA_ASID] = SBI_RFENCE_REMOTE_HFENCE_VVMA_ASID,
	};
	uint64_t argument[5] = {0, 0, call->argument[2], call->argument[3], call->argument[4]};

	if (call->function >= sizeof(ours))
		return result_of(SBI_NOT_SUPPORTED);
	if (!translate_harts(call, argument))
		return result_of(SBI_INVALID_PARAM);
	return sbi_call(SBI_RFENCE, ours[call->function], argument);
}

static struct sbi_result start_hart(uint64_t hart, uint64_t entry, uint64_t opaque)
{
	if (hart >= MACHINE_CPUS)
		return result_of(SBI_INVALID_PARAM);
	if (!ram_contains(entry))
		return result_of(SBI_INVALID_ADDRESS);
	if (!linux_cpu_start((unsigned)hart, entry, opaque))
		return result_of(SBI_ALREADY_AVAILABLE);
	linux_machine_wake((unsigned)hart);
	return result_of(SBI_SUCCESS);
}

static struct sbi_result status_of_hart(uint64_t hart)
{
	if (hart >= MACHINE_CPUS)
		return result_of(SBI_INVALID_PARAM);
	return (struct sbi_result){.value = linux_cpu_is_on((unsigned)hart) ? SBI_HSM_STARTED
									    : SBI_HSM_STOPPED};
}

static struct sbi_result answer_hsm(struct call *call)
{
	const uint64_t *argument = call->argument;

	switch (call->function) {
	case SBI_HSM_HART_START:
		return start_hart(argument[0], argument[1], argument[2]);
	case SBI_HSM_HART_STOP:
		call->action = LINUX_CPU_OFF;
		return result_of(SBI_SUCCESS);
	case SBI_HSM_HART_GET_STATUS:
		return status_of_hart(argument[0]);
	default:
		return result_of(SBI_NOT_SUPPORTED);
	}
}

/* A shutdown for a reason is one that Linux did not want. */
static struct sbi_result answer_srst(struct call *call)
{
	uint64_t type = call->argument[0];
	uint64_t reason = call->argument[1];

	if (call->function != SBI_SRST_SYSTEM_RESET)
		return result_of(SBI_NOT_SUPPORTED);
	if (type > SBI_SRST_WARM_REBOOT)
		return result_of(SBI_INVALID_PARAM);
	call->action = type == SBI_SRST_SHUTDOWN && reason == SBI_SRST_NO_REASON ? LINUX_POWER_OFF
										 : LINUX_RESET;
	return result_of(SBI_SUCCESS);
}

static const struct extension {
	uint64_t number;
	struct sbi_result (*answer)(struct call *call);
} extensions[] = {
	{SBI_BASE, answer_base},     {SBI_TIME, answer_time}, {SBI_IPI, answer_ipi},
	{SBI_RFENCE, answer_rfence}, {SBI_HSM, answer_hsm},   {SBI_SRST, answer_srst},
};

static const struct extension *find_extension(uint64_t number)
{
	for (unsigned i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (extensions[i].number == number)
			return &extensions[i];
	return NULL;
}

static struct sbi_result answer_base(struct call *call)
{
	static const uint64_t none[5];

	if (call->function > SBI_BASE_LAST)
		return result_of(SBI_NOT_SUPPORTED);
	if (call->function == SBI_BASE_PROBE_EXTENSION)
		return (struct sbi_result){.value = find_extension(call->argument[0]) != NULL};
	return sbi_call(SBI_BASE, call->function, none);
}

enum linux_action sbi_answer(unsigned cpu)
{
	struct vcpu *vcpu = machine_vcpu(cpu);
	struct call call = {.function = vcpu->x[A6], .argument = &vcpu->x[A0]};
	const struct extension *extension = find_extension(vcpu->x[A7]);
	struct sbi_result result =
		extension ? extension->answer(&call) : result_of(SBI_NOT_SUPPORTED);

	vcpu->x[A0] = (uint64_t)result.error;
	vcpu->x[A0 + 1] = result.value;
	return call.action;
}
