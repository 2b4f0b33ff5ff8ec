/* SPDX-License-Identifier: MIT */
/*
 * The states, and the visit of all of them: see stepping.h. Whoever includes this defines before it:
 *
 *	THREADS, SPIN_LOADS	CPUs at most; loads in the condition of a loop that spins
 *	struct memory		all that CPUs share
 *	initialise()		the start of it, where it is not zero
 *	is_only_writer()	true if the running CPU alone changes the word at address
 */
#ifndef STEPPING_ENGINE_H
#define STEPPING_ENGINE_H

#define LOG_MOST    48
#define BUFFER_MOST 4
#define STATES_MOST (1u << 20) /* of the table of those visited; a power of two */
#define DEPTH_MOST  200

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
	uint32_t
		unchanged; /* its last so many loads, at most SPIN_LOADS: nothing has changed since */
	uint32_t spinning; /* nor since it found that it must wait */
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
	bool weak_exchanges;
	bool left_out; /* the test's own */
};

static struct state now; /* but for its memory */
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
		now.threads[i].unchanged = 0;
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
	if (thread->unchanged < SPIN_LOADS)
		thread->unchanged++;
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

/** A read-modify-write that is sequentially consistent waits for nothing and lets no earlier store
 * wait. A weaker one can be late as a store can, to those who only read the word; who changes it as
 * well always sees it. */
static uint64_t modify(void *address, size_t size, uint64_t value, uint64_t brought, bool weak)
{
	if (weak && !is_only_writer(address))
		copy_in(address, size, value);
	else
		store(address, size, value, weak);
	return record(brought);
}

static inline uint64_t step_add(void *address, size_t size, uint64_t value, int order)
{
	uint64_t sum;

	if (replay(&sum))
		return sum;
	sum = visible(address, size) + value;
	if (size == sizeof(uint32_t))
		sum = (uint32_t)sum;
	return modify(address, size, sum, sum, order != __ATOMIC_SEQ_CST || scenario->weak_adds);
}

static inline uint32_t step_fetch_add(uint32_t *word, uint32_t value, int order)
{
	return (uint32_t)step_add(word, sizeof(*word), value, order) - value;
}

static inline uint32_t step_exchange(uint32_t *word, uint32_t value, int order)
{
	uint64_t before;

	if (replay(&before))
		return (uint32_t)before;
	before = visible(word, sizeof(*word));
	return (uint32_t)modify(word, sizeof(*word), value, before,
				order != __ATOMIC_SEQ_CST || scenario->weak_exchanges);
}

/** Back to where the loop began, and not on before something has changed. */
static void step_relax(void)
{
	struct thread_state *thread = &now.threads[running];
	uint64_t unused;

	if (replay(&unused))
		return;
	thread->steps -= SPIN_LOADS;
	memset(&thread->log[thread->steps], 0, SPIN_LOADS * sizeof(thread->log[0]));
	thread->spinning = thread->unchanged == SPIN_LOADS;
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
	initialise();
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

#endif
