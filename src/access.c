/* SPDX-License-Identifier: MIT */
/*
 * Guest memory, piece by piece: a piece is what of the range lies side by side in memory, as far as
 * that is seen at once, and where the handler says page by page where memory is, for us too. Under
 * the shared lock leaves only appear, so what was found stays until the lock is dropped.
 */
#include <addrspace/access.h>

#include "backend/backend.h"
#include "compiler.h"
#include "fault.h"
#include "lock.h"
#include "memory.h"
#include "range.h"
#include "region_set.h"
#include "subword.h"

#define PAGE_MASK (ADDRSPACE_PAGE_SIZE - 1)
#define ALL_FLAGS                                                                                  \
	(ADDRSPACE_ACCESS_FAULT_IN | ADDRSPACE_ACCESS_OVERRIDE | ADDRSPACE_ACCESS_DEVICE |         \
	 ADDRSPACE_ACCESS_PREPARE)
#define READ_AND_WRITE (ADDRSPACE_READ | ADDRSPACE_WRITE)

/** One side of an access: where it stands, and what it may. */
struct cursor {
	struct addrspace *as;
	uint64_t gpa;
	uint8_t permissions; /* that regions must have */
	uint8_t flags;
	bool parked; /* the leaves of the region below are there and not present */
	bool lazy;
	/* Of the region that was judged last under this lock, and found good. */
	uint64_t region_gpa;
	uint64_t region_size; /* 0: none */
};

struct piece {
	void *host;
	uint64_t hpa;
	uint64_t size;
};

static void cursor_start(struct cursor *cursor, struct addrspace *as, uint64_t gpa,
			 unsigned permissions, unsigned flags)
{
	cursor->as = as;
	cursor->gpa = gpa;
	cursor->permissions = (uint8_t)permissions;
	cursor->flags = (uint8_t)flags;
	cursor->region_size = 0;
}

