/* SPDX-License-Identifier: MIT */
#include "counts.h"

#include "print.h"

void counts_add(struct counts *sum, const struct counts *more)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)more;

	_Static_assert(sizeof(*sum) % sizeof(*to) == 0, "nothing but numbers");
	for (unsigned i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

static uint64_t answered_faults(const struct counts *counts)
{
	uint64_t faults = 0;

	for (unsigned i = 0; i < FAULT_OUTCOMES; i++)
		faults += counts->outcomes[i];
	return faults;
}

void counts_print(const struct counts *counts, uint64_t invalidations)
{
	uint64_t faults = answered_faults(counts);

	print("faults     %lu of %lu exits, %lu us each:", faults, counts->exits,
	      faults ? counts->fault_microseconds / faults : 0);
	for (unsigned i = 0; i < FAULT_OUTCOMES; i++)
		if (counts->outcomes[i])
			print(" %s %lu", addrspace_fault_name((int)i), counts->outcomes[i]);
	print("\n           reads %lu, writes %lu, fetches %lu; %lu of them by walks of the "
	      "guest's tables\n",
	      counts->reads, counts->writes, counts->fetches, counts->table_walks);
	print("pages      evicted %lu, brought back %lu, moved %lu, protected %lu, unprotected by "
	      "faults %lu\n",
	      counts->evictions, counts->refills, counts->moves, counts->protects,
	      counts->unprotects);
	print("large      split %lu, merged %lu\n", counts->splits, counts->merges);
	print("TLB        %lu invalidations\n", invalidations);
}

static void require_some(const char *what, uint64_t count)
{
	if (!count)
		fail("the run has seen no %s", what);
}

void counts_require_all(const struct counts *counts)
{
	require_some("fault on a walk of the guest's tables", counts->table_walks);
	require_some("fetch fault", counts->fetches);
	require_some("access to the report device", counts->outcomes[ADDRSPACE_FAULT_NOT_BACKED]);
	require_some("evicted page that came back", counts->refills);
	require_some("moved page", counts->moves);
	require_some("write to a protected page", counts->unprotects);
	require_some("split of a large leaf", counts->splits);
	require_some("merge of small leaves", counts->merges);
}
