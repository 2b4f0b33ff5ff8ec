/* SPDX-License-Identifier: MIT */
/* The space of this CPU's guest, and the flushes that it owes. */
#ifndef HYPERVISOR_X86_64_SPACE_H
#define HYPERVISOR_X86_64_SPACE_H

#include <addrspace/addrspace.h>

void space_start(void);
/** The one that machine_load_root() was given on this CPU. */
struct addrspace *space_here(void);
/** Right before the guest is entered, and right after it has exited. */
void space_enter(void);
void space_leave(void);

#endif
