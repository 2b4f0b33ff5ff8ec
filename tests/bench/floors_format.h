/* SPDX-License-Identifier: MIT */
/*
 * The floors of one format. Whoever includes this has defined FLOORS (the name of its operations) and
 * where the format has its bits: PRESENT(entry), TABLE_MASK and TABLE_BITS (what a live table has of
 * these, and nothing else above the pages), ADDRESS(entry), TABLE(hpa), LEAF(level) without address,
 * STEP(bytes) and WRITE (a bit to clear).
 */
#include "floors.h"

#define ENTRIES    512u
#define ROOT_LEVEL 3u
/* A root may be four tables. */
#define ROOT_SLOTS      2048u
#define IS_TABLE(entry) (((entry)&TABLE_MASK) == TABLE_BITS)

static uint64_t level_bytes(unsigned level)
{
	return PAGE << 9 * level;
}

static uint64_t *table_at(const struct bench *bench, uint64_t hpa)
{
	return (uint64_t *)(uintptr_t)(hpa + bench->handler.direct_map_offset);
}

static inline uint64_t *slot_of(uint64_t *table, uint64_t gpa, unsigned level)
{
	return &table[gpa >> (12 + 9 * level) &
		      (level == ROOT_LEVEL ? ROOT_SLOTS - 1 : ENTRIES - 1)];
}

static inline struct addrspace_frame take(struct bench *bench, enum addrspace_frame_kind kind,
					  uint64_t gpa)
{
	const struct addrspace_frame_request request = {.kind = kind, .gpa = gpa};
	struct addrspace_frame frame = {.contents = ADDRSPACE_FRAME_DIRTY};

	if (!bench->handler.allocate(&bench->space, &request, &frame))
		__builtin_trap();
	return frame;
}

static uint64_t take_table(struct bench *bench)
{
	return take(bench, ADDRSPACE_FRAME_TABLE, 0).hpa;
}

/** Zeroed, by the allocator or here. */
static inline uint64_t take_page(struct bench *bench, uint64_t gpa)
{
	struct addrspace_frame frame = take(bench, ADDRSPACE_FRAME_GUEST, gpa);

	if (frame.contents != ADDRSPACE_FRAME_ZEROED)
		__builtin_memset(table_at(bench, frame.hpa), 0, PAGE);
	return frame.hpa;
}

static void give(struct bench *bench, enum addrspace_frame_kind kind, uint64_t hpa)
{
	const struct addrspace_frame_request request = {.kind = kind};

	bench->handler.free(&bench->space, &request, hpa);
}

/** The table whose slots are at level, for gpa. Makes what is missing on the way; a new one at level
 * is not zeroed, it will be filled whole. */
static uint64_t *reach_table(struct bench *bench, uint64_t gpa, unsigned level)
{
	uint64_t *table = bench->floor_root;

	for (unsigned at = ROOT_LEVEL; at > level; at--) {
		uint64_t *slot = slot_of(table, gpa, at);

		if (*slot) {
			table = table_at(bench, ADDRESS(*slot));
			continue;
		}
		*slot = TABLE(take_table(bench));
		table = table_at(bench, ADDRESS(*slot));
		if (at - 1 > level)
			__builtin_memset(table, 0, PAGE);
	}
	return table;
}

static uint64_t fill(struct bench *bench, uint64_t leaves, unsigned level)
{
	uint64_t entry = LEAF(level);

	for (uint64_t i = 0; i < leaves; i += ENTRIES) {
		uint64_t *table = reach_table(bench, i * level_bytes(level), level);

		for (unsigned k = 0; k < ENTRIES; k++, entry += STEP(level_bytes(level)))
			__atomic_store_n(&table[k], entry, __ATOMIC_RELAXED);
	}
	return leaves;
}

static uint64_t fill_pages(struct bench *bench, uint64_t leaves)
{
	return fill(bench, leaves, 0);
}

static uint64_t fill_large(struct bench *bench, uint64_t leaves)
{
	return fill(bench, leaves, 1);
}

static inline uint64_t store_zero(struct bench *bench, uint64_t leaves, unsigned level)
{
	for (uint64_t i = 0; i < leaves; i += ENTRIES) {
		uint64_t *table = reach_table(bench, i * level_bytes(level), level);

		for (unsigned k = 0; k < ENTRIES; k++)
			__atomic_store_n(&table[k], 0, __ATOMIC_RELAXED);
	}
	return leaves;
}

static uint64_t clear_pages(struct bench *bench, uint64_t leaves)
{
	return store_zero(bench, leaves, 0);
}

static uint64_t clear_large(struct bench *bench, uint64_t leaves)
{
	return store_zero(bench, leaves, 1);
}

static uint64_t clear_bit(struct bench *bench, uint64_t leaves)
{
	for (uint64_t i = 0; i < leaves; i += ENTRIES) {
		uint64_t *table = reach_table(bench, i * PAGE, 0);

		for (unsigned k = 0; k < ENTRIES; k++)
			__atomic_store_n(&table[k],
					 __atomic_load_n(&table[k], __ATOMIC_RELAXED) & ~WRITE,
					 __ATOMIC_RELAXED);
	}
	return leaves;
}

