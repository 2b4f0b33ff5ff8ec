/* SPDX-License-Identifier: MIT */
/* Guest memory accessed by the hypervisor: which bytes, how many of them, and what else happens. */
#include <string.h>

#include <addrspace/access.h>
#include <addrspace/job.h>

#include "layouts.h"

#define PAGE     FAKE_PAGE_SIZE
#define KIB      UINT64_C(1024)
#define MIB      (KIB << 10)
#define CHUNK    ADDRSPACE_ACCESS_CHUNK
#define FAULT_IN ADDRSPACE_ACCESS_FAULT_IN
#define OVERRIDE ADDRSPACE_ACCESS_OVERRIDE
#define DEVICE   ADDRSPACE_ACCESS_DEVICE
#define PREPARE  ADDRSPACE_ACCESS_PREPARE
#define RW       (ADDRSPACE_READ | ADDRSPACE_WRITE)

/* The guest of most tests, without a hole up to GUEST_END:
 *
 *   62 MiB  LAZY    lazy, read-write, untouched
 *   64 MiB  LINEAR  read-write: 4 MiB of lent memory, in the largest leaves
 *   68 MiB  ROM     read-only: the first 2 MiB of the same memory
 *   70 MiB  GUARD   lazy, no permissions
 *   70 MiB + 64 KiB  REGISTERS  a device; lent memory of its own
 */
#define LAZY           (62 * MIB)
#define LINEAR         (64 * MIB)
#define ROM            (68 * MIB)
#define GUARD          (70 * MIB)
#define REGISTERS      (GUARD + 64 * KIB)
#define REGISTERS_SIZE (64 * KIB)
#define GUEST_END      (REGISTERS + REGISTERS_SIZE)
#define LENT_ORDER     10
#define LENT_SIZE      (4 * MIB)
#define ARENA          (24 * MIB)

static struct {
	uint64_t hpa; /* of the lent memory */
	uint64_t registers_hpa;
	uint64_t unreachable; /* hpa of a page that the hook does not have */
	struct paging_handler honest;
	void (*before_lock)(struct fixture *fixture);
	struct fixture *fixture;
	unsigned locks_until; /* before_lock is called before the n-th of them */
} lent;

static const struct addrspace_attributes guard = {.cookie = 0x9};
static const struct addrspace_attributes registers = {
	.permissions = RW, .memory_type = ADDRSPACE_DEVICE, .cookie = 0xde};

static int furnish(struct fixture *fixture)
{
	struct addrspace *as = &fixture->as;
	int error = addrspace_map_alloc(as, LAZY, LINEAR - LAZY, &fixture_rw, 0);

	if (!error)
		error = addrspace_map_linear(as, LINEAR, LENT_SIZE, lent.hpa, &fixture_rw, 0);
	if (!error)
		error = addrspace_map_linear(as, ROM, GUARD - ROM, lent.hpa, &fixture_ro, 0);
	if (!error)
		error = addrspace_map_alloc(as, GUARD, REGISTERS - GUARD, &guard, 0);
	if (!error)
		error = addrspace_map_linear(as, REGISTERS, REGISTERS_SIZE, lent.registers_hpa,
					     &registers, 0);
	return error;
}

static int access_setup(void **state)
{
	int result = fixture_setup_with(state, ARENA);
	struct fixture *fixture = *state;

	if (result)
		return result;
	memset(&lent, 0, sizeof(lent));
	lent.fixture = fixture;
	lent.honest = fixture->machine.handler;
	lent.hpa = fake_machine_lend(&fixture->machine, LENT_ORDER);
	lent.registers_hpa = fake_machine_lend(&fixture->machine, 4);
	return furnish(fixture);
}

/** Page by page the other way round: no page is where its neighbours suggest. */
static void *scattered(void *ctx, uint64_t hpa)
{
	if (hpa == lent.unreachable)
		return NULL;
	if (hpa - lent.hpa < LENT_SIZE)
		hpa = lent.hpa + (LENT_SIZE - PAGE) - (hpa - lent.hpa);
	return lent.honest.physical_to_virtual(ctx, hpa);
}

static int scattered_setup(void **state)
{
	int result = access_setup(state);
	struct fixture *fixture = *state;
	struct fake_machine *machine = &fixture->machine;
	struct addrspace_config config;

	if (result)
		return result;
	fixture_destroy_space(fixture);
	fake_machine_use_callback(machine);
	lent.honest = machine->handler;
	machine->handler.physical_to_virtual = scattered;
	machine->handler.virtual_to_physical = NULL;
	fixture_config(fixture->layout, machine, &config);
	machine->allow_unlocked = true;
	if (addrspace_init(&fixture->as, &config))
		return -1;
	fake_machine_attach(machine, &fixture->as, fixture->layout);
	fixture->initialised = true;
	return furnish(fixture);
}

/** The CPU's view of lent memory. */
static uint8_t *lent_byte(struct fixture *fixture, uint64_t offset)
{
	return (uint8_t *)fake_machine_pointer(&fixture->machine, lent.hpa) + offset;
}

static uint64_t guest_frames(const struct fixture *fixture)
{
	return fixture->machine.live[ADDRSPACE_FRAME_GUEST];
}

/** Bytes that differ from their neighbours and from page to page. */
static void pattern(uint8_t *bytes, size_t size, unsigned salt)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8) * 31 + salt);
}

/* ---- whole accesses ---- */

static void written_bytes_are_read_back_across_pages_leaves_and_regions(void **state)
{
	static uint8_t out[3 * PAGE], in[3 * PAGE];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	const uint64_t starts[] = {LAZY + 100, LINEAR - PAGE - 7, LINEAR + 2 * MIB - PAGE - 1};
	size_t done;

	for (unsigned i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		pattern(out, sizeof(out), i);
		memset(in, 0, sizeof(in));
		assert_int_equal(
			addrspace_write(as, starts[i], out, sizeof(out) - 9, FAULT_IN, &done), 0);
		assert_int_equal(done, sizeof(out) - 9);
		assert_int_equal(addrspace_read(as, starts[i], in, sizeof(in) - 9, 0, &done), 0);
		assert_int_equal(done, sizeof(in) - 9);
		assert_memory_equal(in, out, sizeof(in) - 9);
		for (unsigned k = 1; k <= 9; k++)
			assert_int_equal(in[sizeof(in) - k], 0);
	}
}

static void guest_sees_what_was_written_and_is_read_what_it_wrote(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint64_t token = fake_machine_token(LAZY + 64);
	uint64_t seen = 0;

	assert_int_equal(addrspace_write(as, LAZY + 64, &token, sizeof(token), FAULT_IN, NULL), 0);
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++)
		assert_int_equal(fixture_guest(fixture, cpu, LAZY + 64, ADDRSPACE_READ), 0);
	assert_int_equal(fixture_guest(fixture, 1, LAZY + PAGE + 8, ADDRSPACE_WRITE), 0);
	assert_int_equal(addrspace_read(as, LAZY + PAGE + 8, &seen, sizeof(seen), 0, NULL), 0);
	assert_int_equal(seen, fake_machine_token(LAZY + PAGE + 8));
}

static void nothing_beside_the_range_is_touched(void **state)
{
	static const size_t sizes[] = {1, 2, 7, 8, 63, 64, PAGE - 3, PAGE, PAGE + 1, 2 * PAGE};
	static uint8_t out[2 * PAGE], in[2 * PAGE + 2];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint64_t at = LINEAR + 3 * PAGE - 5;
	uint8_t *host = lent_byte(fixture, at - LINEAR);

	memset(out, 0x11, sizeof(out));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i];

		memset(host - PAGE, 0xee, 4 * PAGE);
		assert_int_equal(addrspace_write(as, at, out, size, 0, NULL), 0);
		assert_int_equal(host[-1], 0xee);
		assert_int_equal(host[size], 0xee);
		assert_memory_equal(host, out, size);
		assert_int_equal(addrspace_fill(as, at, 0x22, size, 0, NULL), 0);
		assert_int_equal(host[-1], 0xee);
		assert_int_equal(host[size], 0xee);
		memset(in, 0x33, sizeof(in));
		assert_int_equal(addrspace_read(as, at, in + 1, size, 0, NULL), 0);
		assert_int_equal(in[0], 0x33);
		assert_int_equal(in[size + 1], 0x33);
		for (size_t k = 0; k < size; k++)
			assert_int_equal(in[1 + k], 0x22);
	}
}

