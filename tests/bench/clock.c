/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#include "bench.h"

#include <time.h>

static uint64_t started;
static uint64_t sum;
static uint64_t stops;
static double ns_per_tick;
static double cost; /* of one empty start and stop, in ticks */

static uint64_t read_clock(clockid_t id)
{
	struct timespec time;

	clock_gettime(id, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t bench_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static _Thread_local uint64_t ran_before;
static _Thread_local uint64_t began;

void bench_clock_start(void)
{
	ran_before = read_clock(CLOCK_THREAD_CPUTIME_ID);
	began = bench_now();
}

/* Short of a scheduler's turn, long against what the clocks themselves take. */
#define DISTURBANCE 20000u

uint64_t bench_clock_stop(bool *undisturbed)
{
	uint64_t passed = bench_now() - began;
	uint64_t ran = read_clock(CLOCK_THREAD_CPUTIME_ID) - ran_before;

	if (undisturbed)
		*undisturbed = passed < ran + DISTURBANCE;
	/* Without interruption the inner clock says less; with one, that of the thread. */
	return ran < passed ? ran : passed;
}

/** Single operations are timed by the CPU's own counter where there is one. */
static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
	uint32_t low, high, id;

	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(id)::"memory");
	__asm__ volatile("lfence" ::: "memory");
	return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
	uint64_t value;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value)::"memory");
	return value;
#else
	return bench_now();
#endif
}

void bench_timer_start(void)
{
	started = ticks();
}

void bench_timer_stop(void)
{
	sum += ticks() - started;
	stops++;
}

void bench_calibrate(void)
{
	uint64_t start = bench_now();
	uint64_t start_ticks = ticks();

	while (bench_now() - start < 50000000)
		;
	ns_per_tick = (double)(bench_now() - start) / (double)(ticks() - start_ticks);
}

/** The cost changes with the CPU's clock: hence before each run. */
void bench_timer_reset(void)
{
	const unsigned rounds = 2000;

	sum = 0;
	for (unsigned i = 0; i < rounds; i++) {
		bench_timer_start();
		bench_timer_stop();
	}
	cost = (double)sum / rounds;
	sum = 0;
	stops = 0;
}

double bench_timer_sum(void)
{
	return stops ? ((double)sum - cost * (double)stops) * ns_per_tick : 0;
}