/** True if a table's leaves of 4 KiB go on from the first, each a page behind the last. */
static bool is_run(const uint64_t *table)
{
	uint64_t expected = __atomic_load_n(&table[0], __ATOMIC_RELAXED);

	for (unsigned k = 0; k < ENTRIES; k++, expected += STEP(PAGE))
		if (__atomic_load_n(&table[k], __ATOMIC_RELAXED) != expected)
			return false;
	return true;
}

static uint64_t collapse(struct bench *bench, uint64_t leaves)
{
	for (uint64_t i = 0; i < leaves; i++) {
		uint64_t gpa = i * level_bytes(1);
		uint64_t *slot = slot_of(reach_table(bench, gpa, 1), gpa, 1);
		uint64_t table = ADDRESS(__atomic_load_n(slot, __ATOMIC_ACQUIRE));

		if (!is_run(table_at(bench, table)))
			__builtin_trap();
		__atomic_store_n(slot, LEAF(1) + STEP(gpa), __ATOMIC_RELEASE);
		give(bench, ADDRSPACE_FRAME_TABLE, table);
	}
	return leaves;
}

static uint64_t populate(struct bench *bench, uint64_t leaves)
{
	for (uint64_t i = 0; i < leaves; i += ENTRIES) {
		uint64_t *table = reach_table(bench, i * PAGE, 0);

		for (unsigned k = 0; k < ENTRIES; k++)
			__atomic_store_n(&table[k],
					 LEAF(0) + STEP(take_page(bench, (i + k) * PAGE)),
					 __ATOMIC_RELAXED);
	}
	return leaves;
}

static uint64_t release(struct bench *bench, uint64_t leaves)
{
	for (uint64_t i = 0; i < leaves; i += ENTRIES) {
		uint64_t *table = reach_table(bench, i * PAGE, 0);

		for (unsigned k = 0; k < ENTRIES; k++)
			give(bench, ADDRSPACE_FRAME_GUEST,
			     ADDRESS(__atomic_load_n(&table[k], __ATOMIC_RELAXED)));
	}
	return leaves;
}

static void drop_table(struct bench *bench, uint64_t *table, unsigned level, bool frames)
{
	for (unsigned i = 0; i < (level == ROOT_LEVEL ? ROOT_SLOTS : ENTRIES); i++) {
		uint64_t entry = table[i];

		if (!PRESENT(entry))
			continue;
		table[i] = 0;
		if (level > 0 && IS_TABLE(entry)) {
			drop_table(bench, table_at(bench, ADDRESS(entry)), level - 1, frames);
			give(bench, ADDRSPACE_FRAME_TABLE, ADDRESS(entry));
		} else if (frames) {
			const struct addrspace_frame_request request = {
				.kind = ADDRSPACE_FRAME_GUEST, .order = 9 * level};

			bench->handler.free(&bench->space, &request,
					    ADDRESS(entry) & ~(level_bytes(level) - 1));
		}
	}
}

static void drop(struct bench *bench, bool frames)
{
	drop_table(bench, bench->floor_root, ROOT_LEVEL, frames);
}

/* ---- one address at a time: out of line, as the library's calls are ---- */

/** One level down, or return where the walk ends. */
#define WALK_LEVEL(at)                                                                             \
	do {                                                                                       \
		uint64_t entry = __atomic_load_n(slot, __ATOMIC_ACQUIRE);                          \
                                                                                                   \
		*level = (at);                                                                     \
		if (!IS_TABLE(entry))                                                              \
			return slot;                                                               \
		slot = slot_of(table_at(bench, ADDRESS(entry)), gpa, (at)-1u);                     \
	} while (0)

static inline uint64_t *walk_slot(const struct bench *bench, uint64_t gpa, unsigned *level)
{
	uint64_t *slot = slot_of(bench->floor_root, gpa, 3);

	WALK_LEVEL(3);
	WALK_LEVEL(2);
	WALK_LEVEL(1);
	*level = 0;
	return slot;
}

/** Puts the tables above a leaf, whose slot is at below, that are missing below a slot at level; returns what
 * goes there. */
static OUT_OF_LINE uint64_t tables_above(struct bench *bench, uint64_t gpa, unsigned below,
					 unsigned level, uint64_t entry)
{
	for (; below < level; below++) {
		uint64_t hpa = take_table(bench);
		uint64_t *table = table_at(bench, hpa);

		__builtin_memset(table, 0, PAGE);
		*slot_of(table, gpa, below) = entry;
		entry = TABLE(hpa);
	}
	return entry;
}

/** Gives back what tables_above() and its caller took for a slot at level. */
static OUT_OF_LINE void give_chain(struct bench *bench, uint64_t gpa, unsigned level,
				   uint64_t entry)
{
	for (; level > 0; level--) {
		uint64_t hpa = ADDRESS(entry);

		entry = *slot_of(table_at(bench, hpa), gpa, level - 1);
		give(bench, ADDRSPACE_FRAME_TABLE, hpa);
	}
	give(bench, ADDRSPACE_FRAME_GUEST, ADDRESS(entry));
}

