/* SPDX-License-Identifier: MIT */
/* The one VM: its space, its memory, its device, and what the story keeps about it. */
#ifndef HYPERVISOR_VM_H
#define HYPERVISOR_VM_H

#include <addrspace/addrspace.h>

#include "device.h"
#include "expectation.h"
#include "handler.h"

struct vm {
	struct addrspace as;
	struct vm_memory memory;
	struct device device;
	struct expectation_progress progress;
	struct addrspace_statistics statistics; /* at the end of the last step */
	uint64_t salt;
	uint64_t moved_from;
	bool hardware_ad;
};

/** Ends the machine with FAIL if a call of the library did not return 0. */
#define require(call) require_ok((call), #call)
void require_ok(int error, const char *call);

/** Where the page of a guest-physical address is in the host; fails if it is nowhere. */
uint64_t vm_host_address(struct vm *vm, uint64_t gpa);
/** Counts, verifies and compares the books: statistics of now. */
struct addrspace_statistics vm_audit(struct vm *vm);
/** Describes the guest's memory and loads its image. */
void vm_create(struct vm *vm, unsigned layout);
/** Answers one fault of the guest. */
void vm_handle_fault(struct vm *vm, const struct vcpu_exit *exit);
/** Destroys the space and checks that every frame is back. */
void vm_destroy(struct vm *vm);

extern const char *const vm_region_names[];
/** Of the guest's lazy memory. */
extern const struct addrspace_attributes vm_lazy_attributes;

#endif
