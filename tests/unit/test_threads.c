/* SPDX-License-Identifier: MIT */
/*
 * Real threads: faults against faults, a guest against every change of the layout, and two spaces that
 * share a handler. Meant for ThreadSanitizer (`make unit-threads`), and right without it.
 *
 * A thread is a CPU. As a guest it walks the tables itself, with the decoders of the fake machine, from
 * the root registers, between enter() and leave() of shootdown.h. Nothing here orders threads that the
 * library must order: the pool hands each frame over by that frame's own state, and threads meet by
 * relaxed counters. ADDRSPACE_SEED picks the sequences.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <addrspace/access.h>
#include <addrspace/job.h>
#include <addrspace/rwlock.h>
#include <addrspace/shootdown.h>

#include "layouts.h"
#include "subword.h"

#define CPUS        3
#define PAGE        ADDRSPACE_PAGE_SIZE
#define LARGE       (UINT64_C(2) << 20)
#define FRAMES      UINT64_C(4096)
#define POOL_HPA    UINT64_C(0x40000000)
#define LINEAR_HPA  UINT64_C(0x80000000)
#define LINEAR_SIZE LARGE
#define LINEAR_GPA  UINT64_C(0x10000000)
/* Pages on both sides of the place where another table begins. */
#define LAZY_PAGES  UINT64_C(32)
#define LAZY_GPA    (UINT64_C(0x40000000) - LAZY_PAGES / 2 * PAGE)
#define POISON      0xa5
#define STAY        16 /* accesses in one stay inside the guest */
#define CHANGES     100
#define RACED_PAGES 64

/** Host memory: the pool, then what linear regions name. */
static struct {
	uint8_t *pool;
	uint8_t *linear;
	uint32_t state[FRAMES]; /* 0: free; else its kind + 1 */
	uint64_t out;
} memory;

/** A VM. */
struct vm {
	struct addrspace as;
	struct addrspace_rwlock lock;
	struct addrspace_shootdown shootdown;
	struct addrspace_rwlock_cpu lock_cpus[CPUS];
	struct addrspace_shootdown_cpu shootdown_cpus[CPUS];
	struct paging_handler handler;
	struct fake_geometry geometry;
	const struct layout *layout;
	uint32_t kicked[CPUS];
};

/** What the threads of one test share. */
struct world {
	struct vm *vm;
	uint64_t stride;   /* raced pages are so far apart */
	uint64_t own;      /* each CPU's own page lies so far from the last one's */
	uint64_t resolved; /* faults that installed a page */
	uint32_t arrived;
	uint32_t done;
};

struct thread {
	struct world *world;
	unsigned cpu;
	pthread_t id;
};

static _Thread_local unsigned this_cpu;
static _Thread_local uint64_t random_state;

#define must(condition, ...)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_now(__LINE__, __VA_ARGS__);                                           \
	} while (0)

/** cmocka's assertions jump, which only its own thread may. */
static void __attribute__((format(printf, 2, 3), noreturn))
fail_now(int line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "test_threads.c:%d: CPU %u: ", line, this_cpu);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
	va_end(arguments);
	abort();
}

static uint64_t seed(void)
{
	const char *text = getenv("ADDRSPACE_SEED");

	return text ? strtoull(text, NULL, 0) : 1;
}

static void random_start(unsigned cpu)
{
	random_state = (seed() + 1) * UINT64_C(0x9e3779b97f4a7c15) + cpu;
}

/** Below bound. */
static uint64_t draw(uint64_t bound)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (random_state >> 33) % bound;
}

/* ---- the handler ---- */

static uint8_t *pointer(uint64_t hpa)
{
	if (hpa - LINEAR_HPA < LINEAR_SIZE)
		return memory.linear + (hpa - LINEAR_HPA);
	must(hpa - POOL_HPA < FRAMES * PAGE, "no memory at %" PRIx64, hpa);
	return memory.pool + (hpa - POOL_HPA);
}

