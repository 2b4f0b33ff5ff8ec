/* SPDX-License-Identifier: MIT */
/* AMD nested paging where it differs from the other formats: entries worked out by hand from the
 * manual, the host's PAT, no-execute, and levels that are the host's. */
#include <string.h>

#include <addrspace/x86_64.h>

#include "layouts.h"

#define PAGE   FAKE_PAGE_SIZE
#define MIB    (UINT64_C(1) << 20)
#define GIB    (UINT64_C(1) << 30)
#define LINEAR FIXTURE_LINEAR
#define LEAVES (ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G)
#define R      ADDRSPACE_READ
#define W      ADDRSPACE_WRITE
#define X      ADDRSPACE_EXECUTE
#define NX     (UINT64_C(1) << 63)
#define OWNED  (UINT64_C(1) << 52)

/* WB 0, WC 1, UC- 2, UC 3, WB 4, WP 5, UC- 6, WT 7 */
#define PAT_OF_LINUX UINT64_C(0x0407050600070106)
/* WB 0, WT 1, UC- 2, UC 3, WC 4, WP 5, UC 6, UC 7 */
#define PAT_OF_XEN UINT64_C(0x0000050100070406)

#define NPT(...)                                                                                   \
	{                                                                                          \
		.kind = LAYOUT_NPT, .format = &addrspace_npt, .gpa_bits = 48, .levels = 4,         \
		.host_bits = 48, __VA_ARGS__                                                       \
	}

static const struct layout plain = NPT(.name = "npt", .cpu_features = LEAVES | ADDRSPACE_CPU_NX);
static const struct layout tracking =
	NPT(.name = "npt, A/D",
	    .cpu_features = LEAVES | ADDRSPACE_CPU_NX | ADDRSPACE_CPU_HARDWARE_AD);
static const struct layout on_linux =
	NPT(.name = "npt, PAT of Linux", .cpu_features = LEAVES | ADDRSPACE_CPU_NX,
	    .host_pat = PAT_OF_LINUX);
static const struct layout on_xen =
	NPT(.name = "npt, PAT of Xen", .cpu_features = LEAVES | ADDRSPACE_CPU_NX,
	    .host_pat = PAT_OF_XEN);
static const struct layout no_nx = NPT(.name = "npt, no NX", .cpu_features = LEAVES);

/** The entry for gpa in the table of this level, which must be there. */
static uint64_t *entry_at(struct fixture *fixture, uint64_t gpa, unsigned level)
{
	uint64_t hpa = fixture->machine.geometry.root_hpa;

	for (unsigned at = 3;; at--) {
		uint64_t *slot = (uint64_t *)fake_machine_pointer(&fixture->machine, hpa) +
				 (gpa >> fake_level_shift(at)) % 512;

		if (at == level)
			return slot;
		assert_int_equal(*slot & 0x81, 1);
		hpa = *slot & UINT64_C(0x000ffffffffff000);
	}
}

static void map(struct fixture *fixture, uint64_t gpa, uint64_t size, uint64_t hpa,
		unsigned permissions, enum addrspace_memory_type type)
{
	const struct addrspace_attributes attributes = {
		.permissions = permissions,
		.memory_type = type,
	};

	assert_int_equal(addrspace_map_linear(&fixture->as, gpa, size, hpa, &attributes, 0), 0);
}

/* ---- entries ---- */

