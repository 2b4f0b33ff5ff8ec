/* SPDX-License-Identifier: MIT */
/* The decoder with which the x86_64 test hypervisor emulates devices. Codes are what the GNU assembler
 * makes of the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../hypervisor/x86_64/instruction.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct row {
	const char *text;
	uint8_t code[INSTRUCTION_MAX_LENGTH];
	struct instruction wanted;
};

#define STORE(length, size, index)                                                                 \
	{                                                                                          \
		length, size, size, index, true, false                                             \
	}
#define LOAD(length, size, index)                                                                  \
	{                                                                                          \
		length, size, size, index, false, false                                            \
	}
/* Zero-extended and sign-extended into a register of other bytes. */
#define LOAD_Z(length, size, into, index)                                                          \
	{                                                                                          \
		length, size, into, index, false, false                                            \
	}
#define LOAD_S(length, size, into, index)                                                          \
	{                                                                                          \
		length, size, into, index, false, true                                             \
	}

static const struct row rows[] = {
	{"mov %al, (%rdi)", {0x88, 0x07}, STORE(2, 1, 0)},
	{"mov %sil, (%rdx)", {0x40, 0x88, 0x32}, STORE(3, 1, 6)},
	{"mov %r9b, 0x40(%rdx)", {0x44, 0x88, 0x4a, 0x40}, STORE(4, 1, 9)},
	{"mov %cx, (%rbx)", {0x66, 0x89, 0x0b}, STORE(3, 2, 1)},
	{"mov %eax, (%rax)", {0x89, 0x00}, STORE(2, 4, 0)},
	{"mov %r15d, 0x1234(%r13)", {0x45, 0x89, 0xbd, 0x34, 0x12}, STORE(7, 4, 15)},
	{"mov %rsi, (%r12)", {0x49, 0x89, 0x34, 0x24}, STORE(4, 8, 6)},
	{"mov %rax, (%rsp)", {0x48, 0x89, 0x04, 0x24}, STORE(4, 8, 0)},
	{"mov %rbp, -8(%rbp)", {0x48, 0x89, 0x6d, 0xf8}, STORE(4, 8, 5)},
	{"mov %r8, 0x12345678", {0x4c, 0x89, 0x04, 0x25, 0x78, 0x56, 0x34, 0x12}, STORE(8, 8, 8)},
	{"mov (%rdi), %al", {0x8a, 0x07}, LOAD(2, 1, 0)},
	{"mov (%rdi), %dil", {0x40, 0x8a, 0x3f}, LOAD(3, 1, 7)},
	{"mov (%rdx), %r10w", {0x66, 0x44, 0x8b, 0x12}, LOAD(4, 2, 10)},
	{"mov (%rcx), %edx", {0x8b, 0x11}, LOAD(2, 4, 2)},
	{"mov (%rax,%rbx,8), %r11", {0x4c, 0x8b, 0x1c, 0xd8}, LOAD(4, 8, 11)},
	{"mov 0x10(%rsp,%rcx,2), %rdi", {0x48, 0x8b, 0x7c, 0x4c, 0x10}, LOAD(5, 8, 7)},
	{"mov 0x100(%rip), %rcx", {0x48, 0x8b, 0x0d, 0x00, 0x01}, LOAD(7, 8, 1)},
	{"mov 0x100(,%rdx,4), %ebx", {0x8b, 0x1c, 0x95, 0x00, 0x01}, LOAD(7, 4, 3)},
	{"movzbl (%rsi), %eax", {0x0f, 0xb6, 0x06}, LOAD_Z(3, 1, 4, 0)},
	{"movzbw (%rsi), %cx", {0x66, 0x0f, 0xb6, 0x0e}, LOAD_Z(4, 1, 2, 1)},
	{"movzwl (%rsi), %r8d", {0x44, 0x0f, 0xb7, 0x06}, LOAD_Z(4, 2, 4, 8)},
	{"movsbq (%rdi), %rax", {0x48, 0x0f, 0xbe, 0x07}, LOAD_S(4, 1, 8, 0)},
	{"movsbl (%rdi), %eax", {0x0f, 0xbe, 0x07}, LOAD_S(3, 1, 4, 0)},
	{"movsbw (%rdi), %bx", {0x66, 0x0f, 0xbe, 0x1f}, LOAD_S(4, 1, 2, 3)},
	{"movswq (%rbx), %r14", {0x4c, 0x0f, 0xbf, 0x33}, LOAD_S(4, 2, 8, 14)},
	{"movslq (%rbx), %rdx", {0x48, 0x63, 0x13}, LOAD_S(3, 4, 8, 2)},
};

