/* SPDX-License-Identifier: MIT */
/* EPT, with a pause before each access to an entry: see interleave.h. */
#include "switched_entry.h"

#define addrspace_ept           switched_ept
#define addrspace_ept_registers switched_ept_registers
#include "../../src/arch/x86_64/ept.c"
