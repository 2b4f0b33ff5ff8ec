/* SPDX-License-Identifier: MIT */
/*
 * Invalidation on all CPUs where the architecture has no instruction for it (x86): each CPU flushes
 * for itself, before its next entry into the guest, and only CPUs that are inside the guest are
 * interrupted and waited for.
 *
 * One struct addrspace_shootdown for each space, and in it one slot for each physical CPU that may
 * run the guest. On a CPU, for each entry into the guest:
 *
 *	mask the kick
 *	if (addrspace_shootdown_enter(shootdown, cpu) > 0)
 *		flush this space's translations on this CPU
 *	enter the guest; it exits
 *	addrspace_shootdown_leave(shootdown, cpu)
 *	unmask the kick, answer the exit, take locks ...
 *
 * and in the paging handler's invalidate hook, for ADDRSPACE_ALL_CPUS:
 *
 *	addrspace_shootdown_invalidate(shootdown, kick, kick_ctx)
 *
 * which returns when no CPU can use older translations: those inside the guest have left it, and
 * all flush before they enter again. The hook runs under the space's exclusive lock. A CPU that
 * spins for that lock has left the guest, so it is never waited for.
 *
 * A flush is needed and asked for
 *	- after each invalidation, once on each CPU that enters again, whichever virtual CPU it runs:
 *	  virtual CPUs move as they like;
 *	- at a CPU's first entry, whatever an earlier space left behind under the same root address
 *	  (EPTP) or address space number (ASID);
 *	- after addrspace_shootdown_forget().
 * What it must drop: EPT: addrspace_ept_flush(), INVEPT; NPT: TLB_CONTROL in the VMCB, see
 * addrspace_npt_tlb_control().
 *
 * The functions take no lock and no memory. They may be called from any number of CPUs at a time.
 */
#ifndef ADDRSPACE_SHOOTDOWN_H
#define ADDRSPACE_SHOOTDOWN_H

#include <addrspace/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What one physical CPU has done for one space. Its fields are private. Two cache lines, since CPUs
 * fetch them in pairs. */
struct addrspace_shootdown_cpu {
	uint64_t seen;     /* it has flushed for this generation, or is about to */
	uint32_t in_guest; /* it is inside, or has asked whether it may enter as it is */
} __attribute__((aligned(128)));

/** One for each space: embed it in the VM. Its fields are private. */
struct addrspace_shootdown {
	uint64_t generation; /* of the tables; counts invalidations, from 1 */
	struct addrspace_shootdown_cpu *cpus;
	unsigned cpu_count;
};

/**
 * Makes a physical CPU leave the guest, soon: an inter-processor interrupt. Called at most once for
 * each CPU and invalidation, on the invalidating CPU; must not wait.
 *
 * The CPU may be anywhere between enter() and leave(), also just before the instruction that enters
 * the guest: then the kick must cause an exit right after it. On x86 it is a maskable interrupt that
 * stays pending from before enter() until the guest runs:
 *   VMX: RFLAGS.IF = 0, and external-interrupt exiting (SDM 3C, 26.2);
 *   SVM: GIF = 0 by CLGI and RFLAGS.IF = 1 at VMRUN, which then sets GIF; V_INTR_MASKING and the
 *   INTR intercept (APM 2, 15.13.1, 15.17, 15.21.1).
 * An NMI would not do: the host's handler would take it before the entry, and the guest run on.
 */
typedef void (*addrspace_kick)(void *kick_ctx, unsigned cpu);

/**
 * Starts a space: no CPU is inside, and each flushes at its first entry. cpus is an array of
 * cpu_count slots (128 bytes each, aligned), which stays the embedder's.
 *
 * Also restarts it, while no CPU is inside: for a new root or address space number.
 * @return 0, or ADDRSPACE_EINVAL: a null pointer, or no CPU.
 */
int addrspace_shootdown_init(struct addrspace_shootdown *shootdown,
			     struct addrspace_shootdown_cpu *cpus, unsigned cpu_count);

/**
 * Says that this CPU is about to enter the guest. Call it on that CPU, after whatever may wait or
 * take the space's lock, with nothing but the flush between it and the entry.
 *
 * After a 1 the flush is the caller's debt: if the entry is abandoned before the flush is done (by
 * NPT's it is done by the entry itself), call leave() and then forget(). After any 0 or 1 leave() must
 * follow, with or without an entry.
 * @return 0 enter; 1 flush first; or ADDRSPACE_EINVAL a null pointer, or no such CPU: do not enter.
 */
int addrspace_shootdown_enter(struct addrspace_shootdown *shootdown, unsigned cpu);

/**
 * Says that this CPU is no longer in the guest. Call it on that CPU, after each exit, before anything
 * that may wait for another CPU: one that invalidates may be waiting for this very call.
 * @return 0, or ADDRSPACE_EINVAL: a null pointer, or no such CPU.
 */
int addrspace_shootdown_leave(struct addrspace_shootdown *shootdown, unsigned cpu);

/**
 * Has a CPU flush at its next entry, whatever it has flushed before: an entry was abandoned between
 * enter() and its flush, the CPU was off, or runs the space under another address space number. Call it
 * on that CPU, or while that CPU cannot enter, outside of the guest.
 * @return 0, or ADDRSPACE_EINVAL: a null pointer, or no such CPU.
 */
int addrspace_shootdown_forget(struct addrspace_shootdown *shootdown, unsigned cpu);

/**
 * Returns when no CPU can use translations that are older than this call: see above. Spins until the
 * CPUs that were inside with such have left; does nothing for others.
 *
 * The stores to the tables come before it (they need no barrier of the caller's); the calling CPU has
 * left the guest. Interrupts may be masked, if those of the other CPUs' kicks can still be sent.
 * @return 0, or ADDRSPACE_EINVAL: a null pointer.
 */
int addrspace_shootdown_invalidate(struct addrspace_shootdown *shootdown, addrspace_kick kick,
				   void *kick_ctx);

#ifdef __cplusplus
}
#endif
#endif
