/* SPDX-License-Identifier: MIT */
#define SWITCHED_ENTRY_RAW
#include "switched_entry.h"

#include "interleave.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coroutine.h"
#include "page_table.h"

#define NOBODY      FAKE_CPUS
#define STORED_MOST 256
/* Frames that a CPU takes come from a range of its own, so that who asked first makes no difference
 * to what else there is. */
#define FIRST_FRAME 64u
#define FRAMES_EACH 48u

struct cpu {
	struct coroutine coroutine;
	enum interleave_step pending; /* paused before this */
	uint64_t log;                 /* digest of what it did and what that brought */
	uint64_t *late_slot;          /* planted: bits still to be set */
	uint64_t late_bits;
};

struct node {
	uint64_t digest;
	double schedules; /* of its children that are done */
	uint8_t choices;  /* CPUs not tried yet */
	uint8_t chosen;
	uint8_t step; /* what that CPU was about to do */
};

struct visit {
	uint64_t digest; /* 0: none */
	double schedules;
};

/* One exploration at a time. */
static struct {
	struct interleave *what;
	struct fake_machine *machine;
	struct fake_checkpoint *checkpoint;
	struct addrspace as;
	struct paging_handler original;
	struct cpu cpus[FAKE_CPUS];
	unsigned running;
	uint64_t changes; /* digest of what was done under the exclusive lock, in order */
	struct node path[INTERLEAVE_STEPS_MOST];
	unsigned depth;
	bool in_place; /* the machine is where the path ends */
	struct visit *visits;
	size_t visit_capacity;
	size_t visit_count;
	const uint64_t *stored_to[STORED_MOST]; /* by anybody, in any schedule so far */
	unsigned stored_count;
	unsigned stored_known; /* when the search began: they make reads steps */
	char found[2048];
} it = {.running = NOBODY};

static uint64_t mix(uint64_t digest, uint64_t value)
{
	digest = (digest ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return digest ^ digest >> 32;
}

/* ---- Steps ---- */

static bool exclusive_here(void)
{
	return it.machine->held[it.running] == FAKE_EXCLUSIVE;
}

/** Lets others go first. */
static void before(enum interleave_step step, uint64_t what)
{
	struct cpu *cpu = &it.cpus[it.running];

	if (it.running == NOBODY)
		return;
	cpu->log = mix(mix(cpu->log, step), what);
	cpu->pending = step;
	coroutine_pause(&cpu->coroutine);
}

/** What the step brought. */
static uint64_t after(uint64_t value)
{
	struct cpu *cpu = &it.cpus[it.running];

	if (it.running != NOBODY)
		cpu->log = mix(cpu->log, value);
	return value;
}

static bool is_among(const uint64_t *slot, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (it.stored_to[i] == slot)
			return true;
	}
	return false;
}

static void note_store(const uint64_t *slot)
{
	if (it.running == NOBODY || is_among(slot, it.stored_count))
		return;
	if (it.stored_count == STORED_MOST)
		abort();
	it.stored_to[it.stored_count++] = slot;
}

uint64_t switched_entry_read(const uint64_t *slot)
{
	/* Nobody else stores while one CPU holds the lock alone. */
	if (it.running != NOBODY && !exclusive_here() &&
	    (it.what->all_reads || is_among(slot, it.stored_known)))
		before(INTERLEAVE_READ, (uintptr_t)slot);
	return after(raw_entry_read(slot));
}

void switched_entry_write(uint64_t *slot, uint64_t entry)
{
	before(INTERLEAVE_WRITE, (uintptr_t)slot);
	note_store(slot);
	raw_entry_write(slot, entry);
}

/** Planted: sets the bits that should have been set before. */
static void set_late(void)
{
	struct cpu *cpu = &it.cpus[it.running];
	uint64_t *slot = cpu->late_slot;

	if (!slot)
		return;
	cpu->late_slot = NULL;
	before(INTERLEAVE_OR, (uintptr_t)slot);
	raw_entry_or(slot, cpu->late_bits);
}

