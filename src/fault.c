/* SPDX-License-Identifier: MIT */
#include "backend/backend.h"
#include "lock.h"
#include "memory.h"
#include "range.h"
#include "region_set.h"

/**
 * Drops what this CPU's translation caches may hold against a leaf that is there now. Unless only
 * the leaf was missing, a not-present entry above it may be what is kept, which invalidation by
 * address leaves in place.
 */
static void invalidate_here(const struct addrspace *as, uint64_t gpa, bool tables_changed)
{
	const struct addrspace_invalidation invalidation = {
		.gpa = gpa,
		.size = ADDRSPACE_PAGE_SIZE,
		.stride = ADDRSPACE_PAGE_SIZE,
		.tables_changed = tables_changed,
		.scope = ADDRSPACE_THIS_CPU,
	};

	as->handler->invalidate(as->handler_ctx, &invalidation);
}

/** A page without a leaf that allows the access: what its region says. */
static int fault_in_region(struct addrspace *as, uint64_t gpa, unsigned access,
			   enum page_table_leaf leaf, const struct page_table_position *position,
			   struct addrspace_region *region)
{
	if (!addrspace_region_set_find(as, gpa, region))
		return ADDRSPACE_FAULT_NOT_BACKED;
	if (access & ~region->permissions)
		return ADDRSPACE_FAULT_DENIED;
	if (leaf == PAGE_TABLE_REFUSES)
		return ADDRSPACE_FAULT_CONFIGURATION;
	return addrspace_backend_fault(as, region, gpa, position);
}

/** Walks first: where a leaf allows the access, the guest need only retry. */
static int fault(struct addrspace *as, uint64_t gpa, unsigned access,
		 struct addrspace_region *region, unsigned *level)
{
	struct page_table_position position;
	int result;

	/* Each lost race means that another CPU put one more table, or the leaf, on our path. */
	do {
		enum page_table_leaf leaf = as->format->find(as, gpa, access, &position);

		*level = position.level;
		if (leaf == PAGE_TABLE_ALLOWS)
			return ADDRSPACE_FAULT_ALREADY_RESOLVED;
		result = fault_in_region(as, gpa, access, leaf, &position, region);
	} while (result == BACKEND_RETRY);
	/* The frame that we could not have may be the one that another CPU put there meanwhile. */
	if ((result == ADDRSPACE_FAULT_OUT_OF_MEMORY || result < 0) &&
	    as->format->find(as, gpa, access, &position) == PAGE_TABLE_ALLOWS)
		return ADDRSPACE_FAULT_ALREADY_RESOLVED;
	return result;
}

int addrspace_handle_fault(struct addrspace *as, uint64_t gpa, unsigned access,
			   struct addrspace_region *region)
{
	const unsigned all = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
	uint64_t page = gpa & ~(ADDRSPACE_PAGE_SIZE - 1);
	struct addrspace_region found;
	unsigned level;
	int result = ADDRSPACE_FAULT_NOT_BACKED;

	if (!as || !access || access & ~all)
		return ADDRSPACE_EINVAL;
	if (region)
		memset(region, 0, sizeof(*region));
	if (gpa >= as->gpa_limit)
		return result;
	lock_shared(as);
	result = fault(as, page, access, &found, &level);
	if (as->absent_cached && result == ADDRSPACE_FAULT_RESOLVED)
		invalidate_here(as, page, level > 0);
	if (as->absent_cached && result == ADDRSPACE_FAULT_ALREADY_RESOLVED)
		invalidate_here(as, page, true);
	if (region && result >= 0 && result != ADDRSPACE_FAULT_NOT_BACKED)
		addrspace_region_set_find(as, page, region);
	unlock_shared(as);
	return result;
}
