/* SPDX-License-Identifier: MIT */
/* The device that only the hypervisor makes: see DEVICE_ in guest_layout.h. */
#ifndef HYPERVISOR_DEVICE_H
#define HYPERVISOR_DEVICE_H

#include <stdint.h>

struct device {
	uint64_t scratch;
	uint32_t reads;
};

/** offset is within the device's page; size 1, 2, 4 or 8. */
uint64_t device_load(struct device *device, uint64_t offset);
void device_store(struct device *device, uint64_t offset, unsigned size, uint64_t value);

#endif
