/* SPDX-License-Identifier: MIT */
/* Stage 2, with a pause before each access to an entry: see interleave.h. */
#include "switched_entry.h"

#define addrspace_stage2           switched_stage2
#define addrspace_stage2_registers switched_stage2_registers
#include "../../src/arch/aarch64/stage2.c"
