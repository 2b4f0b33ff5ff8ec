/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_SRC_FAULT_H
#define ADDRSPACE_SRC_FAULT_H

#include <addrspace/addrspace.h>

/**
 * addrspace_handle_fault() for a page inside the space, under the caller's shared lock; but what
 * allocating answers comes as that error, although another CPU may have brought the page meanwhile.
 * access 0: no permission is asked for; where the region has none the frame comes, to be reached by
 * nobody, and the answer may be ADDRSPACE_FAULT_CONFIGURATION if another CPU was faster.
 */
int addrspace_fault_locked(struct addrspace *as, uint64_t page, unsigned access);

#endif
