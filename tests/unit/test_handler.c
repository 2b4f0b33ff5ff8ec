/* SPDX-License-Identifier: MIT */
/* What the library asks of the embedder's hooks: which it calls, in which order, with what. */
#include <string.h>

#include "layouts.h"

#define PAGE        FAKE_PAGE_SIZE
#define LARGE       (UINT64_C(2) << 20)
#define GIB         (UINT64_C(1) << 30)
#define DEVICE      UINT64_C(0x80000000)
#define DEVICE_SIZE UINT64_C(0x80000000)
#define SPY_MAX     256
#define MARK        UINT64_C(0x3a7c)

/* ---- a space on other hooks ---- */

/** Destroys the fixture's space; begin_space() makes it anew, on the hooks as they are then. */
static void end_space(struct fixture *fixture)
{
	fixture_destroy_space(fixture);
}

static void begin_space(struct fixture *fixture)
{
	struct fake_machine *machine = &fixture->machine;
	struct addrspace_config config;

	fixture_config(fixture->layout, machine, &config);
	machine->allow_unlocked = true;
	assert_int_equal(addrspace_init(&fixture->as, &config), 0);
	fake_machine_attach(machine, &fixture->as, fixture->layout);
	fixture->initialised = true;
}

static struct fixture *start(void **state)
{
	struct fixture *fixture = *state;

	fake_machine_register_linear(&fixture->machine, DEVICE, DEVICE_SIZE);
	return fixture;
}

/* ---- the spy: hooks that write down what they were asked, and ask the machine's ---- */

struct spied_request {
	struct addrspace_frame_request request;
	uint64_t hpa;
};

struct spied_charge {
	enum addrspace_frame_kind kind;
	uint64_t frames;
};

static struct {
	struct paging_handler honest;
	struct fake_machine *machine;
	struct spied_request allocated[SPY_MAX];
	unsigned allocated_count;
	struct spied_request freed[SPY_MAX];
	unsigned freed_count;
	struct spied_charge charged[SPY_MAX];
	unsigned charged_count;
	struct spied_charge uncharged[SPY_MAX];
	unsigned uncharged_count;
	unsigned prepared;
	unsigned copied;
	uint64_t moving_gpa; /* page that replace_frame is moving */
	uint64_t marker;     /* what "zeroed" guest frames hold, to see that nobody looks */
	bool valid_for_all;  /* answers VALID for what can have no contents */
	uint64_t going[4];   /* pages that the call in progress takes from the guest */
	unsigned going_count;
} spy;

static void remember(struct spied_request *list, unsigned *count,
		     const struct addrspace_frame_request *request, uint64_t hpa)
{
	assert_true(*count < SPY_MAX);
	list[*count].request = *request;
	list[(*count)++].hpa = hpa;
}

static bool spy_allocate(void *ctx, const struct addrspace_frame_request *request,
			 struct addrspace_frame *frame)
{
	if (!spy.honest.allocate(ctx, request, frame))
		return false;
	remember(spy.allocated, &spy.allocated_count, request, frame->hpa);
	if (spy.marker && request->kind == ADDRSPACE_FRAME_GUEST) {
		*(uint64_t *)fake_machine_pointer(spy.machine, frame->hpa) = spy.marker;
		frame->contents = ADDRSPACE_FRAME_ZEROED;
	}
	if (spy.valid_for_all)
		frame->contents = ADDRSPACE_FRAME_VALID;
	return true;
}

/** The frame must be out of reach of the CPU's walks and of the IOMMU's by now. */
static void spy_free(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	struct fake_translation translation;

	if (request->kind == ADDRSPACE_FRAME_GUEST) {
		if (fake_iommu_translate(spy.machine, request->gpa, &translation))
			assert_int_not_equal(translation.hpa, hpa);
		if (fake_machine_translate(spy.machine, request->gpa, &translation))
			assert_int_not_equal(translation.hpa, hpa);
	}
	remember(spy.freed, &spy.freed_count, request, hpa);
	spy.honest.free(ctx, request, hpa);
}

/** The hardware's caches are dropped only after nobody's walk can fill them again. */
static void spy_invalidate(void *ctx, const struct addrspace_invalidation *invalidation)
{
	struct fake_translation translation;

	for (unsigned i = 0; i < spy.going_count; i++) {
		assert_false(fake_machine_translate(spy.machine, spy.going[i], &translation));
		assert_false(fake_iommu_translate(spy.machine, spy.going[i], &translation));
	}
	spy.honest.invalidate(ctx, invalidation);
}

/** Filled before, published after: by content and by a walk. */
static void spy_prepare_frame(void *ctx, uint64_t hpa, uint64_t size)
{
	const struct fake_frame *frame = fake_machine_frame(spy.machine, hpa);
	const uint64_t *words = fake_machine_pointer(spy.machine, hpa);
	bool lent = frame->state == FAKE_LENT;
	uint64_t gpa = lent ? spy.moving_gpa : frame->gpa;
	struct fake_translation translation;

	assert_int_equal(size, PAGE);
	if (fake_machine_translate(spy.machine, gpa, &translation))
		assert_int_not_equal(translation.hpa, hpa);
	if (fake_iommu_translate(spy.machine, gpa, &translation))
		assert_int_not_equal(translation.hpa, hpa);
	if (lent)
		assert_int_equal(spy.copied, 1);
	for (size_t i = 0; !lent && i < PAGE / sizeof(*words); i++)
		assert_int_equal(words[i], 0);
	spy.prepared++;
	if (spy.honest.prepare_frame)
		spy.honest.prepare_frame(ctx, hpa, size);
}

static bool spy_charge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	assert_true(spy.charged_count < SPY_MAX);
	spy.charged[spy.charged_count++] = (struct spied_charge){kind, frames};
	return spy.honest.charge(ctx, kind, frames);
}

static void spy_uncharge(void *ctx, enum addrspace_frame_kind kind, uint64_t frames)
{
	assert_true(spy.uncharged_count < SPY_MAX);
	spy.uncharged[spy.uncharged_count++] = (struct spied_charge){kind, frames};
	spy.honest.uncharge(ctx, kind, frames);
}

static void spy_copy(void *copy_ctx, uint64_t old_hpa, uint64_t new_hpa)
{
	struct fake_translation translation;

	assert_false(fake_machine_translate(spy.machine, spy.moving_gpa, &translation));
	spy.copied++;
	if (fake_machine_frame(spy.machine, old_hpa))
		fake_machine_copy_frame(copy_ctx, old_hpa, new_hpa);
}

static struct fixture *start_with_spy(void **state)
{
	struct fixture *fixture = start(state);
	struct paging_handler *handler = &fixture->machine.handler;

	memset(&spy, 0, sizeof(spy));
	spy.machine = &fixture->machine;
	spy.honest = *handler;
	end_space(fixture);
	handler->allocate = spy_allocate;
	handler->free = spy_free;
	handler->invalidate = spy_invalidate;
	handler->prepare_frame = spy_prepare_frame;
	handler->charge = spy_charge;
	handler->uncharge = spy_uncharge;
	begin_space(fixture);
	spy.allocated_count = 0;
	spy.charged_count = 0;
	return fixture;
}

/** Frames charged, or taken back, of one kind. */
static uint64_t frames_of(const struct spied_charge *list, unsigned count,
			  enum addrspace_frame_kind kind)
{
	uint64_t frames = 0;

	for (unsigned i = 0; i < count; i++)
		frames += list[i].kind == kind ? list[i].frames : 0;
	return frames;
}

static unsigned calls_of(const struct spied_charge *list, unsigned count,
			 enum addrspace_frame_kind kind)
{
	unsigned calls = 0;

	for (unsigned i = 0; i < count; i++)
		calls += list[i].kind == kind;
	return calls;
}

/* ---- a story: each kind of change once ---- */