static bool planted(enum interleave_plant plant)
{
	return it.running != NOBODY && it.what->plant == plant;
}

bool switched_entry_exchange(uint64_t *slot, uint64_t *expected, uint64_t desired)
{
	bool done = true;

	before(INTERLEAVE_EXCHANGE, (uintptr_t)slot);
	note_store(slot);
	if (planted(INTERLEAVE_PUBLISH_BY_STORE)) {
		raw_entry_write(slot, desired);
	} else if (planted(INTERLEAVE_PUBLISH_IN_TWO_STEPS)) {
		uint64_t entry = after(raw_entry_read(slot));

		done = entry == *expected;
		*expected = entry;
		before(INTERLEAVE_WRITE, (uintptr_t)slot);
		if (done)
			raw_entry_write(slot, desired);
	} else {
		done = raw_entry_exchange(slot, expected, desired);
	}
	after(done ? 1 : *expected);
	if (planted(INTERLEAVE_MARK_LATE))
		set_late();
	return done;
}

void switched_entry_or(uint64_t *slot, uint64_t bits)
{
	if (planted(INTERLEAVE_MARK_LATE)) {
		it.cpus[it.running].late_slot = slot;
		it.cpus[it.running].late_bits = bits;
		return;
	}
	before(INTERLEAVE_OR, (uintptr_t)slot);
	note_store(slot);
	raw_entry_or(slot, bits);
}

static bool allocate(void *ctx, const struct addrspace_frame_request *request,
		     struct addrspace_frame *frame)
{
	bool done;

	before(INTERLEAVE_ALLOCATE, request->kind);
	if (it.running != NOBODY)
		it.machine->lowest_free = FIRST_FRAME + it.running * FRAMES_EACH;
	done = it.original.allocate(ctx, request, frame);
	after(done ? frame->hpa : 0);
	return done;
}

static void free_frames(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	before(INTERLEAVE_FREE, hpa);
	it.original.free(ctx, request, hpa);
}

static void prepare_frame(void *ctx, uint64_t hpa, uint64_t size)
{
	before(INTERLEAVE_PREPARE, hpa);
	it.original.prepare_frame(ctx, hpa, size);
}

static void sync_table(void *ctx, const void *entries, size_t size)
{
	before(INTERLEAVE_SYNC, (uintptr_t)entries);
	it.original.sync_table(ctx, entries, size);
}

static void invalidate(void *ctx, const struct addrspace_invalidation *invalidation)
{
	before(INTERLEAVE_INVALIDATE, invalidation->gpa);
	it.original.invalidate(ctx, invalidation);
}

static void lock_shared(void *ctx)
{
	before(INTERLEAVE_LOCK_SHARED, 0);
	it.original.lock_shared(ctx);
	after(it.changes);
}

static void unlock_shared(void *ctx)
{
	before(INTERLEAVE_UNLOCK, 0);
	it.original.unlock_shared(ctx);
}

static void lock_exclusive(void *ctx)
{
	before(INTERLEAVE_LOCK_EXCLUSIVE, 0);
	it.original.lock_exclusive(ctx);
	after(it.changes);
}

static void unlock_exclusive(void *ctx)
{
	before(INTERLEAVE_UNLOCK, 0);
	it.original.unlock_exclusive(ctx);
	if (it.running != NOBODY)
		it.changes = mix(it.changes, it.cpus[it.running].log);
}

static bool charge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	before(INTERLEAVE_CHARGE, kind);
	return after(it.original.charge(ctx, kind, frames));
}

static void uncharge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	before(INTERLEAVE_UNCHARGE, kind);
	it.original.uncharge(ctx, kind, frames);
}

