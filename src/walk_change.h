/* SPDX-License-Identifier: MIT */
/*
 * Removing and protecting a range in two passes around one invalidation.
 *
 * Pass one makes the old state unreachable for new walks: whole subtrees by one store to their
 * parent's slot, partial tables slot by slot, the address kept in the dead entry. A leaf that an
 * end cuts is replaced by a table whose part inside the range is dead; where the architecture
 * demands a break first, the leaf goes dead as a whole and the table follows in pass two. Then the
 * caller invalidates. Pass two stores 0 into each dead entry and frees what it named: the detached
 * tree is the list of what is to be freed.
 */
#ifndef ADDRSPACE_SRC_WALK_CHANGE_H
#define ADDRSPACE_SRC_WALK_CHANGE_H

#include "cut_tables.h"
#include "walk_map.h"

static uint64_t dead_entry(uint64_t entry)
{
	return (entry & ~ENTRY_FORMAT.present) | ENTRY_FORMAT.dead;
}

/** Widens what the invalidation must cover by the slot of a live entry that changes. */
static void change_note(struct page_table_change *change, uint64_t gpa, uint64_t entry,
			unsigned level)
{
	uint64_t stride = level_size(level);
	uint64_t start = gpa & ~(stride - 1);
	uint64_t end = start + stride;

	if (!(entry & ENTRY_FORMAT.present))
		return;
	if (ENTRY_FORMAT.is_table(entry, level)) {
		change->tables_changed = true;
		/* It holds leaves only, if it owns nothing; else there may be pages somewhere
		 * below. */
		stride = entry & ENTRY_FORMAT.owned ? ADDRSPACE_PAGE_SIZE : level_size(level - 1);
		start = start < change->gpa ? change->gpa : start;
		end = end > change->end ? change->end : end;
	}
	if (change->flush_gpa == change->flush_end) {
		change->flush_gpa = start;
		change->flush_end = end;
		change->stride = stride;
	}
	change->flush_gpa = start < change->flush_gpa ? start : change->flush_gpa;
	change->flush_end = end > change->flush_end ? end : change->flush_end;
	change->stride = stride < change->stride ? stride : change->stride;
}

/* ---- cutting leaves ---- */

/** The leaf that contains gpa, if it does not start there. */
static NEVER_INLINE bool find_cut(const struct addrspace *as, uint64_t gpa,
				  struct page_table_position *position)
{
	uint64_t *table = frame_pointer(as, as->root_hpa);

	position->parent = NULL;
	for (unsigned level = root_level(as);; level--) {
		uint64_t *slot = &table[slot_index(as, gpa, level)];
		uint64_t entry = entry_read(slot);

		position->slot = slot;
		position->level = level;
		if (!entry || level == 0)
			return false;
		if (!ENTRY_FORMAT.is_table(entry, level))
			return (gpa & (level_size(level) - 1)) != 0;
		position->parent = slot;
		table = entry_table(as, entry);
	}
}

static void spare_push(struct addrspace *as, struct page_table_change *change, uint64_t hpa)
{
	uint64_t *next = frame_pointer(as, hpa);

	*next = change->spare_hpa;
	change->spare_hpa = hpa;
	change->spare_count++;
}

static uint64_t spare_pop(struct addrspace *as, struct page_table_change *change)
{
	uint64_t hpa = change->spare_hpa;
	const uint64_t *next = frame_pointer(as, hpa);

	WALK_ASSERT(change->spare_count);
	change->spare_hpa = *next;
	change->spare_count--;
	return hpa;
}

static int spare_take(struct addrspace *as, struct page_table_change *change, uint64_t count)
{
	for (; count; count--) {
		struct addrspace_frame frame;
		int error = addrspace_frame_allocate(as, ADDRSPACE_FRAME_TABLE, 0, &frame);

		if (error)
			return error;
		spare_push(as, change, frame.hpa);
	}
	return 0;
}

