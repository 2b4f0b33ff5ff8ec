/* SPDX-License-Identifier: MIT */
/*
 * The mixed workload: 22 % map, 22 % unmap, 56 % fault, over 256 slots of 16 MiB. Of the maps half are
 * lazy, a quarter linear (half of these where 2 MiB leaves fit) and a quarter populate 64 pages; who
 * finds the slot mapped replaces it. Half of the unmaps take a slot, the others are holes of 1 to 8
 * pages. The sequence is made beforehand and is the same each time.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define OPERATIONS      100000u
#define SLOTS           256u
#define SLOT            (16 * MIB)
#define SLOT_PAGES      (SLOT / PAGE)
#define POPULATED_PAGES 64u
#define LINEAR_HPA      (UINT64_C(1) << 36)

enum kind {
	MAP_LAZY,
	MAP_LINEAR,
	MAP_POPULATED,
	UNMAP,
	FAULT,
};

struct operation {
	enum kind kind;
	unsigned flags;
	uint64_t gpa;
	uint64_t size;
	uint64_t hpa;
};

static struct operation *operations;

static void make_map(struct operation *operation, uint64_t slot, uint64_t roll, bool mapped)
{
	static const enum kind kinds[] = {MAP_LAZY, MAP_LAZY, MAP_LINEAR, MAP_POPULATED};

	operation->kind = kinds[roll % 4];
	operation->gpa = slot * SLOT;
	operation->size = operation->kind == MAP_POPULATED ? POPULATED_PAGES * PAGE : SLOT;
	operation->hpa = LINEAR_HPA + operation->gpa + (roll & 4 ? PAGE : 0);
	operation->flags = mapped ? ADDRSPACE_MAP_REPLACE : 0;
	if (operation->kind == MAP_POPULATED)
		operation->flags |= ADDRSPACE_MAP_POPULATE;
}

/** True if the whole slot goes. */
static bool make_unmap(struct operation *operation, uint64_t slot, uint64_t roll)
{
	operation->kind = UNMAP;
	operation->gpa = slot * SLOT;
	operation->size = SLOT;
	if (roll & 1)
		return true;
	operation->gpa += (roll >> 16) % (SLOT_PAGES - 8) * PAGE;
	operation->size = (1 + (roll >> 8) % 8) * PAGE;
	return false;
}

static void make(void)
{
	static bool mapped[SLOTS];
	uint64_t state = 2463534242u;

	operations = calloc(OPERATIONS, sizeof(*operations));
	bench_require(operations != NULL);
	for (unsigned i = 0; i < OPERATIONS; i++) {
		struct operation *operation = &operations[i];
		uint64_t which = bench_random(&state) % 100;
		uint64_t slot = bench_random(&state) % SLOTS;
		uint64_t roll = bench_random(&state) >> 8;

		if (which < 22) {
			make_map(operation, slot, roll, mapped[slot]);
			mapped[slot] = true;
		} else if (which < 44) {
			if (make_unmap(operation, slot, roll))
				mapped[slot] = false;
		} else {
			operation->kind = FAULT;
			operation->gpa = slot * SLOT + roll % SLOT;
		}
	}
}

static int apply(struct addrspace *as, const struct operation *operation)
{
	switch (operation->kind) {
	case MAP_LINEAR:
		return addrspace_map_linear(as, operation->gpa, operation->size, operation->hpa,
					    &bench_rwx, operation->flags);
	case MAP_LAZY:
	case MAP_POPULATED:
		return addrspace_map_alloc(as, operation->gpa, operation->size, &bench_rwx,
					   operation->flags);
	case UNMAP:
		return addrspace_unmap(as, operation->gpa, operation->size);
	default:
		return addrspace_handle_fault(as, operation->gpa, ADDRSPACE_READ, NULL);
	}
}

static void before(struct bench *bench)
{
	(void)bench;
	if (!operations)
		make();
}

static uint64_t run(struct bench *bench)
{
	unsigned errors = 0;

	for (unsigned i = 0; i < OPERATIONS; i++)
		errors += apply(&bench->space.as, &operations[i]) < 0;
	bench_require(!errors);
	return OPERATIONS;
}

static void clear(struct bench *bench)
{
	addrspace_clear(&bench->space.as);
}

/* ---- what must be true: from what was asked for, without a look at the library's tables ---- */

#define PAGES           (SLOTS * SLOT_PAGES)
#define BLOCK_PAGES     512u /* below one table of pages, or in one 2 MiB leaf */
#define BLOCKS          (PAGES / BLOCK_PAGES)
#define BLOCKS_IN_TABLE 512u

enum page {
	NOTHING,
	LAZY,    /* no frame yet */
	FRAME,   /* one of the handler's */
	FOREIGN, /* linear */
};

