/* SPDX-License-Identifier: MIT */
/* What the guest does in instructions: hypercall, its own translation, the instruction cache. */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#define GUEST_PRIVILEGE "EL1"

static inline uint64_t hypercall(uint64_t number, uint64_t first, uint64_t second, uint64_t third)
{
	register uint64_t x0 __asm__("x0") = number;
	register uint64_t x1 __asm__("x1") = first;
	register uint64_t x2 __asm__("x2") = second;
	register uint64_t x3 __asm__("x3") = third;

	__asm__ volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

/* One instruction for each access, of a form that names its register and size when it traps. */
#define GUEST_LOAD(name, type, instruction)                                                        \
	static inline type name(uint64_t address)                                                  \
	{                                                                                          \
		type value;                                                                        \
		__asm__ volatile(instruction ", [%1]" : "=r"(value) : "r"(address) : "memory");    \
		return value;                                                                      \
	}

#define GUEST_STORE(name, type, instruction)                                                       \
	static inline void name(uint64_t address, type value)                                      \
	{                                                                                          \
		__asm__ volatile(instruction ", [%1]" : : "r"(value), "r"(address) : "memory");    \
	}

GUEST_LOAD(guest_load8, uint8_t, "ldrb %w0")
GUEST_LOAD(guest_load16, uint16_t, "ldrh %w0")
GUEST_LOAD(guest_load32, uint32_t, "ldr %w0")
GUEST_LOAD(guest_load64, uint64_t, "ldr %x0")
GUEST_LOAD(guest_load_signed8, int64_t, "ldrsb %x0")
GUEST_STORE(guest_store8, uint8_t, "strb %w0")
GUEST_STORE(guest_store16, uint16_t, "strh %w0")
GUEST_STORE(guest_store32, uint32_t, "str %w0")
GUEST_STORE(guest_store64, uint64_t, "str %x0")

/* EPD1, 4 KiB granule, inner shareable, write-back walks, 39-bit input; IPS is added. */
#define GUEST_TCR  UINT64_C(0x803519)
#define GUEST_MAIR UINT64_C(0xff04) /* 0: Device-nGnRE, 1: Normal write-back */

/** Turns translation and caches on: root is the address of the table that the walk starts at. */
static inline void guest_load_translation(uint64_t root)
{
	uint64_t pa_range;

	__asm__ volatile("mrs %0, id_aa64mmfr0_el1" : "=r"(pa_range));
	pa_range &= 0xf;
	if (pa_range > 5)
		pa_range = 5; /* 48 bits: all that the entries hold */
	__asm__ volatile("dsb sy\n\t"
			 "msr mair_el1, %0\n\t"
			 "msr tcr_el1, %1\n\t"
			 "msr ttbr0_el1, %2\n\t"
			 "isb\n\t"
			 "tlbi vmalle1\n\t"
			 "ic iallu\n\t"
			 "dsb sy\n\t"
			 "isb\n\t"
			 "mrs x9, sctlr_el1\n\t"
			 "orr x9, x9, #0x1000\n\t"
			 "orr x9, x9, #0x4\n\t"
			 "orr x9, x9, #0x1\n\t"
			 "msr sctlr_el1, x9\n\t"
			 "isb"
			 :
			 : "r"(GUEST_MAIR), "r"(GUEST_TCR | pa_range << 32), "r"(root)
			 : "x9", "memory");
}

/** Drops what this CPU's TLB holds of the guest's translation. */
static inline void guest_flush_translation(void)
{
	__asm__ volatile("dsb ishst\n\ttlbi vmalle1\n\tdsb nsh\n\tisb" : : : "memory");
}

/** Makes code that was written at the address executable. */
static inline void guest_sync_code(uint64_t address)
{
	__asm__ volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb"
			 :
			 : "r"(address)
			 : "memory");
}

static inline bool guest_has_atomics(void)
{
	uint64_t isar0;

	__asm__("mrs %0, id_aa64isar0_el1" : "=r"(isar0));
	return (isar0 >> 20 & 0xf) >= 2;
}

/** Adds to the word, atomically, and returns what it was: one instruction if the CPU has one. */
static inline uint64_t guest_atomic_add(uint64_t address, uint64_t value)
{
	uint64_t old, sum;
	uint32_t failed;

	if (guest_has_atomics()) {
		__asm__ volatile(".arch_extension lse\n\tldaddal %1, %0, [%2]"
				 : "=r"(old)
				 : "r"(value), "r"(address)
				 : "memory");
		return old;
	}
	do {
		__asm__ volatile("ldaxr %0, [%3]\n\tadd %1, %0, %4\n\tstlxr %w2, %1, [%3]"
				 : "=&r"(old), "=&r"(sum), "=&r"(failed)
				 : "r"(address), "r"(value)
				 : "memory");
	} while (failed);
	return old;
}

#endif
