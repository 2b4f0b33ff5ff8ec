/* SPDX-License-Identifier: MIT */
/* Identification of CPUs from raw register values, and init that refuses what they lack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <addrspace/aarch64.h>
#include <addrspace/riscv64.h>
#include <addrspace/x86_64.h>

#include "layouts.h"

#define BIT(number)  (UINT64_C(1) << (number))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define LEAF_2M       ADDRSPACE_CPU_LEAF_2M
#define LEAVES        (ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G)
#define HARDWARE_AD   ADDRSPACE_CPU_HARDWARE_AD
#define EXECUTE_ONLY  ADDRSPACE_CPU_EXECUTE_ONLY
#define INVEPT_SINGLE ADDRSPACE_CPU_INVEPT_SINGLE
#define NX            ADDRSPACE_CPU_NX
#define FLUSH_BY_ASID ADDRSPACE_CPU_FLUSH_BY_ASID
#define FWB           ADDRSPACE_CPU_FWB
#define VMID16        ADDRSPACE_CPU_VMID16
#define TLBI_RANGE    ADDRSPACE_CPU_TLBI_RANGE
#define SVPBMT        ADDRSPACE_CPU_SVPBMT
#define SVVPTC        ADDRSPACE_CPU_SVVPTC

static const struct addrspace_cpu untouched = {
	.features = 0x5555, .host_bits = 55, .min_levels = 5};

static void assert_cpu(const struct addrspace_cpu *cpu, uint32_t features, unsigned host_bits,
		       unsigned min_levels, unsigned max_levels)
{
	assert_int_equal(cpu->features, features);
	assert_int_equal(cpu->host_bits, host_bits);
	assert_int_equal(cpu->min_levels, min_levels);
	assert_int_equal(cpu->max_levels, max_levels);
}

static void assert_untouched(const struct addrspace_cpu *cpu)
{
	assert_cpu(cpu, untouched.features, untouched.host_bits, untouched.min_levels,
		   untouched.max_levels);
}

/* ---- EPT ---- */

/* X-only, 4 levels, UC and WB walks, 2M, INVEPT of both kinds, INVVPID: the first CPUs with EPT. */
#define CAP_NEHALEM UINT64_C(0xf0106114141)
/* the same with 1G leaves and A/D: Haswell and later */
#define CAP_HASWELL UINT64_C(0xf0106334141)
/* and 5 levels: Ice Lake servers */
#define CAP_5_LEVELS UINT64_C(0xf01063341c1)

static void ept_of_real_machines(void **state)
{
	const uint32_t haswell = LEAVES | HARDWARE_AD | EXECUTE_ONLY | INVEPT_SINGLE;
	struct addrspace_cpu cpu;

	(void)state;
	assert_int_equal(addrspace_ept_identify(CAP_NEHALEM, 0x3028, &cpu), 0);
	assert_cpu(&cpu, LEAF_2M | EXECUTE_ONLY | INVEPT_SINGLE, 40, 0, 4);
	assert_int_equal(addrspace_ept_identify(CAP_HASWELL, 0x3027, &cpu), 0);
	assert_cpu(&cpu, haswell, 39, 0, 4);
	assert_int_equal(addrspace_ept_identify(CAP_5_LEVELS, 0x303934, &cpu), 0);
	assert_cpu(&cpu, haswell, 52, 0, 5);
}

/** Each bit of the register by itself, on top of what is needed. */
static void ept_bits_each_mean_one_thing(void **state)
{
	const uint64_t needed = BIT(6) | BIT(14) | BIT(20) | BIT(26);

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		struct addrspace_cpu cpu = untouched;
		uint32_t feature = bit == 0    ? EXECUTE_ONLY
				   : bit == 16 ? LEAF_2M
				   : bit == 21 ? HARDWARE_AD
				   : bit == 25 ? INVEPT_SINGLE
					       : 0;

		assert_int_equal(addrspace_ept_identify(needed | BIT(bit), 46, &cpu), 0);
		assert_cpu(&cpu, feature, 46, 0, bit == 7 ? 5 : 4);
		cpu = untouched;
		assert_int_equal(addrspace_ept_identify(CAP_5_LEVELS & ~BIT(bit), 46, &cpu),
				 needed & BIT(bit) ? ADDRSPACE_ENOTSUP : 0);
		if (needed & BIT(bit))
			assert_untouched(&cpu);
	}
}