static bool claim(uint64_t first, uint64_t count, uint32_t state)
{
	for (uint64_t i = 0; i < count; i++) {
		uint32_t unused = 0;

		if (__atomic_compare_exchange_n(&memory.state[first + i], &unused, state, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		while (i-- > 0)
			__atomic_store_n(&memory.state[first + i], 0, __ATOMIC_RELEASE);
		return false;
	}
	return true;
}

static bool allocate(void *ctx, const struct addrspace_frame_request *request,
		     struct addrspace_frame *frame)
{
	uint64_t count = UINT64_C(1) << request->order;
	uint64_t start = draw(FRAMES) & ~(count - 1);

	(void)ctx;
	for (uint64_t i = 0; i < FRAMES; i += count) {
		uint64_t first = (start + i) % FRAMES;

		if (!claim(first, count, (uint32_t)request->kind + 1))
			continue;
		__atomic_fetch_add(&memory.out, count, __ATOMIC_RELAXED);
		frame->hpa = POOL_HPA + first * PAGE;
		memset(pointer(frame->hpa), POISON, count * PAGE);
		return true;
	}
	return false;
}

static void release(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa)
{
	uint64_t count = UINT64_C(1) << request->order;

	(void)ctx;
	must((hpa - POOL_HPA) % (count * PAGE) == 0, "misaligned free of %" PRIx64, hpa);
	memset(pointer(hpa), POISON, count * PAGE);
	for (uint64_t i = 0; i < count; i++) {
		uint32_t *state = &memory.state[(hpa - POOL_HPA) / PAGE + i];
		uint32_t was = __atomic_exchange_n(state, 0, __ATOMIC_ACQ_REL);

		must(was == (uint32_t)request->kind + 1, "%" PRIx64 " freed as kind %u, was %d",
		     hpa, request->kind, (int)was - 1);
	}
	__atomic_fetch_sub(&memory.out, count, __ATOMIC_RELAXED);
}

static void prepare_frame(void *ctx, uint64_t hpa, uint64_t size)
{
	(void)ctx;
	(void)hpa;
	(void)size;
}

static void sync_table(void *ctx, const void *entries, size_t size)
{
	(void)ctx;
	(void)entries;
	(void)size;
}

static void kick(void *ctx, unsigned cpu)
{
	struct vm *vm = ctx;

	__atomic_store_n(&vm->kicked[cpu], 1, __ATOMIC_RELAXED);
}

static void invalidate(void *ctx, const struct addrspace_invalidation *invalidation)
{
	struct vm *vm = ctx;

	/* What this CPU had cached went with the fault. */
	if (invalidation->scope == ADDRSPACE_ALL_CPUS)
		addrspace_shootdown_invalidate(&vm->shootdown, kick, vm);
}

static void lock_shared(void *ctx)
{
	addrspace_rwlock_lock_shared(&((struct vm *)ctx)->lock, this_cpu);
}

static void unlock_shared(void *ctx)
{
	addrspace_rwlock_unlock_shared(&((struct vm *)ctx)->lock, this_cpu);
}

static void lock_exclusive(void *ctx)
{
	addrspace_rwlock_lock_exclusive(&((struct vm *)ctx)->lock);
}

static void unlock_exclusive(void *ctx)
{
	addrspace_rwlock_unlock_exclusive(&((struct vm *)ctx)->lock);
}

/* ---- VMs ---- */

static void vm_init(struct vm *vm, const struct layout *layout)
{
	struct addrspace_config config = {
		.format = layout->format,
		.handler = &vm->handler,
		.handler_ctx = vm,
		.gpa_bits = layout->gpa_bits,
		.levels = layout->levels,
		.cpu = {.features = layout->cpu_features, .host_bits = layout->host_bits},
		.host_pat = layout->host_pat,
	};
	const char *why;

	vm->layout = layout;
	vm->handler = (struct paging_handler){
		.allocate = allocate,
		.free = release,
		.direct_map_offset = (uintptr_t)memory.pool - POOL_HPA,
		.prepare_frame = prepare_frame,
		.sync_table = sync_table,
		.invalidate = invalidate,
		.lock_shared = lock_shared,
		.unlock_shared = unlock_shared,
		.lock_exclusive = lock_exclusive,
		.unlock_exclusive = unlock_exclusive,
	};
	addrspace_rwlock_init(&vm->lock, vm->lock_cpus, CPUS);
	must(!addrspace_shootdown_init(&vm->shootdown, vm->shootdown_cpus, CPUS), "shootdown");
	must(!addrspace_init(&vm->as, &config), "init");
	must(fake_geometry_of(&vm->geometry, &vm->as, layout, &why), "root registers: %s", why);
}

static void verify(struct vm *vm)
{
	struct addrspace_defect defect;

	if (addrspace_verify(&vm->as, &defect))
		fail_now(__LINE__, "verify: %s at %" PRIx64 ", level %u, entry %" PRIx64,
			 defect.what, defect.gpa, defect.level, defect.entry);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct vm *vm = aligned_alloc(128, sizeof(*vm));

	if (!world || !vm)
		return -1;
	memset(vm, 0, sizeof(*vm));
	if (!memory.pool) {
		memory.pool = aligned_alloc(LARGE, FRAMES * PAGE);
		memory.linear = aligned_alloc(LARGE, LINEAR_SIZE);
	}
	if (!memory.pool || !memory.linear)
		return -1;
	for (uint64_t at = 0; at < LINEAR_SIZE; at += PAGE) {
		uint64_t stamp = LINEAR_GPA + at;

		memcpy(memory.linear + at, &stamp, sizeof(stamp));
	}
	random_start(CPUS);
	vm_init(vm, *state);
	world->vm = vm;
	*state = world;
	return 0;
}

/** Tables, counts and the pool agree, and all comes back. */
static int teardown(void **state)
{
	struct addrspace_statistics statistics;
	struct world *world = *state;

	verify(world->vm);
	must(!addrspace_statistics(&world->vm->as, &statistics), "statistics");
	must(statistics.data_frames + statistics.table_frames + statistics.region_nodes ==
		     memory.out,
	     "%" PRIu64 " frames are out, the tables name others", memory.out);
	addrspace_destroy(&world->vm->as);
	must(!memory.out, "%" PRIu64 " frames leaked", memory.out);
	free(world->vm);
	free(world);
	return 0;
}

static void run(struct world *world, void *(*const routines[CPUS])(void *))
{
	struct thread threads[CPUS];

	world->arrived = 0;
	world->done = 0;
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		threads[cpu] = (struct thread){.world = world, .cpu = cpu};
		must(!pthread_create(&threads[cpu].id, NULL, routines[cpu], &threads[cpu]),
		     "pthread_create");
	}
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		must(!pthread_join(threads[cpu].id, NULL), "pthread_join");
}

static struct world *begin(struct thread *thread)
{
	this_cpu = thread->cpu;
	random_start(thread->cpu);
	return thread->world;
}

/** All threads go on together, as closely as can be had; orders nothing. */
static void meet(struct world *world, uint32_t round)
{
	__atomic_fetch_add(&world->arrived, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&world->arrived, __ATOMIC_RELAXED) < CPUS * (round + 1))
		sched_yield();
}

