/* SPDX-License-Identifier: MIT */
/*
 * Random sequences of every call, by several CPUs, against a flat model of the guest's physical
 * space that knows nothing of tables: one record for each page of a few windows. Other CPUs run the
 * guest inside every callback, race for the same faults, and spin for the lock; some allocations
 * fail.
 *
 * ADDRSPACE_SEED and ADDRSPACE_OPERATIONS (for each layout) in the environment; a failure prints
 * both, so that it can be played again.
 */
#include <inttypes.h>
#include <stdlib.h>

#include <addrspace/access.h>
#include <addrspace/job.h>

#include "layouts.h"

#define PAGE               FAKE_PAGE_SIZE
#define LARGE              (UINT64_C(2) << 20)
#define GIB                (UINT64_C(1) << 30)
#define DEVICE             UINT64_C(0x80000000) /* 2 GiB of host memory that is never read */
#define DEVICE_SIZE        UINT64_C(0x80000000)
#define WINDOWS            5
#define DEFAULT_SEED       1
#define DEFAULT_OPERATIONS 1000
#define OPERATIONS_A_CHECK 8
#define OPERATIONS_A_SWEEP 100
#define POPULATE_MOST      96   /* pages in one call */
#define SMALL_LEAVES_MOST  1536 /* pages in one linear call that only 4 KiB leaves fit */
#define SPARSE_STEP        61   /* pages between looks at what is absent in a large window */
#define LENT_MOST          4096
#define WARM_PAGES         8 /* of a range, before it is changed */

enum backing {
	NOTHING,
	LINEAR,
	LAZY,
	POPULATED,
	TRAP,
};

struct page {
	uint64_t hpa; /* if present; of a trap, where its device begins */
	uint8_t cookie;
	uint8_t backing; /* enum backing */
	uint8_t permissions;
	uint8_t memory_type;
	bool present; /* there is memory behind it, with permissions or not */
	bool lent;    /* a linear page that was moved to memory of the test */
};

struct window {
	uint64_t gpa;
	size_t count;
	struct page *pages;
};

struct player {
	struct fixture *fixture;
	struct window windows[WINDOWS];
	unsigned window_count;
	uint64_t random;
	uint64_t seed;
	uint64_t operation;
	uint64_t operations;
	uint64_t focus_gpa; /* where the operation in progress begins and ends */
	uint64_t focus_end;
	uint64_t returned[LENT_MOST]; /* lent frames that left the guest in this operation */
	unsigned returned_count;
	bool finished;
	/* The race: a CPU that answers a fault while another one does. */
	uint64_t race_gpa;
	bool race_armed;
	bool race_run;
	int race_outcome;
	/* How often what was hoped for came about: a test that meets none of it shows nothing. */
	uint64_t races;
	uint64_t discards;
	uint64_t accesses; /* that brought a page in */
	uint64_t collapses;
	uint64_t prefaults;
	uint64_t failures;
};

/** A range inside one window. */
struct span {
	struct window *window;
	size_t first;
	size_t count;
};

static struct player player;

/* ---- randomness ---- */

