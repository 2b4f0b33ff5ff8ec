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

struct theme {
	const char *name;
	void (*run)(struct space *space);
};

static const struct theme themes[] = {
	{"matrix", matrix_run}, {"kinds", kinds_run},     {"faults", faults_run},
	{"walks", walks_run},   {"changes", changes_run}, {"dirty", dirty_run},
};

static void run_theme(const struct theme *theme, struct space *space)
{
	check_theme(theme->name);
	space_new_invalidations(space);
	theme->run(space);
	check_report();
}

_Noreturn void program_run(void)
{
	static struct space space;
	uint64_t started = machine_microseconds();
	uint64_t exits = 0;

	print("addrspace: the exerciser on %s\n", MACHINE_NAME);
	machine_describe();
	for (unsigned layout = 0; layout < machine_layout_count(); layout++) {
		check_layout(machine_layout_name(layout));
		check_theme("create");
		space_create(&space, layout);
		for (unsigned i = 0; i < sizeof(themes) / sizeof(themes[0]); i++)
			run_theme(&themes[i], &space);
		check_theme("destroy");
		space_destroy(&space);
		exits += space.exits;
	}
	print("%lu exits of the guest in %lu ms\n", exits,
	      (machine_microseconds() - started) / 1000);
	check_finish();
}
