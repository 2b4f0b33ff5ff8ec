/* SPDX-License-Identifier: MIT */
#include "machine.h"

uint32_t machine_mode(void)
{
	uint64_t word = *(const volatile uint64_t *)(uintptr_t)MACHINE_MODE_HPA;

	return word >> 32 == MODE_MAGIC ? (uint32_t)word : 0;
}
