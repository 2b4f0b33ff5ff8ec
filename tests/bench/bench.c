/* SPDX-License-Identifier: MIT */
/* Measures, prints, judges. */
#define _DEFAULT_SOURCE
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <addrspace/aarch64.h>
#include <addrspace/riscv64.h>
#include <addrspace/x86_64.h>

#include "floors.h"

#define ARENA_SIZE  (2560 * MIB)
#define REPETITIONS 9u
#define TRIES       3u
#define ROOT_SLOTS  2048u

const struct addrspace_attributes bench_rwx = {
	.permissions = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE,
};
const struct addrspace_attributes bench_ro = {.permissions = ADDRSPACE_READ};

#define LEAVES (ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G)

static const struct bench_format formats[] = {
	{"EPT", &addrspace_ept, 48, 4, LEAVES, &floors_ept},
	{"stage 2", &addrspace_stage2, 48, 4, LEAVES, &floors_stage2},
	{"G-stage", &addrspace_gstage, 50, 4, LEAVES | ADDRSPACE_CPU_SVVPTC, &floors_gstage},
};

static const struct workload_list *const lists[] = {
	&workloads_ranges,
	&workloads_pages,
	&workloads_regions,
};

void bench_check(bool condition, const char *text)
{
	if (condition)
		return;
	fprintf(stderr, "bench: not true: %s\n", text);
	exit(2);
}

/* ---- time ---- */

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Single operations are timed by the CPU's own counter where there is one. */
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
	return now();
#endif
}

static uint64_t timer_started;
static uint64_t timer_sum;
static uint64_t timer_stops;
static double ns_per_tick;
static double timer_cost; /* of one empty start and stop, in ticks */

void bench_timer_start(void)
{
	timer_started = ticks();
}

void bench_timer_stop(void)
{
	timer_sum += ticks() - timer_started;
	timer_stops++;
}

static void calibrate(void)
{
	uint64_t start = now();
	uint64_t start_ticks = ticks();

	while (now() - start < 50000000)
		;
	ns_per_tick = (double)(now() - start) / (double)(ticks() - start_ticks);
}

/** The cost changes with the CPU's clock: measured before each run. */
static void measure_timer(void)
{
	const unsigned rounds = 2000;

	timer_sum = 0;
	for (unsigned i = 0; i < rounds; i++) {
		bench_timer_start();
		bench_timer_stop();
	}
	timer_cost = (double)timer_sum / rounds;
	timer_sum = 0;
	timer_stops = 0;
}

/* ---- a space ---- */

static void lock_shared(void *ctx)
{
	struct bench *bench = ctx;

	addrspace_rwlock_lock_shared(&bench->lock, bench_cpu);
}

static void unlock_shared(void *ctx)
{
	struct bench *bench = ctx;

	addrspace_rwlock_unlock_shared(&bench->lock, bench_cpu);
}

static void lock_exclusive(void *ctx)
{
	struct bench *bench = ctx;

	addrspace_rwlock_lock_exclusive(&bench->lock);
}

static void unlock_exclusive(void *ctx)
{
	struct bench *bench = ctx;

	addrspace_rwlock_unlock_exclusive(&bench->lock);
}

static void invalidate(void *ctx, const struct addrspace_invalidation *invalidation)
{
	struct bench *bench = ctx;

	(void)invalidation;
	bench->invalidations++;
}

static void set_handler(struct bench *bench)
{
	bench->handler = (struct paging_handler){
		.allocate = arena_allocate,
		.free = arena_free,
		.direct_map_offset = (uintptr_t)bench->arena.base - ARENA_HPA,
		.invalidate = invalidate,
	};
	if (bench->variant & WITH_CALLBACK)
		bench->handler.physical_to_virtual = arena_physical_to_virtual;
	if (bench->variant & WITH_LOCK) {
		bench->handler.lock_shared = lock_shared;
		bench->handler.unlock_shared = unlock_shared;
		bench->handler.lock_exclusive = lock_exclusive;
		bench->handler.unlock_exclusive = unlock_exclusive;
	}
}

uint64_t bench_region_gpa(uint64_t number)
{
	/* Every 4 MiB, give or take: gaps differ. The first one is where the pages are. */
	return number * 4 * MIB + (number * UINT64_C(0x9e3779b97f4a7c15) >> 40) % 509 * PAGE;
}

void bench_open(struct bench *bench)
{
	const struct addrspace_config config = {
		.format = bench->format->format,
		.handler = &bench->handler,
		.handler_ctx = bench,
		.gpa_bits = bench->format->gpa_bits,
		.levels = bench->format->levels,
		.cpu = {.features = bench->format->cpu_features, .host_bits = 48},
	};

	arena_reset(&bench->arena);
	bench->arena.guest_zeroed = bench->variant & ZEROED;
	addrspace_rwlock_init(&bench->lock, bench->lock_cpus, ARENA_CPUS);
	set_handler(bench);
	bench_require(!addrspace_init(&bench->as, &config));
	if (!(bench->variant & MANY_REGIONS))
		return;
	for (uint64_t i = 0; i < BENCH_MANY; i++)
		bench_require(!addrspace_map_alloc(&bench->as, TIB + bench_region_gpa(i), PAGE,
						   &bench_rwx, 0));
}

void bench_close(struct bench *bench)
{
	addrspace_destroy(&bench->as);
	bench_require(arena_used(&bench->arena) == 0);
}

