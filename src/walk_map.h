/* SPDX-License-Identifier: MIT */
/* Building trees in private, and putting them into an empty range or in place of what stood there.
 */
#ifndef ADDRSPACE_SRC_WALK_MAP_H
#define ADDRSPACE_SRC_WALK_MAP_H

#include "cpu.h"
#include "memory.h"
#include "walk_release.h"

struct builder {
	struct addrspace *as;
	const struct page_table_fill *fill;
	uint64_t leaves[PAGE_TABLE_MAX_LEAF + 1]; /* by level, without address */
	unsigned leaf_levels; /* bit n: leaves at level n fit CPU and alignment */
	uint64_t frames;      /* of guest data taken so far */
	uint64_t left;        /* entries to visit, and 1; 0: as many as there are */
};

static NEVER_INLINE void builder_start(struct builder *builder, struct addrspace *as,
				       const struct page_table_fill *fill)
{
	builder->as = as;
	builder->fill = fill;
	builder->frames = 0;
	builder->left = 0;
	builder->leaf_levels = 0;
	for (unsigned level = 0; level <= PAGE_TABLE_MAX_LEAF; level++) {
		bool aligned = fill->source == PAGE_TABLE_ALLOCATE ||
			       !((fill->gpa ^ fill->hpa) & (level_size(level) - 1));

		builder->leaves[level] = ENTRY_FORMAT.leaf(space_traits(as), level,
							   fill->permissions, fill->memory_type);
		if (fill->source != PAGE_TABLE_LINEAR)
			builder->leaves[level] |= ENTRY_FORMAT.owned;
		if (fill->dirty && as->cpu_features & ADDRSPACE_CPU_HARDWARE_AD)
			builder->leaves[level] = ENTRY_FORMAT.with_dirty(builder->leaves[level]);
		if (level == 0 || (level <= fill->largest_leaf && aligned))
			builder->leaf_levels |= as->leaf_levels & (1u << level);
	}
}

ALWAYS_INLINE bool builder_has_leaves(const struct builder *builder, unsigned level)
{
	return builder->leaf_levels >> level & 1;
}

/** The frames of a leaf at level, filled and prepared; their charge has been paid. */
ALWAYS_INLINE int allocate_guest_frames(struct addrspace *as, unsigned level, uint64_t gpa,
					uint64_t cookie, uint64_t *hpa)
{
	const struct paging_handler *handler = as->handler;
	const struct addrspace_frame_request request = {
		.kind = ADDRSPACE_FRAME_GUEST,
		.order = PAGE_TABLE_INDEX_BITS * level,
		.gpa = gpa,
		.cookie = cookie,
	};
	struct addrspace_frame frame;
	int error = frame_take(as, &request, &frame);

	if (error)
		return error;
	if (frame.contents != ADDRSPACE_FRAME_ZEROED && frame.contents != ADDRSPACE_FRAME_VALID)
		memset(frame_pointer(as, frame.hpa), 0, level_size(level));
	/* Filled, then prepared, then published: the guest may look with its caches off. */
	if (UNLIKELY(handler->prepare_frame))
		handler->prepare_frame(as->handler_ctx, frame.hpa, level_size(level));
	*hpa = frame.hpa;
	return 0;
}

ALWAYS_INLINE int build_owned(struct builder *builder, unsigned level, uint64_t gpa,
			      uint64_t *entry)
{
	uint64_t hpa;
	int error = allocate_guest_frames(builder->as, level, gpa, builder->fill->cookie, &hpa);

	if (error)
		return error;
	builder->frames += level_size(level) >> PAGE_SHIFT;
	*entry = builder->leaves[level] | ENTRY_FORMAT.address_bits(hpa);
	return 0;
}

static int build_page(struct builder *builder, uint64_t gpa, uint64_t *entry)
{
	return build_owned(builder, 0, gpa, entry);
}

