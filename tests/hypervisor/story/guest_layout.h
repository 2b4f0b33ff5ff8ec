/* SPDX-License-Identifier: MIT */
/* What the guest and the hypervisor agree on: where things are in the guest-physical space, and
 * the hypercalls. All fits in GUEST_BITS. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

/* Hypercalls: number, then up to three arguments. */
#define HYPERCALL_STEP_DONE 1 /* which step: the guest is through with it */
#define HYPERCALL_FAILED    2 /* line in guest.c, value seen, value wanted */
#define HYPERCALL_CRASHED   3 /* the guest's own exception: syndrome, program counter, address */
#define HYPERCALL_SPEAKS    4 /* the guest is about to use its console */

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stdint.h>

#define GUEST_BITS 34
#define GUEST_PAGE UINT64_C(0x1000)

#define GUEST_LENT_DEVICE UINT64_C(0x09000000) /* one of the machine's: see guest_console.h */
#define GUEST_DEVICE      UINT64_C(0x0a000000) /* no region: emulated */
#define GUEST_EAGER       UINT64_C(0x40000000) /* the guest's image and stack */
#define GUEST_EAGER_SIZE  UINT64_C(0x00200000)
#define GUEST_LAZY        UINT64_C(0x40200000)
#define GUEST_LAZY_SIZE   UINT64_C(0x03e00000)
#define GUEST_GUARD       UINT64_C(0x44000000) /* a region without permissions */
#define GUEST_GUARD_SIZE  UINT64_C(0x00010000)
#define GUEST_ROM         UINT64_C(0x50000000)
#define GUEST_ROM_SIZE    UINT64_C(0x00010000)
#define GUEST_HUGE        UINT64_C(0x100000000) /* lazy, and almost never touched */
#define GUEST_HUGE_SIZE   UINT64_C(0x100000000)
#define GUEST_BLOCK       UINT64_C(0x200000000) /* one leaf */
#define GUEST_BLOCK_SIZE  UINT64_C(0x40000000)
#define GUEST_NOWHERE     UINT64_C(0x60000000) /* no region, no device */

/* In the lazy memory. */
#define GUEST_ALIAS_TABLE GUEST_LAZY
#define GUEST_PAGES       UINT64_C(0x40400000)
#define GUEST_PAGE_COUNT  64
#define GUEST_CODE        UINT64_C(0x40600000)
#define GUEST_LATE        UINT64_C(0x43fff000) /* faults when memory has run out */
/* The guest's second virtual view of GUEST_PAGES. */
#define GUEST_ALIAS UINT64_C(0x1000000000)

/* What the steps do to single pages of GUEST_PAGES, by number. */
#define PAGE_UNMAPPED       8
#define PAGE_UNMAPPED_COUNT 8
#define PAGE_PROTECTED      20
#define PAGE_MOVED          30
#define PAGE_EVICTED        40

/* In the block. */
#define BLOCK_LEAF           UINT64_C(0x200000)
#define BLOCK_PROBE          UINT64_C(0x4000000) /* from one word that is checked to the next */
#define BLOCK_PROTECTED      (GUEST_BLOCK + UINT64_C(0x20000000))
#define BLOCK_PROTECTED_PAGE (BLOCK_PROTECTED + 100 * GUEST_PAGE)
#define BLOCK_UNMAPPED_PAGE  (GUEST_BLOCK + UINT64_C(0x30000000) + 7 * GUEST_PAGE)

/* Registers of the emulated device. */
#define DEVICE_ID       0x00 /* 32 bits, constant */
#define DEVICE_SCRATCH  0x08 /* holds what was stored */
#define DEVICE_READS    0x10 /* counts its own reads */
#define DEVICE_ID_VALUE 0x5ca1ab1eu
/* What a load from an address without a device gives. */
#define BUS_FLOATS UINT64_MAX

/* The guest's second argument: this, if it is not to speak, and the salt. */
#define GUEST_QUIET (UINT64_C(1) << 32)

/* What the guest writes to, and expects at, an address. */
static inline uint64_t guest_pattern(uint64_t gpa, uint64_t salt)
{
	return (gpa ^ salt << 48) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static inline uint64_t rom_pattern(uint64_t gpa)
{
	return gpa * UINT64_C(0xd1342543de82ef95) | 1;
}

#define GUEST_CODE_RESULT  42
#define GUEST_CALL_REFUSED 7

/* The guest's order; the hypervisor holds it to that. */
enum guest_step {
	STEP_BOOT,
	STEP_LAZY_READ,
	STEP_LAZY_WRITE,
	STEP_ROM,
	STEP_DEVICE,
	STEP_GUARD,
	STEP_HUGE,
	STEP_BLOCK,
	STEP_SPLIT_PROTECT,
	STEP_SPLIT_UNMAP,
	STEP_UNMAP,
	STEP_MAP_AGAIN,
	STEP_PROTECT,
	STEP_UNPROTECT,
	STEP_MOVE,
	STEP_EXECUTE,
	STEP_EXECUTE_DENIED,
	STEP_EVICT,
	STEP_OUT_OF_MEMORY,
	STEP_COUNT,
};

#endif
#endif
