/* SPDX-License-Identifier: MIT */
/* One address at a time: judging a fault, resolving it in parallel with others, translating. */
#ifndef ADDRSPACE_SRC_WALK_FAULT_H
#define ADDRSPACE_SRC_WALK_FAULT_H

#include "backend/backend.h"
#include "held.h"
#include "walk_map.h"

/*
 * A descent for one address is compiled once for each number of levels with the direct map, so that
 * every shift is an immediate and every level has an exit of its own; and once for all the rest.
 */
#define WALK_ANY_LEVELS 0u

/** One level of walk_to_leaf(): goes on below a live table, ends at anything else. */
#define WALK_LEVEL(n)                                                                              \
	entry = entry_read(slot);                                                                  \
	if (!is_live_table(entry)) {                                                               \
		position->slot = slot;                                                             \
		position->parent = parent;                                                         \
		position->level = (n);                                                             \
		return entry;                                                                      \
	}                                                                                          \
	parent = slot;                                                                             \
	slot = walk_direct_slot(as, entry, gpa, (n)-1u)

ALWAYS_INLINE uint64_t *walk_direct_slot(const struct addrspace *as, uint64_t entry, uint64_t gpa,
					 unsigned level)
{
	uint64_t hpa = ENTRY_FORMAT.table_address(entry);
	uint64_t index = gpa >> (PAGE_SHIFT + PAGE_TABLE_INDEX_BITS * level) & 511;

	return (uint64_t *)direct_pointer(as, hpa) + index;
}

ALWAYS_INLINE uint64_t walk_direct(const struct addrspace *as, uint64_t gpa, unsigned levels,
				   struct page_table_position *position)
{
	uint64_t *slot = (uint64_t *)direct_pointer(as, as->root_hpa) +
			 (gpa >> (PAGE_SHIFT + PAGE_TABLE_INDEX_BITS * (levels - 1)));
	uint64_t *parent = NULL;
	uint64_t entry;

	switch (levels) {
	case 5:
		WALK_LEVEL(4);
		/* fall through */
	case 4:
		WALK_LEVEL(3);
		/* fall through */
	case 3:
		WALK_LEVEL(2);
		/* fall through */
	default:
		WALK_LEVEL(1);
	}
	position->slot = slot;
	position->parent = parent;
	position->level = 0;
	return entry_read(slot);
}

static uint64_t walk_any(const struct addrspace *as, uint64_t gpa,
			 struct page_table_position *position)
{
	uint64_t *table = frame_pointer(as, as->root_hpa);
	unsigned level = root_level(as);

	position->parent = NULL;
	for (;;) {
		uint64_t *slot = &table[slot_index(as, gpa, level)];
		uint64_t entry = entry_read(slot);

		if (level == 0 || !is_live_table(entry)) {
			position->slot = slot;
			position->level = level;
			return entry;
		}
		position->parent = slot;
		table = entry_table(as, entry);
		level--;
	}
}

/** Descends to the entry that decides about gpa: a leaf, or the empty slot where the path ends. */
ALWAYS_INLINE uint64_t walk_to_leaf(const struct addrspace *as, uint64_t gpa, unsigned levels,
				    struct page_table_position *position)
{
	return levels == WALK_ANY_LEVELS ? walk_any(as, gpa, position)
					 : walk_direct(as, gpa, levels, position);
}

ALWAYS_INLINE bool leaf_allows(uint64_t entry, unsigned access)
{
	return entry & ENTRY_FORMAT.present && !(access & ~ENTRY_FORMAT.permissions(entry));
}

static RARELY bool walk_allows(const struct addrspace *as, uint64_t gpa, unsigned access)
{
	struct page_table_position position;

	return leaf_allows(walk_any(as, gpa, &position), access);
}

static RARELY void walk_sync_path(const struct addrspace *as, uint64_t gpa)
{
	uint64_t *table = frame_pointer(as, as->root_hpa);

	for (unsigned level = root_level(as);; level--) {
		uint64_t *slot = &table[slot_index(as, gpa, level)];
		uint64_t entry = entry_read(slot);

		as->handler->sync_table(as->handler_ctx, slot, sizeof(entry));
		if (level == 0 || !is_live_table(entry))
			return;
		table = entry_table(as, entry);
	}
}