static const struct row others[] = {
	{.text = "mov %ah, (%rdi)", .code = {0x88, 0x27}},
	{.text = "mov (%rdi), %bh", .code = {0x8a, 0x3f}},
	{.text = "mov %rax, %rbx", .code = {0x48, 0x89, 0xc3}},
	{.text = "movzbl %al, %ebx", .code = {0x0f, 0xb6, 0xd8}},
	{.text = "add %rax, (%rdi)", .code = {0x48, 0x01, 0x07}},
	{.text = "movq $0, (%rdi)", .code = {0x48, 0xc7, 0x07}},
	{.text = "lock xadd %rax, (%rdi)", .code = {0xf0, 0x48, 0x0f, 0xc1, 0x07}},
	{.text = "cmpq $-1, (%rax)", .code = {0x48, 0x83, 0x38, 0xff}},
	{.text = "movups (%rax), %xmm0", .code = {0x0f, 0x10, 0x00}},
	{.text = "xchg %rax, (%rbx)", .code = {0x48, 0x87, 0x03}},
	{.text = "bsf (%rax), %ebx", .code = {0x0f, 0xbc, 0x18}},
	{.text = "cmpxchg %bl, (%rax)", .code = {0x0f, 0xb0, 0x18}},
	{.text = "nop", .code = {0x90}},
};

static void loads_and_stores_of_a_register_are_decoded(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct instruction *wanted = &rows[i].wanted;
		struct instruction seen;

		if (!instruction_decode(rows[i].code, &seen))
			fail_msg("%s is not decoded", rows[i].text);
		if (seen.length != wanted->length || seen.size != wanted->size ||
		    seen.register_size != wanted->register_size ||
		    seen.register_index != wanted->register_index || seen.store != wanted->store ||
		    seen.sign_extends != wanted->sign_extends)
			fail_msg("%s: length %u, size %u into %u, register %u, store %u, sign %u",
				 rows[i].text, seen.length, seen.size, seen.register_size,
				 seen.register_index, seen.store, seen.sign_extends);
	}
}

static void other_instructions_are_refused(void **state)
{
	struct instruction seen;

	(void)state;
	for (size_t i = 0; i < COUNT(others); i++)
		if (instruction_decode(others[i].code, &seen))
			fail_msg("%s is decoded", others[i].text);
}

/** Only 32-bit registers lose what they held above (SDM 1, 3.4.1.1). */
static void a_load_fills_the_register_as_the_cpu_does(void **state)
{
	static const struct {
		struct instruction load;
		uint64_t value;
		uint64_t wanted;
	} loads[] = {
		{LOAD(2, 1, 0), 0x80, 0x1111111111111180},
		{LOAD(2, 2, 0), 0x8081, 0x1111111111118081},
		{LOAD(2, 4, 0), 0x80818283, 0x80818283},
		{LOAD(2, 8, 0), 0x8081828384858687, 0x8081828384858687},
		{LOAD_Z(3, 1, 2, 0), 0x80, 0x1111111111110080},
		{LOAD_Z(3, 1, 4, 0), 0x80, 0x80},
		{LOAD_S(3, 1, 2, 0), 0x80, 0x111111111111ff80},
		{LOAD_S(3, 1, 4, 0), 0x80, 0xffffff80},
		{LOAD_S(3, 1, 8, 0), 0x80, 0xffffffffffffff80},
		{LOAD_S(3, 1, 8, 0), 0x7f, 0x7f},
		{LOAD_S(3, 2, 8, 0), 0x8000, 0xffffffffffff8000},
		{LOAD_S(3, 4, 8, 0), 0x80000000, 0xffffffff80000000},
		/* What a device gives beyond the size does not count. */
		{LOAD_Z(3, 1, 4, 0), 0xaaaaaaaaaaaaaa01, 0x01},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(loads); i++)
		assert_int_equal(
			instruction_loaded(&loads[i].load, 0x1111111111111111, loads[i].value),
			loads[i].wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_and_stores_of_a_register_are_decoded),
		cmocka_unit_test(other_instructions_are_refused),
		cmocka_unit_test(a_load_fills_the_register_as_the_cpu_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
