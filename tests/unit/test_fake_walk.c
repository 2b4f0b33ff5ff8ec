/* SPDX-License-Identifier: MIT */
/* The table walkers against single entries and root registers worked out from the manuals. */
#include <string.h>

#include "layouts.h"

#define READ    ADDRSPACE_READ
#define WRITE   ADDRSPACE_WRITE
#define EXECUTE ADDRSPACE_EXECUTE
#define BIT(n)  (UINT64_C(1) << (n))

struct sample {
	unsigned level;
	uint64_t value;
	enum fake_entry_kind kind;
	uint64_t hpa;
	unsigned permissions;
	enum addrspace_memory_type memory_type;
};

static void check_samples(const struct fake_geometry *geometry, const struct sample *samples,
			  size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct sample *sample = &samples[i];
		struct fake_entry entry;

		geometry->walker->decode(geometry, sample->level, sample->value, &entry);
		if (entry.kind != sample->kind)
			fail_msg("sample %zu: kind %d, not %d: %s", i, (int)entry.kind,
				 (int)sample->kind, entry.why ? entry.why : "");
		if (sample->kind == FAKE_ENTRY_ILLEGAL) {
			assert_non_null(entry.why);
			continue;
		}
		assert_int_equal(entry.hpa, sample->hpa);
		if (sample->kind == FAKE_ENTRY_ABSENT)
			continue;
		assert_int_equal(entry.permissions, sample->permissions);
		assert_int_equal(entry.memory_type, sample->memory_type);
	}
}

#define CHECK(geometry, samples)                                                                   \
	check_samples(geometry, samples, sizeof(samples) / sizeof(*samples))

