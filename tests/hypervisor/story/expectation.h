/* SPDX-License-Identifier: MIT */
/* The faults that a step must show, in order: nothing else may happen, and all of it must. */
#ifndef HYPERVISOR_EXPECTATION_H
#define HYPERVISOR_EXPECTATION_H

#include <addrspace/addrspace.h>

#include "machine.h"

struct expectation {
	uint64_t gpa;    /**< Of the first of them. */
	uint64_t stride; /**< From one to the next. */
	unsigned count;  /**< 0 ends the list. */
	unsigned access;
	enum addrspace_fault outcome;
	bool table_walk;
};

struct expectation_progress {
	const struct expectation *next;
	unsigned seen; /* of *next */
};

void expectation_start(struct expectation_progress *progress, const struct expectation *list);
/** Fails unless this fault is the next one. */
void expectation_meet(struct expectation_progress *progress, const struct vcpu_exit *exit,
		      int outcome);
/** Fails if a fault is missing. */
void expectation_end(const struct expectation_progress *progress);

#endif
