/* SPDX-License-Identifier: MIT */
/* The story: step by step, what the hypervisor changes, which faults the guest must then take, and
 * what the books must say. */
#include "guest_layout.h"
#include "libc.h"
#include "machine.h"
#include "print.h"
#include "report.h"
#include "vm.h"

#define MAX_EXPECTED 16

struct step {
	const char *title;
	void (*change)(struct vm *vm); /* between two exits of the guest; may be NULL */
	struct expectation expected[MAX_EXPECTED];
	int64_t guest_frames;   /* more in use after the step */
	int64_t regions;        /* more of them after the step */
	uint64_t invalidations; /* during the change */
	void (*check)(struct vm *vm);
};

static uint64_t page(uint64_t number)
{
	return GUEST_PAGES + number * GUEST_PAGE;
}

/* ---- checks ---- */

static void check_flags(struct vm *vm, uint64_t gpa, bool dirty)
{
	struct addrspace_translation translation;

	require(addrspace_translate(&vm->as, gpa, &translation));
	if (!translation.accessed || translation.dirty != dirty)
		fail("the leaf of 0x%lx has accessed %u, dirty %u", gpa, translation.accessed,
		     translation.dirty);
}

static void check_only_accessed(struct vm *vm)
{
	for (uint64_t i = 0; i < GUEST_PAGE_COUNT / 2; i++)
		check_flags(vm, page(i), !vm->hardware_ad);
	if (vm->hardware_ad)
		print("    hardware says: these pages are accessed, and not dirty\n");
}

static void check_dirty(struct vm *vm)
{
	for (uint64_t i = 0; i < GUEST_PAGE_COUNT; i++)
		check_flags(vm, page(i), true);
	if (vm->hardware_ad)
		print("    hardware says: all %u pages are dirty\n", GUEST_PAGE_COUNT);
}

/** What the guest wrote must be where the hypervisor finds it, and be what it wrote. */
static void check_host_memory(struct vm *vm, uint64_t gpa)
{
	uint64_t seen = *(const uint64_t *)(uintptr_t)vm_host_address(vm, gpa);

	if (seen != guest_pattern(gpa, vm->salt))
		fail("guest memory at 0x%lx holds 0x%lx in the host", gpa, seen);
}

static void check_block(struct vm *vm)
{
	for (uint64_t at = 0; at < GUEST_BLOCK_SIZE; at += BLOCK_PROBE) {
		check_host_memory(vm, GUEST_BLOCK + at);
		if (vm_host_address(vm, GUEST_BLOCK + at) != MACHINE_BLOCK_HPA + at)
			fail("0x%lx of the block is elsewhere in the host", GUEST_BLOCK + at);
	}
	check_host_memory(vm, BLOCK_PROTECTED_PAGE);
}

static void check_moved(struct vm *vm)
{
	uint64_t now = vm_host_address(vm, page(PAGE_MOVED));

	check_host_memory(vm, page(PAGE_MOVED));
	if (now == vm->moved_from)
		fail("the page at 0x%lx has not moved", page(PAGE_MOVED));
}

static void check_swap_empty(struct vm *vm)
{
	for (unsigned i = 0; i < SWAP_SLOTS; i++)
		if (vm->memory.swapped[i].used)
			fail("the page at 0x%lx has not come back", vm->memory.swapped[i].gpa);
}

/* ---- changes ---- */

static void say_range(const char *what, uint64_t gpa, uint64_t size)
{
	print("    hypervisor: %s 0x%010lx, ", what, gpa);
	report_size(size, 1);
	print("\n");
}

static void protect(struct vm *vm, const char *what, uint64_t gpa, unsigned permissions)
{
	say_range(what, gpa, GUEST_PAGE);
	require(addrspace_protect(&vm->as, gpa, GUEST_PAGE, permissions));
}

static void unmap(struct vm *vm, uint64_t gpa, uint64_t size)
{
	say_range("unmaps", gpa, size);
	require(addrspace_unmap(&vm->as, gpa, size));
}

static void map_lazy(struct vm *vm, uint64_t gpa, uint64_t size)
{
	say_range("maps lazily", gpa, size);
	require(addrspace_map_alloc(&vm->as, gpa, size, &vm_lazy_attributes, 0));
}

