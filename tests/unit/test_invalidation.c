/* SPDX-License-Identifier: MIT */
/* What the invalidation routines decide: operations that cover the range exactly, never less, and
 * not too many of them; operands read back by decoders written from the manuals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <addrspace/riscv64.h>
#include <addrspace/x86_64.h>

#include "arch/aarch64/stage2_tlb.h"
#include "arch/riscv64/gstage_tlb.h"
#include "arch/x86_64/invept.h"

#define PAGE        UINT64_C(4096)
#define MIB         (UINT64_C(1) << 20)
#define GIB         (UINT64_C(1) << 30)
#define MOST        512                 /* single operations */
#define RANGE_PAGES (UINT64_C(1) << 21) /* five ranges make up fewer */
#define TOP         (UINT64_C(1) << 48) /* end of the largest space with stage 2 */

static const uint64_t strides[] = {PAGE, 2 * MIB, GIB};

static struct addrspace_invalidation of(uint64_t gpa, uint64_t size, uint64_t stride)
{
	return (struct addrspace_invalidation){.gpa = gpa, .size = size, .stride = stride};
}

/* ---- steps ---- */

static uint64_t naive_steps(uint64_t gpa, uint64_t size, uint64_t stride)
{
	uint64_t steps = 0;

	for (uint64_t at = gpa - gpa % stride; at < gpa + size; at += stride)
		steps++;
	return steps;
}

static void steps_cover_every_leaf_that_the_range_touches(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint64_t stride = strides[i];
		uint64_t unit = stride > PAGE ? stride / 4 : PAGE;

		for (uint64_t gpa = 5 * stride; gpa < 7 * stride; gpa += unit) {
			for (uint64_t size = unit; size < 20 * stride; size += unit) {
				struct addrspace_invalidation range = of(gpa, size, stride);

				assert_int_equal(invalidation_start(&range), gpa - gpa % stride);
				assert_int_equal(invalidation_steps(&range),
						 naive_steps(gpa, size, stride));
			}
		}
	}
}

static void steps_at_the_ends_of_the_largest_space(void **state)
{
	const uint64_t limit = UINT64_C(1) << 59;
	struct addrspace_invalidation whole = of(0, limit, PAGE);
	struct addrspace_invalidation last = of(limit - PAGE, PAGE, GIB);

	(void)state;
	assert_int_equal(invalidation_steps(&whole), limit / PAGE);
	assert_int_equal(invalidation_start(&last), limit - GIB);
	assert_int_equal(invalidation_steps(&last), 1);
}

/* ---- stage 2 ---- */

/** [*gpa, *end) that a TLBI by IPA reaches, where leaves of stride bytes are live. */
static void decode_ipa(uint64_t operand, uint64_t stride, uint64_t *gpa, uint64_t *end)
{
	/* IPA[47:12] in 35:0; 47:44 TTL 0: no hint; 63 NS */
	assert_int_equal(operand >> 36, 0);
	*gpa = (operand << 12) / stride * stride;
	*end = *gpa + stride;
}

/** The same of a range TLBI. */
static void decode_range(uint64_t operand, uint64_t *gpa, uint64_t *end)
{
	uint64_t scale = operand >> 44 & 3;
	uint64_t num = operand >> 39 & 0x1f;

	assert_int_equal(operand >> 46, 1);     /* TG: 4 KiB; ASID field and NS are 0 */
	assert_int_equal(operand >> 37 & 3, 0); /* TTL */
	*gpa = (operand & ((UINT64_C(1) << 37) - 1)) << 12;
	*end = *gpa + ((num + 1) << (5 * scale + 1)) * PAGE;
}

