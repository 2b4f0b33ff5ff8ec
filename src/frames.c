/* SPDX-License-Identifier: MIT */
#include "frames.h"

int addrspace_frame_charge(struct addrspace *as, enum addrspace_frame_kind kind, uint64_t frames)
{
	const struct paging_handler *handler = as->handler;

	if (!handler->charge || !frames)
		return 0;
	return handler->charge(as->handler_ctx, kind, frames) ? 0 : ADDRSPACE_EDQUOT;
}

void addrspace_frame_uncharge(struct addrspace *as, enum addrspace_frame_kind kind, uint64_t frames)
{
	const struct paging_handler *handler = as->handler;

	if (handler->uncharge && frames)
		handler->uncharge(as->handler_ctx, kind, frames);
}

int addrspace_frame_allocate(struct addrspace *as, enum addrspace_frame_kind kind, unsigned order,
			     struct addrspace_frame *frame)
{
	const struct addrspace_frame_request request = {.kind = kind, .order = order};
	int error = addrspace_frame_charge(as, kind, UINT64_C(1) << order);

	if (error)
		return error;
	error = frame_take(as, &request, frame);
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
