/* SPDX-License-Identifier: MIT */
/* A guest stays on CPU 1 in a loop without exits of its own, while CPU 0 changes the page: once the call
 * has returned, no access that the old tables allowed goes through, and nothing that the guest wrote is
 * lost. */
#include "looper.h"
#include "two_cpus.h"

#define RANGE (100 * SIZE_4K)

/* What the loop is over. */
struct stage {
	struct space *space;
	uint64_t leaf; /* a large leaf, or lazy memory */
	uint64_t leaf_size;
	uint64_t page;  /* of it, where CPU 1 loops */
	uint64_t other; /* of it, that CPU 1 does not touch */
	struct looper looper;
};

static uint64_t block(uint64_t page)
{
	return MACHINE_BLOCK_HPA + page * SIZE_4K;
}

static volatile uint64_t *word_at(uint64_t hpa)
{
	return host_pointer(hpa);
}

/* ---- what CPU 0 does ---- */

/* Reads come to an end with unmap, and go on with what is mapped then. */
static void unmap_and_map(struct stage *stage, unsigned round)
{
	uint64_t value = UINT64_C(0xa0000000) + round;

	space_unmap(stage->space, stage->page, SIZE_4K);
	looper_check_stopped(&stage->looper, ADDRSPACE_FAULT_NOT_BACKED);
	*word_at(block(round % 2)) = value;
	space_map_linear(stage->space, stage->page, SIZE_4K, block(round % 2), RWX, 0);
	looper_resume(&stage->looper);
	check_true("the guest goes on", looper_turns(&stage->looper));
	check_equal("what the guest reads", value, looper_result(&stage->looper));
}

/* As many pages at once as an instruction for a range, or for all, may be used for. */
static void unmap_range_and_map(struct stage *stage, unsigned round)
{
	space_unmap(stage->space, stage->leaf, RANGE);
	looper_check_stopped(&stage->looper, ADDRSPACE_FAULT_NOT_BACKED);
	space_map_linear(stage->space, stage->leaf, RANGE, block(round % 2), RWX, 0);
	looper_resume(&stage->looper);
	check_true("the guest goes on", looper_turns(&stage->looper));
}

/* The old frame is the hypervisor's at once: what it puts there, the guest never reads. */
static void replace(struct stage *stage, unsigned round)
{
	uint64_t value = UINT64_C(0xb0000000) + round;

	*word_at(block(round % 2)) = value;
	space_map_linear(stage->space, stage->page, SIZE_4K, block(round % 2), RWX,
			 ADDRSPACE_MAP_REPLACE);
	*word_at(block(1 - round % 2)) = UINT64_C(0xdead);
	check_true("the guest goes on", looper_turns(&stage->looper));
	check_equal("what the guest reads", value, looper_result(&stage->looper));
}

static bool is_dirty(struct space *space, uint64_t gpa)
{
	struct addrspace_translation translation = {0};

	space_check_ok("walk", addrspace_walk(&space->as, gpa, &translation));
	/* Where hardware does not keep it, what may not be written counts as clean. */
	return translation.dirty || !(space->config.cpu.features & ADDRSPACE_CPU_HARDWARE_AD);
}

static void protect_and_back(struct stage *stage, unsigned round)
{
	volatile uint64_t *word = space_host(stage->space, stage->page);
	uint64_t frozen;

	(void)round;
	space_protect(stage->space, stage->page, SIZE_4K, R);
	frozen = *word;
	check_true("a page that was written is dirty", is_dirty(stage->space, stage->page));
	looper_check_stopped(&stage->looper, ADDRSPACE_FAULT_DENIED);
	check_equal("contents of a read-only page", frozen, *word);
	space_protect(stage->space, stage->page, SIZE_4K, RWX);
	looper_resume(&stage->looper);
	check_true("the guest goes on", looper_turns(&stage->looper));
}