static uint64_t smaller(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

/* ---- finding a piece ---- */

static int judge(const struct cursor *cursor, const struct addrspace_region *region)
{
	if (!backend_is_memory(region))
		return ADDRSPACE_ENOTSUP;
	if (!(cursor->flags & ADDRSPACE_ACCESS_OVERRIDE) &&
	    cursor->permissions & ~region->permissions)
		return ADDRSPACE_EACCES;
	if (!(cursor->flags & ADDRSPACE_ACCESS_DEVICE) && region->memory_type == ADDRSPACE_DEVICE)
		return ADDRSPACE_ENOTSUP;
	return 0;
}

/** Looks the byte's region up, unless it lies in the last one. */
static NEVER_INLINE int judge_region(struct cursor *cursor)
{
	struct addrspace_region region;
	int error;

	if (cursor->gpa - cursor->region_gpa < cursor->region_size)
		return 0;
	if (!addrspace_region_set_find(cursor->as, cursor->gpa, &region))
		return ADDRSPACE_ENOENT;
	error = judge(cursor, &region);
	if (error)
		return error;
	cursor->region_gpa = region.gpa;
	cursor->region_size = region.size;
	cursor->parked = !region.permissions;
	cursor->lazy = backend_faults_in(&region);
	return 0;
}

/** What the walker does not find: the leaf of a region without permissions. */
static NEVER_INLINE bool parked_leaf(const struct cursor *cursor,
				     struct addrspace_translation *leaf)
{
	struct addrspace_run run;

	if (!cursor->parked || !cursor->as->format->leaf(cursor->as, cursor->gpa, &run))
		return false;
	leaf->hpa = run.hpa + (cursor->gpa - run.gpa);
	leaf->leaf_size = run.leaf_size;
	leaf->dirty = false;
	return true;
}

/** A lazy page that the access wants brought in. Distinct from 0 and from errors. */
#define PIECE_LAZY 1

/** What of it lies in one leaf: 0, PIECE_LAZY or an error. */
static RARELY int find_leaf(struct cursor *cursor, uint64_t most, struct piece *piece)
{
	struct addrspace *as = cursor->as;
	struct addrspace_translation leaf;
	int error = judge_region(cursor);

	if (error)
		return error;
	if (!as->walker->translate(as, cursor->gpa, &leaf) && !parked_leaf(cursor, &leaf))
		return cursor->lazy && cursor->flags & ADDRSPACE_ACCESS_FAULT_IN ? PIECE_LAZY
										 : ADDRSPACE_ENOENT;
	if (cursor->permissions & ADDRSPACE_WRITE && !leaf.dirty)
		as->format->mark_dirty(as, cursor->gpa);
	piece->hpa = leaf.hpa;
	piece->size = smaller(leaf.leaf_size - (cursor->gpa & (leaf.leaf_size - 1)), most);
	return 0;
}

/** Page by page, as far as they lie side by side for us too. */
static NEVER_INLINE int find_pages(const struct cursor *cursor, struct piece *piece)
{
	const struct addrspace *as = cursor->as;
	uint64_t offset = piece->hpa & PAGE_MASK;
	uint8_t *page = frame_pointer(as, piece->hpa - offset);
	uint64_t size = ADDRSPACE_PAGE_SIZE - offset;

	if (!page)
		return ADDRSPACE_EFAULT;
	piece->host = page + offset;
	for (; size < piece->size; size += ADDRSPACE_PAGE_SIZE) {
		page += ADDRSPACE_PAGE_SIZE;
		if (frame_pointer(as, piece->hpa + size) != page)
			break;
	}
	piece->size = smaller(size, piece->size);
	return 0;
}

/** 0, PIECE_LAZY or an error. */
static NEVER_INLINE int look_for_piece(struct cursor *cursor, uint64_t most, struct piece *piece)
{
	struct addrspace *as = cursor->as;
	int result = 0;

	if (UNLIKELY(as->device_hidden)) {
		result = judge_region(cursor);
		if (result)
			return result;
		most = smaller(most, cursor->region_size - (cursor->gpa - cursor->region_gpa));
	}
	/* Leaves have their region's attributes, and do not reach beyond it. */
	piece->size = as->walker->reach(as, cursor->gpa, most, cursor->permissions, &piece->hpa);
	if (UNLIKELY(!piece->size))
		result = find_leaf(cursor, most, piece);
	if (UNLIKELY(result))
		return result;
	piece->host = direct_pointer(as, piece->hpa);
	return UNLIKELY(as->handler->physical_to_virtual) ? find_pages(cursor, piece) : 0;
}

/** The page gets its frame as by a fault of the guest. */
static RARELY int bring_in(const struct cursor *cursor)
{
	unsigned access = cursor->flags & ADDRSPACE_ACCESS_OVERRIDE ? 0 : cursor->permissions;
	int result = addrspace_fault_locked(cursor->as, cursor->gpa & ~PAGE_MASK, access);

	return result < 0 ? result : 0;
}

/** The piece at the cursor, of at most so many bytes. Looks from up here for what comes in: fault calls
 * take their stack. */
static inline int find_piece(struct cursor *cursor, uint64_t most, struct piece *piece)
{
	int result = look_for_piece(cursor, most, piece);
	int error;

	if (!UNLIKELY(result == PIECE_LAZY))
		return result;
	error = bring_in(cursor);
	/* Also if there was no frame for us: another CPU may have been faster. */
	result = look_for_piece(cursor, most, piece);
	if (result == PIECE_LAZY)
		return error ? error : ADDRSPACE_ENOENT;
	return result;
}

/** Behind a write: what observers that miss this CPU's caches need. */
static RARELY void prepare_piece(const struct cursor *cursor, const struct piece *piece)
{
	const struct paging_handler *handler = cursor->as->handler;
	uint64_t first = piece->hpa & ~PAGE_MASK;
	uint64_t end = (piece->hpa + piece->size + PAGE_MASK) & ~PAGE_MASK;
	struct addrspace_region region;

	if (!handler->prepare_frame ||
	    !addrspace_region_set_find(cursor->as, cursor->gpa, &region) ||
	    region.memory_type == ADDRSPACE_DEVICE)
		return;
	handler->prepare_frame(cursor->as->handler_ctx, first, end - first);
}

static inline void written(const struct cursor *cursor, const struct piece *piece)
{
	if (UNLIKELY(cursor->flags & ADDRSPACE_ACCESS_PREPARE))
		prepare_piece(cursor, piece);
}

/* ---- bytes ---- */

/** What a transfer does with each piece. */
struct transfer {
	enum {
		TRANSFER_READ,
		TRANSFER_WRITE,
		TRANSFER_FILL,
	} kind;
	uint8_t byte;
	union {
		uint8_t *to;
		const uint8_t *from;
	} buffer;
	struct cursor cursor;
};

static int check_access(const struct addrspace *as, uint64_t gpa, uint64_t size, unsigned flags)
{
	if (!as || flags & ~(unsigned)ALL_FLAGS)
		return ADDRSPACE_EINVAL;
	return check_bytes(gpa, size, as->gpa_limit);
}

static inline void transfer_piece(struct transfer *transfer, const struct piece *piece)
{
	switch (transfer->kind) {
	case TRANSFER_READ:
		memcpy(transfer->buffer.to, piece->host, piece->size);
		transfer->buffer.to += piece->size;
		return;
	case TRANSFER_WRITE:
		memcpy(piece->host, transfer->buffer.from, piece->size);
		transfer->buffer.from += piece->size;
		break;
	case TRANSFER_FILL:
		memset(piece->host, transfer->byte, piece->size);
		break;
	}
	written(&transfer->cursor, piece);
}

/** Up to end under one hold of the lock. */
static int transfer_chunk(struct transfer *transfer, uint64_t end)
{
	struct cursor *cursor = &transfer->cursor;
	struct piece piece;
	int error = 0;

	lock_shared(cursor->as);
	cursor->region_size = 0;
	while (cursor->gpa < end) {
		error = find_piece(cursor, end - cursor->gpa, &piece);
		if (error)
			break;
		transfer_piece(transfer, &piece);
		cursor->gpa += piece.size;
	}
	unlock_shared(cursor->as);
	return error;
}

/** First multiple of the chunk's size above gpa, or end. */
static uint64_t chunk_end(uint64_t gpa, uint64_t end)
{
	uint64_t last = gpa | (ADDRSPACE_ACCESS_CHUNK - 1);

	return last < end - 1 ? last + 1 : end;
}

static int transfer_all(struct transfer *transfer, uint64_t size, size_t *done)
{
	uint64_t gpa = transfer->cursor.gpa;
	uint64_t end = gpa + size;
	int error = 0;

	while (transfer->cursor.gpa < end && !error)
		error = transfer_chunk(transfer, chunk_end(transfer->cursor.gpa, end));
	if (done)
		*done = (size_t)(transfer->cursor.gpa - gpa);
	return error;
}

/** kind, and buffer or byte, have been set. Inline, since each caller's kind settles half of it. */
ALWAYS_INLINE int transfer_checked(struct transfer *transfer, struct addrspace *as, uint64_t gpa,
				   size_t size, unsigned flags, size_t *done)
{
	bool reads = transfer->kind == TRANSFER_READ;
	int error = check_access(as, gpa, size, flags);

	if (done)
		*done = 0;
	if (size && transfer->kind != TRANSFER_FILL && !transfer->buffer.from)
		error = ADDRSPACE_EINVAL;
	if (error || !size)
		return error;
	cursor_start(&transfer->cursor, as, gpa, reads ? ADDRSPACE_READ : ADDRSPACE_WRITE, flags);
	return transfer_all(transfer, size, done);
}

int addrspace_read(struct addrspace *as, uint64_t gpa, void *buffer, size_t size, unsigned flags,
		   size_t *done)
{
	struct transfer transfer;

	transfer.kind = TRANSFER_READ;
	transfer.buffer.to = buffer;
	return transfer_checked(&transfer, as, gpa, size, flags, done);
}

int addrspace_write(struct addrspace *as, uint64_t gpa, const void *buffer, size_t size,
		    unsigned flags, size_t *done)
{
	struct transfer transfer;

	transfer.kind = TRANSFER_WRITE;
	transfer.buffer.from = buffer;
	return transfer_checked(&transfer, as, gpa, size, flags, done);
}

int addrspace_fill(struct addrspace *as, uint64_t gpa, uint8_t byte, size_t size, unsigned flags,
		   size_t *done)
{
	struct transfer transfer;

	transfer.kind = TRANSFER_FILL;
	transfer.byte = byte;
	return transfer_checked(&transfer, as, gpa, size, flags, done);
}

/* ---- guest to guest ---- */

struct copy {
	struct cursor from;
	struct cursor to;
};

/** The pieces at both cursors, equally long. */
static int find_pieces(struct copy *copy, uint64_t most, struct piece *from, struct piece *to)
{
	int error = find_piece(&copy->from, most, from);

	if (!error)
		error = find_piece(&copy->to, from->size, to);
	return error;
}

static void copy_piece(struct copy *copy, const struct piece *from, const struct piece *to)
{
	memmove(to->host, from->host, to->size);
	written(&copy->to, to);
}

static void copy_advance(struct copy *copy, uint64_t size)
{
	copy->from.gpa += size;
	copy->to.gpa += size;
}

/** Forwards, as far as end of what is read, under one hold of the lock. */
static int copy_chunk(struct copy *copy, uint64_t end)
{
	struct piece from, to;
	int error = 0;

	lock_shared(copy->from.as);
	copy->from.region_size = 0;
	copy->to.region_size = 0;
	while (copy->from.gpa < end) {
		error = find_pieces(copy, end - copy->from.gpa, &from, &to);
		if (error)
			break;
		copy_piece(copy, &from, &to);
		copy_advance(copy, to.size);
	}
	unlock_shared(copy->from.as);
	return error;
}

static NEVER_INLINE int copy_forwards(struct copy *copy, uint64_t end)
{
	int error = 0;

	while (copy->from.gpa < end && !error)
		error = copy_chunk(copy, chunk_end(copy->from.gpa, end));
	return error;
}

/** Backwards, from the cursors to start of what is read; all of it has been found under this lock. */
static void copy_back(struct copy *copy, uint64_t start)
{
	struct piece from, to;

	while (copy->from.gpa > start) {
		uint64_t size = smaller(((copy->from.gpa - 1) & PAGE_MASK) + 1,
					((copy->to.gpa - 1) & PAGE_MASK) + 1);

		size = smaller(size, copy->from.gpa - start);
		copy_advance(copy, 0 - size);
		if (find_pieces(copy, size, &from, &to))
			return;
		copy_piece(copy, &from, &to);
	}
}

/** First as far as both ranges go, so that what is done counts from the start. */
static NEVER_INLINE int copy_backwards(struct copy *copy, uint64_t end)
{
	uint64_t start = copy->from.gpa;
	struct piece from, to;
	uint64_t size;
	int error = 0;

	lock_shared(copy->from.as);
	while (copy->from.gpa < end && !error) {
		error = find_pieces(copy, end - copy->from.gpa, &from, &to);
		if (!error)
			copy_advance(copy, to.size);
	}
	size = copy->from.gpa - start;
	copy_back(copy, start);
	unlock_shared(copy->from.as);
	copy_advance(copy, size);
	return error;
}

/** memmove() has it all at once. */
static bool in_one_page(uint64_t gpa, uint64_t size)
{
	return (gpa & PAGE_MASK) + size <= ADDRSPACE_PAGE_SIZE;
}

/** True if both ranges begin in linear regions and what is written begins inside of what is read. */
static NEVER_INLINE bool reads_below(const struct copy *copy, uint64_t size)
{
	struct addrspace_region from, to;
	const struct addrspace *as = copy->from.as;
	uint64_t distance = 0;

	if (in_one_page(copy->from.gpa, size) && in_one_page(copy->to.gpa, size))
		return false;
	lock_shared(as);
	if (addrspace_region_set_find(as, copy->from.gpa, &from) &&
	    addrspace_region_set_find(as, copy->to.gpa, &to) &&
	    from.backend.kind == ADDRSPACE_LINEAR && to.backend.kind == ADDRSPACE_LINEAR)
		distance = (copy->to.gpa - to.backend.u.linear.offset) -
			   (copy->from.gpa - from.backend.u.linear.offset);
	unlock_shared(as);
	return distance && distance < size;
}

int addrspace_copy(struct addrspace *as, uint64_t to, uint64_t from, size_t size, unsigned flags,
		   size_t *done)
{
	struct copy copy;
	int error = check_access(as, from, size, flags);

	if (done)
		*done = 0;
	if (!error)
		error = check_access(as, to, size, flags);
	if (error || !size)
		return error;
	cursor_start(&copy.from, as, from, ADDRSPACE_READ, flags);
	cursor_start(&copy.to, as, to, ADDRSPACE_WRITE, flags);
	/* Addresses decide for memory that is the guest's by one address, else where it is. */
	if (from - to >= size && (to - from < size || reads_below(&copy, size)))
		error = copy_backwards(&copy, from + size);
	else
		error = copy_forwards(&copy, from + size);
	if (done)
		*done = (size_t)(copy.from.gpa - from);
	return error;
}

/* ---- one value ---- */

static int check_value(const struct addrspace *as, uint64_t gpa, unsigned size, unsigned flags)
{
	if ((size != 1 && size != 2 && size != 4 && size != 8) || gpa & (size - 1))
		return ADDRSPACE_EINVAL;
	return check_access(as, gpa, size, flags);
}

/** True if it has more than so many bytes. */
static bool too_wide(uint64_t value, unsigned size)
{
	return size < sizeof(value) && value >> (8 * size);
}

static uint64_t load_value(const void *host, unsigned size)
{
	switch (size) {
	case 1:
		return __atomic_load_n((const uint8_t *)host, __ATOMIC_ACQUIRE);
	case 2:
		return __atomic_load_n((const uint16_t *)host, __ATOMIC_ACQUIRE);
	case 4:
		return __atomic_load_n((const uint32_t *)host, __ATOMIC_ACQUIRE);
	default:
		return __atomic_load_n((const uint64_t *)host, __ATOMIC_ACQUIRE);
	}
}

static void store_value(void *host, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		__atomic_store_n((uint8_t *)host, (uint8_t)value, __ATOMIC_RELEASE);
		return;
	case 2:
		__atomic_store_n((uint16_t *)host, (uint16_t)value, __ATOMIC_RELEASE);
		return;
	case 4:
		__atomic_store_n((uint32_t *)host, (uint32_t)value, __ATOMIC_RELEASE);
		return;
	default:
		__atomic_store_n((uint64_t *)host, value, __ATOMIC_RELEASE);
	}
}

