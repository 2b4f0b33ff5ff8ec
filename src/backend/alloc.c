/* SPDX-License-Identifier: MIT */
/* Frames from the handler: all when the region is mapped (populate), or each on the first fault on
 * its page. */
#include "backend.h"

bool addrspace_alloc_fill(const struct addrspace_region *region, struct page_table_fill *fill)
{
	fill->source = PAGE_TABLE_ALLOCATE;
	return region->backend.u.alloc.populate;
}

void addrspace_alloc_hand_over(uint64_t new_hpa, struct page_table_fill *fill)
{
	fill->source = PAGE_TABLE_HANDED_OVER;
	fill->hpa = new_hpa;
}
