/* SPDX-License-Identifier: MIT */
/* Fault decoders: every combination of the bits that matter against tables written from the manuals,
 * and what real machines have reported. */
#include <inttypes.h>
#include <string.h>

#include <addrspace/aarch64.h>
#include <addrspace/riscv64.h>
#include <addrspace/x86_64.h>

#include "layouts.h"

#define R            ADDRSPACE_READ
#define W            ADDRSPACE_WRITE
#define X            ADDRSPACE_EXECUTE
#define BIT(number)  (UINT64_C(1) << (number))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct addrspace_fault_info untouched = {
	.gpa = 0x5555, .access = 0x55, .cause = ADDRSPACE_CAUSE_ACCESS_FLAG};

static void assert_info(const struct addrspace_fault_info *info,
			const struct addrspace_fault_info *expected, const char *format,
			uint64_t first, uint64_t second)
{
	if (info->gpa == expected->gpa && info->access == expected->access &&
	    info->table_walk == expected->table_walk && info->cause == expected->cause &&
	    info->gpa_page_only == expected->gpa_page_only)
		return;
	fail_msg("%s %#" PRIx64 ", %#" PRIx64 ": gpa %#" PRIx64
		 ", access %u, walk %d, page only %d, cause %d; not %#" PRIx64 ", %u, %d, %d, %d",
		 format, first, second, info->gpa, info->access, info->table_walk,
		 info->gpa_page_only, (int)info->cause, expected->gpa, expected->access,
		 expected->table_walk, expected->gpa_page_only, (int)expected->cause);
}

/** The bits of value, lowest first, put where the bits of mask are. */
static uint64_t spread(uint64_t value, uint64_t mask)
{
	uint64_t result = 0;

	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(mask >> bit & 1))
			continue;
		result |= (value & 1) << bit;
		value >>= 1;
	}
	return result;
}

/* ---- EPT ---- */

static void ept_decodes_every_qualification(void **state)
{
	static const unsigned access_of[8] = {0, R, W, R | W, X, X | R, X | W, X | W | R};
	static const bool walk_of[4] = {
		false, /* no linear address: the CPU does not tell */
		true,  /* bit 7: a linear address; bit 8 clear: its translation */
		false, /* bit 8 means nothing without bit 7 */
		false, /* the access itself */
	};
	static const uint64_t noise[] = {0, BIT(6), BIT(12), ~UINT64_C(0x1ff),
					 UINT64_C(0xf0f0) << 9};

	(void)state;
	for (uint64_t bits = 0; bits < 0x200; bits++) {
		for (size_t i = 0; i < COUNT(noise); i++) {
			const struct addrspace_fault_info expected = {
				.gpa = 0x123456789abc,
				.access = access_of[bits & 7],
				.table_walk = walk_of[bits >> 7],
				.cause = (bits & 0x38) == 0 ? ADDRSPACE_CAUSE_NOT_PRESENT
							    : ADDRSPACE_CAUSE_PERMISSION,
			};
			struct addrspace_fault_info info = untouched;

			assert_int_equal(addrspace_ept_decode_fault(48, bits | noise[i],
								    0x123456789abc, &info),
					 ADDRSPACE_DECODED);
			assert_info(&info, &expected, "EPT", bits, noise[i]);
		}
	}
}

static void ept_misconfiguration_tells_only_the_address(void **state)
{
	const struct addrspace_fault_info expected = {.gpa = 0xfee00042,
						      .cause = ADDRSPACE_CAUSE_MISCONFIGURED};
	struct addrspace_fault_info info = untouched;

	(void)state;
	assert_int_equal(addrspace_ept_decode_fault(49, UINT64_MAX, 0xfee00042, &info), 0);
	assert_info(&info, &expected, "EPT misconfiguration", 49, 0);
}

static void ept_refuses_every_other_exit(void **state)
{
	struct addrspace_fault_info info = untouched;

	(void)state;
	for (uint32_t reason = 0; reason <= 0xffff; reason++) {
		int answer = addrspace_ept_decode_fault(reason, 0x181, 0, &info);
		int failed =
			addrspace_ept_decode_fault(reason | UINT32_C(1) << 31, 0x181, 0, &info);

		assert_int_equal(answer, reason == 48 || reason == 49 ? 0 : ADDRSPACE_ENOTSUP);
		assert_int_equal(failed, ADDRSPACE_ENOTSUP);
	}
	info = untouched;
	assert_int_equal(addrspace_ept_decode_fault(47, 0x181, 0, &info), ADDRSPACE_ENOTSUP);
	assert_info(&info, &untouched, "EPT", 47, 0);
	assert_int_equal(addrspace_ept_decode_fault(48, 0x181, 0, NULL), ADDRSPACE_EINVAL);
}

