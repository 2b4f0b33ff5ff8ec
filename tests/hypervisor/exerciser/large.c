/* SPDX-License-Identifier: MIT */
#include "large.h"

#include "access.h"

#define PAGES_2M (SIZE_2M / SIZE_4K)
#define AROUND   16

static uint64_t guest_frames(void)
{
	return frame_pool_counts().of_kind[ADDRSPACE_FRAME_GUEST];
}

static void map(struct space *space, uint64_t gpa, uint64_t size,
		const struct addrspace_attributes *attributes)
{
	check_at(gpa, "map_alloc");
	space_check_ok("map_alloc", addrspace_map_alloc(&space->as, gpa, size, attributes, 0));
}

static void check_leaf(struct space *space, uint64_t gpa, uint64_t size)
{
	struct addrspace_translation translation = {0};

	space_check_ok("walk", addrspace_walk(&space->as, gpa, &translation));
	check_equal("leaf size", size, translation.leaf_size);
}

/** The guest's write faults once and then goes through; returns how many frames came with it. */
static uint64_t touch(struct space *space, uint64_t gpa)
{
	const struct request request = {
		.operation = GUEST_WRITE, .size = 8, .gpa = gpa, .value = gpa | 1};
	uint64_t frames = guest_frames();
	struct answer answer = subject_try(space, &request);

	check_at(gpa, "write");
	if (!check_equal("goes through without a frame", false, answer.done))
		return 0;
	space_check_fault(space, &answer.fault, ADDRSPACE_FAULT_RESOLVED);
	if (!check_true("goes through with a frame", subject_again(space).done))
		subject_abandon(space);
	check_equal("what the host finds", request.value, *(uint64_t *)space_host(space, gpa));
	return guest_frames() - frames;
}

/** The guest reads and writes without leaving. */
static void goes_through(struct space *space, uint64_t gpa, uint64_t value)
{
	const struct access access = {.kind = ACCESS_WRITE, .size = 8, .gpa = gpa};
	uint64_t *host = space_host(space, gpa);

	check_at(gpa, "read");
	check_equal("what is there", value, *host);
	access_goes_through(space, &access, host);
}

/* One fault for 2 MiB: the rest is there, zeroed; and goes in parts, of which the others know nothing. */
static void one_run(struct space *space, unsigned place)
{
	const struct addrspace_attributes attributes = {.permissions = RW,
							.largest_leaf = ADDRSPACE_LEAF_2M};
	uint64_t gpa = space_place(space, place) + SIZE_2M;
	uint64_t at = gpa + 77 * SIZE_4K + 0x128;
	uint64_t before = guest_frames();

	map(space, gpa, 4 * SIZE_2M, &attributes);
	check_equal("frames of a run", PAGES_2M, touch(space, at));
	check_leaf(space, at, SIZE_2M);
	goes_through(space, gpa, 0);
	goes_through(space, gpa + SIZE_2M - 8, 0);
	space_audit(space);
	space_discard(space, gpa + 76 * SIZE_4K, 3 * SIZE_4K);
	check_equal("frames after a discard", before + PAGES_2M - 3, guest_frames());
	goes_through(space, gpa + 75 * SIZE_4K, 0);
	goes_through(space, gpa + 79 * SIZE_4K, 0);
	check_equal("frames of a page in a cut run", 1, touch(space, at));
	space_unmap(space, gpa + SIZE_4K, SIZE_2M);
	check_equal("frames after an unmap", before + 1, guest_frames());
	goes_through(space, gpa + 8, 0);
	space_unmap(space, gpa, 4 * SIZE_2M);
	space_check_empty(space);
}