/** Asserts that the list is this range to the byte, in order, and returns how many it has. */
static unsigned check_list(uint32_t cpu_features, const struct addrspace_invalidation *range)
{
	struct stage2_tlbi_list list = stage2_tlbi_start(cpu_features, range);
	uint64_t at = range->gpa / range->stride * range->stride;
	uint64_t end =
		(range->gpa + range->size - 1) / range->stride * range->stride + range->stride;
	unsigned count = 0;

	while (at < end) {
		uint64_t operand = UINT64_MAX;
		uint64_t gpa = 0;
		uint64_t gpa_end = 0;

		switch (stage2_tlbi_next(&list, &operand)) {
		case STAGE2_TLBI_IPA:
			/* among ranges it is a page */
			decode_ipa(operand, list.ranges ? PAGE : range->stride, &gpa, &gpa_end);
			break;
		case STAGE2_TLBI_RANGE:
			assert_true(cpu_features & ADDRSPACE_CPU_TLBI_RANGE);
			decode_range(operand, &gpa, &gpa_end);
			break;
		case STAGE2_TLBI_DONE:
			fail_msg("done at 0x%llx of 0x%llx", (unsigned long long)at,
				 (unsigned long long)end);
		}
		assert_int_equal(gpa, at);
		at = gpa_end;
		count++;
	}
	assert_int_equal(at, end);
	assert_int_equal(stage2_tlbi_next(&list, &at), STAGE2_TLBI_DONE);
	return count;
}

static void single_operations_cover_every_count_and_stride_exactly(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (uint64_t steps = 1; steps <= MOST; steps++) {
			uint64_t size = steps * strides[i];
			struct addrspace_invalidation low = of(0, size, strides[i]);
			struct addrspace_invalidation high = of(TOP - size, size, strides[i]);

			assert_false(stage2_tlbi_all(0, &low));
			assert_int_equal(check_list(0, &low), steps);
			assert_int_equal(check_list(0, &high), steps);
		}
	}
}

static void single_operations_reach_leaves_that_the_range_only_touches(void **state)
{
	struct addrspace_invalidation inside = of(3 * MIB + PAGE, PAGE, 2 * MIB);
	struct addrspace_invalidation across = of(4 * MIB - PAGE, 2 * PAGE, 2 * MIB);

	(void)state;
	assert_int_equal(check_list(0, &inside), 1);
	assert_int_equal(check_list(0, &across), 2);
	assert_int_equal(check_list(ADDRSPACE_CPU_TLBI_RANGE, &inside), 1);
	assert_in_range(check_list(ADDRSPACE_CPU_TLBI_RANGE, &across), 1, 2);
}

static void ranges_cover_every_number_of_pages_exactly_in_five_operations(void **state)
{
	(void)state;
	for (uint64_t pages = 1; pages < RANGE_PAGES; pages++) {
		struct addrspace_invalidation range = of(7 * PAGE, pages * PAGE, PAGE);

		assert_false(stage2_tlbi_all(ADDRSPACE_CPU_TLBI_RANGE, &range));
		assert_in_range(check_list(ADDRSPACE_CPU_TLBI_RANGE, &range), 1, 5);
	}
}

static void ranges_cover_large_leaves_and_the_top_of_the_space(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint64_t most = (RANGE_PAGES - 1) * PAGE / strides[i];

		for (uint64_t steps = 1; steps <= most && steps <= 5000; steps++) {
			uint64_t size = steps * strides[i];
			struct addrspace_invalidation range = of(TOP - size, size, strides[i]);

			assert_false(stage2_tlbi_all(ADDRSPACE_CPU_TLBI_RANGE, &range));
			assert_in_range(check_list(ADDRSPACE_CPU_TLBI_RANGE, &range), 1, 5);
		}
	}
}

static void one_leaf_of_any_size_takes_one_operation(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct addrspace_invalidation leaf = of(5 * GIB, strides[i], strides[i]);

		assert_int_equal(check_list(0, &leaf), 1);
		assert_int_equal(check_list(ADDRSPACE_CPU_TLBI_RANGE, &leaf), 1);
	}
}

