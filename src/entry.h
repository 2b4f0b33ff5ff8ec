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

/** Of a slot that is asked whether it is empty. Without order: nothing follows from what is not
 * there. */
static inline uint64_t entry_peek(const uint64_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

/** How many slots from slot on are empty, of count. */
static inline size_t entry_count_empty(const uint64_t *slot, size_t count)
{
	size_t empty = 0;

	/* Four at a time, without a branch between them. */
	while (count - empty >= 4 && !(entry_peek(slot + empty) | entry_peek(slot + empty + 1) |
				       entry_peek(slot + empty + 2) | entry_peek(slot + empty + 3)))
		empty += 4;
	while (empty < count && !entry_peek(slot + empty))
		empty++;
	return empty;
}

/** How many slots from slot on, of count, hold entry, entry + step, and so on. */
static inline size_t entry_count_run(const uint64_t *slot, uint64_t entry, uint64_t step,
				     size_t count)
{
	size_t run = 0;

	for (; count - run >= 4; run += 4, entry += 4 * step) {
		uint64_t differ = entry_read(slot + run) ^ entry;

		differ |= entry_read(slot + run + 1) ^ (entry + step);
		differ |= entry_read(slot + run + 2) ^ (entry + 2 * step);
		differ |= entry_read(slot + run + 3) ^ (entry + 3 * step);
		if (differ)
			break;
	}
	for (; run < count && entry_read(slot + run) == entry; run++)
		entry += step;
	return run;
}

/** Entries of a table that is not linked yet: count of them, each step above the last. */
static inline void entry_fill(uint64_t *slot, uint64_t entry, uint64_t step, size_t count)
{
	/* Four sums of their own: one for each store, and each waiting for the last, would take
	 * longer than the stores do. */
	uint64_t second = entry + step;
	uint64_t third = second + step;
	uint64_t fourth = third + step;
	const uint64_t stride = 4 * step;

	/* Atomic though nobody looks: gcc 12.2 with SSE makes two wrong vectors of plain stores. */
	for (; count >= 4; count -= 4, slot += 4) {
		__atomic_store_n(&slot[0], entry, __ATOMIC_RELAXED);
		__atomic_store_n(&slot[1], second, __ATOMIC_RELAXED);
		__atomic_store_n(&slot[2], third, __ATOMIC_RELAXED);
		__atomic_store_n(&slot[3], fourth, __ATOMIC_RELAXED);
		entry += stride;
		second += stride;
		third += stride;
		fourth += stride;
	}
	for (; count; count--, slot++, entry += step)
		*slot = entry;
}

#endif
