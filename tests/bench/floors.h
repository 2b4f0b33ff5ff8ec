/* SPDX-License-Identifier: MIT */
/*
 * The floors that touch tables, compiled once for each format as the library is: what the work costs
 * in bare loops over tables of the same shape (four levels, from gpa 0 on). They share the arena and
 * its hooks' pointers with the library, and nothing else.
 */
#ifndef BENCH_FLOORS_H
#define BENCH_FLOORS_H

#include "bench.h"

struct floor_operations {
	/* Ranges: each returns how many leaves it did. */

	/** Takes the table frames and stores the leaves' entries: 4 KiB, 2 MiB. */
	uint64_t (*fill_pages)(struct bench *bench, uint64_t leaves);
	uint64_t (*fill_large)(struct bench *bench, uint64_t leaves);
	/** Stores 0 into each of them. */
	uint64_t (*clear_pages)(struct bench *bench, uint64_t leaves);
	uint64_t (*clear_large)(struct bench *bench, uint64_t leaves);
	/** Loads, clears a bit, stores. */
	uint64_t (*clear_bit)(struct bench *bench, uint64_t leaves);
	/** Of 2 MiB: holds each table's leaves against one another, stores the leaf, frees the table. */
	uint64_t (*collapse)(struct bench *bench, uint64_t leaves);
	/** fill_pages with a frame from the allocator for each leaf; zeroes it unless it comes so. */
	uint64_t (*populate)(struct bench *bench, uint64_t leaves);
	/** Loads each entry and frees the frame it names. */
	uint64_t (*release)(struct bench *bench, uint64_t leaves);

	/* Not timed. */

	/** Gives the tables back, and if they hold frames, those. */
	void (*drop)(struct bench *bench, bool frames);

	/* One address: a call that is not inlined. */

	/** Walks, tests the leaf; if it is absent: allocator call, zeroing unless the frame comes so, the
	 * tables that are missing, one store. */
	bool (*fault)(struct bench *bench, uint64_t gpa);
	/** The same between two atomic adds, published by one compare-and-swap; gives back what it took
	 * if another CPU was faster. */
	bool (*fault_locked)(struct bench *bench, uint64_t gpa);
	/** Takes a run of 2 MiB. */
	bool (*fault_large)(struct bench *bench, uint64_t gpa);
	/** Walks and tests the leaf; the same between two atomic adds. */
	bool (*touch)(struct bench *bench, uint64_t gpa);
	bool (*touch_locked)(struct bench *bench, uint64_t gpa);
	/** Walks, stores 0 into the leaf, calls invalidate, stores the new leaf, frees the old frame. */
	void (*move)(struct bench *bench, uint64_t gpa, uint64_t hpa);
	/** Walks and tells the address. */
	bool (*translate)(const struct bench *bench, uint64_t gpa, uint64_t *hpa);
};

extern const struct floor_operations floors_ept, floors_npt, floors_stage2, floors_gstage;

#endif
