/* SPDX-License-Identifier: MIT */
/*
 * Levels count from the leaves: 0 is a leaf, region_depth - 1 the root.
 *
 *     node, 4 KiB:  count | 15 samples | 124 records of 32 bytes, sorted by start
 *
 * The samples repeat the starts of records 8, 16, ... 120, so that a search reads two lines of
 * samples and then one group of eight records, without a branch that depends on the data. What is
 * unused has a start of all ones, which is below no key.
 *
 * An inner record tells where the first region of its child starts, where the last one ends, and
 * the largest gap between two regions inside. The gaps between children follow from neighbouring
 * records. All of it is exact at all times, between two changes.
 */
#include "region_set.h"

#include "compiler.h"
#include "frames.h"
#include "memory.h"

#define NODE_RECORDS       124u
#define NODE_SAMPLES       15u
#define SAMPLE_STRIDE      8u
#define NODE_MERGE_RECORDS (NODE_RECORDS * 3 / 4)
#define FEW                4u
#define START_UNUSED       UINT64_MAX
/** No space of any format is larger. */
#define GPA_END_LARGEST (UINT64_C(1) << 59)

struct inner_record {
	uint64_t start;
	uint64_t end;
	uint64_t largest_gap;
	uint64_t child_hpa;
};

union record {
	uint64_t start;
	struct region_record leaf;
	struct inner_record inner;
};

struct region_node {
	uint32_t count;
	uint32_t zero;
	uint64_t samples[NODE_SAMPLES];
	union record records[NODE_RECORDS];
};

_Static_assert(sizeof(struct region_node) == ADDRSPACE_PAGE_SIZE, "a node is one frame");
_Static_assert(offsetof(struct addrspace_backend, u.linear.offset) ==
		       offsetof(struct addrspace_backend, u.trap.base),
	       "one field of the record serves both");
_Static_assert(GPA_END_LARGEST >> PAGE_SHIFT << REGION_ATTRIBUTE_BITS >> REGION_ATTRIBUTE_BITS ==
		       GPA_END_LARGEST >> PAGE_SHIFT,
	       "the largest region's pages fit above the attributes");

/** What the steps of one change share, so that each needs little stack of its own. For the same
 * reason steps that follow one another are not inlined: their frames would add up. */
struct region_work {
	struct addrspace *as;
	struct region_reserve *reserve;
	union record record; /* to be put in */
	union record left;   /* of a node that was cut */
	struct region_path path;
};

/** A replacement, widened to the neighbours that the new region merges with. */
struct region_change {
	uint64_t gpa;
	uint64_t end;
	unsigned insertions; /* records that come on top */
};

static uint64_t leaf_end(const struct region_record *record)
{
	return record->start + region_record_size(record);
}

static bool leaf_attributes_equal(const struct region_record *a, const struct region_record *b)
{
	return !((a->pages_and_attributes ^ b->pages_and_attributes) & REGION_ATTRIBUTES) &&
	       a->cookie == b->cookie && a->offset_or_base == b->offset_or_base;
}

/** 0 for 0 and 1. */
static uint64_t fault_around_order(unsigned pages)
{
	uint64_t order = 0;

	for (; pages > 1; pages >>= 1)
		order++;
	return order;
}

static void pack(const struct addrspace_region *region, struct region_record *record)
{
	uint64_t attributes = region->permissions & REGION_PERMISSIONS;

	attributes |= (uint64_t)region->memory_type << REGION_MEMORY_TYPE_SHIFT;
	attributes |= (uint64_t)region->backend.kind << REGION_KIND_SHIFT;
	attributes |= (uint64_t)region->largest_leaf << REGION_LARGEST_LEAF_SHIFT;
	attributes |= fault_around_order(region->fault_around) << REGION_FAULT_AROUND_SHIFT;
	if (region->small_executable)
		attributes |= REGION_SMALL_EXECUTABLE;
	record->offset_or_base = 0;
	if (region->backend.kind != ADDRSPACE_ALLOC)
		record->offset_or_base = region->backend.u.linear.offset;
	else if (region->backend.u.alloc.populate)
		attributes |= REGION_POPULATE;
	record->cookie = region->cookie;
	record->pages_and_attributes = attributes;
	region_record_set_range(record, region->gpa, region->gpa + region->size);
}

void addrspace_region_unpack(const struct region_record *record, struct addrspace_region *region)
{
	uint64_t attributes = record->pages_and_attributes;
	unsigned around = region_record_fault_around(record);

	region->gpa = record->start;
	region->size = region_record_size(record);
	region->permissions = region_record_permissions(record);
	region->memory_type = region_record_memory_type(record);
	region->cookie = record->cookie;
	region->backend.kind =
		(enum addrspace_backend_kind)((attributes & REGION_KIND) >> REGION_KIND_SHIFT);
	region->backend.u.linear.offset = record->offset_or_base;
	if (region->backend.kind == ADDRSPACE_ALLOC)
		region->backend.u.alloc.populate = (attributes & REGION_POPULATE) != 0;
	region->largest_leaf = (enum addrspace_leaf)((attributes & REGION_LARGEST_LEAF) >>
						     REGION_LARGEST_LEAF_SHIFT);
	region->fault_around = around ? 1u << around : 0;
	region->small_executable = (attributes & REGION_SMALL_EXECUTABLE) != 0;
}

struct region_edit addrspace_region_edit_permissions(unsigned permissions)
{
	return (struct region_edit){REGION_PERMISSIONS, permissions & REGION_PERMISSIONS};
}

struct region_edit addrspace_region_edit_lazy(void)
{
	return (struct region_edit){REGION_POPULATE, 0};
}

static uint64_t record_end(const union record *record, unsigned level)
{
	return level ? record->inner.end : leaf_end(&record->leaf);
}

/** Of at most FEW records. */
static inline unsigned rank_few(const struct region_node *node, uint64_t key)
{
	const union record *record = node->records;

	return (unsigned)(record[0].start < key) + (record[1].start < key) +
	       (record[2].start < key) + (record[3].start < key);
}