static void nothing_is_allocated_or_invalidated_where_all_is_there(void **state)
{
	struct fixture *fixture = *state;
	struct fake_counters *counters = &fixture->machine.counters;
	uint64_t value = 0;

	memset(counters, 0, sizeof(*counters));
	assert_int_equal(addrspace_write(&fixture->as, LINEAR, &value, 8, FAULT_IN, NULL), 0);
	assert_int_equal(addrspace_read(&fixture->as, ROM, &value, 8, FAULT_IN, NULL), 0);
	assert_int_equal(counters->allocations[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(counters->allocations[ADDRSPACE_FRAME_TABLE], 0);
	assert_int_equal(counters->invalidate, 0);
	assert_int_equal(counters->prepare_frame, 0);
	assert_int_equal(counters->lock_exclusive, 0);
	assert_int_equal(counters->lock_shared, 2);
}

/* ---- what is refused at once ---- */

/** All calls over bytes, which judge their arguments alike; 0 or an error. */
static int each_call(struct addrspace *as, unsigned which, uint64_t gpa, size_t size,
		     unsigned flags, size_t *done)
{
	static uint8_t buffer[64];

	switch (which) {
	case 0:
		return addrspace_read(as, gpa, buffer, size, flags, done);
	case 1:
		return addrspace_write(as, gpa, buffer, size, flags, done);
	case 2:
		return addrspace_fill(as, gpa, 0, size, flags, done);
	case 3:
		return addrspace_copy(as, gpa, LINEAR, size, flags, done);
	default:
		return addrspace_copy(as, LINEAR, gpa, size, flags, done);
	}
}
#define CALLS 5

static void range_outside_of_the_space_is_refused_with_nothing_done(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint64_t limit = layout_limit(fixture->layout);

	assert_int_equal(addrspace_map_alloc(as, limit - PAGE, PAGE, &fixture_rw, 0), 0);
	for (unsigned call = 0; call < CALLS; call++) {
		size_t done = 99;

		assert_int_equal(each_call(as, call, limit, 1, FAULT_IN, &done), ADDRSPACE_ERANGE);
		assert_int_equal(each_call(as, call, limit - 8, 9, FAULT_IN, &done),
				 ADDRSPACE_ERANGE);
		assert_int_equal(each_call(as, call, UINT64_MAX, 1, FAULT_IN, &done),
				 ADDRSPACE_ERANGE);
		assert_int_equal(each_call(as, call, 0, limit + 1, FAULT_IN, &done),
				 ADDRSPACE_ERANGE);
		assert_int_equal(each_call(as, call, UINT64_MAX, 2, FAULT_IN, &done),
				 ADDRSPACE_EINVAL);
		assert_int_equal(each_call(as, call, 8, SIZE_MAX - 6, FAULT_IN, &done),
				 ADDRSPACE_EINVAL);
		assert_int_equal(done, 0);
		assert_int_equal(guest_frames(fixture), call ? 1 : 0);
		assert_int_equal(each_call(as, call, limit - 8, 8, FAULT_IN, &done), 0);
		assert_int_equal(done, 8);
	}
}

static void empty_range_does_nothing_wherever_it_points(void **state)
{
	struct fixture *fixture = *state;
	uint64_t locks = fixture->machine.counters.lock_shared;

	for (unsigned call = 0; call < CALLS; call++) {
		size_t done = 99;

		assert_int_equal(each_call(&fixture->as, call, UINT64_MAX, 0, 0, &done), 0);
		assert_int_equal(done, 0);
	}
	assert_int_equal(addrspace_read(&fixture->as, 0, NULL, 0, 0, NULL), 0);
	assert_int_equal(addrspace_write(&fixture->as, 0, NULL, 0, 0, NULL), 0);
	assert_int_equal(fixture->machine.counters.lock_shared, locks);
}

static void malformed_call_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint64_t locks = fixture->machine.counters.lock_shared;
	size_t done;

	for (unsigned call = 0; call < CALLS; call++) {
		done = 99;
		assert_int_equal(each_call(NULL, call, LINEAR, 8, 0, &done), ADDRSPACE_EINVAL);
		assert_int_equal(done, 0);
		done = 99;
		assert_int_equal(each_call(as, call, LINEAR, 8, 1u << 4, &done), ADDRSPACE_EINVAL);
		assert_int_equal(done, 0);
		assert_int_equal(each_call(NULL, call, LINEAR, 0, 0, NULL), ADDRSPACE_EINVAL);
		assert_int_equal(each_call(as, call, LINEAR, 0, 1u << 31, NULL), ADDRSPACE_EINVAL);
	}
	done = 99;
	assert_int_equal(addrspace_read(as, LINEAR, NULL, 1, 0, &done), ADDRSPACE_EINVAL);
	assert_int_equal(done, 0);
	done = 99;
	assert_int_equal(addrspace_write(as, LINEAR, NULL, 1, 0, &done), ADDRSPACE_EINVAL);
	assert_int_equal(done, 0);
	assert_int_equal(fixture->machine.counters.lock_shared, locks);
}

/* ---- where an access ends ---- */

/** A range that stops being accessible at an address. */
struct stop {
	uint64_t at;
	bool write;
	unsigned flags;
	int error;
};

static const struct stop stops[] = {
	{GUEST_END, false, DEVICE, ADDRSPACE_ENOENT},
	{GUEST_END, true, DEVICE, ADDRSPACE_ENOENT},
	{LAZY, false, 0, ADDRSPACE_ENOENT},
	{LAZY + PAGE, false, 0, ADDRSPACE_ENOENT},
	{LAZY + PAGE, true, OVERRIDE, ADDRSPACE_ENOENT},
	{ROM, true, FAULT_IN, ADDRSPACE_EACCES},
	{GUARD, false, FAULT_IN, ADDRSPACE_EACCES},
	{GUARD, false, OVERRIDE, ADDRSPACE_ENOENT},
	{REGISTERS, false, OVERRIDE | FAULT_IN, ADDRSPACE_ENOTSUP},
	{REGISTERS, true, OVERRIDE | FAULT_IN, ADDRSPACE_ENOTSUP},
};

static void access_ends_exactly_where_it_may_not_go_on(void **state)
{
	static uint8_t buffer[2 * PAGE];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint8_t one = 0xa7;

	/* One page of the lazy region is there, and a page before it that has to do with nothing. */
	assert_int_equal(
		addrspace_map_alloc(as, LAZY - PAGE, PAGE, &fixture_rwx, ADDRSPACE_MAP_POPULATE),
		0);
	for (unsigned i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		const struct stop *stop = &stops[i];

		for (uint64_t before = 0; before < PAGE; before = before * 5 + 1) {
			uint64_t gpa = stop->at - before;
			uint64_t size = before + 1 + i * 100;
			size_t done = 99;
			int result;

			memset(buffer, one, sizeof(buffer));
			result =
				stop->write
					? addrspace_write(as, gpa, buffer, size, stop->flags, &done)
					: addrspace_read(as, gpa, buffer, size, stop->flags, &done);
			assert_int_equal(result, stop->error);
			assert_int_equal(done, before);
			for (uint64_t k = before; !stop->write && k < size; k++)
				assert_int_equal(buffer[k], one);
		}
		if (i == 2)
			assert_int_equal(fixture_guest(fixture, 0, LAZY, ADDRSPACE_WRITE), 0);
	}
}

static void run_of_pages_ends_with_its_table(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_segments segments;
	struct addrspace_segment segment;
	uint64_t border = 8 * MIB;

	/* Behind the first table lies the second, whose entries go on as the first one's end. */
	assert_int_equal(addrspace_map_linear(as, border - 8 * PAGE, 8 * PAGE, lent.hpa + PAGE,
					      &fixture_rw, 0),
			 0);
	assert_int_equal(addrspace_map_linear(as, border + 2 * MIB, 8 * PAGE, lent.hpa + 9 * PAGE,
					      &fixture_rw, 0),
			 0);
	assert_int_equal(
		addrspace_segments_begin(&segments, as, border - 8 * PAGE, 16 * PAGE, RW, 0), 0);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
	assert_int_equal(segment.size, 8 * PAGE);
	assert_int_equal(addrspace_segments_next(&segments, &segment), ADDRSPACE_ENOENT);
	addrspace_segments_end(&segments);
}

static void write_that_is_refused_leaves_memory_as_it_was(void **state)
{
	struct fixture *fixture = *state;
	uint64_t word = 0x1234;
	uint64_t frames = guest_frames(fixture);

	memset(lent_byte(fixture, 0), 0xcc, PAGE);
	assert_int_equal(addrspace_write(&fixture->as, ROM, &word, 8, FAULT_IN, NULL),
			 ADDRSPACE_EACCES);
	assert_int_equal(addrspace_fill(&fixture->as, ROM, 1, 8, FAULT_IN, NULL), ADDRSPACE_EACCES);
	assert_int_equal(addrspace_copy(&fixture->as, ROM, LINEAR + PAGE, 8, FAULT_IN, NULL),
			 ADDRSPACE_EACCES);
	assert_int_equal(addrspace_store(&fixture->as, ROM, 8, 0, FAULT_IN), ADDRSPACE_EACCES);
	word = UINT64_C(0xcccccccccccccccc);
	assert_int_equal(addrspace_compare_exchange(&fixture->as, ROM, 8, &word, 0, FAULT_IN),
			 ADDRSPACE_EACCES);
	for (unsigned i = 0; i < PAGE; i++)
		assert_int_equal(*lent_byte(fixture, i), 0xcc);
	assert_int_equal(addrspace_write(&fixture->as, GUARD, &word, 8, FAULT_IN, NULL),
			 ADDRSPACE_EACCES);
	assert_int_equal(guest_frames(fixture), frames);
}

static void needs_only_the_permission_that_it_uses(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_attributes attributes = fixture_rw;
	uint8_t byte = 1;

	for (unsigned permissions = 0; permissions < 8; permissions++) {
		if (!layout_can_permit(fixture->layout, permissions))
			continue;
		attributes.permissions = permissions;
		assert_int_equal(addrspace_map_linear(as, MIB, PAGE, lent.hpa, &attributes,
						      ADDRSPACE_MAP_REPLACE),
				 0);
		assert_int_equal(addrspace_read(as, MIB, &byte, 1, 0, NULL),
				 permissions & ADDRSPACE_READ ? 0 : ADDRSPACE_EACCES);
		assert_int_equal(addrspace_write(as, MIB, &byte, 1, 0, NULL),
				 permissions & ADDRSPACE_WRITE ? 0 : ADDRSPACE_EACCES);
		assert_int_equal(addrspace_read(as, MIB, &byte, 1, OVERRIDE, NULL), 0);
		assert_int_equal(addrspace_write(as, MIB, &byte, 1, OVERRIDE, NULL), 0);
	}
}

/* ---- flags ---- */

static void override_loads_firmware_into_what_the_guest_cannot_write(void **state)
{
	static uint8_t image[3 * PAGE], seen[3 * PAGE];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;

	pattern(image, sizeof(image), 3);
	assert_int_equal(addrspace_write(as, ROM + 5, image, sizeof(image), OVERRIDE, NULL), 0);
	assert_memory_equal(lent_byte(fixture, 5), image, sizeof(image));
	/* ... and into what it cannot even read: the frames come, and come to light later. */
	assert_int_equal(
		addrspace_write(as, GUARD + 5, image, sizeof(image), OVERRIDE | FAULT_IN, NULL), 0);
	assert_int_equal(guest_frames(fixture), 4);
	fixture_assert_not_mapped(fixture, GUARD);
	assert_int_equal(addrspace_read(as, GUARD + 5, seen, sizeof(seen), OVERRIDE, NULL), 0);
	assert_memory_equal(seen, image, sizeof(image));
	assert_int_equal(addrspace_read(as, GUARD + 5, seen, 1, 0, NULL), ADDRSPACE_EACCES);
	fixture_check(fixture);
	assert_int_equal(addrspace_protect(as, GUARD, 4 * PAGE, ADDRSPACE_READ), 0);
	memset(seen, 0, sizeof(seen));
	assert_int_equal(addrspace_read(as, GUARD + 5, seen, sizeof(seen), 0, NULL), 0);
	assert_memory_equal(seen, image, sizeof(image));
	assert_int_equal(guest_frames(fixture), 4);
}

static void override_reaches_large_leaves_without_permissions(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint8_t byte = 0x5d;

	assert_int_equal(addrspace_protect(as, LINEAR, LENT_SIZE, 0), 0);
	assert_int_equal(addrspace_write(as, LINEAR + 2 * MIB + 77, &byte, 1, 0, NULL),
			 ADDRSPACE_EACCES);
	assert_int_equal(addrspace_write(as, LINEAR + 2 * MIB + 77, &byte, 1, OVERRIDE, NULL), 0);
	assert_int_equal(*lent_byte(fixture, 2 * MIB + 77), 0x5d);
	byte = 0;
	assert_int_equal(addrspace_read(as, LINEAR + 2 * MIB + 77, &byte, 1, OVERRIDE, NULL), 0);
	assert_int_equal(byte, 0x5d);
}

static void device_is_accessed_only_on_request(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_segments segments;
	struct addrspace_segment segment;
	uint64_t value = 0x77;
	size_t done;

	assert_int_equal(addrspace_read(as, REGISTERS, &value, 4, 0, &done), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_write(as, REGISTERS, &value, 4, 0, &done), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_copy(as, REGISTERS, LINEAR, 4, 0, &done), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_load(as, REGISTERS, 4, &value, 0), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_segments_begin(&segments, as, REGISTERS, 4, RW, 0), 0);
	assert_int_equal(addrspace_segments_next(&segments, &segment), ADDRSPACE_ENOTSUP);
	addrspace_segments_end(&segments);
	assert_int_equal(value, 0x77);

	assert_int_equal(addrspace_store(as, REGISTERS + 4, 4, 0x12345678, DEVICE), 0);
	assert_int_equal(addrspace_load(as, REGISTERS + 4, 4, &value, DEVICE), 0);
	assert_int_equal(value, 0x12345678);
	assert_int_equal(addrspace_read(as, REGISTERS + 4, &value, 4, DEVICE, NULL), 0);
	assert_int_equal(addrspace_compare_exchange(as, REGISTERS + 4, 4, &value, 0, DEVICE),
			 ADDRSPACE_ENOTSUP);
}

static void device_right_behind_memory_is_not_accessed(void **state)
{
	static uint8_t bytes[4 * PAGE];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint64_t device = LINEAR + 2 * MIB - 2 * PAGE;
	size_t done;

	/* Its leaves go on where those of the memory end. */
	assert_int_equal(addrspace_map_linear(as, device, PAGE, lent.hpa + (device - LINEAR),
					      &registers, ADDRSPACE_MAP_REPLACE),
			 0);
	assert_int_equal(addrspace_read(as, device - PAGE, bytes, sizeof(bytes), 0, &done),
			 ADDRSPACE_ENOTSUP);
	assert_int_equal(done, PAGE);
	assert_int_equal(addrspace_read(as, device - PAGE, bytes, sizeof(bytes), DEVICE, &done), 0);
}

static void trap_region_has_nothing_to_access(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	const unsigned flags = FAULT_IN | OVERRIDE | DEVICE;
	uint64_t value = 0;
	size_t done;

	assert_int_equal(addrspace_unmap(as, ROM, GUARD - ROM), 0);
	assert_int_equal(addrspace_map_trap(as, ROM, 16 * PAGE, &fixture_rw, 0), 0);
	assert_int_equal(addrspace_fill(as, ROM - 5, 1, 10, flags, &done), ADDRSPACE_ENOTSUP);
	assert_int_equal(done, 5);
	assert_int_equal(addrspace_load(as, ROM, 8, &value, flags), ADDRSPACE_ENOTSUP);
	assert_int_equal(guest_frames(fixture), 0);
}

static void range_of_a_job_has_nothing_to_access(void **state)
{
	static uint8_t bytes[8];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_job job;
	int result;

	assert_int_equal(
		addrspace_fill(as, GUARD - 8 * PAGE, 1, 12 * PAGE, FAULT_IN | OVERRIDE, NULL), 0);
	assert_int_equal(addrspace_fill(as, LAZY, 1, 4 * PAGE, FAULT_IN, NULL), 0);
	assert_int_equal(addrspace_unmap_begin(as, &job, LAZY, REGISTERS - LAZY), 0);
	for (uint64_t gpa = LAZY; gpa < REGISTERS; gpa += PAGE)
		assert_int_equal(
			addrspace_write(as, gpa, bytes, sizeof(bytes), FAULT_IN | OVERRIDE, NULL),
			ADDRSPACE_ENOENT);
	do
		result = addrspace_job_step(&job, 16);
	while (result == 1);
	assert_int_equal(result, 0);
	assert_int_equal(guest_frames(fixture), 0);
}

static void prepare_hands_over_the_pages_that_were_written(void **state)
{
	static uint8_t bytes[3 * PAGE];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct fake_machine *machine = &fixture->machine;
	const uint8_t *memory = machine->memory;
	uint64_t value = 1;

	if (!memory)
		return;
	pattern(bytes, sizeof(bytes), 9);
	memory += lent.hpa - FAKE_ARENA_BASE;
	machine->counters.prepare_frame = 0;
	assert_int_equal(addrspace_write(as, LINEAR + 100, bytes, sizeof(bytes), 0, NULL), 0);
	assert_int_equal(machine->counters.prepare_frame, 0);
	assert_memory_not_equal(memory + 100, bytes, sizeof(bytes));
	assert_int_equal(addrspace_write(as, LINEAR + 100, bytes, sizeof(bytes), PREPARE, NULL), 0);
	assert_memory_equal(memory + 100, bytes, sizeof(bytes));
	assert_int_equal(addrspace_fill(as, LINEAR + 5 * PAGE - 1, 7, 2, PREPARE, NULL), 0);
	assert_int_equal(memory[5 * PAGE - 1], 7);
	assert_int_equal(memory[5 * PAGE], 7);
	assert_int_equal(addrspace_copy(as, LINEAR + 6 * PAGE, LINEAR + 100, PAGE, PREPARE, NULL),
			 0);
	assert_memory_equal(memory + 6 * PAGE, bytes, PAGE);
	/* the second one ends before it begins: backwards */
	assert_int_equal(
		addrspace_copy(as, LINEAR + 7 * PAGE, LINEAR + 6 * PAGE, PAGE + 8, PREPARE, NULL),
		0);
	assert_memory_equal(memory + 7 * PAGE, bytes, PAGE);
	assert_int_equal(addrspace_store(as, LINEAR + 9 * PAGE, 8, 5, PREPARE), 0);
	assert_int_equal(memory[9 * PAGE], 5);
	value = 5;
	assert_int_equal(addrspace_compare_exchange(as, LINEAR + 9 * PAGE, 8, &value, 6, PREPARE),
			 0);
	assert_int_equal(memory[9 * PAGE], 6);
	/* nothing to prepare: reads, and devices */
	machine->counters.prepare_frame = 0;
	assert_int_equal(addrspace_read(as, LINEAR, bytes, PAGE, PREPARE, NULL), 0);
	assert_int_equal(addrspace_store(as, REGISTERS, 8, 5, PREPARE | DEVICE), 0);
	assert_int_equal(machine->counters.prepare_frame, 0);
}

static bool is_dirty(struct fixture *fixture, uint64_t gpa)
{
	struct fake_translation now = {0};

	assert_true(fake_machine_translate(&fixture->machine, gpa, &now));
	return now.dirty;
}

static void writes_are_logged_where_hardware_logs_and_reads_are_not(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_segments segments;
	struct addrspace_segment segment;
	uint64_t at = LAZY + 16 * PAGE;
	uint64_t value = 0;

	if (!layout_has(fixture->layout, ADDRSPACE_CPU_HARDWARE_AD))
		return;
	/* Frames that the guest has only read. */
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(fixture_guest(fixture, 0, at + i * PAGE, ADDRSPACE_READ), 0);
	assert_int_equal(addrspace_read(as, at, &value, 8, 0, NULL), 0);
	assert_int_equal(addrspace_load(as, at, 8, &value, 0), 0);
	assert_int_equal(addrspace_segments_begin(&segments, as, at, PAGE, ADDRSPACE_READ, 0), 0);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
	addrspace_segments_end(&segments);
	assert_false(is_dirty(fixture, at));
	assert_int_equal(addrspace_write(as, at + PAGE, &value, 1, 0, NULL), 0);
	assert_int_equal(addrspace_fill(as, at + 2 * PAGE, 0, 1, 0, NULL), 0);
	assert_int_equal(addrspace_copy(as, at + 3 * PAGE, at, 1, 0, NULL), 0);
	assert_int_equal(addrspace_store(as, at + 4 * PAGE, 8, 0, 0), 0);
	assert_int_equal(addrspace_compare_exchange(as, at + 5 * PAGE, 8, &value, 0, 0), 0);
	assert_int_equal(
		addrspace_segments_begin(&segments, as, at + 6 * PAGE, 1, ADDRSPACE_WRITE, 0), 0);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
	addrspace_segments_end(&segments);
	for (unsigned i = 1; i <= 6; i++) {
		struct fake_translation behind = {0};

		assert_true(is_dirty(fixture, at + i * PAGE));
		/* ... and for walkers that do not snoop */
		assert_true(fake_iommu_translate(&fixture->machine, at + i * PAGE, &behind));
		assert_true(behind.dirty);
	}
	for (unsigned i = 7; i < 12; i++)
		assert_false(is_dirty(fixture, at + i * PAGE));
	assert_false(is_dirty(fixture, at));
	/* By way of a region that the guest cannot write, and of one that it cannot reach. */
	assert_int_equal(addrspace_protect(as, at + 8 * PAGE, PAGE, ADDRSPACE_READ), 0);
	assert_int_equal(addrspace_protect(as, at + 9 * PAGE, PAGE, 0), 0);
	assert_int_equal(addrspace_write(as, at + 8 * PAGE, &value, 1, OVERRIDE, NULL), 0);
	assert_int_equal(addrspace_write(as, at + 9 * PAGE, &value, 1, OVERRIDE, NULL), 0);
	assert_int_equal(addrspace_protect(as, at + 10 * PAGE, PAGE, 0), 0);
	assert_int_equal(addrspace_read(as, at + 10 * PAGE, &value, 1, OVERRIDE, NULL), 0);
	fixture_check(fixture);
	assert_int_equal(addrspace_protect(as, at + 8 * PAGE, 3 * PAGE, RW), 0);
	assert_true(is_dirty(fixture, at + 8 * PAGE));
	assert_true(is_dirty(fixture, at + 9 * PAGE));
	assert_false(is_dirty(fixture, at + 10 * PAGE));
}

/* ---- lazy memory ---- */

static void fault_in_brings_only_the_pages_of_the_range(void **state)
{
	static uint8_t seen[3 * PAGE];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;

	memset(seen, 0xff, sizeof(seen));
	assert_int_equal(addrspace_read(as, LAZY + 2 * PAGE + 9, seen, PAGE, FAULT_IN, NULL), 0);
	assert_int_equal(guest_frames(fixture), 2);
	fixture_assert_not_mapped(fixture, LAZY + PAGE);
	fixture_assert_mapped(fixture, LAZY + 2 * PAGE, fixture_hpa(fixture, LAZY + 2 * PAGE), PAGE,
			      RW);
	fixture_assert_mapped(fixture, LAZY + 3 * PAGE, fixture_hpa(fixture, LAZY + 3 * PAGE), PAGE,
			      RW);
	fixture_assert_not_mapped(fixture, LAZY + 4 * PAGE);
	for (unsigned i = 0; i < PAGE; i++)
		assert_int_equal(seen[i], 0);
	assert_int_equal(addrspace_read(as, LAZY + 2 * PAGE, seen, 2 * PAGE, FAULT_IN, NULL), 0);
	assert_int_equal(guest_frames(fixture), 2);
}

/** Bytes from gpa on that the table maps. */
static uint64_t mapped_bytes(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	struct fake_translation now;
	uint64_t at = gpa;

	while (at < gpa + size && fake_machine_translate(&fixture->machine, at, &now))
		at = (at & ~(PAGE - 1)) + PAGE;
	return at < gpa + size ? at - gpa : size;
}

static void out_of_memory_ends_the_access_behind_the_last_page_that_came(void **state)
{
	static uint8_t bytes[5 * PAGE], seen[5 * PAGE];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	/* over the border of a table, and not page by page */
	uint64_t gpa = LINEAR - 2 * MIB - 2 * PAGE - 50;
	uint64_t size = 4 * PAGE + 100;
	int error = -1;

	assert_int_equal(addrspace_map_alloc(as, LAZY - 16 * PAGE, 16 * PAGE, &fixture_rw, 0), 0);
	pattern(bytes, sizeof(bytes), 1);
	for (uint64_t n = 1; error; n++) {
		size_t done = 99;

		assert_int_equal(addrspace_discard(as, LAZY - 16 * PAGE, 64 * PAGE), 0);
		fixture->machine.fail_at = n;
		error = addrspace_write(as, gpa, bytes, size, FAULT_IN, &done);
		fixture->machine.fail_at = 0;
		assert_int_equal(done, mapped_bytes(fixture, gpa, size));
		assert_int_equal(error, done == size ? 0 : ADDRSPACE_ENOMEM);
		assert_int_equal(guest_frames(fixture),
				 done ? 1 + (done - 50 + PAGE - 1) / PAGE : 0);
		assert_int_equal(addrspace_read(as, gpa, seen, done, 0, NULL), 0);
		assert_memory_equal(seen, bytes, done);
		fixture_check(fixture);
		assert_true(n < 100);
	}
}

static void refused_quota_ends_the_access(void **state)
{
	struct fixture *fixture = *state;
	size_t done = 99;

	fixture->machine.quota = 0;
	assert_int_equal(addrspace_fill(&fixture->as, LAZY, 1, 8, FAULT_IN, &done),
			 ADDRSPACE_EDQUOT);
	assert_int_equal(done, 0);
	fixture->machine.quota = UINT64_MAX;
}

struct rival {
	struct fixture *fixture;
	uint64_t gpa;
	unsigned flags;
	int result;
};

/** Another CPU brings the very page in while we are about to. */
static void rival_writes(struct fake_machine *machine, enum fake_event event, void *ctx)
{
	struct rival *rival = ctx;
	uint64_t token = fake_machine_token(rival->gpa);

	if (event != FAKE_AT_ALLOCATE)
		return;
	machine->interlude = NULL;
	fake_machine_set_cpu(machine, 1);
	rival->result = addrspace_write(&rival->fixture->as, rival->gpa, &token, sizeof(token),
					rival->flags, NULL);
	fake_machine_set_cpu(machine, 0);
}

static void page_that_another_cpu_brought_in_first_is_used(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t pages[] = {LAZY, GUARD};

	for (unsigned i = 0; i < 2; i++) {
		struct rival rival = {.fixture = fixture,
				      .gpa = pages[i],
				      .flags = FAULT_IN | OVERRIDE,
				      .result = -1};
		uint64_t value = 7;

		fixture->machine.interlude = rival_writes;
		fixture->machine.interlude_ctx = &rival;
		assert_int_equal(addrspace_write(&fixture->as, pages[i] + 8, &value, 8,
						 FAULT_IN | OVERRIDE, NULL),
				 0);
		assert_int_equal(rival.result, 0);
		assert_int_equal(guest_frames(fixture), i + 1);
		assert_int_equal(addrspace_load(&fixture->as, pages[i], 8, &value, OVERRIDE), 0);
		assert_int_equal(value, fake_machine_token(pages[i]));
		assert_int_equal(addrspace_load(&fixture->as, pages[i] + 8, 8, &value, OVERRIDE),
				 0);
		assert_int_equal(value, 7);
		fixture_check(fixture);
	}
}

/** The rival takes the last frame, for the very page. */
static void rival_takes_the_last_frame(struct fake_machine *machine, enum fake_event event,
				       void *ctx)
{
	rival_writes(machine, event, ctx);
	if (!machine->interlude)
		machine->fail_at = 1;
}

static void page_that_came_with_the_last_frame_is_used(void **state)
{
	struct fixture *fixture = *state;
	struct rival rival = {.fixture = fixture, .gpa = LAZY, .flags = FAULT_IN, .result = -1};

	fixture->machine.interlude = rival_takes_the_last_frame;
	fixture->machine.interlude_ctx = &rival;
	assert_int_equal(addrspace_store(&fixture->as, LAZY + 8, 8, 7, FAULT_IN), 0);
	assert_int_equal(rival.result, 0);
	assert_int_equal(guest_frames(fixture), 1);
	fixture->machine.fail_at = 0;
}

static void loser_of_a_race_for_a_table_tries_again(void **state)
{
	struct fixture *fixture = *state;
	struct rival rival = {
		.fixture = fixture, .gpa = LAZY + PAGE, .flags = FAULT_IN, .result = -1};

	fixture->machine.interlude = rival_writes;
	fixture->machine.interlude_ctx = &rival;
	assert_int_equal(addrspace_store(&fixture->as, LAZY, 8, 7, FAULT_IN), 0);
	assert_int_equal(rival.result, 0);
	assert_int_equal(guest_frames(fixture), 2);
}

static void page_brought_in_is_synced_for_walkers_that_do_not_snoop(void **state)
{
	struct fixture *fixture = *state;
	struct fake_translation now;

	assert_int_equal(addrspace_fill(&fixture->as, LAZY, 0, 1, FAULT_IN, NULL), 0);
	assert_true(fake_iommu_translate(&fixture->machine, LAZY, &now));
	assert_int_equal(now.hpa, fixture_hpa(fixture, LAZY));
}

/* ---- the lock ---- */

static void lock_shared_spied(void *ctx)
{
	if (lent.before_lock && !--lent.locks_until) {
		void (*act)(struct fixture *) = lent.before_lock;

		lent.before_lock = NULL;
		act(lent.fixture);
	}
	lent.honest.lock_shared(ctx);
}

/** Has a call act before the lock is taken shared for the n-th time from now. */
static void before_lock(struct fixture *fixture, unsigned n, void (*act)(struct fixture *))
{
	lent.before_lock = act;
	lent.locks_until = n;
	fixture->machine.handler.lock_shared = lock_shared_spied;
}

static void unmap_second_half(struct fixture *fixture)
{
	assert_int_equal(addrspace_unmap(&fixture->as, LINEAR + 128 * KIB, 2 * MIB), 0);
}

static void lock_is_dropped_every_64_kib_and_a_writer_gets_its_turn(void **state)
{
	static uint8_t bytes[512 * KIB];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct fake_counters *counters = &fixture->machine.counters;
	size_t done;

	counters->lock_shared = 0;
	assert_int_equal(addrspace_read(as, LINEAR, bytes, CHUNK, 0, NULL), 0);
	assert_int_equal(counters->lock_shared, 1);
	assert_int_equal(addrspace_read(as, LINEAR + 1, bytes, CHUNK, 0, NULL), 0);
	assert_int_equal(counters->lock_shared, 3);
	assert_int_equal(addrspace_read(as, LINEAR + 1, bytes, CHUNK - 1, 0, NULL), 0);
	assert_int_equal(counters->lock_shared, 4);
	assert_int_equal(addrspace_fill(as, LINEAR, 1, sizeof(bytes), 0, NULL), 0);
	assert_int_equal(counters->lock_shared, 12);

	before_lock(fixture, 3, unmap_second_half);
	assert_int_equal(addrspace_write(as, LINEAR, bytes, sizeof(bytes), 0, &done),
			 ADDRSPACE_ENOENT);
	assert_int_equal(done, 128 * KIB);
}

static void grow_region(struct fixture *fixture)
{
	assert_int_equal(addrspace_protect(&fixture->as, ROM, GUARD - ROM, RW), 0);
}

static void what_was_known_of_a_region_is_forgotten_with_the_lock(void **state)
{
	static uint8_t bytes[256 * KIB];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	size_t done;

	before_lock(fixture, 2, grow_region);
	assert_int_equal(addrspace_write(as, ROM - 64 * KIB, bytes, sizeof(bytes), 0, &done), 0);
	assert_int_equal(done, sizeof(bytes));
}

static void put_a_device_there(struct fixture *fixture)
{
	assert_int_equal(addrspace_map_linear(&fixture->as, ROM + CHUNK, CHUNK, lent.registers_hpa,
					      &registers, ADDRSPACE_MAP_REPLACE),
			 0);
}

static void device_that_comes_meanwhile_is_not_written(void **state)
{
	static uint8_t bytes[256 * KIB];
	struct fixture *fixture = *state;
	size_t done;

	before_lock(fixture, 2, put_a_device_there);
	assert_int_equal(addrspace_write(&fixture->as, ROM, bytes, sizeof(bytes), OVERRIDE, &done),
			 ADDRSPACE_ENOTSUP);
	assert_int_equal(done, CHUNK);
}

static void make_read_only(struct fixture *fixture)
{
	assert_int_equal(addrspace_protect(&fixture->as, LINEAR, LENT_SIZE, ADDRSPACE_READ), 0);
}

static void long_copy_meets_what_the_layout_is_by_then(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	size_t done;

	/* The first time it looks at the regions. */
	before_lock(fixture, 4, make_read_only);
	assert_int_equal(addrspace_copy(as, LINEAR, LINEAR + MIB, 512 * KIB, 0, &done),
			 ADDRSPACE_EACCES);
	assert_true(done == 2 * CHUNK || done == 3 * CHUNK);
}

/* ---- guest to guest ---- */

static void overlapping_copies_move(void **state)
{
	static uint8_t expected[640 * KIB];
	static const int64_t shifts[] = {1,        7,      PAGE,  PAGE + 1, 64 * KIB - 1,
					 64 * KIB, 100000, 199999};
	const uint64_t size = 200000, from = 200 * KIB + 123;
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < 2 * sizeof(shifts) / sizeof(shifts[0]); i++) {
		int64_t shift = i % 2 ? shifts[i / 2] : -shifts[i / 2];
		uint64_t to = (uint64_t)((int64_t)from + shift);
		size_t done;

		pattern(expected, sizeof(expected), i);
		memcpy(lent_byte(fixture, 0), expected, sizeof(expected));
		memmove(expected + to, expected + from, size);
		assert_int_equal(
			addrspace_copy(&fixture->as, LINEAR + to, LINEAR + from, size, 0, &done),
			0);
		assert_int_equal(done, size);
		assert_memory_equal(lent_byte(fixture, 0), expected, sizeof(expected));
	}
}

