/* SPDX-License-Identifier: MIT */
/*
 * Two sides, each of which stores before it loads, so that at least one sees the other:
 *
 *	enter(): in_guest = 1, then load generation
 *	invalidate(): generation++, then load in_guest
 *
 * Either the entering CPU sees the new generation and flushes, or the invalidating one sees it
 * inside and waits until it has left, or has come back and so has seen the generation. The order
 * of the two needs sequential consistency on both sides: acquire and release let a load pass an
 * earlier store, also on x86.
 */
#include <addrspace/shootdown.h>

#include "cpu.h"

/** NULL: there is no such CPU. */
static inline struct addrspace_shootdown_cpu *slot_of(struct addrspace_shootdown *shootdown,
						      unsigned cpu)
{
	return shootdown && cpu < shootdown->cpu_count ? &shootdown->cpus[cpu] : NULL;
}

int addrspace_shootdown_init(struct addrspace_shootdown *shootdown,
			     struct addrspace_shootdown_cpu *cpus, unsigned cpu_count)
{
	if (!shootdown || !cpus || !cpu_count)
		return ADDRSPACE_EINVAL;
	for (unsigned cpu = 0; cpu < cpu_count; cpu++)
		cpus[cpu] = (struct addrspace_shootdown_cpu){0};
	*shootdown = (struct addrspace_shootdown){
		.generation = 1,
		.cpus = cpus,
		.cpu_count = cpu_count,
	};
	return 0;
}

int addrspace_shootdown_enter(struct addrspace_shootdown *shootdown, unsigned cpu)
{
	struct addrspace_shootdown_cpu *slot = slot_of(shootdown, cpu);
	uint64_t generation;

	if (!slot)
		return ADDRSPACE_EINVAL;
	__atomic_store_n(&slot->in_guest, 1, __ATOMIC_SEQ_CST);
	generation = __atomic_load_n(&shootdown->generation, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&slot->seen, __ATOMIC_RELAXED) == generation)
		return 0;
	__atomic_store_n(&slot->seen, generation, __ATOMIC_RELEASE);
	return 1;
}

int addrspace_shootdown_leave(struct addrspace_shootdown *shootdown, unsigned cpu)
{
	struct addrspace_shootdown_cpu *slot = slot_of(shootdown, cpu);

	if (!slot)
		return ADDRSPACE_EINVAL;
	__atomic_store_n(&slot->in_guest, 0, __ATOMIC_RELEASE);
	return 0;
}

int addrspace_shootdown_forget(struct addrspace_shootdown *shootdown, unsigned cpu)
{
	struct addrspace_shootdown_cpu *slot = slot_of(shootdown, cpu);

	if (!slot)
		return ADDRSPACE_EINVAL;
	__atomic_store_n(&slot->seen, 0, __ATOMIC_RELEASE);
	return 0;
}

/** Inside, with translations from before the generation, as far as can be told. */
static inline bool is_behind(const struct addrspace_shootdown_cpu *slot, uint64_t generation)
{
	return __atomic_load_n(&slot->in_guest, __ATOMIC_SEQ_CST) &&
	       __atomic_load_n(&slot->seen, __ATOMIC_ACQUIRE) < generation;
}

int addrspace_shootdown_invalidate(struct addrspace_shootdown *shootdown, addrspace_kick kick,
				   void *kick_ctx)
{
	uint64_t generation;

	if (!shootdown || !kick)
		return ADDRSPACE_EINVAL;
	generation = __atomic_add_fetch(&shootdown->generation, 1, __ATOMIC_SEQ_CST);
	/* All first, then wait: they leave at the same time. */
	for (unsigned cpu = 0; cpu < shootdown->cpu_count; cpu++) {
		if (is_behind(&shootdown->cpus[cpu], generation))
			kick(kick_ctx, cpu);
	}
	/* Who was outside and is now inside has seen the generation, or is about to: no kick. */
	for (unsigned cpu = 0; cpu < shootdown->cpu_count; cpu++) {
		while (is_behind(&shootdown->cpus[cpu], generation))
			cpu_relax();
	}
	return 0;
}
