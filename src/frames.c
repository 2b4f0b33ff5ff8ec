/* SPDX-License-Identifier: MIT */
#include "frames.h"

int addrspace_frame_charge(struct addrspace *as, enum addrspace_frame_kind kind, uint64_t frames)
{
	const struct paging_handler *handler = as->handler;

	if (!handler->charge || !frames)
		return ADDRSPACE_OK;
	return handler->charge(as->handler_ctx, kind, frames) ? ADDRSPACE_OK : ADDRSPACE_EDQUOT;
}

void addrspace_frame_uncharge(struct addrspace *as, enum addrspace_frame_kind kind, uint64_t frames)
{
	const struct paging_handler *handler = as->handler;

	if (handler->uncharge && frames)
		handler->uncharge(as->handler_ctx, kind, frames);
}

/** What comes must be usable; what is not goes back. */
static inline int allocate(struct addrspace *as, const struct addrspace_frame_request *request,
			   struct addrspace_frame *frame)
{
	uint64_t size = ADDRSPACE_PAGE_SIZE << request->order;

	frame->hpa = 0;
	frame->contents = ADDRSPACE_FRAME_DIRTY;
	if (!as->handler->allocate(as->handler_ctx, request, frame))
		return ADDRSPACE_ENOMEM;
	/* An entry that names such a frame would set reserved bits, or alias other memory. The run
	 * is naturally aligned, so its first frame has the high bits of all of them. */
	if (frame->hpa & (as->frame_forbidden | (size - 1))) {
		as->handler->free(as->handler_ctx, request, frame->hpa);
		return ADDRSPACE_EFAULT;
	}
	return ADDRSPACE_OK;
}

int addrspace_frame_allocate(struct addrspace *as, enum addrspace_frame_kind kind, unsigned order,
			     struct addrspace_frame *frame)
{
	const struct addrspace_frame_request request = {.kind = kind, .order = order};
	int error = addrspace_frame_charge(as, kind, UINT64_C(1) << order);

	if (error)
		return error;
	error = allocate(as, &request, frame);
	if (error)
		addrspace_frame_uncharge(as, kind, UINT64_C(1) << order);
	/* Only guest data can have been evicted: a table that is not zeroed would be believed. */
	if (frame->contents == ADDRSPACE_FRAME_VALID)
		frame->contents = ADDRSPACE_FRAME_DIRTY;
	return error;
}

void addrspace_frame_free(struct addrspace *as, enum addrspace_frame_kind kind, unsigned order,
			  uint64_t hpa)
{
	const struct addrspace_frame_request request = {.kind = kind, .order = order};

	as->handler->free(as->handler_ctx, &request, hpa);
	addrspace_frame_uncharge(as, kind, UINT64_C(1) << order);
}

int addrspace_frame_allocate_guest(struct addrspace *as,
				   const struct addrspace_frame_request *request,
				   struct addrspace_frame *frame)
{
	return allocate(as, request, frame);
}
