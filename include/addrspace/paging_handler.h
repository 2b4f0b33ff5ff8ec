/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_PAGING_HANDLER_H
#define ADDRSPACE_PAGING_HANDLER_H

#include <addrspace/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a run of frames is for. */
enum addrspace_frame_kind {
	/** The root table: at init for the life of the space, for the length of one map with REPLACE
	 * that spans several of its entries, and for each job that populates. */
	ADDRSPACE_FRAME_ROOT = 0,
	ADDRSPACE_FRAME_TABLE = 1, /**< A page table below the root; order 0. */
	ADDRSPACE_FRAME_REGION_NODE =
		2, /**< A node of the region set; order 0, never seen by hardware. */
	ADDRSPACE_FRAME_GUEST = 3, /**< Guest data. */
};

/** One request, or the description of what is given back. */
struct addrspace_frame_request {
	enum addrspace_frame_kind kind;
	unsigned order;  /**< 4096 << order bytes, naturally aligned. */
	uint64_t gpa;    /**< Guest data: the first byte it backs, page-aligned. Else 0. */
	uint64_t cookie; /**< Guest data: the region's cookie. Else 0. */
};

/** What a frame holds as it comes from allocate. */
enum addrspace_frame_contents {
	ADDRSPACE_FRAME_DIRTY = 0,  /**< Anything: the library zeroes it. */
	ADDRSPACE_FRAME_ZEROED = 1, /**< Zeroes: the library does not touch it. */
	ADDRSPACE_FRAME_VALID =
		2, /**< Guest data only: this page's contents (it had been evicted); not zeroed.
			Keep your copy until the page is in use: who asked may yet give the
			frame back unseen (a fault of another CPU was faster, a table could not
			be had, a prefault failed), and will ask again. */
};

struct addrspace_frame {
	uint64_t hpa;
	enum addrspace_frame_contents contents;
};

enum addrspace_scope {
	ADDRSPACE_ALL_CPUS = 0,
	ADDRSPACE_THIS_CPU = 1,
};

/** What must no longer be used when invalidate returns. */
struct addrspace_invalidation {
	uint64_t gpa;  /**< First byte; aligned to 4 KiB. */
	uint64_t size; /**< Bytes; widened to whole leaves where leaves were cut. */
	uint64_t
		stride; /**< No leaf in the range that was live was smaller: 4 KiB, 2 MiB or 1 GiB. */
	/**
	 * A non-leaf entry on the way to the range changed or went: invalidation of leaves by address
	 * is not enough. What the entry's table spans outside of the range was empty.
	 */
	bool tables_changed;
	enum addrspace_scope scope;
};

/**
 * What the embedding hypervisor supplies: a constant vtable that outlives every space that uses it.
 *
 * Each hook gets the space's handler_ctx first. No hook may call back into the same space, nor take
 * its lock. "Locked" says which of the space's locks the library holds meanwhile: shared hooks may run
 * on several CPUs at once. Hooks may sleep only if the locks may. Those not marked optional must not be
 * NULL.
 */
