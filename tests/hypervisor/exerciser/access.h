/* SPDX-License-Identifier: MIT */
/* One access of the guest, held against what it must come to: it went through with the right value at
 * the right byte of the host, or it faulted as it must. */
#ifndef EXERCISER_ACCESS_H
#define EXERCISER_ACCESS_H

#include "space.h"
#include "subject.h"

enum access_kind {
	ACCESS_READ,
	ACCESS_WRITE,
	ACCESS_EXECUTE,
	ACCESS_ATOMIC,
	ACCESS_KINDS
};

struct access {
	enum access_kind kind;
	unsigned size; /* bytes; of reads and writes */
	uint64_t gpa;
};

const char *access_name(enum access_kind kind);
/** The permissions that it needs: a set of enum addrspace_permission. */
unsigned access_needs(enum access_kind kind);

/** The guest does it, and it must go through; host is where its bytes are. */
void access_goes_through(struct space *space, const struct access *access, void *host);
/** The guest does it, and must fault; the leaf has these permissions. It is abandoned. */
void access_faults(struct space *space, const struct access *access, unsigned permissions);
/** The same without the guest, where the hypervisor can. */
void access_check_touch(struct space *space, const struct access *access, void *host,
			unsigned permissions);
/** All of this, by the permissions; what the library says of it must be the same. */
void access_is_as_predicted(struct space *space, const struct access *access, void *host,
			    unsigned permissions);
/** The fault is the one that the access must cause. */
void access_check_fault(struct space *space, const struct access *access,
			const struct addrspace_fault_info *fault, unsigned permissions);

#endif
