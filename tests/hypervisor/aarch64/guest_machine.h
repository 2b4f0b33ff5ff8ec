/* SPDX-License-Identifier: MIT */
/* What the guest does in instructions: hypercall, its own page table, the instruction cache. */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include <stdint.h>

#include "guest_layout.h"

#define GUEST_PRIVILEGE "EL1"

#define GUEST_UART_DATA  0x00
#define GUEST_UART_FLAGS 0x18
#define GUEST_UART_FULL  (1u << 5)

static inline uint64_t hypercall(uint64_t number, uint64_t first, uint64_t second, uint64_t third)
{
	register uint64_t x0 __asm__("x0") = number;
	register uint64_t x1 __asm__("x1") = first;
	register uint64_t x2 __asm__("x2") = second;
	register uint64_t x3 __asm__("x3") = third;

	__asm__ volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

static inline void guest_put_char(char character)
{
	while (*(volatile uint32_t *)(GUEST_UART + GUEST_UART_FLAGS) & GUEST_UART_FULL)
		;
	*(volatile uint32_t *)(GUEST_UART + GUEST_UART_DATA) = (unsigned char)character;
}

#define GUEST_BLOCK_DEVICE UINT64_C(0x60000000000401) /* AF, AttrIndx 0, execute-never */
#define GUEST_BLOCK_MEMORY UINT64_C(0x705)            /* AF, inner shareable, AttrIndx 1 */
#define GUEST_TABLE        UINT64_C(0x3)
/* EPD1, 40-bit output, 4 KiB granule, inner shareable, write-back walks, 39-bit input. */
#define GUEST_TCR UINT64_C(0x200803519)

/**
 * Turns translation and caches on. Virtual = guest-physical below 16 GiB, and a second view of
 * GUEST_PAGES at GUEST_ALIAS whose table lies in memory that the hypervisor backs lazily.
 */
static inline void guest_enable_translation(uint64_t *table)
{
	volatile uint64_t *alias_table = (uint64_t *)GUEST_ALIAS_TABLE;

	alias_table[0] = GUEST_PAGES | GUEST_BLOCK_MEMORY;
	table[0] = GUEST_BLOCK_DEVICE;
	for (uint64_t i = 1; i < 16; i++)
		table[i] = i << 30 | GUEST_BLOCK_MEMORY;
	table[GUEST_ALIAS >> 30] = GUEST_ALIAS_TABLE | GUEST_TABLE;
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
			 : "r"(UINT64_C(0xff04)), "r"(GUEST_TCR), "r"(table)
			 : "x9", "memory");
}

/** Writes a function that returns 42 at the address: mov x0, #42; ret. */
static inline void guest_write_function(uint64_t address)
{
	*(volatile uint32_t *)address = 0xd2800540;
	*(volatile uint32_t *)(address + 4) = 0xd65f03c0;
	__asm__ volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb"
			 :
			 : "r"(address)
			 : "memory");
}

#endif
