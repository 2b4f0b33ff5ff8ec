/* SPDX-License-Identifier: MIT */
/*
 * Faults in parallel, in every order: interleave.h on small scenarios. Two CPUs in all schedules,
 * three in all where that is little and else with at most two preemptions. Nothing is lost, nothing
 * is freed twice, each page is resolved once, and the tables are valid at each step; mistakes planted
 * on purpose are found.
 */
#include "interleave.h"

#include <string.h>

#include <addrspace/access.h>
#include <addrspace/job.h>

#define PAGE      FAKE_PAGE_SIZE
#define MIB       (UINT64_C(1) << 20)
#define GIB       (UINT64_C(1) << 30)
#define BASE      (3 * GIB) /* the page that most of this is about */
#define POPULATED (BASE + 8 * PAGE)
#define PRESENT   (BASE + 256 * PAGE) /* is there, where no table is missing */
#define ARENA     MIB
#define RUN       512u /* frames of a 2 MiB leaf */

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SANITIZED true /* several times slower */
#else
#define SANITIZED false
#endif

/* When a search begins. */
static uint64_t guest_frames_before;
static uint64_t tables_before;
static bool any_refused;

static int setup_arena(void **state, uint64_t size)
{
	int result = fixture_setup_with(state, size);
	struct fixture *fixture = *state;

	if (result)
		return result;
	fake_machine_register_linear(&fixture->machine, FIXTURE_LINEAR, 8 * GIB);
	interleave_switch_format(fixture);
	return 0;
}

static int setup(void **state)
{
	return setup_arena(state, ARENA);
}

/** With memory for a large run of each of two CPUs, beside single frames and the root. */
static int setup_runs(void **state)
{
	return setup_arena(state, 8 * MIB);
}

/** The layout of the same format whose hardware sets A and D. */
static int setup_hardware_ad(void **state)
{
	const struct layout *layout = *state;

	for (size_t i = 0; i < layout_count; i++) {
		if (layouts[i].kind == layout->kind &&
		    layout_has(&layouts[i], ADDRSPACE_CPU_HARDWARE_AD)) {
			*state = (void *)(uintptr_t)&layouts[i];
			return setup(state);
		}
	}
	return -1;
}

#define EXPECT(interleave, condition)                                                              \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fake_fail(&(interleave)->fixture->machine, "not so: " #condition);         \
	} while (0)

static uint64_t level_size(unsigned level)
{
	return PAGE << 9 * level;
}

/** All of the space is lazy, with so many tables missing on the way to BASE. */
static void leave_missing(struct fixture *fixture, unsigned missing)
{
	uint64_t limit = layout_limit(fixture->layout);
	struct addrspace *as = &fixture->as;

	addrspace_clear(as);
	assert_int_equal(addrspace_map_alloc(as, 0, limit, &fixture_rw, 0), 0);
	/* Another slot of the table that is not missing; the root is there anyway. */
	if (missing + 1u < as->levels)
		assert_int_equal(addrspace_handle_fault(as, BASE ^ level_size(missing) << 8,
							ADDRSPACE_WRITE, NULL),
				 0);
}

/** The same, and a large leaf is wanted at BASE. */
static void leave_missing_large(struct fixture *fixture, unsigned missing)
{
	struct addrspace_attributes attributes = fixture_rw;

	leave_missing(fixture, missing);
	attributes.largest_leaf = ADDRSPACE_LEAF_2M;
	assert_int_equal(addrspace_map_alloc(&fixture->as, BASE, level_size(1), &attributes,
					     ADDRSPACE_MAP_REPLACE),
			 0);
}

/** The same, and each fault at BASE wants two pages. */
static void leave_missing_block(struct fixture *fixture, unsigned missing)
{
	struct addrspace_attributes attributes = fixture_rw;

	leave_missing(fixture, missing);
	attributes.fault_around = 2;
	assert_int_equal(addrspace_map_alloc(&fixture->as, BASE, 2 * PAGE, &attributes,
					     ADDRSPACE_MAP_REPLACE),
			 0);
}

/** The same with 0 or 1, where the last table on the way holds nothing of the space's own. */
static void leave_missing_beside_linear(struct fixture *fixture, unsigned missing)
{
	uint64_t size = level_size(missing);
	struct addrspace *as = &fixture->as;

	addrspace_clear(as);
	assert_int_equal(addrspace_map_alloc(as, BASE, size, &fixture_rw, 0), 0);
	fixture_map_linear(fixture, BASE + size, size);
}

/* ---- Programs ---- */

static bool is_settled(int outcome)
{
	return outcome == ADDRSPACE_FAULT_RESOLVED || outcome == ADDRSPACE_FAULT_ALREADY_RESOLVED;
}

