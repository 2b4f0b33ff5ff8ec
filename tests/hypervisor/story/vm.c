/* SPDX-License-Identifier: MIT */
#include "vm.h"

#include "guest_console.h"
#include "guest_layout.h"
#include "libc.h"
#include "print.h"
#include "report.h"

enum region_name {
	NAME_LENT_DEVICE,
	NAME_EAGER,
	NAME_LAZY,
	NAME_GUARD,
	NAME_ROM,
	NAME_HUGE,
	NAME_BLOCK,
};

const char *const vm_region_names[] = {
	GUEST_LENT_DEVICE_NAME, "ram", "ram", "guard", "rom", "huge", "block"};

#define RW  (ADDRSPACE_READ | ADDRSPACE_WRITE)
#define RWX (RW | ADDRSPACE_EXECUTE)

const struct addrspace_attributes vm_lazy_attributes = {.permissions = RWX, .cookie = NAME_LAZY};

static uint8_t rom[GUEST_ROM_SIZE] __attribute__((aligned(4096)));

void require_ok(int error, const char *call)
{
	if (error)
		fail("%s: %s", call, addrspace_error_name(error));
}

uint64_t vm_host_address(struct vm *vm, uint64_t gpa)
{
	struct addrspace_translation translation;

	require(addrspace_translate(&vm->as, gpa, &translation));
	return translation.hpa;
}

struct addrspace_statistics vm_audit(struct vm *vm)
{
	struct addrspace_statistics statistics;
	struct addrspace_defect defect;

	require(addrspace_statistics(&vm->as, &statistics));
	if (addrspace_verify(&vm->as, &defect))
		fail("verify: %s (gpa 0x%lx, level %u, entry 0x%lx)", defect.what, defect.gpa,
		     defect.level, defect.entry);
	vm_memory_check(&vm->memory, &statistics);
	return statistics;
}

/* ---- creation ---- */

static struct addrspace_attributes attributes(unsigned permissions, enum region_name name)
{
	return (struct addrspace_attributes){.permissions = permissions, .cookie = name};
}

static void map_linear(struct vm *vm, uint64_t gpa, uint64_t size, uint64_t hpa,
		       struct addrspace_attributes wanted)
{
	require(addrspace_map_linear(&vm->as, gpa, size, hpa, &wanted, 0));
}

static void map_alloc(struct vm *vm, uint64_t gpa, uint64_t size,
		      struct addrspace_attributes wanted, unsigned flags)
{
	require(addrspace_map_alloc(&vm->as, gpa, size, &wanted, flags));
}

static void map_device(struct vm *vm)
{
	struct addrspace_attributes device = attributes(RW, NAME_LENT_DEVICE);

	device.memory_type = ADDRSPACE_DEVICE;
	map_linear(vm, GUEST_LENT_DEVICE, GUEST_PAGE, GUEST_LENT_DEVICE_HPA, device);
}

/** The hypervisor fills what the guest can only read. */
static void map_rom(struct vm *vm)
{
	for (uint64_t offset = 0; offset < GUEST_ROM_SIZE; offset += sizeof(uint64_t))
		*(uint64_t *)(void *)(rom + offset) = rom_pattern(GUEST_ROM + offset);
	machine_prepare_frame((uintptr_t)rom, GUEST_ROM_SIZE);
	map_linear(vm, GUEST_ROM, GUEST_ROM_SIZE, (uintptr_t)rom,
		   attributes(ADDRSPACE_READ, NAME_ROM));
}

/** A lazy region must cost nothing but its place in the set of regions. */
static void map_lazy(struct vm *vm)
{
	struct addrspace_statistics before = vm_audit(vm);
	struct addrspace_statistics after;

	map_alloc(vm, GUEST_LAZY, GUEST_LAZY_SIZE, vm_lazy_attributes, 0);
	map_alloc(vm, GUEST_HUGE, GUEST_HUGE_SIZE, attributes(RW, NAME_HUGE), 0);
	map_alloc(vm, GUEST_GUARD, GUEST_GUARD_SIZE, attributes(0, NAME_GUARD), 0);
	after = vm_audit(vm);
	if (after.table_frames != before.table_frames || after.data_frames != before.data_frames)
		fail("lazy regions have taken frames");
}

