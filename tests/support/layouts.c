/* SPDX-License-Identifier: MIT */
#include "layouts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <addrspace/aarch64.h>
#include <addrspace/riscv64.h>
#include <addrspace/x86_64.h>

#define LEAVES       (ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G)
#define LEAVES_2M    ADDRSPACE_CPU_LEAF_2M
#define HARDWARE_AD  ADDRSPACE_CPU_HARDWARE_AD
#define EXECUTE_ONLY ADDRSPACE_CPU_EXECUTE_ONLY
#define FWB          ADDRSPACE_CPU_FWB
#define VMID16       ADDRSPACE_CPU_VMID16
#define SVPBMT       ADDRSPACE_CPU_SVPBMT
#define SVVPTC       ADDRSPACE_CPU_SVVPTC
#define NX           ADDRSPACE_CPU_NX

/* UC at 3, WT at 1, no WC. */
#define PAT_AT_RESET UINT64_C(0x0007040600070406)
/* WC at 1, WT at 7. */
#define PAT_OF_LINUX UINT64_C(0x0407050600070106)
/* WT at 1, WC at 4. */
#define PAT_OF_XEN UINT64_C(0x0000050100070406)

/* clang-format off: one line a layout */
#define EPT(bits, level_count, host, features, ...)                                                \
	{                                                                                          \
		.kind = LAYOUT_EPT, .format = &addrspace_ept, .gpa_bits = bits,                    \
		.levels = level_count, .host_bits = host, .cpu_features = features, __VA_ARGS__    \
	}
#define NPT(bits, level_count, host, features, ...)                                                \
	{                                                                                          \
		.kind = LAYOUT_NPT, .format = &addrspace_npt, .gpa_bits = bits,                    \
		.levels = level_count, .host_bits = host, .cpu_features = features, __VA_ARGS__    \
	}
#define STAGE2(bits, level_count, host, features, ...)                                             \
	{                                                                                          \
		.kind = LAYOUT_STAGE2, .format = &addrspace_stage2, .gpa_bits = bits,              \
		.levels = level_count, .host_bits = host, .cpu_features = features, __VA_ARGS__    \
	}
#define GSTAGE(bits, level_count, host, features, ...)                                             \
	{                                                                                          \
		.kind = LAYOUT_GSTAGE, .format = &addrspace_gstage, .gpa_bits = bits,              \
		.levels = level_count, .host_bits = host, .cpu_features = features, __VA_ARGS__    \
	}
#define HOSTILE(bits, level_count, host, features, ...)                                            \
	{                                                                                          \
		.kind = LAYOUT_HOSTILE, .format = &addrspace_hostile, .gpa_bits = bits,            \
		.levels = level_count, .host_bits = host, .cpu_features = features,                \
		.non_coherent = true, .caches_not_present = true, __VA_ARGS__                      \
	}

