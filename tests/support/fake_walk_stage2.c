/* SPDX-License-Identifier: MIT */
/*
 * Arm VMSAv8-64 stage 2, 4 KiB granule, as the CPU reads it: Arm ARM (DDI 0487) D8.3 "translation
 * table descriptor formats", D8.4 "memory access control", D8.5 "memory attributes" and FEAT_S2FWB;
 * VTCR_EL2, VTTBR_EL2, HCR_EL2: D24.2.
 *
 * Arm's level numbers run the other way: its level 3 is level 0 here. Stricter than hardware in one
 * way: ignored bits outside the fields reserved for software must be 0.
 */
#include <stddef.h>

#include "fake_walk.h"

#define VALID          (UINT64_C(1) << 0)
#define TABLE_OR_PAGE  (UINT64_C(1) << 1)
#define S2AP_READ      (UINT64_C(1) << 6)
#define S2AP_WRITE     (UINT64_C(1) << 7)
#define ACCESS_FLAG    (UINT64_C(1) << 10)
#define BIT_11         (UINT64_C(1) << 11)
#define DIRTY_MODIFIER (UINT64_C(1) << 51)
#define CONTIGUOUS     (UINT64_C(1) << 52)
#define XN_EL0_FORMS   (UINT64_C(1) << 53)
#define EXECUTE_NEVER  (UINT64_C(1) << 54)
#define ADDRESS        UINT64_C(0x0000fffffffff000)
#define RES0_50_48     UINT64_C(0x0007000000000000)
#define RES0_63_59     UINT64_C(0xf800000000000000)

static void illegal(struct fake_entry *entry, const char *why)
{
	entry->kind = FAKE_ENTRY_ILLEGAL;
	entry->why = why;
}

static bool decode_type(bool fwb, unsigned attributes, enum addrspace_memory_type *type)
{
	switch (attributes) {
	case 1: /* Device-nGnRE, with FWB as well */
		*type = ADDRSPACE_DEVICE;
		return true;
	case 5: /* Normal, inner and outer non-cacheable, with FWB as well */
		*type = ADDRSPACE_NON_CACHEABLE;
		return true;
	case 6: /* with FWB: write-back whatever stage 1 says */
		*type = ADDRSPACE_WRITE_BACK;
		return fwb;
	case 10: /* inner and outer write-through */
		*type = ADDRSPACE_WRITE_THROUGH;
		return !fwb;
	case 15:
		*type = ADDRSPACE_WRITE_BACK;
		return !fwb;
	default:
		return false;
	}
}

static unsigned permissions_of(const struct fake_geometry *geometry, uint64_t value)
{
	unsigned permissions = 0;

	if (value & S2AP_READ)
		permissions |= ADDRSPACE_READ;
	/* Writable-clean: hardware turns it into writable-dirty by itself. */
	if ((value & S2AP_WRITE) || (geometry->hardware_ad && (value & DIRTY_MODIFIER)))
		permissions |= ADDRSPACE_WRITE;
	if ((value & S2AP_READ) && !(value & EXECUTE_NEVER))
		permissions |= ADDRSPACE_EXECUTE;
	return permissions;
}

static void decode_leaf(const struct fake_geometry *geometry, unsigned level, uint64_t value,
			struct fake_entry *entry)
{
	uint64_t below = (UINT64_C(1) << fake_level_shift(level)) - 1;
	unsigned share = (unsigned)(value >> 8) & 3;

	entry->kind = FAKE_ENTRY_LEAF;
	entry->permissions = permissions_of(geometry, value);
	entry->accessed = value & ACCESS_FLAG;
	entry->dirty = value & S2AP_WRITE;
	if (level == 2 && !geometry->leaf_1g)
		illegal(entry, "stage 2: 1 GiB leaf where they were not allowed");
	else if (level == 1 && !geometry->leaf_2m)
		illegal(entry, "stage 2: 2 MiB leaf where they were not allowed");
	else if (value & ADDRESS & below)
		illegal(entry, "stage 2: low address bits of a block are RES0");
	else if (value & (RES0_50_48 | RES0_63_59 | BIT_11))
		illegal(entry, "stage 2: reserved bits of a leaf set");
	else if (value & (CONTIGUOUS | XN_EL0_FORMS))
		illegal(entry, "stage 2: contiguous, or XN[0], which needs FEAT_XNX");
	else if (!decode_type(geometry->fwb, (unsigned)(value >> 2) & 15, &entry->memory_type))
		illegal(entry, "stage 2: MemAttr has no such encoding");
	else if (share == 1)
		illegal(entry, "stage 2: SH = 0b01 is reserved");
	else if (share != 3 && (entry->memory_type == ADDRSPACE_WRITE_BACK ||
				entry->memory_type == ADDRSPACE_WRITE_THROUGH))
		illegal(entry, "stage 2: cacheable memory that is not inner shareable");
}

