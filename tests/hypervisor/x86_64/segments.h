/* SPDX-License-Identifier: MIT */
/* The descriptor tables: one of segments for all CPUs with a task state for each, which also tells
 * the CPUs apart; and the vectors. */
#ifndef HYPERVISOR_X86_64_SEGMENTS_H
#define HYPERVISOR_X86_64_SEGMENTS_H

#define SELECTOR_CODE    0x08 /* 64 bits */
#define SELECTOR_DATA    0x10
#define SELECTOR_CODE_32 0x18
#define SELECTOR_TASK    0x20 /* of CPU 0; each takes two entries */

#define VECTOR_KICK     0xf0
#define VECTOR_SPURIOUS 0xff

/* The local APIC's end-of-interrupt register. */
#define APIC_EOI_ADDRESS 0xfee000b0

#ifndef __ASSEMBLER__

#include <stdint.h>

/** Loads segments, task and vectors of this CPU; machine_this_cpu() is right from then on. */
void segments_load(unsigned cpu);
/** Where the CPU's registers must point, for a vendor's virtualisation to restore them. */
uint64_t segments_task_base(unsigned cpu);
uint64_t segments_table_base(void);
uint64_t segments_vectors_base(void);

#endif
#endif
