/* SPDX-License-Identifier: MIT */
/* The root registers; the cache and TLB work that stage 2 needs is the library's. */
#include <addrspace/aarch64.h>

#include "machine.h"
#include "print.h"
#include "registers.h"

/* RW: the guest is AArch64. SWIO: its set/way invalidations clean too. TSC: SMC is ours. */
#define HCR_BASE (UINT64_C(1) << 31 | UINT64_C(1) << 1 | UINT64_C(1) << 19)
#define VMID_8   0xa5u
#define VMID_16  0x1a5u
#define DAIF_F   (UINT64_C(1) << 6) /* FIQs are masked; nothing here sends any */

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

static unsigned vmid_of(const struct addrspace *as)
{
	return (unsigned)(registers_of(as).vttbr_el2 >> 48);
}

/** A virtual CPU comes to this CPU. The library puts the space in place of what is loaded, which is
 * another or none, and must give that back. */
static void move_here(const struct addrspace *as)
{
	uint64_t vttbr = read_register(vttbr_el2);
	uint64_t vtcr = read_register(vtcr_el2);
	uint64_t hcr = read_register(hcr_el2);
	uint64_t masked = read_register(daif);
	uint64_t unmasked = masked & ~DAIF_F;
	int error;

	write_register(daif, unmasked);
	error = addrspace_stage2_vcpu_moved(as, vmid_of(as));
	if (error)
		fail("addrspace_stage2_vcpu_moved: %s", addrspace_error_name(error));
	if (read_register(vttbr_el2) != vttbr || read_register(vtcr_el2) != vtcr ||
	    read_register(hcr_el2) != hcr || read_register(daif) != unmasked)
		fail("addrspace_stage2_vcpu_moved has left other registers behind");
	write_register(daif, masked);
}

void machine_load_root(const struct addrspace *as)
{
	struct addrspace_stage2_registers registers = registers_of(as);

	move_here(as);
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

void machine_prepare_frame(uint64_t hpa, uint64_t size)
{
	bool fwb = register_field(read_register(hcr_el2), 46, 1);

	addrspace_stage2_prepare_frame((const void *)(uintptr_t)hpa, size,
				       fwb ? ADDRSPACE_CPU_FWB : 0);
}

void machine_invalidate(const struct addrspace *as, const struct addrspace_invalidation *range)
{
	int error = addrspace_stage2_invalidate(as, vmid_of(as), range);

	if (error)
		fail("addrspace_stage2_invalidate: %s", addrspace_error_name(error));
}
