/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "print.h"

#define BAR_CELLS 32u

#define KIB UINT64_C(0x400)
#define MIB UINT64_C(0x100000)
#define GIB UINT64_C(0x40000000)

static const char *permission_text(unsigned permissions)
{
	static const char *const texts[8] = {
		"---", "r--", "-w-", "rw-", "--x", "r-x", "-wx", "rwx",
	};

	return texts[permissions & 7];
}

static const char *type_text(enum addrspace_memory_type type)
{
	switch (type) {
	case ADDRSPACE_WRITE_BACK:
		return "write-back";
	case ADDRSPACE_NON_CACHEABLE:
		return "non-cacheable";
	case ADDRSPACE_DEVICE:
		return "device";
	case ADDRSPACE_WRITE_THROUGH:
		return "write-through";
	}
	return "unknown";
}

const char *report_access_name(unsigned access)
{
	switch (access) {
	case ADDRSPACE_READ:
		return "read";
	case ADDRSPACE_WRITE:
		return "write";
	case ADDRSPACE_EXECUTE:
		return "execute";
	default:
		return "several";
	}
}

void report_size(uint64_t size, unsigned width)
{
	if (size % GIB == 0)
		print("%*lu GiB", width, size / GIB);
	else if (size % MIB == 0)
		print("%*lu MiB", width, size / MIB);
	else if (size < 16 * MIB)
		print("%*lu KiB", width, size / KIB);
	else
		print("%*lu.%lu MiB", width > 2 ? width - 2 : 0, size / MIB, size % MIB * 10 / MIB);
}

/* ---- the picture ---- */

/** What backs [gpa, end): '.' nothing yet, '+' part of it, else the smallest leaf size in it. */
static char cell_glyph(struct addrspace *as, uint64_t gpa, uint64_t end)
{
	uint64_t present = 0;
	uint64_t smallest = GIB;
	struct addrspace_run run;

	for (uint64_t at = gpa; at < end && !addrspace_next_run(as, at, &run);
	     at = run.gpa + run.size) {
		uint64_t from = run.gpa > at ? run.gpa : at;
		uint64_t to = run.gpa + run.size < end ? run.gpa + run.size : end;

		if (from >= end)
			break;
		if (!run.permissions)
			return '-';
		present += to - from;
		if (run.leaf_size < smallest)
			smallest = run.leaf_size;
	}
	if (!present)
		return '.';
	if (present < end - gpa)
		return '+';
	return smallest == GIB ? 'G' : smallest >= 2 * MIB ? 'M' : 'k';
}

static void draw_bar(struct addrspace *as, const struct addrspace_region *region)
{
	uint64_t pages = region->size / ADDRSPACE_PAGE_SIZE;
	unsigned cells = pages < BAR_CELLS ? (unsigned)pages : BAR_CELLS;

	for (unsigned i = 0; i < BAR_CELLS; i++) {
		uint64_t from = pages * i / cells * ADDRSPACE_PAGE_SIZE;
		uint64_t to = pages * (i + 1) / cells * ADDRSPACE_PAGE_SIZE;

		print("%c", i < cells ? cell_glyph(as, region->gpa + from, region->gpa + to) : ' ');
	}
}

static void draw_backing(const struct addrspace_region *region)
{
	if (region->backend.kind == ADDRSPACE_LINEAR)
		print("linear, host 0x%010lx", region->gpa - region->backend.u.linear.offset);
	else if (region->backend.kind == ADDRSPACE_TRAP)
		print("trap, base 0x%010lx", region->backend.u.trap.base);
	else
		print("alloc, %s", region->backend.u.alloc.populate ? "all at once" : "lazy");
}

static void draw_rule(uint64_t gpa)
{
	print("  0x%010lx +--------------------------------+\n", gpa);
}

static void draw_hole(uint64_t gpa, uint64_t size)
{
	draw_rule(gpa);
	print("               :                                :  no region, ");
	report_size(size, 1);
	print("\n");
}

static void draw_region(struct addrspace *as, const struct addrspace_region *region,
			const char *name)
{
	draw_rule(region->gpa);
	print("               |");
	draw_bar(as, region);
	print("|  %-6s", name);
	report_size(region->size, 6);
	print("  %s  %-10s  ", permission_text(region->permissions),
	      type_text(region->memory_type));
	draw_backing(region);
	print("\n");
}

void report_map(struct addrspace *as, const char *const *names)
{
	struct addrspace_region region;
	uint64_t at = 0;

	print("\n  guest-physical address space"
	      "   (leaves: G 1 GiB, M 2 MiB, k 4 KiB, + some, . none yet, - no access)\n");
	while (!addrspace_next_region(as, at, &region)) {
		if (region.gpa > at)
			draw_hole(at, region.gpa - at);
		draw_region(as, &region, names[region.cookie]);
		at = region.gpa + region.size;
	}
	draw_rule(at);
	print("\n");
}

void report_zoom(struct addrspace *as, const char *label, uint64_t gpa, unsigned cells,
		 uint64_t cell_size)
{
	print("    %s 0x%010lx |", label, gpa);
	for (unsigned i = 0; i < cells; i++) {
		uint64_t from = gpa + i * cell_size;

		print("%c", cell_glyph(as, from, from + cell_size));
	}
	print("| a cell is ");
	report_size(cell_size, 1);
	print("\n");
}

/* ---- faults ---- */

struct fault_row {
	unsigned access;
	int outcome;
	unsigned count;
	const char *then;
	uint64_t last_gpa;
};

static struct fault_row row;

void report_flush(void)
{
	if (row.count > 2)
		print("    ... and %u more like these, the last at 0x%010lx\n", row.count - 2,
		      row.last_gpa);
	row.count = 0;
}

void report_fault(uint64_t gpa, unsigned access, bool table_walk, int outcome, const char *then,
		  const uint64_t *value)
{
	if (row.access != access || row.outcome != outcome || row.then != then || table_walk)
		report_flush();
	row.access = access;
	row.outcome = outcome;
	row.then = then;
	row.last_gpa = gpa;
	if (++row.count > 2)
		return;
	print("    guest %-7s 0x%010lx -> %s: %s", report_access_name(access), gpa,
	      addrspace_fault_name(outcome), then);
	if (value)
		print(" 0x%lx", *value);
	print("%s\n", table_walk ? " [the guest's own table walk]" : "");
}

/* ---- counts ---- */

static void print_change(const char *what, uint64_t before, uint64_t after)
{
	print(" %s %lu", what, before);
	if (before != after)
		print(" -> %lu", after);
	print(";");
}

void report_usage(const struct addrspace_statistics *before,
		  const struct addrspace_statistics *after)
{
	report_flush();
	print("    in use:");
	print_change("tables", before->table_frames, after->table_frames);
	print_change("guest frames", before->data_frames, after->data_frames);
	print_change("regions", before->regions, after->regions);
	print_change("leaves 1G", before->leaves_1g, after->leaves_1g);
	print_change("2M", before->leaves_2m, after->leaves_2m);
	print_change("4K", before->leaves_4k, after->leaves_4k);
	print("\n");
}

void report_dump_line(void *ctx, const char *line)
{
	(void)ctx;
	print("    %s\n", line);
}
