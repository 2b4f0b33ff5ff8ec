/* SPDX-License-Identifier: MIT */
/*
 * Faults in parallel, in every order: interleave.h on small scenarios. Two CPUs completely, three
 * with at most two preemptions. Nothing is lost, nothing is freed twice, each page is resolved once,
 * and hardware can walk at each step; mistakes planted on purpose are found.
 */
#include "interleave.h"

#include <string.h>

#define PAGE  FAKE_PAGE_SIZE
#define MIB   (UINT64_C(1) << 20)
#define GIB   (UINT64_C(1) << 30)
#define BASE  (3 * GIB) /* the page that most of this is about */
#define ARENA (UINT64_C(1) << 20)
#define TRIES 3

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* Where each CPU works. */
static uint64_t page_of[FAKE_CPUS];
static uint64_t guest_frames_before;
static bool any_failed;

static int setup(void **state)
{
	int result = fixture_setup_with(state, ARENA);
	struct fixture *fixture = *state;

	if (result)
		return result;
	fake_machine_register_linear(&fixture->machine, FIXTURE_LINEAR, 8 * GIB);
	interleave_switch_format(fixture);
	return 0;
}

#define EXPECT(interleave, condition)                                                              \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fake_fail(&(interleave)->fixture->machine, "not so: " #condition);         \
	} while (0)

/** A lazy region with so many tables missing on the way to BASE, at most all below the root. */
static void leave_missing(struct fixture *fixture, unsigned missing)
{
	/* In the slot beside BASE's of a table `missing` levels up. */
	static const uint64_t neighbours[] = {BASE + PAGE, BASE + 2 * MIB, BASE - GIB, 512 * GIB};
	struct addrspace *as = &fixture->as;

	addrspace_clear(as);
	assert_int_equal(addrspace_map_alloc(as, BASE - GIB, 2 * GIB - 64 * MIB, &fixture_rw, 0),
			 0);
	if (missing + 1u == as->levels)
		return;
	if (missing == 3)
		assert_int_equal(addrspace_map_alloc(as, 512 * GIB, PAGE, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_handle_fault(as, neighbours[missing], ADDRSPACE_WRITE, NULL), 0);
}

/** The same with 0 or 1, where the last table on the way holds nothing of the space's own. */
static void leave_missing_beside_linear(struct fixture *fixture, unsigned missing)
{
	uint64_t size = missing ? 2 * MIB : PAGE;
	struct addrspace *as = &fixture->as;

	addrspace_clear(as);
	assert_int_equal(addrspace_map_alloc(as, BASE, size, &fixture_rw, 0), 0);
	fixture_map_linear(fixture, BASE + size, size);
}

/* ---- Programs ---- */

/** What a fault has answered must be so for the guest and for a device. */
static void check_answer(struct interleave *interleave, unsigned cpu, uint64_t gpa)
{
	struct fixture *fixture = interleave->fixture;
	struct fake_translation translation;

	EXPECT(interleave, fake_iommu_translate(&fixture->machine, gpa, &translation));
	for (unsigned i = 0; i < TRIES; i++) {
		if (interleave_guest(interleave, cpu, gpa, ADDRSPACE_WRITE) == FAKE_HIT)
			return;
		EXPECT(interleave,
		       addrspace_handle_fault(&fixture->as, gpa, ADDRSPACE_WRITE, NULL) ==
			       ADDRSPACE_FAULT_ALREADY_RESOLVED);
	}
	fake_fail(&fixture->machine, "the guest faults for ever");
}

static void fault_only(struct interleave *interleave, unsigned cpu)
{
	interleave->outcome[cpu] = addrspace_handle_fault(&interleave->fixture->as, page_of[cpu],
							  ADDRSPACE_WRITE, NULL);
}

static void fault(struct interleave *interleave, unsigned cpu)
{
	fault_only(interleave, cpu);
	if (interleave->outcome[cpu] == ADDRSPACE_FAULT_RESOLVED ||
	    interleave->outcome[cpu] == ADDRSPACE_FAULT_ALREADY_RESOLVED)
		check_answer(interleave, cpu, page_of[cpu]);
}

/** The page may be gone by the time that the guest comes to it. */
static void fault_and_access(struct interleave *interleave, unsigned cpu)
{
	fault_only(interleave, cpu);
	interleave_guest(interleave, cpu, page_of[cpu], ADDRSPACE_READ);
}

static void translate(struct interleave *interleave, unsigned cpu)
{
	struct addrspace_translation translation;

	interleave->outcome[cpu] =
		addrspace_translate(&interleave->fixture->as, page_of[cpu], &translation);
	if (!interleave->outcome[cpu])
		interleave->seen[cpu] = translation.hpa;
	else
		EXPECT(interleave, interleave->outcome[cpu] == ADDRSPACE_ENOENT);
}

static void verify(struct interleave *interleave, unsigned cpu)
{
	struct addrspace_defect defect;

	(void)cpu;
	if (addrspace_verify(&interleave->fixture->as, &defect))
		fake_fail(&interleave->fixture->machine, "verify: %s", defect.what);
}

static void count(struct interleave *interleave, unsigned cpu)
{
	struct addrspace_statistics statistics;

	EXPECT(interleave, !addrspace_statistics(&interleave->fixture->as, &statistics));
	interleave->seen[cpu] = statistics.data_frames;
	EXPECT(interleave, statistics.data_frames >= guest_frames_before);
	EXPECT(interleave, statistics.data_frames <= guest_frames_before + 2);
}

static void list_runs(struct interleave *interleave, unsigned cpu)
{
	struct addrspace_run run = {0};
	uint64_t gpa = 0;

	while (!addrspace_next_run(&interleave->fixture->as, gpa, &run)) {
		EXPECT(interleave, run.gpa >= gpa && run.size);
		gpa = run.gpa + run.size;
		if (page_of[cpu] - run.gpa < run.size)
			interleave->seen[cpu] = run.hpa + (page_of[cpu] - run.gpa);
	}
}

static void unmap(struct interleave *interleave, unsigned cpu)
{
	EXPECT(interleave, !addrspace_unmap(&interleave->fixture->as, page_of[cpu], PAGE));
}

static void discard(struct interleave *interleave, unsigned cpu)
{
	EXPECT(interleave, !addrspace_discard(&interleave->fixture->as, page_of[cpu], PAGE));
}

static void protect(struct interleave *interleave, unsigned cpu)
{
	EXPECT(interleave,
	       !addrspace_protect(&interleave->fixture->as, page_of[cpu], PAGE, ADDRSPACE_READ));
}

static void replace(struct interleave *interleave, unsigned cpu)
{
	EXPECT(interleave,
	       !addrspace_map_alloc(&interleave->fixture->as, page_of[cpu], PAGE, &fixture_rw,
				    ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE));
}

static void move(struct interleave *interleave, unsigned cpu)
{
	struct fixture *fixture = interleave->fixture;
	struct fake_machine *machine = &fixture->machine;
	uint64_t hpa = fake_machine_lend(machine, 0);
	int error = addrspace_replace_frame(&fixture->as, page_of[cpu], hpa,
					    fake_machine_copy_frame, machine);

	interleave->outcome[cpu] = error;
	EXPECT(interleave, error == 0 || error == ADDRSPACE_ENOENT);
	if (error)
		fake_machine_take_back(machine, hpa);
	else
		fake_machine_hand_over(machine, hpa, page_of[cpu], fixture_rw.cookie);
}

/* ---- Ends ---- */

static unsigned count_outcomes(const struct interleave *interleave, uint64_t gpa, int outcome)
{
	unsigned found = 0;

	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++)
		found += interleave->program[cpu] == fault && page_of[cpu] == gpa &&
			 interleave->outcome[cpu] == outcome;
	return found;
}