/* ---- faults against faults ---- */

static void map_lazy(struct vm *vm, uint64_t gpa, uint64_t size, unsigned flags)
{
	int error = addrspace_map_alloc(&vm->as, gpa, size, &fixture_rw, flags);

	must(!error, "map: %s", addrspace_error_name(error));
}

/** A page holds zeroes, or what a guest wrote to it: its address, and below that anything. */
static void check_word(uint64_t found, uint64_t gpa)
{
	must(!found || (found & ~(PAGE - 1)) == gpa, "page %" PRIx64 " holds %" PRIx64, gpa, found);
}

static void write_page(uint64_t hpa, uint64_t gpa)
{
	uint64_t *word = (uint64_t *)pointer(hpa);

	check_word(__atomic_load_n(word, __ATOMIC_RELAXED), gpa);
	__atomic_store_n(word, gpa | draw(PAGE), __ATOMIC_RELAXED);
}

static void fault_page(struct world *world, uint64_t gpa)
{
	struct addrspace_translation translation;
	int outcome = addrspace_handle_fault(&world->vm->as, gpa, ADDRSPACE_WRITE, NULL);

	if (outcome == ADDRSPACE_FAULT_RESOLVED)
		__atomic_fetch_add(&world->resolved, 1, __ATOMIC_RELAXED);
	else
		must(outcome == ADDRSPACE_FAULT_ALREADY_RESOLVED, "fault: %d", outcome);
	must(!addrspace_walk(&world->vm->as, gpa, &translation), "no leaf after a fault");
	write_page(translation.hpa, gpa);
}

static void *faulting(void *argument)
{
	struct thread *thread = argument;
	struct world *world = begin(thread);

	for (uint32_t i = 0; i < RACED_PAGES; i++) {
		meet(world, i);
		fault_page(world, LAZY_GPA + i * world->stride + thread->cpu * world->own);
		if (i % 32 == 8 + thread->cpu)
			verify(world->vm);
	}
	return NULL;
}

