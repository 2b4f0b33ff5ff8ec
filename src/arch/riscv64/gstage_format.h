/* SPDX-License-Identifier: MIT */
/* The bits of G-stage page-table entries (RISC-V Privileged: Sv39/48/57 entries, Svpbmt, and the
 * hypervisor extension). */
#ifndef ADDRSPACE_SRC_ARCH_RISCV64_GSTAGE_FORMAT_H
#define ADDRSPACE_SRC_ARCH_RISCV64_GSTAGE_FORMAT_H

#include "entry_format.h"

#include <addrspace/addrspace.h>

#define GS_VALID            (UINT64_C(1) << 0)
#define GS_PERMISSION_SHIFT 1 /* R 1, W 2, X 3: enum addrspace_permission, shifted */
#define GS_PERMISSIONS      (UINT64_C(7) << GS_PERMISSION_SHIFT)
#define GS_USER             (UINT64_C(1) << 4) /* every G-stage access is checked as a user access */
#define GS_ACCESSED         (UINT64_C(1) << 6)
#define GS_DIRTY            (UINT64_C(1) << 7)
#define GS_SOFTWARE_OWNED                                                                          \
	(UINT64_C(1) << 8) /* RSW, 9:8, is all that live entries leave to software */
#define GS_PPN              UINT64_C(0x003ffffffffffc00)
#define GS_PPN_TO_ADDRESS   2                   /* PPN in 53:10, address in 55:12 */
#define GS_SOFTWARE_DEAD    (UINT64_C(1) << 59) /* 63:1 are free while V is 0 */
#define GS_SOFTWARE_PENDING (UINT64_C(1) << 60)
#define GS_PBMT_SHIFT       61
#define GS_PBMT             (UINT64_C(3) << GS_PBMT_SHIFT)

_Static_assert((int)ADDRSPACE_READ == 1 && (int)ADDRSPACE_WRITE == 2 && (int)ADDRSPACE_EXECUTE == 4,
	       "permissions are bits 3:1 of an entry");

static inline uint64_t gstage_address_bits(uint64_t hpa)
{
	return hpa >> GS_PPN_TO_ADDRESS;
}

static inline uint64_t gstage_table_address(uint64_t entry)
{
	return (entry & GS_PPN) << GS_PPN_TO_ADDRESS;
}

static inline uint64_t gstage_leaf_address(uint64_t leaf, unsigned level)
{
	(void)level;
	return gstage_table_address(leaf);
}

/** A leaf without permissions still has U. */
static inline bool gstage_is_table(uint64_t entry, unsigned level)
{
	return level > 0 && !(entry & (GS_PERMISSIONS | GS_USER));
}

static inline uint64_t gstage_with_permissions(struct entry_traits traits, uint64_t leaf,
					       unsigned permissions)
{
	(void)traits;
	leaf &= ~(GS_VALID | GS_PERMISSIONS);
	if (permissions)
		leaf |= GS_VALID | (uint64_t)permissions << GS_PERMISSION_SHIFT;
	return leaf;
}

/** Without Svpbmt the field must be 0, and the PMAs decide. */
static inline uint64_t gstage_pbmt(struct entry_traits traits,
				   enum addrspace_memory_type memory_type)
{
	if (!(traits.cpu_features & ADDRSPACE_CPU_SVPBMT) || memory_type == ADDRSPACE_WRITE_BACK)
		return 0;
	return memory_type == ADDRSPACE_NON_CACHEABLE ? 1 : 2;
}

static inline uint64_t gstage_leaf(struct entry_traits traits, unsigned level, unsigned permissions,
				   enum addrspace_memory_type memory_type)
{
	uint64_t leaf = GS_USER | gstage_pbmt(traits, memory_type) << GS_PBMT_SHIFT;

	(void)level;
	/* Where hardware does not set A and D their absence faults: they are on from the start. */
	if (!(traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD))
		leaf |= GS_ACCESSED | GS_DIRTY;
	return gstage_with_permissions(traits, leaf, permissions);
}

static inline uint64_t gstage_with_dirty(uint64_t leaf)
{
	return leaf | GS_ACCESSED | GS_DIRTY;
}

static inline uint64_t gstage_split(uint64_t leaf, unsigned level)
{
	(void)level;
	return leaf;
}

static inline unsigned gstage_permissions(uint64_t leaf)
{
	return (unsigned)((leaf & GS_PERMISSIONS) >> GS_PERMISSION_SHIFT);
}

static inline enum addrspace_memory_type gstage_memory_type(struct entry_traits traits,
							    uint64_t leaf, unsigned level)
{
	(void)traits, (void)level;
	switch ((leaf & GS_PBMT) >> GS_PBMT_SHIFT) {
	case 0:
		return ADDRSPACE_WRITE_BACK;
	case 1:
		return ADDRSPACE_NON_CACHEABLE;
	default:
		return ADDRSPACE_DEVICE;
	}
}

static inline bool gstage_accessed(uint64_t leaf)
{
	return (leaf & GS_ACCESSED) != 0;
}

static inline bool gstage_dirty(uint64_t leaf)
{
	return (leaf & GS_DIRTY) != 0;
}

/** Bits that hardware and this library set. */
static inline uint64_t gstage_known_bits(uint64_t entry, unsigned level)
{
	uint64_t known = GS_PPN | GS_SOFTWARE_OWNED | GS_VALID;

	if (gstage_is_table(entry, level))
		return known;
	return known | GS_PERMISSIONS | GS_USER | GS_ACCESSED | GS_DIRTY | GS_PBMT;
}

static inline const char *gstage_defect(struct entry_traits traits, uint64_t entry, unsigned level)
{
	uint64_t pbmt = (entry & GS_PBMT) >> GS_PBMT_SHIFT;

	if (entry & ~gstage_known_bits(entry, level))
		return "bits are set that nobody sets";
	if (gstage_is_table(entry, level))
		return NULL;
	if (!(entry & GS_USER))
		return "U is clear";
	if ((gstage_permissions(entry) & 3) == ADDRSPACE_WRITE)
		return "write without read";
	if (!(traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD) &&
	    (!gstage_accessed(entry) || !gstage_dirty(entry)))
		return "A or D is clear and hardware does not set it";
	if (pbmt == 3 || (pbmt && !(traits.cpu_features & ADDRSPACE_CPU_SVPBMT)))
		return "a reserved memory type";
	return NULL;
}

static const struct entry_format gstage_entry_format = {
	.present = GS_VALID,
	.dead = GS_SOFTWARE_DEAD,
	.pending = GS_SOFTWARE_PENDING,
	.owned = GS_SOFTWARE_OWNED,
	.table = GS_VALID,
	.table_mask = GS_VALID | GS_PERMISSIONS | GS_USER,
	.permission_mask = GS_VALID | GS_PERMISSIONS,
	.break_before_split = false,
	.recorded_by_setting = GS_ACCESSED | GS_DIRTY,
	.address_bits = gstage_address_bits,
	.table_address = gstage_table_address,
	.leaf_address = gstage_leaf_address,
	.is_table = gstage_is_table,
	.leaf = gstage_leaf,
	.with_permissions = gstage_with_permissions,
	.with_dirty = gstage_with_dirty,
	.split = gstage_split,
	.permissions = gstage_permissions,
	.memory_type = gstage_memory_type,
	.accessed = gstage_accessed,
	.dirty = gstage_dirty,
	.defect = gstage_defect,
};

#endif
