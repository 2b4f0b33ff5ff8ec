/* SPDX-License-Identifier: MIT */
/* Tables and frames as the walker takes and gives them; giving back detached trees. */
#ifndef ADDRSPACE_SRC_WALK_RELEASE_H
#define ADDRSPACE_SRC_WALK_RELEASE_H

#include "region_set.h"
#include "walk.h"

/** Whose cookie goes with the guest frames being freed: the region last looked up, or a fixed
 * range. */
struct walk_owner {
	uint64_t gpa;
	uint64_t end;
	uint64_t cookie;
	bool keep_charge;
};

static uint64_t *entry_table(const struct addrspace *as, uint64_t entry)
{
	return frame_pointer(as, ENTRY_FORMAT.address(entry));
}

static struct addrspace_frame_request table_request(const struct addrspace *as, unsigned level)
{
	bool root = level == root_level(as);

	return (struct addrspace_frame_request){
		.kind = root ? ADDRSPACE_FRAME_ROOT : ADDRSPACE_FRAME_TABLE,
		.order = root ? as->root_order : 0,
	};
}

static void free_table(struct addrspace *as, uint64_t hpa, unsigned level)
{
	struct addrspace_frame_request request = table_request(as, level);

	addrspace_frame_free(as, &request, hpa);
}

/** Frees a leaf's frames. The region still stands in the set: a removal edits the set last. */
static void free_leaf(struct addrspace *as, uint64_t entry, unsigned level, uint64_t gpa,
		      struct walk_owner *owner)
{
	struct addrspace_frame_request request = {
		.kind = ADDRSPACE_FRAME_GUEST,
		.order = PAGE_TABLE_INDEX_BITS * level,
		.gpa = gpa,
	};

	if (gpa < owner->gpa || gpa >= owner->end) {
		struct addrspace_region region;

		WALK_ASSERT(addrspace_region_set_find(as, gpa, &region));
		owner->gpa = region.gpa;
		owner->end = region.gpa + region.size;
		owner->cookie = region.cookie;
	}
	request.cookie = owner->cookie;
	if (owner->keep_charge)
		as->handler->free(as->handler_ctx, &request, ENTRY_FORMAT.address(entry));
	else
		addrspace_frame_free(as, &request, ENTRY_FORMAT.address(entry));
}

/**
 * Frees a table that nothing links any more, and all that it holds: child tables are freed on the
 * way up. Entries may be live, dead or pending; they are not touched.
 */
static NEVER_INLINE void free_tree(struct addrspace *as, uint64_t hpa, unsigned level, uint64_t gpa,
				   bool owned, struct walk_owner *owner)
{
	bool root = level == root_level(as);
	uint64_t start = root ? 0 : gpa & ~(level_size(level + 1) - 1);
	struct walk walk;

	walk_start(&walk, as, frame_pointer(as, hpa), level, start,
		   root ? as->gpa_limit : start + level_size(level + 1));
	if (!owned)
		walk.gpa = walk.table_end;
	for (;;) {
		while (walk.gpa < walk.table_end) {
			uint64_t entry = entry_read(walk_slot(&walk));

			if (ENTRY_FORMAT.is_table(entry, walk.level) && entry) {
				if (entry & ENTRY_FORMAT.owned) {
					walk_descend(&walk, entry_table(as, entry));
					continue;
				}
				free_table(as, ENTRY_FORMAT.address(entry), walk.level - 1);
			} else if (entry & ENTRY_FORMAT.owned) {
				free_leaf(as, entry, walk.level, walk.gpa, owner);
			}
			walk_next(&walk);
		}
		do {
			if (!walk_ascend(&walk)) {
				free_table(as, hpa, level);
				return;
			}
			free_table(as, ENTRY_FORMAT.address(entry_read(walk_left_slot(&walk))),
				   walk.level - 1);
		} while (walk.gpa == walk.table_end);
	}
}

/** Frees what an entry of a slot at this level named, once nothing can reach it. */
static void free_entry(struct addrspace *as, uint64_t entry, unsigned level, uint64_t gpa,
		       struct walk_owner *owner)
{
	if (ENTRY_FORMAT.is_table(entry, level))
		free_tree(as, ENTRY_FORMAT.address(entry), level - 1, gpa,
			  entry & ENTRY_FORMAT.owned, owner);
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
		__atomic_fetch_or(parent, ENTRY_FORMAT.owned, __ATOMIC_ACQ_REL);
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
