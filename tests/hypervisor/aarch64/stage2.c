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

void machine_load_root(const struct addrspace *as)
{
	bool wide = register_field(read_register(id_aa64mmfr1_el1), 4, 4) == 2;
	unsigned vmid = wide ? VMID_16 : VMID_8;
	struct addrspace_stage2_registers registers;
	unsigned gpa_bits, level, one_table;
	uint64_t hcr;
	int error = addrspace_stage2_registers(as, vmid, &registers);

	if (error)
		fail("addrspace_stage2_registers: %s", addrspace_error_name(error));
	if (!wide && addrspace_stage2_registers(as, VMID_16, &registers) != ADDRSPACE_ERANGE)
		fail("a 9-bit VMID was accepted without 16-bit VMIDs");
	if (!wide)
		addrspace_stage2_registers(as, vmid, &registers);
	hcr = (HCR_BASE & ~registers.hcr_el2_mask) | registers.hcr_el2;
	write_register(vtcr_el2, registers.vtcr_el2);
	write_register(vttbr_el2, registers.vttbr_el2);
	write_register(hcr_el2, hcr);
	barrier("isb\n\tdsb ishst\n\ttlbi vmalls12e1is\n\tdsb ish\n\tisb");
	gpa_bits = 64 - register_field(registers.vtcr_el2, 0, 6);
	level = 2 - register_field(registers.vtcr_el2, 6, 2);
	one_table = 12 + 9 * (4 - level);
	print("stage 2    %u-bit guest-physical addresses, walks start at Arm level %u in %u "
	      "table(s), %s\n",
	      gpa_bits, level, gpa_bits > one_table ? 1u << (gpa_bits - one_table) : 1u,
	      registers.vtcr_el2 >> 21 & 1 ? "hardware maintains A and D" : "A and D are preset");
	print("           VTCR_EL2 0x%lx, VTTBR_EL2 0x%lx, HCR_EL2 0x%lx\n", registers.vtcr_el2,
	      registers.vttbr_el2, hcr);
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

static void invalidate_leaves(const struct addrspace_invalidation *range)
{
	uint64_t first = range->gpa & ~(range->stride - 1);
	uint64_t leaves = (range->gpa + range->size - first + range->stride - 1) / range->stride;

	for (uint64_t i = 0; i < leaves; i++) {
		uint64_t operand = (first + i * range->stride) >> 12;

		__asm__ volatile("tlbi ipas2e1is, %0" : : "r"(operand) : "memory");
	}
	/* Entries that combine both stages are not looked up by guest-physical address. */
	barrier("dsb ish\n\ttlbi vmalle1is");
}

void machine_invalidate(const struct addrspace_invalidation *range)
{
	barrier("dsb ishst");
	if (range->tables_changed || range->size / range->stride > MANY_LEAVES)
		barrier("tlbi vmalls12e1is");
	else
		invalidate_leaves(range);
	barrier("dsb ish\n\tisb");
}
