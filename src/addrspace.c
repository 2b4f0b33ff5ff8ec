/* SPDX-License-Identifier: MIT */
/*
 * The life of a space and the calls that change its layout: check, prepare everything that can
 * fail, then commit what cannot. The order in here is the promise: make unreachable, invalidate,
 * and only then free.
 */
#include "backend/backend.h"
#include "change.h"
#include "compiler.h"
#include "held.h"
#include "lock.h"
#include "memory.h"
#include "range.h"
#include "region_set.h"

#define ALL_PERMISSIONS (ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE)

/* ---- init and destroy ---- */

static bool handler_complete(const struct paging_handler *handler)
{
	bool any_lock = handler->lock_shared || handler->unlock_shared || handler->lock_exclusive ||
			handler->unlock_exclusive;
	bool all_locks = handler->lock_shared && handler->unlock_shared &&
			 handler->lock_exclusive && handler->unlock_exclusive;

	if (!handler->allocate || !handler->free || !handler->invalidate)
		return false;
	return any_lock == all_locks && !handler->charge == !handler->uncharge;
}

static int allocate_root(struct addrspace *as)
{
	struct addrspace_frame frame;
	int error = addrspace_frame_allocate(as, ADDRSPACE_FRAME_ROOT, as->root_order, &frame);

	if (error)
		return error;
	if (frame.contents != ADDRSPACE_FRAME_ZEROED)
		memset(frame_pointer(as, frame.hpa), 0,
		       (size_t)ADDRSPACE_PAGE_SIZE << as->root_order);
	if (as->handler->sync_table)
		as->handler->sync_table(as->handler_ctx, frame_pointer(as, frame.hpa),
					(size_t)ADDRSPACE_PAGE_SIZE << as->root_order);
	as->root_hpa = frame.hpa;
	return 0;
}

int addrspace_init(struct addrspace *as, const struct addrspace_config *config)
{
	int error;

	if (!as || !config || !config->format || !config->handler ||
	    !handler_complete(config->handler) || config->cpu.host_bits < ADDRSPACE_MIN_HOST_BITS ||
	    config->cpu.host_bits > ADDRSPACE_MAX_HOST_BITS ||
	    check_excluded(config->excluded, config->excluded_count))
		return ADDRSPACE_EINVAL;
	if (config->cpu.features & ~config->format->cpu_features)
		return ADDRSPACE_ENOTSUP;
	/* A leaf of 1 GiB could not be split. */
	if (config->cpu.features & ADDRSPACE_CPU_LEAF_1G &&
	    !(config->cpu.features & ADDRSPACE_CPU_LEAF_2M))
		return ADDRSPACE_ENOTSUP;
	memset(as, 0, sizeof(*as));
	as->format = config->format;
	as->handler = config->handler;
	as->handler_ctx = config->handler_ctx;
	as->excluded = config->excluded;
	as->excluded_count = config->excluded_count;
	as->cpu_features = config->cpu.features;
	as->gpa_bits = (uint8_t)config->gpa_bits;
	as->host_bits = (uint8_t)config->cpu.host_bits;
	error = config->format->set_geometry(as, config);
	if (error)
		return error;
	if (as->levels < config->cpu.min_levels ||
	    (config->cpu.max_levels && as->levels > config->cpu.max_levels))
		return ADDRSPACE_ENOTSUP;
	as->after_faults = as->absent_cached || as->handler->sync_table;
	as->direct_map_offset = as->handler->direct_map_offset;
	choose_walker(as);
	as->gpa_limit = UINT64_C(1) << as->gpa_bits;
	as->frame_forbidden = ~((UINT64_C(1) << as->host_bits) - ADDRSPACE_PAGE_SIZE);
	as->leaf_levels = 1;
	if (as->cpu_features & ADDRSPACE_CPU_LEAF_2M)
		as->leaf_levels |= 1 << 1;
	if (as->cpu_features & ADDRSPACE_CPU_LEAF_1G)
		as->leaf_levels |= 1 << 2;
	return allocate_root(as);
}

/* ---- changes ---- */

/** Fills one page between the invalidation and its publication. */
struct page_copy {
	addrspace_copy_frame copy;
	void *ctx;
	uint64_t old_hpa;
	uint64_t new_hpa;
	bool prepare; /* it is memory, and no device */
};

