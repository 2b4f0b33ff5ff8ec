/* SPDX-License-Identifier: MIT */
#include "device.h"

#include "guest_layout.h"

static unsigned byte_shift(uint64_t offset)
{
	return (unsigned)(offset % 8) * 8;
}

uint64_t device_load(struct device *device, uint64_t offset)
{
	switch (offset & ~UINT64_C(7)) {
	case DEVICE_ID:
		return (uint64_t)DEVICE_ID_VALUE >> byte_shift(offset);
	case DEVICE_SCRATCH:
		return device->scratch >> byte_shift(offset);
	case DEVICE_READS:
		return ++device->reads;
	default:
		return BUS_FLOATS;
	}
}

void device_store(struct device *device, uint64_t offset, unsigned size, uint64_t value)
{
	uint64_t mask = size >= 8 ? UINT64_MAX : (UINT64_C(1) << size * 8) - 1;
	unsigned shift = byte_shift(offset);

	if ((offset & ~UINT64_C(7)) == DEVICE_SCRATCH)
		device->scratch = (device->scratch & ~(mask << shift)) | (value & mask) << shift;
}
