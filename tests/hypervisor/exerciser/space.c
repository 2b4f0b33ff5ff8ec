/* SPDX-License-Identifier: MIT */
#include "space.h"

#include "guest_paging.h"
#include "libc.h"
#include "print.h"

/* ---- the host's view ---- */

void *host_pointer(uint64_t hpa)
{
	return (void *)(uintptr_t)hpa;
}

void *space_host(struct space *space, uint64_t gpa)
{
	struct addrspace_translation translation;
	int error = addrspace_walk(&space->as, gpa, &translation);

	if (error)
		fail("no frame is behind 0x%lx: %s", gpa, addrspace_error_name(error));
	return host_pointer(translation.hpa);
}

void space_copy_page(void *ctx, uint64_t old_hpa, uint64_t new_hpa)
{
	(void)ctx;
	memcpy(host_pointer(new_hpa), host_pointer(old_hpa), SIZE_4K);
}

uint64_t space_new_frame(uint64_t gpa)
{
	const struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST, .gpa = gpa};
	uint64_t hpa;

	if (!frame_pool_take(&request, &hpa))
		fail("no frame to move 0x%lx to", gpa);
	return hpa;
}

/* ---- calls that must succeed ---- */

void space_check_ok(const char *call, int error)
{
	check_named(call, 0, error, addrspace_error_name);
}

void space_map_linear(struct space *space, uint64_t gpa, uint64_t size, uint64_t hpa,
		      unsigned permissions, unsigned flags)
{
	const struct addrspace_attributes attributes = {.permissions = permissions};

	space_check_ok("map_linear",
		       addrspace_map_linear(&space->as, gpa, size, hpa, &attributes, flags));
}

void space_map_alloc(struct space *space, uint64_t gpa, uint64_t size, unsigned permissions,
		     unsigned flags)
{
	const struct addrspace_attributes attributes = {.permissions = permissions};

	space_check_ok("map_alloc", addrspace_map_alloc(&space->as, gpa, size, &attributes, flags));
}

void space_unmap(struct space *space, uint64_t gpa, uint64_t size)
{
	space_check_ok("unmap", addrspace_unmap(&space->as, gpa, size));
}

void space_protect(struct space *space, uint64_t gpa, uint64_t size, unsigned permissions)
{
	space_check_ok("protect", addrspace_protect(&space->as, gpa, size, permissions));
}

void space_discard(struct space *space, uint64_t gpa, uint64_t size)
{
	space_check_ok("discard", addrspace_discard(&space->as, gpa, size));
}

void space_check_fault(struct space *space, const struct addrspace_fault_info *fault,
		       enum addrspace_fault outcome)
{
	check_named("outcome of the fault", (int)outcome,
		    addrspace_handle_fault(&space->as, fault->gpa, fault->access, NULL),
		    addrspace_fault_name);
}

/* ---- the books ---- */

/** What the pool has given out is what was charged, and what the library says that it has. */
static void check_books(struct space *space, const struct addrspace_statistics *statistics)
{
	static const char *const charges[FRAME_KINDS] = {
		[ADDRSPACE_FRAME_ROOT] = "charges of the root",
		[ADDRSPACE_FRAME_TABLE] = "charges of tables",
		[ADDRSPACE_FRAME_REGION_NODE] = "charges of region nodes",
		[ADDRSPACE_FRAME_GUEST] = "charges of guest frames",
	};
	const struct frame_counts counts = frame_pool_counts();
	const uint64_t *taken = counts.of_kind;

	check_equal("frames of tables", statistics->table_frames,
		    taken[ADDRSPACE_FRAME_ROOT] + taken[ADDRSPACE_FRAME_TABLE]);
	check_equal("frames of region nodes", statistics->region_nodes,
		    taken[ADDRSPACE_FRAME_REGION_NODE]);
	check_equal("frames of the guest", statistics->data_frames, taken[ADDRSPACE_FRAME_GUEST]);
	for (unsigned kind = 0; kind < FRAME_KINDS; kind++)
		check_equal(charges[kind], taken[kind], space->memory.charged[kind]);
	check_equal("holders of the lock", 0, (uint64_t)space->memory.lock);
}

struct addrspace_statistics space_audit(struct space *space)
{
	struct addrspace_statistics statistics = {0};
	struct addrspace_defect defect = {0};
	int error = addrspace_verify(&space->as, &defect);

	if (error)
		print("verify: %s (gpa 0x%lx, level %u, entry 0x%lx)\n", defect.what, defect.gpa,
		      defect.level, defect.entry);
	space_check_ok("verify", error);
	space_check_ok("statistics", addrspace_statistics(&space->as, &statistics));
	check_books(space, &statistics);
	return statistics;
}

