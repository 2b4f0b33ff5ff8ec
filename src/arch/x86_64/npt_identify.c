/* SPDX-License-Identifier: MIT */
/* What CPUID reports of nested paging (AMD APM 3, E.4.2, E.4.7, E.4.9), and how far the host's own
 * paging mode lets it go (APM 2, 15.25.3). */
#include <addrspace/x86_64.h>

#define CPUID_1_NX         (UINT32_C(1) << 20)
#define CPUID_1_LEAF_1G    (UINT32_C(1) << 26)
#define CPUID_8_PHYSICAL   UINT32_C(0xff)
#define CPUID_A_NP         (UINT32_C(1) << 0)
#define CPUID_A_FLUSH_ASID (UINT32_C(1) << 6)
#define EFER_LMA           (UINT64_C(1) << 10)
#define EFER_NXE           (UINT64_C(1) << 11)
#define CR4_LA57           (UINT64_C(1) << 12)

static uint32_t npt_features(const struct addrspace_npt_id *id)
{
	/* Nested A and D are always maintained. */
	uint32_t features = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_HARDWARE_AD;

	if (id->cpuid_80000001_edx & CPUID_1_LEAF_1G)
		features |= ADDRSPACE_CPU_LEAF_1G;
	/* Bit 63 of a nested entry is reserved unless the host uses it itself. */
	if (id->cpuid_80000001_edx & CPUID_1_NX && id->efer & EFER_NXE)
		features |= ADDRSPACE_CPU_NX;
	if (id->cpuid_8000000a_edx & CPUID_A_FLUSH_ASID)
		features |= ADDRSPACE_CPU_FLUSH_BY_ASID;
	return features;
}

int addrspace_npt_identify(const struct addrspace_npt_id *id, struct addrspace_cpu *cpu)
{
	unsigned host_bits, levels;

	if (!id || !cpu)
		return ADDRSPACE_EINVAL;
	host_bits = id->cpuid_80000008_eax & CPUID_8_PHYSICAL;
	if (!(id->cpuid_8000000a_edx & CPUID_A_NP) || !(id->efer & EFER_LMA))
		return ADDRSPACE_ENOTSUP;
	if (host_bits < ADDRSPACE_MIN_HOST_BITS || host_bits > ADDRSPACE_MAX_HOST_BITS)
		return ADDRSPACE_ENOTSUP;
	levels = id->cr4 & CR4_LA57 ? 5 : 4;
	*cpu = (struct addrspace_cpu){
		.features = npt_features(id),
		.host_bits = host_bits,
		.min_levels = levels,
		.max_levels = levels,
	};
	return 0;
}
