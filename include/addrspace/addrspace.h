/* SPDX-License-Identifier: MIT */
/*
 * A guest's physical address space: which guest-physical ranges exist, what backs each, and the
 * nested page table that the CPU walks for them.
 *
 * Locks: unless a contract says otherwise, calls that change the layout take the handler's
 * exclusive lock, calls that only read or install take the shared one. Without lock hooks the
 * caller serialises every call. Addresses and sizes are in bytes. Bad input is an error and changes
 * nothing: it is never rounded or clamped.
 */
#ifndef ADDRSPACE_ADDRSPACE_H
#define ADDRSPACE_ADDRSPACE_H

#include <addrspace/paging_handler.h>
#include <addrspace/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One nested page-table format: addrspace_ept, addrspace_npt, addrspace_stage2, addrspace_gstage
 * (see the architecture's header). */
struct addrspace_format;
/** Private: of a format, for one number of levels. */
struct addrspace_walker;
/** A change that is made in steps: see job.h. */
struct addrspace_job;
struct addrspace;

/** What this CPU has, told to init. A flag that the format does not know is refused. */
enum addrspace_cpu_feature {
	/** 2 MiB leaves; without it all leaves are pages. EPT: VPID_EPT_CAP bit 16; others: always. */
	ADDRSPACE_CPU_LEAF_2M = 1 << 0,
	/** 1 GiB leaves; only with LEAF_2M. EPT: VPID_EPT_CAP bit 17; NPT: CPUID 8000_0001 EDX bit 26;
	 * others: always. */
	ADDRSPACE_CPU_LEAF_1G = 1 << 1,
	/** Hardware maintains A and D, and is to; leaves start clean. EPT bit 21, FEAT_HAFDBS, Svadu;
	 * NPT always maintains them. */
	ADDRSPACE_CPU_HARDWARE_AD = 1 << 2,
	/** EPT: VPID_EPT_CAP bit 0. */
	ADDRSPACE_CPU_EXECUTE_ONLY = 1 << 3,
	/** Stage 2: FEAT_S2FWB, and HCR_EL2.FWB will be set. */
	ADDRSPACE_CPU_FWB = 1 << 4,
	/** Stage 2: 16-bit VMIDs; VTCR_EL2.VS will be set. */
	ADDRSPACE_CPU_VMID16 = 1 << 5,
	/** G-stage: Svpbmt, enabled by menvcfg.PBMTE. */
	ADDRSPACE_CPU_SVPBMT = 1 << 6,
	/** G-stage: Svvptc: not-present entries do not stay in address-translation caches. */
	ADDRSPACE_CPU_SVVPTC = 1 << 7,
	/** EPT: INVEPT for a single context; VPID_EPT_CAP bit 25. */
	ADDRSPACE_CPU_INVEPT_SINGLE = 1 << 8,
	/** NPT: no-execute, CPUID 8000_0001 EDX bit 20, and the host runs with EFER.NXE = 1. */
	ADDRSPACE_CPU_NX = 1 << 9,
	/** NPT: TLB_CONTROL 3 flushes one guest's ASID; CPUID 8000_000A EDX bit 6. */
	ADDRSPACE_CPU_FLUSH_BY_ASID = 1 << 10,
	/** Stage 2: FEAT_TLBIRANGE: one TLBI for a range. */
	ADDRSPACE_CPU_TLBI_RANGE = 1 << 11,
};

/** Widths of host-physical addresses that init takes. */
#define ADDRSPACE_MIN_HOST_BITS 32
#define ADDRSPACE_MAX_HOST_BITS 52

/** What this CPU's nested paging can do: filled by the architecture's *_identify(), or by hand. */
struct addrspace_cpu {
	uint32_t features;  /**< A set of enum addrspace_cpu_feature that it has. Clear what is not
				to be used: HARDWARE_AD if leaves are to start dirty. */
	unsigned host_bits; /**< Width of host-physical addresses: MAXPHYADDR, PARange in bits, the
				platform's width. */
	/** Fewest and most levels of tables that it walks; 0: as the format. NPT: both are the
	 * levels of the host's own tables. */
	unsigned min_levels;
	unsigned max_levels;
};

/** Host-physical memory [hpa, hpa + size) that no linear region may touch. */
struct addrspace_host_range {
	uint64_t hpa;  /**< Page-aligned. */
	uint64_t size; /**< Bytes, a multiple of the page size, not 0. */
};

struct addrspace_config {
	const struct addrspace_format *format;
	const struct paging_handler *handler; /**< Constant while the space lives. */
	void *handler_ctx;                    /**< Given to each hook. May be NULL. */
	unsigned gpa_bits; /**< Width of the guest-physical space: addresses below 1 << gpa_bits.
			       See the architecture's header. */
	unsigned levels;   /**< Levels of tables; 0 takes the fewest that gpa_bits and
			       cpu.min_levels allow. */
	struct addrspace_cpu cpu;
	/** NPT: the host's IA32_PAT; 0: 0x0007040600070406, as after reset. Other formats do not look
	 * at it. */
	uint64_t host_pat;
	/**
	 * What no guest may be given by address: the hypervisor's image, its frames, other guests'
	 * memory. Sorted by hpa, not overlapping, and constant while the space lives: the list is not
	 * copied, so that all spaces can share one. NULL if excluded_count is 0. Frames from the
	 * handler are not looked up in it: they may well come from such a range.
	 */
	const struct addrspace_host_range *excluded;
	size_t excluded_count;
};

/** The space itself: embed it in the VM. Its fields are private. It must not be copied or moved
 * between init and destroy. */
struct addrspace {
	const struct addrspace_format *format;
	const struct addrspace_walker *walker;
	const struct paging_handler *handler;
	void *handler_ctx;
	struct addrspace_job *jobs; /* that are not done yet; mostly none */
	/* Set while there are any: of clear and destroy, so that programs without jobs do not link
	 * them. */
	void (*finish_jobs)(struct addrspace *as, bool populating);
	uint64_t direct_map_offset; /* the handler's; unused if it has physical_to_virtual */
	uint64_t root_hpa;
	uint64_t gpa_limit;
	const struct addrspace_host_range *excluded;
	size_t excluded_count;
	uint64_t frame_forbidden; /* bits that a page's host-physical address must not have */
	uint64_t region_root; /* hpa of the region set's root node; meaningless while region_depth
				 is 0 */
	uint64_t region_count;
	uint64_t region_nodes;
	uint32_t region_depth; /* levels of nodes; 0: no region */
	uint32_t cpu_features;
	uint32_t memory_types; /* the format's own encoding of which memory types there are */
	uint8_t levels;
	uint8_t gpa_bits;
	uint8_t host_bits;
	uint8_t root_order;
	uint8_t leaf_levels;     /* bit n: leaves at level n are allowed */
	uint8_t absent_cached;   /* this CPU may keep not-present entries */
	uint8_t after_faults;    /* a resolved fault is not done with yet: that, or sync_table */
	uint8_t device_unmarked; /* leaves do not tell devices from memory */
	uint8_t device_hidden;   /* ... and there may be one */
};

/**
 * Makes an empty space. Takes no lock.
 *
 * Allocates the root (kind ROOT) and nothing else. Invalidates nothing: a VMID or EPTP that was in
 * use before is the embedder's to flush.
 * @return 0, or with *as unusable:
 *   ADDRSPACE_EINVAL   a null pointer, a required hook missing, half of the lock or quota hooks,
 *                      cpu.host_bits outside 32..52; a range of excluded that is misaligned,
 *                      empty, wrapping, or not above the one before it; NPT: host_pat with a
 *                      reserved type
 *   ADDRSPACE_ERANGE   gpa_bits or levels that the format does not have, alone, together, or with
 *                      cpu.host_bits
 *   ADDRSPACE_ENOTSUP  a feature that the format does not know, LEAF_1G without LEAF_2M,
 *                      levels outside cpu.min_levels..max_levels; NPT: host_pat whose entry 0 is not
 *                      write-back
 *   ADDRSPACE_ENOMEM, ADDRSPACE_EDQUOT, ADDRSPACE_EFAULT  from allocating the root
 */
int addrspace_init(struct addrspace *as, const struct addrspace_config *config);

/**
 * Removes everything and gives every frame back, the root last. Exclusive lock.
 *
 * No CPU may enter the guest any more, and as must not be NULL. One invalidation of the whole space
 * if anything was mapped. Jobs are finished first, and those that populate are cancelled: no step may
 * be running; a later addrspace_job_step() answers that they are done. Afterwards only init is allowed
 * on it.
 */
void addrspace_destroy(struct addrspace *as);

enum addrspace_map_flag {
	/** What stands in the range goes, in one step with the new mapping. */
	ADDRSPACE_MAP_REPLACE = 1 << 0,
	/** addrspace_map_alloc() only: all frames now. */
	ADDRSPACE_MAP_POPULATE = 1 << 1,
};

/**
 * Maps [gpa, gpa + size) to host memory that the embedder owns at hpa. Exclusive lock.
 *
 * Takes the largest leaves that alignment and CPU allow. Different ranges may name the same host
 * memory. Merges with neighbours that are equal in everything.
 *
 * Allocates tables and region nodes. Without REPLACE it invalidates nothing: on RISC-V without
 * Svvptc a CPU may keep a not-present entry and fault once more, which addrspace_handle_fault()
 * answers. With REPLACE, one invalidation if anything was mapped: the range is absent meanwhile
 * (on Arm all of a leaf that its ends cut), and faults of other CPUs wait for the lock and are then
 * "already resolved". A device's DMA cannot wait: do not replace what it uses.
 * @return 0, or with nothing changed:
 *   ADDRSPACE_EINVAL   misaligned, empty or wrapping, a null pointer, an unknown flag, permission
 *                      bit or memory type; a largest_leaf or fault_around that is none, or that a
 *                      region of this kind cannot have: see struct addrspace_attributes
 *   ADDRSPACE_ERANGE   outside the space; host addresses wrapping or above host_bits
 *   ADDRSPACE_EPERM    part of the host memory is in a range that the configuration excludes
 *   ADDRSPACE_ENOTSUP  the format or CPU cannot encode these permissions or this memory type
 *   ADDRSPACE_EEXIST   a region stands there, and REPLACE is not given
 *   ADDRSPACE_EBUSY    a job holds part of the range (see job.h)
 *   ADDRSPACE_ENOMEM, ADDRSPACE_EDQUOT, ADDRSPACE_EFAULT  from allocating
 */
int addrspace_map_linear(struct addrspace *as, uint64_t gpa, uint64_t size, uint64_t hpa,
			 const struct addrspace_attributes *attributes, unsigned flags);

/**
 * Maps [gpa, gpa + size) to memory from the handler. Exclusive lock.
 *
 * Lazy, frames on first fault: no table and no frame is allocated, whatever the size. How many come
 * with a fault, and in which runs, is up to attributes->largest_leaf and fault_around. With
 * POPULATE: a frame for every page, zeroed unless the handler says otherwise, prepared, then
 * published.
 *
 * Allocation, invalidation and errors as addrspace_map_linear().
 */
int addrspace_map_alloc(struct addrspace *as, uint64_t gpa, uint64_t size,
			const struct addrspace_attributes *attributes, unsigned flags);

/**
 * Makes each access to [gpa, gpa + size) one that addrspace_handle_fault() answers with
 * ADDRSPACE_FAULT_EMULATE: for emulated devices. Exclusive lock.
 *
 * attributes->permissions are the accesses to be emulated; others are ADDRSPACE_FAULT_DENIED. Nothing
 * is written to page tables, so any set of them will do, on every CPU, and memory_type must be 0. The
 * region that the fault hands back tells the device (cookie) and where in it the access went:
 * gpa - backend.u.trap.base, which is counted from this call's gpa on also where the region is cut
 * later.
 *
 * Allocates region nodes, and no table but, with REPLACE, those of leaves that its ends cut. With
 * REPLACE it invalidates as addrspace_map_linear() does, and when it returns no CPU can reach what
 * stood there.
 * @return 0, or with nothing changed:
 *   ADDRSPACE_EINVAL   misaligned, empty or wrapping, a null pointer, an unknown flag or permission
 *                      bit, a memory type, a largest_leaf or fault_around
 *   ADDRSPACE_ERANGE   outside the space
 *   ADDRSPACE_EEXIST   a region stands there, and REPLACE is not given
 *   ADDRSPACE_EBUSY    a job holds part of the range (see job.h)
 *   ADDRSPACE_ENOMEM, ADDRSPACE_EDQUOT, ADDRSPACE_EFAULT  from allocating
 */
int addrspace_map_trap(struct addrspace *as, uint64_t gpa, uint64_t size,
		       const struct addrspace_attributes *attributes, unsigned flags);

/**
 * Removes [gpa, gpa + size) from the guest. Exclusive lock.
 *
 * Cannot fail if it takes whole regions or their ends and cuts no large leaf. Holes are fine. Frames
 * and tables go back to the handler after the one invalidation of the range has returned (none if
 * nothing was mapped). On Arm the rest of a leaf that is cut is absent for a moment: faults of other
 * CPUs wait for the lock and are then "already resolved"; a device's DMA cannot wait.
 * @return 0, or with nothing changed:
 *   ADDRSPACE_EINVAL  a null pointer; misaligned, empty or wrapping
 *   ADDRSPACE_ERANGE  outside the space
 *   ADDRSPACE_EBUSY   a job holds part of the range (see job.h)
 *   ADDRSPACE_ENOMEM, ADDRSPACE_EDQUOT, ADDRSPACE_EFAULT  a hole inside one region needed a region
 *                     node, or a cut leaf its tables
 */
int addrspace_unmap(struct addrspace *as, uint64_t gpa, uint64_t size);

/**
 * Gives [gpa, gpa + size) other permissions. Exclusive lock.
 *
 * Regions are split and merged as needed, leaves cut exactly, frames kept: with permissions 0 the
 * leaves become absent and the frames stay. In a trap region they say which accesses are emulated.
 * Large leaves of regions with small_executable become pages as far as execution is added.
 * Allocates region nodes, and tables for leaves that are cut or become pages, and a few at most
 * that it gives back. One invalidation if any leaf that was present changed. On Arm a leaf that is
 * cut, or becomes pages, is absent for a moment, as in addrspace_unmap().
 * @return 0, or with nothing changed:
 *   ADDRSPACE_EINVAL   a null pointer; misaligned, empty or wrapping; an unknown permission bit
 *   ADDRSPACE_ERANGE   outside the space
 *   ADDRSPACE_ENOENT   part of the range has no region
 *   ADDRSPACE_ENOTSUP  the format or CPU cannot encode these permissions, and not all of the range is
 *                      trap regions
 *   ADDRSPACE_EBUSY    a job holds part of the range (see job.h)
 *   ADDRSPACE_ENOMEM, ADDRSPACE_EDQUOT, ADDRSPACE_EFAULT  from allocating
 */
int addrspace_protect(struct addrspace *as, uint64_t gpa, uint64_t size, unsigned permissions);

/**
 * Takes the frames of [gpa, gpa + size) away from the guest and leaves the regions: for ballooning
 * and eviction. Exclusive lock.
 *
 * The next fault on a page brings a frame of zeroes, or what the handler's allocate says it is
 * (ADDRSPACE_FRAME_VALID). A page that comes back may be wanted: the handler's free, which is told
 * gpa and cookie, sees the page's last contents. It comes after the one invalidation of the range
 * (none if nothing was mapped), when no CPU can write to the page any more; a device's DMA must have
 * been stopped before. Pages without permissions lose their frames as well.
 *
 * What was populated is lazy from now on: such regions are split and merged as needed, and their
 * ends may need region nodes; a large leaf that is cut needs tables. In lazy regions of pages it
 * needs no memory. Emptied tables are given back, so that a whole run may come next time: in
 * regions with a largest_leaf or fault_around a fault on a neighbour brings discarded pages back,
 * too. For ballooning map such memory without them.
 * @return 0, or with nothing changed:
 *   ADDRSPACE_EINVAL   a null pointer; misaligned, empty or wrapping
 *   ADDRSPACE_ERANGE   outside the space
 *   ADDRSPACE_ENOENT   part of the range has no region
 *   ADDRSPACE_ENOTSUP  none of that, but part of it is linear, whose memory is the embedder's, or a
 *                      trap region, which has none
 *   ADDRSPACE_EBUSY    a job holds part of the range (see job.h)
 *   ADDRSPACE_ENOMEM, ADDRSPACE_EDQUOT, ADDRSPACE_EFAULT  from allocating
 */
int addrspace_discard(struct addrspace *as, uint64_t gpa, uint64_t size);

enum addrspace_prefault_flag {
	/** As far as memory goes, rather than all or nothing. */
	ADDRSPACE_PREFAULT_PARTIAL = 1 << 0,
};

/**
 * Brings the frames of [gpa, gpa + size) that first faults would bring, so that the guest need not
 * fault.
 *
 * What is there stays, and linear and populated memory is; pages without permissions get their frames
 * too. Runs come as with faults, where they fit into the range: align it. The region stays lazy, so
 * pages can be discarded again. Allocates frames and tables; invalidates nothing.
 *
 * flags 0: all or nothing, under the exclusive lock. PARTIAL: under the shared lock, beside faults,
 * which is dropped after each 2 MiB (or 1 GiB run); what came stays, whatever comes after. *done
 * (may be NULL): how many bytes from gpa on are backed: size after success; else 0, or with PARTIAL
 * as far as it came.
 * @return 0, or:
 *   ADDRSPACE_EINVAL   a null pointer; misaligned, empty or wrapping; an unknown flag
 *   ADDRSPACE_ERANGE   outside the space
 *   ADDRSPACE_ENOENT   part of the range has no region
 *   ADDRSPACE_ENOTSUP  none of that, but part of it is a trap, which nothing backs
 *   ADDRSPACE_EBUSY    a job holds part of the range
 *   ADDRSPACE_ENOMEM, ADDRSPACE_EDQUOT, ADDRSPACE_EFAULT  from allocating: nothing has changed, or with
 *                      PARTIAL *done tells
 */
int addrspace_prefault(struct addrspace *as, uint64_t gpa, uint64_t size, unsigned flags,
		       uint64_t *done);

/**
 * Puts large leaves where small ones of [gpa, gpa + size) say the same, and gives their tables back:
 * what splitting left behind when its reason is gone (a dirty log, a protected page), or single frames
 * that came to lie side by side. Exclusive lock.
 *
 * 512 leaves that fill a table become one, and 512 of those, or of either, become 1 GiB, if they are
 * contiguous and aligned in host memory, lie in one region and in the range as a whole, and the CPU has
 * such leaves. Pages without permissions collapse too. largest_leaf does not matter: it limits what the
 * handler is asked for, and this asks for nothing; small_executable does. What does not fit stays as
 * it is; holes and ranges without a region are fine. *collapsed (may be NULL) is how many bytes are
 * mapped by larger leaves than before.
 *
 * Allocates nothing. One invalidation if anything collapses, after which the tables are freed.
 * Meanwhile what collapses is absent, on every format: faults of other CPUs wait for the lock and are
 * then "already resolved"; a device's DMA cannot wait. No store of the guest is lost, and no trace of
 * one: the large leaf is dirty (or accessed) if any of the small ones was until the invalidation
 * returned. From then on that is all that is known: collect D bits before, if pages matter.
 *
 * In alloc regions frames that were allocated one by one may later be freed as one run: see free in
 * struct paging_handler.
 * @return 0, or with nothing changed:
 *   ADDRSPACE_EINVAL  as is NULL; misaligned, empty or wrapping
 *   ADDRSPACE_ERANGE  outside the space
 *   ADDRSPACE_EBUSY   a job holds part of the range (see job.h)
 */
int addrspace_collapse(struct addrspace *as, uint64_t gpa, uint64_t size, uint64_t *collapsed);

/**
 * Fills the new frame while no CPU can reach the page: between the invalidation and the store that
 * publishes the new frame, under the exclusive lock. Addresses are host-physical, one page each.
 */
typedef void (*addrspace_copy_frame)(void *copy_ctx, uint64_t old_hpa, uint64_t new_hpa);

/**
 * Moves one page to another frame: break, one invalidation, copy, prepare_frame, publish. Exclusive
 * lock.
 *
 * copy may be NULL if the frame is filled already. prepare_frame is called for memory, not where the
 * region's type is ADDRSPACE_DEVICE. Where hardware tracks it, the page counts as dirty afterwards.
 *
 * In an alloc region the space takes new_hpa over (it will be freed through the handler), and gives
 * the old frame back through the handler's free; no charge changes, and a page that is not part of a
 * large leaf needs no memory. In a linear region both frames stay the embedder's, and the page becomes
 * a region of its own with another offset: allocates region nodes, and tables where a large leaf is
 * cut.
 * @return 0, or with nothing changed and new_hpa still the caller's:
 *   ADDRSPACE_EINVAL  a null pointer; misaligned; new_hpa is the page's frame already
 *   ADDRSPACE_ERANGE  gpa outside the space, or new_hpa above host_bits
 *   ADDRSPACE_EPERM   in a linear region: new_hpa is in a range that the configuration excludes
 *   ADDRSPACE_ENOENT  no region there, or no frame yet
 *   ADDRSPACE_EBUSY   a job holds the page (see job.h)
 *   ADDRSPACE_ENOMEM, ADDRSPACE_EDQUOT, ADDRSPACE_EFAULT  from allocating
 */
int addrspace_replace_frame(struct addrspace *as, uint64_t gpa, uint64_t new_hpa,
			    addrspace_copy_frame copy, void *copy_ctx);

/**
 * Removes every region. Exclusive lock.
 *
 * The root stays, so root register values stay good. One invalidation if anything was mapped. as must
 * not be NULL. Jobs that take away are finished first; those that populate go on.
 */
void addrspace_clear(struct addrspace *as);

/**
 * Answers a nested page fault of the guest. Shared lock.
 *
 * gpa is any byte address; access is a set of enum addrspace_permission, since hardware may report
 * several. It walks first, so a leaf that allows the access is "already resolved" whatever the region
 * says; it is idempotent.
 *
 * May allocate guest frames and the tables above them; gives back what it took if another CPU was
 * faster. One page, unless the region says otherwise: where largest_leaf allows it and the 2 MiB (1
 * GiB) around gpa are empty and lie in the region, one run of frames for all of them, zeroed or
 * vouched for by the handler as a whole, if quota and handler have it; else the next smaller size,
 * down to a page. So a large leaf never is the reason of "out of memory".
 *
 * Invalidates on this CPU only, and only on formats whose CPU may cache not-present entries. There the
 * guest may fault once more after RESOLVED, if another CPU put up a table on the way between this
 * fault and its answer: by address, the invalidation may leave what this CPU keeps of the level above
 * (RISC-V Privileged, HFENCE.GVMA). The answer then is ALREADY_RESOLVED, and reaches that too.
 *
 * region, if not NULL, receives a copy of the region for every outcome of a fault on one, else zeroes.
 * @return an enum addrspace_fault, or:
 *   ADDRSPACE_EINVAL  as is NULL; access is 0 or has unknown bits
 *   ADDRSPACE_EFAULT  the handler handed out an unusable frame (it was given back)
 */
int addrspace_handle_fault(struct addrspace *as, uint64_t gpa, unsigned access,
			   struct addrspace_region *region);

/**
 * Translates by walking the table only: the cheapest answer; remaining is 0. Any byte address. Shared
 * lock.
 * @return 0, or:
 *   ADDRSPACE_EINVAL  a null pointer
 *   ADDRSPACE_ERANGE  outside the space
 *   ADDRSPACE_ENOENT  no accessible leaf: a lazy page not faulted in, or permissions 0
 */
int addrspace_walk(struct addrspace *as, uint64_t gpa, struct addrspace_translation *translation);

/**
 * Translates, and tells how many bytes from gpa on lie in both its leaf and its region. Shared lock;
 * errors as addrspace_walk().
 */
int addrspace_translate(struct addrspace *as, uint64_t gpa,
			struct addrspace_translation *translation);

/**
 * Copies the region that contains gpa (any byte address). O(log n). Shared lock.
 * @return 0, or:
 *   ADDRSPACE_EINVAL  a null pointer
 *   ADDRSPACE_ERANGE  outside the space
 *   ADDRSPACE_ENOENT  none
 */
int addrspace_find_region(struct addrspace *as, uint64_t gpa, struct addrspace_region *region);

/**
 * Copies the first region that ends above gpa (any byte address). O(log n). Shared lock.
 *
 * To iterate, start at 0 and go on from gpa + size of the last one.
 * @return 0, or:
 *   ADDRSPACE_EINVAL  a null pointer
 *   ADDRSPACE_ENOENT  there is none
 */
int addrspace_next_region(struct addrspace *as, uint64_t gpa, struct addrspace_region *region);

/**
 * Finds the lowest gpa >= hint, a multiple of alignment, such that [gpa, gpa + size) holds no region,
 * is held by no job, and ends at or below limit. Shared lock.
 *
 * alignment is a power of two of at least a page; hint need not be aligned; limit 0 means the end of
 * the space. O(log n) in the number of regions, unless gaps are large enough but not aligned so.
 * @return 0, or:
 *   ADDRSPACE_EINVAL  a null pointer; size 0 or misaligned; alignment no power of two or below a page
 *   ADDRSPACE_ERANGE  limit above the space
 *   ADDRSPACE_ENOSPC  none
 */
int addrspace_find_gap(struct addrspace *as, uint64_t hint, uint64_t size, uint64_t alignment,
		       uint64_t limit, uint64_t *gpa);

/**
 * Tells whether every byte of [gpa, gpa + size) lies in some region. Shared lock.
 *
 * False for an empty or wrapping range, and for a NULL space.
 */
bool addrspace_contains_range(struct addrspace *as, uint64_t gpa, uint64_t size);

/**
 * Copies a run of leaves: it begins with the leaf that contains gpa, or else with the first one above,
 * and goes on while leaves of one size are contiguous in guest and host, with equal attributes. Shared
 * lock.
 *
 * To iterate, start at 0 and go on from gpa + size. Leaves without permissions are runs too.
 * @return 0, or:
 *   ADDRSPACE_EINVAL  a null pointer
 *   ADDRSPACE_ENOENT  there is none
 */
int addrspace_next_run(struct addrspace *as, uint64_t gpa, struct addrspace_run *run);

/**
 * Counts leaves, tables, frames and regions by walking all tables: time grows with their number. Shared
 * lock.
 * @return 0, or ADDRSPACE_EINVAL: a null pointer.
 */
int addrspace_statistics(struct addrspace *as, struct addrspace_statistics *statistics);

/** Receives one line of text, NUL-terminated, without a newline. */
typedef void (*addrspace_print)(void *print_ctx, const char *line);

/**
 * Prints regions, and below each the runs of leaves that back it, one line each. Shared lock, held
 * while printing.
 * @return 0, or ADDRSPACE_EINVAL: a null pointer.
 */
int addrspace_dump(struct addrspace *as, addrspace_print print, void *print_ctx);

/**
 * Checks regions against tables, and tables against the format's rules. Shared lock.
 *
 * Regions: order, overlap, merging, the set's own shape. Tables: each leaf in a region, with its
 * address and attributes; no leaf missing where one must be; no empty table; no bit that nobody
 * sets; the handler's two address translations against each other.
 * @return 0, or:
 *   ADDRSPACE_EINVAL  as is NULL
 *   ADDRSPACE_EFAULT  *defect (may be NULL) describes the first defect
 */
int addrspace_verify(struct addrspace *as, struct addrspace_defect *defect);

#ifdef __cplusplus
}
#endif
#endif
