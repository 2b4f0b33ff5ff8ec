/* SPDX-License-Identifier: MIT */
/* The whole table, looked at without the library: translations, checks at rest, snapshots. */
#include <inttypes.h>
#include <string.h>

#include "fake_frames.h"
#include "fake_machine.h"

/* ---- One address ---- */

static bool translate(struct fake_machine *machine, const uint8_t *arena, uint64_t gpa,
		      struct fake_translation *translation)
{
	const struct fake_geometry *geometry = &machine->geometry;
	unsigned permissions = ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE;
	uint64_t table = geometry->root_hpa;

	if (gpa >> geometry->input_bits)
		return false;
	for (unsigned level = geometry->levels; level-- > 0;) {
		uint64_t shift = fake_level_shift(level);
		uint64_t index = (gpa >> shift) & (fake_table_entries(geometry, level) - 1);
		uint64_t value, at = table - FAKE_ARENA_BASE + 8 * index;
		struct fake_entry entry;

		if (at >= machine->arena_size) {
			fake_fail(machine, "gpa %#" PRIx64 ": a table outside the arena", gpa);
			return false;
		}
		value = __atomic_load_n((const uint64_t *)(arena + at), __ATOMIC_ACQUIRE);
		geometry->walker->decode(geometry, level, value, &entry);
		if (entry.kind == FAKE_ENTRY_ABSENT)
			return false;
		if (entry.kind == FAKE_ENTRY_ILLEGAL) {
			fake_fail(machine, "gpa %#" PRIx64 ", level %u, entry %#" PRIx64 ": %s",
				  gpa, level, value, entry.why);
			return false;
		}
		permissions &= entry.permissions;
		table = entry.hpa;
		if (entry.kind == FAKE_ENTRY_TABLE)
			continue;
		translation->leaf_size = UINT64_C(1) << shift;
		translation->hpa = entry.hpa + (gpa & (translation->leaf_size - 1));
		translation->permissions = permissions;
		translation->memory_type = entry.memory_type;
		translation->accessed = entry.accessed;
		translation->dirty = entry.dirty;
		return true;
	}
	return false;
}

bool fake_machine_translate(struct fake_machine *machine, uint64_t gpa,
			    struct fake_translation *translation)
{
	return translate(machine, machine->cached, gpa, translation);
}

bool fake_iommu_translate(struct fake_machine *machine, uint64_t gpa,
			  struct fake_translation *translation)
{
	return translate(machine, machine->memory ? machine->memory : machine->cached, gpa,
			 translation);
}

/* ---- The whole tree ---- */

/** One walk of everything. */
struct sweep {
	struct fake_machine *machine;
	fake_visit visit; /**< May be NULL. */
	void *ctx;
	bool compare_memory; /**< Each entry must read alike behind the caches. */
	uint64_t tables;
	uint64_t empty; /**< Tables without any entry. */
	uint64_t empty_gpa;
};

static void sweep_table(struct sweep *sweep, uint64_t table, unsigned level, uint64_t gpa,
			unsigned permissions);

/** May the walk enter this table? Stamps its frame, so that a second way to it is noticed. */
static bool enter_table(struct sweep *sweep, const struct fake_walk_step *step)
{
	struct fake_machine *machine = sweep->machine;
	struct fake_frame *frame = fake_machine_frame(machine, step->entry.hpa);

	if (!frame || frame->state != FAKE_TABLE) {
		fake_fail(machine,
			  "gpa %#" PRIx64 ", level %u, entry %#" PRIx64 ": names no table's frame",
			  step->gpa, step->level, step->value);
		return false;
	}
	if (frame->reached_at == machine->walk_stamp) {
		fake_fail(machine,
			  "gpa %#" PRIx64 ", level %u, entry %#" PRIx64 ": table reached twice",
			  step->gpa, step->level, step->value);
		return false;
	}
	frame->reached_at = machine->walk_stamp;
	sweep->tables++;
	return true;
}