static void copy_page(const struct addrspace *as, const struct page_copy *page)
{
	const struct paging_handler *handler = as->handler;

	if (page->copy)
		page->copy(page->ctx, page->old_hpa, page->new_hpa);
	if (page->prepare && handler->prepare_frame)
		handler->prepare_frame(as->handler_ctx, page->new_hpa, ADDRSPACE_PAGE_SIZE);
}

/** The part that cannot fail. A range that is filled again keeps its emptied tables until they are
 * filled. */
static inline void exchange_content(struct addrspace *as, struct page_table_change *change,
				    const struct page_table_fill *fill,
				    const struct page_table_shadow *shadow,
				    const struct page_copy *page)
{
	const struct addrspace_format *format = as->format;

	format->detach(as, change, !fill);
	if (change->found) {
		invalidate_change(as, change);
		if (page)
			copy_page(as, page);
		format->finish_cuts(as, change);
		/* The regions still stand: they tell whose frames are freed. */
		format->release(as, change);
	}
	if (fill)
		format->shadow_graft(as, fill, shadow);
}

/**
 * Replaces what the table holds of [gpa, end) by fill, or by nothing if that is NULL, whole or not
 * at all. page, if not NULL, is filled while it is unreachable.
 */
static NEVER_INLINE int exchange_table(struct addrspace *as, uint64_t gpa, uint64_t end,
				       const struct page_table_fill *fill,
				       const struct page_copy *page)
{
	struct page_table_change change = start_change(gpa, end);
	struct page_table_shadow shadow = {0};
	int error;

	/* The charge of the frame that goes passes to the one that was handed over. */
	change.keep_charge = fill && fill->source == PAGE_TABLE_HANDED_OVER;
	error = as->format->change_prepare(as, &change);
	if (!error && fill)
		error = as->format->shadow_build(as, fill, &shadow);
	if (!error)
		exchange_content(as, &change, fill, &shadow, page);
	else if (shadow.entry)
		as->format->shadow_abort(as, fill, &shadow);
	release_tables(as, &change);
	return error;
}

/** The same with the regions: [gpa, end) becomes region, or nothing if that is NULL. */
static inline int exchange_range(struct addrspace *as, uint64_t gpa, uint64_t end,
				 const struct addrspace_region *region,
				 const struct page_table_fill *fill, const struct page_copy *page)
{
	struct region_reserve reserve;
	int error = addrspace_region_set_reserve_replace(as, gpa, end, region, &reserve);

	if (error)
		return error;
	error = exchange_table(as, gpa, end, fill, page);
	if (!error)
		addrspace_region_set_replace(as, gpa, end, region, &reserve);
	addrspace_region_set_release(as, &reserve);
	return error;
}

/** Fills a range that holds no region; on failure it is empty again. */
static inline int fill_empty(struct addrspace *as, const struct page_table_fill *fill)
{
	uint64_t reached;
	int error;

	if (!fill)
		return 0;
	error = as->format->map_prepare(as, fill, &reached);
	if (error)
		as->format->map_abort(as, fill, reached);
	return error;
}

/** The change is not of the simple kind; nothing was done. Distinct from 0 and from errors. */
#define NOT_SIMPLE 1

/** Maps a region into a gap where it merges with nothing. */
static NEVER_INLINE int map_gap(struct addrspace *as, const struct addrspace_region *region,
				const struct page_table_fill *fill)
{
	uint64_t end = region_end(region);
	struct region_reserve reserve;
	struct region_place place;
	int error = addrspace_region_set_reserve_at(as, region->gpa, end, region, &reserve, &place);

	if (error)
		return error;
	if (place.kind == REGION_PLACE_NONE)
		return NOT_SIMPLE;
	error = fill_empty(as, fill);
	if (!error) {
		addrspace_region_set_replace_at(as, region->gpa, end, region, &place, &reserve);
		if (fill)
			as->format->map_commit(as, fill);
	}
	addrspace_region_set_release(as, &reserve);
	return error;
}

/** Maps a region into a range that holds none. */
static NEVER_INLINE int map_empty(struct addrspace *as, const struct addrspace_region *region,
				  const struct page_table_fill *fill)
{
	uint64_t end = region_end(region);
	struct region_reserve reserve;
	int error = addrspace_region_set_reserve_replace(as, region->gpa, end, region, &reserve);

	if (error)
		return error;
	error = fill_empty(as, fill);
	if (!error) {
		addrspace_region_set_replace(as, region->gpa, end, region, &reserve);
		if (fill)
			as->format->map_commit(as, fill);
	}
	addrspace_region_set_release(as, &reserve);
	return error;
}