/** The guest gets on, after one fault more at most if there may be one. */
static void check_access(struct interleave *interleave, unsigned cpu, bool may_fault)
{
	struct fixture *fixture = interleave->fixture;
	uint64_t gpa = interleave->page[cpu];

	if (interleave_guest(interleave, cpu, gpa, ADDRSPACE_WRITE) == FAKE_HIT)
		return;
	EXPECT(interleave, may_fault);
	EXPECT(interleave, addrspace_handle_fault(&fixture->as, gpa, ADDRSPACE_WRITE, NULL) ==
				   ADDRSPACE_FAULT_ALREADY_RESOLVED);
	EXPECT(interleave, interleave_guest(interleave, cpu, gpa, ADDRSPACE_WRITE) == FAKE_HIT);
}

/** What a fault has answered must be so, for a device at once and for the guest. A CPU that keeps
 * not-present entries may have kept one above a table that another CPU linked: one fault more. It has
 * none where no table was missing. */
static void check_answer(struct interleave *interleave, unsigned cpu)
{
	struct fixture *fixture = interleave->fixture;
	struct fake_translation translation;

	EXPECT(interleave,
	       fake_iommu_translate(&fixture->machine, interleave->page[cpu], &translation));
	check_access(interleave, cpu,
		     fixture->layout->caches_not_present &&
			     fixture->machine.live[ADDRSPACE_FRAME_TABLE] > tables_before);
}

static void fault_only(struct interleave *interleave, unsigned cpu)
{
	interleave->outcome[cpu] = addrspace_handle_fault(
		&interleave->fixture->as, interleave->page[cpu], ADDRSPACE_WRITE, NULL);
}

static void fault(struct interleave *interleave, unsigned cpu)
{
	fault_only(interleave, cpu);
	if (is_settled(interleave->outcome[cpu]))
		check_answer(interleave, cpu);
}

/** The two pages at BASE, as far as memory goes: for a device, which is set to work at once. Nothing is
 * invalidated. */
static void prefault_some(struct interleave *interleave, unsigned cpu)
{
	struct fixture *fixture = interleave->fixture;
	struct fake_translation translation;
	uint64_t done;
	int error =
		addrspace_prefault(&fixture->as, BASE, 2 * PAGE, ADDRSPACE_PREFAULT_PARTIAL, &done);

	interleave->outcome[cpu] = error;
	EXPECT(interleave, error ? done < 2 * PAGE : done == 2 * PAGE);
	for (uint64_t at = 0; at < done; at += PAGE)
		EXPECT(interleave,
		       fake_iommu_translate(&fixture->machine, BASE + at, &translation));
	if (done)
		check_access(interleave, cpu, fixture->layout->caches_not_present);
}

/** The page may be gone by the time that the guest comes to it. */
static void fault_and_access(struct interleave *interleave, unsigned cpu)
{
	fault_only(interleave, cpu);
	interleave_guest(interleave, cpu, interleave->page[cpu], ADDRSPACE_READ);
}

static void guest_writes(struct interleave *interleave, unsigned cpu)
{
	interleave->outcome[cpu] =
		(int)interleave_guest(interleave, cpu, interleave->page[cpu], ADDRSPACE_WRITE);
}

/** The hypervisor does it for the guest. */
static void store(struct interleave *interleave, unsigned cpu)
{
	uint64_t gpa = interleave->page[cpu];

	interleave->outcome[cpu] =
		addrspace_store(&interleave->fixture->as, gpa, 8, fake_machine_token(gpa),
				ADDRSPACE_ACCESS_FAULT_IN);
}

static void translate(struct interleave *interleave, unsigned cpu)
{
	struct addrspace_translation translation;
	uint64_t gpa = interleave->page[cpu];

	interleave->outcome[cpu] = addrspace_translate(&interleave->fixture->as, gpa, &translation);
	if (interleave->outcome[cpu]) {
		EXPECT(interleave, interleave->outcome[cpu] == ADDRSPACE_ENOENT);
		return;
	}
	EXPECT(interleave, translation.permissions == fixture_rw.permissions);
	EXPECT(interleave, translation.leaf_size == PAGE);
	interleave->seen[cpu] = translation.hpa;
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

	(void)cpu;
	EXPECT(interleave, !addrspace_statistics(&interleave->fixture->as, &statistics));
	EXPECT(interleave, statistics.data_frames >= guest_frames_before);
	EXPECT(interleave, statistics.data_frames <= guest_frames_before + interleave->cpus);
}

static void list_runs(struct interleave *interleave, unsigned cpu)
{
	struct addrspace_run run = {0};
	uint64_t gpa = 0;

	while (!addrspace_next_run(&interleave->fixture->as, gpa, &run)) {
		EXPECT(interleave, run.gpa >= gpa && run.size);
		gpa = run.gpa + run.size;
		if (interleave->page[cpu] - run.gpa < run.size)
			interleave->seen[cpu] = run.hpa + (interleave->page[cpu] - run.gpa);
	}
}

