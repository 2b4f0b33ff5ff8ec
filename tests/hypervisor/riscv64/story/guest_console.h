/* SPDX-License-Identifier: MIT */
/* The guest's console, and the device that is mapped straight to the machine's: an NS16550 is both. */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest_layout.h"
#include "guest_machine.h"
#include "machine_layout.h"

#define GUEST_LENT_DEVICE_NAME "uart"
#define GUEST_LENT_DEVICE_HPA  MACHINE_UART_HPA
#define GUEST_HELLO            "through a UART that is a linear region"

#define GUEST_UART_DATA    0
#define GUEST_UART_STATUS  5
#define GUEST_UART_SCRATCH 7
#define GUEST_UART_EMPTY   (1u << 5)

static inline void guest_put_char(char character)
{
	while (!(guest_load8(GUEST_LENT_DEVICE + GUEST_UART_STATUS) & GUEST_UART_EMPTY))
		;
	guest_store8(GUEST_LENT_DEVICE + GUEST_UART_DATA, (uint8_t)character);
}

static inline bool guest_lent_device_answers(void)
{
	guest_store8(GUEST_LENT_DEVICE + GUEST_UART_SCRATCH, 0x5a);
	return guest_load8(GUEST_LENT_DEVICE + GUEST_UART_SCRATCH) == 0x5a;
}

#endif
