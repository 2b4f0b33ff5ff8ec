/* SPDX-License-Identifier: MIT */
#include "report_device.h"

#include "linux_layout.h"
#include "print.h"

/* Both CPUs report. */
static void store(struct report_device *device, uint64_t offset, uint64_t value)
{
	switch (offset) {
	case REPORT_UPTIME:
		__atomic_store_n(&device->uptime, value, __ATOMIC_RELAXED);
		break;
	case REPORT_PAGES:
		__atomic_fetch_add(&device->pages, value, __ATOMIC_RELAXED);
		break;
	case REPORT_RESULT:
		__atomic_store_n(&device->result, value, __ATOMIC_RELAXED);
		break;
	default:
		fail("the guest stores 0x%lx at 0x%lx of the report device", value, offset);
	}
}

void report_device_access(struct report_device *device, struct vcpu *vcpu,
			  const struct vcpu_exit *exit)
{
	uint64_t offset = exit->fault.gpa - LINUX_REPORT_GPA;

	if (offset >= ADDRSPACE_PAGE_SIZE)
		fail("the guest accesses 0x%lx, where nothing is", exit->fault.gpa);
	if (!exit->emulatable || exit->size != sizeof(uint64_t))
		fail("the access to the report device cannot be emulated (syndrome 0x%lx)",
		     exit->syndrome);
	if (exit->fault.access == ADDRSPACE_WRITE) {
		store(device, offset, exit->stored);
		vcpu_skip_instruction(vcpu);
		return;
	}
	if (offset != REPORT_ROUNDS)
		fail("the guest loads 0x%lx of the report device", offset);
	vcpu_complete_load(vcpu, device->rounds);
}