static void ept_exit_from_an_enclave_is_a_violation_all_the_same(void **state)
{
	struct addrspace_fault_info info;

	(void)state;
	/* bit 27: in enclave mode; bit 28: pending MTF exit */
	assert_int_equal(addrspace_ept_decode_fault(0x18000030, 0x182, 0x1000, &info), 0);
	assert_int_equal(info.access, W);
}

static void ept_qualifications_of_real_machines(void **state)
{
	static const struct {
		uint64_t qualification;
		unsigned access;
		bool walk;
		enum addrspace_fault_cause cause;
	} rows[] = {
		{0x181, R, false, ADDRSPACE_CAUSE_NOT_PRESENT},
		{0x182, W, false, ADDRSPACE_CAUSE_NOT_PRESENT},
		{0x184, X, false, ADDRSPACE_CAUSE_NOT_PRESENT},
		{0x18a, W, false, ADDRSPACE_CAUSE_PERMISSION}, /* of R */
		{0x1aa, W, false, ADDRSPACE_CAUSE_PERMISSION}, /* of RX */
		{0x18c, X, false, ADDRSPACE_CAUSE_PERMISSION}, /* of R */
		{0x19c, X, false, ADDRSPACE_CAUSE_PERMISSION}, /* of RW */
		{0x1a1, R, false, ADDRSPACE_CAUSE_PERMISSION}, /* of X */
		{0x081, R, true, ADDRSPACE_CAUSE_NOT_PRESENT},
		{0x083, R | W, true, ADDRSPACE_CAUSE_NOT_PRESENT}, /* with A/D */
		{0x08b, R | W, true, ADDRSPACE_CAUSE_PERMISSION},  /* with A/D, of R */
		{0x001, R, false, ADDRSPACE_CAUSE_NOT_PRESENT},    /* MOV to CR3 loads PDPTEs */
		{0x1181, R, false, ADDRSPACE_CAUSE_NOT_PRESENT},   /* IRET has unblocked NMIs */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct addrspace_fault_info expected = {.gpa = 0x200000,
							      .access = rows[i].access,
							      .table_walk = rows[i].walk,
							      .cause = rows[i].cause};
		struct addrspace_fault_info info;

		assert_int_equal(
			addrspace_ept_decode_fault(48, rows[i].qualification, 0x200000, &info), 0);
		assert_info(&info, &expected, "EPT", rows[i].qualification, 0);
	}
}

/* ---- NPT ---- */

/** The first row whose bits are set decides. */
struct rule {
	uint64_t bits;
	unsigned value;
};

static unsigned first_match(const struct rule *rules, uint64_t bits)
{
	while ((bits & rules->bits) != rules->bits)
		rules++;
	return rules->value;
}

static void npt_decodes_every_combination(void **state)
{
	static const struct rule access[] = {{BIT(33), R | W}, {BIT(4), X}, {BIT(1), W}, {0, R}};
	static const struct rule cause[] = {{BIT(3), ADDRSPACE_CAUSE_MISCONFIGURED},
					    {BIT(0), ADDRSPACE_CAUSE_PERMISSION},
					    {0, ADDRSPACE_CAUSE_NOT_PRESENT}};
	/* P, W, U, RSV, I/D, shadow stack; RMP, final, walk, ENC, SIZEM, VMPL, SSS */
	const uint64_t mask = 0x5f | UINT64_C(0x7f) << 31;
	const uint64_t gpa = UINT64_C(0x0001fffffffff123);

	(void)state;
	for (uint64_t i = 0; i < 1 << 13; i++) {
		uint64_t exitinfo1 = spread(i, mask);
		bool rmp = exitinfo1 & BIT(31);
		const struct addrspace_fault_info decoded = {
			.gpa = gpa,
			.access = first_match(access, exitinfo1),
			.table_walk = exitinfo1 & BIT(33),
			.cause = (enum addrspace_fault_cause)first_match(cause, exitinfo1),
		};
		struct addrspace_fault_info info = untouched;

		assert_int_equal(addrspace_npt_decode_fault(exitinfo1, gpa, &info),
				 rmp ? ADDRSPACE_ENOTSUP : ADDRSPACE_DECODED);
		assert_info(&info, rmp ? &untouched : &decoded, "NPT", exitinfo1, gpa);
	}
	assert_int_equal(addrspace_npt_decode_fault(0x100000004, 0, NULL), ADDRSPACE_EINVAL);
}

