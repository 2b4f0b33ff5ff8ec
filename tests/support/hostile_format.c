/* SPDX-License-Identifier: MIT */
/* The hostile format: geometry, and what it refuses. It has no root register. */
#include "hostile_format.h"

#define ENTRY_FORMAT hostile_entry_format
#include "walker.h"

#ifndef __OPTIMIZE_SIZE__
WALKER_FOR(3, 3);
WALKER_FOR(4, 4);
#endif

#include "layouts.h"

#define ROOT_ORDER  1
#define WIDEST_HOST 48

static unsigned widest_gpa(unsigned levels)
{
	return PAGE_SHIFT + PAGE_TABLE_INDEX_BITS * levels + ROOT_ORDER;
}

static int hostile_set_geometry(struct addrspace *as, const struct addrspace_config *config)
{
	unsigned levels = config->levels;

	if (!levels)
		levels = config->gpa_bits <= widest_gpa(3) ? 3 : 4;
	if (levels < 3 || levels > 4 || config->cpu.host_bits > WIDEST_HOST)
		return ADDRSPACE_ERANGE;
	if (config->gpa_bits < 32 || config->gpa_bits > widest_gpa(levels))
		return ADDRSPACE_ERANGE;
	as->levels = (uint8_t)levels;
	as->root_order = ROOT_ORDER;
	as->absent_cached = true;
	return 0;
}

/** Unlike any real format it cannot write what it can execute. */
static int hostile_check_attributes(const struct addrspace *as, unsigned permissions,
				    enum addrspace_memory_type memory_type)
{
	(void)as;
	if (permissions & ADDRSPACE_WRITE && permissions & ADDRSPACE_EXECUTE)
		return ADDRSPACE_ENOTSUP;
	return memory_type == ADDRSPACE_NON_CACHEABLE ? ADDRSPACE_ENOTSUP : 0;
}

const struct addrspace_format addrspace_hostile = {
	.name = "hostile",
	.cpu_features = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G | ADDRSPACE_CPU_HARDWARE_AD,
	.set_geometry = hostile_set_geometry,
	.check_attributes = hostile_check_attributes,
	.walkers = {&walker_any, [3] = &walker_3, [4] = &walker_4},
	WALKER_OPERATIONS,
};
