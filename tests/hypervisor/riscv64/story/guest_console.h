/* SPDX-License-Identifier: MIT */
/* The guest's console: an NS16550, mapped straight to the machine's. */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <stdint.h>

#include "guest_layout.h"

#define GUEST_UART_DATA   0
#define GUEST_UART_STATUS 5
#define GUEST_UART_EMPTY  (1u << 5)

static inline void guest_put_char(char character)
{
	volatile uint8_t *uart = (uint8_t *)GUEST_UART;

	while (!(uart[GUEST_UART_STATUS] & GUEST_UART_EMPTY))
		;
	uart[GUEST_UART_DATA] = (uint8_t)character;
}

#endif