/* The old frame goes back to the pool, which finds out if anybody writes to it. */
static void move(struct stage *stage, unsigned round)
{
	uint64_t old = (uintptr_t)space_host(stage->space, stage->page);
	uint64_t hpa = space_new_frame(stage->page);

	(void)round;
	space_check_ok("replace_frame", addrspace_replace_frame(&stage->space->as, stage->page, hpa,
								space_copy_page, NULL));
	check_true("the guest goes on", looper_turns(&stage->looper));
	check_true("the old frame is as the pool left it", frame_pool_is_intact(old));
}

static void discard(struct stage *stage, unsigned round)
{
	uint64_t old = (uintptr_t)space_host(stage->space, stage->page);
	unsigned resolved = stage->looper.outcomes[ADDRSPACE_FAULT_RESOLVED];

	(void)round;
	space_discard(stage->space, stage->page, SIZE_4K);
	check_true("the guest goes on", looper_turns(&stage->looper));
	if ((uintptr_t)space_host(stage->space, stage->page) != old)
		check_true("the old frame is as the pool left it", frame_pool_is_intact(old));
	check_equal("faults resolved by CPU 1", resolved + 1,
		    stage->looper.outcomes[ADDRSPACE_FAULT_RESOLVED]);
}

static void map_leaf(struct stage *stage, unsigned flags)
{
	space_map_linear(stage->space, stage->leaf, stage->leaf_size, MACHINE_BLOCK_HPA, RWX,
			 flags);
}

/* The leaf under the guest is cut for another page, and made one again. */
static void split_by_protect(struct stage *stage, unsigned round)
{
	(void)round;
	space_protect(stage->space, stage->other, SIZE_4K, R);
	check_true("the guest goes on", looper_turns(&stage->looper));
	map_leaf(stage, ADDRSPACE_MAP_REPLACE);
	check_true("the guest goes on", looper_turns(&stage->looper));
}

static void split_by_unmap(struct stage *stage, unsigned round)
{
	(void)round;
	space_unmap(stage->space, stage->other, SIZE_4K);
	check_true("the guest goes on", looper_turns(&stage->looper));
	map_leaf(stage, ADDRSPACE_MAP_REPLACE);
	check_true("the guest goes on", looper_turns(&stage->looper));
}

static uint64_t leaf_size_at(struct space *space, uint64_t gpa)
{
	struct addrspace_translation translation = {0};

	space_check_ok("walk", addrspace_walk(&space->as, gpa, &translation));
	return translation.leaf_size;
}

/* The leaf is cut for another page and becomes one again in place, out of its pages. */
static void split_and_collapse(struct stage *stage, unsigned round)
{
	uint64_t collapsed = 0;

	(void)round;
	space_protect(stage->space, stage->other, SIZE_4K, R);
	check_true("the guest goes on", looper_turns(&stage->looper));
	space_protect(stage->space, stage->other, SIZE_4K, RWX);
	check_equal("size of the leaf under the guest", SIZE_4K,
		    leaf_size_at(stage->space, stage->page));
	space_check_ok("collapse", addrspace_collapse(&stage->space->as, stage->leaf,
						      stage->leaf_size, &collapsed));
	check_equal("bytes that collapsed", stage->leaf_size, collapsed);
	check_equal("size of the leaf under the guest", stage->leaf_size,
		    leaf_size_at(stage->space, stage->page));
	check_true("the guest goes on", looper_turns(&stage->looper));
}

/* The run of frames under the guest goes, and another one comes with its next store; that is cut and
 * collapses, so that it goes as one run again. */
static void discard_and_collapse(struct stage *stage, unsigned round)
{
	uint64_t old = (uintptr_t)space_host(stage->space, stage->page);

	space_discard(stage->space, stage->leaf, SIZE_2M);
	check_true("the guest goes on", looper_turns(&stage->looper));
	if ((uintptr_t)space_host(stage->space, stage->page) != old)
		check_true("the old frame is as the pool left it", frame_pool_is_intact(old));
	check_equal("size of the leaf under the guest", SIZE_2M,
		    leaf_size_at(stage->space, stage->page));
	split_and_collapse(stage, round);
}