static void zoom_block(struct vm *vm, const char *when, uint64_t gpa)
{
	uint64_t around = gpa & ~(BLOCK_LEAF - 1);

	print("    %s:\n", when);
	report_zoom(&vm->as, "block ", GUEST_BLOCK, 64, GUEST_BLOCK_SIZE / 64);
	report_zoom(&vm->as, "middle", around - 31 * BLOCK_LEAF, 64, BLOCK_LEAF);
	report_zoom(&vm->as, "page  ", gpa - 31 * GUEST_PAGE, 64, GUEST_PAGE);
}

/* One more 4 KiB table, and above it one of 2 MiB leaves if the block is a leaf of 1 GiB. */
static void check_split(const struct addrspace_statistics *before,
			const struct addrspace_statistics *after)
{
	uint64_t giant = before->leaves_1g;

	if (after->leaves_1g || after->leaves_4k != before->leaves_4k + 512 ||
	    after->leaves_2m != before->leaves_2m + giant * 512 - 1 ||
	    after->table_frames != before->table_frames + giant + 1)
		fail("the split has left %lu leaves of 1 GiB, %lu of 2 MiB, %lu of 4 KiB, "
		     "%lu tables",
		     after->leaves_1g, after->leaves_2m, after->leaves_4k, after->table_frames);
}

static void split_by_protect(struct vm *vm)
{
	struct addrspace_statistics before = vm_audit(vm);
	struct addrspace_statistics after;

	if (before.leaves_1g != 1 && before.leaves_2m != 512)
		fail("the block is not in large leaves");
	zoom_block(vm, "before", BLOCK_PROTECTED_PAGE);
	protect(vm, "makes read-only", BLOCK_PROTECTED_PAGE, ADDRSPACE_READ);
	zoom_block(vm, "after", BLOCK_PROTECTED_PAGE);
	after = vm_audit(vm);
	check_split(&before, &after);
}

static void split_by_unmap(struct vm *vm)
{
	unmap(vm, BLOCK_UNMAPPED_PAGE, GUEST_PAGE);
	zoom_block(vm, "after", BLOCK_UNMAPPED_PAGE);
}

static void unmap_pages(struct vm *vm)
{
	unmap(vm, page(PAGE_UNMAPPED), PAGE_UNMAPPED_COUNT * GUEST_PAGE);
}

static void map_pages_again(struct vm *vm)
{
	map_lazy(vm, page(PAGE_UNMAPPED), PAGE_UNMAPPED_COUNT * GUEST_PAGE);
}

static void protect_page(struct vm *vm)
{
	protect(vm, "makes read-only", page(PAGE_PROTECTED), ADDRSPACE_READ);
}

static void unprotect_page(struct vm *vm)
{
	protect(vm, "makes writable again", page(PAGE_PROTECTED), vm_lazy_attributes.permissions);
}

static void forbid_execution(struct vm *vm)
{
	protect(vm, "makes non-executable", GUEST_CODE, ADDRSPACE_READ | ADDRSPACE_WRITE);
}

static void copy_page(void *ctx, uint64_t old_hpa, uint64_t new_hpa)
{
	(void)ctx;
	memcpy((void *)(uintptr_t)new_hpa, (const void *)(uintptr_t)old_hpa, ADDRSPACE_PAGE_SIZE);
}

static void move_page(struct vm *vm)
{
	struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST,
						  .gpa = page(PAGE_MOVED)};
	uint64_t to;

	vm->moved_from = vm_host_address(vm, page(PAGE_MOVED));
	if (!frame_pool_take(&request, &to))
		fail("no frame to move to");
	require(addrspace_replace_frame(&vm->as, page(PAGE_MOVED), to, copy_page, NULL));
	print("    hypervisor: moves 0x%010lx from frame 0x%010lx to 0x%010lx, contents copied\n",
	      page(PAGE_MOVED), vm->moved_from, to);
}

static void evict(struct vm *vm, uint64_t gpa)
{
	say_range("swaps out", gpa, GUEST_PAGE);
	vm_memory_swap_out(&vm->memory, gpa, vm_host_address(vm, gpa));
	unmap(vm, gpa, GUEST_PAGE);
	map_lazy(vm, gpa, GUEST_PAGE);
}