/* A handler without runs: pages come, and later a run where nothing is yet. */
static void no_runs(struct space *space, unsigned place)
{
	const struct addrspace_attributes attributes = {.permissions = RW,
							.largest_leaf = ADDRSPACE_LEAF_1G};
	uint64_t gpa = space_place(space, place);

	map(space, gpa, SIZE_1G, &attributes);
	space->memory.no_runs = true;
	space->memory.refused_runs = 0;
	check_equal("frames without runs", 1, touch(space, gpa + SIZE_2M + SIZE_4K));
	check_equal("runs that were asked for", 1 + space_has_leaf(space, SIZE_1G),
		    space->memory.refused_runs);
	space->memory.no_runs = false;
	check_equal("frames beside a page", 1, touch(space, gpa + SIZE_2M));
	check_leaf(space, gpa + SIZE_2M, SIZE_4K);
	/* The pool has no GiB to give, whatever the layout. */
	check_equal("frames with runs", PAGES_2M, touch(space, gpa + 2 * SIZE_2M));
	check_leaf(space, gpa + 2 * SIZE_2M, SIZE_2M);
	space_unmap(space, gpa, SIZE_1G);
	space_check_empty(space);
}

static void around_and_ahead(struct space *space, unsigned place)
{
	const struct addrspace_attributes attributes = {.permissions = RW, .fault_around = AROUND};
	uint64_t gpa = space_place(space, place);
	uint64_t done = 0;

	map(space, gpa, SIZE_2M, &attributes);
	check_equal("frames of a block", AROUND, touch(space, gpa + (AROUND + 3) * SIZE_4K));
	goes_through(space, gpa + AROUND * SIZE_4K, 0);
	goes_through(space, gpa + (2 * AROUND - 1) * SIZE_4K, 0);
	check_at(gpa, "prefault");
	space_check_ok("prefault", addrspace_prefault(&space->as, gpa, SIZE_2M / 2, 0, &done));
	check_equal("bytes ahead", SIZE_2M / 2, done);
	space_check_ok("prefault", addrspace_prefault(&space->as, gpa, SIZE_2M,
						      ADDRSPACE_PREFAULT_PARTIAL, &done));
	check_equal("bytes ahead", SIZE_2M, done);
	for (uint64_t at = gpa; at < gpa + SIZE_2M; at += 63 * SIZE_4K)
		goes_through(space, at + 0x10, 0);
	space_audit(space);
	space_unmap(space, gpa, SIZE_2M);
	space_check_empty(space);
}

/* What the guest has written becomes code, page by page. */
static void small_code(struct space *space, unsigned place)
{
	const struct addrspace_attributes attributes = {
		.permissions = RW, .largest_leaf = ADDRSPACE_LEAF_2M, .small_executable = true};
	uint64_t gpa = space_place(space, place);

	map(space, gpa, 2 * SIZE_2M, &attributes);
	touch(space, gpa + 0x40);
	touch(space, gpa + SIZE_2M);
	check_leaf(space, gpa, SIZE_2M);
	space_protect(space, gpa + SIZE_2M / 2, SIZE_2M, RWX);
	check_at(gpa, "protect");
	check_leaf(space, gpa, SIZE_4K);
	check_leaf(space, gpa + SIZE_2M / 2, SIZE_4K);
	check_leaf(space, gpa + SIZE_2M, SIZE_4K);
	space_audit(space);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t at = gpa + i * (SIZE_2M / 2) + 0x2000;
		bool code = i == 1 || i == 2;
		const struct access access = {.kind = ACCESS_EXECUTE, .size = 4, .gpa = at};

		access_is_as_predicted(space, &access, space_host(space, at), code ? RWX : RW);
		goes_through(space, at + 0x800, 0);
	}
	space_unmap(space, gpa, 2 * SIZE_2M);
	space_check_empty(space);
}

void large_run(struct space *space)
{
	if (!space_has_leaf(space, SIZE_2M))
		return;
	for (unsigned place = 0; place < SPACE_PLACES; place++) {
		one_run(space, place);
		no_runs(space, place);
		around_and_ahead(space, place);
		small_code(space, place);
	}
}