/** Puts a pause before each callback that the handler has. */
static void wrap_handler(struct paging_handler *handler)
{
	it.original = *handler;
	handler->allocate = allocate;
	handler->free = free_frames;
	handler->invalidate = invalidate;
	handler->lock_shared = lock_shared;
	handler->unlock_shared = unlock_shared;
	handler->lock_exclusive = lock_exclusive;
	handler->unlock_exclusive = unlock_exclusive;
	if (handler->prepare_frame)
		handler->prepare_frame = prepare_frame;
	if (handler->sync_table)
		handler->sync_table = sync_table;
	if (handler->charge) {
		handler->charge = charge;
		handler->uncharge = uncharge;
	}
}

enum fake_access_outcome interleave_guest(struct interleave *interleave, unsigned cpu, uint64_t gpa,
					  unsigned access)
{
	struct fake_machine *machine = &interleave->fixture->machine;
	enum fake_access_outcome outcome;

	fake_cpu_set_spinning(&machine->cpus[cpu], false);
	before(INTERLEAVE_GUEST, gpa);
	outcome = fake_cpu_access(machine, cpu, gpa, access, NULL);
	/* Out of the guest again, and perhaps waiting for the lock. */
	fake_cpu_set_spinning(&machine->cpus[cpu], true);
	after(outcome);
	return outcome;
}

void interleave_switch_format(struct fixture *fixture)
{
	extern const struct addrspace_format switched_ept, switched_npt, switched_stage2,
		switched_gstage, switched_hostile;
	static const struct addrspace_format *const formats[] = {
		[LAYOUT_EPT] = &switched_ept,         [LAYOUT_NPT] = &switched_npt,
		[LAYOUT_STAGE2] = &switched_stage2,   [LAYOUT_GSTAGE] = &switched_gstage,
		[LAYOUT_HOSTILE] = &switched_hostile,
	};
	struct addrspace *as = &fixture->as;
	bool by_callback = fixture->machine.handler.physical_to_virtual != NULL;

	as->format = formats[fixture->layout->kind];
	as->walker = as->format->walkers[by_callback ? 0 : as->levels];
}

/* ---- States ---- */

static void run_program(void *cpu_number)
{
	unsigned cpu = (unsigned)(uintptr_t)cpu_number;

	it.what->program[cpu](it.what, cpu);
}

static void run_cpu(unsigned cpu, void (*how)(struct coroutine *coroutine))
{
	it.running = cpu;
	fake_machine_set_cpu(it.machine, cpu);
	how(&it.cpus[cpu].coroutine);
	it.running = NOBODY;
	if (!coroutine_is_active(&it.cpus[cpu].coroutine))
		fake_cpu_set_spinning(&it.machine->cpus[cpu], false);
}

static void start_cpu(struct coroutine *coroutine)
{
	coroutine_start(coroutine, run_program, (void *)(uintptr_t)it.running);
}

/** To where all schedules start: each CPU before its first step. */
static void go_to_start(void)
{
	fake_machine_restore(it.machine, it.checkpoint);
	it.what->fixture->as = it.as;
	memset(it.what->outcome, 0, sizeof(it.what->outcome));
	memset(it.what->seen, 0, sizeof(it.what->seen));
	it.changes = 0;
	for (unsigned cpu = 0; cpu < it.what->cpus; cpu++) {
		fake_cpu_set_spinning(&it.machine->cpus[cpu], true);
		it.cpus[cpu].log = cpu;
		it.cpus[cpu].late_slot = NULL;
		run_cpu(cpu, start_cpu);
	}
}

static bool lock_is_free(unsigned cpu, enum interleave_step step)
{
	for (unsigned i = 0; i < FAKE_CPUS; i++) {
		if (i == cpu || it.machine->held[i] == FAKE_UNLOCKED)
			continue;
		if (step == INTERLEAVE_LOCK_EXCLUSIVE || it.machine->held[i] == FAKE_EXCLUSIVE)
			return false;
	}
	return true;
}