const struct layout layouts[] = {
	EPT(48, 4, 46, LEAVES, .name = "ept 48", .canonical = true),
	EPT(40, 4, 39, LEAVES_2M, .name = "ept 40, no 1G leaves", .by_callback = true),
	EPT(48, 4, 46, 0, .name = "ept 48, 4K leaves only"),
	EPT(57, 5, 52, LEAVES, .name = "ept 57, 5 levels"),
	EPT(40, 5, 46, LEAVES, .name = "ept 40, 5 levels"),
	EPT(48, 4, 46, LEAVES | HARDWARE_AD, .name = "ept 48, A/D"),
	EPT(48, 4, 46, LEAVES | EXECUTE_ONLY, .name = "ept 48, execute-only"),
	EPT(48, 4, 46, LEAVES, .name = "ept 48, IOMMU does not snoop", .non_coherent = true),

	NPT(48, 4, 48, LEAVES | NX, .name = "npt 48", .canonical = true),
	NPT(40, 4, 40, LEAVES_2M | NX, .name = "npt 40, no 1G leaves", .by_callback = true),
	NPT(57, 5, 52, LEAVES | NX, .name = "npt 57, 5 levels"),
	NPT(48, 4, 46, LEAVES | NX | HARDWARE_AD, .name = "npt 48, A/D"),
	NPT(48, 4, 48, LEAVES | NX, .name = "npt 48, PAT of Linux", .host_pat = PAT_OF_LINUX),
	NPT(48, 4, 48, LEAVES | NX | HARDWARE_AD, .name = "npt 48, PAT of Xen, A/D",
	    .host_pat = PAT_OF_XEN),

	STAGE2(32, 2, 40, LEAVES, .name = "stage 2, 32, 4 roots"),
	STAGE2(32, 3, 40, LEAVES, .name = "stage 2, 32, 3 levels", .non_coherent = true),
	STAGE2(34, 2, 40, LEAVES, .name = "stage 2, 34, 16 roots"),
	STAGE2(36, 3, 36, LEAVES, .name = "stage 2, 36", .by_callback = true),
	STAGE2(39, 3, 40, LEAVES, .name = "stage 2, 39"),
	STAGE2(40, 3, 40, LEAVES, .name = "stage 2, 40, 2 roots", .canonical = true,
	       .non_coherent = true),
	STAGE2(40, 4, 44, LEAVES, .name = "stage 2, 40, 4 levels"),
	STAGE2(42, 3, 42, LEAVES, .name = "stage 2, 42, 8 roots"),
	STAGE2(43, 3, 44, LEAVES, .name = "stage 2, 43, 16 roots"),
	STAGE2(44, 4, 44, LEAVES, .name = "stage 2, 44"),
	STAGE2(48, 4, 48, LEAVES | VMID16, .name = "stage 2, 48, VMID16", .non_coherent = true),
	STAGE2(48, 4, 52, LEAVES | FWB, .name = "stage 2, 48, FWB"),
	STAGE2(40, 3, 40, LEAVES | HARDWARE_AD, .name = "stage 2, 40, A/D"),
	STAGE2(40, 3, 40, LEAVES_2M, .name = "stage 2, 40, no 1G leaves"),

	GSTAGE(41, 3, 50, LEAVES, .name = "Sv39x4", .canonical = true, .caches_not_present = true),
	GSTAGE(36, 3, 40, LEAVES, .name = "Sv39x4, 36", .caches_not_present = true),
	GSTAGE(50, 4, 52, LEAVES, .name = "Sv48x4", .caches_not_present = true,
	       .by_callback = true),
	GSTAGE(59, 5, 52, LEAVES, .name = "Sv57x4", .caches_not_present = true),
	GSTAGE(50, 4, 52, LEAVES | SVPBMT, .name = "Sv48x4, Svpbmt", .caches_not_present = true),
	GSTAGE(41, 3, 50, LEAVES | SVVPTC, .name = "Sv39x4, Svvptc"),
	GSTAGE(50, 4, 52, LEAVES | HARDWARE_AD, .name = "Sv48x4, Svadu",
	       .caches_not_present = true),

	HOSTILE(37, 3, 40, LEAVES, .name = "hostile 37", .canonical = true),
	HOSTILE(40, 3, 44, LEAVES_2M, .name = "hostile 40, 2 roots, no 1G leaves"),
	HOSTILE(46, 4, 48, LEAVES | HARDWARE_AD, .name = "hostile 46, A/D", .by_callback = true),
};
/* clang-format on */

const size_t layout_count = sizeof(layouts) / sizeof(layouts[0]);

uint64_t layout_limit(const struct layout *layout)
{
	return UINT64_C(1) << layout->gpa_bits;
}

bool layout_has(const struct layout *layout, uint32_t cpu_feature)
{
	return (layout->cpu_features & cpu_feature) == cpu_feature;
}

uint64_t layout_largest_leaf(const struct layout *layout)
{
	/* No format has leaves in a root of two levels above 2 MiB. */
	if (layout_has(layout, ADDRSPACE_CPU_LEAF_1G) && layout->levels > 2)
		return UINT64_C(1) << 30;
	return layout_has(layout, ADDRSPACE_CPU_LEAF_2M) ? UINT64_C(1) << 21 : UINT64_C(1) << 12;
}

bool layout_can_permit(const struct layout *layout, unsigned permissions)
{
	if (layout->kind == LAYOUT_HOSTILE)
		return !(permissions & ADDRSPACE_WRITE) || !(permissions & ADDRSPACE_EXECUTE);
	if (layout->kind == LAYOUT_NPT && !layout_has(layout, ADDRSPACE_CPU_NX) &&
	    !(permissions & ADDRSPACE_EXECUTE))
		return permissions == 0;
	if (permissions == 0 || (permissions & ADDRSPACE_READ))
		return true;
	switch (layout->kind) {
	case LAYOUT_EPT:
		return permissions == ADDRSPACE_EXECUTE &&
		       layout_has(layout, ADDRSPACE_CPU_EXECUTE_ONLY);
	case LAYOUT_NPT:
		return false;
	case LAYOUT_STAGE2:
		return permissions == ADDRSPACE_WRITE;
	case LAYOUT_GSTAGE:
		return permissions == ADDRSPACE_EXECUTE;
	case LAYOUT_HOSTILE:
		break;
	}
	return false;
}