static inline unsigned rank_many(const struct region_node *node, uint64_t key)
{
	const uint64_t *samples = node->samples;
	unsigned group = 0;
	unsigned below = 0;
	unsigned first;

	/* Five and four at a time: sums of their own, and no loop to speak of. */
	for (unsigned i = 0; i < NODE_SAMPLES; i += 5)
		group += (unsigned)(samples[i] < key) + (samples[i + 1] < key) +
			 (samples[i + 2] < key) + (samples[i + 3] < key) + (samples[i + 4] < key);
	/* The last group has four records: take the four before it too, which are below. */
	first = group * SAMPLE_STRIDE;
	if (first > NODE_RECORDS - SAMPLE_STRIDE)
		first = NODE_RECORDS - SAMPLE_STRIDE;
	for (const union record *record = &node->records[first];
	     record < &node->records[first + SAMPLE_STRIDE]; record += 4)
		below += (unsigned)(record[0].start < key) + (record[1].start < key) +
			 (record[2].start < key) + (record[3].start < key);
	return first + below;
}

/** How many of the node's records start below key. A set of a few regions, which is all that many
 * guests have, is spared the samples. */
static inline unsigned rank(const struct region_node *node, uint64_t key)
{
	return node->count <= FEW ? rank_few(node, key) : rank_many(node, key);
}

static struct region_node *child_of(const struct addrspace *as, const struct region_node *node,
				    unsigned slot)
{
	return frame_pointer(as, node->records[slot].inner.child_hpa);
}

static unsigned slots_back(unsigned slot, unsigned count)
{
	return slot > count ? slot - count : 0;
}

/* Ways through a tree that is not empty. */

/** To the leaf where a record that starts at key belongs: slot[0] is its place, the records that
 * start below key are before it, and if any does, one is in this very leaf. */
static NEVER_INLINE void seek(const struct addrspace *as, uint64_t key, struct region_path *path)
{
	struct region_node *node = frame_pointer(as, as->region_root);
	unsigned level = as->region_depth - 1;

	for (;; level--) {
		unsigned below = rank(node, key);

		path->node[level] = node;
		path->slot[level] = (uint8_t)(level ? slots_back(below, 1) : below);
		if (!level)
			return;
		node = child_of(as, node, path->slot[level]);
	}
}

/** The last record before the path's place, or NULL at the start of the set. */
static struct region_record *record_before(const struct region_path *path)
{
	return path->slot[0] ? &path->node[0]->records[path->slot[0] - 1].leaf : NULL;
}

static struct region_record *record_at(const struct region_path *path)
{
	return &path->node[0]->records[path->slot[0]].leaf;
}

/** From a place behind a leaf's last record to the next leaf's first; false at the end. */
static NEVER_INLINE bool step_to_record(const struct addrspace *as, struct region_path *path)
{
	unsigned level = 0;

	while (path->slot[level] >= path->node[level]->count) {
		if (++level == as->region_depth || level == REGION_SET_MAX_DEPTH)
			return false;
		path->slot[level]++;
	}
	for (; level; level--) {
		path->node[level - 1] = child_of(as, path->node[level], path->slot[level]);
		path->slot[level - 1] = 0;
	}
	return true;
}

/** To the first record that ends above gpa; false if there is none, also in an empty tree. */
static NEVER_INLINE bool seek_ending_above(const struct addrspace *as, uint64_t gpa,
					   struct region_path *path)
{
	uint64_t hpa = as->region_root;

	if (gpa >= GPA_END_LARGEST)
		return false;
	for (unsigned level = as->region_depth; level--;) {
		struct region_node *node = frame_pointer(as, hpa);
		unsigned slot = rank(node, gpa + 1);

		if (slot && record_end(&node->records[slot - 1], level) > gpa)
			slot--;
		if (slot == node->count)
			return false;
		path->node[level] = node;
		path->slot[level] = (uint8_t)slot;
		hpa = node->records[slot].inner.child_hpa;
	}
	return as->region_depth != 0;
}

/** The end of the first region, from the path's on, that is followed by size free bytes, or of the
 * last region. */
static uint64_t end_before_gap(const struct addrspace *as, struct region_path *path, uint64_t size)
{
	unsigned level = 0;

	for (;;) {
		const struct region_node *node = path->node[level];
		unsigned slot = path->slot[level];
		uint64_t end = record_end(&node->records[slot], level);

		if (slot + 1 == node->count) {
			if (++level == as->region_depth)
				return end;
			continue;
		}
		if (node->records[slot + 1].start - end >= size)
			return end;
		path->slot[level]++;
		while (level &&
		       path->node[level]->records[path->slot[level]].inner.largest_gap >= size) {
			path->node[level - 1] = child_of(as, path->node[level], path->slot[level]);
			path->slot[--level] = 0;
		}
	}
}

/* Nodes. */

static void reserve_push(struct addrspace *as, struct region_reserve *reserve, uint64_t hpa)
{
	uint64_t *next = frame_pointer(as, hpa);

	*next = reserve->first_hpa;
	reserve->first_hpa = hpa;
	reserve->count++;
}

static uint64_t reserve_pop(struct addrspace *as, struct region_reserve *reserve)
{
	uint64_t hpa = reserve->first_hpa;
	const uint64_t *next = frame_pointer(as, hpa);

	reserve->first_hpa = *next;
	reserve->count--;
	return hpa;
}

static struct region_node *take_node(struct addrspace *as, struct region_reserve *reserve,
				     uint64_t *hpa)
{
	struct region_node *node;

	*hpa = reserve_pop(as, reserve);
	node = frame_pointer(as, *hpa);
	memset(node, 0xff, sizeof(*node));
	node->count = 0;
	node->zero = 0;
	as->region_nodes++;
	return node;
}

static void free_node(struct addrspace *as, uint64_t hpa)
{
	as->region_nodes--;
	addrspace_frame_free(as, ADDRSPACE_FRAME_REGION_NODE, 0, hpa);
}

