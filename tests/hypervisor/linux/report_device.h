/* SPDX-License-Identifier: MIT */
/* The device of report_registers.h, emulated. */
#ifndef LINUX_REPORT_DEVICE_H
#define LINUX_REPORT_DEVICE_H

#include "machine.h"
#include "report_registers.h"

struct report_device {
	uint64_t rounds; /* what init is to do */
	uint64_t uptime; /* what it says */
	uint64_t pages;
	uint64_t result;
};

/** Emulates an access to where no region is, and skips the instruction. Fails if it is not the device. */
void report_device_access(struct report_device *device, struct vcpu *vcpu,
			  const struct vcpu_exit *exit);

#endif
