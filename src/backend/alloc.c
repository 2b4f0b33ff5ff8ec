/* SPDX-License-Identifier: MIT */
/* Frames from the handler: all when the region is mapped (populate), or each on the first fault on
 * its page. */
#include "backend.h"

bool addrspace_alloc_fill(const struct addrspace_region *region, struct page_table_fill *fill)
{
	fill->source = PAGE_TABLE_ALLOCATE;
	return region->backend.u.alloc.populate;
}

int addrspace_alloc_fault(struct addrspace *as, const struct addrspace_region *region, uint64_t gpa,
			  const struct page_table_position *position)
{
	struct page_table_fill fill = {
		.gpa = gpa,
		.end = gpa + ADDRSPACE_PAGE_SIZE,
		.cookie = region->cookie,
		.source = PAGE_TABLE_ALLOCATE,
		.permissions = region->permissions,
		.memory_type = region->memory_type,
	};
	int result;

	if (region->backend.u.alloc.populate)
		return ADDRSPACE_FAULT_CONFIGURATION;
	result = as->format->install(as, position, &fill);
	switch (result) {
	case 0:
		return ADDRSPACE_FAULT_RESOLVED;
	case PAGE_TABLE_LOST:
		return BACKEND_RETRY;
	case ADDRSPACE_ENOMEM:
	case ADDRSPACE_EDQUOT:
		return ADDRSPACE_FAULT_OUT_OF_MEMORY;
	default:
		return result;
	}
}

void addrspace_alloc_hand_over(uint64_t new_hpa, struct page_table_fill *fill)
{
	fill->source = PAGE_TABLE_HANDED_OVER;
	fill->hpa = new_hpa;
}
