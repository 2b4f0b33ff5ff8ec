/* SPDX-License-Identifier: MIT */
#include "frame_pool.h"

#include "libc.h"
#include "machine.h"
#include "print.h"

#define POOL_FRAMES (MACHINE_POOL_SIZE / ADDRSPACE_PAGE_SIZE)
#define POISON      0xdb

struct frame_owner {
	uint64_t gpa;
	uint8_t kind;
	bool taken;
};

static struct frame_owner owners[POOL_FRAMES];
static struct frame_counts counts;

static const char *const kind_names[FRAME_KINDS] = {"root", "table", "region node", "guest"};

const char *frame_kind_name(enum addrspace_frame_kind kind)
{
	return (unsigned)kind < FRAME_KINDS ? kind_names[kind] : "unknown";
}

static void poison(uint64_t first, uint64_t frames)
{
	memset((void *)(uintptr_t)(MACHINE_POOL_HPA + first * ADDRSPACE_PAGE_SIZE), POISON,
	       frames * ADDRSPACE_PAGE_SIZE);
}

void frame_pool_init(void)
{
	memset(owners, 0, sizeof(owners));
	memset(&counts, 0, sizeof(counts));
}

static uint64_t taken_in(uint64_t first, uint64_t frames)
{
	uint64_t taken = 0;

	for (uint64_t i = first; i < first + frames; i++)
		taken += owners[i].taken;
	return taken;
}

bool frame_pool_take(const struct addrspace_frame_request *request, uint64_t *hpa)
{
	uint64_t frames = UINT64_C(1) << request->order;
	uint64_t first = 0;

	if ((unsigned)request->kind >= FRAME_KINDS || request->order > 18)
		fail("the library asks for kind %u, order %u", request->kind, request->order);
	while (first + frames <= POOL_FRAMES && taken_in(first, frames))
		first += frames;
	if (first + frames > POOL_FRAMES)
		return false;
	for (uint64_t i = first; i < first + frames; i++)
		owners[i] = (struct frame_owner){
			.gpa = request->gpa + (i - first) * ADDRSPACE_PAGE_SIZE,
			.kind = (uint8_t)request->kind,
			.taken = true,
		};
	counts.of_kind[request->kind] += frames;
	counts.total += frames;
	poison(first, frames);
	*hpa = MACHINE_POOL_HPA + first * ADDRSPACE_PAGE_SIZE;
	return true;
}

static void release(struct frame_owner *owner, const struct addrspace_frame_request *request,
		    uint64_t hpa, uint64_t gpa)
{
	if (!owner->taken)
		fail("frame 0x%lx is given back twice", hpa);
	if (owner->kind != request->kind)
		fail("frame 0x%lx was taken as %s and is given back as %s", hpa,
		     kind_names[owner->kind], frame_kind_name(request->kind));
	if (request->kind == ADDRSPACE_FRAME_GUEST && owner->gpa != gpa)
		fail("frame 0x%lx backed 0x%lx and is given back for 0x%lx", hpa, owner->gpa, gpa);
	owner->taken = false;
}

void frame_pool_give(const struct addrspace_frame_request *request, uint64_t hpa)
{
	uint64_t frames = UINT64_C(1) << request->order;
	uint64_t first = (hpa - MACHINE_POOL_HPA) / ADDRSPACE_PAGE_SIZE;

	if (hpa < MACHINE_POOL_HPA || first >= POOL_FRAMES || frames > POOL_FRAMES - first ||
	    hpa % (frames * ADDRSPACE_PAGE_SIZE))
		fail("0x%lx (order %u) is given back, but is not the pool's", hpa, request->order);
	for (uint64_t i = 0; i < frames; i++)
		release(&owners[first + i], request, hpa + i * ADDRSPACE_PAGE_SIZE,
			request->gpa + i * ADDRSPACE_PAGE_SIZE);
	counts.of_kind[request->kind] -= frames;
	counts.total -= frames;
	poison(first, frames);
}

struct frame_counts frame_pool_counts(void)
{
	return counts;
}
