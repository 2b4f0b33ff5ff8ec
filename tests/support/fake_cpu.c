/* SPDX-License-Identifier: MIT */
#include "fake_cpu.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fake_frames.h"
#include "fake_machine.h"

/* ---- The TLB: an array of entries, found through a hash of (kind, level, gpa) ---- */

static uint32_t bucket_of(enum fake_entry_kind kind, unsigned level, uint64_t gpa)
{
	uint64_t hash = (gpa >> 12) * UINT64_C(0x9e3779b97f4a7c15) + level * 131 + (unsigned)kind;

	return (uint32_t)(hash >> 40) % FAKE_TLB_BUCKETS;
}

static void link_entry(struct fake_cpu *cpu, uint32_t index)
{
	struct fake_tlb_entry *entry = &cpu->tlb[index];
	uint32_t bucket = bucket_of(entry->kind, entry->level, entry->gpa);

	entry->next = cpu->buckets[bucket];
	cpu->buckets[bucket] = index + 1;
}

static struct fake_tlb_entry *find_entry(const struct fake_cpu *cpu, enum fake_entry_kind kind,
					 unsigned level, uint64_t gpa)
{
	uint64_t base = gpa >> fake_level_shift(level) << fake_level_shift(level);
	uint32_t at = cpu->buckets[bucket_of(kind, level, base)];

	while (at) {
		struct fake_tlb_entry *entry = &cpu->tlb[at - 1];

		if (entry->kind == kind && entry->level == level && entry->gpa == base)
			return entry;
		at = entry->next;
	}
	return NULL;
}

const struct fake_tlb_entry *fake_cpu_cached(const struct fake_cpu *cpu, enum fake_entry_kind kind,
					     unsigned level, uint64_t gpa)
{
	return find_entry(cpu, kind, level, gpa);
}

static void keep(struct fake_cpu *cpu, enum fake_entry_kind kind, unsigned level, uint64_t gpa,
		 const struct fake_entry *from)
{
	uint64_t size = UINT64_C(1) << fake_level_shift(level);
	struct fake_tlb_entry *entry = find_entry(cpu, kind, level, gpa);

	if (!entry) {
		if (cpu->tlb_count == cpu->tlb_capacity) {
			cpu->tlb_capacity = cpu->tlb_capacity ? 2 * cpu->tlb_capacity : 64;
			cpu->tlb = realloc(cpu->tlb, cpu->tlb_capacity * sizeof(*cpu->tlb));
			if (!cpu->tlb)
				abort();
		}
		entry = &cpu->tlb[cpu->tlb_count++];
		*entry = (struct fake_tlb_entry){.kind = kind, .level = level, .size = size};
		entry->gpa = gpa & ~(size - 1);
		link_entry(cpu, cpu->tlb_count - 1);
	}
	entry->hpa = from->hpa;
	entry->permissions = from->permissions;
	entry->memory_type = from->memory_type;
	entry->dirty = from->dirty;
}

/** Drops the entries for which drop() says so. */
static void drop_if(struct fake_cpu *cpu,
		    bool (*drop)(const struct fake_tlb_entry *entry, const void *ctx),
		    const void *ctx)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cpu->tlb_count; i++) {
		if (!drop(&cpu->tlb[i], ctx))
			cpu->tlb[kept++] = cpu->tlb[i];
	}
	if (kept == cpu->tlb_count)
		return;
	cpu->tlb_count = kept;
	memset(cpu->buckets, 0, sizeof(cpu->buckets));
	for (uint32_t i = 0; i < kept; i++)
		link_entry(cpu, i);
}

void fake_cpu_init(struct fake_cpu *cpu, unsigned id)
{
	*cpu = (struct fake_cpu){.id = id};
}

void fake_cpu_destroy(struct fake_cpu *cpu)
{
	free(cpu->tlb);
	cpu->tlb = NULL;
}

void fake_cpu_flush(struct fake_cpu *cpu)
{
	cpu->tlb_count = 0;
	memset(cpu->buckets, 0, sizeof(cpu->buckets));
	cpu->flush_pending = false;
}

void fake_cpu_set_spinning(struct fake_cpu *cpu, bool spinning)
{
	cpu->spinning = spinning;
}

