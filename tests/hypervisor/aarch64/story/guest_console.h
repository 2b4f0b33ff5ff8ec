/* SPDX-License-Identifier: MIT */
/* The guest's console, and the device that is mapped straight to the machine's: a PL011 is both. */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <stdint.h>

#include "guest_layout.h"
#include "guest_machine.h"
#include "machine_layout.h"

#define GUEST_LENT_DEVICE_NAME "uart"
#define GUEST_LENT_DEVICE_HPA  MACHINE_UART_HPA
#define GUEST_HELLO            "through a UART that is a linear region"

#define GUEST_UART_DATA  0x00
#define GUEST_UART_FLAGS 0x18
#define GUEST_UART_ID    0xfe0
#define GUEST_UART_FULL  (1u << 5)

static inline void guest_put_char(char character)
{
	while (guest_load32(GUEST_LENT_DEVICE + GUEST_UART_FLAGS) & GUEST_UART_FULL)
		;
	guest_store32(GUEST_LENT_DEVICE + GUEST_UART_DATA, (unsigned char)character);
}

static inline bool guest_lent_device_answers(void)
{
	return guest_load32(GUEST_LENT_DEVICE + GUEST_UART_ID) == 0x11;
}

#endif
