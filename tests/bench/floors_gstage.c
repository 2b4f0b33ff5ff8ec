/* SPDX-License-Identifier: MIT */
#define FLOORS         floors_gstage
#define PRESENT(entry) ((entry)&1)
#define TABLE_MASK     UINT64_C(0xf)
#define TABLE_BITS     UINT64_C(1)
#define ADDRESS(entry) (((entry)&UINT64_C(0x003ffffffffffc00)) << 2)
#define TABLE(hpa)     ((hpa) >> 2 | 1)
#define LEAF(level)    ((void)(level), UINT64_C(0xdf))
#define STEP(bytes)    ((bytes) >> 2)
#define WRITE          UINT64_C(4)

#include "floors_format.h"