static int map_locked(struct addrspace *as, const struct addrspace_region *region, unsigned flags)
{
	uint64_t end = region_end(region);
	struct page_table_fill fill;
	const struct page_table_fill *content =
		addrspace_backend_fill(region, &fill) ? &fill : NULL;
	int error = map_gap(as, region, content);

	if (error != NOT_SIMPLE)
		return error;
	if (!addrspace_region_set_overlaps(as, region->gpa, end))
		return map_empty(as, region, content);
	if (!(flags & ADDRSPACE_MAP_REPLACE))
		return ADDRSPACE_EEXIST;
	return exchange_range(as, region->gpa, end, region, content, NULL);
}

static int judge_attributes(const struct addrspace *as, unsigned permissions,
			    enum addrspace_memory_type memory_type)
{
	if (permissions & ~(unsigned)ALL_PERMISSIONS)
		return ADDRSPACE_EINVAL;
	if ((unsigned)memory_type > ADDRSPACE_WRITE_THROUGH)
		return ADDRSPACE_EINVAL;
	return as->format->check_attributes(as, permissions, memory_type);
}

/** How large leaves may be, and how many a fault brings. */
static int judge_leaves(const struct addrspace_region *region)
{
	unsigned around = region->fault_around;

	if (around > ADDRSPACE_MAX_FAULT_AROUND || around & (around - 1) ||
	    (unsigned)region->largest_leaf > ADDRSPACE_LEAF_1G)
		return ADDRSPACE_EINVAL;
	if (region->backend.kind != ADDRSPACE_ALLOC &&
	    (around > 1 || region->largest_leaf != ADDRSPACE_LEAF_4K))
		return ADDRSPACE_EINVAL;
	return 0;
}

int addrspace_judge_region(const struct addrspace *as, const struct addrspace_region *region)
{
	int error = judge_leaves(region);

	if (error)
		return error;
	if (region->backend.kind != ADDRSPACE_TRAP)
		return judge_attributes(as, region->permissions, region->memory_type);
	/* Accesses to a trap are never made: no entry says what they may, nor of what type they are. */
	if (region->permissions & ~(unsigned)ALL_PERMISSIONS || region->memory_type)
		return ADDRSPACE_EINVAL;
	return 0;
}

/** A region with these attributes. */
static void set_attributes(struct addrspace_region *region,
			   const struct addrspace_attributes *attributes)
{
	region->permissions = attributes->permissions;
	region->memory_type = attributes->memory_type;
	region->cookie = attributes->cookie;
	region->largest_leaf = attributes->largest_leaf;
	region->fault_around = attributes->fault_around;
	region->small_executable = attributes->small_executable;
}

static NEVER_INLINE int map(struct addrspace *as, const struct addrspace_region *region,
			    unsigned flags)
{
	int error = addrspace_judge_region(as, region);

	if (!error)
		error = lock_change(as, region->gpa, region_end(region));
	if (error)
		return error;
	note_device(as, region);
	error = map_locked(as, region, flags);
	unlock_exclusive(as);
	return error;
}

/** 0, or what is wrong with the addresses of a linear region. */
static NEVER_INLINE int check_linear(const struct addrspace *as,
				     const struct addrspace_region *region)
{
	uint64_t hpa = region->gpa - region->backend.u.linear.offset;
	int error = check_range(region->gpa, region->size, as->gpa_limit);

	if (!error)
		error = check_host_range(hpa, region->size, as->host_bits);
	if (!error && touches_excluded(as->excluded, as->excluded_count, hpa, region->size))
		error = ADDRSPACE_EPERM;
	return error;
}

int addrspace_map_linear(struct addrspace *as, uint64_t gpa, uint64_t size, uint64_t hpa,
			 const struct addrspace_attributes *attributes, unsigned flags)
{
	struct addrspace_region region = {.gpa = gpa, .size = size};
	int error;

	if (!as || !attributes || flags & ~(unsigned)ADDRSPACE_MAP_REPLACE)
		return ADDRSPACE_EINVAL;
	region.backend.kind = ADDRSPACE_LINEAR;
	region.backend.u.linear.offset = gpa - hpa;
	error = check_linear(as, &region);
	if (error)
		return error;
	set_attributes(&region, attributes);
	return map(as, &region, flags);
}

