/* SPDX-License-Identifier: MIT */
/* Compare-and-exchange of 1, 2, 4 or 8 bytes, naturally aligned; *expected becomes what was found. */
#ifndef ADDRSPACE_SRC_SUBWORD_H
#define ADDRSPACE_SRC_SUBWORD_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Of 1 or 2 bytes by way of the 4 around them, for CPUs whose compilers have nothing smaller. False
 * also if only the bytes beside changed meanwhile. Byte order is little-endian, as on all our CPUs.
 */
static inline bool subword_exchange(void *at, unsigned size, uint64_t *expected, uint64_t desired)
{
	uint32_t *word = (uint32_t *)((uintptr_t)at & ~(uintptr_t)3);
	unsigned shift = (unsigned)((uintptr_t)at & 3) * 8;
	uint32_t mask = (size == 1 ? UINT32_C(0xff) : UINT32_C(0xffff)) << shift;
	uint32_t found = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	uint32_t wanted = (found & ~mask) | (uint32_t)desired << shift;
	bool exchanged = false;

	if ((found & mask) == (uint32_t)*expected << shift)
		exchanged = __atomic_compare_exchange_n(word, &found, wanted, false,
							__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	if (!exchanged)
		*expected = (found & mask) >> shift;
	return exchanged;
}

#define SUBWORD_DEFINE(bits)                                                                       \
	static inline bool exchange_##bits(void *at, uint64_t *expected, uint64_t desired)         \
	{                                                                                          \
		uint##bits##_t found = (uint##bits##_t) * expected;                                \
		bool exchanged = __atomic_compare_exchange_n((uint##bits##_t *)at, &found,         \
							     (uint##bits##_t)desired, false,       \
							     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
                                                                                                   \
		*expected = found;                                                                 \
		return exchanged;                                                                  \
	}

/* GCC says which it has without a library: on RISC-V, up to version 12, not these. */
#ifdef __GCC_HAVE_SYNC_COMPARE_AND_SWAP_1
SUBWORD_DEFINE(8)
#else
static inline bool exchange_8(void *at, uint64_t *expected, uint64_t desired)
{
	return subword_exchange(at, 1, expected, desired);
}
#endif
#ifdef __GCC_HAVE_SYNC_COMPARE_AND_SWAP_2
SUBWORD_DEFINE(16)
#else
static inline bool exchange_16(void *at, uint64_t *expected, uint64_t desired)
{
	return subword_exchange(at, 2, expected, desired);
}
#endif
SUBWORD_DEFINE(32)
SUBWORD_DEFINE(64)

#endif
