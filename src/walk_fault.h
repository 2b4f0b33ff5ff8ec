/* SPDX-License-Identifier: MIT */
/* One address at a time: judging a fault, resolving it in parallel with others, translating. */
#ifndef ADDRSPACE_SRC_WALK_FAULT_H
#define ADDRSPACE_SRC_WALK_FAULT_H

#include "walk_map.h"

/** Descends to the entry that decides about gpa: a leaf, or the empty slot where the path ends. */
ALWAYS_INLINE uint64_t walk_to_leaf(const struct addrspace *as, uint64_t gpa,
				    struct page_table_position *position)
{
	uint64_t *table = frame_pointer(as, as->root_hpa);
	unsigned level = root_level(as);

	position->parent = NULL;
	for (;;) {
		uint64_t *slot = &table[slot_index(as, gpa, level)];
		uint64_t entry = entry_read(slot);

		if (!(entry & ENTRY_FORMAT.present) || !ENTRY_FORMAT.is_table(entry, level)) {
			position->slot = slot;
			position->level = level;
			return entry;
		}
		position->parent = slot;
		table = entry_table(as, entry);
		level--;
	}
}

static enum page_table_leaf walk_find(const struct addrspace *as, uint64_t gpa, unsigned access,
				      struct page_table_position *position)
{
	uint64_t entry = walk_to_leaf(as, gpa, position);

	if (!entry)
		return PAGE_TABLE_ABSENT;
	if (entry & ENTRY_FORMAT.present && !(access & ~ENTRY_FORMAT.permissions(entry)))
		return PAGE_TABLE_ALLOWS;
	return PAGE_TABLE_REFUSES;
}

/** Puts a new private table above *entry, which becomes the entry that names it. */
static int install_table(struct addrspace *as, unsigned level, uint64_t gpa, uint64_t *entry)
{
	struct addrspace_frame frame;
	int error = addrspace_frame_allocate(as, ADDRSPACE_FRAME_TABLE, 0, &frame);
	uint64_t *table;

	if (error)
		return error;
	table = frame_pointer(as, frame.hpa);
	if (frame.contents != ADDRSPACE_FRAME_ZEROED)
		memset(table, 0, ADDRSPACE_PAGE_SIZE);
	table[slot_index(as, gpa, level)] = *entry;
	build_sync(as, table, level);
	*entry = ENTRY_FORMAT.table | ENTRY_FORMAT.owned | ENTRY_FORMAT.address_bits(frame.hpa);
	return 0;
}

/** The frame and the tables between it and the position, all private; on failure nothing is left.
 */
static int install_build(struct addrspace *as, const struct page_table_position *position,
			 const struct page_table_fill *fill, uint64_t *entry)
{
	uint64_t hpa;
	int error = addrspace_frame_charge(as, ADDRSPACE_FRAME_GUEST, 1);

	if (error)
		return error;
	error = allocate_guest_frame(as, fill, fill->gpa, &hpa);
	if (error) {
		addrspace_frame_uncharge(as, ADDRSPACE_FRAME_GUEST, 1);
		return error;
	}
	*entry = ENTRY_FORMAT.leaf(space_traits(as), 0, fill->permissions, fill->memory_type) |
		 ENTRY_FORMAT.owned | ENTRY_FORMAT.address_bits(hpa);
	for (unsigned level = 0; level < position->level; level++) {
		error = install_table(as, level, fill->gpa, entry);
		if (error) {
			build_undo(as, fill, *entry, level);
			return error;
		}
	}
	return 0;
}

static int walk_install(struct addrspace *as, const struct page_table_position *position,
			const struct page_table_fill *fill)
{
	const struct paging_handler *handler = as->handler;
	uint64_t empty = 0;
	uint64_t entry;
	int error = install_build(as, position, fill, &entry);

	if (error)
		return error;
	mark_owned(position->parent);
	/* Other CPUs' faults share the lock: who finds the slot filled gives the whole chain back.
	 */
	if (!handler->lock_shared) {
		entry_write(position->slot, entry);
	} else if (!entry_exchange(position->slot, &empty, entry)) {
		build_undo(as, fill, entry, position->level);
		return PAGE_TABLE_LOST;
	}
	if (handler->sync_table)
		handler->sync_table(as->handler_ctx, position->slot, sizeof(entry));
	cpu_publish_entries();
	return 0;
}

static bool walk_translate(const struct addrspace *as, uint64_t gpa,
			   struct addrspace_translation *translation)
{
	bool hardware_ad = as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD;
	struct page_table_position position;
	uint64_t entry = walk_to_leaf(as, gpa, &position);
	uint64_t size = level_size(position.level);

	if (!(entry & ENTRY_FORMAT.present))
		return false;
	translation->hpa = ENTRY_FORMAT.leaf_address(entry, position.level) + (gpa & (size - 1));
	translation->leaf_size = size;
	translation->remaining = 0;
	translation->permissions = ENTRY_FORMAT.permissions(entry);
	translation->memory_type =
		ENTRY_FORMAT.memory_type(space_traits(as), entry, position.level);
	translation->accessed = !hardware_ad || ENTRY_FORMAT.accessed(entry);
	translation->dirty = hardware_ad ? ENTRY_FORMAT.dirty(entry)
					 : (translation->permissions & ADDRSPACE_WRITE) != 0;
	return true;
}

#endif