static uint64_t build_leaf(const struct builder *builder, unsigned level, uint64_t gpa)
{
	uint64_t hpa = builder->fill->hpa + (gpa - builder->fill->gpa);

	return builder->leaves[level] | ENTRY_FORMAT.address_bits(hpa);
}

/** A frame of its own for each of the slots, as far as memory goes. */
static NEVER_INLINE int build_pages(struct builder *builder, struct walk *walk, uint64_t *slot,
				    size_t count)
{
	for (size_t i = 0; i < count; i++, walk->gpa += ADDRSPACE_PAGE_SIZE) {
		int error = build_page(builder, walk->gpa, &slot[i]);

		if (error)
			return error;
	}
	return 0;
}

/** Fills the slots of a private table that the range covers whole. */
static int build_leaves(struct builder *builder, struct walk *walk)
{
	uint64_t size = level_size(walk->level);
	size_t count = (size_t)((walk->table_end - walk->gpa) / size);
	uint64_t *slot = walk_slot(walk);

	count = count < builder->left ? count : (size_t)builder->left;
	builder->left -= count - 1;
	if (builder->fill->source == PAGE_TABLE_ALLOCATE)
		return build_pages(builder, walk, slot, count);
	entry_fill(slot, build_leaf(builder, walk->level, walk->gpa),
		   ENTRY_FORMAT.address_bits(size), count);
	walk->gpa += count * size;
	return 0;
}

/** True if a table at this level that maps [gpa, end) holds tables of its own, or owned frames. */
static bool builder_owns(const struct builder *builder, unsigned level, uint64_t gpa, uint64_t end)
{
	if (builder->fill->source != PAGE_TABLE_LINEAR)
		return true;
	return level > 0 &&
	       (!builder_has_leaves(builder, level) || ((gpa | end) & (level_size(level) - 1)));
}

/** Zeroes the slots of a private table that [gpa, end) does not touch. */
static NEVER_INLINE void build_zero_outside(const struct addrspace *as, uint64_t *table,
					    unsigned level, uint64_t gpa, uint64_t end)
{
	size_t first = slot_index(as, gpa, level);
	size_t behind = slot_index(as, end - 1, level) + 1;

	memset(table, 0, first * sizeof(*table));
	memset(table + behind, 0, (table_entries(as, level) - behind) * sizeof(*table));
}

/** A private table for [gpa, end): zero outside, not yet written inside unless it is a root, which
 * is filled last and may be large. */
static int build_empty_table(const struct builder *builder, unsigned level, uint64_t gpa,
			     uint64_t end, uint64_t *entry)
{
	struct addrspace *as = builder->as;
	bool root = level == root_level(as);
	struct addrspace_frame frame;
	int error =
		addrspace_frame_allocate(as, root ? ADDRSPACE_FRAME_ROOT : ADDRSPACE_FRAME_TABLE,
					 root ? as->root_order : 0, &frame);

	if (error)
		return error;
	if (frame.contents != ADDRSPACE_FRAME_ZEROED && root)
		memset(frame_pointer(as, frame.hpa), 0,
		       (size_t)ADDRSPACE_PAGE_SIZE << as->root_order);
	else if (frame.contents != ADDRSPACE_FRAME_ZEROED)
		build_zero_outside(as, frame_pointer(as, frame.hpa), level, gpa, end);
	*entry = ENTRY_FORMAT.table | ENTRY_FORMAT.address_bits(frame.hpa);
	if (builder_owns(builder, level, gpa, end))
		*entry |= ENTRY_FORMAT.owned;
	return 0;
}

/** Zeroes what an unfinished build has not written of its private tables, so that they can be
 * walked and freed. */
static RARELY void build_zero_rest(struct walk *walk, unsigned private_below)
{
	while (walk->level < private_below && walk->level < root_level(walk->as)) {
		if (walk->gpa < walk->table_end) {
			uint64_t *slot = walk_slot(walk);
			size_t count = slot_index(walk->as, walk->table_end - 1, walk->level) -
				       slot_index(walk->as, walk->gpa, walk->level) + 1;

			memset(slot, 0, count * sizeof(*slot));
		}
		walk->gpa = walk->table_end;
		if (!walk_ascend(walk))
			return;
	}
}

