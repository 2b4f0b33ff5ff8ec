/* SPDX-License-Identifier: MIT */
#ifndef EXERCISER_TWO_CPUS_H
#define EXERCISER_TWO_CPUS_H

#include "space.h"

/** A guest stays on CPU 1 while CPU 0 changes what is under it. */
void shootdown_run(struct space *space);
/** Guests on both CPUs fault into the same lazy range at once. */
void races_run(struct space *space);

#endif