struct paging_handler {
	/**
	 * Takes 4096 << request->order bytes of naturally aligned host-physical memory. False: there is
	 * none, and the call fails with ADDRSPACE_ENOMEM. frame->contents is set to DIRTY before.
	 * Locked shared (a fault), exclusive, or not at all (init, a job that populates).
	 *
	 * Guest data is asked for by order 0, and in regions with a largest_leaf by 9 (2 MiB) or 18
	 * (1 GiB) first: false then leads to the next smaller order. contents holds for the whole
	 * run: where some of its pages had been evicted, fill all of it and answer VALID, or refuse
	 * the run.
	 */
	bool (*allocate)(void *ctx, const struct addrspace_frame_request *request,
			 struct addrspace_frame *frame);
	/**
	 * Takes back a run, or any naturally aligned piece of a run that was allocated whole; request
	 * describes the piece. After addrspace_collapse() also a naturally aligned run of guest
	 * data whose frames came by several requests, or by addrspace_replace_frame(): a handler
	 * that remembers runs takes it apart.
	 * No CPU can reach it any more. A guest frame may hold the guest's secrets; or none has
	 * seen it: of two faults on one page at once, one gives its frame back (locked shared).
	 * Locked as allocate.
	 */
	void (*free)(void *ctx, const struct addrspace_frame_request *request, uint64_t hpa);
	/**
	 * Where the CPU reads and writes a frame that allocate gave out; hpa is page-aligned. Pure.
	 * Frames of one run lie side by side. Optional: NULL says that the virtual address is hpa +
	 * direct_map_offset (faster: no indirect call while walking). Locked in any way, or not at all.
	 *
	 * For the calls of access.h also where a page of a linear region's memory is, one page a
	 * call, or NULL: out of reach, and the access ends there. With the direct map all such
	 * memory must be in it.
	 */
	void *(*physical_to_virtual)(void *ctx, uint64_t hpa);
	/** With physical_to_virtual NULL: virtual = hpa + direct_map_offset, modulo 2^64. */
	uint64_t direct_map_offset;
	/** The inverse. Optional: addrspace_verify() holds the two against each other. */
	uint64_t (*virtual_to_physical)(void *ctx, const void *address);
	/**
	 * Makes the contents of guest memory visible to an observer that misses this CPU's caches,
	 * after the frame was filled and before the store that publishes it: on Arm, clean to the
	 * point of coherency without FWB, invalidate the instruction cache without DIC (Arm ARM
	 * D7.5, B2.7.4). It is not told the memory type: where a space has memory from this handler
	 * that is not ADDRSPACE_WRITE_BACK, it cleans with FWB too. size is in bytes, whole pages.
	 * Optional. Locked as allocate. With ADDRSPACE_ACCESS_PREPARE also after memory was written
	 * that the guest has; locked shared.
	 */
	void (*prepare_frame)(void *ctx, uint64_t hpa, uint64_t size);
	/**
	 * Cleans stores to tables for a walker that does not snoop (an IOMMU that shares the table):
	 * size bytes of host-virtual memory at entries, before a table is linked and after live entries
	 * changed. By the time that a fault is answered with a page that is there, all entries on
	 * the way to it have been cleaned, whichever CPU stored them. Optional. Locked as allocate.
	 */
	void (*sync_table)(void *ctx, const void *entries, size_t size);
	/**
	 * Returns when no CPU in scope can use what the range's old entries said.
	 *
	 * ALL_CPUS comes under the exclusive lock: wait only for CPUs that are inside the guest. A
	 * CPU in the hypervisor may be spinning for this very lock: mark it, and let it flush
	 * before its next entry. THIS_CPU comes from a fault, under the shared lock. The stores to
	 * the tables are done; the barrier that the instructions need is the hook's (Arm: DSB ISHST
	 * first).
	 */
	void (*invalidate)(void *ctx, const struct addrspace_invalidation *invalidation);
	/** The space's reader-writer lock. Optional, all four or none: then the caller serialises all
	 * calls, faults too: two at once would lose a frame. */
	void (*lock_shared)(void *ctx);
	void (*unlock_shared)(void *ctx);
	void (*lock_exclusive)(void *ctx);
	void (*unlock_exclusive)(void *ctx);
	/**
	 * Charges frames of 4 KiB before they are allocated; false refuses with ADDRSPACE_EDQUOT.
	 * Populating a range charges the whole range at once; replacing one charges the new frames
	 * before the old are uncharged. Optional, both or none; locked as allocate.
	 */
	bool (*charge)(void *ctx, enum addrspace_frame_kind kind, uint64_t frames);
	/** Takes a charge back: frames were freed, or what was charged could not be had. */
	void (*uncharge)(void *ctx, enum addrspace_frame_kind kind, uint64_t frames);
};

#ifdef __cplusplus
}
#endif
#endif
