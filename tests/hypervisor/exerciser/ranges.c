/* SPDX-License-Identifier: MIT */
/* Ranges that begin and end inside large leaves, and cover others whole: exactly what is in the range
 * changes, in as few leaves as there can be. */
#include "access.h"
#include "changes.h"

/* Large leaves beside each other, and the range that changes, in bytes from the first one's start. */
struct span {
	uint64_t leaf_size;
	uint64_t leaves;
	uint64_t from;
	uint64_t to;
};

static const struct span spans[] = {
	{SIZE_2M, 4, SIZE_2M - SIZE_4K, 3 * SIZE_2M + SIZE_4K},
	{SIZE_2M, 4, SIZE_2M, 3 * SIZE_2M + 5 * SIZE_4K},
	{SIZE_2M, 4, 0, SIZE_2M / 2},
	{SIZE_2M, 4, 3 * SIZE_2M + 8 * SIZE_4K, 3 * SIZE_2M + 9 * SIZE_4K},
	{SIZE_1G, 2, SIZE_1G - SIZE_2M - SIZE_4K, SIZE_1G + SIZE_2M + SIZE_4K},
	{SIZE_1G, 2, SIZE_1G / 2 - SIZE_4K, SIZE_1G / 2 + SIZE_4K},
	{SIZE_1G, 2, 0, SIZE_2M},
};

/* What becomes of the range. */
struct fate {
	const char *name;
	void (*apply)(struct space *space, uint64_t gpa, uint64_t size);
	bool gone;                  /* it has no leaves then */
	enum addrspace_fault write; /* the outcome of a write to it */
};

static void unmap(struct space *space, uint64_t gpa, uint64_t size)
{
	space_unmap(space, gpa, size);
}

static void make_read_only(struct space *space, uint64_t gpa, uint64_t size)
{
	space_protect(space, gpa, size, R);
}

static void replace_lazy(struct space *space, uint64_t gpa, uint64_t size)
{
	space_map_alloc(space, gpa, size, RWX, ADDRSPACE_MAP_REPLACE);
}

static const struct fate fates[] = {
	{"unmap", unmap, true, ADDRSPACE_FAULT_NOT_BACKED},
	{"protect: read-only", make_read_only, false, ADDRSPACE_FAULT_DENIED},
	{"map_alloc: replace", replace_lazy, true, ADDRSPACE_FAULT_RESOLVED},
};

/* ---- what there must be ---- */

static bool is_cut(uint64_t at, uint64_t size, uint64_t border)
{
	return border > at && border < at + size;
}

/** The largest leaf at the offset that the range's ends do not cut. */
static uint64_t uncut_size(const struct span *span, uint64_t at)
{
	uint64_t size = span->leaf_size;

	while (at % size || is_cut(at, size, span->from) || is_cut(at, size, span->to))
		size /= 512;
	return size;
}

/** A table for each leaf, or piece of a leaf, that an end of the range cuts. */
static uint64_t cuts_of(const struct span *span, uint64_t size)
{
	bool first = size <= span->leaf_size && span->from % size;
	bool last = size <= span->leaf_size && span->to % size;

	return first && last && span->from / size == span->to / size ? 1 : (uint64_t)first + last;
}

static void check_counts(const struct span *span, const struct fate *fate,
			 const struct addrspace_statistics *before,
			 const struct addrspace_statistics *now)
{
	uint64_t leaves_4k = before->leaves_4k, leaves_2m = 0, leaves_1g = 0;

	for (uint64_t at = 0, size; at < span->leaves * span->leaf_size; at += size) {
		bool inside = at >= span->from && at < span->to;

		size = uncut_size(span, at);
		if (inside && fate->gone)
			continue;
		leaves_4k += size == SIZE_4K;
		leaves_2m += size == SIZE_2M;
		leaves_1g += size == SIZE_1G;
	}
	check_equal("leaves of 4 KiB", leaves_4k, now->leaves_4k);
	check_equal("leaves of 2 MiB", leaves_2m, now->leaves_2m);
	check_equal("leaves of 1 GiB", leaves_1g, now->leaves_1g);
	check_equal("tables",
		    before->table_frames + cuts_of(span, SIZE_2M) + cuts_of(span, SIZE_1G),
		    now->table_frames);
}

/* ---- the guest's view ---- */