static bool exchange_value(void *host, unsigned size, uint64_t *expected, uint64_t desired)
{
	switch (size) {
	case 1:
		return exchange_8(host, expected, desired);
	case 2:
		return exchange_16(host, expected, desired);
	case 4:
		return exchange_32(host, expected, desired);
	default:
		return exchange_64(host, expected, desired);
	}
}

int addrspace_load(struct addrspace *as, uint64_t gpa, unsigned size, uint64_t *value,
		   unsigned flags)
{
	struct cursor cursor;
	struct piece piece;
	int error = check_value(as, gpa, size, flags);

	if (error || !value)
		return error ? error : ADDRSPACE_EINVAL;
	cursor_start(&cursor, as, gpa, ADDRSPACE_READ, flags);
	lock_shared(as);
	error = find_piece(&cursor, size, &piece);
	if (!error)
		*value = load_value(piece.host, size);
	unlock_shared(as);
	return error;
}

int addrspace_store(struct addrspace *as, uint64_t gpa, unsigned size, uint64_t value,
		    unsigned flags)
{
	struct cursor cursor;
	struct piece piece;
	int error = check_value(as, gpa, size, flags);

	if (error || too_wide(value, size))
		return error ? error : ADDRSPACE_EINVAL;
	cursor_start(&cursor, as, gpa, ADDRSPACE_WRITE, flags);
	lock_shared(as);
	error = find_piece(&cursor, size, &piece);
	if (!error) {
		store_value(piece.host, size, value);
		written(&cursor, &piece);
	}
	unlock_shared(as);
	return error;
}

