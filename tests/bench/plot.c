/* SPDX-License-Identifier: MIT */
/* How cost grows: writes the tables that plot.gp draws. One line for each point, one column for each
 * curve; - where there is none. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#define ARENA_SIZE  (2560 * MIB)
#define REPETITIONS 7u
#define AT          (64 * TIB) /* the start of what is mapped */
#define HPA         (UINT64_C(1) << 46)
#define ENDLESS     UINT64_MAX

/** What the curves are drawn over: the point that is measured. */
static uint64_t point;

/** Over sizes. */
struct size_curve {
	const char *name;
	uint64_t largest; /* point: above, it takes more memory than there is */
	unsigned variant;
	void (*before)(struct bench *bench); /* not timed; may be NULL */
	void (*act)(struct bench *bench);
	void (*after)(struct bench *bench); /* not timed; may be NULL */
};

/* ---- sizes ---- */

static void linear(struct bench *bench, uint64_t hpa)
{
	bench_require(!addrspace_map_linear(&bench->space.as, AT, point, hpa, &bench_rwx, 0));
}

static void linear_large(struct bench *bench)
{
	linear(bench, HPA);
}

static void linear_pages(struct bench *bench)
{
	linear(bench, HPA + PAGE);
}

static void lazy(struct bench *bench)
{
	bench_require(!addrspace_map_alloc(&bench->space.as, AT, point, &bench_rwx, 0));
}

static void populated(struct bench *bench)
{
	bench_require(!addrspace_map_alloc(&bench->space.as, AT, point, &bench_rwx,
					   ADDRSPACE_MAP_POPULATE));
}

static void unmap(struct bench *bench)
{
	bench_require(!addrspace_unmap(&bench->space.as, AT, point));
}

/* clang-format off */
static const struct size_curve sizes[] = {
	{"map linear", ENDLESS, 0, NULL, linear_large, unmap},
	{"unmap linear", ENDLESS, 0, linear_large, unmap, NULL},
	{"map linear, 4 KiB pages only", 256 * GIB, 0, NULL, linear_pages, unmap},
	{"unmap linear, 4 KiB pages only", 256 * GIB, 0, linear_pages, unmap, NULL},
	{"map lazy", ENDLESS, 0, NULL, lazy, unmap},
	{"unmap untouched lazy", ENDLESS, 0, lazy, unmap, NULL},
	{"populate, zeroing", GIB, 0, NULL, populated, unmap},
	{"populate, frames come zeroed", GIB, ZEROED, NULL, populated, unmap},
	{"unmap populated", GIB, ZEROED, populated, unmap, NULL},
};
/* clang-format on */

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static const struct size_curve *size_curve;

static uint64_t run_size(struct bench *bench)
{
	unsigned rounds = 0;

	/* Counters may go in steps as long as a short operation. */
	while (!rounds || (rounds < 20 && bench_timer_sum() < 1e6)) {
		if (size_curve->before)
			size_curve->before(bench);
		bench_timer_start();
		size_curve->act(bench);
		bench_timer_stop();
		if (size_curve->after)
			size_curve->after(bench);
		rounds++;
	}
	return rounds;
}

/* ---- regions ---- */

static void regions(struct bench *bench)
{
	regions_make(bench, point);
}

static void clear(struct bench *bench)
{
	addrspace_clear(&bench->space.as);
}

/* clang-format off */
#define OVER_COUNTS(run) {"", "", 0, 0, 0, {regions, run, clear}, {NULL, NULL, NULL}, NULL}

static const struct workload find = OVER_COUNTS(regions_find);
static const struct workload insert = OVER_COUNTS(regions_insert);
static const struct workload remove_one = OVER_COUNTS(regions_remove);
/* clang-format on */

static double median(struct bench *bench, const struct workload *workload, enum bench_player player)
{
	double values[REPETITIONS];

	/* One more at first, which does not count. */
	for (unsigned i = 0; i <= REPETITIONS; i++)
		values[i ? i - 1 : 0] = bench_run(bench, workload, player);
	return bench_figures_of(values, REPETITIONS).median;
}

static FILE *open_table(const char *prefix, const char *name)
{
	char path[512];
	FILE *table;

	snprintf(path, sizeof(path), "%s-%s.tsv", prefix, name);
	table = fopen(path, "w");
	bench_require(table != NULL);
	printf("%s\n", path);
	fflush(stdout);
	return table;
}

