/* SPDX-License-Identifier: MIT */
/* TLB_CONTROL, offset 0x05c of the VMCB (AMD APM 2, 15.16.2; B.1). */
#include <addrspace/x86_64.h>

#define FLUSH_ALL_ASIDS  1
#define FLUSH_GUEST_ASID 3

uint8_t addrspace_npt_tlb_control(uint32_t cpu_features)
{
	return cpu_features & ADDRSPACE_CPU_FLUSH_BY_ASID ? FLUSH_GUEST_ASID : FLUSH_ALL_ASIDS;
}