static void build_sync(const struct addrspace *as, const uint64_t *table, unsigned level)
{
	if (as->handler->sync_table)
		as->handler->sync_table(as->handler_ctx, table,
					table_entries(as, level) * sizeof(*table));
}

/** Frees what a build took for the range. */
static struct walk_owner builder_owner(const struct page_table_fill *fill)
{
	return (struct walk_owner){
		.gpa = fill->gpa,
		.size = fill->end - fill->gpa,
		.cookie = fill->cookie,
	};
}

/** Frees what a build took for a slot at level; a frame that was handed over stays the caller's. */
static NEVER_INLINE void build_undo(struct addrspace *as, const struct page_table_fill *fill,
				    uint64_t entry, unsigned level)
{
	struct walk_owner owner = builder_owner(fill);

	if (fill->source == PAGE_TABLE_HANDED_OVER && !ENTRY_FORMAT.is_table(entry, level))
		return;
	free_entry(as, entry, level, fill->gpa, &owner);
}

static uint64_t pending_entry(uint64_t entry)
{
	return (entry & ~ENTRY_FORMAT.present) | ENTRY_FORMAT.pending;
}

static uint64_t activated_entry(const struct addrspace *as, uint64_t entry, unsigned level,
				unsigned permissions)
{
	entry &= ~ENTRY_FORMAT.pending;
	if (ENTRY_FORMAT.is_table(entry, level))
		return entry | ENTRY_FORMAT.table;
	return ENTRY_FORMAT.with_permissions(space_traits(as), entry, permissions);
}

/** One slot that a leaf fills whole. */
static NEVER_INLINE int build_slot(struct builder *builder, unsigned level, uint64_t gpa,
				   uint64_t *entry)
{
	if (builder->fill->source == PAGE_TABLE_ALLOCATE)
		return build_owned(builder, level, gpa, entry);
	*entry = build_leaf(builder, level, gpa);
	return 0;
}

/** A run of frames each, which may not be there, cannot be filled in by a step. */
ALWAYS_INLINE bool builder_takes_runs(const struct builder *builder, unsigned level)
{
	return level > 0 && builder->fill->source == PAGE_TABLE_ALLOCATE;
}

/** What was built for the walk's slot. */
ALWAYS_INLINE void build_put(struct walk *walk, uint64_t *slot, uint64_t entry, bool private)
{
	if (private)
		*slot = entry;
	else
		walk_store(walk, slot, pending_entry(entry));
}

/** Past what is not to be touched: into a table, over anything else. */
ALWAYS_INLINE void build_over(struct walk *walk, uint64_t entry)
{
	if (entry && ENTRY_FORMAT.is_table(entry, walk->level))
		walk_descend(walk, entry_table(walk->as, entry));
	else
		walk_next(walk);
}

/**
 * Builds the rest of the walk's range. Tables whose slots are below private_below are not linked
 * yet and get their final entries; in live tables new entries are pending, and leaves that are there
 * stay. On failure what is private has been zeroed as far as it was not built, and walk->gpa is
 * where the live slots that were not reached begin. The same if builder->left says that it stops, which
 * is no failure.
 */
