/* SPDX-License-Identifier: MIT */
/* addrspace_verify(): silent on sound spaces, and finds each defect planted in one. */
#include <inttypes.h>
#include <string.h>

#include "layouts.h"

#define PAGE FAKE_PAGE_SIZE
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define RW   (ADDRSPACE_READ | ADDRSPACE_WRITE)

static void map_linear(struct fixture *fixture, uint64_t gpa, uint64_t size, uint64_t hpa)
{
	assert_int_equal(addrspace_map_linear(&fixture->as, gpa, size, hpa, &fixture_rw, 0), 0);
}

static void map_alloc(struct fixture *fixture, uint64_t gpa, uint64_t size, unsigned flags)
{
	assert_int_equal(addrspace_map_alloc(&fixture->as, gpa, size, &fixture_rw, flags), 0);
}

static void fault_in(struct fixture *fixture, uint64_t gpa)
{
	assert_int_equal(fixture_guest(fixture, 0, gpa, ADDRSPACE_WRITE), ADDRSPACE_FAULT_RESOLVED);
}

static uint64_t leaf_2m(const struct fixture *fixture)
{
	return layout_has(fixture->layout, ADDRSPACE_CPU_LEAF_2M) ? 2 * MIB : PAGE;
}

/** The entry for gpa in the table of this level, which must be there. */
static uint64_t *entry_at(struct fixture *fixture, uint64_t gpa, unsigned level)
{
	const struct fake_geometry *geometry = &fixture->machine.geometry;
	uint64_t hpa = geometry->root_hpa;

	for (unsigned at = geometry->levels - 1;; at--) {
		uint64_t index = (gpa >> fake_level_shift(at)) % fake_table_entries(geometry, at);
		uint64_t *slot = (uint64_t *)fake_machine_pointer(&fixture->machine, hpa) + index;
		struct fake_entry entry;

		if (at == level)
			return slot;
		geometry->walker->decode(geometry, at, *slot, &entry);
		assert_int_equal(entry.kind, FAKE_ENTRY_TABLE);
		hpa = entry.hpa;
	}
}

static void assert_sound(struct fixture *fixture)
{
	struct addrspace_defect defect = {0};
	int error = addrspace_verify(&fixture->as, &defect);

	if (error)
		fake_fail(&fixture->machine,
			  "gpa %#" PRIx64 ", level %u, entry %#" PRIx64 ": %s, in a sound space",
			  defect.gpa, defect.level, defect.entry, defect.what);
}

static struct addrspace_defect assert_unsound(struct fixture *fixture)
{
	struct addrspace_defect defect = {0};

	assert_int_equal(addrspace_verify(&fixture->as, &defect), ADDRSPACE_EFAULT);
	assert_non_null(defect.what);
	assert_int_equal(addrspace_verify(&fixture->as, NULL), ADDRSPACE_EFAULT);
	return defect;
}

/** With this value in the entry verify finds what is expected there, and with the old one nothing.
 */
static void assert_found(struct fixture *fixture, uint64_t gpa, unsigned level, uint64_t value,
			 const char *expected)
{
	uint64_t *slot = entry_at(fixture, gpa, level);
	uint64_t before = *slot;
	struct addrspace_defect defect;

	assert_sound(fixture);
	*slot = value;
	defect = assert_unsound(fixture);
	*slot = before;
	assert_non_null(strstr(defect.what, expected));
	assert_int_equal(defect.gpa, gpa);
	assert_int_equal(defect.level, level);
	assert_int_equal(defect.entry, value);
	assert_sound(fixture);
}

/** A leaf entry as it would look one level up. */
static uint64_t as_large_leaf(const struct fixture *fixture, uint64_t page)
{
	switch (fixture->layout->kind) {
	case LAYOUT_EPT:
	case LAYOUT_NPT:
		return page | 1 << 7;
	case LAYOUT_STAGE2:
		return page & ~UINT64_C(2);
	case LAYOUT_HOSTILE:
		return page & ~(UINT64_C(3) << 58);
	case LAYOUT_GSTAGE:
		break;
	}
	return page;
}

