/* SPDX-License-Identifier: MIT */
#include "expectation.h"

#include "print.h"
#include "report.h"

void expectation_start(struct expectation_progress *progress, const struct expectation *list)
{
	*progress = (struct expectation_progress){.next = list};
}

/** A walk reads. But x86 reports a write where the CPU may set flags in the guest's table, for the same
 * entry. */
static bool is_expected_access(const struct expectation *expected,
			       const struct addrspace_fault_info *fault)
{
	unsigned access = fault->access;

	if (fault->table_walk && expected->access == ADDRSPACE_READ && access & ADDRSPACE_WRITE)
		access = ADDRSPACE_READ;
	return access == expected->access;
}

void expectation_meet(struct expectation_progress *progress, const struct vcpu_exit *exit,
		      int outcome)
{
	const struct expectation *expected = progress->next;
	uint64_t gpa = expected->gpa + progress->seen * expected->stride;

	if (!expected->count)
		fail("an unexpected %s fault at 0x%lx (%s)", report_access_name(exit->fault.access),
		     exit->fault.gpa, addrspace_fault_name(outcome));
	if (exit->fault.gpa != gpa || !is_expected_access(expected, &exit->fault) ||
	    outcome != (int)expected->outcome || exit->fault.table_walk != expected->table_walk)
		fail("%s at 0x%lx was %s%s; expected: %s at 0x%lx %s%s",
		     report_access_name(exit->fault.access), exit->fault.gpa,
		     addrspace_fault_name(outcome), exit->fault.table_walk ? " (table walk)" : "",
		     report_access_name(expected->access), gpa,
		     addrspace_fault_name((int)expected->outcome),
		     expected->table_walk ? " (table walk)" : "");
	if (++progress->seen == expected->count) {
		progress->next++;
		progress->seen = 0;
	}
}

void expectation_end(const struct expectation_progress *progress)
{
	const struct expectation *expected = progress->next;

	if (expected->count)
		fail("no %s fault at 0x%lx, which was to be %s",
		     report_access_name(expected->access),
		     expected->gpa + progress->seen * expected->stride,
		     addrspace_fault_name((int)expected->outcome));
}
