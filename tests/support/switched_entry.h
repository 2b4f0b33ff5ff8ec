/* SPDX-License-Identifier: MIT */
/*
 * Included before anything of src/ where a format is compiled for interleave.h: the atomic operations of
 * src/entry.h, all of them, become functions of interleave.c, which pause first.
 */
#ifndef SWITCHED_ENTRY_H
#define SWITCHED_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t switched_load(const uint64_t *slot);
void switched_store(uint64_t *slot, uint64_t entry, int order);
size_t switched_count_empty(const uint64_t *slot, size_t count);
bool switched_exchange(uint64_t *slot, uint64_t *expected, uint64_t desired);
void switched_or(uint64_t *slot, uint64_t bits);

#define __atomic_load_n(slot, order)         switched_load(slot)
#define __atomic_store_n(slot, entry, order) switched_store(slot, entry, order)
#define __atomic_compare_exchange_n(slot, expected, desired, weak, success, failure)               \
	switched_exchange(slot, expected, desired)
#define __atomic_fetch_or(slot, bits, order) switched_or(slot, bits)
#include "entry.h"
#undef __atomic_load_n
#undef __atomic_store_n
#undef __atomic_compare_exchange_n
#undef __atomic_fetch_or

/* One at a time: it looks at several at once, and at some twice. */
#define entry_count_empty switched_count_empty

#endif
