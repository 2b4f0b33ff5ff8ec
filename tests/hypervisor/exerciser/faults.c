/* SPDX-License-Identifier: MIT */
/* Lazy memory: each page is resolved on its first fault, once, with zeroes; and the faults that are not
 * resolved. */
#include "faults.h"

#include "access.h"
#include "random.h"

#define PAGES_IN_ORDER  32
#define PAGES_AT_RANDOM 96
#define SEED            UINT64_C(0x5eed5eed5eed)

/* Code that is not there yet cannot be called. */
static const enum access_kind touches[] = {ACCESS_READ, ACCESS_WRITE, ACCESS_ATOMIC};

static uint64_t guest_frames(struct space *space)
{
	struct addrspace_statistics statistics = {0};

	space_check_ok("statistics", addrspace_statistics(&space->as, &statistics));
	return statistics.data_frames;
}

/* ---- pages that come ---- */

static void check_zero(struct space *space, uint64_t gpa)
{
	const uint64_t *word = space_host(space, gpa & ~(ADDRSPACE_PAGE_SIZE - 1));
	uint64_t dirt = 0;

	for (unsigned i = 0; i < ADDRSPACE_PAGE_SIZE / sizeof(*word); i++)
		dirt |= word[i];
	check_equal("bits of a fresh frame", 0, dirt);
}

/** A fault that was answered is nothing new, and leaves the frame. */
static void check_second_answer(struct space *space, const struct addrspace_fault_info *fault)
{
	void *frame = space_host(space, fault->gpa);

	space_check_fault(space, fault, ADDRSPACE_FAULT_ALREADY_RESOLVED);
	check_true("the frame is the same after a second fault",
		   space_host(space, fault->gpa) == frame);
}

/** A page that is not there yet: one fault, one frame, zeroes, and then the access is complete. */
static void touch_fresh(struct space *space, enum access_kind kind, uint64_t gpa)
{
	static const enum guest_operation operations[ACCESS_KINDS] = {
		[ACCESS_READ] = GUEST_READ,
		[ACCESS_WRITE] = GUEST_WRITE,
		[ACCESS_ATOMIC] = GUEST_ATOMIC,
	};
	const struct access access = {.kind = kind, .size = 8, .gpa = gpa};
	const struct request request = {
		.operation = operations[kind], .size = 8, .gpa = gpa, .value = gpa | 1};
	uint64_t frames = frame_pool_counts().of_kind[ADDRSPACE_FRAME_GUEST];
	struct answer answer = subject_try(space, &request);

	check_at(gpa, access_name(kind));
	if (!check_equal("goes through without a frame", false, answer.done))
		return;
	access_check_fault(space, &access, &answer.fault, 0);
	space_check_fault(space, &answer.fault, ADDRSPACE_FAULT_RESOLVED);
	check_equal("frames of the guest", frames + 1,
		    frame_pool_counts().of_kind[ADDRSPACE_FRAME_GUEST]);
	check_zero(space, gpa);
	check_second_answer(space, &answer.fault);
	answer = subject_again(space);
	if (!check_true("goes through with a frame", answer.done))
		subject_abandon(space);
	check_equal("what the guest gets", 0, answer.result);
	check_equal("what the host finds", kind == ACCESS_READ ? 0 : request.value,
		    *(uint64_t *)space_host(space, gpa));
}

static void faults_in_order(struct space *space)
{
	uint64_t gpa = space_place(space, 1);
	uint64_t frames = guest_frames(space);
	struct addrspace_statistics after;

	check_at(gpa, "map_alloc");
	space_map_alloc(space, gpa, SIZE_1G, RW, 0);
	check_equal("frames of a lazy map", frames, guest_frames(space));
	for (unsigned i = 0; i < PAGES_IN_ORDER; i++)
		touch_fresh(space, touches[i % 3], gpa + i * SIZE_4K + i * 8);
	after = space_audit(space);
	check_at(gpa, "faults in order");
	check_equal("frames of the guest", frames + PAGES_IN_ORDER, after.data_frames);
	check_equal("tables", space->empty.table_frames + space_tables_to(space, gpa, SIZE_4K),
		    after.table_frames);
	check_equal("invalidations by faults", 0, space_new_invalidations(space));
	space_unmap(space, gpa, SIZE_1G);
	check_equal("invalidations by unmap", 1, space_new_invalidations(space));
	space_check_empty(space);
}

/** Returns whether it is new, and remembers it. */
static bool is_new_page(uint64_t *pages, unsigned *count, uint64_t page)
{
	for (unsigned i = 0; i < *count; i++)
		if (pages[i] == page)
			return false;
	pages[(*count)++] = page;
	return true;
}