static uint64_t next_random(void)
{
	uint64_t value = (player.random += UINT64_C(0x9e3779b97f4a7c15));

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/** 0 .. below - 1 */
static uint64_t pick(uint64_t below)
{
	return next_random() % below;
}

static bool one_in(uint64_t many)
{
	return pick(many) == 0;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- the model ---- */

static uint64_t page_gpa(const struct window *window, size_t index)
{
	return window->gpa + index * PAGE;
}

static uint64_t span_gpa(const struct span *span)
{
	return page_gpa(span->window, span->first);
}

static uint64_t span_size(const struct span *span)
{
	return span->count * PAGE;
}

static struct window *window_at(uint64_t gpa)
{
	for (unsigned i = 0; i < player.window_count; i++) {
		if ((gpa - player.windows[i].gpa) / PAGE < player.windows[i].count)
			return &player.windows[i];
	}
	return NULL;
}

static struct page *page_at(uint64_t gpa)
{
	struct window *window = window_at(gpa);

	return window ? &window->pages[(gpa - window->gpa) / PAGE] : NULL;
}

static void add_window(uint64_t gpa, uint64_t size)
{
	struct window *window = &player.windows[player.window_count++];

	window->gpa = gpa;
	window->count = (size_t)(size / PAGE);
	window->pages = calloc(window->count, sizeof(*window->pages));
	assert_non_null(window->pages);
}

/** Low memory, a border of the level above, the top, one that holds the largest leaf. */
static void add_windows(const struct layout *layout)
{
	uint64_t limit = layout_limit(layout);

	player.window_count = 0;
	add_window(0, 3 * LARGE);
	add_window(GIB - 2 * LARGE, 4 * LARGE);
	add_window(limit - 3 * LARGE, 3 * LARGE);
	if (limit > 512 * GIB)
		add_window(512 * GIB - LARGE, 2 * LARGE);
	if (layout_largest_leaf(layout) == GIB)
		add_window(2 * GIB - LARGE, GIB + 2 * LARGE);
}

static bool is_large_window(const struct window *window)
{
	return window->count > 8 * 512;
}

/** True if two neighbouring pages belong to one region. */
static bool same_region(const struct window *window, size_t index)
{
	const struct page *a = &window->pages[index];
	const struct page *b = a + 1;

	if (a->backing != b->backing || a->permissions != b->permissions ||
	    a->memory_type != b->memory_type || a->cookie != b->cookie)
		return false;
	if (a->backing == TRAP)
		return a->hpa == b->hpa;
	return a->backing != LINEAR || a->hpa + PAGE == b->hpa;
}

/** The page's new state. A lent frame that it had goes back when the operation is over. */
static void set_page(struct page *page, const struct page *now)
{
	if (page->lent) {
		assert_true(player.returned_count < LENT_MOST);
		player.returned[player.returned_count++] = page->hpa;
	}
	*page = *now;
}

static void take_lent_frames_back(void)
{
	while (player.returned_count)
		fake_machine_take_back(&player.fixture->machine,
				       player.returned[--player.returned_count]);
}

/** Asks the table's runs, which tell of leaves without permissions as well; the machine checks that
 * the frame is this page's. */
static uint64_t hpa_of_owned(uint64_t gpa)
{
	struct fake_machine *machine = &player.fixture->machine;
	const struct fake_frame *frame;
	struct addrspace_run run;
	uint64_t hpa;

	assert_int_equal(addrspace_next_run(&player.fixture->as, gpa, &run), 0);
	assert_true(run.gpa <= gpa && gpa - run.gpa < run.size);
	assert_true(run.owned);
	hpa = run.hpa + (gpa - run.gpa);
	frame = fake_machine_frame(machine, hpa);
	assert_non_null(frame);
	assert_int_equal(frame->state, FAKE_GUEST);
	assert_int_equal(frame->gpa, gpa);
	assert_int_equal(frame->cookie, page_at(gpa)->cookie);
	return hpa;
}

/** A fault on this page was resolved: from now on the model knows its frame. */
static void learn_frame(uint64_t gpa)
{
	struct page *page = page_at(gpa);

	gpa &= ~(PAGE - 1);
	assert_int_equal(page->backing, LAZY);
	assert_false(page->present);
	page->present = true;
	page->hpa = hpa_of_owned(gpa);
}

/* ---- choosing ---- */

static struct window *pick_window(void)
{
	return &player.windows[pick(player.window_count)];
}

static uint64_t pick_gpa(void)
{
	struct window *window = pick_window();
	size_t index = (size_t)pick(window->count);

	/* mostly where something is */
	for (unsigned i = 0; i < 8 && window->pages[index].backing == NOTHING; i++)
		index = (size_t)pick(window->count);
	return page_gpa(window, index) + pick(PAGE);
}

/** Where a fault would be resolved, if that is found soon. */
static uint64_t pick_fault(void)
{
	uint64_t gpa = pick_gpa();

	for (unsigned i = 0; i < 32; i++) {
		const struct page *page = page_at(gpa);

		if (page->backing == LAZY && !page->present && page->permissions & ADDRSPACE_READ)
			break;
		gpa = pick_gpa();
	}
	return gpa;
}

static size_t pick_count(void)
{
	switch (pick(8)) {
	case 0:
	case 1:
		return 1;
	case 2:
	case 3:
		return 1 + (size_t)pick(16);
	case 4:
		return 1 + (size_t)pick(700);
	case 5:
		return 512 * (1 + (size_t)pick(3));
	case 6:
		return 512;
	default:
		return 512 * 512;
	}
}

static struct span pick_span(size_t most)
{
	struct span span = {.window = pick_window()};
	size_t left;

	span.first = (size_t)pick(span.window->count);
	if (one_in(2))
		span.first &= ~(size_t)511;
	if (is_large_window(span.window) && one_in(2))
		span.first = 512; /* its window starts 2 MiB below a gigabyte */
	span.count = pick_count();
	left = span.window->count - span.first;
	span.count = span.count < left ? span.count : left;
	span.count = span.count < most ? span.count : most;
	return span;
}

static unsigned pick_permissions(void)
{
	unsigned permissions;

	if (one_in(2))
		return ADDRSPACE_READ | ADDRSPACE_WRITE;
	do {
		permissions = (unsigned)pick(8);
	} while (!layout_can_permit(player.fixture->layout, permissions));
	return permissions;
}

static struct addrspace_attributes pick_attributes(void)
{
	struct addrspace_attributes attributes = {
		.permissions = pick_permissions(),
		.cookie = pick(2),
	};

	if (one_in(8)) {
		do {
			attributes.memory_type = (enum addrspace_memory_type)pick(4);
		} while (!layout_has_type(player.fixture->layout, attributes.memory_type));
	}
	return attributes;
}

/** Host memory for a range, so that leaves of the chosen alignment fit. */
static uint64_t pick_hpa(uint64_t gpa, uint64_t size, uint64_t alignment)
{
	uint64_t hpa = DEVICE + gpa % GIB;

	if (alignment == LARGE)
		hpa += LARGE * (1 + pick(3));
	else if (alignment == PAGE)
		hpa += PAGE * (1 + pick(3));
	if (hpa + size > DEVICE + DEVICE_SIZE)
		hpa = DEVICE + gpa % GIB;
	return hpa;
}

/* ---- what the model expects ---- */

static bool span_is_free(const struct span *span)
{
	for (size_t i = 0; i < span->count; i++) {
		if (span->window->pages[span->first + i].backing != NOTHING)
			return false;
	}
	return true;
}

/** From the first page of one window to the last of another, what lies between included. */
static bool range_is_full(uint64_t gpa, uint64_t end)
{
	while (gpa < end) {
		const struct page *page = page_at(gpa);

		if (!page || page->backing == NOTHING)
			return false;
		gpa += PAGE;
	}
	return true;
}

/** Calls visit() for each modelled page in [gpa, end). */
static void for_pages(uint64_t gpa, uint64_t end,
		      void (*visit)(struct page *page, const struct page *now),
		      const struct page *now)
{
	for (unsigned i = 0; i < player.window_count; i++) {
		struct window *window = &player.windows[i];
		uint64_t window_end = page_gpa(window, window->count);
		uint64_t from = gpa > window->gpa ? gpa : window->gpa;
		uint64_t to = end < window_end ? end : window_end;

		for (; from < to; from += PAGE)
			visit(&window->pages[(from - window->gpa) / PAGE], now);
	}
}

static void forget_page(struct page *page, const struct page *now)
{
	set_page(page, now);
}

static void protect_page(struct page *page, const struct page *now)
{
	page->permissions = now->permissions;
}

/* ---- other CPUs ---- */

/** Another CPU faults on the same page, or the next, while this one is about to take a frame. */
static void race(struct fake_machine *machine)
{
	unsigned loser = machine->current_cpu;
	unsigned winner = (loser + 1) % FAKE_CPUS;

	player.race_armed = false;
	player.race_run = true;
	fake_machine_set_cpu(machine, winner);
	player.race_outcome =
		addrspace_handle_fault(&player.fixture->as, player.race_gpa, ADDRSPACE_READ, NULL);
	fake_machine_set_cpu(machine, loser);
}

/** Just outside or inside of an end of the operation in progress: in the leaf that it cuts. */
static uint64_t pick_focus(void)
{
	return (one_in(2) ? player.focus_gpa : player.focus_end) - (one_in(2) ? PAGE : 0);
}

/** A CPU that has lost what it held walks the table while others still hold it: so it would meet an
 * entry changed without a break. */
static void play_other_cpus(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	struct fake_cpu *cpu = &machine->cpus[pick(FAKE_CPUS)];

	(void)ctx;
	if (event == FAKE_AT_ALLOCATE && player.race_armed &&
	    machine->held[machine->current_cpu] == FAKE_SHARED)
		race(machine);
	if (cpu->spinning || one_in(2))
		return;
	if (one_in(4))
		fake_cpu_flush(cpu);
	fake_cpu_access(machine, cpu->id, one_in(2) ? pick_focus() : pick_gpa(), 1u << pick(3),
			NULL);
}

/** Mostly what the guest may do by now, so that it is in the TLBs when it is taken away. */
static void change_hot_addresses(void)
{
	struct fake_machine *machine = &player.fixture->machine;

	fake_machine_clear_hot(machine);
	for (uint64_t i = pick(6); i > 0; i--) {
		uint64_t gpa = pick_gpa();
		unsigned access = page_at(gpa)->permissions & (unsigned)pick(8);

		if (access || one_in(8))
			fake_machine_add_hot(machine, gpa, access ? access : ADDRSPACE_READ);
	}
}

/* ---- comparing ---- */

static void compare_absent(uint64_t gpa, const struct page *page)
{
	struct fake_machine *machine = &player.fixture->machine;
	struct addrspace_translation translation;
	struct fake_translation walked;
	struct addrspace_run run;
	bool found;

	assert_int_equal(addrspace_translate(&player.fixture->as, gpa, &translation),
			 ADDRSPACE_ENOENT);
	assert_false(fake_machine_translate(machine, gpa, &walked));
	if (!page->present)
		return;
	/* without permissions, and its memory stays */
	found = addrspace_next_run(&player.fixture->as, gpa, &run) == 0 && run.gpa <= gpa;
	assert_true(found);
	assert_int_equal(run.hpa + (gpa - run.gpa), page->hpa + gpa % PAGE);
	assert_int_equal(run.permissions, 0);
	assert_int_equal(run.owned, page->backing != LINEAR);
}

/** Bytes from gpa to the end of its region or its leaf, whichever comes first. */
static uint64_t expected_remaining(const struct window *window, uint64_t gpa, uint64_t leaf_size)
{
	size_t index = (size_t)((gpa - window->gpa) / PAGE);
	uint64_t leaf_end = (gpa | (leaf_size - 1)) + 1;

	while (index + 1 < window->count && page_gpa(window, index + 1) != leaf_end &&
	       same_region(window, index))
		index++;
	return page_gpa(window, index + 1) - gpa;
}

/** What library and hardware say of one byte, against the model. Returns the size of its leaf, or a
 * page's. */
static uint64_t compare_byte(const struct window *window, uint64_t gpa)
{
	const struct page *page = &window->pages[(gpa - window->gpa) / PAGE];
	struct addrspace_translation translation;
	struct fake_translation walked;

	if (!page->present || !page->permissions) {
		compare_absent(gpa, page);
		return PAGE;
	}
	assert_int_equal(addrspace_translate(&player.fixture->as, gpa, &translation), 0);
	assert_true(fake_machine_translate(&player.fixture->machine, gpa, &walked));
	assert_int_equal(walked.hpa, page->hpa + gpa % PAGE);
	assert_int_equal(walked.permissions, page->permissions);
	assert_int_equal(walked.memory_type,
			 layout_encoded_type(player.fixture->layout,
					     (enum addrspace_memory_type)page->memory_type));
	assert_int_equal(translation.hpa, walked.hpa);
	assert_int_equal(translation.leaf_size, walked.leaf_size);
	assert_int_equal(translation.permissions, walked.permissions);
	assert_int_equal(translation.memory_type, walked.memory_type);
	if (walked.leaf_size < GIB)
		assert_int_equal(translation.remaining,
				 expected_remaining(window, gpa, walked.leaf_size));
	return walked.leaf_size;
}

static void assert_region_is(const struct addrspace_region *region, const struct page *page)
{
	assert_int_equal(region->permissions, page->permissions);
	assert_int_equal(region->memory_type, page->memory_type);
	assert_int_equal(region->cookie, page->cookie);
	if (page->backing == TRAP) {
		assert_int_equal(region->backend.kind, ADDRSPACE_TRAP);
		assert_int_equal(region->backend.u.trap.base, page->hpa);
		return;
	}
	assert_int_equal(region->backend.kind,
			 page->backing == LINEAR ? ADDRSPACE_LINEAR : ADDRSPACE_ALLOC);
	if (page->backing != LINEAR)
		assert_int_equal(region->backend.u.alloc.populate, page->backing == POPULATED);
}

/** The region at a page, or its absence, and that it ends where the model says. */
static void compare_region(const struct window *window, size_t index)
{
	const struct page *page = &window->pages[index];
	struct addrspace_region region;
	size_t first, last;
	int error = addrspace_find_region(&player.fixture->as, page_gpa(window, index), &region);

	if (page->backing == NOTHING) {
		assert_int_equal(error, ADDRSPACE_ENOENT);
		return;
	}
	assert_int_equal(error, 0);
	assert_region_is(&region, page);
	if (page->backing == LINEAR)
		assert_int_equal(page_gpa(window, index) - region.backend.u.linear.offset,
				 page->hpa);
	assert_true(region.gpa >= window->gpa);
	first = (size_t)((region.gpa - window->gpa) / PAGE);
	last = first + (size_t)(region.size / PAGE) - 1;
	assert_true(first <= index && index <= last && last < window->count);
	assert_true(first == 0 || !same_region(window, first - 1));
	assert_true(last + 1 == window->count || !same_region(window, last));
	assert_true(first == last || same_region(window, first));
	assert_true(first == last || same_region(window, last - 1));
}

static void compare_page(const struct window *window, size_t index)
{
	if (index >= window->count)
		return;
	compare_byte(window, page_gpa(window, index) + pick(PAGE));
	compare_region(window, index);
}

/** Both sides of both edges, and some pages inside. */
static void compare_edges(const struct span *span)
{
	size_t behind = span->first + span->count;

	if (span->first)
		compare_page(span->window, span->first - 1);
	compare_page(span->window, span->first);
	compare_page(span->window, behind - 1);
	compare_page(span->window, behind);
	for (unsigned i = 0; i < 4; i++)
		compare_page(span->window, span->first + (size_t)pick(span->count));
	compare_page(span->window, span->first & ~(size_t)511);
	compare_page(span->window, behind | 511);
}

/** All pages of a window. A leaf is asked for once and held against each of its pages. */
static void compare_window(const struct window *window)
{
	size_t step;

	for (size_t index = 0; index < window->count; index += step) {
		uint64_t gpa = page_gpa(window, index);
		uint64_t leaf_size = compare_byte(window, gpa);
		const struct page *page = &window->pages[index];

		step = (size_t)((leaf_size - gpa % leaf_size) / PAGE);
		assert_true(step <= window->count - index);
		for (size_t i = 1; i < step; i++) {
			assert_true(page[i].present && page[i].permissions == page->permissions);
			assert_int_equal(page[i].hpa, page->hpa + i * PAGE);
		}
		if (is_large_window(window) && !page->present)
			step = 1 + (size_t)pick(SPARSE_STEP);
	}
}

/** The set's own list of regions against the model's merged runs of pages. Returns their number. */
static uint64_t compare_regions(void)
{
	struct addrspace_region region = {0};
	uint64_t count = 0;
	uint64_t at = 0;

	while (addrspace_next_region(&player.fixture->as, at, &region) == 0) {
		struct window *window = window_at(region.gpa);

		assert_non_null(window);
		assert_true(count == 0 || region.gpa >= at);
		compare_region(window, (size_t)((region.gpa - window->gpa) / PAGE));
		at = region.gpa + region.size;
		count++;
	}
	return count;
}

/** Pages that have memory, and those of them that have it from the handler. */
static void count_pages(uint64_t *present, uint64_t *owned, uint64_t *regions)
{
	*present = 0;
	*owned = 0;
	*regions = 0;
	for (unsigned i = 0; i < player.window_count; i++) {
		const struct window *window = &player.windows[i];

		for (size_t k = 0; k < window->count; k++) {
			const struct page *page = &window->pages[k];

			*present += page->present;
			*owned += page->present && page->backing != LINEAR;
			*regions +=
				page->backing != NOTHING && (k == 0 || !same_region(window, k - 1));
		}
	}
}

static void compare_statistics(void)
{
	const struct fake_machine *machine = &player.fixture->machine;
	struct addrspace_statistics statistics;
	uint64_t present, owned, regions;

	count_pages(&present, &owned, &regions);
	assert_int_equal(addrspace_statistics(&player.fixture->as, &statistics), 0);
	assert_int_equal(statistics.regions, regions);
	assert_int_equal(statistics.data_frames, owned);
	assert_int_equal(statistics.leaves_4k + 512 * statistics.leaves_2m +
				 512 * 512 * statistics.leaves_1g,
			 present);
	assert_int_equal(statistics.table_frames, machine->live[ADDRSPACE_FRAME_ROOT] +
							  machine->live[ADDRSPACE_FRAME_TABLE]);
	assert_int_equal(statistics.region_nodes, machine->live[ADDRSPACE_FRAME_REGION_NODE]);
	assert_int_equal(owned, machine->live[ADDRSPACE_FRAME_GUEST]);
	assert_int_equal(compare_regions(), regions);
}

static void compare_everything(void)
{
	fixture_check(player.fixture);
	for (unsigned i = 0; i < player.window_count; i++)
		compare_window(&player.windows[i]);
	compare_statistics();
}

/* ---- operations ---- */

/** Has CPUs hold some of the range, its ends above all: what an invalidation of it must reach. */
static void warm_range(uint64_t gpa, uint64_t end)
{
	uint64_t pages = (end - gpa) / PAGE;

	for (unsigned i = 0; i < WARM_PAGES; i++) {
		uint64_t index = one_in(4) ? pages - 1 : pick(pages);

		fake_cpu_access(&player.fixture->machine, (unsigned)pick(FAKE_CPUS),
				gpa + index * PAGE, 1u << pick(3), NULL);
	}
}

/** Runs before the library is called: perhaps an allocation is to fail, perhaps CPUs spin. */
static uint64_t begin_call(uint64_t gpa, uint64_t end)
{
	struct fake_machine *machine = &player.fixture->machine;

	player.focus_gpa = gpa;
	player.focus_end = end;

	warm_range(gpa, end);
	if (one_in(5))
		machine->fail_at = 1 + pick(6);
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		fake_cpu_set_spinning(&machine->cpus[cpu], one_in(8));
	return machine->counters.failed_allocations;
}

/** True if an allocation has failed meanwhile: then the call must have said so. */
static bool end_call(uint64_t failed_before)
{
	struct fake_machine *machine = &player.fixture->machine;
	bool failed = machine->counters.failed_allocations != failed_before;

	machine->fail_at = 0;
	player.failures += failed;
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		fake_cpu_set_spinning(&machine->cpus[cpu], false);
	return failed;
}

static void fill_span(const struct span *span, enum backing backing, uint64_t hpa,
		      const struct addrspace_attributes *attributes)
{
	struct page now = {
		.backing = (uint8_t)backing,
		.permissions = (uint8_t)attributes->permissions,
		.memory_type = (uint8_t)attributes->memory_type,
		.cookie = (uint8_t)attributes->cookie,
		.present = backing == LINEAR || backing == POPULATED,
	};

	for (size_t i = 0; i < span->count; i++) {
		struct page *page = &span->window->pages[span->first + i];

		now.hpa = backing == TRAP ? hpa : hpa + i * PAGE;
		set_page(page, &now);
		if (backing == POPULATED)
			page->hpa = hpa_of_owned(page_gpa(span->window, span->first + i));
	}
}

/** What a map over this range has to answer. */
static int expected_of_map(const struct span *span, unsigned flags, bool failed)
{
	if (!(flags & ADDRSPACE_MAP_REPLACE) && !span_is_free(span))
		return ADDRSPACE_EEXIST;
	return failed ? ADDRSPACE_ENOMEM : 0;
}

static void map_linear(void)
{
	static const uint64_t alignments[] = {PAGE, LARGE, GIB, GIB};
	struct addrspace_attributes attributes = pick_attributes();
	uint64_t alignment = alignments[pick(4)];
	bool small = alignment == PAGE || layout_largest_leaf(player.fixture->layout) == PAGE;
	struct span span = pick_span(small ? SMALL_LEAVES_MOST : 512 * 512);
	uint64_t hpa = pick_hpa(span_gpa(&span), span_size(&span), alignment);
	unsigned flags = one_in(2) ? ADDRSPACE_MAP_REPLACE : 0;
	uint64_t before = begin_call(span_gpa(&span), span_gpa(&span) + span_size(&span));
	int error = addrspace_map_linear(&player.fixture->as, span_gpa(&span), span_size(&span),
					 hpa, &attributes, flags);

	assert_int_equal(error, expected_of_map(&span, flags, end_call(before)));
	if (!error)
		fill_span(&span, LINEAR, hpa, &attributes);
	compare_edges(&span);
}

/** To the end, in steps of any budget; a populate that fails is given up. */
static int take_steps(struct addrspace_job *job)
{
	struct fake_machine *machine = &player.fixture->machine;
	int error = 0;
	int result;

	machine->allow_unlocked = true;
	do {
		result = addrspace_job_step(job, 1 + pick(600));
		if (result < 0) {
			error = result;
			result = 1;
			assert_int_equal(addrspace_job_cancel(job), 0);
		}
	} while (result);
	machine->allow_unlocked = false;
	return error;
}

typedef int (*job_begin)(struct addrspace *as, struct addrspace_job *job, uint64_t gpa,
			 uint64_t size);

static int change_in_steps(job_begin begin, uint64_t gpa, uint64_t end)
{
	struct addrspace_job job;
	int error = begin(&player.fixture->as, &job, gpa, end - gpa);

	return error ? error : take_steps(&job);
}

static int populate_in_steps(uint64_t gpa, uint64_t size,
			     const struct addrspace_attributes *attributes)
{
	struct addrspace_job job;
	int error = addrspace_populate_begin(&player.fixture->as, &job, gpa, size, attributes);

	return error ? error : take_steps(&job);
}

static void map_alloc(void)
{
	struct addrspace_attributes attributes = pick_attributes();
	unsigned flags = (unsigned)pick(4);
	bool populate = flags & ADDRSPACE_MAP_POPULATE;
	struct span span = pick_span(populate ? POPULATE_MOST : 512 * 512);
	uint64_t before = begin_call(span_gpa(&span), span_gpa(&span) + span_size(&span));
	int error;

	if (flags == ADDRSPACE_MAP_POPULATE && one_in(2))
		error = populate_in_steps(span_gpa(&span), span_size(&span), &attributes);
	else
		error = addrspace_map_alloc(&player.fixture->as, span_gpa(&span), span_size(&span),
					    &attributes, flags);

	assert_int_equal(error, expected_of_map(&span, flags, end_call(before)));
	if (!error)
		fill_span(&span, populate ? POPULATED : LAZY, 0, &attributes);
	compare_edges(&span);
}

static void map_trap(void)
{
	struct addrspace_attributes attributes = {
		.permissions = (unsigned)pick(8),
		.cookie = pick(2),
	};
	struct span span = pick_span(512 * 512);
	unsigned flags = one_in(2) ? ADDRSPACE_MAP_REPLACE : 0;
	uint64_t before = begin_call(span_gpa(&span), span_gpa(&span) + span_size(&span));
	int error = addrspace_map_trap(&player.fixture->as, span_gpa(&span), span_size(&span),
				       &attributes, flags);

	assert_int_equal(error, expected_of_map(&span, flags, end_call(before)));
	if (!error)
		fill_span(&span, TRAP, span_gpa(&span), &attributes);
	compare_edges(&span);
}

/** A span, or rarely all from one window into another, whatever lies between. */
static void pick_range(struct span *span, uint64_t *gpa, uint64_t *end)
{
	struct span other = pick_span(512 * 512);

	*span = pick_span(512 * 512);
	*gpa = span_gpa(span);
	*end = *gpa + span_size(span);
	if (one_in(24) && span_gpa(&other) > *end)
		*end = span_gpa(&other) + span_size(&other);
}

static void unmap(void)
{
	static const struct page nothing;
	uint64_t gpa, end, before;
	struct span span;
	int error;

	pick_range(&span, &gpa, &end);
	before = begin_call(gpa, end);
	error = one_in(2) ? addrspace_unmap(&player.fixture->as, gpa, end - gpa)
			  : change_in_steps(addrspace_unmap_begin, gpa, end);
	assert_int_equal(error, end_call(before) ? ADDRSPACE_ENOMEM : 0);
	if (!error)
		for_pages(gpa, end, forget_page, &nothing);
	compare_edges(&span);
}

static void protect(void)
{
	struct page now = {.permissions = (uint8_t)pick_permissions()};
	uint64_t gpa, end, before;
	struct span span;
	bool failed;
	int error;

	pick_range(&span, &gpa, &end);
	before = begin_call(gpa, end);
	error = addrspace_protect(&player.fixture->as, gpa, end - gpa, now.permissions);
	failed = end_call(before);
	if (!range_is_full(gpa, end))
		assert_int_equal(error, ADDRSPACE_ENOENT);
	else
		assert_int_equal(error, failed ? ADDRSPACE_ENOMEM : 0);
	if (!error)
		for_pages(gpa, end, protect_page, &now);
	compare_edges(&span);
}

/** The size of the leaf at gpa, also of one without permissions; 0: none. */
static uint64_t leaf_at(uint64_t gpa)
{
	struct addrspace_run run;

	if (addrspace_next_run(&player.fixture->as, gpa, &run) || run.gpa > gpa)
		return 0;
	return run.leaf_size;
}

/** True if one leaf of this size could map all of the slot at gpa. */
static bool is_one_run(const struct window *window, uint64_t gpa, uint64_t size)
{
	size_t first = (size_t)((gpa - window->gpa) / PAGE);
	const struct page *page = &window->pages[first];

	if (!page->present || page->hpa % size)
		return false;
	for (size_t i = 0; i + 1 < size / PAGE; i++) {
		if (!page[i + 1].present || page[i].hpa + PAGE != page[i + 1].hpa ||
		    !same_region(window, first + i))
			return false;
	}
	return true;
}

/** What the leaves of the slots of 2 MiB in [gpa, end) sum up to. */
static uint64_t sum_of_leaves(uint64_t gpa, uint64_t end, uint64_t larger_than)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < player.window_count; i++) {
		const struct window *window = &player.windows[i];

		for (uint64_t at = window->gpa; at < page_gpa(window, window->count); at += LARGE)
			if (at >= gpa && at + LARGE <= end && leaf_at(at) > larger_than)
				bytes += LARGE;
	}
	return bytes;
}

