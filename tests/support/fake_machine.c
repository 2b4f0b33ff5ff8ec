/* SPDX-License-Identifier: MIT */
/* Frames, failures and the life of the machine; the handler's hooks are in fake_handler.c. */
#include "fake_machine.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "fake_frames.h"

static uint8_t *map_arena(uint64_t size)
{
	void *arena = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (arena == MAP_FAILED)
		abort();
	return arena;
}

void fake_machine_init(struct fake_machine *machine, uint64_t arena_size)
{
	*machine = (struct fake_machine){
		.check_reachable = true,
		.allow_unlocked = true,
		.quota = UINT64_MAX,
		.arena_size = arena_size ? arena_size : FAKE_ARENA_SIZE,
	};
	machine->cached = map_arena(machine->arena_size);
	machine->frame_count = (uint32_t)(machine->arena_size / FAKE_PAGE_SIZE);
	machine->frames = calloc(machine->frame_count, sizeof(*machine->frames));
	if (!machine->frames)
		abort();
	machine->epoch = 1;
	for (unsigned i = 0; i < FAKE_CPUS; i++)
		fake_cpu_init(&machine->cpus[i], i);
	fake_handler_init(machine);
}

void fake_machine_destroy(struct fake_machine *machine)
{
	for (unsigned i = 0; i < FAKE_CPUS; i++)
		fake_cpu_destroy(&machine->cpus[i]);
	free(machine->frames);
	munmap(machine->cached, machine->arena_size);
	if (machine->memory)
		munmap(machine->memory, machine->arena_size);
	machine->cached = NULL;
}

void fake_machine_set_non_coherent(struct fake_machine *machine)
{
	machine->memory = map_arena(machine->arena_size);
	machine->require_prepare = true;
}

void fake_fail(struct fake_machine *machine, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(machine->last_failure, sizeof(machine->last_failure), format, arguments);
	va_end(arguments);
	if (machine->capture_failures) {
		machine->failures++;
		return;
	}
	machine->failed = true;
	fail_msg("%s", machine->last_failure);
}

/* ---- Frames ---- */

