/* SPDX-License-Identifier: MIT */
/* Negative controls: the same checks on a hypervisor that leaves one of its duties out. They must fail,
 * or the checks see nothing. machine_mode() says which; ../negatives tells the machines that show it. */
#ifndef EXERCISER_NEGATIVE_H
#define EXERCISER_NEGATIVE_H

#include "handler.h"

enum negative {
	NEGATIVE_NONE = 0,
	NEGATIVE_INVALIDATION = 1, /* left out */
	NEGATIVE_REMOTE_PART = 2,  /* of the invalidation, left out */
	NEGATIVE_BREAK = 3,        /* before a page's new frame is made: left out */
	NEGATIVE_ZEROING = 4,      /* of fresh frames, left out */
	NEGATIVE_LOCAL_PART =
		5, /* of the invalidation: one CPU is all there is, and it is left out */
};

struct vm_sabotage negative_sabotage(enum negative negative);

#endif
