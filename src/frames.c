/* SPDX-License-Identifier: MIT */
#include "frames.h"

static uint64_t frames_of_order(unsigned order)
{
	return UINT64_C(1) << order;
}

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

int addrspace_frame_allocate_charged(struct addrspace *as,
				     const struct addrspace_frame_request *request,
				     struct addrspace_frame *frame)
{
	uint64_t size = frames_of_order(request->order) * ADDRSPACE_PAGE_SIZE;

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
	/* Only guest data can have been evicted: a table that is not zeroed would be believed. */
	if (request->kind != ADDRSPACE_FRAME_GUEST && frame->contents == ADDRSPACE_FRAME_VALID)
		frame->contents = ADDRSPACE_FRAME_DIRTY;
	return ADDRSPACE_OK;
}

int addrspace_frame_allocate(struct addrspace *as, const struct addrspace_frame_request *request,
			     struct addrspace_frame *frame)
{
	uint64_t frames = frames_of_order(request->order);
	int error = addrspace_frame_charge(as, request->kind, frames);

	if (error)
		return error;
	error = addrspace_frame_allocate_charged(as, request, frame);
	if (error)
		addrspace_frame_uncharge(as, request->kind, frames);
	return error;
}

void addrspace_frame_free(struct addrspace *as, const struct addrspace_frame_request *request,
			  uint64_t hpa)
{
	as->handler->free(as->handler_ctx, request, hpa);
	addrspace_frame_uncharge(as, request->kind, frames_of_order(request->order));
}

int addrspace_frame_allocate_kind(struct addrspace *as, enum addrspace_frame_kind kind,
				  struct addrspace_frame *frame)
{
	const struct addrspace_frame_request request = {.kind = kind};

	return addrspace_frame_allocate(as, &request, frame);
}

void addrspace_frame_free_kind(struct addrspace *as, enum addrspace_frame_kind kind, uint64_t hpa)
{
	const struct addrspace_frame_request request = {.kind = kind};

	addrspace_frame_free(as, &request, hpa);
}
