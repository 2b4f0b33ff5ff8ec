/* SPDX-License-Identifier: MIT */
/*
 * AMD nested paging as the CPU reads it: AMD APM volume 2, 5.3.3 to 5.3.5 "long-mode page
 * translation", 5.4 "page-translation-table entry fields", 7.8 "page-attribute table", 15.25
 * "nested paging".
 *
 * Stricter than hardware: bits that it ignores and that are not software's must be 0 (G, and D in
 * tables), as must those that mean something once a feature of the host's is on (protection keys).
 * A table must grant all and be accessed already, and a memory type must be one that the library has
 * a name for.
 */
#include <stddef.h>

#include "fake_walk.h"

#define BIT(n)     (UINT64_C(1) << (n))
#define PRESENT    BIT(0)
#define WRITABLE   BIT(1)
#define USER       BIT(2)
#define PWT        BIT(3)
#define PCD        BIT(4)
#define ACCESSED   BIT(5)
#define DIRTY      BIT(6)
#define PAGE_SIZE  BIT(7) /* above the last level */
#define GLOBAL     BIT(8)
#define KEYS       UINT64_C(0x7800000000000000) /* 62:59 */
#define NX         BIT(63)
#define ADDRESS    UINT64_C(0x000ffffffffff000)
#define PAT_OF_4K  BIT(7)
#define PAT_BIG    BIT(12)
#define RESET_PAT  UINT64_C(0x0007040600070406)
#define NCR3_FLAGS UINT64_C(0xfff)

static void illegal(struct fake_entry *entry, const char *why)
{
	entry->kind = FAKE_ENTRY_ILLEGAL;
	entry->why = why;
}

/** The PAT entry that a leaf picks. */
static unsigned pat_entry(const struct fake_geometry *geometry, unsigned level, uint64_t value)
{
	uint64_t pat = geometry->host_pat ? geometry->host_pat : RESET_PAT;
	unsigned pick = 0;

	if (value & PWT)
		pick += 1;
	if (value & PCD)
		pick += 2;
	if (value & (level == 0 ? PAT_OF_4K : PAT_BIG))
		pick += 4;
	return (unsigned)(pat >> (8 * pick)) & 7;
}

static bool decode_type(unsigned type, enum addrspace_memory_type *memory_type)
{
	switch (type) {
	case 0:
		*memory_type = ADDRSPACE_DEVICE;
		return true;
	case 1:
		*memory_type = ADDRSPACE_NON_CACHEABLE;
		return true;
	case 4:
		*memory_type = ADDRSPACE_WRITE_THROUGH;
		return true;
	case 6:
		*memory_type = ADDRSPACE_WRITE_BACK;
		return true;
	default:
		return false;
	}
}

static void decode_table(uint64_t value, struct fake_entry *entry)
{
	entry->kind = FAKE_ENTRY_TABLE;
	entry->permissions = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
	entry->accessed = true;
	entry->dirty = true;
	if (!(value & WRITABLE))
		illegal(entry, "NPT: nothing below a table without W can be written");
	else if (value & NX)
		illegal(entry, "NPT: nothing below a table with NX can be executed");
	else if (value & (PWT | PCD))
		illegal(entry, "NPT: the next table is not read by entry 0 of the PAT");
	else if (value & DIRTY)
		illegal(entry, "NPT: D set in a table");
	else if (!(value & ACCESSED))
		illegal(entry, "NPT: A clear in a table, hardware would set it");
}

static void decode_leaf(const struct fake_geometry *geometry, unsigned level, uint64_t value,
			struct fake_entry *entry)
{
	entry->kind = FAKE_ENTRY_LEAF;
	entry->permissions = ADDRSPACE_READ;
	if (value & WRITABLE)
		entry->permissions |= ADDRSPACE_WRITE;
	if (!(value & NX))
		entry->permissions |= ADDRSPACE_EXECUTE;
	/* Hardware maintains both whatever the library wants: who does not track them must not leave
	 * anything for it to set. */
	entry->accessed = value & ACCESSED;
	entry->dirty = value & DIRTY;
	if (level > 2)
		illegal(entry, "NPT: bit 7 is reserved in PML4E and PML5E");
	else if (level == 2 && !geometry->leaf_1g)
		illegal(entry, "NPT: 1 GiB leaf on a CPU without them");
	else if (level == 1 && !geometry->leaf_2m)
		illegal(entry, "NPT: 2 MiB leaf where they were not allowed");
	else if (entry->hpa & (BIT(fake_level_shift(level)) - 1))
		illegal(entry, "NPT: bits 20:13, or 29:13, of a large leaf set");
	else if (value & NX && !geometry->no_execute)
		illegal(entry, "NPT: NX while the host's EFER.NXE is 0");
	else if (!decode_type(pat_entry(geometry, level, value), &entry->memory_type))
		illegal(entry, "NPT: a memory type that nobody asked for");
}

static void decode(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		   struct fake_entry *entry)
{
	bool large = level > 0 && value & PAGE_SIZE;

	*entry = (struct fake_entry){.hpa = value & ADDRESS & ~(large ? PAT_BIG : 0)};
	if (!(value & PRESENT)) {
		entry->kind = FAKE_ENTRY_ABSENT;
		return;
	}
	if (level > 0 && !large)
		decode_table(value, entry);
	else
		decode_leaf(geometry, level, value, entry);
	if (entry->kind == FAKE_ENTRY_ILLEGAL)
		return;
	if (!(value & USER))
		illegal(entry, "NPT: U = 0, every access is a user access");
	else if (value & (GLOBAL | KEYS))
		illegal(entry, "NPT: G or a protection key set");
	else if (entry->hpa >> geometry->host_bits)
		illegal(entry, "NPT: address above the host's width");
}

static uint64_t touch(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		      bool store)
{
	bool leaf = level == 0 || (value & PAGE_SIZE);

	(void)geometry;
	return value | ACCESSED | (store && leaf ? DIRTY : 0);
}

const struct fake_walker fake_walker_npt = {
	.name = "NPT",
	.fault_drops_cached = true,
	.decode = decode,
	.touch = touch,
};

bool fake_npt_decode_root(struct fake_geometry *geometry, uint64_t ncr3, bool la57,
			  const char **why)
{
	*why = NULL;
	if (ncr3 & NCR3_FLAGS)
		*why = "nCR3: bits 11:0 are PWT, PCD or reserved";
	else if (ncr3 >> geometry->host_bits)
		*why = "nCR3: root above the host's width";
	geometry->walker = &fake_walker_npt;
	geometry->levels = la57 ? 5 : 4;
	geometry->input_bits = 12 + 9 * geometry->levels;
	geometry->root_hpa = ncr3 & ADDRESS;
	return !*why;
}
