/* SPDX-License-Identifier: MIT */
/* G-stage, with a pause before each access to an entry: see interleave.h. */
#include "switched_entry.h"

#define addrspace_gstage           switched_gstage
#define addrspace_gstage_registers switched_gstage_registers
#include "../../src/arch/riscv64/gstage.c"
