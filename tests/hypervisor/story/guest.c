/* SPDX-License-Identifier: MIT */
/* The guest: touches its memory step by step and checks what it reads. It knows nothing of what the
 * hypervisor does between two steps but the effect that it must see. */
#include "guest_console.h"
#include "guest_layout.h"
#include "guest_machine.h"
#include "guest_paging.h"

#define CHECK(seen, wanted) check(__LINE__, (seen), (wanted))

void guest_main(uint64_t cpu, uint64_t quiet_and_salt);

extern char guest_image_start[];
extern char guest_image_end[];

/* Down to the one with an entry for each 1 GiB. */
static uint64_t guest_tables[GUEST_PAGING_LEVELS - 2][512] __attribute__((aligned(4096)));
static uint64_t guest_is_quiet;

static void check(uint64_t line, uint64_t seen, uint64_t wanted)
{
	if (seen != wanted)
		hypercall(HYPERCALL_FAILED, line, seen, wanted);
}

static void done(enum guest_step step)
{
	hypercall(HYPERCALL_STEP_DONE, step, 0, 0);
}

static void say(const char *line)
{
	static const char prefix[] = "    guest says: ";

	if (guest_is_quiet)
		return;
	hypercall(HYPERCALL_SPEAKS, 0, 0, 0);
	for (const char *c = prefix; *c; c++)
		guest_put_char(*c);
	for (; *line; line++)
		guest_put_char(*line);
	guest_put_char('\n');
}

static uint64_t page(uint64_t number)
{
	return GUEST_PAGES + number * GUEST_PAGE;
}

static uint64_t alias(uint64_t number)
{
	return GUEST_ALIAS + number * GUEST_PAGE;
}

static void check_zero(uint64_t address)
{
	for (uint64_t at = address; at < address + GUEST_PAGE; at += sizeof(uint64_t))
		CHECK(guest_load64(at), 0);
}

/* The salt makes each run's contents its own: what an earlier run left behind never matches. */
static void fill(uint64_t address, uint64_t salt)
{
	for (uint64_t at = address; at < address + GUEST_PAGE; at += sizeof(uint64_t))
		guest_store64(at, guest_pattern(at, salt));
}

static void check_filled(uint64_t address, uint64_t salt)
{
	for (uint64_t at = address; at < address + GUEST_PAGE; at += sizeof(uint64_t))
		CHECK(guest_load64(at), guest_pattern(at, salt));
}

static void check_pages(uint64_t first, uint64_t count, uint64_t salt)
{
	for (uint64_t i = first; i < first + count; i++)
		check_filled(page(i), salt);
}

/* ---- memory as it comes ---- */

/** Virtual = guest-physical below 16 GiB, and a second view of GUEST_PAGES at GUEST_ALIAS whose table
 * lies in memory that the hypervisor backs lazily. */
static void enable_translation(void)
{
	volatile uint64_t *alias_table = (uint64_t *)GUEST_ALIAS_TABLE;
	uint64_t *table = guest_tables[GUEST_PAGING_LEVELS - 3];

	for (unsigned i = 0; i + 3 < GUEST_PAGING_LEVELS; i++)
		guest_tables[i][0] = guest_table_entry((uint64_t)guest_tables[i + 1]);
	table[0] = guest_device_entry(0, 2);
	for (uint64_t i = 1; i < 16; i++)
		table[i] = guest_leaf_entry(i << 30, 2);
	table[GUEST_ALIAS >> 30] = guest_table_entry(GUEST_ALIAS_TABLE);
	alias_table[0] = guest_leaf_entry(GUEST_PAGES, 1);
	guest_load_translation((uint64_t)guest_tables[0]);
}

static void boot(void)
{
	uint64_t first = ((uint64_t)guest_image_end + GUEST_PAGE - 1) & ~(GUEST_PAGE - 1);

	CHECK((uint64_t)guest_image_start, GUEST_EAGER);
	for (uint64_t at = first; at < GUEST_EAGER + GUEST_EAGER_SIZE; at += GUEST_PAGE)
		check_zero(at);
	enable_translation();
	CHECK(guest_lent_device_answers(), true);
	say("hello from " GUEST_PRIVILEGE ", " GUEST_HELLO);
	done(STEP_BOOT);
}

