/* SPDX-License-Identifier: MIT */
#ifndef EXERCISER_DIRTY_H
#define EXERCISER_DIRTY_H

#include "space.h"

/** Accessed and dirty are what hardware saw, and stay it when a page is protected or its leaf cut. */
void dirty_run(struct space *space);

#endif