static void npt_codes_of_real_machines(void **state)
{
	static const struct {
		uint64_t exitinfo1;
		unsigned access;
		bool walk;
		enum addrspace_fault_cause cause;
	} rows[] = {
		{0x100000004, R, false, ADDRSPACE_CAUSE_NOT_PRESENT},
		{0x100000006, W, false, ADDRSPACE_CAUSE_NOT_PRESENT},
		{0x100000014, X, false, ADDRSPACE_CAUSE_NOT_PRESENT},
		{0x100000007, W, false, ADDRSPACE_CAUSE_PERMISSION}, /* of a read-only page */
		{0x100000015, X, false, ADDRSPACE_CAUSE_PERMISSION}, /* of a no-execute page */
		{0x100000005, R, false, ADDRSPACE_CAUSE_PERMISSION}, /* U is clear */
		{0x10000000d, R, false, ADDRSPACE_CAUSE_MISCONFIGURED},
		{0x200000006, R | W, true, ADDRSPACE_CAUSE_NOT_PRESENT},
		{0x200000007, R | W, true, ADDRSPACE_CAUSE_PERMISSION},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct addrspace_fault_info expected = {.gpa = 0xb8000,
							      .access = rows[i].access,
							      .table_walk = rows[i].walk,
							      .cause = rows[i].cause};
		struct addrspace_fault_info info;

		assert_int_equal(addrspace_npt_decode_fault(rows[i].exitinfo1, 0xb8000, &info), 0);
		assert_info(&info, &expected, "NPT", rows[i].exitinfo1, 0);
	}
}

/* ---- stage 2 ---- */

/* The status codes 0x00..0x3f: S address size, T translation, A access flag, P permission, and - what
 * no translation causes (external aborts, parity, alignment, granule protection, TLB conflict, ...). */
static const char statuses[] = "SSSSTTTTAAAAPPPP"
			       "----------------"
			       "---------S-T----"
			       "----------------";

#define ESR_BITS                                                                                   \
	(BIT(6) | BIT(7) | BIT(8) | BIT(10) | BIT(15) | BIT(24)) /* WnR S1PTW CM FnV FnP ISV */

#define HPFAR_PAGE UINT64_C(0x000f123456789000)
#define PAR_PAGE   UINT64_C(0x000abcdef0123000)
#define FAR_OFFSET 0xa5c

enum par_state {
	NO_PAR,
	PAR_GOOD,
	PAR_FAULT
};

static struct addrspace_stage2_fault_registers stage2_registers(uint64_t esr, enum par_state par)
{
	/* NS and the bits around each field are noise; the attributes of PAR_EL1 as well. */
	const struct addrspace_stage2_fault_registers registers = {
		.esr_el2 = esr,
		.hpfar_el2 = BIT(63) | UINT64_C(0x7fff) << 44 | HPFAR_PAGE >> 8 | 0xf,
		.far_el2 = UINT64_C(0xffff800012345000) | FAR_OFFSET,
		.par_el1 = UINT64_C(0xfff) << 52 | PAR_PAGE | 0xffe | (par == PAR_FAULT),
		.par_valid = par != NO_PAR,
	};

	return registers;
}

static enum addrspace_fault_cause stage2_cause(char status)
{
	switch (status) {
	case 'T':
		return ADDRSPACE_CAUSE_NOT_PRESENT;
	case 'A':
		return ADDRSPACE_CAUSE_ACCESS_FLAG;
	case 'P':
		return ADDRSPACE_CAUSE_PERMISSION;
	default:
		return ADDRSPACE_CAUSE_MISCONFIGURED;
	}
}

/** What the manual says of a data or instruction abort; the answer for it. */
static int stage2_expect(uint64_t esr, char status, bool data, enum par_state par,
			 struct addrspace_fault_info *expected)
{
	const struct rule data_access[] = {{BIT(8), R}, {BIT(6), W}, {0, R}};
	bool walk = esr & BIT(7);
	bool by_translation = status == 'P' && !walk;
	bool no_offset = walk || esr & BIT(10) || (data && !(esr & BIT(24)) && esr & BIT(15));

