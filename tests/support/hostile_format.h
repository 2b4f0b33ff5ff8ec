/* SPDX-License-Identifier: MIT */
/*
 * A format of no CPU, so that a walker fails that knows the bits of a real one. This is its manual:
 *
 *   63     leaf, at every level; clear in tables
 *   62     leaf: clean; hardware clears it on the first store
 *   61     live: tables, and leaves that can be written
 *   60     leaf: execute never
 *   59:58  leaf: size, 2 is 4 KiB, 0 is 2 MiB, 1 is 1 GiB
 *   55:20  frame number
 *   19     accessed; hardware sets it, in tables too
 *   18     leaf: read never
 *   17     live: leaves that can be read or executed
 *   13:11  leaf: memory type, 5 write-back, 3 write-through, 6 device, the others reserved
 *   9      leaf: write; not together with execute
 *   2:0    software; only bit 0 in live entries
 *
 * Either of 61 and 17 makes an entry live, and then those that are not named must be 0. The root is
 * two frames with one index.
 */
#ifndef HOSTILE_FORMAT_H
#define HOSTILE_FORMAT_H

#include "entry_format.h"

#include <addrspace/addrspace.h>

#define HOSTILE_LEAF             (UINT64_C(1) << 63)
#define HOSTILE_CLEAN            (UINT64_C(1) << 62)
#define HOSTILE_LIVE_WRITE       (UINT64_C(1) << 61)
#define HOSTILE_EXECUTE_NEVER    (UINT64_C(1) << 60)
#define HOSTILE_SIZE_SHIFT       58
#define HOSTILE_SIZE             (UINT64_C(3) << HOSTILE_SIZE_SHIFT)
#define HOSTILE_ADDRESS          UINT64_C(0x00fffffffff00000)
#define HOSTILE_ADDRESS_SHIFT    8 /* frame number in 55:20, address in 47:12 */
#define HOSTILE_ACCESSED         (UINT64_C(1) << 19)
#define HOSTILE_READ_NEVER       (UINT64_C(1) << 18)
#define HOSTILE_LIVE_READ        (UINT64_C(1) << 17)
#define HOSTILE_TYPE_SHIFT       11
#define HOSTILE_TYPE             (UINT64_C(7) << HOSTILE_TYPE_SHIFT)
#define HOSTILE_WRITE            (UINT64_C(1) << 9)
#define HOSTILE_SOFTWARE_PENDING (UINT64_C(1) << 2)
#define HOSTILE_SOFTWARE_DEAD    (UINT64_C(1) << 1)
#define HOSTILE_SOFTWARE_OWNED   (UINT64_C(1) << 0)

#define HOSTILE_LIVE        (HOSTILE_LIVE_WRITE | HOSTILE_LIVE_READ)
#define HOSTILE_PERMISSIONS (HOSTILE_READ_NEVER | HOSTILE_WRITE | HOSTILE_EXECUTE_NEVER)

static inline uint64_t hostile_address_bits(uint64_t hpa)
{
	return hpa << HOSTILE_ADDRESS_SHIFT;
}

static inline uint64_t hostile_table_address(uint64_t entry)
{
	return (entry & HOSTILE_ADDRESS) >> HOSTILE_ADDRESS_SHIFT;
}

static inline uint64_t hostile_leaf_address(uint64_t leaf, unsigned level)
{
	(void)level;
	return hostile_table_address(leaf);
}

/** Of an empty entry it says that it is a table, at the last level too: nobody may ask. */
static inline bool hostile_is_table(uint64_t entry, unsigned level)
{
	(void)level;
	return !(entry & HOSTILE_LEAF);
}

static inline uint64_t hostile_size(unsigned level)
{
	return (uint64_t)((level + 2) % 3) << HOSTILE_SIZE_SHIFT;
}

static inline uint64_t hostile_live(unsigned permissions)
{
	uint64_t live = 0;

	if (permissions & ADDRSPACE_WRITE)
		live |= HOSTILE_LIVE_WRITE;
	if (permissions & (ADDRSPACE_READ | ADDRSPACE_EXECUTE))
		live |= HOSTILE_LIVE_READ;
	return live;
}

static inline uint64_t hostile_with_permissions(struct entry_traits traits, uint64_t leaf,
						unsigned permissions)
{
	(void)traits;
	leaf &= ~(HOSTILE_LIVE | HOSTILE_PERMISSIONS);
	leaf |= hostile_live(permissions);
	if (!(permissions & ADDRSPACE_READ))
		leaf |= HOSTILE_READ_NEVER;
	if (permissions & ADDRSPACE_WRITE)
		leaf |= HOSTILE_WRITE;
	if (!(permissions & ADDRSPACE_EXECUTE))
		leaf |= HOSTILE_EXECUTE_NEVER;
	return leaf;
}

static inline uint64_t hostile_type(enum addrspace_memory_type memory_type)
{
	switch (memory_type) {
	case ADDRSPACE_WRITE_BACK:
		return 5;
	case ADDRSPACE_WRITE_THROUGH:
		return 3;
	case ADDRSPACE_DEVICE:
	case ADDRSPACE_NON_CACHEABLE:
		break;
	}
	return 6;
}

