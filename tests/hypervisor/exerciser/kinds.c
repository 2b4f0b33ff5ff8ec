/* SPDX-License-Identifier: MIT */
/* Each memory type and each backend once. */
#include "access.h"
#include "libc.h"
#include "matrix.h"

#define MEMORY_TYPES 4

/** A byte of memory at MACHINE_BLOCK_HPA that is mapped with this type, in whatever leaf. Exclusives and
 * code in memory that is not write-back are the platform's business. */
static void check_typed(struct space *space, uint64_t gpa, uint64_t offset, unsigned permissions,
			enum addrspace_memory_type type)
{
	bool told = !(space->facts.untold_types >> type & 1);
	struct addrspace_translation translation = {0};
	struct access access = {.size = 4, .gpa = gpa + offset};

	space_check_ok("walk", addrspace_walk(&space->as, access.gpa, &translation));
	check_at(access.gpa, "walk");
	check_equal("memory type in the leaf", told ? type : ADDRSPACE_WRITE_BACK,
		    translation.memory_type);
	check_equal("host address", MACHINE_BLOCK_HPA + offset, translation.hpa);
	for (access.kind = ACCESS_READ; access.kind <= ACCESS_WRITE; access.kind++)
		access_is_as_predicted(space, &access, host_pointer(MACHINE_BLOCK_HPA + offset),
				       permissions);
}

/** In a large leaf, where there are any, and in the pages that it splits into. */
static void check_type(struct space *space, enum addrspace_memory_type type)
{
	const struct addrspace_attributes attributes = {.permissions = RW, .memory_type = type};
	bool known = space->facts.memory_types >> type & 1;
	uint64_t gpa = space_place(space, 1);

	check_at(gpa, "map_linear");
	check_named(
		"memory type", known ? 0 : ADDRSPACE_ENOTSUP,
		addrspace_map_linear(&space->as, gpa, SIZE_2M, MACHINE_BLOCK_HPA, &attributes, 0),
		addrspace_error_name);
	if (!known)
		return;
	check_typed(space, gpa, 0x124, RW, type);
	space_protect(space, gpa + SIZE_4K, SIZE_4K, R);
	check_typed(space, gpa, 0x124, RW, type);
	check_typed(space, gpa, SIZE_4K + 0x124, R, type);
	check_typed(space, gpa, SIZE_2M - SIZE_4K, RW, type);
	space_unmap(space, gpa, SIZE_2M);
}

struct backend {
	const char *name;
	void (*map)(struct space *space, uint64_t gpa);
	bool lazy;
};

static void map_linear(struct space *space, uint64_t gpa)
{
	memset(host_pointer(MACHINE_BLOCK_HPA), 0, 2 * ADDRSPACE_PAGE_SIZE);
	space_map_linear(space, gpa, SIZE_2M, MACHINE_BLOCK_HPA, RWX, 0);
}

static void map_populated(struct space *space, uint64_t gpa)
{
	space_map_alloc(space, gpa, SIZE_2M, RWX, ADDRSPACE_MAP_POPULATE);
}

static void map_lazy(struct space *space, uint64_t gpa)
{
	space_map_alloc(space, gpa, SIZE_2M, RWX, 0);
}

static const struct backend backends[] = {
	{"linear", map_linear, false},
	{"alloc, all at once", map_populated, false},
	{"alloc, lazy", map_lazy, true},
};

/** Fresh memory is zero, and then any access does what it does. */
static void check_backend(struct space *space, const struct backend *backend)
{
	const uint64_t gpa = space_place(space, 1) + SIZE_2M;
	const struct request first = {.operation = GUEST_READ, .size = 8, .gpa = gpa + 0x1008};
	struct access access = {.size = 8, .gpa = first.gpa};
	unsigned resolved = 0, already = 0;

	check_at(gpa, backend->name);
	backend->map(space, gpa);
	check_equal("fresh memory", 0, subject_do(space, &first, &resolved, &already));
	check_at(gpa, backend->name);
	check_equal("faults resolved", backend->lazy, resolved);
	check_equal("faults already resolved", 0, already);
	for (unsigned kind = 0; kind < ACCESS_KINDS; kind++) {
		access.kind = kind;
		access_is_as_predicted(space, &access, space_host(space, access.gpa), RWX);
	}
	check_at(gpa, backend->name);
	space_unmap(space, gpa, SIZE_2M);
}

void kinds_run(struct space *space)
{
	for (unsigned type = 0; type < MEMORY_TYPES; type++)
		check_type(space, type);
	for (unsigned i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		check_backend(space, &backends[i]);
	space_check_empty(space);
}
