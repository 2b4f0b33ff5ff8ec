/* SPDX-License-Identifier: MIT */
/* The bits of VMSAv8-64 stage 2 descriptors, 4 KiB granule, 48-bit addresses (Arm ARM D8.3). */
#ifndef ADDRSPACE_SRC_ARCH_AARCH64_STAGE2_FORMAT_H
#define ADDRSPACE_SRC_ARCH_AARCH64_STAGE2_FORMAT_H

#include "entry_format.h"

#include <addrspace/addrspace.h>

#define S2_VALID (UINT64_C(1) << 0)
#define S2_TABLE_OR_PAGE                                                                           \
	(UINT64_C(1) << 1) /* a table above level 0 (of ours), a page at it; else a block */
#define S2_MEMATTR_SHIFT   2
#define S2_MEMATTR         (UINT64_C(0xf) << S2_MEMATTR_SHIFT)
#define S2_ACCESS_SHIFT    6 /* S2AP: as READ and WRITE of enum addrspace_permission */
#define S2_READ            (UINT64_C(1) << 6) /* S2AP[0] */
#define S2_WRITE           (UINT64_C(1) << 7) /* S2AP[1]: with DBM, set by hardware on the first write */
#define S2_INNER_SHAREABLE (UINT64_C(3) << 8)
#define S2_ACCESSED        (UINT64_C(1) << 10)
#define S2_ADDRESS         UINT64_C(0x0000fffffffff000)
#define S2_DBM             (UINT64_C(1) << 51)
#define S2_EXECUTE_NEVER                                                                           \
	(UINT64_C(2) << 53) /* XN[1:0] = 0b10: neither EL1 nor EL0, with FEAT_XNX and without */
#define S2_SOFTWARE_OWNED   (UINT64_C(1) << 55) /* 58:55 are ignored in live entries */
#define S2_SOFTWARE_DEAD    (UINT64_C(1) << 56)
#define S2_SOFTWARE_PENDING (UINT64_C(1) << 57)
#define S2_SOFTWARE_DIRTY                                                                          \
	(UINT64_C(1) << 58) /* was dirty when its write permission was taken away */

_Static_assert((int)ADDRSPACE_READ == 1 && (int)ADDRSPACE_WRITE == 2,
	       "S2AP is a set of read and write");

static inline uint64_t stage2_address_bits(uint64_t hpa)
{
	return hpa;
}

static inline uint64_t stage2_table_address(uint64_t entry)
{
	return entry & S2_ADDRESS;
}

static inline uint64_t stage2_leaf_address(uint64_t leaf, unsigned level)
{
	(void)level;
	return stage2_table_address(leaf);
}

static inline bool stage2_is_table(uint64_t entry, unsigned level)
{
	return level > 0 && (entry & S2_TABLE_OR_PAGE);
}

static inline bool stage2_dirty(uint64_t leaf)
{
	return leaf & S2_SOFTWARE_DIRTY || (leaf & S2_DBM && leaf & S2_WRITE);
}

static inline uint64_t stage2_with_permissions(struct entry_traits traits, uint64_t leaf,
					       unsigned permissions)
{
	if (stage2_dirty(leaf))
		leaf |= S2_SOFTWARE_DIRTY;
	leaf &= ~(S2_VALID | S2_READ | S2_WRITE | S2_DBM | S2_EXECUTE_NEVER);
	if (permissions)
		leaf |= S2_VALID;
	if (permissions & ADDRSPACE_READ)
		leaf |= S2_READ;
	if (!(permissions & ADDRSPACE_EXECUTE))
		leaf |= S2_EXECUTE_NEVER;
	if (!(permissions & ADDRSPACE_WRITE))
		return leaf;
	if (!(traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD))
		return leaf | S2_WRITE;
	return leaf | S2_DBM | (leaf & S2_SOFTWARE_DIRTY ? S2_WRITE : 0);
}

static inline uint64_t stage2_memattr(struct entry_traits traits,
				      enum addrspace_memory_type memory_type)
{
	bool fwb = traits.cpu_features & ADDRSPACE_CPU_FWB;

	switch (memory_type) {
	case ADDRSPACE_WRITE_BACK:
		return fwb ? 6 : 0xf;
	case ADDRSPACE_WRITE_THROUGH:
		return 0xa; /* without FWB only */
	case ADDRSPACE_NON_CACHEABLE:
		return 5;
	case ADDRSPACE_DEVICE:
		break;
	}
	return 1; /* Device-nGnRE */
}

static inline uint64_t stage2_leaf(struct entry_traits traits, unsigned level, unsigned permissions,
				   enum addrspace_memory_type memory_type)
{
	uint64_t leaf = stage2_memattr(traits, memory_type) << S2_MEMATTR_SHIFT;