static void race_faults(struct world *world, uint64_t stride, uint64_t own, uint64_t pages)
{
	void *(*const routines[CPUS])(void *) = {faulting, faulting, faulting};
	struct addrspace_statistics statistics;

	world->stride = stride;
	world->own = own;
	map_lazy(world->vm, LAZY_GPA, RACED_PAGES * (stride + CPUS * own), 0);
	run(world, routines);
	assert_int_equal(world->resolved, pages);
	assert_int_equal(addrspace_statistics(&world->vm->as, &statistics), 0);
	assert_int_equal(statistics.data_frames, pages);
}

static void faults_on_the_same_pages_resolve_each_once(void **state)
{
	race_faults(*state, PAGE, 0, RACED_PAGES);
}

static void faults_on_the_same_pages_in_new_tables_resolve_each_once(void **state)
{
	race_faults(*state, LARGE, 0, RACED_PAGES);
}

static void faults_on_neighbours_share_their_new_tables(void **state)
{
	race_faults(*state, LARGE, PAGE, CPUS * RACED_PAGES);
}

static void faults_on_disjoint_ranges_do_not_meet(void **state)
{
	race_faults(*state, PAGE, RACED_PAGES * PAGE, CPUS * RACED_PAGES);
}

/* ---- a guest against changes ---- */

/** What a CPU has cached: one leaf, and one table of pages. */
struct tlb {
	bool valid;
	uint64_t gpa;
	uint64_t hpa;
	unsigned permissions;
	bool table_valid;
	uint64_t table_gpa;
	uint64_t table;
	unsigned table_permissions;
};

/** As hardware does: false is a fault. */
static bool walk(const struct vm *vm, uint64_t gpa, struct tlb *tlb)
{
	const struct fake_geometry *geometry = &vm->geometry;
	bool cached = tlb->table_valid && gpa / LARGE == tlb->table_gpa / LARGE;
	unsigned permissions = cached ? tlb->table_permissions
				      : ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
	uint64_t table = cached ? tlb->table : geometry->root_hpa;

	for (unsigned level = cached ? 1 : geometry->levels; level-- > 0;) {
		uint64_t index =
			(gpa >> fake_level_shift(level)) % fake_table_entries(geometry, level);
		uint64_t *slot = (uint64_t *)pointer(table) + index;
		uint64_t value = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
		struct fake_entry entry;

		geometry->walker->decode(geometry, level, value, &entry);
		must(entry.kind != FAKE_ENTRY_ILLEGAL, "entry %" PRIx64 " of %" PRIx64 ": %s",
		     value, gpa, entry.why);
		if (entry.kind == FAKE_ENTRY_ABSENT)
			return false;
		permissions &= entry.permissions;
		table = entry.hpa;
		if (entry.kind == FAKE_ENTRY_LEAF) {
			uint64_t offset = gpa & ((UINT64_C(1) << fake_level_shift(level)) - 1);

			tlb->valid = true;
			tlb->gpa = gpa;
			tlb->hpa = entry.hpa + offset;
			tlb->permissions = permissions;
			return true;
		}
		if (level == 1) {
			tlb->table_valid = true;
			tlb->table_gpa = gpa;
			tlb->table = table;
			tlb->table_permissions = permissions;
		}
	}
	fail_now(__LINE__, "no leaf on the way to %" PRIx64, gpa);
}

/** One access inside the guest: false is a fault. */
static bool access_page(struct vm *vm, uint64_t gpa, unsigned access, struct tlb *tlb)
{
	if (!(tlb->valid && tlb->gpa == gpa) && !walk(vm, gpa, tlb))
		return false;
	if (access & ~tlb->permissions)
		return false;
	if (access == ADDRSPACE_WRITE) {
		write_page(tlb->hpa, gpa);
	} else {
		check_word(__atomic_load_n((uint64_t *)pointer(tlb->hpa), __ATOMIC_RELAXED), gpa);
	}
	return true;
}

static uint64_t draw_page(void)
{
	if (draw(4))
		return LAZY_GPA + draw(LAZY_PAGES) * PAGE;
	return LINEAR_GPA + draw(LINEAR_SIZE / PAGE) * PAGE;
}