static void map_story(struct fixture *fixture, void (*after)(struct fixture *fixture))
{
	struct addrspace *as = &fixture->as;

	assert_int_equal(
		addrspace_map_linear(as, 4 * LARGE, 4 * LARGE, DEVICE + LARGE, &fixture_rwx, 0), 0);
	after(fixture);
	assert_int_equal(addrspace_map_linear(as, GIB, GIB, DEVICE, &fixture_rw, 0), 0);
	after(fixture);
	assert_int_equal(addrspace_map_alloc(as, LARGE - 3 * PAGE, 6 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	after(fixture);
	assert_int_equal(addrspace_map_alloc(as, 16 * LARGE, LARGE, &fixture_rw, 0), 0);
	after(fixture);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(fixture_guest(fixture, i % FAKE_CPUS, 16 * LARGE + 5 * i * PAGE,
					       ADDRSPACE_WRITE),
				 0);
		after(fixture);
	}
}

static void change_story(struct fixture *fixture, uint64_t lent[2],
			 void (*after)(struct fixture *fixture))
{
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_protect(as, 5 * LARGE + 9 * PAGE, 3 * PAGE, ADDRSPACE_READ), 0);
	after(fixture);
	assert_int_equal(addrspace_protect(as, GIB + 3 * PAGE, PAGE, 0), 0);
	after(fixture);
	assert_int_equal(addrspace_protect(as, 16 * LARGE, LARGE, 0), 0);
	after(fixture);
	assert_int_equal(addrspace_protect(as, 16 * LARGE, LARGE, ADDRSPACE_READ), 0);
	after(fixture);
	assert_int_equal(addrspace_discard(as, 16 * LARGE + 2 * PAGE, 10 * PAGE), 0);
	after(fixture);
	assert_int_equal(addrspace_discard(as, LARGE - 2 * PAGE, PAGE), 0);
	after(fixture);
	assert_int_equal(fixture_guest(fixture, 1, LARGE - 2 * PAGE, ADDRSPACE_WRITE), 0);
	after(fixture);
	assert_int_equal(addrspace_replace_frame(as, LARGE, lent[0], fake_machine_copy_frame,
						 &fixture->machine),
			 0);
	fake_machine_hand_over(&fixture->machine, lent[0], LARGE, fixture_rw.cookie);
	after(fixture);
	assert_int_equal(addrspace_replace_frame(as, 6 * LARGE + 7 * PAGE, lent[1], NULL, NULL), 0);
	after(fixture);
	assert_int_equal(addrspace_map_alloc(as, 7 * LARGE - 2 * PAGE, 4 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE | ADDRSPACE_MAP_REPLACE),
			 0);
	after(fixture);
	assert_int_equal(addrspace_map_linear(as, 16 * LARGE + 2 * PAGE, LARGE, DEVICE + PAGE,
					      &fixture_rw, ADDRSPACE_MAP_REPLACE),
			 0);
	after(fixture);
	assert_int_equal(addrspace_unmap(as, 4 * LARGE + PAGE, LARGE + PAGE), 0);
	after(fixture);
	assert_int_equal(addrspace_unmap(as, LARGE - PAGE, 2 * PAGE), 0);
	after(fixture);
	assert_int_equal(addrspace_unmap(as, GIB + LARGE, GIB - LARGE), 0);
	after(fixture);
}

/** Ends as it began: with nothing mapped, and nothing lent. */
static void play_story(struct fixture *fixture, void (*after)(struct fixture *fixture))
{
	uint64_t lent[2] = {fake_machine_lend(&fixture->machine, 0),
			    fake_machine_lend(&fixture->machine, 0)};

	map_story(fixture, after);
	change_story(fixture, lent, after);
	addrspace_clear(&fixture->as);
	after(fixture);
	fake_machine_take_back(&fixture->machine, lent[1]);
}

/** Every entry, bit by bit, after each step of the story. */
static struct {
	uint64_t digest[2];
	uint64_t steps[2];
	unsigned telling;
} book;

static void hash_entry(struct fake_machine *machine, const struct fake_walk_step *step, void *ctx)
{
	uint64_t *digest = ctx;

	(void)machine;
	*digest = (*digest ^ step->gpa ^ step->level) * UINT64_C(0x9e3779b97f4a7c15);
	*digest = (*digest ^ step->value ^ *digest >> 31) * UINT64_C(0x9e3779b97f4a7c15);
}

static void write_down(struct fixture *fixture)
{
	fixture_check(fixture);
	fake_machine_walk_all(&fixture->machine, hash_entry, &book.digest[book.telling]);
	book.steps[book.telling]++;
}

static void tell(struct fixture *fixture, unsigned telling)
{
	book.telling = telling;
	book.digest[telling] = 0;
	book.steps[telling] = 0;
	play_story(fixture, write_down);
	assert_true(book.steps[telling] > 20);
}

static void assert_same_tables(void)
{
	assert_int_equal(book.steps[0], book.steps[1]);
	assert_int_equal(book.digest[0], book.digest[1]);
}

/* ---- which hooks there are ---- */

static void direct_map_and_callback_give_the_same_tables(void **state)
{
	struct fixture *fixture = start(state);
	struct fake_machine *machine = &fixture->machine;
	uint64_t calls;

	end_space(fixture);
	fake_machine_use_offset(machine);
	begin_space(fixture);
	calls = machine->counters.physical_to_virtual;
	tell(fixture, 0);
	assert_int_equal(machine->counters.physical_to_virtual, calls);
	end_space(fixture);
	fake_machine_use_callback(machine);
	begin_space(fixture);
	tell(fixture, 1);
	assert_true(machine->counters.physical_to_virtual > calls);
	assert_same_tables();
}

static void without_lock_hooks_the_tables_are_the_same_and_no_lock_is_taken(void **state)
{
	struct fixture *fixture = start(state);
	struct fake_machine *machine = &fixture->machine;
	uint64_t locks;

	tell(fixture, 0);
	end_space(fixture);
	locks = machine->counters.lock_shared + machine->counters.lock_exclusive;
	machine->handler.lock_shared = NULL;
	machine->handler.unlock_shared = NULL;
	machine->handler.lock_exclusive = NULL;
	machine->handler.unlock_exclusive = NULL;
	begin_space(fixture);
	tell(fixture, 1);
	assert_int_equal(machine->counters.lock_shared + machine->counters.lock_exclusive, locks);
	assert_same_tables();
}

static void without_optional_hooks_the_tables_are_the_same(void **state)
{
	struct fixture *fixture = start(state);
	struct paging_handler *handler = &fixture->machine.handler;

	/* a machine whose guest looks behind the caches needs them */
	if (fixture->layout->non_coherent)
		return;
	tell(fixture, 0);
	end_space(fixture);
	handler->charge = NULL;
	handler->uncharge = NULL;
	handler->prepare_frame = NULL;
	handler->sync_table = NULL;
	handler->virtual_to_physical = NULL;
	begin_space(fixture);
	tell(fixture, 1);
	assert_same_tables();
}

static void some_but_not_all_lock_hooks_are_refused(void **state)
{
	struct fixture *fixture = start(state);
	struct addrspace_config config;

	fixture_config(fixture->layout, &fixture->machine, &config);
	for (unsigned missing = 1; missing < 15; missing++) {
		struct paging_handler handler = *fake_machine_handler(&fixture->machine);
		struct addrspace other;

		if (missing & 1)
			handler.lock_shared = NULL;
		if (missing & 2)
			handler.unlock_shared = NULL;
		if (missing & 4)
			handler.lock_exclusive = NULL;
		if (missing & 8)
			handler.unlock_exclusive = NULL;
		config.handler = &handler;
		assert_int_equal(addrspace_init(&other, &config), ADDRSPACE_EINVAL);
	}
}

static void half_of_the_quota_hooks_is_refused(void **state)
{
	struct fixture *fixture = start(state);
	struct addrspace_config config;

	fixture_config(fixture->layout, &fixture->machine, &config);
	for (unsigned missing = 0; missing < 2; missing++) {
		struct paging_handler handler = *fake_machine_handler(&fixture->machine);
		struct addrspace other;

		if (missing)
			handler.charge = NULL;
		else
			handler.uncharge = NULL;
		config.handler = &handler;
		assert_int_equal(addrspace_init(&other, &config), ADDRSPACE_EINVAL);
	}
}

