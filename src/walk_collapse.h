/* SPDX-License-Identifier: MIT */
/*
 * Collapsing: a slot whose table maps one aligned run of memory, evenly and without a gap, gets the one
 * leaf that says the same, and the tables below it go.
 *
 * Pass one breaks such slots: the entry goes dead and keeps the table's address, so that the broken
 * slots are the list of what is to be done. Hardware may still reach the old leaves by what its caches
 * hold, and set A and D in them, until the caller has invalidated. Only then does pass two read what
 * was recorded, put the leaf in place, and free the tables.
 */
#ifndef ADDRSPACE_SRC_WALK_COLLAPSE_H
#define ADDRSPACE_SRC_WALK_COLLAPSE_H

#include "backend/backend.h"
#include "walk_change.h"

/** What the leaves of the region looked at last are without address, and what hardware has recorded in
 * those that were read. */
struct collapser {
	struct addrspace *as;
	uint64_t gpa;
	uint64_t size; /* 0: no region */
	unsigned leaf_levels;
	uint64_t leaves[PAGE_TABLE_MAX_LEAF + 1];
	uint64_t any; /* bits that one of the leaves has */
	uint64_t all; /* bits that all have */
};

/** Bits in which the leaves of a run may differ. */
static uint64_t recorded_bits(const struct addrspace *as)
{
	if (!(as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD))
		return 0;
	return ENTRY_FORMAT.recorded_by_setting | ENTRY_FORMAT.recorded_by_clearing;
}

static RARELY void collapser_set(struct collapser *collapser, const struct addrspace_region *region)
{
	struct addrspace *as = collapser->as;
	uint64_t owned = region->backend.kind == ADDRSPACE_ALLOC ? ENTRY_FORMAT.owned : 0;

	collapser->gpa = region->gpa;
	collapser->size = region->size;
	collapser->leaf_levels = as->leaf_levels;
	if (backend_pages_only(region))
		collapser->leaf_levels = 1;
	for (unsigned level = 0; level <= PAGE_TABLE_MAX_LEAF; level++)
		collapser->leaves[level] =
			owned | ENTRY_FORMAT.leaf(space_traits(as), level, region->permissions,
						  region->memory_type);
}

/** True if the region at gpa, which starts a slot at level, reaches over all of it and takes a leaf of
 * that size. */
static RARELY bool collapser_fits(struct collapser *collapser, uint64_t gpa, unsigned level)
{
	struct addrspace_region region;

	if (gpa - collapser->gpa >= collapser->size) {
		collapser->size = 0;
		if (addrspace_region_set_find(collapser->as, gpa, &region))
			collapser_set(collapser, &region);
	}
	return gpa - collapser->gpa < collapser->size &&
	       level_size(level) <= collapser->size - (gpa - collapser->gpa) &&
	       collapser->leaf_levels >> level & 1;
}

/** Reads leaves of one table until one is not the leaf before it a step on, but for what hardware
 * records, which is collected; returns how many were. */
static NEVER_INLINE size_t collapser_read(struct collapser *collapser, const uint64_t *slot,
					  uint64_t leaf, uint64_t step, size_t count)
{
	const uint64_t recorded = recorded_bits(collapser->as);
	size_t read;

	if (!recorded)
		return entry_count_run(slot, leaf, step, count);
	for (read = 0; read < count; read++, leaf += step) {
		uint64_t entry = entry_read(&slot[read]);

		if ((entry ^ leaf) & ~recorded)
			break;
		collapser->any |= entry;
		collapser->all &= entry;
	}
	return read;
}

/** Where the memory of the first leaf below a table, whose slots are at level, starts; no address if
 * there is no such leaf. */
static RARELY uint64_t run_start(const struct addrspace *as, const uint64_t *table, unsigned level)
{
	uint64_t entry = entry_read(table);

	while (level > 0 && is_live_table(entry)) {
		entry = entry_read(entry_table(as, entry));
		level--;
	}
	return entry ? ENTRY_FORMAT.leaf_address(entry, level) : UINT64_MAX;
}

/**
 * Reads all that is below a slot at level, which starts at gpa and names table. True if that is the
 * run of leaves from hpa on; what hardware has recorded in them has been collected then.
 */