static void compare_entry(const struct sweep *sweep, const struct fake_walk_step *step,
			  uint64_t behind)
{
	const struct fake_geometry *geometry = &sweep->machine->geometry;
	struct fake_entry other;

	geometry->walker->decode(geometry, step->level, behind, &other);
	/* A and D are the CPU's own: it sets them in its cache. */
	if (other.kind == step->entry.kind && other.permissions == step->entry.permissions &&
	    (other.kind == FAKE_ENTRY_ABSENT ||
	     (other.hpa == step->entry.hpa && other.memory_type == step->entry.memory_type)))
		return;
	fake_fail(sweep->machine,
		  "gpa %#" PRIx64 ", level %u: entry %#" PRIx64 " reads %#" PRIx64
		  " behind the caches: not synced",
		  step->gpa, step->level, step->value, behind);
}

static void sweep_entry(struct sweep *sweep, const struct fake_walk_step *step)
{
	if (sweep->visit && step->value)
		sweep->visit(sweep->machine, step, sweep->ctx);
	if (step->entry.kind == FAKE_ENTRY_TABLE && enter_table(sweep, step))
		sweep_table(sweep, step->entry.hpa, step->level - 1, step->gpa, step->permissions);
}

static void sweep_table(struct sweep *sweep, uint64_t table, unsigned level, uint64_t gpa,
			unsigned permissions)
{
	const struct fake_geometry *geometry = &sweep->machine->geometry;
	uint64_t offset = table - FAKE_ARENA_BASE;
	uint64_t used = 0;

	for (uint64_t i = 0; i < fake_table_entries(geometry, level); i++) {
		const uint64_t *at = (const uint64_t *)(sweep->machine->cached + offset) + i;
		struct fake_walk_step step = {.level = level};
		uint64_t behind = 0;

		step.gpa = gpa + (i << fake_level_shift(level));
		step.value = __atomic_load_n(at, __ATOMIC_ACQUIRE);
		if (sweep->compare_memory)
			memcpy(&behind, sweep->machine->memory + offset + 8 * i, sizeof(behind));
		if (!step.value && !behind)
			continue;
		used += step.value != 0;
		geometry->walker->decode(geometry, level, step.value, &step.entry);
		step.permissions = permissions & step.entry.permissions;
		if (sweep->compare_memory)
			compare_entry(sweep, &step, behind);
		sweep_entry(sweep, &step);
	}
	if (!used) {
		sweep->empty++;
		sweep->empty_gpa = gpa;
	}
}

/** Walks everything from the root; stamps the frames of tables. */
static void sweep_all(struct sweep *sweep)
{
	struct fake_machine *machine = sweep->machine;
	const struct fake_geometry *geometry = &machine->geometry;
	const struct fake_frame *root = fake_machine_frame(machine, geometry->root_hpa);

	machine->walk_stamp++;
	if (!root || root->state != FAKE_ROOT) {
		fake_fail(machine, "the root at %#" PRIx64 " is no root's frame",
			  geometry->root_hpa);
		return;
	}
	sweep_table(sweep, geometry->root_hpa, geometry->levels - 1, 0,
		    ADDRSPACE_READ | ADDRSPACE_WRITE | ADDRSPACE_EXECUTE);
}

uint64_t fake_machine_walk_all(struct fake_machine *machine, fake_visit visit, void *ctx)
{
	struct sweep sweep = {.machine = machine, .visit = visit, .ctx = ctx};

	sweep_all(&sweep);
	return sweep.tables;
}

/* ---- Who can still reach a frame that is being freed? ---- */

/** Stamps what live leaves name, whole, and the first frame of what a dead or parked one names. */
static void stamp_named(struct fake_machine *machine, const struct fake_walk_step *step, void *ctx)
{
	uint64_t size = UINT64_C(1) << fake_level_shift(step->level);
	struct fake_frame *frame = fake_machine_frame(machine, step->entry.hpa);

	(void)ctx;
	if (!frame || step->entry.kind == FAKE_ENTRY_TABLE)
		return;
	if (step->entry.kind != FAKE_ENTRY_LEAF)
		size = FAKE_PAGE_SIZE;
	for (uint64_t i = 0; i < size / FAKE_PAGE_SIZE; i++) {
		if (frame + i < machine->frames + machine->frame_count)
			frame[i].named_at = machine->walk_stamp;
	}
}

