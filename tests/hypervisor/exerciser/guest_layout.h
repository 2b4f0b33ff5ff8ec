/* SPDX-License-Identifier: MIT */
/* What the exerciser's guest and its hypervisor agree on: where things are in the guest-physical
 * space, and the mailbox through which the guest is told what to do. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

/* Hypercalls: number, then up to three arguments. */
#define HYPERCALL_DONE    1 /* the request of the mailbox is carried out */
#define HYPERCALL_CRASHED 3 /* the guest's own exception: syndrome, program counter, address */

#ifndef __ASSEMBLER__

#include <stdint.h>

#define GUEST_PAGE UINT64_C(0x1000)
#define GUEST_GIB  (UINT64_C(1) << 30)

/* All that the guest itself needs, populated and at its own virtual address. Its GiB holds nothing
 * else. */
#define GUEST_IMAGE        UINT64_C(0x40000000)
#define GUEST_IMAGE_SIZE   UINT64_C(0x40000)
#define GUEST_MAILBOX(cpu) (GUEST_IMAGE + 0x30000 + (cpu)*GUEST_PAGE)
/* Of each CPU: the tables of its own translation, from the root to the one with an entry for each
 * GiB. */
#define GUEST_TABLES(cpu) (GUEST_IMAGE + 0x38000 + (cpu)*UINT64_C(0x4000))

/* Virtual GiBs, by number, through which the guest reaches what the hypervisor points them at: in the
 * lower half of 39-bit virtual addresses, which Sv39 sign-extends. */
#define GUEST_FIRST_WINDOW 128
#define GUEST_WINDOWS      8

enum guest_operation {
	GUEST_NOTHING,
	GUEST_READ,    /* result = *address, size bytes */
	GUEST_WRITE,   /* *address = value, size bytes */
	GUEST_EXECUTE, /* result = address() */
	GUEST_ATOMIC,  /* result = *address, *address += value, 8 bytes, as one */
	/* At repeat addresses, stride apart: as GUEST_ATOMIC; result counts those that were 0. */
	GUEST_ATOMIC_EACH,
	/* The same, but step n begins when pace is above n, and delay turns of an empty loop later; turns
	 * counts the steps that are complete. */
	GUEST_ATOMIC_PACED,
	/* Until told to stop, without exits of their own; turns counts those that are complete. */
	GUEST_LOOP_READ,      /* result = *address */
	GUEST_LOOP_WRITE,     /* *address = number of the turn */
	GUEST_LOOP_INCREMENT, /* *address += 1 */
};

/** One page for each virtual CPU. The hypervisor writes while the guest does nothing, but for pace,
 * delay and stop. */
struct guest_mailbox {
	uint32_t operation;
	uint32_t size;
	uint64_t address; /* virtual */
	uint64_t value;
	uint64_t stride;
	uint64_t repeat;
	uint64_t pace;
	uint64_t delay;
	uint32_t flush; /* drop what the TLB holds of the guest's own translation first */
	uint32_t stop;
	uint64_t result;
	uint64_t turns;
};

#endif
#endif
