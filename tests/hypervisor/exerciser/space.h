/* SPDX-License-Identifier: MIT */
/* One guest-physical space with its guest in it, and the books about it. */
#ifndef EXERCISER_SPACE_H
#define EXERCISER_SPACE_H

#include <addrspace/addrspace.h>

#include "check.h"
#include "format_facts.h"
#include "guest_layout.h"
#include "handler.h"
#include "machine.h"

#define SIZE_4K UINT64_C(0x1000)
#define SIZE_2M UINT64_C(0x200000)
#define SIZE_1G UINT64_C(0x40000000)

#define R   ADDRSPACE_READ
#define W   ADDRSPACE_WRITE
#define X   ADDRSPACE_EXECUTE
#define RW  (R | W)
#define RX  (R | X)
#define RWX (R | W | X)

struct space {
	struct addrspace as;
	struct vm_memory memory;
	struct addrspace_config config;
	struct format_facts facts;
	uint64_t gpa_limit; /* the machine gets addresses below right */
	struct guest_mailbox *mailbox[MACHINE_CPUS];
	uint64_t *gib_table[MACHINE_CPUS]; /* of the guest's own translation */
	bool restart[MACHINE_CPUS];        /* the guest starts anew at the next entry */
	uint64_t exits;
	unsigned rounds;                   /* of what two CPUs do */
	struct addrspace_statistics empty; /* with nothing but the guest's image */
};

/** An empty space but for the guest's image, loaded on this CPU. Frames come in order, or scattered, so
 * that one that is given back is not the next one to be had. */
void space_create(struct space *space, unsigned layout, bool scattered,
		  struct vm_sabotage sabotage);
/** Checks that all is given back. */
void space_destroy(struct space *space);

/** Verifies tables and regions, and compares the books of pool, ledger and library: counts of now. No
 * other CPU may be at it. */
struct addrspace_statistics space_audit(struct space *space);
/** An audit that finds nothing but the guest's image. */
void space_check_empty(struct space *space);

/** Calls that must succeed: a check each. */
void space_map_linear(struct space *space, uint64_t gpa, uint64_t size, uint64_t hpa,
		      unsigned permissions, unsigned flags);
void space_map_alloc(struct space *space, uint64_t gpa, uint64_t size, unsigned permissions,
		     unsigned flags);
void space_unmap(struct space *space, uint64_t gpa, uint64_t size);
void space_protect(struct space *space, uint64_t gpa, uint64_t size, unsigned permissions);
void space_discard(struct space *space, uint64_t gpa, uint64_t size);
void space_check_ok(const char *call, int error);

/** The handler is asked for the outcome of the fault, which must be this one. */
void space_check_fault(struct space *space, const struct addrspace_fault_info *fault,
		       enum addrspace_fault outcome);
/** The host's view of a guest-physical address that has a frame. */
void *space_host(struct space *space, uint64_t gpa);
void *host_pointer(uint64_t hpa);
/** For addrspace_replace_frame(): contents go along. */
void space_copy_page(void *ctx, uint64_t old_hpa, uint64_t new_hpa);
/** A frame of the pool for a page to move to. */
uint64_t space_new_frame(uint64_t gpa);
/** How many invalidations there were since the last call. */
uint64_t space_new_invalidations(struct space *space);

bool space_has_leaf(const struct space *space, uint64_t size);
/** Tables that a leaf needs, but for those that the guest's image has on its way too. */
uint64_t space_tables_to(const struct space *space, uint64_t gpa, uint64_t leaf_size);

/** Low, middle and highest: the first address of a GiB that the machine gets right. The guest's own
 * GiB is none of them. */
#define SPACE_PLACES 3
uint64_t space_place(const struct space *space, unsigned place);

#endif
