/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>

#include "layouts.h"

/* A guest that is answered with success this often and still faults never will run. */
#define MAX_FAULTS 4

struct addrspace_attributes fixture_rwx = {
	.permissions = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE,
	.memory_type = ADDRSPACE_WRITE_BACK,
	.cookie = 0x600d,
};

const struct addrspace_attributes fixture_rw = {
	.permissions = ADDRSPACE_READ | ADDRSPACE_WRITE,
	.memory_type = ADDRSPACE_WRITE_BACK,
	.cookie = 0x600d,
};

const struct addrspace_attributes fixture_ro = {
	.permissions = ADDRSPACE_READ,
	.memory_type = ADDRSPACE_WRITE_BACK,
	.cookie = 0x600d,
};

void fixture_config(const struct layout *layout, struct fake_machine *machine,
		    struct addrspace_config *config)
{
	*config = (struct addrspace_config){
		.format = layout->format,
		.handler = fake_machine_handler(machine),
		.handler_ctx = machine,
		.gpa_bits = layout->gpa_bits,
		.levels = layout->levels,
		.cpu = {.features = layout->cpu_features, .host_bits = layout->host_bits},
		.host_pat = layout->host_pat,
	};
}

static void set_up_machine(struct fake_machine *machine, const struct layout *layout,
			   uint64_t arena_size)
{
	fake_machine_init(machine, arena_size);
	if (layout->by_callback)
		fake_machine_use_callback(machine);
	if (layout->non_coherent) {
		fake_machine_set_non_coherent(machine);
	} else {
		machine->handler.prepare_frame = NULL;
		machine->handler.sync_table = NULL;
	}
}

static void set_rwx(const struct layout *layout)
{
	const unsigned all = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;

	fixture_rwx.permissions = layout_can_permit(layout, all) ? all : all - ADDRSPACE_EXECUTE;
}

int fixture_setup_with(void **state, uint64_t arena_size)
{
	const struct layout *layout = *state;
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct addrspace_config config;
	int error;

	if (!fixture)
		return -1;
	fixture->layout = layout;
	set_rwx(layout);
	set_up_machine(&fixture->machine, layout, arena_size);
	fixture_config(layout, &fixture->machine, &config);
	error = addrspace_init(&fixture->as, &config);
	if (error) {
		print_error("[%s] addrspace_init: %s\n", layout->name, addrspace_error_name(error));
		fake_machine_destroy(&fixture->machine);
		free(fixture);
		return -1;
	}
	fixture->initialised = true;
	*state = fixture;
	fake_machine_attach(&fixture->machine, &fixture->as, layout);
	return 0;
}

int fixture_setup(void **state)
{
	return fixture_setup_with(state, 0);
}

void fixture_check(struct fixture *fixture)
{
	struct fake_machine *machine = &fixture->machine;
	struct addrspace_defect defect;
	int error;

	fake_machine_assert_unlocked(machine);
	fake_machine_check_tables(machine);
	fake_machine_check_tlbs(machine);
	fake_machine_check_synced(machine);
	fake_machine_assert_charges_balanced(machine);
	error = addrspace_verify(&fixture->as, &defect);
	if (error)
		fake_fail(machine,
			  "addrspace_verify: gpa %#" PRIx64 ", level %u, entry %#" PRIx64 ": %s",
			  defect.gpa, defect.level, defect.entry, defect.what);
}

void fixture_destroy_space(struct fixture *fixture)
{
	fixture->initialised = false;
	fixture->machine.allow_unlocked = true;
	fake_machine_clear_hot(&fixture->machine);
	fixture->machine.interlude = NULL;
	addrspace_destroy(&fixture->as);
	fake_machine_assert_all_returned(&fixture->machine);
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	/* A failed test leaves the space as it is: one failure is enough. */
	if (fixture->initialised && !fixture->machine.failed) {
		fixture_check(fixture);
		fixture_destroy_space(fixture);
	}
	fake_machine_destroy(&fixture->machine);
	free(fixture);
	return 0;
}

