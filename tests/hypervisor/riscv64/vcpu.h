/* SPDX-License-Identifier: MIT */
/* The virtual CPU's state; entry.S knows the offsets. */
#ifndef HYPERVISOR_RISCV64_VCPU_H
#define HYPERVISOR_RISCV64_VCPU_H

#define VCPU_PC      (32 * 8)
#define VCPU_SSTATUS (33 * 8)
#define VCPU_HSTATUS (34 * 8)
#define VCPU_SCAUSE  (35 * 8)
#define VCPU_STVAL   (36 * 8)
#define VCPU_HTVAL   (37 * 8)
#define VCPU_HTINST  (38 * 8)
#define VCPU_HOST_SP (39 * 8)
#define VCPU_HOST_TP (40 * 8)

#ifndef __ASSEMBLER__

#include <stddef.h>

#include "instruction.h"
#include "machine.h"

struct vcpu {
	uint64_t x[32]; /* x[0] is 0 */
	uint64_t pc;
	uint64_t sstatus;
	uint64_t hstatus;
	/* Of the last exit. */
	uint64_t scause;
	uint64_t stval;
	uint64_t htval;
	uint64_t htinst;
	uint64_t host_sp;
	uint64_t host_tp;
	struct memory_instruction instruction; /* that faulted */
};

_Static_assert(offsetof(struct vcpu, pc) == VCPU_PC, "entry.S");
_Static_assert(offsetof(struct vcpu, sstatus) == VCPU_SSTATUS, "entry.S");
_Static_assert(offsetof(struct vcpu, hstatus) == VCPU_HSTATUS, "entry.S");
_Static_assert(offsetof(struct vcpu, scause) == VCPU_SCAUSE, "entry.S");
_Static_assert(offsetof(struct vcpu, stval) == VCPU_STVAL, "entry.S");
_Static_assert(offsetof(struct vcpu, htval) == VCPU_HTVAL, "entry.S");
_Static_assert(offsetof(struct vcpu, htinst) == VCPU_HTINST, "entry.S");
_Static_assert(offsetof(struct vcpu, host_sp) == VCPU_HOST_SP, "entry.S");
_Static_assert(offsetof(struct vcpu, host_tp) == VCPU_HOST_TP, "entry.S");

/** Enters the guest and returns when it exits: scause and its companions are in vcpu. */
void vcpu_enter(struct vcpu *vcpu);

/** Loads or stores 8 bytes (HLV.D, HSV.D), or loads 2 bytes of code (HLVX.HU), at a guest-virtual address
 * as the guest would in VS mode. Returns 0, or the scause of the trap that this took. */
uint64_t guest_load_word(uint64_t va, uint64_t *value);
uint64_t guest_store_word(uint64_t va, uint64_t *value);
uint64_t guest_load_code(uint64_t va, uint64_t *value);

#endif
#endif
