/* SPDX-License-Identifier: MIT */
/* EPT violations and misconfigurations (Intel SDM 3C, 28.2.1, table 28-7; appendix C). */
#include <addrspace/x86_64.h>

#define BASIC_REASON     UINT32_C(0xffff)
#define ENTRY_FAILED     (UINT32_C(1) << 31)
#define VIOLATION        48
#define MISCONFIGURATION 49

#define ACCESS       UINT64_C(7) /* read 0, write 1, fetch 2: as enum addrspace_permission */
#define ALLOWED      (UINT64_C(7) << 3)
#define LINEAR_VALID (UINT64_C(1) << 7)
#define FINAL_ACCESS (UINT64_C(1) << 8) /* meaningful only with LINEAR_VALID */

_Static_assert((int)ADDRSPACE_READ == 1 && (int)ADDRSPACE_WRITE == 2 && (int)ADDRSPACE_EXECUTE == 4,
	       "permissions are the low bits of a qualification");

int addrspace_ept_decode_fault(uint32_t exit_reason, uint64_t qualification, uint64_t gpa,
			       struct addrspace_fault_info *info)
{
	struct addrspace_fault_info fault = {.gpa = gpa, .cause = ADDRSPACE_CAUSE_MISCONFIGURED};

	if (!info)
		return ADDRSPACE_EINVAL;
	exit_reason &= BASIC_REASON | ENTRY_FAILED;
	if (exit_reason != VIOLATION && exit_reason != MISCONFIGURATION)
		return ADDRSPACE_ENOTSUP;
	/* A misconfiguration has no qualification. */
	if (exit_reason == VIOLATION) {
		fault.access = (unsigned)(qualification & ACCESS);
		fault.cause = qualification & ALLOWED ? ADDRSPACE_CAUSE_PERMISSION
						      : ADDRSPACE_CAUSE_NOT_PRESENT;
		fault.table_walk = (qualification & (LINEAR_VALID | FINAL_ACCESS)) == LINEAR_VALID;
	}
	*info = fault;
	return ADDRSPACE_DECODED;
}