bool fake_cpu_reaches(const struct fake_cpu *cpu, uint64_t hpa, uint64_t size)
{
	if (cpu->flush_pending)
		return false;
	for (uint32_t i = 0; i < cpu->tlb_count; i++) {
		const struct fake_tlb_entry *entry = &cpu->tlb[i];
		uint64_t named = entry->kind == FAKE_ENTRY_TABLE ? FAKE_PAGE_SIZE : entry->size;

		if (entry->kind != FAKE_ENTRY_ABSENT && entry->hpa < hpa + size &&
		    hpa < entry->hpa + named)
			return true;
	}
	return false;
}

/* ---- Invalidation ---- */

static bool covers(const struct fake_tlb_entry *entry, const void *gpa)
{
	return *(const uint64_t *)gpa - entry->gpa < entry->size;
}

/** Does one operation at gpa, gpa + stride, gpa + 2 * stride ... hit the entry? An operation by
 * address drops the leaves, and the absent pages, whose range contains its operand; what was absent
 * above the pages may be a table by now, and stays as tables do. */
static bool hit_by_address(const struct fake_tlb_entry *entry, const void *ctx)
{
	const struct addrspace_invalidation *invalidation = ctx;
	uint64_t offset, operand;

	if (entry->kind == FAKE_ENTRY_TABLE ||
	    (entry->kind == FAKE_ENTRY_ABSENT && entry->level > 0))
		return false;
	if (entry->gpa <= invalidation->gpa)
		return invalidation->gpa - entry->gpa < entry->size;
	offset = entry->gpa - invalidation->gpa;
	operand = (offset + invalidation->stride - 1) / invalidation->stride * invalidation->stride;
	return operand < invalidation->size && operand - offset < entry->size;
}

void fake_cpu_invalidate(struct fake_machine *machine, struct fake_cpu *cpu,
			 const struct addrspace_invalidation *invalidation)
{
	if (invalidation->tables_changed ||
	    !machine->geometry.walker->walk_cache_survives_by_address)
		fake_cpu_flush(cpu);
	else
		drop_if(cpu, hit_by_address, invalidation);
}

/* ---- Walking ---- */

struct walk {
	struct fake_machine *machine;
	struct fake_cpu *cpu;
	uint64_t gpa;
	unsigned access;
	unsigned level;
	uint64_t table; /**< hpa of the table at this level */
	unsigned permissions;
	struct fake_access_result *result;
};

static void misconfigured(struct walk *walk, uint64_t value, const char *why)
{
	walk->result->outcome = FAKE_FAULT_MISCONFIGURED;
	fake_fail(walk->machine, "CPU %u, gpa %#" PRIx64 ", level %u, entry %#" PRIx64 ": %s",
		  walk->cpu->id, walk->gpa, walk->level, value, why);
}

/** Starts at the deepest cached non-leaf entry, else at the root. */
static void start_walk(struct walk *walk)
{
	const struct fake_geometry *geometry = &walk->machine->geometry;

	for (unsigned level = 1; level < geometry->levels; level++) {
		const struct fake_tlb_entry *cached =
			find_entry(walk->cpu, FAKE_ENTRY_TABLE, level, walk->gpa);

		if (cached) {
			walk->level = level - 1;
			walk->table = cached->hpa;
			walk->permissions = cached->permissions;
			return;
		}
	}
	walk->level = geometry->levels - 1;
	walk->table = geometry->root_hpa;
	walk->permissions = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
}

/** Where the entry lies, or NULL (recorded) if that frame is no table any more. */
static uint64_t *entry_of(struct walk *walk)
{
	const struct fake_geometry *geometry = &walk->machine->geometry;
	bool root = walk->level == geometry->levels - 1;
	uint64_t index = walk->gpa >> fake_level_shift(walk->level);
	uint64_t hpa;
	struct fake_frame *frame;

	index &= fake_table_entries(geometry, walk->level) - 1;
	hpa = walk->table + 8 * index;
	frame = fake_machine_frame(walk->machine, hpa);
	if (!frame || frame->state != (root ? FAKE_ROOT : FAKE_TABLE)) {
		misconfigured(walk, hpa, "the walk reads a frame that is not a table's");
		return NULL;
	}
	return fake_machine_pointer(walk->machine, hpa);
}

