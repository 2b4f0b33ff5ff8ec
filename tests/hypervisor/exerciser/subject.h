/* SPDX-License-Identifier: MIT */
/* The guest on one CPU, as the hypervisor drives it: one request at a time, until it is carried out or
 * faults. Of each CPU's guest only on that CPU. */
#ifndef EXERCISER_SUBJECT_H
#define EXERCISER_SUBJECT_H

#include "space.h"

struct request {
	enum guest_operation operation;
	unsigned size; /* of GUEST_READ and GUEST_WRITE */
	uint64_t gpa;
	uint64_t value;
	uint64_t stride;
	uint64_t repeat;
};

struct answer {
	bool done;
	uint64_t result;                   /* if done */
	struct addrspace_fault_info fault; /* if not; and then: */
	bool emulatable; /* it is a load or a store of size bytes, of which stored is the value */
	unsigned size;
	uint64_t stored;
};

/** Enters with a request. */
struct answer subject_try(struct space *space, const struct request *request);
/** Enters again after a fault. */
struct answer subject_again(struct space *space);
/** The guest shall never mind what it stands at. */
void subject_abandon(struct space *space);

/** A request all of whose faults are handed to the library, and must be resolved: counts in *resolved
 * and *already (either may be NULL). */
uint64_t subject_do(struct space *space, const struct request *request, unsigned *resolved,
		    unsigned *already);

/** Points the slot of the guest's own translation at tables of its own: an entry for the GiB. */
void subject_set_window(struct space *space, unsigned cpu, unsigned slot, uint64_t entry);
/** Where the guest reaches the address. */
uint64_t subject_virtual(struct space *space, unsigned cpu, uint64_t gpa);
/** A request at an address of the guest's own: one of a window that was set. */
struct answer subject_try_virtual(struct space *space, const struct request *request,
				  uint64_t address);

#endif