/** Does the host's PAT have this type? Its encoding is 0 UC, 1 WC, 4 WT, 6 WB. */
static bool pat_has(uint64_t pat, enum addrspace_memory_type type)
{
	static const unsigned encodings[] = {
		[ADDRSPACE_WRITE_BACK] = 6,
		[ADDRSPACE_NON_CACHEABLE] = 1,
		[ADDRSPACE_DEVICE] = 0,
		[ADDRSPACE_WRITE_THROUGH] = 4,
	};

	for (unsigned i = 0; i < 8; i++) {
		if ((pat >> (8 * i) & 0xff) == encodings[type])
			return true;
	}
	return false;
}

bool layout_has_type(const struct layout *layout, enum addrspace_memory_type type)
{
	if (layout->kind == LAYOUT_NPT)
		return pat_has(layout->host_pat ? layout->host_pat : PAT_AT_RESET, type);
	switch (type) {
	case ADDRSPACE_WRITE_BACK:
	case ADDRSPACE_DEVICE:
		return true;
	case ADDRSPACE_NON_CACHEABLE:
		return layout->kind != LAYOUT_HOSTILE &&
		       (layout->kind != LAYOUT_GSTAGE || layout_has(layout, ADDRSPACE_CPU_SVPBMT));
	case ADDRSPACE_WRITE_THROUGH:
		return layout->kind == LAYOUT_EPT || layout->kind == LAYOUT_HOSTILE ||
		       (layout->kind == LAYOUT_STAGE2 && !layout_has(layout, ADDRSPACE_CPU_FWB));
	}
	return false;
}

enum addrspace_memory_type layout_encoded_type(const struct layout *layout,
					       enum addrspace_memory_type type)
{
	if (layout->kind == LAYOUT_GSTAGE && !layout_has(layout, ADDRSPACE_CPU_SVPBMT))
		return ADDRSPACE_WRITE_BACK;
	return type;
}

/* ---- Running tests over layouts ---- */

static bool chosen(const struct layout *layout, bool canonical_only)
{
	const char *wanted = getenv("ADDRSPACE_LAYOUT");

	if (canonical_only && !layout->canonical)
		return false;
	return !wanted || strstr(layout->name, wanted);
}

static char *test_name(const char *test, const char *layout)
{
	size_t size = strlen(test) + strlen(layout) + sizeof(" []");
	char *name = malloc(size);

	if (!name)
		abort();
	snprintf(name, size, "%s [%s]", test, layout);
	return name;
}

/** The product of tests and layouts; returns how many there are. */
static size_t expand(struct CMUnitTest *expanded, const struct CMUnitTest *tests, size_t count,
		     bool canonical_only)
{
	size_t used = 0;

	for (size_t i = 0; i < layout_count; i++) {
		for (size_t k = 0; chosen(&layouts[i], canonical_only) && k < count; k++) {
			struct CMUnitTest *test = &expanded[used++];

			*test = tests[k];
			test->name = test_name(tests[k].name, layouts[i].name);
			/* cmocka hands it to the setup as *state, which only reads it. */
			test->initial_state = (void *)(uintptr_t)&layouts[i];
			if (!test->setup_func)
				test->setup_func = fixture_setup;
			if (!test->teardown_func)
				test->teardown_func = fixture_teardown;
		}
	}
	return used;
}

static int run(const char *group, const struct CMUnitTest *tests, size_t count, bool canonical_only)
{
	struct CMUnitTest *expanded = calloc(count * layout_count, sizeof(*expanded));
	size_t used;
	int failed;

	if (!expanded)
		abort();
	used = expand(expanded, tests, count, canonical_only);
	failed = _cmocka_run_group_tests(group, expanded, used, NULL, NULL);
	for (size_t i = 0; i < used; i++)
		free((void *)(uintptr_t)expanded[i].name);
	free(expanded);
	return failed;
}

int run_over_layouts(const char *group, const struct CMUnitTest *tests, size_t count)
{
	return run(group, tests, count, false);
}

int run_over_canonical_layouts(const char *group, const struct CMUnitTest *tests, size_t count)
{
	return run(group, tests, count, true);
}
