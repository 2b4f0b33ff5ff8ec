/* SPDX-License-Identifier: MIT */
/* What the ID registers report of stage 2 (Arm ARM D24.2: ID_AA64ISAR0_EL1, ID_AA64MMFR0_EL1 to
 * ID_AA64MMFR2_EL1; D24.1.3 on how fields grow). */
#include <addrspace/aarch64.h>

#define MMFR0_PARANGE_SHIFT  0
#define MMFR0_TGRAN4_SHIFT   28
#define MMFR0_TGRAN4_2_SHIFT 40
#define MMFR1_HAFDBS_SHIFT   0
#define MMFR1_VMIDBITS_SHIFT 4
#define MMFR2_FWB_SHIFT      40
#define ISAR0_TLB_SHIFT      56

#define TGRAN4_SIGN        8 /* a signed field: 0b1111 is "no", what is not negative is "yes" */
#define TGRAN4_2_AS_TGRAN4 0
#define TGRAN4_2_NO        1
#define HAFDBS_DIRTY       2
#define VMIDBITS_16        2
#define TLB_RANGE          2

static unsigned field(uint64_t value, unsigned shift)
{
	return (unsigned)(value >> shift & 0xf);
}

static bool has_4k_granule(uint64_t mmfr0)
{
	unsigned granule = field(mmfr0, MMFR0_TGRAN4_2_SHIFT);

	if (granule == TGRAN4_2_AS_TGRAN4)
		return field(mmfr0, MMFR0_TGRAN4_SHIFT) < TGRAN4_SIGN;
	return granule != TGRAN4_2_NO;
}

static unsigned physical_bits(uint64_t mmfr0)
{
	static const uint8_t bits[] = {32, 36, 40, 42, 44, 48, 52};
	unsigned range = field(mmfr0, MMFR0_PARANGE_SHIFT);

	/* Wider ones are of no use to 48-bit descriptors. */
	return bits[range < sizeof(bits) ? range : sizeof(bits) - 1];
}

static uint32_t stage2_features(const struct addrspace_stage2_id *id)
{
	uint32_t features = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G;

	if (field(id->id_aa64mmfr1_el1, MMFR1_HAFDBS_SHIFT) >= HAFDBS_DIRTY)
		features |= ADDRSPACE_CPU_HARDWARE_AD;
	if (field(id->id_aa64mmfr1_el1, MMFR1_VMIDBITS_SHIFT) >= VMIDBITS_16)
		features |= ADDRSPACE_CPU_VMID16;
	if (field(id->id_aa64mmfr2_el1, MMFR2_FWB_SHIFT))
		features |= ADDRSPACE_CPU_FWB;
	if (field(id->id_aa64isar0_el1, ISAR0_TLB_SHIFT) >= TLB_RANGE)
		features |= ADDRSPACE_CPU_TLBI_RANGE;
	return features;
}

int addrspace_stage2_identify(const struct addrspace_stage2_id *id, struct addrspace_cpu *cpu)
{
	unsigned host_bits;

	if (!id || !cpu)
		return ADDRSPACE_EINVAL;
	if (!has_4k_granule(id->id_aa64mmfr0_el1))
		return ADDRSPACE_ENOTSUP;
	host_bits = physical_bits(id->id_aa64mmfr0_el1);
	*cpu = (struct addrspace_cpu){
		.features = stage2_features(id),
		.host_bits = host_bits,
		/* Arm level 0 starts no walk where addresses have 42 bits or less (D8.2.6). */
		.max_levels = host_bits > 42 ? 4 : 3,
	};
	return 0;
}