/** An entry that names hpa instead. */
static uint64_t with_address(const struct fixture *fixture, uint64_t entry, uint64_t hpa)
{
	switch (fixture->layout->kind) {
	case LAYOUT_EPT:
	case LAYOUT_NPT:
		return (entry & ~UINT64_C(0x000ffffffffff000)) | hpa;
	case LAYOUT_STAGE2:
		return (entry & ~UINT64_C(0x0000fffffffff000)) | hpa;
	case LAYOUT_HOSTILE:
		return (entry & ~UINT64_C(0x00fffffffff00000)) | hpa << 8;
	case LAYOUT_GSTAGE:
		break;
	}
	return (entry & ~UINT64_C(0x003ffffffffffc00)) | hpa >> 2;
}

/* ---- sound spaces ---- */

static void empty_space_is_sound(void **state)
{
	assert_sound(*state);
}

static void linear_regions_of_all_leaf_sizes_are_sound(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 2 * MIB - PAGE, 4 * MIB + 2 * PAGE, FIXTURE_LINEAR + 2 * MIB - PAGE);
	map_linear(fixture, GIB, layout_largest_leaf(fixture->layout), FIXTURE_LINEAR);
	map_linear(fixture, 3 * GIB, 3 * PAGE, FIXTURE_LINEAR + PAGE);
	assert_sound(fixture);
}

static void lazy_region_is_sound_however_much_of_it_is_there(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, layout_limit(fixture->layout), 0);
	assert_sound(fixture);
	for (unsigned i = 0; i < 10; i++) {
		fault_in(fixture, i * 123 * MIB);
		assert_sound(fixture);
	}
}

static void parked_leaves_are_sound(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
	map_linear(fixture, 4 * MIB, 4 * MIB, FIXTURE_LINEAR);
	assert_int_equal(addrspace_protect(&fixture->as, PAGE, PAGE, 0), 0);
	assert_int_equal(addrspace_protect(&fixture->as, 4 * MIB, 2 * MIB, 0), 0);
	assert_sound(fixture);
	assert_int_equal(addrspace_protect(&fixture->as, 5 * MIB, PAGE, RW), 0);
	assert_sound(fixture);
}

static void split_and_moved_pages_are_sound(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lent = fake_machine_lend(&fixture->machine, 0);

	map_linear(fixture, 4 * MIB, 4 * MIB, FIXTURE_LINEAR);
	assert_int_equal(addrspace_unmap(&fixture->as, 5 * MIB, PAGE), 0);
	assert_int_equal(addrspace_protect(&fixture->as, 7 * MIB, PAGE, ADDRSPACE_READ), 0);
	assert_int_equal(addrspace_replace_frame(&fixture->as, 6 * MIB, lent, NULL, NULL), 0);
	assert_sound(fixture);
}

static void thousands_of_regions_are_sound(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned i = 0; i < 3000; i++)
		map_alloc(fixture, 2 * (i * 7 % 3000) * PAGE, PAGE, 0);
	assert_sound(fixture);
	for (unsigned i = 0; i < 3000; i += 3)
		assert_int_equal(addrspace_unmap(&fixture->as, 2 * i * PAGE, PAGE), 0);
	assert_sound(fixture);
	addrspace_clear(&fixture->as);
	assert_sound(fixture);
}

/* ---- a leaf against its region ---- */

static void leaf_at_another_host_address_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf;

	map_linear(fixture, 0, 4 * PAGE, FIXTURE_LINEAR + PAGE);
	leaf = *entry_at(fixture, 2 * PAGE, 0);
	assert_found(fixture, PAGE, 0, leaf, "address");
	assert_found(fixture, 3 * PAGE, 0, leaf, "address");
}

