/* SPDX-License-Identifier: MIT */
/*
 * What an ISA string and hgatp report of the G-stage (RISC-V Unprivileged, "ISA Extension Naming
 * Conventions"; Privileged, hypervisor extension, hgatp). The string comes from firmware: it is read
 * within its length, and what does not fit the conventions is no extension of ours.
 */
#include "hgatp.h"

#include <addrspace/riscv64.h>

#define FOUND_H     (UINT32_C(1) << 30) /* beside enum addrspace_cpu_feature */
#define FOUND_SVADE (UINT32_C(1) << 31)

static const struct {
	char name[7];
	uint32_t found;
} extensions[] = {
	{"svpbmt", ADDRSPACE_CPU_SVPBMT},
	{"svvptc", ADDRSPACE_CPU_SVVPTC},
	{"svadu", ADDRSPACE_CPU_HARDWARE_AD},
	{"svade", FOUND_SVADE},
};

static char lower_case(char character)
{
	return character >= 'A' && character <= 'Z' ? (char)(character - 'A' + 'a') : character;
}

static bool is_digit(char character)
{
	return character >= '0' && character <= '9';
}

static bool is_of_isa_string(char character)
{
	char lower = lower_case(character);

	return (lower >= 'a' && lower <= 'z') || is_digit(character) || character == '_';
}

static size_t count_digits(const char *text, size_t length)
{
	size_t count = 0;

	while (count < length && is_digit(text[count]))
		count++;
	return count;
}

/** The length of a version at the start of the text ("2", "1p0"), or 0. */
static size_t version_length(const char *text, size_t length)
{
	size_t major = count_digits(text, length);
	size_t minor;

	if (!major || major == length || lower_case(text[major]) != 'p')
		return major;
	minor = count_digits(text + major + 1, length - major - 1);
	return minor ? major + 1 + minor : major;
}

/** True if the text is the extension, with a version or without. */
static bool is_extension(const char *text, size_t length, const char *name)
{
	size_t at = 0;

	for (; name[at]; at++) {
		if (at == length || lower_case(text[at]) != name[at])
			return false;
	}
	return version_length(text + at, length - at) == length - at;
}

static uint32_t find_extension(const char *text, size_t length)
{
	for (unsigned i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		if (is_extension(text, length, extensions[i].name))
			return extensions[i].found;
	}
	return 0;
}

/** Reads one extension, or an underscore, of a text that is not empty; returns its length. */
static size_t next_extension(const char *text, size_t length, uint32_t *found)
{
	char first = lower_case(text[0]);
	size_t end = 1;

	/* Extensions whose names begin so have longer names, which an underscore ends. */
	if (first == 'z' || first == 's' || first == 'x') {
		while (end < length && text[end] != '_')
			end++;
		*found |= find_extension(text, end);
		return end;
	}
	if (first == 'h')
		*found |= FOUND_H;
	return end + version_length(text + end, length - end);
}

static uint32_t find_extensions(const char *isa, size_t length)
{
	static const char base[4] = {'r', 'v', '6', '4'};
	uint32_t found = 0;
	size_t end = 0;

	while (end < length && is_of_isa_string(isa[end]))
		end++;
	for (size_t i = 0; i < sizeof(base); i++) {
		if (i == end || lower_case(isa[i]) != base[i])
			return 0;
	}
	for (size_t at = sizeof(base); at < end;)
		at += next_extension(isa + at, end - at, &found);
	return found;
}

int addrspace_gstage_identify(const char *isa, size_t length, uint64_t hgatp,
			      struct addrspace_cpu *cpu)
{
	unsigned mode = (unsigned)(hgatp >> HGATP_MODE_SHIFT);
	uint32_t found;

	if (!isa || !cpu)
		return ADDRSPACE_EINVAL;
	found = find_extensions(isa, length);
	if (!(found & FOUND_H) || mode < HGATP_MODE_SV39X4 || mode > HGATP_MODE_SV57X4)
		return ADDRSPACE_ENOTSUP;
	/* With both, A and D fault until firmware is asked to have hardware set them. */
	if (found & FOUND_SVADE)
		found &= ~(uint32_t)ADDRSPACE_CPU_HARDWARE_AD;
	found &= ~(FOUND_H | FOUND_SVADE);
	*cpu = (struct addrspace_cpu){
		.features = found | ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G,
		.host_bits = ADDRSPACE_MAX_HOST_BITS,
		.max_levels = 3 + (mode - HGATP_MODE_SV39X4),
	};
	return 0;
}

unsigned addrspace_gstage_vmid_bits(uint64_t hgatp)
{
	unsigned bits = 0;

	/* Bits exist from the lowest up (RISC-V Privileged, VMIDLEN). */
	while (bits < HGATP_VMID_BITS && hgatp >> (HGATP_VMID_SHIFT + bits) & 1)
		bits++;
	return bits;
}
