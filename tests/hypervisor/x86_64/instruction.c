/* SPDX-License-Identifier: MIT */
/* Intel SDM 2, chapter 2 (prefixes, ModRM) and MOV, MOVZX, MOVSX, MOVSXD. */
#include "instruction.h"

#define PREFIX_OPERAND_SIZE 0x66
#define REX_MASK            0xf0
#define REX                 0x40
#define REX_W               0x08
#define REX_R               0x04
#define ESCAPE              0x0f
#define MODRM_REGISTER      3 /* mod: the operand is no memory */
#define RM_SIB              4
#define RM_DISPLACEMENT     5 /* with mod 0: no base register */

struct prefixes {
	bool operand_16;
	uint8_t rex;
	uint8_t length;
};

static struct prefixes decode_prefixes(const uint8_t *bytes)
{
	struct prefixes prefixes = {0};

	if (bytes[prefixes.length] == PREFIX_OPERAND_SIZE) {
		prefixes.operand_16 = true;
		prefixes.length++;
	}
	if ((bytes[prefixes.length] & REX_MASK) == REX)
		prefixes.rex = bytes[prefixes.length++];
	return prefixes;
}

/** Bytes of ModRM, SIB and displacement; 0 if the operand is a register. */
static uint8_t operand_length(const uint8_t *modrm)
{
	unsigned mod = modrm[0] >> 6;
	unsigned rm = modrm[0] & 7;
	bool sib = rm == RM_SIB;
	bool no_base = mod == 0 && (sib ? modrm[1] & 7 : rm) == RM_DISPLACEMENT;
	unsigned displacement = mod == 1 ? 1 : mod == 2 || no_base ? 4 : 0;

	return mod == MODRM_REGISTER ? 0 : (uint8_t)(1 + sib + displacement);
}

/** The opcode and the sizes that come with it; returns the opcode's length, 0 if it is unknown. */
static uint8_t decode_opcode(const uint8_t *bytes, uint8_t wide, struct instruction *instruction)
{
	instruction->register_size = wide;
	instruction->size = wide;
	switch (bytes[0]) {
	case 0x88:
		instruction->store = true;
		/* fall through */
	case 0x8a:
		instruction->size = instruction->register_size = 1;
		return 1;
	case 0x89:
		instruction->store = true;
		/* fall through */
	case 0x8b:
		return 1;
	case 0x63:
		instruction->size = 4;
		instruction->sign_extends = true;
		return 1;
	case ESCAPE:
		break;
	default:
		return 0;
	}
	if ((bytes[1] & 0xf6) != 0xb6)
		return 0;
	instruction->sign_extends = (bytes[1] & 8) != 0;
	instruction->size = bytes[1] & 1 ? 2 : 1;
	return 2;
}

bool instruction_decode(const uint8_t *bytes, struct instruction *instruction)
{
	struct prefixes prefixes = decode_prefixes(bytes);
	uint8_t wide = prefixes.rex & REX_W ? 8 : prefixes.operand_16 ? 2 : 4;
	uint8_t opcode, operand;

	*instruction = (struct instruction){0};
	opcode = decode_opcode(bytes + prefixes.length, wide, instruction);
	if (!opcode)
		return false;
	bytes += prefixes.length + opcode;
	operand = operand_length(bytes);
	if (!operand)
		return false;
	instruction->register_index =
		(uint8_t)((bytes[0] >> 3 & 7) + (prefixes.rex & REX_R ? 8 : 0));
	instruction->length = (uint8_t)(prefixes.length + opcode + operand);
	/* Without REX these are ah, ch, dh, bh. */
	return instruction->register_size != 1 || prefixes.rex || instruction->register_index < 4;
}

uint64_t instruction_loaded(const struct instruction *instruction, uint64_t old, uint64_t value)
{
	unsigned unused = 64 - 8u * instruction->size;
	uint64_t kept;

	value <<= unused;
	value = instruction->sign_extends ? (uint64_t)((int64_t)value >> unused) : value >> unused;
	switch (instruction->register_size) {
	case 8:
		return value;
	case 4:
		return (uint32_t)value;
	default:
		kept = UINT64_MAX << 8 * instruction->register_size;
		return (old & kept) | (value & ~kept);
	}
}
