/* SPDX-License-Identifier: MIT */
#ifndef EXERCISER_CHANGES_H
#define EXERCISER_CHANGES_H

#include "space.h"

/** One page changes, at the first, a middle and the last place of every kind of leaf, between two
 * accesses of a guest whose TLB knows it; and large leaves come back. */
void changes_run(struct space *space);
/** Ranges change that begin and end inside large leaves, and cover others whole. */
void ranges_run(struct space *space);

#endif