static void load_image(struct vm *vm)
{
	uint64_t size;
	const char *image = machine_guest_image(&size);

	for (uint64_t offset = 0; offset < size; offset += GUEST_PAGE) {
		uint64_t hpa = vm_host_address(vm, GUEST_EAGER + offset);
		uint64_t part = size - offset < GUEST_PAGE ? size - offset : GUEST_PAGE;

		if (hpa == GUEST_EAGER + offset)
			fail("guest memory at 0x%lx is at its own address in the host", hpa);
		memcpy((void *)(uintptr_t)hpa, image + offset, part);
		machine_prepare_frame(hpa, GUEST_PAGE);
	}
	print("guest      image of %lu KiB copied to 0x%lx, which is 0x%lx in the host\n",
	      (size + 1023) / 1024, GUEST_EAGER, vm_host_address(vm, GUEST_EAGER));
}

void vm_create(struct vm *vm, unsigned layout)
{
	struct addrspace_config config = {.handler = &vm_paging_handler,
					  .handler_ctx = &vm->memory};

	*vm = (struct vm){.salt = layout + 1};
	frame_pool_init();
	machine_configure(&config, layout);
	vm->hardware_ad = (config.cpu.features & ADDRSPACE_CPU_HARDWARE_AD) != 0;
	require(addrspace_init(&vm->as, &config));
	vm->memory.as = &vm->as;
	machine_load_root(&vm->as);
	machine_describe_root(&vm->as);
	map_device(vm);
	map_rom(vm);
	map_linear(vm, GUEST_BLOCK, GUEST_BLOCK_SIZE, MACHINE_BLOCK_HPA,
		   attributes(RW, NAME_BLOCK));
	map_alloc(vm, GUEST_EAGER, GUEST_EAGER_SIZE, attributes(RWX, NAME_EAGER),
		  ADDRSPACE_MAP_POPULATE);
	map_lazy(vm);
	load_image(vm);
	if (vm->memory.invalidations)
		fail("mapping into an empty space has invalidated something");
	vm->statistics = vm_audit(vm);
}

/* ---- faults ---- */

static void require_emulatable(const struct vcpu_exit *exit)
{
	if (!exit->emulatable)
		fail("the access to 0x%lx cannot be emulated (syndrome 0x%lx)", exit->fault.gpa,
		     exit->syndrome);
}

static const char *emulate(struct vm *vm, const struct vcpu_exit *exit, uint64_t *value)
{
	uint64_t offset = exit->fault.gpa - GUEST_DEVICE;
	bool is_device = offset < GUEST_PAGE;

	require_emulatable(exit);
	if (exit->fault.access == ADDRSPACE_WRITE) {
		*value = exit->stored;
		if (is_device)
			device_store(&vm->device, offset, exit->size, *value);
		vcpu_skip_instruction(machine_vcpu(0));
		return is_device ? "the device takes" : "the bus drops";
	}
	*value = is_device ? device_load(&vm->device, offset) : BUS_FLOATS;
	*value &= UINT64_MAX >> (64 - 8 * exit->size);
	vcpu_complete_load(machine_vcpu(0), *value);
	return is_device ? "the device gives" : "the bus gives";
}

static const char *refuse(const struct vcpu_exit *exit, uint64_t *value)
{
	if (exit->fault.access == ADDRSPACE_EXECUTE) {
		*value = GUEST_CALL_REFUSED;
		vcpu_return_from_call(machine_vcpu(0), *value);
		return "the call returns";
	}
	require_emulatable(exit);
	if (exit->fault.access == ADDRSPACE_WRITE) {
		*value = exit->stored;
		vcpu_skip_instruction(machine_vcpu(0));
		return "skips the store of";
	}
	*value = BUS_FLOATS;
	vcpu_complete_load(machine_vcpu(0), *value);
	return "the load gives";
}