/** Init refuses 1 GiB leaves alone: they could not be split. */
static void ept_has_1g_leaves_only_with_2m_leaves(void **state)
{
	struct addrspace_cpu cpu;

	(void)state;
	assert_int_equal(addrspace_ept_identify(CAP_HASWELL & ~BIT(16), 46, &cpu), 0);
	assert_int_equal(cpu.features & LEAVES, 0);
}

static void ept_refuses_widths_that_init_refuses(void **state)
{
	(void)state;
	for (uint32_t width = 0; width < 256; width++) {
		struct addrspace_cpu cpu = untouched;
		int error = addrspace_ept_identify(CAP_HASWELL, width | 0xffffff00, &cpu);

		assert_int_equal(error, width < 32 || width > 52 ? ADDRSPACE_ENOTSUP : 0);
		if (error)
			assert_untouched(&cpu);
		else
			assert_int_equal(cpu.host_bits, width);
	}
	assert_int_equal(addrspace_ept_identify(CAP_HASWELL, 46, NULL), ADDRSPACE_EINVAL);
}

/* ---- NPT ---- */

/** An EPYC whose host runs in 4-level long mode with NXE: CPUID as its manual's tables give it. */
static const struct addrspace_npt_id epyc = {
	.cpuid_80000001_edx = 0x2fd3fbff,
	.cpuid_80000008_eax = 0x3030,
	.cpuid_8000000a_edx = 0x0001bcff,
	.efer = 0x1d01,
	.cr4 = 0x3506f0,
};

static void npt_of_real_machines(void **state)
{
	struct addrspace_npt_id id = epyc;
	struct addrspace_cpu cpu;

	(void)state;
	assert_int_equal(addrspace_npt_identify(&id, &cpu), 0);
	assert_cpu(&cpu, LEAVES | NX | HARDWARE_AD | FLUSH_BY_ASID, 48, 4, 4);
	/* Genoa, its host with 5 levels */
	id.cpuid_80000008_eax = 0x303934;
	id.cr4 |= BIT(12);
	assert_int_equal(addrspace_npt_identify(&id, &cpu), 0);
	assert_cpu(&cpu, LEAVES | NX | HARDWARE_AD | FLUSH_BY_ASID, 52, 5, 5);
}

static void npt_bits_each_mean_one_thing(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		const uint32_t with = UINT32_C(1) << bit;
		const struct addrspace_npt_id feature = {
			.cpuid_80000001_edx = with,
			.cpuid_80000008_eax = 40,
			.cpuid_8000000a_edx = 1 | with,
			.efer = BIT(10) | BIT(11),
		};
		const struct addrspace_npt_id host = {
			.cpuid_80000001_edx = UINT32_C(1) << 20,
			.cpuid_80000008_eax = 40,
			.cpuid_8000000a_edx = 1,
			.efer = BIT(10) | with,
			.cr4 = with,
		};
		struct addrspace_cpu cpu;

		assert_int_equal(addrspace_npt_identify(&feature, &cpu), 0);
		assert_cpu(&cpu,
			   LEAF_2M | HARDWARE_AD |
				   (bit == 6    ? FLUSH_BY_ASID
				    : bit == 20 ? NX
				    : bit == 26 ? ADDRSPACE_CPU_LEAF_1G
						: 0),
			   40, 4, 4);
		assert_int_equal(addrspace_npt_identify(&host, &cpu), 0);
		assert_cpu(&cpu, LEAF_2M | HARDWARE_AD | (bit == 11 ? NX : 0), 40,
			   bit == 12 ? 5 : 4, bit == 12 ? 5 : 4);
	}
}

static void assert_npt_refused(const struct addrspace_npt_id *id)
{
	struct addrspace_cpu cpu = untouched;

	assert_int_equal(addrspace_npt_identify(id, &cpu), ADDRSPACE_ENOTSUP);
	assert_untouched(&cpu);
}

