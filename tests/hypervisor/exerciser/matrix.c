/* SPDX-License-Identifier: MIT */
/* The product permission x access x leaf size x place: what hardware does is what the library says and
 * what the permissions say. */
#include "matrix.h"

#include "access.h"
#include "guest_paging.h"

#define PERMISSION_SETS 8

static const uint64_t leaf_sizes[] = {SIZE_4K, SIZE_2M, SIZE_1G};

/* One leaf: where it is, and how large. Its host memory may be RAM in part only. */
struct cell {
	uint64_t gpa;
	uint64_t hpa;
	uint64_t size;
	unsigned permissions;
};

static uint64_t ram_of(const struct cell *cell)
{
	uint64_t ram = MACHINE_BLOCK_HPA + MACHINE_BLOCK_RAM - cell->hpa;

	return ram < cell->size ? ram : cell->size;
}

/* The size of a read or write is one of 1, 2, 4 and 8 bytes, a different one for each cell. */
static unsigned access_size(const struct cell *cell, enum access_kind kind)
{
	unsigned turn = cell->permissions + (unsigned)(cell->size >> 21);

	switch (kind) {
	case ACCESS_READ:
	case ACCESS_WRITE:
		return 1u << (turn + kind) % 4;
	case ACCESS_EXECUTE:
		return GUEST_FUNCTION_SIZE;
	default:
		return 8;
	}
}

static void check_accesses(struct space *space, const struct cell *cell)
{
	for (unsigned kind = 0; kind < ACCESS_KINDS; kind++) {
		struct access access = {.kind = kind, .size = access_size(cell, kind)};
		bool allowed = !(access_needs(kind) & ~cell->permissions);
		/* Beyond the RAM there is nothing to find, but a refusal needs none. */
		uint64_t end = allowed ? ram_of(cell) : cell->size;
		const uint64_t offsets[] = {0, end - access.size};

		for (unsigned i = 0; i < 2; i++) {
			access.gpa = cell->gpa + offsets[i];
			access_is_as_predicted(space, &access, host_pointer(cell->hpa + offsets[i]),
					       cell->permissions);
		}
	}
}

/** Nothing of the cell is left, not even in a TLB. */
static void check_gone(struct space *space, const struct cell *cell)
{
	for (unsigned kind = 0; kind < ACCESS_KINDS; kind++) {
		struct access access = {.kind = kind, .gpa = cell->gpa};

		access_check_touch(space, &access, host_pointer(cell->hpa), 0);
	}
}

static void check_walk(struct space *space, const struct cell *cell)
{
	struct addrspace_translation translation = {0};
	uint64_t last = cell->gpa + cell->size - 1;
	int error = addrspace_walk(&space->as, last, &translation);

	check_at(last, "walk");
	check_named("walk", cell->permissions ? 0 : ADDRSPACE_ENOENT, error, addrspace_error_name);
	if (error)
		return;
	check_equal("leaf size", cell->size, translation.leaf_size);
	check_equal("host address", cell->hpa + cell->size - 1, translation.hpa);
	check_equal("permissions", cell->permissions, translation.permissions);
}

/** Refused, and nothing is there then. */
static void check_refused(struct space *space, const struct cell *cell)
{
	const struct addrspace_attributes attributes = {.permissions = cell->permissions};
	struct addrspace_region region;

	check_at(cell->gpa, "map_linear");
	check_named(
		"permissions without an encoding", ADDRSPACE_ENOTSUP,
		addrspace_map_linear(&space->as, cell->gpa, cell->size, cell->hpa, &attributes, 0),
		addrspace_error_name);
	check_named("region after a refusal", ADDRSPACE_ENOENT,
		    addrspace_find_region(&space->as, cell->gpa, &region), addrspace_error_name);
}

static void check_cell(struct space *space, const struct cell *cell)
{
	uint64_t tables;

	check_at(cell->gpa, "map and unmap");
	space_map_linear(space, cell->gpa, cell->size, cell->hpa, cell->permissions, 0);
	check_equal("invalidations by map", 0, space_new_invalidations(space));
	check_walk(space, cell);
	check_accesses(space, cell);
	check_at(cell->gpa, "map and unmap");
	tables = frame_pool_counts().of_kind[ADDRSPACE_FRAME_TABLE];
	space_unmap(space, cell->gpa, cell->size);
	check_gone(space, cell);
	check_at(cell->gpa, "map and unmap");
	tables -= frame_pool_counts().of_kind[ADDRSPACE_FRAME_TABLE];
	/* A leaf that allows nothing is in no TLB, but the tables that led to it may be. */
	check_equal("invalidations by unmap", cell->permissions || tables,
		    space_new_invalidations(space));
}

static void check_permissions(struct space *space, uint64_t gpa, uint64_t size)
{
	/* Some frame inside the block, its own for each size. */
	struct cell cell = {.gpa = gpa, .size = size, .hpa = MACHINE_BLOCK_HPA};

	if (size < SIZE_1G)
		cell.hpa += 3 * size;
	for (cell.permissions = 0; cell.permissions < PERMISSION_SETS; cell.permissions++) {
		if (space->facts.refused_permissions & PERMISSION_SET(cell.permissions))
			check_refused(space, &cell);
		else
			check_cell(space, &cell);
	}
}

/** The leaf is the first of its GiB at the low place, the last one at the others. */
static uint64_t cell_address(const struct space *space, unsigned place, uint64_t size)
{
	return space_place(space, place) + (place ? SIZE_1G - size : 0);
}

void matrix_run(struct space *space)
{
	for (unsigned place = 0; place < SPACE_PLACES; place++) {
		for (unsigned i = 0; i < sizeof(leaf_sizes) / sizeof(leaf_sizes[0]); i++)
			if (space_has_leaf(space, leaf_sizes[i]))
				check_permissions(space, cell_address(space, place, leaf_sizes[i]),
						  leaf_sizes[i]);
	}
	space_check_empty(space);
}