static void stamp_reachable(struct fake_machine *machine)
{
	fake_machine_walk_all(machine, stamp_named, NULL);
	machine->reach_epoch = machine->epoch;
	machine->reach_stamp = machine->walk_stamp;
}

static bool stamped(struct fake_machine *machine, uint64_t hpa, uint64_t size)
{
	const struct fake_frame *frame = fake_machine_frame(machine, hpa);

	for (uint64_t i = 0; i < size / FAKE_PAGE_SIZE; i++) {
		if (frame[i].reached_at >= machine->reach_stamp ||
		    frame[i].named_at >= machine->reach_stamp)
			return true;
	}
	return false;
}

/**
 * One full walk serves all frees of a lock section, or a walk per free would make large tests
 * quadratic. What it shows as reachable may have been cut off since, so that is looked at again.
 */
static bool tables_reach(struct fake_machine *machine, uint64_t hpa, uint64_t size)
{
	if (machine->reach_epoch != machine->epoch)
		stamp_reachable(machine);
	if (!stamped(machine, hpa, size))
		return false;
	stamp_reachable(machine);
	return stamped(machine, hpa, size);
}

void fake_frames_check_unreachable(struct fake_machine *machine, uint64_t hpa, uint64_t size)
{
	const struct fake_frame *frame = fake_machine_frame(machine, hpa);

	if (!machine->attached || frame->state == FAKE_REGION_NODE)
		return;
	for (unsigned i = 0; i < FAKE_CPUS; i++) {
		if (fake_cpu_reaches(&machine->cpus[i], hpa, size)) {
			fake_fail(machine, "free of %#" PRIx64 ": the TLB of CPU %u reaches it",
				  hpa, i);
			return;
		}
	}
	if (frame->state == FAKE_ROOT && hpa == machine->geometry.root_hpa)
		return;
	if (machine->check_reachable && tables_reach(machine, hpa, size))
		fake_fail(machine, "free of %#" PRIx64 ": an entry still names it", hpa);
}

/* ---- Checks at rest ---- */

struct tally {
	uint64_t owned; /**< Guest frames named by live or parked leaves. */
};

/** Why the guest must not have this frame for this page, or NULL; counts the library's frames. */
static const char *claim(struct fake_machine *machine, uint64_t gpa, uint64_t hpa,
			 struct tally *tally)
{
	const struct fake_frame *frame = fake_machine_frame(machine, hpa);

	if (!frame)
		return fake_frames_are_linear(machine, hpa, FAKE_PAGE_SIZE)
			       ? NULL
			       : "memory that is nobody's";
	if (frame->state == FAKE_LENT)
		return NULL;
	if (frame->state != FAKE_GUEST)
		return "a frame that is no guest data";
	if (frame->gpa != gpa)
		return "the frame of another page";
	/* It names one page, so only this entry can have passed the line above: none counts twice.
	 */
	tally->owned++;
	return NULL;
}

void fake_machine_hold(struct fake_machine *machine, uint64_t gpa, uint64_t size)
{
	if (machine->busy_count == FAKE_BUSY_MAX) {
		fake_fail(machine, "more jobs than the fake machine knows");
		return;
	}
	machine->busy[machine->busy_count].gpa = gpa;
	machine->busy[machine->busy_count++].size = size;
}

void fake_machine_let_go(struct fake_machine *machine, uint64_t gpa)
{
	for (unsigned i = 0; i < machine->busy_count; i++) {
		if (machine->busy[i].gpa == gpa) {
			machine->busy[i] = machine->busy[--machine->busy_count];
			return;
		}
	}
	fake_fail(machine, "no job holds gpa %#" PRIx64, gpa);
}

static bool is_busy(const struct fake_machine *machine, uint64_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < machine->busy_count; i++) {
		uint64_t offset = gpa - machine->busy[i].gpa;

		if (offset < machine->busy[i].size && size <= machine->busy[i].size - offset)
			return true;
	}
	return false;
}

