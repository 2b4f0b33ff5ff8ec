/* SPDX-License-Identifier: MIT */
/* The Linux guest's RAM: most of it lazy, a part of host memory in large leaves, a part populated from the
 * start; what it boots from is copied in by the hypervisor's own faults. */
#ifndef LINUX_RAM_H
#define LINUX_RAM_H

#include <addrspace/addrspace.h>

#include "linux_layout.h"

/* Both in leaves of 2 MiB, where Linux finds its first free memory and uses all of it. */
#define RAM_LINEAR_GPA     (LINUX_RAM_GPA + UINT64_C(0x4000000))
#define RAM_PART_SIZE      UINT64_C(0x1000000)
#define RAM_POPULATED_GPA  (RAM_LINEAR_GPA + RAM_PART_SIZE)
#define RAM_LARGE_LEAF     UINT64_C(0x200000)
#define RAM_ANY_PERMISSION (ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE)

/** Ends the machine with FAIL if a call of the library did not return 0. */
#define require(call) require_ok((call), #call)
void require_ok(int error, const char *call);

/** Makes the regions, of lazy memory in runs up to largest, and copies kernel, devicetree and initramfs to where Linux looks for them. */
void ram_create(struct addrspace *as, enum addrspace_leaf largest);
/** Maps [gpa, gpa + size) of the linear part as at the start, whatever its leaves are now. */
int ram_map_linear(struct addrspace *as, uint64_t gpa, uint64_t size, unsigned flags);
bool ram_is_linear(uint64_t gpa);
bool ram_contains(uint64_t gpa);

#endif
