/* SPDX-License-Identifier: MIT */
#define FLOORS         floors_stage2
#define PRESENT(entry) ((entry)&1)
#define TABLE_MASK     UINT64_C(3)
#define TABLE_BITS     UINT64_C(3)
#define ADDRESS(entry) ((entry)&UINT64_C(0x0000fffffffff000))
#define TABLE(hpa)     ((hpa) | 3)
#define LEAF(level)    (UINT64_C(0x7fd) | ((level) ? 0 : 2))
#define STEP(bytes)    (bytes)
#define WRITE          UINT64_C(0x80)

#include "floors_format.h"