static void each_page_is_resolved_once(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;
	uint64_t pages = 0;

	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++) {
		unsigned resolved, already, faults = 0;

		if (interleave->program[cpu] != fault)
			continue;
		for (unsigned i = 0; i < interleave->cpus; i++)
			faults += interleave->program[i] == fault && page_of[i] == page_of[cpu];
		resolved = count_outcomes(interleave, page_of[cpu], ADDRSPACE_FAULT_RESOLVED);
		already =
			count_outcomes(interleave, page_of[cpu], ADDRSPACE_FAULT_ALREADY_RESOLVED);
		EXPECT(interleave, resolved == 1 && already == faults - 1);
		pages += interleave->outcome[cpu] == ADDRSPACE_FAULT_RESOLVED;
	}
	EXPECT(interleave,
	       fixture->machine.live[ADDRSPACE_FRAME_GUEST] == guest_frames_before + pages);
	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++) {
		if (interleave->seen[cpu] && interleave->program[cpu] != count)
			EXPECT(interleave,
			       interleave->seen[cpu] == fixture_hpa(fixture, page_of[cpu]));
	}
}

static void page_was_there(struct interleave *interleave)
{
	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++) {
		if (interleave->program[cpu] == fault)
			EXPECT(interleave,
			       interleave->outcome[cpu] == ADDRSPACE_FAULT_ALREADY_RESOLVED);
		if (interleave->program[cpu] == translate)
			EXPECT(interleave, interleave->outcome[cpu] == 0);
	}
	EXPECT(interleave,
	       interleave->fixture->machine.live[ADDRSPACE_FRAME_GUEST] == guest_frames_before);
}