static void leaves_are_the_manuals(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, PAGE, LINEAR + PAGE, R | W | X, ADDRSPACE_WRITE_BACK);
	map(fixture, PAGE, PAGE, LINEAR, R | W, ADDRSPACE_WRITE_BACK);
	map(fixture, 2 * PAGE, PAGE, LINEAR, R | X, ADDRSPACE_WRITE_BACK);
	map(fixture, 3 * PAGE, PAGE, LINEAR, R, ADDRSPACE_WRITE_BACK);
	map(fixture, 4 * PAGE, PAGE, LINEAR, R | W, ADDRSPACE_DEVICE);
	map(fixture, 5 * PAGE, PAGE, LINEAR, R | W, ADDRSPACE_WRITE_THROUGH);
	map(fixture, 2 * MIB, 2 * MIB, LINEAR + 2 * MIB, R | W | X, ADDRSPACE_WRITE_BACK);
	map(fixture, 4 * MIB, 2 * MIB, LINEAR, R, ADDRSPACE_DEVICE);
	map(fixture, GIB, GIB, LINEAR + GIB, R | W | X, ADDRSPACE_WRITE_BACK);
	/* P 0, W 1, U 2, PWT 3, PCD 4, A 5, D 6, PS 7 */
	assert_int_equal(*entry_at(fixture, 0, 0), 0x80001067);
	assert_int_equal(*entry_at(fixture, PAGE, 0), 0x80000067 | NX);
	assert_int_equal(*entry_at(fixture, 2 * PAGE, 0), 0x80000065);
	assert_int_equal(*entry_at(fixture, 3 * PAGE, 0), 0x80000065 | NX);
	assert_int_equal(*entry_at(fixture, 4 * PAGE, 0), 0x8000007f | NX);
	assert_int_equal(*entry_at(fixture, 5 * PAGE, 0), 0x8000006f | NX);
	assert_int_equal(*entry_at(fixture, 2 * MIB, 1), 0x802000e7);
	assert_int_equal(*entry_at(fixture, 4 * MIB, 1), 0x800000fd | NX);
	assert_int_equal(*entry_at(fixture, GIB, 2), 0xc00000e7);
}

static void tables_grant_all_and_are_accessed_already(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, PAGE, LINEAR + PAGE, R, ADDRSPACE_DEVICE);
	assert_int_equal(addrspace_map_alloc(&fixture->as, 2 * MIB, PAGE, &fixture_ro,
					     ADDRSPACE_MAP_POPULATE),
			 0);
	assert_int_equal(*entry_at(fixture, 0, 1) & 0xfff0000000000fff, 0x27);
	assert_int_equal(*entry_at(fixture, 2 * MIB, 1) & 0xfff0000000000fff, 0x27 | OWNED);
	assert_int_equal(*entry_at(fixture, 0, 2) & 0xfff0000000000fff, 0x27 | OWNED);
	assert_int_equal(*entry_at(fixture, 0, 3) & 0xfff0000000000fff, 0x27 | OWNED);
	/* Restrictions are the leaf's, and U is its too. */
	assert_int_equal(*entry_at(fixture, 2 * MIB, 0) & 0xfff0000000000f9f, NX | 5 | OWNED);
}

/** At host address 0 too: what is left is U, which no hardware looks at without P. */
static void parked_leaves_are_absent_and_not_empty(void **state)
{
	struct fixture *fixture = *state;

	fake_machine_register_linear(&fixture->machine, 0, 2 * MIB);
	map(fixture, 0, PAGE, 0, R | W | X, ADDRSPACE_WRITE_BACK);
	map(fixture, 2 * MIB, 2 * MIB, 0, R | W | X, ADDRSPACE_WRITE_BACK);
	assert_int_equal(addrspace_protect(&fixture->as, 0, PAGE, 0), 0);
	assert_int_equal(addrspace_protect(&fixture->as, 2 * MIB, 2 * MIB, 0), 0);
	assert_int_equal(*entry_at(fixture, 0, 0) & 7, 4);
	assert_int_equal(*entry_at(fixture, 2 * MIB, 1) & 0x87, 0x84);
	fixture_assert_not_mapped(fixture, 0);
	fixture_assert_not_mapped(fixture, 3 * MIB);
	assert_int_equal(addrspace_protect(&fixture->as, 3 * MIB, PAGE, R | W | X), 0);
	fixture_assert_mapped(fixture, 3 * MIB, MIB, PAGE, R | W | X);
}