/* ---- locks ---- */

/** Asserts how often a call takes the locks. */
#define assert_locks(fixture, shared, exclusive, call)                                             \
	do {                                                                                       \
		struct fake_counters before = (fixture)->machine.counters;                         \
		struct fake_counters *now = &(fixture)->machine.counters;                          \
                                                                                                   \
		call;                                                                              \
		assert_int_equal(now->lock_shared - before.lock_shared, shared);                   \
		assert_int_equal(now->lock_exclusive - before.lock_exclusive, exclusive);          \
		fake_machine_assert_unlocked(&(fixture)->machine);                                 \
	} while (0)

static void calls_that_change_the_layout_take_the_exclusive_lock_once(void **state)
{
	struct fixture *fixture = start(state);
	struct addrspace *as = &fixture->as;
	uint64_t hpa = fake_machine_lend(&fixture->machine, 0);

	assert_locks(fixture, 0, 1, addrspace_map_linear(as, 0, 8 * PAGE, DEVICE, &fixture_rw, 0));
	assert_locks(fixture, 0, 1, addrspace_map_alloc(as, LARGE, LARGE, &fixture_rw, 0));
	assert_locks(fixture, 0, 1,
		     addrspace_map_alloc(as, LARGE, PAGE, &fixture_rw,
					 ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE));
	/* also where they are refused inside */
	assert_locks(fixture, 0, 1, addrspace_map_alloc(as, LARGE, PAGE, &fixture_rw, 0));
	assert_locks(fixture, 0, 1, addrspace_protect(as, LARGE, LARGE, ADDRSPACE_READ));
	assert_locks(fixture, 0, 1, addrspace_discard(as, LARGE, LARGE));
	assert_locks(fixture, 0, 1, addrspace_discard(as, 0, PAGE));
	assert_locks(fixture, 0, 1, addrspace_replace_frame(as, PAGE, hpa, NULL, NULL));
	assert_locks(fixture, 0, 1, addrspace_unmap(as, 0, LARGE));
	assert_locks(fixture, 0, 1, addrspace_clear(as));
	fake_machine_take_back(&fixture->machine, hpa);
}

static void ignore_line(void *print_ctx, const char *line)
{
	(void)print_ctx;
	(void)line;
}

static void calls_that_read_or_install_take_the_shared_lock_once(void **state)
{
	struct fixture *fixture = start(state);
	struct addrspace *as = &fixture->as;
	struct addrspace_translation translation;
	struct addrspace_statistics statistics;
	struct addrspace_region region;
	struct addrspace_run run;
	uint64_t gap;

	assert_int_equal(addrspace_map_alloc(as, LARGE, LARGE, &fixture_rw, 0), 0);
	assert_locks(fixture, 1, 0, addrspace_handle_fault(as, LARGE, ADDRSPACE_READ, &region));
	assert_locks(fixture, 1, 0, addrspace_handle_fault(as, LARGE, ADDRSPACE_READ, NULL));
	assert_locks(fixture, 1, 0, addrspace_handle_fault(as, LARGE, ADDRSPACE_EXECUTE, NULL));
	assert_locks(fixture, 1, 0, addrspace_handle_fault(as, 0, ADDRSPACE_READ, NULL));
	assert_locks(fixture, 1, 0, addrspace_walk(as, LARGE, &translation));
	assert_locks(fixture, 1, 0, addrspace_walk(as, 0, &translation));
	assert_locks(fixture, 1, 0, addrspace_translate(as, LARGE, &translation));
	assert_locks(fixture, 1, 0, addrspace_find_region(as, LARGE, &region));
	assert_locks(fixture, 1, 0, addrspace_next_region(as, 0, &region));
	assert_locks(fixture, 1, 0, addrspace_find_gap(as, 0, PAGE, PAGE, 0, &gap));
	assert_locks(fixture, 1, 0, addrspace_contains_range(as, LARGE, PAGE));
	assert_locks(fixture, 1, 0, addrspace_next_run(as, 0, &run));
	assert_locks(fixture, 1, 0, addrspace_statistics(as, &statistics));
	assert_locks(fixture, 1, 0, addrspace_dump(as, ignore_line, NULL));
	assert_locks(fixture, 1, 0, addrspace_verify(as, NULL));
}

/* ---- prepare_frame: filled, prepared, published ---- */

static void populated_frames_are_prepared_before_they_are_published(void **state)
{
	struct fixture *fixture = start_with_spy(state);

	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE - 3 * PAGE, 6 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(spy.prepared, 6);
	fixture_warm(fixture, LARGE - PAGE, ADDRSPACE_READ);
}

static void faulted_frame_is_prepared_before_it_is_published(void **state)
{
	struct fixture *fixture = start_with_spy(state);

	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, LARGE, &fixture_rw, 0), 0);
	assert_int_equal(spy.prepared, 0);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(fixture_guest(fixture, 0, LARGE + i * PAGE, ADDRSPACE_READ), 0);
		assert_int_equal(spy.prepared, i);
	}
	/* not again when the frame is there */
	assert_int_equal(addrspace_handle_fault(&fixture->as, LARGE + PAGE, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_ALREADY_RESOLVED);
	assert_int_equal(spy.prepared, 3);
}

static void replacing_frames_are_prepared_before_they_are_published(void **state)
{
	const unsigned flags = ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE;
	struct fixture *fixture = start_with_spy(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_linear(as, LARGE, 2 * LARGE, DEVICE + LARGE, &fixture_rw, 0),
			 0);
	fixture_warm(fixture, LARGE + PAGE, ADDRSPACE_READ);
	assert_int_equal(addrspace_map_alloc(as, LARGE + PAGE, 3 * PAGE, &fixture_rw, flags), 0);
	assert_int_equal(spy.prepared, 3);
	fixture_warm(fixture, LARGE + PAGE, ADDRSPACE_READ);
	assert_int_equal(addrspace_map_alloc(as, LARGE, 8 * PAGE, &fixture_rw, flags), 0);
	assert_int_equal(spy.prepared, 3 + 8);
	fixture_warm(fixture, LARGE + PAGE, ADDRSPACE_READ);
}

static void move_page(struct fixture *fixture, uint64_t gpa, uint64_t new_hpa)
{
	spy.moving_gpa = gpa;
	spy.copied = 0;
	spy.prepared = 0;
	spy.going[0] = gpa;
	spy.going_count = 1;
	assert_int_equal(
		addrspace_replace_frame(&fixture->as, gpa, new_hpa, spy_copy, &fixture->machine),
		0);
	spy.going_count = 0;
	assert_int_equal(spy.copied, 1);
	assert_int_equal(spy.prepared, 1);
}

static void moved_page_is_copied_then_prepared_then_published(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	struct addrspace *as = &fixture->as;
	uint64_t hpa = fake_machine_lend(&fixture->machine, 0);

	assert_int_equal(
		addrspace_map_alloc(as, LARGE, 4 * PAGE, &fixture_rw, ADDRSPACE_MAP_POPULATE), 0);
	fixture_warm(fixture, LARGE + PAGE, ADDRSPACE_WRITE);
	move_page(fixture, LARGE + PAGE, hpa);
	fake_machine_hand_over(&fixture->machine, hpa, LARGE + PAGE, fixture_rw.cookie);
	fixture_warm(fixture, LARGE + PAGE, ADDRSPACE_READ);
	assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine, hpa),
			 fake_machine_token(LARGE + PAGE));
}