static void npt_refuses_what_cannot_run_it(void **state)
{
	struct addrspace_npt_id id = epyc;
	struct addrspace_cpu cpu;

	(void)state;
	id.cpuid_8000000a_edx &= ~UINT32_C(1);
	assert_npt_refused(&id);
	id = epyc;
	id.efer &= ~BIT(10); /* the nested table of a legacy host has another format */
	assert_npt_refused(&id);
	id = epyc;
	id.cpuid_80000008_eax = 0x301f;
	assert_npt_refused(&id);
	id.cpuid_80000008_eax = 0x3035;
	assert_npt_refused(&id);
	assert_int_equal(addrspace_npt_identify(NULL, &cpu), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_npt_identify(&id, NULL), ADDRSPACE_EINVAL);
}

/* ---- stage 2 ---- */

static void stage2_of_real_machines(void **state)
{
	static const struct {
		struct addrspace_stage2_id id;
		uint32_t features;
		unsigned host_bits, max_levels;
	} rows[] = {
		/* Cortex-A53, A72, A76; Neoverse N2 */
		{{0x00001122, 0, 0, 0x00011120}, LEAVES, 40, 3},
		{{0x00001124, 0, 0, 0x00011120}, LEAVES, 44, 4},
		{{0x00101122, 0x10212122, 0x1011, 0x0000100010211120},
		 LEAVES | HARDWARE_AD | VMID16,
		 40,
		 3},
		{{0x0000022200101125, 0x10212122, 0x1221011112101011, 0x0221111110212120},
		 LEAVES | HARDWARE_AD | VMID16 | FWB | TLBI_RANGE,
		 48,
		 4},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addrspace_cpu cpu;

		assert_int_equal(addrspace_stage2_identify(&rows[i].id, &cpu), 0);
		assert_cpu(&cpu, rows[i].features, rows[i].host_bits, 0, rows[i].max_levels);
	}
}

static void stage2_granule_fields_in_every_combination(void **state)
{
	/* by TGran4_2: - no, + yes, 4 as TGran4 says; and TGran4's own */
	static const char second[] = "4-++++++++++++++";
	static const char first[] = "++++++++--------";

	(void)state;
	for (uint64_t tgran4 = 0; tgran4 < 16; tgran4++) {
		for (uint64_t tgran4_2 = 0; tgran4_2 < 16; tgran4_2++) {
			const struct addrspace_stage2_id id = {
				.id_aa64mmfr0_el1 = tgran4 << 28 | tgran4_2 << 40 | 2};
			char answer = second[tgran4_2] == '4' ? first[tgran4] : second[tgran4_2];
			struct addrspace_cpu cpu = untouched;
			int error = addrspace_stage2_identify(&id, &cpu);

			assert_int_equal(error, answer == '+' ? 0 : ADDRSPACE_ENOTSUP);
			if (error)
				assert_untouched(&cpu);
		}
	}
}

static void stage2_fields_in_every_value(void **state)
{
	static const unsigned widths[16] = {32, 36, 40, 42, 44, 48, 52, 52,
					    52, 52, 52, 52, 52, 52, 52, 52};

	(void)state;
	for (uint64_t value = 0; value < 16; value++) {
		/* the fields around are noise: all ones but TGran4, TGran4_2 */
		const struct addrspace_stage2_id pa = {.id_aa64mmfr0_el1 =
							       value | 0xfffff0ff0ffffff0};
		const struct addrspace_stage2_id hafdbs = {.id_aa64mmfr1_el1 = value | ~0xffull};
		const struct addrspace_stage2_id vmid = {.id_aa64mmfr1_el1 = value << 4 | ~0xffull};
		const struct addrspace_stage2_id fwb = {.id_aa64mmfr2_el1 = value << 40 |
									    ~(UINT64_C(0xf) << 40)};
		const struct addrspace_stage2_id tlb = {.id_aa64isar0_el1 =
								value << 56 | UINT64_MAX >> 8};
		struct addrspace_cpu cpu;

		assert_int_equal(addrspace_stage2_identify(&pa, &cpu), 0);
		assert_cpu(&cpu, LEAVES, widths[value], 0, value <= 3 ? 3 : 4);
		assert_int_equal(addrspace_stage2_identify(&hafdbs, &cpu), 0);
		assert_int_equal(cpu.features, LEAVES | (value >= 2 ? HARDWARE_AD : 0));
		assert_int_equal(addrspace_stage2_identify(&vmid, &cpu), 0);
		assert_int_equal(cpu.features, LEAVES | (value >= 2 ? VMID16 : 0));
		assert_int_equal(addrspace_stage2_identify(&fwb, &cpu), 0);
		assert_int_equal(cpu.features, LEAVES | (value >= 1 ? FWB : 0));
		assert_int_equal(addrspace_stage2_identify(&tlb, &cpu), 0);
		assert_int_equal(cpu.features, LEAVES | (value >= 2 ? TLBI_RANGE : 0));
	}
}

