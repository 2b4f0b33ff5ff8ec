/* SPDX-License-Identifier: MIT */
/* Tables and frames as the walker takes and gives them; giving back detached trees. */
#ifndef ADDRSPACE_SRC_WALK_RELEASE_H
#define ADDRSPACE_SRC_WALK_RELEASE_H

#include "held.h"
#include "memory.h"
#include "region_set.h"
#include "walk.h"

/** Whose cookie goes with the guest frames being freed: of the region last looked up, or of one that is
 * not in the set yet; and how many of them. */
struct walk_owner {
	uint64_t gpa;
	uint64_t size;
	uint64_t cookie;
	uint64_t left; /* entries to visit, and 1; 0: as many as there are */
	bool keep_charge;
};

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

/** Of a frame whose region is not in the set any more: the job that frees it has kept a copy. */
static RARELY void owner_from_job(const struct addrspace *as, struct walk_owner *owner,
				  uint64_t gpa)
{
	const struct addrspace_job *job = addrspace_held_by(as, gpa, gpa + 1);
	const struct addrspace_region *region;

	WALK_ASSERT(job);
	region = &job->regions[gpa - job->regions[0].gpa < job->regions[0].size ? 0 : 1];
	owner->gpa = region->gpa;
	owner->size = region->size;
	owner->cookie = region->cookie;
}

static inline void owner_seek(const struct addrspace *as, struct walk_owner *owner, uint64_t gpa)
{
	const struct region_record *record = addrspace_region_set_record(as, gpa);

	if (!record) {
		owner_from_job(as, owner, gpa);
		return;
	}
	owner->gpa = record->start;
	owner->size = region_record_size(record);
	owner->cookie = record->cookie;
}

/** Frees a leaf's frames; their charge stays. */
ALWAYS_INLINE void free_guest_frames(struct addrspace *as, uint64_t entry, unsigned level,
				     uint64_t gpa, uint64_t cookie)
{
	const struct addrspace_frame_request request = {
		.kind = ADDRSPACE_FRAME_GUEST,
		.order = PAGE_TABLE_INDEX_BITS * level,
		.gpa = gpa,
		.cookie = cookie,
	};

	as->handler->free(as->handler_ctx, &request, ENTRY_FORMAT.leaf_address(entry, level));
}

/** Frees a leaf's frames. The region still stands in the set: a removal edits the set last. */
static inline void free_leaf(struct addrspace *as, uint64_t entry, unsigned level, uint64_t gpa,
			     struct walk_owner *owner)
{
	if (UNLIKELY(gpa - owner->gpa >= owner->size))
		owner_seek(as, owner, gpa);
	free_guest_frames(as, entry, level, gpa, owner->cookie);
	if (UNLIKELY(as->handler->uncharge) && !owner->keep_charge)
		addrspace_frame_uncharge(as, ADDRSPACE_FRAME_GUEST,
					 level_size(level) >> PAGE_SHIFT);
}

/** Takes the pages of the rest of the current table from what may be visited; ends the table where that
 * ends. */
static inline void walk_limit(struct walk *walk, struct walk_owner *owner)
{
	uint64_t pages = (walk->table_end - walk->gpa) >> PAGE_SHIFT;

	if (UNLIKELY(pages > owner->left)) {
		pages = owner->left;
		walk->table_end = walk->gpa + (pages << PAGE_SHIFT);
	}
	owner->left -= pages - 1;
}

/** Frees the pages of the rest of a table that is not linked any more, as many as may be visited. */
static NEVER_INLINE void free_pages(struct addrspace *as, struct walk *walk,
				    struct walk_owner *owner)
{
	const uint64_t *slot = walk_slot(walk);

	walk_limit(walk, owner);
	for (; walk->gpa < walk->table_end; walk->gpa += ADDRSPACE_PAGE_SIZE, slot++) {
		uint64_t entry = entry_read(slot);

		if (entry & ENTRY_FORMAT.owned)
			free_leaf(as, entry, 0, walk->gpa, owner);
	}
	walk->table_end = table_boundary(walk->as, walk->gpa - 1, 0, walk->end);
}

static NEVER_INLINE void free_skip_empty(struct walk *walk, struct walk_owner *owner)
{
	owner->left -= walk_skip_empty_of(walk, owner->left) - 1;
}

/** Empties what a free that stops has passed of tables that are not linked: they outlive their frames
 * until it goes on, and nothing may name those. */
static RARELY uint64_t free_stop(struct walk *walk, unsigned dead_below)
{
	/* Of a linked table: what was stored to in it is not known to the hardware yet. */
	walk_sync(walk, walk->gpa - 1);
	for (unsigned level = walk->level; level < dead_below && level <= walk->top; level++)
		memset(walk->tables[level], 0,
		       slot_index(walk->as, walk->gpa, level) * sizeof(uint64_t));
	return walk->gpa;
}

/** walk_leave() of a walk that frees: the tables that it leaves, and that nothing links any more, go. */
static inline bool free_leave(struct addrspace *as, struct walk *walk, unsigned *dead_below,
			      struct walk_owner *owner)
{
	do {
		uint64_t *slot;
		uint64_t entry;

		if (!walk_ascend(walk))
			return false;
		if (walk->level > *dead_below)
			continue;
		slot = walk_left_slot(walk);
		entry = entry_read(slot);
		if (walk->level == *dead_below) {
			walk_store(walk, slot, 0);
			*dead_below = 0;
		}
		free_table(as, ENTRY_FORMAT.table_address(entry), walk->level - 1);
		/* The entry's second visit. */
		owner->left -= owner->left > 1;
	} while (walk->gpa == walk->table_end);
	return true;
}

/**
 * Empties [gpa, end) below a table whose slots are at level, and frees what its entries name: child
 * tables on the way up. Tables whose slots are below dead_below are not linked any more: all in
 * them goes, as it stands. In live tables live entries are tables that the range covers in part;
 * what is not present, dead or pending, goes, by a store of 0 before the frame is freed: no entry,
 * not even a dead one, names a freed frame.
 *
 * Answers how far it came: end, unless owner->left says where to stop. From there it goes on if it is
 * called again in the same way.
 */
static NEVER_INLINE uint64_t free_range(struct addrspace *as, uint64_t *table, unsigned level,
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

			if (UNLIKELY(!--owner->left))
				return free_stop(&walk, dead_below);
			if (walk.level == 0 && !linked) {
				free_pages(as, &walk, owner);
				continue;
			}
			if (!entry) {
				free_skip_empty(&walk, owner);
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
		if (!free_leave(as, &walk, &dead_below, owner))
			return walk.gpa;
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

/** Apart, for the stack's sake: of its caller that does not come to it. */
static NEVER_INLINE void free_single(struct addrspace *as, uint64_t entry, unsigned level,
				     uint64_t gpa, struct walk_owner *owner)
{
	if (entry & ENTRY_FORMAT.owned)
		free_leaf(as, entry, level, gpa, owner);
}

/** Frees what an entry of a slot at this level named, once nothing can reach it. */
ALWAYS_INLINE void free_entry(struct addrspace *as, uint64_t entry, unsigned level, uint64_t gpa,
			      struct walk_owner *owner)
{
	if (ENTRY_FORMAT.is_table(entry, level))
		free_tree(as, entry, level - 1, gpa, owner);
	else
		free_single(as, entry, level, gpa, owner);
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
