/* SPDX-License-Identifier: MIT */
/*
 * One descent over a range, table by table: a loop finishes the table it is in before it moves on.
 *
 *   gpa   63 ... | 47 ... 39 | 38 ... 30 | 29 ... 21 | 20 ... 12 | 11 ... 0
 *                  level 3     level 2     level 1     level 0     byte
 *                  512 GiB     1 GiB       2 MiB       4 KiB       of a slot
 *
 * The root's index has no upper mask: concatenated (Arm) and x4 (RISC-V) roots are just wider.
 *
 * The shape of every loop below:
 *
 *	walk_start(&walk, ...);
 *	do {
 *		while (walk.gpa < walk.table_end) {
 *			slot = walk_slot(&walk);
 *			... walk_descend(&walk, table); continue;
 *			... walk_next(&walk);
 *		}
 *	} while (walk_leave(&walk));
 */
#ifndef ADDRSPACE_SRC_WALK_H
#define ADDRSPACE_SRC_WALK_H

#include "compiler.h"
#include "entry.h"
#include "entry_format.h"
#include "page_table.h"

/** For our own mistakes only: nothing that guest or embedder pass can get here. */
#define WALK_ASSERT(condition)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			__builtin_trap();                                                          \
	} while (0)

struct walk {
	const struct addrspace *as;
	uint64_t gpa;       /* where it stands */
	uint64_t end;       /* of the range */
	uint64_t table_end; /* of what the current table holds of the range */
	unsigned level;     /* of the current table's slots */
	unsigned top;
	uint64_t *touched; /* first slot stored to in the current table since the last sync */
	uint64_t *tables[PAGE_TABLE_MAX_LEVELS];
};

ALWAYS_INLINE struct entry_traits space_traits(const struct addrspace *as)
{
	return (struct entry_traits){
		.cpu_features = as->cpu_features,
		.memory_types = as->memory_types,
	};
}

ALWAYS_INLINE unsigned root_level(const struct addrspace *as)
{
	return as->levels - 1u;
}

ALWAYS_INLINE size_t slot_index(const struct addrspace *as, uint64_t gpa, unsigned level)
{
	uint64_t index = gpa >> (PAGE_SHIFT + PAGE_TABLE_INDEX_BITS * level);

	return (size_t)(level == root_level(as) ? index : index % PAGE_TABLE_ENTRIES);
}

ALWAYS_INLINE size_t table_entries(const struct addrspace *as, unsigned level)
{
	return level == root_level(as) ? (size_t)PAGE_TABLE_ENTRIES << as->root_order
				       : PAGE_TABLE_ENTRIES;
}

/** First address above gpa that is a multiple of size, a power of two; at most end. */
ALWAYS_INLINE uint64_t next_boundary(uint64_t gpa, uint64_t size, uint64_t end)
{
	uint64_t last = gpa | (size - 1);

	return last < end - 1 ? last + 1 : end;
}

/** End of what a table, whose slots are at level, holds of a range that ends at end. */
ALWAYS_INLINE uint64_t table_boundary(const struct addrspace *as, uint64_t gpa, unsigned level,
				      uint64_t end)
{
	return level == root_level(as) ? end : next_boundary(gpa, level_size(level + 1), end);
}

static inline void walk_start(struct walk *walk, const struct addrspace *as, uint64_t *table,
			      unsigned level, uint64_t gpa, uint64_t end)
{
	walk->as = as;
	walk->gpa = gpa;
	walk->end = end;
	walk->level = level;
	walk->top = level;
	walk->table_end = table_boundary(as, gpa, level, end);
	walk->touched = NULL;
	walk->tables[level] = table;
}

ALWAYS_INLINE void walk_start_root(struct walk *walk, const struct addrspace *as, uint64_t gpa,
				   uint64_t end)
{
	walk_start(walk, as, frame_pointer(as, as->root_hpa), root_level(as), gpa, end);
}

ALWAYS_INLINE uint64_t *walk_slot(const struct walk *walk)
{
	return &walk->tables[walk->level][slot_index(walk->as, walk->gpa, walk->level)];
}

ALWAYS_INLINE uint64_t walk_slot_end(const struct walk *walk)
{
	return next_boundary(walk->gpa, level_size(walk->level), walk->table_end);
}

/** True if the range covers all of the current slot. */
ALWAYS_INLINE bool walk_covers_slot(const struct walk *walk)
{
	return walk_slot_end(walk) - walk->gpa == level_size(walk->level);
}

ALWAYS_INLINE void walk_next(struct walk *walk)
{
	walk->gpa = walk_slot_end(walk);
}

/** Moves from an empty slot to the next one of the current table that is not, or behind them all; or
 * behind most slots, at least one. Answers how many. */
ALWAYS_INLINE uint64_t walk_skip_empty_of(struct walk *walk, uint64_t most)
{
	const uint64_t *table = walk->tables[walk->level];
	size_t at = slot_index(walk->as, walk->gpa, walk->level) + 1;
	size_t behind = slot_index(walk->as, walk->table_end - 1, walk->level) + 1;
	size_t count = behind - at < most ? behind - at : (size_t)most - 1;
	size_t empty = entry_count_empty(&table[at], count);
	uint64_t start = walk->gpa & ~(level_size(walk->level) - 1);

	walk->gpa = at + empty == behind ? walk->table_end
					 : start + (empty + 1) * level_size(walk->level);
	return empty + 1;
}

ALWAYS_INLINE void walk_skip_empty(struct walk *walk)
{
	walk_skip_empty_of(walk, UINT64_MAX);
}

/** Remembers a slot of the current table that changed, for walk_sync(). Slots come in ascending
 * order. */
ALWAYS_INLINE void walk_touch(struct walk *walk, uint64_t *slot)
{
	if (!walk->touched)
		walk->touched = slot;
}

ALWAYS_INLINE void walk_store(struct walk *walk, uint64_t *slot, uint64_t entry)
{
	entry_write(slot, entry);
	walk_touch(walk, slot);
}

/** Cleans the slots stored to, the last of them the one of address last, for walkers that do not
 * snoop. */
static inline void walk_sync(struct walk *walk, uint64_t last)
{
	const struct paging_handler *handler = walk->as->handler;
	size_t behind;

	if (walk->touched && handler->sync_table) {
		behind = slot_index(walk->as, last, walk->level) + 1;
		handler->sync_table(walk->as->handler_ctx, walk->touched,
				    (size_t)(walk->tables[walk->level] + behind - walk->touched) *
					    sizeof(uint64_t));
	}
	walk->touched = NULL;
}

static inline void walk_descend(struct walk *walk, uint64_t *table)
{
	walk_sync(walk, walk->gpa);
	walk->table_end = walk_slot_end(walk);
	walk->level--;
	walk->tables[walk->level] = table;
}

/** Goes up one table, behind the slot it came from; false if it stands in the topmost one. */
static inline bool walk_ascend(struct walk *walk)
{
	walk_sync(walk, walk->gpa - 1);
	if (walk->level == walk->top)
		return false;
	walk->level++;
	walk->table_end = table_boundary(walk->as, walk->gpa - 1, walk->level, walk->end);
	return true;
}

/** The slot of the current table that walk_ascend() came from. */
ALWAYS_INLINE uint64_t *walk_left_slot(const struct walk *walk)
{
	return &walk->tables[walk->level][slot_index(walk->as, walk->gpa - 1, walk->level)];
}

/** Goes up until there is something left to do; false at the end of the range. */
static inline bool walk_leave(struct walk *walk)
{
	do {
		if (!walk_ascend(walk))
			return false;
	} while (walk->gpa == walk->table_end);
	return true;
}

#endif