static void stage2_refuses_null_pointers(void **state)
{
	const struct addrspace_stage2_id id = {0};
	struct addrspace_cpu cpu;

	(void)state;
	assert_int_equal(addrspace_stage2_identify(NULL, &cpu), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_stage2_identify(&id, NULL), ADDRSPACE_EINVAL);
}

/* ---- G-stage ---- */

#define SV39X4 (UINT64_C(8) << 60)
#define SV48X4 (UINT64_C(9) << 60)
#define SV57X4 (UINT64_C(10) << 60)

/** Identifies from a copy of exactly that length, so that a sanitizer sees a read beyond it. */
static int identify(const char *isa, size_t length, uint64_t hgatp, struct addrspace_cpu *cpu)
{
	char *copy = malloc(length);
	int error;

	memcpy(copy, isa, length);
	*cpu = untouched;
	error = addrspace_gstage_identify(copy, length, hgatp, cpu);
	free(copy);
	if (error)
		assert_untouched(cpu);
	return error;
}

static void gstage_isa_strings(void **state)
{
	static const struct {
		const char *isa;
		uint32_t features; /* 0: refused */
	} rows[] = {
		{"rv64imafdch_zicsr_svpbmt_svadu_svvptc", LEAVES | SVPBMT | HARDWARE_AD | SVVPTC},
		/* QEMU 7.2; a Linux guest's without H; a JH7110 */
		{"rv64imafdch_zicsr_zifencei_zihintpause_zba_zbb_zbc_zbs_sstc_svadu",
		 LEAVES | HARDWARE_AD},
		{"rv64imafdc_zicsr_zifencei_sstc", 0},
		{"rv64imafdc_zba_zbb", 0},
		/* case */
		{"RV64IMAFDCH_ZICSR_SVPBMT", LEAVES | SVPBMT},
		{"rV64iH_SvAdU", LEAVES | HARDWARE_AD},
		/* the base */
		{"rv64ih", LEAVES},
		{"rv64h", LEAVES},
		{"rv64gch", LEAVES},
		{"rv64_h", LEAVES},
		{"rv32imafdch_svpbmt", 0},
		{"rv128ih", 0},
		{"rv6", 0},
		{"rv64", 0},
		{"rv64i", 0},
		{"imafdch", 0},
		{" rv64ih", 0},
		{"xrv64ih", 0},
		/* no H inside longer names */
		{"rv64imac_zihpm", 0},
		{"rv64imac_zihintpause_svpbmt", 0},
		{"rv64imaczicsrh", 0},
		{"rv64imac_sha", 0},
		{"rv64imac_xh", 0},
		{"rv64imacsh", 0},
		/* the first longer name needs no underscore */
		{"rv64ihsvpbmt_svadu", LEAVES | SVPBMT | HARDWARE_AD},
		{"rv64ihsvpbmtsvadu", LEAVES},
		/* versions */
		{"rv64i2p1m2a2h1p0_zicsr2p0_svpbmt1p0_svadu1", LEAVES | SVPBMT | HARDWARE_AD},
		{"rv64i2p1_h1_svvptc1P0", LEAVES | SVVPTC},
		{"rv64i2ph", LEAVES}, /* version 2 of I, then P */
		{"rv64ih_svpbmt10p", LEAVES},
		{"rv64ih_svpbmtp1", LEAVES},
		{"rv64ih_svpbmt1p0x", LEAVES},
		/* names that only begin or end like ours */
		{"rv64ih_svpbm", LEAVES},
		{"rv64ih_svpbmtx", LEAVES},
		{"rv64ih_xsvpbmt_zsvadu", LEAVES},
		{"rv64ih_sv", LEAVES},
		{"rv64ih_s", LEAVES},
		/* Svade */
		{"rv64ih_svade", LEAVES},
		{"rv64ih_svade_svadu", LEAVES},
		{"rv64ih_svadu_svade_svpbmt", LEAVES | SVPBMT},
		{"rv64ih_svadex_svadu", LEAVES | HARDWARE_AD},
		/* underscores */
		{"rv64ih__svpbmt___svadu_", LEAVES | SVPBMT | HARDWARE_AD},
		{"rv64i_m_a_c_h_svpbmt", LEAVES | SVPBMT},
		/* what ends a string */
		{"rv64ih svpbmt_svadu", LEAVES},
		{"rv64i h", 0},
		{"rv64i\xe8_h", 0},
		{"rv64ih,svpbmt", LEAVES},
		{"", 0},
		{"_", 0},
		{"____h", 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addrspace_cpu cpu;
		int error = identify(rows[i].isa, strlen(rows[i].isa), SV39X4, &cpu);

		if (error != (rows[i].features ? 0 : ADDRSPACE_ENOTSUP) ||
		    (!error && cpu.features != rows[i].features))
			fail_msg("\"%s\": %s, features %#x, not %#x", rows[i].isa,
				 addrspace_error_name(error), cpu.features, rows[i].features);
	}
}

static void gstage_string_ends_at_its_length_or_at_a_nul(void **state)
{
	static const char isa[] = "rv64imafdch_svpbmt1p0_svadu\0_svvptc";
	static const struct {
		size_t length;
		uint32_t features;
	} whole[] = {
		{11, LEAVES},          {18, LEAVES | SVPBMT}, /* svpbmt */
		{19, LEAVES | SVPBMT},                        /* svpbmt1 */
		{21, LEAVES | SVPBMT},                        /* svpbmt1p0 */
		{22, LEAVES | SVPBMT}, {27, LEAVES | SVPBMT | HARDWARE_AD},
	};
	uint32_t expected = 0;

	(void)state;
	for (size_t length = 0; length < sizeof(isa); length++) {
		struct addrspace_cpu cpu;
		int error = identify(isa, length, SV39X4, &cpu);

		for (size_t i = 0; i < COUNT(whole); i++) {
			if (whole[i].length == length)
				expected = whole[i].features;
		}
		if (length == 20) { /* svpbmt1p: a version is whole or none */
			assert_int_equal(cpu.features, LEAVES);
			continue;
		}
		assert_int_equal(error, expected ? 0 : ADDRSPACE_ENOTSUP);
		if (expected)
			assert_int_equal(cpu.features, expected);
	}
}

/** Strings of parts that matter, cut and glued at random: never a read beyond the end, and nothing
 * found that is not there. */
static void gstage_hostile_strings_are_read_within_their_length(void **state)
{
	static const char *const parts[] = {"rv64", "i",  "h",      "_",   "z", "s",
					    "x",    "sv", "svpbmt", "1",   "p", "svadu",
					    "P",    "Sv", "svade",  "\xff"};
	unsigned long long random = 88172645463325252u;
	unsigned accepted = 0;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		char isa[64] = "";
		struct addrspace_cpu cpu;
		size_t length = 0;

		for (unsigned part = 0; part < 8; part++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			strcat(isa, parts[part == 0 && random >> 60 ? 0 : random % COUNT(parts)]);
		}
		length = strlen(isa) - (random >> 32) % 3 % strlen(isa);
		if (identify(isa, length, SV39X4, &cpu))
			continue;
		isa[length] = '\0';
		accepted++;
		assert_true(!strncmp(isa, "rv64", 4) && strchr(isa, 'h'));
		assert_true(!(cpu.features & SVPBMT) || strstr(isa, "svpbmt"));
		assert_true(!(cpu.features & HARDWARE_AD) || strstr(isa, "svadu"));
	}
	assert_in_range(accepted, 1000, 199000);
}

