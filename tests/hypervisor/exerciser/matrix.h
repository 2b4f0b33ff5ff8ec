/* SPDX-License-Identifier: MIT */
#ifndef EXERCISER_MATRIX_H
#define EXERCISER_MATRIX_H

#include "space.h"

/** Every permission, access and leaf size, at the low, middle and highest addresses of the space. */
void matrix_run(struct space *space);
/** Each memory type, each backend. */
void kinds_run(struct space *space);

#endif
