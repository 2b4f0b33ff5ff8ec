/* SPDX-License-Identifier: MIT */
/* Who is asked to flush, who is kicked and who is waited for: step by step, and with real threads.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include <addrspace/shootdown.h>

#define CPUS 4

static struct addrspace_shootdown_cpu cpus[CPUS];
static struct addrspace_shootdown shootdown;

/** What a kick does: the CPU leaves, and perhaps comes back at once. */
static struct {
	unsigned kicks[CPUS];
	bool comes_back;
	int flush_when_back;
} world;

static void kick(void *kick_ctx, unsigned cpu)
{
	assert_ptr_equal(kick_ctx, &world);
	world.kicks[cpu]++;
	assert_int_equal(addrspace_shootdown_leave(&shootdown, cpu), 0);
	if (world.comes_back)
		world.flush_when_back = addrspace_shootdown_enter(&shootdown, cpu);
}

static void invalidate(void)
{
	memset(world.kicks, 0, sizeof(world.kicks));
	assert_int_equal(addrspace_shootdown_invalidate(&shootdown, kick, &world), 0);
}

static void enter(unsigned cpu, int flush)
{
	assert_int_equal(addrspace_shootdown_enter(&shootdown, cpu), flush);
}

static void leave(unsigned cpu)
{
	assert_int_equal(addrspace_shootdown_leave(&shootdown, cpu), 0);
}

/** Enters and leaves again. */
static void visit(unsigned cpu, int flush)
{
	enter(cpu, flush);
	leave(cpu);
}

static unsigned kicks(void)
{
	unsigned sum = 0;

	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		sum += world.kicks[cpu];
	return sum;
}

static int setup(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	memset(cpus, 0xa5, sizeof(cpus));
	return addrspace_shootdown_init(&shootdown, cpus, CPUS);
}

/* ---- step by step ---- */

static void slots_share_no_cache_line(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct addrspace_shootdown_cpu), 128);
	assert_int_equal(_Alignof(struct addrspace_shootdown_cpu), 128);
}

static void first_entry_of_each_cpu_flushes(void **state)
{
	(void)state;
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		visit(cpu, 1);
		visit(cpu, 0);
	}
}

static void first_entry_after_an_invalidation_flushes_once_on_each_cpu(void **state)
{
	(void)state;
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		visit(cpu, 1);
	for (unsigned round = 0; round < 3; round++) {
		invalidate();
		assert_int_equal(kicks(), 0);
		for (unsigned cpu = 0; cpu < CPUS; cpu++) {
			visit(cpu, 1);
			visit(cpu, 0);
		}
	}
}

static void several_invalidations_cost_one_flush(void **state)
{
	(void)state;
	visit(1, 1);
	for (unsigned i = 0; i < 5; i++)
		invalidate();
	visit(1, 1);
	visit(1, 0);
}

static void only_cpus_inside_are_kicked_once(void **state)
{
	(void)state;
	visit(0, 1);
	enter(1, 1);
	enter(3, 1);
	invalidate();
	assert_int_equal(world.kicks[0], 0);
	assert_int_equal(world.kicks[1], 1);
	assert_int_equal(world.kicks[2], 0);
	assert_int_equal(world.kicks[3], 1);
	invalidate();
	assert_int_equal(kicks(), 0);
	enter(1, 1);
	leave(1);
}

static void cpu_that_was_kicked_and_came_back_is_not_waited_for(void **state)
{
	(void)state;
	world.comes_back = true;
	enter(2, 1);
	invalidate();
	assert_int_equal(world.kicks[2], 1);
	assert_int_equal(world.flush_when_back, 1);
	leave(2);
	visit(2, 0);
}

static void cpu_that_spins_for_the_lock_is_not_waited_for(void **state)
{
	(void)state;
	enter(0, 1);
	leave(0);
	/* CPU 0 wants the lock that this call is made under: it never gets on meanwhile */
	invalidate();
	assert_int_equal(kicks(), 0);
	visit(0, 1);
}