static void gstage_levels_are_those_of_the_mode(void **state)
{
	(void)state;
	for (uint64_t mode = 0; mode < 16; mode++) {
		uint64_t hgatp = mode << 60 | UINT64_C(0x03fff00000080000);
		struct addrspace_cpu cpu;
		int error = identify("rv64ih", 6, hgatp, &cpu);

		assert_int_equal(error, mode >= 8 && mode <= 10 ? 0 : ADDRSPACE_ENOTSUP);
		if (!error)
			assert_cpu(&cpu, LEAVES, 52, 0, (unsigned)mode - 5);
	}
}

static void gstage_refuses_null_pointers(void **state)
{
	struct addrspace_cpu cpu;

	(void)state;
	assert_int_equal(addrspace_gstage_identify(NULL, 0, SV39X4, &cpu), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_gstage_identify("rv64ih", 6, SV39X4, NULL), ADDRSPACE_EINVAL);
}

/* ---- init with what was identified ---- */

static int start(struct addrspace *as, struct fake_machine *machine,
		 const struct addrspace_format *format, unsigned gpa_bits,
		 const struct addrspace_cpu *cpu)
{
	const struct addrspace_config config = {
		.format = format,
		.handler = fake_machine_handler(machine),
		.handler_ctx = machine,
		.gpa_bits = gpa_bits,
		.cpu = *cpu,
	};

	return addrspace_init(as, &config);
}

