/* SPDX-License-Identifier: MIT */
/* What the guest does in instructions: hypercall, its own translation, the instruction cache. */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include <stdint.h>

#define GUEST_PRIVILEGE "VS mode"

static inline uint64_t hypercall(uint64_t number, uint64_t first, uint64_t second, uint64_t third)
{
	register uint64_t a0 __asm__("a0") = number;
	register uint64_t a1 __asm__("a1") = first;
	register uint64_t a2 __asm__("a2") = second;
	register uint64_t a3 __asm__("a3") = third;

	__asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3) : "memory");
	return a0;
}

/* One instruction for each access, of a form that instruction.c decodes. */
#define GUEST_LOAD(name, type, instruction)                                                        \
	static inline type name(uint64_t address)                                                  \
	{                                                                                          \
		type value;                                                                        \
		__asm__ volatile(instruction " %0, (%1)" : "=r"(value) : "r"(address) : "memory"); \
		return value;                                                                      \
	}

#define GUEST_STORE(name, type, instruction)                                                       \
	static inline void name(uint64_t address, type value)                                      \
	{                                                                                          \
		__asm__ volatile(instruction " %0, (%1)" : : "r"(value), "r"(address) : "memory"); \
	}

GUEST_LOAD(guest_load8, uint8_t, "lbu")
GUEST_LOAD(guest_load16, uint16_t, "lhu")
GUEST_LOAD(guest_load32, uint32_t, "lwu")
GUEST_LOAD(guest_load64, uint64_t, "ld")
GUEST_LOAD(guest_load_signed8, int64_t, "lb")
GUEST_STORE(guest_store8, uint8_t, "sb")
GUEST_STORE(guest_store16, uint16_t, "sh")
GUEST_STORE(guest_store32, uint32_t, "sw")
GUEST_STORE(guest_store64, uint64_t, "sd")

#define GUEST_SV39 (UINT64_C(8) << 60)

/** Turns translation on: root is the address of the table that the walk starts at. */
static inline void guest_load_translation(uint64_t root)
{
	__asm__ volatile("csrw satp, %0\n\tsfence.vma" : : "r"(GUEST_SV39 | root >> 12) : "memory");
}

/** Drops what this CPU's TLB holds of the guest's translation. */
static inline void guest_flush_translation(void)
{
	__asm__ volatile("sfence.vma" : : : "memory");
}

/** Makes code that was written at the address executable. */
static inline void guest_sync_code(uint64_t address)
{
	(void)address;
	/* FENCE.I, which not every assembler takes as part of rv64imac. */
	__asm__ volatile(".insn i 0x0f, 1, x0, x0, 0" : : : "memory");
}

/** Adds to the word, atomically, in one instruction, and returns what it was. */
static inline uint64_t guest_atomic_add(uint64_t address, uint64_t value)
{
	uint64_t old;

	__asm__ volatile("amoadd.d.aqrl %0, %2, (%1)"
			 : "=r"(old)
			 : "r"(address), "r"(value)
			 : "memory");
	return old;
}

#endif
