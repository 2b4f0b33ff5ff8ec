/* SPDX-License-Identifier: MIT */
/* What changes of the layout have in common, made at once or as jobs. */
#ifndef ADDRSPACE_SRC_CHANGE_H
#define ADDRSPACE_SRC_CHANGE_H

#include "compiler.h"
#include "page_table.h"

static inline struct page_table_change start_change(uint64_t gpa, uint64_t end)
{
	return (struct page_table_change){.gpa = gpa, .end = end};
}

/** The one invalidation of a change; none if no live entry changed. */
static NEVER_INLINE void invalidate_change(const struct addrspace *as,
					   const struct page_table_change *change)
{
	const struct addrspace_invalidation invalidation = {
		.gpa = change->flush_gpa,
		.size = change->flush_end - change->flush_gpa,
		.stride = change->stride,
		.tables_changed = change->tables_changed,
		.scope = ADDRSPACE_ALL_CPUS,
	};

	if (invalidation.size)
		as->handler->invalidate(as->handler_ctx, &invalidation);
}

/** Gives back the tables that a change took and did not need. */
static inline void release_tables(struct addrspace *as, struct page_table_change *change)
{
	for (; change->spare_count; change->spare_count--) {
		uint64_t hpa = change->spare_hpa;

		change->spare_hpa = *(const uint64_t *)frame_pointer(as, hpa);
		addrspace_frame_free(as, ADDRSPACE_FRAME_TABLE, 0, hpa);
	}
}

/** Where leaves cannot tell a device, that there may be one. Locked exclusive. */
static inline void note_device(struct addrspace *as, const struct addrspace_region *region)
{
	if (region->memory_type == ADDRSPACE_DEVICE)
		as->device_hidden = as->device_unmarked;
}

/* addrspace.c */

/** Whether a region may have its attributes: 0, ADDRSPACE_EINVAL or ADDRSPACE_ENOTSUP. */
int addrspace_judge_region(const struct addrspace *as, const struct addrspace_region *region);

#endif
