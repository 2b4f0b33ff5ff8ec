/* SPDX-License-Identifier: MIT */
/* What a person sees: the address space drawn, faults in one line each, counts before and after. */
#ifndef HYPERVISOR_REPORT_H
#define HYPERVISOR_REPORT_H

#include <addrspace/addrspace.h>

/** Draws all regions and the holes between them. A region's cookie is its index in names. */
void report_map(struct addrspace *as, const char *const *names);
/** Draws cells of cell_size bytes from gpa on, one character each. */
void report_zoom(struct addrspace *as, const char *label, uint64_t gpa, unsigned cells,
		 uint64_t cell_size);
/** One fault, what was done then, and a value that belongs to that or NULL. Equal ones in a row
 * are folded after the second. */
void report_fault(uint64_t gpa, unsigned access, bool table_walk, int outcome, const char *then,
		  const uint64_t *value);
/** Ends a row of folded faults; before anything else is printed. */
void report_flush(void);
void report_usage(const struct addrspace_statistics *before,
		  const struct addrspace_statistics *after);
const char *report_access_name(unsigned access);
/** Prints a number of bytes with its binary unit, in tenths of a MiB if large and uneven, padded on
 * the left to width. */
void report_size(uint64_t size, unsigned width);
/** An addrspace_print. */
void report_dump_line(void *ctx, const char *line);

#endif
