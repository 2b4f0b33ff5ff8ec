/* SPDX-License-Identifier: MIT */
/* NPT, with a pause before each access to an entry: see interleave.h. */
#include "switched_entry.h"

#define addrspace_npt           switched_npt
#define addrspace_npt_registers switched_npt_registers
#include "../../src/arch/x86_64/npt.c"