static inline uint64_t hostile_leaf(struct entry_traits traits, unsigned level,
				    unsigned permissions, enum addrspace_memory_type memory_type)
{
	uint64_t leaf = HOSTILE_LEAF | hostile_size(level) |
			hostile_type(memory_type) << HOSTILE_TYPE_SHIFT;

	leaf |= traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD ? HOSTILE_CLEAN : HOSTILE_ACCESSED;
	return hostile_with_permissions(traits, leaf, permissions);
}

static inline uint64_t hostile_with_dirty(uint64_t leaf)
{
	return (leaf | HOSTILE_ACCESSED) & ~HOSTILE_CLEAN;
}

static inline uint64_t hostile_split(uint64_t leaf, unsigned level)
{
	return (leaf & ~HOSTILE_SIZE) | hostile_size(level - 1);
}

static inline unsigned hostile_permissions(uint64_t leaf)
{
	unsigned permissions = 0;

	if (!(leaf & HOSTILE_READ_NEVER))
		permissions |= ADDRSPACE_READ;
	if (leaf & HOSTILE_WRITE)
		permissions |= ADDRSPACE_WRITE;
	if (!(leaf & HOSTILE_EXECUTE_NEVER))
		permissions |= ADDRSPACE_EXECUTE;
	return permissions;
}

static inline enum addrspace_memory_type hostile_memory_type(struct entry_traits traits,
							     uint64_t leaf, unsigned level)
{
	(void)traits, (void)level;
	switch ((leaf & HOSTILE_TYPE) >> HOSTILE_TYPE_SHIFT) {
	case 5:
		return ADDRSPACE_WRITE_BACK;
	case 3:
		return ADDRSPACE_WRITE_THROUGH;
	default:
		return ADDRSPACE_DEVICE;
	}
}

static inline bool hostile_accessed(uint64_t leaf)
{
	return (leaf & HOSTILE_ACCESSED) != 0;
}

static inline bool hostile_dirty(uint64_t leaf)
{
	return !(leaf & HOSTILE_CLEAN);
}

static inline const char *hostile_table_defect(struct entry_traits traits, uint64_t table,
					       unsigned level)
{
	uint64_t known = HOSTILE_LIVE_WRITE | HOSTILE_ADDRESS | HOSTILE_SOFTWARE_OWNED;

	if (traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD)
		known |= HOSTILE_ACCESSED;
	if (table & ~known)
		return "bits are set that nobody sets";
	return level == 0 ? "a table where only pages can be" : NULL;
}

static inline const char *hostile_defect(struct entry_traits traits, uint64_t entry, unsigned level)
{
	bool hardware_ad = traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD;
	uint64_t known = HOSTILE_LEAF | HOSTILE_LIVE | HOSTILE_PERMISSIONS | HOSTILE_SIZE |
			 HOSTILE_ADDRESS | HOSTILE_ACCESSED | HOSTILE_TYPE | HOSTILE_SOFTWARE_OWNED;
	unsigned permissions = hostile_permissions(entry);
	uint64_t type = (entry & HOSTILE_TYPE) >> HOSTILE_TYPE_SHIFT;

	if (hostile_is_table(entry, level))
		return hostile_table_defect(traits, entry, level);
	if (entry & ~(known | (hardware_ad ? HOSTILE_CLEAN : 0)))
		return "bits are set that nobody sets";
	if ((entry & HOSTILE_SIZE) != hostile_size(level))
		return "the size of another level";
	if (permissions & ADDRSPACE_WRITE && permissions & ADDRSPACE_EXECUTE)
		return "write with execute";
	if ((entry & HOSTILE_LIVE) != hostile_live(permissions))
		return "live in a way that does not go with the permissions";
	if (!hardware_ad && !hostile_accessed(entry))
		return "never accessed, and hardware does not set it";
	return type == 5 || type == 3 || type == 6 ? NULL : "a reserved memory type";
}

static const struct entry_format hostile_entry_format = {
	.present = HOSTILE_LIVE,
	.dead = HOSTILE_SOFTWARE_DEAD,
	.pending = HOSTILE_SOFTWARE_PENDING,
	.owned = HOSTILE_SOFTWARE_OWNED,
	.table = HOSTILE_LIVE_WRITE,
	.table_mask = HOSTILE_LIVE | HOSTILE_LEAF,
	.permission_mask = HOSTILE_LIVE | HOSTILE_PERMISSIONS | HOSTILE_READ_NEVER | HOSTILE_WRITE |
			   HOSTILE_EXECUTE_NEVER,
	.break_before_split = true,
	.recorded_by_setting = HOSTILE_ACCESSED,
	.recorded_by_clearing = HOSTILE_CLEAN,
	.address_bits = hostile_address_bits,
	.table_address = hostile_table_address,
	.leaf_address = hostile_leaf_address,
	.is_table = hostile_is_table,
	.leaf = hostile_leaf,
	.with_permissions = hostile_with_permissions,
	.with_dirty = hostile_with_dirty,
	.split = hostile_split,
	.permissions = hostile_permissions,
	.memory_type = hostile_memory_type,
	.accessed = hostile_accessed,
	.dirty = hostile_dirty,
	.defect = hostile_defect,
};

#endif