static int build_range(struct builder *builder, struct walk *walk, unsigned private_below)
{
	struct addrspace *as = builder->as;
	uint64_t entry;
	int error = 0;

	for (;;) {
		while (walk->gpa < walk->table_end) {
			bool private = walk->level < private_below;
			uint64_t *slot = walk_slot(walk);

			if (UNLIKELY(!--builder->left))
				goto stop;
			if (!private && entry_read(slot)) {
				build_over(walk, entry_read(slot));
				continue;
			}
			if (builder_has_leaves(builder, walk->level) && walk_covers_slot(walk)) {
				if (private && !builder_takes_runs(builder, walk->level)) {
					error = build_leaves(builder, walk);
					if (error)
						goto stop;
					continue;
				}
				error = build_slot(builder, walk->level, walk->gpa, &entry);
				if (!error) {
					build_put(walk, slot, entry, private);
					walk_next(walk);
					continue;
				}
				/* No run of this size: smaller ones. */
				if (error != ADDRSPACE_ENOMEM || walk->level == 0)
					goto stop;
			}
			error = build_empty_table(builder, walk->level - 1, walk->gpa,
						  walk_slot_end(walk), &entry);
			if (error)
				goto stop;
			build_put(walk, slot, entry, private);
			if (!private)
				private_below = walk->level;
			walk_descend(walk, entry_table(as, entry));
		}
		do {
			if (walk->level < private_below)
				build_sync(as, walk->tables[walk->level], walk->level);
			if (!walk_ascend(walk))
				return 0;
			if (walk->level == private_below)
				private_below = 0;
		} while (walk->gpa == walk->table_end);
	}
stop:
	build_zero_rest(walk, private_below);
	return error;
}

/** Takes down what prepare hung up in [fill->gpa, reached). */
static void walk_map_abort(struct addrspace *as, const struct page_table_fill *fill,
			   uint64_t reached)
{
	struct walk_owner owner = builder_owner(fill);

	if (reached > fill->gpa)
		free_range(as, frame_pointer(as, as->root_hpa), root_level(as), fill->gpa, reached,
			   0, &owner);
}

/** Charges the frames that a fill will allocate, all at once. */
static int builder_charge(const struct builder *builder)
{
	const struct page_table_fill *fill = builder->fill;

	if (fill->source != PAGE_TABLE_ALLOCATE)
		return 0;
	return addrspace_frame_charge(builder->as, ADDRSPACE_FRAME_GUEST,
				      (fill->end - fill->gpa) >> PAGE_SHIFT);
}

/** After a failure: frames that were taken took their charge back with them. */
static void builder_uncharge(const struct builder *builder)
{
	const struct page_table_fill *fill = builder->fill;

	if (fill->source == PAGE_TABLE_ALLOCATE)
		addrspace_frame_uncharge(builder->as, ADDRSPACE_FRAME_GUEST,
					 ((fill->end - fill->gpa) >> PAGE_SHIFT) - builder->frames);
}

static int walk_map_prepare(struct addrspace *as, const struct page_table_fill *fill,
			    uint64_t *reached)
{
	struct builder builder;
	struct walk walk;
	int error;

	*reached = fill->gpa;
	builder_start(&builder, as, fill);
	error = builder_charge(&builder);
	if (error)
		return error;
	walk_start_root(&walk, as, fill->gpa, fill->end);
	error = build_range(&builder, &walk, 0);
	if (error)
		builder_uncharge(&builder);
	*reached = walk.gpa;
	return error;
}

static void walk_map_commit(struct addrspace *as, const struct page_table_fill *fill)
{
	struct walk walk;

	walk_start_root(&walk, as, fill->gpa, fill->end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);

			if (entry & ENTRY_FORMAT.present) {
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			if (holds_owned(entry, walk.level))
				mark_owned(walk_parent_slot(&walk));
			walk_store(&walk, slot,
				   activated_entry(as, entry, walk.level, fill->permissions));
			walk_next(&walk);
		}
	} while (walk_leave(&walk));
	cpu_publish_entries();
}

/** The level of the deepest slot that holds the whole range and is not a table it covers only in
 * part; above the root if none does. */
static NEVER_INLINE unsigned shadow_level(const struct addrspace *as,
					  const struct page_table_fill *fill)
{
	const uint64_t *table = frame_pointer(as, as->root_hpa);

	for (unsigned level = root_level(as);; level--) {
		uint64_t size = level_size(level);
		uint64_t entry = entry_read(&table[slot_index(as, fill->gpa, level)]);

		if (next_boundary(fill->gpa, size, fill->end) != fill->end)
			return level + 1;
		if (!entry || !ENTRY_FORMAT.is_table(entry, level) || fill->end - fill->gpa == size)
			return level;
		table = entry_table(as, entry);
	}
}

