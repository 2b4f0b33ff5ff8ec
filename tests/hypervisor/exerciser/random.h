/* SPDX-License-Identifier: MIT */
#ifndef EXERCISER_RANDOM_H
#define EXERCISER_RANDOM_H

#include <stdint.h>

/** The next number of the sequence that starts at a seed other than 0 (xorshift64*, Vigna 2016). */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * UINT64_C(0x2545f4914f6cdd1d)) >> 16;
}

#endif