/** After a collapse of [gpa, end): each slot of this size in it has a leaf of its own or a larger one, if
 * and only if one can map it. */
static void compare_slots(uint64_t gpa, uint64_t end, uint64_t size)
{
	for (unsigned i = 0; i < player.window_count; i++) {
		const struct window *window = &player.windows[i];
		uint64_t at = (window->gpa + size - 1) & ~(size - 1);

		for (; at + size <= page_gpa(window, window->count); at += size) {
			if (at < gpa || at + size > end)
				continue;
			assert_int_equal(leaf_at(at) >= size, is_one_run(window, at, size));
		}
	}
}

/** Takes a page of a large leaf out and makes it like its neighbours again, so that there is something to
 * collapse; the span becomes what that leaf may have been. */
static void split_somewhere(struct span *span)
{
	struct addrspace *as = &player.fixture->as;

	for (unsigned i = 0; i < 64; i++) {
		uint64_t gpa = pick_gpa() & ~(PAGE - 1);
		const struct page *page = page_at(gpa);
		uint64_t size = leaf_at(gpa);

		if (size <= PAGE || !page->permissions)
			continue;
		assert_int_equal(addrspace_protect(as, gpa, PAGE, 0), 0);
		assert_int_equal(addrspace_protect(as, gpa, PAGE, page->permissions), 0);
		span->window = window_at(gpa);
		span->first = (size_t)(((gpa & ~(size - 1)) - span->window->gpa) / PAGE);
		span->count = (size_t)(size / PAGE);
		return;
	}
}

