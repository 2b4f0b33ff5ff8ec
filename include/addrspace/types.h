/* SPDX-License-Identifier: MIT */
#ifndef ADDRSPACE_TYPES_H
#define ADDRSPACE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The unit of every address and size: regions, leaves, tables and frames are multiples of 4 KiB.
 */
#define ADDRSPACE_PAGE_SIZE UINT64_C(4096)

/**
 * What a call returns when it fails: 0 is success, an error is the negative of the usual errno
 * value. A call that returns an error has changed nothing, unless its contract says otherwise.
 */
enum addrspace_error {
	ADDRSPACE_OK = 0,
	ADDRSPACE_EPERM = -1,   /**< Host memory that the configuration excludes. */
	ADDRSPACE_ENOENT = -2,  /**< No region, or no frame, where one is needed. */
	ADDRSPACE_ENOMEM = -12, /**< The handler's allocate answered that there is no frame. */
	ADDRSPACE_EACCES = -13, /**< The region does not permit this access. */
	ADDRSPACE_EFAULT = -14, /**< The handler handed out a frame misaligned or too wide for the
				   host, or has no virtual address for one; or verify found a defect. */
	ADDRSPACE_EBUSY = -16,  /**< A job holds part of the range (see job.h). */
	ADDRSPACE_EEXIST = -17, /**< A region stands in the range already. */
	ADDRSPACE_EINVAL = -22, /**< An argument is malformed: misaligned, empty, wrapping, an
				   unknown flag, a null pointer. */
	ADDRSPACE_ENOSPC = -28, /**< No gap of that size. */
	ADDRSPACE_ERANGE = -34, /**< Well-formed, but outside the guest's space, the host's width or
				   the VMID's width. */
	ADDRSPACE_ENOTSUP = -95, /**< The format or this CPU has no encoding for it. */
	ADDRSPACE_EDQUOT = -122, /**< The handler's quota refused the charge. */
};

/** Names an error ("ADDRSPACE_ENOMEM"), or "unknown". The string is constant. */
const char *addrspace_error_name(int error);

/** What the guest may do. 0 is legal: a guard. A set of these bits; the format may refuse some
 * sets. */
enum addrspace_permission {
	ADDRSPACE_READ = 1 << 0,
	ADDRSPACE_WRITE = 1 << 1,
	ADDRSPACE_EXECUTE = 1 << 2,
};

/**
 * The memory type given to the guest's accesses, as the nested table combines it with the guest's
 * own. EPT: 6 WB, 1 WC, 0 UC, 4 WT with IPAT = 0 (Intel SDM 3C, 29.3.7). NPT: the same types, where
 * the host's PAT has them (AMD APM 2, 15.25.8). Stage 2: MemAttr (Arm ARM D8.5). G-stage: PBMT 0, 1, 2
 * (RISC-V Privileged, Svpbmt); without Svpbmt the platform's PMAs decide, and ADDRSPACE_DEVICE is
 * accepted because a device's physical range is I/O by its PMA.
 */
enum addrspace_memory_type {
	ADDRSPACE_WRITE_BACK = 0, /**< Ordinary cached memory. */
	ADDRSPACE_NON_CACHEABLE =
		1, /**< Uncached, weakly ordered: write-combining (x86), Normal NC (Arm), NC. */
	ADDRSPACE_DEVICE = 2, /**< Uncached, strongly ordered: UC (x86), Device-nGnRE (Arm), IO. */
	ADDRSPACE_WRITE_THROUGH = 3, /**< x86, and stage 2 without FWB. */
};

enum addrspace_backend_kind {
	ADDRSPACE_LINEAR =
		0, /**< Memory or a device that the embedder owns, at a constant offset. */
	ADDRSPACE_ALLOC = 1, /**< Frames from the handler: all at once (populate), or each on its
				first fault. */
	ADDRSPACE_TRAP = 2,  /**< Nothing: each access faults, and the embedder emulates it. */
};

/** Sizes of leaves. */
enum addrspace_leaf {
	ADDRSPACE_LEAF_4K = 0,
	ADDRSPACE_LEAF_2M = 1,
	ADDRSPACE_LEAF_1G = 2,
};

