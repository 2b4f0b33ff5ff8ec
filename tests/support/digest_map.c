/* SPDX-License-Identifier: MIT */
#include "digest_map.h"

#include <stdlib.h>

#define CAPACITY_FIRST 1024u /* a power of two */

/** Where the digest is, or would be. */
static struct digest_slot *slot_of(const struct digest_map *map, uint64_t digest)
{
	size_t at = (size_t)(digest >> 8) & (map->capacity - 1);

	while (map->slots[at].digest && map->slots[at].digest != digest)
		at = (at + 1) & (map->capacity - 1);
	return &map->slots[at];
}

static void grow(struct digest_map *map)
{
	struct digest_map old = *map;

	map->capacity = old.capacity ? 2 * old.capacity : CAPACITY_FIRST;
	map->slots = calloc(map->capacity, sizeof(*map->slots));
	if (!map->slots)
		abort();
	for (size_t i = 0; i < old.capacity; i++) {
		if (old.slots[i].digest)
			*slot_of(map, old.slots[i].digest) = old.slots[i];
	}
	free(old.slots);
}

const double *digest_map_find(const struct digest_map *map, uint64_t digest)
{
	const struct digest_slot *slot = map->count ? slot_of(map, digest) : NULL;

	return slot && slot->digest ? &slot->value : NULL;
}

void digest_map_put(struct digest_map *map, uint64_t digest, double value)
{
	if (2 * ++map->count > map->capacity)
		grow(map);
	*slot_of(map, digest) = (struct digest_slot){digest, value};
}

void digest_map_clear(struct digest_map *map)
{
	free(map->slots);
	*map = (struct digest_map){0};
}
