/* SPDX-License-Identifier: MIT */
/* clang-format off */
/*
 * The bits of one format, as constants and small functions that know nothing but bits. The walker
 * is compiled once for each format against its ENTRY_FORMAT, so that all of this folds into
 * immediates.
 *
 *   entry        how it is told                              hardware sees
 *   -----        --------------                              -------------
 *   empty        0                                           nothing
 *   table, leaf  any bit of `present`                        it
 *   parked       none of present, dead, pending; a leaf      nothing: no permissions, but a frame
 *   pending      the pending mark: prepared, not yet on      nothing
 *   dead         the dead mark: going, until it is freed     nothing
 *
 * Whether an entry is a table, and which address it names, can be read from all but the empty one.
 */
/* clang-format on */
#ifndef ADDRSPACE_SRC_ENTRY_FORMAT_H
#define ADDRSPACE_SRC_ENTRY_FORMAT_H

#include <addrspace/types.h>

/** What a leaf's encoding depends on beside its attributes. By value: it fits one register, so loops
 * keep it there. */
struct entry_traits {
	uint32_t cpu_features;
	uint32_t memory_types; /* the format's own: see struct addrspace */
};

struct entry_format {
	uint64_t present; /* any of these: hardware uses the entry */
	uint64_t dead;    /* software marks of entries that are not present */
	uint64_t pending;
	/*
	 * Software bit of every entry. Leaf: the frame came from the handler. Table: it holds
	 * tables or such frames, so freeing it means looking inside; set before the first of them
	 * is linked.
	 */
	uint64_t owned;
	uint64_t table; /* a live non-leaf entry, without its address */
	/* Above level 0 an entry is a live table if these bits of it are those of `table`. */
	uint64_t table_mask;
	bool break_before_split; /* a live leaf must be broken and invalidated before a table takes
				    its place */

	/* All that with_permissions() changes, where hardware records nothing in a leaf. */
	uint64_t permission_mask;

	/*
	 * What hardware records in the leaves of a space with HARDWARE_AD, or stands for it: bits that
	 * say "accessed" or "dirty" by being set, and by being clear. No others of two leaves with
	 * equal attributes differ.
	 */
	uint64_t recorded_by_setting;
	uint64_t recorded_by_clearing;

	uint64_t (*address_bits)(uint64_t hpa);
	uint64_t (*table_address)(uint64_t entry);
	/** A leaf may have attributes where a table has address bits. */
	uint64_t (*leaf_address)(uint64_t leaf, unsigned level);
	bool (*is_table)(uint64_t entry, unsigned level);
	/** A leaf without its address. Permissions 0 give a parked leaf. */
	uint64_t (*leaf)(struct entry_traits traits, unsigned level, unsigned permissions,
			 enum addrspace_memory_type memory_type);
	/** The same leaf with other permissions; keeps what hardware has recorded in it. */
	uint64_t (*with_permissions)(struct entry_traits traits, uint64_t leaf,
				     unsigned permissions);
	/** The leaf as hardware would leave it after a write. */
	uint64_t (*with_dirty)(uint64_t leaf);
	/** The first leaf of the next level down that a large leaf at this level splits into. */
	uint64_t (*split)(uint64_t leaf, unsigned level);
	unsigned (*permissions)(uint64_t leaf);
	enum addrspace_memory_type (*memory_type)(struct entry_traits traits, uint64_t leaf,
						  unsigned level);
	bool (*accessed)(uint64_t leaf);
	bool (*dirty)(uint64_t leaf);
	/** What is wrong with a table, or with a leaf, live or parked: what the architecture
	 * forbids, and bits that nobody sets. A constant sentence, or NULL. */
	const char *(*defect)(struct entry_traits traits, uint64_t entry, unsigned level);
};

#endif