static void ept_entries(void **state)
{
	static const struct sample samples[] = {
		{0, 0, FAKE_ENTRY_ABSENT, 0, 0, 0},
		{0, 0x12345000 | BIT(11) | BIT(59), FAKE_ENTRY_ABSENT, 0x12345000, 0, 0},
		{0, BIT(63), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345037, FAKE_ENTRY_LEAF, 0x12345000, 7, ADDRSPACE_WRITE_BACK},
		{0, 0x12345001, FAKE_ENTRY_LEAF, 0x12345000, READ, ADDRSPACE_DEVICE},
		{0, 0x1234500b, FAKE_ENTRY_LEAF, 0x12345000, 3, ADDRSPACE_NON_CACHEABLE},
		{0, 0x12345023, FAKE_ENTRY_LEAF, 0x12345000, 3, ADDRSPACE_WRITE_THROUGH},
		{1, 0x122000b7, FAKE_ENTRY_LEAF, 0x12200000, 7, ADDRSPACE_WRITE_BACK},
		{2, 0x400000b5, FAKE_ENTRY_LEAF, 0x40000000, 5, ADDRSPACE_WRITE_BACK},
		{1, 0x12345007, FAKE_ENTRY_TABLE, 0x12345000, 7, 0},
		{3, 0x12345007 | BIT(52), FAKE_ENTRY_TABLE, 0x12345000, 7, 0},
		{0, 0x12345032, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* write without read */
		{0, 0x12345034, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* execute-only */
		{0, 0x12345017, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* memory type 2 */
		{0, 0x1234501f, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* memory type 3 */
		{0, 0x1234503f, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* memory type 7 */
		{0, 0x12345077, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* IPAT */
		{0, 0x12345037 | BIT(46), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345037 | BIT(57), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{1, 0x123450b7, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* misaligned */
		{3, 0x87, FAKE_ENTRY_ILLEGAL, 0, 0, 0},       /* bit 7 in a PML4E */
		{1, 0x1234500f, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* bit 3 in a non-leaf */
		{1, 0x12345002, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* write without read, too */
		{1, 0x12345007 | BIT(46), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
	};
	struct fake_geometry geometry = {
		.walker = &fake_walker_ept, .host_bits = 46, .leaf_2m = true, .leaf_1g = true};
	static const struct sample no_large[] = {
		{1, 0x122000b7, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{2, 0x400000b7, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345034, FAKE_ENTRY_LEAF, 0x12345000, EXECUTE, ADDRSPACE_WRITE_BACK},
	};

	(void)state;
	CHECK(&geometry, samples);
	geometry.leaf_2m = geometry.leaf_1g = false;
	geometry.execute_only = true;
	CHECK(&geometry, no_large);
}

#define NPT_LEAF  0x65 /* P, U, A, D */
#define NPT_TABLE 0x27 /* P, W, U, A */

/** PAT as after reset: WB at 0, WT at 1, UC- at 2, UC at 3, and the same again. */
static void npt_entries(void **state)
{
	static const struct sample samples[] = {
		{0, 0, FAKE_ENTRY_ABSENT, 0, 0, 0},
		{0, 0x12345000 | BIT(63) | 0xffe, FAKE_ENTRY_ABSENT, 0x12345000, 0, 0},
		{1, 0x12346000, FAKE_ENTRY_ABSENT, 0x12346000, 0, 0},
		{1, 0x12201080, FAKE_ENTRY_ABSENT, 0x12200000, 0, 0}, /* the PAT bit, no address */
		{0, 0x12345000 | NPT_LEAF | 2, FAKE_ENTRY_LEAF, 0x12345000, 7, 0},
		{0, 0x12345000 | NPT_LEAF, FAKE_ENTRY_LEAF, 0x12345000, READ | EXECUTE, 0},
		{0, 0x12345000 | NPT_LEAF | BIT(63), FAKE_ENTRY_LEAF, 0x12345000, READ, 0},
		{0, 0x12345008 | NPT_LEAF, FAKE_ENTRY_LEAF, 0x12345000, 5, ADDRSPACE_WRITE_THROUGH},
		{0, 0x12345018 | NPT_LEAF, FAKE_ENTRY_LEAF, 0x12345000, 5, ADDRSPACE_DEVICE},
		{0, 0x12345098 | NPT_LEAF, FAKE_ENTRY_LEAF, 0x12345000, 5, ADDRSPACE_DEVICE},
		{1, 0x12200080 | NPT_LEAF, FAKE_ENTRY_LEAF, 0x12200000, 5, 0},
		{1, 0x12201098 | NPT_LEAF, FAKE_ENTRY_LEAF, 0x12200000, 5, ADDRSPACE_DEVICE},
		{2, 0x40001080 | NPT_LEAF, FAKE_ENTRY_LEAF, 0x40000000, 5, 0},
		{1, 0x12345000 | NPT_TABLE, FAKE_ENTRY_TABLE, 0x12345000, 7, 0},
		{3, 0x12346e00 | NPT_TABLE | BIT(52), FAKE_ENTRY_TABLE, 0x12346000, 7, 0},
		{0, 0x12345061, FAKE_ENTRY_ILLEGAL, 0, 0, 0},            /* U = 0 */
		{0, 0x12345010 | NPT_LEAF, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* UC- */
		{0, 0x12345100 | NPT_LEAF, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* G */
		{0, 0x12345000 | NPT_LEAF | BIT(59), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345000 | NPT_LEAF | BIT(62), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345000 | NPT_LEAF | BIT(46), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{1, 0x12202080 | NPT_LEAF, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* bit 13 */
		{1, 0x12300080 | NPT_LEAF, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* bit 20 */
		{2, 0x60000080 | NPT_LEAF, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* bit 29 */
		{3, 0x80 | NPT_LEAF, FAKE_ENTRY_ILLEGAL, 0, 0, 0},       /* PS in a PML4E */
		{4, 0x80 | NPT_LEAF, FAKE_ENTRY_ILLEGAL, 0, 0, 0},       /* PS in a PML5E */
		{1, 0x12345025, FAKE_ENTRY_ILLEGAL, 0, 0, 0},            /* a table without W */
		{1, 0x12345023, FAKE_ENTRY_ILLEGAL, 0, 0, 0},            /* without U */
		{1, 0x12345007, FAKE_ENTRY_ILLEGAL, 0, 0, 0},            /* without A */
		{1, 0x12345000 | NPT_TABLE | BIT(63), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{1, 0x12345008 | NPT_TABLE, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* PWT */
		{1, 0x12345040 | NPT_TABLE, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* D */
		{1, 0x12345000 | NPT_TABLE | BIT(46), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
	};
	static const struct sample pat_of_linux[] = {
		{0, 0x12345008 | NPT_LEAF, FAKE_ENTRY_LEAF, 0x12345000, 5, ADDRSPACE_NON_CACHEABLE},
		{0, 0x12345098 | NPT_LEAF, FAKE_ENTRY_LEAF, 0x12345000, 5, ADDRSPACE_WRITE_THROUGH},
		{1, 0x12201098 | NPT_LEAF, FAKE_ENTRY_LEAF, 0x12200000, 5, ADDRSPACE_WRITE_THROUGH},
		{0, 0x12345088 | NPT_LEAF, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* WP */
	};
	static const struct sample no_large[] = {
		{1, 0x12200080 | NPT_LEAF, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{2, 0x40000080 | NPT_LEAF, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345000 | NPT_LEAF | BIT(63), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
	};
	struct fake_geometry geometry = {.walker = &fake_walker_npt,
					 .host_bits = 46,
					 .leaf_2m = true,
					 .leaf_1g = true,
					 .no_execute = true};

	(void)state;
	CHECK(&geometry, samples);
	geometry.host_pat = 0x0407050600070106;
	CHECK(&geometry, pat_of_linux);
	geometry.leaf_2m = geometry.leaf_1g = geometry.no_execute = false;
	CHECK(&geometry, no_large);
}

#define ARM_RO (BIT(10) | 3 << 8 | 1 << 6 | BIT(54)) /* AF, inner shareable, read, XN */

static void stage2_entries(void **state)
{
	static const struct sample samples[] = {
		{0, 0, FAKE_ENTRY_ABSENT, 0, 0, 0},
		{1, 0x12345000 | BIT(55) | 2, FAKE_ENTRY_ABSENT, 0x12345000, 0, 0},
		{0, 0x12345003 | ARM_RO | 15 << 2, FAKE_ENTRY_LEAF, 0x12345000, READ, 0},
		{0, 0x12345783 | 15 << 2, FAKE_ENTRY_LEAF, 0x12345000, WRITE, 0},
		{0, 0x123457c3 | 15 << 2, FAKE_ENTRY_LEAF, 0x12345000, 7, 0},
		{0, 0x12345003 | ARM_RO | 1 << 2, FAKE_ENTRY_LEAF, 0x12345000, READ,
		 ADDRSPACE_DEVICE},
		{0, 0x12345003 | ARM_RO | 5 << 2, FAKE_ENTRY_LEAF, 0x12345000, READ,
		 ADDRSPACE_NON_CACHEABLE},
		{0, 0x12345003 | ARM_RO | 10 << 2, FAKE_ENTRY_LEAF, 0x12345000, READ,
		 ADDRSPACE_WRITE_THROUGH},
		{1, 0x12200001 | ARM_RO | 15 << 2, FAKE_ENTRY_LEAF, 0x12200000, READ, 0},
		{2, 0x40000001 | ARM_RO | 15 << 2, FAKE_ENTRY_LEAF, 0x40000000, READ, 0},
		{1, 0x12345003, FAKE_ENTRY_TABLE, 0x12345000, 7, 0},
		{3, 0x12345003 | BIT(55), FAKE_ENTRY_TABLE, 0x12345000, 7, 0},
		{0, 0x12345001 | ARM_RO | 15 << 2, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{3, 1 | ARM_RO | 15 << 2, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{1, 0x12345001 | ARM_RO | 15 << 2, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345003 | ARM_RO | 4 << 2, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345003 | ARM_RO | 6 << 2, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345003 | (ARM_RO ^ 2 << 8) | 15 << 2, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345003 | (ARM_RO ^ 3 << 8) | 15 << 2, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345003 | ARM_RO | 15 << 2 | BIT(52), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345003 | ARM_RO | 15 << 2 | BIT(53), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345003 | ARM_RO | 15 << 2 | BIT(48), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345003 | ARM_RO | 15 << 2 | BIT(40), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{1, 0x12345003 | BIT(59), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{1, 0x12345003 | BIT(40), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
	};
	static const struct sample with_fwb[] = {
		{0, 0x12345003 | ARM_RO | 6 << 2, FAKE_ENTRY_LEAF, 0x12345000, READ, 0},
		{0, 0x12345003 | ARM_RO | 15 << 2, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x12345003 | ARM_RO | 10 << 2, FAKE_ENTRY_ILLEGAL, 0, 0, 0},
	};
	struct fake_geometry geometry = {
		.walker = &fake_walker_stage2, .host_bits = 40, .leaf_2m = true, .leaf_1g = true};

	(void)state;
	CHECK(&geometry, samples);
	geometry.fwb = true;
	CHECK(&geometry, with_fwb);
}

static void gstage_entries(void **state)
{
	static const struct sample samples[] = {
		{0, 0, FAKE_ENTRY_ABSENT, 0, 0, 0},
		{0, 0x48d1400 | BIT(9) | BIT(63), FAKE_ENTRY_ABSENT, 0x12345000, 0, 0},
		{0, 0x48d14df, FAKE_ENTRY_LEAF, 0x12345000, 7, 0},
		{0, 0x48d14d3, FAKE_ENTRY_LEAF, 0x12345000, READ, 0},
		{0, 0x48d14d9, FAKE_ENTRY_LEAF, 0x12345000, EXECUTE, 0},
		{1, 0x48800d7 | 3 << 8, FAKE_ENTRY_LEAF, 0x12200000, 3, 0},
		{2, 0x100000d7, FAKE_ENTRY_LEAF, 0x40000000, 3, 0},
		{1, 0x48d1401, FAKE_ENTRY_TABLE, 0x12345000, 7, 0},
		{0, 0x48d14d5, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* write without read */
		{0, 0x48d14c7, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* U = 0 */
		{0, 0x48d14f7, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* G */
		{0, 0x48d1401, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* pointer at the last level */
		{1, 0x48d14d7, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* misaligned */
		{1, 0x48d1441, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* A in a non-leaf */
		{1, 0x48d1411, FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* U in a non-leaf */
		{1, 0x48d1401 | BIT(61), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x48d14d7 | BIT(61), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x48d14d7 | BIT(63), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x48d14d7 | BIT(54), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
		{0, 0x48d14d7 | BIT(38), FAKE_ENTRY_ILLEGAL, 0, 0, 0}, /* address bit 40 */
	};
	static const struct sample with_svpbmt[] = {
		{0, 0x48d14d7 | BIT(61), FAKE_ENTRY_LEAF, 0x12345000, 3, ADDRSPACE_NON_CACHEABLE},
		{0, 0x48d14d7 | BIT(62), FAKE_ENTRY_LEAF, 0x12345000, 3, ADDRSPACE_DEVICE},
		{0, 0x48d14d7 | BIT(61) | BIT(62), FAKE_ENTRY_ILLEGAL, 0, 0, 0},
	};
	struct fake_geometry geometry = {
		.walker = &fake_walker_gstage, .host_bits = 40, .leaf_2m = true, .leaf_1g = true};

	(void)state;
	CHECK(&geometry, samples);
	geometry.svpbmt = true;
	CHECK(&geometry, with_svpbmt);
}

static void poison_is_illegal_at_every_level_of_every_format(void **state)
{
	const struct fake_walker *walkers[] = {&fake_walker_ept, &fake_walker_npt,
					       &fake_walker_stage2, &fake_walker_gstage};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct fake_geometry geometry = {.walker = walkers[i], .host_bits = 52};

		geometry.leaf_2m = geometry.leaf_1g = true;
		geometry.execute_only = geometry.svpbmt = geometry.no_execute = true;
		for (unsigned level = 0; level < 4; level++) {
			struct fake_entry entry;

			walkers[i]->decode(&geometry, level, FAKE_POISON, &entry);
			assert_int_equal(entry.kind, FAKE_ENTRY_ILLEGAL);
			walkers[i]->decode(&geometry, level, FAKE_STALE_POISON, &entry);
			assert_int_equal(entry.kind, FAKE_ENTRY_ILLEGAL);
		}
	}
}

static void eptp_is_decoded(void **state)
{
	struct fake_geometry geometry = {.host_bits = 46};
	const char *why;

	(void)state;
	assert_true(fake_ept_decode_root(&geometry, 0x1234505e, &why));
	assert_int_equal(geometry.root_hpa, 0x12345000);
	assert_int_equal(geometry.levels, 4);
	assert_int_equal(geometry.input_bits, 48);
	assert_true(geometry.hardware_ad);
	assert_true(fake_ept_decode_root(&geometry, 0x12345026, &why));
	assert_int_equal(geometry.input_bits, 57);
	assert_false(geometry.hardware_ad);
	assert_false(fake_ept_decode_root(&geometry, 0x12345018, &why));
	assert_false(fake_ept_decode_root(&geometry, 0x12345016, &why));
	assert_false(fake_ept_decode_root(&geometry, 0x1234509e, &why));
	assert_false(fake_ept_decode_root(&geometry, 0x1e | BIT(46), &why));
}

static void ncr3_is_decoded(void **state)
{
	struct fake_geometry geometry = {.host_bits = 46};
	const char *why;

	(void)state;
	assert_true(fake_npt_decode_root(&geometry, 0x12345000, false, &why));
	assert_int_equal(geometry.root_hpa, 0x12345000);
	assert_int_equal(geometry.levels, 4);
	assert_int_equal(geometry.input_bits, 48);
	assert_true(fake_npt_decode_root(&geometry, 0x12345000, true, &why));
	assert_int_equal(geometry.levels, 5);
	assert_int_equal(geometry.input_bits, 57);
	assert_false(fake_npt_decode_root(&geometry, 0x12345018, false, &why));
	assert_false(fake_npt_decode_root(&geometry, BIT(46), false, &why));
}

/* RES1, PS, 4 KiB, inner shareable write-back walks, SL0, T0SZ. */
#define VTCR(ps, sl0, ipa)                                                                         \
	(BIT(31) | (uint64_t)(ps) << 16 | 0x3500 | (uint64_t)(sl0) << 6 | (64 - (ipa)))

static bool stage2_root(struct fake_geometry *geometry, uint64_t vtcr, uint64_t vttbr)
{
	const char *why;

	return fake_stage2_decode_root(geometry, vtcr, vttbr, BIT(0), false, &why);
}

static void vtcr_and_vttbr_are_decoded(void **state)
{
	struct fake_geometry geometry = {.host_bits = 40};
	const char *why;

	(void)state;
	assert_true(stage2_root(&geometry, VTCR(2, 1, 40), 0x12346000 | BIT(48)));
	assert_int_equal(geometry.root_hpa, 0x12346000);
	assert_int_equal(geometry.levels, 3);
	assert_int_equal(geometry.input_bits, 40);
	assert_int_equal(fake_root_entries(&geometry), 1024);
	assert_true(stage2_root(&geometry, VTCR(2, 0, 34), 0x12340000));
	assert_int_equal(fake_root_entries(&geometry), 8192);
	assert_false(stage2_root(&geometry, VTCR(2, 1, 40), 0x12345000));
	assert_false(stage2_root(&geometry, VTCR(2, 0, 35), 0x12340000));
	assert_false(stage2_root(&geometry, VTCR(2, 2, 40), 0x12340000));
	assert_false(stage2_root(&geometry, VTCR(3, 1, 40), 0x12346000));
	assert_false(stage2_root(&geometry, VTCR(2, 1, 40) & ~BIT(31), 0x12346000));
	assert_false(stage2_root(&geometry, VTCR(2, 1, 40) | BIT(14), 0x12346000));
	assert_false(stage2_root(&geometry, VTCR(2, 1, 40) | BIT(21), 0x12346000));
	assert_false(stage2_root(&geometry, VTCR(2, 1, 40) | BIT(25), 0x12346000));
	assert_false(stage2_root(&geometry, VTCR(2, 1, 40), 0x12346000 | BIT(56)));
	assert_true(stage2_root(&geometry, VTCR(2, 1, 40) | BIT(21) | BIT(22), 0x12346000));
	assert_true(geometry.hardware_ad);
	assert_false(
		fake_stage2_decode_root(&geometry, VTCR(2, 1, 40), 0x12346000, 0, false, &why));
	assert_true(fake_stage2_decode_root(&geometry, VTCR(2, 1, 40) | BIT(19),
					    0x12346000 | BIT(56), BIT(0) | BIT(46), true, &why));
	assert_true(geometry.fwb);
	geometry.host_bits = 48;
	assert_true(stage2_root(&geometry, VTCR(5, 2, 48), 0x12345000));
	assert_int_equal(geometry.levels, 4);
}

static void hgatp_is_decoded(void **state)
{
	struct fake_geometry geometry = {.host_bits = 40};
	const char *why;

	(void)state;
	assert_true(fake_gstage_decode_root(&geometry, BIT(63) | 0x12344, &why));
	assert_int_equal(geometry.root_hpa, 0x12344000);
	assert_int_equal(geometry.levels, 3);
	assert_int_equal(geometry.input_bits, 41);
	assert_int_equal(fake_root_entries(&geometry), 2048);
	assert_true(fake_gstage_decode_root(&geometry, UINT64_C(10) << 60 | 0x12344, &why));
	assert_int_equal(geometry.input_bits, 59);
	assert_false(fake_gstage_decode_root(&geometry, BIT(63) | 0x12345, &why));
	assert_false(fake_gstage_decode_root(&geometry, 0x12344, &why));
	assert_false(fake_gstage_decode_root(&geometry, BIT(63) | BIT(58) | 0x12344, &why));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ept_entries),
		cmocka_unit_test(npt_entries),
		cmocka_unit_test(stage2_entries),
		cmocka_unit_test(gstage_entries),
		cmocka_unit_test(poison_is_illegal_at_every_level_of_every_format),
		cmocka_unit_test(eptp_is_decoded),
		cmocka_unit_test(ncr3_is_decoded),
		cmocka_unit_test(vtcr_and_vttbr_are_decoded),
		cmocka_unit_test(hgatp_is_decoded),
	};

	return cmocka_run_group_tests_name("fake walk", tests, NULL, NULL);
}
