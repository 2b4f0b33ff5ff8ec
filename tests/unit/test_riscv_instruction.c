/* SPDX-License-Identifier: MIT */
/* The decoder with which the riscv64 test hypervisor emulates devices. Codes are what the GNU assembler
 * makes of the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../hypervisor/riscv64/instruction.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct row {
	const char *text;
	uint32_t code;
	bool store;
	bool sign_extend;
	uint8_t size;
	uint8_t data;
};

#define LOAD   false, true
#define LOAD_U false, false
#define STORE  true, false

static const struct row full[] = {
	{"lb a0, 5(a1)", 0x00558503, LOAD, 1, 10},
	{"lh t6, -2(sp)", 0xffe11f83, LOAD, 2, 31},
	{"lw ra, 2047(zero)", 0x7ff02083, LOAD, 4, 1},
	{"ld s0, -2048(t0)", 0x8002b403, LOAD, 8, 8},
	{"lbu zero, 0(a2)", 0x00064003, LOAD_U, 1, 0},
	{"lhu a7, 8(s11)", 0x008dd883, LOAD_U, 2, 17},
	{"lwu t3, 4(a3)", 0x0046ee03, LOAD_U, 4, 28},
	{"sb zero, 1(a0)", 0x000500a3, STORE, 1, 0},
	{"sh t6, -1(a1)", 0xfff59fa3, STORE, 2, 31},
	{"sw a5, 2047(gp)", 0x7ef1afa3, STORE, 4, 15},
	{"sd ra, -2048(sp)", 0x80113023, STORE, 8, 1},
};

static const struct row compressed[] = {
	{"c.lw a0, 4(a1)", 0x41c8, LOAD, 4, 10},      {"c.lw s0, 124(a5)", 0x5fe0, LOAD, 4, 8},
	{"c.ld a5, 248(s0)", 0x7c7c, LOAD, 8, 15},    {"c.sw s1, 0(a0)", 0xc104, STORE, 4, 9},
	{"c.sd a5, 8(a0)", 0xe51c, STORE, 8, 15},     {"c.lwsp ra, 252(sp)", 0x50fe, LOAD, 4, 1},
	{"c.ldsp t6, 504(sp)", 0x7ffe, LOAD, 8, 31},  {"c.swsp zero, 0(sp)", 0xc002, STORE, 4, 0},
	{"c.sdsp t6, 504(sp)", 0xfffe, STORE, 8, 31}, {"c.sdsp ra, 8(sp)", 0xe406, STORE, 8, 1},
};

/* Nothing that a device could be asked in one plain load or store. */
static const uint32_t full_others[] = {
	0x00052507, /* flw fa0, 0(a0) */
	0x00053507, /* fld fa0, 0(a0) */
	0x00a52027, /* fsw fa0, 0(a0) */
	0x00a53027, /* fsd fa0, 0(a0) */
	0x00b6352f, /* amoadd.d a0, a1, (a2) */
	0x1005b52f, /* lr.d a0, (a1) */
	0x18b6352f, /* sc.d a0, a1, (a2) */
	0x00150513, /* addi a0, a0, 1 */
	0x00001537, /* lui a0, 1 */
	0x000500e7, /* jalr ra, 0(a0) */
	0x00000073, /* ecall */
	0x0005f503, /* the load that RV128 would have */
	0x00a5c023, /* the first store past SD */
};

static const uint32_t compressed_others[] = {
	0x2108, /* c.fld fa0, 0(a0) */
	0xa108, /* c.fsd fa0, 0(a0) */
	0x2502, /* c.fldsp fa0, 0(sp) */
	0xa02a, /* c.fsdsp fa0, 0(sp) */
	0x0028, /* c.addi4spn a0, sp, 8 */
	0x0506, /* c.slli a0, 1 */
	0x8082, /* c.jr ra */
	0x852e, /* c.mv a0, a1 */
	0x952e, /* c.add a0, a1 */
	0x9002, /* c.ebreak */
};

static void check_rows(const struct row *rows, size_t count, unsigned length)
{
	for (size_t i = 0; i < count; i++) {
		const struct row *row = &rows[i];
		struct memory_instruction seen = memory_instruction_decode(row->code);

		if (!seen.valid || seen.store != row->store ||
		    (!row->store && seen.sign_extend != row->sign_extend) ||
		    seen.size != row->size || seen.data != row->data || seen.length != length)
			fail_msg("%s: valid %d, store %d, sign %d, size %d, register %d, length %d",
				 row->text, seen.valid, seen.store, seen.sign_extend, seen.size,
				 seen.data, seen.length);
	}
}

static void plain_loads_and_stores_are_decoded(void **state)
{
	(void)state;
	check_rows(full, COUNT(full), 4);
}

static void compressed_loads_and_stores_are_decoded(void **state)
{
	(void)state;
	check_rows(compressed, COUNT(compressed), 2);
}

static void check_others(const uint32_t *codes, size_t count, unsigned length)
{
	for (size_t i = 0; i < count; i++) {
		struct memory_instruction seen = memory_instruction_decode(codes[i]);

		assert_false(seen.valid);
		assert_int_equal(seen.length, length);
	}
}

static void other_instructions_have_only_a_length(void **state)
{
	(void)state;
	check_others(full_others, COUNT(full_others), 4);
	check_others(compressed_others, COUNT(compressed_others), 2);
}

/* C.ADDI to C.BNEZ. */
static void nothing_of_quadrant_1_is_an_access(void **state)
{
	(void)state;
	for (uint32_t code = 1; code <= UINT16_MAX; code += 4)
		assert_false(memory_instruction_decode(code).valid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_loads_and_stores_are_decoded),
		cmocka_unit_test(compressed_loads_and_stores_are_decoded),
		cmocka_unit_test(other_instructions_have_only_a_length),
		cmocka_unit_test(nothing_of_quadrant_1_is_an_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