int addrspace_map_alloc(struct addrspace *as, uint64_t gpa, uint64_t size,
			const struct addrspace_attributes *attributes, unsigned flags)
{
	const unsigned known = ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE;
	struct addrspace_region region = {
		.gpa = gpa, .size = size, .backend = {.kind = ADDRSPACE_ALLOC}};
	int error;

	if (!as || !attributes || flags & ~known)
		return ADDRSPACE_EINVAL;
	error = check_range(gpa, size, as->gpa_limit);
	if (error)
		return error;
	set_attributes(&region, attributes);
	region.backend.u.alloc.populate = (flags & ADDRSPACE_MAP_POPULATE) != 0;
	return map(as, &region, flags);
}

int addrspace_map_trap(struct addrspace *as, uint64_t gpa, uint64_t size,
		       const struct addrspace_attributes *attributes, unsigned flags)
{
	struct addrspace_region region = {
		.gpa = gpa, .size = size, .backend = {.kind = ADDRSPACE_TRAP}};
	int error;

	if (!as || !attributes || flags & ~(unsigned)ADDRSPACE_MAP_REPLACE)
		return ADDRSPACE_EINVAL;
	error = check_range(gpa, size, as->gpa_limit);
	if (error)
		return error;
	set_attributes(&region, attributes);
	region.backend.u.trap.base = gpa;
	return map(as, &region, flags);
}

/** Removes whole regions, or a hole inside one. */
static NEVER_INLINE int unmap_simple(struct addrspace *as, uint64_t gpa, uint64_t end)
{
	struct region_reserve reserve;
	struct region_place place;
	int error = addrspace_region_set_reserve_at(as, gpa, end, NULL, &reserve, &place);

	if (error)
		return error;
	if (place.kind == REGION_PLACE_NONE)
		return NOT_SIMPLE;
	error = exchange_table(as, gpa, end, NULL, NULL);
	if (!error)
		addrspace_region_set_replace_at(as, gpa, end, NULL, &place, &reserve);
	addrspace_region_set_release(as, &reserve);
	return error;
}

static int unmap_locked(struct addrspace *as, uint64_t gpa, uint64_t end)
{
	int error = unmap_simple(as, gpa, end);

	if (error != NOT_SIMPLE)
		return error;
	if (!addrspace_region_set_overlaps(as, gpa, end))
		return 0;
	return exchange_range(as, gpa, end, NULL, NULL, NULL);
}

int addrspace_unmap(struct addrspace *as, uint64_t gpa, uint64_t size)
{
	int error = lock_range(as, gpa, size);

	if (error)
		return error;
	error = unmap_locked(as, gpa, gpa + size);
	unlock_exclusive(as);
	return error;
}

static NEVER_INLINE void clear_locked(struct addrspace *as)
{
	struct page_table_change change = start_change(0, as->gpa_limit);

	as->format->detach(as, &change, true);
	invalidate_change(as, &change);
	as->format->release(as, &change);
	addrspace_region_set_clear(as);
}

void addrspace_clear(struct addrspace *as)
{
	lock_exclusive(as);
	if (as->jobs)
		as->finish_jobs(as, false);
	clear_locked(as);
	unlock_exclusive(as);
}

void addrspace_destroy(struct addrspace *as)
{
	lock_exclusive(as);
	if (as->jobs)
		as->finish_jobs(as, true);
	clear_locked(as);
	addrspace_frame_free(as, ADDRSPACE_FRAME_ROOT, as->root_order, as->root_hpa);
	unlock_exclusive(as);
	memset(as, 0, sizeof(*as));
}

/* ---- protect ---- */

/**
 * Finds the part of [*gpa, *end) that protect changes: from the first to the last region with other
 * permissions. ADDRSPACE_ENOENT if part of the range has no region; *gpa == *end if there is
 * nothing to do.
 */