int addrspace_compare_exchange(struct addrspace *as, uint64_t gpa, unsigned size,
			       uint64_t *expected, uint64_t desired, unsigned flags)
{
	struct cursor cursor;
	struct piece piece;
	int result = check_value(as, gpa, size, flags);

	if (!result && (!expected || too_wide(*expected, size) || too_wide(desired, size)))
		result = ADDRSPACE_EINVAL;
	if (result)
		return result;
	cursor_start(&cursor, as, gpa, READ_AND_WRITE, flags & ~(unsigned)ADDRSPACE_ACCESS_DEVICE);
	lock_shared(as);
	result = find_piece(&cursor, size, &piece);
	if (!result) {
		result = exchange_value(piece.host, size, expected, desired)
				 ? ADDRSPACE_EXCHANGED
				 : ADDRSPACE_NOT_EXCHANGED;
		written(&cursor, &piece);
	}
	unlock_shared(as);
	return result;
}

/* ---- segments ---- */

int addrspace_segments_begin(struct addrspace_segments *segments, struct addrspace *as,
			     uint64_t gpa, size_t size, unsigned access, unsigned flags)
{
	int error = check_access(as, gpa, size, flags);

	if (!segments)
		return ADDRSPACE_EINVAL;
	segments->as = NULL;
	if (error || !access || access & ~(unsigned)READ_AND_WRITE)
		return error ? error : ADDRSPACE_EINVAL;
	segments->start = size ? gpa : 0;
	segments->gpa = segments->start;
	segments->end = segments->start + size;
	segments->permissions = access;
	segments->flags = flags;
	segments->as = as;
	lock_shared(as);
	return 0;
}

