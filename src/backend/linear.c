/* SPDX-License-Identifier: MIT */
/* Memory that the embedder owns, at a constant offset: mapped whole from the start, never
 * allocated, never freed. */
#include "backend.h"

void addrspace_linear_fill(const struct addrspace_region *region, struct page_table_fill *fill)
{
	fill->source = PAGE_TABLE_LINEAR;
	fill->hpa = fill->gpa - region->backend.u.linear.offset;
}

void addrspace_linear_move(struct addrspace_region *region, uint64_t gpa, uint64_t new_hpa)
{
	region->gpa = gpa;
	region->size = ADDRSPACE_PAGE_SIZE;
	region->backend.u.linear.offset = gpa - new_hpa;
}
