/* SPDX-License-Identifier: MIT */
#ifndef HYPERVISOR_MACHINE_CPU_H
#define HYPERVISOR_MACHINE_CPU_H

/** In a loop that waits for another CPU. */
static inline void machine_relax(void)
{
	/* PAUSE, which an assembler without Zihintpause does not know by name. */
	__asm__ volatile(".4byte 0x0100000f" : : : "memory");
}

#endif
