/* SPDX-License-Identifier: MIT */
/* The guest's own translation and code as data: entries of its tables (Sv39) and a small function.
 * Guest and hypervisor write them. */
#ifndef GUEST_PAGING_H
#define GUEST_PAGING_H

#include <stdint.h>

/** Tables that a walk goes through; the next to last kind has an entry for each 1 GiB. */
#define GUEST_PAGING_LEVELS 3

static inline uint64_t guest_table_entry(uint64_t gpa)
{
	return gpa >> 12 << 10 | 0x01;
}

/** Level 0 is a page, 1 is 2 MiB, 2 is 1 GiB. D, A, X, W, R, V: nothing is left for hardware to set. */
static inline uint64_t guest_leaf_entry(uint64_t gpa, unsigned level)
{
	(void)level;
	return gpa >> 12 << 10 | 0xcf;
}

/** What is a device is the platform's to know. */
static inline uint64_t guest_device_entry(uint64_t gpa, unsigned level)
{
	return guest_leaf_entry(gpa, level);
}

#define GUEST_FUNCTION_SIZE 8
/** Functions can return less. */
#define GUEST_FUNCTION_VALUES 2048

/** Writes a function that returns value: li a0, value; ret. at is aligned to 4 bytes. */
static inline void guest_write_function(void *at, uint32_t value)
{
	((volatile uint32_t *)at)[0] = 0x00000513 | value << 20;
	((volatile uint32_t *)at)[1] = 0x00008067;
}

#endif
