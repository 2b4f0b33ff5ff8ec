/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include "compiler.h"
#include "lock.h"
#include "memory.h"
#include "page_table.h"
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

/** What becomes of a fault that was not settled at once. */
static RARELY int fault_again(struct addrspace *as, uint64_t gpa, unsigned access, int result,
			      unsigned *level)
{
	/* Each lost race means that another CPU put one more table, or the leaf, on our path. */
	while (result == PAGE_TABLE_LOST)
		result = as->walker->fault(as, gpa, access, level);
	/* The frame that we could not have may be the one that another CPU put there meanwhile. */
	if (result < 0 && as->format->allows(as, gpa, access))
		return ADDRSPACE_FAULT_ALREADY_RESOLVED;
	if (result == ADDRSPACE_ENOMEM || result == ADDRSPACE_EDQUOT)
		return ADDRSPACE_FAULT_OUT_OF_MEMORY;
	return result;
}

/** What few want, or need: the entries and this CPU's caches cleaned, and a copy of the region. */
static NEVER_INLINE void after_fault(struct addrspace *as, uint64_t gpa, int result, unsigned level,
				     struct addrspace_region *region)
{
	/* All on the way: who published an entry that we found there may not have come to this yet. */
	if (as->handler->sync_table &&
	    (result == ADDRSPACE_FAULT_RESOLVED || result == ADDRSPACE_FAULT_ALREADY_RESOLVED))
		as->format->sync_path(as, gpa);
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

int addrspace_fault_locked(struct addrspace *as, uint64_t page, unsigned access)
{
	unsigned level;
	int result;

	do
		result = as->walker->fault(as, page, access, &level);
	while (result == PAGE_TABLE_LOST);
	if (as->after_faults)
		after_fault(as, page, result, level, NULL);
	return result;
}

int addrspace_handle_fault(struct addrspace *as, uint64_t gpa, unsigned access,
			   struct addrspace_region *region)
{
	const unsigned all = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
	uint64_t page = gpa & ~(ADDRSPACE_PAGE_SIZE - 1);
	unsigned level;
	int result;

	if (!as || !access || access & ~all)
		return ADDRSPACE_EINVAL;
	if (gpa >= as->gpa_limit) {
		if (region)
			memset(region, 0, sizeof(*region));
		return ADDRSPACE_FAULT_NOT_BACKED;
	}
	lock_shared(as);
	result = as->walker->fault(as, page, access, &level);
	if (UNLIKELY(result < 0 || result == PAGE_TABLE_LOST))
		result = fault_again(as, page, access, result, &level);
	if (UNLIKELY(region || as->after_faults))
		after_fault(as, page, result, level, region);
	unlock_shared(as);
	return result;
}
