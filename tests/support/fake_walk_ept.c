/* SPDX-License-Identifier: MIT */
/*
 * Intel EPT as the CPU reads it: Intel SDM volume 3C, 29.3.2 "EPT translation mechanism", 29.3.3.1
 * "EPT misconfigurations", 29.3.5 "accessed and dirty flags"; EPTP: table 25-9.
 *
 * Stricter than hardware in one way: bits that today's CPUs ignore but that have a meaning once a
 * VM-execution control is on (XU, verify paging, paging write, shadow stack, SPP, suppress #VE)
 * must be 0.
 */
#include <stddef.h>

#include "fake_walk.h"

#define READ          (UINT64_C(1) << 0)
#define WRITE         (UINT64_C(1) << 1)
#define EXECUTE       (UINT64_C(1) << 2)
#define IGNORE_PAT    (UINT64_C(1) << 6)
#define LARGE         (UINT64_C(1) << 7)
#define ACCESSED      (UINT64_C(1) << 8)
#define DIRTY         (UINT64_C(1) << 9)
#define ADDRESS       UINT64_C(0x000ffffffffff000)
#define LEAF_UNUSABLE ((UINT64_C(1) << 10) | UINT64_C(0xb600000000000000))
#define TABLE_SPARE   ((UINT64_C(1) << 10) | (UINT64_C(1) << 63))

static void illegal(struct fake_entry *entry, const char *why)
{
	entry->kind = FAKE_ENTRY_ILLEGAL;
	entry->why = why;
}

static unsigned permissions_of(uint64_t value)
{
	unsigned permissions = 0;

	if (value & READ)
		permissions |= ADDRSPACE_READ;
	if (value & WRITE)
		permissions |= ADDRSPACE_WRITE;
	if (value & EXECUTE)
		permissions |= ADDRSPACE_EXECUTE;
	return permissions;
}

static bool decode_type(uint64_t value, enum addrspace_memory_type *type)
{
	switch ((value >> 3) & 7) {
	case 0:
		*type = ADDRSPACE_DEVICE;
		return true;
	case 1:
		*type = ADDRSPACE_NON_CACHEABLE;
		return true;
	case 4:
		*type = ADDRSPACE_WRITE_THROUGH;
		return true;
	case 6:
		*type = ADDRSPACE_WRITE_BACK;
		return true;
	default:
		return false;
	}
}

static void decode_table(const struct fake_geometry *geometry, uint64_t value,
			 struct fake_entry *entry)
{
	(void)geometry;
	entry->kind = FAKE_ENTRY_TABLE;
	entry->accessed = true;
	entry->dirty = true;
	if (value & 0xf8)
		illegal(entry, "EPT: bits 7:3 of a non-leaf entry are reserved");
	else if (value & TABLE_SPARE)
		illegal(entry, "EPT: bit 10 or 63 set in a non-leaf entry");
}

static void decode_leaf(const struct fake_geometry *geometry, unsigned level, uint64_t value,
			struct fake_entry *entry)
{
	uint64_t below = (UINT64_C(1) << fake_level_shift(level)) - 1;

	entry->kind = FAKE_ENTRY_LEAF;
	entry->accessed = !geometry->hardware_ad || (value & ACCESSED);
	entry->dirty = !geometry->hardware_ad || (value & DIRTY);
	if (level > 2)
		illegal(entry, "EPT: bit 7 is reserved in PML4E and PML5E");
	else if (level == 2 && !geometry->leaf_1g)
		illegal(entry, "EPT: 1 GiB leaf on a CPU without them");
	else if (level == 1 && !geometry->leaf_2m)
		illegal(entry, "EPT: 2 MiB leaf on a CPU without them");
	else if (value & ADDRESS & below)
		illegal(entry, "EPT: low address bits of a large leaf set");
	else if (!decode_type(value, &entry->memory_type))
		illegal(entry, "EPT: reserved memory type");
	else if (value & IGNORE_PAT)
		illegal(entry, "EPT: IPAT set, the guest's PAT would not count");
	else if (value & LEAF_UNUSABLE)
		illegal(entry, "EPT: a bit that is not software's is set in a leaf");
}

static void decode(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		   struct fake_entry *entry)
{
	*entry = (struct fake_entry){.hpa = value & ADDRESS};
	if (!(value & (READ | WRITE | EXECUTE))) {
		entry->kind = FAKE_ENTRY_ABSENT;
		if (value >> 63)
			illegal(entry, "EPT: suppress #VE set in an absent entry");
		return;
	}
	entry->permissions = permissions_of(value);
	if (level > 0 && !(value & LARGE))
		decode_table(geometry, value, entry);
	else
		decode_leaf(geometry, level, value, entry);
	if (entry->kind == FAKE_ENTRY_ILLEGAL)
		return;
	if ((value & (READ | WRITE)) == WRITE)
		illegal(entry, "EPT: write without read");
	else if (!(value & READ) && !geometry->execute_only)
		illegal(entry, "EPT: execute-only on a CPU without it");
	else if (entry->hpa >> geometry->host_bits)
		illegal(entry, "EPT: address above MAXPHYADDR");
}

static uint64_t touch(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		      bool store)
{
	bool leaf = level == 0 || (value & LARGE);

	if (!geometry->hardware_ad)
		return value;
	return value | ACCESSED | (store && leaf ? DIRTY : 0);
}

const struct fake_walker fake_walker_ept = {
	.name = "EPT",
	.fault_drops_cached = true,
	.decode = decode,
	.touch = touch,
};

bool fake_ept_decode_root(struct fake_geometry *geometry, uint64_t eptp, const char **why)
{
	unsigned levels = (unsigned)((eptp >> 3) & 7) + 1;

	*why = NULL;
	if ((eptp & 7) != 6)
		*why = "EPTP: the walk is not write-back";
	else if (levels != 4 && levels != 5)
		*why = "EPTP: neither 4 nor 5 levels";
	else if (eptp & 0xf80)
		*why = "EPTP: bits 11:7 are reserved";
	else if (eptp >> geometry->host_bits)
		*why = "EPTP: root above MAXPHYADDR";
	geometry->walker = &fake_walker_ept;
	geometry->levels = levels;
	geometry->input_bits = 12 + 9 * levels;
	geometry->hardware_ad = eptp & 0x40;
	geometry->root_hpa = eptp & ADDRESS;
	return !*why;
}
