/* SPDX-License-Identifier: MIT */
/* The exerciser: a guest that accesses what it is told to, and a hypervisor that holds what hardware
 * does against what the library predicts, in every layout of the guest-physical space. */
#include "changes.h"
#include "check.h"
#include "dirty.h"
#include "faults.h"
#include "machine.h"
#include "matrix.h"
#include "print.h"
#include "space.h"
#include "two_cpus.h"

struct theme {
	const char *name;
	void (*run)(struct space *space);
};

static const struct theme single_themes[] = {
	{"matrix", matrix_run}, {"kinds", kinds_run},     {"faults", faults_run},
	{"walks", walks_run},   {"changes", changes_run}, {"dirty", dirty_run},
};

static const struct theme double_themes[] = {
	{"shootdown", shootdown_run},
	{"races", races_run},
};

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
	space_create(&space, layout, scattered);
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

/* The second CPU starts late: on some machines it costs time, even if it has nothing to do. */
_Noreturn void program_run(void)
{
	const unsigned layouts = machine_layout_count();
	uint64_t started = machine_microseconds();
	uint64_t exits = 0;

	print("addrspace: the exerciser on %s\n", MACHINE_NAME);
	machine_describe();
	for (unsigned layout = 0; layout < layouts; layout++)
		exits += RUN_THEMES(layout, single_themes, false);
	for (unsigned layout = 0; layout < layouts; layout++)
		if (!is_another_width(layout))
			exits += RUN_THEMES(layout, double_themes, true);
	print("%lu exits of the guest in %lu ms\n", exits,
	      (machine_microseconds() - started) / 1000);
	check_finish();
}