static void collapse(void)
{
	const uint64_t largest = layout_largest_leaf(player.fixture->layout);
	uint64_t gpa, end, before;
	uint64_t collapsed = 0;
	uint64_t small, medium;
	struct span span;

	pick_range(&span, &gpa, &end);
	if (!one_in(4)) {
		split_somewhere(&span);
		gpa = span_gpa(&span);
		end = gpa + span_size(&span);
	}
	small = sum_of_leaves(gpa, end, PAGE);
	medium = sum_of_leaves(gpa, end, LARGE);
	before = begin_call(gpa, end);
	player.fixture->machine.fail_at = 1; /* it takes nothing */
	assert_int_equal(addrspace_collapse(&player.fixture->as, gpa, end - gpa, &collapsed), 0);
	assert_int_equal(player.fixture->machine.fail_at, 1);
	assert_false(end_call(before));
	if (largest >= LARGE)
		compare_slots(gpa, end, LARGE);
	if (largest >= GIB)
		compare_slots(gpa, end, GIB);
	small = sum_of_leaves(gpa, end, PAGE) - small;
	medium = sum_of_leaves(gpa, end, LARGE) - medium;
	/* What became 1 GiB may have been 2 MiB, or pages: those count once. */
	assert_true(collapsed >= small && collapsed >= medium && collapsed <= small + medium);
	player.collapses += collapsed != 0;
	compare_edges(&span);
}