static void leaves_that_are_tracked_start_clean(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_translation translation;

	map(fixture, 0, PAGE, LINEAR + PAGE, R | W | X, ADDRSPACE_WRITE_BACK);
	assert_int_equal(*entry_at(fixture, 0, 0), 0x80001007);
	fixture_warm(fixture, 0, R);
	assert_int_equal(*entry_at(fixture, 0, 0), 0x80001027);
	fixture_warm(fixture, 0, W);
	assert_int_equal(*entry_at(fixture, 0, 0), 0x80001067);
	assert_int_equal(addrspace_protect(&fixture->as, 0, PAGE, R), 0);
	assert_int_equal(*entry_at(fixture, 0, 0), 0x80001065 | NX);
	assert_int_equal(addrspace_walk(&fixture->as, 0, &translation), 0);
	assert_true(translation.dirty);
	assert_int_equal(*entry_at(fixture, 0, 1) & 0x60, 0x20);
}

/* ---- the host's PAT ---- */

static void index_above_3_has_its_high_bit_elsewhere_in_large_leaves(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_translation translation;

	map(fixture, 0, PAGE, LINEAR + PAGE, R | W | X, ADDRSPACE_WRITE_THROUGH);
	map(fixture, 2 * MIB, 2 * MIB, LINEAR + 2 * MIB, R | W | X, ADDRSPACE_WRITE_THROUGH);
	map(fixture, GIB, GIB, LINEAR + GIB, R | W | X, ADDRSPACE_WRITE_THROUGH);
	map(fixture, PAGE, PAGE, LINEAR, R | W | X, ADDRSPACE_NON_CACHEABLE);
	map(fixture, 4 * MIB, 2 * MIB, LINEAR, R | W | X, ADDRSPACE_NON_CACHEABLE);
	assert_int_equal(*entry_at(fixture, 0, 0), 0x800010ff);
	assert_int_equal(*entry_at(fixture, 2 * MIB, 1), 0x802010ff);
	assert_int_equal(*entry_at(fixture, GIB, 2), 0xc00010ff);
	assert_int_equal(*entry_at(fixture, PAGE, 0), 0x8000006f);
	assert_int_equal(*entry_at(fixture, 4 * MIB, 1), 0x800000ef);
	/* The bit is no address. */
	assert_int_equal(addrspace_walk(&fixture->as, 3 * MIB + 5, &translation), 0);
	assert_int_equal(translation.hpa, LINEAR + 3 * MIB + 5);
	assert_int_equal(translation.memory_type, ADDRSPACE_WRITE_THROUGH);
	assert_int_equal(addrspace_walk(&fixture->as, GIB + PAGE, &translation), 0);
	assert_int_equal(translation.hpa, LINEAR + GIB + PAGE);
	assert_int_equal(translation.memory_type, ADDRSPACE_WRITE_THROUGH);
}

static void index_4_has_only_that_bit(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 0, PAGE, LINEAR + PAGE, R | W | X, ADDRSPACE_NON_CACHEABLE);
	map(fixture, 2 * MIB, 2 * MIB, LINEAR + 2 * MIB, R | W | X, ADDRSPACE_NON_CACHEABLE);
	map(fixture, 4 * MIB, 2 * MIB, LINEAR, R | W | X, ADDRSPACE_DEVICE);
	assert_int_equal(*entry_at(fixture, 0, 0), 0x800010e7);
	assert_int_equal(*entry_at(fixture, 2 * MIB, 1), 0x802010e7);
	/* The lowest of the three indices of UC. */
	assert_int_equal(*entry_at(fixture, 4 * MIB, 1), 0x800000ff);
}