static void check_step(struct fake_machine *machine, const struct fake_walk_step *step, void *ctx)
{
	uint64_t size = UINT64_C(1) << fake_level_shift(step->level);
	const char *why = NULL;

	if (step->entry.kind == FAKE_ENTRY_ILLEGAL)
		why = step->entry.why;
	else if (step->entry.kind == FAKE_ENTRY_ABSENT && is_busy(machine, step->gpa, size))
		return;
	else if (step->entry.kind == FAKE_ENTRY_TABLE ||
		 fake_frames_are_linear(machine, step->entry.hpa, size))
		return;
	for (uint64_t i = 0; !why && i < size; i += FAKE_PAGE_SIZE)
		why = claim(machine, step->gpa + i, step->entry.hpa + i, ctx);
	if (why)
		fake_fail(machine, "gpa %#" PRIx64 ", level %u, %s entry %#" PRIx64 ": %s",
			  step->gpa, step->level,
			  step->entry.kind == FAKE_ENTRY_ABSENT ? "absent" : "live", step->value,
			  why);
}

void fake_machine_check_tables(struct fake_machine *machine)
{
	struct tally tally = {0};
	struct sweep sweep = {.machine = machine, .visit = check_step, .ctx = &tally};

	sweep_all(&sweep);
	/* The root may be empty, and alone is not among the tables counted. */
	if (sweep.empty > (sweep.tables == 0 ? 1 : 0))
		fake_fail(machine, "%" PRIu64 " empty tables, one at gpa %#" PRIx64, sweep.empty,
			  sweep.empty_gpa);
	if (machine->busy_count && sweep.tables <= machine->live[ADDRSPACE_FRAME_TABLE] &&
	    tally.owned <= machine->live[ADDRSPACE_FRAME_GUEST])
		return;
	if (sweep.tables != machine->live[ADDRSPACE_FRAME_TABLE])
		fake_fail(machine, "%" PRIu64 " tables reachable, %" PRIu64 " allocated",
			  sweep.tables, machine->live[ADDRSPACE_FRAME_TABLE]);
	if (tally.owned != machine->live[ADDRSPACE_FRAME_GUEST])
		fake_fail(machine, "%" PRIu64 " guest frames mapped or parked, %" PRIu64 " out",
			  tally.owned, machine->live[ADDRSPACE_FRAME_GUEST]);
}

void fake_machine_check_synced(struct fake_machine *machine)
{
	struct sweep sweep = {.machine = machine, .compare_memory = true};

	if (machine->memory && machine->handler.sync_table)
		sweep_all(&sweep);
}

/** A cached leaf against the tables, one current leaf at a time. */
static const char *stale_leaf(struct fake_machine *machine, const struct fake_tlb_entry *cached)
{
	struct fake_translation now;
	uint64_t offset = 0;

	while (offset < cached->size) {
		if (!fake_machine_translate(machine, cached->gpa + offset, &now))
			return "the page is not mapped any more";
		if (now.hpa != cached->hpa + offset)
			return "the page is elsewhere";
		if (now.memory_type != cached->memory_type)
			return "the page has another type";
		if (cached->permissions & ~now.permissions)
			return "the page allows less";
		if (machine->geometry.walker->break_before_make && now.leaf_size != cached->size)
			return "the leaf has another size";
		offset += now.leaf_size - ((cached->gpa + offset) & (now.leaf_size - 1));
	}
	return NULL;
}

/** What is live now where a CPU still holds a leaf: what changed without having been absent? */
static const char *unbroken_leaf(struct fake_machine *machine, const struct fake_tlb_entry *cached)
{
	struct fake_translation now;
	uint64_t step;

	for (uint64_t offset = 0; offset < cached->size; offset += step) {
		step = FAKE_PAGE_SIZE;
		if (!fake_machine_translate(machine, cached->gpa + offset, &now))
			continue;
		if (now.hpa != cached->hpa + offset)
			return "another output address";
		if (now.memory_type != cached->memory_type)
			return "another type";
		if (machine->geometry.walker->break_before_make && now.leaf_size != cached->size)
			return "a leaf of another size";
		step = now.leaf_size - ((cached->gpa + offset) & (now.leaf_size - 1));
	}
	return NULL;
}

