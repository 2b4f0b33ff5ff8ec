/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_SRC_ARCH_AARCH64_CPU_H
#define ADDRSPACE_SRC_ARCH_AARCH64_CPU_H

/** New entries are seen by every walker in the inner shareable domain before what follows (Arm ARM
 * D8.2.6, B2.3.12). */
static inline void cpu_publish_entries(void)
{
	__asm__ volatile("dsb ishst\n\tisb" ::: "memory");
}

/** In a loop that waits for another CPU (Arm ARM C6.2, YIELD). */
static inline void cpu_relax(void)
{
	__asm__ volatile("yield" ::: "memory");
}

#endif
