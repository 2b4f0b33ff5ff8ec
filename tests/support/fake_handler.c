/* SPDX-License-Identifier: MIT */
/* The paging handler: every hook checks the state it is called in, and lets the other CPUs run. */
#include <inttypes.h>
#include <string.h>

#include "fake_frames.h"
#include "fake_machine.h"

static const char *const kind_names[FAKE_KINDS] = {"root", "table", "region node", "guest"};

static const enum fake_frame_state state_of_kind[FAKE_KINDS] = {
	FAKE_ROOT,
	FAKE_TABLE,
	FAKE_REGION_NODE,
	FAKE_GUEST,
};

/* ---- Other CPUs ---- */

static void touch_hot(struct fake_machine *machine, unsigned cpu, const struct fake_hot *hot)
{
	for (unsigned access = ADDRSPACE_READ; access <= ADDRSPACE_EXECUTE; access <<= 1) {
		if (!(hot->access & access))
			continue;
		if (fake_cpu_access(machine, cpu, hot->gpa, access, NULL) == FAKE_HIT)
			machine->counters.hot_hits++;
		else
			machine->counters.hot_faults++;
	}
}

/** Every callback is a moment at which the guest may run elsewhere. */
static void event(struct fake_machine *machine, enum fake_event what)
{
	if (machine->in_event)
		return;
	machine->in_event = true;
	for (unsigned cpu = 0; machine->attached && cpu < FAKE_CPUS; cpu++) {
		for (unsigned i = 0; !machine->cpus[cpu].spinning && i < machine->hot_count; i++)
			touch_hot(machine, cpu, &machine->hot[i]);
	}
	if (machine->interlude)
		machine->interlude(machine, what, machine->interlude_ctx);
	machine->in_event = false;
}

static void need_lock(struct fake_machine *machine, const char *hook)
{
	if (machine->allow_unlocked || !machine->handler.lock_shared)
		return;
	if (machine->held[machine->current_cpu] == FAKE_UNLOCKED)
		fake_fail(machine, "%s without a lock", hook);
}

/* ---- Allocate and free ---- */

static bool request_is_sound(struct fake_machine *machine, const char *hook,
			     const struct addrspace_frame_request *request)
{
	unsigned kind = (unsigned)request->kind;

	if (kind >= FAKE_KINDS) {
		fake_fail(machine, "%s: unknown kind %u", hook, kind);
		return false;
	}
	if ((kind == ADDRSPACE_FRAME_TABLE || kind == ADDRSPACE_FRAME_REGION_NODE) &&
	    request->order != 0) {
		fake_fail(machine, "%s: %s of order %u", hook, kind_names[kind], request->order);
		return false;
	}
	if (kind != ADDRSPACE_FRAME_GUEST && (request->gpa || request->cookie)) {
		fake_fail(machine, "%s: %s with a gpa or cookie", hook, kind_names[kind]);
		return false;
	}
	if (request->gpa % FAKE_PAGE_SIZE) {
		fake_fail(machine, "%s: gpa %#" PRIx64 " not aligned", hook, request->gpa);
		return false;
	}
	return true;
}

static void fill_valid(struct fake_machine *machine, uint64_t hpa, uint64_t gpa, uint64_t size)
{
	uint64_t *words = fake_machine_pointer(machine, hpa);

	for (uint64_t i = 0; i < size / sizeof(*words); i++)
		words[i] = fake_machine_token(gpa + i * sizeof(*words));
}

static enum addrspace_frame_contents
deliver(struct fake_machine *machine, const struct addrspace_frame_request *request, uint64_t hpa)
{
	uint64_t size = FAKE_PAGE_SIZE << request->order;

	if (machine->answer == ADDRSPACE_FRAME_ZEROED) {
		fake_frames_fill(machine, hpa, size, 0);
		return ADDRSPACE_FRAME_ZEROED;
	}
	fake_frames_fill(machine, hpa, size, FAKE_POISON);
	if (machine->answer != ADDRSPACE_FRAME_VALID || request->kind != ADDRSPACE_FRAME_GUEST)
		return ADDRSPACE_FRAME_DIRTY;
	fill_valid(machine, hpa, request->gpa, size);
	return ADDRSPACE_FRAME_VALID;
}

