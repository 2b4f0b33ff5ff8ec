/* SPDX-License-Identifier: MIT */
#include "held.h"

#include <addrspace/job.h>

RARELY const struct addrspace_job *addrspace_held_by(const struct addrspace *as, uint64_t gpa,
						     uint64_t end)
{
	const struct addrspace_job *job = as->jobs;

	while (job && (job->end <= gpa || job->gpa >= end))
		job = job->next;
	return job;
}
