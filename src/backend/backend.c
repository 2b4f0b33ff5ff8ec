/* SPDX-License-Identifier: MIT */
#include "backend.h"

#include "range.h"

enum addrspace_leaf addrspace_backend_largest_leaf(const struct addrspace_region *region)
{
	if (backend_pages_only(region))
		return ADDRSPACE_LEAF_4K;
	return region->backend.kind == ADDRSPACE_LINEAR ? ADDRSPACE_LEAF_1G : region->largest_leaf;
}

static struct page_table_fill fill_range(const struct addrspace_region *region, uint64_t gpa,
					 uint64_t end)
{
	return (struct page_table_fill){
		.gpa = gpa,
		.end = end,
		.cookie = region->cookie,
		.permissions = region->permissions,
		.memory_type = region->memory_type,
		.largest_leaf = (uint8_t)addrspace_backend_largest_leaf(region),
	};
}

bool addrspace_backend_fill(const struct addrspace_region *region, struct page_table_fill *fill)
{
	*fill = fill_range(region, region->gpa, region->gpa + region->size);
	switch (region->backend.kind) {
	case ADDRSPACE_LINEAR:
		addrspace_linear_fill(region, fill);
		return true;
	case ADDRSPACE_ALLOC:
		return addrspace_alloc_fill(region, fill);
	case ADDRSPACE_TRAP:
		break;
	}
	return false;
}

bool addrspace_backend_replace(struct addrspace_region *region, uint64_t gpa, uint64_t new_hpa,
			       struct page_table_fill *fill)
{
	switch (region->backend.kind) {
	case ADDRSPACE_LINEAR:
		addrspace_linear_move(region, gpa, new_hpa);
		return addrspace_backend_fill(region, fill);
	case ADDRSPACE_ALLOC:
		*fill = fill_range(region, gpa, gpa + ADDRSPACE_PAGE_SIZE);
		addrspace_alloc_hand_over(new_hpa, fill);
		break;
	case ADDRSPACE_TRAP: /* no page of it has a frame */
		break;
	}
	return false;
}

RARELY int addrspace_backend_check_kinds(const struct addrspace *as, uint64_t gpa, uint64_t end,
					 unsigned kinds)
{
	struct addrspace_region region;
	int error = 0;

	for (uint64_t at = gpa; at < end; at = region_end(&region)) {
		if (!addrspace_region_set_find(as, at, &region))
			return ADDRSPACE_ENOENT;
		if (!(kinds >> region.backend.kind & 1))
			error = ADDRSPACE_ENOTSUP;
	}
	return error;
}
