/* SPDX-License-Identifier: MIT */
/*
 * The four functions that the library needs of its surroundings, for counting instructions: the C
 * library picks its own by the CPU it runs on, so that counts would differ from machine to machine.
 * What they cost is in proportion: 64 bytes at a time.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Without this the compiler recognises the loops below and calls the function that it compiles. */
#if defined(__clang__)
#define PLAIN_LOOPS __attribute__((no_builtin("memcpy", "memmove", "memset", "memcmp")))
#else
#define PLAIN_LOOPS __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

typedef uint64_t word __attribute__((aligned(1), may_alias));
typedef uint64_t words __attribute__((vector_size(16), aligned(1), may_alias));

#define BLOCK (4 * sizeof(words))

/** All is loaded before anything is stored: they may overlap. */
static inline void copy_block(unsigned char *to, const unsigned char *from)
{
	const words *in = (const words *)from;
	words *out = (words *)to;
	words a = in[0], b = in[1], c = in[2], d = in[3];

	out[0] = a;
	out[1] = b;
	out[2] = c;
	out[3] = d;
}

static inline void copy_up(unsigned char *to, const unsigned char *from, size_t size)
{
	size_t at = 0;

	for (; size - at >= BLOCK; at += BLOCK)
		copy_block(to + at, from + at);
	for (; size - at >= sizeof(word); at += sizeof(word))
		*(word *)(to + at) = *(const word *)(from + at);
	for (; at < size; at++)
		to[at] = from[at];
}

static inline void copy_down(unsigned char *to, const unsigned char *from, size_t size)
{
	for (; size >= BLOCK; size -= BLOCK)
		copy_block(to + size - BLOCK, from + size - BLOCK);
	for (; size >= sizeof(word); size -= sizeof(word))
		*(word *)(to + size - sizeof(word)) = *(const word *)(from + size - sizeof(word));
	for (; size; size--)
		to[size - 1] = from[size - 1];
}

PLAIN_LOOPS void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	copy_up(to, from, size);
	return to;
}

PLAIN_LOOPS void *memmove(void *to, const void *from, size_t size)
{
	if ((uintptr_t)to - (uintptr_t)from >= size)
		copy_up(to, from, size);
	else
		copy_down(to, from, size);
	return to;
}

PLAIN_LOOPS void *memset(void *to, int value, size_t size)
{
	const uint64_t filled = (unsigned char)value * UINT64_C(0x0101010101010101);
	const words both = {filled, filled};
	unsigned char *out = to;

	for (; size >= BLOCK; size -= BLOCK, out += BLOCK) {
		for (unsigned i = 0; i < BLOCK / sizeof(words); i++)
			((words *)out)[i] = both;
	}
	for (; size >= sizeof(word); size -= sizeof(word), out += sizeof(word))
		*(word *)out = filled;
	for (; size; size--, out++)
		*out = (unsigned char)value;
	return to;
}

PLAIN_LOOPS int memcmp(const void *left, const void *right, size_t size)
{
	const unsigned char *a = left, *b = right;

	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i])
			return a[i] - b[i];
	}
	return 0;
}
