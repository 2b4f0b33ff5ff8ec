/* SPDX-License-Identifier: MIT */
/*
 * A reader-writer lock ready to be put behind the handler's four lock hooks, for hypervisors that
 * have none of their own that spins.
 *
 *	static void lock_shared(void *ctx)
 *	{
 *		struct vm *vm = ctx;
 *
 *		addrspace_rwlock_lock_shared(&vm->lock, this_cpu());
 *	}
 *
 * Readers, which is what faults are, write only to a cache line of their own CPU: they do not slow
 * one another down. Writers come in order. A writer that has its turn holds newcomers off, so that
 * readers cannot starve it; those that wait when it unlocks go before the next writer.
 *
 * All calls spin, none sleeps. Preemption is off from lock to unlock, or the CPU's number would not be
 * the same. It is not recursive, in no combination, so an interrupt handler may take it only if it is
 * never taken with interrupts on. A CPU that waits for it is outside of the guest, which is what
 * invalidate and shootdown.h rely on: they never wait for it.
 */
#ifndef ADDRSPACE_RWLOCK_H
#define ADDRSPACE_RWLOCK_H

#include <addrspace/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One CPU's share of a lock: two cache lines, since CPUs fetch lines in pairs. Its fields are
 * private. */
struct addrspace_rwlock_cpu {
	uint32_t readers;
	uint8_t padding[124];
};

/** The lock: embed it in the VM. Its fields are private. */
struct addrspace_rwlock {
	struct addrspace_rwlock_cpu *cpus;
	uint32_t cpu_count;
	uint32_t writing; /* a writer has its turn */
	uint32_t waiting; /* readers that a writer held off */
	uint32_t tickets; /* given to writers */
	uint32_t serving; /* the writer whose turn it is */
};

/**
 * Makes an unlocked lock. cpus are the embedder's, one for each CPU that may take the lock, aligned to
 * 128 bytes (only speed depends on it), for as long as the lock is used.
 */
void addrspace_rwlock_init(struct addrspace_rwlock *lock, struct addrspace_rwlock_cpu *cpus,
			   uint32_t cpu_count);

/**
 * Waits while a writer has its turn. cpu is the caller's CPU, below cpu_count: not checked, since a
 * lock has no way to refuse, and to let the caller in without counting it would be worse than a
 * crash.
 */
void addrspace_rwlock_lock_shared(struct addrspace_rwlock *lock, uint32_t cpu);
/** On the CPU that locked, with the same number. */
void addrspace_rwlock_unlock_shared(struct addrspace_rwlock *lock, uint32_t cpu);
/** Waits for its turn, and then for the readers that are inside. */
void addrspace_rwlock_lock_exclusive(struct addrspace_rwlock *lock);
void addrspace_rwlock_unlock_exclusive(struct addrspace_rwlock *lock);

#ifdef __cplusplus
}
#endif
#endif