/* The guest's alias of the page is translated by a table that is gone too. */
static void evict_page_and_table(struct vm *vm)
{
	evict(vm, page(PAGE_EVICTED));
	evict(vm, GUEST_ALIAS_TABLE);
}

static void run_out_of_memory(struct vm *vm)
{
	print("    hypervisor: has no frames for guests just now\n");
	vm->memory.no_guest_frames = true;
}

/* ---- the steps ---- */

#define FAULTS(first_, stride_, count_, access_, outcome_)                                         \
	{                                                                                          \
		.gpa = (first_), .stride = (stride_), .count = (count_),                           \
		.access = ADDRSPACE_##access_, .outcome = ADDRSPACE_FAULT_##outcome_               \
	}
#define FAULT(gpa_, access_, outcome_) FAULTS(gpa_, 0, 1, access_, outcome_)
#define PAGE(number)                   (GUEST_PAGES + (number)*GUEST_PAGE)
#define SCRATCH                        (GUEST_DEVICE + DEVICE_SCRATCH)

static const struct step steps[STEP_COUNT] = {
	[STEP_BOOT] =
		{
			.title = "the guest boots in populated memory; its second-level table is "
				 "in lazy memory",
			.expected = {FAULT(GUEST_ALIAS_TABLE, WRITE, RESOLVED)},
			.guest_frames = 1,
		},
	[STEP_LAZY_READ] =
		{
			.title = "it reads fresh lazy pages, which must be zero",
			.expected = {FAULTS(PAGE(0), GUEST_PAGE, GUEST_PAGE_COUNT / 2, READ,
					    RESOLVED)},
			.guest_frames = GUEST_PAGE_COUNT / 2,
			.check = check_only_accessed,
		},
	[STEP_LAZY_WRITE] =
		{
			.title = "it writes these pages and as many others",
			.expected = {FAULTS(PAGE(GUEST_PAGE_COUNT / 2), GUEST_PAGE,
					    GUEST_PAGE_COUNT / 2, WRITE, RESOLVED)},
			.guest_frames = GUEST_PAGE_COUNT / 2,
			.check = check_dirty,
		},
	[STEP_ROM] =
		{
			.title = "it reads a read-only region, and tries to write it",
			.expected = {FAULT(GUEST_ROM + 0x1238, WRITE, DENIED)},
		},
	[STEP_DEVICE] =
		{
			.title = "it uses a device that the hypervisor emulates, then an address "
				 "with nothing",
			.expected =
				{
					FAULT(GUEST_DEVICE + DEVICE_ID, READ, NOT_BACKED),
					FAULT(SCRATCH, WRITE, NOT_BACKED),
					FAULT(SCRATCH, READ, NOT_BACKED),
					FAULT(SCRATCH + 1, WRITE, NOT_BACKED),
					FAULT(SCRATCH + 1, READ, NOT_BACKED),
					FAULT(SCRATCH, READ, NOT_BACKED),
					FAULT(SCRATCH, WRITE, NOT_BACKED),
					FAULT(SCRATCH, READ, NOT_BACKED),
					FAULTS(GUEST_DEVICE + DEVICE_READS, 0, 2, READ, NOT_BACKED),
					FAULT(GUEST_NOWHERE, READ, NOT_BACKED),
				},
		},
	[STEP_GUARD] =
		{
			.title = "it touches a guard: a region without permissions",
			.expected =
				{
					FAULT(GUEST_GUARD + 0x10, READ, DENIED),
					FAULT(GUEST_GUARD + GUEST_GUARD_SIZE - 8, WRITE, DENIED),
				},
		},
	[STEP_HUGE] =
		{
			.title = "it touches both ends of a 4 GiB lazy region",
			.expected =
				{
					FAULT(GUEST_HUGE, READ, RESOLVED),
					FAULT(GUEST_HUGE + GUEST_HUGE_SIZE - GUEST_PAGE, WRITE,
					      RESOLVED),
				},
			.guest_frames = 2,
		},
	[STEP_BLOCK] =
		{
			.title = "it fills 1 GiB that large leaves map: no fault at all",
			.check = check_block,
		},
	[STEP_SPLIT_PROTECT] =
		{
			.title = "one page in the middle of the large leaf becomes read-only",
			.change = split_by_protect,
			.expected = {FAULT(BLOCK_PROTECTED_PAGE, WRITE, DENIED)},
			.regions = 2,
			.invalidations = 1,
			.check = check_block,
		},
	[STEP_SPLIT_UNMAP] =
		{
			.title = "another page of it goes",
			.change = split_by_unmap,
			.expected = {FAULT(BLOCK_UNMAPPED_PAGE, READ, NOT_BACKED)},
			.regions = 1,
			.invalidations = 1,
			.check = check_block,
		},
	[STEP_UNMAP] =
		{
			.title = "lazy pages that the guest uses go",
			.change = unmap_pages,
			.expected = {FAULTS(PAGE(PAGE_UNMAPPED), GUEST_PAGE, PAGE_UNMAPPED_COUNT,
					    READ, NOT_BACKED)},
			.guest_frames = -PAGE_UNMAPPED_COUNT,
			.regions = 1,
			.invalidations = 1,
		},
	[STEP_MAP_AGAIN] =
		{
			.title = "they come back, and are zero",
			.change = map_pages_again,
			.expected = {FAULTS(PAGE(PAGE_UNMAPPED), GUEST_PAGE, PAGE_UNMAPPED_COUNT,
					    READ, RESOLVED)},
			.guest_frames = PAGE_UNMAPPED_COUNT,
			.regions = -1,
		},
	[STEP_PROTECT] =
		{
			.title = "a page becomes read-only; the guest tries both its views of it",
			.change = protect_page,
			.expected =
				{
					FAULT(PAGE(PAGE_PROTECTED), WRITE, DENIED),
					FAULT(PAGE(PAGE_PROTECTED) + 0x128, WRITE, DENIED),
				},
			.regions = 2,
			.invalidations = 1,
		},
	[STEP_UNPROTECT] =
		{
			.title = "and writable again",
			.change = unprotect_page,
			.regions = -2,
			.invalidations = 1,
		},
	[STEP_MOVE] =
		{
			.title = "a page moves to another frame; the guest must not notice",
			.change = move_page,
			.invalidations = 1,
			.check = check_moved,
		},
	[STEP_EXECUTE] =
		{
			.title = "the guest writes a function to a lazy page and calls it",
			.expected = {FAULT(GUEST_CODE, WRITE, RESOLVED)},
			.guest_frames = 1,
		},
	[STEP_EXECUTE_DENIED] =
		{
			.title = "the page becomes non-executable, and the guest calls it again",
			.change = forbid_execution,
			.expected = {FAULT(GUEST_CODE, EXECUTE, DENIED)},
			.regions = 2,
			.invalidations = 1,
		},
	[STEP_EVICT] =
		{
			.title = "a page and one of the guest's own page tables are swapped out",
			.change = evict_page_and_table,
			.expected =
				{
					{.gpa = GUEST_ALIAS_TABLE,
					 .count = 1,
					 .access = ADDRSPACE_READ,
					 .outcome = ADDRSPACE_FAULT_RESOLVED,
					 .table_walk = true},
					FAULT(PAGE(PAGE_EVICTED), READ, RESOLVED),
				},
			.invalidations = 2,
			.check = check_swap_empty,
		},
	[STEP_OUT_OF_MEMORY] =
		{
			.title = "the host runs out of memory",
			.change = run_out_of_memory,
			.expected =
				{
					FAULT(GUEST_LATE, READ, OUT_OF_MEMORY),
					FAULT(GUEST_LATE, READ, RESOLVED),
				},
			.guest_frames = 1,
		},
};

