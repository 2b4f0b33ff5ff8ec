/* SPDX-License-Identifier: MIT */
/*
 * What hardware makes of one table entry, written from the architecture manuals and sharing no code
 * with the library: a mistake in the library's encoding must not hide behind the same mistake here.
 *
 * Level 0 holds 4 KiB pages on every format.
 */
#ifndef FAKE_WALK_H
#define FAKE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include <addrspace/types.h>

#define FAKE_MAX_LEVELS 5

struct fake_walker;

/** What a CPU knows about the table it walks: root registers, decoded, and its own features. */
struct fake_geometry {
	const struct fake_walker *walker;
	uint64_t root_hpa;
	unsigned input_bits; /**< Addresses at or above 1 << input_bits fault. */
	unsigned levels;
	unsigned host_bits;
	bool hardware_ad;  /**< This CPU maintains A and D. */
	bool execute_only; /**< EPT: an entry may grant execution alone. */
	bool leaf_2m;
	bool leaf_1g;
	bool fwb;                /**< Stage 2: MemAttr has the FWB encoding. */
	bool svpbmt;             /**< G-stage. */
	bool no_execute;         /**< NPT: the host runs with EFER.NXE = 1. */
	uint64_t host_pat;       /**< NPT: the host's IA32_PAT; 0: as after reset. */
	bool caches_not_present; /**< This CPU may keep not-present entries. */
};

enum fake_entry_kind {
	FAKE_ENTRY_ABSENT,
	FAKE_ENTRY_TABLE,
	FAKE_ENTRY_LEAF,
	FAKE_ENTRY_ILLEGAL, /**< Hardware reports a configuration error, or may do anything. */
};

struct fake_entry {
	enum fake_entry_kind kind;
	uint64_t hpa; /**< Of the child table or the leaf; of an absent entry, what the address
			 field would name. */
	unsigned permissions; /**< Of a table: the most that its leaves can grant. */
	enum addrspace_memory_type memory_type;
	bool accessed;   /**< The walk may go on without an access flag fault. */
	bool dirty;      /**< A store may go on without a dirty fault. */
	const char *why; /**< Illegal: what is wrong. */
};

/** One format. */
struct fake_walker {
	const char *name;
	/** Arm: a live entry must be broken before its size, address or type changes. */
	bool break_before_make;
	/** Invalidation by address leaves cached non-leaf entries in place. */
	bool walk_cache_survives_by_address;
	/** A fault drops whatever was cached for its address (EPT violation). */
	bool fault_drops_cached;
	/** Decodes one entry of a table at this level. */
	void (*decode)(const struct fake_geometry *geometry, unsigned level, uint64_t value,
		       struct fake_entry *entry);
	/** The value after hardware has set A, and for a store D, in a legal live entry. */
	uint64_t (*touch)(const struct fake_geometry *geometry, unsigned level, uint64_t value,
			  bool store);
};

extern const struct fake_walker fake_walker_ept;
extern const struct fake_walker fake_walker_npt;
extern const struct fake_walker fake_walker_stage2;
extern const struct fake_walker fake_walker_gstage;
extern const struct fake_walker fake_walker_hostile;

/** Decode the root registers; false, with *why set, if hardware would not accept them. They fill
 * root_hpa, input_bits, levels and hardware_ad; host_bits and features are the caller's. */
bool fake_ept_decode_root(struct fake_geometry *geometry, uint64_t eptp, const char **why);
bool fake_npt_decode_root(struct fake_geometry *geometry, uint64_t ncr3, bool la57,
			  const char **why);
bool fake_stage2_decode_root(struct fake_geometry *geometry, uint64_t vtcr, uint64_t vttbr,
			     uint64_t hcr, bool vmid16, const char **why);
bool fake_gstage_decode_root(struct fake_geometry *geometry, uint64_t hgatp, const char **why);

/** log2 of what one entry at this level spans. */
static inline unsigned fake_level_shift(unsigned level)
{
	return 12 + 9 * level;
}

/** Entries in the root, concatenated tables included. */
static inline uint64_t fake_root_entries(const struct fake_geometry *geometry)
{
	return UINT64_C(1) << (geometry->input_bits - fake_level_shift(geometry->levels - 1));
}

/** Entries in a table at this level. */
static inline uint64_t fake_table_entries(const struct fake_geometry *geometry, unsigned level)
{
	return level == geometry->levels - 1 ? fake_root_entries(geometry) : 512;
}

#endif