/** One allocation failed, or none. */
static void nothing_is_lost(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;
	bool failed = fixture->machine.counters.failed_allocations != 0;
	unsigned without = 0;

	any_failed |= failed;
	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++) {
		without += interleave->outcome[cpu] == ADDRSPACE_FAULT_OUT_OF_MEMORY;
		EXPECT(interleave,
		       count_outcomes(interleave, page_of[cpu], ADDRSPACE_FAULT_RESOLVED) <= 1);
		EXPECT(interleave, interleave->outcome[cpu] == ADDRSPACE_FAULT_OUT_OF_MEMORY ||
					   count_outcomes(interleave, page_of[cpu],
							  ADDRSPACE_FAULT_RESOLVED) == 1);
	}
	EXPECT(interleave, without <= failed);
	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++)
		EXPECT(interleave, fixture_guest(fixture, cpu, page_of[cpu], ADDRSPACE_WRITE) == 0);
}

static void page_is_gone(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;

	fixture_assert_not_mapped(fixture, page_of[0]);
	EXPECT(interleave, interleave->outcome[0] == ADDRSPACE_FAULT_RESOLVED ||
				   interleave->outcome[0] == ADDRSPACE_FAULT_ALREADY_RESOLVED ||
				   interleave->outcome[0] == ADDRSPACE_FAULT_NOT_BACKED);
	EXPECT(interleave,
	       fixture_guest(fixture, 2, page_of[0], ADDRSPACE_READ) == ADDRSPACE_FAULT_NOT_BACKED);
}

static void page_is_read_only(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;

	EXPECT(interleave, interleave->outcome[0] != ADDRSPACE_FAULT_NOT_BACKED);
	EXPECT(interleave, fixture_guest(fixture, 2, page_of[0], ADDRSPACE_READ) == 0);
	EXPECT(interleave,
	       fixture_guest(fixture, 2, page_of[0], ADDRSPACE_WRITE) == ADDRSPACE_FAULT_DENIED);
}

static void page_is_usable(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;

	EXPECT(interleave, interleave->outcome[0] == ADDRSPACE_FAULT_RESOLVED ||
				   interleave->outcome[0] == ADDRSPACE_FAULT_ALREADY_RESOLVED);
	EXPECT(interleave, fixture_guest(fixture, 2, page_of[0], ADDRSPACE_WRITE) == 0);
}

/* ---- Scenarios ---- */

/** All CPUs have looked for their pages in vain, and may remember it. */
static void warm_up(struct interleave *interleave)
{
	struct fake_machine *machine = &interleave->fixture->machine;

	guest_frames_before = machine->live[ADDRSPACE_FRAME_GUEST];
	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++)
		fake_cpu_access(machine, cpu, page_of[cpu], ADDRSPACE_WRITE, NULL);
}

static void explore(struct interleave *interleave, const char *name)
{
	warm_up(interleave);
	interleave_explore(interleave);
	print_message("%s [%s], %u CPUs: %llu states, %llu steps, %.3g schedules%s%s\n", name,
		      interleave->fixture->layout->name, interleave->cpus,
		      (unsigned long long)interleave->states, (unsigned long long)interleave->steps,
		      interleave->schedules, interleave->found ? ": " : "",
		      interleave->found ? interleave->found : "");
}

static void expect_sound(struct interleave *interleave, const char *name)
{
	explore(interleave, name);
	if (interleave->found)
		fail_msg("%s: %s", name, interleave->found);
}

static void set_pages(uint64_t first, uint64_t second, uint64_t third)
{
	page_of[0] = first;
	page_of[1] = second;
	page_of[2] = third;
}

/* ---- Two CPUs, all schedules ---- */

static void faults_on_one_page_resolve_it_once(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.at_end = each_page_is_resolved_once,
	};

	set_pages(BASE, BASE, 0);
	for (unsigned missing = 0; missing < two.fixture->as.levels; missing++) {
		leave_missing(two.fixture, missing);
		expect_sound(&two, "faults on one page");
	}
}

static void reads_of_what_nobody_changes_make_no_difference(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.at_end = each_page_is_resolved_once,
		.all_reads = true,
	};

	set_pages(BASE, BASE, 0);
	leave_missing(two.fixture, 1);
	expect_sound(&two, "faults on one page, all reads");
}

