/* SPDX-License-Identifier: MIT */
/* The root registers, and the cache and TLB work that stage 2 needs. */
#include <addrspace/aarch64.h>

#include "machine.h"
#include "print.h"
#include "registers.h"

/* RW: the guest is AArch64. SWIO: its set/way invalidations clean too. TSC: SMC is ours. */
#define HCR_BASE (UINT64_C(1) << 31 | UINT64_C(1) << 1 | UINT64_C(1) << 19)
#define VMID_8   0xa5u
#define VMID_16  0x1a5u
/* One whole-VMID invalidation is cheaper than this many by address. */
#define MANY_LEAVES 256

static uint64_t hcr_of(const struct addrspace_stage2_registers *registers)
{
	return (HCR_BASE & ~registers->hcr_el2_mask) | registers->hcr_el2;
}

static struct addrspace_stage2_registers registers_of(const struct addrspace *as)
{
	bool wide = register_field(read_register(id_aa64mmfr1_el1), 4, 4) == 2;
	struct addrspace_stage2_registers registers;
	int error = addrspace_stage2_registers(as, VMID_16, &registers);

	if (!wide && error != ADDRSPACE_ERANGE)
		fail("a 9-bit VMID was accepted without 16-bit VMIDs");
	if (!wide)
		error = addrspace_stage2_registers(as, VMID_8, &registers);
	if (error)
		fail("addrspace_stage2_registers: %s", addrspace_error_name(error));
	return registers;
}

void machine_load_root(const struct addrspace *as)
{
	struct addrspace_stage2_registers registers = registers_of(as);

	write_register(vtcr_el2, registers.vtcr_el2);
	write_register(vttbr_el2, registers.vttbr_el2);
	write_register(hcr_el2, hcr_of(&registers));
	barrier("isb\n\tdsb nshst\n\ttlbi vmalls12e1\n\tdsb nsh\n\tisb");
}

void machine_describe_root(const struct addrspace *as)
{
	struct addrspace_stage2_registers registers = registers_of(as);
	unsigned gpa_bits, level, one_table;

	gpa_bits = 64 - register_field(registers.vtcr_el2, 0, 6);
	level = 2 - register_field(registers.vtcr_el2, 6, 2);
	one_table = 12 + 9 * (4 - level);
	print("stage 2    %u-bit guest-physical addresses, walks start at Arm level %u in %u "
	      "table(s), %s\n",
	      gpa_bits, level, gpa_bits > one_table ? 1u << (gpa_bits - one_table) : 1u,
	      registers.vtcr_el2 >> 21 & 1 ? "hardware maintains A and D" : "A and D are preset");
	print("           VTCR_EL2 0x%lx, VTTBR_EL2 0x%lx, HCR_EL2 0x%lx\n", registers.vtcr_el2,
	      registers.vttbr_el2, hcr_of(&registers));
}

/** The smallest data cache line of any cache, in bytes. */
static uint64_t cache_line(uint64_t ctr)
{
	return UINT64_C(4) << register_field(ctr, 16, 4);
}

/* A guest with its caches off reads memory directly, and must not meet a clean but older line when
 * it turns them on: clean and invalidate to the point of coherency, unless FWB makes all its
 * accesses cached. Instruction caches may hold what the frame held before. */
void machine_prepare_frame(uint64_t hpa, uint64_t size)
{
	uint64_t ctr = read_register(ctr_el0);
	uint64_t line = cache_line(ctr);

	if (!(read_register(hcr_el2) >> 46 & 1))
		for (uint64_t at = hpa; at < hpa + size; at += line)
			__asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
	barrier("dsb ish");
	if (!(ctr >> 29 & 1))
		barrier("ic ialluis\n\tdsb ish\n\tisb");
}

#define tlbi_leaf(operation, operand)                                                              \
	__asm__ volatile("tlbi " operation ", %0" : : "r"(operand) : "memory")

static void invalidate_leaves(const struct addrspace_invalidation *range, bool here_only)
{
	uint64_t first = range->gpa & ~(range->stride - 1);
	uint64_t leaves = (range->gpa + range->size - first + range->stride - 1) / range->stride;

	for (uint64_t i = 0; i < leaves; i++) {
		uint64_t operand = (first + i * range->stride) >> 12;

		if (here_only)
			tlbi_leaf("ipas2e1", operand);
		else
			tlbi_leaf("ipas2e1is", operand);
	}
	/* Entries that combine both stages are not looked up by guest-physical address. */
	barrier("dsb ish");
	if (here_only)
		barrier("tlbi vmalle1");
	else
		barrier("tlbi vmalle1is");
}

void machine_invalidate(const struct addrspace *as, const struct addrspace_invalidation *range)
{
	bool here_only = range->scope == ADDRSPACE_THIS_CPU;

	(void)as;
	barrier("dsb ishst");
	if (!range->tables_changed && range->size / range->stride <= MANY_LEAVES)
		invalidate_leaves(range, here_only);
	else if (here_only)
		barrier("tlbi vmalls12e1");
	else
		barrier("tlbi vmalls12e1is");
	barrier("dsb ish\n\tisb");
}