/** A change has failed for want of a frame, or not at all. */
static void changed(struct interleave *interleave, unsigned cpu, int error)
{
	uint64_t refused = interleave->fixture->machine.counters.failed_allocations;

	interleave->outcome[cpu] = error;
	EXPECT(interleave, error == 0 || (error == ADDRSPACE_ENOMEM && refused));
}

static void unmap(struct interleave *interleave, unsigned cpu)
{
	changed(interleave, cpu,
		addrspace_unmap(&interleave->fixture->as, interleave->page[cpu], PAGE));
}

/** All tables that faults have put up go with it. */
static void unmap_all(struct interleave *interleave, unsigned cpu)
{
	changed(interleave, cpu,
		addrspace_unmap(&interleave->fixture->as, 0,
				layout_limit(interleave->fixture->layout)));
}

/** Frees the tables that faults have put up, and those that they put up between its steps stay. */
static void unmap_in_steps(struct interleave *interleave, unsigned cpu)
{
	uint64_t size = 2 * level_size(1);
	struct addrspace_job job;
	int result;

	result = addrspace_unmap_begin(&interleave->fixture->as, &job, BASE - size / 2, size);
	while (!result && addrspace_job_step(&job, RUN) == 1)
		;
	changed(interleave, cpu, result);
}

/** Fills tables and frames without the lock, and links them beside BASE. */
static void populate_in_steps(struct interleave *interleave, unsigned cpu)
{
	struct addrspace_job job;
	int result = addrspace_populate_begin(&interleave->fixture->as, &job, POPULATED, PAGE,
					      &fixture_rw);

	changed(interleave, cpu, result);
	if (result)
		return;
	do
		result = addrspace_job_step(&job, 1);
	while (result > 0);
	changed(interleave, cpu, result);
	if (!result)
		return;
	EXPECT(interleave, !addrspace_job_cancel(&job));
	while (addrspace_job_step(&job, RUN) == 1)
		;
}

static void discard(struct interleave *interleave, unsigned cpu)
{
	changed(interleave, cpu,
		addrspace_discard(&interleave->fixture->as, interleave->page[cpu], PAGE));
}

static void protect(struct interleave *interleave, unsigned cpu)
{
	changed(interleave, cpu,
		addrspace_protect(&interleave->fixture->as, interleave->page[cpu], PAGE,
				  ADDRSPACE_READ));
}

static void replace(struct interleave *interleave, unsigned cpu)
{
	changed(interleave, cpu,
		addrspace_map_alloc(&interleave->fixture->as, interleave->page[cpu], PAGE,
				    &fixture_rw, ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE));
}

/** Takes the tables of pages from under the fault, and puts nothing in their place. */
static void replace_many(struct interleave *interleave, unsigned cpu)
{
	uint64_t size = 2 * level_size(1);

	changed(interleave, cpu,
		addrspace_map_alloc(&interleave->fixture->as, BASE - size / 2, size, &fixture_rw,
				    ADDRSPACE_MAP_REPLACE));
}

/** Cuts the large leaf beside BASE: its slot is in the table that the fault's chain goes into. */
static void cut(struct interleave *interleave, unsigned cpu)
{
	changed(interleave, cpu,
		addrspace_protect(&interleave->fixture->as, BASE + level_size(1), PAGE,
				  ADDRSPACE_READ));
}

static void move(struct interleave *interleave, unsigned cpu)
{
	struct fixture *fixture = interleave->fixture;
	struct fake_machine *machine = &fixture->machine;
	uint64_t gpa = interleave->page[cpu];
	uint64_t hpa = fake_machine_lend(machine, 0);
	int error =
		addrspace_replace_frame(&fixture->as, gpa, hpa, fake_machine_copy_frame, machine);

	interleave->outcome[cpu] = error;
	EXPECT(interleave, error == 0 || error == ADDRSPACE_ENOENT);
	if (error)
		fake_machine_take_back(machine, hpa);
	else
		fake_machine_hand_over(machine, hpa, gpa, fixture_rw.cookie);
}

/* ---- Ends ---- */

static bool faults_on(const struct interleave *interleave, unsigned cpu, uint64_t gpa)
{
	return interleave->page[cpu] == gpa &&
	       (interleave->program[cpu] == fault || interleave->program[cpu] == fault_only);
}

static unsigned count_outcomes(const struct interleave *interleave, uint64_t gpa, int outcome)
{
	unsigned found = 0;

	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++)
		found += faults_on(interleave, cpu, gpa) && interleave->outcome[cpu] == outcome;
	return found;
}

static void each_page_is_resolved_once(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;
	uint64_t pages = 0;

	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++) {
		uint64_t gpa = interleave->page[cpu];

		if (interleave->seen[cpu])
			EXPECT(interleave, interleave->seen[cpu] == fixture_hpa(fixture, gpa));
		if (!faults_on(interleave, cpu, gpa))
			continue;
		EXPECT(interleave, is_settled(interleave->outcome[cpu]));
		EXPECT(interleave, count_outcomes(interleave, gpa, ADDRSPACE_FAULT_RESOLVED) == 1);
		pages += interleave->outcome[cpu] == ADDRSPACE_FAULT_RESOLVED;
	}
	EXPECT(interleave,
	       fixture->machine.live[ADDRSPACE_FRAME_GUEST] == guest_frames_before + pages);
}