int fixture_setup_machine(void **state)
{
	static struct fake_machine machine;

	fake_machine_init(&machine, UINT64_C(4) << 20);
	machine.allow_unlocked = true;
	*state = &machine;
	return 0;
}

int fixture_teardown_machine(void **state)
{
	fake_machine_assert_all_returned(*state);
	fake_machine_destroy(*state);
	return 0;
}

int fixture_setup_linear(void **state)
{
	int result = fixture_setup(state);
	struct fixture *fixture = *state;

	fake_machine_register_linear(&fixture->machine, FIXTURE_LINEAR, UINT64_C(8) << 30);
	return result;
}

void fixture_map_linear(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	assert_int_equal(
		addrspace_map_linear(&fixture->as, gpa, size, FIXTURE_LINEAR + gpa, &fixture_rw, 0),
		0);
}

void fixture_populate(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	assert_int_equal(
		addrspace_map_alloc(&fixture->as, gpa, size, &fixture_rw, ADDRSPACE_MAP_POPULATE),
		0);
}

int fixture_guest(struct fixture *fixture, unsigned cpu, uint64_t gpa, unsigned access)
{
	unsigned was = fixture->machine.current_cpu;
	int outcome = ADDRSPACE_FAULT_RESOLVED;

	for (unsigned i = 0; i < MAX_FAULTS; i++) {
		if (fake_cpu_access(&fixture->machine, cpu, gpa, access, NULL) == FAKE_HIT)
			return ADDRSPACE_FAULT_RESOLVED;
		fake_machine_set_cpu(&fixture->machine, cpu);
		outcome = addrspace_handle_fault(&fixture->as, gpa, access, NULL);
		fake_machine_set_cpu(&fixture->machine, was);
		if (outcome != ADDRSPACE_FAULT_RESOLVED &&
		    outcome != ADDRSPACE_FAULT_ALREADY_RESOLVED)
			return outcome;
	}
	fake_fail(&fixture->machine, "CPU %u faults for ever at gpa %#" PRIx64 ", last answer %s",
		  cpu, gpa, addrspace_fault_name(outcome));
	return outcome;
}

void fixture_warm(struct fixture *fixture, uint64_t gpa, unsigned access)
{
	for (unsigned cpu = 0; cpu < FAKE_CPUS; cpu++) {
		int outcome = fixture_guest(fixture, cpu, gpa, access);

		if (outcome != ADDRSPACE_FAULT_RESOLVED)
			fake_fail(&fixture->machine, "CPU %u cannot reach gpa %#" PRIx64 ": %s",
				  cpu, gpa,
				  outcome < 0 ? addrspace_error_name(outcome)
					      : addrspace_fault_name(outcome));
	}
}

void fixture_assert_mapped(struct fixture *fixture, uint64_t gpa, uint64_t hpa, uint64_t leaf_size,
			   unsigned permissions)
{
	struct fake_translation now = {0};

	if (!fake_machine_translate(&fixture->machine, gpa, &now))
		fake_fail(&fixture->machine, "gpa %#" PRIx64 " is not mapped", gpa);
	else if (now.hpa != hpa || now.leaf_size != leaf_size || now.permissions != permissions)
		fake_fail(&fixture->machine,
			  "gpa %#" PRIx64 " is mapped to %#" PRIx64 ", leaf %#" PRIx64
			  ", permissions %u; not %#" PRIx64 ", %#" PRIx64 ", %u",
			  gpa, now.hpa, now.leaf_size, now.permissions, hpa, leaf_size,
			  permissions);
}

void fixture_assert_not_mapped(struct fixture *fixture, uint64_t gpa)
{
	struct fake_translation now = {0};

	if (fake_machine_translate(&fixture->machine, gpa, &now))
		fake_fail(&fixture->machine, "gpa %#" PRIx64 " is mapped to %#" PRIx64, gpa,
			  now.hpa);
}

uint64_t fixture_hpa(struct fixture *fixture, uint64_t gpa)
{
	struct fake_translation now = {0};

	if (!fake_machine_translate(&fixture->machine, gpa, &now))
		fake_fail(&fixture->machine, "gpa %#" PRIx64 " is not mapped", gpa);
	return now.hpa;
}