static void leaf_with_other_permissions_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, PAGE, FIXTURE_LINEAR + PAGE);
	assert_int_equal(addrspace_map_linear(&fixture->as, MIB, PAGE, FIXTURE_LINEAR + PAGE,
					      &fixture_ro, 0),
			 0);
	assert_found(fixture, 0, 0, *entry_at(fixture, MIB, 0), "permissions");
	assert_found(fixture, MIB, 0, *entry_at(fixture, 0, 0), "permissions");
}

static void leaf_without_permissions_where_there_should_be_some_is_found(void **state)
{
	const struct addrspace_attributes guard = {.cookie = 1};
	struct fixture *fixture = *state;

	map_linear(fixture, 0, PAGE, FIXTURE_LINEAR + PAGE);
	assert_int_equal(
		addrspace_map_linear(&fixture->as, MIB, PAGE, FIXTURE_LINEAR + PAGE, &guard, 0), 0);
	assert_found(fixture, 0, 0, *entry_at(fixture, MIB, 0), "permissions");
	assert_found(fixture, MIB, 0, *entry_at(fixture, 0, 0), "permissions");
}

static void leaf_of_another_memory_type_is_found(void **state)
{
	struct addrspace_attributes device = fixture_rw;
	struct fixture *fixture = *state;

	device.memory_type = ADDRSPACE_DEVICE;
	map_linear(fixture, 0, PAGE, FIXTURE_LINEAR + PAGE);
	assert_int_equal(
		addrspace_map_linear(&fixture->as, MIB, PAGE, FIXTURE_LINEAR + PAGE, &device, 0),
		0);
	if (layout_encoded_type(fixture->layout, ADDRSPACE_DEVICE) == ADDRSPACE_WRITE_BACK) {
		assert_int_equal(*entry_at(fixture, 0, 0), *entry_at(fixture, MIB, 0));
		return;
	}
	assert_found(fixture, 0, 0, *entry_at(fixture, MIB, 0), "memory type");
	assert_found(fixture, MIB, 0, *entry_at(fixture, 0, 0), "memory type");
}

static void leaf_that_hides_whose_its_frame_is_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lent = fake_machine_lend(&fixture->machine, 0);

	map_alloc(fixture, 0, PAGE, ADDRSPACE_MAP_POPULATE);
	map_linear(fixture, MIB, PAGE, lent);
	assert_found(fixture, 0, 0, *entry_at(fixture, MIB, 0), "ownership");
	assert_found(fixture, MIB, 0, with_address(fixture, *entry_at(fixture, 0, 0), lent),
		     "ownership");
}

static void missing_leaf_of_a_linear_region_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 0, 8 * PAGE, FIXTURE_LINEAR + PAGE);
	map_linear(fixture, 2 * MIB, 4 * MIB, FIXTURE_LINEAR);
	assert_found(fixture, 0, 0, 0, "missing");
	assert_found(fixture, 7 * PAGE, 0, 0, "missing");
	assert_found(fixture, 4 * MIB, leaf_2m(fixture) == PAGE ? 0 : 1, 0, "missing");
}

static void missing_leaf_of_a_populated_region_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, 4 * PAGE, 0);
	map_alloc(fixture, 2 * MIB, 4 * PAGE, ADDRSPACE_MAP_POPULATE);
	fault_in(fixture, PAGE);
	fault_in(fixture, 2 * PAGE);
	assert_found(fixture, 2 * MIB + 3 * PAGE, 0, 0, "missing");
	assert_found(fixture, 2 * MIB, 0, 0, "missing");
}

static void missing_table_below_a_linear_region_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 5 * MIB, PAGE, FIXTURE_LINEAR);
	map_linear(fixture, 9 * MIB, PAGE, FIXTURE_LINEAR);
	assert_found(fixture, 8 * MIB, 1, 0, "missing");
}

