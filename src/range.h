/* SPDX-License-Identifier: MIT */
/* The sums with addresses that come from outside, as pure functions. None of them forms gpa + size
 * before it is known to fit. */
#ifndef ADDRSPACE_SRC_RANGE_H
#define ADDRSPACE_SRC_RANGE_H

#include <addrspace/addrspace.h>

static inline bool page_aligned(uint64_t value)
{
	return (value & (ADDRSPACE_PAGE_SIZE - 1)) == 0;
}

/** 0; ADDRSPACE_EINVAL empty, misaligned or wrapping; ADDRSPACE_ERANGE not below limit. */
static inline int check_range(uint64_t gpa, uint64_t size, uint64_t limit)
{
	if (!page_aligned(gpa | size) || size == 0 || size - 1 > UINT64_MAX - gpa)
		return ADDRSPACE_EINVAL;
	if (gpa >= limit || size > limit - gpa)
		return ADDRSPACE_ERANGE;
	return 0;
}

/** 0; ADDRSPACE_EINVAL misaligned; ADDRSPACE_ERANGE wrapping, or not below 1 << host_bits. */
static inline int check_host_range(uint64_t hpa, uint64_t size, unsigned host_bits)
{
	uint64_t limit = UINT64_C(1) << host_bits;

	if (!page_aligned(hpa))
		return ADDRSPACE_EINVAL;
	if (hpa >= limit || size > limit - hpa)
		return ADDRSPACE_ERANGE;
	return 0;
}

/** The same for bytes, which need not be aligned, and may be none. */
static inline int check_bytes(uint64_t gpa, uint64_t size, uint64_t limit)
{
	if (size == 0)
		return 0;
	if (size - 1 > UINT64_MAX - gpa)
		return ADDRSPACE_EINVAL;
	if (gpa >= limit || size > limit - gpa)
		return ADDRSPACE_ERANGE;
	return 0;
}

/** 0, or ADDRSPACE_EINVAL: a range is misaligned, empty or wrapping, or not above the one before it. */
static inline int check_excluded(const struct addrspace_host_range *ranges, size_t count)
{
	uint64_t last = 0; /* byte of the ranges before */

	if (count && !ranges)
		return ADDRSPACE_EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (check_range(ranges[i].hpa, ranges[i].size, UINT64_MAX) == ADDRSPACE_EINVAL ||
		    (i && ranges[i].hpa <= last))
			return ADDRSPACE_EINVAL;
		last = ranges[i].hpa + (ranges[i].size - 1);
	}
	return 0;
}

/** True if [hpa, hpa + size) touches one of the sorted ranges. Neither it nor they wrap, and each may
 * end with the last byte that there is. */
static inline bool touches_excluded(const struct addrspace_host_range *ranges, size_t count,
				    uint64_t hpa, uint64_t size)
{
	const struct addrspace_host_range *below;
	size_t from = 0;

	/* How many ranges start at or below the last byte; only the last of them can reach up to
	 * hpa. */
	while (from < count) {
		size_t middle = from + (count - from) / 2;

		if (ranges[middle].hpa <= hpa + (size - 1))
			from = middle + 1;
		else
			count = middle;
	}
	if (!from)
		return false;
	below = &ranges[from - 1];
	return below->hpa + (below->size - 1) >= hpa;
}

static inline uint64_t region_end(const struct addrspace_region *region)
{
	return region->gpa + region->size;
}

#endif
