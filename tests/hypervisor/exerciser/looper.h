/* SPDX-License-Identifier: MIT */
/* A guest on CPU 1 that stays inside in a loop, or goes through a range, while CPU 0 changes what is
 * under it. Its faults are answered there, by its own hypervisor. */
#ifndef EXERCISER_LOOPER_H
#define EXERCISER_LOOPER_H

#include "subject.h"

#define FAULT_OUTCOMES (ADDRSPACE_FAULT_EMULATE + 1)

struct looper {
	struct space *space;
	struct request request;
	bool retries_denied;    /* what is denied will be allowed again */
	struct looper *partner; /* faults at an address only when this one is as far; or NULL */
	unsigned outcomes[FAULT_OUTCOMES]; /* how often each, by enum addrspace_fault */
	unsigned errors;                   /* of the fault call */
	int waits_with;                    /* the outcome that it cannot go on with, or -1 */
	uint64_t at;                       /* where it has come to: UINT64_MAX at the end */
	uint64_t result;                   /* once it has ended */
};

/** CPU 1 begins; returns once a loop has made its first turns. */
void looper_start(struct looper *looper);
/** Until the loop has made some more turns, all of which began after the call; false if it stands at a
 * fault instead. */
bool looper_turns(struct looper *looper);
/** The loop stands at a fault with this outcome, and no access has succeeded in between. */
void looper_check_stopped(struct looper *looper, enum addrspace_fault outcome);
/** The fault's cause is gone: enters again. */
void looper_resume(struct looper *looper);
/** Ends the loop. Returns how many turns it has made. */
uint64_t looper_end(struct looper *looper);
/** Goes through the request on this CPU in the same way; it must not be a loop. */
void looper_run_here(struct looper *looper);

uint64_t looper_result(const struct looper *looper);

#endif
