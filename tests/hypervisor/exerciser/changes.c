/* SPDX-License-Identifier: MIT */
/* One page changes while the guest lives: the guest sees the change at once, its neighbours keep what
 * they are, and the books are exact at each step. */
#include "changes.h"

#include "access.h"
#include "libc.h"

/* A range with the page in it, before the change: all in leaves of one size. */
struct scene {
	uint64_t gpa;
	uint64_t size;
	uint64_t leaf_size;
	bool owned; /* frames from the handler */
	bool lazy;  /* and each on its fault */
};

/* What becomes of the page. */
enum after {
	AFTER_GONE,      /* no region */
	AFTER_READ_ONLY, /* contents as before */
	AFTER_NO_ACCESS, /* a region that allows nothing */
	AFTER_MOVED,     /* contents as before, in another frame */
	AFTER_OTHER,     /* other memory: zeroes in a frame of its own */
	AFTER_LAZY,      /* no frame: the next access brings one with zeroes */
};

struct change {
	const char *name;
	bool (*fits)(const struct scene *scene);
	void (*apply)(struct space *space, const struct scene *scene, uint64_t page);
	enum after after;
	int leaves;       /* that the page has more afterwards */
	int frames;       /* of the guest's, more afterwards */
	bool same_region; /* the page does not become a region of its own */
};

/* Where a linear page goes. */
static uint8_t spare[2][SIZE_4K] __attribute__((aligned(4096)));

/* ---- the changes ---- */

static bool any(const struct scene *scene)
{
	(void)scene;
	return true;
}

static bool owned(const struct scene *scene)
{
	return scene->owned;
}

static bool linear(const struct scene *scene)
{
	return !scene->owned;
}

static void unmap(struct space *space, const struct scene *scene, uint64_t page)
{
	(void)scene;
	space_unmap(space, page, SIZE_4K);
}

static void make_read_only(struct space *space, const struct scene *scene, uint64_t page)
{
	(void)scene;
	space_protect(space, page, SIZE_4K, R);
}

static void forbid(struct space *space, const struct scene *scene, uint64_t page)
{
	(void)scene;
	space_protect(space, page, SIZE_4K, 0);
}

static void discard(struct space *space, const struct scene *scene, uint64_t page)
{
	(void)scene;
	space_discard(space, page, SIZE_4K);
}

static uint64_t new_frame(const struct scene *scene, uint64_t page)
{
	return scene->owned ? space_new_frame(page) : (uintptr_t)spare[0];
}

static void move(struct space *space, const struct scene *scene, uint64_t page)
{
	uint64_t hpa = new_frame(scene, page);

	space_check_ok("replace_frame",
		       addrspace_replace_frame(&space->as, page, hpa, space_copy_page, NULL));
	check_true("the page is where it was moved to",
		   space_host(space, page) == host_pointer(hpa));
}

static void replace_linear(struct space *space, const struct scene *scene, uint64_t page)
{
	(void)scene;
	memset(spare[1], 0, SIZE_4K);
	space_map_linear(space, page, SIZE_4K, (uintptr_t)spare[1], RWX, ADDRSPACE_MAP_REPLACE);
}

static void replace_lazy(struct space *space, const struct scene *scene, uint64_t page)
{
	(void)scene;
	space_map_alloc(space, page, SIZE_4K, RWX, ADDRSPACE_MAP_REPLACE);
}

static void replace_populated(struct space *space, const struct scene *scene, uint64_t page)
{
	(void)scene;
	space_map_alloc(space, page, SIZE_4K, RWX, ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE);
}

static const struct change changes[] = {
	{"unmap", linear, unmap, AFTER_GONE, -1, 0, false},
	{"unmap", owned, unmap, AFTER_GONE, -1, -1, false},
	{"protect: read-only", any, make_read_only, AFTER_READ_ONLY, 0, 0, false},
	{"protect: no access", any, forbid, AFTER_NO_ACCESS, 0, 0, false},
	{"replace_frame", linear, move, AFTER_MOVED, 0, 0, false},
	{"replace_frame", owned, move, AFTER_MOVED, 0, 0, true},
	{"discard", owned, discard, AFTER_LAZY, -1, -1, false},
	{"map_linear: replace", linear, replace_linear, AFTER_OTHER, 0, 0, false},
	{"map_linear: replace", owned, replace_linear, AFTER_OTHER, 0, -1, false},
	{"map_alloc: replace", linear, replace_lazy, AFTER_LAZY, -1, 0, false},
	{"map_alloc: replace", owned, replace_populated, AFTER_OTHER, 0, 0, false},
};

