/* SPDX-License-Identifier: MIT */
/* The space as text: each region, and below it the runs of leaves that back it. */
#include "compiler.h"
#include "lock.h"
#include "page_table.h"
#include "range.h"
#include "region_set.h"

#define LINE_CAPACITY 160

struct line {
	addrspace_print print;
	void *print_ctx;
	size_t length;
	char text[LINE_CAPACITY + 1];
};

static RARELY void put_char(struct line *line, char character)
{
	if (line->length < LINE_CAPACITY)
		line->text[line->length++] = character;
}

static RARELY void put_text(struct line *line, const char *text)
{
	while (*text)
		put_char(line, *text++);
}

static RARELY void put_hex(struct line *line, uint64_t value, unsigned digits)
{
	put_text(line, "0x");
	while (digits--)
		put_char(line, "0123456789abcdef"[value >> (4 * digits) & 0xf]);
}

static RARELY void put_decimal(struct line *line, uint64_t value)
{
	uint64_t unit = 1;

	while (value / unit >= 10)
		unit *= 10;
	for (; unit; unit /= 10)
		put_char(line, (char)('0' + value / unit % 10));
}

/** A size in the largest unit that divides it. */
static RARELY void put_size(struct line *line, uint64_t size)
{
	static const char units[][6] = {" B", " KiB", " MiB", " GiB", " TiB"};
	unsigned unit = 0;

	while (unit < 4 && size && size % 1024 == 0) {
		size /= 1024;
		unit++;
	}
	put_decimal(line, size);
	put_text(line, units[unit]);
}

static RARELY void put_attributes(struct line *line, unsigned permissions,
				  enum addrspace_memory_type memory_type)
{
	static const char types[][16] = {"write-back", "non-cacheable", "device", "write-through"};

	put_char(line, permissions & ADDRSPACE_READ ? 'r' : '-');
	put_char(line, permissions & ADDRSPACE_WRITE ? 'w' : '-');
	put_char(line, permissions & ADDRSPACE_EXECUTE ? 'x' : '-');
	put_char(line, ' ');
	put_text(line, types[memory_type]);
}

static RARELY void end_line(struct line *line)
{
	line->text[line->length] = '\0';
	line->print(line->print_ctx, line->text);
	line->length = 0;
}

static RARELY void dump_heading(struct line *line, const struct addrspace *as)
{
	put_text(line, as->format->name);
	put_text(line, ", ");
	put_decimal(line, as->gpa_bits);
	put_text(line, " bits, ");
	put_decimal(line, as->levels);
	put_text(line, " levels, ");
	put_decimal(line, as->region_count);
	put_text(line, as->region_count == 1 ? " region" : " regions");
	end_line(line);
}

static RARELY void put_backend(struct line *line, const struct addrspace_backend *backend)
{
	switch (backend->kind) {
	case ADDRSPACE_LINEAR:
		put_text(line, " linear");
		break;
	case ADDRSPACE_ALLOC:
		put_text(line, backend->u.alloc.populate ? " alloc populated" : " alloc lazy");
		break;
	case ADDRSPACE_TRAP:
		put_text(line, " trap base ");
		put_hex(line, backend->u.trap.base, 15);
		break;
	}
}

/** What the region wants of its leaves, where that is more than nothing. */
static RARELY void put_leaves(struct line *line, const struct addrspace_region *region)
{
	if (region->largest_leaf != ADDRSPACE_LEAF_4K)
		put_text(line, region->largest_leaf == ADDRSPACE_LEAF_2M ? " leaves to 2 MiB"
									 : " leaves to 1 GiB");
	if (region->fault_around) {
		put_text(line, " around ");
		put_decimal(line, region->fault_around);
	}
	if (region->small_executable)
		put_text(line, " small-executable");
}

static RARELY void dump_region(struct line *line, const struct addrspace_region *region)
{
	put_hex(line, region->gpa, 15);
	put_char(line, '-');
	put_hex(line, region->gpa + (region->size - 1), 15);
	put_char(line, ' ');
	put_size(line, region->size);
	put_char(line, ' ');
	put_attributes(line, region->permissions, region->memory_type);
	put_backend(line, &region->backend);
	put_leaves(line, region);
	put_text(line, " cookie ");
	put_hex(line, region->cookie, 16);
	end_line(line);
}

static RARELY void dump_run(struct line *line, const struct addrspace_run *run)
{
	put_text(line, "  ");
	put_hex(line, run->gpa, 15);
	put_text(line, " -> ");
	put_hex(line, run->hpa, 13);
	put_char(line, ' ');
	put_decimal(line, run->size / run->leaf_size);
	put_text(line, " x ");
	put_size(line, run->leaf_size);
	put_char(line, ' ');
	put_attributes(line, run->permissions, run->memory_type);
	end_line(line);
}

static RARELY void dump_runs(struct line *line, const struct addrspace *as,
			     const struct addrspace_region *region)
{
	struct addrspace_run run;
	uint64_t gpa = region->gpa;

	while (gpa < region_end(region) &&
	       as->format->next_run(as, gpa, region_end(region), &run)) {
		dump_run(line, &run);
		gpa = run.gpa + run.size;
	}
}

int addrspace_dump(struct addrspace *as, addrspace_print print, void *print_ctx)
{
	struct line line = {.print = print, .print_ctx = print_ctx};
	struct addrspace_region region;
	uint64_t gpa = 0;

	if (!as || !print)
		return ADDRSPACE_EINVAL;
	lock_shared(as);
	dump_heading(&line, as);
	while (addrspace_region_set_next(as, gpa, &region)) {
		dump_region(&line, &region);
		dump_runs(&line, as, &region);
		gpa = region_end(&region);
	}
	unlock_shared(as);
	return 0;
}