/** A live entry and what some TLB holds for the same addresses: is the difference allowed? */
static const char *compare_cached(const struct walk *walk, const struct fake_entry *entry,
				  const struct fake_tlb_entry *cached)
{
	bool strict = walk->machine->geometry.walker->break_before_make;
	uint64_t size = UINT64_C(1) << fake_level_shift(walk->level);
	uint64_t base = walk->gpa & ~(size - 1);
	bool same_span = cached->gpa == base && cached->level == walk->level;

	if (cached->kind == FAKE_ENTRY_TABLE) {
		if (!strict || !same_span)
			return NULL;
		if (entry->kind == FAKE_ENTRY_LEAF)
			return "a table became a leaf without break and invalidation";
		return entry->hpa == cached->hpa ? NULL : "another table without a break";
	}
	if (entry->kind == FAKE_ENTRY_TABLE)
		return strict && same_span ? "a leaf became a table without a break" : NULL;
	if (strict && !same_span)
		return "leaves of two sizes live at a time";
	if (entry->hpa + (cached->gpa - base) != cached->hpa)
		return "another output address without a break";
	return entry->memory_type == cached->memory_type ? NULL : "another type without a break";
}

static bool conflicts(struct walk *walk, uint64_t value, const struct fake_entry *entry,
		      const struct fake_tlb_entry *cached)
{
	const char *why = cached ? compare_cached(walk, entry, cached) : NULL;

	if (why)
		misconfigured(walk, value, why);
	return why != NULL;
}

/** The leaves that a CPU holds inside the range of a large leaf just read. */
static bool smaller_conflict(struct walk *walk, uint64_t value, const struct fake_entry *entry,
			     const struct fake_cpu *cpu)
{
	uint64_t size = UINT64_C(1) << fake_level_shift(walk->level);
	uint64_t base = walk->gpa & ~(size - 1);

	for (uint32_t i = 0; i < cpu->tlb_count; i++) {
		const struct fake_tlb_entry *cached = &cpu->tlb[i];

		if (cached->kind == FAKE_ENTRY_LEAF && cached->level < walk->level &&
		    cached->gpa - base < size && conflicts(walk, value, entry, cached))
			return true;
	}
	return false;
}

/** Compares the live entry just read with what any CPU holds for its range. */
static bool broke_before_make(struct walk *walk, uint64_t value, const struct fake_entry *entry)
{
	unsigned levels = walk->machine->geometry.levels;

	for (unsigned i = 0; i < FAKE_CPUS; i++) {
		const struct fake_cpu *cpu = &walk->machine->cpus[i];

		if (cpu->flush_pending)
			continue;
		if (conflicts(walk, value, entry,
			      find_entry(cpu, FAKE_ENTRY_TABLE, walk->level, walk->gpa)))
			return false;
		for (unsigned level = walk->level; level < levels; level++) {
			if (conflicts(walk, value, entry,
				      find_entry(cpu, FAKE_ENTRY_LEAF, level, walk->gpa)))
				return false;
		}
		if (entry->kind == FAKE_ENTRY_LEAF && walk->level > 0 &&
		    smaller_conflict(walk, value, entry, cpu))
			return false;
	}
	return true;
}

/** Lets hardware set A and D in the entry; the value that stands there afterwards. */
static uint64_t set_accessed_dirty(struct walk *walk, uint64_t *at, uint64_t value)
{
	const struct fake_geometry *geometry = &walk->machine->geometry;
	bool store = walk->access == ADDRSPACE_WRITE;
	uint64_t touched = geometry->walker->touch(geometry, walk->level, value, store);

	/* Nothing runs between the read and here, so the exchange cannot fail. */
	if (touched != value)
		__atomic_compare_exchange_n(at, &value, touched, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_ACQUIRE);
	return touched;
}

static void fault(struct walk *walk, enum fake_access_outcome outcome)
{
	walk->result->outcome = outcome;
	if (walk->machine->geometry.walker->fault_drops_cached)
		drop_if(walk->cpu, covers, &walk->gpa);
}

