/* SPDX-License-Identifier: MIT */
/* No instruction invalidates on other CPUs: each flushes before it enters the guest again, and those
 * inside are made to leave. One guest runs at a time, so one shootdown serves all spaces. */
#include "space.h"

#include <addrspace/shootdown.h>

#include "apic.h"
#include "machine.h"
#include "print.h"
#include "virtualization.h"

static struct addrspace *spaces[MACHINE_CPUS];
static struct addrspace_shootdown_cpu shootdown_cpus[MACHINE_CPUS];
static struct addrspace_shootdown shootdown;

void space_start(void)
{
	if (addrspace_shootdown_init(&shootdown, shootdown_cpus, MACHINE_CPUS))
		fail("the shootdown cannot be started");
}

struct addrspace *space_here(void)
{
	return spaces[machine_this_cpu()];
}

void space_enter(void)
{
	int due = addrspace_shootdown_enter(&shootdown, machine_this_cpu());

	if (due < 0)
		fail("CPU %u must not enter: %s", machine_this_cpu(), addrspace_error_name(due));
	if (due)
		virtualization()->flush(space_here());
}

void space_leave(void)
{
	addrspace_shootdown_leave(&shootdown, machine_this_cpu());
}

void machine_load_root(const struct addrspace *as)
{
	unsigned cpu = machine_this_cpu();

	/* Reading takes the space's lock, which is part of it. */
	spaces[cpu] = (struct addrspace *)(uintptr_t)as;
	virtualization()->load_root(as);
	addrspace_shootdown_forget(&shootdown, cpu);
}

void machine_describe_root(const struct addrspace *as)
{
	virtualization()->describe_root(as);
}

static void kick(void *ctx, unsigned cpu)
{
	(void)ctx;
	apic_kick(cpu);
}

void machine_invalidate(const struct addrspace *as,
			const struct addrspace_invalidation *invalidation)
{
	(void)as;
	if (invalidation->scope == ADDRSPACE_THIS_CPU)
		addrspace_shootdown_forget(&shootdown, machine_this_cpu());
	else
		addrspace_shootdown_invalidate(&shootdown, kick, NULL);
}

/** Every observer snoops this CPU's caches. */
void machine_prepare_frame(uint64_t hpa, uint64_t size)
{
	(void)hpa;
	(void)size;
}