static void discard_page(struct page *page, const struct page *now)
{
	(void)now;
	page->backing = LAZY;
	page->present = false;
	page->hpa = 0;
}

/** What discarding a range has to answer, if no allocation fails. */
static int expected_of_discard(uint64_t gpa, uint64_t end)
{
	if (!range_is_full(gpa, end))
		return ADDRSPACE_ENOENT;
	for (; gpa < end; gpa += PAGE) {
		if (page_at(gpa)->backing == LINEAR || page_at(gpa)->backing == TRAP)
			return ADDRSPACE_ENOTSUP;
	}
	return 0;
}

/** A range where mostly a discard can succeed: it ends where memory of the handler's ends. */
static void pick_discard(struct span *span, uint64_t *gpa, uint64_t *end)
{
	size_t count = 1;

	pick_range(span, gpa, end);
	if (one_in(8))
		return;
	for (unsigned i = 0; i < 8; i++) {
		uint8_t backing = span->window->pages[span->first].backing;

		if (backing == LAZY || backing == POPULATED)
			break;
		*span = pick_span(512 * 512);
	}
	*gpa = span_gpa(span);
	while (count < span->count &&
	       expected_of_discard(*gpa + count * PAGE, *gpa + (count + 1) * PAGE) == 0)
		count++;
	span->count = count;
	*end = *gpa + span_size(span);
}