static struct {
	uint8_t pages[PAGES];
	uint16_t present[BLOCKS]; /* pages that have a leaf or a part of one */
	bool large[BLOCKS];
	uint64_t frames;
} model;

static bool has_leaf(unsigned page)
{
	return page == FRAME || page == FOREIGN;
}

static void set_page(uint64_t page, enum page to)
{
	uint8_t *at = &model.pages[page];

	model.frames += to == FRAME;
	model.frames -= *at == FRAME;
	model.present[page / BLOCK_PAGES] =
		(uint16_t)(model.present[page / BLOCK_PAGES] + has_leaf(to) - has_leaf(*at));
	*at = (uint8_t)to;
}

/** Sets a range; a leaf of 2 MiB is where one fits, and is one until something cuts it. Returns
 * whether there was a leaf. */
static bool set_range(const struct operation *operation, enum page to)
{
	uint64_t first = operation->gpa / PAGE;
	uint64_t end = first + operation->size / PAGE;
	bool fits = to == FOREIGN && (operation->hpa - operation->gpa) % (2 * MIB) == 0;
	bool was = false;

	for (uint64_t page = first; page < end; page++) {
		uint64_t block = page / BLOCK_PAGES;

		was |= has_leaf(model.pages[page]);
		set_page(page, to);
		model.large[block] =
			fits && first <= block * BLOCK_PAGES && end >= (block + 1) * BLOCK_PAGES;
	}
	return was;
}

/** A table stands where something below it is present that no leaf above covers, and nowhere else. */
static uint64_t fewest_tables(void)
{
	uint64_t pages_tables = 0, large_tables = 0;

	for (unsigned i = 0; i < BLOCKS; i += BLOCKS_IN_TABLE) {
		bool any = false;

		for (unsigned k = i; k < i + BLOCKS_IN_TABLE; k++) {
			any |= model.present[k] != 0;
			pages_tables += model.present[k] && !model.large[k];
		}
		large_tables += any;
	}
	return pages_tables + large_tables + (large_tables ? 1 : 0);
}

/** What the call must return. */
static int apply_to_model(const struct operation *operation, uint64_t *invalidations)
{
	uint64_t page = operation->gpa / PAGE;

	*invalidations = 0;
	switch (operation->kind) {
	case MAP_LAZY:
		*invalidations = set_range(operation, LAZY);
		return 0;
	case MAP_LINEAR:
		*invalidations = set_range(operation, FOREIGN);
		return 0;
	case MAP_POPULATED:
		*invalidations = set_range(operation, FRAME);
		return 0;
	case UNMAP:
		*invalidations = set_range(operation, NOTHING);
		return 0;
	default:
		if (model.pages[page] == NOTHING)
			return ADDRSPACE_FAULT_NOT_BACKED;
		if (model.pages[page] != LAZY)
			return ADDRSPACE_FAULT_ALREADY_RESOLVED;
		set_page(page, FRAME);
		return ADDRSPACE_FAULT_RESOLVED;
	}
}

void mixed_check(struct bench *bench)
{
	const uint64_t *out = bench->space.frames_out;
	struct addrspace *as = &bench->space.as;
	uint64_t root_frames =
		bench->format->gpa_bits > 48 ? UINT64_C(1) << (bench->format->gpa_bits - 48) : 1;

	memset(&model, 0, sizeof(model));
	bench->variant = COUNTED;
	before(bench);
	bench_open(bench);
	for (unsigned i = 0; i < OPERATIONS; i++) {
		uint64_t invalidations;
		int expected = apply_to_model(&operations[i], &invalidations);

		bench->space.invalidations = 0;
		bench_require(apply(as, &operations[i]) == expected);
		bench_require(bench->space.invalidations == invalidations);
		bench_require(out[ADDRSPACE_FRAME_TABLE] == fewest_tables());
		bench_require(out[ADDRSPACE_FRAME_GUEST] == model.frames);
		bench_require(out[ADDRSPACE_FRAME_ROOT] == root_frames);
		bench_require(i % 10000 || !addrspace_verify(as, NULL));
	}
	clear(bench);
	bench_require(!out[ADDRSPACE_FRAME_TABLE] && !out[ADDRSPACE_FRAME_GUEST] &&
		      !out[ADDRSPACE_FRAME_REGION_NODE]);
	bench_close(bench);
}

/* clang-format off */
#define NO_FLOOR {NULL, NULL, NULL}, NULL

static const struct workload list[] = {
	{"mixed", "operation", 0, 0, ANY_INVALIDATIONS, {before, run, clear}, NO_FLOOR},
	{"mixed, frames come zeroed, lock", "operation", ZEROED | WITH_LOCK, 0, ANY_INVALIDATIONS,
	 {before, run, clear}, NO_FLOOR},
};
/* clang-format on */

const struct workload_list workloads_mixed = {list, sizeof(list) / sizeof(list[0])};