static void moved_linear_page_is_copied_then_prepared_then_published(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	uint64_t hpa[2] = {fake_machine_lend(&fixture->machine, 0),
			   fake_machine_lend(&fixture->machine, 0)};
	uint64_t big = layout_largest_leaf(fixture->layout);

	big = big > LARGE ? big : LARGE;
	assert_int_equal(addrspace_map_linear(&fixture->as, big, big, DEVICE, &fixture_rw, 0), 0);
	fixture_warm(fixture, big + big / 2, ADDRSPACE_READ);
	move_page(fixture, big + big / 2, hpa[0]);
	fixture_warm(fixture, big + big / 2, ADDRSPACE_READ);
	move_page(fixture, big + big / 2, hpa[1]);
	assert_int_equal(fixture_hpa(fixture, big + big / 2), hpa[1]);
	fake_machine_take_back(&fixture->machine, hpa[0]);
}

/* ---- sync_table: an IOMMU that shares the table ---- */

static void assert_iommu_agrees_at(struct fixture *fixture, uint64_t gpa)
{
	struct fake_translation iommu;
	struct fake_translation cpu;
	bool mapped = fake_machine_translate(&fixture->machine, gpa, &cpu);

	assert_int_equal(fake_iommu_translate(&fixture->machine, gpa, &iommu), mapped);
	if (!mapped)
		return;
	assert_int_equal(iommu.hpa, cpu.hpa);
	assert_int_equal(iommu.leaf_size, cpu.leaf_size);
	assert_int_equal(iommu.permissions, cpu.permissions);
	assert_int_equal(iommu.memory_type, cpu.memory_type);
}

static void assert_iommu_agrees(struct fixture *fixture)
{
	static const uint64_t places[] = {0,         LARGE,       4 * LARGE,  5 * LARGE,
					  6 * LARGE, 7 * LARGE,   16 * LARGE, 17 * LARGE,
					  GIB,       GIB + LARGE, 2 * GIB};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		for (uint64_t page = 0; page < 32; page++) {
			assert_iommu_agrees_at(fixture, places[i] + page * PAGE);
			if (places[i])
				assert_iommu_agrees_at(fixture, places[i] - (page + 1) * PAGE);
		}
	}
	fake_machine_check_synced(&fixture->machine);
}

static void iommu_sees_what_the_cpu_sees_after_every_change(void **state)
{
	struct fixture *fixture = start(state);
	uint64_t synced = fixture->machine.counters.sync_table;

	play_story(fixture, assert_iommu_agrees);
	if (fixture->layout->non_coherent)
		assert_true(fixture->machine.counters.sync_table > synced);
}

static void unmapped_page_is_gone_for_the_iommu_before_the_invalidation_and_the_free(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(
		addrspace_map_alloc(as, LARGE, 8 * PAGE, &fixture_rw, ADDRSPACE_MAP_POPULATE), 0);
	assert_int_equal(addrspace_map_linear(as, 2 * LARGE, LARGE, DEVICE, &fixture_rw, 0), 0);
	assert_iommu_agrees_at(fixture, LARGE + 2 * PAGE);
	spy.going[0] = LARGE + 2 * PAGE;
	spy.going_count = 1;
	assert_int_equal(addrspace_unmap(as, LARGE + 2 * PAGE, PAGE), 0);
	assert_int_equal(spy.freed_count, 1);
	spy.going[0] = LARGE;
	spy.going[1] = LARGE + 7 * PAGE;
	spy.going[2] = 2 * LARGE + 3 * PAGE;
	spy.going_count = 3;
	assert_int_equal(addrspace_unmap(as, LARGE, LARGE + 4 * PAGE), 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	spy.going_count = 0;
	assert_int_equal(addrspace_map_alloc(as, LARGE, 4 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE | ADDRSPACE_MAP_REPLACE),
			 0);
	spy.going[0] = LARGE + PAGE;
	spy.going_count = 1;
	addrspace_clear(as);
	spy.going_count = 0;
}

/* ---- quota ---- */

static void populate_charges_all_its_frames_at_once(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_alloc(as, GIB - 20 * PAGE, 40 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(calls_of(spy.charged, spy.charged_count, ADDRSPACE_FRAME_GUEST), 1);
	assert_int_equal(frames_of(spy.charged, spy.charged_count, ADDRSPACE_FRAME_GUEST), 40);
	assert_int_equal(frames_of(spy.charged, spy.charged_count, ADDRSPACE_FRAME_TABLE),
			 fixture->machine.live[ADDRSPACE_FRAME_TABLE]);
	assert_int_equal(spy.uncharged_count, 0);
	assert_int_equal(addrspace_unmap(as, GIB - 20 * PAGE, 40 * PAGE), 0);
	for (int kind = 0; kind < FAKE_KINDS; kind++)
		assert_int_equal(
			frames_of(spy.uncharged, spy.uncharged_count,
				  (enum addrspace_frame_kind)kind),
			frames_of(spy.charged, spy.charged_count, (enum addrspace_frame_kind)kind));
}

static void replacing_populate_charges_all_its_frames_at_once(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(
		addrspace_map_alloc(as, LARGE, 8 * PAGE, &fixture_rw, ADDRSPACE_MAP_POPULATE), 0);
	spy.charged_count = 0;
	assert_int_equal(addrspace_map_alloc(as, LARGE + 4 * PAGE, 8 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE | ADDRSPACE_MAP_REPLACE),
			 0);
	assert_int_equal(calls_of(spy.charged, spy.charged_count, ADDRSPACE_FRAME_GUEST), 1);
	assert_int_equal(frames_of(spy.charged, spy.charged_count, ADDRSPACE_FRAME_GUEST), 8);
	assert_int_equal(frames_of(spy.uncharged, spy.uncharged_count, ADDRSPACE_FRAME_GUEST), 4);
	fixture_check(fixture);
}

static void fault_charges_its_frame_and_tables(void **state)
{
	struct fixture *fixture = start_with_spy(state);

	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, LARGE, &fixture_rw, 0), 0);
	spy.charged_count = 0;
	assert_int_equal(fixture_guest(fixture, 0, LARGE, ADDRSPACE_WRITE), 0);
	assert_int_equal(frames_of(spy.charged, spy.charged_count, ADDRSPACE_FRAME_GUEST), 1);
	assert_int_equal(frames_of(spy.charged, spy.charged_count, ADDRSPACE_FRAME_TABLE),
			 fixture->layout->levels - 1);
	spy.charged_count = 0;
	assert_int_equal(fixture_guest(fixture, 0, LARGE + PAGE, ADDRSPACE_WRITE), 0);
	assert_int_equal(spy.charged_count, 1);
	assert_int_equal(frames_of(spy.charged, spy.charged_count, ADDRSPACE_FRAME_GUEST), 1);
	assert_int_equal(spy.uncharged_count, 0);
}

static void moving_a_page_of_an_alloc_region_charges_nothing(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	uint64_t hpa = fake_machine_lend(&fixture->machine, 0);

	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, 4 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	spy.charged_count = 0;
	move_page(fixture, LARGE, hpa);
	fake_machine_hand_over(&fixture->machine, hpa, LARGE, fixture_rw.cookie);
	assert_int_equal(spy.charged_count, 0);
	assert_int_equal(spy.uncharged_count, 0);
	assert_int_equal(spy.freed_count, 1);
	fake_machine_assert_charges_balanced(&fixture->machine);
}

static void quota_that_is_short_by_one_frame_refuses_populate(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	struct fake_machine *machine = &fixture->machine;
	uint64_t unlimited = machine->quota;
	uint64_t needed;

	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, 16 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	needed = machine->live[ADDRSPACE_FRAME_ROOT] + machine->live[ADDRSPACE_FRAME_TABLE] +
		 machine->live[ADDRSPACE_FRAME_REGION_NODE] + machine->live[ADDRSPACE_FRAME_GUEST];
	addrspace_clear(&fixture->as);
	machine->quota = needed - 1;
	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, 16 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 ADDRSPACE_EDQUOT);
	fixture_check(fixture);
	assert_int_equal(machine->live[ADDRSPACE_FRAME_GUEST], 0);
	machine->quota = needed;
	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, 16 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	machine->quota = unlimited;
}