static void discard(void)
{
	uint64_t gpa, end, before;
	struct span span;
	int expected;
	bool failed;
	int error;

	pick_discard(&span, &gpa, &end);
	expected = expected_of_discard(gpa, end);
	before = begin_call(gpa, end);
	error = one_in(2) ? addrspace_discard(&player.fixture->as, gpa, end - gpa)
			  : change_in_steps(addrspace_discard_begin, gpa, end);
	failed = end_call(before);
	assert_int_equal(error, failed && !expected ? ADDRSPACE_ENOMEM : expected);
	if (!error)
		for_pages(gpa, end, discard_page, NULL);
	player.discards += !error;
	compare_edges(&span);
}

/** The moved page's frame: a linear one stays the test's, an owned one becomes the space's. */
static void record_move(uint64_t gpa, uint64_t new_hpa)
{
	struct page *page = page_at(gpa);
	struct page now = *page;

	now.hpa = new_hpa;
	now.lent = page->backing == LINEAR;
	if (!now.lent)
		fake_machine_hand_over(&player.fixture->machine, new_hpa, gpa, page->cookie);
	set_page(page, &now);
}

static void replace_frame(void)
{
	struct fake_machine *machine = &player.fixture->machine;
	uint64_t gpa = pick_gpa() & ~(PAGE - 1);
	const struct page *page = page_at(gpa);
	bool copies = page->present && page->backing != LINEAR;
	struct span span = {.window = window_at(gpa), .count = 1};
	uint64_t new_hpa = fake_machine_lend(machine, 0);
	uint64_t before = begin_call(gpa, gpa + PAGE);
	int error = addrspace_replace_frame(&player.fixture->as, gpa, new_hpa,
					    copies ? fake_machine_copy_frame : NULL, machine);
	bool failed = end_call(before);

	if (!page->present)
		assert_int_equal(error, ADDRSPACE_ENOENT);
	else
		assert_int_equal(error, failed ? ADDRSPACE_ENOMEM : 0);
	if (error)
		fake_machine_take_back(machine, new_hpa);
	else
		record_move(gpa, new_hpa);
	span.first = (size_t)((gpa - span.window->gpa) / PAGE);
	compare_edges(&span);
}