static uint64_t node_hpa(const struct addrspace *as, const struct region_path *path, unsigned level)
{
	if (level + 1 == as->region_depth)
		return as->region_root;
	return path->node[level + 1]->records[path->slot[level + 1]].inner.child_hpa;
}

/** After the records from slot on have moved or changed. */
static NEVER_INLINE void refresh_samples(struct region_node *node, unsigned slot)
{
	for (unsigned i = slots_back(slot, 1) / SAMPLE_STRIDE; i < NODE_SAMPLES; i++)
		node->samples[i] = node->records[(i + 1) * SAMPLE_STRIDE].start;
}

static NEVER_INLINE void place_record(struct region_node *node, unsigned slot,
				      const union record *record)
{
	union record *place = &node->records[slot];

	memmove(place + 1, place, (node->count - slot) * sizeof(*place));
	*place = *record;
	node->count++;
	refresh_samples(node, slot);
}

static void set_start(struct region_node *node, unsigned slot, uint64_t start)
{
	node->records[slot].start = start;
	if (slot && slot % SAMPLE_STRIDE == 0)
		node->samples[slot / SAMPLE_STRIDE - 1] = start;
}

static void overwrite_record(struct region_node *node, unsigned slot, const union record *record)
{
	node->records[slot] = *record;
	set_start(node, slot, record->start);
}

/** Takes records [from, to) out. */
static NEVER_INLINE void close_records(struct region_node *node, unsigned from, unsigned to)
{
	unsigned count = node->count - (to - from);

	memmove(&node->records[from], &node->records[to],
		(node->count - to) * sizeof(node->records[0]));
	for (unsigned i = count; i < node->count; i++)
		node->records[i].start = START_UNUSED;
	node->count = count;
	refresh_samples(node, from);
}

/** The largest gap between two of the records [first, last], or inside one of them; or the first
 * one met of at least enough. */
static NEVER_INLINE uint64_t largest_gap(const struct region_node *node, unsigned level,
					 unsigned first, unsigned last, uint64_t enough)
{
	uint64_t largest = 0;

	if (last >= node->count)
		last = node->count - 1;
	for (unsigned i = first; i <= last && largest < enough; i++) {
		const union record *record = &node->records[i];

		if (level && record->inner.largest_gap > largest)
			largest = record->inner.largest_gap;
		if (i < last && record[1].start - record_end(record, level) > largest)
			largest = record[1].start - record_end(record, level);
	}
	return largest;
}

/** The gap before a leaf's record; 0 at the ends of the leaf. */
static inline uint64_t gap_before(const struct region_node *leaf, unsigned slot)
{
	if (slot == 0 || slot >= leaf->count)
		return 0;
	return leaf->records[slot].start - leaf_end(&leaf->records[slot - 1].leaf);
}

/** The larger of the gaps on both sides of a leaf's record. */
static inline uint64_t gap_beside(const struct region_node *leaf, unsigned slot)
{
	uint64_t before = gap_before(leaf, slot);
	uint64_t behind = gap_before(leaf, slot + 1);

	return before > behind ? before : behind;
}

/** The largest gap that a change of this record alone can change. */
static uint64_t gap_around(const struct region_node *node, unsigned level, unsigned slot)
{
	return largest_gap(node, level, slots_back(slot, 1), slot + 1, UINT64_MAX);
}

static void summarize(const struct region_node *node, unsigned level, uint64_t hpa,
		      union record *summary)
{
	summary->inner.start = node->records[0].start;
	summary->inner.end = record_end(&node->records[node->count - 1], level);
	summary->inner.largest_gap = largest_gap(node, level, 0, node->count, UINT64_MAX);
	summary->inner.child_hpa = hpa;
}

/**
 * Carries a change of the path's node at this level up, as far as it shows. lost is the largest gap
 * at the place of the change before it, gained after it: only if the largest of all may have gone
 * are the others looked at.
 */
static NEVER_INLINE void propagate(const struct addrspace *as, struct region_path *path,
				   unsigned level, uint64_t lost, uint64_t gained)
{
	for (; level + 1 < as->region_depth; level++) {
		const struct region_node *node = path->node[level];
		struct region_node *parent = path->node[level + 1];
		unsigned slot = path->slot[level + 1];
		struct inner_record *record = &parent->records[slot].inner;
		uint64_t end = record_end(&node->records[node->count - 1], level);
		bool changed = record->start != node->records[0].start || record->end != end;
		uint64_t lost_above;

		/* As a rule: neither an end of the node nor its largest gap. */
		if (!changed && lost < record->largest_gap && gained <= record->largest_gap)
			return;
		lost_above = gap_around(parent, level + 1, slot);
		record->end = end;
		set_start(parent, slot, node->records[0].start);
		if (lost >= record->largest_gap && gained < lost)
			gained = largest_gap(node, level, 0, node->count, record->largest_gap);
		else if (gained < record->largest_gap)
			gained = record->largest_gap;
		if (!changed && gained == record->largest_gap)
			return;
		record->largest_gap = gained;
		lost = lost_above;
		gained = gap_around(parent, level + 1, slot);
	}
}

/* One record comes. */

/**
 * How many records the full node at this level keeps when one more comes at slot. At the ends of
 * the set the new record gets a node of its own, so that nodes are full after insertions in order.
 * Near the ends of a node, most of the room is made where the next record will probably come: order
 * also fills the middle of the set well.
 */
static unsigned split_point(const struct addrspace *as, const struct region_path *path,
			    unsigned level, unsigned slot)
{
	bool first = level == 0 && slot == 0;
	bool last = slot == NODE_RECORDS;

	for (unsigned above = level + 1; above < as->region_depth; above++) {
		first = first && path->slot[above] == 0;
		last = last && path->slot[above] + 1u == path->node[above]->count;
	}
	if (first || last)
		return slot;
	if (slot > NODE_RECORDS * 7 / 8)
		return NODE_RECORDS * 3 / 4;
	return slot < NODE_RECORDS / 8 ? NODE_RECORDS / 4 : NODE_RECORDS / 2;
}

