/* SPDX-License-Identifier: MIT */
/*
 * Every access to a page-table entry that a CPU may be walking at the same time. Entries change by
 * single 64-bit stores with release order: what an entry names was written before (pairs with the
 * hardware walker's dependent load).
 */
#ifndef ADDRSPACE_SRC_ENTRY_H
#define ADDRSPACE_SRC_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t entry_read(const uint64_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static inline void entry_write(uint64_t *slot, uint64_t entry)
{
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}

/** Stores desired if the slot still holds *expected; else *expected becomes what it holds. */
static inline bool entry_exchange(uint64_t *slot, uint64_t *expected, uint64_t desired)
{
	return __atomic_compare_exchange_n(slot, expected, desired, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/** Sets bits in a live entry, in which hardware or another CPU may be setting others. */
static inline void entry_or(uint64_t *slot, uint64_t bits)
{
	__atomic_fetch_or(slot, bits, __ATOMIC_ACQ_REL);
}

/** Entries of a table that is not linked yet: count of them, each step above the last. */
static inline void entry_fill(uint64_t *slot, uint64_t entry, uint64_t step, size_t count)
{
	/* Four at a time: one sum and one branch more for each store would take as long as it does. */
	for (; count >= 4; count -= 4, slot += 4, entry += 4 * step) {
		slot[0] = entry;
		slot[1] = entry + step;
		slot[2] = entry + 2 * step;
		slot[3] = entry + 3 * step;
	}
	for (; count; count--, slot++, entry += step)
		*slot = entry;
}

#endif
