/* SPDX-License-Identifier: MIT */
/* What IA32_VMX_EPT_VPID_CAP reports (Intel SDM 3D, A.10) and MAXPHYADDR (SDM 2A, CPUID). */
#include <addrspace/x86_64.h>

#define CAP_EXECUTE_ONLY  (UINT64_C(1) << 0)
#define CAP_4_LEVELS      (UINT64_C(1) << 6)
#define CAP_5_LEVELS      (UINT64_C(1) << 7)
#define CAP_WRITE_BACK    (UINT64_C(1) << 14) /* of the tables themselves */
#define CAP_LEAF_2M       (UINT64_C(1) << 16)
#define CAP_LEAF_1G       (UINT64_C(1) << 17)
#define CAP_INVEPT        (UINT64_C(1) << 20)
#define CAP_HARDWARE_AD   (UINT64_C(1) << 21)
#define CAP_INVEPT_SINGLE (UINT64_C(1) << 25)
#define CAP_INVEPT_ALL    (UINT64_C(1) << 26)
#define CAP_NEEDED        (CAP_4_LEVELS | CAP_WRITE_BACK | CAP_INVEPT | CAP_INVEPT_ALL)
#define PHYSICAL_BITS     UINT32_C(0xff)

static const struct {
	uint64_t capability;
	uint32_t feature;
} features[] = {
	{CAP_LEAF_2M, ADDRSPACE_CPU_LEAF_2M},
	{CAP_LEAF_2M | CAP_LEAF_1G, ADDRSPACE_CPU_LEAF_1G},
	{CAP_HARDWARE_AD, ADDRSPACE_CPU_HARDWARE_AD},
	{CAP_EXECUTE_ONLY, ADDRSPACE_CPU_EXECUTE_ONLY},
	{CAP_INVEPT_SINGLE, ADDRSPACE_CPU_INVEPT_SINGLE},
};

int addrspace_ept_identify(uint64_t vpid_ept_cap, uint32_t cpuid_80000008_eax,
			   struct addrspace_cpu *cpu)
{
	struct addrspace_cpu found = {
		.host_bits = cpuid_80000008_eax & PHYSICAL_BITS,
		.max_levels = vpid_ept_cap & CAP_5_LEVELS ? 5 : 4,
	};

	if (!cpu)
		return ADDRSPACE_EINVAL;
	if ((vpid_ept_cap & CAP_NEEDED) != CAP_NEEDED)
		return ADDRSPACE_ENOTSUP;
	if (found.host_bits < ADDRSPACE_MIN_HOST_BITS || found.host_bits > ADDRSPACE_MAX_HOST_BITS)
		return ADDRSPACE_ENOTSUP;
	for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if ((vpid_ept_cap & features[i].capability) == features[i].capability)
			found.features |= features[i].feature;
	}
	*cpu = found;
	return 0;
}