static int walk_change_prepare(struct addrspace *as, struct page_table_change *change)
{
	struct page_table_position position;
	unsigned start_level = 0;
	unsigned end_level = 0;
	unsigned needed;

	if (cuts_slot(change->gpa, PAGE_TABLE_MAX_LEAF) && find_cut(as, change->gpa, &position))
		start_level = position.level;
	if (start_level && (change->gpa ^ change->end) < level_size(start_level))
		end_level = start_level;
	else if (cuts_slot(change->end, PAGE_TABLE_MAX_LEAF) &&
		 find_cut(as, change->end, &position))
		end_level = position.level;
	needed = cut_table_count(change->gpa, start_level, change->end, end_level);
	return spare_take(as, change, needed);
}

/** The tables for the walk's leaf: its own, and one for each 2 MiB piece of a 1 GiB leaf that the
 * walk's range touches. */
static uint64_t small_table_count(const struct walk *walk)
{
	if (walk->level == 1)
		return 1;
	return (walk_slot_end(walk) - 1) / level_size(1) - walk->gpa / level_size(1) + 2;
}

static RARELY int walk_small_prepare(struct addrspace *as, struct page_table_change *change,
				     uint64_t gpa, uint64_t end)
{
	struct walk walk;

	walk_start_root(&walk, as, gpa, end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t entry = entry_read(walk_slot(&walk));
			int error = 0;

			if (entry && walk.level > 0 && !ENTRY_FORMAT.is_table(entry, walk.level))
				error = spare_take(as, change, small_table_count(&walk));
			if (error)
				return error;
			build_over(&walk, entry);
		}
	} while (walk_leave(&walk));
	return 0;
}

/** What becomes of a leaf inside the change's range. */
static uint64_t changed_leaf(const struct addrspace *as, const struct page_table_change *change,
			     uint64_t leaf)
{
	if (!change->protect)
		return dead_entry(leaf);
	return ENTRY_FORMAT.with_permissions(space_traits(as), leaf, change->permissions);
}

/**
 * A private table of the leaves that a leaf at level, whose slot starts at gpa, splits into;
 * returns its entry. Those inside the change's range are changed, those that it cuts again and
 * those outside are not.
 */
static uint64_t split_table(struct addrspace *as, struct page_table_change *change, uint64_t leaf,
			    unsigned level, uint64_t gpa)
{
	uint64_t size = level_size(level - 1);
	uint64_t step = ENTRY_FORMAT.address_bits(size);
	uint64_t child = ENTRY_FORMAT.split(leaf, level);
	uint64_t inside = change->gpa > gpa ? change->gpa - gpa : 0;
	uint64_t inside_end = change->end - gpa;
	size_t first = (size_t)((inside + size - 1) / size);
	size_t behind = inside_end / size < PAGE_TABLE_ENTRIES ? (size_t)(inside_end / size)
							       : PAGE_TABLE_ENTRIES;
	uint64_t hpa = spare_pop(as, change);
	uint64_t *table = frame_pointer(as, hpa);

	/* Whole, and then what changes again: three loops in a row, each of an unforeseen length,
	 * are slower for a hole of a few pages. */
	entry_fill(table, child, step, PAGE_TABLE_ENTRIES);
	if (first < behind)
		entry_fill(table + first, changed_leaf(as, change, child) + first * step, step,
			   behind - first);
	return ENTRY_FORMAT.table | ENTRY_FORMAT.address_bits(hpa) | (leaf & ENTRY_FORMAT.owned);
}

/** Splits the private leaf or tree in *entry, of a slot at level, until boundary ends a leaf. */
static void split_at(struct addrspace *as, struct page_table_change *change, uint64_t *entry,
		     unsigned level, uint64_t boundary)
{
	while (cuts_slot(boundary, level)) {
		uint64_t *table;

		if (!ENTRY_FORMAT.is_table(*entry, level))
			*entry = split_table(as, change, *entry, level,
					     boundary & ~(level_size(level) - 1));
		table = entry_table(as, *entry);
		level--;
		if (level > 0 && cuts_slot(boundary, level))
			*entry |= ENTRY_FORMAT.owned;
		entry = &table[slot_index(as, boundary, level)];
	}
}