static void split_moves_the_bit_down(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, GIB, GIB, LINEAR + GIB, R | W | X, ADDRSPACE_WRITE_THROUGH);
	fixture_warm(fixture, GIB + 4 * MIB, R);
	assert_int_equal(addrspace_protect(&fixture->as, GIB + 2 * MIB + PAGE, PAGE, R), 0);
	assert_int_equal(*entry_at(fixture, GIB, 1), 0xc00010ff);
	assert_int_equal(*entry_at(fixture, 2 * GIB - 1, 1), 0xffe010ff);
	assert_int_equal(*entry_at(fixture, GIB + 2 * MIB, 0), 0xc02000ff);
	assert_int_equal(*entry_at(fixture, GIB + 2 * MIB + PAGE, 0), 0xc02010fd | NX);
	assert_int_equal(*entry_at(fixture, GIB + 4 * MIB - 1, 0), 0xc03ff0ff);
	fixture_check(fixture);
	for (uint64_t i = 0; i < 512; i += 73)
		fixture_warm(fixture, GIB + 2 * MIB + i * PAGE, R);
}

static void split_of_an_index_below_4_leaves_no_bit_behind(void **state)
{
	struct fixture *fixture = *state;

	map(fixture, 2 * MIB, 2 * MIB, LINEAR, R | W, ADDRSPACE_DEVICE);
	assert_int_equal(addrspace_unmap(&fixture->as, 3 * MIB, PAGE), 0);
	assert_int_equal(*entry_at(fixture, 2 * MIB, 0), 0x8000007f | NX);
	assert_int_equal(*entry_at(fixture, 4 * MIB - PAGE, 0), 0x801ff07f | NX);
}

static void large_leaf_with_the_bit_is_parked_unmapped_and_dumped(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_run run;

	map(fixture, 2 * MIB, 4 * MIB, LINEAR, R | W, ADDRSPACE_WRITE_THROUGH);
	assert_int_equal(addrspace_next_run(&fixture->as, 0, &run), 0);
	assert_int_equal(run.hpa, LINEAR);
	assert_int_equal(run.size, 4 * MIB);
	assert_int_equal(run.memory_type, ADDRSPACE_WRITE_THROUGH);
	assert_int_equal(addrspace_protect(&fixture->as, 2 * MIB, 4 * MIB, 0), 0);
	assert_int_equal(addrspace_next_run(&fixture->as, 0, &run), 0);
	assert_int_equal(run.hpa, LINEAR);
	assert_int_equal(run.permissions, 0);
	fixture_check(fixture);
	assert_int_equal(addrspace_unmap(&fixture->as, 3 * MIB, MIB), 0);
	assert_int_equal(addrspace_protect(&fixture->as, 2 * MIB, MIB, R), 0);
	fixture_assert_mapped(fixture, 2 * MIB + PAGE, LINEAR + PAGE, PAGE, R);
}

static void leaf_of_an_index_that_is_no_types_lowest_is_a_defect(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_defect defect;
	uint64_t *slot;

	map(fixture, 0, PAGE, LINEAR, R | W, ADDRSPACE_DEVICE);
	slot = entry_at(fixture, 0, 0);
	for (uint64_t index = 0; index < 8; index++) {
		*slot = 0x80000067 | NX | (index & 3) << 3 | (index & 4) << 5;
		assert_int_equal(addrspace_verify(&fixture->as, &defect),
				 index == 3 ? 0 : ADDRSPACE_EFAULT);
		if (index == 2 || index > 4)
			assert_string_equal(defect.what, "a reserved memory type");
	}
	*slot = 0x8000007f | NX;
}

/* ---- no-execute ---- */

