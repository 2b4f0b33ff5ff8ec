/* SPDX-License-Identifier: MIT */
/*
 * The protocol of src/shootdown.c, every interleaving of it: the code itself is compiled in here
 * with its atomic operations replaced, one step each, and all states that a few CPUs can reach are
 * visited.
 *
 * A thread's state is the list of values that its steps have brought so far. To let it take one
 * more, its program is run again from the start on that list, does one real step, and is left by
 * longjmp(). Stores that are not sequentially consistent wait in a buffer of their CPU, first in,
 * first out, and become visible at any later time, as they do on x86; loads may so pass them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <addrspace/types.h>

/* ---- the code, step by step ---- */

static uint64_t step_load(const void *address, size_t size);
static void step_store(void *address, size_t size, uint64_t value, int order);
static uint64_t step_add(uint64_t *address, uint64_t value, int order);
static void step_relax(void);

#define __atomic_load_n(address, order) step_load(address, sizeof(*(address)))
#define __atomic_store_n(address, value, order)                                                    \
	step_store(address, sizeof(*(address)), value, order)
#define __atomic_add_fetch(address, value, order) step_add(address, value, order)
#define cpu_relax                                 step_relax
/* No barrier of a real CPU is wanted, and no name twice in one program. */
#define ADDRSPACE_SRC_ARCH_X86_64_CPU_H
#define ADDRSPACE_SRC_ARCH_AARCH64_CPU_H
#define ADDRSPACE_SRC_ARCH_RISCV64_CPU_H
#define addrspace_shootdown_init       model_init
#define addrspace_shootdown_enter      model_enter
#define addrspace_shootdown_leave      model_leave
#define addrspace_shootdown_forget     model_forget
#define addrspace_shootdown_invalidate model_invalidate
#include "../../src/shootdown.c"

/* ---- states ---- */

#define THREADS     3
#define LOG_MOST    48
#define BUFFER_MOST 4
#define FRAMES      4
#define STATES_MOST (1u << 20) /* of the table of those visited; a power of two */
#define DEPTH_MOST  160

/** What all CPUs see. */
struct memory {
	struct addrspace_shootdown shootdown;
	struct addrspace_shootdown_cpu cpus[THREADS];
	uint64_t table; /* the frame that the guest's page is mapped to */
	uint64_t lock;
	uint64_t kicked[THREADS];
	uint64_t freed[FRAMES];
	uint64_t finished; /* threads that came to their end */
};

struct buffered_store {
	void *address;
	size_t size;
	uint64_t value;
};

struct thread_state {
	uint64_t log[LOG_MOST]; /* what its steps brought */
	uint32_t steps;
	struct buffered_store buffer[BUFFER_MOST];
	uint32_t buffered;
	uint32_t unchanged[2]; /* nothing has changed since its last load, and the one before */
	uint32_t spinning;     /* nor since it found that it must wait */
	uint32_t done;
};

struct state {
	struct memory memory;
	struct thread_state threads[THREADS];
};

/** What to look for, and what to break. */
struct scenario {
	void (*programs[THREADS])(unsigned thread);
	bool weak_stores; /* planted: no store is sequentially consistent */
	bool weak_adds;
	bool no_kick;
};

static struct memory memory; /* the code's pointers lead here */
static struct state now;     /* but for its memory */
static const struct scenario *scenario;
static unsigned running;
static unsigned replayed; /* steps of the running thread taken from its log */
static bool stepped;      /* its one real step is done */
static jmp_buf back;
static const char *found; /* what went wrong, or NULL */

enum run {
	RUN_STEPPED = 1,
	RUN_BLOCKED
};

static void copy_in(void *address, size_t size, uint64_t value)
{
	if (size == sizeof(uint32_t))
		*(uint32_t *)address = (uint32_t)value;
	else
		*(uint64_t *)address = value;
	for (unsigned i = 0; i < THREADS; i++) {
		now.threads[i].unchanged[0] = 0;
		now.threads[i].unchanged[1] = 0;
		now.threads[i].spinning = 0;
	}
}

