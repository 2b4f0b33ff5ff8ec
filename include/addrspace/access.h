/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as a device model or a loader needs it: bytes at a guest-physical address, wherever the
 * space has them, checked against the regions that they lie in.
 *
 * gpa and size may come from the guest: any value has a documented answer. Ranges may cross pages,
 * leaves and regions. Where a range stops being accessible the call stops, with everything before that
 * byte done and nothing behind it touched: *done (may be NULL) tells how many bytes, for every result.
 *
 * The hypervisor reaches memory as the handler says: physical_to_virtual, page by page, or the direct
 * map. So must the host memory of linear regions that these calls are used on be reachable: see
 * paging_handler.h.
 *
 * Locks: shared. It is dropped every ADDRSPACE_ACCESS_CHUNK bytes, so that a long copy keeps nobody
 * from changing the layout; what the rest of the range is by then decides. The guest's CPUs run
 * meanwhile: nothing longer than one typed access is atomic to them. Except with FAULT_IN nothing
 * is allocated, and nothing invalidated.
 *
 * Dirty logging: where hardware tracks it (HARDWARE_AD), leaves that are written through here become
 * dirty and accessed, as by a write of the guest. A read leaves no trace. Where you log by taking write
 * permission away, a write here ends with ADDRSPACE_EACCES: log the page, protect it writable, try
 * again, as on a fault of the guest. OVERRIDE would pass the log by.
 */
#ifndef ADDRSPACE_ACCESS_H
#define ADDRSPACE_ACCESS_H

#include <addrspace/addrspace.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most bytes for which the lock is held at a stretch, where a contract does not say otherwise. */
#define ADDRSPACE_ACCESS_CHUNK UINT64_C(0x10000)

enum addrspace_access_flag {
	/** Lazy pages without a frame get one, as on a fault of the guest: frames of zeroes, or what
	 * the handler's allocate says. Without it such a page ends the access. */
	ADDRSPACE_ACCESS_FAULT_IN = 1 << 0,
	/** The region's permissions are not asked, not even whether there are any: to load firmware
	 * into memory that the guest must not write. */
	ADDRSPACE_ACCESS_OVERRIDE = 1 << 1,
	/** Regions of type ADDRSPACE_DEVICE too, which else end the access. For a device's
	 * registers take the typed calls: one access of just that width. The others copy as
	 * memcpy() likes to. */
	ADDRSPACE_ACCESS_DEVICE = 1 << 2,
	/** Pages of memory that were written go to the handler's prepare_frame, before the lock is
	 * dropped: for a guest that misses this CPU's caches, or will execute what was written
	 * (Arm). */
	ADDRSPACE_ACCESS_PREPARE = 1 << 3,
};

/**
 * Copies [gpa, gpa + size) of the guest to buffer, which is none of that memory.
 *
 * Needs ADDRSPACE_READ. size 0 does nothing, and asks nothing of gpa and buffer. What the guest writes
 * meanwhile may be seen in part: check the copy, not the guest's memory.
 * @return 0, all done; or
 *   ADDRSPACE_EINVAL   a null pointer, an unknown flag, a wrapping range: nothing done
 *   ADDRSPACE_ERANGE   not all inside the space: nothing done
 *   or, with *done bytes done, because of the byte behind them:
 *   ADDRSPACE_ENOENT   no region, a lazy page without a frame and no FAULT_IN, or a page that a job
 *                      holds (see job.h)
 *   ADDRSPACE_EACCES   the region does not permit it
 *   ADDRSPACE_ENOTSUP  it is a device's and DEVICE is not given, or nothing backs the region
 *   ADDRSPACE_ENOMEM, ADDRSPACE_EDQUOT   no frame for a lazy page
 *   ADDRSPACE_EFAULT   the handler has no virtual address for it, or handed out an unusable frame
 */
int addrspace_read(struct addrspace *as, uint64_t gpa, void *buffer, size_t size, unsigned flags,
		   size_t *done);

/** Copies buffer, which is none of that memory, to [gpa, gpa + size) of the guest. Needs
 * ADDRSPACE_WRITE; all else as addrspace_read(). */
int addrspace_write(struct addrspace *as, uint64_t gpa, const void *buffer, size_t size,
		    unsigned flags, size_t *done);

/** Sets each byte of [gpa, gpa + size) of the guest to byte. Needs ADDRSPACE_WRITE; all else as
 * addrspace_read(). */
int addrspace_fill(struct addrspace *as, uint64_t gpa, uint8_t byte, size_t size, unsigned flags,
		   size_t *done);