static bool can_go_on(unsigned cpu)
{
	enum interleave_step step = it.cpus[cpu].pending;

	if (!coroutine_is_active(&it.cpus[cpu].coroutine))
		return false;
	if (step != INTERLEAVE_LOCK_SHARED && step != INTERLEAVE_LOCK_EXCLUSIVE)
		return true;
	return lock_is_free(cpu, step);
}

static bool all_done(void)
{
	for (unsigned cpu = 0; cpu < it.what->cpus; cpu++) {
		if (coroutine_is_active(&it.cpus[cpu].coroutine))
			return false;
	}
	return true;
}

static uint8_t choices(void)
{
	uint8_t set = 0;

	for (unsigned cpu = 0; cpu < it.what->cpus; cpu++)
		set |= (uint8_t)(can_go_on(cpu) << cpu);
	return set;
}

static uint64_t digest_of_all(void)
{
	uint64_t digest = fake_machine_digest(it.machine);
	const unsigned char *as = (const unsigned char *)&it.what->fixture->as;

	for (size_t i = 0; i + sizeof(uint64_t) <= sizeof(struct addrspace); i += 8) {
		uint64_t word;

		memcpy(&word, as + i, sizeof(word));
		digest = mix(digest, word);
	}
	for (unsigned cpu = 0; cpu < it.what->cpus; cpu++)
		digest = mix(mix(digest, it.cpus[cpu].log),
			     coroutine_is_active(&it.cpus[cpu].coroutine));
	return mix(digest, it.changes) | 1;
}

static struct visit *visit_slot(uint64_t digest)
{
	size_t at = (size_t)(digest >> 8) & (it.visit_capacity - 1);

	while (it.visits[at].digest && it.visits[at].digest != digest)
		at = (at + 1) & (it.visit_capacity - 1);
	return &it.visits[at];
}

static void visits_reset(size_t capacity)
{
	free(it.visits);
	it.visits = calloc(capacity, sizeof(*it.visits));
	if (!it.visits)
		abort();
	it.visit_capacity = capacity;
	it.visit_count = 0;
}

static void visit_done(const struct node *node)
{
	struct visit *old = it.visits;
	size_t capacity = it.visit_capacity;

	if (2 * ++it.visit_count > capacity) {
		it.visits = NULL;
		visits_reset(2 * capacity);
		for (size_t i = 0; i < capacity; i++) {
			if (!old[i].digest)
				continue;
			*visit_slot(old[i].digest) = old[i];
			it.visit_count++;
		}
		it.visit_count++;
		free(old);
	}
	*visit_slot(node->digest) =
		(struct visit){.digest = node->digest, .schedules = node->schedules};
}

/* ---- What must hold ---- */

static void check_leaf(struct fake_machine *machine, const struct fake_walk_step *step, void *ctx)
{
	const struct fake_frame *frame = fake_machine_frame(machine, step->entry.hpa);

	(void)ctx;
	if (step->entry.kind == FAKE_ENTRY_ILLEGAL)
		fake_fail(machine, "gpa %#" PRIx64 ", level %u: %s", step->gpa, step->level,
			  step->entry.why);
	if (step->entry.kind != FAKE_ENTRY_LEAF || !frame || frame->state == FAKE_LENT)
		return;
	if (frame->state != FAKE_GUEST || frame->gpa != step->gpa)
		fake_fail(machine, "gpa %#" PRIx64 ": a leaf to a frame that is not its own",
			  step->gpa);
}

static const char *step_name(enum interleave_step step)
{
	static const char *const names[] = {"read",       "write",       "exchange",       "or",
					    "allocate",   "free",        "prepare",        "sync",
					    "invalidate", "lock shared", "lock exclusive", "unlock",
					    "charge",     "uncharge",    "guest"};

	return names[step];
}

/** Writes down what went wrong, and the schedule that led there. */
static void report(const char *what, unsigned steps)
{
	size_t size = sizeof(it.found);
	size_t at = (size_t)snprintf(it.found, size, "%s; CPU: step", what);

	for (unsigned i = 0; i < steps && at < size; i++)
		at += (size_t)snprintf(it.found + at, size - at, ", %u: %s", it.path[i].chosen,
				       step_name(it.path[i].step));
	it.what->found = it.found;
}

