/* SPDX-License-Identifier: MIT */
/* Hardware sets D while CPU 0 changes the very entry: no write of CPU 1 may leave a clean page. CPU 1 steps
 * from one fresh leaf to the next at CPU 0's pace, a little later each time, so that they keep meeting. */
#include "looper.h"
#include "random.h"
#include "second_cpu.h"
#include "spin.h"
#include "two_cpus.h"

#define PAGES  UINT64_C(256)
#define LEAVES UINT64_C(16)
#define SEED   UINT64_C(0xd1127)
/* Turns of the guest's empty loop; a cut takes about as long. */
#define DELAYS 2048

/* Fresh clean leaves that CPU 1 writes to, one word in each. */
struct field {
	const char *name;
	uint64_t leaf_size;
	uint64_t leaves;
	uint64_t hpa;
	/** What CPU 0 does meanwhile. */
	void (*stir)(struct looper *looper, const struct field *field, uint64_t gpa);
};

static uint64_t random_state = SEED;

/** CPU 1 goes on to the step, after a while. */
static void set_pace(struct looper *looper, uint64_t step, uint64_t delays)
{
	struct guest_mailbox *mailbox = looper->space->mailbox[1];

	mailbox->delay = random_next(&random_state) % delays;
	__atomic_store_n(&mailbox->pace, step + 1, __ATOMIC_RELEASE);
}

static void wait_for_turns(struct looper *looper, uint64_t count)
{
	const struct guest_mailbox *mailbox = looper->space->mailbox[1];
	uint64_t turns = 0;

	while (__atomic_load_n(&mailbox->turns, __ATOMIC_ACQUIRE) < count)
		spin(&turns, "the guest on CPU 1 to make its step");
}

/* CPU 1 may go through all of them; it comes down as CPU 0 goes up. The permissions are what it needs at
 * any time. */
static void protect_all(struct looper *looper, const struct field *field, uint64_t gpa)
{
	const uint64_t size = field->leaves * field->leaf_size;

	set_pace(looper, 0, 1);
	wait_for_turns(looper, 1);
	set_pace(looper, field->leaves, 8);
	for (unsigned i = 0; i < 4; i++) {
		space_protect(looper->space, gpa, size, RW);
		space_protect(looper->space, gpa, size, RWX);
	}
}

/** Cuts each leaf for its last page, as CPU 1 writes to its first one. */
static void split_each(struct looper *looper, const struct field *field, uint64_t gpa)
{
	for (uint64_t step = 0; step < field->leaves; step++) {
		uint64_t leaf = gpa + (field->leaves - 1 - step) * field->leaf_size;

		wait_for_turns(looper, step);
		set_pace(looper, step, DELAYS);
		space_protect(looper->space, leaf + field->leaf_size - SIZE_4K, SIZE_4K, R);
	}
}

/** Cuts all leaves into clean pages first; then each becomes one again as CPU 1 writes to it. */
static void collapse_each(struct looper *looper, const struct field *field, uint64_t gpa)
{
	for (uint64_t i = 0; i < field->leaves; i++) {
		uint64_t last = gpa + (i + 1) * field->leaf_size - SIZE_4K;

		space_protect(looper->space, last, SIZE_4K, R);
		space_protect(looper->space, last, SIZE_4K, RWX);
	}
	for (uint64_t step = 0; step < field->leaves; step++) {
		uint64_t leaf = gpa + (field->leaves - 1 - step) * field->leaf_size;
		uint64_t collapsed = 0;

		wait_for_turns(looper, step);
		set_pace(looper, step, DELAYS);
		space_check_ok("collapse", addrspace_collapse(&looper->space->as, leaf,
							      field->leaf_size, &collapsed));
		check_equal("bytes that collapsed", field->leaf_size, collapsed);
	}
}

static const struct field fields[] = {
	/* One page off, so that there are no large leaves. */
	{"protect", SIZE_4K, PAGES, MACHINE_BLOCK_HPA + SIZE_4K, protect_all},
	{"split", SIZE_2M, LEAVES, MACHINE_BLOCK_HPA, split_each},
	{"collapse", SIZE_2M, LEAVES, MACHINE_BLOCK_HPA, collapse_each},
};

static void check_dirty(struct space *space, const struct field *field, uint64_t gpa)
{
	uint64_t clean = 0;

	for (uint64_t i = 0; i < field->leaves; i++) {
		struct addrspace_translation translation = {0};

		addrspace_walk(&space->as, gpa + i * field->leaf_size, &translation);
		clean += !translation.dirty;
	}
	check_equal("pages that were written and are clean", 0, clean);
}

static void run_field(struct space *space, const struct field *field, uint64_t gpa)
{
	const uint64_t size = field->leaves * field->leaf_size;
	struct looper looper = {
		.space = space,
		.request = {.operation = GUEST_ATOMIC_PACED,
			    .gpa = gpa + size - field->leaf_size,
			    .value = 1,
			    .stride = 0 - field->leaf_size,
			    .repeat = field->leaves},
	};

	for (unsigned round = 0; round < space->rounds; round++) {
		check_at(gpa, field->name);
		space_map_linear(space, gpa, size, field->hpa, RWX, 0);
		looper_start(&looper);
		field->stir(&looper, field, gpa);
		second_cpu_join();
		check_equal("errors of the fault call", 0, looper.errors);
		check_dirty(space, field, gpa);
		space_unmap(space, gpa, size);
	}
	space_check_empty(space);
}

void dirty_races_run(struct space *space)
{
	if (!(space->config.cpu.features & ADDRSPACE_CPU_HARDWARE_AD))
		return;
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (space_has_leaf(space, fields[i].leaf_size))
			run_field(space, &fields[i], space_place(space, 1));
}