static void without_nx_all_that_is_mapped_can_be_executed(void **state)
{
	const struct addrspace_attributes rx = {.permissions = R | X};
	const struct addrspace_attributes guard = {.permissions = 0};
	struct fixture *fixture = *state;

	for (unsigned permissions = 1; permissions < 8; permissions++) {
		const struct addrspace_attributes attributes = {.permissions = permissions};
		int expected = (permissions & (R | X)) == (R | X) ? 0 : ADDRSPACE_ENOTSUP;

		assert_int_equal(addrspace_map_alloc(&fixture->as, permissions * 2 * MIB, PAGE,
						     &attributes, ADDRSPACE_MAP_POPULATE),
				 expected);
	}
	assert_int_equal(addrspace_map_linear(&fixture->as, 0, PAGE, LINEAR, &rx, 0), 0);
	assert_int_equal(addrspace_map_alloc(&fixture->as, GIB, GIB, &guard, 0), 0);
	assert_int_equal(*entry_at(fixture, 0, 0), 0x80000065);
	assert_int_equal(addrspace_protect(&fixture->as, 0, PAGE, R), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_protect(&fixture->as, 0, PAGE, R | W), ADDRSPACE_ENOTSUP);
	assert_int_equal(addrspace_protect(&fixture->as, 0, PAGE, 0), 0);
	fixture_check(fixture);
	assert_int_equal(addrspace_protect(&fixture->as, 0, PAGE, R | W | X), 0);
	assert_int_equal(*entry_at(fixture, 0, 0), 0x80000067);
}

static void without_nx_the_guest_lives_as_ever(void **state)
{
	const struct addrspace_attributes rwx = {.permissions = R | W | X};
	struct fixture *fixture = *state;

	assert_int_equal(addrspace_map_alloc(&fixture->as, 0, GIB, &rwx, 0), 0);
	map(fixture, GIB, GIB, LINEAR, R | W | X, ADDRSPACE_WRITE_BACK);
	for (uint64_t gpa = 0; gpa < 8 * MIB; gpa += 3 * PAGE)
		assert_int_equal(fixture_guest(fixture, (unsigned)(gpa / PAGE % 2), gpa, W),
				 ADDRSPACE_FAULT_RESOLVED);
	assert_int_equal(addrspace_protect(&fixture->as, 2 * MIB, 2 * MIB, R | X), 0);
	assert_int_equal(addrspace_protect(&fixture->as, GIB + PAGE, 4 * MIB, R | X), 0);
	assert_int_equal(addrspace_unmap(&fixture->as, GIB + 3 * MIB, PAGE), 0);
	fixture_warm(fixture, GIB + 2 * MIB, X);
	assert_int_equal(fixture_guest(fixture, 0, 2 * MIB, W), ADDRSPACE_FAULT_DENIED);
}

static void live_nx_is_a_defect_without_it(void **state)
{
	struct fixture *fixture = *state;
	struct addrspace_defect defect;
	uint64_t *slot;

	map(fixture, 0, PAGE, LINEAR, R | X, ADDRSPACE_WRITE_BACK);
	slot = entry_at(fixture, 0, 0);
	*slot |= NX;
	assert_int_equal(addrspace_verify(&fixture->as, &defect), ADDRSPACE_EFAULT);
	assert_string_equal(defect.what, "bits are set that nobody sets");
	*slot &= ~NX;
}

/* ---- init ---- */

/** A configuration that init takes. */
static struct addrspace_config sound_config(struct fake_machine *machine)
{
	return (struct addrspace_config){
		.format = &addrspace_npt,
		.handler = fake_machine_handler(machine),
		.handler_ctx = machine,
		.gpa_bits = 48,
		.cpu = {.features = LEAVES | ADDRSPACE_CPU_NX, .host_bits = 48},
	};
}

/** What init answers; the levels and types that it made of it. */
static int try_init(const struct addrspace_config *config, unsigned *levels, unsigned *types)
{
	struct addrspace_npt_registers registers;
	struct addrspace as;
	int error = addrspace_init(&as, config);

	*levels = 0;
	*types = 0;
	if (error)
		return error;
	assert_int_equal(addrspace_npt_registers(&as, &registers), 0);
	assert_int_equal(registers.ncr3, FAKE_ARENA_BASE);
	assert_int_equal(registers.host_cr4_mask, 1 << 12);
	*levels = registers.host_cr4 == 1 << 12 ? 5 : 4;
	for (unsigned type = 0; type < 4; type++) {
		const struct addrspace_attributes attributes = {
			.permissions = R,
			.memory_type = (enum addrspace_memory_type)type,
		};

		error = addrspace_map_alloc(&as, type * GIB, PAGE, &attributes, 0);
		if (error)
			assert_int_equal(error, ADDRSPACE_ENOTSUP);
		else
			*types |= 1u << type;
	}
	addrspace_destroy(&as);
	return 0;
}