static void lazy_memory(uint64_t salt)
{
	for (uint64_t i = 0; i < GUEST_PAGE_COUNT / 2; i++)
		check_zero(page(i));
	done(STEP_LAZY_READ);
	for (uint64_t i = 0; i < GUEST_PAGE_COUNT; i++)
		fill(page(i), salt);
	check_pages(0, GUEST_PAGE_COUNT, salt);
	say("fresh pages were zero, and keep what I write");
	done(STEP_LAZY_WRITE);
}

static void read_only_memory(void)
{
	for (uint64_t at = GUEST_ROM; at < GUEST_ROM + GUEST_ROM_SIZE; at += sizeof(uint64_t))
		CHECK(guest_load64(at), rom_pattern(at));
	guest_store64(GUEST_ROM + 0x1238, 0);
	CHECK(guest_load64(GUEST_ROM + 0x1238), rom_pattern(GUEST_ROM + 0x1238));
	say("my ROM cannot be written");
	done(STEP_ROM);
}

static void emulated_device(void)
{
	const uint64_t scratch = GUEST_DEVICE + DEVICE_SCRATCH;

	CHECK(guest_load32(GUEST_DEVICE + DEVICE_ID), DEVICE_ID_VALUE);
	guest_store64(scratch, UINT64_C(0x1122334455667788));
	CHECK(guest_load64(scratch), UINT64_C(0x1122334455667788));
	guest_store8(scratch + 1, 0x80);
	CHECK((uint64_t)guest_load_signed8(scratch + 1), (uint64_t)INT64_C(-128));
	CHECK(guest_load16(scratch), 0x8088);
	guest_store64(scratch, 0);
	CHECK(guest_load64(scratch), 0);
	CHECK(guest_load32(GUEST_DEVICE + DEVICE_READS), 1);
	CHECK(guest_load32(GUEST_DEVICE + DEVICE_READS), 2);
	CHECK(guest_load64(GUEST_NOWHERE), BUS_FLOATS);
	done(STEP_DEVICE);
}

static void guard_and_huge(uint64_t salt)
{
	const uint64_t last = GUEST_HUGE + GUEST_HUGE_SIZE - GUEST_PAGE;

	CHECK(guest_load64(GUEST_GUARD + 0x10), BUS_FLOATS);
	guest_store64(GUEST_GUARD + GUEST_GUARD_SIZE - 8, 1);
	done(STEP_GUARD);
	check_zero(GUEST_HUGE);
	fill(last, salt);
	check_filled(last, salt);
	say("4 GiB of memory, if I only touch it");
	done(STEP_HUGE);
}

/* ---- one large leaf, split under the guest's feet ---- */

/** The first word of each 64 MiB, and of each page in the 2 MiB around the one that will change. */
static uint64_t next_probe(uint64_t at)
{
	if (at >= BLOCK_PROTECTED && at < BLOCK_PROTECTED + BLOCK_LEAF)
		return at + GUEST_PAGE;
	return (at | (BLOCK_PROBE - 1)) + 1;
}

static void check_block(uint64_t salt)
{
	for (uint64_t at = GUEST_BLOCK; at < GUEST_BLOCK + GUEST_BLOCK_SIZE; at = next_probe(at))
		CHECK(guest_load64(at), guest_pattern(at, salt));
}

static void large_leaf(uint64_t salt)
{
	const uint64_t neighbour = BLOCK_PROTECTED_PAGE + GUEST_PAGE;

	for (uint64_t at = GUEST_BLOCK; at < GUEST_BLOCK + GUEST_BLOCK_SIZE; at = next_probe(at))
		guest_store64(at, guest_pattern(at, salt));
	guest_store64(BLOCK_UNMAPPED_PAGE, 1);
	done(STEP_BLOCK);

	check_block(salt);
	guest_store64(BLOCK_PROTECTED_PAGE, 0);
	guest_store64(neighbour + 8, 5);
	guest_store64(BLOCK_PROTECTED_PAGE - 8, 6);
	check_block(salt);
	say("one page refused my store, all else in my block is as I left it");
	done(STEP_SPLIT_PROTECT);

	CHECK(guest_load64(BLOCK_UNMAPPED_PAGE), BUS_FLOATS);
	guest_store64(BLOCK_UNMAPPED_PAGE + GUEST_PAGE, 7);
	guest_store64(BLOCK_UNMAPPED_PAGE - 8, 8);
	CHECK(guest_load64(neighbour + 8), 5);
	check_block(salt);
	say("one page has gone, its neighbours have not");
	done(STEP_SPLIT_UNMAP);
}