/** Puts work->record into the full node or the new one to its right. Then work->left is the node's
 * record for its parent and work->record the new one's. */
static NEVER_INLINE void split_node(struct region_work *work, unsigned level, unsigned slot)
{
	struct region_node *node = work->path.node[level];
	unsigned kept = split_point(work->as, &work->path, level, slot);
	uint64_t new_hpa;
	struct region_node *new_node = take_node(work->as, work->reserve, &new_hpa);

	memcpy(new_node->records, &node->records[kept],
	       (NODE_RECORDS - kept) * sizeof(node->records[0]));
	new_node->count = NODE_RECORDS - kept;
	refresh_samples(new_node, 0);
	close_records(node, kept, NODE_RECORDS);
	if (slot <= kept && kept < NODE_RECORDS)
		place_record(node, slot, &work->record);
	else
		place_record(new_node, slot - kept, &work->record);
	summarize(node, level, node_hpa(work->as, &work->path, level), &work->left);
	summarize(new_node, level, new_hpa, &work->record);
}

static void grow_root(struct region_work *work)
{
	struct region_node *root = take_node(work->as, work->reserve, &work->as->region_root);

	place_record(root, 0, &work->left);
	place_record(root, 1, &work->record);
	work->as->region_depth++;
}

/** Puts work->record where work->path leads. */
static void insert_at_path(struct region_work *work)
{
	unsigned level = 0;
	unsigned slot = work->path.slot[0];
	struct region_node *node = work->path.node[0];
	uint64_t lost;

	/* Above the leaf, a record comes together with a new record for its left neighbour. */
	while (node->count == NODE_RECORDS) {
		if (level)
			overwrite_record(node, slot - 1, &work->left);
		split_node(work, level, slot);
		if (++level == work->as->region_depth) {
			grow_root(work);
			return;
		}
		slot = work->path.slot[level] + 1u;
		node = work->path.node[level];
	}
	if (!level) {
		lost = gap_before(node, slot);
		place_record(node, slot, &work->record);
		propagate(work->as, &work->path, 0, lost, gap_beside(node, slot));
		return;
	}
	lost = largest_gap(node, level, slots_back(slot, 2), slot, UINT64_MAX);
	overwrite_record(node, slot - 1, &work->left);
	place_record(node, slot, &work->record);
	propagate(work->as, &work->path, level, lost,
		  largest_gap(node, level, slots_back(slot, 2), slot + 1, UINT64_MAX));
}

/** Puts work->record where work->path leads; the set may be empty. */
static NEVER_INLINE void insert(struct region_work *work)
{
	struct addrspace *as = work->as;

	as->region_count++;
	if (as->region_depth) {
		insert_at_path(work);
		return;
	}
	place_record(take_node(as, work->reserve, &as->region_root), 0, &work->record);
	as->region_depth = 1;
}

/** Other contents for the path's leaf's record at slot, which stays between its neighbours. */
static void rewrite(struct region_work *work, unsigned slot, const union record *record)
{
	struct region_node *leaf = work->path.node[0];
	uint64_t lost = gap_beside(leaf, slot);

	overwrite_record(leaf, slot, record);
	propagate(work->as, &work->path, 0, lost, gap_beside(leaf, slot));
}

/* Records go. */

/** Moves the records of child slot + 1 into child slot if together they leave room. What the parent
 * tells of them to its own parent stays the same. */
static NEVER_INLINE bool merge_children(struct addrspace *as, struct region_node *parent,
					unsigned slot)
{
	struct inner_record *record = &parent->records[slot].inner;
	const struct inner_record *next;
	struct region_node *left;
	const struct region_node *right;
	unsigned count;

	if (slot + 1 >= parent->count)
		return false;
	next = &parent->records[slot + 1].inner;
	left = child_of(as, parent, slot);
	right = child_of(as, parent, slot + 1);
	count = left->count;
	if (count + right->count > NODE_MERGE_RECORDS)
		return false;
	memcpy(&left->records[count], right->records, right->count * sizeof(right->records[0]));
	left->count += right->count;
	refresh_samples(left, count);
	if (next->largest_gap > record->largest_gap)
		record->largest_gap = next->largest_gap;
	if (next->start - record->end > record->largest_gap)
		record->largest_gap = next->start - record->end;
	record->end = next->end;
	free_node(as, next->child_hpa);
	close_records(parent, slot + 1, slot + 2);
	return true;
}

/** After the path's node at this level has lost records. */
static void rebalance(struct addrspace *as, const struct region_path *path, unsigned level)
{
	bool merged = true;

	while (merged && ++level < as->region_depth) {
		struct region_node *parent = path->node[level];
		unsigned slot = path->slot[level];

		merged = merge_children(as, parent, slot);
		if (slot && merge_children(as, parent, slot - 1))
			merged = true;
	}
	while (as->region_depth > 1) {
		uint64_t root_hpa = as->region_root;
		const struct region_node *root = frame_pointer(as, root_hpa);

		if (root->count > 1)
			return;
		as->region_root = root->records[0].inner.child_hpa;
		as->region_depth--;
		free_node(as, root_hpa);
	}
}

/** Takes records [from, to) out of the path's leaf, and the nodes that this leaves empty. */
static void remove_records(struct region_work *work, unsigned from, unsigned to)
{
	struct addrspace *as = work->as;
	struct region_node *node = work->path.node[0];
	unsigned level = 0;
	uint64_t lost;

	as->region_count -= to - from;
	for (; to - from == node->count; node = work->path.node[level]) {
		free_node(as, node_hpa(as, &work->path, level));
		if (++level == as->region_depth) {
			as->region_depth = 0;
			as->region_root = 0;
			return;
		}
		from = work->path.slot[level];
		to = from + 1;
	}
	lost = largest_gap(node, level, slots_back(from, 1), to, UINT64_MAX);
	close_records(node, from, to);
	propagate(as, &work->path, level, lost,
		  largest_gap(node, level, slots_back(from, 1), from, UINT64_MAX));
	if (level && from)
		merge_children(as, node, from - 1);
	rebalance(as, &work->path, level);
}