/** All faults are on pages of one large leaf. */
static void one_run_serves_all(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;
	unsigned resolved = 0;

	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++) {
		uint64_t gpa = interleave->page[cpu];

		EXPECT(interleave, is_settled(interleave->outcome[cpu]));
		resolved += interleave->outcome[cpu] == ADDRSPACE_FAULT_RESOLVED;
		EXPECT(interleave,
		       fixture_hpa(fixture, gpa) - fixture_hpa(fixture, BASE) == gpa - BASE);
	}
	EXPECT(interleave, resolved == 1);
	EXPECT(interleave,
	       fixture->machine.live[ADDRSPACE_FRAME_GUEST] == guest_frames_before + RUN);
}

/** As above, but for a frame that was refused: then there may be pages instead, and nobody is told. */
static void pages_serve_as_well(struct interleave *interleave)
{
	uint64_t frames = interleave->fixture->machine.live[ADDRSPACE_FRAME_GUEST];

	if (frames == guest_frames_before + RUN) {
		one_run_serves_all(interleave);
		return;
	}
	EXPECT(interleave, any_refused && frames == guest_frames_before + 2);
	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++)
		EXPECT(interleave, interleave->outcome[cpu] == ADDRSPACE_FAULT_RESOLVED);
}

/** Both are there once, whoever has brought them. */
static void both_pages_are_there(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;

	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++)
		EXPECT(interleave, is_settled(interleave->outcome[cpu]));
	EXPECT(interleave, fixture_hpa(fixture, BASE) != fixture_hpa(fixture, BASE + PAGE));
	EXPECT(interleave, fixture->machine.live[ADDRSPACE_FRAME_GUEST] == guest_frames_before + 2);
}

/** Where a frame was refused one of them may be missing; each that was answered is there. */
static void pages_answered_are_there(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;
	struct fake_translation translation;
	uint64_t there = 0;

	for (unsigned i = 0; i < 2; i++)
		there += fake_machine_translate(&fixture->machine, BASE + i * PAGE, &translation);
	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++)
		EXPECT(interleave,
		       !is_settled(interleave->outcome[cpu]) ||
			       fake_machine_translate(&fixture->machine, interleave->page[cpu],
						      &translation));
	EXPECT(interleave, there == 2 || any_refused);
	EXPECT(interleave,
	       fixture->machine.live[ADDRSPACE_FRAME_GUEST] == guest_frames_before + there);
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

/** Remembers whether the page was there by then: then the guest can go on, and is to. */
static void note_refusal(struct interleave *interleave, unsigned cpu)
{
	struct fake_translation translation;

	any_refused = true;
	interleave->seen[cpu] = fake_machine_translate(&interleave->fixture->machine,
						       interleave->page[cpu], &translation);
}

/** Some were refused a frame. */
static void nothing_is_lost(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;

	fixture->machine.quota = UINT64_MAX;
	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++) {
		uint64_t gpa = interleave->page[cpu];
		unsigned resolved = count_outcomes(interleave, gpa, ADDRSPACE_FAULT_RESOLVED);

		EXPECT(interleave, resolved <= 1);
		if (interleave->outcome[cpu] == ADDRSPACE_FAULT_OUT_OF_MEMORY)
			EXPECT(interleave, any_refused && !interleave->seen[cpu]);
		else
			EXPECT(interleave, is_settled(interleave->outcome[cpu]) && resolved == 1);
	}
	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++)
		EXPECT(interleave,
		       fixture_guest(fixture, cpu, interleave->page[cpu], ADDRSPACE_WRITE) == 0);
}

/** By a fault and a store: who was refused a frame was so before there was one. */
static void page_came_once(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;
	uint64_t gpa = interleave->page[0];
	bool stored = !interleave->outcome[1];

	EXPECT(interleave,
	       is_settled(interleave->outcome[0]) || (any_refused && !interleave->seen[0]));
	EXPECT(interleave, stored || (any_refused && !interleave->seen[1] &&
				      interleave->outcome[1] == ADDRSPACE_ENOMEM));
	EXPECT(interleave, fixture->machine.live[ADDRSPACE_FRAME_GUEST] == guest_frames_before + 1);
	if (stored)
		EXPECT(interleave, *(uint64_t *)fake_machine_pointer(&fixture->machine,
								     fixture_hpa(fixture, gpa)) ==
					   fake_machine_token(gpa));
}

/** At most one was refused, for one allocation failed. */
static void one_is_refused(struct interleave *interleave)
{
	unsigned refused = 0;

	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++)
		refused += interleave->outcome[cpu] == ADDRSPACE_FAULT_OUT_OF_MEMORY;
	EXPECT(interleave, refused <= interleave->fixture->machine.counters.failed_allocations);
	nothing_is_lost(interleave);
}