static NEVER_INLINE int find_changed(const struct addrspace *as, unsigned permissions,
				     uint64_t *gpa, uint64_t *end)
{
	struct addrspace_region region;
	uint64_t first = *end;
	uint64_t last = *end;

	for (uint64_t at = *gpa; at < *end; at = region_end(&region)) {
		if (!addrspace_region_set_find(as, at, &region))
			return ADDRSPACE_ENOENT;
		if (region.permissions == permissions)
			continue;
		if (first == *end)
			first = at;
		last = region_end(&region) < *end ? region_end(&region) : *end;
	}
	*gpa = first;
	*end = last;
	return 0;
}

/** Whether the change makes a region executable in which only pages may be. */
static bool makes_small(const struct page_table_change *change, const struct region_record *record)
{
	return record->pages_and_attributes & REGION_SMALL_EXECUTABLE &&
	       change->permissions & ADDRSPACE_EXECUTE &&
	       !(region_record_permissions(record) & ADDRSPACE_EXECUTE);
}

/** Where the record's region or the change ends. */
static uint64_t record_end_in(const struct region_record *record,
			      const struct page_table_change *change)
{
	uint64_t end = record->start + region_record_size(record);

	return end < change->end ? end : change->end;
}

/** Takes the tables for the large leaves that must become pages. */
static NEVER_INLINE int prepare_small(struct addrspace *as, struct page_table_change *change)
{
	uint64_t end;
	int error = 0;

	if (!(change->permissions & ADDRSPACE_EXECUTE))
		return 0;
	for (uint64_t at = change->gpa; at < change->end && !error; at = end) {
		const struct region_record *record = addrspace_region_set_record(as, at);

		end = record_end_in(record, change);
		if (makes_small(change, record))
			error = as->format->small_prepare(as, change, at, end);
	}
	return error;
}

/** Pass one for each region in the change's range that has other permissions. */
static NEVER_INLINE void protect_regions(struct addrspace *as, struct page_table_change *change)
{
	uint64_t end;

	for (uint64_t at = change->gpa; at < change->end; at = end) {
		const struct region_record *record = addrspace_region_set_record(as, at);

		end = record_end_in(record, change);
		change->small = makes_small(change, record);
		if (region_record_permissions(record) != change->permissions)
			as->format->protect(as, change, at, end);
	}
}

/** The table's part, whole or not at all; the regions follow. By itself, so that its frame is gone
 * from the stack when they do. */
static NEVER_INLINE int protect_table(struct addrspace *as, uint64_t gpa, uint64_t end,
				      unsigned permissions)
{
	struct page_table_change change = start_change(gpa, end);
	int error;

	change.protect = true;
	change.permissions = (uint8_t)permissions;
	error = as->format->change_prepare(as, &change);
	if (!error)
		error = prepare_small(as, &change);
	if (!error) {
		protect_regions(as, &change);
		invalidate_change(as, &change);
		change.small = false;
		as->format->finish_cuts(as, &change);
		if (change.small_broken)
			as->format->small_finish(as, &change);
	}
	release_tables(as, &change);
	return error;
}

static int protect_locked(struct addrspace *as, uint64_t gpa, uint64_t end, unsigned permissions)
{
	const struct region_edit edit = addrspace_region_edit_permissions(permissions);
	struct region_reserve reserve;
	int error = find_changed(as, permissions, &gpa, &end);

	if (error || gpa == end)
		return error;
	error = addrspace_region_set_reserve_edit(as, gpa, end, edit, &reserve);
	if (error)
		return error;
	error = protect_table(as, gpa, end, permissions);
	if (!error)
		addrspace_region_set_edit(as, gpa, end, edit, &reserve);
	addrspace_region_set_release(as, &reserve);
	return error;
}

int addrspace_protect(struct addrspace *as, uint64_t gpa, uint64_t size, unsigned permissions)
{
	int unsupported;
	int error;

	if (!as)
		return ADDRSPACE_EINVAL;
	error = check_range(gpa, size, as->gpa_limit);
	if (error)
		return error;
	unsupported = judge_attributes(as, permissions, ADDRSPACE_WRITE_BACK);
	if (unsupported == ADDRSPACE_EINVAL)
		return unsupported;
	error = lock_change(as, gpa, gpa + size);
	if (error)
		return error;
	/* Traps have no entries that would have to say it. */
	if (unsupported && addrspace_backend_check_kinds(as, gpa, gpa + size, BACKEND_TRAP))
		error = unsupported;
	else
		error = protect_locked(as, gpa, gpa + size, permissions);
	unlock_exclusive(as);
	return error;
}