static void virtual_cpu_that_moves_finds_what_its_new_cpu_has_missed(void **state)
{
	(void)state;
	visit(0, 1);
	visit(1, 1);
	invalidate();
	visit(0, 1);
	/* moved from 0 to 1 and back */
	visit(1, 1);
	visit(0, 0);
	visit(1, 0);
}

static void forget_makes_that_cpu_flush_again(void **state)
{
	(void)state;
	visit(0, 1);
	visit(1, 1);
	enter(1, 0);
	leave(1);
	assert_int_equal(addrspace_shootdown_forget(&shootdown, 1), 0);
	visit(1, 1);
	visit(1, 0);
	visit(0, 0);
}

static void new_start_makes_all_flush(void **state)
{
	(void)state;
	visit(0, 1);
	assert_int_equal(addrspace_shootdown_init(&shootdown, cpus, CPUS), 0);
	visit(0, 1);
	invalidate();
	visit(0, 1);
	assert_int_equal(addrspace_shootdown_init(&shootdown, cpus, CPUS), 0);
	visit(0, 1);
	invalidate();
	assert_int_equal(kicks(), 0);
}

static void spaces_do_not_disturb_each_other(void **state)
{
	static struct addrspace_shootdown_cpu other_cpus[CPUS];
	struct addrspace_shootdown other;

	(void)state;
	assert_int_equal(addrspace_shootdown_init(&other, other_cpus, CPUS), 0);
	assert_int_equal(addrspace_shootdown_enter(&other, 0), 1);
	visit(0, 1);
	invalidate();
	assert_int_equal(kicks(), 0);
	assert_int_equal(addrspace_shootdown_leave(&other, 0), 0);
	assert_int_equal(addrspace_shootdown_enter(&other, 0), 0);
}