static void copies_between_two_addresses_of_one_memory_move(void **state)
{
	static uint8_t expected[512 * KIB];
	static const uint64_t places[] = {0, 1, PAGE, PAGE + 5, 70000, 150000};
	const uint64_t size = 160000;
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < 36; i++) {
		uint64_t from = places[i / 6], to = places[i % 6];

		pattern(expected, sizeof(expected), i);
		memcpy(lent_byte(fixture, 0), expected, sizeof(expected));
		memmove(expected + to, expected + from, size);
		assert_int_equal(
			addrspace_copy(&fixture->as, LINEAR + to, ROM + from, size, 0, NULL), 0);
		assert_memory_equal(lent_byte(fixture, 0), expected, sizeof(expected));
	}
}

static void overlapping_copy_that_meets_a_hole_does_what_is_before_it(void **state)
{
	static uint8_t expected[512 * KIB];
	const uint64_t hole = 300 * KIB;
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	size_t done;

	assert_int_equal(addrspace_unmap(as, LINEAR + hole, PAGE), 0);
	/* The hole ends what is written: upwards ... */
	pattern(expected, sizeof(expected), 5);
	memcpy(lent_byte(fixture, 0), expected, sizeof(expected));
	memmove(expected + 150000, expected + 100001, hole - 150000);
	assert_int_equal(addrspace_copy(as, LINEAR + 150000, LINEAR + 100001, 190000, 0, &done),
			 ADDRSPACE_ENOENT);
	assert_int_equal(done, hole - 150000);
	assert_memory_equal(lent_byte(fixture, 0), expected, sizeof(expected));
	/* ... and what is read: downwards. */
	memmove(expected + 100001, expected + 150000, hole - 150000);
	assert_int_equal(addrspace_copy(as, LINEAR + 100001, LINEAR + 150000, 190000, 0, &done),
			 ADDRSPACE_ENOENT);
	assert_int_equal(done, hole - 150000);
	assert_memory_equal(lent_byte(fixture, 0), expected, sizeof(expected));
	assert_int_equal(addrspace_copy(as, LINEAR + hole, LINEAR + hole - 1, 8, 0, &done),
			 ADDRSPACE_ENOENT);
	assert_int_equal(done, 0);
}