static void absent_page_of_a_lazy_region_is_no_defect(void **state)
{
	struct fixture *fixture = *state;
	uint64_t *slot;
	uint64_t leaf;

	map_alloc(fixture, 0, 4 * PAGE, 0);
	fault_in(fixture, PAGE);
	fault_in(fixture, 2 * PAGE);
	slot = entry_at(fixture, PAGE, 0);
	leaf = *slot;
	*slot = 0;
	assert_sound(fixture);
	*slot = leaf;
}

static void leaf_in_a_trap_region_is_found(void **state)
{
	struct fixture *fixture = *state;
	const struct addrspace_attributes device = {.permissions = RW};

	map_alloc(fixture, 0, PAGE, ADDRSPACE_MAP_POPULATE);
	map_linear(fixture, 3 * PAGE, PAGE, FIXTURE_LINEAR);
	assert_int_equal(addrspace_map_trap(&fixture->as, PAGE, 2 * PAGE, &device, 0), 0);
	assert_found(fixture, PAGE, 0, *entry_at(fixture, 0, 0), "in a trap region");
	assert_found(fixture, 2 * PAGE, 0, *entry_at(fixture, 3 * PAGE, 0), "in a trap region");
}

static void leaf_outside_of_every_region_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf;

	map_linear(fixture, 2 * PAGE, PAGE, FIXTURE_LINEAR);
	leaf = *entry_at(fixture, 2 * PAGE, 0);
	assert_found(fixture, PAGE, 0, leaf, "outside");
	assert_found(fixture, 3 * PAGE, 0, leaf, "outside");
	assert_found(fixture, 2 * MIB - PAGE, 0, leaf, "outside");
}

static void leaf_larger_than_its_region_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf;

	if (leaf_2m(fixture) == PAGE)
		return;
	map_linear(fixture, 4 * MIB, 2 * MIB - PAGE, FIXTURE_LINEAR);
	leaf = as_large_leaf(fixture, *entry_at(fixture, 4 * MIB, 0));
	assert_found(fixture, 4 * MIB, 1, leaf, "beyond its region");
}

static void leaf_of_a_size_that_the_cpu_lacks_is_found(void **state)
{
	struct fixture *fixture = *state;
	unsigned level = layout_largest_leaf(fixture->layout) == GIB ? 3 : 2;
	uint64_t leaf;

	if (level >= fixture->layout->levels)
		return;
	map_linear(fixture, 0, PAGE, FIXTURE_LINEAR);
	leaf = as_large_leaf(fixture, *entry_at(fixture, 0, 0));
	assert_found(fixture, 0, level, leaf, "size that this CPU does not have");
}

/* ---- entries against the format ---- */

/** True if a CPU would take the two entries for the same. */
static bool same_to_hardware(const struct fake_geometry *geometry, unsigned level, uint64_t left,
			     uint64_t right)
{
	struct fake_entry a;
	struct fake_entry b;

	geometry->walker->decode(geometry, level, left, &a);
	geometry->walker->decode(geometry, level, right, &b);
	if (a.kind != b.kind || a.hpa != b.hpa || a.permissions != b.permissions ||
	    a.memory_type != b.memory_type)
		return false;
	return geometry->hardware_ad || (a.accessed == b.accessed && a.dirty == b.dirty);
}

/** Flips each bit of an entry in turn: verify must find what changes its meaning. */
static void assert_flips_found(struct fixture *fixture, uint64_t gpa, unsigned level)
{
	const struct fake_geometry *geometry = &fixture->machine.geometry;
	uint64_t *slot = entry_at(fixture, gpa, level);
	uint64_t sound = *slot;
	uint64_t not_found = 0;

	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t flipped = sound ^ UINT64_C(1) << bit;
		struct fake_entry entry;

		geometry->walker->decode(geometry, level, flipped, &entry);
		/* A sound table by its bits: to know better, verify would have to follow it. */
		if (entry.kind == FAKE_ENTRY_TABLE ||
		    same_to_hardware(geometry, level, sound, flipped))
			continue;
		*slot = flipped;
		if (addrspace_verify(&fixture->as, NULL) != ADDRSPACE_EFAULT)
			not_found |= UINT64_C(1) << bit;
		*slot = sound;
	}
	assert_sound(fixture);
	if (not_found)
		fake_fail(&fixture->machine,
			  "each of the bits %#" PRIx64 ", flipped alone in entry %#" PRIx64
			  " of level %u, goes unnoticed",
			  not_found, sound, level);
}

