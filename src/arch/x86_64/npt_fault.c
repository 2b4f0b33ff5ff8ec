/* SPDX-License-Identifier: MIT */
/* Nested page faults, #VMEXIT(NPF) (AMD APM 2, 15.25.6). */
#include <addrspace/x86_64.h>

#define PRESENT       (UINT64_C(1) << 0)
#define WRITE         (UINT64_C(1) << 1)
#define RESERVED_BIT  (UINT64_C(1) << 3)
#define FETCH         (UINT64_C(1) << 4) /* reported only where NX works */
#define RMP_VIOLATION (UINT64_C(1) << 31)
#define TABLE_WALK    (UINT64_C(1) << 33)

/** The guest's own table walks count as writes whatever they do, so only a writable page serves. */
static unsigned fault_access(uint64_t exitinfo1)
{
	if (exitinfo1 & TABLE_WALK)
		return ADDRSPACE_READ | ADDRSPACE_WRITE;
	if (exitinfo1 & FETCH)
		return ADDRSPACE_EXECUTE;
	return exitinfo1 & WRITE ? ADDRSPACE_WRITE : ADDRSPACE_READ;
}

static enum addrspace_fault_cause fault_cause(uint64_t exitinfo1)
{
	if (exitinfo1 & RESERVED_BIT)
		return ADDRSPACE_CAUSE_MISCONFIGURED;
	return exitinfo1 & PRESENT ? ADDRSPACE_CAUSE_PERMISSION : ADDRSPACE_CAUSE_NOT_PRESENT;
}

int addrspace_npt_decode_fault(uint64_t exitinfo1, uint64_t exitinfo2,
			       struct addrspace_fault_info *info)
{
	if (!info)
		return ADDRSPACE_EINVAL;
	if (exitinfo1 & RMP_VIOLATION)
		return ADDRSPACE_ENOTSUP;
	*info = (struct addrspace_fault_info){
		.gpa = exitinfo2,
		.access = fault_access(exitinfo1),
		.table_walk = (exitinfo1 & TABLE_WALK) != 0,
		.cause = fault_cause(exitinfo1),
	};
	return ADDRSPACE_DECODED;
}
