/* SPDX-License-Identifier: MIT */
/*
 * Filling what is missing of a lazy region before the guest touches it. All or nothing: under the
 * exclusive lock, new entries pending among those that are there, all turned on or all taken down at
 * the end. As far as memory goes: under the shared lock, by what faults do.
 */
#ifndef ADDRSPACE_SRC_WALK_PREFAULT_H
#define ADDRSPACE_SRC_WALK_PREFAULT_H

#include "walk_fault.h"
#include "walk_map.h"

/** True of a slot that a prefault has filled and not yet turned on. */
static bool is_pending(uint64_t entry)
{
	return !(entry & ENTRY_FORMAT.present) && entry & ENTRY_FORMAT.pending;
}

/** 4 KiB frames that the fill's range has not. */
static RARELY uint64_t prefault_missing(struct addrspace *as, const struct page_table_fill *fill)
{
	uint64_t missing = 0;
	struct walk walk;

	walk_start_root(&walk, as, fill->gpa, fill->end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t entry = entry_read(walk_slot(&walk));

			if (entry) {
				build_over(&walk, entry);
				continue;
			}
			missing += (walk_slot_end(&walk) - walk.gpa) >> PAGE_SHIFT;
			walk_next(&walk);
		}
	} while (walk_leave(&walk));
	return missing;
}

static RARELY int walk_prefault_prepare(struct addrspace *as, const struct page_table_fill *fill)
{
	uint64_t missing = prefault_missing(as, fill);
	struct builder builder;
	struct walk walk;
	int error = addrspace_frame_charge(as, ADDRSPACE_FRAME_GUEST, missing);

	if (error)
		return error;
	builder_start(&builder, as, fill);
	walk_start_root(&walk, as, fill->gpa, fill->end);
	error = build_range(&builder, &walk, 0);
	if (error)
		addrspace_frame_uncharge(as, ADDRSPACE_FRAME_GUEST, missing - builder.frames);
	return error;
}

static RARELY void walk_prefault_abort(struct addrspace *as, uint64_t gpa, uint64_t end)
{
	struct walk_owner owner = {0};
	struct walk walk;

	walk_start_root(&walk, as, gpa, end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);

			if (entry && !is_pending(entry)) {
				build_over(&walk, entry);
				continue;
			}
			if (entry) {
				walk_store(&walk, slot, 0);
				free_entry(as, entry, walk.level, walk.gpa, &owner);
			}
			walk_next(&walk);
		}
	} while (walk_leave(&walk));
}

static RARELY void walk_prefault_commit(struct addrspace *as, const struct page_table_fill *fill)
{
	struct walk walk;

	walk_start_root(&walk, as, fill->gpa, fill->end);
	do {
		while (walk.gpa < walk.table_end) {
			uint64_t *slot = walk_slot(&walk);
			uint64_t entry = entry_read(slot);

			if (!is_pending(entry)) {
				build_over(&walk, entry);
				continue;
			}
			mark_owned(walk_parent_slot(&walk));
			walk_store(&walk, slot,
				   activated_entry(as, entry, walk.level, fill->permissions));
			walk_next(&walk);
		}
	} while (walk_leave(&walk));
	cpu_publish_entries();
}

/**
 * The next step of [*reached, end), of which the record is the region's part: a leaf that is there is
 * stepped over, a run comes, or the rest of a table's pages. *reached moves on if it could.
 */
static RARELY int walk_prefault_some(struct addrspace *as, const struct region_record *record,
				     uint64_t *reached)
{
	uint64_t end = record->start + region_record_size(record);
	uint64_t gpa = *reached;
	struct page_table_position position;
	uint64_t entry = walk_any(as, gpa, &position);
	int result = 0;

	if (position.level == 0)
		*reached = install_pages(as, record, gpa, next_boundary(gpa, level_size(1), end),
					 &result);
	else if (entry)
		*reached = next_boundary(gpa, level_size(position.level), end);
	else
		/* Won or lost, something is there now. */
		result = install_largest(as, &position, record, gpa);
	/* What another CPU has published it may not have cleaned yet. */
	if (as->handler->sync_table)
		walk_sync_path(as, gpa);
	return result < 0 ? result : 0;
}

#endif
