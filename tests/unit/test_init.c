/* SPDX-License-Identifier: MIT */
/* Creation: geometry, what is refused, root registers, and what init and destroy take and give. */
#include <string.h>

#include <addrspace/aarch64.h>
#include <addrspace/riscv64.h>
#include <addrspace/x86_64.h>

#include "layouts.h"

#define ALL_LEAVES (ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G)

static int try_init(struct fake_machine *machine, const struct addrspace_format *format,
		    unsigned gpa_bits, unsigned levels, unsigned host_bits, uint32_t cpu_features)
{
	const struct addrspace_config config = {
		.format = format,
		.handler = fake_machine_handler(machine),
		.handler_ctx = machine,
		.gpa_bits = gpa_bits,
		.levels = levels,
		.cpu = {.features = cpu_features, .host_bits = host_bits},
	};
	struct addrspace as;
	int error = addrspace_init(&as, &config);

	if (!error)
		addrspace_destroy(&as);
	return error;
}

static void new_space_is_empty_and_owns_only_its_root(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_statistics statistics;
	struct addrspace_region region;
	struct addrspace_run run;

	assert_int_equal(addrspace_statistics(&fixture->as, &statistics), 0);
	assert_int_equal(statistics.regions, 0);
	assert_int_equal(statistics.region_nodes, 0);
	assert_int_equal(statistics.leaves_4k + statistics.leaves_2m + statistics.leaves_1g, 0);
	assert_int_equal(statistics.data_frames, 0);
	assert_int_equal(statistics.table_frames, fixture->machine.live[ADDRSPACE_FRAME_ROOT]);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	assert_int_equal(addrspace_next_region(&fixture->as, 0, &region), ADDRSPACE_ENOENT);
	assert_int_equal(addrspace_next_run(&fixture->as, 0, &run), ADDRSPACE_ENOENT);
	assert_false(addrspace_contains_range(&fixture->as, 0, FAKE_PAGE_SIZE));
}

static void root_is_zeroed_over_its_whole_width(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t *root =
		fake_machine_pointer(&fixture->machine, fixture->machine.geometry.root_hpa);

	for (uint64_t i = 0; i < fake_root_entries(&fixture->machine.geometry); i++)
		assert_int_equal(root[i], 0);
}

static void init_and_destroy_invalidate_nothing_when_nothing_was_mapped(void **state)
{
	struct fixture *fixture = *state;

	fixture_destroy_space(fixture);
	assert_int_equal(fixture->machine.counters.invalidate, 0);
}

static void ept_takes_four_and_five_levels_and_no_others(void **state)
{
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 0, 46, ALL_LEAVES), 0);
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 4, 46, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 5, 46, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_ept, 57, 0, 52, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_ept, 32, 0, 36, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_ept, 49, 4, 46, 0), ADDRSPACE_ERANGE);
	assert_int_equal(try_init(*state, &addrspace_ept, 58, 0, 46, 0), ADDRSPACE_ERANGE);
	assert_int_equal(try_init(*state, &addrspace_ept, 31, 0, 46, 0), ADDRSPACE_ERANGE);
	assert_int_equal(try_init(*state, &addrspace_ept, 39, 3, 46, 0), ADDRSPACE_ERANGE);
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 6, 46, 0), ADDRSPACE_ERANGE);
}

static void ept_refuses_features_of_other_formats(void **state)
{
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 0, 46, ADDRSPACE_CPU_FWB),
			 ADDRSPACE_ENOTSUP);
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 0, 46, UINT32_C(1) << 31),
			 ADDRSPACE_ENOTSUP);
	assert_int_equal(try_init(*state, &addrspace_stage2, 40, 0, 40, ADDRSPACE_CPU_SVPBMT),
			 ADDRSPACE_ENOTSUP);
	assert_int_equal(try_init(*state, &addrspace_gstage, 41, 0, 52, ADDRSPACE_CPU_EXECUTE_ONLY),
			 ADDRSPACE_ENOTSUP);
}