/* ---- discard ---- */

static int discard_locked(struct addrspace *as, uint64_t gpa, uint64_t end)
{
	const struct region_edit edit = addrspace_region_edit_lazy();
	struct region_reserve reserve;
	int error = addrspace_backend_check_kinds(as, gpa, end, BACKEND_ALLOC);

	if (error)
		return error;
	error = addrspace_region_set_reserve_edit(as, gpa, end, edit, &reserve);
	if (error)
		return error;
	error = exchange_table(as, gpa, end, NULL, NULL);
	if (!error)
		addrspace_region_set_edit(as, gpa, end, edit, &reserve);
	addrspace_region_set_release(as, &reserve);
	return error;
}

int addrspace_discard(struct addrspace *as, uint64_t gpa, uint64_t size)
{
	int error = lock_range(as, gpa, size);

	if (error)
		return error;
	error = discard_locked(as, gpa, gpa + size);
	unlock_exclusive(as);
	return error;
}

/* ---- collapse ---- */

static uint64_t collapse_locked(struct addrspace *as, uint64_t gpa, uint64_t end)
{
	struct page_table_change change = start_change(gpa, end);
	uint64_t collapsed = as->format->collapse_break(as, &change);

	if (!collapsed)
		return 0;
	invalidate_change(as, &change);
	as->format->collapse_finish(as, &change);
	return collapsed;
}

int addrspace_collapse(struct addrspace *as, uint64_t gpa, uint64_t size, uint64_t *collapsed)
{
	uint64_t bytes;
	int error = lock_range(as, gpa, size);

	if (error)
		return error;
	bytes = collapse_locked(as, gpa, gpa + size);
	unlock_exclusive(as);
	if (collapsed)
		*collapsed = bytes;
	return 0;
}

/* ---- moving a page ---- */

/** The frame that backs the page now; ADDRSPACE_ENOENT if there is none. */
static NEVER_INLINE int frame_at(const struct addrspace *as, uint64_t gpa, uint64_t *hpa)
{
	struct addrspace_run leaf;

	if (!as->format->leaf(as, gpa, &leaf))
		return ADDRSPACE_ENOENT;
	*hpa = leaf.hpa + (gpa - leaf.gpa);
	return 0;
}

static int replace_frame_locked(struct addrspace *as, uint64_t gpa, struct page_copy *page)
{
	struct addrspace_region region;
	struct page_table_fill fill;
	bool split;

	if (!addrspace_region_set_find(as, gpa, &region) || frame_at(as, gpa, &page->old_hpa))
		return ADDRSPACE_ENOENT;
	if (page->old_hpa == page->new_hpa)
		return ADDRSPACE_EINVAL;
	if (region.backend.kind == ADDRSPACE_LINEAR &&
	    touches_excluded(as->excluded, as->excluded_count, page->new_hpa, ADDRSPACE_PAGE_SIZE))
		return ADDRSPACE_EPERM;
	page->prepare = region.memory_type != ADDRSPACE_DEVICE;
	split = addrspace_backend_replace(&region, gpa, page->new_hpa, &fill);
	/* Hardware may set D until the old frame is gone, and what was written is in the new one.
	 */
	fill.dirty = true;
	if (split)
		return exchange_range(as, fill.gpa, fill.end, &region, &fill, page);
	return exchange_table(as, fill.gpa, fill.end, &fill, page);
}

int addrspace_replace_frame(struct addrspace *as, uint64_t gpa, uint64_t new_hpa,
			    addrspace_copy_frame copy, void *copy_ctx)
{
	struct page_copy page = {.copy = copy, .ctx = copy_ctx, .new_hpa = new_hpa};
	int error;

	if (!as)
		return ADDRSPACE_EINVAL;
	error = check_range(gpa, ADDRSPACE_PAGE_SIZE, as->gpa_limit);
	if (!error)
		error = check_host_range(new_hpa, ADDRSPACE_PAGE_SIZE, as->host_bits);
	if (!error)
		error = lock_change(as, gpa, gpa + ADDRSPACE_PAGE_SIZE);
	if (error)
		return error;
	error = replace_frame_locked(as, gpa, &page);
	unlock_exclusive(as);
	return error;
}
