/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "machine.h"
#include "print.h"

/* Past so many disagreements more of them tell nothing new. */
#define ENOUGH 40

struct place {
	uint64_t gpa;
	const char *access;
};

static const char *layout;
static const char *theme;
static struct place places[MACHINE_CPUS];
static uint64_t passed;
static uint64_t failed;
static uint64_t reported_at; /* microseconds */
/* Of them before the current layout and theme. */
static uint64_t reported;

static void describe(void)
{
	const struct place *place = &places[machine_this_cpu()];

	print_mute(false);
	print("%s, %s, %s: %s at 0x%lx:\n", MACHINE_NAME, layout, theme, place->access, place->gpa);
}

void check_init(void)
{
	layout = "no layout yet";
	theme = "start";
	for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++)
		places[cpu].access = "nothing";
	print_before_failing(describe);
}

void check_layout(const char *name)
{
	layout = name;
}

void check_theme(const char *name)
{
	theme = name;
}

void check_at(uint64_t gpa, const char *access)
{
	places[machine_this_cpu()] = (struct place){.gpa = gpa, .access = access};
}

/** Returns true if the disagreement is to be printed. */
static bool count(bool agree)
{
	uint64_t failures;

	if (agree) {
		__atomic_fetch_add(&passed, 1, __ATOMIC_RELAXED);
		return false;
	}
	failures = __atomic_add_fetch(&failed, 1, __ATOMIC_RELAXED);
	if (failures == ENOUGH)
		print("DISAGREE ... and more\n");
	return failures < ENOUGH;
}

bool check_equal(const char *what, uint64_t expected, uint64_t seen)
{
	const struct place *place = &places[machine_this_cpu()];

	if (count(expected == seen))
		print("DISAGREE %s, %s, %s: %s at 0x%lx: %s: expected 0x%lx, seen 0x%lx\n",
		      MACHINE_NAME, layout, theme, place->access, place->gpa, what, expected, seen);
	return expected == seen;
}

bool check_true(const char *what, bool holds)
{
	return check_equal(what, true, holds);
}

bool check_named(const char *what, int expected, int seen, const char *(*name)(int))
{
	const struct place *place = &places[machine_this_cpu()];

	if (count(expected == seen))
		print("DISAGREE %s, %s, %s: %s at 0x%lx: %s: expected \"%s\", seen \"%s\" (%d)\n",
		      MACHINE_NAME, layout, theme, place->access, place->gpa, what, name(expected),
		      name(seen), seen);
	return expected == seen;
}

void check_report(void)
{
	uint64_t now = machine_microseconds();

	if (passed + failed == reported)
		return;
	print("%-12s %-36s %6lu checks %6lu ms\n", theme, layout, passed + failed - reported,
	      (now - reported_at) / 1000);
	reported = passed + failed;
	reported_at = now;
}

void check_finish(void)
{
	print("%lu passed, %lu failed\n", passed, failed);
	machine_exit(failed != 0);
}
