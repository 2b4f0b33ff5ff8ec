/* SPDX-License-Identifier: MIT */
#include "negative.h"

struct vm_sabotage negative_sabotage(enum negative negative)
{
	return (struct vm_sabotage){
		.no_invalidation =
			negative == NEGATIVE_INVALIDATION || negative == NEGATIVE_LOCAL_PART,
		.this_cpu_only = negative == NEGATIVE_REMOTE_PART,
		.not_zeroed = negative == NEGATIVE_ZEROING,
	};
}
