/* SPDX-License-Identifier: MIT */
#include "interleave.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coroutine.h"
#include "digest_map.h"
#include "page_table.h"
#include "switched_entry.h"

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
	const uint64_t *published;    /* the last slot that it stored to by an exchange */
	uint64_t *late_slot;          /* planted: bits still to be set */
	uint64_t late_bits;
};

struct node {
	uint64_t digest;
	double schedules; /* of its children that are done */
	uint8_t choices;  /* CPUs not tried yet */
	uint8_t chosen;
	uint8_t step; /* what that CPU was about to do */
	uint8_t last; /* CPU that led here */
	uint8_t preemptions;
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
	bool in_place;                          /* the machine is where the path ends */
	struct digest_map visits;               /* how many schedules lead on from there */
	struct digest_map checked;              /* tables */
	const uint64_t *stored_to[STORED_MOST]; /* by anybody, in any schedule so far */
	unsigned stored_count;
	unsigned stored_known; /* when the search began: they make reads steps */
	char found[2048];
} it = {.running = NOBODY};

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
	cpu->log = digest_mix(digest_mix(cpu->log, step), what);
	cpu->pending = step;
	coroutine_pause(&cpu->coroutine);
}

/** What the step brought. */
static uint64_t after(uint64_t value)
{
	struct cpu *cpu = &it.cpus[it.running];

	if (it.running != NOBODY)
		cpu->log = digest_mix(cpu->log, value);
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

uint64_t interleave_visits;

/** A step where somebody else may store. */
static uint64_t load(const uint64_t *slot)
{
	/* Nobody else stores while one CPU holds the lock alone. */
	if (it.running != NOBODY && !exclusive_here() &&
	    (it.what->all_reads || is_among(slot, it.stored_known)))
		before(INTERLEAVE_READ, (uintptr_t)slot);
	return after(__atomic_load_n(slot, __ATOMIC_ACQUIRE));
}

uint64_t switched_load(const uint64_t *slot)
{
	interleave_visits++;
	return load(slot);
}

size_t switched_count_empty(const uint64_t *slot, size_t count)
{
	size_t empty = 0;

	while (empty < count && !load(slot + empty))
		empty++;
	interleave_visits += empty;
	return empty;
}

void switched_store(uint64_t *slot, uint64_t entry, int order)
{
	/* Without order: to a table that nobody else can reach yet. */
	if (order != __ATOMIC_RELAXED) {
		before(INTERLEAVE_WRITE, (uintptr_t)slot);
		note_store(slot);
	}
	*slot = entry;
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
	*slot |= cpu->late_bits;
}

static bool planted(enum interleave_plant plant)
{
	return it.running != NOBODY && it.what->plant == plant;
}

bool switched_exchange(uint64_t *slot, uint64_t *expected, uint64_t desired)
{
	bool done = true;

	before(INTERLEAVE_EXCHANGE, (uintptr_t)slot);
	note_store(slot);
	if (planted(INTERLEAVE_PUBLISH_BY_STORE)) {
		*slot = desired;
	} else if (planted(INTERLEAVE_PUBLISH_IN_TWO_STEPS)) {
		uint64_t entry = after(*slot);

		done = entry == *expected;
		*expected = entry;
		before(INTERLEAVE_WRITE, (uintptr_t)slot);
		if (done)
			*slot = desired;
	} else {
		done = __atomic_compare_exchange_n(slot, expected, desired, false, __ATOMIC_ACQ_REL,
						   __ATOMIC_ACQUIRE);
	}
	after(done ? 1 : *expected);
	if (it.running != NOBODY && done)
		it.cpus[it.running].published = slot;
	if (planted(INTERLEAVE_MARK_LATE))
		set_late();
	return done;
}

void switched_or(uint64_t *slot, uint64_t bits)
{
	if (planted(INTERLEAVE_MARK_LATE)) {
		it.cpus[it.running].late_slot = slot;
		it.cpus[it.running].late_bits = bits;
		return;
	}
	before(INTERLEAVE_OR, (uintptr_t)slot);
	note_store(slot);
	*slot |= bits;
}

/** Whether what a CPU asked for was granted. */
static bool answered(bool granted, uint64_t value)
{
	after(granted ? value : 0);
	if (!granted && it.running != NOBODY && it.what->at_refusal)
		it.what->at_refusal(it.what, it.running);
	return granted;
}

static bool allocate(void *ctx, const struct addrspace_frame_request *request,
		     struct addrspace_frame *frame)
{
	bool done;

	before(INTERLEAVE_ALLOCATE, request->kind);
	if (it.running != NOBODY)
		it.machine->lowest_free = FIRST_FRAME + it.running * FRAMES_EACH;
	done = it.original.allocate(ctx, request, frame);
	return answered(done, frame->hpa);
}

static void free_frames(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	before(INTERLEAVE_FREE, hpa);
	if (!planted(INTERLEAVE_KEEP))
		it.original.free(ctx, request, hpa);
	if (planted(INTERLEAVE_FREE_TWICE))
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
	if (planted(INTERLEAVE_SYNC_OWN) && size == sizeof(uint64_t) &&
	    entries != it.cpus[it.running].published)
		return;
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
		it.changes = digest_mix(it.changes, it.cpus[it.running].log);
}

static bool charge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	before(INTERLEAVE_CHARGE, kind);
	return answered(it.original.charge(ctx, kind, frames), 1);
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
		it.cpus[cpu].published = NULL;
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

static bool someone_changes(void)
{
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++) {
		if (it.machine->held[cpu] == FAKE_EXCLUSIVE)
			return true;
	}
	return false;
}

