/* SPDX-License-Identifier: MIT */
/* The floor of the region set: a sorted array of the same 32-byte records. */
#include "bench.h"

void records_make(struct bench *bench, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		bench->records[i] = (struct record){
			.start = bench_region_gpa(i),
			.size = PAGE,
		};
	bench->record_count = count;
}

OUT_OF_LINE const struct record *records_find(const struct bench *bench, uint64_t gpa)
{
	const struct record *base = bench->records;

	for (uint64_t left = bench->record_count; left > 1;) {
		uint64_t half = left / 2;

		/* Written so that compilers make it a conditional move. */
		base = base[half].start <= gpa ? base + half : base;
		left -= half;
	}
	return base;
}

OUT_OF_LINE const struct record *records_find_branchy(const struct bench *bench, uint64_t gpa)
{
	uint64_t low = 0;
	uint64_t high = bench->record_count;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (bench->records[middle].start <= gpa)
			low = middle;
		else
			high = middle;
		__asm__ volatile("" ::: "memory"); /* keeps the branch */
	}
	return &bench->records[low];
}