/* ---- telling it ---- */

static void check_delta(const char *what, uint64_t before, uint64_t after, int64_t wanted)
{
	if (after != before + (uint64_t)wanted)
		fail("%s went from %lu to %lu, a change of %ld was expected", what, before, after,
		     wanted);
}

static void start_step(struct vm *vm, unsigned number)
{
	const struct step *step = &steps[number];
	uint64_t invalidations = vm->memory.invalidations;

	print("\n[%u] %s\n", number + 1, step->title);
	if (step->change)
		step->change(vm);
	check_delta("invalidations", invalidations, vm->memory.invalidations,
		    (int64_t)step->invalidations);
	expectation_start(&vm->progress, step->expected);
}

static void end_step(struct vm *vm, unsigned number)
{
	const struct step *step = &steps[number];
	struct addrspace_statistics now = vm_audit(vm);

	report_flush();
	expectation_end(&vm->progress);
	if (step->check)
		step->check(vm);
	check_delta("guest frames", vm->statistics.data_frames, now.data_frames,
		    step->guest_frames);
	check_delta("regions", vm->statistics.regions, now.regions, step->regions);
	report_usage(&vm->statistics, &now);
	vm->statistics = now;
}

/** Returns true when the guest is through with the step. */
static bool handle_hypercall(const struct vcpu_exit *exit, unsigned step)
{
	const uint64_t *argument = exit->argument;

	switch (exit->number) {
	case HYPERCALL_STEP_DONE:
		if (argument[0] != step)
			fail("the guest has done step %lu in step %u", argument[0] + 1, step + 1);
		return true;
	case HYPERCALL_SPEAKS:
		report_flush();
		return false;
	case HYPERCALL_FAILED:
		fail("step %u, guest.c line %lu: the guest sees 0x%lx, wants 0x%lx", step + 1,
		     argument[0], argument[1], argument[2]);
	case HYPERCALL_CRASHED:
		fail("step %u: the guest crashed: syndrome 0x%lx at 0x%lx, address 0x%lx", step + 1,
		     argument[0], argument[1], argument[2]);
	default:
		fail("step %u: unknown hypercall %lu", step + 1, exit->number);
	}
}