static void copy_upwards_holds_the_lock_and_downwards_drops_it(void **state)
{
	struct fixture *fixture = *state;
	struct fake_counters *counters = &fixture->machine.counters;

	counters->lock_shared = 0;
	assert_int_equal(addrspace_copy(&fixture->as, LINEAR + PAGE, LINEAR, 4 * CHUNK, 0, NULL),
			 0);
	assert_int_equal(counters->lock_shared, 1);
	counters->lock_shared = 0;
	assert_int_equal(addrspace_copy(&fixture->as, LINEAR, LINEAR + CHUNK, 4 * CHUNK, 0, NULL),
			 0);
	assert_int_equal(counters->lock_shared, 4);
}

/* ---- one value ---- */

static void value_is_loaded_and_stored_at_its_width(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	const uint64_t value = UINT64_C(0x8877665544332211);

	for (unsigned size = 1; size <= 8; size *= 2) {
		for (uint64_t at = 0; at < 2 * PAGE; at += size == 8 ? 8 : 501 * size) {
			uint64_t mask = size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
			uint8_t *host = lent_byte(fixture, PAGE + at);
			uint64_t seen = 99;

			memset(host - 8, 0xee, 24);
			assert_int_equal(
				addrspace_store(as, LINEAR + PAGE + at, size, value & mask, 0), 0);
			assert_memory_equal(host, &value, size);
			assert_int_equal(host[-1], 0xee);
			assert_int_equal(host[size], 0xee);
			assert_int_equal(addrspace_load(as, LINEAR + PAGE + at, size, &seen, 0), 0);
			assert_int_equal(seen, value & mask);
		}
	}
}