static void every_flipped_bit_of_a_page_entry_that_hardware_notices_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_linear(fixture, 3 * PAGE, PAGE, FIXTURE_LINEAR + PAGE);
	assert_flips_found(fixture, 3 * PAGE, 0);
}

static void every_flipped_bit_of_a_large_leaf_that_hardware_notices_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t leaf = layout_largest_leaf(fixture->layout);

	map_linear(fixture, GIB, leaf, FIXTURE_LINEAR);
	assert_flips_found(fixture, GIB, leaf == GIB ? 2 : (leaf == PAGE ? 0 : 1));
}

static void every_flipped_bit_of_a_table_entry_that_hardware_notices_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, PAGE, 0);
	fault_in(fixture, 0);
	for (unsigned level = 1; level < fixture->layout->levels; level++)
		assert_flips_found(fixture, 0, level);
}

static void table_that_hides_what_it_owns_is_found(void **state)
{
	struct fixture *fixture = *state;
	const struct fake_geometry *geometry = &fixture->machine.geometry;
	uint64_t *slot;
	uint64_t table;
	unsigned found = 0;

	map_alloc(fixture, 0, PAGE, ADDRSPACE_MAP_POPULATE);
	slot = entry_at(fixture, 0, 1);
	table = *slot;
	/* The mark is one of the bits that hardware ignores. */
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t unmarked = table & ~(UINT64_C(1) << bit);

		if (unmarked == table || !same_to_hardware(geometry, 1, table, unmarked))
			continue;
		*slot = unmarked;
		found += addrspace_verify(&fixture->as, NULL) == ADDRSPACE_EFAULT;
		*slot = table;
	}
	assert_int_equal(found, 1);
	assert_sound(fixture);
}

/** Wider addresses have no bits in the format's entries. */
static unsigned widest_address(const struct layout *layout)
{
	return layout->kind == LAYOUT_STAGE2 || layout->kind == LAYOUT_HOSTILE ? 48 : 52;
}

static void table_beyond_the_hosts_width_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t host_limit = UINT64_C(1) << fixture->as.host_bits;
	uint64_t table;

	if (fixture->as.host_bits >= widest_address(fixture->layout))
		return;
	map_alloc(fixture, 0, PAGE, ADDRSPACE_MAP_POPULATE);
	table = *entry_at(fixture, 0, 1);
	assert_found(fixture, 0, 1, with_address(fixture, table, host_limit), "host's width");
}

static void leaf_beyond_the_hosts_width_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t host_limit = UINT64_C(1) << fixture->as.host_bits;
	uint64_t leaf;

	if (fixture->as.host_bits >= widest_address(fixture->layout))
		return;
	map_alloc(fixture, 0, PAGE, ADDRSPACE_MAP_POPULATE);
	leaf = *entry_at(fixture, 0, 0);
	assert_found(fixture, 0, 0, with_address(fixture, leaf, host_limit), "host's width");
}

static void empty_table_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t *slot;
	uint64_t leaf;

	map_alloc(fixture, 0, GIB, 0);
	fault_in(fixture, 5 * MIB);
	slot = entry_at(fixture, 5 * MIB, 0);
	leaf = *slot;
	*slot = 0;
	assert_non_null(strstr(assert_unsound(fixture).what, "empty table"));
	*slot = leaf;
	assert_sound(fixture);
}

