/* SPDX-License-Identifier: MIT */
/* Accessed and dirty: where hardware maintains them, what it says after a read and after a write. Else
 * they are preset: accessed, and dirty if the guest may write. */
#include "dirty.h"

#include "subject.h"

struct state {
	bool accessed;
	bool dirty;
};

static bool hardware(const struct space *space)
{
	return space->config.cpu.features & ADDRSPACE_CPU_HARDWARE_AD;
}

static void check_state(struct space *space, uint64_t gpa, const char *when, struct state seen)
{
	struct addrspace_translation translation = {0};

	check_at(gpa, when);
	space_check_ok("walk", addrspace_walk(&space->as, gpa, &translation));
	if (!hardware(space))
		seen = (struct state){true, translation.permissions & W};
	check_equal("accessed", seen.accessed, translation.accessed);
	check_equal("dirty", seen.dirty, translation.dirty);
}

static void guest_does(struct space *space, enum guest_operation operation, uint64_t gpa)
{
	const struct request request = {.operation = operation, .size = 8, .gpa = gpa, .value = 1};

	subject_do(space, &request, NULL, NULL);
}

/** The leaf at gpa, and a page inside it, which may be the whole leaf. */
static void check_leaf(struct space *space, uint64_t gpa, uint64_t size)
{
	const uint64_t other = gpa + size / 2;

	check_state(space, gpa, "fresh leaf", (struct state){false, false});
	guest_does(space, GUEST_READ, gpa);
	check_state(space, gpa, "after a read", (struct state){true, false});
	guest_does(space, GUEST_WRITE, gpa + 8);
	check_state(space, gpa, "after a write", (struct state){true, true});
	space_protect(space, gpa, SIZE_4K, R);
	check_state(space, gpa, "after protect", (struct state){true, true});
	/* The pieces of a leaf that was cut are what the leaf was. */
	check_state(space, other, "beside protect", (struct state){true, true});
	guest_does(space, GUEST_READ, gpa);
	space_protect(space, gpa, SIZE_4K, RWX);
	check_state(space, gpa, "after protect and back", (struct state){true, true});
}

/* Nobody knows what was written while it moved. */
static void check_moved(struct space *space, uint64_t gpa)
{
	guest_does(space, GUEST_READ, gpa);
	check_state(space, gpa, "before a move", (struct state){true, false});
	space_check_ok("replace_frame",
		       addrspace_replace_frame(&space->as, gpa, MACHINE_BLOCK_HPA + SIZE_4K,
					       space_copy_page, NULL));
	check_state(space, gpa, "after a move", (struct state){true, true});
}

/* Only what has been written is dirty, page by page. */
static void check_lazy(struct space *space, uint64_t gpa)
{
	for (unsigned i = 0; i < 8; i++)
		guest_does(space, i % 2 ? GUEST_WRITE : GUEST_READ, gpa + i * SIZE_4K);
	for (unsigned i = 0; i < 8; i++)
		check_state(space, gpa + i * SIZE_4K, "lazy page", (struct state){true, i % 2});
	guest_does(space, GUEST_ATOMIC, gpa);
	check_state(space, gpa, "after an atomic", (struct state){true, true});
	check_state(space, gpa + 2 * SIZE_4K, "beside an atomic", (struct state){true, false});
}

void dirty_run(struct space *space)
{
	static const uint64_t sizes[] = {SIZE_4K, SIZE_2M, SIZE_1G};
	const uint64_t gpa = space_place(space, 1);

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (!space_has_leaf(space, sizes[i]))
			continue;
		check_at(gpa, "map_linear");
		space_map_linear(space, gpa, sizes[i], MACHINE_BLOCK_HPA, RWX, 0);
		check_leaf(space, gpa, sizes[i]);
		space_unmap(space, gpa, sizes[i]);
	}
	space_map_linear(space, gpa, SIZE_4K, MACHINE_BLOCK_HPA, RWX, 0);
	check_moved(space, gpa);
	space_unmap(space, gpa, SIZE_4K);
	space_map_alloc(space, gpa, SIZE_2M, RWX, 0);
	check_lazy(space, gpa);
	space_unmap(space, gpa, SIZE_2M);
	space_check_empty(space);
}
