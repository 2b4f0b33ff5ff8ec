/* SPDX-License-Identifier: MIT */
/* The sum that preparing a cut rests on, by itself so that it can be tested exhaustively. */
#ifndef ADDRSPACE_SRC_CUT_TABLES_H
#define ADDRSPACE_SRC_CUT_TABLES_H

#include "page_table.h"

/** True if boundary lies strictly inside a slot at level. */
static inline bool cuts_slot(uint64_t boundary, unsigned level)
{
	return (boundary & (level_size(level) - 1)) != 0;
}

/**
 * Tables needed to make gpa and end the edges of leaves, where a leaf at gpa_level contains gpa and
 * one at end_level contains end (level 0: no large leaf is cut there): one for each slot that a
 * boundary lies strictly inside of, from the leaf's own down to those of 2 MiB; a slot that both
 * lie in counts once.
 */
static inline unsigned cut_table_count(uint64_t gpa, unsigned gpa_level, uint64_t end,
				       unsigned end_level)
{
	unsigned count = 0;

	for (unsigned level = 1; level <= PAGE_TABLE_MAX_LEAF; level++) {
		bool at_gpa = level <= gpa_level && cuts_slot(gpa, level);
		bool at_end = level <= end_level && cuts_slot(end, level);
		bool same = gpa / level_size(level) == end / level_size(level);

		count += at_gpa;
		count += at_end && !(at_gpa && same);
	}
	return count;
}

#endif