static void fault_beyond_the_quota_is_out_of_memory_and_can_be_retried(void **state)
{
	struct fixture *fixture = start(state);
	struct fake_machine *machine = &fixture->machine;
	uint64_t unlimited = machine->quota;

	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, LARGE, &fixture_rw, 0), 0);
	machine->quota = 0;
	assert_int_equal(fixture_guest(fixture, 0, LARGE, ADDRSPACE_WRITE),
			 ADDRSPACE_FAULT_OUT_OF_MEMORY);
	fixture_check(fixture);
	machine->quota = unlimited;
	assert_int_equal(fixture_guest(fixture, 0, LARGE, ADDRSPACE_WRITE), 0);
}

/* ---- what allocate answers ---- */

static void assert_page_reads(struct fixture *fixture, uint64_t gpa, bool valid)
{
	const uint64_t *words = fake_machine_pointer(&fixture->machine, fixture_hpa(fixture, gpa));

	for (uint64_t i = 0; i < PAGE / sizeof(*words); i++)
		assert_int_equal(words[i],
				 valid ? fake_machine_token(gpa + i * sizeof(*words)) : 0);
	fixture_warm(fixture, gpa + 8, ADDRSPACE_READ);
}

static void try_answer(void **state, enum addrspace_frame_contents answer)
{
	struct fixture *fixture = start(state);
	struct addrspace *as = &fixture->as;
	bool valid = answer == ADDRSPACE_FRAME_VALID;

	end_space(fixture);
	fixture->machine.answer = answer;
	begin_space(fixture);
	assert_int_equal(addrspace_map_alloc(as, LARGE - 2 * PAGE, 4 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(addrspace_map_alloc(as, GIB, LARGE, &fixture_rw, 0), 0);
	assert_int_equal(fixture_guest(fixture, 0, GIB + 3 * PAGE, ADDRSPACE_READ), 0);
	assert_page_reads(fixture, LARGE - 2 * PAGE, valid);
	assert_page_reads(fixture, LARGE + PAGE, valid);
	assert_page_reads(fixture, GIB + 3 * PAGE, valid);
	assert_int_equal(addrspace_map_alloc(as, GIB + 2 * PAGE, 2 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE | ADDRSPACE_MAP_REPLACE),
			 0);
	assert_page_reads(fixture, GIB + 3 * PAGE, valid);
	fixture_check(fixture);
	/* tables for every purpose from such frames */
	addrspace_clear(as);
	play_story(fixture, fixture_check);
}

static void dirty_frames_are_zeroed(void **state)
{
	try_answer(state, ADDRSPACE_FRAME_DIRTY);
}

static void zeroed_frames_are_used_as_they_are(void **state)
{
	try_answer(state, ADDRSPACE_FRAME_ZEROED);
}

static void frames_with_valid_contents_keep_them(void **state)
{
	try_answer(state, ADDRSPACE_FRAME_VALID);
}

static void frames_said_to_be_zeroed_are_not_touched(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	struct addrspace *as = &fixture->as;
	const uint64_t pages[] = {LARGE, LARGE + PAGE, GIB + 5 * PAGE};

	/* not from here on: the frames are not what they are said to be */
	fixture->machine.handler.prepare_frame = spy.honest.prepare_frame;
	spy.marker = MARK;
	assert_int_equal(
		addrspace_map_alloc(as, LARGE, 2 * PAGE, &fixture_rw, ADDRSPACE_MAP_POPULATE), 0);
	assert_int_equal(addrspace_map_alloc(as, GIB, LARGE, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_handle_fault(as, GIB + 5 * PAGE, ADDRSPACE_WRITE, NULL),
			 ADDRSPACE_FAULT_RESOLVED);
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		assert_int_equal(*(uint64_t *)fake_machine_pointer(&fixture->machine,
								   fixture_hpa(fixture, pages[i])),
				 MARK);
}

static void valid_contents_are_not_believed_of_tables_and_nodes(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	struct addrspace *as = &fixture->as;

	fixture->machine.handler.prepare_frame = spy.honest.prepare_frame;
	end_space(fixture);
	spy.valid_for_all = true;
	begin_space(fixture);
	fixture_check(fixture);
	assert_int_equal(
		addrspace_map_linear(as, LARGE, LARGE + 4 * PAGE, DEVICE + LARGE, &fixture_rw, 0),
		0);
	fixture_check(fixture);
	assert_int_equal(addrspace_map_alloc(as, GIB, LARGE, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_handle_fault(as, GIB + 5 * PAGE, ADDRSPACE_WRITE, NULL),
			 ADDRSPACE_FAULT_RESOLVED);
	fixture_check(fixture);
	assert_int_equal(addrspace_unmap(as, LARGE + 5 * PAGE, PAGE), 0);
	fixture_check(fixture);
}

/* ---- who asks for a frame, and who gives it back ---- */

static void assert_request(const struct spied_request *spied, enum addrspace_frame_kind kind,
			   unsigned order, uint64_t gpa, uint64_t cookie)
{
	assert_int_equal(spied->request.kind, kind);
	assert_int_equal(spied->request.order, order);
	assert_int_equal(spied->request.gpa, gpa);
	assert_int_equal(spied->request.cookie, cookie);
}

static void root_is_one_run_of_its_size(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	const struct layout *layout = fixture->layout;
	static const unsigned orders[] = {[LAYOUT_GSTAGE] = 2, [LAYOUT_HOSTILE] = 1};
	unsigned order = orders[layout->kind];
	unsigned top_shift = fake_level_shift(layout->levels - 1);

	/* concatenated tables */
	if (layout->kind == LAYOUT_STAGE2 && layout->gpa_bits > top_shift + 9)
		order = layout->gpa_bits - top_shift - 9;
	end_space(fixture);
	spy.allocated_count = 0;
	spy.freed_count = 0;
	begin_space(fixture);
	assert_int_equal(spy.allocated_count, 1);
	assert_request(&spy.allocated[0], ADDRSPACE_FRAME_ROOT, order, 0, 0);
	end_space(fixture);
	assert_int_equal(spy.freed_count, 1);
	assert_request(&spy.freed[0], ADDRSPACE_FRAME_ROOT, order, 0, 0);
	assert_int_equal(spy.freed[0].hpa, spy.allocated[0].hpa);
}

static void guest_frames_come_with_their_page_and_cookie(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	const struct addrspace_attributes first = {.permissions = ADDRSPACE_READ, .cookie = 0xc1};
	const struct addrspace_attributes second = {.permissions = ADDRSPACE_READ,
						    .cookie = UINT64_MAX};
	struct addrspace *as = &fixture->as;
	unsigned seen = 0;

	assert_int_equal(
		addrspace_map_alloc(as, LARGE - 2 * PAGE, 4 * PAGE, &first, ADDRSPACE_MAP_POPULATE),
		0);
	for (unsigned i = 0; i < spy.allocated_count; i++) {
		if (spy.allocated[i].request.kind != ADDRSPACE_FRAME_GUEST) {
			assert_request(&spy.allocated[i], spy.allocated[i].request.kind, 0, 0, 0);
			continue;
		}
		assert_request(&spy.allocated[i], ADDRSPACE_FRAME_GUEST, 0,
			       LARGE - 2 * PAGE + seen * PAGE, 0xc1);
		seen++;
	}
	assert_int_equal(seen, 4);
	spy.allocated_count = 0;
	assert_int_equal(addrspace_map_alloc(as, LARGE + 2 * PAGE, 4 * PAGE, &second, 0), 0);
	assert_int_equal(addrspace_handle_fault(as, LARGE + 3 * PAGE + 0x123, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(spy.allocated_count, 1);
	assert_request(&spy.allocated[0], ADDRSPACE_FRAME_GUEST, 0, LARGE + 3 * PAGE, UINT64_MAX);
}

/** Each guest frame that was allocated since has come back once, described alike. */
static void assert_all_given_back(void)
{
	for (unsigned i = 0; i < spy.allocated_count; i++) {
		unsigned matches = 0;

		if (spy.allocated[i].request.kind != ADDRSPACE_FRAME_GUEST)
			continue;
		for (unsigned k = 0; k < spy.freed_count; k++) {
			if (spy.freed[k].hpa != spy.allocated[i].hpa ||
			    spy.freed[k].request.kind != ADDRSPACE_FRAME_GUEST)
				continue;
			matches++;
			assert_memory_equal(&spy.freed[k].request, &spy.allocated[i].request,
					    sizeof(spy.freed[k].request));
		}
		assert_int_equal(matches, 1);
	}
}

static void guest_frames_are_given_back_with_the_page_and_cookie_they_came_with(void **state)
{
	struct fixture *fixture = start_with_spy(state);
	struct addrspace *as = &fixture->as;

	for (uint64_t i = 0; i < 4; i++) {
		const struct addrspace_attributes attributes = {
			.permissions = ADDRSPACE_READ | ADDRSPACE_WRITE, .cookie = 100 + i};

		assert_int_equal(addrspace_map_alloc(as, LARGE + 4 * i * PAGE, 4 * PAGE,
						     &attributes,
						     i % 2 ? ADDRSPACE_MAP_POPULATE : 0),
				 0);
		for (uint64_t page = 0; page < 3; page++)
			assert_int_equal(fixture_guest(fixture, 0, LARGE + (4 * i + page) * PAGE,
						       ADDRSPACE_WRITE),
					 0);
	}
	assert_int_equal(addrspace_protect(as, LARGE + 2 * PAGE, 9 * PAGE, ADDRSPACE_READ), 0);
	/* discarded, by a hole, by a replacement, by pieces, by the end of everything */
	assert_int_equal(addrspace_discard(as, LARGE + 4 * PAGE, PAGE), 0);
	assert_int_equal(addrspace_unmap(as, LARGE + 5 * PAGE, PAGE), 0);
	assert_int_equal(addrspace_map_linear(as, LARGE + 6 * PAGE, 4 * PAGE, DEVICE, &fixture_rw,
					      ADDRSPACE_MAP_REPLACE),
			 0);
	assert_int_equal(addrspace_unmap(as, LARGE, 5 * PAGE), 0);
	addrspace_clear(as);
	assert_all_given_back();
}

/* ---- invalidations ---- */

static struct fixture *start_counting(void **state)
{
	struct fixture *fixture = start(state);

	memset(&fixture->machine.counters, 0, sizeof(fixture->machine.counters));
	return fixture;
}

/** Forgets what preparing a test has invalidated. */
static void count_from_here(struct fixture *fixture)
{
	fixture->machine.counters.invalidate = 0;
}

static void assert_no_invalidation(struct fixture *fixture)
{
	assert_int_equal(fixture->machine.counters.invalidate, 0);
}

/** There was one since count_from_here(), for all CPUs, and exactly this. */
static void assert_one_invalidation(struct fixture *fixture, uint64_t gpa, uint64_t size,
				    uint64_t stride, bool tables_changed)
{
	const struct addrspace_invalidation *last;

	assert_int_equal(fixture->machine.counters.invalidate, 1);
	last = fake_machine_invalidation(&fixture->machine, 0);
	assert_int_equal(last->scope, ADDRSPACE_ALL_CPUS);
	assert_int_equal(last->gpa, gpa);
	assert_int_equal(last->size, size);
	assert_int_equal(last->stride, stride);
	assert_int_equal(last->tables_changed, tables_changed);
	count_from_here(fixture);
}

/** Pages at LARGE + 0 .. 15, which no large leaf can hold. */
static struct fixture *start_with_pages(void **state)
{
	struct fixture *fixture = start_counting(state);

	assert_int_equal(
		addrspace_map_linear(&fixture->as, LARGE, 16 * PAGE, DEVICE + PAGE, &fixture_rw, 0),
		0);
	fixture_warm(fixture, LARGE + 2 * PAGE, ADDRSPACE_WRITE);
	count_from_here(fixture);
	return fixture;
}

/** Leaves of 2 MiB at 4, 5, 6, 7 * LARGE; NULL where the CPU has none. */
static struct fixture *start_with_large_leaves(void **state)
{
	struct fixture *fixture = start_counting(state);

	if (!layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M))
		return NULL;
	assert_int_equal(addrspace_map_linear(&fixture->as, 4 * LARGE, 4 * LARGE, DEVICE + LARGE,
					      &fixture_rw, 0),
			 0);
	fixture_warm(fixture, 5 * LARGE, ADDRSPACE_WRITE);
	count_from_here(fixture);
	return fixture;
}

static void unmap_of_pages_invalidates_those_pages(void **state)
{
	struct fixture *fixture = start_with_pages(state);

	assert_int_equal(addrspace_unmap(&fixture->as, LARGE + 2 * PAGE, PAGE), 0);
	assert_one_invalidation(fixture, LARGE + 2 * PAGE, PAGE, PAGE, false);
	assert_int_equal(addrspace_unmap(&fixture->as, LARGE + 4 * PAGE, 5 * PAGE), 0);
	assert_one_invalidation(fixture, LARGE + 4 * PAGE, 5 * PAGE, PAGE, false);
}

static void unmap_that_empties_a_table_says_that_tables_changed(void **state)
{
	struct fixture *fixture = start_with_pages(state);

	assert_int_equal(addrspace_unmap(&fixture->as, LARGE + 3 * PAGE, 13 * PAGE), 0);
	assert_one_invalidation(fixture, LARGE + 3 * PAGE, 13 * PAGE, PAGE, false);
	assert_int_equal(addrspace_unmap(&fixture->as, LARGE, 3 * PAGE), 0);
	assert_one_invalidation(fixture, LARGE, 3 * PAGE, PAGE, true);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
}

static void unmap_of_a_large_leaf_has_its_size_as_stride(void **state)
{
	struct fixture *fixture = start_with_large_leaves(state);

	if (!fixture)
		return;
	assert_int_equal(addrspace_unmap(&fixture->as, 5 * LARGE, 2 * LARGE), 0);
	assert_one_invalidation(fixture, 5 * LARGE, 2 * LARGE, LARGE, false);
}

static void unmap_inside_a_large_leaf_invalidates_the_whole_leaf(void **state)
{
	struct fixture *fixture = start_with_large_leaves(state);

	if (!fixture)
		return;
	assert_int_equal(addrspace_unmap(&fixture->as, 5 * LARGE + 9 * PAGE, PAGE), 0);
	assert_one_invalidation(fixture, 5 * LARGE, LARGE, LARGE, false);
}

static void unmap_over_two_large_leaves_invalidates_both_at_once(void **state)
{
	struct fixture *fixture = start_with_large_leaves(state);

	if (!fixture)
		return;
	assert_int_equal(addrspace_unmap(&fixture->as, 6 * LARGE - 3 * PAGE, 5 * PAGE), 0);
	assert_one_invalidation(fixture, 5 * LARGE, 2 * LARGE, LARGE, false);
}

static void unmap_of_a_table_of_large_leaves_has_their_size_as_stride(void **state)
{
	struct fixture *fixture = start_counting(state);

	if (!layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M))
		return;
	/* so that no table above becomes empty */
	assert_int_equal(addrspace_map_linear(&fixture->as, 0, PAGE, DEVICE, &fixture_rw, 0), 0);
	assert_int_equal(
		addrspace_map_linear(&fixture->as, GIB, GIB, DEVICE + LARGE, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_unmap(&fixture->as, GIB, GIB), 0);
	/* with two levels the root holds the leaves itself */
	assert_one_invalidation(fixture, GIB, GIB, LARGE, fixture->layout->levels > 2);
}

static void unmap_of_pages_and_large_leaves_has_the_smallest_as_stride(void **state)
{
	struct fixture *fixture = start_with_large_leaves(state);

	if (!fixture)
		return;
	assert_int_equal(addrspace_map_alloc(&fixture->as, 8 * LARGE, 4 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(addrspace_unmap(&fixture->as, 6 * LARGE, 2 * LARGE + PAGE), 0);
	assert_one_invalidation(fixture, 6 * LARGE, 2 * LARGE + PAGE, PAGE, false);
}

static void unmap_over_lazy_holes_invalidates_once_what_was_there(void **state)
{
	struct fixture *fixture = start_counting(state);
	const struct addrspace_invalidation *last;

	assert_int_equal(addrspace_map_alloc(&fixture->as, LARGE, LARGE, &fixture_rw, 0), 0);
	assert_int_equal(fixture_guest(fixture, 0, LARGE + 9 * PAGE, ADDRSPACE_WRITE), 0);
	assert_int_equal(fixture_guest(fixture, 0, LARGE + 40 * PAGE, ADDRSPACE_WRITE), 0);
	assert_int_equal(fixture_guest(fixture, 0, LARGE + 200 * PAGE, ADDRSPACE_WRITE), 0);
	count_from_here(fixture);
	assert_int_equal(addrspace_unmap(&fixture->as, LARGE + PAGE, 99 * PAGE), 0);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	last = fake_machine_invalidation(&fixture->machine, 0);
	assert_true(last->gpa <= LARGE + 9 * PAGE && last->gpa >= LARGE + PAGE);
	assert_true(last->gpa + last->size >= LARGE + 41 * PAGE);
	assert_true(last->gpa + last->size <= LARGE + 100 * PAGE);
	assert_int_equal(last->stride, PAGE);
	assert_false(last->tables_changed);
}

static void protect_of_pages_invalidates_those_pages(void **state)
{
	struct fixture *fixture = start_with_pages(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_protect(as, LARGE + 2 * PAGE, 3 * PAGE, ADDRSPACE_READ), 0);
	assert_one_invalidation(fixture, LARGE + 2 * PAGE, 3 * PAGE, PAGE, false);
	assert_int_equal(addrspace_protect(as, LARGE + 3 * PAGE, PAGE, 0), 0);
	assert_one_invalidation(fixture, LARGE + 3 * PAGE, PAGE, PAGE, false);
}

static void protect_inside_a_large_leaf_invalidates_the_whole_leaf(void **state)
{
	struct fixture *fixture = start_with_large_leaves(state);

	if (!fixture)
		return;
	assert_int_equal(
		addrspace_protect(&fixture->as, 5 * LARGE + 9 * PAGE, PAGE, ADDRSPACE_READ), 0);
	assert_one_invalidation(fixture, 5 * LARGE, LARGE, LARGE, false);
}

static void protect_of_several_regions_invalidates_once(void **state)
{
	struct fixture *fixture = start_with_pages(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_alloc(as, LARGE + 16 * PAGE, 4 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(addrspace_map_alloc(as, LARGE + 20 * PAGE, 4 * PAGE, &fixture_ro,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(addrspace_protect(as, LARGE + 14 * PAGE, 8 * PAGE, ADDRSPACE_READ), 0);
	/* what allowed no more than that already is not touched */
	assert_one_invalidation(fixture, LARGE + 14 * PAGE, 6 * PAGE, PAGE, false);
}

static void protect_with_the_permissions_there_are_invalidates_nothing(void **state)
{
	struct fixture *fixture = start_with_pages(state);

	assert_int_equal(addrspace_protect(&fixture->as, LARGE, 16 * PAGE, fixture_rw.permissions),
			 0);
	assert_no_invalidation(fixture);
}

static void replace_of_pages_invalidates_those_pages(void **state)
{
	struct fixture *fixture = start_with_pages(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_alloc(as, LARGE + 2 * PAGE, 4 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE),
			 0);
	assert_one_invalidation(fixture, LARGE + 2 * PAGE, 4 * PAGE, PAGE, false);
	assert_int_equal(addrspace_map_linear(as, LARGE + 4 * PAGE, 4 * PAGE, DEVICE + LARGE,
					      &fixture_rw, ADDRSPACE_MAP_REPLACE),
			 0);
	assert_one_invalidation(fixture, LARGE + 4 * PAGE, 4 * PAGE, PAGE, false);
}

static void replace_of_a_page_in_a_large_leaf_invalidates_the_whole_leaf(void **state)
{
	struct fixture *fixture = start_with_large_leaves(state);

	if (!fixture)
		return;
	assert_int_equal(addrspace_map_linear(&fixture->as, 5 * LARGE + 9 * PAGE, PAGE, DEVICE,
					      &fixture_rw, ADDRSPACE_MAP_REPLACE),
			 0);
	assert_one_invalidation(fixture, 5 * LARGE, LARGE, LARGE, false);
}

static void moving_a_page_invalidates_that_page(void **state)
{
	struct fixture *fixture = start_with_pages(state);
	struct fake_machine *machine = &fixture->machine;
	struct addrspace *as = &fixture->as;
	uint64_t hpa = fake_machine_lend(machine, 0);
	uint64_t linear_hpa = fake_machine_lend(machine, 0);

	assert_int_equal(addrspace_map_alloc(as, LARGE + 16 * PAGE, 4 * PAGE, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(addrspace_replace_frame(as, LARGE + 17 * PAGE, hpa, NULL, NULL), 0);
	fake_machine_hand_over(machine, hpa, LARGE + 17 * PAGE, fixture_rw.cookie);
	assert_one_invalidation(fixture, LARGE + 17 * PAGE, PAGE, PAGE, false);
	assert_int_equal(addrspace_replace_frame(as, LARGE + 3 * PAGE, linear_hpa, NULL, NULL), 0);
	assert_one_invalidation(fixture, LARGE + 3 * PAGE, PAGE, PAGE, false);
}

static void clear_invalidates_once_everything_that_was_mapped(void **state)
{
	struct fixture *fixture = start_with_pages(state);
	const struct addrspace_invalidation *last;
	struct addrspace *as = &fixture->as;
	const uint64_t top = layout_limit(fixture->layout) - PAGE;

	assert_int_equal(addrspace_map_alloc(as, top, PAGE, &fixture_rw, ADDRSPACE_MAP_POPULATE),
			 0);
	addrspace_clear(as);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	last = fake_machine_invalidation(&fixture->machine, 0);
	assert_int_equal(last->scope, ADDRSPACE_ALL_CPUS);
	assert_true(last->gpa <= LARGE);
	assert_int_equal(last->gpa + last->size, top + PAGE);
	assert_int_equal(last->stride, PAGE);
	assert_true(last->tables_changed);
	addrspace_clear(as);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
}

static void destroy_invalidates_once_if_anything_was_mapped(void **state)
{
	struct fixture *fixture = start_with_pages(state);

	end_space(fixture);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
	begin_space(fixture);
	end_space(fixture);
	assert_int_equal(fixture->machine.counters.invalidate, 1);
}

static void map_into_an_empty_range_invalidates_nothing(void **state)
{
	struct fixture *fixture = start_counting(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_linear(as, LARGE, LARGE + PAGE, DEVICE, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_map_alloc(as, GIB, LARGE, &fixture_rw, 0), 0);
	assert_int_equal(
		addrspace_map_alloc(as, GIB + LARGE, 4 * PAGE, &fixture_rw, ADDRSPACE_MAP_POPULATE),
		0);
	assert_int_equal(addrspace_map_alloc(as, 0, PAGE, &fixture_rw, ADDRSPACE_MAP_REPLACE), 0);
	assert_no_invalidation(fixture);
}

static void changes_of_what_was_never_mapped_invalidate_nothing(void **state)
{
	struct fixture *fixture = start_counting(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_alloc(as, 0, GIB, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_protect(as, LARGE, LARGE, ADDRSPACE_READ), 0);
	assert_int_equal(addrspace_discard(as, LARGE, LARGE), 0);
	assert_int_equal(addrspace_map_linear(as, 2 * LARGE, PAGE, DEVICE, &fixture_rw,
					      ADDRSPACE_MAP_REPLACE),
			 0);
	assert_int_equal(addrspace_unmap(as, 3 * LARGE, GIB - 3 * LARGE), 0);
	assert_int_equal(addrspace_unmap(as, GIB, GIB), 0);
	assert_no_invalidation(fixture);
}

static void refused_and_failed_calls_invalidate_nothing(void **state)
{
	struct fixture *fixture = start_with_large_leaves(state);
	struct addrspace *as;

	if (!fixture)
		return;
	as = &fixture->as;
	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_unmap(as, 5 * LARGE + PAGE, PAGE), ADDRSPACE_ENOMEM);
	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_protect(as, 5 * LARGE + PAGE, PAGE, 0), ADDRSPACE_ENOMEM);
	fixture->machine.fail_at = 1;
	assert_int_equal(
		addrspace_map_alloc(as, 5 * LARGE + PAGE, PAGE, &fixture_rw, ADDRSPACE_MAP_REPLACE),
		ADDRSPACE_ENOMEM);
	fixture->machine.fail_at = 0;
	assert_int_equal(addrspace_map_alloc(as, 5 * LARGE, PAGE, &fixture_rw, 0),
			 ADDRSPACE_EEXIST);
	assert_no_invalidation(fixture);
}

static void fault_invalidates_on_this_cpu_where_absent_entries_may_be_cached(void **state)
{
	struct fixture *fixture = start_counting(state);
	struct addrspace *as = &fixture->as;
	const struct addrspace_invalidation *last;

	assert_int_equal(addrspace_map_alloc(as, LARGE, LARGE, &fixture_rw, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		count_from_here(fixture);
		assert_int_equal(
			addrspace_handle_fault(as, LARGE + 3 * PAGE + 7, ADDRSPACE_READ, NULL),
			i ? ADDRSPACE_FAULT_ALREADY_RESOLVED : ADDRSPACE_FAULT_RESOLVED);
		if (!fixture->layout->caches_not_present) {
			assert_no_invalidation(fixture);
			continue;
		}
		assert_int_equal(fixture->machine.counters.invalidate, 1);
		last = fake_machine_invalidation(&fixture->machine, 0);
		assert_int_equal(last->scope, ADDRSPACE_THIS_CPU);
		assert_int_equal(last->gpa, LARGE + 3 * PAGE);
		assert_int_equal(last->size, PAGE);
		assert_int_equal(last->stride, PAGE);
		/* Tables came with the first page; the second time nobody knows what was kept. */
		assert_true(last->tables_changed);
	}
}

static void fault_beside_a_page_invalidates_that_page_alone(void **state)
{
	struct fixture *fixture = start_counting(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_alloc(as, LARGE, LARGE, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_handle_fault(as, LARGE, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_RESOLVED);
	count_from_here(fixture);
	assert_int_equal(addrspace_handle_fault(as, LARGE + PAGE, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_RESOLVED);
	if (!fixture->layout->caches_not_present) {
		assert_no_invalidation(fixture);
		return;
	}
	assert_int_equal(fake_machine_invalidation(&fixture->machine, 0)->gpa, LARGE + PAGE);
	assert_false(fake_machine_invalidation(&fixture->machine, 0)->tables_changed);
}

static void fault_that_is_not_resolved_invalidates_nothing(void **state)
{
	struct fixture *fixture = start_counting(state);
	struct addrspace *as = &fixture->as;

	assert_int_equal(addrspace_map_alloc(as, LARGE, LARGE, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_handle_fault(as, LARGE, ADDRSPACE_EXECUTE, NULL),
			 ADDRSPACE_FAULT_DENIED);
	assert_int_equal(addrspace_handle_fault(as, 0, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_NOT_BACKED);
	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_handle_fault(as, LARGE, ADDRSPACE_READ, NULL),
			 ADDRSPACE_FAULT_OUT_OF_MEMORY);
	assert_no_invalidation(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(direct_map_and_callback_give_the_same_tables),
		cmocka_unit_test(without_lock_hooks_the_tables_are_the_same_and_no_lock_is_taken),
		cmocka_unit_test(without_optional_hooks_the_tables_are_the_same),
		cmocka_unit_test(some_but_not_all_lock_hooks_are_refused),
		cmocka_unit_test(half_of_the_quota_hooks_is_refused),
		cmocka_unit_test(calls_that_change_the_layout_take_the_exclusive_lock_once),
		cmocka_unit_test(calls_that_read_or_install_take_the_shared_lock_once),
		cmocka_unit_test(populated_frames_are_prepared_before_they_are_published),
		cmocka_unit_test(faulted_frame_is_prepared_before_it_is_published),
		cmocka_unit_test(replacing_frames_are_prepared_before_they_are_published),
		cmocka_unit_test(moved_page_is_copied_then_prepared_then_published),
		cmocka_unit_test(moved_linear_page_is_copied_then_prepared_then_published),
		cmocka_unit_test(iommu_sees_what_the_cpu_sees_after_every_change),
		cmocka_unit_test(
			unmapped_page_is_gone_for_the_iommu_before_the_invalidation_and_the_free),
		cmocka_unit_test(populate_charges_all_its_frames_at_once),
		cmocka_unit_test(replacing_populate_charges_all_its_frames_at_once),
		cmocka_unit_test(fault_charges_its_frame_and_tables),
		cmocka_unit_test(moving_a_page_of_an_alloc_region_charges_nothing),
		cmocka_unit_test(quota_that_is_short_by_one_frame_refuses_populate),
		cmocka_unit_test(fault_beyond_the_quota_is_out_of_memory_and_can_be_retried),
		cmocka_unit_test(dirty_frames_are_zeroed),
		cmocka_unit_test(zeroed_frames_are_used_as_they_are),
		cmocka_unit_test(frames_with_valid_contents_keep_them),
		cmocka_unit_test(frames_said_to_be_zeroed_are_not_touched),
		cmocka_unit_test(valid_contents_are_not_believed_of_tables_and_nodes),
		cmocka_unit_test(root_is_one_run_of_its_size),
		cmocka_unit_test(guest_frames_come_with_their_page_and_cookie),
		cmocka_unit_test(
			guest_frames_are_given_back_with_the_page_and_cookie_they_came_with),
		cmocka_unit_test(unmap_of_pages_invalidates_those_pages),
		cmocka_unit_test(unmap_that_empties_a_table_says_that_tables_changed),
		cmocka_unit_test(unmap_of_a_large_leaf_has_its_size_as_stride),
		cmocka_unit_test(unmap_inside_a_large_leaf_invalidates_the_whole_leaf),
		cmocka_unit_test(unmap_over_two_large_leaves_invalidates_both_at_once),
		cmocka_unit_test(unmap_of_a_table_of_large_leaves_has_their_size_as_stride),
		cmocka_unit_test(unmap_of_pages_and_large_leaves_has_the_smallest_as_stride),
		cmocka_unit_test(unmap_over_lazy_holes_invalidates_once_what_was_there),
		cmocka_unit_test(protect_of_pages_invalidates_those_pages),
		cmocka_unit_test(protect_inside_a_large_leaf_invalidates_the_whole_leaf),
		cmocka_unit_test(protect_of_several_regions_invalidates_once),
		cmocka_unit_test(protect_with_the_permissions_there_are_invalidates_nothing),
		cmocka_unit_test(replace_of_pages_invalidates_those_pages),
		cmocka_unit_test(replace_of_a_page_in_a_large_leaf_invalidates_the_whole_leaf),
		cmocka_unit_test(moving_a_page_invalidates_that_page),
		cmocka_unit_test(clear_invalidates_once_everything_that_was_mapped),
		cmocka_unit_test(destroy_invalidates_once_if_anything_was_mapped),
		cmocka_unit_test(map_into_an_empty_range_invalidates_nothing),
		cmocka_unit_test(changes_of_what_was_never_mapped_invalidate_nothing),
		cmocka_unit_test(refused_and_failed_calls_invalidate_nothing),
		cmocka_unit_test(fault_invalidates_on_this_cpu_where_absent_entries_may_be_cached),
		cmocka_unit_test(fault_beside_a_page_invalidates_that_page_alone),
		cmocka_unit_test(fault_that_is_not_resolved_invalidates_nothing),
	};

	return run_over_layouts("handler", tests, sizeof(tests) / sizeof(tests[0]));
}
