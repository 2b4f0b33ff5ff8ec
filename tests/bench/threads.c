/* SPDX-License-Identifier: MIT */
/* A second thread, on a CPU of its own. It sleeps while it has nothing to do, and both spin only from
 * when they are about to start: neither disturbs what runs on one CPU. */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <sched.h>

/** What one CPU did of the parts. */
struct share {
	_Alignas(128) uint64_t sum;
	uint64_t time[BENCH_PARTS];
	bool undisturbed[BENCH_PARTS];
};

typedef uint64_t work(struct bench *bench, unsigned part);

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t posted;
	struct bench *bench;
	work *posted_work; /* taken by the second thread */
	struct share shares[ARENA_CPUS];
	_Alignas(128) unsigned arrivals;
} both = {.mutex = PTHREAD_MUTEX_INITIALIZER, .posted = PTHREAD_COND_INITIALIZER};

static size_t cpus[ARENA_CPUS];
static unsigned cpu_count;

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

/** Returns when the other one is here as well. */
static void meet(void)
{
	static _Thread_local unsigned meetings;

	meetings++;
	__atomic_fetch_add(&both.arrivals, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&both.arrivals, __ATOMIC_SEQ_CST) < ARENA_CPUS * meetings)
		relax();
}

static void stay_on(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpus[cpu], &set);
	/* Where this is refused, figures are noisier and as true. */
	sched_setaffinity(0, sizeof(set), &set);
	bench_cpu = cpu;
}

unsigned bench_pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	for (size_t cpu = 0; cpu < CPU_SETSIZE && cpu_count < ARENA_CPUS; cpu++) {
		if (CPU_ISSET(cpu, &set))
			cpus[cpu_count++] = cpu;
	}
	stay_on(0);
	return cpu_count;
}

static void do_share(struct bench *bench, work *function)
{
	struct share *share = &both.shares[bench_cpu];

	share->sum = 0;
	for (unsigned part = 0; part < BENCH_PARTS; part++) {
		meet();
		bench_clock_start();
		share->sum += function(bench, part);
		share->time[part] = bench_clock_stop(&share->undisturbed[part]);
	}
}

static void *help(void *unused)
{
	(void)unused;
	stay_on(1);
	for (;;) {
		work *function;

		pthread_mutex_lock(&both.mutex);
		while (!both.posted_work)
			pthread_cond_wait(&both.posted, &both.mutex);
		function = both.posted_work;
		both.posted_work = NULL;
		pthread_mutex_unlock(&both.mutex);
		do_share(both.bench, function);
		meet();
	}
	return NULL;
}

static void start_helper(void)
{
	static bool started;
	pthread_t thread;

	if (started)
		return;
	started = true;
	bench_require(!pthread_create(&thread, NULL, help, NULL));
	pthread_detach(thread);
}

/** Nanoseconds for all parts, from those in which neither was disturbed, if there is any. */
static uint64_t time_of_parts(void)
{
	const struct share *one = &both.shares[0], *other = &both.shares[1];
	uint64_t all = 0, good = 0, good_parts = 0;

	for (unsigned part = 0; part < BENCH_PARTS; part++) {
		uint64_t time =
			one->time[part] > other->time[part] ? one->time[part] : other->time[part];

		all += time;
		if (one->undisturbed[part] && other->undisturbed[part]) {
			good += time;
			good_parts++;
		}
	}
	return good_parts ? good * BENCH_PARTS / good_parts : all;
}

uint64_t bench_on_both(struct bench *bench,
		       uint64_t (*function)(struct bench *bench, unsigned part))
{
	start_helper();
	pthread_mutex_lock(&both.mutex);
	both.bench = bench;
	both.posted_work = function;
	pthread_cond_signal(&both.posted);
	pthread_mutex_unlock(&both.mutex);
	do_share(bench, function);
	meet();
	bench->both_time = time_of_parts();
	return both.shares[0].sum + both.shares[1].sum;
}