/** Inside until a kick, a fault or the end of the stay; the fault is left in *gpa and *access. */
static bool stay_in_guest(struct vm *vm, struct tlb *tlb, uint64_t *gpa, unsigned *access)
{
	bool faulted = false;

	__atomic_store_n(&vm->kicked[this_cpu], 0, __ATOMIC_RELAXED);
	if (addrspace_shootdown_enter(&vm->shootdown, this_cpu) > 0)
		*tlb = (struct tlb){0};
	for (unsigned i = 0; i < STAY && !faulted; i++) {
		/* Often the same page: what is cached must be used to be seen to be stale. */
		if (!tlb->valid || !draw(4))
			*gpa = draw_page();
		*access = draw(2) ? ADDRSPACE_WRITE : ADDRSPACE_READ;
		faulted = !access_page(vm, *gpa, *access, tlb);
		if (__atomic_load_n(&vm->kicked[this_cpu], __ATOMIC_RELAXED))
			break;
	}
	addrspace_shootdown_leave(&vm->shootdown, this_cpu);
	return faulted;
}

static void print_nothing(void *ctx, const char *line)
{
	(void)ctx;
	must(line[0], "an empty line");
}

/** The hypervisor does to a page of the pool what the guest does. */
static void access_memory(struct vm *vm, uint64_t gpa)
{
	uint64_t expected = 0;
	int result = addrspace_compare_exchange(&vm->as, gpa, sizeof(expected), &expected,
						gpa | draw(PAGE), ADDRSPACE_ACCESS_FAULT_IN);

	must(result == ADDRSPACE_EXCHANGED || result == ADDRSPACE_NOT_EXCHANGED ||
		     result == ADDRSPACE_ENOENT || result == ADDRSPACE_EACCES ||
		     result == ADDRSPACE_ENOTSUP,
	     "access at %" PRIx64 ": %d", gpa, result);
	check_word(expected, gpa);
}

/** Calls under the shared lock: none may be disturbed by faults. */
static void ask(struct vm *vm)
{
	struct addrspace_translation translation;
	struct addrspace_statistics statistics;
	struct addrspace_region region;
	struct addrspace_run leaves;
	uint64_t gpa = draw_page();

	switch (draw(8)) {
	case 0:
		addrspace_translate(&vm->as, gpa, &translation);
		break;
	case 1:
		addrspace_find_region(&vm->as, gpa, &region);
		break;
	case 2:
		addrspace_next_run(&vm->as, gpa, &leaves);
		break;
	case 3:
		must(!addrspace_statistics(&vm->as, &statistics), "statistics");
		break;
	case 4:
		must(!addrspace_dump(&vm->as, print_nothing, NULL), "dump");
		break;
	case 5:
	case 6:
		access_memory(vm, LAZY_GPA + draw(LAZY_PAGES) * PAGE);
		break;
	default:
		verify(vm);
	}
}

static void *guest(void *argument)
{
	struct world *world = begin(argument);
	struct vm *vm = world->vm;
	struct tlb tlb = {0};
	uint64_t gpa = LAZY_GPA;
	unsigned access;
	int outcome;

	while (!__atomic_load_n(&world->done, __ATOMIC_RELAXED)) {
		if (!draw(32))
			ask(vm);
		if (!stay_in_guest(vm, &tlb, &gpa, &access))
			continue;
		tlb.valid = false;
		outcome = addrspace_handle_fault(&vm->as, gpa, access, NULL);
		must((outcome >= 0 && outcome <= ADDRSPACE_FAULT_NOT_BACKED) ||
			     outcome == ADDRSPACE_FAULT_EMULATE,
		     "fault at %" PRIx64 ": %d", gpa, outcome);
	}
	return NULL;
}

static void copy_frame(void *ctx, uint64_t old_hpa, uint64_t new_hpa)
{
	(void)ctx;
	memcpy(pointer(new_hpa), pointer(old_hpa), PAGE);
}

static void move_page(struct vm *vm, uint64_t gpa)
{
	const struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST, .gpa = gpa};
	struct addrspace_frame frame;

	must(allocate(vm, &request, &frame), "no frame");
	if (addrspace_replace_frame(&vm->as, gpa, frame.hpa, copy_frame, NULL))
		release(vm, &request, frame.hpa);
}

static void map_linear(struct vm *vm)
{
	must(!addrspace_map_linear(&vm->as, LINEAR_GPA, LINEAR_SIZE, LINEAR_HPA, &fixture_rw,
				   ADDRSPACE_MAP_REPLACE),
	     "map linear");
}

