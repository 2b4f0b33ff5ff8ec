/* SPDX-License-Identifier: MIT */
/* The machine's CPUs: tp holds the number, 0 for the hart that OpenSBI has chosen to boot. */
#include "cpus.h"

#include "board.h"
#include "machine.h"
#include "print.h"
#include "sbi.h"

_Static_assert(MACHINE_CPUS == 2, "the harts are 0 and 1: cpus_hart()");

#define STACK_SIZE 0x8000

/* entry.S knows the order. */
struct start {
	uint8_t *stack_top;
	uint64_t cpu;
	void (*entry)(void);
};

static uint8_t stacks[MACHINE_CPUS][STACK_SIZE] __attribute__((aligned(16)));
static struct start starts[MACHINE_CPUS];

extern char cpus_entry[];
/* What cpus_entry is given, for a hart that comes in by the wrong door (entry.S). */
extern const struct start *cpus_starting;
const struct start *cpus_starting;
_Noreturn void cpus_entry_returned(void);

unsigned machine_this_cpu(void)
{
	uint64_t cpu;

	__asm__ volatile("mv %0, tp" : "=r"(cpu));
	return (unsigned)cpu;
}

uint64_t cpus_hart(unsigned cpu)
{
	return board.boot_hart ^ cpu;
}

void cpus_entry_returned(void)
{
	fail("CPU %u has nothing more to do", machine_this_cpu());
}

void machine_start_cpu(unsigned cpu, void (*entry)(void))
{
	uint64_t argument[5] = {cpus_hart(cpu), (uintptr_t)cpus_entry, (uintptr_t)&starts[cpu]};
	struct sbi_result result;

	starts[cpu] = (struct start){stacks[cpu] + STACK_SIZE, cpu, entry};
	cpus_starting = &starts[cpu];
	__asm__ volatile("fence rw, rw" : : : "memory");
	result = sbi_call(SBI_HSM, SBI_HSM_HART_START, argument);
	if (result.error)
		fail("CPU %u: the firmware's hart_start: %ld", cpu, result.error);
}
