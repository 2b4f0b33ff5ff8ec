/* SPDX-License-Identifier: MIT */
/* G-stage (RISC-V Privileged: "Addressing and Memory Protection" of Sv39, Svpbmt, and the hypervisor
 * extension's "Guest Physical Address Translation"). */
#include "format_facts.h"

#include "registers.h"
#include "vcpu.h"

/* Without fences: from and to Bare a new vsatp takes effect at once (RISC-V Privileged, satp), and they
 * would hide what the G-stage's fences have left behind. HLVX is no part of it: QEMU 7.2 checks it as a
 * load. */
static bool touch(uint64_t gpa, enum addrspace_permission access, uint64_t *value)
{
	uint64_t vsatp = read_csr(CSR_VSATP);
	uint64_t trap;

	write_csr(CSR_VSATP, 0);
	trap = access == ADDRSPACE_WRITE ? guest_store_word(gpa, value)
					 : guest_load_word(gpa, value);
	write_csr(CSR_VSATP, vsatp);
	return !trap;
}

struct format_facts format_facts(const struct addrspace_config *config)
{
	bool svpbmt = config->cpu.features & ADDRSPACE_CPU_SVPBMT;

	return (struct format_facts){
		/* W without R is reserved. */
		.refused_permissions = PERMISSION_SET(ADDRSPACE_WRITE) |
				       PERMISSION_SET(ADDRSPACE_WRITE | ADDRSPACE_EXECUTE),
		.memory_types = 1 << ADDRSPACE_WRITE_BACK | 1 << ADDRSPACE_DEVICE |
				(svpbmt ? 1 << ADDRSPACE_NON_CACHEABLE : 0),
		.untold_types = svpbmt ? 0 : 1 << ADDRSPACE_DEVICE,
		/* A page number of 44 bits in the guest's own entries. */
		.nameable_bits = 56,
		.address_bits = UINT64_C(0x003ffffffffffc00),
		.address_shift = 2,
		.tells_cause = false,
		.touch = touch,
	};
}
