/* SPDX-License-Identifier: MIT */
#include "spin.h"

#include "machine.h"
#include "print.h"

/* The clock is read once in so many turns: reading it may be an exit to the emulator. */
#define TURNS_PER_LOOK 65536

static uint64_t started[MACHINE_CPUS];

void spin(uint64_t *turns, const char *what)
{
	uint64_t *start = &started[machine_this_cpu()];

	machine_relax();
	if (++*turns % TURNS_PER_LOOK)
		return;
	if (*turns == TURNS_PER_LOOK)
		*start = machine_microseconds();
	else if (machine_microseconds() - *start > SPIN_SECONDS * UINT64_C(1000000))
		fail("CPU %u has waited for %u s for %s", machine_this_cpu(), SPIN_SECONDS, what);
}

bool spin_try_lock(struct spin_lock *lock)
{
	return !__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE);
}

void spin_lock(struct spin_lock *lock)
{
	uint64_t turns = 0;

	while (!spin_try_lock(lock))
		spin(&turns, "a spin lock");
}

void spin_unlock(struct spin_lock *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}