/** The same for a leaf that must become pages as far as the change reaches; the rest stays as large
 * as it can be. */
static void split_small(struct addrspace *as, struct page_table_change *change, uint64_t *entry,
			unsigned level, uint64_t start)
{
	uint64_t gpa = change->gpa > start ? change->gpa & ~(level_size(1) - 1) : start;

	/* An edge in each piece of 2 MiB. */
	for (; gpa < change->end && gpa - start < level_size(level); gpa += level_size(1))
		split_at(as, change, entry, level, gpa + ADDRSPACE_PAGE_SIZE);
}

/** The table that takes the place of a leaf at level, whose slot contains gpa. */
static uint64_t split_leaf(struct addrspace *as, struct page_table_change *change, uint64_t leaf,
			   unsigned level, uint64_t gpa)
{
	uint64_t start = gpa & ~(level_size(level) - 1);
	uint64_t table = leaf;

	if (change->small)
		split_small(as, change, &table, level, start);
	if (change->gpa > start)
		split_at(as, change, &table, level, change->gpa);
	if (change->end - start < level_size(level))
		split_at(as, change, &table, level, change->end);
	return table;
}

/** Cleans the tables that a leaf was split into, before they are linked. */
static RARELY void split_sync(const struct addrspace *as, uint64_t entry, unsigned level)
{
	const uint64_t *table = entry_table(as, entry);

	for (size_t i = 0; level > 1 && i < PAGE_TABLE_ENTRIES; i++) {
		if (ENTRY_FORMAT.is_table(table[i], level - 1))
			build_sync(as, entry_table(as, table[i]), level - 2);
	}
	build_sync(as, table, level - 1);
}

/** Takes them back. */
static RARELY void split_undo(struct addrspace *as, struct page_table_change *change,
			      uint64_t entry, unsigned level)
{
	const uint64_t *table = entry_table(as, entry);

	for (size_t i = 0; level > 1 && i < PAGE_TABLE_ENTRIES; i++) {
		if (ENTRY_FORMAT.is_table(table[i], level - 1))
			spare_push(as, change, ENTRY_FORMAT.table_address(table[i]));
	}
	spare_push(as, change, ENTRY_FORMAT.table_address(entry));
}

/** Puts a table in place of a leaf that was broken, or that may be changed while it is live. */
static void publish_split(struct addrspace *as, struct page_table_change *change, uint64_t *slot,
			  uint64_t *parent, unsigned level, uint64_t gpa, uint64_t leaf)
{
	uint64_t expected = entry_read(slot);
	bool live = expected & ENTRY_FORMAT.present;

	mark_owned(parent);
	for (;;) {
		uint64_t table = split_leaf(as, change, live ? expected : leaf, level, gpa);

		if (as->handler->sync_table)
			split_sync(as, table, level);
		if (!live || !(as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD)) {
			entry_write(slot, table);
			break;
		}
		if (entry_exchange(slot, &expected, table))
			break;
		/* Hardware set A or D meanwhile: once more, from the new leaf. */
		split_undo(as, change, table, level);
	}
	if (as->handler->sync_table)
		as->handler->sync_table(as->handler_ctx, slot, sizeof(*slot));
}

/** Replaces a live entry that hardware may be setting A or D in; returns what it last was. */
static uint64_t take_entry(struct walk *walk, uint64_t *slot, uint64_t entry)
{
	if (!(walk->as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD)) {
		walk_store(walk, slot, dead_entry(entry));
		return entry;
	}
	while (!entry_exchange(slot, &entry, dead_entry(entry)))
		;
	walk_touch(walk, slot);
	return entry;
}

/** Which end of the change cuts the leaf in the current slot: 0 its start, 1 its end. */
static unsigned cut_index(const struct page_table_change *change, uint64_t gpa, unsigned level)
{
	return (gpa & ~(level_size(level) - 1)) < change->gpa ? 0 : 1;
}

/**
 * Makes the ends of the range the edges of leaves, where the leaf in the current slot is cut. Where
 * the architecture demands it a live leaf is broken, and the table that takes its place follows the
 * invalidation; elsewhere the table goes in at once, and the rest of the leaf stays reachable.
 */
