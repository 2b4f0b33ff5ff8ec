/* SPDX-License-Identifier: MIT */
/* The virtual CPU's state; entry.S knows the offsets. */
#ifndef HYPERVISOR_AARCH64_VCPU_H
#define HYPERVISOR_AARCH64_VCPU_H

#define VCPU_PC      (31 * 8)
#define VCPU_PSTATE  (32 * 8)
#define VCPU_HOST_SP (33 * 8)

/* What vcpu_enter() returns: which of the vectors the guest came out of. */
#define GUEST_SYNCHRONOUS 0
#define GUEST_OTHER       1

#ifndef __ASSEMBLER__

#include <stddef.h>

#include "machine.h"

struct vcpu {
	uint64_t x[31];
	uint64_t pc;
	uint64_t pstate;
	uint64_t host_sp;
};

_Static_assert(offsetof(struct vcpu, pc) == VCPU_PC, "entry.S");
_Static_assert(offsetof(struct vcpu, pstate) == VCPU_PSTATE, "entry.S");
_Static_assert(offsetof(struct vcpu, host_sp) == VCPU_HOST_SP, "entry.S");

/** Enters the guest and returns when it exits. */
unsigned vcpu_enter(struct vcpu *vcpu);

#endif
#endif
