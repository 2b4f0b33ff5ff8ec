/* SPDX-License-Identifier: MIT */
/* System registers and barriers, by name. */
#ifndef HYPERVISOR_AARCH64_REGISTERS_H
#define HYPERVISOR_AARCH64_REGISTERS_H

#include <stdint.h>

#define read_register(name)                                                                        \
	({                                                                                         \
		uint64_t register_value;                                                           \
		__asm__ volatile("mrs %0, " #name : "=r"(register_value));                         \
		register_value;                                                                    \
	})

#define write_register(name, value)                                                                \
	__asm__ volatile("msr " #name ", %0" : : "r"((uint64_t)(value)) : "memory")

#define barrier(instruction) __asm__ volatile(instruction : : : "memory")

/** The bits [low + width - 1 : low]. */
static inline unsigned register_field(uint64_t value, unsigned low, unsigned width)
{
	return (unsigned)(value >> low & ((UINT64_C(1) << width) - 1));
}

#endif