/** Each single bit as the content of an entry that should be 0. */
static void assert_garbage_found(struct fixture *fixture, uint64_t gpa, unsigned level)
{
	const struct fake_geometry *geometry = &fixture->machine.geometry;
	uint64_t *slot = entry_at(fixture, gpa, level);
	uint64_t not_found = 0;

	assert_int_equal(*slot, 0);
	for (unsigned bit = 0; bit < 64; bit++) {
		struct fake_entry entry;

		geometry->walker->decode(geometry, level, UINT64_C(1) << bit, &entry);
		/* Hardware would follow it: so does verify. */
		if (entry.kind == FAKE_ENTRY_TABLE)
			continue;
		*slot = UINT64_C(1) << bit;
		if (addrspace_verify(&fixture->as, NULL) != ADDRSPACE_EFAULT)
			not_found |= UINT64_C(1) << bit;
		*slot = 0;
	}
	assert_sound(fixture);
	if (not_found)
		fake_fail(&fixture->machine,
			  "each of the bits %#" PRIx64
			  ", alone in an entry of level %u, goes unnoticed",
			  not_found, level);
}

static void garbage_in_an_entry_of_a_page_that_is_not_there_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, 8 * PAGE, 0);
	fault_in(fixture, 0);
	assert_garbage_found(fixture, PAGE, 0);
	assert_garbage_found(fixture, 100 * PAGE, 0);
}

static void garbage_in_an_entry_above_the_pages_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_alloc(fixture, 0, 4 * MIB, 0);
	fault_in(fixture, 0);
	assert_garbage_found(fixture, 2 * MIB, 1);
	assert_garbage_found(fixture, 4 * MIB, 1);
}

/* ---- the handler's pointers ---- */

static uint64_t lie_for; /* hpa, or 0: all */
static uint64_t (*honest_inverse)(void *ctx, const void *address);

static uint64_t lying_inverse(void *ctx, const void *address)
{
	uint64_t hpa = honest_inverse(ctx, address);

	return !lie_for || hpa == lie_for ? hpa ^ PAGE : hpa;
}

static void handler_whose_two_directions_disagree_is_found(void **state)
{
	struct fixture *fixture = *state;
	struct paging_handler *handler = &fixture->machine.handler;
	struct fake_entry entry;

	map_alloc(fixture, 0, PAGE, ADDRSPACE_MAP_POPULATE);
	fixture->machine.geometry.walker->decode(&fixture->machine.geometry, 1,
						 *entry_at(fixture, 0, 1), &entry);
	honest_inverse = handler->virtual_to_physical;
	handler->virtual_to_physical = lying_inverse;
	lie_for = 0;
	assert_unsound(fixture);
	lie_for = entry.hpa;
	assert_unsound(fixture);
	handler->virtual_to_physical = NULL;
	assert_sound(fixture);
	handler->virtual_to_physical = honest_inverse;
	assert_sound(fixture);
}

/* ---- the region set ---- */

#define NODE_HEADER  128 /* bytes: the count and the samples */
#define RECORD_WORDS 4

/** What verify finds in a space with lazy regions only comes from the set. */
static void map_regions(struct fixture *fixture, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		map_alloc(fixture, 2 * i * PAGE, PAGE, 0);
	assert_sound(fixture);
}

static uint64_t *root_node(struct fixture *fixture)
{
	uint64_t *node = fake_machine_pointer(&fixture->machine, fixture->as.region_root);

	assert_int_equal(fake_machine_frame(&fixture->machine, fixture->as.region_root)->state,
			 FAKE_REGION_NODE);
	return node;
}

static uint64_t *record_of(uint64_t *node, unsigned index)
{
	return node + NODE_HEADER / sizeof(*node) + index * RECORD_WORDS;
}