/** The shadow's table and what is below it. On failure what there is can be taken down by abort. */
static int shadow_build_table(struct builder *builder, struct page_table_shadow *shadow)
{
	const struct page_table_fill *fill = builder->fill;
	unsigned level = shadow->level - 1;
	struct walk walk;
	int error = build_empty_table(builder, level, fill->gpa, fill->end, &shadow->entry);

	if (error)
		return error;
	walk_start(&walk, builder->as, entry_table(builder->as, shadow->entry), level, fill->gpa,
		   fill->end);
	return build_range(builder, &walk, shadow->level);
}

/** Builds the range's new content: for a slot, or as a second root if the range spans several of
 * its entries. */
static int walk_shadow_build(struct addrspace *as, const struct page_table_fill *fill,
			     struct page_table_shadow *shadow)
{
	struct builder builder;
	bool leaf;
	int error;

	shadow->entry = 0;
	shadow->level = shadow_level(as, fill);
	builder_start(&builder, as, fill);
	error = builder_charge(&builder);
	if (error)
		return error;
	leaf = shadow->level <= root_level(as) && builder_has_leaves(&builder, shadow->level) &&
	       fill->end - fill->gpa == level_size(shadow->level);
	if (leaf)
		error = build_slot(&builder, shadow->level, fill->gpa, &shadow->entry);
	/* No run of this size: smaller ones. */
	if (!leaf || (error == ADDRSPACE_ENOMEM && shadow->level > 0))
		error = shadow_build_table(&builder, shadow);
	if (error)
		builder_uncharge(&builder);
	return error;
}

static void walk_shadow_abort(struct addrspace *as, const struct page_table_fill *fill,
			      const struct page_table_shadow *shadow)
{
	build_undo(as, fill, shadow->entry, shadow->level);
}

/**
 * Moves the shadow's entries into the range, which pass two has emptied: where a slot is empty the
 * shadow's entry moves whole, where a table survived both are descended and the shadow's own table
 * is freed. Allocates nothing.
 */
static void walk_shadow_graft(struct addrspace *as, const struct page_table_fill *fill,
			      const struct page_table_shadow *shadow)
{
	uint64_t *shadows[PAGE_TABLE_MAX_LEVELS];
	struct walk walk;

	walk_start_root(&walk, as, fill->gpa, fill->end);
	if (shadow->level > walk.level)
		shadows[walk.level] = entry_table(as, shadow->entry);
	for (;;) {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);
			uint64_t next = shadow->entry;

			if (walk.level < shadow->level)
				next = shadows[walk.level][slot - walk.tables[walk.level]];
			if (entry) {
				if (walk.level <= shadow->level)
					shadows[walk.level - 1] = entry_table(as, next);
				walk_descend(&walk, entry_table(as, entry));
				continue;
			}
			if (holds_owned(next, walk.level))
				mark_owned(walk_parent_slot(&walk));
			walk_store(&walk, slot, next);
			walk_next(&walk);
		}
		do {
			uint64_t *left;

			if (!walk_ascend(&walk))
				goto done;
			left = walk_left_slot(&walk);
			if (walk.level < shadow->level)
				free_table(as,
					   ENTRY_FORMAT.table_address(
						   shadows[walk.level]
							  [left - walk.tables[walk.level]]),
					   walk.level - 1);
			else if (walk.level == shadow->level)
				free_table(as, ENTRY_FORMAT.table_address(shadow->entry),
					   walk.level - 1);
		} while (walk.gpa == walk.table_end);
	}
done:
	if (shadow->level > root_level(as))
		free_table(as, ENTRY_FORMAT.table_address(shadow->entry), root_level(as));
	cpu_publish_entries();
}

#endif