static bool allocate(void *ctx, const struct addrspace_frame_request *request,
		     struct addrspace_frame *frame)
{
	struct fake_machine *machine = ctx;
	uint64_t count = UINT64_C(1) << request->order;
	struct fake_frame like = {.by_library = true};

	event(machine, FAKE_AT_ALLOCATE);
	need_lock(machine, "allocate");
	if (!request_is_sound(machine, "allocate", request))
		return false;
	if (machine->fail_at && --machine->fail_at == 0) {
		machine->counters.failed_allocations++;
		return false;
	}
	if (machine->handler.charge &&
	    machine->live[request->kind] + count > machine->charged[request->kind])
		fake_fail(machine, "allocate: %s frames beyond what was charged",
			  kind_names[request->kind]);
	like.state = state_of_kind[request->kind];
	like.run_order = (uint8_t)request->order;
	like.gpa = request->gpa;
	like.cookie = request->cookie;
	if (!fake_frames_take(machine, &like, &frame->hpa)) {
		machine->counters.failed_allocations++;
		return false;
	}
	frame->contents = deliver(machine, request, frame->hpa);
	machine->counters.allocations[request->kind]++;
	machine->live[request->kind] += count;
	return true;
}

/** Why this piece must not be freed like this, or NULL. */
static const char *free_defect(struct fake_machine *machine,
			       const struct addrspace_frame_request *request, uint64_t hpa)
{
	const struct fake_frame *frame = fake_machine_frame(machine, hpa);
	uint64_t size = FAKE_PAGE_SIZE << request->order;

	if (!frame)
		return "not memory of the machine";
	if (hpa % size)
		return "the piece is not aligned to its size";
	if (frame->state == FAKE_FREE)
		return "double free";
	if (frame->state == FAKE_LENT)
		return "the frame is the embedder's";
	if (frame->state != state_of_kind[request->kind])
		return "wrong kind";
	if (request->order > frame->run_order && !machine->runs_join)
		return "the piece is larger than what was allocated";
	for (uint64_t i = 0; i < UINT64_C(1) << request->order; i++) {
		if (frame[i].state != frame->state ||
		    (frame[i].run_first != frame->run_first && !machine->runs_join))
			return "part of the piece is free already, or another's";
		if (request->kind == ADDRSPACE_FRAME_GUEST &&
		    frame[i].gpa != request->gpa + i * FAKE_PAGE_SIZE)
			return "wrong gpa";
		if (frame[i].cookie != request->cookie)
			return "wrong cookie";
	}
	return NULL;
}

static void free_frames(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	struct fake_machine *machine = ctx;
	uint64_t size = FAKE_PAGE_SIZE << request->order;
	const char *defect;

	event(machine, FAKE_AT_FREE);
	need_lock(machine, "free");
	if (!request_is_sound(machine, "free", request))
		return;
	defect = free_defect(machine, request, hpa);
	if (defect) {
		fake_fail(machine, "free of %#" PRIx64 " (%s, order %u, gpa %#" PRIx64 "): %s", hpa,
			  kind_names[request->kind], request->order, request->gpa, defect);
		return;
	}
	fake_frames_check_unreachable(machine, hpa, size);
	fake_frames_release(machine, hpa, size);
	machine->counters.frees[request->kind]++;
	machine->live[request->kind] -= size / FAKE_PAGE_SIZE;
}

/* ---- Addresses and caches ---- */

static void *physical_to_virtual(void *ctx, uint64_t hpa)
{
	struct fake_machine *machine = ctx;

	machine->counters.physical_to_virtual++;
	if (hpa % FAKE_PAGE_SIZE)
		fake_fail(machine, "physical_to_virtual: %#" PRIx64 " is not aligned", hpa);
	return fake_machine_pointer(machine, hpa);
}

static uint64_t virtual_to_physical(void *ctx, const void *address)
{
	const struct fake_machine *machine = ctx;

	return (uint64_t)((uintptr_t)address - (uintptr_t)machine->cached) + FAKE_ARENA_BASE;
}

static void clean(struct fake_machine *machine, uint64_t hpa, uint64_t size)
{
	uint64_t offset = hpa - FAKE_ARENA_BASE;

	if (machine->memory)
		memcpy(machine->memory + offset, machine->cached + offset, size);
}

static bool in_arena(const struct fake_machine *machine, uint64_t hpa, uint64_t size)
{
	uint64_t offset = hpa - FAKE_ARENA_BASE;

	return offset < machine->arena_size && size <= machine->arena_size - offset;
}