static void write_size(struct bench *bench, FILE *table)
{
	struct workload workload = {
		.invalidations = ANY_INVALIDATIONS,
		.work.run = run_size,
	};

	fprintf(table, "%lu", point);
	for (unsigned i = 0; i < SIZES; i++) {
		size_curve = &sizes[i];
		workload.variant = sizes[i].variant;
		if (point > sizes[i].largest)
			fprintf(table, "\t-");
		else
			fprintf(table, "\t%.2f", median(bench, &workload, WORK));
	}
	fprintf(table, "\n");
}

static void write_sizes(struct bench *bench, const char *prefix)
{
	FILE *table = open_table(prefix, "sizes");

	fprintf(table, "bytes");
	for (unsigned i = 0; i < SIZES; i++)
		fprintf(table, "\t%s", sizes[i].name);
	fprintf(table, "\n");
	for (point = PAGE; point <= 64 * TIB; point *= 2)
		write_size(bench, table);
	fclose(table);
}

static void write_counts(struct bench *bench, const char *prefix)
{
	static const uint64_t points[] = {10,     20,     50,     100,    200,   500,
					  1000,   2000,   5000,   10000,  20000, 50000,
					  100000, 200000, 500000, 1000000};
	FILE *table = open_table(prefix, "regions");

	fprintf(table, "regions\tfind\tinsert\tremove\n");
	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		point = points[i];
		fprintf(table, "%lu\t%.2f\t%.2f\t%.2f\n", point, median(bench, &find, WORK),
			median(bench, &insert, WORK), median(bench, &remove_one, WORK));
	}
	fclose(table);
}

/* ---- CPUs: faults per second ---- */

/** The workload of that name, among those of two CPUs. */
static const struct workload *of_threads(const char *name)
{
	for (unsigned i = 0; i < workloads_threads.count; i++) {
		if (!strcmp(workloads_threads.workloads[i].name, name))
			return &workloads_threads.workloads[i];
	}
	bench_check(false, name);
	return NULL;
}

/** One line: what is faulted; pages per second on one CPU, on two. */
static void write_cpus_line(struct bench *bench, FILE *table, const char *name,
			    const struct workload *one, const struct workload *two,
			    enum bench_player player)
{
	fprintf(table, "%s\t%.0f", name, 1e9 / median(bench, one, FLOOR));
	if (two)
		fprintf(table, "\t%.0f\n", 1e9 / median(bench, two, player));
	else
		fprintf(table, "\t-\n");
}

static void write_cpus(struct bench *bench, const char *prefix, bool both)
{
	const struct workload *apart = of_threads("2 CPUs apart, against one CPU");
	const struct workload *spaces = of_threads("2 CPUs apart, against two spaces");
	const struct workload *same = of_threads("2 CPUs, the same pages");
	const struct workload *zeroed = of_threads("2 CPUs, the same pages, zeroed, against one");
	FILE *table = open_table(prefix, "cpus");

	fprintf(table, "pages resolved per second\tone CPU\ttwo CPUs\n");
	write_cpus_line(bench, table, "a space for each", apart, both ? spaces : NULL, FLOOR);
	write_cpus_line(bench, table, "one space, apart", apart, both ? apart : NULL, WORK);
	write_cpus_line(bench, table, "one space, same pages", apart, both ? same : NULL, WORK);
	write_cpus_line(bench, table, "same pages, zeroing", zeroed, both ? zeroed : NULL, WORK);
	fclose(table);
}

/** plot PREFIX FORMAT: a format's whole name, as the bench prints it. */
int main(int argc, char **argv)
{
	static struct bench bench;
	unsigned cpus = bench_pin();

	if (argc != 3) {
		fprintf(stderr, "usage: plot PREFIX FORMAT\n");
		return 2;
	}
	for (unsigned f = 0; f < BENCH_FORMATS; f++) {
		if (!strcmp(bench_formats[f].name, argv[2]))
			bench.format = &bench_formats[f];
	}
	bench_check(bench.format != NULL, "FORMAT is EPT, NPT, stage 2 or G-stage");
	bench_calibrate();
	bench_create(&bench, ARENA_SIZE);
	write_sizes(&bench, argv[1]);
	write_counts(&bench, argv[1]);
	write_cpus(&bench, argv[1], cpus > 1);
	arena_destroy();
	return 0;
}
