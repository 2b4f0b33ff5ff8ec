/* SPDX-License-Identifier: MIT */
/* The exerciser: a guest that accesses what it is told to, and a hypervisor that holds what hardware
 * does against what the library predicts, in every layout of the guest-physical space. */
#include "changes.h"
#include "check.h"
#include "dirty.h"
#include "faults.h"
#include "large.h"
#include "machine.h"
#include "matrix.h"
#include "negative.h"
#include "print.h"
#include "space.h"
#include "traps.h"
#include "two_cpus.h"

struct theme {
	const char *name;
	void (*run)(struct space *space);
};

static const struct theme single_themes[] = {
	{"matrix", matrix_run}, {"kinds", kinds_run},     {"faults", faults_run},
	{"walks", walks_run},   {"changes", changes_run}, {"ranges", ranges_run},
	{"large", large_run},   {"traps", traps_run},     {"dirty", dirty_run},
};

static const struct theme double_themes[] = {
	{"shootdown", shootdown_run},
	{"races", races_run},
	{"jobs", jobs_run},
	{"dirty races", dirty_races_run},
};

static void matrix_and_changes_run(struct space *space)
{
	matrix_run(space);
	changes_run(space);
}

/* What a control must make fail. */
static const struct {
	const char *name;
	struct theme theme;
} negatives[] = {
	[NEGATIVE_INVALIDATION] = {"invalidation", {"shootdown", shootdown_run}},
	[NEGATIVE_REMOTE_PART] = {"the other CPUs' part of it", {"shootdown", shootdown_run}},
	[NEGATIVE_BREAK] = {"the break of a move", {"in place", in_place_run}},
	[NEGATIVE_ZEROING] = {"zeroing", {"faults", faults_run}},
	[NEGATIVE_LOCAL_PART] = {"invalidation", {"matrix and changes", matrix_and_changes_run}},
};

#define NEGATIVES (sizeof(negatives) / sizeof(negatives[0]))

static void run_theme(const struct theme *theme, struct space *space)
{
	check_theme(theme->name);
	space_new_invalidations(space);
	theme->run(space);
	check_report();
}

/** Returns how often the guest has left. */
static uint64_t run_themes(unsigned layout, const struct theme *themes, unsigned count,
			   bool scattered)
{
	static struct space space;

	check_layout(machine_layout_name(layout));
	check_theme("create");
	space_create(&space, layout, scattered, negative_sabotage(NEGATIVE_NONE));
	/* Many in one layout, and some in those that differ from it. */
	space.rounds = layout ? 3 : 20;
	for (unsigned i = 0; i < count; i++)
		run_theme(&themes[i], &space);
	check_theme("destroy");
	space_destroy(&space);
	return space.exits;
}

#define RUN_THEMES(layout, themes, scattered)                                                      \
	run_themes(layout, themes, sizeof(themes) / sizeof((themes)[0]), scattered)

/** A layout of which an earlier one differs in nothing but the width. */
static bool is_another_width(unsigned layout)
{
	struct addrspace_config config, earlier;

	machine_configure(&config, layout);
	for (unsigned i = 0; i < layout; i++) {
		machine_configure(&earlier, i);
		if (earlier.levels == config.levels && earlier.format == config.format &&
		    earlier.cpu.features == config.cpu.features)
			return true;
	}
	return false;
}

static _Noreturn void run_negative(enum negative negative)
{
	static struct space space;

	if (negative >= NEGATIVES)
		fail("there is no negative control %u", negative);
	print("left out on purpose: %s\n", negatives[negative].name);
	check_layout(machine_layout_name(0));
	space_create(&space, 0, true, negative_sabotage(negative));
	space.rounds = 6;
	run_theme(&negatives[negative].theme, &space);
	check_finish();
}

/* The second CPU starts late: on some machines it costs time, even if it has nothing to do. */
_Noreturn void program_run(void)
{
	const unsigned layouts = machine_layout_count();
	uint64_t started = machine_microseconds();
	uint64_t exits = 0;

	print("addrspace: the exerciser on %s\n", MACHINE_NAME);
	machine_describe();
	check_init();
	if (machine_mode())
		run_negative(machine_mode());
	for (unsigned layout = 0; layout < layouts; layout++)
		exits += RUN_THEMES(layout, single_themes, false);
	for (unsigned layout = 0; layout < layouts; layout++)
		if (!is_another_width(layout))
			exits += RUN_THEMES(layout, double_themes, true);
	print("%lu exits of the guest in %lu ms\n", exits,
	      (machine_microseconds() - started) / 1000);
	check_finish();
}