static void whole_vmid_goes_beyond_the_limits_and_when_tables_changed(void **state)
{
	const uint32_t range = ADDRSPACE_CPU_TLBI_RANGE;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint64_t stride = strides[i];
		struct addrspace_invalidation much = of(0, (MOST + 1) * stride, stride);
		struct addrspace_invalidation touching =
			of(stride - PAGE, MOST * stride + PAGE, stride);
		struct addrspace_invalidation most = of(0, RANGE_PAGES * PAGE - stride, stride);
		struct addrspace_invalidation over = of(0, RANGE_PAGES * PAGE, stride);
		struct addrspace_invalidation tables = of(0, stride, stride);

		tables.tables_changed = true;
		assert_true(stage2_tlbi_all(0, &much));
		assert_true(stage2_tlbi_all(0, &touching));
		assert_false(stage2_tlbi_all(range, &most));
		assert_true(stage2_tlbi_all(range, &over));
		assert_true(stage2_tlbi_all(0, &tables));
		assert_true(stage2_tlbi_all(range, &tables));
	}
}

static void guest_regime_needs_tge_clear_only_beside_e2h(void **state)
{
	const uint64_t tge = UINT64_C(1) << 27;
	const uint64_t e2h = UINT64_C(1) << 34;
	const uint64_t others = ~(tge | e2h);

	(void)state;
	assert_int_equal(stage2_guest_hcr(others), others);
	assert_int_equal(stage2_guest_hcr(others | tge), others | tge);
	assert_int_equal(stage2_guest_hcr(others | e2h), others | e2h);
	assert_int_equal(stage2_guest_hcr(others | e2h | tge), others | e2h);
}

static void cache_lines_are_powers_of_two_of_words(void **state)
{
	(void)state;
	for (uint64_t log = 0; log < 16; log++) {
		assert_int_equal(data_line_size(log << 16 | 0xf), 4u << log);
		assert_int_equal(instruction_line_size(0xf << 16 | log), 4u << log);
	}
	/* Cortex-A72 */
	assert_int_equal(data_line_size(0x8444c004), 64);
	assert_int_equal(instruction_line_size(0x8444c004), 64);
}

static void instruction_caches_are_invalidated_as_their_kind_needs(void **state)
{
	const uint64_t dic = UINT64_C(1) << 29;
	const uint64_t line_64 = 4;

	(void)state;
	for (uint64_t policy = 0; policy < 4; policy++) {
		uint64_t ctr = policy << 14 | line_64;
		bool physical = policy == 3;

		assert_int_equal(instruction_work(ctr | dic, PAGE), INSTRUCTION_COHERENT);
		assert_int_equal(instruction_work(ctr, PAGE),
				 physical ? INSTRUCTION_LINES : INSTRUCTION_ALL);
		assert_int_equal(instruction_work(ctr, MOST * 64),
				 physical ? INSTRUCTION_LINES : INSTRUCTION_ALL);
		assert_int_equal(instruction_work(ctr, (MOST + 1) * 64), INSTRUCTION_ALL);
		assert_int_equal(instruction_work(ctr, 2 * MIB), INSTRUCTION_ALL);
	}
}

/* ---- G-stage ---- */

static void fences_cover_every_count_and_stride_exactly(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (uint64_t steps = 1; steps <= MOST; steps++) {
			uint64_t start = (UINT64_C(1) << 50) - steps * strides[i];
			struct addrspace_invalidation range =
				of(start, steps * strides[i], strides[i]);

			assert_false(gstage_fence_all(&range));
			assert_int_equal(invalidation_steps(&range), steps);
			for (uint64_t step = 0; step < steps; step++)
				assert_int_equal(gstage_fence_operand(&range, step),
						 (start + step * strides[i]) / 4);
		}
	}
}

static void whole_vmid_is_fenced_beyond_the_limit_and_when_tables_changed(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct addrspace_invalidation much = of(0, (MOST + 1) * strides[i], strides[i]);
		struct addrspace_invalidation tables = of(0, strides[i], strides[i]);

		tables.tables_changed = true;
		assert_true(gstage_fence_all(&much));
		assert_true(gstage_fence_all(&tables));
	}
}