/** The answer of init, and of a map on it with these attributes. */
static int try_map(struct fake_machine *machine, const struct addrspace_format *format,
		   unsigned gpa_bits, const struct addrspace_cpu *cpu, unsigned permissions,
		   enum addrspace_memory_type type)
{
	const struct addrspace_attributes attributes = {.permissions = permissions,
							.memory_type = type};
	struct addrspace as;
	int error = start(&as, machine, format, gpa_bits, cpu);

	if (error)
		return error;
	error = addrspace_map_alloc(&as, 0, FAKE_PAGE_SIZE, &attributes, 0);
	addrspace_destroy(&as);
	return error;
}

/** On a machine with CPUs of that kind. */
static uint64_t largest_leaf(enum layout_format kind, const struct addrspace_format *format,
			     unsigned gpa_bits, unsigned levels, const struct addrspace_cpu *cpu)
{
	const struct layout layout = {.name = "identified",
				      .kind = kind,
				      .format = format,
				      .gpa_bits = gpa_bits,
				      .levels = levels,
				      .host_bits = cpu->host_bits,
				      .cpu_features = cpu->features};
	void *state = (void *)(uintptr_t)&layout;
	struct addrspace_run run;
	struct fixture *fixture;

	assert_int_equal(fixture_setup_linear(&state), 0);
	fixture = state;
	fixture_map_linear(fixture, 0, UINT64_C(1) << 30);
	assert_int_equal(addrspace_next_run(&fixture->as, 0, &run), 0);
	fixture_teardown(&state);
	return run.leaf_size;
}

static void ept_space_keeps_to_what_was_identified(void **state)
{
	struct fake_machine *machine = *state;
	struct addrspace_cpu cpu;
	struct addrspace as;

	assert_int_equal(addrspace_ept_identify(CAP_NEHALEM, 39, &cpu), 0);
	assert_int_equal(start(&as, machine, &addrspace_ept, 57, &cpu), ADDRSPACE_ENOTSUP);
	assert_int_equal(largest_leaf(LAYOUT_EPT, &addrspace_ept, 48, 4, &cpu), UINT64_C(1) << 21);
	assert_int_equal(
		try_map(machine, &addrspace_ept, 48, &cpu, ADDRSPACE_EXECUTE, ADDRSPACE_WRITE_BACK),
		0);
	assert_int_equal(addrspace_ept_identify(CAP_5_LEVELS & ~BIT(0), 39, &cpu), 0);
	assert_int_equal(largest_leaf(LAYOUT_EPT, &addrspace_ept, 57, 5, &cpu), UINT64_C(1) << 30);
	assert_int_equal(
		try_map(machine, &addrspace_ept, 57, &cpu, ADDRSPACE_EXECUTE, ADDRSPACE_WRITE_BACK),
		ADDRSPACE_ENOTSUP);
	assert_int_equal(start(&as, machine, &addrspace_ept, 48, &cpu), 0);
	assert_int_equal(addrspace_map_linear(&as, 0, FAKE_PAGE_SIZE, BIT(39), &fixture_rw, 0),
			 ADDRSPACE_ERANGE);
	addrspace_destroy(&as);
}