/** What a fault has to answer, if no allocation fails. */
static int expected_of_fault(const struct page *page, unsigned access)
{
	if (page->backing == NOTHING)
		return ADDRSPACE_FAULT_NOT_BACKED;
	if (access & ~page->permissions)
		return ADDRSPACE_FAULT_DENIED;
	if (page->backing == TRAP)
		return ADDRSPACE_FAULT_EMULATE;
	return page->present ? ADDRSPACE_FAULT_ALREADY_RESOLVED : ADDRSPACE_FAULT_RESOLVED;
}

/** What the racing CPU's fault did. */
static void finish_race(void)
{
	player.race_armed = false;
	if (!player.race_run)
		return;
	player.race_run = false;
	player.races++;
	assert_int_equal(player.race_outcome,
			 expected_of_fault(page_at(player.race_gpa), ADDRSPACE_READ));
	if (player.race_outcome == ADDRSPACE_FAULT_RESOLVED)
		learn_frame(player.race_gpa);
}

static void handle_fault(void)
{
	struct fake_machine *machine = &player.fixture->machine;
	uint64_t gpa = one_in(2) ? pick_gpa() : pick_fault();
	const struct page *page = page_at(gpa);
	unsigned access = one_in(2) ? ADDRSPACE_READ : (unsigned)(1 + pick(7));
	struct addrspace_region region;
	uint64_t before = begin_call(gpa, gpa + PAGE);
	bool was_present = page->present;
	int expected = expected_of_fault(page, access);
	int outcome;
	bool failed;

	player.race_armed = machine->fail_at == 0 && one_in(2);
	player.race_gpa = one_in(2) || !page_at(gpa + PAGE) ? gpa : gpa + PAGE;
	fake_machine_set_cpu(machine, (unsigned)pick(FAKE_CPUS));
	outcome = addrspace_handle_fault(&player.fixture->as, gpa, access, &region);
	fake_machine_set_cpu(machine, 0);
	failed = end_call(before);
	finish_race();
	if (page->present && !was_present)
		expected = ADDRSPACE_FAULT_ALREADY_RESOLVED; /* the race was lost */
	assert_int_equal(outcome, failed ? ADDRSPACE_FAULT_OUT_OF_MEMORY : expected);
	if (outcome == ADDRSPACE_FAULT_RESOLVED)
		learn_frame(gpa);
	if (page->backing == NOTHING)
		assert_int_equal(region.size, 0);
	else
		assert_region_is(&region, page);
	compare_page(window_at(gpa), (size_t)((gpa - window_at(gpa)->gpa) / PAGE));
}

/** What the hypervisor's access of the word at gpa must answer. */
static int expected_of_access(const struct page *page, unsigned access, unsigned flags)
{
	if (page->backing == NOTHING)
		return ADDRSPACE_ENOENT;
	if (page->backing == TRAP)
		return ADDRSPACE_ENOTSUP;
	if (access & ~page->permissions && !(flags & ADDRSPACE_ACCESS_OVERRIDE))
		return ADDRSPACE_EACCES;
	if (page->memory_type == ADDRSPACE_DEVICE && !(flags & ADDRSPACE_ACCESS_DEVICE))
		return ADDRSPACE_ENOTSUP;
	return page->present || flags & ADDRSPACE_ACCESS_FAULT_IN ? 0 : ADDRSPACE_ENOENT;
}

/** The hypervisor reads or writes a word as the guest would. */
static void access_memory(void)
{
	const unsigned flags = ADDRSPACE_ACCESS_PREPARE | (unsigned)pick(8);
	uint64_t gpa = (one_in(2) ? pick_gpa() : pick_fault()) & ~UINT64_C(7);
	const struct page *page = page_at(gpa);
	unsigned access = one_in(2) ? ADDRSPACE_READ : ADDRSPACE_WRITE;
	uint64_t value = fake_machine_token(gpa);
	bool was_present = page->present;
	int expected = expected_of_access(page, access, flags);
	uint64_t before;
	bool failed;
	int error;

	/* Host memory of devices is not there to be read. */
	if (page->backing == LINEAR && !page->lent)
		return;
	before = begin_call(gpa, gpa + PAGE);
	player.race_armed = player.fixture->machine.fail_at == 0 && one_in(2);
	player.race_gpa = one_in(2) || !page_at(gpa + PAGE) ? gpa : gpa + PAGE;
	error = access == ADDRSPACE_READ
			? addrspace_load(&player.fixture->as, gpa, 8, &value, flags)
			: addrspace_store(&player.fixture->as, gpa, 8, value, flags);
	failed = end_call(before);
	finish_race();
	assert_int_equal(error, failed && !page->present ? ADDRSPACE_ENOMEM : expected);
	if (!error && !page->present)
		learn_frame(gpa);
	player.accesses += !error && !was_present;
	if (!error)
		assert_true(value == 0 || value == fake_machine_token(gpa));
	if (page->backing != NOTHING)
		compare_page(window_at(gpa), (size_t)((gpa - window_at(gpa)->gpa) / PAGE));
}

/** All lazy pages of the range have come, if they were not there. */
static void learn_frames(uint64_t gpa, uint64_t end)
{
	for (; gpa < end; gpa += PAGE) {
		if (page_at(gpa)->backing == LAZY && !page_at(gpa)->present)
			learn_frame(gpa);
	}
}

