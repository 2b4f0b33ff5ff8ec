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