uint64_t fake_machine_token(uint64_t gpa)
{
	/* Odd, so never 0, and far from either poison for any address a test would use. */
	return ((gpa >> 3) * UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

struct fake_frame *fake_machine_frame(struct fake_machine *machine, uint64_t hpa)
{
	uint64_t offset = hpa - FAKE_ARENA_BASE;

	return offset < machine->arena_size ? &machine->frames[offset / FAKE_PAGE_SIZE] : NULL;
}

void *fake_machine_pointer(struct fake_machine *machine, uint64_t hpa)
{
	uint64_t offset = hpa - FAKE_ARENA_BASE;

	if (offset >= machine->arena_size) {
		fake_fail(machine, "hpa %#" PRIx64 " is not memory", hpa);
		return machine->cached;
	}
	return machine->cached + offset;
}

static uint64_t hpa_of(uint32_t index)
{
	return FAKE_ARENA_BASE + index * FAKE_PAGE_SIZE;
}

static bool run_is_free(const struct fake_machine *machine, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (machine->frames[first + i].state != FAKE_FREE)
			return false;
	}
	return true;
}

/** Single frames from the bottom, so that one just freed is soon reused; runs from the top. */
static bool find_run(struct fake_machine *machine, unsigned order, uint32_t *first)
{
	uint32_t count;

	if (order == 0) {
		while (machine->lowest_free < machine->frame_count &&
		       machine->frames[machine->lowest_free].state != FAKE_FREE)
			machine->lowest_free++;
		*first = machine->lowest_free;
		return machine->lowest_free < machine->frame_count;
	}
	if (order >= 31 || (UINT32_C(1) << order) > machine->frame_count)
		return false;
	count = UINT32_C(1) << order;
	for (uint32_t at = machine->frame_count / count; at-- > 0;) {
		*first = at * count;
		if (run_is_free(machine, *first, count))
			return true;
	}
	return false;
}

bool fake_frames_take(struct fake_machine *machine, const struct fake_frame *like, uint64_t *hpa)
{
	uint32_t first;

	if (!find_run(machine, like->run_order, &first))
		return false;
	for (uint32_t i = 0; i < UINT32_C(1) << like->run_order; i++) {
		struct fake_frame *frame = &machine->frames[first + i];

		*frame = *like;
		frame->run_first = first;
		if (like->state == FAKE_GUEST)
			frame->gpa = like->gpa + i * FAKE_PAGE_SIZE;
	}
	*hpa = hpa_of(first);
	return true;
}

void fake_frames_fill(struct fake_machine *machine, uint64_t hpa, uint64_t size, uint64_t word)
{
	uint8_t *at = machine->cached + (hpa - FAKE_ARENA_BASE);

	memset(at, (int)(word & 0xff), size);
	if (machine->memory)
		memset(machine->memory + (hpa - FAKE_ARENA_BASE), (int)(FAKE_STALE_POISON & 0xff),
		       size);
}

void fake_frames_release(struct fake_machine *machine, uint64_t hpa, uint64_t size)
{
	uint32_t first = (uint32_t)((hpa - FAKE_ARENA_BASE) / FAKE_PAGE_SIZE);

	fake_frames_fill(machine, hpa, size, FAKE_POISON);
	for (uint32_t i = 0; i < size / FAKE_PAGE_SIZE; i++)
		machine->frames[first + i] = (struct fake_frame){.state = FAKE_FREE};
	if (first < machine->lowest_free)
		machine->lowest_free = first;
}

/* ---- Frames of the test ---- */

uint64_t fake_machine_lend(struct fake_machine *machine, unsigned order)
{
	struct fake_frame like = {.state = FAKE_LENT, .run_order = (uint8_t)order};
	uint64_t size = FAKE_PAGE_SIZE << order;
	uint64_t hpa = FAKE_ARENA_BASE;

	if (!fake_frames_take(machine, &like, &hpa)) {
		fake_fail(machine, "test: the arena has no run of order %u left to lend", order);
		return hpa;
	}
	fake_frames_fill(machine, hpa, size, 0);
	if (machine->memory)
		memset(machine->memory + (hpa - FAKE_ARENA_BASE), 0, size);
	machine->lent += size / FAKE_PAGE_SIZE;
	return hpa;
}

void fake_machine_take_back(struct fake_machine *machine, uint64_t hpa)
{
	const struct fake_frame *frame = fake_machine_frame(machine, hpa);
	uint64_t size;

	if (!frame || frame->state != FAKE_LENT || hpa != hpa_of(frame->run_first)) {
		fake_fail(machine, "test: %#" PRIx64 " is not a run that was lent", hpa);
		return;
	}
	size = FAKE_PAGE_SIZE << frame->run_order;
	fake_frames_check_unreachable(machine, hpa, size);
	machine->lent -= size / FAKE_PAGE_SIZE;
	fake_frames_release(machine, hpa, size);
}

void fake_machine_hand_over(struct fake_machine *machine, uint64_t hpa, uint64_t gpa,
			    uint64_t cookie)
{
	struct fake_frame *frame = fake_machine_frame(machine, hpa);

	if (!frame || frame->state != FAKE_LENT || frame->run_order != 0) {
		fake_fail(machine, "test: %#" PRIx64 " is not a single lent frame", hpa);
		return;
	}
	frame->state = FAKE_GUEST;
	frame->gpa = gpa;
	frame->cookie = cookie;
	machine->lent--;
	machine->live[ADDRSPACE_FRAME_GUEST]++;
}

void fake_machine_register_linear(struct fake_machine *machine, uint64_t hpa, uint64_t size)
{
	if (machine->linear_count == FAKE_LINEAR_MAX) {
		fake_fail(machine, "test: more than %d linear ranges", FAKE_LINEAR_MAX);
		return;
	}
	machine->linear[machine->linear_count].hpa = hpa;
	machine->linear[machine->linear_count++].size = size;
}

bool fake_frames_are_linear(const struct fake_machine *machine, uint64_t hpa, uint64_t size)
{
	for (unsigned i = 0; i < machine->linear_count; i++) {
		uint64_t offset = hpa - machine->linear[i].hpa;

		if (offset < machine->linear[i].size && size <= machine->linear[i].size - offset)
			return true;
	}
	return false;
}

void fake_machine_copy_frame(void *machine, uint64_t old_hpa, uint64_t new_hpa)
{
	memcpy(fake_machine_pointer(machine, new_hpa), fake_machine_pointer(machine, old_hpa),
	       FAKE_PAGE_SIZE);
}

/* ---- CPUs ---- */

void fake_machine_attach_geometry(struct fake_machine *machine,
				  const struct fake_geometry *geometry)
{
	machine->geometry = *geometry;
	machine->attached = true;
	machine->allow_unlocked = false;
	for (unsigned i = 0; i < FAKE_CPUS; i++)
		fake_cpu_flush(&machine->cpus[i]);
}

void fake_machine_set_cpu(struct fake_machine *machine, unsigned cpu)
{
	machine->current_cpu = cpu;
}

void fake_machine_add_hot(struct fake_machine *machine, uint64_t gpa, unsigned access)
{
	if (machine->hot_count == FAKE_HOT_MAX) {
		fake_fail(machine, "test: more than %d hot addresses", FAKE_HOT_MAX);
		return;
	}
	machine->hot[machine->hot_count++] = (struct fake_hot){.gpa = gpa, .access = access};
}

void fake_machine_clear_hot(struct fake_machine *machine)
{
	machine->hot_count = 0;
}

const struct addrspace_invalidation *fake_machine_invalidation(struct fake_machine *machine,
							       unsigned age)
{
	static const struct addrspace_invalidation none;

	if (age >= FAKE_HISTORY || age >= machine->history_count) {
		fake_fail(machine, "there were only %" PRIu64 " invalidations",
			  machine->history_count);
		return &none;
	}
	return &machine->history[(machine->history_count - 1 - age) % FAKE_HISTORY];
}