static void take_steps(struct addrspace_job *job)
{
	int result;

	while ((result = addrspace_job_step(job, 1 + draw(8))) == 1)
		sched_yield();
	must(!result, "step: %d", result);
}

/** The range goes and comes again, in steps; or is given up on the way. */
static void change_in_steps(struct vm *vm, uint64_t gpa, uint64_t size)
{
	struct addrspace_job job;
	bool give_up = !draw(3);

	must(!addrspace_unmap_begin(&vm->as, &job, gpa, size), "unmap_begin");
	take_steps(&job);
	must(!addrspace_populate_begin(&vm->as, &job, gpa, size, &fixture_rw), "populate_begin");
	if (give_up && addrspace_job_step(&job, 1 + draw(4)) == 1)
		must(!addrspace_job_cancel(&job), "cancel");
	take_steps(&job);
}

/** Of the large leaf: another CPU may be in it all the time. */
static void split_and_collapse(struct vm *vm, uint64_t page)
{
	uint64_t collapsed = 0;

	map_linear(vm);
	must(!addrspace_protect(&vm->as, page, PAGE, ADDRSPACE_READ), "split");
	must(!addrspace_protect(&vm->as, page, PAGE, fixture_rw.permissions), "protect back");
	must(!addrspace_collapse(&vm->as, LINEAR_GPA, LINEAR_SIZE, &collapsed) &&
		     collapsed == LINEAR_SIZE,
	     "collapse of %" PRIx64 " bytes", collapsed);
}

/** No guest writes any more where it may only read: read as if nobody did. */
static void protect_pages(struct vm *vm, uint64_t gpa, uint64_t size)
{
	struct addrspace_translation translation;
	uint64_t end = gpa + size;

	if (addrspace_protect(&vm->as, gpa, size, ADDRSPACE_READ))
		return;
	for (; gpa < end; gpa += PAGE) {
		if (!addrspace_walk(&vm->as, gpa, &translation))
			check_word(*(const uint64_t *)pointer(translation.hpa), gpa);
	}
}

/** One change of the lazy region, or of the large leaf. What was not mapped there may be refused. */
static void change(struct vm *vm)
{
	uint64_t first = draw(LAZY_PAGES);
	uint64_t gpa = LAZY_GPA + first * PAGE;
	uint64_t size = (1 + draw(LAZY_PAGES - first)) * PAGE;
	uint64_t hole = LINEAR_GPA + draw(LINEAR_SIZE / PAGE) * PAGE;

	switch (draw(14)) {
	case 0:
		must(!addrspace_unmap(&vm->as, gpa, size), "unmap");
		break;
	case 1:
		map_lazy(vm, gpa, size, ADDRSPACE_MAP_REPLACE);
		break;
	case 2:
		map_lazy(vm, gpa, size, ADDRSPACE_MAP_REPLACE | ADDRSPACE_MAP_POPULATE);
		break;
	case 3:
		protect_pages(vm, gpa, size);
		break;
	case 4:
		addrspace_protect(&vm->as, gpa, size, 0);
		break;
	case 5:
		addrspace_protect(&vm->as, gpa, size, ADDRSPACE_READ | ADDRSPACE_WRITE);
		break;
	case 6:
		addrspace_discard(&vm->as, gpa, size);
		break;
	case 7:
		move_page(vm, gpa);
		break;
	case 8:
		map_linear(vm);
		must(!addrspace_unmap(&vm->as, hole, PAGE), "hole");
		break;
	case 9:
	case 10:
		change_in_steps(vm, gpa, size);
		break;
	case 11:
		must(!addrspace_map_trap(&vm->as, gpa, size, &fixture_rw, ADDRSPACE_MAP_REPLACE),
		     "trap");
		break;
	case 12:
		split_and_collapse(vm, hole);
		break;
	default:
		map_linear(vm);
		protect_pages(vm, hole, PAGE);
	}
}