static void assert_found_in_set(struct fixture *fixture, uint64_t *word, uint64_t value)
{
	uint64_t before = *word;

	*word = value;
	assert_unsound(fixture);
	*word = before;
	assert_sound(fixture);
}

static void regions_out_of_order_are_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t swapped[RECORD_WORDS];
	uint64_t *record;

	map_regions(fixture, 10);
	record = record_of(root_node(fixture), 3);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(swapped, record, sizeof(swapped));
		memcpy(record, record + RECORD_WORDS, sizeof(swapped));
		memcpy(record + RECORD_WORDS, swapped, sizeof(swapped));
		if (i == 0)
			assert_unsound(fixture);
	}
	assert_sound(fixture);
}

static void node_that_counts_wrong_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint32_t *counted;

	map_regions(fixture, 10);
	counted = (uint32_t *)root_node(fixture);
	assert_int_equal(*counted, 10);
	for (unsigned wrong = 0; wrong < 200; wrong += wrong == 9 ? 2 : 1) {
		*counted = wrong;
		assert_unsound(fixture);
	}
	*counted = UINT32_MAX;
	assert_unsound(fixture);
	*counted = 10;
	assert_sound(fixture);
}

static void space_that_counts_regions_or_nodes_wrong_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_regions(fixture, 10);
	assert_found_in_set(fixture, &fixture->as.region_count, 11);
	assert_found_in_set(fixture, &fixture->as.region_count, 9);
	assert_found_in_set(fixture, &fixture->as.region_nodes, 2);
	assert_found_in_set(fixture, &fixture->as.region_nodes, 0);
}

static void region_that_starts_elsewhere_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t *start;

	map_regions(fixture, 10);
	start = record_of(root_node(fixture), 5);
	assert_int_equal(*start, 10 * PAGE);
	assert_found_in_set(fixture, start, 10 * PAGE + 1);
	assert_found_in_set(fixture, start, 8 * PAGE);
	assert_found_in_set(fixture, start, 0);
	assert_found_in_set(fixture, start, 12 * PAGE);
	assert_found_in_set(fixture, start, UINT64_MAX);
	/* Against its equal neighbour: they would have merged. */
	assert_found_in_set(fixture, start, 9 * PAGE);
	assert_found_in_set(fixture, start, 11 * PAGE);
}

static void region_of_another_size_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t *size;

	map_regions(fixture, 10);
	size = record_of(root_node(fixture), 5) + 1;
	/* Pages lie above 16 bits of attributes: none, overlapping, touching, beyond any space. */
	assert_found_in_set(fixture, size, *size & 0xffff);
	assert_found_in_set(fixture, size, *size + (UINT64_C(3) << 16));
	assert_found_in_set(fixture, size, *size + (UINT64_C(1) << 16));
	assert_found_in_set(fixture, record_of(root_node(fixture), 9) + 1,
			    *size | UINT64_C(1) << 63);
}

static void sample_that_is_not_its_records_start_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t *node;

	map_regions(fixture, 20);
	node = root_node(fixture);
	assert_found_in_set(fixture, &node[1], node[1] + PAGE);
	assert_found_in_set(fixture, &node[2], 0);
	assert_found_in_set(fixture, &node[15], 0);
}

static void unused_record_that_looks_used_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_regions(fixture, 10);
	assert_found_in_set(fixture, record_of(root_node(fixture), 10), 20 * PAGE);
	assert_found_in_set(fixture, record_of(root_node(fixture), 123), 0);
}

static void inner_record_that_misdescribes_its_child_is_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t *record;

	map_regions(fixture, 1000);
	assert_int_equal(fixture->as.region_depth, 2);
	/* start, end, largest gap, child */
	record = record_of(root_node(fixture), 3);
	assert_found_in_set(fixture, &record[0], record[0] + PAGE);
	assert_found_in_set(fixture, &record[1], record[1] - PAGE);
	assert_found_in_set(fixture, &record[2], 0);
	assert_found_in_set(fixture, &record[2], 2 * PAGE);
	assert_found_in_set(fixture, &record[3], record[3 + RECORD_WORDS]);
}

