/* SPDX-License-Identifier: MIT */
/* What machine.c starts, in this order. */
#ifndef HYPERVISOR_X86_64_START_H
#define HYPERVISOR_X86_64_START_H

#include <stdint.h>

void console_start(void);
void clock_start(void);
void clock_delay(uint64_t microseconds);

#endif