static void cut_leaf(struct addrspace *as, struct page_table_change *change, struct walk *walk,
		     uint64_t *slot, uint64_t entry)
{
	change_note(change, walk->gpa, entry, walk->level);
	if (!ENTRY_FORMAT.break_before_split || !(entry & ENTRY_FORMAT.present)) {
		publish_split(as, change, slot, walk_parent_slot(walk), walk->level, walk->gpa,
			      entry);
		return;
	}
	entry = take_entry(walk, slot, entry);
	if (change->small)
		change->small_broken = true;
	else
		change->broken[cut_index(change, walk->gpa, walk->level)] = entry;
}

/** Puts tables in place of the broken leaves that must become pages. There may be many: they are
 * where they were, dead, and their region still has the permissions that they had. */
static RARELY void walk_small_finish(struct addrspace *as, struct page_table_change *change)
{
	struct walk walk;

	change->small = true;
	walk_start_root(&walk, as, change->gpa, change->end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);
			const struct region_record *record;

			if (entry & ENTRY_FORMAT.present || !(entry & ENTRY_FORMAT.dead)) {
				build_over(&walk, entry);
				continue;
			}
			record = addrspace_region_set_record(as, walk.gpa);
			WALK_ASSERT(record);
			entry = ENTRY_FORMAT.with_permissions(space_traits(as),
							      entry & ~ENTRY_FORMAT.dead,
							      region_record_permissions(record));
			publish_split(as, change, slot, walk_parent_slot(&walk), walk.level,
				      walk.gpa, entry);
			walk_next(&walk);
		}
	} while (walk_leave(&walk));
}

static void walk_finish_cuts(struct addrspace *as, struct page_table_change *change)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t gpa = i == 0 ? change->gpa : change->end - 1;
		struct page_table_position position;

		if (!change->broken[i])
			continue;
		find_cut(as, gpa, &position);
		publish_split(as, change, position.slot, position.parent, position.level, gpa,
			      change->broken[i]);
	}
	cpu_publish_entries();
}

/* ---- removing ---- */

/** True if a table has no entry outside of what the change covers: looks outward from the hole. */
static bool table_empty_outside(const struct addrspace *as, const struct page_table_change *change,
				const uint64_t *table, unsigned level, uint64_t gpa)
{
	uint64_t size = level_size(level + 1);
	uint64_t start = gpa & ~(size - 1);
	uint64_t first_gpa = change->gpa > start ? change->gpa : start;
	uint64_t last_gpa = change->end - start < size ? change->end - 1 : start + size - 1;
	size_t below = slot_index(as, first_gpa, level);
	size_t above = slot_index(as, last_gpa, level) + 1;

	while (below > 0 || above < PAGE_TABLE_ENTRIES) {
		if (below > 0 && entry_read(&table[--below]))
			return false;
		if (above < PAGE_TABLE_ENTRIES && entry_read(&table[above++]))
			return false;
	}
	return true;
}

static void walk_detach(struct addrspace *as, struct page_table_change *change, bool prune)
{
	/* Bit n: the current table at level n keeps something of the range. */
	unsigned survivors = 0;
	struct walk walk;

	walk_start_root(&walk, as, change->gpa, change->end);
	for (;;) {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);

			if (!entry) {
				walk_skip_empty(&walk);
				continue;
			}
			change->found = true;
			if (walk_covers_slot(&walk)) {
				change_note(change, walk.gpa, entry, walk.level);
				walk_store(&walk, slot, dead_entry(entry));
			} else if (ENTRY_FORMAT.is_table(entry, walk.level)) {
				survivors &= ~(1u << (walk.level - 1));
				walk_descend(&walk, entry_table(as, entry));
				continue;
			} else {
				survivors |= 1u << walk.level;
				cut_leaf(as, change, &walk, slot, entry);
			}
			walk_next(&walk);
		}
		do {
			unsigned child = walk.level;
			uint64_t *slot;

			if (!walk_ascend(&walk))
				return;
			slot = walk_left_slot(&walk);
			if (prune && !(survivors >> child & 1) &&
			    table_empty_outside(as, change, walk.tables[child], child,
						walk.gpa - 1)) {
				uint64_t entry = entry_read(slot);

				change_note(change, walk.gpa - 1, entry, walk.level);
				walk_store(&walk, slot, dead_entry(entry));
			} else {
				survivors |= 1u << walk.level;
			}
		} while (walk.gpa == walk.table_end);
	}
}