	expected->cause = stage2_cause(status);
	expected->table_walk = walk;
	expected->gpa_page_only = no_offset;
	if (walk)
		expected->access = status == 'P' ? R | W : R;
	else
		expected->access = data ? first_match(data_access, esr) : X;
	expected->gpa = 0;
	if (by_translation && esr & BIT(10))
		return ADDRSPACE_ENOTSUP;
	if (by_translation && par == NO_PAR)
		return ADDRSPACE_DECODE_NEEDS_AT;
	if (by_translation && par == PAR_FAULT)
		return ADDRSPACE_DECODE_RETRY;
	expected->gpa = (by_translation ? PAR_PAGE : HPFAR_PAGE) + (no_offset ? 0 : FAR_OFFSET);
	return ADDRSPACE_DECODED;
}

static void check_stage2(uint64_t esr, unsigned class, unsigned status, enum par_state par)
{
	struct addrspace_stage2_fault_registers registers = stage2_registers(esr, par);
	struct addrspace_fault_info info = untouched;
	struct addrspace_fault_info expected;
	int wanted = ADDRSPACE_ENOTSUP;
	int answer = addrspace_stage2_decode_fault(&registers, &info);

	if ((class == 0x20 || class == 0x24) && statuses[status] != '-')
		wanted = stage2_expect(esr, statuses[status], class == 0x24, par, &expected);
	if (answer != wanted)
		fail_msg("ESR %#" PRIx64 ", PAR %d: answer %d, not %d", esr, (int)par, answer,
			 wanted);
	assert_info(&info, wanted < 0 ? &untouched : &expected, "ESR, PAR", esr, par);
}

static void stage2_decodes_every_combination(void **state)
{
	static const uint64_t noise[] = {0, BIT(25), UINT64_C(0x1f) << 32 | BIT(25) | 0xfe7a00};

	(void)state;
	for (uint64_t i = 0; i < 1 << 12; i++) {
		unsigned status = (unsigned)(i & 0x3f);
		uint64_t bits = spread(i >> 6, ESR_BITS);

		for (unsigned class = 0; class < 64; class ++) {
			uint64_t esr = (uint64_t) class << 26 | bits | status;

			for (enum par_state par = NO_PAR; par <= PAR_FAULT; par++)
				check_stage2(esr, class, status, par);
		}
		for (size_t k = 0; k < COUNT(noise); k++) {
			uint64_t extra = noise[k] & ~(ESR_BITS | 0x3f);

			check_stage2(UINT64_C(0x24) << 26 | bits | status | extra, 0x24, status,
				     PAR_GOOD);
			check_stage2(UINT64_C(0x20) << 26 | bits | status | extra, 0x20, status,
				     NO_PAR);
		}
	}
}

static void stage2_refuses_null_pointers(void **state)
{
	struct addrspace_stage2_fault_registers registers = stage2_registers(0x92000007, NO_PAR);
	struct addrspace_fault_info info;

	(void)state;
	assert_int_equal(addrspace_stage2_decode_fault(NULL, &info), ADDRSPACE_EINVAL);
	assert_int_equal(addrspace_stage2_decode_fault(&registers, NULL), ADDRSPACE_EINVAL);
}