/** True if the step was made before: *value is what it brought. */
static bool replay(uint64_t *value)
{
	struct thread_state *thread = &now.threads[running];

	if (replayed < thread->steps) {
		*value = thread->log[replayed++];
		return true;
	}
	if (stepped)
		longjmp(back, RUN_STEPPED);
	return false;
}

static uint64_t record(uint64_t value)
{
	struct thread_state *thread = &now.threads[running];

	assert_true(thread->steps < LOG_MOST);
	thread->log[thread->steps++] = value;
	replayed++;
	stepped = true;
	return value;
}

static void commit_oldest(unsigned thread)
{
	struct thread_state *state = &now.threads[thread];
	struct buffered_store oldest = state->buffer[0];

	memmove(state->buffer, state->buffer + 1, --state->buffered * sizeof(oldest));
	memset(&state->buffer[state->buffered], 0, sizeof(oldest));
	copy_in(oldest.address, oldest.size, oldest.value);
}

static uint64_t visible(const void *address, size_t size)
{
	const struct thread_state *thread = &now.threads[running];

	for (unsigned i = thread->buffered; i--;) {
		if (thread->buffer[i].address == address)
			return thread->buffer[i].value;
	}
	return size == sizeof(uint32_t) ? *(const uint32_t *)address : *(const uint64_t *)address;
}

static void store(void *address, size_t size, uint64_t value, bool buffered)
{
	struct thread_state *thread = &now.threads[running];

	if (buffered) {
		if (thread->buffered == BUFFER_MOST)
			longjmp(back, RUN_BLOCKED); /* until one of them is visible */
		thread->buffer[thread->buffered++] = (struct buffered_store){address, size, value};
		return;
	}
	while (thread->buffered)
		commit_oldest(running);
	copy_in(address, size, value);
}

static uint64_t step_load(const void *address, size_t size)
{
	struct thread_state *thread = &now.threads[running];
	uint64_t value;

	if (replay(&value))
		return value;
	thread->unchanged[1] = thread->unchanged[0];
	thread->unchanged[0] = 1;
	return record(visible(address, size));
}

static void step_store(void *address, size_t size, uint64_t value, int order)
{
	uint64_t unused;

	if (replay(&unused))
		return;
	store(address, size, value, order != __ATOMIC_SEQ_CST || scenario->weak_stores);
	record(0);
}

static uint64_t step_add(uint64_t *address, uint64_t value, int order)
{
	uint64_t sum;

	if (replay(&sum))
		return sum;
	sum = visible(address, sizeof(*address)) + value;
	store(address, sizeof(*address), sum, order != __ATOMIC_SEQ_CST || scenario->weak_adds);
	return record(sum);
}

/** Back to where the loop began, and not on before something has changed. */
static void step_relax(void)
{
	struct thread_state *thread = &now.threads[running];
	uint64_t unused;

	if (replay(&unused))
		return;
	/* the two loads of is_behind() */
	thread->steps -= 2;
	memset(&thread->log[thread->steps], 0, 2 * sizeof(thread->log[0]));
	thread->spinning = thread->unchanged[1];
	longjmp(back, RUN_STEPPED);
}

/** A step that is no access to memory, or none that waits in a buffer; it can be made while
 * possible holds. */
static bool step_event(bool possible)
{
	uint64_t unused;

	if (replay(&unused))
		return false;
	if (!possible)
		longjmp(back, RUN_BLOCKED);
	record(0);
	return true;
}

/* ---- what CPUs do ---- */

static void kick(void *kick_ctx, unsigned cpu)
{
	(void)kick_ctx;
	if (!scenario->no_kick && step_event(true))
		copy_in(&memory.kicked[cpu], sizeof(memory.kicked[cpu]), 1);
}

/** A guest's access through what its CPU has cached, which a walk fills. */
static void access_page(uint64_t *cached)
{
	if (*cached == FRAMES)
		*cached = step_load(&memory.table, sizeof(memory.table));
	if (step_load(&memory.freed[*cached], sizeof(memory.freed[0])))
		found = "a guest used a frame that was freed";
}