static void faults_on_neighbours_share_the_tables_that_they_need(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.at_end = each_page_is_resolved_once,
	};
	unsigned levels = two.fixture->as.levels;

	for (unsigned missing = 0; missing < levels; missing++) {
		/* in one table of pages, then in two that one new table names */
		leave_missing(two.fixture, missing);
		set_pages(BASE + 2 * PAGE, BASE + 3 * PAGE, 0);
		expect_sound(&two, "faults on neighbours");
		set_pages(BASE + 8 * MIB, BASE + 6 * MIB, 0);
		expect_sound(&two, "faults on neighbours in two tables");
	}
}

static void faults_beside_linear_memory(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.at_end = each_page_is_resolved_once,
	};

	set_pages(BASE, BASE, 0);
	for (unsigned missing = 0; missing < 2; missing++) {
		leave_missing_beside_linear(two.fixture, missing);
		expect_sound(&two, "faults beside linear memory");
	}
}

static void fault_and_spurious_faults_and_translations(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.at_end = page_was_there,
	};

	leave_missing(two.fixture, 0);
	set_pages(BASE + PAGE, BASE + PAGE, 0);
	expect_sound(&two, "spurious faults");
	two.program[1] = translate;
	expect_sound(&two, "spurious fault, translate");
	two.program[1] = fault;
	two.at_end = each_page_is_resolved_once;
	for (unsigned missing = 0; missing < two.fixture->as.levels; missing++) {
		leave_missing(two.fixture, missing);
		set_pages(BASE, BASE, 0);
		two.program[1] = translate;
		expect_sound(&two, "fault, translate");
	}
}

/** The n-th allocation fails, whoever asks for it, for each n. */
static void fail_each_allocation(struct interleave *interleave, const char *name)
{
	struct fake_machine *machine = &interleave->fixture->machine;

	for (uint64_t n = 1;; n++) {
		machine->fail_at = n;
		machine->counters.failed_allocations = 0;
		any_failed = false;
		expect_sound(interleave, name);
		if (!any_failed)
			break;
	}
	machine->fail_at = 0;
}

static void nothing_is_lost_where_an_allocation_fails(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.at_end = nothing_is_lost,
	};

	unsigned levels = SANITIZED ? 2 : two.fixture->as.levels;

	for (unsigned missing = 0; missing < levels; missing++) {
		leave_missing(two.fixture, missing);
		set_pages(BASE, BASE, 0);
		fail_each_allocation(&two, "one page, an allocation fails");
		set_pages(BASE + 2 * PAGE, BASE + 3 * PAGE, 0);
		fail_each_allocation(&two, "neighbours, an allocation fails");
	}
}

static void reports_see_nothing_amiss_beside_faults(void **state)
{
	void (*const reports[])(struct interleave * interleave, unsigned cpu) = {verify, count,
										 list_runs};
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault},
		.at_end = each_page_is_resolved_once,
	};

	set_pages(BASE, BASE, 0);
	for (unsigned i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
		two.program[1] = reports[i];
		for (unsigned missing = 0; missing < two.fixture->as.levels; missing++) {
			leave_missing(two.fixture, missing);
			expect_sound(&two, "fault, report");
		}
		for (unsigned missing = 0; missing < 2; missing++) {
			leave_missing_beside_linear(two.fixture, missing);
			expect_sound(&two, "fault beside linear memory, report");
		}
	}
}

static void faults_and_changes_exclude_each_other(void **state)
{
	static const struct {
		const char *name;
		void (*change)(struct interleave *interleave, unsigned cpu);
		void (*at_end)(struct interleave *interleave);
	} changes[] = {
		{"fault, unmap", unmap, page_is_gone},
		{"fault, protect", protect, page_is_read_only},
		{"fault, discard", discard, page_is_usable},
		{"fault, replace", replace, page_is_usable},
		{"fault, move", move, page_is_usable},
	};
	struct interleave two = {.fixture = *state, .cpus = 2};

	/* CPU 2 is a guest that looks at the page whenever it can. */
	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		two.program[0] = fault_and_access;
		two.program[1] = changes[i].change;
		two.at_end = changes[i].at_end;
		leave_missing(two.fixture, 0);
		for (unsigned present = 0; present < 2; present++) {
			set_pages(BASE + present * PAGE, BASE + present * PAGE, 0);
			fake_machine_add_hot(&two.fixture->machine, page_of[0], ADDRSPACE_READ);
			expect_sound(&two, changes[i].name);
			fake_machine_clear_hot(&two.fixture->machine);
		}
	}
}

