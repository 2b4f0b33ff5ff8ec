/* SPDX-License-Identifier: MIT */
/* The protocol of src/rwlock.c, every interleaving of it. */
#include "stepping.h"

#include <addrspace/types.h>

/* No name twice in one program. */
#define addrspace_rwlock_init             model_init
#define addrspace_rwlock_lock_shared      model_lock_shared
#define addrspace_rwlock_unlock_shared    model_unlock_shared
#define addrspace_rwlock_lock_exclusive   model_lock_exclusive
#define addrspace_rwlock_unlock_exclusive model_unlock_exclusive
#include "../../src/rwlock.c"

#define THREADS    3
#define SPIN_LOADS 1

/** What all CPUs see. */
struct memory {
	struct addrspace_rwlock lock;
	struct addrspace_rwlock_cpu cpus[THREADS];
	/* What the lock protects: a writer changes one after the other. */
	uint64_t first;
	uint64_t second;
	/* Who is inside; no part of the code, so always up to date. */
	uint64_t readers;
	uint64_t writers;
};

static struct memory memory; /* the code's pointers lead here */

static void initialise(void)
{
	model_init(&memory.lock, memory.cpus, THREADS);
}

/** Readers write to their own CPU's words, and who has its turn to `writing` and `serving`. */
static bool is_only_writer(const void *address)
{
	return address != &memory.lock.tickets && address != &memory.lock.waiting;
}

#include "stepping_engine.h"

/* ---- what CPUs do ---- */

static void count(uint64_t *inside, uint64_t by)
{
	if (!step_event(true))
		return;
	copy_in(inside, sizeof(*inside), *inside + by);
	if (memory.writers > 1)
		found = "two writers are inside";
	if (memory.writers && memory.readers)
		found = "a reader and a writer are inside";
}

static void look(unsigned cpu)
{
	uint64_t first, second;

	model_lock_shared(&memory.lock, cpu);
	count(&memory.readers, 1);
	first = step_load(&memory.first, sizeof(memory.first));
	second = step_load(&memory.second, sizeof(memory.second));
	if (first != second)
		found = "a reader saw a change half done";
	count(&memory.readers, UINT64_MAX);
	model_unlock_shared(&memory.lock, cpu);
}

static void change(void)
{
	uint64_t value;

	model_lock_exclusive(&memory.lock);
	count(&memory.writers, 1);
	value = step_load(&memory.first, sizeof(memory.first));
	step_store(&memory.first, sizeof(memory.first), value + 1, __ATOMIC_RELAXED);
	if (step_load(&memory.second, sizeof(memory.second)) != value)
		found = "a writer does not see what the last one did";
	step_store(&memory.second, sizeof(memory.second), value + 1, __ATOMIC_RELAXED);
	count(&memory.writers, UINT64_MAX);
	model_unlock_exclusive(&memory.lock);
}

/* The programs. */

static void reader(unsigned cpu)
{
	look(cpu);
}

static void reader_that_comes_back(unsigned cpu)
{
	look(cpu);
	look(cpu);
}

static void writer(unsigned cpu)
{
	(void)cpu;
	change();
}

static void writer_that_comes_back(unsigned cpu)
{
	(void)cpu;
	change();
	change();
}

static void reader_and_writer(unsigned cpu)
{
	look(cpu);
	change();
}

/* ---- tests ---- */

static void writer_excludes_readers_and_all_come_to_their_end(void **state)
{
	static const struct scenario two = {.programs = {reader_and_writer, reader_and_writer}};
	static const struct scenario again = {
		.programs = {reader_that_comes_back, writer_that_comes_back}};

	(void)state;
	assert_null(check(&two));
	assert_true(states > 1000);
	assert_null(check(&again));
	assert_true(states > 1000);
}

static void writer_excludes_readers_of_two_cpus(void **state)
{
	static const struct scenario three = {
		.programs = {reader_that_comes_back, reader_and_writer, reader}};

	(void)state;
	assert_null(check(&three));
	assert_true(states > 10000);
}

static void writers_exclude_each_other_and_a_reader(void **state)
{
	static const struct scenario three = {
		.programs = {writer, reader_and_writer, reader_that_comes_back}};

	(void)state;
	assert_null(check(&three));
	assert_true(states > 10000);
}

static void writers_turn_must_be_sequentially_consistent(void **state)
{
	static const struct scenario weak = {.programs = {reader, writer}, .weak_exchanges = true};

	(void)state;
	assert_string_equal(check(&weak), "a reader and a writer are inside");
}

static void readers_entry_must_be_sequentially_consistent(void **state)
{
	static const struct scenario weak = {.programs = {reader, writer}, .weak_adds = true};

	(void)state;
	assert_string_equal(check(&weak), "a reader and a writer are inside");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writer_excludes_readers_and_all_come_to_their_end),
		cmocka_unit_test(writer_excludes_readers_of_two_cpus),
		cmocka_unit_test(writers_exclude_each_other_and_a_reader),
		cmocka_unit_test(writers_turn_must_be_sequentially_consistent),
		cmocka_unit_test(readers_entry_must_be_sequentially_consistent),
	};

	return cmocka_run_group_tests_name("rwlock model", tests, setup, teardown);
}
