/* SPDX-License-Identifier: MIT */
#include "frame_pool.h"

#include "libc.h"
#include "machine.h"
#include "print.h"
#include "spin.h"

#define POISON     0xdb
#define RUN_FRAMES UINT64_C(512)

struct frame_owner {
	uint64_t gpa;
	uint8_t kind;
	bool taken;
	bool poisoned; /* was given back: nobody may have written since */
};

static struct frame_area area;
static struct frame_owner *owners; /* at the start of the area, which they take for themselves */
static uint64_t area_frames;
static struct frame_counts counts;
static uint64_t lowest_free; /* no frame below is free */
static uint64_t random_state;
/* Faults of several CPUs allocate at once, under the space's shared lock. */
static struct spin_lock lock;

static const char *const kind_names[FRAME_KINDS] = {"root", "table", "region node", "guest"};

const char *frame_kind_name(enum addrspace_frame_kind kind)
{
	return (unsigned)kind < FRAME_KINDS ? kind_names[kind] : "unknown";
}

static uint64_t frame_hpa(uint64_t frame)
{
	return area.hpa + frame * ADDRSPACE_PAGE_SIZE;
}

static void poison(uint64_t frame)
{
	memset((void *)(uintptr_t)frame_hpa(frame), POISON, ADDRSPACE_PAGE_SIZE);
	owners[frame].poisoned = true;
}

/** The first word that is not poison, or NULL. */
static const volatile uint64_t *find_unpoisoned(uint64_t frame)
{
	const volatile uint64_t *word = (const uint64_t *)(uintptr_t)frame_hpa(frame);

	for (unsigned i = 0; i < ADDRSPACE_PAGE_SIZE / sizeof(*word); i++)
		if (word[i] != POISON * UINT64_C(0x0101010101010101))
			return &word[i];
	return NULL;
}

/** A CPU that can still reach a frame after it was given back is found by what it writes. */
static void check_poison(uint64_t frame)
{
	const volatile uint64_t *word = find_unpoisoned(frame);

	if (word)
		fail("frame 0x%lx was written after it was given back: 0x%lx at 0x%lx",
		     frame_hpa(frame), *word, (uintptr_t)word % ADDRSPACE_PAGE_SIZE);
}

/** Frames that somebody else has. */
static void make_holes(void)
{
	for (uint64_t run = 1; area.holes && run < area_frames / RUN_FRAMES; run++)
		if (run % area.holes)
			owners[run * RUN_FRAMES + run % RUN_FRAMES].taken = true;
}

void frame_pool_init_in(const struct frame_area *where)
{
	uint64_t size;

	area = *where;
	area_frames = area.size / ADDRSPACE_PAGE_SIZE;
	owners = (struct frame_owner *)(uintptr_t)area.hpa;
	size = area_frames * sizeof(*owners);
	memset(owners, 0, size);
	memset(&counts, 0, sizeof(counts));
	lowest_free = (size + ADDRSPACE_PAGE_SIZE - 1) / ADDRSPACE_PAGE_SIZE;
	for (uint64_t i = 0; i < lowest_free; i++)
		owners[i].taken = true;
	make_holes();
	random_state = 1;
}

void frame_pool_init(void)
{
	const struct frame_area in_order = {.hpa = MACHINE_POOL_HPA, .size = MACHINE_POOL_SIZE};

	frame_pool_init_in(&in_order);
}

/** Marsaglia's xorshift64. */
static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t taken_in(uint64_t first, uint64_t frames)
{
	uint64_t taken = 0;

	for (uint64_t i = first; i < first + frames; i++)
		taken += owners[i].taken;
	return taken;
}

/** Runs are aligned to their size, so they can be counted: the first that is free from where to look. */
static bool find_run(uint64_t frames, uint64_t *first)
{
	uint64_t runs = area_frames / frames;
	uint64_t run = (lowest_free + frames - 1) / frames;

	if (area.scattered && runs)
		run = next_random() % runs;
	for (uint64_t i = 0; i < runs; i++, run++) {
		if (run >= runs && !area.scattered)
			return false;
		if (run >= runs)
			run = 0;
		*first = run * frames;
		if (!taken_in(*first, frames))
			return true;
	}
	return false;
}

static bool take(const struct addrspace_frame_request *request, uint64_t frames, uint64_t *first)
{
	uint64_t at;

	if (!find_run(frames, &at))
		return false;
	for (uint64_t i = 0; i < frames; i++) {
		owners[at + i].gpa = request->gpa + i * ADDRSPACE_PAGE_SIZE;
		owners[at + i].kind = (uint8_t)request->kind;
		owners[at + i].taken = true;
	}
	if (frames == 1 && !area.scattered)
		lowest_free = at + 1;
	counts.of_kind[request->kind] += frames;
	counts.total += frames;
	*first = at;
	return true;
}

bool frame_pool_take(const struct addrspace_frame_request *request, uint64_t *hpa)
{
	uint64_t frames = UINT64_C(1) << request->order;
	uint64_t first;
	bool taken;

	if ((unsigned)request->kind >= FRAME_KINDS || request->order > 18)
		fail("the library asks for kind %u, order %u", request->kind, request->order);
	spin_lock(&lock);
	taken = take(request, frames, &first);
	spin_unlock(&lock);
	if (!taken)
		return false;
	for (uint64_t i = first; i < first + frames; i++) {
		if (owners[i].poisoned)
			check_poison(i);
		else
			poison(i);
	}
	*hpa = frame_hpa(first);
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
	uint64_t first = (hpa - area.hpa) / ADDRSPACE_PAGE_SIZE;

	if (hpa < area.hpa || first >= area_frames || frames > area_frames - first ||
	    hpa % (frames * ADDRSPACE_PAGE_SIZE))
		fail("0x%lx (order %u) is given back, but is not the pool's", hpa, request->order);
	for (uint64_t i = 0; i < frames; i++)
		poison(first + i);
	spin_lock(&lock);
	for (uint64_t i = 0; i < frames; i++)
		release(&owners[first + i], request, hpa + i * ADDRSPACE_PAGE_SIZE,
			request->gpa + i * ADDRSPACE_PAGE_SIZE);
	if (first < lowest_free)
		lowest_free = first;
	counts.of_kind[request->kind] -= frames;
	counts.total -= frames;
	spin_unlock(&lock);
}

bool frame_pool_is_intact(uint64_t hpa)
{
	uint64_t frame = (hpa - area.hpa) / ADDRSPACE_PAGE_SIZE;

	return !owners[frame].taken && owners[frame].poisoned && !find_unpoisoned(frame);
}

struct frame_counts frame_pool_counts(void)
{
	struct frame_counts now;

	spin_lock(&lock);
	now = counts;
	spin_unlock(&lock);
	return now;
}