static void stage2_syndromes_of_real_machines(void **state)
{
	static const struct {
		uint64_t esr;
		unsigned access;
		bool walk;
		enum addrspace_fault_cause cause;
	} rows[] = {
		{0x93c08007, R, false, ADDRSPACE_CAUSE_NOT_PRESENT}, /* ldr x, level 3 */
		{0x93c08046, W, false, ADDRSPACE_CAUSE_NOT_PRESENT}, /* str x, level 2 */
		{0x92000044, W, false, ADDRSPACE_CAUSE_NOT_PRESENT}, /* DC ZVA, level 0 */
		{0x92000147, R, false, ADDRSPACE_CAUSE_NOT_PRESENT}, /* DC CIVAC */
		{0x82000007, X, false, ADDRSPACE_CAUSE_NOT_PRESENT},
		{0x9200004f, W, false, ADDRSPACE_CAUSE_PERMISSION},
		{0x8200000f, X, false, ADDRSPACE_CAUSE_PERMISSION},
		{0x92000087, R, true, ADDRSPACE_CAUSE_NOT_PRESENT},
		{0x920000c7, R, true, ADDRSPACE_CAUSE_NOT_PRESENT}, /* for a store */
		{0x82000087, R, true, ADDRSPACE_CAUSE_NOT_PRESENT}, /* for a fetch */
		{0x9200008f, R | W, true, ADDRSPACE_CAUSE_PERMISSION},
		{0x9200000b, R, false, ADDRSPACE_CAUSE_ACCESS_FLAG},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct addrspace_stage2_fault_registers registers = {.esr_el2 = rows[i].esr,
								     .hpfar_el2 = 0x401230,
								     .far_el2 = 0xffff000000000678,
								     .par_el1 = 0x40123b80,
								     .par_valid = true};
		const struct addrspace_fault_info expected = {
			.gpa = rows[i].walk ? 0x40123000 : 0x40123678,
			.access = rows[i].access,
			.table_walk = rows[i].walk,
			.gpa_page_only = rows[i].walk,
			.cause = rows[i].cause,
		};
		struct addrspace_fault_info info;

		assert_int_equal(addrspace_stage2_decode_fault(&registers, &info), 0);
		assert_info(&info, &expected, "ESR", rows[i].esr, 0);
	}
}

/* ---- G-stage ---- */

struct walk_code {
	uint64_t htinst;
	unsigned access;
};

/** Pseudoinstructions of implicit accesses; access 0: something else that htinst may hold. */
static const struct walk_code walk_codes[] = {
	{0x2000, R}, {0x2020, W}, {0x3000, R}, {0x3020, W},           {0, 0},
	{0x3003, 0}, /* ld, transformed */
	{0x3001, 0}, /* c.ld, transformed */
	{0x3023, 0}, /* sd, transformed */
	{0x1000, 0}, {0x3040, 0}, {0x20, 0},   {BIT(32) | 0x3000, 0}, {UINT64_MAX, 0},
};

static const unsigned access_of_cause[64] = {[20] = X, [21] = R, [23] = W};

static void check_gstage(uint64_t scause, uint64_t htval, uint64_t stval,
			 const struct walk_code *code)
{
	bool known = scause < 64 && access_of_cause[scause];
	struct addrspace_fault_info expected = {.cause = ADDRSPACE_CAUSE_UNKNOWN};
	struct addrspace_fault_info info = untouched;
	int answer = addrspace_gstage_decode_fault(scause, htval, stval, code->htinst, &info);

	if (!known) {
		assert_int_equal(answer, ADDRSPACE_ENOTSUP);
		assert_info(&info, &untouched, "scause", scause, code->htinst);
		return;
	}
	expected.access = code->access ? code->access : access_of_cause[scause];
	expected.table_walk = code->access != 0;
	expected.gpa = htval * 4;
	if (!code->access && htval)
		expected.gpa += stval % 4;
	assert_int_equal(answer,
			 code->access || htval ? ADDRSPACE_DECODED : ADDRSPACE_DECODE_NEEDS_WALK);
	assert_info(&info, &expected, "scause, htinst", scause, code->htinst);
}

static void gstage_decodes_every_combination(void **state)
{
	static const uint64_t htvals[] = {0, 1, 0x20000000, UINT64_C(0x01ffffffffffffff)};
	static const uint64_t upper[] = {0, BIT(63), BIT(6), BIT(32)};

	(void)state;
	for (uint64_t i = 0; i < 64 * COUNT(upper); i++) {
		uint64_t scause = i % 64 | upper[i / 64];

		for (size_t h = 0; h < COUNT(htvals); h++) {
			for (size_t c = 0; c < COUNT(walk_codes); c++) {
				for (uint64_t low = 0; low < 4; low++)
					check_gstage(scause, htvals[h],
						     UINT64_C(0xffffffc000000ff8) + low,
						     &walk_codes[c]);
			}
		}
	}
	assert_int_equal(addrspace_gstage_decode_fault(21, 1, 0, 0, NULL), ADDRSPACE_EINVAL);
}