static void npt_space_keeps_to_what_was_identified(void **state)
{
	struct addrspace_npt_id id = epyc;
	struct fake_machine *machine = *state;
	struct addrspace_npt_registers registers;
	struct addrspace_cpu cpu;
	struct addrspace as;

	assert_int_equal(addrspace_npt_identify(&id, &cpu), 0);
	assert_int_equal(start(&as, machine, &addrspace_npt, 49, &cpu), ADDRSPACE_ENOTSUP);
	assert_int_equal(
		try_map(machine, &addrspace_npt, 48, &cpu, ADDRSPACE_READ, ADDRSPACE_WRITE_BACK),
		0);
	id.efer &= ~BIT(11);
	assert_int_equal(addrspace_npt_identify(&id, &cpu), 0);
	assert_int_equal(
		try_map(machine, &addrspace_npt, 48, &cpu, ADDRSPACE_READ, ADDRSPACE_WRITE_BACK),
		ADDRSPACE_ENOTSUP);
	id.cr4 |= BIT(12);
	assert_int_equal(addrspace_npt_identify(&id, &cpu), 0);
	assert_int_equal(start(&as, machine, &addrspace_npt, 48, &cpu), 0);
	assert_int_equal(addrspace_npt_registers(&as, &registers), 0);
	assert_int_equal(registers.host_cr4, BIT(12));
	addrspace_destroy(&as);
	id = epyc;
	id.cpuid_80000001_edx &= ~(UINT32_C(1) << 26);
	assert_int_equal(addrspace_npt_identify(&id, &cpu), 0);
	assert_int_equal(largest_leaf(LAYOUT_NPT, &addrspace_npt, 48, 4, &cpu), UINT64_C(1) << 21);
}

static void stage2_space_keeps_to_what_was_identified(void **state)
{
	const struct addrspace_stage2_id a72 = {.id_aa64mmfr0_el1 = 0x1124};
	const struct addrspace_stage2_id a76 = {0x00101122, 0x10212122, 0x1011, 0x0000100010211120};
	const struct addrspace_stage2_id n2 = {0x0000022200101125, 0x10212122, 0x1221011112101011,
					       0x0221111110212120};
	struct fake_machine *machine = *state;
	struct addrspace_stage2_registers registers;
	struct addrspace_cpu cpu;
	struct addrspace as;

	assert_int_equal(addrspace_stage2_identify(&a72, &cpu), 0);
	assert_int_equal(start(&as, machine, &addrspace_stage2, 45, &cpu), ADDRSPACE_ERANGE);
	assert_int_equal(try_map(machine, &addrspace_stage2, 44, &cpu, ADDRSPACE_READ,
				 ADDRSPACE_WRITE_THROUGH),
			 0);
	assert_int_equal(start(&as, machine, &addrspace_stage2, 40, &cpu), 0);
	assert_int_equal(addrspace_stage2_registers(&as, 256, &registers), ADDRSPACE_ERANGE);
	addrspace_destroy(&as);

	assert_int_equal(addrspace_stage2_identify(&a76, &cpu), 0);
	assert_int_equal(start(&as, machine, &addrspace_stage2, 41, &cpu), ADDRSPACE_ERANGE);
	assert_int_equal(start(&as, machine, &addrspace_stage2, 40, &cpu), 0);
	addrspace_destroy(&as);

	assert_int_equal(addrspace_stage2_identify(&n2, &cpu), 0);
	assert_int_equal(try_map(machine, &addrspace_stage2, 48, &cpu, ADDRSPACE_READ,
				 ADDRSPACE_WRITE_THROUGH),
			 ADDRSPACE_ENOTSUP);
	assert_int_equal(start(&as, machine, &addrspace_stage2, 40, &cpu), 0);
	assert_int_equal(addrspace_stage2_registers(&as, 0xffff, &registers), 0);
	addrspace_destroy(&as);
}