static void *changing(void *argument)
{
	struct world *world = begin(argument);

	for (unsigned i = 0; i < CHANGES; i++) {
		change(world->vm);
		sched_yield();
	}
	__atomic_store_n(&world->done, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void guests_see_only_their_pages_while_the_layout_changes(void **state)
{
	void *(*const routines[CPUS])(void *) = {guest, guest, changing};
	struct world *world = *state;

	map_linear(world->vm);
	map_lazy(world->vm, LAZY_GPA, LAZY_PAGES * PAGE, 0);
	run(world, routines);
}

/* ---- two spaces ---- */

static void *destroying(void *argument)
{
	struct world *world = begin(argument);
	struct vm *other = aligned_alloc(128, sizeof(*other));

	must(other, "no memory");
	for (unsigned i = 0; i < 12; i++) {
		memset(other, 0, sizeof(*other));
		vm_init(other, world->vm->layout);
		map_lazy(other, LAZY_GPA, LAZY_PAGES / 2 * PAGE, ADDRSPACE_MAP_POPULATE);
		map_lazy(other, LAZY_GPA + LAZY_PAGES / 2 * PAGE, LAZY_PAGES / 2 * PAGE, 0);
		for (uint64_t page = 0; page < LAZY_PAGES; page++)
			must(addrspace_handle_fault(&other->as, LAZY_GPA + page * PAGE,
						    ADDRSPACE_READ, NULL) ==
				     (page < LAZY_PAGES / 2 ? ADDRSPACE_FAULT_ALREADY_RESOLVED
							    : ADDRSPACE_FAULT_RESOLVED),
			     "fault in the other space");
		verify(other);
		addrspace_destroy(&other->as);
	}
	free(other);
	__atomic_store_n(&world->done, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void destroy_of_another_space_leaves_faults_alone(void **state)
{
	void *(*const routines[CPUS])(void *) = {guest, guest, destroying};
	struct world *world = *state;

	map_linear(world->vm);
	map_lazy(world->vm, LAZY_GPA, LAZY_PAGES * PAGE, 0);
	run(world, routines);
}

/* ---- counting together ---- */

#define ROUNDS 2000u

/** Adds one to bytes that all threads add to. */
static void count(struct vm *vm, uint64_t gpa, unsigned size)
{
	uint64_t mask = (UINT64_C(1) << 8 * size) - 1;
	uint64_t expected = 0;
	int result;

	do {
		result = addrspace_compare_exchange(&vm->as, gpa, size, &expected,
						    (expected + 1) & mask,
						    ADDRSPACE_ACCESS_FAULT_IN);
		must(result >= 0, "exchange: %d", result);
	} while (result == ADDRSPACE_NOT_EXCHANGED);
}

static void *counting(void *argument)
{
	struct thread *thread = argument;
	struct world *world = begin(thread);
	/* Each its own byte, in a word that none owns. */
	uint8_t *own = memory.linear + PAGE + thread->cpu;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint64_t expected = i & 0xff;

		count(world->vm, LAZY_GPA + 6, 1);
		count(world->vm, LAZY_GPA + 2, 2);
		count(world->vm, LAZY_GPA + 8, 4);
		while (!subword_exchange(own, 1, &expected, (i + 1) & 0xff))
			must(expected == (i & 0xff), "another CPU wrote to our byte");
	}
	return NULL;
}

static void exchanges_lose_no_count(void **state)
{
	void *(*const routines[CPUS])(void *) = {counting, counting, counting};
	struct world *world = *state;
	uint64_t value;

	map_lazy(world->vm, LAZY_GPA, PAGE, 0);
	memset(memory.linear + PAGE, 0, 8);
	run(world, routines);
	assert_int_equal(addrspace_load(&world->vm->as, LAZY_GPA, 8, &value, 0), 0);
	assert_int_equal(value, (uint64_t)(CPUS * ROUNDS) << 16 | (uint64_t)(CPUS * ROUNDS & 0xff)
									  << 48);
	assert_int_equal(addrspace_load(&world->vm->as, LAZY_GPA + 8, 8, &value, 0), 0);
	assert_int_equal(value, CPUS * ROUNDS);
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(memory.linear[PAGE + i], ROUNDS & 0xff);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exchanges_lose_no_count),
		TEST(faults_on_the_same_pages_resolve_each_once),
		TEST(faults_on_the_same_pages_in_new_tables_resolve_each_once),
		TEST(faults_on_neighbours_share_their_new_tables),
		TEST(faults_on_disjoint_ranges_do_not_meet),
		TEST(guests_see_only_their_pages_while_the_layout_changes),
		TEST(destroy_of_another_space_leaves_faults_alone),
	};

	print_message("ADDRSPACE_SEED=%" PRIu64 "\n", seed());
	return run_over_canonical_layouts("threads", tests, sizeof(tests) / sizeof(tests[0]));
}
