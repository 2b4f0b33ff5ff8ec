/* SPDX-License-Identifier: MIT */
#include <addrspace/rwlock.h>

#include "compiler.h"
#include "cpu.h"

static bool is_set(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0;
}

void addrspace_rwlock_init(struct addrspace_rwlock *lock, struct addrspace_rwlock_cpu *cpus,
			   uint32_t cpu_count)
{
	*lock = (struct addrspace_rwlock){.cpus = cpus, .cpu_count = cpu_count};
	for (uint32_t i = 0; i < cpu_count; i++)
		cpus[i].readers = 0;
}

/**
 * Counts this CPU in unless a writer has its turn. Sequentially consistent, as is the writer's half in
 * lock_exclusive(): either the writer sees the reader, or the reader the writer.
 */
static inline bool enter(struct addrspace_rwlock *lock, struct addrspace_rwlock_cpu *cpu)
{
	__atomic_fetch_add(&cpu->readers, 1, __ATOMIC_SEQ_CST);
	return !__atomic_load_n(&lock->writing, __ATOMIC_SEQ_CST);
}

static inline void leave(struct addrspace_rwlock_cpu *cpu)
{
	/* Only this CPU writes the word. */
	uint32_t readers = __atomic_load_n(&cpu->readers, __ATOMIC_RELAXED);

	__atomic_store_n(&cpu->readers, readers - 1, __ATOMIC_RELEASE);
}

/** No writer has its next turn before those that are counted as waiting are in. */
static NEVER_INLINE void wait_to_enter(struct addrspace_rwlock *lock,
				       struct addrspace_rwlock_cpu *cpu)
{
	leave(cpu);
	__atomic_fetch_add(&lock->waiting, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		while (is_set(&lock->writing))
			cpu_relax();
		if (enter(lock, cpu))
			break;
		leave(cpu);
	}
	__atomic_fetch_sub(&lock->waiting, 1, __ATOMIC_RELEASE);
}

void addrspace_rwlock_lock_shared(struct addrspace_rwlock *lock, uint32_t cpu)
{
	if (!enter(lock, &lock->cpus[cpu]))
		wait_to_enter(lock, &lock->cpus[cpu]);
}

void addrspace_rwlock_unlock_shared(struct addrspace_rwlock *lock, uint32_t cpu)
{
	leave(&lock->cpus[cpu]);
}

void addrspace_rwlock_lock_exclusive(struct addrspace_rwlock *lock)
{
	uint32_t ticket = __atomic_fetch_add(&lock->tickets, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket)
		cpu_relax();
	while (is_set(&lock->waiting))
		cpu_relax();
	__atomic_exchange_n(&lock->writing, 1, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < lock->cpu_count; i++) {
		while (__atomic_load_n(&lock->cpus[i].readers, __ATOMIC_SEQ_CST))
			cpu_relax();
	}
}

void addrspace_rwlock_unlock_exclusive(struct addrspace_rwlock *lock)
{
	/* Only the one whose turn it is writes the word. */
	uint32_t turn = __atomic_load_n(&lock->serving, __ATOMIC_RELAXED);

	__atomic_store_n(&lock->writing, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&lock->serving, turn + 1, __ATOMIC_RELEASE);
}