static int try_levels(struct fake_machine *machine, unsigned gpa_bits, unsigned levels,
		      unsigned host_levels, unsigned *taken)
{
	struct addrspace_config config = sound_config(machine);
	unsigned types;

	config.gpa_bits = gpa_bits;
	config.levels = levels;
	config.cpu.min_levels = host_levels;
	config.cpu.max_levels = host_levels;
	return try_init(&config, taken, &types);
}

static void levels_are_those_of_the_host(void **state)
{
	unsigned taken;

	assert_int_equal(try_levels(*state, 48, 0, 4, &taken), 0);
	assert_int_equal(taken, 4);
	assert_int_equal(try_levels(*state, 48, 0, 5, &taken), 0);
	assert_int_equal(taken, 5);
	assert_int_equal(try_levels(*state, 57, 0, 5, &taken), 0);
	assert_int_equal(taken, 5);
	assert_int_equal(try_levels(*state, 32, 5, 5, &taken), 0);
	assert_int_equal(taken, 5);
	assert_int_equal(try_levels(*state, 48, 4, 5, &taken), ADDRSPACE_ENOTSUP);
	assert_int_equal(try_levels(*state, 48, 5, 4, &taken), ADDRSPACE_ENOTSUP);
	assert_int_equal(try_levels(*state, 49, 0, 4, &taken), ADDRSPACE_ENOTSUP);
	assert_int_equal(try_levels(*state, 49, 4, 4, &taken), ADDRSPACE_ERANGE);
	/* not told: the fewest */
	assert_int_equal(try_levels(*state, 48, 0, 0, &taken), 0);
	assert_int_equal(taken, 4);
	assert_int_equal(try_levels(*state, 49, 0, 0, &taken), 0);
	assert_int_equal(taken, 5);
	assert_int_equal(try_levels(*state, 31, 0, 0, &taken), ADDRSPACE_ERANGE);
	assert_int_equal(try_levels(*state, 58, 0, 0, &taken), ADDRSPACE_ERANGE);
	assert_int_equal(try_levels(*state, 48, 3, 0, &taken), ADDRSPACE_ERANGE);
}

static void efer_is_asked_for_what_entries_use(void **state)
{
	struct addrspace_config config = sound_config(*state);
	struct addrspace_npt_registers registers;
	struct addrspace as;

	assert_int_equal(addrspace_init(&as, &config), 0);
	assert_int_equal(addrspace_npt_registers(&as, &registers), 0);
	assert_int_equal(registers.host_efer, 1 << 11);
	addrspace_destroy(&as);
	config.cpu.features &= ~(uint32_t)ADDRSPACE_CPU_NX;
	assert_int_equal(addrspace_init(&as, &config), 0);
	assert_int_equal(addrspace_npt_registers(&as, &registers), 0);
	assert_int_equal(registers.host_efer, 0);
	addrspace_destroy(&as);
}

