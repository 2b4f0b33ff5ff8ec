/* SPDX-License-Identifier: MIT */
/* What the files of this architecture know of the board from the firmware. */
#ifndef HYPERVISOR_RISCV64_BOARD_H
#define HYPERVISOR_RISCV64_BOARD_H

#include <stddef.h>
#include <stdint.h>

struct board {
	uint64_t boot_hart;
	uint64_t timebase; /* Hz */
	const char *isa;   /* the devicetree's riscv,isa */
	size_t isa_length;
	const void *devicetree;
};

extern struct board board;

#endif
