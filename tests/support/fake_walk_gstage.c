/* SPDX-License-Identifier: MIT */
/*
 * RISC-V G-stage as the CPU reads it: Privileged Architecture, "Guest Physical Address Translation"
 * in the hypervisor chapter, "Sv39" and after it for the entry format, Svpbmt, Svadu; hgatp.
 */
#include <stddef.h>

#include "fake_walk.h"

#define VALID        (UINT64_C(1) << 0)
#define READ         (UINT64_C(1) << 1)
#define WRITE        (UINT64_C(1) << 2)
#define EXECUTE      (UINT64_C(1) << 3)
#define USER         (UINT64_C(1) << 4)
#define GLOBAL       (UINT64_C(1) << 5)
#define ACCESSED     (UINT64_C(1) << 6)
#define DIRTY        (UINT64_C(1) << 7)
#define RESERVED     UINT64_C(0x1fc0000000000000) /* 60:54 */
#define PBMT_SHIFT   61
#define NAPOT        (UINT64_C(1) << 63)
#define PPN_MASK     UINT64_C(0x003ffffffffffc00) /* 53:10 */
#define MODE_SV39X4  8
#define HGATP_PPN    UINT64_C(0x00000fffffffffff)
#define HGATP_MIDDLE UINT64_C(0x0c00000000000000) /* 59:58 */

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

static void decode_table(uint64_t value, struct fake_entry *entry)
{
	entry->kind = FAKE_ENTRY_TABLE;
	entry->permissions = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
	entry->accessed = true;
	entry->dirty = true;
	if (value & (ACCESSED | DIRTY | USER | GLOBAL))
		illegal(entry, "G-stage: A, D, U and G of a non-leaf entry are reserved");
	else if ((value >> PBMT_SHIFT) & 7)
		illegal(entry, "G-stage: PBMT and N of a non-leaf entry are reserved");
}

static void decode_leaf(const struct fake_geometry *geometry, unsigned level, uint64_t value,
			struct fake_entry *entry)
{
	static const enum addrspace_memory_type types[] = {
		ADDRSPACE_WRITE_BACK,
		ADDRSPACE_NON_CACHEABLE,
		ADDRSPACE_DEVICE,
	};
	unsigned pbmt = (unsigned)(value >> PBMT_SHIFT) & 3;

	entry->kind = FAKE_ENTRY_LEAF;
	entry->permissions = permissions_of(value);
	entry->accessed = value & ACCESSED;
	entry->dirty = value & DIRTY;
	if (pbmt < 3)
		entry->memory_type = types[pbmt];
	if ((value & (READ | WRITE)) == WRITE)
		illegal(entry, "G-stage: write without read is reserved");
	else if (!(value & USER))
		illegal(entry, "G-stage: U = 0, every access is a user access");
	else if (value & GLOBAL)
		illegal(entry, "G-stage: G is reserved");
	else if (entry->hpa & ((UINT64_C(1) << fake_level_shift(level)) - 1))
		illegal(entry, "G-stage: misaligned superpage");
	else if (pbmt == 3 || (pbmt && !geometry->svpbmt))
		illegal(entry, "G-stage: PBMT = 3, or PBMT without Svpbmt");
	else if (value & NAPOT)
		illegal(entry, "G-stage: N without Svnapot");
	else if (level == 2 && !geometry->leaf_1g)
		illegal(entry, "G-stage: 1 GiB leaf where they were not allowed");
	else if (level == 1 && !geometry->leaf_2m)
		illegal(entry, "G-stage: 2 MiB leaf where they were not allowed");
}

static void decode(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		   struct fake_entry *entry)
{
	*entry = (struct fake_entry){.hpa = (value & PPN_MASK) << 2};
	if (!(value & VALID)) {
		entry->kind = FAKE_ENTRY_ABSENT;
		return;
	}
	if (value & (READ | WRITE | EXECUTE))
		decode_leaf(geometry, level, value, entry);
	else if (level == 0)
		illegal(entry, "G-stage: pointer to a table at the last level");
	else
		decode_table(value, entry);
	if (entry->kind == FAKE_ENTRY_ILLEGAL)
		return;
	if (value & RESERVED)
		illegal(entry, "G-stage: bits 60:54 are reserved");
	else if (entry->hpa >> geometry->host_bits)
		illegal(entry, "G-stage: address above the platform's width");
}

static uint64_t touch(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		      bool store)
{
	(void)level;
	if (!geometry->hardware_ad || !(value & (READ | WRITE | EXECUTE)))
		return value;
	return value | ACCESSED | (store ? DIRTY : 0);
}

const struct fake_walker fake_walker_gstage = {
	.name = "G-stage",
	.walk_cache_survives_by_address = true,
	.decode = decode,
	.touch = touch,
};

bool fake_gstage_decode_root(struct fake_geometry *geometry, uint64_t hgatp, const char **why)
{
	unsigned mode = (unsigned)(hgatp >> 60);

	*why = NULL;
	if (mode < MODE_SV39X4 || mode > MODE_SV39X4 + 2)
		*why = "hgatp: MODE is none of Sv39x4, Sv48x4, Sv57x4";
	else if (hgatp & 3)
		*why = "hgatp: the root is not 16 KiB aligned";
	else if (hgatp & HGATP_MIDDLE)
		*why = "hgatp: bits 59:58 are reserved";
	geometry->walker = &fake_walker_gstage;
	geometry->levels = mode - MODE_SV39X4 + 3;
	geometry->input_bits = 12 + 9 * geometry->levels + 2;
	geometry->root_hpa = (hgatp & HGATP_PPN) << 12;
	return !*why;
}
