/* SPDX-License-Identifier: MIT */
/* What each architecture gives the programs: console, exit, features, root registers, TLB and cache
 * work, and a virtual CPU. Host memory is mapped at its own address, so a pointer is a
 * host-physical address. */
#ifndef HYPERVISOR_MACHINE_H
#define HYPERVISOR_MACHINE_H

#include <addrspace/addrspace.h>

#include "machine_layout.h"

#define MODE_MAGIC 0x6d6f6465u /* "mode" */

/** The program: the architecture calls it once the machine is ready. */
_Noreturn void program_run(void);

/** What the one who booted the machine asks for, a number that each program has its own meanings of;
 * 0 unless something was asked. */
uint32_t machine_mode(void);
void machine_put_char(char character);
_Noreturn void machine_exit(int status);
uint64_t machine_microseconds(void);
/** Prints what the CPU can do. */
void machine_describe(void);

/** Layouts of the guest-physical space that this CPU is to be tried with; at least one. */
unsigned machine_layout_count(void);
/** Fills format, widths, levels and features for one of them. */
void machine_configure(struct addrspace_config *config, unsigned layout);
/** Makes the space the guest's one, prints the register values, and drops what TLBs held. */
void machine_load_root(const struct addrspace *as);

void machine_prepare_frame(uint64_t hpa, uint64_t size);
void machine_invalidate(const struct addrspace_invalidation *invalidation);

/** The guest's image as the boot loader left it. */
const void *machine_guest_image(uint64_t *size);

enum vcpu_exit_kind {
	VCPU_EXIT_FAULT,      /**< A nested page fault. */
	VCPU_EXIT_HYPERCALL,  /**< The guest asks for something. */
	VCPU_EXIT_RETRY,      /**< The fault's address is gone: enter again. */
	VCPU_EXIT_UNEXPECTED, /**< Anything else. */
};

struct vcpu_exit {
	enum vcpu_exit_kind kind;
	uint64_t gpa;
	unsigned access; /**< A set of enum addrspace_permission. */
	bool table_walk; /**< By the guest's own page-table walk. */
	bool emulatable; /**< The instruction is a single load or store of size bytes. */
	unsigned size;
	uint64_t stored; /**< What a store stores: size bytes. */
	uint64_t number; /**< Hypercall. */
	uint64_t argument[3];
	uint64_t syndrome; /**< As the CPU reports it. */
};

struct vcpu;

/** Back to the state before the first instruction: entry and two arguments. */
void vcpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t first, uint64_t second);
/** Runs the guest until it exits. */
void vcpu_run(struct vcpu *vcpu, struct vcpu_exit *exit);
uint64_t vcpu_program_counter(const struct vcpu *vcpu);
void vcpu_skip_instruction(struct vcpu *vcpu);
/** Completes an emulatable load as the instruction wants it extended, and skips it. */
void vcpu_complete_load(struct vcpu *vcpu, uint64_t value);
/** Ends the function that the guest was about to enter, returning value from it. */
void vcpu_return_from_call(struct vcpu *vcpu, uint64_t value);

/** The one virtual CPU. */
extern struct vcpu machine_vcpu;

#endif