static void value_that_is_no_value_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	uint64_t limit = layout_limit(fixture->layout);
	uint64_t value = 0;

	for (unsigned size = 0; size < 18; size++) {
		if (size == 1 || size == 2 || size == 4 || size == 8)
			continue;
		assert_int_equal(addrspace_load(as, LINEAR, size, &value, 0), ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_store(as, LINEAR, size, 0, 0), ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_compare_exchange(as, LINEAR, size, &value, 0, 0),
				 ADDRSPACE_EINVAL);
	}
	for (unsigned size = 2; size <= 8; size *= 2) {
		for (unsigned at = 1; at < size; at++) {
			assert_int_equal(addrspace_load(as, LINEAR + at, size, &value, 0),
					 ADDRSPACE_EINVAL);
			assert_int_equal(addrspace_store(as, LINEAR + at, size, 0, 0),
					 ADDRSPACE_EINVAL);
			assert_int_equal(
				addrspace_compare_exchange(as, LINEAR + at, size, &value, 0, 0),
				ADDRSPACE_EINVAL);
		}
	}
	for (unsigned size = 1; size <= 4; size *= 2) {
		uint64_t wide = UINT64_C(1) << 8 * size;

		assert_int_equal(addrspace_store(as, LINEAR, size, wide, 0), ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_compare_exchange(as, LINEAR, size, &wide, 0, 0),
				 ADDRSPACE_EINVAL);
		assert_int_equal(addrspace_compare_exchange(as, LINEAR, size, &value, wide, 0),
				 ADDRSPACE_EINVAL);
	}
	assert_int_equal(addrspace_load(as, LINEAR, 8, NULL, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_load(NULL, LINEAR, 8, &value, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_store(NULL, LINEAR, 8, 0, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_compare_exchange(as, LINEAR, 8, NULL, 0, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_compare_exchange(NULL, LINEAR, 8, &value, 0, 0),
			 ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_load(as, LINEAR, 8, &value, 1 << 4), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_load(as, limit, 8, &value, 0), ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_load(as, UINT64_MAX - 7, 8, &value, 0), ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_load(as, 0, 8, &value, FAULT_IN), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_load(as, LAZY, 8, &value, 0), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_load(as, LAZY, 8, &value, FAULT_IN), 0);
	fixture->machine.fail_at = 1;
	assert_int_equal(addrspace_store(as, LAZY + PAGE, 8, 0, FAULT_IN), ADDRSPACE_ENOMEM);
	fixture->machine.fail_at = 0;
}

static void exchange_happens_only_against_the_expected_value(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;

	for (unsigned size = 1; size <= 8; size *= 2) {
		for (uint64_t at = PAGE - 8; at < PAGE + 8; at += size) {
			uint64_t mask = size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
			uint64_t first = UINT64_C(0xf1f2f3f4f5f6f7f8) & mask;
			uint64_t second = UINT64_C(0x8182838485868788) & mask;
			uint64_t expected = second;
			uint8_t *host = lent_byte(fixture, at);

			memset(host - 8, 0xee, 24);
			memcpy(host, &first, size);
			assert_int_equal(
				addrspace_compare_exchange(as, LINEAR + at, size, &expected, 0, 0),
				ADDRSPACE_NOT_EXCHANGED);
			assert_int_equal(expected, first);
			assert_memory_equal(host, &first, size);
			assert_int_equal(addrspace_compare_exchange(as, LINEAR + at, size,
								    &expected, second, 0),
					 ADDRSPACE_EXCHANGED);
			assert_memory_equal(host, &second, size);
			assert_int_equal(expected, first);
			assert_int_equal(host[-1], 0xee);
			assert_int_equal(host[size], 0xee);
		}
	}
}

/* ---- where the hook maps page by page ---- */

static void pages_need_not_lie_side_by_side_in_the_hypervisor(void **state)
{
	static uint8_t out[3 * PAGE], in[3 * PAGE];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;

	pattern(out, sizeof(out), 8);
	assert_int_equal(addrspace_write(as, LINEAR + 40, out, sizeof(out), 0, NULL), 0);
	assert_memory_equal(lent_byte(fixture, LENT_SIZE - PAGE + 40), out, PAGE - 40);
	assert_memory_equal(lent_byte(fixture, LENT_SIZE - 2 * PAGE), out + PAGE - 40, PAGE);
	assert_memory_equal(lent_byte(fixture, LENT_SIZE - 4 * PAGE), out + 3 * PAGE - 40, 40);
	assert_int_equal(addrspace_read(as, LINEAR + 40, in, sizeof(in), 0, NULL), 0);
	assert_memory_equal(in, out, sizeof(in));
	/* upwards, backwards */
	assert_int_equal(addrspace_copy(as, LINEAR + 50, LINEAR + 40, sizeof(in), 0, NULL), 0);
	assert_int_equal(addrspace_read(as, LINEAR + 50, in, sizeof(in), 0, NULL), 0);
	assert_memory_equal(in, out, sizeof(in));
	/* by another address of the same memory, out of one page into two */
	assert_int_equal(addrspace_write(as, LINEAR + PAGE - 150, out, 120, 0, NULL), 0);
	assert_int_equal(addrspace_copy(as, LINEAR + PAGE - 100, ROM + PAGE - 150, 120, 0, NULL),
			 0);
	assert_int_equal(addrspace_read(as, LINEAR + PAGE - 100, in, 120, 0, NULL), 0);
	assert_memory_equal(in, out, 120);
}

static void page_that_the_hypervisor_cannot_reach_ends_the_access(void **state)
{
	static uint8_t bytes[3 * PAGE];
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_segments segments;
	struct addrspace_segment segment;
	uint64_t value = 0;
	size_t done;

	lent.unreachable = lent.hpa + 2 * PAGE;
	assert_int_equal(addrspace_read(as, LINEAR + 9, bytes, sizeof(bytes), 0, &done),
			 ADDRSPACE_EFAULT);
	assert_int_equal(done, 2 * PAGE - 9);
	assert_int_equal(addrspace_write(as, LINEAR + 9, bytes, sizeof(bytes), 0, &done),
			 ADDRSPACE_EFAULT);
	assert_int_equal(done, 2 * PAGE - 9);
	assert_int_equal(addrspace_copy(as, LINEAR + 9, LINEAR + 8 * PAGE, sizeof(bytes), 0, &done),
			 ADDRSPACE_EFAULT);
	assert_int_equal(done, 2 * PAGE - 9);
	assert_int_equal(addrspace_copy(as, LINEAR + 19, LINEAR + 9, sizeof(bytes), 0, &done),
			 ADDRSPACE_EFAULT);
	assert_int_equal(done, 2 * PAGE - 19);
	assert_int_equal(addrspace_load(as, LINEAR + 2 * PAGE, 8, &value, 0), ADDRSPACE_EFAULT);
	assert_int_equal(
		addrspace_segments_begin(&segments, as, LINEAR + PAGE, 3 * PAGE, ADDRSPACE_READ, 0),
		0);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
	assert_int_equal(segment.size, PAGE);
	assert_int_equal(addrspace_segments_next(&segments, &segment), ADDRSPACE_EFAULT);
	assert_int_equal(addrspace_segments_next(&segments, &segment), ADDRSPACE_EFAULT);
	addrspace_segments_end(&segments);
}

/* ---- segments ---- */

static void segments_are_as_long_as_memory_is_contiguous(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_segments segments;
	struct addrspace_segment segment;

	/* All of the linear region in one, then the ROM, which begins at its start again. */
	assert_int_equal(addrspace_segments_begin(&segments, as, LINEAR + 9, LENT_SIZE + MIB,
						  ADDRSPACE_READ, 0),
			 0);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
	assert_ptr_equal(segment.host, lent_byte(fixture, 9));
	assert_int_equal(segment.hpa, lent.hpa + 9);
	assert_int_equal(segment.gpa, LINEAR + 9);
	assert_int_equal(segment.size, LENT_SIZE - 9);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
	assert_ptr_equal(segment.host, lent_byte(fixture, 0));
	assert_int_equal(segment.hpa, lent.hpa);
	assert_int_equal(segment.gpa, ROM);
	assert_int_equal(segment.size, MIB + 9);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 0);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 0);
	addrspace_segments_end(&segments);
}

static void segments_of_scattered_pages_are_pages(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_segments segments;
	struct addrspace_segment segment;

	assert_int_equal(addrspace_segments_begin(&segments, &fixture->as, LINEAR + 9, 2 * PAGE,
						  ADDRSPACE_READ, 0),
			 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
		assert_int_equal(segment.hpa, lent.hpa + (i ? i * PAGE : 9));
		assert_ptr_equal(segment.host,
				 lent_byte(fixture, LENT_SIZE - (i + 1) * PAGE + (i ? 0 : 9)));
		assert_int_equal(segment.size, i == 0 ? PAGE - 9 : i == 1 ? PAGE : 9);
	}
	assert_int_equal(addrspace_segments_next(&segments, &segment), 0);
	addrspace_segments_end(&segments);
}

static void segments_side_by_side_only_in_the_hypervisor_are_two(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_segments segments;
	struct addrspace_segment segment;

	/* Backwards in the guest, and the hook turns it round again. */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(addrspace_map_linear(&fixture->as, MIB + i * PAGE, PAGE,
						      lent.hpa + (2 - i) * PAGE, &fixture_rw, 0),
				 0);
	assert_int_equal(addrspace_segments_begin(&segments, &fixture->as, MIB, 3 * PAGE, RW, 0),
			 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
		assert_int_equal(segment.size, PAGE);
		assert_int_equal(segment.hpa, lent.hpa + (2 - i) * PAGE);
	}
	addrspace_segments_end(&segments);
}

static void segments_hold_the_lock_from_begin_to_end(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct fake_machine *machine = &fixture->machine;
	struct addrspace_segments segments;
	struct addrspace_segment segment;

	assert_int_equal(addrspace_segments_begin(&segments, as, LAZY, 3 * PAGE, RW, FAULT_IN), 0);
	assert_int_equal(machine->held[0], FAKE_SHARED);
	while (addrspace_segments_next(&segments, &segment) == 1)
		memset(segment.host, 0x61, segment.size);
	assert_int_equal(machine->held[0], FAKE_SHARED);
	addrspace_segments_end(&segments);
	fake_machine_assert_unlocked(machine);
	/* harmless, and without the lock */
	addrspace_segments_end(&segments);
	assert_int_equal(addrspace_segments_next(&segments, &segment), ADDRSPACE_EINVAL);
	assert_int_equal(guest_frames(fixture), 3);
}

static void segments_end_at_the_byte_that_may_not_be_accessed(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_segments segments;
	struct addrspace_segment segment;

	assert_int_equal(addrspace_segments_begin(&segments, as, ROM - 10, 20, RW, 0), 0);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
	assert_int_equal(segment.size, 10);
	assert_int_equal(addrspace_segments_next(&segments, &segment), ADDRSPACE_EACCES);
	assert_int_equal(addrspace_segments_next(&segments, &segment), ADDRSPACE_EACCES);
	addrspace_segments_end(&segments);
	fake_machine_assert_unlocked(&fixture->machine);
}

static void segments_that_do_not_begin_need_no_end(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct addrspace_segments segments;
	struct addrspace_segment segment;
	uint64_t limit = layout_limit(fixture->layout);
	uint64_t locks = fixture->machine.counters.lock_shared;

	assert_int_equal(addrspace_segments_begin(NULL, as, 0, 1, RW, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_segments_begin(&segments, NULL, 0, 1, RW, 0), ADDRSPACE_EINVAL);
	addrspace_segments_end(&segments);
	assert_int_equal(addrspace_segments_begin(&segments, as, 0, 1, 0, 0), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_segments_begin(&segments, as, 0, 1, ADDRSPACE_EXECUTE, 0),
			 ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_segments_begin(&segments, as, 0, 1, RW, 1 << 4),
			 ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_segments_begin(&segments, as, limit - 1, 2, RW, 0),
			 ADDRSPACE_ERANGE);
	assert_int_equal(addrspace_segments_begin(&segments, as, UINT64_MAX, 2, RW, 0),
			 ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_segments_next(&segments, &segment), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_segments_next(NULL, &segment), ADDRSPACE_EINVAL);
	addrspace_segments_end(&segments);
	addrspace_segments_end(NULL);
	assert_int_equal(fixture->machine.counters.lock_shared, locks);
	assert_int_equal(addrspace_segments_begin(&segments, as, UINT64_MAX, 0, RW, 0), 0);
	assert_int_equal(addrspace_segments_next(&segments, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 0);
	addrspace_segments_end(&segments);
}

static void segments_that_were_written_are_prepared_at_the_end(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;
	struct fake_counters *counters = &fixture->machine.counters;
	struct addrspace_segments segments;
	struct addrspace_segment segment;
	const uint8_t *memory = fixture->machine.memory;

	if (!memory)
		return;
	memory += lent.hpa - FAKE_ARENA_BASE;
	assert_int_equal(addrspace_segments_begin(&segments, as, LINEAR + 9, 2 * PAGE,
						  ADDRSPACE_WRITE, PREPARE),
			 0);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
	memset(segment.host, 0x41, segment.size);
	assert_int_equal(memory[9], 0);
	addrspace_segments_end(&segments);
	for (unsigned i = 0; i < segment.size; i++)
		assert_int_equal(memory[9 + i], 0x41);
	counters->prepare_frame = 0;
	assert_int_equal(
		addrspace_segments_begin(&segments, as, LINEAR, PAGE, ADDRSPACE_READ, PREPARE), 0);
	assert_int_equal(addrspace_segments_next(&segments, &segment), 1);
	addrspace_segments_end(&segments);
	assert_int_equal(counters->prepare_frame, 0);
}

/* ---- at random, against a flat model ---- */

#define ROUNDS 250u
#define MOST   (200 * KIB)

/** What is in the guest's memory, and which lazy pages are there. */
static struct {
	uint8_t lent[LENT_SIZE];
	uint8_t lazy[LINEAR - LAZY];
	uint8_t guard[REGISTERS - GUARD];
	uint8_t registers[REGISTERS_SIZE];
	bool lazy_there[(LINEAR - LAZY) / PAGE];
	bool guard_there[(REGISTERS - GUARD) / PAGE];
	uint64_t random;
} model;

static uint64_t draw(uint64_t below)
{
	model.random ^= model.random << 13;
	model.random ^= model.random >> 7;
	model.random ^= model.random << 17;
	return model.random % below;
}

/** A lazy byte: it comes in if the access wants that. */
static uint8_t *model_lazy(uint8_t *bytes, bool *there, uint64_t offset, unsigned flags, int *error)
{
	if (!there[offset / PAGE] && !(flags & FAULT_IN)) {
		*error = ADDRSPACE_ENOENT;
		return NULL;
	}
	there[offset / PAGE] = true;
	return bytes + offset;
}

/** The byte at gpa, or NULL and why it must not be accessed. */
static uint8_t *model_byte(uint64_t gpa, unsigned access, unsigned flags, int *error)
{
	unsigned permissions = gpa >= GUARD && gpa < REGISTERS ? 0
			       : gpa >= ROM && gpa < GUARD     ? ADDRSPACE_READ
							       : RW;

	*error = ADDRSPACE_ENOENT;
	if (gpa < LAZY || gpa >= GUEST_END)
		return NULL;
	*error = ADDRSPACE_EACCES;
	if (access & ~permissions && !(flags & OVERRIDE))
		return NULL;
	if (gpa < LINEAR)
		return model_lazy(model.lazy, model.lazy_there, gpa - LAZY, flags, error);
	if (gpa < ROM)
		return model.lent + (gpa - LINEAR);
	if (gpa < GUARD)
		return model.lent + (gpa - ROM);
	if (gpa < REGISTERS)
		return model_lazy(model.guard, model.guard_there, gpa - GUARD, flags, error);
	*error = ADDRSPACE_ENOTSUP;
	return flags & DEVICE ? model.registers + (gpa - REGISTERS) : NULL;
}

static uint64_t draw_gpa(void)
{
	static const uint64_t edges[] = {LAZY,     LAZY + 64 * PAGE,     LINEAR, LINEAR + 2 * MIB,
					 ROM,      ROM + 2 * MIB - MOST, GUARD,  REGISTERS,
					 GUEST_END};

	return edges[draw(sizeof(edges) / sizeof(edges[0]))] - 3 * PAGE + draw(6 * PAGE);
}

static size_t draw_size(void)
{
	const uint64_t most[] = {9, 100, PAGE + 1, 3 * PAGE, MOST};

	return (size_t)draw(most[draw(5)]) + 1;
}

static uint8_t bytes[MOST];

/** A read, write or fill. */
static void play_bytes(struct addrspace *as, unsigned which)
{
	static uint8_t expected[MOST];
	uint64_t gpa = draw_gpa();
	size_t size = draw_size(), n = 0, done;
	unsigned flags = (unsigned)draw(8);
	uint8_t *byte;
	int error = 0, result;

	pattern(bytes, size, (unsigned)draw(256));
	if (which == 2)
		memset(bytes, 0x3c, size);
	memcpy(expected, bytes, size);
	for (; n < size; n++) {
		byte = model_byte(gpa + n, which ? ADDRSPACE_WRITE : ADDRSPACE_READ, flags, &error);
		if (!byte)
			break;
		if (which)
			*byte = bytes[n];
		else
			expected[n] = *byte;
	}
	if (which == 0)
		result = addrspace_read(as, gpa, bytes, size, flags, &done);
	else if (which == 1)
		result = addrspace_write(as, gpa, bytes, size, flags, &done);
	else
		result = addrspace_fill(as, gpa, 0x3c, size, flags, &done);
	assert_int_equal(done, n);
	assert_int_equal(result, n < size ? error : 0);
	assert_memory_equal(bytes, expected, size);
}

static uint64_t region_of(uint64_t gpa)
{
	return gpa < LINEAR ? LAZY : gpa < ROM ? LINEAR : gpa < GUARD ? ROM : GUARD;
}

/** Lent memory by two addresses, in a range over more than one region: some order is as good as
 * another. */
static bool any_order(uint64_t to, uint64_t from, size_t size)
{
	return (region_of(to) != region_of(to + size) ||
		region_of(from) != region_of(from + size)) &&
	       to + size > LINEAR && to < GUARD && from + size > LINEAR && from < GUARD;
}

static void play_copy(struct addrspace *as)
{
	uint64_t from = draw_gpa();
	uint64_t to = draw(3) ? draw_gpa() : from - MOST / 2 + draw(MOST);
	size_t size = draw_size(), n = 0, done;
	unsigned flags = (unsigned)draw(8);
	int error = 0;

	if (any_order(to, from, size))
		return;
	for (; n < size; n++) {
		const uint8_t *byte = model_byte(from + n, ADDRSPACE_READ, flags, &error);

		if (!byte || !model_byte(to + n, ADDRSPACE_WRITE, flags, &error))
			break;
		bytes[n] = *byte;
	}
	for (size_t i = 0; i < n; i++)
		*model_byte(to + i, ADDRSPACE_WRITE, flags, &(int){0}) = bytes[i];
	assert_int_equal(addrspace_copy(as, to, from, size, flags, &done), n < size ? error : 0);
	assert_int_equal(done, n);
}

static void play_segments(struct addrspace *as)
{
	uint64_t gpa = draw_gpa();
	size_t size = draw_size(), n = 0;
	unsigned flags = (unsigned)draw(8), access = 1 + (unsigned)draw(3);
	struct addrspace_segments segments;
	struct addrspace_segment segment;
	int error = 0, result;

	assert_int_equal(addrspace_segments_begin(&segments, as, gpa, size, access, flags), 0);
	while ((result = addrspace_segments_next(&segments, &segment)) == 1) {
		assert_int_equal(segment.gpa, gpa + n);
		assert_in_range(segment.size, 1, size - n);
		for (size_t i = 0; i < segment.size; i++, n++) {
			uint8_t *byte = model_byte(gpa + n, access, flags, &error);

			assert_non_null(byte);
			assert_int_equal(*byte, ((uint8_t *)segment.host)[i]);
			if (access & ADDRSPACE_WRITE)
				*byte = ((uint8_t *)segment.host)[i] ^= 0x55;
		}
	}
	if (n < size)
		assert_null(model_byte(gpa + n, access, flags, &error));
	assert_int_equal(result, n < size ? error : 0);
	addrspace_segments_end(&segments);
}

/** All of the guest's memory, and which pages are there. */
static void compare_with_model(struct fixture *fixture)
{
	struct addrspace *as = &fixture->as;
	uint64_t there = 0;

	for (uint64_t gpa = LAZY; gpa < GUEST_END; gpa += PAGE) {
		int error;
		const uint8_t *byte = model_byte(gpa, RW, OVERRIDE | DEVICE, &error);
		int result = addrspace_read(as, gpa, bytes, PAGE, OVERRIDE | DEVICE, NULL);

		assert_int_equal(result, byte ? 0 : error);
		if (byte)
			assert_memory_equal(bytes, byte, PAGE);
		there += byte && (gpa < LINEAR || (gpa >= GUARD && gpa < REGISTERS));
	}
	assert_int_equal(guest_frames(fixture), there);
}

static void random_accesses_match_a_flat_model(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace *as = &fixture->as;

	memset(&model, 0, sizeof(model));
	model.random = 88172645463325252u;
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned which = (unsigned)draw(5);

		if (which == 3)
			play_copy(as);
		else if (which == 4)
			play_segments(as);
		else
			play_bytes(as, which);
		fake_machine_assert_unlocked(&fixture->machine);
	}
	compare_with_model(fixture);
}

#define TEST(test)      cmocka_unit_test_setup_teardown(test, access_setup, fixture_teardown)
#define SCATTERED(test) cmocka_unit_test_setup_teardown(test, scattered_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(written_bytes_are_read_back_across_pages_leaves_and_regions),
		TEST(guest_sees_what_was_written_and_is_read_what_it_wrote),
		TEST(nothing_beside_the_range_is_touched),
		TEST(nothing_is_allocated_or_invalidated_where_all_is_there),
		TEST(range_outside_of_the_space_is_refused_with_nothing_done),
		TEST(empty_range_does_nothing_wherever_it_points),
		TEST(malformed_call_is_refused),
		TEST(access_ends_exactly_where_it_may_not_go_on),
		TEST(run_of_pages_ends_with_its_table),
		TEST(write_that_is_refused_leaves_memory_as_it_was),
		TEST(needs_only_the_permission_that_it_uses),
		TEST(override_loads_firmware_into_what_the_guest_cannot_write),
		TEST(override_reaches_large_leaves_without_permissions),
		TEST(device_is_accessed_only_on_request),
		TEST(device_right_behind_memory_is_not_accessed),
		TEST(range_of_a_job_has_nothing_to_access),
		TEST(trap_region_has_nothing_to_access),
		TEST(prepare_hands_over_the_pages_that_were_written),
		TEST(writes_are_logged_where_hardware_logs_and_reads_are_not),
		TEST(fault_in_brings_only_the_pages_of_the_range),
		TEST(out_of_memory_ends_the_access_behind_the_last_page_that_came),
		TEST(refused_quota_ends_the_access),
		TEST(page_that_another_cpu_brought_in_first_is_used),
		TEST(page_that_came_with_the_last_frame_is_used),
		TEST(loser_of_a_race_for_a_table_tries_again),
		TEST(page_brought_in_is_synced_for_walkers_that_do_not_snoop),
		TEST(lock_is_dropped_every_64_kib_and_a_writer_gets_its_turn),
		TEST(what_was_known_of_a_region_is_forgotten_with_the_lock),
		TEST(device_that_comes_meanwhile_is_not_written),
		TEST(long_copy_meets_what_the_layout_is_by_then),
		TEST(overlapping_copies_move),
		TEST(copies_between_two_addresses_of_one_memory_move),
		TEST(overlapping_copy_that_meets_a_hole_does_what_is_before_it),
		TEST(copy_upwards_holds_the_lock_and_downwards_drops_it),
		TEST(value_is_loaded_and_stored_at_its_width),
		TEST(value_that_is_no_value_is_refused),
		TEST(exchange_happens_only_against_the_expected_value),
		SCATTERED(pages_need_not_lie_side_by_side_in_the_hypervisor),
		SCATTERED(page_that_the_hypervisor_cannot_reach_ends_the_access),
		TEST(segments_are_as_long_as_memory_is_contiguous),
		SCATTERED(segments_of_scattered_pages_are_pages),
		SCATTERED(segments_side_by_side_only_in_the_hypervisor_are_two),
		TEST(segments_hold_the_lock_from_begin_to_end),
		TEST(segments_end_at_the_byte_that_may_not_be_accessed),
		TEST(segments_that_do_not_begin_need_no_end),
		TEST(segments_that_were_written_are_prepared_at_the_end),
		TEST(random_accesses_match_a_flat_model),
		SCATTERED(random_accesses_match_a_flat_model),
	};

	return run_over_layouts("access", tests, sizeof(tests) / sizeof(tests[0]));
}