static void page_is_gone(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;
	uint64_t gpa = interleave->page[0];

	fixture_assert_not_mapped(fixture, gpa);
	EXPECT(interleave, is_settled(interleave->outcome[0]) ||
				   interleave->outcome[0] == ADDRSPACE_FAULT_NOT_BACKED);
	EXPECT(interleave,
	       fixture_guest(fixture, 2, gpa, ADDRSPACE_READ) == ADDRSPACE_FAULT_NOT_BACKED);
}

static void page_is_read_only(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;
	uint64_t gpa = interleave->page[0];

	EXPECT(interleave, is_settled(interleave->outcome[0]) ||
				   interleave->outcome[0] == ADDRSPACE_FAULT_DENIED);
	EXPECT(interleave, fixture_guest(fixture, 2, gpa, ADDRSPACE_READ) == 0);
	EXPECT(interleave,
	       fixture_guest(fixture, 2, gpa, ADDRSPACE_WRITE) == ADDRSPACE_FAULT_DENIED);
}

static void page_is_usable(struct interleave *interleave)
{
	struct fixture *fixture = interleave->fixture;

	EXPECT(interleave,
	       is_settled(interleave->outcome[0]) || fixture->machine.counters.failed_allocations);
	EXPECT(interleave, fixture_guest(fixture, 2, interleave->page[0], ADDRSPACE_WRITE) == 0);
}

static void both_pages_are_usable(struct interleave *interleave)
{
	page_is_usable(interleave);
	EXPECT(interleave, fixture_guest(interleave->fixture, 2, POPULATED, ADDRSPACE_WRITE) ==
				   (interleave->outcome[1] ? ADDRSPACE_FAULT_NOT_BACKED : 0));
}

static void write_made_the_page_dirty(struct interleave *interleave)
{
	struct addrspace_translation translation;

	EXPECT(interleave,
	       !addrspace_translate(&interleave->fixture->as, interleave->page[0], &translation));
	/* Of the guest's access, or the hypervisor's. */
	EXPECT(interleave, translation.dirty == !interleave->outcome[0]);
}

/* ---- Scenarios ---- */

static void explore(struct interleave *interleave, const char *name)
{
	struct fake_machine *machine = &interleave->fixture->machine;

	/* All CPUs have looked for their pages in vain, and may remember it. */
	guest_frames_before = machine->live[ADDRSPACE_FRAME_GUEST];
	tables_before = machine->live[ADDRSPACE_FRAME_TABLE];
	for (unsigned cpu = 0; cpu < interleave->cpus; cpu++)
		fake_cpu_access(machine, cpu, interleave->page[cpu], ADDRSPACE_READ, NULL);
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

static void set_pages(struct interleave *interleave, uint64_t first, uint64_t second,
		      uint64_t third)
{
	interleave->page[0] = first;
	interleave->page[1] = second;
	interleave->page[2] = third;
}

/** The n-th allocation fails, whoever asks for it, for each n. */
static void fail_each_allocation(struct interleave *interleave, const char *name)
{
	struct fake_machine *machine = &interleave->fixture->machine;
	uint64_t n = 0;

	interleave->at_refusal = note_refusal;
	do {
		machine->fail_at = ++n;
		machine->counters.failed_allocations = 0;
		any_refused = false;
		expect_sound(interleave, name);
	} while (any_refused);
	machine->fail_at = 0;
	interleave->at_refusal = NULL;
	assert_true(n > 1);
}

/* ---- Two CPUs, all schedules ---- */

static void faults_on_one_page_resolve_it_once(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.page = {BASE, BASE},
		.at_end = each_page_is_resolved_once,
	};

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
		.page = {BASE, BASE},
		.at_end = each_page_is_resolved_once,
		.all_reads = true,
	};

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

	/* In one table of pages, in two that one new table names, and so on. */
	for (unsigned missing = 0; missing < two.fixture->as.levels; missing++) {
		for (unsigned apart = 0; apart <= missing; apart++) {
			leave_missing(two.fixture, missing);
			set_pages(&two, BASE, BASE + 2 * level_size(apart), 0);
			expect_sound(&two, "faults on neighbours");
		}
	}
}

static void faults_beside_linear_memory(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.page = {BASE, BASE},
		.at_end = each_page_is_resolved_once,
	};

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
	set_pages(&two, PRESENT, PRESENT, 0);
	expect_sound(&two, "spurious faults");
	two.program[1] = translate;
	expect_sound(&two, "spurious fault, translate");
	two.at_end = each_page_is_resolved_once;
	set_pages(&two, BASE, BASE, 0);
	for (unsigned missing = 0; missing < two.fixture->as.levels; missing++) {
		leave_missing(two.fixture, missing);
		expect_sound(&two, "fault, translate");
	}
}

