/* SPDX-License-Identifier: MIT */
/* The one place that calls the handler's memory hooks: charge before allocate, check what came,
 * uncharge what went. */
#ifndef ADDRSPACE_SRC_FRAMES_H
#define ADDRSPACE_SRC_FRAMES_H

#include <addrspace/addrspace.h>

#define PAGE_SHIFT 12

/** Where the CPU reads and writes the frame at hpa. */
static inline void *frame_pointer(const struct addrspace *as, uint64_t hpa)
{
	const struct paging_handler *handler = as->handler;

	if (!handler->physical_to_virtual)
		return (void *)(uintptr_t)(hpa + handler->direct_map_offset);
	return handler->physical_to_virtual(as->handler_ctx, hpa);
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
/** Guest data, which addrspace_frame_charge() has paid for; on failure the charge stays the
 * caller's. */
int addrspace_frame_allocate_guest(struct addrspace *as,
				   const struct addrspace_frame_request *request,
				   struct addrspace_frame *frame);

/** 0 or ADDRSPACE_EDQUOT. */
int addrspace_frame_charge(struct addrspace *as, enum addrspace_frame_kind kind, uint64_t frames);
void addrspace_frame_uncharge(struct addrspace *as, enum addrspace_frame_kind kind,
			      uint64_t frames);

#endif
