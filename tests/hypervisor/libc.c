/* SPDX-License-Identifier: MIT */
/* The four functions that a freestanding compiler may call on its own. */
#include <stddef.h>
#include <stdint.h>

#include "libc.h"

/* Without this the compiler recognises the loops below and calls the function that it compiles. */
#if defined(__clang__)
#define PLAIN_LOOPS __attribute__((no_builtin("memcpy", "memmove", "memset", "memcmp")))
#else
#define PLAIN_LOOPS __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

/** Both pointers can be stepped by words from the start. */
static int words_match(const void *a, const void *b)
{
	return (((uintptr_t)a | (uintptr_t)b) % sizeof(uint64_t)) == 0;
}

PLAIN_LOOPS void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	unsigned char *out = to;
	const unsigned char *in = from;

	if (words_match(to, from)) {
		for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
			*(uint64_t *)(void *)out = *(const uint64_t *)(const void *)in;
			out += sizeof(uint64_t);
			in += sizeof(uint64_t);
		}
	}
	while (size--)
		*out++ = *in++;
	return to;
}

PLAIN_LOOPS void *memmove(void *to, const void *from, size_t size)
{
	unsigned char *out = to;
	const unsigned char *in = from;

	if ((uintptr_t)to - (uintptr_t)from >= size) {
		while (size--)
			*out++ = *in++;
		return to;
	}
	while (size--)
		out[size] = in[size];
	return to;
}

PLAIN_LOOPS void *memset(void *to, int value, size_t size)
{
	unsigned char *out = to;
	uint64_t word = (unsigned char)value * UINT64_C(0x0101010101010101);

	if (words_match(to, to)) {
		for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
			*(uint64_t *)(void *)out = word;
			out += sizeof(uint64_t);
		}
	}
	while (size--)
		*out++ = (unsigned char)value;
	return to;
}

PLAIN_LOOPS int memcmp(const void *left, const void *right, size_t size)
{
	const unsigned char *a = left;
	const unsigned char *b = right;

	for (; size; size--, a++, b++)
		if (*a != *b)
			return *a - *b;
	return 0;
}
