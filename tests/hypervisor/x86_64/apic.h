/* SPDX-License-Identifier: MIT */
/* The local APIC of this CPU, through which CPUs reach each other. */
#ifndef HYPERVISOR_X86_64_APIC_H
#define HYPERVISOR_X86_64_APIC_H

#include <stdbool.h>
#include <stdint.h>

void apic_start(void);
/** Makes another CPU begin at a page below 1 MiB; it says when it has. */
void apic_start_cpu(unsigned cpu, uint32_t page_hpa, const bool *started);
/** Makes another CPU leave the guest, if it is inside. */
void apic_kick(unsigned cpu);
void apic_end_of_interrupt(void);

#endif
