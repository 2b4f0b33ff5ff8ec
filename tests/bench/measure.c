/* SPDX-License-Identifier: MIT */
/* One run of a workload or its floor, and what many of them come to. */
#include "bench.h"

#include <stdlib.h>

static struct side side_of(const struct workload *workload, enum bench_player player)
{
	struct side side = player == WORK ? workload->work : workload->floor;

	if (player == OTHER_FLOOR)
		side.run = workload->other_floor;
	return side;
}

bool bench_has(const struct workload *workload, enum bench_player player)
{
	return side_of(workload, player).run != NULL;
}

double bench_run(struct bench *bench, const struct workload *workload, enum bench_player player)
{
	struct side side = side_of(workload, player);
	uint64_t time, units;

	bench->variant = workload->variant;
	bench_open(bench);
	if (side.before)
		side.before(bench);
	bench->space.invalidations = 0;
	bench->both_time = 0;
	bench_timer_reset();
	bench_clock_start();
	units = side.run(bench);
	time = bench_clock_stop(NULL);
	if (player == WORK && workload->invalidations != ANY_INVALIDATIONS)
		bench_check(bench->space.invalidations == workload->invalidations, workload->name);
	if (side.after)
		side.after(bench);
	bench_close(bench);
	if (workload->variant & NOT_TIMED)
		return bench->figure;
	if (bench->both_time)
		return (double)bench->both_time / (double)units;
	/* Single operations: less than the whole, unless others ran in the midst of one. */
	if (bench_timer_sum() > 0 && bench_timer_sum() < (double)time)
		return bench_timer_sum() / (double)units;
	return (double)time / (double)units;
}

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return a < b ? -1 : a > b;
}

struct bench_figures bench_figures_of(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return (struct bench_figures){
		.median = values[count / 2],
		.spread = (values[count - 1] - values[0]) / values[count / 2],
	};
}
