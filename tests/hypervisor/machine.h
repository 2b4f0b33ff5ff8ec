/* SPDX-License-Identifier: MIT */
/* What each architecture gives the programs: console, exit, CPUs, features, root registers, TLB and
 * cache work, and a virtual CPU on each CPU. Host memory is mapped at its own address, so a pointer is
 * a host-physical address. */
#ifndef HYPERVISOR_MACHINE_H
#define HYPERVISOR_MACHINE_H

#include <addrspace/addrspace.h>

#include "machine_cpu.h" /* machine_relax(): in a loop that waits for another CPU */
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

/* ---- CPUs ---- */

/** The CPU that executes this: 0 is the one that the machine boots with, below MACHINE_CPUS. */
unsigned machine_this_cpu(void);
/** Starts another CPU, once: it calls entry, which does not return, on a stack of its own, with
 * translation and vectors as the first CPU has them. */
void machine_start_cpu(unsigned cpu, void (*entry)(void));

/* ---- the space ---- */

/** Layouts of the guest-physical space that this CPU is to be tried with: every width, number of
 * levels and start of the walk that format and machine have. The first is the demo's. */
unsigned machine_layout_count(void);
/** Fills format, widths, levels and what the CPU can do for one of them. */
void machine_configure(struct addrspace_config *config, unsigned layout);
/** In words: "40 bits, 3 levels, 2 root tables". Constant. */
const char *machine_layout_name(unsigned layout);
/** The first guest-physical address that a guest cannot name, or the machine gets wrong; at most
 * 1 << gpa_bits. */
uint64_t machine_gpa_limit(const struct addrspace_config *config);
/** Makes the space the one of this CPU's guest, and drops what its TLB held. On each CPU that enters. */
void machine_load_root(const struct addrspace *as);
/** Prints the register values for the space's root. */
void machine_describe_root(const struct addrspace *as);

void machine_prepare_frame(uint64_t hpa, uint64_t size);
/** The handler's hook; scope THIS_CPU leaves the other CPUs out. */
void machine_invalidate(const struct addrspace *as,
			const struct addrspace_invalidation *invalidation);

/* ---- the guest ---- */

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
	struct addrspace_fault_info fault;
	bool emulatable;       /**< The instruction is a single load or store of size bytes. */
	bool instruction_gone; /**< Not known: another CPU has taken its page away. Enter again. */
	unsigned size;
	uint64_t stored; /**< What a store stores: size bytes. */
	uint64_t number; /**< Hypercall. */
	uint64_t argument[3];
	uint64_t syndrome; /**< As the CPU reports it. */
};

struct vcpu;

/** Back to the state before the first instruction: entry and two arguments, the guest's translation
 * as the machine starts. A guest that stands at a fault is abandoned in this way. */
void vcpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t first, uint64_t second);
/** Runs the guest until it exits. */
void vcpu_run(struct vcpu *vcpu, struct vcpu_exit *exit);
uint64_t vcpu_program_counter(const struct vcpu *vcpu);
void vcpu_skip_instruction(struct vcpu *vcpu);
/** Completes an emulatable load as the instruction wants it extended, and skips it. */
void vcpu_complete_load(struct vcpu *vcpu, uint64_t value);
/** Ends the function that the guest was about to enter, returning value from it. */
void vcpu_return_from_call(struct vcpu *vcpu, uint64_t value);

/** The virtual CPU of a CPU: it is reset and run only there. */
struct vcpu *machine_vcpu(unsigned cpu);

#endif