/** Once answered, the same fault must be nothing new, and not change the frame. */
static uint64_t check_resolved(struct vm *vm, const struct vcpu_exit *exit)
{
	uint64_t hpa = vm_host_address(vm, exit->fault.gpa);
	int again = addrspace_handle_fault(&vm->as, exit->fault.gpa, exit->fault.access, NULL);

	if (again != ADDRSPACE_FAULT_ALREADY_RESOLVED)
		fail("the same fault at 0x%lx was %s the second time", exit->fault.gpa,
		     addrspace_fault_name(again));
	if (vm_host_address(vm, exit->fault.gpa) != hpa)
		fail("the second fault at 0x%lx has replaced the frame", exit->fault.gpa);
	if (hpa == exit->fault.gpa)
		fail("guest memory at 0x%lx is at its own address in the host", hpa);
	return hpa & ~(GUEST_PAGE - 1);
}

static void check_region(const struct vcpu_exit *exit, int outcome,
			 const struct addrspace_region *region)
{
	bool inside = exit->fault.gpa - region->gpa < region->size;

	if (inside != (outcome != ADDRSPACE_FAULT_NOT_BACKED))
		fail("the fault at 0x%lx (%s) names the region 0x%lx, size 0x%lx", exit->fault.gpa,
		     addrspace_fault_name(outcome), region->gpa, region->size);
}

void vm_handle_fault(struct vm *vm, const struct vcpu_exit *exit)
{
	struct addrspace_region region;
	int outcome = addrspace_handle_fault(&vm->as, exit->fault.gpa, exit->fault.access, &region);
	const char *then = "frame";
	uint64_t value = 0;

	expectation_meet(&vm->progress, exit, outcome);
	check_region(exit, outcome, &region);
	switch (outcome) {
	case ADDRSPACE_FAULT_RESOLVED:
		value = check_resolved(vm, exit);
		break;
	case ADDRSPACE_FAULT_DENIED:
		then = refuse(exit, &value);
		break;
	case ADDRSPACE_FAULT_NOT_BACKED:
		then = emulate(vm, exit, &value);
		break;
	case ADDRSPACE_FAULT_OUT_OF_MEMORY:
		vm->memory.no_guest_frames = false;
		then = "memory is found, the guest tries again";
		break;
	default:
		fail("no answer to \"%s\" at 0x%lx", addrspace_fault_name(outcome),
		     exit->fault.gpa);
	}
	report_fault(exit->fault.gpa, exit->fault.access, exit->fault.table_walk, outcome, then,
		     outcome == ADDRSPACE_FAULT_OUT_OF_MEMORY ? NULL : &value);
}

/* ---- the end ---- */

void vm_destroy(struct vm *vm)
{
	struct frame_counts before = frame_pool_counts();
	struct frame_counts after;

	addrspace_destroy(&vm->as);
	after = frame_pool_counts();
	print("  frames       in use   after destroy\n");
	for (unsigned kind = 0; kind < FRAME_KINDS; kind++) {
		print("  %-12s %6lu   %13lu\n", frame_kind_name(kind), before.of_kind[kind],
		      after.of_kind[kind]);
		if (after.of_kind[kind] || vm->memory.charged[kind])
			fail("destroy has kept %lu %s frames (%lu charged)", after.of_kind[kind],
			     frame_kind_name(kind), vm->memory.charged[kind]);
	}
	print("  %-12s %6lu   %13lu\n", "all", before.total, after.total);
	if (after.total)
		fail("destroy has kept %lu frames", after.total);
	if (vm->memory.lock)
		fail("destroy has kept the lock");
}
