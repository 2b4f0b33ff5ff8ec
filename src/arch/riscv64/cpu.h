/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_SRC_ARCH_RISCV64_CPU_H
#define ADDRSPACE_SRC_ARCH_RISCV64_CPU_H

/** New entries come before any later store by which another hart learns of them (RISC-V Privileged,
 * SFENCE.VMA). */
static inline void cpu_publish_entries(void)
{
	__asm__ volatile("fence w, w" ::: "memory");
}

#endif
