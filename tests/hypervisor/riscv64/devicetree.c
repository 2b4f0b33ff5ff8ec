/* SPDX-License-Identifier: MIT */
#include "devicetree.h"

#include <stdbool.h>

#define MAGIC      0xd00dfeedu
#define BEGIN_NODE 1
#define END_NODE   2
#define PROPERTY   3
#define NOP        4

/* Offsets in the header. */
#define HEADER_MAGIC   0
#define HEADER_STRUCT  8
#define HEADER_STRINGS 12

uint32_t devicetree_word(const void *at)
{
	const uint8_t *byte = at;

	return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
}

static bool same(const char *left, const char *right)
{
	while (*left && *left == *right) {
		left++;
		right++;
	}
	return *left == *right;
}

static size_t padded(size_t length)
{
	return (length + 3) & ~(size_t)3;
}

/** Bytes of a token and what belongs to it. */
static size_t token_size(const uint8_t *at)
{
	size_t name = 0;

	switch (devicetree_word(at)) {
	case BEGIN_NODE:
		while (at[4 + name])
			name++;
		return 4 + padded(name + 1);
	case PROPERTY:
		return 12 + padded(devicetree_word(at + 4));
	case END_NODE:
	case NOP:
		return 4;
	default:
		return 0; /* END */
	}
}

const void *devicetree_property(const void *tree, const char *name, size_t *length)
{
	const uint8_t *base = tree;
	const uint8_t *at = base + devicetree_word(base + HEADER_STRUCT);
	const char *strings = (const char *)base + devicetree_word(base + HEADER_STRINGS);

	if (devicetree_word(base + HEADER_MAGIC) != MAGIC)
		return NULL;
	for (size_t size = token_size(at); size; size = token_size(at)) {
		if (devicetree_word(at) == PROPERTY &&
		    same(strings + devicetree_word(at + 8), name)) {
			*length = devicetree_word(at + 4);
			return at + 12;
		}
		at += size;
	}
	return NULL;
}