static void enter_and_leave(unsigned cpu, uint64_t *cached, bool stay)
{
	/* a kick that came outside was an interrupt like any other */
	if (step_event(true))
		copy_in(&memory.kicked[cpu], sizeof(memory.kicked[cpu]), 0);
	if (model_enter(&memory.shootdown, cpu) > 0)
		*cached = FRAMES;
	access_page(cached);
	/* inside until it is kicked, or as long as it likes if nobody will */
	if (stay)
		step_event(memory.kicked[cpu] || memory.finished);
	access_page(cached);
	model_leave(&memory.shootdown, cpu);
}

static void finish(void)
{
	uint64_t finished = step_load(&memory.finished, sizeof(memory.finished));

	step_store(&memory.finished, sizeof(memory.finished), finished + 1, __ATOMIC_SEQ_CST);
}

/** Moves the page to another frame and frees the old one. */
static void move_page(uint64_t from, uint64_t to)
{
	step_store(&memory.table, sizeof(memory.table), to, __ATOMIC_RELEASE);
	model_invalidate(&memory.shootdown, kick, NULL);
	step_store(&memory.freed[from], sizeof(memory.freed[from]), 1, __ATOMIC_SEQ_CST);
}

/* The programs. */

static void guest_that_stays(unsigned cpu)
{
	uint64_t cached = FRAMES;

	enter_and_leave(cpu, &cached, true);
}

static void guest_that_comes_and_goes(unsigned cpu)
{
	uint64_t cached = FRAMES;

	enter_and_leave(cpu, &cached, false);
	enter_and_leave(cpu, &cached, false);
}

static void guest_that_comes_back(unsigned cpu)
{
	uint64_t cached = FRAMES;

	enter_and_leave(cpu, &cached, false);
	enter_and_leave(cpu, &cached, true);
}

static void mover(unsigned cpu)
{
	(void)cpu;
	move_page(0, 1);
	finish();
}

static void mover_of_two(unsigned cpu)
{
	(void)cpu;
	move_page(0, 1);
	move_page(1, 2);
	finish();
}

static void take_lock(void)
{
	if (step_event(!memory.lock))
		store(&memory.lock, sizeof(memory.lock), 1, false);
}

/** A guest whose CPU leaves to move the page, as another does: each waits for the lock outside. */
static void guest_and_mover(unsigned cpu)
{
	uint64_t cached = FRAMES;
	uint64_t from;

	enter_and_leave(cpu, &cached, false);
	take_lock();
	from = step_load(&memory.table, sizeof(memory.table));
	move_page(from, from + 1);
	step_store(&memory.lock, sizeof(memory.lock), 0, __ATOMIC_SEQ_CST);
	enter_and_leave(cpu, &cached, false);
}

/* ---- visiting all states ---- */

static uint64_t *visited;
static struct state stack[DEPTH_MOST];
static uint64_t states;

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	for (; size; size -= sizeof(uint64_t), at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return hash;
}

/** True if the state is new. Two states with one hash would hide one: of 2^64. */
static bool visit(const struct state *state)
{
	uint64_t hash = hash_bytes(1, state, sizeof(*state)) | 1;
	size_t slot = (size_t)(hash >> 20) & (STATES_MOST - 1);

	while (visited[slot]) {
		if (visited[slot] == hash)
			return false;
		slot = (slot + 1) & (STATES_MOST - 1);
	}
	visited[slot] = hash;
	assert_true(++states < STATES_MOST / 2);
	return true;
}

/** One more step of a thread; false if it cannot take any now. */
static bool run_thread(unsigned thread)
{
	if (now.threads[thread].done || now.threads[thread].spinning)
		return false;
	running = thread;
	replayed = 0;
	stepped = false;
	switch (setjmp(back)) {
	case 0:
		scenario->programs[thread](thread);
		now.threads[thread].done = 1;
		return true;
	case RUN_STEPPED:
		return true;
	default:
		return false;
	}
}

static void load_state(const struct state *state)
{
	memcpy(&now, state, sizeof(now));
	memcpy(&memory, &state->memory, sizeof(memory));
}

static void save_state(struct state *state)
{
	memcpy(state, &now, sizeof(now));
	memcpy(&state->memory, &memory, sizeof(memory));
}

static bool all_done(const struct state *state)
{
	for (unsigned i = 0; i < THREADS; i++) {
		if (scenario->programs[i] && !state->threads[i].done)
			return false;
	}
	return true;
}

