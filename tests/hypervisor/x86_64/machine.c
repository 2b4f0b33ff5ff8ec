/* SPDX-License-Identifier: MIT */
/* The CPUs: how they start, whose virtualisation they have, and what it can do. */
#include "machine.h"

#include "apic.h"
#include "libc.h"
#include "print.h"
#include "registers.h"
#include "segments.h"
#include "space.h"
#include "start.h"
#include "virtualization.h"

#define STACK_SIZE 0x10000

extern const char trampoline_start[];
extern const char trampoline_end[];
extern char guest_image_hpa[];
extern char guest_image_size[];

_Noreturn void machine_start(void);
_Noreturn void machine_start_other(void);

/* What boot.S gives to the CPU that starts. */
extern uint64_t machine_starting_stack;
uint64_t machine_starting_stack;

static uint8_t other_stacks[MACHINE_CPUS - 1][STACK_SIZE] __attribute__((aligned(16)));
static unsigned starting_cpu;
static void (*starting_entry)(void);
static bool started[MACHINE_CPUS];

static const struct virtualization *const vendors[] = {&vmx, &svm};

const struct virtualization *virtualization(void)
{
	static const struct virtualization *found;

	for (unsigned i = 0; !found && i < sizeof(vendors) / sizeof(vendors[0]); i++)
		if (vendors[i]->present())
			found = vendors[i];
	if (!found)
		fail("this CPU has no virtualisation that the hypervisor knows");
	return found;
}

_Noreturn void machine_start(void)
{
	segments_load(0);
	console_start();
	clock_start();
	apic_start();
	space_start();
	virtualization()->start();
	program_run();
}

void machine_start_cpu(unsigned cpu, void (*entry)(void))
{
	uint64_t deadline = machine_microseconds() + 1000000;

	if (!cpu || cpu >= MACHINE_CPUS || started[cpu])
		fail("CPU %u is not there to be started", cpu);
	memcpy((void *)(uintptr_t)MACHINE_TRAMPOLINE_HPA, trampoline_start,
	       (size_t)(trampoline_end - trampoline_start));
	starting_cpu = cpu;
	starting_entry = entry;
	machine_starting_stack = (uintptr_t)other_stacks[cpu - 1] + STACK_SIZE;
	apic_start_cpu(cpu, MACHINE_TRAMPOLINE_HPA, &started[cpu]);
	while (!__atomic_load_n(&started[cpu], __ATOMIC_ACQUIRE)) {
		if (machine_microseconds() > deadline)
			fail("CPU %u does not start", cpu);
		machine_relax();
	}
}

_Noreturn void machine_start_other(void)
{
	void (*entry)(void) = starting_entry;
	unsigned cpu = starting_cpu;

	segments_load(cpu);
	apic_start();
	virtualization()->start();
	/* From here on the boot CPU may start another one. */
	__atomic_store_n(&started[cpu], true, __ATOMIC_RELEASE);
	entry();
	fail("the program of CPU %u has returned", cpu);
}

void machine_describe(void)
{
	virtualization()->describe();
}

unsigned machine_layout_count(void)
{
	return virtualization()->layout_count;
}

const char *machine_layout_name(unsigned layout)
{
	return virtualization()->layouts[layout].name;
}

void machine_configure(struct addrspace_config *config, unsigned layout)
{
	const struct layout *wanted = &virtualization()->layouts[layout];

	config->format = virtualization()->format;
	config->gpa_bits = wanted->gpa_bits;
	config->levels = wanted->levels;
	virtualization()->identify(&config->cpu);
	config->cpu.features &= ~wanted->without;
	if (virtualization()->configure)
		virtualization()->configure(config);
}

/** The guest's own entries hold no more bits of an address than the host's CPU has (SDM 3A, 5.1.4). */
uint64_t machine_gpa_limit(const struct addrspace_config *config)
{
	unsigned bits =
		config->gpa_bits < config->cpu.host_bits ? config->gpa_bits : config->cpu.host_bits;

	return UINT64_C(1) << bits;
}

const void *machine_guest_image(uint64_t *size)
{
	*size = (uint64_t)(uintptr_t)guest_image_size;
	return guest_image_hpa;
}
