/* SPDX-License-Identifier: MIT */
/* The hostile format, with a pause before each access to an entry: see interleave.h. */
#include "switched_entry.h"

#define addrspace_hostile switched_hostile
#include "hostile_format.c"
