/* SPDX-License-Identifier: MIT */
/* The guest's own translation and code as data: entries of its tables (SDM 3A, 4.5, 4 levels) and a
 * small function. Guest and hypervisor write them. */
#ifndef GUEST_PAGING_H
#define GUEST_PAGING_H

#include <stdint.h>

/** Tables that a walk goes through; the next to last kind has an entry for each 1 GiB. */
#define GUEST_PAGING_LEVELS 4

/** Accessed already: the CPU has nothing to write into a table. */
static inline uint64_t guest_table_entry(uint64_t gpa)
{
	return gpa | 0x23;
}

/** Level 0 is a page, 1 is 2 MiB, 2 is 1 GiB: large above 0. Accessed and dirty, all permissions. */
static inline uint64_t guest_leaf_entry(uint64_t gpa, unsigned level)
{
	return gpa | (level ? 0xe3 : 0x63);
}

/** Uncached, execute-never. */
static inline uint64_t guest_device_entry(uint64_t gpa, unsigned level)
{
	return UINT64_C(1) << 63 | 0x18 | guest_leaf_entry(gpa, level);
}

#define GUEST_FUNCTION_SIZE 8
/** Functions can return less. */
#define GUEST_FUNCTION_VALUES UINT32_MAX

/** Writes a function that returns value: mov $value, %eax; ret. */
static inline void guest_write_function(void *at, uint32_t value)
{
	*(volatile uint64_t *)at = UINT64_C(0xc300000000b8) | (uint64_t)value << 8;
}

#endif
