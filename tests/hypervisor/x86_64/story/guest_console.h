/* SPDX-License-Identifier: MIT */
/* The guest's console, the machine's first serial port; and the device that is mapped straight to the
 * machine's, its I/O APIC. */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest_layout.h"
#include "guest_machine.h"
#include "machine_layout.h"
#include "registers.h"

#define GUEST_LENT_DEVICE_NAME "ioapic"
#define GUEST_LENT_DEVICE_HPA  MACHINE_IO_APIC_HPA
#define GUEST_HELLO            "and my I/O APIC is a linear region"

#define GUEST_SERIAL_STATUS   (MACHINE_CONSOLE_PORT + 5)
#define GUEST_SERIAL_EMPTY    0x20
#define GUEST_IO_APIC_SELECT  0x00
#define GUEST_IO_APIC_WINDOW  0x10
#define GUEST_IO_APIC_VERSION 1
#define GUEST_IO_APIC_PINS    24

static inline void guest_put_char(char character)
{
	while (!(read_port(GUEST_SERIAL_STATUS) & GUEST_SERIAL_EMPTY))
		;
	write_port(MACHINE_CONSOLE_PORT, (uint8_t)character);
}

static inline bool guest_lent_device_answers(void)
{
	guest_store32(GUEST_LENT_DEVICE + GUEST_IO_APIC_SELECT, GUEST_IO_APIC_VERSION);
	return (guest_load32(GUEST_LENT_DEVICE + GUEST_IO_APIC_WINDOW) >> 16 & 0xff) ==
	       GUEST_IO_APIC_PINS - 1;
}

#endif