static void nothing_is_lost_where_an_allocation_fails(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.at_end = one_is_refused,
	};
	unsigned levels = SANITIZED ? 2 : two.fixture->as.levels;

	for (unsigned missing = 0; missing < levels; missing++) {
		leave_missing(two.fixture, missing);
		set_pages(&two, BASE, BASE, 0);
		fail_each_allocation(&two, "one page, an allocation fails");
		set_pages(&two, BASE, BASE + 2 * level_size(missing), 0);
		fail_each_allocation(&two, "neighbours, an allocation fails");
	}
}

static void faults_in_one_empty_span_share_a_run(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.page = {BASE, BASE + 5 * PAGE},
		.at_end = one_run_serves_all,
	};

	unsigned end = SANITIZED ? 2 : two.fixture->as.levels;

	for (unsigned missing = 1; missing < end; missing++) {
		leave_missing_large(two.fixture, missing);
		expect_sound(&two, "faults in one empty span");
	}
	leave_missing_large(two.fixture, 1);
	two.at_end = pages_serve_as_well;
	fail_each_allocation(&two, "one empty span, an allocation fails");
}

/** Two CPUs that each bring the same two pages: faults of one block, or one of them ahead of the other. */
static void two_who_bring_the_same_pages_share_them(void **state)
{
	void (*const others[])(struct interleave * interleave, unsigned cpu) = {fault,
										prefault_some};

	for (unsigned i = 0; i < 2; i++) {
		struct interleave two = {
			.fixture = *state,
			.cpus = 2,
			.program = {fault, others[i]},
			.page = {BASE + PAGE, BASE},
			.at_end = both_pages_are_there,
		};
		unsigned end = SANITIZED ? 1 : two.fixture->as.levels;

		for (unsigned missing = 0; missing < end; missing++) {
			leave_missing_block(two.fixture, missing);
			expect_sound(&two, "the same block");
		}
		leave_missing_block(two.fixture, 0);
		two.at_end = pages_answered_are_there;
		two.at_refusal = note_refusal;
		fail_each_allocation(&two, "the same block, an allocation fails");
	}
}

static void hypervisor_and_guest_come_to_one_page(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, store},
		.page = {BASE, BASE},
		.at_end = page_came_once,
	};

	for (unsigned missing = 0; missing < two.fixture->as.levels; missing++) {
		leave_missing(two.fixture, missing);
		any_refused = false;
		expect_sound(&two, "fault, store");
	}
	leave_missing(two.fixture, 1);
	fail_each_allocation(&two, "fault, store, an allocation fails");
}

/** There are frames for either of two faults, not for both at once. */
static void nothing_is_lost_where_the_quota_refuses(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.at_refusal = note_refusal,
		.at_end = nothing_is_lost,
	};
	struct fake_machine *machine = &two.fixture->machine;

	for (unsigned missing = 0; missing < two.fixture->as.levels; missing++) {
		for (unsigned apart = 0; apart < 2; apart++) {
			leave_missing(two.fixture, missing);
			set_pages(&two, BASE, BASE + 2 * apart * PAGE, 0);
			machine->quota = 1 + missing + apart;
			for (unsigned kind = 0; kind < FAKE_KINDS; kind++)
				machine->quota += machine->charged[kind];
			any_refused = false;
			expect_sound(&two, "quota for one fault");
			assert_true(any_refused || !missing);
			machine->quota = UINT64_MAX;
		}
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
		.page = {BASE, BASE},
		.at_end = each_page_is_resolved_once,
	};

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

/** A change, and what then holds for the page of CPU 0. */
struct change {
	const char *name;
	void (*program)(struct interleave *interleave, unsigned cpu);
	void (*at_end)(struct interleave *interleave);
};

static const struct change changes[] = {
	{"unmap", unmap, page_is_gone},
	{"unmap all", unmap_all, page_is_gone},
	{"unmap in steps", unmap_in_steps, page_is_gone},
	{"protect", protect, page_is_read_only},
	{"discard", discard, page_is_usable},
	{"replace", replace, page_is_usable},
	{"replace many", replace_many, page_is_usable},
	{"move", move, page_is_usable},
};
#define CHANGES (sizeof(changes) / sizeof(changes[0]))

static void faults_and_changes_exclude_each_other(void **state)
{
	struct interleave two = {.fixture = *state, .cpus = 2, .program = {fault_and_access}};
	struct fake_machine *machine = &two.fixture->machine;

	/* CPU 2 is a guest that looks at the page whenever it can. */
	for (unsigned i = 0; i < CHANGES; i++) {
		two.program[1] = changes[i].program;
		two.at_end = changes[i].at_end;
		for (unsigned present = 0; present < 2; present++) {
			uint64_t page = present ? PRESENT : BASE;

			leave_missing(two.fixture, 0);
			set_pages(&two, page, page, 0);
			fake_machine_add_hot(machine, two.page[0], ADDRSPACE_READ);
			expect_sound(&two, changes[i].name);
			fake_machine_clear_hot(machine);
		}
		set_pages(&two, BASE, BASE, 0);
		for (unsigned missing = 1; missing < two.fixture->as.levels; missing++) {
			leave_missing(two.fixture, missing);
			expect_sound(&two, changes[i].name);
		}
	}
}

