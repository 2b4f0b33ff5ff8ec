/* SPDX-License-Identifier: MIT */
#include "handler.h"

#include "libc.h"
#include "machine.h"
#include "print.h"
#include "spin.h"

static uint8_t swap_space[SWAP_SLOTS][ADDRSPACE_PAGE_SIZE] __attribute__((aligned(8)));
static struct spin_lock swap_lock;

static void *memory_at(uint64_t hpa)
{
	return (void *)(uintptr_t)hpa;
}

void vm_memory_swap_out(struct vm_memory *memory, uint64_t gpa, uint64_t hpa)
{
	unsigned i = 0;

	spin_lock(&swap_lock);
	while (i < SWAP_SLOTS && memory->swapped[i].used)
		i++;
	if (i == SWAP_SLOTS)
		fail("no swap slot is free for 0x%lx", gpa);
	memory->swapped[i] = (struct swapped_page){.used = true, .gpa = gpa};
	memcpy(swap_space[i], memory_at(hpa), ADDRSPACE_PAGE_SIZE);
	spin_unlock(&swap_lock);
}

/** A page of it is swapped out. */
static bool is_swapped(struct vm_memory *memory, uint64_t gpa, uint64_t size)
{
	bool found = false;

	spin_lock(&swap_lock);
	for (unsigned i = 0; i < SWAP_SLOTS; i++)
		found |= memory->swapped[i].used && memory->swapped[i].gpa - gpa < size;
	spin_unlock(&swap_lock);
	return found;
}

static bool swap_in(struct vm_memory *memory, uint64_t gpa, uint64_t hpa)
{
	unsigned i = 0;

	spin_lock(&swap_lock);
	while (i < SWAP_SLOTS && !(memory->swapped[i].used && memory->swapped[i].gpa == gpa))
		i++;
	if (i < SWAP_SLOTS) {
		memcpy(memory_at(hpa), swap_space[i], ADDRSPACE_PAGE_SIZE);
		memory->swapped[i].used = false;
	}
	spin_unlock(&swap_lock);
	return i < SWAP_SLOTS;
}

static bool is_kept(struct vm_memory *memory, const struct addrspace_frame_request *request)
{
	return request->kind == ADDRSPACE_FRAME_GUEST && memory->keep_freed;
}

static bool refuse_run(struct vm_memory *memory)
{
	__atomic_fetch_add(&memory->refused_runs, 1, __ATOMIC_RELAXED);
	return false;
}

static bool allocate(void *ctx, const struct addrspace_frame_request *request,
		     struct addrspace_frame *frame)
{
	struct vm_memory *memory = ctx;
	bool guest = request->kind == ADDRSPACE_FRAME_GUEST;

	if (guest && memory->no_guest_frames)
		return false;
	/* Of what is swapped, pages come one by one. */
	if (guest && request->order > 0 &&
	    (memory->no_runs ||
	     is_swapped(memory, request->gpa, ADDRSPACE_PAGE_SIZE << request->order)))
		return refuse_run(memory);
	if (!frame_pool_take(request, &frame->hpa))
		return guest && request->order > 0 ? refuse_run(memory) : false;
	if (guest && request->order > 0)
		__atomic_fetch_add(&memory->runs, 1, __ATOMIC_RELAXED);
	if (guest && request->order == 0 && swap_in(memory, request->gpa, frame->hpa))
		frame->contents = ADDRSPACE_FRAME_VALID;
	else if (guest && memory->sabotage.not_zeroed)
		frame->contents = ADDRSPACE_FRAME_ZEROED;
	return true;
}

static void release(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	struct vm_memory *memory = ctx;

	for (uint64_t offset = 0;
	     is_kept(memory, request) && offset < ADDRSPACE_PAGE_SIZE << request->order;
	     offset += ADDRSPACE_PAGE_SIZE)
		vm_memory_swap_out(memory, request->gpa + offset, hpa + offset);
	frame_pool_give(request, hpa);
}

static void prepare_frame(void *ctx, uint64_t hpa, uint64_t size)
{
	(void)ctx;
	machine_prepare_frame(hpa, size);
}

