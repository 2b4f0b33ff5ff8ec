/* SPDX-License-Identifier: MIT */
/* The virtual CPU's state, whichever vendor's virtualisation runs it. */
#ifndef HYPERVISOR_X86_64_VCPU_H
#define HYPERVISOR_X86_64_VCPU_H

/* By their numbers in instructions. */
#define VCPU_RAX 0
#define VCPU_RCX 1
#define VCPU_RDX 2
#define VCPU_RBX 3
#define VCPU_RSP 4
#define VCPU_RBP 5
#define VCPU_RSI 6
#define VCPU_RDI 7

#include "instruction.h"
#include "machine.h"

struct vcpu {
	/** rsp is right only between two runs. */
	uint64_t registers[16];
	uint64_t rip;
	/** The one that faulted, if the exit was emulatable. */
	struct instruction instruction;
};

#endif
