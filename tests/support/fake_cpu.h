/* SPDX-License-Identifier: MIT */
/*
 * A CPU that runs the guest, with a TLB as hostile as the architecture allows: everything a walk
 * used (leaves and non-leaf entries; on RISC-V not-present entries as well) stays cached until an
 * invalidation covers it by the architecture's own rules, and a cached leaf that allows an access
 * is used even if the table says otherwise by now.
 */
#ifndef FAKE_CPU_H
#define FAKE_CPU_H

#include <stddef.h>

#include <addrspace/paging_handler.h>

#include "fake_walk.h"

struct fake_machine;

#define FAKE_TLB_BUCKETS 1024

/** One thing that a walk used. */
struct fake_tlb_entry {
	enum fake_entry_kind kind; /**< Leaf, table, or absent (at any level). */
	unsigned level;
	uint64_t gpa; /**< First byte that it covers. */
	uint64_t size;
	uint64_t hpa; /**< Of the leaf, or of the child table. */
	unsigned permissions;
	enum addrspace_memory_type memory_type;
	bool dirty; /**< A store needs no further look at the table. */
	uint32_t next;
};

struct fake_cpu {
	unsigned id;
	bool spinning;      /**< In the hypervisor, spinning for the space's lock. */
	bool flush_pending; /**< Was marked while spinning: flushes before its next access. */
	struct fake_tlb_entry *tlb;
	uint32_t tlb_count;
	uint32_t tlb_capacity;
	uint32_t buckets[FAKE_TLB_BUCKETS]; /**< Index + 1 of the first entry, 0: none. */
	uint64_t walks;                     /**< Accesses that looked at a table. */
	uint64_t tlb_hits;                  /**< Accesses that did not. */
	uint64_t faults;
};

enum fake_access_outcome {
	FAKE_HIT,
	FAKE_FAULT_NOT_PRESENT,
	FAKE_FAULT_PERMISSION,
	/** Reserved bits, an illegal encoding, an access flag or dirty fault: recorded as failure.
	 */
	FAKE_FAULT_MISCONFIGURED,
};

struct fake_access_result {
	enum fake_access_outcome outcome;
	uint64_t hpa;       /**< Of the very byte. */
	uint64_t leaf_size; /**< Bytes. */
	unsigned permissions;
	enum addrspace_memory_type memory_type;
	bool from_tlb; /**< No table was read. */
};

/**
 * One access of the guest at gpa (any byte address): ADDRSPACE_READ, _WRITE or _EXECUTE, one bit.
 *
 * A hit is checked: the frame must belong to this guest page, or be lent or registered as linear.
 * A store leaves fake_machine_token(gpa) there; a load must see that, or zero, and in a machine
 * that is not coherent it looks behind the caches as well.
 */
enum fake_access_outcome fake_cpu_access(struct fake_machine *machine, unsigned cpu, uint64_t gpa,
					 unsigned access, struct fake_access_result *result);

/** What hardware drops for this invalidation; the machine's invalidate hook calls it per CPU. */
void fake_cpu_invalidate(struct fake_machine *machine, struct fake_cpu *cpu,
			 const struct addrspace_invalidation *invalidation);

/** Drops everything: VMID rollover, migration to another CPU. */
void fake_cpu_flush(struct fake_cpu *cpu);

/** The CPU is in the hypervisor, spinning for the lock: it runs no guest code until it is let go.
 */
void fake_cpu_set_spinning(struct fake_cpu *cpu, bool spinning);

/** True if this CPU still holds a live entry that leads to any byte of [hpa, hpa + size). */
bool fake_cpu_reaches(const struct fake_cpu *cpu, uint64_t hpa, uint64_t size);

/** The cached entry of this kind and level that covers gpa, or NULL. */
const struct fake_tlb_entry *fake_cpu_cached(const struct fake_cpu *cpu, enum fake_entry_kind kind,
					     unsigned level, uint64_t gpa);

void fake_cpu_init(struct fake_cpu *cpu, unsigned id);
void fake_cpu_destroy(struct fake_cpu *cpu);

#endif
