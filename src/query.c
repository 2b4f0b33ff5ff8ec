/* SPDX-License-Identifier: MIT */
/* Calls that only read. */
#include <addrspace/job.h>

#include "held.h"
#include "lock.h"
#include "memory.h"
#include "page_table.h"
#include "range.h"
#include "region_set.h"

int addrspace_walk(struct addrspace *as, uint64_t gpa, struct addrspace_translation *translation)
{
	bool found;

	if (!as || !translation)
		return ADDRSPACE_EINVAL;
	if (gpa >= as->gpa_limit)
		return ADDRSPACE_ERANGE;
	lock_shared(as);
	found = as->walker->translate(as, gpa, translation);
	unlock_shared(as);
	return found ? 0 : ADDRSPACE_ENOENT;
}

int addrspace_translate(struct addrspace *as, uint64_t gpa,
			struct addrspace_translation *translation)
{
	uint64_t end = 0;
	uint64_t in_leaf;

	if (!as || !translation)
		return ADDRSPACE_EINVAL;
	if (gpa >= as->gpa_limit)
		return ADDRSPACE_ERANGE;
	lock_shared(as);
	if (as->walker->translate(as, gpa, translation))
		end = addrspace_region_set_end(as, gpa);
	unlock_shared(as);
	if (!end)
		return ADDRSPACE_ENOENT;
	in_leaf = translation->leaf_size - (gpa & (translation->leaf_size - 1));
	translation->remaining = end - gpa < in_leaf ? end - gpa : in_leaf;
	return 0;
}

int addrspace_find_region(struct addrspace *as, uint64_t gpa, struct addrspace_region *region)
{
	bool found;

	if (!as || !region)
		return ADDRSPACE_EINVAL;
	if (gpa >= as->gpa_limit)
		return ADDRSPACE_ERANGE;
	lock_shared(as);
	found = addrspace_region_set_find(as, gpa, region);
	unlock_shared(as);
	return found ? 0 : ADDRSPACE_ENOENT;
}

int addrspace_next_region(struct addrspace *as, uint64_t gpa, struct addrspace_region *region)
{
	bool found;

	if (!as || !region)
		return ADDRSPACE_EINVAL;
	lock_shared(as);
	found = addrspace_region_set_next(as, gpa, region);
	unlock_shared(as);
	return found ? 0 : ADDRSPACE_ENOENT;
}

/** Not in what a job holds, either. */
static bool find_free_gap(const struct addrspace *as, uint64_t hint, uint64_t size,
			  uint64_t alignment, uint64_t limit, uint64_t *gpa)
{
	while (addrspace_region_set_find_gap(as, hint, size, alignment, limit, gpa)) {
		if (!held(as, *gpa, *gpa + size))
			return true;
		hint = addrspace_held_by(as, *gpa, *gpa + size)->end;
	}
	return false;
}

int addrspace_find_gap(struct addrspace *as, uint64_t hint, uint64_t size, uint64_t alignment,
		       uint64_t limit, uint64_t *gpa)
{
	bool found;

	if (!as || !gpa || size == 0 || !page_aligned(size | alignment))
		return ADDRSPACE_EINVAL;
	if (alignment == 0 || alignment & (alignment - 1))
		return ADDRSPACE_EINVAL;
	if (limit > as->gpa_limit)
		return ADDRSPACE_ERANGE;
	lock_shared(as);
	found = find_free_gap(as, hint, size, alignment, limit ? limit : as->gpa_limit, gpa);
	unlock_shared(as);
	return found ? 0 : ADDRSPACE_ENOSPC;
}

bool addrspace_contains_range(struct addrspace *as, uint64_t gpa, uint64_t size)
{
	bool contains;

	if (!as || size == 0 || size > as->gpa_limit || gpa > as->gpa_limit - size)
		return false;
	lock_shared(as);
	contains = addrspace_region_set_contains(as, gpa, gpa + size);
	unlock_shared(as);
	return contains;
}

int addrspace_next_run(struct addrspace *as, uint64_t gpa, struct addrspace_run *run)
{
	bool found;

	if (!as || !run)
		return ADDRSPACE_EINVAL;
	if (gpa >= as->gpa_limit)
		return ADDRSPACE_ENOENT;
	lock_shared(as);
	found = as->format->next_run(as, gpa, as->gpa_limit, run);
	unlock_shared(as);
	return found ? 0 : ADDRSPACE_ENOENT;
}

int addrspace_statistics(struct addrspace *as, struct addrspace_statistics *statistics)
{
	if (!as || !statistics)
		return ADDRSPACE_EINVAL;
	memset(statistics, 0, sizeof(*statistics));
	lock_shared(as);
	statistics->regions = as->region_count;
	statistics->region_nodes = as->region_nodes;
	as->format->count(as, statistics);
	unlock_shared(as);
	return 0;
}

int addrspace_verify(struct addrspace *as, struct addrspace_defect *defect)
{
	struct addrspace_defect first = {0};
	bool sound;

	if (!as)
		return ADDRSPACE_EINVAL;
	lock_shared(as);
	first.what = addrspace_region_set_verify(as, &first.gpa);
	sound = !first.what && as->format->verify(as, &first);
	unlock_shared(as);
	if (defect)
		*defect = first;
	return sound ? 0 : ADDRSPACE_EFAULT;
}
