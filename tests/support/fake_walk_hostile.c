/* SPDX-License-Identifier: MIT */
/*
 * The hostile format as its CPU reads it: the drawing in hostile_format.h is the manual, and all
 * that is taken from there. The CPU makes use of every licence that some architecture gives: it
 * keeps not-present entries, keeps non-leaf entries over an invalidation by address, and wants a
 * break before any other size, address or type.
 */
#include <stddef.h>

#include "fake_walk.h"

#define BIT(n)       (UINT64_C(1) << (n))
#define LEAF         BIT(63)
#define CLEAN        BIT(62)
#define STORES       BIT(61)
#define NO_FETCH     BIT(60)
#define FRAME_SHIFT  20
#define FRAME_MASK   UINT64_C(0xfffffffff)
#define ACCESSED     BIT(19)
#define NO_LOAD      BIT(18)
#define LOADS        BIT(17)
#define WRITE        BIT(9)
#define RESERVED     (BIT(57) | BIT(56) | UINT64_C(0x1c5fe)) /* 16:14, 10, 8:1 */
#define OF_LEAF_ONLY (UINT64_C(0x5c00000000000000) | NO_LOAD | LOADS | UINT64_C(0x3a00))

static void illegal(struct fake_entry *entry, const char *why)
{
	entry->kind = FAKE_ENTRY_ILLEGAL;
	entry->why = why;
}

static unsigned permissions_of(uint64_t value)
{
	unsigned permissions = 0;

	if (!(value & NO_LOAD))
		permissions |= ADDRSPACE_READ;
	if (value & WRITE)
		permissions |= ADDRSPACE_WRITE;
	if (!(value & NO_FETCH))
		permissions |= ADDRSPACE_EXECUTE;
	return permissions;
}

static bool decode_type(uint64_t value, enum addrspace_memory_type *type)
{
	switch ((value >> 11) & 7) {
	case 3:
		*type = ADDRSPACE_WRITE_THROUGH;
		return true;
	case 5:
		*type = ADDRSPACE_WRITE_BACK;
		return true;
	case 6:
		*type = ADDRSPACE_DEVICE;
		return true;
	default:
		return false;
	}
}

static void decode_table(const struct fake_geometry *geometry, unsigned level, uint64_t value,
			 struct fake_entry *entry)
{
	entry->kind = FAKE_ENTRY_TABLE;
	entry->permissions = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
	entry->accessed = true;
	entry->dirty = true;
	if (level == 0)
		illegal(entry, "hostile: a table at the last level");
	else if (value & OF_LEAF_ONLY)
		illegal(entry, "hostile: a bit of leaves is set in a table");
	else if (value & ACCESSED && !geometry->hardware_ad)
		illegal(entry, "hostile: a table is accessed on a CPU that does not say so");
}

static void decode_leaf(const struct fake_geometry *geometry, unsigned level, uint64_t value,
			struct fake_entry *entry)
{
	static const unsigned sizes[] = {2, 0, 1};

	entry->kind = FAKE_ENTRY_LEAF;
	entry->permissions = permissions_of(value);
	entry->accessed = value & ACCESSED;
	entry->dirty = !(value & CLEAN);
	if (level > 2 || ((value >> 58) & 3) != sizes[level])
		illegal(entry, "hostile: a leaf with the size of another level");
	else if (level == 2 && !geometry->leaf_1g)
		illegal(entry, "hostile: 1 GiB leaf on a CPU without them");
	else if (level == 1 && !geometry->leaf_2m)
		illegal(entry, "hostile: 2 MiB leaf on a CPU without them");
	else if (entry->hpa & ((UINT64_C(1) << fake_level_shift(level)) - 1))
		illegal(entry, "hostile: misaligned large leaf");
	else if (!decode_type(value, &entry->memory_type))
		illegal(entry, "hostile: reserved memory type");
	else if (value & WRITE && !(value & NO_FETCH))
		illegal(entry, "hostile: write with execute");
	else if (!(value & STORES) != !(value & WRITE))
		illegal(entry, "hostile: bits 61 and 9 of a leaf disagree");
	else if (!(value & LOADS) != (value & NO_LOAD && value & NO_FETCH))
		illegal(entry, "hostile: bit 17 of a leaf disagrees with bits 18 and 60");
}

static void decode(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		   struct fake_entry *entry)
{
	*entry = (struct fake_entry){.hpa = ((value >> FRAME_SHIFT) & FRAME_MASK) * 4096};
	if (!(value & (STORES | LOADS))) {
		entry->kind = FAKE_ENTRY_ABSENT;
		return;
	}
	if (value & LEAF)
		decode_leaf(geometry, level, value, entry);
	else
		decode_table(geometry, level, value, entry);
	if (entry->kind == FAKE_ENTRY_ILLEGAL)
		return;
	if (value & RESERVED)
		illegal(entry, "hostile: a reserved bit is set in a live entry");
	else if (entry->hpa >> geometry->host_bits)
		illegal(entry, "hostile: address above the host's width");
}

static uint64_t touch(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		      bool store)
{
	(void)level;
	if (!geometry->hardware_ad)
		return value;
	value |= ACCESSED;
	return store && value & LEAF ? value & ~CLEAN : value;
}

const struct fake_walker fake_walker_hostile = {
	.name = "hostile",
	.break_before_make = true,
	.walk_cache_survives_by_address = true,
	.decode = decode,
	.touch = touch,
};