static void types_are_those_of_the_hosts_pat(void **state)
{
#define TYPE(name) (1u << ADDRSPACE_##name)
	static const struct {
		uint64_t pat;
		int error;
		unsigned types;
	} rows[] = {
		{0, 0, TYPE(WRITE_BACK) | TYPE(DEVICE) | TYPE(WRITE_THROUGH)},
		{0x0007040600070406, 0, TYPE(WRITE_BACK) | TYPE(DEVICE) | TYPE(WRITE_THROUGH)},
		{PAT_OF_LINUX, 0, 15},
		{PAT_OF_XEN, 0, 15},
		{0x0606060606060606, 0, TYPE(WRITE_BACK)},
		{0x0706060606060606, 0, TYPE(WRITE_BACK)}, /* UC- is no device */
		{0x0506060606060606, 0, TYPE(WRITE_BACK)}, /* nor is WP any type */
		{0x0006060606060606, 0, TYPE(WRITE_BACK) | TYPE(DEVICE)},
		{0x0106060606060606, 0, TYPE(WRITE_BACK) | TYPE(NON_CACHEABLE)},
		{0x0406060606060606, 0, TYPE(WRITE_BACK) | TYPE(WRITE_THROUGH)},
		{0x0007040600070404, ADDRSPACE_ENOTSUP, 0}, /* tables would be read by WT */
		{0x0000000000000001, ADDRSPACE_ENOTSUP, 0},
		{0x0007040600070206, ADDRSPACE_EINVAL, 0}, /* 2, 3 and what is above 7 */
		{0x0307040600070406, ADDRSPACE_EINVAL, 0}, /* are reserved */
		{0x0007080600070406, ADDRSPACE_EINVAL, 0},
		{0x0007044600070406, ADDRSPACE_EINVAL, 0},
		{0x000704060007040e, ADDRSPACE_EINVAL, 0},
	};
#undef TYPE
	struct addrspace_config config = sound_config(*state);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned levels;
		unsigned types;

		config.host_pat = rows[i].pat;
		assert_int_equal(try_init(&config, &levels, &types), rows[i].error);
		assert_int_equal(types, rows[i].types);
	}
}

static void other_formats_do_not_look_at_the_pat(void **state)
{
	struct addrspace_config config = sound_config(*state);
	struct addrspace as;

	config.format = &addrspace_ept;
	config.cpu.features = LEAVES;
	config.host_pat = UINT64_MAX;
	assert_int_equal(addrspace_init(&as, &config), 0);
	addrspace_destroy(&as);
}

#define ON(layout, test)                                                                           \
	{                                                                                          \
#test " [" #layout "]", test, fixture_setup_linear, fixture_teardown,              \
			(void *)(uintptr_t) & (layout)                                             \
	}
#define ON_MACHINE(test)                                                                           \
	cmocka_unit_test_setup_teardown(test, fixture_setup_machine, fixture_teardown_machine)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		ON(plain, leaves_are_the_manuals),
		ON(plain, tables_grant_all_and_are_accessed_already),
		ON(tracking, tables_grant_all_and_are_accessed_already),
		ON(plain, parked_leaves_are_absent_and_not_empty),
		ON(no_nx, parked_leaves_are_absent_and_not_empty),
		ON(tracking, leaves_that_are_tracked_start_clean),
		ON(on_linux, index_above_3_has_its_high_bit_elsewhere_in_large_leaves),
		ON(on_xen, index_4_has_only_that_bit),
		ON(on_linux, split_moves_the_bit_down),
		ON(plain, split_of_an_index_below_4_leaves_no_bit_behind),
		ON(on_linux, large_leaf_with_the_bit_is_parked_unmapped_and_dumped),
		ON(plain, leaf_of_an_index_that_is_no_types_lowest_is_a_defect),
		ON(no_nx, without_nx_all_that_is_mapped_can_be_executed),
		ON(no_nx, without_nx_the_guest_lives_as_ever),
		ON(no_nx, live_nx_is_a_defect_without_it),
		ON_MACHINE(levels_are_those_of_the_host),
		ON_MACHINE(efer_is_asked_for_what_entries_use),
		ON_MACHINE(types_are_those_of_the_hosts_pat),
		ON_MACHINE(other_formats_do_not_look_at_the_pat),
	};

	return cmocka_run_group_tests_name("npt", tests, NULL, NULL);
}
