/* SPDX-License-Identifier: MIT */
/* The operands of INVEPT (Intel SDM 3C, 31.3). The instruction is in cpu.c. */
#ifndef ADDRSPACE_SRC_ARCH_X86_64_INVEPT_H
#define ADDRSPACE_SRC_ARCH_X86_64_INVEPT_H

#include <addrspace/addrspace.h>

#define INVEPT_SINGLE_CONTEXT 1
#define INVEPT_ALL_CONTEXTS   2

struct invept {
	uint64_t descriptor[2]; /* EPTP, 0 */
	uint64_t type;
};

/** Everything on this CPU. */
static inline struct invept invept_all(void)
{
	return (struct invept){.type = INVEPT_ALL_CONTEXTS};
}

/** What was cached for this EPT pointer, if the CPU can tell it apart. */
static inline struct invept invept_single(uint32_t cpu_features, uint64_t eptp)
{
	if (!(cpu_features & ADDRSPACE_CPU_INVEPT_SINGLE))
		return invept_all();
	return (struct invept){.descriptor = {eptp, 0}, .type = INVEPT_SINGLE_CONTEXT};
}

#endif
