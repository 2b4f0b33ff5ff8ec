/* SPDX-License-Identifier: MIT */
/* What the guest does in instructions: hypercall, its own translation, atomics. */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#define GUEST_PRIVILEGE "long mode"

extern bool guest_hypercall_is_vmmcall;

static inline uint64_t hypercall(uint64_t number, uint64_t first, uint64_t second, uint64_t third)
{
	if (guest_hypercall_is_vmmcall)
		__asm__ volatile("vmmcall"
				 : "+a"(number)
				 : "D"(first), "S"(second), "d"(third)
				 : "memory");
	else
		__asm__ volatile("vmcall"
				 : "+a"(number)
				 : "D"(first), "S"(second), "d"(third)
				 : "memory");
	return number;
}

/* One instruction for each access, of a form that instruction.c decodes. */
#define GUEST_LOAD(name, type, instruction)                                                        \
	static inline type name(uint64_t address)                                                  \
	{                                                                                          \
		type value;                                                                        \
		__asm__ volatile(instruction : "=r"(value) : "r"(address) : "memory");             \
		return value;                                                                      \
	}

#define GUEST_STORE(name, type, instruction)                                                       \
	static inline void name(uint64_t address, type value)                                      \
	{                                                                                          \
		__asm__ volatile(instruction : : "r"(value), "r"(address) : "memory");             \
	}

GUEST_LOAD(guest_load8, uint8_t, "movb (%1), %b0")
GUEST_LOAD(guest_load16, uint16_t, "movw (%1), %w0")
GUEST_LOAD(guest_load32, uint32_t, "movl (%1), %k0")
GUEST_LOAD(guest_load64, uint64_t, "movq (%1), %q0")
GUEST_LOAD(guest_load_signed8, int64_t, "movsbq (%1), %q0")
GUEST_STORE(guest_store8, uint8_t, "movb %b0, (%1)")
GUEST_STORE(guest_store16, uint16_t, "movw %w0, (%1)")
GUEST_STORE(guest_store32, uint32_t, "movl %k0, (%1)")
GUEST_STORE(guest_store64, uint64_t, "movq %q0, (%1)")

/** Changes translation: root is the address of the table that the walk starts at. */
static inline void guest_load_translation(uint64_t root)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

/** Drops what this CPU's TLB holds of the guest's translation. */
static inline void guest_flush_translation(void)
{
	uint64_t root;

	__asm__ volatile("mov %%cr3, %0\n\tmov %0, %%cr3" : "=r"(root) : : "memory");
}

/** Makes code that was written at the address executable: any jump does (SDM 3A, 9.1.3). */
static inline void guest_sync_code(uint64_t address)
{
	(void)address;
	__asm__ volatile("" : : : "memory");
}

/** Adds to the word, atomically, and returns what it was: one instruction. */
static inline uint64_t guest_atomic_add(uint64_t address, uint64_t value)
{
	__asm__ volatile("lock xaddq %0, (%1)" : "+r"(value) : "r"(address) : "memory", "cc");
	return value;
}

#endif