static void prepare_frame(void *ctx, uint64_t hpa, uint64_t size)
{
	struct fake_machine *machine = ctx;
	struct fake_frame *frame = fake_machine_frame(machine, hpa);

	event(machine, FAKE_AT_PREPARE);
	need_lock(machine, "prepare_frame");
	machine->counters.prepare_frame++;
	/* replace_frame prepares linear pages as well; those outside the arena have no contents. */
	if (!frame && fake_frames_are_linear(machine, hpa, size))
		return;
	if (hpa % FAKE_PAGE_SIZE || size % FAKE_PAGE_SIZE || size == 0 ||
	    !in_arena(machine, hpa, size)) {
		fake_fail(machine, "prepare_frame: %#" PRIx64 " + %#" PRIx64, hpa, size);
		return;
	}
	for (uint64_t i = 0; i < size / FAKE_PAGE_SIZE; i++) {
		if (frame[i].state != FAKE_GUEST && frame[i].state != FAKE_LENT) {
			fake_fail(machine, "prepare_frame: %#" PRIx64 " is not guest data", hpa);
			return;
		}
		frame[i].prepared = true;
	}
	clean(machine, hpa, size);
}

static void sync_table(void *ctx, const void *entries, size_t size)
{
	struct fake_machine *machine = ctx;
	uint64_t hpa = virtual_to_physical(machine, entries);
	const struct fake_frame *frame = fake_machine_frame(machine, hpa);

	event(machine, FAKE_AT_SYNC);
	need_lock(machine, "sync_table");
	machine->counters.sync_table++;
	if (hpa % 8 || size % 8 || size == 0 || !in_arena(machine, hpa, size)) {
		fake_fail(machine, "sync_table: %#" PRIx64 " + %zu", hpa, size);
		return;
	}
	if (frame->state != FAKE_TABLE && frame->state != FAKE_ROOT)
		fake_fail(machine, "sync_table: %#" PRIx64 " is not in a table", hpa);
	clean(machine, hpa, size);
}

/* ---- Invalidation ---- */

static void check_invalidation(struct fake_machine *machine,
			       const struct addrspace_invalidation *invalidation)
{
	uint64_t gpa = invalidation->gpa, size = invalidation->size;
	uint64_t stride = invalidation->stride;
	uint64_t limit = UINT64_C(1) << machine->geometry.input_bits;

	if (gpa % FAKE_PAGE_SIZE || size % FAKE_PAGE_SIZE || size == 0)
		fake_fail(machine, "invalidate: %#" PRIx64 " + %#" PRIx64, gpa, size);
	else if (gpa >= limit || size > limit - gpa)
		fake_fail(machine, "invalidate: %#" PRIx64 " + %#" PRIx64 " leaves the space", gpa,
			  size);
	if (stride != UINT64_C(1) << 12 && stride != UINT64_C(1) << 21 &&
	    stride != UINT64_C(1) << 30)
		fake_fail(machine, "invalidate: stride %#" PRIx64, stride);
	if (invalidation->scope == ADDRSPACE_ALL_CPUS && machine->handler.lock_shared &&
	    !machine->allow_unlocked && machine->held[machine->current_cpu] != FAKE_EXCLUSIVE)
		fake_fail(machine, "invalidate of all CPUs without the exclusive lock");
}

static void invalidate(void *ctx, const struct addrspace_invalidation *invalidation)
{
	struct fake_machine *machine = ctx;

	event(machine, FAKE_BEFORE_INVALIDATE);
	need_lock(machine, "invalidate");
	machine->counters.invalidate++;
	machine->history[machine->history_count++ % FAKE_HISTORY] = *invalidation;
	if (!machine->attached) {
		fake_fail(machine, "invalidate: no CPU ever ran this guest");
		return;
	}
	check_invalidation(machine, invalidation);
	fake_machine_check_breaks(machine);
	for (unsigned i = 0; i < FAKE_CPUS; i++) {
		struct fake_cpu *cpu = &machine->cpus[i];

		if (invalidation->scope == ADDRSPACE_THIS_CPU && i != machine->current_cpu)
			continue;
		/* One that spins for our lock cannot be waited for: it flushes before it enters. */
		if (cpu->spinning)
			cpu->flush_pending = true;
		else
			fake_cpu_invalidate(machine, cpu, invalidation);
	}
	machine->epoch++;
	event(machine, FAKE_AFTER_INVALIDATE);
}

