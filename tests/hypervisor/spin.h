/* SPDX-License-Identifier: MIT */
/* Waiting for another CPU, with an end: a machine that hangs tells where. */
#ifndef HYPERVISOR_SPIN_H
#define HYPERVISOR_SPIN_H

#include <stdbool.h>
#include <stdint.h>

struct spin_lock {
	int held;
};

/** One turn of a loop that waits; fails when the loop has turned for SPIN_SECONDS. turns starts at 0. */
void spin(uint64_t *turns, const char *what);
#define SPIN_SECONDS 20

bool spin_try_lock(struct spin_lock *lock);
void spin_lock(struct spin_lock *lock);
void spin_unlock(struct spin_lock *lock);

#endif
