/* SPDX-License-Identifier: MIT */
/* Guests on both CPUs fault into the same lazy range at once: each page is resolved by one of them, once,
 * and what both add to it is there in the end. */
#include "looper.h"
#include "print.h"
#include "random.h"
#include "second_cpu.h"
#include "two_cpus.h"

#define PAGES 32
#define SEED  UINT64_C(0x2ace5)
/* What each adds to each page. */
#define VALUE_0 UINT64_C(0x100000001)
#define VALUE_1 UINT64_C(0x20000)

static unsigned total(const struct looper *first, const struct looper *second,
		      enum addrspace_fault outcome)
{
	return first->outcomes[outcome] + second->outcomes[outcome];
}

static void check_books(struct space *space, uint64_t gpa, const struct looper *first,
			const struct looper *second)
{
	struct addrspace_statistics now = space_audit(space);

	check_at(gpa, "both CPUs at once");
	check_equal("faults resolved", PAGES, total(first, second, ADDRSPACE_FAULT_RESOLVED));
	check_true("faults in all",
		   total(first, second, ADDRSPACE_FAULT_RESOLVED) +
				   total(first, second, ADDRSPACE_FAULT_ALREADY_RESOLVED) <=
			   2 * PAGES);
	check_equal("faults of other outcomes", 0,
		    first->errors + second->errors +
			    total(first, second, ADDRSPACE_FAULT_CONFIGURATION) +
			    total(first, second, ADDRSPACE_FAULT_OUT_OF_MEMORY));
	check_equal("pages that one of them found fresh", PAGES, first->result + second->result);
	check_equal("guest frames", space->empty.data_frames + PAGES, now.data_frames);
	check_equal("tables", space->empty.table_frames + space_tables_to(space, gpa, SIZE_4K),
		    now.table_frames);
}

/** The second CPU goes through the pages in the same order or in the opposite one. Returns how many faults
 * came to a page that the other CPU had resolved meanwhile. */
static unsigned race(struct space *space, uint64_t gpa, bool opposite)
{
	const uint64_t last = gpa + (PAGES - 1) * SIZE_4K;
	struct looper first = {
		.space = space,
		.waits_with = -1,
		.request = {.operation = GUEST_ATOMIC_EACH,
			    .gpa = gpa,
			    .value = VALUE_0,
			    .stride = SIZE_4K,
			    .repeat = PAGES},
	};
	struct looper second = first;

	second.request.value = VALUE_1;
	if (opposite) {
		second.request.gpa = last;
		second.request.stride = 0 - SIZE_4K;
	} else {
		first.partner = &second;
		second.partner = &first;
	}
	looper_start(&second);
	looper_run_here(&first);
	second_cpu_join();
	check_books(space, gpa, &first, &second);
	for (uint64_t page = gpa; page <= last; page += SIZE_4K)
		check_equal("what both have added", VALUE_0 + VALUE_1,
			    *(uint64_t *)space_host(space, page));
	return total(&first, &second, ADDRSPACE_FAULT_ALREADY_RESOLVED);
}

/** A page goes to another frame, if it has one. */
static void move(struct space *space, uint64_t page)
{
	const struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST, .gpa = page};
	uint64_t hpa = space_new_frame(page);
	int error = addrspace_replace_frame(&space->as, page, hpa, space_copy_page, NULL);

	if (error == ADDRSPACE_ENOENT)
		frame_pool_give(&request, hpa);
	else
		space_check_ok("replace_frame", error);
}

/* Meanwhile pages move, and are read-only now and then, at random. */
static void stir(struct space *space, uint64_t gpa)
{
	struct looper looper = {
		.space = space,
		.retries_denied = true,
		.request = {.operation = GUEST_ATOMIC_EACH,
			    .gpa = gpa,
			    .value = VALUE_1,
			    .stride = SIZE_4K,
			    .repeat = PAGES},
	};
	uint64_t random = SEED;

	for (unsigned round = 0; round < space->rounds; round++) {
		looper_start(&looper);
		for (unsigned i = 0; i < 8; i++) {
			uint64_t page = gpa + random_next(&random) % PAGES * SIZE_4K;

			check_at(page, "stir");
			move(space, page);
			space_protect(space, page, SIZE_4K, R);
			space_protect(space, page, SIZE_4K, RW);
		}
		second_cpu_join();
		check_equal("errors of the fault call", 0, looper.errors);
	}
	space_audit(space);
	for (uint64_t page = gpa; page < gpa + PAGES * SIZE_4K; page += SIZE_4K) {
		check_at(page, "stir");
		check_equal("what was added", space->rounds * VALUE_1,
			    *(uint64_t *)space_host(space, page));
	}
}

/* A race is over a fresh table: the range lies in 2 MiB of its own. */
void races_run(struct space *space)
{
	uint64_t gpa = space_place(space, 1) + SIZE_2M / 2;
	unsigned lost = 0;

	check_at(gpa, "map_alloc");
	space_map_alloc(space, gpa, PAGES * SIZE_4K, RW, 0);
	for (unsigned round = 0; round < space->rounds; round++) {
		lost += race(space, gpa, round % 2);
		space_discard(space, gpa, PAGES * SIZE_4K);
	}
	print("             of %u pages, %u were resolved by one CPU while the other faulted\n",
	      space->rounds * PAGES, lost);
	stir(space, gpa);
	space_unmap(space, gpa, PAGES * SIZE_4K);
	space_check_empty(space);
}