static void gstage_space_keeps_to_what_was_identified(void **state)
{
	struct fake_machine *machine = *state;
	struct addrspace_cpu cpu;
	struct addrspace as;

	assert_int_equal(identify("rv64ih_svpbmt", 13, SV48X4, &cpu), 0);
	assert_int_equal(try_map(machine, &addrspace_gstage, 50, &cpu, ADDRSPACE_READ,
				 ADDRSPACE_NON_CACHEABLE),
			 0);
	assert_int_equal(start(&as, machine, &addrspace_gstage, 51, &cpu), ADDRSPACE_ENOTSUP);
	assert_int_equal(identify("rv64ih", 6, SV57X4, &cpu), 0);
	assert_int_equal(try_map(machine, &addrspace_gstage, 59, &cpu, ADDRSPACE_READ,
				 ADDRSPACE_NON_CACHEABLE),
			 ADDRSPACE_ENOTSUP);
	assert_int_equal(identify("rv64ih", 6, SV39X4, &cpu), 0);
	assert_int_equal(start(&as, machine, &addrspace_gstage, 42, &cpu), ADDRSPACE_ENOTSUP);
}

/** Whatever a CPU reports, its format knows it. */
static void init_takes_every_identified_cpu(void **state)
{
	const struct addrspace_stage2_id stage2 = {UINT64_C(0x0000020000000005), UINT64_MAX,
						   UINT64_MAX, UINT64_MAX};
	static const char isa[] = "rv64ih_svpbmt_svadu_svvptc";
	const struct addrspace_npt_id npt = {UINT32_MAX, 52, UINT32_MAX, UINT64_MAX, UINT64_MAX};
	struct fake_machine *machine = *state;
	struct addrspace_cpu cpu;
	struct addrspace as;

	assert_int_equal(addrspace_ept_identify(UINT64_MAX, 52, &cpu), 0);
	assert_int_equal(start(&as, machine, &addrspace_ept, 57, &cpu), 0);
	addrspace_destroy(&as);
	assert_int_equal(addrspace_npt_identify(&npt, &cpu), 0);
	assert_int_equal(start(&as, machine, &addrspace_npt, 57, &cpu), 0);
	addrspace_destroy(&as);
	assert_int_equal(addrspace_stage2_identify(&stage2, &cpu), 0);
	assert_int_equal(start(&as, machine, &addrspace_stage2, 48, &cpu), 0);
	addrspace_destroy(&as);
	assert_int_equal(identify(isa, strlen(isa), SV57X4, &cpu), 0);
	assert_int_equal(start(&as, machine, &addrspace_gstage, 59, &cpu), 0);
	addrspace_destroy(&as);
}

#define ON_MACHINE(test)                                                                           \
	cmocka_unit_test_setup_teardown(test, fixture_setup_machine, fixture_teardown_machine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ept_of_real_machines),
		cmocka_unit_test(ept_bits_each_mean_one_thing),
		cmocka_unit_test(ept_has_1g_leaves_only_with_2m_leaves),
		cmocka_unit_test(ept_refuses_widths_that_init_refuses),
		cmocka_unit_test(npt_of_real_machines),
		cmocka_unit_test(npt_bits_each_mean_one_thing),
		cmocka_unit_test(npt_refuses_what_cannot_run_it),
		cmocka_unit_test(stage2_of_real_machines),
		cmocka_unit_test(stage2_granule_fields_in_every_combination),
		cmocka_unit_test(stage2_fields_in_every_value),
		cmocka_unit_test(stage2_refuses_null_pointers),
		cmocka_unit_test(gstage_isa_strings),
		cmocka_unit_test(gstage_string_ends_at_its_length_or_at_a_nul),
		cmocka_unit_test(gstage_hostile_strings_are_read_within_their_length),
		cmocka_unit_test(gstage_levels_are_those_of_the_mode),
		cmocka_unit_test(gstage_refuses_null_pointers),
		ON_MACHINE(ept_space_keeps_to_what_was_identified),
		ON_MACHINE(npt_space_keeps_to_what_was_identified),
		ON_MACHINE(stage2_space_keeps_to_what_was_identified),
		ON_MACHINE(gstage_space_keeps_to_what_was_identified),
		ON_MACHINE(init_takes_every_identified_cpu),
	};

	return cmocka_run_group_tests_name("identify", tests, NULL, NULL);
}
