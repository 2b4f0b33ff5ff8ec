/* SPDX-License-Identifier: MIT */
#include "second_cpu.h"

#include "machine.h"
#include "spin.h"

struct work {
	void (*function)(void *context);
	void *context;
};

/* Not NULL while CPU 1 is at it. */
static struct work *pending;

static void wait_for_work(void)
{
	for (;;) {
		struct work *work = __atomic_load_n(&pending, __ATOMIC_ACQUIRE);

		machine_relax();
		if (!work)
			continue;
		work->function(work->context);
		__atomic_store_n(&pending, NULL, __ATOMIC_RELEASE);
	}
}

void second_cpu_call(void (*function)(void *context), void *context)
{
	static struct work work;
	static bool started;

	second_cpu_join();
	work = (struct work){.function = function, .context = context};
	__atomic_store_n(&pending, &work, __ATOMIC_RELEASE);
	if (!started)
		machine_start_cpu(1, wait_for_work);
	started = true;
}

void second_cpu_join(void)
{
	uint64_t turns = 0;

	while (__atomic_load_n(&pending, __ATOMIC_ACQUIRE))
		spin(&turns, "CPU 1 to end its work");
}