/* ---- the books ---- */

/** How many regions the range consists of, once the page is one of its own, or gone. */
static uint64_t regions_after(const struct scene *scene, const struct change *change, uint64_t page,
			      bool page_has_region)
{
	bool first = page == scene->gpa;
	bool last = page == scene->gpa + scene->size - SIZE_4K;

	if (change->same_region)
		return 1;
	return (uint64_t)!first + !last + page_has_region;
}

/* A lazy page that is replaced by a lazy one, or a populated page by a populated one, is as its
 * neighbours are; a page that is discarded in a lazy region too. */
static bool merges(const struct scene *scene, const struct change *change)
{
	if (!scene->owned)
		return false;
	return scene->lazy ? change->apply == discard : change->apply == replace_populated;
}

static void check_counts(const struct addrspace_statistics *before, const struct scene *scene,
			 const struct change *change, uint64_t page,
			 const struct addrspace_statistics *now)
{
	bool cut_1g = scene->leaf_size == SIZE_1G;
	bool cut_2m = scene->leaf_size >= SIZE_2M;
	struct change as_neighbours = *change;

	as_neighbours.same_region |= merges(scene, change);
	check_equal("regions",
		    before->regions - 1 +
			    regions_after(scene, &as_neighbours, page, change->after != AFTER_GONE),
		    now->regions);
	check_equal("leaves of 1 GiB", before->leaves_1g - cut_1g, now->leaves_1g);
	check_equal("leaves of 2 MiB", before->leaves_2m + (cut_1g ? 511 : 0) - (cut_2m && !cut_1g),
		    now->leaves_2m);
	check_equal("leaves of 4 KiB",
		    before->leaves_4k + (cut_2m ? 512 : 0) + (uint64_t)change->leaves,
		    now->leaves_4k);
	check_equal("tables", before->table_frames + cut_2m + cut_1g, now->table_frames);
	check_equal("guest frames", before->data_frames + (uint64_t)change->frames,
		    now->data_frames);
}

/** A table that has gone may still be in a walker's cache. */
static void check_tables_told(const struct space *space, const struct addrspace_statistics *before,
			      const struct addrspace_statistics *now)
{
	if (now->table_frames < before->table_frames)
		check_true("the invalidation tells that tables went",
			   space->memory.last.tables_changed);
}

/** One, which covers the page, and says that no leaf was smaller than those that there were. */
static void check_invalidation(struct space *space, const struct scene *scene, uint64_t page)
{
	const struct addrspace_invalidation *last = &space->memory.last;

	check_equal("invalidations", 1, space_new_invalidations(space));
	check_true("the invalidation covers the page",
		   page - last->gpa < last->size && page + SIZE_4K - last->gpa <= last->size);
	check_true("its stride is no larger than the leaf", last->stride <= scene->leaf_size);
}

/* ---- the guest's view ---- */

/** Of a page that the host may look into: the block is RAM in part only. */
static bool is_ram(struct space *space, uint64_t gpa)
{
	uint64_t hpa = (uintptr_t)space_host(space, gpa);

	return hpa - MACHINE_BLOCK_HPA >= MACHINE_BLOCK_SIZE ||
	       hpa - MACHINE_BLOCK_HPA < MACHINE_BLOCK_RAM;
}

