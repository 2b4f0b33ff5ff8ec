/* SPDX-License-Identifier: MIT */
/* A second thread, on a CPU of its own. It sleeps while it has nothing to do, and both spin only from
 * when they are about to start: neither disturbs what runs on one CPU. */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <sched.h>

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t posted;
	struct bench *bench;
	uint64_t (*function)(struct bench *bench);
	uint64_t sum;
	uint64_t time;
	_Alignas(128) bool ready;
	_Alignas(128) bool go;
	_Alignas(128) bool done;
} helper = {.mutex = PTHREAD_MUTEX_INITIALIZER, .posted = PTHREAD_COND_INITIALIZER};

static size_t cpus[ARENA_CPUS];
static unsigned cpu_count;

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void spin_until(const bool *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
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

static void *help(void *unused)
{
	(void)unused;
	stay_on(1);
	for (;;) {
		pthread_mutex_lock(&helper.mutex);
		while (!helper.function)
			pthread_cond_wait(&helper.posted, &helper.mutex);
		pthread_mutex_unlock(&helper.mutex);
		__atomic_store_n(&helper.ready, true, __ATOMIC_RELEASE);
		spin_until(&helper.go);
		bench_clock_start();
		helper.sum = helper.function(helper.bench);
		helper.time = bench_clock_stop();
		helper.function = NULL;
		__atomic_store_n(&helper.done, true, __ATOMIC_RELEASE);
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

uint64_t bench_on_both(struct bench *bench, uint64_t (*function)(struct bench *bench))
{
	uint64_t sum, time;

	start_helper();
	pthread_mutex_lock(&helper.mutex);
	helper.ready = false;
	helper.go = false;
	helper.done = false;
	helper.bench = bench;
	helper.function = function;
	pthread_cond_signal(&helper.posted);
	pthread_mutex_unlock(&helper.mutex);
	spin_until(&helper.ready);
	__atomic_store_n(&helper.go, true, __ATOMIC_RELEASE);
	bench_clock_start();
	sum = function(bench);
	time = bench_clock_stop();
	spin_until(&helper.done);
	bench->both_time = time > helper.time ? time : helper.time;
	return sum + helper.sum;
}
