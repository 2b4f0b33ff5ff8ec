/* SPDX-License-Identifier: MIT */
#include "backend/backend.h"
#include "compiler.h"
#include "lock.h"
#include "memory.h"
#include "range.h"
#include "region_set.h"

/**
 * Drops what this CPU's translation caches may hold against a leaf that is there now. Unless only
 * the leaf was missing, a not-present entry above it may be what is kept, which invalidation by
 * address leaves in place.
 */
static NEVER_INLINE void invalidate_here(const struct addrspace *as, uint64_t gpa,
					 bool tables_changed)
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

/** A page without a leaf that allows the access: what its region says. An outcome, an error or
 * PAGE_TABLE_LOST. */
static inline int fault_in_region(struct addrspace *as, uint64_t gpa, unsigned access,
				  enum page_table_leaf leaf,
				  const struct page_table_position *position,
				  const struct addrspace_region *region)
{
	if (access & ~region->permissions)
		return ADDRSPACE_FAULT_DENIED;
	if (leaf == PAGE_TABLE_REFUSES)
		return ADDRSPACE_FAULT_CONFIGURATION;
	return backend_fault(as, region, gpa, position);
}

/** What becomes of a fault that was not resolved at once. */
static RARELY int fault_again(struct addrspace *as, uint64_t gpa, unsigned access,
			      struct page_table_position *position,
			      const struct addrspace_region *region, int result)
{
	/* Each lost race means that another CPU put one more table, or the leaf, on our path. The
	 * frame that we could not have may be the one that another CPU put there meanwhile. */
	for (;;) {
		enum page_table_leaf leaf = as->walker->find(as, gpa, access, position);

		if (leaf == PAGE_TABLE_ALLOWS)
			return ADDRSPACE_FAULT_ALREADY_RESOLVED;
		if (result == ADDRSPACE_ENOMEM || result == ADDRSPACE_EDQUOT)
			return ADDRSPACE_FAULT_OUT_OF_MEMORY;
		if (result != PAGE_TABLE_LOST)
			return result;
		result = fault_in_region(as, gpa, access, leaf, position, region);
		if (result >= 0 && result != PAGE_TABLE_LOST)
			return result;
	}
}

/** What few want, or need: this CPU's caches cleaned, and a copy of the region. */
static NEVER_INLINE void after_fault(struct addrspace *as, uint64_t gpa, int result, unsigned level,
				     struct addrspace_region *region)
{
	if (as->absent_cached && result == ADDRSPACE_FAULT_RESOLVED)
		invalidate_here(as, gpa, level > 0);
	if (as->absent_cached && result == ADDRSPACE_FAULT_ALREADY_RESOLVED)
		invalidate_here(as, gpa, true);
	if (!region)
		return;
	memset(region, 0, sizeof(*region));
	if (result >= 0 && result != ADDRSPACE_FAULT_NOT_BACKED)
		addrspace_region_set_find(as, gpa, region);
}

int addrspace_handle_fault(struct addrspace *as, uint64_t gpa, unsigned access,
			   struct addrspace_region *region)
{
	const unsigned all = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
	uint64_t page = gpa & ~(ADDRSPACE_PAGE_SIZE - 1);
	struct page_table_position position;
	struct addrspace_region found;
	enum page_table_leaf leaf;
	int result;

	if (!as || !access || access & ~all)
		return ADDRSPACE_EINVAL;
	if (gpa >= as->gpa_limit) {
		if (region)
			memset(region, 0, sizeof(*region));
		return ADDRSPACE_FAULT_NOT_BACKED;
	}
	lock_shared(as);
	/* Walks first: where a leaf allows the access, the guest need only retry. */
	leaf = as->walker->find(as, page, access, &position);
	if (leaf == PAGE_TABLE_ALLOWS)
		result = ADDRSPACE_FAULT_ALREADY_RESOLVED;
	else if (!addrspace_region_set_find(as, page, &found))
		result = ADDRSPACE_FAULT_NOT_BACKED;
	else
		result = fault_in_region(as, page, access, leaf, &position, &found);
	if (UNLIKELY(result < 0 || result == PAGE_TABLE_LOST))
		result = fault_again(as, page, access, &position, &found, result);
	if (UNLIKELY(region || as->absent_cached))
		after_fault(as, page, result, position.level, region);
	unlock_shared(as);
	return result;
}
