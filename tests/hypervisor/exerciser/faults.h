/* SPDX-License-Identifier: MIT */
#ifndef EXERCISER_FAULTS_H
#define EXERCISER_FAULTS_H

#include "space.h"

/** Lazy memory in order and at random, faults that come twice, and every other outcome. */
void faults_run(struct space *space);
/** Faults that the CPU takes while it walks the guest's own tables, which are evicted meanwhile. */
void walks_run(struct space *space);

#endif