static void explore(unsigned depth);

/** The choice is open: a thread's step, or the oldest of its stores becoming visible. */
static bool explore_choice(unsigned depth, unsigned thread, bool commit)
{
	load_state(&stack[depth]);
	if (commit) {
		if (!now.threads[thread].buffered)
			return false;
		commit_oldest(thread);
	} else if (!scenario->programs[thread] || !run_thread(thread)) {
		return false;
	}
	save_state(&stack[depth + 1]);
	if (!found && visit(&stack[depth + 1]))
		explore(depth + 1);
	return true;
}

static void explore(unsigned depth)
{
	bool moved = false;

	assert_true(depth + 1 < DEPTH_MOST);
	for (unsigned choice = 0; choice < 2 * THREADS && !found; choice++)
		moved |= explore_choice(depth, choice / 2, choice & 1);
	if (!moved && !all_done(&stack[depth]) && !found)
		found = "nobody can go on";
}

/** What is found in all runs of the programs, NULL: nothing wrong. */
static const char *check(const struct scenario *what)
{
	scenario = what;
	found = NULL;
	states = 0;
	memset(visited, 0, STATES_MOST * sizeof(*visited));
	memset(stack, 0, sizeof(stack[0]));
	memset(&memory, 0, sizeof(memory));
	assert_int_equal(model_init(&memory.shootdown, memory.cpus, THREADS), 0);
	memset(&now, 0, sizeof(now));
	save_state(&stack[0]);
	explore(0);
	print_message("%llu states: %s\n", (unsigned long long)states, found ? found : "all good");
	return found;
}

static int setup(void **state)
{
	(void)state;
	visited = malloc(STATES_MOST * sizeof(*visited));
	return visited ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(visited);
	return 0;
}

/* ---- tests ---- */

static void no_stale_access_with_one_cpu_inside(void **state)
{
	static const struct scenario coming_back = {
		.programs = {guest_that_comes_back, mover_of_two}};
	static const struct scenario staying = {.programs = {guest_that_stays, mover}};

	(void)state;
	assert_null(check(&staying));
	assert_null(check(&coming_back));
	assert_true(states > 1000);
}

static void no_stale_access_with_two_cpus_inside(void **state)
{
	static const struct scenario two = {
		.programs = {guest_that_stays, mover, guest_that_stays}};

	(void)state;
	assert_null(check(&two));
	assert_true(states > 10000);
}

static void cpus_that_invalidate_for_each_other_do_not_wait_for_ever(void **state)
{
	static const struct scenario both = {.programs = {guest_and_mover, guest_and_mover}};

	(void)state;
	assert_null(check(&both));
	assert_true(states > 1000);
}

static void store_before_entry_must_be_sequentially_consistent(void **state)
{
	static const struct scenario weak = {.programs = {guest_that_comes_and_goes, mover},
					     .weak_stores = true};
	static const struct scenario strong = {.programs = {guest_that_comes_and_goes, mover}};

	(void)state;
	assert_string_equal(check(&weak), "a guest used a frame that was freed");
	assert_null(check(&strong));
}

static void count_of_generations_must_be_sequentially_consistent(void **state)
{
	static const struct scenario weak = {.programs = {guest_that_comes_and_goes, mover},
					     .weak_adds = true};

	(void)state;
	assert_string_equal(check(&weak), "a guest used a frame that was freed");
}

static void cpu_that_stays_inside_must_be_kicked(void **state)
{
	static const struct scenario unkicked = {.programs = {guest_that_stays, mover},
						 .no_kick = true};

	(void)state;
	assert_string_equal(check(&unkicked), "nobody can go on");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_stale_access_with_one_cpu_inside),
		cmocka_unit_test(no_stale_access_with_two_cpus_inside),
		cmocka_unit_test(cpus_that_invalidate_for_each_other_do_not_wait_for_ever),
		cmocka_unit_test(store_before_entry_must_be_sequentially_consistent),
		cmocka_unit_test(count_of_generations_must_be_sequentially_consistent),
		cmocka_unit_test(cpu_that_stays_inside_must_be_kicked),
	};

	return cmocka_run_group_tests_name("shootdown model", tests, setup, teardown);
}