/** Hardware may be setting bits of its own in the entry; nobody takes it away under the lock. */
static RARELY void walk_mark_dirty(const struct addrspace *as, uint64_t gpa)
{
	struct page_table_position position;
	uint64_t entry = walk_any(as, gpa, &position);

	if (!(as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD))
		return;
	while (!entry_exchange(position.slot, &entry, ENTRY_FORMAT.with_dirty(entry)))
		;
	if (as->handler->sync_table)
		as->handler->sync_table(as->handler_ctx, position.slot, sizeof(entry));
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

/** Frees an entry of a slot at level that was built for the page and not published: a chain, so that it
 * takes less stack than trees do. */
static RARELY void install_undo(struct addrspace *as, const struct region_record *record,
				uint64_t gpa, uint64_t entry, unsigned level)
{
	while (ENTRY_FORMAT.is_table(entry, level)) {
		uint64_t hpa = ENTRY_FORMAT.table_address(entry);
		const uint64_t *table = frame_pointer(as, hpa);

		level--;
		entry = entry_read(&table[slot_index(as, gpa, level)]);
		addrspace_frame_free(as, ADDRSPACE_FRAME_TABLE, 0, hpa);
	}
	free_guest_frames(as, entry, level, gpa, record->cookie);
	addrspace_frame_uncharge(as, ADDRSPACE_FRAME_GUEST, level_size(level) >> PAGE_SHIFT);
}

/** The tables from the leaf in *entry, at level, up to a slot at top, all private; on failure
 * nothing is left of them, nor of the leaf. */
static NEVER_INLINE int install_tables(struct addrspace *as, const struct region_record *record,
				       uint64_t gpa, unsigned level, unsigned top, uint64_t *entry)
{
	for (; level < top; level++) {
		int error = install_table(as, level, gpa, entry);

		if (error) {
			install_undo(as, record, gpa, *entry, level);
			return error;
		}
	}
	return 0;
}

/** The frames of a leaf at level that starts at gpa, and the leaf; on failure nothing is left. */
ALWAYS_INLINE int install_leaf(struct addrspace *as, const struct region_record *record,
			       unsigned level, uint64_t gpa, uint64_t *entry)
{
	uint64_t frames = level_size(level) >> PAGE_SHIFT;
	uint64_t hpa = 0;
	int error = 0;

	if (UNLIKELY(as->handler->charge))
		error = addrspace_frame_charge(as, ADDRSPACE_FRAME_GUEST, frames);
	if (UNLIKELY(error))
		return error;
	error = allocate_guest_frames(as, level, gpa, record->cookie, &hpa);
	if (UNLIKELY(error)) {
		addrspace_frame_uncharge(as, ADDRSPACE_FRAME_GUEST, frames);
		return error;
	}
	*entry = ENTRY_FORMAT.leaf(space_traits(as), level, region_record_permissions(record),
				   region_record_memory_type(record)) |
		 ENTRY_FORMAT.owned | ENTRY_FORMAT.address_bits(hpa);
	return 0;
}

/** Other CPUs' faults share the lock: who finds the slot filled gives all that the entry names
 * back, and answers PAGE_TABLE_LOST. */
ALWAYS_INLINE int install_entry(struct addrspace *as, const struct region_record *record,
				uint64_t gpa, unsigned level, uint64_t *slot, uint64_t entry)
{
	uint64_t empty = 0;

	if (!as->handler->lock_shared) {
		entry_write(slot, entry);
	} else if (UNLIKELY(!entry_exchange(slot, &empty, entry))) {
		install_undo(as, record, gpa, entry, level);
		return PAGE_TABLE_LOST;
	}
	return ADDRSPACE_FAULT_RESOLVED;
}

/** Links a private leaf at level at an absent position at or above that: ADDRSPACE_FAULT_RESOLVED,
 * or nothing is left and it is an error, or PAGE_TABLE_LOST. */
ALWAYS_INLINE int install_link(struct addrspace *as, const struct page_table_position *position,
			       const struct region_record *record, unsigned level, uint64_t gpa,
			       uint64_t entry)
{
	int result;

	if (UNLIKELY(position->level > level)) {
		result = install_tables(as, record, gpa, level, position->level, &entry);
		if (result)
			return result;
	}
	mark_owned(position->parent);
	result = install_entry(as, record, gpa, position->level, position->slot, entry);
	if (UNLIKELY(result))
		return result;
	cpu_publish_entries();
	return ADDRSPACE_FAULT_RESOLVED;
}

/** Allocates a page for the region and links it at an absent position. */
ALWAYS_INLINE int install_page(struct addrspace *as, const struct page_table_position *position,
			       const struct region_record *record, uint64_t gpa)
{
	uint64_t entry = 0;
	int error = install_leaf(as, record, 0, gpa, &entry);

	if (UNLIKELY(error))
		return error;
	return install_link(as, position, record, 0, gpa, entry);
}

/** By itself, so that its frame is gone from the stack when the tables follow. */
static RARELY int install_run(struct addrspace *as, const struct region_record *record,
			      unsigned level, uint64_t gpa, uint64_t *entry)
{
	return install_leaf(as, record, level, gpa, entry);
}

/** True if the slot at level that begins at start is empty and lies in the region, and no job holds
 * part of it: a region that is being discarded reaches over what its job holds. */
static bool install_fits(const struct addrspace *as, const struct page_table_position *position,
			 const struct region_record *record, unsigned level, uint64_t start)
{
	return level <= position->level && as->leaf_levels >> level & 1 && start >= record->start &&
	       level_size(level) <= region_record_size(record) - (start - record->start) &&
	       !held(as, start, start + level_size(level));
}

/** Pages for what is empty of [gpa, end), which lies in one table, as far as memory goes; nothing
 * if there is no table of pages. Returns where what is present ends, and with an error, if that may
 * be told, why. */
static RARELY uint64_t install_pages(struct addrspace *as, const struct region_record *record,
				     uint64_t gpa, uint64_t end, int *error)
{
	struct page_table_position first;
	uint64_t *slot;

	walk_any(as, gpa, &first);
	if (first.level > 0)
		return gpa;
	mark_owned(first.parent);
	for (slot = first.slot; gpa < end; slot++, gpa += ADDRSPACE_PAGE_SIZE) {
		uint64_t entry;
		int result = entry_read(slot) ? 1 : install_run(as, record, 0, gpa, &entry);

		if (result < 0) {
			if (error)
				*error = result;
			break;
		}
		/* Where another CPU was faster the page is there as well. */
		if (!result)
			install_entry(as, record, gpa, 0, slot, entry);
	}
	cpu_publish_entries();
	if (as->handler->sync_table && slot != first.slot)
		as->handler->sync_table(as->handler_ctx, first.slot,
					(size_t)(slot - first.slot) * sizeof(*slot));
	return gpa;
}

/** The pages around one that has just come, as many as the region wants at a time. Best effort. */
static RARELY void install_around(struct addrspace *as, const struct region_record *record,
				  uint64_t gpa)
{
	uint64_t block = ADDRSPACE_PAGE_SIZE << region_record_fault_around(record);
	uint64_t region_end = record->start + region_record_size(record);
	uint64_t start = gpa & ~(block - 1);
	uint64_t end = start + block;

	if (held(as, start, end))
		return;
	if (start < record->start)
		start = record->start;
	install_pages(as, record, start, end < region_end ? end : region_end, NULL);
}

/** For a region that wants more than a page at a time: the largest run that fits and can be had. */
static RARELY int install_largest(struct addrspace *as, const struct page_table_position *position,
				  const struct region_record *record, uint64_t gpa)
{
	for (unsigned level = backend_record_largest_run(record);; level--) {
		uint64_t start = gpa & ~(level_size(level) - 1);
		int result = ADDRSPACE_ENOMEM;
		uint64_t entry;

		if (install_fits(as, position, record, level, start))
			result = install_run(as, record, level, start, &entry);
		if (!result)
			result = install_link(as, position, record, level, start, entry);
		if (level == 0 || (result != ADDRSPACE_ENOMEM && result != ADDRSPACE_EDQUOT))
			return result;
	}
}

/** A run or, where there is none, a page and those around it. */
static RARELY int install_more(struct addrspace *as, const struct page_table_position *position,
			       const struct region_record *record, uint64_t gpa)
{
	int result = install_largest(as, position, record, gpa);

	/* Nothing comes around a run: there is no table of pages then. */
	if (result == ADDRSPACE_FAULT_RESOLVED && region_record_fault_around(record))
		install_around(as, record, gpa);
	return result;
}

/** What an absent or refusing entry comes to, where it is not simply a page that is to come. */
static RARELY int fault_otherwise(struct addrspace *as, const struct page_table_position *position,
				  const struct region_record *record, uint64_t entry, uint64_t gpa)
{
	if (entry || !backend_record_faults_in(record))
		return (int)backend_record_unresolved(record);
	return install_more(as, position, record, gpa);
}

/** Walks first: where a leaf allows the access, the guest need only retry. */
ALWAYS_INLINE int walk_fault(struct addrspace *as, uint64_t gpa, unsigned access, unsigned levels,
			     unsigned *level)
{
	struct page_table_position position;
	uint64_t entry = walk_to_leaf(as, gpa, levels, &position);
	const struct region_record *record;

	*level = position.level;
	if (leaf_allows(entry, access))
		return ADDRSPACE_FAULT_ALREADY_RESOLVED;
	/* While there are jobs it is this instance that is called: see choose_walker(). */
	if (levels == WALK_ANY_LEVELS && held(as, gpa, gpa + 1))
		return ADDRSPACE_FAULT_NOT_BACKED;
	record = addrspace_region_set_record(as, gpa);
	if (!record)
		return ADDRSPACE_FAULT_NOT_BACKED;
	if (access & ~region_record_permissions(record))
		return ADDRSPACE_FAULT_DENIED;
	if (UNLIKELY(entry || !backend_record_faults_page_in(record))) {
		/* A copy, so that the path above keeps its own in registers. */
		struct page_table_position where = position;

		return fault_otherwise(as, &where, record, entry, gpa);
	}
	return install_page(as, &position, record, gpa);
}

ALWAYS_INLINE bool walk_translate(const struct addrspace *as, uint64_t gpa, unsigned levels,
				  struct addrspace_translation *translation)
{
	bool hardware_ad = as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD;
	struct page_table_position position;
	uint64_t entry = walk_to_leaf(as, gpa, levels, &position);
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

ALWAYS_INLINE uint64_t walk_reach(const struct addrspace *as, uint64_t gpa, uint64_t most,
				  unsigned access, unsigned levels, uint64_t *hpa)
{
	bool hardware_ad = as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD;
	struct page_table_position position;
	uint64_t entry = walk_to_leaf(as, gpa, levels, &position);
	uint64_t size = level_size(position.level);
	uint64_t bytes = size - (gpa & (size - 1));
	uint64_t room; /* slots behind this one in its table */
	uint64_t first = bytes;

	if (!leaf_allows(entry, access) ||
	    (access & ADDRSPACE_WRITE && hardware_ad && !ENTRY_FORMAT.dirty(entry)) ||
	    ENTRY_FORMAT.memory_type(space_traits(as), entry, position.level) == ADDRSPACE_DEVICE)
		return 0;
	*hpa = ENTRY_FORMAT.leaf_address(entry, position.level) + (size - bytes);
	room = ~gpa >> (PAGE_SHIFT + PAGE_TABLE_INDEX_BITS * position.level) &
	       (PAGE_TABLE_ENTRIES - 1);
	/* A run that came as one, or luck: the next entry is this one but for a step. */
	for (; bytes < most && room; room--, bytes += size) {
		entry += ENTRY_FORMAT.address_bits(size);
		if (entry_read(++position.slot) != entry)
			break;
	}
	/* The step may have gone beyond the address's bits. */
	if (UNLIKELY((*hpa + bytes - 1) >> as->host_bits))
		bytes = first;
	return bytes < most ? bytes : most;
}

/** The calls for one address, in spaces of so many levels with the direct map: walker_NAME. */
#define WALKER_FOR(name, levels)                                                                   \
	static int walk_fault_##name(struct addrspace *as, uint64_t gpa, unsigned access,          \
				     unsigned *level)                                              \
	{                                                                                          \
		return walk_fault(as, gpa, access, levels, level);                                 \
	}                                                                                          \
	static bool walk_translate_##name(const struct addrspace *as, uint64_t gpa,                \
					  struct addrspace_translation *translation)               \
	{                                                                                          \
		return walk_translate(as, gpa, levels, translation);                               \
	}                                                                                          \
	static uint64_t walk_reach_##name(const struct addrspace *as, uint64_t gpa, uint64_t most, \
					  unsigned access, uint64_t *hpa)                          \
	{                                                                                          \
		return walk_reach(as, gpa, most, access, levels, hpa);                             \
	}                                                                                          \
	static const struct addrspace_walker walker_##name = {                                     \
		walk_fault_##name, walk_translate_##name, walk_reach_##name}

WALKER_FOR(any, WALK_ANY_LEVELS);
/* Where size counts, one serves for all. */
#ifdef __OPTIMIZE_SIZE__
#define walker_2 walker_any
#define walker_3 walker_any
#define walker_4 walker_any
#define walker_5 walker_any
#endif

#endif
