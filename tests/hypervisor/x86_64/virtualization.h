/* SPDX-License-Identifier: MIT */
/* What a vendor's virtualisation provides: Intel's VMX with EPT, AMD's SVM with NPT. Each function
 * works on the CPU that calls it. */
#ifndef HYPERVISOR_X86_64_VIRTUALIZATION_H
#define HYPERVISOR_X86_64_VIRTUALIZATION_H

#include "vcpu.h"

struct layout {
	const char *name;
	uint8_t gpa_bits;
	uint8_t levels;
	uint32_t without; /**< Features of the CPU that are not to be used. */
};

struct virtualization {
	const struct addrspace_format *format;
	const struct layout *layouts;
	unsigned layout_count;
	/** What the guest's hypercall instruction is: see GUEST_VMCALL. */
	uint32_t hypercall;
	/** Whether this CPU has it. */
	bool (*present)(void);
	/** Turns it on; once. */
	void (*start)(void);
	void (*describe)(void);
	void (*identify)(struct addrspace_cpu *cpu);
	/** What the format needs beyond that; may be NULL. */
	void (*configure)(struct addrspace_config *config);
	void (*describe_root)(const struct addrspace *as);
	/** The guest's next entry uses the space, and nothing that this CPU has cached before. */
	void (*load_root)(const struct addrspace *as);
	/** Makes the guest's next entry use nothing that this CPU has cached of the space. */
	void (*flush)(const struct addrspace *as);
	/** The guest is where guest_entry.h says it begins; vcpu has its registers. */
	void (*reset)(struct vcpu *vcpu);
	/**
	 * Runs the guest until it exits: FAULT with the fault decoded, HYPERCALL with the program
	 * counter behind the instruction, RETRY after a kick, UNEXPECTED. The syndrome always.
	 */
	void (*run)(struct vcpu *vcpu, struct vcpu_exit *exit);
};

extern const struct virtualization vmx;
extern const struct virtualization svm;

/** What this machine has; fails if it has none. */
const struct virtualization *virtualization(void);

#endif
