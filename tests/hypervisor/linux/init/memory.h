/* SPDX-License-Identifier: MIT */
/* 64 MiB that two processes, one on each CPU, fill with patterns and check, round after round, while the
 * hypervisor takes the pages away and moves them. */
#ifndef INIT_MEMORY_H
#define INIT_MEMORY_H

#include <stdint.h>

#define MEMORY_PAGES (UINT64_C(64) << 20 >> 12)
#define WORKERS      2

struct memory;

struct memory *memory_create(void);
/** Both workers call it, each on its CPU. checked() is told of pages that were as they should be. */
void memory_round(struct memory *memory, unsigned worker, unsigned round,
		  void (*checked)(uint64_t pages));
/** After that many rounds: ends everything if an increment was lost; how many pages were checked. */
uint64_t memory_end(const struct memory *memory, unsigned rounds);

/** A pattern that differs in every word, of every page, for every salt. */
void pattern_fill(uint64_t *words, uint64_t count, uint64_t salt);
/** Ends everything at the first difference. */
void pattern_check(const uint64_t *words, uint64_t count, uint64_t salt, const char *where);

#endif
