/* SPDX-License-Identifier: MIT */
/* The guest's own translation and code as data: entries of its tables (VMSAv8-64 stage 1, 4 KiB
 * granule, 39-bit virtual addresses) and a small function. Guest and hypervisor write them. */
#ifndef GUEST_PAGING_H
#define GUEST_PAGING_H

#include <stdint.h>

/** Tables that a walk goes through; the next to last kind has an entry for each 1 GiB. */
#define GUEST_PAGING_LEVELS 3

static inline uint64_t guest_table_entry(uint64_t gpa)
{
	return gpa | 3;
}

/** Level 0 is a page, 1 a block of 2 MiB, 2 of 1 GiB: bit 1 tells page from block. Access flag, inner
 * shareable, AttrIndx 1; all permissions. */
static inline uint64_t guest_leaf_entry(uint64_t gpa, unsigned level)
{
	return gpa | (level ? 0x705 : 0x707);
}

/** Access flag, AttrIndx 0, execute-never. */
static inline uint64_t guest_device_entry(uint64_t gpa, unsigned level)
{
	return gpa | (level ? 0x60000000000401 : 0x60000000000403);
}

#define GUEST_FUNCTION_SIZE 8
/** Functions can return less. */
#define GUEST_FUNCTION_VALUES 2048

/** Writes a function that returns value: mov x0, #value; ret. at is aligned to 4 bytes. */
static inline void guest_write_function(void *at, uint32_t value)
{
	((volatile uint32_t *)at)[0] = 0xd2800000 | value << 5;
	((volatile uint32_t *)at)[1] = 0xd65f03c0;
}

#endif
