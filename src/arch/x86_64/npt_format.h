/* SPDX-License-Identifier: MIT */
/*
 * The bits of AMD nested page tables: those of long mode, read as user accesses (AMD APM 2, 5.3.5,
 * 5.4 and 15.25.5).
 *
 * A leaf's memory type is an index into the host's PAT, so struct addrspace holds in memory_types
 * what the host's PAT has:
 *
 *   4t + 3            it has type t of enum addrspace_memory_type
 *   4t + 2 .. 4t      ... at this index
 *   17 + 2i .. 16 + 2i  the type at index i, if that is the index of some type
 */
#ifndef ADDRSPACE_SRC_ARCH_X86_64_NPT_FORMAT_H
#define ADDRSPACE_SRC_ARCH_X86_64_NPT_FORMAT_H

#include "entry_format.h"

#include <addrspace/addrspace.h>

#define NPT_PRESENT          (UINT64_C(1) << 0)
#define NPT_WRITE            (UINT64_C(1) << 1)
#define NPT_USER             (UINT64_C(1) << 2) /* without it every guest access faults */
#define NPT_PWT_SHIFT        3                  /* PWT 3, PCD 4: low bits of the PAT index */
#define NPT_PWT_PCD          (UINT64_C(3) << NPT_PWT_SHIFT)
#define NPT_ACCESSED         (UINT64_C(1) << 5)
#define NPT_DIRTY            (UINT64_C(1) << 6)
#define NPT_LARGE            (UINT64_C(1) << 7)  /* above level 0 */
#define NPT_PAT_PAGE         (UINT64_C(1) << 7)  /* high bit of the PAT index: at level 0 */
#define NPT_PAT_LARGE        (UINT64_C(1) << 12) /* ... in large leaves */
#define NPT_ADDRESS          UINT64_C(0x000ffffffffff000)
#define NPT_SOFTWARE_OWNED   (UINT64_C(1) << 52) /* 58:52 are ignored in live entries */
#define NPT_SOFTWARE_DEAD    (UINT64_C(1) << 53)
#define NPT_SOFTWARE_PENDING (UINT64_C(1) << 54)
#define NPT_NO_EXECUTE_SHIFT 63
#define NPT_NO_EXECUTE       (UINT64_C(1) << NPT_NO_EXECUTE_SHIFT)

/* A is set from the start: hardware sets it in tables too, and has nothing to change then. */
#define NPT_TABLE (NPT_PRESENT | NPT_WRITE | NPT_USER | NPT_ACCESSED)

#define NPT_TYPE_BITS       4
#define NPT_TYPE_EXISTS     UINT32_C(8)
#define NPT_TYPE_INDEX      UINT32_C(7)
#define NPT_INDEX_TYPE_BITS 2
#define NPT_INDEX_TYPE_BASE 16

_Static_assert((int)ADDRSPACE_READ == 1 && (int)ADDRSPACE_WRITE == 2 && (int)ADDRSPACE_EXECUTE == 4,
	       "read and write are the low bits of an entry, execute is the third of a set");

static inline uint64_t npt_address_bits(uint64_t hpa)
{
	return hpa;
}

static inline uint64_t npt_table_address(uint64_t entry)
{
	return entry & NPT_ADDRESS;
}

static inline uint64_t npt_leaf_address(uint64_t leaf, unsigned level)
{
	return leaf & (level > 0 ? NPT_ADDRESS & ~NPT_PAT_LARGE : NPT_ADDRESS);
}

static inline bool npt_is_table(uint64_t entry, unsigned level)
{
	return level > 0 && !(entry & NPT_LARGE);
}

/** Present is readable. A parked leaf is not empty: U stays. */
static inline uint64_t npt_with_permissions(struct entry_traits traits, uint64_t leaf,
					    unsigned permissions)
{
	(void)traits;
	leaf &= ~(NPT_PRESENT | NPT_WRITE | NPT_NO_EXECUTE);
	if (!(permissions & ADDRSPACE_EXECUTE))
		leaf |= NPT_NO_EXECUTE;
	return leaf | (permissions & (ADDRSPACE_READ | ADDRSPACE_WRITE));
}

/** What memory_types says of a type. */
static inline uint32_t npt_type(struct entry_traits traits, enum addrspace_memory_type memory_type)
{
	return traits.memory_types >> (NPT_TYPE_BITS * (unsigned)memory_type);
}

static inline uint64_t npt_type_bits(struct entry_traits traits, unsigned level,
				     enum addrspace_memory_type memory_type)
{
	uint64_t index = npt_type(traits, memory_type) & NPT_TYPE_INDEX;
	uint64_t bits = index << NPT_PWT_SHIFT & NPT_PWT_PCD;

	if (index & 4)
		bits |= level > 0 ? NPT_PAT_LARGE : NPT_PAT_PAGE;
	return bits;
}

