/* SPDX-License-Identifier: MIT */
/* The guest's console: a PL011, mapped straight to the machine's. */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <stdint.h>

#include "guest_layout.h"

#define GUEST_UART_DATA  0x00
#define GUEST_UART_FLAGS 0x18
#define GUEST_UART_FULL  (1u << 5)

static inline void guest_put_char(char character)
{
	while (*(volatile uint32_t *)(GUEST_UART + GUEST_UART_FLAGS) & GUEST_UART_FULL)
		;
	*(volatile uint32_t *)(GUEST_UART + GUEST_UART_DATA) = (unsigned char)character;
}

#endif