/* A table goes, and what it led to is elsewhere. */
static void replace_cut_leaf(struct stage *stage, unsigned round)
{
	const uint64_t hpas[] = {MACHINE_BLOCK_HPA, MACHINE_BLOCK_HPA + SIZE_2M};
	const uint64_t in_leaf = stage->page - stage->leaf;
	uint64_t value = UINT64_C(0xc0000000) + round;

	space_protect(stage->space, stage->other, SIZE_4K, R);
	*word_at(hpas[1 - round % 2] + in_leaf) = value;
	space_map_linear(stage->space, stage->leaf, SIZE_2M, hpas[1 - round % 2], RWX,
			 ADDRSPACE_MAP_REPLACE);
	*word_at(hpas[round % 2] + in_leaf) = UINT64_C(0xdead);
	check_true("the guest goes on", looper_turns(&stage->looper));
	check_equal("what the guest reads", value, looper_result(&stage->looper));
}

/* ---- what it must not do ---- */

/** The leaf itself, found by hand. */
static uint64_t *leaf_entry(struct space *space, uint64_t gpa)
{
	uint64_t *table = host_pointer(space->as.root_hpa);

	for (unsigned level = space->config.levels - 1;; level--) {
		uint64_t index = gpa >> (12 + 9 * level);
		bool root = level + 1 == space->config.levels;
		uint64_t *entry = &table[root ? index : index % 512];

		if (!level)
			return entry;
		table = host_pointer((*entry & space->facts.address_bits)
				     << space->facts.address_shift);
	}
}

/* What the guest writes between the copy and the invalidation is lost, and nothing stops it from that. */
static void move_without_break(struct stage *stage, unsigned round)
{
	const struct paging_handler *handler = stage->space->config.handler;
	const struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST,
							.gpa = stage->page};
	const struct addrspace_invalidation invalidation = {
		.gpa = stage->page, .size = SIZE_4K, .stride = SIZE_4K};
	uint64_t *entry = leaf_entry(stage->space, stage->page);
	uint64_t old = (uintptr_t)space_host(stage->space, stage->page);
	uint64_t hpa = space_new_frame(stage->page);
	uint64_t moved;

	(void)round;
	handler->lock_exclusive(&stage->space->memory);
	space_copy_page(NULL, old, hpa);
	check_true("the guest goes on", looper_turns(&stage->looper));
	moved = (*entry & ~stage->space->facts.address_bits) |
		hpa >> stage->space->facts.address_shift;
	__atomic_store_n(entry, moved, __ATOMIC_RELEASE);
	handler->invalidate(&stage->space->memory, &invalidation);
	handler->unlock_exclusive(&stage->space->memory);
	frame_pool_give(&request, old);
}

/* ---- the scenarios ---- */

static void map_page(struct stage *stage)
{
	space_map_linear(stage->space, stage->page, SIZE_4K, block(1), RWX, 0);
}

static void map_range(struct stage *stage)
{
	space_map_linear(stage->space, stage->leaf, RANGE, block(0), RWX, 0);
}

static void map_lazy(struct stage *stage)
{
	space_map_alloc(stage->space, stage->leaf, SIZE_2M, RWX, 0);
}

/** Lazy memory that comes 2 MiB at a time. */
static void map_lazy_run(struct stage *stage)
{
	const struct addrspace_attributes attributes = {
		.permissions = RWX,
		.largest_leaf = ADDRSPACE_LEAF_2M,
	};

	space_check_ok("map_alloc", addrspace_map_alloc(&stage->space->as, stage->leaf, SIZE_2M,
							&attributes, 0));
}

