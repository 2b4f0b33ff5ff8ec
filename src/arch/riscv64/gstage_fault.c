/* SPDX-License-Identifier: MIT */
/* Guest-page faults (RISC-V Privileged, hypervisor extension: "Trap Cause Codes", "Transformed
 * Instruction or Pseudoinstruction for mtinst or htinst"). */
#include <addrspace/riscv64.h>

#define CAUSE_FETCH 20
#define CAUSE_LOAD  21
#define CAUSE_STORE 23

/* htinst of an access to the guest's own page table, where a 32-bit or 64-bit entry was read or
 * written. */
#define WALK_READ_32  0x2000
#define WALK_WRITE_32 0x2020
#define WALK_READ_64  0x3000
#define WALK_WRITE_64 0x3020

#define HTVAL_SHIFT 2
#define LOW_BITS    UINT64_C(3) /* what htval does not hold */

/** 0: no walk. */
static unsigned walk_access(uint64_t htinst)
{
	switch (htinst) {
	case WALK_READ_32:
	case WALK_READ_64:
		return ADDRSPACE_READ;
	case WALK_WRITE_32:
	case WALK_WRITE_64:
		return ADDRSPACE_WRITE;
	default:
		return 0;
	}
}

/** 0: no guest-page fault. Interrupts have bit 63 set. */
static unsigned explicit_access(uint64_t scause)
{
	switch (scause) {
	case CAUSE_FETCH:
		return ADDRSPACE_EXECUTE;
	case CAUSE_LOAD:
		return ADDRSPACE_READ;
	case CAUSE_STORE:
		return ADDRSPACE_WRITE;
	default:
		return 0;
	}
}

int addrspace_gstage_decode_fault(uint64_t scause, uint64_t htval, uint64_t stval, uint64_t htinst,
				  struct addrspace_fault_info *info)
{
	unsigned of_walk = walk_access(htinst);
	struct addrspace_fault_info fault = {.access = explicit_access(scause)};

	if (!info)
		return ADDRSPACE_EINVAL;
	if (!fault.access)
		return ADDRSPACE_ENOTSUP;
	if (of_walk) {
		/* Written only together with htval: here 0 is an address. */
		fault.access = of_walk;
		fault.table_walk = true;
		fault.gpa = htval << HTVAL_SHIFT;
	} else if (htval) {
		fault.gpa = htval << HTVAL_SHIFT | (stval & LOW_BITS);
	}
	*info = fault;
	return of_walk || htval ? ADDRSPACE_DECODED : ADDRSPACE_DECODE_NEEDS_WALK;
}
