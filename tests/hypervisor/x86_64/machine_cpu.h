/* SPDX-License-Identifier: MIT */
#ifndef HYPERVISOR_MACHINE_CPU_H
#define HYPERVISOR_MACHINE_CPU_H

/** In a loop that waits for another CPU. */
static inline void machine_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

#endif