/** Did this CPU keep an entry on the way to gpa as it was when it was not present? */
static bool kept_absent(const struct walk *walk)
{
	for (unsigned level = 0; level < walk->machine->geometry.levels; level++) {
		if (find_entry(walk->cpu, FAKE_ENTRY_ABSENT, level, walk->gpa))
			return true;
	}
	return false;
}

static void meet_absent(struct walk *walk)
{
	static const struct fake_entry nothing = {.kind = FAKE_ENTRY_ABSENT};

	if (walk->machine->geometry.caches_not_present)
		keep(walk->cpu, FAKE_ENTRY_ABSENT, walk->level, walk->gpa, &nothing);
	fault(walk, FAKE_FAULT_NOT_PRESENT);
}

static void hit(struct walk *walk, const struct fake_tlb_entry *leaf)
{
	walk->result->outcome = FAKE_HIT;
	walk->result->hpa = leaf->hpa + (walk->gpa - leaf->gpa);
	walk->result->leaf_size = leaf->size;
	walk->result->permissions = leaf->permissions;
	walk->result->memory_type = leaf->memory_type;
}

static void meet_leaf(struct walk *walk, uint64_t *at, uint64_t value, struct fake_entry *entry)
{
	const struct fake_geometry *geometry = &walk->machine->geometry;

	entry->permissions &= walk->permissions;
	if (!(entry->permissions & walk->access)) {
		keep(walk->cpu, FAKE_ENTRY_LEAF, walk->level, walk->gpa, entry);
		fault(walk, FAKE_FAULT_PERMISSION);
		return;
	}
	if (geometry->hardware_ad) {
		value = set_accessed_dirty(walk, at, value);
		entry->accessed = true;
		entry->dirty = entry->dirty || walk->access == ADDRSPACE_WRITE;
	}
	if (!entry->accessed || (!entry->dirty && walk->access == ADDRSPACE_WRITE)) {
		misconfigured(walk, value, "access flag or dirty fault of the library's making");
		return;
	}
	keep(walk->cpu, FAKE_ENTRY_LEAF, walk->level, walk->gpa, entry);
	hit(walk, find_entry(walk->cpu, FAKE_ENTRY_LEAF, walk->level, walk->gpa));
}

/** One entry of the walk; true if it goes on one level deeper. */
static bool step(struct walk *walk)
{
	const struct fake_geometry *geometry = &walk->machine->geometry;
	uint64_t *at = entry_of(walk);
	struct fake_entry entry;
	uint64_t value;

	if (!at)
		return false;
	value = __atomic_load_n(at, __ATOMIC_ACQUIRE);
	geometry->walker->decode(geometry, walk->level, value, &entry);
	if (entry.kind == FAKE_ENTRY_ABSENT) {
		meet_absent(walk);
		return false;
	}
	if (entry.kind == FAKE_ENTRY_ILLEGAL) {
		misconfigured(walk, value, entry.why);
		return false;
	}
	if (!broke_before_make(walk, value, &entry))
		return false;
	if (entry.kind == FAKE_ENTRY_LEAF) {
		meet_leaf(walk, at, value, &entry);
		return false;
	}
	set_accessed_dirty(walk, at, value);
	entry.permissions &= walk->permissions;
	keep(walk->cpu, FAKE_ENTRY_TABLE, walk->level, walk->gpa, &entry);
	walk->permissions = entry.permissions;
	walk->table = entry.hpa;
	walk->level--;
	return true;
}

static void walk_table(struct walk *walk)
{
	walk->cpu->walks++;
	start_walk(walk);
	while (step(walk))
		;
}

/** True if the TLB alone answered. */
static bool answer_from_tlb(struct walk *walk)
{
	const struct fake_geometry *geometry = &walk->machine->geometry;

	if (kept_absent(walk)) {
		walk->result->outcome = FAKE_FAULT_NOT_PRESENT;
		return true;
	}
	for (unsigned level = geometry->levels; level-- > 0;) {
		const struct fake_tlb_entry *leaf =
			find_entry(walk->cpu, FAKE_ENTRY_LEAF, level, walk->gpa);

		if (!leaf)
			continue;
		if (!(leaf->permissions & walk->access)) {
			if (!geometry->walker->fault_drops_cached) {
				walk->result->outcome = FAKE_FAULT_PERMISSION;
				return true;
			}
			drop_if(walk->cpu, covers, &walk->gpa);
			return false;
		}
		/* D must be set in the table first, so it is looked at again. */
		if (walk->access == ADDRSPACE_WRITE && !leaf->dirty)
			return false;
		hit(walk, leaf);
		return true;
	}
	return false;
}