static void map_fresh_leaf(struct stage *stage)
{
	*word_at(MACHINE_BLOCK_HPA + (stage->page - stage->leaf)) = 0;
	map_leaf(stage, 0);
}

struct scenario {
	const char *name;
	enum guest_operation operation;
	void (*map)(struct stage *stage);
	void (*round)(struct stage *stage, unsigned round);
	uint64_t leaf_size;
	unsigned invalidations; /* of a round */
	bool adds_up;           /* the page holds the number of turns in the end */
};

static const struct scenario scenarios[] = {
	{"unmap", GUEST_LOOP_READ, map_page, unmap_and_map, SIZE_4K, 1, false},
	{"unmap of a range", GUEST_LOOP_READ, map_range, unmap_range_and_map, SIZE_4K, 1, false},
	{"replace", GUEST_LOOP_READ, map_page, replace, SIZE_4K, 1, false},
	{"replace a cut leaf", GUEST_LOOP_READ, map_fresh_leaf, replace_cut_leaf, SIZE_2M, 2,
	 false},
	{"protect", GUEST_LOOP_WRITE, map_page, protect_and_back, SIZE_4K, 2, true},
	{"replace_frame", GUEST_LOOP_INCREMENT, map_lazy, move, SIZE_4K, 1, true},
	{"discard", GUEST_LOOP_WRITE, map_lazy, discard, SIZE_4K, 1, true},
	{"split by protect", GUEST_LOOP_INCREMENT, map_fresh_leaf, split_by_protect, SIZE_2M, 2,
	 true},
	{"split by unmap", GUEST_LOOP_INCREMENT, map_fresh_leaf, split_by_unmap, SIZE_2M, 2, true},
	{"collapse", GUEST_LOOP_INCREMENT, map_fresh_leaf, split_and_collapse, SIZE_2M, 3, true},
	{"collapse", GUEST_LOOP_INCREMENT, map_fresh_leaf, split_and_collapse, SIZE_1G, 3, true},
	{"discard and collapse", GUEST_LOOP_WRITE, map_lazy_run, discard_and_collapse, SIZE_2M, 4,
	 true},
	{"split by protect", GUEST_LOOP_INCREMENT, map_fresh_leaf, split_by_protect, SIZE_1G, 2,
	 true},
	{"split by unmap", GUEST_LOOP_INCREMENT, map_fresh_leaf, split_by_unmap, SIZE_1G, 2, true},
};

static void run_scenario(struct space *space, const struct scenario *scenario)
{
	uint64_t leaf = space_place(space, 1);
	struct stage stage = {
		.space = space,
		.leaf = leaf,
		.leaf_size = scenario->leaf_size,
		.page = leaf + 7 * SIZE_4K,
		.other = leaf + 8 * SIZE_4K,
		.looper = {.space = space},
	};
	uint64_t turns;

	check_at(stage.page, scenario->name);
	stage.looper.request =
		(struct request){.operation = scenario->operation, .gpa = stage.page};
	scenario->map(&stage);
	looper_start(&stage.looper);
	space_new_invalidations(space);
	for (unsigned round = 0; round < space->rounds; round++)
		scenario->round(&stage, round);
	turns = looper_end(&stage.looper);
	check_equal("invalidations", space->rounds * scenario->invalidations,
		    space_new_invalidations(space));
	if (scenario->adds_up)
		check_equal("what the guest has counted up", turns,
			    *(uint64_t *)space_host(space, stage.page));
	space_unmap(space, leaf, SIZE_1G);
	space_check_empty(space);
}

void in_place_run(struct space *space)
{
	static const struct scenario in_place = {"in-place move",
						 GUEST_LOOP_INCREMENT,
						 map_lazy,
						 move_without_break,
						 SIZE_4K,
						 1,
						 true};

	run_scenario(space, &in_place);
}

void shootdown_run(struct space *space)
{
	for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (space_has_leaf(space, scenarios[i].leaf_size))
			run_scenario(space, &scenarios[i]);
}