/** Removes [gpa, end), where no region reaches over gpa. */
static NEVER_INLINE void remove_range(struct region_work *work, uint64_t gpa, uint64_t end)
{
	while (work->as->region_depth) {
		const struct region_record *record;
		unsigned to;

		seek(work->as, gpa, &work->path);
		if (!step_to_record(work->as, &work->path))
			return;
		record = record_at(&work->path);
		if (record->start >= end)
			return;
		if (leaf_end(record) > end) {
			work->left.leaf = *record;
			region_record_set_range(&work->left.leaf, end, leaf_end(record));
			rewrite(work, work->path.slot[0], &work->left);
			return;
		}
		to = rank(work->path.node[0], end);
		if (leaf_end(&work->path.node[0]->records[to - 1].leaf) > end)
			to--;
		remove_records(work, work->path.slot[0], to);
	}
}

/* Changes. */

static void widen(const struct addrspace *as, struct region_path *path,
		  const struct region_record *record, struct region_change *change)
{
	uint64_t gpa = change->gpa;
	uint64_t end = change->end;
	const struct region_record *neighbour;

	seek(as, gpa, path);
	neighbour = record_before(path);
	if (neighbour && leaf_end(neighbour) >= gpa && leaf_attributes_equal(neighbour, record))
		change->gpa = neighbour->start;
	seek(as, end + 1, path);
	neighbour = record_before(path);
	if (neighbour && leaf_end(neighbour) > end && leaf_attributes_equal(neighbour, record))
		change->end = leaf_end(neighbour);
}

/** What becomes of [gpa, end) replaced by the record, or by nothing. */
static NEVER_INLINE struct region_change plan_change(const struct addrspace *as,
						     struct region_path *path, uint64_t gpa,
						     uint64_t end,
						     const struct region_record *record)
{
	struct region_change change = {gpa, end, record ? 1 : 0};
	const struct region_record *before;

	if (!as->region_depth)
		return change;
	if (record)
		widen(as, path, record, &change);
	seek(as, change.gpa, path);
	before = record_before(path);
	if (before && leaf_end(before) > change.end)
		change.insertions++;
	else if (step_to_record(as, path) && leaf_end(record_at(path)) <= change.end)
		change.insertions = 0;
	return change;
}

/** Cuts a region that reaches over gpa. Answers where it ended if that is above end, else 0. */
static NEVER_INLINE uint64_t cut_left(struct region_work *work, uint64_t gpa, uint64_t end)
{
	const struct region_record *before;
	uint64_t old_end;

	if (!work->as->region_depth)
		return 0;
	seek(work->as, gpa, &work->path);
	before = record_before(&work->path);
	if (!before || leaf_end(before) <= gpa)
		return 0;
	old_end = leaf_end(before);
	work->left.leaf = *before;
	region_record_set_range(&work->left.leaf, before->start, gpa);
	rewrite(work, work->path.slot[0] - 1u, &work->left);
	return old_end > end ? old_end : 0;
}

/** Gives [end, old_end) back to the region that was cut at gpa. */
static void insert_rest(struct region_work *work, uint64_t gpa, uint64_t end, uint64_t old_end)
{
	seek(work->as, gpa, &work->path);
	work->record.leaf = *record_before(&work->path);
	region_record_set_range(&work->record.leaf, end, old_end);
	seek(work->as, end, &work->path);
	insert(work);
}

/** Makes the first record that lies inside the range of work->record the new one, so that none need
 * come; false if there is none. */
static bool take_over(struct region_work *work)
{
	uint64_t end = leaf_end(&work->record.leaf);
	uint64_t first_gpa;

	if (!work->as->region_depth)
		return false;
	seek(work->as, work->record.start, &work->path);
	if (!step_to_record(work->as, &work->path) || leaf_end(record_at(&work->path)) > end)
		return false;
	first_gpa = record_at(&work->path)->start;
	remove_range(work, leaf_end(record_at(&work->path)), end);
	seek(work->as, first_gpa, &work->path);
	step_to_record(work->as, &work->path);
	rewrite(work, work->path.slot[0], &work->record);
	return true;
}

/** Puts work->record into its range, whatever is there. */
static NEVER_INLINE void replace_by_record(struct region_work *work)
{
	struct region_record *record = &work->record.leaf;
	struct region_change change =
		plan_change(work->as, &work->path, record->start, leaf_end(record), record);
	uint64_t old_end = cut_left(work, change.gpa, change.end);

	region_record_set_range(record, change.gpa, change.end);
	if (!take_over(work)) {
		remove_range(work, change.gpa, change.end);
		if (work->as->region_depth)
			seek(work->as, change.gpa, &work->path);
		insert(work);
	}
	if (old_end)
		insert_rest(work, change.gpa, change.end, old_end);
}

/**
 * Takes the nodes for some insertions at two places, which may be the same: at each level one for
 * the node that has no room for the records that come to it; a split sends one record up. Several
 * records to one node split it only once: see split_point(), which leaves a full node behind only
 * where nothing more comes.
 */
static int reserve_for(struct addrspace *as, const struct region_path *left_path, unsigned left,
		       const struct region_path *right_path, unsigned right,
		       struct region_reserve *reserve)
{
	unsigned nodes = 0;

	for (unsigned level = 0; level < as->region_depth; level++) {
		const struct region_node *left_node = left_path->node[level];
		const struct region_node *right_node = right_path->node[level];

		if (left_node == right_node) {
			left += right;
			right = 0;
		}
		left = left && left_node->count + left > NODE_RECORDS;
		right = right && right_node->count + right > NODE_RECORDS;
		nodes += left + right;
	}
	if (left) {
		if (as->region_depth == REGION_SET_MAX_DEPTH)
			return ADDRSPACE_ENOMEM;
		nodes++;
	}
	while (reserve->count < nodes) {
		struct addrspace_frame frame;
		int error = addrspace_frame_allocate(as, ADDRSPACE_FRAME_REGION_NODE, 0, &frame);

		if (error) {
			addrspace_region_set_release(as, reserve);
			return error;
		}
		reserve_push(as, reserve, frame.hpa);
	}
	return ADDRSPACE_OK;
}