void fake_machine_check_breaks(struct fake_machine *machine)
{
	for (unsigned i = 0; i < FAKE_CPUS; i++) {
		const struct fake_cpu *cpu = &machine->cpus[i];

		for (uint32_t k = 0; !cpu->flush_pending && k < cpu->tlb_count; k++) {
			const struct fake_tlb_entry *cached = &cpu->tlb[k];
			const char *why = cached->kind == FAKE_ENTRY_LEAF
						  ? unbroken_leaf(machine, cached)
						  : NULL;

			if (why)
				fake_fail(machine,
					  "CPU %u holds a leaf at gpa %#" PRIx64
					  ", and %s went live without break and invalidation",
					  i, cached->gpa, why);
		}
	}
}

/** Where the live non-leaf entry at this level leads for gpa; false if there is none. */
static bool current_table(struct fake_machine *machine, unsigned level, uint64_t gpa, uint64_t *hpa)
{
	const struct fake_geometry *geometry = &machine->geometry;

	*hpa = geometry->root_hpa;
	for (unsigned at = geometry->levels; at-- > level;) {
		uint64_t index =
			(gpa >> fake_level_shift(at)) & (fake_table_entries(geometry, at) - 1);
		const uint64_t *entries = fake_machine_pointer(machine, *hpa);
		struct fake_entry entry;

		geometry->walker->decode(
			geometry, at, __atomic_load_n(&entries[index], __ATOMIC_ACQUIRE), &entry);
		if (entry.kind != FAKE_ENTRY_TABLE)
			return false;
		*hpa = entry.hpa;
	}
	return true;
}

static const char *stale_entry(struct fake_machine *machine, const struct fake_tlb_entry *cached)
{
	uint64_t hpa;

	/* Kept not-present entries cost a spurious fault and no more. */
	if (cached->kind == FAKE_ENTRY_ABSENT)
		return NULL;
	if (cached->kind == FAKE_ENTRY_LEAF)
		return stale_leaf(machine, cached);
	if (!current_table(machine, cached->level, cached->gpa, &hpa) || hpa != cached->hpa)
		return "the table is elsewhere or gone";
	return NULL;
}

void fake_machine_check_tlbs(struct fake_machine *machine)
{
	for (unsigned i = 0; i < FAKE_CPUS; i++) {
		const struct fake_cpu *cpu = &machine->cpus[i];

		for (uint32_t k = 0; !cpu->flush_pending && k < cpu->tlb_count; k++) {
			const char *why = stale_entry(machine, &cpu->tlb[k]);

			if (why)
				fake_fail(machine,
					  "CPU %u holds a stale %s, level %u, gpa %#" PRIx64 ": %s",
					  i, cpu->tlb[k].kind == FAKE_ENTRY_LEAF ? "leaf" : "table",
					  cpu->tlb[k].level, cpu->tlb[k].gpa, why);
		}
	}
}

void fake_machine_assert_charges_balanced(struct fake_machine *machine)
{
	for (unsigned i = 0; machine->handler.charge && i < FAKE_KINDS; i++) {
		if (machine->charged[i] != machine->live[i])
			fake_fail(machine, "kind %u: %" PRIu64 " frames out, %" PRIu64 " charged",
				  i, machine->live[i], machine->charged[i]);
	}
}

void fake_machine_assert_unlocked(struct fake_machine *machine)
{
	for (unsigned i = 0; i < FAKE_CPUS; i++) {
		if (machine->held[i] != FAKE_UNLOCKED)
			fake_fail(machine, "CPU %u still holds the lock", i);
	}
}

void fake_machine_assert_all_returned(struct fake_machine *machine)
{
	for (unsigned i = 0; i < FAKE_KINDS; i++) {
		if (machine->live[i])
			fake_fail(machine, "kind %u: %" PRIu64 " frames leaked", i,
				  machine->live[i]);
		if (machine->charged[i])
			fake_fail(machine, "kind %u: %" PRIu64 " frames still charged", i,
				  machine->charged[i]);
	}
}

