/* SPDX-License-Identifier: MIT */
/* PSCI 1.1 (Arm DEN0022) and what SMCCC 1.1 (DEN0028) wants to be asked for first. */
#include "psci.h"

#include "vcpu.h"

#define CALL_64 UINT64_C(0x40000000) /* the 64-bit form of a call */

#define SMCCC_VERSION     UINT64_C(0x80000000)
#define PSCI_VERSION      UINT64_C(0x84000000)
#define CPU_OFF           UINT64_C(0x84000002)
#define CPU_ON            UINT64_C(0x84000003)
#define AFFINITY_INFO     UINT64_C(0x84000004)
#define MIGRATE_INFO_TYPE UINT64_C(0x84000006)
#define SYSTEM_OFF        UINT64_C(0x84000008)
#define SYSTEM_RESET      UINT64_C(0x84000009)
#define PSCI_FEATURES     UINT64_C(0x8400000a)

#define SUCCESS            INT64_C(0)
#define NOT_SUPPORTED      INT64_C(-1)
#define INVALID_PARAMETERS INT64_C(-2)
#define ALREADY_ON         INT64_C(-4)
#define IS_ON              INT64_C(0)
#define IS_OFF             INT64_C(1)
#define NO_TRUSTED_OS      INT64_C(2)

/** The CPU that an MPIDR value names, or MACHINE_CPUS. */
static unsigned cpu_of(uint64_t mpidr)
{
	return mpidr < MACHINE_CPUS ? (unsigned)mpidr : MACHINE_CPUS;
}

static int64_t cpu_on(const uint64_t *argument)
{
	unsigned cpu = cpu_of(argument[0]);

	if (cpu == MACHINE_CPUS)
		return INVALID_PARAMETERS;
	return linux_cpu_start(cpu, argument[1], argument[2]) ? SUCCESS : ALREADY_ON;
}

static int64_t affinity_info(const uint64_t *argument)
{
	unsigned cpu = cpu_of(argument[0]);

	if (cpu == MACHINE_CPUS || argument[1])
		return INVALID_PARAMETERS;
	return linux_cpu_is_on(cpu) ? IS_ON : IS_OFF;
}

static int64_t features(uint64_t number)
{
	switch (number & ~CALL_64) {
	case SMCCC_VERSION:
	case PSCI_VERSION:
	case CPU_OFF:
	case CPU_ON:
	case AFFINITY_INFO:
	case MIGRATE_INFO_TYPE:
	case SYSTEM_OFF:
	case SYSTEM_RESET:
	case PSCI_FEATURES:
		return SUCCESS;
	default:
		return NOT_SUPPORTED;
	}
}

static int64_t answer(uint64_t number, const uint64_t *argument)
{
	switch (number & ~CALL_64) {
	case SMCCC_VERSION:
	case PSCI_VERSION:
		return 0x10001; /* both 1.1 */
	case PSCI_FEATURES:
		return features((uint32_t)argument[0]);
	case MIGRATE_INFO_TYPE:
		return NO_TRUSTED_OS;
	case CPU_ON:
		return cpu_on(argument);
	case AFFINITY_INFO:
		return affinity_info(argument);
	default:
		return NOT_SUPPORTED;
	}
}

enum linux_action psci_call(unsigned cpu, const struct vcpu_exit *exit)
{
	/* A call's number is a 32-bit one. */
	uint64_t number = (uint32_t)exit->number;

	switch (number) {
	case CPU_OFF:
		return LINUX_CPU_OFF;
	case SYSTEM_OFF:
		return LINUX_POWER_OFF;
	case SYSTEM_RESET:
		return LINUX_RESET;
	default:
		machine_vcpu(cpu)->x[0] = (uint64_t)answer(number, exit->argument);
		return LINUX_GO_ON;
	}
}