static void stage2_widths_and_start_levels_follow_the_architecture(void **state)
{
	for (unsigned levels = 0; levels <= 5; levels++) {
		for (unsigned bits = 30; bits <= 50; bits++) {
			unsigned below = 12 + 9 * ((levels ? levels : 4) - 1);
			bool legal = bits >= 32 && bits <= 48;

			if (levels)
				legal = legal && levels >= 2 && levels <= 4 && bits >= below + 1 &&
					bits <= below + 13;
			assert_int_equal(try_init(*state, &addrspace_stage2, bits, levels, 48, 0),
					 legal ? 0 : ADDRSPACE_ERANGE);
		}
	}
}

static void stage2_is_never_wider_than_the_hosts_addresses(void **state)
{
	assert_int_equal(try_init(*state, &addrspace_stage2, 40, 0, 40, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_stage2, 41, 0, 40, 0), ADDRSPACE_ERANGE);
	assert_int_equal(try_init(*state, &addrspace_stage2, 48, 0, 52, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_stage2, 36, 0, 37, 0), ADDRSPACE_ERANGE);
}

static void stage2_starts_at_level_0_only_above_42_bits_of_host_address(void **state)
{
	assert_int_equal(try_init(*state, &addrspace_stage2, 42, 4, 42, 0), ADDRSPACE_ERANGE);
	assert_int_equal(try_init(*state, &addrspace_stage2, 42, 4, 44, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_stage2, 42, 3, 42, 0), 0);
}

static void gstage_takes_the_three_modes(void **state)
{
	assert_int_equal(try_init(*state, &addrspace_gstage, 41, 3, 50, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_gstage, 50, 4, 50, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_gstage, 59, 5, 50, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_gstage, 41, 5, 50, 0), 0);
	assert_int_equal(try_init(*state, &addrspace_gstage, 42, 3, 50, 0), ADDRSPACE_ERANGE);
	assert_int_equal(try_init(*state, &addrspace_gstage, 60, 0, 50, 0), ADDRSPACE_ERANGE);
	assert_int_equal(try_init(*state, &addrspace_gstage, 41, 2, 50, 0), ADDRSPACE_ERANGE);
	assert_int_equal(try_init(*state, &addrspace_gstage, 31, 0, 50, 0), ADDRSPACE_ERANGE);
}

static void leaves_of_1_gib_without_those_of_2_mib_are_refused(void **state)
{
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 0, 46, ADDRSPACE_CPU_LEAF_1G),
			 ADDRSPACE_ENOTSUP);
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 0, 46, ADDRSPACE_CPU_LEAF_2M), 0);
}

static void host_width_outside_32_to_52_is_invalid(void **state)
{
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 0, 31, 0), ADDRSPACE_EINVAL);
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 0, 53, 0), ADDRSPACE_EINVAL);
	assert_int_equal(try_init(*state, &addrspace_ept, 48, 0, 64, 0), ADDRSPACE_EINVAL);
}

static void levels_that_the_cpu_walks_are_taken(void **state)
{
	struct fake_machine *machine = *state;
	struct addrspace_config config = {
		.format = &addrspace_ept,
		.handler = fake_machine_handler(machine),
		.handler_ctx = machine,
		.gpa_bits = 57,
		.cpu = {.host_bits = 48, .min_levels = 4, .max_levels = 5},
	};
	struct addrspace as;

	assert_int_equal(addrspace_init(&as, &config), 0);
	addrspace_destroy(&as);
	config.gpa_bits = 48;
	assert_int_equal(addrspace_init(&as, &config), 0);
	addrspace_destroy(&as);
	config.cpu.max_levels = 4;
	assert_int_equal(addrspace_init(&as, &config), 0);
	addrspace_destroy(&as);
	config.gpa_bits = 57;
	assert_int_equal(addrspace_init(&as, &config), ADDRSPACE_ENOTSUP);
}