/** True if the record would merge with a neighbour that ends, or starts, where it starts or ends. */
static bool touches_equal(const struct region_record *left, const struct region_record *right)
{
	return leaf_end(left) == right->start && leaf_attributes_equal(left, right);
}

/** Whether the path, which leads to where the record starts, is a gap for it. */
static bool is_gap(const struct addrspace *as, const struct region_path *path,
		   const struct region_record *record)
{
	const struct region_record *before = record_before(path);
	const struct region_record *after;
	struct region_path next;

	if (before && (leaf_end(before) > record->start || touches_equal(before, record)))
		return false;
	if (path->slot[0] < path->node[0]->count) {
		after = record_at(path);
	} else {
		next = *path;
		if (!step_to_record(as, &next))
			return true;
		after = record_at(&next);
	}
	return after->start >= leaf_end(record) && !touches_equal(record, after);
}

/** How many of the leaf's records end at or below end, if those from the path's on lie in
 * [gpa, end) whole and no other region reaches into it; else 0. */
static unsigned whole_records(const struct addrspace *as, const struct region_path *path,
			      uint64_t gpa, uint64_t end)
{
	const struct region_node *leaf = path->node[0];
	const struct region_record *before = record_before(path);
	unsigned behind = rank(leaf, end);

	if ((before && leaf_end(before) > gpa) || behind == path->slot[0])
		return 0;
	if (leaf_end(&leaf->records[behind - 1].leaf) > end)
		return 0;
	/* More of them may be in the next leaf. */
	return behind == leaf->count && as->region_depth > 1 ? 0 : behind;
}

/** Looks for a simple change with one search. */
static void find_place(const struct addrspace *as, uint64_t gpa, uint64_t end,
		       const struct region_record *record, struct region_place *place)
{
	const struct region_record *before;
	unsigned behind;

	place->kind = REGION_PLACE_NONE;
	if (!as->region_depth)
		return;
	seek(as, gpa, &place->path);
	if (record) {
		if (is_gap(as, &place->path, record))
			place->kind = REGION_PLACE_GAP;
		return;
	}
	before = record_before(&place->path);
	behind = whole_records(as, &place->path, gpa, end);
	if (before && leaf_end(before) > end)
		place->kind = REGION_PLACE_INSIDE;
	else if (behind)
		place->kind = REGION_PLACE_RECORDS;
	place->behind = (uint8_t)behind;
}

int addrspace_region_set_reserve_at(struct addrspace *as, uint64_t gpa, uint64_t end,
				    const struct addrspace_region *region,
				    struct region_reserve *reserve, struct region_place *place)
{
	struct region_record record;

	*reserve = (struct region_reserve){0};
	if (region)
		pack(region, &record);
	find_place(as, gpa, end, region ? &record : NULL, place);
	if (place->kind == REGION_PLACE_NONE || place->kind == REGION_PLACE_RECORDS)
		return ADDRSPACE_OK;
	return reserve_for(as, &place->path, 1, &place->path, 0, reserve);
}

int addrspace_region_set_reserve_replace(struct addrspace *as, uint64_t gpa, uint64_t end,
					 const struct addrspace_region *region,
					 struct region_reserve *reserve)
{
	struct region_change change;
	struct region_record record;
	struct region_path path;

	*reserve = (struct region_reserve){0};
	if (region)
		pack(region, &record);
	change = plan_change(as, &path, gpa, end, region ? &record : NULL);
	if (!change.insertions)
		return ADDRSPACE_OK;
	if (as->region_depth)
		seek(as, change.gpa, &path);
	return reserve_for(as, &path, change.insertions, &path, 0, reserve);
}

/** True if the edit would change nothing of the record. */
static bool edited(const struct region_record *record, struct region_edit edit)
{
	return (record->pages_and_attributes & edit.mask) == edit.value;
}

static void apply_edit(struct region_record *record, struct region_edit edit)
{
	record->pages_and_attributes = (record->pages_and_attributes & ~edit.mask) | edit.value;
}

/** The part inside [gpa, end) of the region that contains address, edited; false if there is none,
 * or it lies inside whole, or needs no edit. */
static NEVER_INLINE bool edited_cut(const struct addrspace *as, struct region_path *path,
				    uint64_t address, uint64_t gpa, uint64_t end,
				    struct region_edit edit, struct region_record *part)
{
	uint64_t part_end;

	if (!seek_ending_above(as, address, path))
		return false;
	*part = *record_at(path);
	part_end = leaf_end(part);
	if (part->start > address || edited(part, edit) || (part->start >= gpa && part_end <= end))
		return false;
	apply_edit(part, edit);
	region_record_set_range(part, part->start > gpa ? part->start : gpa,
				part_end < end ? part_end : end);
	return true;
}

/** The first region from *position on that ends in the range and needs the edit, edited; *position
 * moves behind it. */
static NEVER_INLINE bool edited_next(const struct addrspace *as, struct region_path *path,
				     uint64_t *position, uint64_t end, struct region_edit edit,
				     struct region_record *part)
{
	while (seek_ending_above(as, *position, path) && record_at(path)->start < end) {
		*part = *record_at(path);
		*position = leaf_end(part);
		if (edited(part, edit))
			continue;
		apply_edit(part, edit);
		return true;
	}
	return false;
}

/** How many records come when the part is put in place; and where. */
static unsigned part_insertions(const struct addrspace *as, const struct region_record *part,
				struct region_path *path)
{
	struct region_change change = plan_change(as, path, part->start, leaf_end(part), part);