int addrspace_segments_next(struct addrspace_segments *segments, struct addrspace_segment *segment)
{
	struct cursor cursor;
	struct piece piece;
	int error;

	if (!segments || !segments->as || !segment)
		return ADDRSPACE_EINVAL;
	if (segments->gpa == segments->end)
		return 0;
	cursor_start(&cursor, segments->as, segments->gpa, segments->permissions, segments->flags);
	error = find_piece(&cursor, segments->end - cursor.gpa, &piece);
	if (error)
		return error;
	*segment =
		(struct addrspace_segment){.host = piece.host, .hpa = piece.hpa, .gpa = cursor.gpa};
	/* What cannot be reached behind it is the next call's to tell. */
	do {
		segment->size += piece.size;
		cursor.gpa += piece.size;
	} while (cursor.gpa < segments->end &&
		 !find_piece(&cursor, segments->end - cursor.gpa, &piece) &&
		 piece.host == (uint8_t *)segment->host + segment->size &&
		 piece.hpa == segment->hpa + segment->size);
	segments->gpa = cursor.gpa;
	return 1;
}

/** Again over what was handed out: it is all still there. */
static RARELY void prepare_segments(const struct addrspace_segments *segments)
{
	struct cursor cursor;
	struct piece piece;

	cursor_start(&cursor, segments->as, segments->start, segments->permissions,
		     segments->flags);
	while (cursor.gpa < segments->gpa) {
		if (find_piece(&cursor, segments->gpa - cursor.gpa, &piece))
			return;
		prepare_piece(&cursor, &piece);
		cursor.gpa += piece.size;
	}
}

void addrspace_segments_end(struct addrspace_segments *segments)
{
	if (!segments || !segments->as)
		return;
	if (segments->flags & ADDRSPACE_ACCESS_PREPARE && segments->permissions & ADDRSPACE_WRITE)
		prepare_segments(segments);
	unlock_shared(segments->as);
	segments->as = NULL;
}
