/* SPDX-License-Identifier: MIT */
/* The protocol of src/shootdown.c, every interleaving of it. */
#include "stepping.h"

#include <addrspace/types.h>

/* No name twice in one program. */
#define addrspace_shootdown_init       model_init
#define addrspace_shootdown_enter      model_enter
#define addrspace_shootdown_leave      model_leave
#define addrspace_shootdown_forget     model_forget
#define addrspace_shootdown_invalidate model_invalidate
#include "../../src/shootdown.c"

#define THREADS    3
#define SPIN_LOADS 2 /* of is_behind() */
#define FRAMES     4

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

static struct memory memory; /* the code's pointers lead here */

static void initialise(void)
{
	assert_int_equal(model_init(&memory.shootdown, memory.cpus, THREADS), 0);
}

/** All adds are sequentially consistent but for those planted, which shall be as late as can be. */
static bool is_only_writer(const void *address)
{
	(void)address;
	return true;
}

#include "stepping_engine.h"

/* ---- what CPUs do ---- */

static void kick(void *kick_ctx, unsigned cpu)
{
	(void)kick_ctx;
	if (!scenario->left_out && step_event(true))
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
						 .left_out = true};

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