	seek(as, change.gpa, path);
	return change.insertions;
}

int addrspace_region_set_reserve_edit(struct addrspace *as, uint64_t gpa, uint64_t end,
				      struct region_edit edit, struct region_reserve *reserve)
{
	unsigned left = 0;
	unsigned right = 0;
	struct region_record part;
	struct region_path left_path;
	struct region_path right_path;

	*reserve = (struct region_reserve){0};
	if (edited_cut(as, &left_path, gpa, gpa, end, edit, &part))
		left = part_insertions(as, &part, &left_path);
	/* A part that starts at gpa is the one above. */
	if (edited_cut(as, &right_path, end - 1, gpa, end, edit, &part) && part.start > gpa)
		right = part_insertions(as, &part, &right_path);
	if (!left && !right)
		return ADDRSPACE_OK;
	return reserve_for(as, left ? &left_path : &right_path, left,
			   right ? &right_path : &left_path, right, reserve);
}

void addrspace_region_set_release(struct addrspace *as, struct region_reserve *reserve)
{
	while (reserve->count)
		addrspace_frame_free(as, ADDRSPACE_FRAME_REGION_NODE, 0, reserve_pop(as, reserve));
}

/** A region that reaches over gpa and end loses what is between. */
static void cut_hole(struct region_work *work, uint64_t gpa, uint64_t end)
{
	const struct region_record *before = record_before(&work->path);

	work->record.leaf = *before;
	region_record_set_range(&work->record.leaf, end, leaf_end(before));
	work->left.leaf = *before;
	region_record_set_range(&work->left.leaf, before->start, gpa);
	rewrite(work, work->path.slot[0] - 1u, &work->left);
}

void addrspace_region_set_replace_at(struct addrspace *as, uint64_t gpa, uint64_t end,
				     const struct addrspace_region *region,
				     const struct region_place *place,
				     struct region_reserve *reserve)
{
	struct region_work work;

	work.as = as;
	work.reserve = reserve;
	work.path = place->path;
	if (place->kind == REGION_PLACE_RECORDS) {
		remove_records(&work, work.path.slot[0], place->behind);
		return;
	}
	if (region)
		pack(region, &work.record.leaf);
	else
		cut_hole(&work, gpa, end);
	insert(&work);
}

void addrspace_region_set_replace(struct addrspace *as, uint64_t gpa, uint64_t end,
				  const struct addrspace_region *region,
				  struct region_reserve *reserve)
{
	uint64_t old_end;
	struct region_work work;

	work.as = as;
	work.reserve = reserve;
	if (region) {
		pack(region, &work.record.leaf);
		replace_by_record(&work);
		return;
	}
	old_end = cut_left(&work, gpa, end);
	if (old_end)
		insert_rest(&work, gpa, end, old_end);
	else
		remove_range(&work, gpa, end);
}

void addrspace_region_set_edit(struct addrspace *as, uint64_t gpa, uint64_t end,
			       struct region_edit edit, struct region_reserve *reserve)
{
	uint64_t position = gpa;
	struct region_work work;

	work.as = as;
	work.reserve = reserve;
	/* Cuts come first: they need the nodes that were counted for the tree as it was. What
	 * follows only changes records and takes some out. */
	while (edited_cut(as, &work.path, gpa, gpa, end, edit, &work.record.leaf) ||
	       edited_cut(as, &work.path, end - 1, gpa, end, edit, &work.record.leaf) ||
	       edited_next(as, &work.path, &position, end, edit, &work.record.leaf))
		replace_by_record(&work);
}

void addrspace_region_set_clear(struct addrspace *as)
{
	unsigned level = as->region_depth;
	struct region_path path;

	if (!level)
		return;
	path.node[--level] = frame_pointer(as, as->region_root);
	path.slot[level] = 0;
	while (level < as->region_depth) {
		if (level && path.slot[level] < path.node[level]->count) {
			path.node[level - 1] = child_of(as, path.node[level], path.slot[level]);
			path.slot[--level] = 0;
			continue;
		}
		free_node(as, node_hpa(as, &path, level));
		if (++level < as->region_depth)
			path.slot[level]++;
	}
	as->region_depth = 0;
	as->region_root = 0;
	as->region_count = 0;
}

/* Questions. */

/** The node's record that contains gpa, or NULL; at an inner level the last one that starts at or below
 * gpa. */
static inline const union record *search_node(const struct region_node *node, uint64_t gpa,
					      unsigned level)
{
	/* At the last address of all, the key wraps to 0: nothing is below it. */
	unsigned below = rank(node, gpa + 1);
	const union record *record;

	if (!below)
		return NULL;
	record = &node->records[below - 1];
	return !level && leaf_end(&record->leaf) <= gpa ? NULL : record;
}

static NEVER_INLINE const union record *search_tree(const struct addrspace *as, uint64_t gpa)
{
	uint64_t hpa = as->region_root;
	const union record *record = NULL;

	for (unsigned level = as->region_depth; level--;) {
		record = search_node(frame_pointer(as, hpa), gpa, level);
		if (!record)
			return NULL;
		hpa = record->inner.child_hpa;
	}
	return record;
}

/** True if the set is a single node, as with most guests, and the direct map leads to it: then there is
 * nothing to call, and no register to save. */
static inline bool is_single_node(const struct addrspace *as)
{
	return as->region_depth == 1 && !as->handler->physical_to_virtual;
}

const struct region_record *addrspace_region_set_record(const struct addrspace *as, uint64_t gpa)
{
	const union record *record;

	if (is_single_node(as))
		record = search_node(direct_pointer(as, as->region_root), gpa, 0);
	else
		record = search_tree(as, gpa);
	return record ? &record->leaf : NULL;
}

bool addrspace_region_set_find(const struct addrspace *as, uint64_t gpa,
			       struct addrspace_region *region)
{
	const struct region_record *record = addrspace_region_set_record(as, gpa);

	if (record)
		addrspace_region_unpack(record, region);
	return record != NULL;
}