static void invalidate(void *ctx, const struct addrspace_invalidation *invalidation)
{
	struct vm_memory *memory = ctx;
	struct addrspace_invalidation wanted = *invalidation;

	if (wanted.scope == ADDRSPACE_ALL_CPUS) {
		if (memory->lock != -1)
			fail("an invalidation of 0x%lx without the exclusive lock", wanted.gpa);
		memory->invalidations++;
		memory->last = wanted;
	}
	if (memory->sabotage.no_invalidation)
		return;
	if (memory->sabotage.this_cpu_only)
		wanted.scope = ADDRSPACE_THIS_CPU;
	machine_invalidate(memory->as, &wanted);
}

static void lock_shared(void *ctx)
{
	struct vm_memory *memory = ctx;
	int readers = __atomic_load_n(&memory->lock, __ATOMIC_RELAXED);
	uint64_t turns = 0;

	while (readers < 0 ||
	       !__atomic_compare_exchange_n(&memory->lock, &readers, readers + 1, false,
					    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		spin(&turns, "the space's shared lock");
		readers = __atomic_load_n(&memory->lock, __ATOMIC_RELAXED);
	}
}

static void unlock_shared(void *ctx)
{
	struct vm_memory *memory = ctx;

	if (__atomic_fetch_sub(&memory->lock, 1, __ATOMIC_RELEASE) <= 0)
		fail("a shared lock is released that nobody holds");
}

static void lock_exclusive(void *ctx)
{
	struct vm_memory *memory = ctx;
	int nobody = 0;
	uint64_t turns = 0;

	while (!__atomic_compare_exchange_n(&memory->lock, &nobody, -1, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		spin(&turns, "the space's exclusive lock");
		nobody = 0;
	}
}

static void unlock_exclusive(void *ctx)
{
	struct vm_memory *memory = ctx;

	if (__atomic_exchange_n(&memory->lock, 0, __ATOMIC_RELEASE) != -1)
		fail("the exclusive lock is released, but nobody holds it");
}

static bool charge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	struct vm_memory *memory = ctx;

	__atomic_fetch_add(&memory->charged[kind], frames, __ATOMIC_RELAXED);
	return true;
}

static void uncharge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	struct vm_memory *memory = ctx;

	uint64_t charged = __atomic_fetch_sub(&memory->charged[kind], frames, __ATOMIC_RELAXED);

	if (charged < frames)
		fail("%lu %s frames are uncharged, %lu were charged", frames, frame_kind_name(kind),
		     charged);
}

const struct paging_handler vm_paging_handler = {
	.allocate = allocate,
	.free = release,
	.direct_map_offset = 0,
	.prepare_frame = prepare_frame,
	.invalidate = invalidate,
	.lock_shared = lock_shared,
	.unlock_shared = unlock_shared,
	.lock_exclusive = lock_exclusive,
	.unlock_exclusive = unlock_exclusive,
	.charge = charge,
	.uncharge = uncharge,
};

static void check_equal(const char *what, uint64_t pool, uint64_t library)
{
	if (pool != library)
		fail("%s: the pool has given out %lu frames, the library speaks of %lu", what, pool,
		     library);
}

void vm_memory_check(const struct vm_memory *memory, const struct addrspace_statistics *statistics)
{
	struct frame_counts counts = frame_pool_counts();

	check_equal("tables",
		    counts.of_kind[ADDRSPACE_FRAME_ROOT] + counts.of_kind[ADDRSPACE_FRAME_TABLE],
		    statistics->table_frames);
	check_equal("region nodes", counts.of_kind[ADDRSPACE_FRAME_REGION_NODE],
		    statistics->region_nodes);
	check_equal("guest memory", counts.of_kind[ADDRSPACE_FRAME_GUEST], statistics->data_frames);
	for (unsigned kind = 0; kind < FRAME_KINDS; kind++)
		check_equal("charges", counts.of_kind[kind], memory->charged[kind]);
	if (memory->lock)
		fail("a call has returned with the lock held");
}
