/* SPDX-License-Identifier: MIT */
/* A number for each digest that was met: which states a search has seen. */
#ifndef DIGEST_MAP_H
#define DIGEST_MAP_H

#include <stddef.h>
#include <stdint.h>

struct digest_slot {
	uint64_t digest; /* 0: none */
	double value;
};

/** Its fields are private. All zero is empty. */
struct digest_map {
	struct digest_slot *slots;
	size_t capacity;
	size_t count;
};

/** digest is not 0. NULL if it was not put there. Valid until the next put. */
const double *digest_map_find(const struct digest_map *map, uint64_t digest);
/** Puts a digest that is not there. */
void digest_map_put(struct digest_map *map, uint64_t digest, double value);
/** Makes it empty, and frees what it has taken. */
void digest_map_clear(struct digest_map *map);

/** One more number goes into a digest. */
static inline uint64_t digest_mix(uint64_t digest, uint64_t value)
{
	digest = (digest ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return digest ^ digest >> 32;
}

#endif