static bool all_done(void)
{
	for (unsigned cpu = 0; cpu < it.what->cpus; cpu++) {
		if (coroutine_is_active(&it.cpus[cpu].coroutine))
			return false;
	}
	return true;
}

/** CPUs that may take the next step after a path whose last one is this CPU's. */
static uint8_t choices(unsigned last, unsigned preemptions)
{
	uint8_t set = 0;

	for (unsigned cpu = 0; cpu < it.what->cpus; cpu++)
		set |= (uint8_t)(can_go_on(cpu) << cpu);
	if (it.what->preemptions_most && preemptions == it.what->preemptions_most &&
	    set & 1u << last)
		return (uint8_t)(1u << last);
	return set;
}

/** Of the tables, and all that says whether they are valid. */
static uint64_t digest_of_tables(uint64_t frames)
{
	const unsigned char *as = (const unsigned char *)&it.what->fixture->as;
	uint64_t digest = frames;

	for (size_t i = 0; i + sizeof(uint64_t) <= sizeof(struct addrspace); i += 8) {
		uint64_t word;

		memcpy(&word, as + i, sizeof(word));
		digest = digest_mix(digest, word);
	}
	return digest_mix(digest, someone_changes()) | 1;
}

/** Of a state that a step of this CPU led to; *tables: of its tables alone. */
static uint64_t digest_of_all(unsigned last, unsigned preemptions, uint64_t *tables)
{
	uint64_t frames;
	uint64_t digest = fake_machine_digest(it.machine, &frames);

	*tables = digest_of_tables(frames);
	digest = digest_mix(digest, *tables);
	for (unsigned cpu = 0; cpu < it.what->cpus; cpu++) {
		digest = digest_mix(digest, it.cpus[cpu].log);
		digest = digest_mix(digest, coroutine_is_active(&it.cpus[cpu].coroutine));
		digest = digest_mix(digest, (uint64_t)it.what->outcome[cpu]);
		digest = digest_mix(digest, it.what->seen[cpu]);
	}
	if (it.what->preemptions_most)
		digest = digest_mix(digest_mix(digest, last), preemptions);
	return digest_mix(digest, it.changes) | 1;
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

static void check_tables(uint64_t digest)
{
	struct addrspace *as = &it.what->fixture->as;
	struct fake_translation unused;
	struct addrspace_defect defect;

	if (digest_map_find(&it.checked, digest))
		return;
	digest_map_put(&it.checked, digest, 0);
	fake_machine_walk_all(it.machine, check_leaf, NULL);
	for (unsigned cpu = 0; cpu < it.what->cpus; cpu++)
		fake_iommu_translate(it.machine, it.what->page[cpu], &unused);
	if (!someone_changes() && !as->format->verify(as, &defect))
		fake_fail(it.machine, "verify: gpa %#" PRIx64 ", level %u: %s", defect.gpa,
			  defect.level, defect.what);
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

/** Puts the state that was reached at the end of the path, if it is new; else returns how many
 * schedules lead on from there. */
static double add_node(unsigned last, unsigned preemptions)
{
	uint64_t tables, digest = digest_of_all(last, preemptions, &tables);
	const double *schedules = digest_map_find(&it.visits, digest);
	struct node *node;

	if (schedules)
		return *schedules;
	check_tables(tables);
	node = &it.path[it.depth++];

	if (it.depth == INTERLEAVE_STEPS_MOST)
		abort();
	*node = (struct node){
		.digest = digest,
		.choices = choices(last, preemptions),
		.last = (uint8_t)last,
		.preemptions = (uint8_t)preemptions,
	};
	it.what->states++;
	if (node->choices)
		return 0;
	node->schedules = 1;
	if (all_done())
		check_end();
	else
		fake_fail(it.machine, "nobody can go on");
	return 0;
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
	bool preempts = node->last < NOBODY && node->last != cpu && can_go_on(node->last);
	unsigned preemptions = node->preemptions + preempts;
	unsigned steps = it.depth;
	double schedules;

	node->chosen = (uint8_t)cpu;
	node->step = (uint8_t)it.cpus[cpu].pending;
	run_cpu(cpu, coroutine_resume);
	it.what->steps++;
	schedules = it.machine->failures ? 0 : add_node(cpu, preemptions);
	node->schedules += schedules;
	if (schedules > 0)
		it.in_place = false;
	if (it.machine->failures)
		report(it.machine->last_failure, steps);
}

static void leave_node(void)
{
	const struct node *node = &it.path[it.depth - 1];

	digest_map_put(&it.visits, node->digest, node->schedules);
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
	digest_map_clear(&it.visits);
	digest_map_clear(&it.checked);
	go_to_start();
	it.in_place = true;
	add_node(NOBODY, 0);
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