/** The GiB that is lent is behind each GiB of the span. */
static uint64_t hpa_of(uint64_t offset)
{
	return MACHINE_BLOCK_HPA + offset % SIZE_1G;
}

static bool is_ram(uint64_t offset)
{
	return offset % SIZE_1G < MACHINE_BLOCK_RAM;
}

static void check_outside(struct space *space, uint64_t gpa, uint64_t offset)
{
	struct access access = {.size = 8, .gpa = gpa + offset};

	if (!is_ram(offset))
		return;
	for (unsigned kind = 0; kind < ACCESS_KINDS; kind++) {
		access.kind = kind;
		access_goes_through(space, &access, host_pointer(hpa_of(offset)));
	}
}

static void check_inside(struct space *space, const struct fate *fate, uint64_t gpa)
{
	const struct request request = {.operation = GUEST_WRITE, .size = 8, .gpa = gpa};
	const struct access access = {.kind = ACCESS_WRITE, .size = 8, .gpa = gpa};
	unsigned resolved = 0;

	if (fate->write == ADDRSPACE_FAULT_RESOLVED) {
		subject_do(space, &request, &resolved, NULL);
		check_equal("faults resolved", 1, resolved);
		return;
	}
	access_faults(space, &access, fate->gone ? 0 : R);
	check_named("the library's outcome", (int)fate->write,
		    addrspace_handle_fault(&space->as, gpa, W, NULL), addrspace_fault_name);
}

/** The TLB knows a page on either side of each end before the range changes. */
static void run_fate(struct space *space, const struct span *span, const struct fate *fate,
		     uint64_t gpa)
{
	const uint64_t size = span->leaves * span->leaf_size;
	const uint64_t outside[] = {span->from - SIZE_4K, span->to, 0, size - SIZE_4K};
	const uint64_t inside[] = {span->from, span->to - SIZE_4K};
	struct addrspace_statistics before = space_audit(space), now;

	for (unsigned i = 0; i < 2; i++)
		check_outside(space, gpa, inside[i]);
	space_new_invalidations(space);
	check_at(gpa + span->from, fate->name);
	fate->apply(space, gpa + span->from, span->to - span->from);
	check_equal("invalidations", 1, space_new_invalidations(space));
	now = space_audit(space);
	check_counts(span, fate, &before, &now);
	for (unsigned i = 0; i < 4; i++)
		if (outside[i] < size && outside[i] - span->from >= span->to - span->from)
			check_outside(space, gpa, outside[i]);
	for (unsigned i = 0; i < (inside[0] == inside[1] ? 1 : 2); i++)
		check_inside(space, fate, gpa + inside[i]);
}

/* A region for each GiB: the same host memory is behind each. */
static void map_span(struct space *space, const struct span *span, uint64_t gpa, unsigned flags)
{
	const uint64_t size = span->leaves * span->leaf_size;
	const uint64_t part = size < SIZE_1G ? size : SIZE_1G;

	check_at(gpa, "map_linear");
	for (uint64_t offset = 0; offset < size; offset += part)
		space_map_linear(space, gpa + offset, part, MACHINE_BLOCK_HPA, RWX, flags);
}

static void run_span(struct space *space, const struct span *span, uint64_t gpa)
{
	const uint64_t size = span->leaves * span->leaf_size;
	struct addrspace_statistics whole, again;

	map_span(space, span, gpa, 0);
	whole = space_audit(space);
	check_equal("leaves", span->leaves,
		    span->leaf_size == SIZE_1G ? whole.leaves_1g : whole.leaves_2m);
	for (unsigned i = 0; i < sizeof(fates) / sizeof(fates[0]); i++) {
		run_fate(space, span, &fates[i], gpa);
		map_span(space, span, gpa, ADDRSPACE_MAP_REPLACE);
		again = space_audit(space);
		check_equal("large leaves again", whole.leaves_1g + whole.leaves_2m,
			    again.leaves_1g + again.leaves_2m);
		check_equal("tables again", whole.table_frames, again.table_frames);
	}
	space_unmap(space, gpa, size);
	space_check_empty(space);
}

/* 2 GiB fit behind the middle of any space. */
void ranges_run(struct space *space)
{
	for (unsigned i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
		if (space_has_leaf(space, spans[i].leaf_size))
			run_span(space, &spans[i], space_place(space, 1));
}
