/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_SRC_ARCH_RISCV64_CPU_H
#define ADDRSPACE_SRC_ARCH_RISCV64_CPU_H

/** New entries come before any later store by which another hart learns of them (RISC-V Privileged,
 * SFENCE.VMA). */
static inline void cpu_publish_entries(void)
{
	__asm__ volatile("fence w, w" ::: "memory");
}

/** In a loop that waits for another hart: PAUSE, which is a FENCE without effect to harts that lack
 * Zihintpause. */
static inline void cpu_relax(void)
{
	/* Assemblers without it: fence w, 0. */
	__asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010" ::: "memory");
}

#endif