static void probe_writes_a_mode_and_every_vmid_bit(void **state)
{
	(void)state;
	assert_int_equal(gstage_probe_value(8), UINT64_C(0x83fff00000000000));
	assert_int_equal(gstage_probe_value(10), UINT64_C(0xa3fff00000000000));
}

static void vmid_bits_are_counted_from_the_lowest(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits <= 14; bits++) {
		uint64_t vmid = (UINT64_C(1) << bits) - 1;

		assert_int_equal(addrspace_gstage_vmid_bits(vmid << 44), bits);
		assert_int_equal(addrspace_gstage_vmid_bits(UINT64_C(0xa) << 60 | vmid << 44 |
							    ((UINT64_C(1) << 44) - 1)),
				 bits);
	}
	/* bits 59:58 are no VMID bits, and a bit above a hole does not count */
	assert_int_equal(addrspace_gstage_vmid_bits(UINT64_MAX), 14);
	assert_int_equal(addrspace_gstage_vmid_bits(UINT64_C(0x5) << 44), 1);
}

/* ---- x86 ---- */

static void invept_is_single_context_where_the_cpu_has_it(void **state)
{
	const uint64_t eptp = UINT64_C(0x12345601e);
	struct invept single = invept_single(ADDRSPACE_CPU_INVEPT_SINGLE, eptp);
	struct invept other = invept_single(~(uint32_t)ADDRSPACE_CPU_INVEPT_SINGLE, eptp);
	struct invept all = invept_all();

	(void)state;
	assert_int_equal(single.type, 1);
	assert_int_equal(single.descriptor[0], eptp);
	assert_int_equal(single.descriptor[1], 0);
	assert_int_equal(other.type, 2);
	assert_int_equal(other.descriptor[1], 0);
	assert_int_equal(all.type, 2);
	assert_int_equal(all.descriptor[0], 0);
	assert_int_equal(all.descriptor[1], 0);
	assert_int_equal(offsetof(struct invept, descriptor), 0);
	assert_int_equal(sizeof(all.descriptor), 16);
}

static void tlb_control_flushes_one_asid_where_the_cpu_can(void **state)
{
	(void)state;
	assert_int_equal(addrspace_npt_tlb_control(0), 1);
	assert_int_equal(addrspace_npt_tlb_control(~(uint32_t)ADDRSPACE_CPU_FLUSH_BY_ASID), 1);
	assert_int_equal(addrspace_npt_tlb_control(ADDRSPACE_CPU_FLUSH_BY_ASID), 3);
	assert_int_equal(addrspace_npt_tlb_control(UINT32_MAX), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_cover_every_leaf_that_the_range_touches),
		cmocka_unit_test(steps_at_the_ends_of_the_largest_space),
		cmocka_unit_test(single_operations_cover_every_count_and_stride_exactly),
		cmocka_unit_test(single_operations_reach_leaves_that_the_range_only_touches),
		cmocka_unit_test(ranges_cover_every_number_of_pages_exactly_in_five_operations),
		cmocka_unit_test(ranges_cover_large_leaves_and_the_top_of_the_space),
		cmocka_unit_test(one_leaf_of_any_size_takes_one_operation),
		cmocka_unit_test(whole_vmid_goes_beyond_the_limits_and_when_tables_changed),
		cmocka_unit_test(guest_regime_needs_tge_clear_only_beside_e2h),
		cmocka_unit_test(cache_lines_are_powers_of_two_of_words),
		cmocka_unit_test(instruction_caches_are_invalidated_as_their_kind_needs),
		cmocka_unit_test(fences_cover_every_count_and_stride_exactly),
		cmocka_unit_test(whole_vmid_is_fenced_beyond_the_limit_and_when_tables_changed),
		cmocka_unit_test(probe_writes_a_mode_and_every_vmid_bit),
		cmocka_unit_test(vmid_bits_are_counted_from_the_lowest),
		cmocka_unit_test(invept_is_single_context_where_the_cpu_has_it),
		cmocka_unit_test(tlb_control_flushes_one_asid_where_the_cpu_can),
	};

	return cmocka_run_group_tests_name("invalidation", tests, NULL, NULL);
}
