/* SPDX-License-Identifier: MIT */
/* Intel SDM 3A, chapter 11: the registers at their default address; CPU n has APIC id n in both
 * emulators. */
#include "apic.h"

#include "registers.h"
#include "segments.h"
#include "start.h"

#define APIC_BASE          UINT64_C(0xfee00000)
#define APIC_TASK_PRIORITY 0x080
#define APIC_END           0x0b0
#define APIC_SPURIOUS      0x0f0
#define APIC_COMMAND_LOW   0x300
#define APIC_COMMAND_HIGH  0x310

#define SPURIOUS_ENABLE  0x100
#define COMMAND_INIT     0x4500 /* assert */
#define COMMAND_START_UP 0x4600
#define COMMAND_FIXED    0x4000
#define COMMAND_PENDING  0x1000

#define PIC_MASK_1 0x21
#define PIC_MASK_2 0xa1

_Static_assert(APIC_BASE + APIC_END == APIC_EOI_ADDRESS, "vectors.S");

static volatile uint32_t *apic_register(unsigned offset)
{
	return (volatile uint32_t *)(APIC_BASE + offset);
}

void apic_start(void)
{
	write_port(PIC_MASK_1, 0xff);
	write_port(PIC_MASK_2, 0xff);
	*apic_register(APIC_TASK_PRIORITY) = 0;
	*apic_register(APIC_SPURIOUS) = SPURIOUS_ENABLE | VECTOR_SPURIOUS;
}

static void send(unsigned cpu, uint32_t command)
{
	*apic_register(APIC_COMMAND_HIGH) = cpu << 24;
	*apic_register(APIC_COMMAND_LOW) = command;
	while (*apic_register(APIC_COMMAND_LOW) & COMMAND_PENDING)
		;
}

/* Intel SDM 3A, 9.4.4.1: INIT, 10 ms, start-up, 200 us, start-up. The second one only for a CPU that has
 * missed the first: QEMU drops it for one that runs, and then does not look at a kick that came with it. */
void apic_start_cpu(unsigned cpu, uint32_t page_hpa, const bool *started)
{
	send(cpu, COMMAND_INIT);
	clock_delay(10000);
	for (unsigned i = 0; i < 2 && !__atomic_load_n(started, __ATOMIC_ACQUIRE); i++) {
		send(cpu, COMMAND_START_UP | page_hpa >> 12);
		clock_delay(200);
	}
}

void apic_kick(unsigned cpu)
{
	send(cpu, COMMAND_FIXED | VECTOR_KICK);
}

void apic_end_of_interrupt(void)
{
	*apic_register(APIC_END) = 0;
}