static void bad_input_is_refused(void **state)
{
	const unsigned bad[] = {CPUS, CPUS + 1, UINT32_MAX};

	(void)state;
	assert_int_equal(addrspace_shootdown_init(NULL, cpus, CPUS), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_shootdown_init(&shootdown, NULL, CPUS), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_shootdown_init(&shootdown, cpus, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_shootdown_enter(NULL, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_shootdown_leave(NULL, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_shootdown_forget(NULL, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_shootdown_invalidate(NULL, kick, &world), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_shootdown_invalidate(&shootdown, NULL, &world),
			 ADDRSPACE_EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(addrspace_shootdown_enter(&shootdown, bad[i]), ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_shootdown_leave(&shootdown, bad[i]), ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_shootdown_forget(&shootdown, bad[i]), ADDRSPACE_EINVAL);
	}
	/* nothing has counted as an invalidation, nor as an entry */
	visit(0, 1);
	visit(0, 0);
}

/* ---- real threads ---- */

#define THREADS     2
#define FRAMES      1024
#define RUN_SECONDS 0.4

/** A page that moves from frame to frame; what it leaves is freed. */
static struct {
	uint64_t table;
	uint64_t freed[FRAMES];
	uint64_t moves;
	bool stop;
	pthread_mutex_t lock;
} page;

/** A CPU that runs the guest; its TLB holds one frame. */
static struct threaded_cpu {
	_Alignas(128) bool kicked;
	uint64_t stale;
	uint64_t entries;
	uint64_t accesses;
	uint64_t flushes;
} threaded[THREADS];

static void interrupt(void *kick_ctx, unsigned cpu)
{
	(void)kick_ctx;
	__atomic_store_n(&threaded[cpu].kicked, true, __ATOMIC_SEQ_CST);
}

/** Free frames hold 0, others 1; a frame that is taken again counts as another one. */
static void move_page(void)
{
	uint64_t old;

	pthread_mutex_lock(&page.lock);
	old = page.table;
	page.moves++;
	__atomic_store_n(&page.freed[page.moves % FRAMES], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&page.table, page.moves % FRAMES, __ATOMIC_RELEASE);
	addrspace_shootdown_invalidate(&shootdown, interrupt, NULL);
	__atomic_store_n(&page.freed[old], 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&page.lock);
}

static void run_inside(struct threaded_cpu *cpu, uint64_t *cached, unsigned accesses)
{
	while (accesses-- && !__atomic_load_n(&cpu->kicked, __ATOMIC_RELAXED)) {
		if (*cached == FRAMES)
			*cached = __atomic_load_n(&page.table, __ATOMIC_ACQUIRE);
		cpu->stale += __atomic_load_n(&page.freed[*cached], __ATOMIC_RELAXED);
		cpu->accesses++;
	}
}

static void *run_cpu(void *argument)
{
	struct threaded_cpu *cpu = argument;
	unsigned number = (unsigned)(cpu - threaded);
	uint64_t cached = FRAMES;

	while (!__atomic_load_n(&page.stop, __ATOMIC_RELAXED)) {
		__atomic_store_n(&cpu->kicked, false, __ATOMIC_RELAXED);
		if (addrspace_shootdown_enter(&shootdown, number) > 0) {
			cached = FRAMES;
			cpu->flushes++;
		}
		run_inside(cpu, &cached, cpu->entries % 16 ? 3 : 20000);
		addrspace_shootdown_leave(&shootdown, number);
		sched_yield(); /* there may be fewer real CPUs than threads */
		/* the last one moves the page as well, so that movers meet and wait outside */
		if (++cpu->entries % 64 == 0 && number == THREADS - 1)
			move_page();
	}
	return NULL;
}

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void threads_never_use_a_frame_after_it_was_freed(void **state)
{
	pthread_t threads[THREADS];
	double end = seconds() + RUN_SECONDS;

	(void)state;
	memset(&page, 0, sizeof(page));
	memset(threaded, 0, sizeof(threaded));
	assert_int_equal(pthread_mutex_init(&page.lock, NULL), 0);
	for (unsigned cpu = 0; cpu < THREADS; cpu++)
		assert_int_equal(pthread_create(&threads[cpu], NULL, run_cpu, &threaded[cpu]), 0);
	while (seconds() < end)
		move_page();
	__atomic_store_n(&page.stop, true, __ATOMIC_RELAXED);
	for (unsigned cpu = 0; cpu < THREADS; cpu++)
		assert_int_equal(pthread_join(threads[cpu], NULL), 0);
	for (unsigned cpu = 0; cpu < THREADS; cpu++) {
		print_message("CPU %u: %llu entries, %llu flushes, %llu accesses\n", cpu,
			      (unsigned long long)threaded[cpu].entries,
			      (unsigned long long)threaded[cpu].flushes,
			      (unsigned long long)threaded[cpu].accesses);
		assert_int_equal(threaded[cpu].stale, 0);
		assert_true(threaded[cpu].flushes > 0);
		assert_true(threaded[cpu].accesses > threaded[cpu].flushes);
	}
	print_message("%llu moves\n", (unsigned long long)page.moves);
	assert_true(page.moves > 10);
	pthread_mutex_destroy(&page.lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(slots_share_no_cache_line, setup),
		cmocka_unit_test_setup(first_entry_of_each_cpu_flushes, setup),
		cmocka_unit_test_setup(first_entry_after_an_invalidation_flushes_once_on_each_cpu,
				       setup),
		cmocka_unit_test_setup(several_invalidations_cost_one_flush, setup),
		cmocka_unit_test_setup(only_cpus_inside_are_kicked_once, setup),
		cmocka_unit_test_setup(cpu_that_was_kicked_and_came_back_is_not_waited_for, setup),
		cmocka_unit_test_setup(cpu_that_spins_for_the_lock_is_not_waited_for, setup),
		cmocka_unit_test_setup(virtual_cpu_that_moves_finds_what_its_new_cpu_has_missed,
				       setup),
		cmocka_unit_test_setup(forget_makes_that_cpu_flush_again, setup),
		cmocka_unit_test_setup(new_start_makes_all_flush, setup),
		cmocka_unit_test_setup(spaces_do_not_disturb_each_other, setup),
		cmocka_unit_test_setup(bad_input_is_refused, setup),
		cmocka_unit_test_setup(threads_never_use_a_frame_after_it_was_freed, setup),
	};

	return cmocka_run_group_tests_name("shootdown", tests, NULL, NULL);
}
