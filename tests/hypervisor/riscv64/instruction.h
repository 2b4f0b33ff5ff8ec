/* SPDX-License-Identifier: MIT */
/* The plain loads and stores of RV64IC, which is what drivers access devices with. */
#ifndef HYPERVISOR_RISCV64_INSTRUCTION_H
#define HYPERVISOR_RISCV64_INSTRUCTION_H

#include <stdbool.h>
#include <stdint.h>

struct memory_instruction {
	bool valid; /* a plain load or store; else only length is filled in */
	bool store;
	bool sign_extend;
	uint8_t size;   /* bytes accessed */
	uint8_t data;   /* number of the register loaded or stored */
	uint8_t length; /* of the instruction, bytes */
};

/** code: the instruction's 16 or 32 bits, zero-extended. */
struct memory_instruction memory_instruction_decode(uint32_t code);

#endif
