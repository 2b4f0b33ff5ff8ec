/* SPDX-License-Identifier: MIT */
#ifndef HYPERVISOR_RISCV64_CPUS_H
#define HYPERVISOR_RISCV64_CPUS_H

#include <stdint.h>

/** The hart that a CPU is. */
uint64_t cpus_hart(unsigned cpu);

#endif
