/* SPDX-License-Identifier: MIT */
#define FLOORS         floors_npt
#define PRESENT(entry) ((entry)&1)
#define TABLE_MASK     UINT64_C(0x81)
#define TABLE_BITS     UINT64_C(0x01)
#define ADDRESS(entry) ((entry)&UINT64_C(0x000ffffffffff000))
#define TABLE(hpa)     ((hpa) | 0x27)
#define LEAF(level)    (UINT64_C(0x67) | ((level) ? 0x80 : 0))
#define STEP(bytes)    (bytes)
#define WRITE          UINT64_C(2)

#include "floors_format.h"