void space_check_empty(struct space *space)
{
	struct addrspace_statistics now = space_audit(space);

	check_equal("regions left", space->empty.regions, now.regions);
	check_equal("region nodes left", space->empty.region_nodes, now.region_nodes);
	check_equal("tables left", space->empty.table_frames, now.table_frames);
	check_equal("guest frames left", space->empty.data_frames, now.data_frames);
	check_equal("leaves left", space->empty.leaves_4k,
		    now.leaves_4k + now.leaves_2m + now.leaves_1g);
}

uint64_t space_new_invalidations(struct space *space)
{
	return __atomic_exchange_n(&space->memory.invalidations, 0, __ATOMIC_RELAXED);
}

/* ---- shape ---- */

bool space_has_leaf(const struct space *space, uint64_t size)
{
	switch (size) {
	case SIZE_1G:
		return space->config.levels > 2 &&
		       space->config.cpu.features & ADDRSPACE_CPU_LEAF_1G;
	case SIZE_2M:
		return space->config.cpu.features & ADDRSPACE_CPU_LEAF_2M;
	default:
		return true;
	}
}

uint64_t space_tables_to(const struct space *space, uint64_t gpa, uint64_t leaf_size)
{
	unsigned leaf_level = leaf_size == SIZE_1G ? 2 : leaf_size == SIZE_2M ? 1 : 0;
	uint64_t tables = 0;

	/* A table of a level spans one entry of the level above. */
	for (unsigned level = leaf_level; level + 1 < space->config.levels; level++)
		tables += (gpa ^ GUEST_IMAGE) >> (12 + 9 * (level + 1)) != 0;
	return tables;
}

uint64_t space_place(const struct space *space, unsigned place)
{
	const uint64_t places[SPACE_PLACES] = {
		0,
		space->gpa_limit / 2,
		space->gpa_limit - SIZE_1G,
	};

	return places[place];
}

/* ---- creation ---- */

static void load_image(struct space *space)
{
	uint64_t size;
	const char *image = machine_guest_image(&size);

	if (size > GUEST_MAILBOX(0) - GUEST_IMAGE)
		fail("the guest's image of 0x%lx bytes runs into its mailbox", size);
	for (uint64_t offset = 0; offset < size; offset += GUEST_PAGE) {
		void *frame = space_host(space, GUEST_IMAGE + offset);
		uint64_t part = size - offset < GUEST_PAGE ? size - offset : GUEST_PAGE;

		memcpy(frame, image + offset, part);
		machine_prepare_frame((uintptr_t)frame, GUEST_PAGE);
	}
}

/* The image's own GiB is where it is; the windows come when they are wanted. */
static void write_guest_tables(struct space *space, unsigned cpu)
{
	uint64_t gpa = GUEST_TABLES(cpu);
	uint64_t *table = space_host(space, gpa);

	for (unsigned i = 0; i + 3 < GUEST_PAGING_LEVELS; i++) {
		gpa += GUEST_PAGE;
		table[0] = guest_table_entry(gpa);
		table = space_host(space, gpa);
	}
	table[GUEST_IMAGE / GUEST_GIB] = guest_leaf_entry(GUEST_IMAGE, 2);
	space->gib_table[cpu] = table;
	space->mailbox[cpu] = space_host(space, GUEST_MAILBOX(cpu));
	space->restart[cpu] = true;
}

void space_create(struct space *space, unsigned layout, bool scattered, struct vm_sabotage sabotage)
{
	const struct frame_area area = {
		.hpa = MACHINE_POOL_HPA, .size = MACHINE_POOL_SIZE, .scattered = scattered};

	*space = (struct space){
		.config = {.handler = &vm_paging_handler, .handler_ctx = &space->memory},
		.memory = {.sabotage = sabotage},
	};
	frame_pool_init_in(&area);
	machine_configure(&space->config, layout);
	space->facts = format_facts(&space->config);
	space->gpa_limit = machine_gpa_limit(&space->config);
	if (space->gpa_limit > UINT64_C(1) << space->facts.nameable_bits)
		space->gpa_limit = UINT64_C(1) << space->facts.nameable_bits;
	space_check_ok("init", addrspace_init(&space->as, &space->config));
	space->memory.as = &space->as;
	machine_load_root(&space->as);
	space_map_alloc(space, GUEST_IMAGE, GUEST_IMAGE_SIZE, RWX, ADDRSPACE_MAP_POPULATE);
	load_image(space);
	for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++)
		write_guest_tables(space, cpu);
	check_equal("invalidations of an empty space", 0, space_new_invalidations(space));
	space->empty = space_audit(space);
}

void space_destroy(struct space *space)
{
	struct frame_counts counts;

	space_check_empty(space);
	addrspace_destroy(&space->as);
	counts = frame_pool_counts();
	check_equal("frames kept by destroy", 0, counts.total);
	for (unsigned kind = 0; kind < FRAME_KINDS; kind++)
		check_equal("charges kept by destroy", 0, space->memory.charged[kind]);
}
