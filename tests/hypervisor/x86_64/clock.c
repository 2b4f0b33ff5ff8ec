/* SPDX-License-Identifier: MIT */
/* Time from the timestamp counter, whose rate is measured against the interval timer. */
#include "machine.h"
#include "registers.h"
#include "start.h"

#define PIT_HERTZ           1193182
#define PIT_CHANNEL_2       0x42
#define PIT_CONTROL         0x43
#define PIT_COUNT_DOWN_ONCE 0xb0 /* channel 2, both bytes, mode 0 */
#define GATE_PORT           0x61
#define GATE_OPEN           0x01
#define GATE_SPEAKER        0x02
#define GATE_OUTPUT         0x20
#define MEASURED_PARTS      100 /* of a second */

static uint64_t ticks_per_second;

void clock_start(void)
{
	unsigned count = PIT_HERTZ / MEASURED_PARTS;
	uint64_t started;

	write_port(GATE_PORT, (uint8_t)((read_port(GATE_PORT) & ~GATE_SPEAKER) | GATE_OPEN));
	write_port(PIT_CONTROL, PIT_COUNT_DOWN_ONCE);
	write_port(PIT_CHANNEL_2, (uint8_t)count);
	write_port(PIT_CHANNEL_2, (uint8_t)(count >> 8));
	started = read_timestamp();
	while (!(read_port(GATE_PORT) & GATE_OUTPUT))
		;
	ticks_per_second = (read_timestamp() - started) * MEASURED_PARTS;
}

uint64_t machine_microseconds(void)
{
	uint64_t ticks = read_timestamp();

	return ticks / ticks_per_second * 1000000 +
	       ticks % ticks_per_second * 1000000 / ticks_per_second;
}

void clock_delay(uint64_t microseconds)
{
	uint64_t end = read_timestamp() + microseconds * ticks_per_second / 1000000;

	while (read_timestamp() < end)
		machine_relax();
}
