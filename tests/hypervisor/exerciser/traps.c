/* SPDX-License-Identifier: MIT */
/* Trap regions: the guest's loads and stores reach a device that is all in here, at the offset and with
 * the cookie that the library tells, and nowhere else. */
#include "traps.h"

#include "libc.h"
#include "subject.h"

#define DEVICE_SIZE (16 * SIZE_4K)
#define COOKIE      UINT64_C(0xde71ce0000000000)

/* What the guest sees of the device: its bytes. Each has a cookie of its own. */
struct device {
	uint8_t bytes[DEVICE_SIZE];
	uint64_t loads;
	uint64_t stores;
};

static struct device devices[SPACE_PLACES];

static uint64_t of_size(uint64_t value, unsigned size)
{
	return value & UINT64_MAX >> (64 - 8 * size);
}

static uint64_t device_bytes(const struct device *device, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, &device->bytes[offset], size);
	return value;
}

/** The device that a fault is for, by nothing but what the library tells; NULL if that is wrong. */
static struct device *device_of(const struct addrspace_region *region, uint64_t gpa,
				uint64_t *offset)
{
	uint64_t number = region->cookie - COOKIE;

	*offset = gpa - region->backend.u.trap.base;
	if (!check_equal("kind of the region", ADDRSPACE_TRAP, region->backend.kind) ||
	    !check_true("the cookie is a device's", number < SPACE_PLACES) ||
	    !check_true("the offset is in the device", *offset < DEVICE_SIZE))
		return NULL;
	return &devices[number];
}

/** The hypervisor does what the guest's instruction wanted, and steps over it. */
static bool emulate(struct device *device, uint64_t offset, const struct answer *answer)
{
	struct vcpu *vcpu = machine_vcpu(machine_this_cpu());

	if (!check_true("the instruction can be emulated", answer->emulatable) ||
	    !check_true("it stays in the device", answer->size <= DEVICE_SIZE - offset))
		return false;
	if (answer->fault.access & W) {
		memcpy(&device->bytes[offset], &answer->stored, answer->size);
		device->stores++;
		vcpu_skip_instruction(vcpu);
	} else {
		vcpu_complete_load(vcpu, device_bytes(device, offset, answer->size));
		device->loads++;
	}
	return true;
}

/** The guest carries the request out, by the device's help: false if something else came of it. */
static bool do_by_device(struct space *space, const struct request *request, uint64_t *result)
{
	struct answer answer = subject_try(space, request);
	struct addrspace_region region;
	struct device *device;
	uint64_t offset;

	if (!check_equal("goes through without the device", false, answer.done))
		return false;
	/* Arm tells the byte, others may tell the page only. */
	if (answer.fault.gpa_page_only)
		answer.fault.gpa += request->gpa % SIZE_4K;
	check_equal("address of the fault", request->gpa, answer.fault.gpa);
	check_named(
		"outcome of the fault", ADDRSPACE_FAULT_EMULATE,
		addrspace_handle_fault(&space->as, answer.fault.gpa, answer.fault.access, &region),
		addrspace_fault_name);
	device = device_of(&region, answer.fault.gpa, &offset);
	if (!device || !emulate(device, offset, &answer)) {
		subject_abandon(space);
		return false;
	}
	answer = subject_again(space);
	*result = answer.result;
	if (check_true("goes on behind the instruction", answer.done))
		return true;
	subject_abandon(space);
	return false;
}

static void store_and_load(struct space *space, unsigned number, uint64_t gpa, uint64_t offset,
			   unsigned size)
{
	struct device *device = &devices[number];
	struct request request = {
		.operation = GUEST_WRITE,
		.size = size,
		.gpa = gpa,
		.value = (offset + 1) * UINT64_C(0x9e3779b97f4a7c15),
	};
	uint64_t result;

	check_at(gpa, "write to a trap");
	if (do_by_device(space, &request, &result))
		check_equal("what the device got", of_size(request.value, size),
			    device_bytes(device, offset, size));
	check_at(gpa, "read of a trap");
	request.operation = GUEST_READ;
	device->bytes[offset] ^= 0x5a;
	if (do_by_device(space, &request, &result))
		check_equal("what the guest gets", device_bytes(device, offset, size), result);
}