/* ---- What a hit touches ---- */

static void check_word(const struct walk *walk, const char *where, uint64_t word)
{
	uint64_t token = fake_machine_token(walk->gpa);

	if (word != 0 && word != token)
		fake_fail(walk->machine,
			  "guest at gpa %#" PRIx64 " read %#" PRIx64 " from %s: not its own data",
			  walk->gpa, word, where);
}

static void touch_guest_frame(const struct walk *walk, const struct fake_frame *frame)
{
	struct fake_machine *machine = walk->machine;
	uint64_t offset = (walk->result->hpa - FAKE_ARENA_BASE) & ~UINT64_C(7);
	uint64_t token = fake_machine_token(walk->gpa);
	uint64_t page = walk->gpa & ~(FAKE_PAGE_SIZE - 1);

	if (frame->gpa != page) {
		fake_fail(machine, "guest at gpa %#" PRIx64 " reached the frame of gpa %#" PRIx64,
			  walk->gpa, frame->gpa);
		return;
	}
	if (machine->require_prepare && frame->by_library && !frame->prepared)
		fake_fail(machine, "guest at gpa %#" PRIx64 " met a frame never prepared",
			  walk->gpa);
	if (walk->access == ADDRSPACE_WRITE) {
		memcpy(machine->cached + offset, &token, sizeof(token));
		if (machine->memory)
			memcpy(machine->memory + offset, &token, sizeof(token));
		return;
	}
	memcpy(&token, machine->cached + offset, sizeof(token));
	check_word(walk, "its frame", token);
	if (machine->memory) {
		memcpy(&token, machine->memory + offset, sizeof(token));
		check_word(walk, "behind the caches", token);
	}
}

static void touch_memory(const struct walk *walk)
{
	static const char *const names[] = {"a free frame",    "the root",   "a table",
					    "a region's node", "guest data", "a lent frame"};
	struct fake_machine *machine = walk->machine;
	uint64_t hpa = walk->result->hpa;
	const struct fake_frame *frame = fake_machine_frame(machine, hpa);

	if (frame && frame->state == FAKE_LENT)
		return;
	if (frame && frame->state == FAKE_GUEST) {
		touch_guest_frame(walk, frame);
		return;
	}
	if (!frame && fake_frames_are_linear(machine, hpa, 1))
		return;
	fake_fail(machine, "guest at gpa %#" PRIx64 " reached %s at hpa %#" PRIx64, walk->gpa,
		  frame ? names[frame->state] : "memory that is not its own", hpa);
}

enum fake_access_outcome fake_cpu_access(struct fake_machine *machine, unsigned cpu, uint64_t gpa,
					 unsigned access, struct fake_access_result *result)
{
	struct fake_access_result unused;
	struct walk walk = {.machine = machine, .cpu = &machine->cpus[cpu], .gpa = gpa};

	walk.access = access;
	walk.result = result ? result : &unused;
	*walk.result = (struct fake_access_result){.outcome = FAKE_FAULT_NOT_PRESENT};
	if (walk.cpu->spinning)
		fake_fail(machine, "test: CPU %u runs the guest while it spins", cpu);
	if (walk.cpu->flush_pending)
		fake_cpu_flush(walk.cpu);
	if (gpa >> machine->geometry.input_bits)
		return FAKE_FAULT_NOT_PRESENT;
	walk.result->from_tlb = answer_from_tlb(&walk);
	if (!walk.result->from_tlb)
		walk_table(&walk);
	if (walk.result->outcome == FAKE_HIT) {
		walk.cpu->tlb_hits += walk.result->from_tlb;
		touch_memory(&walk);
	} else {
		walk.cpu->faults++;
	}
	return walk.result->outcome;
}