static void gstage_traps_of_real_machines(void **state)
{
	struct addrspace_fault_info info;

	(void)state;
	/* a byte at the end of a page */
	assert_int_equal(addrspace_gstage_decode_fault(23, 0x200003ff, 0x80000fff, 0, &info), 0);
	assert_int_equal(info.gpa, 0x80000fff);
	assert_int_equal(info.access, W);
	/* the guest's page table, for a load from an odd address */
	assert_int_equal(addrspace_gstage_decode_fault(21, 0x20000402, 0x7fff0003, 0x3000, &info),
			 0);
	assert_int_equal(info.gpa, 0x80001008);
	assert_true(info.table_walk);
	/* for a store, the guest's entry is read all the same; then its D is set */
	assert_int_equal(addrspace_gstage_decode_fault(23, 0x20000402, 0x7fff0003, 0x3000, &info),
			 0);
	assert_int_equal(info.access, R);
	assert_int_equal(addrspace_gstage_decode_fault(23, 0x20000402, 0x7fff0003, 0x3020, &info),
			 0);
	assert_int_equal(info.access, W);
	/* QEMU reports a table at 0 so */
	assert_int_equal(addrspace_gstage_decode_fault(20, 0, 0x40, 0x3000, &info), 0);
	assert_int_equal(info.gpa, 0);
	/* a CPU that reports no addresses */
	assert_int_equal(addrspace_gstage_decode_fault(20, 0, 0x40, 0, &info),
			 ADDRSPACE_DECODE_NEEDS_WALK);
	assert_int_equal(info.access, X);
}

/* ---- what the fault call makes of it ---- */

/** Decodes the guest's access to the table page at gpa that this format's CPU reports as refused. */
static struct addrspace_fault_info refused_walk(const struct layout *layout, uint64_t gpa)
{
	struct addrspace_stage2_fault_registers registers = {.esr_el2 = 0x9200008f,
							     .hpfar_el2 = gpa >> 8};
	struct addrspace_fault_info info = untouched;
	int answer = 0;

	if (layout->kind == LAYOUT_STAGE2)
		answer = addrspace_stage2_decode_fault(&registers, &info);
	else if (layout->kind == LAYOUT_GSTAGE)
		answer = addrspace_gstage_decode_fault(21, gpa >> 2, 0, 0x3020, &info);
	else if (layout->kind == LAYOUT_NPT)
		answer = addrspace_npt_decode_fault(0x200000007, gpa, &info);
	else
		answer = addrspace_ept_decode_fault(48, 0x8b, gpa, &info);
	assert_int_equal(answer, ADDRSPACE_DECODED);
	assert_true(info.table_walk);
	return info;
}

static void walk_that_cannot_write_to_its_table_is_denied(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t gpa = 0x200000;
	struct addrspace_fault_info info = refused_walk(fixture->layout, gpa);

	fixture_populate(fixture, gpa, FAKE_PAGE_SIZE);
	assert_int_equal(addrspace_handle_fault(&fixture->as, info.gpa, info.access, NULL),
			 ADDRSPACE_FAULT_ALREADY_RESOLVED);
	assert_int_equal(addrspace_protect(&fixture->as, gpa, FAKE_PAGE_SIZE, R), 0);
	assert_int_equal(addrspace_handle_fault(&fixture->as, info.gpa, info.access, NULL),
			 ADDRSPACE_FAULT_DENIED);
}

int main(void)
{
	const struct CMUnitTest once[] = {
		cmocka_unit_test(ept_decodes_every_qualification),
		cmocka_unit_test(ept_misconfiguration_tells_only_the_address),
		cmocka_unit_test(ept_refuses_every_other_exit),
		cmocka_unit_test(ept_exit_from_an_enclave_is_a_violation_all_the_same),
		cmocka_unit_test(ept_qualifications_of_real_machines),
		cmocka_unit_test(npt_decodes_every_combination),
		cmocka_unit_test(npt_codes_of_real_machines),
		cmocka_unit_test(stage2_decodes_every_combination),
		cmocka_unit_test(stage2_refuses_null_pointers),
		cmocka_unit_test(stage2_syndromes_of_real_machines),
		cmocka_unit_test(gstage_decodes_every_combination),
		cmocka_unit_test(gstage_traps_of_real_machines),
	};
	const struct CMUnitTest on_layouts[] = {
		cmocka_unit_test(walk_that_cannot_write_to_its_table_is_denied),
	};
	int failed = cmocka_run_group_tests_name("decode", once, NULL, NULL);

	return failed + run_over_layouts("decoded", on_layouts, COUNT(on_layouts));
}