static void fault_beside_a_leaf_that_is_cut(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault_and_access, cut},
		.page = {BASE, BASE},
		.at_end = page_is_usable,
	};

	leave_missing_beside_linear(two.fixture, 1);
	expect_sound(&two, "fault, cut");
	leave_missing_beside_linear(two.fixture, 1);
	fail_each_allocation(&two, "fault, cut, an allocation fails");
}

static void fault_beside_memory_that_is_populated_in_steps(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault_and_access, populate_in_steps},
		.page = {BASE, BASE},
		.at_end = both_pages_are_usable,
	};
	struct addrspace *as = &two.fixture->as;

	two.fixture->machine.allow_unlocked = true;
	for (unsigned missing = 0; missing < as->levels; missing++) {
		leave_missing(two.fixture, missing);
		assert_int_equal(addrspace_unmap(as, POPULATED, PAGE), 0);
		expect_sound(&two, "fault, populate in steps");
	}
	leave_missing(two.fixture, 1);
	assert_int_equal(addrspace_unmap(as, POPULATED, PAGE), 0);
	fail_each_allocation(&two, "fault, populate in steps, an allocation fails");
	two.fixture->machine.allow_unlocked = false;
}

static void dirty_bit_survives_a_change_of_its_leaf(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {guest_writes, protect},
		.page = {PRESENT, PRESENT},
		.at_end = write_made_the_page_dirty,
		.all_reads = true, /* hardware changes entries as well */
	};

	leave_missing(two.fixture, 0);
	expect_sound(&two, "write, protect");
	leave_missing(two.fixture, 0);
	two.program[0] = store;
	expect_sound(&two, "store, protect");
}

/* ---- Three CPUs ---- */

/** How many tables may be missing where all schedules are tried: few, or it would take minutes. */
static unsigned three_cpus_missing(const struct fixture *fixture)
{
	if (fixture->machine.handler.sync_table)
		return 1;
	return fixture->layout->kind == LAYOUT_EPT ? 3 : 2;
}

/** What three CPUs do that only fault and look. */
static void explore_three(struct interleave *three, unsigned missing)
{
	static void (*const thirds[])(struct interleave * interleave,
				      unsigned cpu) = {fault, verify, translate};

	for (unsigned i = 0; i < sizeof(thirds) / sizeof(thirds[0]); i++) {
		three->program[2] = thirds[i];
		set_pages(three, BASE, BASE, BASE);
		leave_missing(three->fixture, missing);
		expect_sound(three, "three CPUs, one page");
		set_pages(three, BASE, BASE + 2 * PAGE, BASE + 3 * level_size(1));
		leave_missing(three->fixture, missing);
		expect_sound(three, "three CPUs, neighbours");
	}
}

static void three_cpus_are_as_good_as_two(void **state)
{
	struct interleave three = {
		.fixture = *state,
		.cpus = 3,
		.program = {fault, fault, fault},
		.at_end = each_page_is_resolved_once,
	};

	for (unsigned missing = 0; missing < three_cpus_missing(three.fixture); missing++)
		explore_three(&three, missing);
}

static void three_cpus_preempted_twice(void **state)
{
	struct interleave three = {
		.fixture = *state,
		.cpus = 3,
		.program = {fault, fault, fault},
		.at_end = each_page_is_resolved_once,
		.preemptions_most = 2,
	};

	unsigned first = SANITIZED ? 0 : three_cpus_missing(three.fixture);
	unsigned end = SANITIZED ? 1 : three.fixture->as.levels;

	for (unsigned missing = first; missing < end; missing++)
		explore_three(&three, missing);
}

static void three_cpus_preempted_twice_an_allocation_fails(void **state)
{
	struct interleave three = {
		.fixture = *state,
		.cpus = 3,
		.program = {fault, fault, fault},
		.at_end = one_is_refused,
		.preemptions_most = 2,
	};

	for (unsigned missing = 0; missing < (SANITIZED ? 1 : 2); missing++) {
		leave_missing(three.fixture, missing);
		set_pages(&three, BASE, BASE, BASE + 2 * PAGE);
		fail_each_allocation(&three, "three faults, an allocation fails");
	}
}

static void three_cpus_preempted_twice_one_changes_the_layout(void **state)
{
	struct interleave three = {
		.fixture = *state,
		.cpus = 3,
		.program = {fault_and_access, fault_and_access},
		.page = {BASE, BASE, BASE},
		.preemptions_most = 2,
	};

	for (unsigned i = 0; i < CHANGES; i++) {
		three.program[2] = changes[i].program;
		three.at_end = changes[i].at_end;
		for (unsigned missing = 0; missing < 2; missing++) {
			leave_missing(three.fixture, missing);
			expect_sound(&three, changes[i].name);
		}
	}
}