	if (level == 0)
		leaf |= S2_TABLE_OR_PAGE;
	if (memory_type != ADDRSPACE_DEVICE)
		leaf |= S2_INNER_SHAREABLE;
	if (!(traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD))
		leaf |= S2_ACCESSED;
	return stage2_with_permissions(traits, leaf, permissions);
}

static inline uint64_t stage2_with_dirty(uint64_t leaf)
{
	leaf |= S2_ACCESSED | S2_SOFTWARE_DIRTY;
	return leaf & S2_DBM ? leaf | S2_WRITE : leaf;
}

static inline uint64_t stage2_split(uint64_t leaf, unsigned level)
{
	return level == 1 ? leaf | S2_TABLE_OR_PAGE : leaf;
}

static inline unsigned stage2_permissions(uint64_t leaf)
{
	unsigned permissions = (unsigned)(leaf >> S2_ACCESS_SHIFT) & 3;

	if (leaf & S2_DBM)
		permissions |= ADDRSPACE_WRITE;
	if (!(leaf & S2_EXECUTE_NEVER))
		permissions |= ADDRSPACE_EXECUTE;
	return permissions;
}

static inline enum addrspace_memory_type stage2_memory_type(struct entry_traits traits,
							    uint64_t leaf, unsigned level)
{
	(void)traits, (void)level;
	switch ((leaf & S2_MEMATTR) >> S2_MEMATTR_SHIFT) {
	case 6:
	case 0xf:
		return ADDRSPACE_WRITE_BACK;
	case 0xa:
		return ADDRSPACE_WRITE_THROUGH;
	case 5:
		return ADDRSPACE_NON_CACHEABLE;
	default:
		return ADDRSPACE_DEVICE;
	}
}

static inline bool stage2_accessed(uint64_t leaf)
{
	return (leaf & S2_ACCESSED) != 0;
}

/** Bits that hardware and this library set. */
static inline uint64_t stage2_known_bits(struct entry_traits traits, uint64_t entry, unsigned level)
{
	uint64_t known = S2_ADDRESS | S2_SOFTWARE_OWNED | S2_VALID | S2_TABLE_OR_PAGE;

	if (stage2_is_table(entry, level))
		return known;
	if (traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD)
		known |= S2_DBM | S2_SOFTWARE_DIRTY;
	return known | S2_MEMATTR | S2_READ | S2_WRITE | S2_INNER_SHAREABLE | S2_ACCESSED |
	       S2_EXECUTE_NEVER;
}

static inline const char *stage2_defect(struct entry_traits traits, uint64_t entry, unsigned level)
{
	uint64_t memattr = (entry & S2_MEMATTR) >> S2_MEMATTR_SHIFT;
	uint64_t shareability = memattr == 1 ? 0 : S2_INNER_SHAREABLE;
	bool fwb = traits.cpu_features & ADDRSPACE_CPU_FWB;

	if (entry & ~stage2_known_bits(traits, entry, level))
		return "bits are set that nobody sets";
	if (stage2_is_table(entry, level))
		return NULL;
	if (level == 0 && !(entry & S2_TABLE_OR_PAGE))
		return "a block where only pages can be";
	if (!(entry & S2_ACCESSED) && !(traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD))
		return "the access flag is clear and hardware does not set it";
	if (memattr != 1 && memattr != 5 && memattr != (fwb ? 6 : 0xf) && (fwb || memattr != 0xa))
		return "a reserved memory type";
	if ((entry & S2_INNER_SHAREABLE) != shareability)
		return "a shareability that does not go with the memory type";
	return NULL;
}

static const struct entry_format stage2_entry_format = {
	.present = S2_VALID,
	.dead = S2_SOFTWARE_DEAD,
	.pending = S2_SOFTWARE_PENDING,
	.owned = S2_SOFTWARE_OWNED,
	.table = S2_VALID | S2_TABLE_OR_PAGE,
	.table_mask = S2_VALID | S2_TABLE_OR_PAGE,
	.permission_mask = S2_VALID | S2_READ | S2_WRITE | S2_DBM | S2_EXECUTE_NEVER,
	.break_before_split = true,
	.recorded_by_setting = S2_ACCESSED | S2_WRITE | S2_SOFTWARE_DIRTY,
	.address_bits = stage2_address_bits,
	.table_address = stage2_table_address,
	.leaf_address = stage2_leaf_address,
	.is_table = stage2_is_table,
	.leaf = stage2_leaf,
	.with_permissions = stage2_with_permissions,
	.with_dirty = stage2_with_dirty,
	.split = stage2_split,
	.permissions = stage2_permissions,
	.memory_type = stage2_memory_type,
	.accessed = stage2_accessed,
	.dirty = stage2_dirty,
	.defect = stage2_defect,
};

#endif