static inline uint64_t new_chain(struct bench *bench, uint64_t gpa, unsigned level)
{
	uint64_t entry = LEAF(0) + STEP(take_page(bench, gpa));

	return level ? tables_above(bench, gpa, 0, level, entry) : entry;
}

static OUT_OF_LINE bool fault_one(struct bench *bench, uint64_t gpa)
{
	unsigned level;
	uint64_t *slot = walk_slot(bench, gpa, &level);

	if (PRESENT(__atomic_load_n(slot, __ATOMIC_ACQUIRE)))
		return false;
	__atomic_store_n(slot, new_chain(bench, gpa, level), __ATOMIC_RELEASE);
	return true;
}

static OUT_OF_LINE bool fault_large(struct bench *bench, uint64_t gpa)
{
	const struct addrspace_frame_request request = {
		.kind = ADDRSPACE_FRAME_GUEST, .order = 9, .gpa = gpa};
	struct addrspace_frame frame;
	unsigned level;
	uint64_t *slot = walk_slot(bench, gpa, &level);
	uint64_t empty = 0;
	uint64_t entry;

	if (PRESENT(__atomic_load_n(slot, __ATOMIC_ACQUIRE)))
		return false;
	if (!bench->handler.allocate(&bench->space, &request, &frame))
		__builtin_trap();
	entry = LEAF(1) + STEP(frame.hpa);
	if (level > 1)
		entry = tables_above(bench, gpa, 1, level, entry);
	return __atomic_compare_exchange_n(slot, &empty, entry, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/** True: done; false: it was there. Between the two who was faster may have put a table there: then
 * the walk goes on below it. */
static inline bool install(struct bench *bench, uint64_t gpa)
{
	for (;;) {
		uint64_t empty = 0;
		uint64_t entry;
		unsigned level;
		uint64_t *slot = walk_slot(bench, gpa, &level);

		if (PRESENT(__atomic_load_n(slot, __ATOMIC_ACQUIRE)))
			return false;
		entry = new_chain(bench, gpa, level);
		if (__atomic_compare_exchange_n(slot, &empty, entry, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return true;
		give_chain(bench, gpa, level, entry);
	}
}

static OUT_OF_LINE bool fault_one_locked(struct bench *bench, uint64_t gpa)
{
	uint32_t *readers = &bench->space.lock_cpus[bench_cpu].readers;
	bool done;

	__atomic_fetch_add(readers, 1, __ATOMIC_SEQ_CST);
	done = install(bench, gpa);
	__atomic_fetch_sub(readers, 1, __ATOMIC_SEQ_CST);
	return done;
}

static OUT_OF_LINE bool touch_one(struct bench *bench, uint64_t gpa)
{
	unsigned level;

	return PRESENT(__atomic_load_n(walk_slot(bench, gpa, &level), __ATOMIC_ACQUIRE));
}

static OUT_OF_LINE bool touch_one_locked(struct bench *bench, uint64_t gpa)
{
	uint32_t *readers = &bench->space.lock_cpus[bench_cpu].readers;
	unsigned level;
	bool present;

	__atomic_fetch_add(readers, 1, __ATOMIC_SEQ_CST);
	present = PRESENT(__atomic_load_n(walk_slot(bench, gpa, &level), __ATOMIC_ACQUIRE));
	__atomic_fetch_sub(readers, 1, __ATOMIC_SEQ_CST);
	return present;
}

static OUT_OF_LINE bool translate_one(const struct bench *bench, uint64_t gpa, uint64_t *hpa)
{
	unsigned level;
	uint64_t entry = __atomic_load_n(walk_slot(bench, gpa, &level), __ATOMIC_ACQUIRE);

	if (!PRESENT(entry))
		return false;
	*hpa = ADDRESS(entry) | (gpa & (level_bytes(level) - 1));
	return true;
}

static OUT_OF_LINE void move_one(struct bench *bench, uint64_t gpa, uint64_t hpa)
{
	const struct addrspace_invalidation invalidation = {
		.gpa = gpa, .size = PAGE, .stride = PAGE};
	unsigned level;
	uint64_t *slot = walk_slot(bench, gpa, &level);
	uint64_t entry = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

	__atomic_store_n(slot, 0, __ATOMIC_RELEASE);
	bench->handler.invalidate(&bench->space, &invalidation);
	__atomic_store_n(slot, LEAF(0) + STEP(hpa), __ATOMIC_RELEASE);
	give(bench, ADDRSPACE_FRAME_GUEST, ADDRESS(entry));
}

const struct floor_operations FLOORS = {
	.fill_pages = fill_pages,
	.fill_large = fill_large,
	.clear_pages = clear_pages,
	.clear_large = clear_large,
	.clear_bit = clear_bit,
	.collapse = collapse,
	.populate = populate,
	.release = release,
	.drop = drop,
	.fault = fault_one,
	.fault_locked = fault_one_locked,
	.fault_large = fault_large,
	.touch = touch_one,
	.touch_locked = touch_one_locked,
	.move = move_one,
	.translate = translate_one,
};
