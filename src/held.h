/* SPDX-License-Identifier: MIT */
/* The ranges that jobs hold. Mostly there are none: one test of a pointer then. */
#ifndef ADDRSPACE_SRC_HELD_H
#define ADDRSPACE_SRC_HELD_H

#include "lock.h"
#include "page_table.h"
#include "range.h"

/** A job that holds part of [gpa, end), or NULL. Locked. */
const struct addrspace_job *addrspace_held_by(const struct addrspace *as, uint64_t gpa,
					      uint64_t end);

static inline bool held(const struct addrspace *as, uint64_t gpa, uint64_t end)
{
	return UNLIKELY(as->jobs != NULL) && addrspace_held_by(as, gpa, end);
}

/** Takes the exclusive lock for a change of [gpa, end): 0; or ADDRSPACE_EBUSY, without the lock. */
static inline int lock_change(const struct addrspace *as, uint64_t gpa, uint64_t end)
{
	lock_exclusive(as);
	if (!held(as, gpa, end))
		return 0;
	unlock_exclusive(as);
	return ADDRSPACE_EBUSY;
}

/** The same for a range as it comes from outside: or an error of check_range(). */
static inline int lock_range(const struct addrspace *as, uint64_t gpa, uint64_t size)
{
	int error = as ? check_range(gpa, size, as->gpa_limit) : ADDRSPACE_EINVAL;

	return error ? error : lock_change(as, gpa, gpa + size);
}

/** While there are jobs, the walker that knows of them; else the fastest. Locked exclusive. */
static inline void choose_walker(struct addrspace *as)
{
	bool any = as->jobs || as->handler->physical_to_virtual;

	as->walker = as->format->walkers[any ? 0 : as->levels];
}

#endif
