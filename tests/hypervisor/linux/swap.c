/* SPDX-License-Identifier: MIT */
#include "swap.h"

#include "handler.h"
#include "libc.h"
#include "linux_layout.h"
#include "machine.h"
#include "print.h"

#define RAM_PAGES (LINUX_RAM_SIZE / ADDRSPACE_PAGE_SIZE)

static uint64_t swap_hpa;
/*
 * A page that is not there has either never been, and is zeroes, or is what the last eviction has saved.
 * So a copy stays good after the page is back: of two CPUs that fault at once, both may take it, and the
 * one that comes too late throws its frame away.
 */
static uint8_t saved[RAM_PAGES];
/* Not NULL: what this CPU frees is evicted, and counted there. */
static uint64_t *evicted_by[MACHINE_CPUS];
static struct paging_handler handler;
static enum swap_mistake mistake;

static uint64_t page_of(uint64_t gpa)
{
	uint64_t page = (gpa - LINUX_RAM_GPA) / ADDRSPACE_PAGE_SIZE;

	if (page >= RAM_PAGES)
		fail("0x%lx is not in the guest's RAM", gpa);
	return page;
}

static void *place_of(uint64_t page)
{
	return (void *)(uintptr_t)(swap_hpa + page * ADDRSPACE_PAGE_SIZE);
}

bool swap_holds(uint64_t gpa)
{
	return __atomic_load_n(&saved[page_of(gpa)], __ATOMIC_RELAXED);
}

static bool holds_any(uint64_t gpa, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		if (swap_holds(gpa + i * ADDRSPACE_PAGE_SIZE))
			return true;
	return false;
}

/* Under the exclusive lock, after the invalidation: nobody can write to the frame any more. */
static void save(uint64_t gpa, uint64_t hpa)
{
	uint64_t page = page_of(gpa);

	memcpy(place_of(page), (const void *)(uintptr_t)hpa, ADDRSPACE_PAGE_SIZE);
	__atomic_store_n(&saved[page], 1, __ATOMIC_RELAXED);
}

static bool allocate(void *ctx, const struct addrspace_frame_request *request,
		     struct addrspace_frame *frame)
{
	struct vm_memory *memory = ctx;

	/* Of what is saved, pages come one by one. */
	if (request->kind == ADDRSPACE_FRAME_GUEST && request->order > 0 &&
	    holds_any(request->gpa, UINT64_C(1) << request->order)) {
		__atomic_fetch_add(&memory->refused_runs, 1, __ATOMIC_RELAXED);
		return false;
	}
	if (!vm_paging_handler.allocate(ctx, request, frame))
		return false;
	if (request->kind == ADDRSPACE_FRAME_GUEST && request->order == 0 &&
	    swap_holds(request->gpa)) {
		memcpy((void *)(uintptr_t)frame->hpa, place_of(page_of(request->gpa)),
		       ADDRSPACE_PAGE_SIZE);
		frame->contents = ADDRSPACE_FRAME_VALID;
	}
	return true;
}

static void release(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	uint64_t size = ADDRSPACE_PAGE_SIZE << request->order;

	uint64_t *evicted = evicted_by[machine_this_cpu()];

	if (request->kind == ADDRSPACE_FRAME_GUEST && evicted) {
		for (uint64_t offset = 0; offset < size; offset += ADDRSPACE_PAGE_SIZE)
			if (mistake != SWAP_LATE_WRITES_LOST)
				save(request->gpa + offset, hpa + offset);
		*evicted += size / ADDRSPACE_PAGE_SIZE;
	}
	vm_paging_handler.free(ctx, request, hpa);
}

static void invalidate(void *ctx, const struct addrspace_invalidation *invalidation)
{
	struct addrspace_invalidation local = *invalidation;

	if (mistake == SWAP_NO_INVALIDATION)
		return;
	local.scope = ADDRSPACE_THIS_CPU;
	vm_paging_handler.invalidate(ctx,
				     mistake == SWAP_LOCAL_INVALIDATION ? &local : invalidation);
}

static void save_too_early(struct addrspace *as, uint64_t gpa, uint64_t size)
{
	struct addrspace_translation translation;

	for (uint64_t offset = 0; offset < size; offset += ADDRSPACE_PAGE_SIZE)
		if (!addrspace_walk(as, gpa + offset, &translation))
			save(gpa + offset, translation.hpa);
}

int swap_evict(struct addrspace *as, uint64_t gpa, uint64_t size, uint64_t *evicted)
{
	unsigned cpu = machine_this_cpu();
	int error;

	if (mistake == SWAP_LATE_WRITES_LOST)
		save_too_early(as, gpa, size);
	evicted_by[cpu] = evicted;
	error = addrspace_discard(as, gpa, size);
	evicted_by[cpu] = NULL;
	return error;
}

const struct paging_handler *swap_create(uint64_t hpa, uint64_t size, enum swap_mistake wanted)
{
	if (size < LINUX_RAM_SIZE)
		fail("the swap area is smaller than the guest's RAM");
	swap_hpa = hpa;
	mistake = wanted;
	handler = vm_paging_handler;
	handler.allocate = allocate;
	handler.free = release;
	handler.invalidate = invalidate;
	return &handler;
}