static void check_end(void)
{
	for (unsigned cpu = 0; cpu < it.what->cpus; cpu++)
		fake_cpu_set_spinning(&it.machine->cpus[cpu], false);
	fixture_check(it.what->fixture);
	if (it.what->at_end)
		it.what->at_end(it.what);
	it.in_place = false;
}

/* ---- The search ---- */

/** Puts the state that was reached at the end of the path. */
static void add_node(uint64_t digest)
{
	struct node *node = &it.path[it.depth++];

	if (it.depth == INTERLEAVE_STEPS_MOST)
		abort();
	*node = (struct node){.digest = digest, .choices = choices()};
	it.what->states++;
	fake_machine_walk_all(it.machine, check_leaf, NULL);
	if (node->choices)
		return;
	node->schedules = 1;
	if (all_done())
		check_end();
	else
		fake_fail(it.machine, "nobody can go on");
}

static void go_to_path_end(void)
{
	if (it.in_place)
		return;
	go_to_start();
	for (unsigned i = 0; i + 1 < it.depth; i++)
		run_cpu(it.path[i].chosen, coroutine_resume);
	it.in_place = true;
}

/** Lets the CPU take a step from the end of the path. */
static void try_step(unsigned cpu)
{
	struct node *node = &it.path[it.depth - 1];
	unsigned steps = it.depth;
	struct visit *visit;
	uint64_t digest;

	node->chosen = (uint8_t)cpu;
	node->step = (uint8_t)it.cpus[cpu].pending;
	run_cpu(cpu, coroutine_resume);
	it.what->steps++;
	digest = digest_of_all();
	visit = visit_slot(digest);
	if (visit->digest) {
		node->schedules += visit->schedules;
		it.in_place = false;
	} else if (!it.machine->failures) {
		add_node(digest);
	}
	if (it.machine->failures)
		report(it.machine->last_failure, steps);
}

static void leave_node(void)
{
	const struct node *node = &it.path[it.depth - 1];

	visit_done(node);
	it.what->schedules = node->schedules;
	it.depth--;
	if (it.depth)
		it.path[it.depth - 1].schedules += node->schedules;
	it.in_place = false;
}

static void search(void)
{
	it.what->states = 0;
	it.what->steps = 0;
	it.depth = 0;
	it.stored_known = it.stored_count;
	visits_reset(1024);
	go_to_start();
	it.in_place = true;
	add_node(digest_of_all());
	while (it.depth && !it.what->found) {
		struct node *node = &it.path[it.depth - 1];

		if (!node->choices) {
			leave_node();
			continue;
		}
		go_to_path_end();
		try_step((unsigned)__builtin_ctz(node->choices));
		node->choices &= (uint8_t)(node->choices - 1);
	}
}

void interleave_explore(struct interleave *interleave)
{
	bool captured = interleave->fixture->machine.capture_failures;

	it.what = interleave;
	it.machine = &interleave->fixture->machine;
	it.as = interleave->fixture->as;
	it.stored_count = 0;
	interleave->found = NULL;
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++) {
		if (!it.cpus[cpu].coroutine.stack)
			coroutine_create(&it.cpus[cpu].coroutine);
	}
	it.machine->capture_failures = true;
	wrap_handler(&it.machine->handler);
	it.checkpoint = fake_machine_save(it.machine);
	do {
		search();
	} while (!interleave->all_reads && it.stored_count > it.stored_known && !interleave->found);
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		coroutine_abandon(&it.cpus[cpu].coroutine);
	fake_machine_restore(it.machine, it.checkpoint);
	interleave->fixture->as = it.as;
	it.machine->handler = it.original;
	it.machine->capture_failures = captured;
	fake_checkpoint_destroy(it.checkpoint);
}
