/* SPDX-License-Identifier: MIT */
#include "segments.h"

#include "exceptions.h"
#include "machine.h"
#include "print.h"

#define PRESENT_TASK     UINT64_C(0x89) /* type: available 64-bit TSS */
#define PRESENT_GATE     0x8e           /* type: 64-bit interrupt gate */
#define TASK_NO_IO_MAP   104
#define TABLE_FIRST_TASK (SELECTOR_TASK / 8)
#define TABLE_ENTRIES    (TABLE_FIRST_TASK + 2 * MACHINE_CPUS)

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t stack;
	uint8_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

/* No other privilege level and no interrupt stack: it only has to be there (SDM 3A, 8.7). */
struct task {
	uint32_t stacks[25];
	uint16_t reserved;
	uint16_t io_map;
};

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

_Static_assert(sizeof(struct gate) == 16 && sizeof(struct task) == TASK_NO_IO_MAP, "SDM 3A, 8.7");

/* boot.S has filled the entries below the tasks. */
extern uint64_t descriptor_table[];
extern const char exception_vectors[];
extern const char kick_vector[];
extern const char spurious_vector[];

_Noreturn void machine_own_exception(uint64_t vector, uint64_t error, uint64_t rip, uint64_t cr2);

static struct task tasks[MACHINE_CPUS];
static struct gate gates[256];

static void set_gate(unsigned vector, const char *code)
{
	uint64_t offset = (uintptr_t)code;

	gates[vector] = (struct gate){
		.offset_low = (uint16_t)offset,
		.selector = SELECTOR_CODE,
		.type = PRESENT_GATE,
		.offset_middle = (uint16_t)(offset >> 16),
		.offset_high = (uint32_t)(offset >> 32),
	};
}

/** Loading the task register makes the descriptor busy, so each load needs a fresh one. */
static void set_task(unsigned cpu)
{
	uint64_t base = (uintptr_t)&tasks[cpu];
	uint64_t *entry = &descriptor_table[TABLE_FIRST_TASK + 2 * cpu];

	tasks[cpu].io_map = TASK_NO_IO_MAP;
	entry[0] = (sizeof(struct task) - 1) | (base & 0xffffff) << 16 | PRESENT_TASK << 40 |
		   (base >> 24 & 0xff) << 56;
	entry[1] = base >> 32;
}

void segments_load(unsigned cpu)
{
	struct table_pointer table = {TABLE_ENTRIES * 8 - 1, segments_table_base()};
	struct table_pointer vectors = {sizeof(gates) - 1, segments_vectors_base()};
	uint16_t selector = (uint16_t)(SELECTOR_TASK + 16 * cpu);

	for (unsigned i = 0; i < EXCEPTIONS; i++)
		set_gate(i, exception_vectors + i * EXCEPTION_STUB_SIZE);
	set_gate(VECTOR_KICK, kick_vector);
	set_gate(VECTOR_SPURIOUS, spurious_vector);
	set_task(cpu);
	__asm__ volatile("lgdt %0\n\tlidt %1\n\tltr %w2"
			 :
			 : "m"(table), "m"(vectors), "r"(selector)
			 : "memory");
}

uint64_t segments_task_base(unsigned cpu)
{
	return (uintptr_t)&tasks[cpu];
}

uint64_t segments_table_base(void)
{
	return (uintptr_t)descriptor_table;
}

uint64_t segments_vectors_base(void)
{
	return (uintptr_t)gates;
}

unsigned machine_this_cpu(void)
{
	uint16_t selector;

	__asm__ volatile("str %0" : "=r"(selector));
	return (unsigned)(selector - SELECTOR_TASK) / 16;
}

void machine_own_exception(uint64_t vector, uint64_t error, uint64_t rip, uint64_t cr2)
{
	fail("the hypervisor itself took exception %lu, error code 0x%lx, at 0x%lx, CR2 0x%lx",
	     vector, error, rip, cr2);
}