static int expected_of_prefault(uint64_t gpa, uint64_t end)
{
	if (!range_is_full(gpa, end))
		return ADDRSPACE_ENOENT;
	for (; gpa < end; gpa += PAGE) {
		if (page_at(gpa)->backing == TRAP)
			return ADDRSPACE_ENOTSUP;
	}
	return 0;
}

static void prefault(void)
{
	unsigned flags = one_in(2) ? ADDRSPACE_PREFAULT_PARTIAL : 0;
	struct span span = pick_span(POPULATE_MOST);
	uint64_t gpa = span_gpa(&span);
	uint64_t end = gpa + span_size(&span);
	int expected = expected_of_prefault(gpa, end);
	uint64_t before = begin_call(gpa, end);
	uint64_t done = UINT64_MAX;
	bool failed;
	int error;

	player.race_armed = flags && player.fixture->machine.fail_at == 0 && one_in(2);
	player.race_gpa = gpa + pick(end - gpa);
	error = addrspace_prefault(&player.fixture->as, gpa, end - gpa, flags, &done);
	failed = end_call(before);
	finish_race();
	assert_int_equal(error, failed && !expected ? ADDRSPACE_ENOMEM : expected);
	assert_true(error ? done < end - gpa : done == end - gpa);
	assert_true(done % PAGE == 0 && (flags || !error || !done));
	if (!expected)
		learn_frames(gpa, gpa + done);
	player.prefaults += !error;
	compare_edges(&span);
}

/** The guest runs; its faults are answered as a hypervisor would. */
static void run_guest(void)
{
	for (uint64_t i = 1 + pick(8); i > 0; i--) {
		uint64_t gpa = pick_gpa();
		const struct page *page = page_at(gpa);
		unsigned access = 1u << pick(3);
		int expected = expected_of_fault(page, access);
		int outcome = fixture_guest(player.fixture, (unsigned)pick(FAKE_CPUS), gpa, access);

		if (expected == ADDRSPACE_FAULT_RESOLVED && outcome == expected)
			learn_frame(gpa);
		if (expected == ADDRSPACE_FAULT_ALREADY_RESOLVED)
			expected = ADDRSPACE_FAULT_RESOLVED;
		assert_int_equal(outcome, expected);
	}
}

static void clear(void)
{
	static const struct page nothing;

	if (!one_in(12))
		return;
	begin_call(0, layout_limit(player.fixture->layout));
	player.fixture->machine.fail_at = 1; /* it takes nothing */
	addrspace_clear(&player.fixture->as);
	assert_int_equal(player.fixture->machine.fail_at, 1);
	end_call(player.fixture->machine.counters.failed_allocations);
	for_pages(0, layout_limit(player.fixture->layout), forget_page, &nothing);
	take_lent_frames_back();
	compare_everything();
}

static void flush_a_cpu(void)
{
	fake_cpu_flush(&player.fixture->machine.cpus[pick(FAKE_CPUS)]);
	change_hot_addresses();
}

static void play_one(void)
{
	static void (*const calls[])(void) = {
		map_linear, map_linear, map_alloc,     map_alloc,     unmap,         unmap,
		protect,    protect,    replace_frame, handle_fault,  handle_fault,  run_guest,
		run_guest,  run_guest,  flush_a_cpu,   clear,         discard,       discard,
		map_trap,   collapse,   collapse,      access_memory, access_memory, prefault,
	};

	calls[pick(sizeof(calls) / sizeof(calls[0]))]();
	take_lent_frames_back();
	if (player.operation % OPERATIONS_A_CHECK == 0)
		fixture_check(player.fixture);
	if (player.operation % OPERATIONS_A_SWEEP == 0)
		compare_everything();
}

/* ---- the test ---- */

static uint64_t mix_name(uint64_t seed, const char *name)
{
	for (; *name; name++)
		seed = (seed ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return seed;
}

static int start(void **state)
{
	int error = fixture_setup(state);
	struct fixture *fixture = *state;

	if (error)
		return error;
	player = (struct player){.fixture = fixture};
	player.seed = number_from("ADDRSPACE_SEED", DEFAULT_SEED);
	player.operations = number_from("ADDRSPACE_OPERATIONS", DEFAULT_OPERATIONS);
	player.random = mix_name(player.seed, fixture->layout->name);
	add_windows(fixture->layout);
	fake_machine_register_linear(&fixture->machine, DEVICE, DEVICE_SIZE);
	fixture->machine.interlude = play_other_cpus;
	fixture->machine.runs_join = true;
	return 0;
}

static int stop(void **state)
{
	if (!player.finished)
		print_error("[%s] ADDRSPACE_SEED=%" PRIu64 ", failed in operation %" PRIu64 "\n",
			    player.fixture->layout->name, player.seed, player.operation);
	player.fixture->machine.interlude = NULL;
	for (unsigned i = 0; i < player.window_count; i++)
		free(player.windows[i].pages);
	return fixture_teardown(state);
}

static void random_operations_match_a_flat_model(void **state)
{
	(void)state;
	print_message("[%s] ADDRSPACE_SEED=%" PRIu64 " ADDRSPACE_OPERATIONS=%" PRIu64 "\n",
		      player.fixture->layout->name, player.seed, player.operations);
	for (player.operation = 1; player.operation <= player.operations; player.operation++)
		play_one();
	compare_everything();
	/* of a short run nothing can be expected */
	assert_true(player.operations < DEFAULT_OPERATIONS || player.failures > 0);
	assert_true(player.operations < DEFAULT_OPERATIONS || player.races > 0);
	assert_true(player.operations < DEFAULT_OPERATIONS || player.discards > 0);
	assert_true(player.operations < DEFAULT_OPERATIONS || player.accesses > 0);
	assert_true(player.operations < DEFAULT_OPERATIONS || player.prefaults > 0);
	assert_true(player.operations < DEFAULT_OPERATIONS || player.collapses > 0 ||
		    layout_largest_leaf(player.fixture->layout) == PAGE);
	assert_true(player.operations < DEFAULT_OPERATIONS ||
		    player.fixture->machine.counters.hot_hits > 0);
	player.finished = true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_operations_match_a_flat_model, start, stop),
	};

	return run_over_layouts("random", tests, sizeof(tests) / sizeof(tests[0]));
}
