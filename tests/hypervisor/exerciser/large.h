/* SPDX-License-Identifier: MIT */
#ifndef EXERCISER_LARGE_H
#define EXERCISER_LARGE_H

#include "space.h"

/** Lazy memory by more than a page at a time: runs of frames and what comes where there are none, pages
 * around a fault, before it, and pages only where memory is executable. */
void large_run(struct space *space);

#endif
