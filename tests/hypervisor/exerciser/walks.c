/* SPDX-License-Identifier: MIT */
/* The guest's own tables lie in lazily backed memory and are evicted while it runs: the CPU's walks of
 * them fault, and contents come back. */
#include "access.h"
#include "faults.h"
#include "guest_paging.h"
#include "random.h"

#define DATA_PAGES  16
#define SLOT        (GUEST_WINDOWS - 1)
#define ROUNDS      4
#define MANY_FAULTS 4000
#define SEED        UINT64_C(0xe71c7)
#define ALL_PAGES   (2 + DATA_PAGES)
/* By number in the region. */
#define UPPER_TABLE 0 /* the second-level table of the window: an entry for 2 MiB */
#define LOWER_TABLE 1 /* an entry for each page of data */
#define FIRST_DATA  2

static uint64_t page_gpa(const struct space *space, unsigned page)
{
	return space_place(space, 1) + page * SIZE_4K;
}

/** Virtual, of a page of data. */
static uint64_t window(unsigned data)
{
	return (GUEST_FIRST_WINDOW + SLOT) * GUEST_GIB + data * SIZE_4K;
}

/** The host fills a lazy page: as a fault would bring it. */
static uint64_t *bring(struct space *space, unsigned page)
{
	const struct addrspace_fault_info fault = {.gpa = page_gpa(space, page), .access = W};

	check_at(fault.gpa, "the host's own fault");
	space_check_fault(space, &fault, ADDRSPACE_FAULT_RESOLVED);
	return space_host(space, fault.gpa);
}

static void build(struct space *space)
{
	uint64_t *upper, *lower;

	check_at(page_gpa(space, 0), "map_alloc");
	space_map_alloc(space, page_gpa(space, 0), ALL_PAGES * SIZE_4K, RW, 0);
	upper = bring(space, UPPER_TABLE);
	lower = bring(space, LOWER_TABLE);
	upper[0] = guest_table_entry(page_gpa(space, LOWER_TABLE));
	for (unsigned i = 0; i < DATA_PAGES; i++) {
		lower[i] = guest_leaf_entry(page_gpa(space, FIRST_DATA + i), 0);
		*bring(space, FIRST_DATA + i) = i;
	}
	subject_set_window(space, machine_this_cpu(), SLOT,
			   guest_table_entry(page_gpa(space, UPPER_TABLE)));
}

static void tear_down(struct space *space)
{
	subject_set_window(space, machine_this_cpu(), SLOT, 0);
	check_at(page_gpa(space, 0), "unmap");
	space_unmap(space, page_gpa(space, 0), ALL_PAGES * SIZE_4K);
	space_check_empty(space);
}

static void evict(struct space *space, unsigned page)
{
	space->memory.keep_freed = true;
	check_at(page_gpa(space, page), "evict");
	space_discard(space, page_gpa(space, page), SIZE_4K);
	space->memory.keep_freed = false;
}

/** A fault of a walk: of the table at the page, as a read or a write or both. */
static void check_walk_fault(struct space *space, const struct addrspace_fault_info *fault,
			     unsigned page)
{
	check_at(page_gpa(space, page), "table walk");
	check_true("the fault is a table walk's", fault->table_walk);
	check_equal("page of the fault", page_gpa(space, page), fault->gpa & ~(SIZE_4K - 1));
	check_true("access of the fault is a read, a write or both",
		   fault->access && !(fault->access & ~(unsigned)RW));
	if (space->facts.tells_cause)
		check_equal("cause of the fault", ADDRSPACE_CAUSE_NOT_PRESENT, fault->cause);
}