static void decode(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		   struct fake_entry *entry)
{
	*entry = (struct fake_entry){.hpa = value & ADDRESS};
	if (!(value & VALID)) {
		entry->kind = FAKE_ENTRY_ABSENT;
		return;
	}
	if (level > 0 && (value & TABLE_OR_PAGE)) {
		entry->kind = FAKE_ENTRY_TABLE;
		entry->permissions = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
		entry->accessed = true;
		entry->dirty = true;
		if (value & (RES0_50_48 | RES0_63_59))
			illegal(entry, "stage 2: reserved bits of a table descriptor set");
	} else if (level == 0 && !(value & TABLE_OR_PAGE)) {
		illegal(entry, "stage 2: 0b01 at the last level is reserved");
	} else if (level > 2) {
		illegal(entry, "stage 2: block at Arm level 0");
	} else {
		decode_leaf(geometry, level, value, entry);
	}
	if (entry->kind != FAKE_ENTRY_ILLEGAL && geometry->host_bits < 48 &&
	    entry->hpa >> geometry->host_bits)
		illegal(entry, "stage 2: address size fault, above PARange");
}

static uint64_t touch(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		      bool store)
{
	bool table = level > 0 && (value & TABLE_OR_PAGE);

	if (!geometry->hardware_ad || table)
		return value;
	if (store && (value & DIRTY_MODIFIER))
		value |= S2AP_WRITE;
	return value | ACCESS_FLAG;
}

const struct fake_walker fake_walker_stage2 = {
	.name = "stage 2",
	.break_before_make = true,
	.walk_cache_survives_by_address = true,
	.decode = decode,
	.touch = touch,
};

static unsigned physical_size_code(unsigned host_bits)
{
	static const unsigned bits[] = {32, 36, 40, 42, 44, 48};

	for (unsigned code = 5; code > 0; code--) {
		if (host_bits >= bits[code])
			return code;
	}
	return 0;
}

static const char *check_vtcr(const struct fake_geometry *geometry, uint64_t vtcr, bool vmid16)
{
	if (!(vtcr & (UINT64_C(1) << 31)) || vtcr >> 32)
		return "VTCR_EL2: bit 31 is RES1, the upper half is RES0 here";
	if (((vtcr >> 8) & 0x3f) != 0x35)
		return "VTCR_EL2: walks must be inner shareable, write-back";
	if ((vtcr >> 14) & 3)
		return "VTCR_EL2: TG0 is not 4 KiB";
	if (((vtcr >> 16) & 7) != physical_size_code(geometry->host_bits))
		return "VTCR_EL2: PS is not the host's";
	if (((vtcr >> 19) & 1) != (vmid16 ? 1 : 0))
		return "VTCR_EL2: VS disagrees with the CPU";
	if (((vtcr >> 21) & 1) != ((vtcr >> 22) & 1))
		return "VTCR_EL2: HA and HD differ";
	/* HWU59..62 would give meaning to leaf bits 62:59; NSW and NSA belong to Secure state. */
	if (vtcr & 0x7f900000)
		return "VTCR_EL2: a field that should be 0 is set";
	return NULL;
}

static const char *check_start(const struct fake_geometry *geometry, unsigned start_level_code)
{
	unsigned top_shift = fake_level_shift(geometry->levels - 1);
	uint64_t root_bytes;

	if (start_level_code > 2)
		return "VTCR_EL2: SL0 = 3 is reserved";
	if (geometry->input_bits <= top_shift || geometry->input_bits > top_shift + 13)
		return "VTCR_EL2: the start level resolves 1 to 13 bits";
	if (geometry->levels == 4 && (geometry->host_bits < 43 || geometry->input_bits > 48))
		return "VTCR_EL2: start at level 0 needs more than 42 physical bits";
	if (geometry->input_bits > geometry->host_bits)
		return "VTCR_EL2: IPA wider than the PA";
	root_bytes = fake_root_entries(geometry) * 8;
	if ((geometry->root_hpa & (root_bytes - 1)) || (geometry->root_hpa & 0xfff))
		return "VTTBR_EL2: root not aligned to its size, or CnP set";
	return NULL;
}

bool fake_stage2_decode_root(struct fake_geometry *geometry, uint64_t vtcr, uint64_t vttbr,
			     uint64_t hcr, bool vmid16, const char **why)
{
	unsigned start_level_code = (unsigned)(vtcr >> 6) & 3;

	geometry->walker = &fake_walker_stage2;
	geometry->input_bits = 64 - (unsigned)(vtcr & 0x3f);
	geometry->levels = start_level_code + 2;
	geometry->hardware_ad = (vtcr >> 21) & 1;
	geometry->fwb = (hcr >> 46) & 1;
	geometry->root_hpa = vttbr & UINT64_C(0x0000ffffffffffff);
	*why = check_vtcr(geometry, vtcr, vmid16);
	if (!*why)
		*why = check_start(geometry, start_level_code);
	if (!*why && !(hcr & 1))
		*why = "HCR_EL2: VM is not set";
	if (!*why && !vmid16 && vttbr >> 56)
		*why = "VTTBR_EL2: VMID wider than 8 bits";
	return !*why;
}
