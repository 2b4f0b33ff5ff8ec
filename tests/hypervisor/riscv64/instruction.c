/* SPDX-License-Identifier: MIT */
/* RISC-V Unprivileged: "RV32/64G Instruction Set Listings" and "C" (tables of quadrants 0 and 2). */
#include "instruction.h"

#define OPCODE_LOAD  0x03
#define OPCODE_STORE 0x23

static unsigned bits(uint32_t code, unsigned low, unsigned width)
{
	return code >> low & ((1u << width) - 1);
}

static struct memory_instruction access(bool store, unsigned log_size, bool sign_extend,
					unsigned data)
{
	return (struct memory_instruction){
		.valid = true,
		.store = store,
		.sign_extend = sign_extend,
		.size = (uint8_t)(1u << log_size),
		.data = (uint8_t)data,
	};
}

static struct memory_instruction decode_full(uint32_t code)
{
	unsigned width = bits(code, 12, 3);

	switch (bits(code, 0, 7)) {
	case OPCODE_LOAD: /* LB LH LW LD LBU LHU LWU */
		if (width < 7)
			return access(false, width & 3, width < 4, bits(code, 7, 5));
		break;
	case OPCODE_STORE: /* SB SH SW SD */
		if (width < 4)
			return access(true, width, false, bits(code, 20, 5));
		break;
	default:
		break;
	}
	return (struct memory_instruction){0};
}

/* C.LW, C.LD, C.SW, C.SD name one of x8..x15; the forms relative to sp any register. Words are
 * sign-extended. */
static struct memory_instruction decode_compressed(uint32_t code)
{
	unsigned function = bits(code, 13, 3);
	unsigned log_size = function & 1 ? 3 : 2;
	bool store = function >= 4;

	if ((function & 3) < 2)
		return (struct memory_instruction){0}; /* floating point, arithmetic, jumps */
	switch (bits(code, 0, 2)) {
	case 0:
		return access(store, log_size, true, 8 + bits(code, 2, 3));
	case 2:
		return access(store, log_size, true, bits(code, store ? 2 : 7, 5));
	default:
		return (struct memory_instruction){0};
	}
}

struct memory_instruction memory_instruction_decode(uint32_t code)
{
	bool full = (code & 3) == 3;
	struct memory_instruction instruction = full ? decode_full(code) : decode_compressed(code);

	instruction.length = full ? 4 : 2;
	return instruction;
}