/* ---- Mistakes ---- */

static void expect_found(struct interleave *interleave, const char *what)
{
	explore(interleave, "planted");
	assert_non_null(interleave->found);
	if (!strstr(interleave->found, what))
		fail_msg("not \"%s\": %s", what, interleave->found);
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
		set_pages(&two, BASE, BASE, 0);
		expect_found(&two, "guest frames mapped or parked");
		leave_missing(two.fixture, 1);
		set_pages(&two, BASE, BASE + PAGE, 0);
		expect_found(&two, "guest frames mapped or parked");
	}
}

static void marking_a_table_after_publishing_is_found(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault_only, fault_only},
		.page = {BASE, BASE},
		.plant = INTERLEAVE_MARK_LATE,
	};

	for (unsigned missing = 0; missing < 2; missing++) {
		leave_missing_beside_linear(two.fixture, missing);
		expect_found(&two, "does not say that it owns");
	}
}

static void loser_that_keeps_its_frames_or_frees_them_twice_is_found(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault_only, fault_only},
		.page = {BASE, BASE},
	};

	for (unsigned missing = 0; missing < 2; missing++) {
		leave_missing(two.fixture, missing);
		two.plant = INTERLEAVE_KEEP;
		expect_found(&two, "still out");
		two.plant = INTERLEAVE_FREE_TWICE;
		expect_found(&two, "double free");
	}
}

static void answering_before_the_table_is_synced_is_found(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {fault, fault},
		.page = {BASE, BASE},
		.plant = INTERLEAVE_SYNC_OWN,
	};

	if (!two.fixture->machine.handler.sync_table)
		return;
	for (unsigned missing = 0; missing < 2; missing++) {
		leave_missing(two.fixture, missing);
		expect_found(&two, "fake_iommu_translate");
	}
}

static void losing_a_dirty_bit_is_found(void **state)
{
	struct interleave two = {
		.fixture = *state,
		.cpus = 2,
		.program = {guest_writes, protect},
		.page = {PRESENT, PRESENT},
		.at_end = write_made_the_page_dirty,
		.all_reads = true,
		.plant = INTERLEAVE_PUBLISH_IN_TWO_STEPS,
	};

	leave_missing(two.fixture, 0);
	expect_found(&two, "translation.dirty");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(faults_on_one_page_resolve_it_once, setup),
		cmocka_unit_test_setup(faults_on_neighbours_share_the_tables_that_they_need, setup),
		cmocka_unit_test_setup(faults_beside_linear_memory, setup),
		cmocka_unit_test_setup(fault_and_spurious_faults_and_translations, setup),
		cmocka_unit_test_setup(nothing_is_lost_where_an_allocation_fails, setup),
		cmocka_unit_test_setup(nothing_is_lost_where_the_quota_refuses, setup),
		cmocka_unit_test_setup(faults_in_one_empty_span_share_a_run, setup_runs),
		cmocka_unit_test_setup(hypervisor_and_guest_come_to_one_page, setup),
		cmocka_unit_test_setup(two_who_bring_the_same_pages_share_them, setup),
		cmocka_unit_test_setup(reports_see_nothing_amiss_beside_faults, setup),
		cmocka_unit_test_setup(faults_and_changes_exclude_each_other, setup),
		cmocka_unit_test_setup(fault_beside_a_leaf_that_is_cut, setup),
		cmocka_unit_test_setup(fault_beside_memory_that_is_populated_in_steps, setup),
		cmocka_unit_test_setup(dirty_bit_survives_a_change_of_its_leaf, setup_hardware_ad),
		cmocka_unit_test_setup(three_cpus_preempted_twice, setup),
		cmocka_unit_test_setup(three_cpus_preempted_twice_an_allocation_fails, setup),
		cmocka_unit_test_setup(three_cpus_preempted_twice_one_changes_the_layout, setup),
		cmocka_unit_test_setup(publishing_without_comparing_is_found, setup),
		cmocka_unit_test_setup(marking_a_table_after_publishing_is_found, setup),
		cmocka_unit_test_setup(loser_that_keeps_its_frames_or_frees_them_twice_is_found,
				       setup),
		cmocka_unit_test_setup(answering_before_the_table_is_synced_is_found, setup),
		cmocka_unit_test_setup(losing_a_dirty_bit_is_found, setup_hardware_ad),
	};
	const struct CMUnitTest long_tests[] = {
		cmocka_unit_test_setup(reads_of_what_nobody_changes_make_no_difference, setup),
		cmocka_unit_test_setup(three_cpus_are_as_good_as_two, setup),
	};
	int failed = run_over_canonical_layouts("interleavings", tests,
						sizeof(tests) / sizeof(tests[0]));

	if (!SANITIZED)
		failed += run_over_canonical_layouts("interleavings, long", long_tests,
						     sizeof(long_tests) / sizeof(long_tests[0]));
	return failed;
}