static void level_count_0_takes_the_fewest_levels(void **state)
{
	struct fake_machine *machine = *state;
	static const struct {
		unsigned gpa_bits;
		unsigned root_frames;
		unsigned levels;
	} rows[] = {
		{34, 16, 2}, {35, 1, 3}, {40, 2, 3}, {43, 16, 3}, {44, 1, 4}, {48, 1, 4},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct addrspace_config config = {
			.format = &addrspace_stage2,
			.handler = fake_machine_handler(machine),
			.handler_ctx = machine,
			.gpa_bits = rows[i].gpa_bits,
			.cpu.host_bits = 48,
		};
		struct addrspace_stage2_registers registers;
		struct addrspace as;

		assert_int_equal(addrspace_init(&as, &config), 0);
		assert_int_equal(machine->live[ADDRSPACE_FRAME_ROOT], rows[i].root_frames);
		assert_int_equal(addrspace_stage2_registers(&as, 1, &registers), 0);
		assert_int_equal((registers.vtcr_el2 >> 6 & 3) + 2, rows[i].levels);
		addrspace_destroy(&as);
	}
}

static void ept_register_values_are_the_manuals(void **state)
{
	struct fake_machine *machine = *state;
	struct addrspace_config config = {
		.format = &addrspace_ept,
		.handler = fake_machine_handler(machine),
		.handler_ctx = machine,
		.gpa_bits = 48,
		.cpu.host_bits = 46,
	};
	struct addrspace_ept_registers registers;
	struct addrspace as;

	assert_int_equal(addrspace_init(&as, &config), 0);
	assert_int_equal(addrspace_ept_registers(&as, &registers), 0);
	assert_int_equal(registers.eptp & 0xfff, 0x1e);
	assert_int_equal(registers.eptp & ~UINT64_C(0xfff), FAKE_ARENA_BASE);
	addrspace_destroy(&as);

	config.gpa_bits = 57;
	config.cpu.features = ADDRSPACE_CPU_HARDWARE_AD;
	assert_int_equal(addrspace_init(&as, &config), 0);
	assert_int_equal(addrspace_ept_registers(&as, &registers), 0);
	assert_int_equal(registers.eptp & 0xfff, 0x66);
	addrspace_destroy(&as);
}

static void stage2_register_values_are_the_manuals(void **state)
{
	struct fake_machine *machine = *state;
	struct addrspace_config config = {
		.format = &addrspace_stage2,
		.handler = fake_machine_handler(machine),
		.handler_ctx = machine,
		.gpa_bits = 40,
		.levels = 3,
		.cpu.host_bits = 48,
	};
	struct addrspace_stage2_registers registers;
	struct addrspace as;

	assert_int_equal(addrspace_init(&as, &config), 0);
	assert_int_equal(addrspace_stage2_registers(&as, 0xff, &registers), 0);
	/* RES1, PS 48 bits, inner shareable, write-back walks, start at Arm level 1, T0SZ 24 */
	assert_int_equal(registers.vtcr_el2, 0x80053558);
	assert_int_equal(registers.vttbr_el2 >> 48, 0xff);
	assert_int_equal(registers.vttbr_el2 & 0x1fff, 0);
	assert_int_equal(registers.hcr_el2, 1);
	assert_int_equal(registers.hcr_el2_mask, 1 | UINT64_C(1) << 46);
	assert_int_equal(addrspace_stage2_registers(&as, 0x100, &registers), ADDRSPACE_ERANGE);
	addrspace_destroy(&as);

	config.cpu.features = ADDRSPACE_CPU_VMID16 | ADDRSPACE_CPU_FWB | ADDRSPACE_CPU_HARDWARE_AD;
	assert_int_equal(addrspace_init(&as, &config), 0);
	assert_int_equal(addrspace_stage2_registers(&as, 0xffff, &registers), 0);
	assert_int_equal(registers.vtcr_el2, 0x80053558 | 1 << 19 | 1 << 21 | 1 << 22);
	assert_int_equal(registers.hcr_el2, 1 | UINT64_C(1) << 46);
	assert_int_equal(addrspace_stage2_registers(&as, 0x10000, &registers), ADDRSPACE_ERANGE);
	addrspace_destroy(&as);
}

