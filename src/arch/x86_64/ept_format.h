/* SPDX-License-Identifier: MIT */
/* The bits of Intel EPT entries (Intel SDM 3C, 29.3.2, tables 29-1 to 29-7). */
#ifndef ADDRSPACE_SRC_ARCH_X86_64_EPT_FORMAT_H
#define ADDRSPACE_SRC_ARCH_X86_64_EPT_FORMAT_H

#include "entry_format.h"

#include <addrspace/addrspace.h>

#define EPT_PERMISSIONS      UINT64_C(0x7) /* R 0, W 1, X 2: as enum addrspace_permission */
#define EPT_TYPE_SHIFT       3
#define EPT_TYPE             (UINT64_C(7) << EPT_TYPE_SHIFT)
#define EPT_LARGE            (UINT64_C(1) << 7)
#define EPT_ACCESSED         (UINT64_C(1) << 8)
#define EPT_DIRTY            (UINT64_C(1) << 9)
#define EPT_ADDRESS          UINT64_C(0x000ffffffffff000)
#define EPT_SOFTWARE_OWNED   (UINT64_C(1) << 52) /* 52..56 are ignored in live entries */
#define EPT_SOFTWARE_DEAD    (UINT64_C(1) << 53)
#define EPT_SOFTWARE_PENDING (UINT64_C(1) << 54)
#define EPT_SOFTWARE_PARKED                                                                        \
	(UINT64_C(1)                                                                               \
	 << 55) /* a leaf of zeroes at hpa 0 must not look empty                       \
			     */

_Static_assert((int)ADDRSPACE_READ == 1 && (int)ADDRSPACE_WRITE == 2 && (int)ADDRSPACE_EXECUTE == 4,
	       "permissions are the low bits of an entry");

static inline uint64_t ept_address_bits(uint64_t hpa)
{
	return hpa;
}

static inline uint64_t ept_table_address(uint64_t entry)
{
	return entry & EPT_ADDRESS;
}

static inline uint64_t ept_leaf_address(uint64_t leaf, unsigned level)
{
	(void)level;
	return ept_table_address(leaf);
}

static inline bool ept_is_table(uint64_t entry, unsigned level)
{
	return level > 0 && !(entry & EPT_LARGE);
}

static inline uint64_t ept_with_permissions(struct entry_traits traits, uint64_t leaf,
					    unsigned permissions)
{
	(void)traits;
	leaf &= ~(EPT_PERMISSIONS | EPT_SOFTWARE_PARKED);
	return leaf | (permissions ? permissions : EPT_SOFTWARE_PARKED);
}

/** IPAT stays 0: the guest's own PAT combines with this type (SDM 3C, 29.3.7.2). */
static inline uint64_t ept_type_bits(enum addrspace_memory_type memory_type)
{
	switch (memory_type) {
	case ADDRSPACE_WRITE_BACK:
		return UINT64_C(6) << EPT_TYPE_SHIFT;
	case ADDRSPACE_WRITE_THROUGH:
		return UINT64_C(4) << EPT_TYPE_SHIFT;
	case ADDRSPACE_NON_CACHEABLE:
		return UINT64_C(1) << EPT_TYPE_SHIFT;
	case ADDRSPACE_DEVICE:
		break;
	}
	return 0;
}

static inline uint64_t ept_leaf(struct entry_traits traits, unsigned level, unsigned permissions,
				enum addrspace_memory_type memory_type)
{
	return ept_with_permissions(
		traits, ept_type_bits(memory_type) | (level > 0 ? EPT_LARGE : 0), permissions);
}

static inline uint64_t ept_with_dirty(uint64_t leaf)
{
	return leaf | EPT_ACCESSED | EPT_DIRTY;
}

static inline uint64_t ept_split(uint64_t leaf, unsigned level)
{
	return level == 1 ? leaf & ~EPT_LARGE : leaf;
}

static inline unsigned ept_permissions(uint64_t leaf)
{
	return (unsigned)(leaf & EPT_PERMISSIONS);
}

static inline enum addrspace_memory_type ept_memory_type(struct entry_traits traits, uint64_t leaf,
							 unsigned level)
{
	(void)traits, (void)level;
	switch ((leaf & EPT_TYPE) >> EPT_TYPE_SHIFT) {
	case 6:
		return ADDRSPACE_WRITE_BACK;
	case 4:
		return ADDRSPACE_WRITE_THROUGH;
	case 1:
		return ADDRSPACE_NON_CACHEABLE;
	default:
		return ADDRSPACE_DEVICE;
	}
}

static inline bool ept_accessed(uint64_t leaf)
{
	return (leaf & EPT_ACCESSED) != 0;
}

static inline bool ept_dirty(uint64_t leaf)
{
	return (leaf & EPT_DIRTY) != 0;
}

/** Bits that hardware and this library set. */
static inline uint64_t ept_known_bits(struct entry_traits traits, uint64_t entry, unsigned level)
{
	uint64_t known = EPT_ADDRESS | EPT_SOFTWARE_OWNED | EPT_PERMISSIONS;

	if (traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD)
		known |= EPT_ACCESSED;
	if (ept_is_table(entry, level))
		return known;
	if (traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD)
		known |= EPT_DIRTY;
	if (!(entry & EPT_PERMISSIONS))
		known |= EPT_SOFTWARE_PARKED;
	return known | EPT_TYPE | (level > 0 ? EPT_LARGE : 0);
}

/** Misconfigurations (SDM 3C, 29.3.3.1), and bits that must be 0. */
static inline const char *ept_defect(struct entry_traits traits, uint64_t entry, unsigned level)
{
	uint64_t type = (entry & EPT_TYPE) >> EPT_TYPE_SHIFT;
	unsigned permissions = ept_permissions(entry);

	if (entry & ~ept_known_bits(traits, entry, level))
		return "bits are set that nobody sets";
	if (ept_is_table(entry, level))
		return permissions == EPT_PERMISSIONS ? NULL : "a table that does not grant all";
	if (permissions & ADDRSPACE_WRITE && !(permissions & ADDRSPACE_READ))
		return "write without read";
	if (permissions == ADDRSPACE_EXECUTE && !(traits.cpu_features & ADDRSPACE_CPU_EXECUTE_ONLY))
		return "execute-only on a CPU without it";
	if (type == 2 || type == 3 || type == 7)
		return "a reserved memory type";
	return NULL;
}

static const struct entry_format ept_entry_format = {
	.present = EPT_PERMISSIONS,
	.dead = EPT_SOFTWARE_DEAD,
	.pending = EPT_SOFTWARE_PENDING,
	.owned = EPT_SOFTWARE_OWNED,
	.table = EPT_PERMISSIONS,
	.table_mask = EPT_PERMISSIONS | EPT_LARGE,
	.permission_mask = EPT_PERMISSIONS | EPT_SOFTWARE_PARKED,
	.break_before_split = false,
	.recorded_by_setting = EPT_ACCESSED | EPT_DIRTY,
	.address_bits = ept_address_bits,
	.table_address = ept_table_address,
	.leaf_address = ept_leaf_address,
	.is_table = ept_is_table,
	.leaf = ept_leaf,
	.with_permissions = ept_with_permissions,
	.with_dirty = ept_with_dirty,
	.split = ept_split,
	.permissions = ept_permissions,
	.memory_type = ept_memory_type,
	.accessed = ept_accessed,
	.dirty = ept_dirty,
	.defect = ept_defect,
};

#endif