/* ---- Locks ---- */

static void lock(struct fake_machine *machine, enum fake_lock wanted)
{
	enum fake_lock *held = &machine->held[machine->current_cpu];

	if (*held != FAKE_UNLOCKED)
		fake_fail(machine, "lock: CPU %u holds it already", machine->current_cpu);
	for (unsigned i = 0; i < FAKE_CPUS; i++) {
		if (i != machine->current_cpu && machine->held[i] != FAKE_UNLOCKED &&
		    (wanted == FAKE_EXCLUSIVE || machine->held[i] == FAKE_EXCLUSIVE))
			fake_fail(machine, "lock: CPU %u would wait for CPU %u for ever",
				  machine->current_cpu, i);
	}
	*held = wanted;
	machine->epoch++;
	event(machine, FAKE_AT_LOCK);
}

static void unlock(struct fake_machine *machine, enum fake_lock expected)
{
	enum fake_lock *held = &machine->held[machine->current_cpu];

	event(machine, FAKE_AT_UNLOCK);
	if (*held != expected)
		fake_fail(machine, "unlock: CPU %u does not hold that lock", machine->current_cpu);
	*held = FAKE_UNLOCKED;
	machine->epoch++;
}

static void lock_shared(void *ctx)
{
	struct fake_machine *machine = ctx;

	machine->counters.lock_shared++;
	lock(machine, FAKE_SHARED);
}

static void unlock_shared(void *ctx)
{
	unlock(ctx, FAKE_SHARED);
}

static void lock_exclusive(void *ctx)
{
	struct fake_machine *machine = ctx;

	machine->counters.lock_exclusive++;
	lock(machine, FAKE_EXCLUSIVE);
}

static void unlock_exclusive(void *ctx)
{
	unlock(ctx, FAKE_EXCLUSIVE);
}

/* ---- Quota ---- */

static bool charge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	struct fake_machine *machine = ctx;
	uint64_t total = 0;

	need_lock(machine, "charge");
	machine->counters.charge++;
	if ((unsigned)kind >= FAKE_KINDS || frames == 0) {
		fake_fail(machine, "charge: kind %u, %" PRIu64 " frames", (unsigned)kind, frames);
		return false;
	}
	for (unsigned i = 0; i < FAKE_KINDS; i++)
		total += machine->charged[i];
	if (total > machine->quota || frames > machine->quota - total)
		return false;
	machine->charged[kind] += frames;
	return true;
}

static void uncharge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	struct fake_machine *machine = ctx;

	need_lock(machine, "uncharge");
	machine->counters.uncharge++;
	if ((unsigned)kind >= FAKE_KINDS || frames == 0 || frames > machine->charged[kind]) {
		fake_fail(machine, "uncharge: kind %u, %" PRIu64 " frames, never charged",
			  (unsigned)kind, frames);
		return;
	}
	machine->charged[kind] -= frames;
	if (machine->charged[kind] < machine->live[kind])
		fake_fail(machine, "uncharge: %s frames that are still out", kind_names[kind]);
}

/* ---- The vtable ---- */

void fake_machine_use_offset(struct fake_machine *machine)
{
	machine->handler.physical_to_virtual = NULL;
	machine->handler.direct_map_offset = (uintptr_t)machine->cached - FAKE_ARENA_BASE;
}

void fake_machine_use_callback(struct fake_machine *machine)
{
	machine->handler.physical_to_virtual = physical_to_virtual;
	/* Whoever uses it nevertheless meets no memory. */
	machine->handler.direct_map_offset = UINT64_C(0xdead000000000000);
}

void fake_handler_init(struct fake_machine *machine)
{
	machine->handler = (struct paging_handler){
		.allocate = allocate,
		.free = free_frames,
		.virtual_to_physical = virtual_to_physical,
		.prepare_frame = prepare_frame,
		.sync_table = sync_table,
		.invalidate = invalidate,
		.lock_shared = lock_shared,
		.unlock_shared = unlock_shared,
		.lock_exclusive = lock_exclusive,
		.unlock_exclusive = unlock_exclusive,
		.charge = charge,
		.uncharge = uncharge,
	};
	fake_machine_use_offset(machine);
}

const struct paging_handler *fake_machine_handler(struct fake_machine *machine)
{
	return &machine->handler;
}