static void set_of_another_depth_is_found(void **state)
{
	struct fixture *fixture = *state;

	map_regions(fixture, 10);
	fixture->as.region_depth = 0;
	assert_unsound(fixture);
	fixture->as.region_depth = 100;
	assert_unsound(fixture);
	fixture->as.region_depth = 1;
	assert_sound(fixture);
}

#define LINEAR_TEST(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, fixture_setup_linear, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(empty_space_is_sound),
		LINEAR_TEST(linear_regions_of_all_leaf_sizes_are_sound),
		LINEAR_TEST(lazy_region_is_sound_however_much_of_it_is_there),
		LINEAR_TEST(parked_leaves_are_sound),
		LINEAR_TEST(split_and_moved_pages_are_sound),
		LINEAR_TEST(leaf_at_another_host_address_is_found),
		LINEAR_TEST(leaf_with_other_permissions_is_found),
		LINEAR_TEST(leaf_without_permissions_where_there_should_be_some_is_found),
		LINEAR_TEST(leaf_of_another_memory_type_is_found),
		LINEAR_TEST(leaf_that_hides_whose_its_frame_is_is_found),
		LINEAR_TEST(missing_leaf_of_a_linear_region_is_found),
		LINEAR_TEST(missing_leaf_of_a_populated_region_is_found),
		LINEAR_TEST(missing_table_below_a_linear_region_is_found),
		LINEAR_TEST(absent_page_of_a_lazy_region_is_no_defect),
		LINEAR_TEST(leaf_in_a_trap_region_is_found),
		LINEAR_TEST(leaf_outside_of_every_region_is_found),
		LINEAR_TEST(leaf_larger_than_its_region_is_found),
		LINEAR_TEST(leaf_of_a_size_that_the_cpu_lacks_is_found),
		LINEAR_TEST(every_flipped_bit_of_a_page_entry_that_hardware_notices_is_found),
		LINEAR_TEST(every_flipped_bit_of_a_large_leaf_that_hardware_notices_is_found),
		LINEAR_TEST(every_flipped_bit_of_a_table_entry_that_hardware_notices_is_found),
		LINEAR_TEST(table_that_hides_what_it_owns_is_found),
		LINEAR_TEST(table_beyond_the_hosts_width_is_found),
		LINEAR_TEST(leaf_beyond_the_hosts_width_is_found),
		LINEAR_TEST(empty_table_is_found),
		LINEAR_TEST(garbage_in_an_entry_of_a_page_that_is_not_there_is_found),
		LINEAR_TEST(garbage_in_an_entry_above_the_pages_is_found),
		LINEAR_TEST(handler_whose_two_directions_disagree_is_found),
	};
	/* The set of regions is the same whatever the layout. */
	const struct CMUnitTest on_canonical[] = {
		LINEAR_TEST(thousands_of_regions_are_sound),
		LINEAR_TEST(regions_out_of_order_are_found),
		LINEAR_TEST(node_that_counts_wrong_is_found),
		LINEAR_TEST(space_that_counts_regions_or_nodes_wrong_is_found),
		LINEAR_TEST(region_that_starts_elsewhere_is_found),
		LINEAR_TEST(region_of_another_size_is_found),
		LINEAR_TEST(sample_that_is_not_its_records_start_is_found),
		LINEAR_TEST(unused_record_that_looks_used_is_found),
		LINEAR_TEST(inner_record_that_misdescribes_its_child_is_found),
		LINEAR_TEST(set_of_another_depth_is_found),
	};
	int failed = run_over_layouts("verify", tests, sizeof(tests) / sizeof(tests[0]));

	return failed + run_over_canonical_layouts("verify", on_canonical,
						   sizeof(on_canonical) / sizeof(on_canonical[0]));
}
