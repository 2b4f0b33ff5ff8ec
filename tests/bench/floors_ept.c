/* SPDX-License-Identifier: MIT */
#define FLOORS         floors_ept
#define PRESENT(entry) ((entry)&7)
#define TABLE_MASK     UINT64_C(0x87)
#define TABLE_BITS     UINT64_C(0x07)
#define ADDRESS(entry) ((entry)&UINT64_C(0x000ffffffffff000))
#define TABLE(hpa)     ((hpa) | 7)
#define LEAF(level)    (UINT64_C(0x37) | ((level) ? 0x80 : 0))
#define STEP(bytes)    (bytes)
#define WRITE          UINT64_C(2)

#include "floors_format.h"