/**
 * Copies [from, from + size) of the guest to [to, to + size), which may overlap it: the result is as if
 * all had been read before anything was written.
 *
 * That holds for ranges that overlap as guest-physical addresses, and where two linear regions give one
 * memory two addresses for ranges that lie in one region each; in other such cases the overlapping
 * bytes become what some order of copying leaves. Needs ADDRSPACE_READ there and ADDRSPACE_WRITE here.
 * Flags and errors as addrspace_read(), for both ranges; it ends where one of them does.
 *
 * A copy to an overlapping range above holds the lock throughout: it begins at the end, and *done must
 * count from the start.
 */
int addrspace_copy(struct addrspace *as, uint64_t to, uint64_t from, size_t size, unsigned flags,
		   size_t *done);

/**
 * Reads size bytes, 1, 2, 4 or 8, in one single-copy atomic access: *value, in the host's byte order,
 * zero-extended. What follows comes after it (acquire). Needs ADDRSPACE_READ.
 * @return 0, or ADDRSPACE_EINVAL: a null pointer, an unknown flag, another size, gpa not a multiple of
 *   it; or as addrspace_read()
 */
int addrspace_load(struct addrspace *as, uint64_t gpa, unsigned size, uint64_t *value,
		   unsigned flags);

/** Writes value likewise, after all that came before it (release). Needs ADDRSPACE_WRITE. Errors as
 * addrspace_load(); ADDRSPACE_EINVAL too if value has more than size bytes. */
int addrspace_store(struct addrspace *as, uint64_t gpa, unsigned size, uint64_t value,
		    unsigned flags);

/** What addrspace_compare_exchange() answers unless it fails. */
enum addrspace_exchange {
	ADDRSPACE_EXCHANGED = 0,
	ADDRSPACE_NOT_EXCHANGED = 1,
};

/**
 * Stores desired if size bytes at gpa hold *expected, in one access that is atomic to the guest's CPUs;
 * else *expected becomes what they hold. Nothing is reordered around it. Needs ADDRSPACE_READ and
 * ADDRSPACE_WRITE; whatever the outcome, a written page.
 *
 * It may find the expected value and not exchange it, as C11's weak form: try again. For memory
 * that the CPU has cached, not for devices: there, ADDRSPACE_ENOTSUP even with the flag.
 * @return an enum addrspace_exchange, or as addrspace_store()
 */
int addrspace_compare_exchange(struct addrspace *as, uint64_t gpa, unsigned size,
			       uint64_t *expected, uint64_t desired, unsigned flags);

/** A piece of the guest's memory, contiguous in host-virtual and host-physical addresses. */
struct addrspace_segment {
	void *host;
	uint64_t hpa;
	uint64_t gpa;
	size_t size; /**< Bytes, not 0. */
};

/** A walk over segments, for device models that copy nothing. Its fields are private. */
struct addrspace_segments {
	struct addrspace *as; /* NULL: not begun, or ended */
	uint64_t start;
	uint64_t gpa;
	uint64_t end;
	unsigned permissions;
	unsigned flags;
};

/**
 * Takes the shared lock for a walk over [gpa, gpa + size): until addrspace_segments_end(), no segment
 * that it hands out goes away. Meanwhile no other call on this space: it may wait for a writer that
 * waits for us.
 *
 * access is ADDRSPACE_READ, ADDRSPACE_WRITE or both: what regions must permit. The range may be empty.
 * @return 0; or, with the lock not held and addrspace_segments_end() without effect, ADDRSPACE_EINVAL,
 *   ADDRSPACE_ERANGE as addrspace_read(); ADDRSPACE_EINVAL too for another access
 */
int addrspace_segments_begin(struct addrspace_segments *segments, struct addrspace *as,
			     uint64_t gpa, size_t size, unsigned access, unsigned flags);

/**
 * Hands out the next segment: as much as is contiguous.
 *
 * With ADDRSPACE_WRITE its pages count as written from now on. So may the page behind it, which
 * FAULT_IN may have brought in: it was looked at to see that it is not contiguous.
 * @return 1 a segment; 0 the range's end; or an error of addrspace_read(), because of the byte behind
 *   the last segment (each call says it again); ADDRSPACE_EINVAL: a null pointer, or not begun
 */
int addrspace_segments_next(struct addrspace_segments *segments, struct addrspace_segment *segment);

/** Ends the walk and drops the lock: segments must not be used any more. With PREPARE, and
 * ADDRSPACE_WRITE, prepares the pages that were handed out. Without effect on one that did not
 * begin. */
void addrspace_segments_end(struct addrspace_segments *segments);

#ifdef __cplusplus
}
#endif
#endif