/* ---- Snapshots ---- */

static void mix(uint64_t *digest, uint64_t value)
{
	*digest = (*digest ^ value) * UINT64_C(0x100000001b3);
	*digest ^= *digest >> 29;
}

static void snapshot_step(struct fake_machine *machine, const struct fake_walk_step *step,
			  void *ctx)
{
	struct fake_snapshot *snapshot = ctx;

	(void)machine;
	if (step->entry.kind == FAKE_ENTRY_TABLE)
		return;
	snapshot->leaves++;
	mix(&snapshot->leaf_digest, step->gpa);
	mix(&snapshot->leaf_digest, step->level);
	mix(&snapshot->leaf_digest, step->entry.hpa);
	mix(&snapshot->leaf_digest, (unsigned)step->entry.kind);
	mix(&snapshot->leaf_digest, step->permissions);
	mix(&snapshot->leaf_digest, (unsigned)step->entry.memory_type);
}

static void snapshot_regions(struct addrspace *as, struct fake_snapshot *snapshot)
{
	struct addrspace_region region;
	uint64_t *digest = &snapshot->region_digest;
	uint64_t gpa = 0;

	while (addrspace_next_region(as, gpa, &region) == 0) {
		snapshot->regions++;
		mix(digest, region.gpa);
		mix(digest, region.size);
		mix(digest, region.permissions);
		mix(digest, (unsigned)region.memory_type);
		mix(digest, region.cookie);
		mix(digest, (unsigned)region.backend.kind);
		if (region.backend.kind == ADDRSPACE_LINEAR)
			mix(digest, region.backend.u.linear.offset);
		else if (region.backend.kind == ADDRSPACE_TRAP)
			mix(digest, region.backend.u.trap.base);
		else
			mix(digest, region.backend.u.alloc.populate);
		mix(digest, (unsigned)region.largest_leaf);
		mix(digest, region.fault_around);
		mix(digest, region.small_executable);
		gpa = region.gpa + region.size;
	}
}

void fake_machine_snapshot(struct fake_machine *machine, struct addrspace *as,
			   struct fake_snapshot *snapshot)
{
	*snapshot = (struct fake_snapshot){0};
	memcpy(snapshot->live, machine->live, sizeof(snapshot->live));
	memcpy(snapshot->charged, machine->charged, sizeof(snapshot->charged));
	fake_machine_walk_all(machine, snapshot_step, snapshot);
	for (uint32_t i = 0; i < machine->frame_count; i++) {
		if (machine->frames[i].state != FAKE_GUEST)
			continue;
		mix(&snapshot->guest_digest, i);
		mix(&snapshot->guest_digest, machine->frames[i].gpa);
		mix(&snapshot->guest_digest, machine->frames[i].cookie);
	}
	if (as)
		snapshot_regions(as, snapshot);
}

void fake_machine_assert_unchanged(struct fake_machine *machine, struct addrspace *as,
				   const struct fake_snapshot *before)
{
	struct fake_snapshot now;

	fake_machine_snapshot(machine, as, &now);
	for (unsigned i = 0; i < FAKE_KINDS; i++) {
		if (now.live[i] != before->live[i] || now.charged[i] != before->charged[i])
			fake_fail(machine,
				  "a failed call changed kind %u: %" PRIu64 " frames out, were "
				  "%" PRIu64 "; %" PRIu64 " charged, were %" PRIu64,
				  i, now.live[i], before->live[i], now.charged[i],
				  before->charged[i]);
	}
	if (now.leaves != before->leaves || now.leaf_digest != before->leaf_digest)
		fake_fail(machine, "a failed call changed leaves: %" PRIu64 ", were %" PRIu64,
			  now.leaves, before->leaves);
	if (now.guest_digest != before->guest_digest)
		fake_fail(machine, "a failed call changed which frames are the guest's");
	if (now.regions != before->regions || now.region_digest != before->region_digest)
		fake_fail(machine, "a failed call changed regions: %" PRIu64 ", were %" PRIu64,
			  now.regions, before->regions);
}
