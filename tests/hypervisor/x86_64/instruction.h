/* SPDX-License-Identifier: MIT */
/* Loads and stores of one register: the guest accesses devices with nothing else (guest_machine.h). */
#ifndef HYPERVISOR_X86_64_INSTRUCTION_H
#define HYPERVISOR_X86_64_INSTRUCTION_H

#include <stdbool.h>
#include <stdint.h>

#define INSTRUCTION_MAX_LENGTH 15

struct instruction {
	uint8_t length;
	uint8_t size;           /**< Bytes of memory: 1, 2, 4, 8. */
	uint8_t register_size;  /**< Bytes of the register that a load writes. */
	uint8_t register_index; /**< 0..15 */
	bool store;
	bool sign_extends;
};

/** Decodes 64-bit code; bytes are INSTRUCTION_MAX_LENGTH. False: it is something else. */
bool instruction_decode(const uint8_t *bytes, struct instruction *instruction);
/** What the register holds after the load of value; old is what it holds before. */
uint64_t instruction_loaded(const struct instruction *instruction, uint64_t old, uint64_t value);

#endif
