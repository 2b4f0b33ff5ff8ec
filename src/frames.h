/* SPDX-License-Identifier: MIT */
/* The one place that calls the handler's memory hooks: charge before allocate, check what came,
 * uncharge what went. */
#ifndef ADDRSPACE_SRC_FRAMES_H
#define ADDRSPACE_SRC_FRAMES_H

#include <addrspace/addrspace.h>

#include "compiler.h"

#define PAGE_SHIFT 12

/** Where the CPU reads and writes the frame at hpa, by the direct map. */
static inline void *direct_pointer(const struct addrspace *as, uint64_t hpa)
{
	return (void *)(uintptr_t)(hpa + as->direct_map_offset);
}

/** The same, however the handler does it. */
static inline void *frame_pointer(const struct addrspace *as, uint64_t hpa)
{
	const struct paging_handler *handler = as->handler;

	if (!handler->physical_to_virtual)
		return direct_pointer(as, hpa);
	return handler->physical_to_virtual(as->handler_ctx, hpa);
}

/** Asks the quota, if there is one. 0 or ADDRSPACE_EDQUOT. */
int addrspace_frame_charge(struct addrspace *as, enum addrspace_frame_kind kind, uint64_t frames);

/** Takes frames that have been charged. What comes must be usable; what is not goes back. On
 * failure the charge stays the caller's. 0, ADDRSPACE_ENOMEM or ADDRSPACE_EFAULT. */
ALWAYS_INLINE int frame_take(struct addrspace *as, const struct addrspace_frame_request *request,
			     struct addrspace_frame *frame)
{
	uint64_t size = ADDRSPACE_PAGE_SIZE << request->order;

	frame->hpa = 0;
	frame->contents = ADDRSPACE_FRAME_DIRTY;
	if (!as->handler->allocate(as->handler_ctx, request, frame))
		return ADDRSPACE_ENOMEM;
	/* An entry that names such a frame would set reserved bits, or alias other memory. The run
	 * is naturally aligned, so its first frame has the high bits of all of them. */
	if (UNLIKELY(frame->hpa & (as->frame_forbidden | (size - 1)))) {
		as->handler->free(as->handler_ctx, request, frame->hpa);
		return ADDRSPACE_EFAULT;
	}
	return 0;
}

/**
 * Charges and allocates frames that are not guest data: root, tables, region nodes. Contents are
 * dirty or zeroed. 0, ADDRSPACE_EDQUOT, ADDRSPACE_ENOMEM, or ADDRSPACE_EFAULT (an unusable frame,
 * given back).
 */
int addrspace_frame_allocate(struct addrspace *as, enum addrspace_frame_kind kind, unsigned order,
			     struct addrspace_frame *frame);
/** Frees and uncharges them. */
void addrspace_frame_free(struct addrspace *as, enum addrspace_frame_kind kind, unsigned order,
			  uint64_t hpa);
void addrspace_frame_uncharge(struct addrspace *as, enum addrspace_frame_kind kind,
			      uint64_t frames);

#endif
