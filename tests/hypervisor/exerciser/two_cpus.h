/* SPDX-License-Identifier: MIT */
#ifndef EXERCISER_TWO_CPUS_H
#define EXERCISER_TWO_CPUS_H

#include "space.h"

/** A guest stays on CPU 1 while CPU 0 changes what is under it. */
void shootdown_run(struct space *space);
/** Guests on both CPUs run while an unmap and a populate are made step by step. */
void jobs_run(struct space *space);
/** CPU 1 writes to clean pages while CPU 0 changes their entries: all are dirty then. */
void dirty_races_run(struct space *space);
/** A page moves by one store over its live entry: what must not be done, and must be seen. */
void in_place_run(struct space *space);
/** Guests on both CPUs fault into the same lazy range at once. */
void races_run(struct space *space);

#endif