/** Most pages that one fault brings in by fault_around: a table's worth. */
#define ADDRSPACE_MAX_FAULT_AROUND 512

/** What backs a region: a tagged union. */
struct addrspace_backend {
	enum addrspace_backend_kind kind;
	union {
		struct {
			uint64_t offset; /**< gpa - hpa modulo 2^64: hpa = gpa - offset. */
		} linear;
		struct {
			bool populate; /**< Every page has its frame from the start. */
		} alloc;
		struct {
			uint64_t
				base; /**< Where the region began when it was mapped: gpa - base is the
					  offset in the device, also in what is left of a region that was
					  cut. */
		} trap;
	} u;
};

/** A copy of one region: [gpa, gpa + size) with one set of attributes. Regions never overlap. */
struct addrspace_region {
	uint64_t gpa;  /**< First byte, page-aligned. */
	uint64_t size; /**< Bytes, a multiple of the page size, not 0. */
	unsigned permissions;
	enum addrspace_memory_type memory_type;
	uint64_t cookie; /**< The embedder's; the library only hands it back. */
	struct addrspace_backend backend;
	enum addrspace_leaf largest_leaf; /**< As in its attributes; LEAF_4K unless alloc. */
	unsigned fault_around;            /**< As in its attributes; 0 where it is off. */
	bool small_executable;            /**< As in its attributes. */
};

/** The attributes a region is mapped with. */
struct addrspace_attributes {
	unsigned permissions; /**< A set of enum addrspace_permission. */
	enum addrspace_memory_type memory_type;
	uint64_t cookie;
	/**
	 * addrspace_map_alloc() only, 0 elsewhere (linear memory always has the largest leaves that
	 * fit): the largest run of frames that it asks the handler for at once. A
	 * limit, not a demand: where CPU, alignment, region or memory do not allow such a leaf, the
	 * next smaller size is tried. 4 KiB where left 0.
	 */
	enum addrspace_leaf largest_leaf;
	/**
	 * addrspace_map_alloc() only, 0 elsewhere: a fault brings in as many pages, a power of two
	 * of at most ADDRSPACE_MAX_FAULT_AROUND: the aligned block of so many around the page, as
	 * far as it lies in the region, is not there yet, and memory goes. 0 and 1: the page alone.
	 */
	unsigned fault_around;
	/**
	 * No leaf above 4 KiB may be executed: for CPUs that must not meet large executable leaves
	 * (Intel erratum "instruction fetch may cause machine check error when page size is
	 * changed", CVE-2018-12207, "iTLB multihit"). Where execution is allowed all leaves are
	 * pages.
	 */
	bool small_executable;
};

/** What a translation found. Valid until the next call that takes the exclusive lock. */
struct addrspace_translation {
	uint64_t hpa;       /**< Host-physical address of the very byte asked for. */
	uint64_t leaf_size; /**< 4 KiB, 2 MiB or 1 GiB. */
	uint64_t remaining; /**< Bytes from that byte on that lie in both the leaf and the region; 0
			       from addrspace_walk(). */
	unsigned permissions;                   /**< As the leaf grants them. */
	enum addrspace_memory_type memory_type; /**< As the leaf encodes it. */
	bool accessed; /**< The leaf's A bit; always true where hardware does not maintain it. */
	bool dirty; /**< The leaf's D bit; where hardware does not maintain it, true if writable. */
};

/** A run of leaves of one size, contiguous in guest and host, with equal attributes. */
struct addrspace_run {
	uint64_t gpa;
	uint64_t hpa;
	uint64_t size;      /**< Bytes. */
	uint64_t leaf_size; /**< Bytes. */
	unsigned permissions;
	enum addrspace_memory_type memory_type;
	bool owned; /**< The frames came from the handler. */
};

/** Counted by walking the tables: exact, and the fault path carries no shared counter. */
struct addrspace_statistics {
	uint64_t regions;
	uint64_t region_nodes; /**< Frames that hold the region set. */
	uint64_t leaves_4k;
	uint64_t leaves_2m;
	uint64_t leaves_1g;
	uint64_t table_frames; /**< 4 KiB frames used by tables, all frames of the root included. */
	uint64_t data_frames;  /**< 4 KiB frames of guest data that came from the handler. */
};