static void walk_release(struct addrspace *as, struct page_table_change *change)
{
	struct walk_owner owner = {.keep_charge = change->keep_charge};

	free_range(as, frame_pointer(as, as->root_hpa), root_level(as), change->gpa, change->end, 0,
		   &owner);
}

/* ---- protect ---- */

static void protect_leaf(struct page_table_change *change, struct walk *walk, uint64_t *slot,
			 uint64_t entry)
{
	struct entry_traits traits = space_traits(walk->as);
	uint64_t next = ENTRY_FORMAT.with_permissions(traits, entry, change->permissions);

	/* Exchanged where hardware may set D meanwhile, or the bit is lost. */
	if (traits.cpu_features & ADDRSPACE_CPU_HARDWARE_AD) {
		while (!entry_exchange(slot, &entry, next))
			next = ENTRY_FORMAT.with_permissions(traits, entry, change->permissions);
	} else {
		entry_write(slot, next);
	}
	change_note(change, walk->gpa, entry, walk->level);
}

/** Notes the first and the last live leaf of the slots [first, last] of the current table. */
static NEVER_INLINE void protect_note(struct page_table_change *change, const struct walk *walk,
				      uint64_t *first, uint64_t *last)
{
	uint64_t *slot = first;

	while (slot < last && !(entry_read(slot) & ENTRY_FORMAT.present))
		slot++;
	change_note(change, walk->gpa + (uint64_t)(slot - first) * ADDRSPACE_PAGE_SIZE,
		    entry_read(slot), 0);
	for (slot = last; slot > first && !(entry_read(slot) & ENTRY_FORMAT.present);)
		slot--;
	change_note(change, walk->gpa + (uint64_t)(slot - first) * ADDRSPACE_PAGE_SIZE,
		    entry_read(slot), 0);
}

/** The rest of a table of pages, in which hardware sets nothing: what permissions mean in bits is the
 * same for all of them. */
static NEVER_INLINE void protect_pages(struct page_table_change *change, struct walk *walk)
{
	uint64_t *first = walk_slot(walk);
	uint64_t *last = first + (walk->table_end - 1 - walk->gpa) / ADDRSPACE_PAGE_SIZE;
	const uint64_t mask = ENTRY_FORMAT.permission_mask;
	uint64_t bits = ENTRY_FORMAT.with_permissions(space_traits(walk->as), entry_read(first),
						      change->permissions) &
			mask;

	protect_note(change, walk, first, last);
	for (uint64_t *slot = first; slot <= last; slot++) {
		uint64_t entry = entry_read(slot);

		if (entry)
			entry_write(slot, (entry & ~mask) | bits);
	}
	walk_touch(walk, first);
	walk->gpa = walk->table_end;
}

static void walk_protect(struct addrspace *as, struct page_table_change *change, uint64_t gpa,
			 uint64_t end)
{
	bool hardware_ad = as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD;
	struct walk walk;

	walk_start_root(&walk, as, gpa, end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);

			if (!entry) {
				walk_skip_empty(&walk);
				continue;
			}
			if (walk.level == 0 && !hardware_ad) {
				protect_pages(change, &walk);
				continue;
			}
			if (ENTRY_FORMAT.is_table(entry, walk.level)) {
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			if (walk_covers_slot(&walk) && !(change->small && walk.level > 0)) {
				protect_leaf(change, &walk, slot, entry);
				walk_touch(&walk, slot);
			} else {
				cut_leaf(as, change, &walk, slot, entry);
			}
			walk_next(&walk);
		}
	} while (walk_leave(&walk));
}

#endif
