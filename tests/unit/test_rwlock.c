/* SPDX-License-Identifier: MIT */
/* The ready-made reader-writer lock: who is inside together, and who goes first. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <addrspace/rwlock.h>

#define CPUS 4
/* Spinning threads that share cores pass a lock on once a time slice. */
#define THREADS 2
#define ROUNDS  1000

static _Alignas(128) struct addrspace_rwlock_cpu cpus[CPUS];
static struct addrspace_rwlock lock;

/* What the lock protects. */
static struct {
	uint64_t first;
	uint64_t second;
} pair;

/* Who came in, in order. */
static struct {
	char order[8];
	unsigned count;
} visitors;

static int setup(void **state)
{
	(void)state;
	memset(&pair, 0, sizeof(pair));
	memset(&visitors, 0, sizeof(visitors));
	addrspace_rwlock_init(&lock, cpus, CPUS);
	return 0;
}

static void came_in(char name)
{
	unsigned at = __atomic_fetch_add(&visitors.count, 1, __ATOMIC_SEQ_CST);

	__atomic_store_n(&visitors.order[at], name, __ATOMIC_SEQ_CST);
}

/** Until another thread has got so far: a hang here is a failure of the lock. */
static void await(const uint32_t *word, uint32_t value)
{
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) != value)
		sched_yield();
}

static pthread_t start(void *(*routine)(void *), void *argument)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, routine, argument), 0);
	return thread;
}

static void *write_once(void *name)
{
	addrspace_rwlock_lock_exclusive(&lock);
	came_in(*(char *)name);
	addrspace_rwlock_unlock_exclusive(&lock);
	return NULL;
}

static void *read_once_on_cpu_1(void *name)
{
	addrspace_rwlock_lock_shared(&lock, 1);
	came_in(*(char *)name);
	addrspace_rwlock_unlock_shared(&lock, 1);
	return NULL;
}

static void readers_are_inside_together(void **state)
{
	(void)state;
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		addrspace_rwlock_lock_shared(&lock, cpu);
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		addrspace_rwlock_unlock_shared(&lock, cpu);
	addrspace_rwlock_lock_exclusive(&lock);
	addrspace_rwlock_unlock_exclusive(&lock);
}

static void writer_waits_for_every_reader_that_is_inside(void **state)
{
	char writer = 'w';
	pthread_t thread;

	(void)state;
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		addrspace_rwlock_lock_shared(&lock, cpu);
	thread = start(write_once, &writer);
	await(&lock.writing, 1);
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		sched_yield();
		assert_int_equal(__atomic_load_n(&visitors.count, __ATOMIC_SEQ_CST), 0);
		addrspace_rwlock_unlock_shared(&lock, cpu);
	}
	pthread_join(thread, NULL);
	assert_string_equal(visitors.order, "w");
}

static void let_one_of_each_wait(void)
{
	char names[] = "1r2";
	pthread_t first, reader, second;

	addrspace_rwlock_lock_shared(&lock, 0);
	first = start(write_once, &names[0]);
	await(&lock.writing, 1);
	/* It comes while a writer waits: the writer goes first. */
	reader = start(read_once_on_cpu_1, &names[1]);
	await(&lock.waiting, 1);
	/* It comes while a reader is held off: the reader goes first. */
	second = start(write_once, &names[2]);
	await(&lock.tickets, 2);
	addrspace_rwlock_unlock_shared(&lock, 0);
	pthread_join(first, NULL);
	pthread_join(reader, NULL);
	pthread_join(second, NULL);
	assert_string_equal(visitors.order, "1r2");
}

/** Many times, since by chance the right one may come first. */
static void readers_do_not_starve_a_writer_nor_writers_a_reader(void **state)
{
	for (unsigned i = 0; i < 30; i++) {
		setup(state);
		let_one_of_each_wait();
	}
}

static void writers_come_in_order(void **state)
{
	char names[] = "123";
	pthread_t threads[3];

	(void)state;
	addrspace_rwlock_lock_shared(&lock, 0);
	for (uint32_t i = 0; i < 3; i++) {
		threads[i] = start(write_once, &names[i]);
		await(&lock.tickets, i + 1);
	}
	addrspace_rwlock_unlock_shared(&lock, 0);
	for (uint32_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_string_equal(visitors.order, "123");
}

static void *read_and_write(void *number)
{
	uint32_t cpu = *(uint32_t *)number;
	uintptr_t torn = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		addrspace_rwlock_lock_shared(&lock, cpu);
		torn += pair.first != pair.second;
		addrspace_rwlock_unlock_shared(&lock, cpu);
		if ((i + cpu) % 4)
			continue;
		addrspace_rwlock_lock_exclusive(&lock);
		pair.first++;
		pair.second++;
		addrspace_rwlock_unlock_exclusive(&lock);
	}
	return (void *)torn;
}

static void nobody_sees_a_writer_half_done(void **state)
{
	uint32_t numbers[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	for (uint32_t i = 0; i < THREADS; i++) {
		numbers[i] = i;
		threads[i] = start(read_and_write, &numbers[i]);
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		void *torn;

		pthread_join(threads[i], &torn);
		assert_null(torn);
	}
	assert_int_equal(pair.first, THREADS * ROUNDS / 4);
	assert_int_equal(pair.second, pair.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(readers_are_inside_together, setup),
		cmocka_unit_test_setup(writer_waits_for_every_reader_that_is_inside, setup),
		cmocka_unit_test_setup(readers_do_not_starve_a_writer_nor_writers_a_reader, setup),
		cmocka_unit_test_setup(writers_come_in_order, setup),
		cmocka_unit_test_setup(nobody_sees_a_writer_half_done, setup),
	};

	return cmocka_run_group_tests_name("rwlock", tests, NULL, NULL);
}