/** What verify found first. */
struct addrspace_defect {
	uint64_t gpa;     /**< Where. */
	unsigned level;   /**< Level of the entry, 0 holds 4 KiB pages. */
	uint64_t entry;   /**< The entry, or 0. */
	const char *what; /**< A constant sentence. */
};

/** The outcomes of a fault, a total set. Values are not negative, so an error is never one of them.
 */
enum addrspace_fault {
	/** A frame was installed: re-enter the guest. */
	ADDRSPACE_FAULT_RESOLVED = 0,
	/** The leaf is present and allows the access (another CPU was faster, a break window, a
	 * stale entry): re-enter. */
	ADDRSPACE_FAULT_ALREADY_RESOLVED = 1,
	/** The region does not allow this access: inject or emulate. */
	ADDRSPACE_FAULT_DENIED = 2,
	/** No region, or a job holds the range (see job.h): emulate the device, or inject an abort. */
	ADDRSPACE_FAULT_NOT_BACKED = 3,
	/** Region and tables disagree (an absent leaf in a linear or populated region): a bug of
	 * the embedder or ours. */
	ADDRSPACE_FAULT_CONFIGURATION = 4,
	/** The handler had no frame, or its quota refused: free memory and retry, or stop the
	 * guest. If only little was missing, retry in any case: another CPU's fault may have held, for
	 * a moment, what it then gave back. */
	ADDRSPACE_FAULT_OUT_OF_MEMORY = 5,
	/** A trap region whose permissions have this access: carry it out for the guest, then step it
	 * over its instruction. The region tells which device and where in it. */
	ADDRSPACE_FAULT_EMULATE = 6,
};

/** Names an outcome ("resolved"), or "unknown". The string is constant. */
const char *addrspace_fault_name(int outcome);

/** Why the CPU refused an access, as far as it tells. addrspace_handle_fault() does not need it. */
enum addrspace_fault_cause {
	/** It does not tell which: RISC-V never does. */
	ADDRSPACE_CAUSE_UNKNOWN = 0,
	/** No entry, or none that allows anything. */
	ADDRSPACE_CAUSE_NOT_PRESENT = 1,
	/** An entry that does not allow this access. */
	ADDRSPACE_CAUSE_PERMISSION = 2,
	/** An entry that breaks the format's rules. This library makes none: addrspace_verify() tells
	 * whether its tables are damaged. To enter the guest again would only fault again. */
	ADDRSPACE_CAUSE_MISCONFIGURED = 3,
	/** Arm: the access flag is clear and the CPU does not set it. This library makes no such entry
	 * without HARDWARE_AD. */
	ADDRSPACE_CAUSE_ACCESS_FLAG = 4,
};

/** A nested page fault, made from the CPU's registers by the architecture's *_decode_fault(). */
struct addrspace_fault_info {
	uint64_t gpa; /**< The byte that was accessed. */
	unsigned
		access; /**< A set of enum addrspace_permission, ready for addrspace_handle_fault();
			       0 where the CPU does not tell (EPT misconfigurations). */
	bool table_walk;    /**< The CPU's own access to the guest's page table at gpa. */
	bool gpa_page_only; /**< The low 12 bits of gpa were not reported: they are 0. */
	enum addrspace_fault_cause cause;
};

/** What a decoder answers unless it fails. For all but DECODED, all is filled in except gpa, which
 * is 0. */
enum addrspace_decode {
	ADDRSPACE_DECODED = 0,
	/** Arm: translate FAR_EL2 with AT S1E1R, and call again with PAR_EL1. */
	ADDRSPACE_DECODE_NEEDS_AT = 1,
	/** The guest's own translation is gone meanwhile: enter the guest again. */
	ADDRSPACE_DECODE_RETRY = 2,
	/** RISC-V: the CPU did not report the address: walk the guest's own page table from stval. */
	ADDRSPACE_DECODE_NEEDS_WALK = 3,
};

#ifdef __cplusplus
}
#endif
#endif