static RARELY bool collapser_scan(struct collapser *collapser, uint64_t *table, unsigned level,
				  uint64_t gpa, uint64_t hpa)
{
	struct addrspace *as = collapser->as;
	struct walk walk;

	collapser->any = 0;
	collapser->all = UINT64_MAX;
	walk_start(&walk, as, table, level - 1, gpa, gpa + level_size(level));
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);
			uint64_t size = level_size(walk.level);
			size_t count = walk.level ? 1 : PAGE_TABLE_ENTRIES;

			if (walk.level > 0 && is_live_table(entry)) {
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			if (collapser_read(
				    collapser, slot,
				    collapser->leaves[walk.level] |
					    ENTRY_FORMAT.address_bits(hpa + (walk.gpa - gpa)),
				    ENTRY_FORMAT.address_bits(size), count) < count)
				return false;
			walk.gpa += count * size;
		}
	} while (walk_leave(&walk));
	return true;
}

/** True if a leaf can say all that the live table in the walk's slot says. */
static RARELY bool collapser_takes(struct collapser *collapser, const struct walk *walk,
				   uint64_t entry)
{
	uint64_t *table = entry_table(collapser->as, entry);
	uint64_t hpa;

	if (walk->level > PAGE_TABLE_MAX_LEAF || !walk_covers_slot(walk) ||
	    !collapser_fits(collapser, walk->gpa, walk->level))
		return false;
	hpa = run_start(collapser->as, table, walk->level - 1);
	return !(hpa & (level_size(walk->level) - 1)) &&
	       collapser_scan(collapser, table, walk->level, walk->gpa, hpa);
}

static RARELY uint64_t walk_collapse_break(struct addrspace *as, struct page_table_change *change)
{
	struct collapser collapser = {.as = as};
	uint64_t collapsed = 0;
	struct walk walk;

	walk_start_root(&walk, as, change->gpa, change->end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);

			if (!entry) {
				walk_skip_empty(&walk);
				continue;
			}
			if (!is_live_table(entry)) {
				walk_next(&walk);
				continue;
			}
			if (collapser_takes(&collapser, &walk, entry)) {
				change_note(change, walk.gpa, entry, walk.level);
				walk_store(&walk, slot, dead_entry(entry));
				collapsed += level_size(walk.level);
			} else if (walk.level > 1) {
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			walk_next(&walk);
		}
	} while (walk_leave(&walk));
	return collapsed;
}

/** Frees a table that was broken and those below it, but not what their leaves name. */
static RARELY void free_collapsed(struct addrspace *as, uint64_t entry, unsigned level)
{
	const uint64_t *table = entry_table(as, entry);

	for (size_t i = 0; level > 1 && i < PAGE_TABLE_ENTRIES; i++) {
		uint64_t child = entry_read(&table[i]);

		if (is_live_table(child))
			free_table(as, ENTRY_FORMAT.table_address(child), level - 2);
	}
	free_table(as, ENTRY_FORMAT.table_address(entry), level - 1);
}

/** The leaf that takes the broken slot's place, with all that hardware recorded below it. */
static RARELY uint64_t collapsed_leaf(struct collapser *collapser, uint64_t entry, unsigned level,
				      uint64_t gpa)
{
	struct addrspace *as = collapser->as;
	uint64_t *table = entry_table(as, entry);
	uint64_t hpa = run_start(as, table, level - 1);
	bool sound = collapser_fits(collapser, gpa, level);
	uint64_t leaf = collapser->leaves[level] | ENTRY_FORMAT.address_bits(hpa);

	if (recorded_bits(as)) {
		sound = sound && collapser_scan(collapser, table, level, gpa, hpa);
		leaf |= collapser->any & ENTRY_FORMAT.recorded_by_setting;
		leaf &= collapser->all | ~ENTRY_FORMAT.recorded_by_clearing;
	}
	WALK_ASSERT(sound);
	return leaf;
}

static RARELY void walk_collapse_finish(struct addrspace *as,
					const struct page_table_change *change)
{
	struct collapser collapser = {.as = as};
	struct walk walk;

	walk_start_root(&walk, as, change->flush_gpa, change->flush_end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);

			if (walk.level > 1 && is_live_table(entry)) {
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			if (entry & ENTRY_FORMAT.dead && !(entry & ENTRY_FORMAT.present)) {
				walk_store(&walk, slot,
					   collapsed_leaf(&collapser, entry, walk.level, walk.gpa));
				free_collapsed(as, entry, walk.level);
			}
			walk_next(&walk);
		}
	} while (walk_leave(&walk));
	cpu_publish_entries();
}

#endif
