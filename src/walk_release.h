/* SPDX-License-Identifier: MIT */
/* Tables and frames as the walker takes and gives them; giving back detached trees. */
#ifndef ADDRSPACE_SRC_WALK_RELEASE_H
#define ADDRSPACE_SRC_WALK_RELEASE_H

#include "region_set.h"
#include "walk.h"

/** Whose cookie goes with the guest frames being freed: of the region last looked up, or of one that is
 * not in the set yet. */
struct walk_owner {
	uint64_t gpa;
	uint64_t size;
	uint64_t cookie;
	bool keep_charge;
};

static void owner_set(struct walk_owner *owner, const struct region_record *record)
{
	owner->gpa = record->start;
	owner->size = region_record_size(record);
	owner->cookie = record->cookie;
}

/** Of an entry above level 0: one mask and one comparison. */
ALWAYS_INLINE bool is_live_table(uint64_t entry)
{
	return (entry & ENTRY_FORMAT.table_mask) == (ENTRY_FORMAT.table & ENTRY_FORMAT.table_mask);
}

static uint64_t *entry_table(const struct addrspace *as, uint64_t entry)
{
	return frame_pointer(as, ENTRY_FORMAT.table_address(entry));
}

static void free_table(struct addrspace *as, uint64_t hpa, unsigned level)
{
	if (level == root_level(as))
		addrspace_frame_free(as, ADDRSPACE_FRAME_ROOT, as->root_order, hpa);
	else
		addrspace_frame_free(as, ADDRSPACE_FRAME_TABLE, 0, hpa);
}

/** Frees a leaf's frames. The region still stands in the set: a removal edits the set last. */
static inline void free_leaf(struct addrspace *as, uint64_t entry, unsigned level, uint64_t gpa,
			     struct walk_owner *owner)
{
	struct addrspace_frame_request request = {
		.kind = ADDRSPACE_FRAME_GUEST,
		.order = PAGE_TABLE_INDEX_BITS * level,
		.gpa = gpa,
	};

	if (UNLIKELY(gpa - owner->gpa >= owner->size)) {
		const struct region_record *record = addrspace_region_set_record(as, gpa);

		WALK_ASSERT(record);
		owner_set(owner, record);
	}
	request.cookie = owner->cookie;
	as->handler->free(as->handler_ctx, &request, ENTRY_FORMAT.leaf_address(entry, level));
	if (UNLIKELY(as->handler->uncharge) && !owner->keep_charge)
		addrspace_frame_uncharge(as, ADDRSPACE_FRAME_GUEST, UINT64_C(1) << request.order);
}

/** Frees the pages of the rest of a table that is not linked any more. */
static NEVER_INLINE void free_pages(struct addrspace *as, struct walk *walk,
				    struct walk_owner *owner)
{
	const uint64_t *slot = walk_slot(walk);

	for (; walk->gpa < walk->table_end; walk->gpa += ADDRSPACE_PAGE_SIZE, slot++) {
		uint64_t entry = entry_read(slot);

		if (entry & ENTRY_FORMAT.owned)
			free_leaf(as, entry, 0, walk->gpa, owner);
	}
}

/**
 * Empties [gpa, end) below a table whose slots are at level, and frees what its entries name: child
 * tables on the way up. Tables whose slots are below dead_below are not linked any more: all in
 * them goes, as it stands. In live tables live entries are tables that the range covers in part;
 * what is not present, dead or pending, goes, by a store of 0 before the frame is freed: no entry,
 * not even a dead one, names a freed frame.
 */
static NEVER_INLINE void free_range(struct addrspace *as, uint64_t *table, unsigned level,
				    uint64_t gpa, uint64_t end, unsigned dead_below,
				    struct walk_owner *owner)
{
	struct walk walk;

	walk_start(&walk, as, table, level, gpa, end);
	for (;;) {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);
			bool linked = walk.level >= dead_below;
			bool is_table = ENTRY_FORMAT.is_table(entry, walk.level);

			if (walk.level == 0 && !linked) {
				free_pages(as, &walk, owner);
				continue;
			}
			if (!entry) {
				walk_skip_empty(&walk);
				continue;
			}
			if (is_table && linked && entry & ENTRY_FORMAT.present) {
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			if (is_table && entry & ENTRY_FORMAT.owned) {
				dead_below = linked ? walk.level : dead_below;
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			if (linked)
				walk_store(&walk, slot, 0);
			if (is_table)
				free_table(as, ENTRY_FORMAT.table_address(entry), walk.level - 1);
			else if (entry & ENTRY_FORMAT.owned)
				free_leaf(as, entry, walk.level, walk.gpa, owner);
			walk_next(&walk);
		}
		do {
			uint64_t *slot;
			uint64_t entry;

			if (!walk_ascend(&walk))
				return;
			if (walk.level > dead_below)
				continue;
			slot = walk_left_slot(&walk);
			entry = entry_read(slot);
			if (walk.level == dead_below) {
				walk_store(&walk, slot, 0);
				dead_below = 0;
			}
			free_table(as, ENTRY_FORMAT.table_address(entry), walk.level - 1);
		} while (walk.gpa == walk.table_end);
	}
}

/** Frees a table that nothing links any more, and all that it holds. */
ALWAYS_INLINE void free_tree(struct addrspace *as, uint64_t entry, unsigned level, uint64_t gpa,
			     struct walk_owner *owner)
{
	bool root = level == root_level(as);
	uint64_t start = root ? 0 : gpa & ~(level_size(level + 1) - 1);
	uint64_t end = root ? as->gpa_limit : start + level_size(level + 1);

	if (entry & ENTRY_FORMAT.owned)
		free_range(as, entry_table(as, entry), level, start, end, level + 1, owner);
	free_table(as, ENTRY_FORMAT.table_address(entry), level);
}

/** Frees what an entry of a slot at this level named, once nothing can reach it. */
ALWAYS_INLINE void free_entry(struct addrspace *as, uint64_t entry, unsigned level, uint64_t gpa,
			      struct walk_owner *owner)
{
	if (ENTRY_FORMAT.is_table(entry, level))
		free_tree(as, entry, level - 1, gpa, owner);
	else if (entry & ENTRY_FORMAT.owned)
		free_leaf(as, entry, level, gpa, owner);
}

/**
 * Says in the entry that names the current table that it will hold a table or an owned frame.
 * Atomic: hardware may be setting A in it, or another CPU's fault doing the same. Before the link:
 * pairs with free_tree(), which trusts the bit.
 */
static void mark_owned(uint64_t *parent)
{
	if (parent && !(entry_read(parent) & ENTRY_FORMAT.owned))
		entry_or(parent, ENTRY_FORMAT.owned);
}

ALWAYS_INLINE uint64_t *walk_parent_slot(const struct walk *walk)
{
	if (walk->level == walk->top)
		return NULL;
	return &walk->tables[walk->level + 1][slot_index(walk->as, walk->gpa, walk->level + 1)];
}

ALWAYS_INLINE bool holds_owned(uint64_t entry, unsigned level)
{
	return ENTRY_FORMAT.is_table(entry, level) || (entry & ENTRY_FORMAT.owned);
}

#endif