/* ---- Three CPUs, all schedules ---- */

/** How many tables may be missing: few, or it would take minutes. */
static unsigned three_cpus_missing(const struct fixture *fixture)
{
	if (fixture->machine.handler.sync_table)
		return 1;
	return fixture->layout->kind == LAYOUT_EPT ? 3 : 2;
}

static void three_cpus_are_as_good_as_two(void **state)
{
	struct interleave three = {
		.fixture = *state,
		.cpus = 3,
		.program = {fault, fault, fault},
		.at_end = each_page_is_resolved_once,
	};

	for (unsigned missing = 0; missing < three_cpus_missing(three.fixture); missing++) {
		leave_missing(three.fixture, missing);
		three.program[2] = fault;
		set_pages(BASE, BASE, BASE);
		expect_sound(&three, "three faults on one page");
		set_pages(BASE + 2 * PAGE, BASE + 3 * PAGE, BASE + 6 * MIB);
		expect_sound(&three, "three faults on neighbours");
		three.program[2] = verify;
		set_pages(BASE, BASE + 2 * PAGE, 0);
		expect_sound(&three, "two faults, verify");
		three.program[2] = translate;
		set_pages(BASE, BASE + 2 * PAGE, BASE + 2 * PAGE);
		expect_sound(&three, "two faults, translate");
	}
}

static void three_cpus_one_of_which_changes_the_layout(void **state)
{
	struct interleave three = {
		.fixture = *state,
		.cpus = 3,
		.program = {fault_and_access, fault_and_access, unmap},
	};

	leave_missing(three.fixture, 0);
	set_pages(BASE, BASE, BASE);
	expect_sound(&three, "two faults, unmap");
	three.program[2] = move;
	three.at_end = page_is_usable;
	expect_sound(&three, "two faults, move");
}

/* ---- Mistakes ---- */

static void expect_found(struct interleave *interleave, const char *what)
{
	explore(interleave, "planted");
	assert_non_null(interleave->found);
	assert_non_null(strstr(interleave->found, what));
}

static void publishing_without_comparing_is_found(void **state)
{
	static const enum interleave_plant plants[] = {INTERLEAVE_PUBLISH_BY_STORE,
						       INTERLEAVE_PUBLISH_IN_TWO_STEPS};
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault_only, fault_only},
	};

	for (unsigned i = 0; i < sizeof(plants) / sizeof(plants[0]); i++) {
		two.plant = plants[i];
		leave_missing(two.fixture, 0);
		set_pages(BASE, BASE, 0);
		expect_found(&two, "guest frames mapped or parked");
		leave_missing(two.fixture, 1);
		set_pages(BASE, BASE + PAGE, 0);
		expect_found(&two, "guest frames mapped or parked");
	}
}

static void marking_a_table_after_publishing_is_found(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, verify},
		.at_end = each_page_is_resolved_once,
		.plant = INTERLEAVE_MARK_LATE,
	};

	set_pages(BASE, 0, 0);
	for (unsigned missing = 0; missing < 2; missing++) {
		leave_missing_beside_linear(two.fixture, missing);
		expect_found(&two, "does not say that it owns");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(faults_on_one_page_resolve_it_once, setup),
		cmocka_unit_test_setup(faults_on_neighbours_share_the_tables_that_they_need, setup),
		cmocka_unit_test_setup(faults_beside_linear_memory, setup),
		cmocka_unit_test_setup(fault_and_spurious_faults_and_translations, setup),
		cmocka_unit_test_setup(nothing_is_lost_where_an_allocation_fails, setup),
		cmocka_unit_test_setup(reports_see_nothing_amiss_beside_faults, setup),
		cmocka_unit_test_setup(faults_and_changes_exclude_each_other, setup),
		cmocka_unit_test_setup(three_cpus_one_of_which_changes_the_layout, setup),
		cmocka_unit_test_setup(publishing_without_comparing_is_found, setup),
		cmocka_unit_test_setup(marking_a_table_after_publishing_is_found, setup),
	};
	const struct CMUnitTest long_tests[] = {
		cmocka_unit_test_setup(reads_of_what_nobody_changes_make_no_difference, setup),
		cmocka_unit_test_setup(three_cpus_are_as_good_as_two, setup),
	};
	int failed = run_over_canonical_layouts("interleavings", tests,
						sizeof(tests) / sizeof(tests[0]));

	/* Ten times longer there. */
	if (!SANITIZED)
		failed += run_over_canonical_layouts("interleavings, long", long_tests,
						     sizeof(long_tests) / sizeof(long_tests[0]));
	return failed;
}
