/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_SRC_ARCH_X86_64_CPU_H
#define ADDRSPACE_SRC_ARCH_X86_64_CPU_H

/** Stores are seen in order by other CPUs and by their walkers: only the compiler must not move
 * them (SDM 3A, 9.2). */
static inline void cpu_publish_entries(void)
{
	__asm__ volatile("" ::: "memory");
}

/** In a loop that waits for another CPU (SDM 2B, PAUSE). */
static inline void cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

#endif