/* ---- changes while the guest is live ---- */

static void unmapped_pages(uint64_t salt)
{
	for (uint64_t i = 0; i < PAGE_UNMAPPED_COUNT; i++)
		CHECK(guest_load64(page(PAGE_UNMAPPED + i)), BUS_FLOATS);
	check_filled(page(PAGE_UNMAPPED - 1), salt);
	check_filled(page(PAGE_UNMAPPED + PAGE_UNMAPPED_COUNT), salt);
	done(STEP_UNMAP);

	for (uint64_t i = 0; i < PAGE_UNMAPPED_COUNT; i++) {
		check_zero(page(PAGE_UNMAPPED + i));
		fill(page(PAGE_UNMAPPED + i), salt);
	}
	check_pages(0, GUEST_PAGE_COUNT, salt);
	say("pages went, and came back empty");
	done(STEP_MAP_AGAIN);
}

/* The second store goes through the other view: there the fault's virtual address is not its
 * guest-physical one. */
static void protected_page(uint64_t salt)
{
	const uint64_t at = page(PAGE_PROTECTED);

	check_filled(at, salt);
	guest_store64(at, 0);
	guest_store64(alias(PAGE_PROTECTED) + 0x128, 0);
	check_filled(at, salt);
	guest_store64(at - 8, guest_pattern(at - 8, salt));
	done(STEP_PROTECT);

	guest_store64(at, 1);
	CHECK(guest_load64(at), 1);
	guest_store64(at, guest_pattern(at, salt));
	done(STEP_UNPROTECT);
}

static void moved_page(uint64_t salt)
{
	check_pages(0, GUEST_PAGE_COUNT, salt);
	fill(page(PAGE_MOVED), salt + 1);
	check_filled(page(PAGE_MOVED), salt + 1);
	fill(page(PAGE_MOVED), salt);
	say("nothing has happened to my pages");
	done(STEP_MOVE);
}

static uint64_t call_code(void)
{
	return ((uint64_t(*)(void))GUEST_CODE)();
}

static void executed_page(void)
{
	guest_write_function((void *)GUEST_CODE, GUEST_CODE_RESULT);
	guest_sync_code(GUEST_CODE);
	CHECK(call_code(), GUEST_CODE_RESULT);
	say("my function returns 42");
	done(STEP_EXECUTE);
	CHECK(call_code(), GUEST_CALL_REFUSED);
	CHECK(guest_load32(GUEST_CODE) != 0, 1);
	done(STEP_EXECUTE_DENIED);
}

/* The table behind the alias has been evicted too: the guest's own table walk faults first. */
static void evicted_pages(uint64_t salt)
{
	const uint64_t view = alias(PAGE_EVICTED);

	for (uint64_t offset = 0; offset < GUEST_PAGE; offset += sizeof(uint64_t))
		CHECK(guest_load64(view + offset),
		      guest_pattern(page(PAGE_EVICTED) + offset, salt));
	check_pages(0, GUEST_PAGE_COUNT, salt);
	say("my pages hold what they held");
	done(STEP_EVICT);
}

static void late_page(void)
{
	check_zero(GUEST_LATE);
	guest_store64(GUEST_LATE, 1);
	done(STEP_OUT_OF_MEMORY);
}

void guest_main(uint64_t cpu, uint64_t quiet_and_salt)
{
	uint64_t salt = quiet_and_salt & ~GUEST_QUIET;

	(void)cpu;
	guest_is_quiet = quiet_and_salt & GUEST_QUIET;
	boot();
	lazy_memory(salt);
	read_only_memory();
	emulated_device();
	guard_and_huge(salt);
	large_leaf(salt);
	unmapped_pages(salt);
	protected_page(salt);
	moved_page(salt);
	executed_page();
	evicted_pages(salt);
	late_page();
}