static NEVER_INLINE uint64_t end_in_tree(const struct addrspace *as, uint64_t gpa)
{
	const union record *record = search_tree(as, gpa);

	return record ? leaf_end(&record->leaf) : 0;
}

uint64_t addrspace_region_set_end(const struct addrspace *as, uint64_t gpa)
{
	const union record *record;

	if (!is_single_node(as))
		return end_in_tree(as, gpa);
	record = search_node(direct_pointer(as, as->region_root), gpa, 0);
	return record ? leaf_end(&record->leaf) : 0;
}

bool addrspace_region_set_next(const struct addrspace *as, uint64_t gpa,
			       struct addrspace_region *region)
{
	struct region_path path;

	if (!seek_ending_above(as, gpa, &path))
		return false;
	if (region)
		addrspace_region_unpack(record_at(&path), region);
	return true;
}

bool addrspace_region_set_overlaps(const struct addrspace *as, uint64_t gpa, uint64_t end)
{
	struct region_path path;

	return seek_ending_above(as, gpa, &path) && record_at(&path)->start < end;
}

bool addrspace_region_set_contains(const struct addrspace *as, uint64_t gpa, uint64_t end)
{
	struct region_path path;

	return seek_ending_above(as, gpa, &path) && record_at(&path)->start <= gpa &&
	       end_before_gap(as, &path, 1) >= end;
}

bool addrspace_region_set_find_gap(const struct addrspace *as, uint64_t hint, uint64_t size,
				   uint64_t alignment, uint64_t limit, uint64_t *gpa)
{
	struct region_path path;

	for (;;) {
		uint64_t candidate = (hint + alignment - 1) & ~(alignment - 1);
		uint64_t start;

		if (candidate < hint || candidate > limit || limit - candidate < size)
			return false;
		*gpa = candidate;
		if (!seek_ending_above(as, candidate, &path))
			return true;
		start = record_at(&path)->start;
		if (start > candidate && start - candidate >= size)
			return true;
		hint = end_before_gap(as, &path, size);
	}
}

/* Verification. */

struct verification {
	const struct region_record *previous;
	uint64_t regions;
	uint64_t nodes;
};

static const char *verify_shape(const struct region_node *node)
{
	if (node->count == 0)
		return "a node of the region set is empty";
	if (node->count > NODE_RECORDS)
		return "a node of the region set counts more records than fit";
	for (unsigned i = node->count; i < NODE_RECORDS; i++)
		if (node->records[i].start != START_UNUSED)
			return "an unused record of the region set is not marked so";
	for (unsigned i = 0; i < NODE_SAMPLES; i++)
		if (node->samples[i] != node->records[(i + 1) * SAMPLE_STRIDE].start)
			return "a sample of the region set is not its record's start";
	return NULL;
}

static const char *verify_regions(const struct region_node *leaf, struct verification *seen,
				  uint64_t *gpa)
{
	for (unsigned i = 0; i < leaf->count; i++) {
		const struct region_record *record = &leaf->records[i].leaf;
		const struct region_record *previous = seen->previous;
		uint64_t end = leaf_end(record);

		*gpa = record->start;
		if (record->start % ADDRSPACE_PAGE_SIZE)
			return "a region is not page-aligned";
		if (end <= record->start)
			return "a region is empty or wraps";
		if (end > GPA_END_LARGEST)
			return "a region reaches beyond any space";
		if (previous && record->start < leaf_end(previous))
			return "regions overlap or are out of order";
		if (previous && record->start == leaf_end(previous) &&
		    leaf_attributes_equal(previous, record))
			return "equal neighbours are not merged";
		seen->previous = record;
		seen->regions++;
	}
	return NULL;
}

static const char *verify_summary(const struct region_node *node, unsigned level,
				  const struct inner_record *record)
{
	union record exact;

	summarize(node, level, record->child_hpa, &exact);
	if (record->start != exact.inner.start)
		return "an inner record of the region set has another start than its child";
	if (record->end != exact.inner.end)
		return "an inner record of the region set has another end than its child";
	if (record->largest_gap != exact.inner.largest_gap)
		return "an inner record of the region set has another largest gap than its child";
	return NULL;
}

static const char *verify_enter(const struct region_node *node, unsigned level,
				struct verification *seen, uint64_t *gpa)
{
	const char *what = verify_shape(node);

	seen->nodes++;
	*gpa = node->records[0].start;
	if (what || level)
		return what;
	return verify_regions(node, seen, gpa);
}

static const char *verify_counts(const struct addrspace *as, const struct verification *seen)
{
	if (seen->regions != as->region_count)
		return "the count of regions is wrong";
	if (seen->nodes != as->region_nodes)
		return "the count of nodes of the region set is wrong";
	return NULL;
}

const char *addrspace_region_set_verify(const struct addrspace *as, uint64_t *gpa)
{
	struct verification seen = {NULL, 0, 0};
	unsigned level = as->region_depth;
	const char *what;
	struct region_path path;

	*gpa = 0;
	if (level > REGION_SET_MAX_DEPTH)
		return "the region set is too deep";
	if (!level)
		return verify_counts(as, &seen);
	path.node[--level] = frame_pointer(as, as->region_root);
	path.slot[level] = 0;
	what = verify_enter(path.node[level], level, &seen, gpa);
	if (!what && level && path.node[level]->count == 1)
		what = "the root of the region set has a single child";
	while (!what) {
		if (level && path.slot[level] < path.node[level]->count) {
			path.node[level - 1] = child_of(as, path.node[level], path.slot[level]);
			path.slot[--level] = 0;
			what = verify_enter(path.node[level], level, &seen, gpa);
			continue;
		}
		if (level + 1 == as->region_depth)
			return verify_counts(as, &seen);
		*gpa = path.node[level]->records[0].start;
		what = verify_summary(path.node[level], level,
				      &path.node[level + 1]->records[path.slot[level + 1]].inner);
		path.slot[++level]++;
	}
	return what;
}