static void run_step(struct vm *vm, unsigned step)
{
	struct vcpu_exit exit;

	for (;;) {
		vcpu_run(machine_vcpu(0), &exit);
		switch (exit.kind) {
		case VCPU_EXIT_FAULT:
			vm_handle_fault(vm, &exit);
			break;
		case VCPU_EXIT_HYPERCALL:
			if (handle_hypercall(&exit, step))
				return;
			break;
		case VCPU_EXIT_RETRY:
			break;
		case VCPU_EXIT_UNEXPECTED:
			fail("step %u: an exit with syndrome 0x%lx at 0x%lx", step + 1,
			     exit.syndrome, vcpu_program_counter(machine_vcpu(0)));
		}
	}
}

static void tell(struct vm *vm, unsigned layout, bool quiet)
{
	vm_create(vm, layout);
	report_map(&vm->as, vm_region_names);
	vcpu_reset(machine_vcpu(0), GUEST_EAGER, 0, (quiet ? GUEST_QUIET : 0) | vm->salt);
	for (unsigned step = 0; step < STEP_COUNT; step++) {
		start_step(vm, step);
		run_step(vm, step);
		end_step(vm, step);
	}
	report_map(&vm->as, vm_region_names);
	print("  the same, as addrspace_dump() tells it\n");
	require(addrspace_dump(&vm->as, report_dump_line, NULL));
	print("\n[%u] the end\n", STEP_COUNT + 1);
	vm_destroy(vm);
}

static bool is_large_enough(unsigned layout)
{
	struct addrspace_config config;

	machine_configure(&config, layout);
	return config.gpa_bits >= GUEST_BITS;
}

/** The first layout is told in full, the others run and are checked in the same way. */
_Noreturn void program_run(void)
{
	static struct vm vm;
	uint64_t started = machine_microseconds();

	print("\naddrspace: a hypervisor runs a guest under nested paging (%s)\n\n", MACHINE_NAME);
	machine_describe();
	tell(&vm, 0, false);
	print("\nThe same story with other shapes of the guest-physical space:\n");
	for (unsigned layout = 1; layout < machine_layout_count(); layout++) {
		if (!is_large_enough(layout))
			continue;
		print_mute(true);
		tell(&vm, layout, true);
		print_mute(false);
		print("  %s: %u steps as expected, every frame given back\n",
		      machine_layout_name(layout), STEP_COUNT);
	}
	print("\nThe run took %lu ms.\nPASS\n", (machine_microseconds() - started) / 1000);
	machine_exit(0);
}