/** One access with some of upper table, lower table and data gone: one fault for each, in order. */
static void check_evicted(struct space *space, unsigned gone, enum guest_operation operation)
{
	static const unsigned pages[] = {UPPER_TABLE, LOWER_TABLE, FIRST_DATA + 3};
	const struct request request = {.operation = operation, .size = 8, .value = 3};
	struct answer answer;

	for (unsigned i = 0; i < 3; i++)
		if (gone >> i & 1)
			evict(space, pages[i]);
	/* A translation that the TLB holds needs no walk. */
	space->mailbox[machine_this_cpu()]->flush = 1;
	answer = subject_try_virtual(space, &request, window(3));
	for (unsigned i = 0; i < 3; i++) {
		if (!(gone >> i & 1))
			continue;
		check_at(page_gpa(space, pages[i]), "evicted");
		if (!check_equal("goes through", false, answer.done))
			return;
		if (i < 2)
			check_walk_fault(space, &answer.fault, pages[i]);
		else
			check_equal("address of the fault", page_gpa(space, pages[i]),
				    answer.fault.gpa);
		space_check_fault(space, &answer.fault, ADDRSPACE_FAULT_RESOLVED);
		answer = subject_again(space);
	}
	if (!check_true("goes through in the end", answer.done))
		subject_abandon(space);
	check_equal("contents after eviction", 3,
		    *(uint64_t *)space_host(space, page_gpa(space, pages[2])));
	if (operation == GUEST_READ)
		check_equal("what the guest gets", 3, answer.result);
}

/* Where walks count as writes, a table that the guest may only read is refused to the CPU as well. */
static void read_only_table(struct space *space)
{
	const struct request request = {.operation = GUEST_READ, .size = 8};
	uint64_t lower = page_gpa(space, LOWER_TABLE);
	struct answer answer;

	check_at(lower, "protect");
	space_protect(space, lower, SIZE_4K, R);
	space->mailbox[machine_this_cpu()]->flush = 1;
	answer = subject_try_virtual(space, &request, window(3));
	check_at(lower, "a read-only table");
	if (!check_equal("goes through", !space->facts.walks_write, answer.done) || answer.done) {
		space_protect(space, lower, SIZE_4K, RW);
		return;
	}
	check_true("the fault is a table walk's", answer.fault.table_walk);
	check_true("the fault is a write's", answer.fault.access & W);
	space_check_fault(space, &answer.fault, ADDRSPACE_FAULT_DENIED);
	space_protect(space, lower, SIZE_4K, RW);
	if (!check_true("goes through once writable", subject_again(space).done))
		subject_abandon(space);
}

/* At every other fault some page goes, tables as well: what the guest adds up must all be there. */
static void churn(struct space *space)
{
	const struct request request = {.operation = GUEST_ATOMIC_EACH,
					.value = 1000,
					.stride = SIZE_4K,
					.repeat = DATA_PAGES};
	uint64_t random = SEED;
	unsigned faults = 0, walks = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct answer answer;

		evict(space, LOWER_TABLE);
		space->mailbox[machine_this_cpu()]->flush = 1;
		answer = subject_try_virtual(space, &request, window(0));
		for (; !answer.done && faults < MANY_FAULTS; faults++) {
			walks += answer.fault.table_walk;
			check_at(answer.fault.gpa, "churn");
			space_check_fault(space, &answer.fault, ADDRSPACE_FAULT_RESOLVED);
			if (faults % 2)
				evict(space, (unsigned)(random_next(&random) % ALL_PAGES));
			answer = subject_again(space);
		}
	}
	check_at(page_gpa(space, 0), "churn");
	check_true("the guest came to an end", faults < MANY_FAULTS);
	check_true("walks of the guest's tables faulted", walks > 0);
	for (unsigned page = 0; page < ALL_PAGES; page++)
		addrspace_handle_fault(&space->as, page_gpa(space, page), R, NULL);
	for (unsigned i = 0; i < DATA_PAGES; i++)
		check_equal("what the guest has added up", i + ROUNDS * request.value,
			    *(uint64_t *)space_host(space, page_gpa(space, FIRST_DATA + i)));
}

void walks_run(struct space *space)
{
	static const enum guest_operation operations[] = {GUEST_READ, GUEST_WRITE};

	build(space);
	for (unsigned gone = 0; gone < 8; gone++)
		for (unsigned i = 0; i < 2; i++)
			check_evicted(space, gone, operations[i]);
	read_only_table(space);
	churn(space);
	tear_down(space);
}