void bench_shuffle(struct bench *bench, uint64_t count)
{
	uint64_t random = 88172645463325252u;

	bench_require(count <= BENCH_ORDER);
	for (uint64_t i = 0; i < count; i++)
		bench->order[i] = i;
	for (uint64_t i = count; i > 1; i--) {
		uint64_t other, swap;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		other = random % i;
		swap = bench->order[i - 1];
		bench->order[i - 1] = bench->order[other];
		bench->order[other] = swap;
	}
}

/* ---- measuring ---- */

struct figures {
	double median;
	double spread; /* (maximum - minimum) / median */
};

static double run_side(struct bench *bench, const struct side *side)
{
	uint64_t start, end, units;

	bench_open(bench);
	if (side->before)
		side->before(bench);
	measure_timer();
	start = now();
	units = side->run(bench);
	end = now();
	if (side->after)
		side->after(bench);
	bench_close(bench);
	if (timer_stops)
		return ((double)timer_sum - timer_cost * (double)timer_stops) * ns_per_tick /
		       (double)units;
	return (double)(end - start) / (double)units;
}

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return a < b ? -1 : a > b;
}

static struct figures figures_of(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return (struct figures){
		.median = values[count / 2],
		.spread = (values[count - 1] - values[0]) / values[count / 2],
	};
}

struct result {
	struct figures work;
	struct figures floor;
	double ratio;
};

static struct result measure(struct bench *bench, const struct workload *workload)
{
	struct side other_floor = workload->floor;
	double work[REPETITIONS], floor[REPETITIONS], other[REPETITIONS];
	struct result result;

	other_floor.run = workload->other_floor;
	bench->variant = workload->variant;
	/* One more at first, which does not count. */
	for (unsigned i = 0; i <= REPETITIONS; i++) {
		unsigned at = i ? i - 1 : 0;

		work[at] = run_side(bench, &workload->work);
		floor[at] = run_side(bench, &workload->floor);
		if (other_floor.run)
			other[at] = run_side(bench, &other_floor);
	}
	result.work = figures_of(work, REPETITIONS);
	result.floor = figures_of(floor, REPETITIONS);
	if (other_floor.run) {
		struct figures second = figures_of(other, REPETITIONS);

		if (second.median < result.floor.median)
			result.floor = second;
	}
	result.ratio = result.work.median / result.floor.median;
	return result;
}

static bool kept(const struct workload *workload, const struct result *result)
{
	return workload->limit == 0 || result->ratio <= workload->limit;
}

/** Machines are noisy: what is above its limit is measured twice more. */
static struct result measure_until_kept(struct bench *bench, const struct workload *workload)
{
	struct result best = measure(bench, workload);

	for (unsigned i = 1; i < TRIES && !kept(workload, &best); i++) {
		struct result next = measure(bench, workload);

		if (next.ratio < best.ratio)
			best = next;
	}
	return best;
}

static bool report(struct bench *bench, const struct workload *workload, FILE *table)
{
	struct result result = measure_until_kept(bench, workload);
	bool good = kept(workload, &result);
	char limit[16] = "-";

	if (workload->limit > 0)
		snprintf(limit, sizeof(limit), "%.2f", workload->limit);
	printf("%-42s %-8s %9.2f ns/%-5s +-%3.0f%%  floor %9.2f +-%3.0f%%  ratio %6.2f  limit "
	       "%-5s%s\n",
	       workload->name, bench->format->name, result.work.median, workload->unit,
	       50 * result.work.spread, result.floor.median, 50 * result.floor.spread, result.ratio,
	       limit, good ? "" : "  ABOVE");
	fflush(stdout);
	fprintf(table, "%s\t%s\t%.3f\t%.3f\t%.3f\t%s\tns/%s\n", workload->name, bench->format->name,
		result.work.median, result.floor.median, result.ratio, limit, workload->unit);
	return good;
}

static void *reserve(uint64_t size)
{
	void *memory = aligned_alloc(4096, (size + 4095) & ~UINT64_C(4095));

	bench_require(memory != NULL);
	memset(memory, 0, size);
	return memory;
}

/** bench TSV [WORKLOAD [FORMAT]]: both are parts of names. */
int main(int argc, char **argv)
{
	static struct bench bench;
	unsigned above = 0;
	FILE *table;

	if (argc < 2 || !(table = fopen(argv[1], "w"))) {
		fprintf(stderr, "bench: where to write the table?\n");
		return 2;
	}
	calibrate();
	arena_create(&bench.arena, ARENA_SIZE);
	bench.floor_root = reserve(ROOT_SLOTS * sizeof(uint64_t));
	bench.order = reserve(BENCH_ORDER * sizeof(*bench.order));
	bench.records = reserve(BENCH_ORDER * sizeof(*bench.records));
	fprintf(table, "workload\tformat\tns\tfloor_ns\tratio\tlimit\tunit\n");
	for (unsigned l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
		for (unsigned w = 0; w < lists[l]->count; w++) {
			const struct workload *workload = &lists[l]->workloads[w];

			if (argc > 2 && !strstr(workload->name, argv[2]))
				continue;
			for (unsigned f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
				bench.format = &formats[f];
				if (argc > 3 && !strstr(bench.format->name, argv[3]))
					continue;
				above += !report(&bench, workload, table);
			}
		}
	}
	fclose(table);
	arena_destroy(&bench.arena);
	if (above)
		printf("%u ratios are above their limits\n", above);
	return above != 0;
}
