/* SPDX-License-Identifier: MIT */
/*
 * Stands in for src/entry.h where a format is compiled for interleave.h: beneath is the real one.
 * Included before anything of src/.
 */
#ifndef SWITCHED_ENTRY_H
#define SWITCHED_ENTRY_H

#define entry_read        raw_entry_read
#define entry_write       raw_entry_write
#define entry_exchange    raw_entry_exchange
#define entry_or          raw_entry_or
#define entry_count_empty raw_entry_count_empty
#include "entry.h"
#undef entry_read
#undef entry_write
#undef entry_exchange
#undef entry_or
#undef entry_count_empty

/* interleave.c */
uint64_t switched_entry_read(const uint64_t *slot);
void switched_entry_write(uint64_t *slot, uint64_t entry);
bool switched_entry_exchange(uint64_t *slot, uint64_t *expected, uint64_t desired);
void switched_entry_or(uint64_t *slot, uint64_t bits);
/** No step of its own. */
size_t switched_entry_count_empty(const uint64_t *slot, size_t count);

#ifndef SWITCHED_ENTRY_RAW
#define entry_read        switched_entry_read
#define entry_write       switched_entry_write
#define entry_exchange    switched_entry_exchange
#define entry_or          switched_entry_or
#define entry_count_empty switched_entry_count_empty
#endif

#endif