/** All sizes, at both ends of the device and across its pages. */
static void use_device(struct space *space, unsigned number, uint64_t gpa)
{
	struct device *device = &devices[number];

	*device = (struct device){0};
	for (unsigned size = 1; size <= 8; size *= 2) {
		store_and_load(space, number, gpa, 0, size);
		store_and_load(space, number, gpa + SIZE_4K + 8 * size, SIZE_4K + 8 * size, size);
		store_and_load(space, number, gpa + DEVICE_SIZE - size, DEVICE_SIZE - size, size);
	}
	check_equal("stores that came to the device", 12, device->stores);
	check_equal("loads that came to the device", 12, device->loads);
}

static void map_trap(struct space *space, unsigned number, uint64_t gpa, uint64_t size,
		     unsigned permissions, unsigned flags)
{
	const struct addrspace_attributes attributes = {
		.permissions = permissions,
		.cookie = COOKIE + number,
	};

	check_at(gpa, "map_trap");
	space_check_ok("map_trap", addrspace_map_trap(&space->as, gpa, size, &attributes, flags));
}

/** The guest tries, and what comes of it is not an access to be emulated. */
static void check_refused(struct space *space, enum guest_operation operation, uint64_t gpa,
			  enum addrspace_fault outcome)
{
	const struct request request = {.operation = operation, .size = 8, .gpa = gpa};
	struct answer answer = subject_try(space, &request);

	check_at(gpa, "an access beside the trap, or not of its kind");
	if (!check_equal("goes through", false, answer.done))
		return;
	space_check_fault(space, &answer.fault, outcome);
	subject_abandon(space);
}

/** Each place its own device, none of which takes a table or has anything invalidated. */
static void devices_in_all_places(struct space *space)
{
	for (unsigned place = 0; place < SPACE_PLACES; place++)
		map_trap(space, place, space_place(space, place) + SIZE_2M, DEVICE_SIZE, RW, 0);
	for (unsigned place = 0; place < SPACE_PLACES; place++) {
		uint64_t gpa = space_place(space, place) + SIZE_2M;

		use_device(space, place, gpa);
		check_refused(space, GUEST_READ, gpa - 8, ADDRSPACE_FAULT_NOT_BACKED);
		check_refused(space, GUEST_WRITE, gpa + DEVICE_SIZE, ADDRSPACE_FAULT_NOT_BACKED);
		check_refused(space, GUEST_EXECUTE, gpa, ADDRSPACE_FAULT_DENIED);
	}
	check_equal("tables that traps take", space->empty.table_frames,
		    space_audit(space).table_frames);
	for (unsigned place = 0; place < SPACE_PLACES; place++)
		space_unmap(space, space_place(space, place) + SIZE_2M, DEVICE_SIZE);
	check_equal("invalidations for traps", 0, space_new_invalidations(space));
	space_check_empty(space);
}

/** What is left of a device that was cut keeps its offsets; memory in the middle of it is memory. */
static void device_with_memory_in_it(struct space *space)
{
	const uint64_t gpa = space_place(space, 1) + SIZE_2M;
	const uint64_t hole = gpa + 3 * SIZE_4K;
	const struct request write = {
		.operation = GUEST_WRITE, .size = 8, .gpa = hole + 16, .value = 0x3e3};

	devices[1] = (struct device){0};
	map_trap(space, 1, gpa, DEVICE_SIZE, RW, 0);
	space_map_alloc(space, hole, SIZE_4K, RW, ADDRSPACE_MAP_REPLACE);
	space_protect(space, gpa + 5 * SIZE_4K, SIZE_4K, R);
	store_and_load(space, 1, gpa + 2 * SIZE_4K + 8, 2 * SIZE_4K + 8, 8);
	store_and_load(space, 1, hole + SIZE_4K, 4 * SIZE_4K, 4);
	check_refused(space, GUEST_WRITE, gpa + 5 * SIZE_4K, ADDRSPACE_FAULT_DENIED);
	subject_do(space, &write, NULL, NULL);
	check_at(write.gpa, "write to memory in a trap");
	check_equal("what the host finds", write.value,
		    *(uint64_t *)((uint8_t *)space_host(space, hole) + 16));
	space_new_invalidations(space);
	/* Memory that the guest has used becomes a trap again: its very next access is the device's. */
	map_trap(space, 1, hole, SIZE_4K, RW, ADDRSPACE_MAP_REPLACE);
	check_equal("invalidations by a trap in place of memory", 1,
		    space_new_invalidations(space));
	store_and_load(space, 1, hole + 16, 16, 8);
	space_unmap(space, gpa, DEVICE_SIZE);
	space_check_empty(space);
}

void traps_run(struct space *space)
{
	devices_in_all_places(space);
	device_with_memory_in_it(space);
}
