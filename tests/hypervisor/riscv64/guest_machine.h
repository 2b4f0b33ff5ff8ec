/* SPDX-License-Identifier: MIT */
/* What the guest does in instructions: hypercall, its own page table, the instruction cache. */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include <stdint.h>

#include "guest_layout.h"

#define GUEST_PRIVILEGE "VS mode"

#define GUEST_UART_DATA   0
#define GUEST_UART_STATUS 5
#define GUEST_UART_EMPTY  (1u << 5)

static inline uint64_t hypercall(uint64_t number, uint64_t first, uint64_t second, uint64_t third)
{
	register uint64_t a0 __asm__("a0") = number;
	register uint64_t a1 __asm__("a1") = first;
	register uint64_t a2 __asm__("a2") = second;
	register uint64_t a3 __asm__("a3") = third;

	__asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3) : "memory");
	return a0;
}

static inline void guest_put_char(char character)
{
	volatile uint8_t *uart = (uint8_t *)GUEST_UART;

	while (!(uart[GUEST_UART_STATUS] & GUEST_UART_EMPTY))
		;
	uart[GUEST_UART_DATA] = (uint8_t)character;
}

#define GUEST_LEAF  UINT64_C(0xcf) /* D, A, X, W, R, V */
#define GUEST_TABLE UINT64_C(0x01)
#define GUEST_SV39  (UINT64_C(8) << 60)

static inline uint64_t guest_entry(uint64_t gpa, uint64_t bits)
{
	return gpa >> 12 << 10 | bits;
}

/**
 * Turns translation on. Virtual = guest-physical below 16 GiB, and a second view of GUEST_PAGES at
 * GUEST_ALIAS whose table lies in memory that the hypervisor backs lazily.
 */
static inline void guest_enable_translation(uint64_t *table)
{
	volatile uint64_t *alias_table = (uint64_t *)GUEST_ALIAS_TABLE;

	alias_table[0] = guest_entry(GUEST_PAGES, GUEST_LEAF);
	for (uint64_t i = 0; i < 16; i++)
		table[i] = guest_entry(i << 30, GUEST_LEAF);
	table[GUEST_ALIAS >> 30] = guest_entry(GUEST_ALIAS_TABLE, GUEST_TABLE);
	__asm__ volatile("csrw satp, %0\n\tsfence.vma"
			 :
			 : "r"(GUEST_SV39 | (uintptr_t)table >> 12)
			 : "memory");
}

/** Writes a function that returns 42 at the address: li a0, 42; ret. */
static inline void guest_write_function(uint64_t address)
{
	*(volatile uint32_t *)address = 0x02a00513;
	*(volatile uint32_t *)(address + 4) = 0x00008067;
	/* FENCE.I, which not every assembler takes as part of rv64imac. */
	__asm__ volatile(".insn i 0x0f, 1, x0, x0, 0" : : : "memory");
}

#endif
