/* SPDX-License-Identifier: MIT */
#ifndef EXERCISER_TRAPS_H
#define EXERCISER_TRAPS_H

#include "space.h"

/** Devices that are emulated: every size of access, offsets, cookies, cuts. */
void traps_run(struct space *space);

#endif
