/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_SRC_LOCK_H
#define ADDRSPACE_SRC_LOCK_H

#include <addrspace/addrspace.h>

#include "compiler.h"

static inline void lock_shared(const struct addrspace *as)
{
	if (as->handler->lock_shared)
		as->handler->lock_shared(as->handler_ctx);
}

static inline void unlock_shared(const struct addrspace *as)
{
	if (as->handler->unlock_shared)
		as->handler->unlock_shared(as->handler_ctx);
}

static inline void lock_exclusive(const struct addrspace *as)
{
	if (as->handler->lock_exclusive)
		as->handler->lock_exclusive(as->handler_ctx);
}

static inline void unlock_exclusive(const struct addrspace *as)
{
	if (as->handler->unlock_exclusive)
		as->handler->unlock_exclusive(as->handler_ctx);
}

#endif
