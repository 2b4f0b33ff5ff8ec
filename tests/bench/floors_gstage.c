/* SPDX-License-Identifier: MIT */
#define FLOORS         floors_gstage
#define PRESENT(entry) ((entry)&1)
#define IS_LEAF(entry) ((entry)&0xe)
#define ADDRESS(entry) (((entry)&UINT64_C(0x003ffffffffffc00)) << 2)
#define TABLE(hpa)     ((hpa) >> 2 | 1)
#define LEAF(level)    ((void)(level), UINT64_C(0xdf))
#define STEP(bytes)    ((bytes) >> 2)
#define WRITE          UINT64_C(4)

#include "floors_format.h"