static void gstage_register_values_are_the_manuals(void **state)
{
	static const unsigned widths[] = {41, 50, 59};
	struct fake_machine *machine = *state;

	for (unsigned i = 0; i < 3; i++) {
		const struct addrspace_config config = {
			.format = &addrspace_gstage,
			.handler = fake_machine_handler(machine),
			.handler_ctx = machine,
			.gpa_bits = widths[i],
			.cpu.host_bits = 50,
		};
		struct addrspace_gstage_registers registers;
		struct addrspace as;

		assert_int_equal(addrspace_init(&as, &config), 0);
		assert_int_equal(addrspace_gstage_registers(&as, 0x3fff, &registers), 0);
		assert_int_equal(registers.hgatp >> 60, 8 + i);
		assert_int_equal(registers.hgatp >> 44 & 0xffff, 0x3fff);
		assert_int_equal(registers.hgatp << 12 & 0x3fff, 0);
		assert_int_equal(addrspace_gstage_registers(&as, 0x4000, &registers),
				 ADDRSPACE_ERANGE);
		addrspace_destroy(&as);
	}
}

static void registers_of_another_format_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_ept_registers ept;
	struct addrspace_npt_registers npt;
	struct addrspace_stage2_registers stage2;
	struct addrspace_gstage_registers gstage;
	enum layout_format kind = fixture->layout->kind;

	assert_int_equal(addrspace_ept_registers(&fixture->as, &ept),
			 kind == LAYOUT_EPT ? 0 : ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_npt_registers(&fixture->as, &npt),
			 kind == LAYOUT_NPT ? 0 : ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_stage2_registers(&fixture->as, 1, &stage2),
			 kind == LAYOUT_STAGE2 ? 0 : ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_gstage_registers(&fixture->as, 1, &gstage),
			 kind == LAYOUT_GSTAGE ? 0 : ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_ept_registers(NULL, &ept), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_stage2_registers(&fixture->as, 1, NULL), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_gstage_registers(NULL, 1, NULL), ADDRSPACE_EINVAL);
}

static void root_registers_stay_the_same_through_clear(void **state)
{
	struct fixture *fixture = *state;
	uint64_t root = fixture->as.root_hpa;

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, UINT64_C(1) << 21, &fixture_rw,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	addrspace_clear(&fixture->as);
	assert_int_equal(fixture->as.root_hpa, root);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_TABLE], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_GUEST], 0);
	assert_int_equal(fixture->machine.live[ADDRSPACE_FRAME_REGION_NODE], 0);
}

#define ON_MACHINE(test)                                                                           \
	cmocka_unit_test_setup_teardown(test, fixture_setup_machine, fixture_teardown_machine)

int main(void)
{
	const struct CMUnitTest on_layouts[] = {
		cmocka_unit_test(new_space_is_empty_and_owns_only_its_root),
		cmocka_unit_test(root_is_zeroed_over_its_whole_width),
		cmocka_unit_test(init_and_destroy_invalidate_nothing_when_nothing_was_mapped),
		cmocka_unit_test(registers_of_another_format_are_refused),
		cmocka_unit_test(root_registers_stay_the_same_through_clear),
	};
	const struct CMUnitTest once[] = {
		ON_MACHINE(ept_takes_four_and_five_levels_and_no_others),
		ON_MACHINE(ept_refuses_features_of_other_formats),
		ON_MACHINE(stage2_widths_and_start_levels_follow_the_architecture),
		ON_MACHINE(stage2_is_never_wider_than_the_hosts_addresses),
		ON_MACHINE(stage2_starts_at_level_0_only_above_42_bits_of_host_address),
		ON_MACHINE(gstage_takes_the_three_modes),
		ON_MACHINE(leaves_of_1_gib_without_those_of_2_mib_are_refused),
		ON_MACHINE(host_width_outside_32_to_52_is_invalid),
		ON_MACHINE(levels_that_the_cpu_walks_are_taken),
		ON_MACHINE(level_count_0_takes_the_fewest_levels),
		ON_MACHINE(ept_register_values_are_the_manuals),
		ON_MACHINE(stage2_register_values_are_the_manuals),
		ON_MACHINE(gstage_register_values_are_the_manuals),
	};
	int failed =
		run_over_layouts("init", on_layouts, sizeof(on_layouts) / sizeof(on_layouts[0]));

	return failed + cmocka_run_group_tests_name("geometry", once, NULL, NULL);
}
