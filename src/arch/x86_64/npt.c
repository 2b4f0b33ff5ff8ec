/* SPDX-License-Identifier: MIT */
/* AMD nested paging: geometry, the host's memory types, what it refuses, and its root register (AMD
 * APM 2, 15.25). */
#include "npt_format.h"

#define ENTRY_FORMAT npt_entry_format
#include "walker.h"

#include "levels.h"

#ifndef __OPTIMIZE_SIZE__
WALKER_FOR(4, 4);
WALKER_FOR(5, 5);
#endif

#include <addrspace/x86_64.h>

#define PAT_AT_RESET   UINT64_C(0x0007040600070406)
#define PAT_INDICES    8
#define PAT_FIELD_BITS 8
#define PAT_FIELD      0xff

#define CR4_LA57 (UINT64_C(1) << 12)
#define EFER_NXE (UINT64_C(1) << 11)

/** Notes that the host's PAT has the type at this index. */
static void npt_add_type(struct addrspace *as, enum addrspace_memory_type type, unsigned index)
{
	unsigned type_shift = NPT_TYPE_BITS * (unsigned)type;
	unsigned index_shift = NPT_INDEX_TYPE_BASE + NPT_INDEX_TYPE_BITS * index;

	as->memory_types &= ~((NPT_TYPE_EXISTS | NPT_TYPE_INDEX) << type_shift);
	as->memory_types |= (NPT_TYPE_EXISTS | index) << type_shift;
	as->memory_types |= (uint32_t)type << index_shift;
}

/**
 * Reads the types out of the host's PAT (APM 2, 7.8.2 and 15.25.8). Downwards: the lowest index of a
 * type is the one that counts. UC- is no device type: a WC of the host's MTRRs would override it
 * (7.8.5).
 */
static int npt_set_memory_types(struct addrspace *as, uint64_t pat)
{
	unsigned encoding = 0;

	for (unsigned index = PAT_INDICES; index-- > 0;) {
		encoding = (unsigned)(pat >> (PAT_FIELD_BITS * index)) & PAT_FIELD;
		switch (encoding) {
		case 0: /* UC */
			npt_add_type(as, ADDRSPACE_DEVICE, index);
			break;
		case 1: /* WC */
			npt_add_type(as, ADDRSPACE_NON_CACHEABLE, index);
			break;
		case 4: /* WT */
			npt_add_type(as, ADDRSPACE_WRITE_THROUGH, index);
			break;
		case 6: /* WB */
			npt_add_type(as, ADDRSPACE_WRITE_BACK, index);
			break;
		case 5: /* WP */
		case 7: /* UC- */
			break;
		default:
			return ADDRSPACE_EINVAL;
		}
	}
	/* The last one was that of index 0, by which the CPU reads the tables themselves. */
	return encoding == 6 ? 0 : ADDRSPACE_ENOTSUP;
}

static int npt_set_geometry(struct addrspace *as, const struct addrspace_config *config)
{
	int error = x86_set_levels(as, config);

	if (error)
		return error;
	as->absent_cached = false;
	return npt_set_memory_types(as, config->host_pat ? config->host_pat : PAT_AT_RESET);
}

static int npt_check_attributes(const struct addrspace *as, unsigned permissions,
				enum addrspace_memory_type memory_type)
{
	if (permissions && !(permissions & ADDRSPACE_READ))
		return ADDRSPACE_ENOTSUP;
	if (permissions && !(permissions & ADDRSPACE_EXECUTE) &&
	    !(as->cpu_features & ADDRSPACE_CPU_NX))
		return ADDRSPACE_ENOTSUP;
	return npt_type(space_traits(as), memory_type) & NPT_TYPE_EXISTS ? 0 : ADDRSPACE_ENOTSUP;
}

const struct addrspace_format addrspace_npt = {
	.name = "NPT",
	.cpu_features = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G | ADDRSPACE_CPU_HARDWARE_AD |
			ADDRSPACE_CPU_NX | ADDRSPACE_CPU_FLUSH_BY_ASID,
	.set_geometry = npt_set_geometry,
	.check_attributes = npt_check_attributes,
	.walkers = {&walker_any, [4] = &walker_4, [5] = &walker_5},
	WALKER_OPERATIONS,
};

int addrspace_npt_registers(const struct addrspace *as, struct addrspace_npt_registers *registers)
{
	if (!as || !registers || as->format != &addrspace_npt)
		return ADDRSPACE_EINVAL;
	registers->ncr3 = as->root_hpa;
	registers->host_cr4 = as->levels == 5 ? CR4_LA57 : 0;
	registers->host_cr4_mask = CR4_LA57;
	registers->host_efer = as->cpu_features & ADDRSPACE_CPU_NX ? EFER_NXE : 0;
	return 0;
}