static inline unsigned npt_pat_index(uint64_t leaf, unsigned level)
{
	unsigned index = (unsigned)((leaf & NPT_PWT_PCD) >> NPT_PWT_SHIFT);

	return leaf & (level > 0 ? NPT_PAT_LARGE : NPT_PAT_PAGE) ? index + 4 : index;
}

static inline enum addrspace_memory_type npt_memory_type(struct entry_traits traits, uint64_t leaf,
							 unsigned level)
{
	unsigned shift = NPT_INDEX_TYPE_BASE + NPT_INDEX_TYPE_BITS * npt_pat_index(leaf, level);

	return (enum addrspace_memory_type)(traits.memory_types >> shift & 3);
}

static inline uint64_t npt_leaf(struct entry_traits traits, unsigned level, unsigned permissions,
				enum addrspace_memory_type memory_type)
{
	uint64_t leaf = NPT_USER | npt_type_bits(traits, level, memory_type);

	if (level > 0)
		leaf |= NPT_LARGE;
	/* A and D cannot be turned off: who does not want them sets them, and hardware never stores. */
	if (!(traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD))
		leaf |= NPT_ACCESSED | NPT_DIRTY;
	return npt_with_permissions(traits, leaf, permissions);
}

static inline uint64_t npt_with_dirty(uint64_t leaf)
{
	return leaf | NPT_ACCESSED | NPT_DIRTY;
}

/** At level 0 the PAT bit is where PS is above it. */
static inline uint64_t npt_split(uint64_t leaf, unsigned level)
{
	if (level != 1)
		return leaf;
	return (leaf & ~(NPT_LARGE | NPT_PAT_LARGE)) | (leaf & NPT_PAT_LARGE ? NPT_PAT_PAGE : 0);
}

static inline unsigned npt_permissions(uint64_t leaf)
{
	return (unsigned)(leaf & (ADDRSPACE_READ | ADDRSPACE_WRITE)) |
	       (leaf & NPT_NO_EXECUTE ? 0 : ADDRSPACE_EXECUTE);
}

static inline bool npt_accessed(uint64_t leaf)
{
	return (leaf & NPT_ACCESSED) != 0;
}

static inline bool npt_dirty(uint64_t leaf)
{
	return (leaf & NPT_DIRTY) != 0;
}

/** Bits that hardware and this library set in a leaf. */
static inline uint64_t npt_known_leaf_bits(struct entry_traits traits, uint64_t leaf)
{
	uint64_t known = NPT_PRESENT | NPT_WRITE | NPT_USER | NPT_PWT_PCD | NPT_ACCESSED |
			 NPT_DIRTY | NPT_LARGE | NPT_ADDRESS | NPT_SOFTWARE_OWNED;

	if (traits.cpu_features & ADDRSPACE_CPU_NX || !(leaf & NPT_PRESENT))
		known |= NPT_NO_EXECUTE;
	return known;
}

static inline const char *npt_table_defect(uint64_t table)
{
	if (table & ~(NPT_TABLE | NPT_ADDRESS | NPT_SOFTWARE_OWNED))
		return "bits are set that nobody sets";
	return (table & NPT_TABLE) == NPT_TABLE ? NULL : "a table that does not grant all";
}

/** What is reserved (APM 2, 5.3.3 to 5.4.1), and what this library never does. */
static inline const char *npt_defect(struct entry_traits traits, uint64_t entry, unsigned level)
{
	uint32_t type = npt_type(traits, npt_memory_type(traits, entry, level));

	if (npt_is_table(entry, level))
		return npt_table_defect(entry);
	if (entry & ~npt_known_leaf_bits(traits, entry))
		return "bits are set that nobody sets";
	if (!(entry & NPT_USER))
		return "U is clear";
	if (!(traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD) &&
	    (!npt_accessed(entry) || !npt_dirty(entry)))
		return "A or D is clear, and hardware would set it";
	if (!(type & NPT_TYPE_EXISTS) || (type & NPT_TYPE_INDEX) != npt_pat_index(entry, level))
		return "a reserved memory type";
	return NULL;
}

static const struct entry_format npt_entry_format = {
	.present = NPT_PRESENT,
	.dead = NPT_SOFTWARE_DEAD,
	.pending = NPT_SOFTWARE_PENDING,
	.owned = NPT_SOFTWARE_OWNED,
	.table = NPT_TABLE,
	.table_mask = NPT_PRESENT | NPT_LARGE,
	.permission_mask = NPT_PRESENT | NPT_WRITE | NPT_NO_EXECUTE,
	.break_before_split = false,
	.recorded_by_setting = NPT_ACCESSED | NPT_DIRTY,
	.address_bits = npt_address_bits,
	.table_address = npt_table_address,
	.leaf_address = npt_leaf_address,
	.is_table = npt_is_table,
	.leaf = npt_leaf,
	.with_permissions = npt_with_permissions,
	.with_dirty = npt_with_dirty,
	.split = npt_split,
	.permissions = npt_permissions,
	.memory_type = npt_memory_type,
	.accessed = npt_accessed,
	.dirty = npt_dirty,
	.defect = npt_defect,
};

#endif