/** The word at the gpa that tells who it is. */
static uint64_t pattern(uint64_t gpa)
{
	return gpa * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static void guest_writes(struct space *space, uint64_t gpa)
{
	const struct request request = {
		.operation = GUEST_WRITE, .size = 8, .gpa = gpa, .value = pattern(gpa)};

	check_at(gpa, "write before the change");
	if (!check_true("goes through", subject_try(space, &request).done))
		subject_abandon(space);
}

static void guest_reads(struct space *space, uint64_t gpa, uint64_t expected)
{
	const struct request request = {.operation = GUEST_READ, .size = 8, .gpa = gpa};
	struct answer answer = subject_try(space, &request);

	check_at(gpa, "read after the change");
	if (!check_true("goes through", answer.done))
		subject_abandon(space);
	else
		check_equal("what the guest gets", expected, answer.result);
}

static void guest_is_refused(struct space *space, enum access_kind kind, uint64_t gpa,
			     unsigned permissions, enum addrspace_fault outcome)
{
	const struct access access = {.kind = kind, .size = 8, .gpa = gpa};

	access_faults(space, &access, permissions);
	check_named("the library's outcome", (int)outcome,
		    addrspace_handle_fault(&space->as, gpa, access_needs(kind), NULL),
		    addrspace_fault_name);
}

static void guest_brings_zeroes(struct space *space, uint64_t gpa)
{
	const struct request request = {.operation = GUEST_READ, .size = 8, .gpa = gpa};
	unsigned resolved = 0, already = 0;
	uint64_t result = subject_do(space, &request, &resolved, &already);

	check_at(gpa, "read after the change");
	check_equal("faults resolved", 1, resolved);
	check_equal("faults already resolved", 0, already);
	check_equal("what the guest gets", 0, result);
}

static void check_page(struct space *space, enum after after, uint64_t page)
{
	const struct access write = {.kind = ACCESS_WRITE, .size = 8, .gpa = page};

	switch (after) {
	case AFTER_GONE:
		guest_is_refused(space, ACCESS_READ, page, 0, ADDRSPACE_FAULT_NOT_BACKED);
		break;
	case AFTER_NO_ACCESS:
		guest_is_refused(space, ACCESS_READ, page, 0, ADDRSPACE_FAULT_DENIED);
		break;
	case AFTER_READ_ONLY:
		guest_is_refused(space, ACCESS_WRITE, page, R, ADDRSPACE_FAULT_DENIED);
		if (is_ram(space, page))
			guest_reads(space, page, pattern(page));
		break;
	case AFTER_MOVED:
		guest_reads(space, page, pattern(page));
		access_goes_through(space, &write, space_host(space, page));
		break;
	case AFTER_OTHER:
		guest_reads(space, page, 0);
		access_goes_through(space, &write, space_host(space, page));
		break;
	case AFTER_LAZY:
		guest_brings_zeroes(space, page);
		access_goes_through(space, &write, space_host(space, page));
		break;
	}
}

/* ---- the hypervisor's view, through the same translation ---- */

static unsigned permissions_after(enum after after)
{
	switch (after) {
	case AFTER_READ_ONLY:
		return R;
	case AFTER_MOVED:
	case AFTER_OTHER:
		return RWX;
	default:
		return 0;
	}
}

/* What no entry of the guest has flushed since the change shows here, and only here where each of them
 * flushes everything. */
static void touch(struct space *space, uint64_t gpa, unsigned permissions)
{
	const struct access access = {.kind = ACCESS_ATOMIC, .gpa = gpa};

	access_check_touch(space, &access, permissions ? space_host(space, gpa) : NULL,
			   permissions);
}

/* ---- a scene ---- */

#define NEIGHBOURS 4

/** The pages beside the one that changes, and the ends of the range: those that are RAM. */
static unsigned neighbours(struct space *space, const struct scene *scene, uint64_t page,
			   uint64_t gpas[NEIGHBOURS])
{
	const uint64_t last = scene->gpa + scene->size - SIZE_4K;
	const uint64_t wanted[NEIGHBOURS] = {scene->gpa, page - SIZE_4K, page + SIZE_4K, last};
	unsigned count = 0;

	for (unsigned i = 0; i < NEIGHBOURS; i++)
		if (wanted[i] - scene->gpa < scene->size && wanted[i] != page &&
		    is_ram(space, wanted[i]))
			gpas[count++] = wanted[i] + (i & 1 ? SIZE_4K - 8 : 0);
	return count;
}

static void map_scene(struct space *space, const struct scene *scene, unsigned flags)
{
	check_at(scene->gpa, "map");
	if (!scene->owned)
		space_map_linear(space, scene->gpa, scene->size, MACHINE_BLOCK_HPA, RWX, flags);
	else
		space_map_alloc(space, scene->gpa, scene->size, RWX,
				flags | (scene->lazy ? 0 : ADDRSPACE_MAP_POPULATE));
	for (uint64_t offset = 0; scene->lazy && offset < scene->size; offset += SIZE_4K) {
		const struct request touch = {
			.operation = GUEST_READ, .size = 8, .gpa = scene->gpa + offset};
		unsigned resolved = 0;

		check_equal("fresh memory", 0, subject_do(space, &touch, &resolved, NULL));
		check_equal("faults resolved", 1, resolved);
	}
}

static struct addrspace_statistics check_scene(struct space *space, const struct scene *scene)
{
	struct addrspace_statistics now = space_audit(space);
	uint64_t leaves = scene->size / scene->leaf_size;

	check_at(scene->gpa, "map");
	check_equal("leaves", leaves + (scene->leaf_size == SIZE_4K ? space->empty.leaves_4k : 0),
		    scene->leaf_size == SIZE_1G   ? now.leaves_1g
		    : scene->leaf_size == SIZE_2M ? now.leaves_2m
						  : now.leaves_4k);
	check_equal("tables",
		    space->empty.table_frames +
			    space_tables_to(space, scene->gpa, scene->leaf_size),
		    now.table_frames);
	check_equal("guest frames",
		    space->empty.data_frames + (scene->owned ? scene->size / SIZE_4K : 0),
		    now.data_frames);
	return now;
}

/** All of it is replaced by what it was: a table that a cut has left is a large leaf again. */
static void map_again(struct space *space, const struct scene *scene,
		      const struct addrspace_statistics *cut)
{
	struct addrspace_statistics now;

	check_at(scene->gpa, "map: replace");
	space_new_invalidations(space);
	map_scene(space, scene, ADDRSPACE_MAP_REPLACE);
	check_equal("invalidations", 1, space_new_invalidations(space));
	now = check_scene(space, scene);
	check_tables_told(space, cut, &now);
}

/** Takes the counts of the whole scene, and returns those after the change. */
static struct addrspace_statistics change_page(struct space *space, const struct scene *scene,
					       const struct addrspace_statistics *whole,
					       const struct change *change, uint64_t page)
{
	uint64_t beside[NEIGHBOURS];
	unsigned count = neighbours(space, scene, page, beside);
	struct addrspace_statistics now;
	bool ram = is_ram(space, page);

	for (unsigned i = 0; i < count; i++)
		guest_writes(space, beside[i]);
	if (ram)
		guest_writes(space, page);
	space_new_invalidations(space);
	for (unsigned i = 0; i < count; i++)
		touch(space, beside[i], RWX);
	if (ram)
		touch(space, page, RWX);
	check_at(page, change->name);
	change->apply(space, scene, page);
	if (ram)
		touch(space, page, permissions_after(change->after));
	for (unsigned i = 0; i < count; i++)
		touch(space, beside[i], RWX);
	check_at(page, change->name);
	check_invalidation(space, scene, page);
	now = space_audit(space);
	check_counts(whole, scene, change, page, &now);
	check_tables_told(space, whole, &now);
	if (ram || change->after != AFTER_MOVED)
		check_page(space, change->after, page);
	for (unsigned i = 0; i < count; i++) {
		const struct access write = {.kind = ACCESS_WRITE, .size = 8, .gpa = beside[i]};

		guest_reads(space, beside[i], pattern(beside[i]));
		access_goes_through(space, &write, space_host(space, beside[i]));
	}
	check_equal("invalidations by faults", 0, space_new_invalidations(space));
	return now;
}

static void run_scene(struct space *space, const struct scene *scene)
{
	const uint64_t offsets[] = {0, scene->size / 2, scene->size - SIZE_4K};
	struct addrspace_statistics whole, cut;

	map_scene(space, scene, 0);
	check_equal("invalidations", 0, space_new_invalidations(space));
	whole = check_scene(space, scene);
	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (!changes[i].fits(scene))
			continue;
		for (unsigned j = 0; j < 3; j++) {
			cut = change_page(space, scene, &whole, &changes[i],
					  scene->gpa + offsets[j]);
			map_again(space, scene, &cut);
		}
	}
	check_at(scene->gpa, "unmap");
	space_unmap(space, scene->gpa, scene->size);
	check_equal("invalidations", 1, space_new_invalidations(space));
	check_tables_told(space, &whole, &space->empty);
	space_check_empty(space);
}

void changes_run(struct space *space)
{
	const uint64_t gpa = space_place(space, 1);
	const struct scene scenes[] = {
		{gpa, SIZE_1G, SIZE_1G, false, false},
		{gpa, SIZE_2M, SIZE_2M, false, false},
		{gpa + SIZE_4K, 8 * SIZE_4K, SIZE_4K, true, true},
		{gpa + SIZE_4K, 8 * SIZE_4K, SIZE_4K, true, false},
	};

	for (unsigned i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		if (space_has_leaf(space, scenes[i].leaf_size))
			run_scene(space, &scenes[i]);
}