/* Half of them fall into few tables, so that both shared and fresh tables are met. */
static void faults_at_random(struct space *space, unsigned place)
{
	static uint64_t pages[PAGES_AT_RANDOM];
	uint64_t gpa = space_place(space, place);
	uint64_t frames = guest_frames(space);
	uint64_t random = SEED + place;
	unsigned count = 0;

	check_at(gpa, "map_alloc");
	space_map_alloc(space, gpa, SIZE_1G, RW, 0);
	for (unsigned i = 0; i < PAGES_AT_RANDOM; i++) {
		uint64_t page = random_next(&random) % (i % 2 ? 64 : SIZE_1G / SIZE_4K);
		uint64_t at = gpa + page * SIZE_4K + random_next(&random) % 512 * 8;
		struct access access = {.kind = touches[i % 3], .size = 8, .gpa = at};

		if (is_new_page(pages, &count, page))
			touch_fresh(space, access.kind, at);
		else
			access_goes_through(space, &access, space_host(space, at));
	}
	check_at(gpa, "faults at random");
	check_equal("frames of the guest", frames + count, space_audit(space).data_frames);
	space_unmap(space, gpa, SIZE_1G);
	space_check_empty(space);
}

/* A fault that nobody answers comes again, the same. */
static void unanswered_fault(struct space *space)
{
	const struct request request = {
		.operation = GUEST_READ, .size = 8, .gpa = space_place(space, 1) + 0x2468};
	struct answer first, second;

	space_map_alloc(space, space_place(space, 1), SIZE_2M, RW, 0);
	first = subject_try(space, &request);
	second = subject_again(space);
	check_at(request.gpa, "read");
	check_equal("goes through without an answer", false, first.done || second.done);
	check_equal("address of the second fault", first.fault.gpa, second.fault.gpa);
	check_equal("access of the second fault", first.fault.access, second.fault.access);
	space_check_fault(space, &second.fault, ADDRSPACE_FAULT_RESOLVED);
	check_second_answer(space, &second.fault);
	second = subject_again(space);
	if (!check_true("goes through", second.done))
		subject_abandon(space);
	space_unmap(space, space_place(space, 1), SIZE_2M);
	space_check_empty(space);
}

/* ---- the other outcomes ---- */

struct refusal {
	const char *name;
	unsigned permissions; /* of the lazy region around the address */
	bool mapped;
	bool no_memory;
	enum addrspace_fault outcome;
};

static const struct refusal refusals[] = {
	{"no region", 0, false, false, ADDRSPACE_FAULT_NOT_BACKED},
	{"a guard", 0, true, false, ADDRSPACE_FAULT_DENIED},
	{"read-only", R, true, false, ADDRSPACE_FAULT_DENIED},
	{"no memory", RW, true, true, ADDRSPACE_FAULT_OUT_OF_MEMORY},
};

/** A write that must not go through, and changes nothing. */
static void check_refusal(struct space *space, const struct refusal *refusal)
{
	const struct access access = {
		.kind = ACCESS_WRITE, .size = 4, .gpa = space_place(space, 2) + 0x3ffc};
	const struct request request = {.operation = GUEST_WRITE, .size = 4, .gpa = access.gpa};
	struct addrspace_statistics before;
	struct answer answer;

	if (refusal->mapped)
		space_map_alloc(space, space_place(space, 2), SIZE_2M, refusal->permissions, 0);
	before = space_audit(space);
	space->memory.no_guest_frames = refusal->no_memory;
	answer = subject_try(space, &request);
	check_at(access.gpa, refusal->name);
	check_equal("goes through", false, answer.done);
	access_check_fault(space, &access, &answer.fault, 0);
	space_check_fault(space, &answer.fault, refusal->outcome);
	space->memory.no_guest_frames = false;
	check_equal("tables after a refusal", before.table_frames, space_audit(space).table_frames);
	if (refusal->no_memory) {
		space_check_fault(space, &answer.fault, ADDRSPACE_FAULT_RESOLVED);
		check_true("goes through with memory", subject_again(space).done);
	} else {
		subject_abandon(space);
	}
	if (refusal->mapped)
		space_unmap(space, space_place(space, 2), SIZE_2M);
	space_check_empty(space);
}

/** The first address behind the space, where guest and CPU can name it; nothing aliases there. */
static void beyond_the_space(struct space *space)
{
	unsigned bits = space->config.gpa_bits;
	const struct access access = {
		.kind = ACCESS_READ, .size = 8, .gpa = UINT64_C(1) << bits | 0x10};
	const struct request request = {.operation = GUEST_READ, .size = 8, .gpa = access.gpa};
	struct answer answer;

	if (bits >= space->facts.nameable_bits)
		return;
	space_map_linear(space, 0, SIZE_1G, MACHINE_BLOCK_HPA, RWX, 0);
	answer = subject_try(space, &request);
	check_at(access.gpa, "beyond the space");
	check_equal("goes through", false, answer.done);
	access_check_fault(space, &access, &answer.fault, 0);
	space_check_fault(space, &answer.fault, ADDRSPACE_FAULT_NOT_BACKED);
	subject_abandon(space);
	space_unmap(space, 0, SIZE_1G);
}

void faults_run(struct space *space)
{
	faults_in_order(space);
	for (unsigned place = 0; place < SPACE_PLACES; place++)
		faults_at_random(space, place);
	unanswered_fault(space);
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		check_refusal(space, &refusals[i]);
	beyond_the_space(space);
	space_check_empty(space);
}
