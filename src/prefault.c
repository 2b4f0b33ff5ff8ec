/* SPDX-License-Identifier: MIT */
/* Frames before the guest asks for them. */
#include "backend/backend.h"
#include "compiler.h"
#include "held.h"
#include "lock.h"
#include "range.h"
#include "region_set.h"

/** Describes what a lazy region's part of [gpa, end) is filled with; false if the region that
 * contains gpa is not lazy. *next: where the region ends. */
static NEVER_INLINE bool lazy_fill(const struct addrspace *as, uint64_t gpa, uint64_t end,
				   struct page_table_fill *fill, uint64_t *next)
{
	struct addrspace_region region;

	addrspace_region_set_find(as, gpa, &region);
	*next = region_end(&region);
	addrspace_backend_fill(&region, fill);
	fill->gpa = gpa;
	fill->end = *next < end ? *next : end;
	return backend_faults_in(&region);
}

/** Prepares each lazy region's part; on failure all is as it was. */
static NEVER_INLINE int prepare_all(struct addrspace *as, uint64_t gpa, uint64_t end)
{
	struct page_table_fill fill;
	uint64_t next;

	for (uint64_t at = gpa; at < end; at = next) {
		int error = 0;

		if (lazy_fill(as, at, end, &fill, &next))
			error = as->format->prefault_prepare(as, &fill);
		if (error) {
			as->format->prefault_abort(as, gpa, fill.end);
			return error;
		}
	}
	return 0;
}

static int prefault_all(struct addrspace *as, uint64_t gpa, uint64_t end)
{
	struct page_table_fill fill;
	uint64_t next;
	int error = addrspace_backend_check_kinds(as, gpa, end, BACKEND_MEMORY);

	if (!error)
		error = prepare_all(as, gpa, end);
	if (error)
		return error;
	for (uint64_t at = gpa; at < end; at = next) {
		if (lazy_fill(as, at, end, &fill, &next))
			as->format->prefault_commit(as, &fill);
	}
	return 0;
}

/** One step on from *reached: a table's worth of pages, a run, or what is there already. */
static NEVER_INLINE int prefault_step(struct addrspace *as, uint64_t gpa, uint64_t end,
				      uint64_t *reached)
{
	const struct region_record *record = addrspace_region_set_record(as, *reached);
	struct region_record part;
	uint64_t part_end;

	if (!record)
		return ADDRSPACE_ENOENT;
	part = *record;
	part_end = record->start + region_record_size(record);
	/* No run may reach out of what was asked for. */
	region_record_set_range(&part, record->start > gpa ? record->start : gpa,
				part_end < end ? part_end : end);
	if (backend_record_faults_in(record))
		return as->format->prefault_some(as, &part, reached);
	if (!backend_record_is_memory(record))
		return ADDRSPACE_ENOTSUP;
	*reached = part.start + region_record_size(&part);
	return 0;
}

/** The lock is dropped after each step, so that layout changes need not wait for all of it. */
static int prefault_some(struct addrspace *as, uint64_t gpa, uint64_t end, uint64_t *reached)
{
	int error;

	lock_shared(as);
	error = addrspace_backend_check_kinds(as, gpa, end, BACKEND_MEMORY);
	while (!error && *reached < end) {
		error = held(as, gpa, end) ? ADDRSPACE_EBUSY : prefault_step(as, gpa, end, reached);
		unlock_shared(as);
		lock_shared(as);
	}
	unlock_shared(as);
	return error;
}

int addrspace_prefault(struct addrspace *as, uint64_t gpa, uint64_t size, unsigned flags,
		       uint64_t *done)
{
	uint64_t reached = gpa;
	int error;

	if (done)
		*done = 0;
	if (!as || flags & ~(unsigned)ADDRSPACE_PREFAULT_PARTIAL)
		return ADDRSPACE_EINVAL;
	error = check_range(gpa, size, as->gpa_limit);
	if (error)
		return error;
	if (flags & ADDRSPACE_PREFAULT_PARTIAL) {
		error = prefault_some(as, gpa, gpa + size, &reached);
	} else {
		error = lock_change(as, gpa, gpa + size);
		if (error)
			return error;
		error = prefault_all(as, gpa, gpa + size);
		unlock_exclusive(as);
		if (!error)
			reached = gpa + size;
	}
	if (done)
		*done = reached - gpa;
	return error;
}
