/* SPDX-License-Identifier: MIT */
/* Levels and widths of x86 nested tables: EPT and NPT share them with 4- and 5-level paging. */
#ifndef ADDRSPACE_SRC_ARCH_X86_64_LEVELS_H
#define ADDRSPACE_SRC_ARCH_X86_64_LEVELS_H

#include "page_table.h"

/** Sets levels and root_order: 0, or ADDRSPACE_ERANGE. 4 levels map 48 bits, 5 map 57. */
static inline int x86_set_levels(struct addrspace *as, const struct addrspace_config *config)
{
	unsigned levels = config->levels;

	if (!levels)
		levels = config->gpa_bits > 48 || config->cpu.min_levels == 5 ? 5 : 4;
	if (levels != 4 && levels != 5)
		return ADDRSPACE_ERANGE;
	if (config->gpa_bits < 32 || config->gpa_bits > PAGE_SHIFT + PAGE_TABLE_INDEX_BITS * levels)
		return ADDRSPACE_ERANGE;
	as->levels = (uint8_t)levels;
	as->root_order = 0;
	return 0;
}

#endif
