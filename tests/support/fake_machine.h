/* SPDX-License-Identifier: MIT */
/*
 * The machine that unit tests run the library on: physical frames with owners, a paging handler
 * that checks every call it gets, CPUs with hostile TLBs (fake_cpu.h) and table walkers written
 * from the manuals (fake_walk.h).
 *
 * Any broken rule goes through fake_fail(), which fails the running cmocka test. The machine is
 * single-threaded; races are played by letting other CPUs act inside the handler's callbacks: see
 * "hot addresses" and "interlude".
 */
#ifndef FAKE_MACHINE_H
#define FAKE_MACHINE_H

#include <stdarg.h>
#include <stddef.h>

#include <addrspace/addrspace.h>

#include "fake_cpu.h"
#include "fake_walk.h"

struct layout;

#define FAKE_PAGE_SIZE  UINT64_C(4096)
#define FAKE_CPUS       3
#define FAKE_KINDS      4 /**< enum addrspace_frame_kind */
#define FAKE_HISTORY    64
#define FAKE_HOT_MAX    64
#define FAKE_LINEAR_MAX 16
#define FAKE_BUSY_MAX   8
#define FAKE_ARENA_BASE UINT64_C(0x40000000) /**< hpa of the first frame. */
#define FAKE_ARENA_SIZE (UINT64_C(96) << 20) /**< Default, bytes. */
/* Both are illegal entries in every format, at every level. */
#define FAKE_POISON       UINT64_C(0xa5a5a5a5a5a5a5a5)
#define FAKE_STALE_POISON UINT64_C(0x5b5b5b5b5b5b5b5b) /**< Behind the caches. */

/* ---- Frames ---- */

enum fake_frame_state {
	FAKE_FREE,
	FAKE_ROOT,
	FAKE_TABLE,
	FAKE_REGION_NODE,
	FAKE_GUEST,
	FAKE_LENT, /**< The test's own: linear memory, or a frame for replace_frame. */
};

struct fake_frame {
	enum fake_frame_state state;
	uint32_t run_first; /**< Index of the first frame of the run it was allocated in. */
	uint8_t run_order;
	bool prepared;   /**< prepare_frame has seen it since it was allocated. */
	bool by_library; /**< Came through allocate (and not by fake_machine_hand_over()). */
	uint64_t gpa;    /**< Guest: the page it backs. */
	uint64_t cookie;
	uint64_t reached_at; /**< Stamp of the last full walk that met it. */
	uint64_t named_at;   /**< The same, where a live or parked entry names it as data. */
};

/** Calls of each hook. */
struct fake_counters {
	uint64_t allocations[FAKE_KINDS];
	uint64_t failed_allocations;
	uint64_t frees[FAKE_KINDS];
	uint64_t physical_to_virtual;
	uint64_t prepare_frame;
	uint64_t sync_table;
	uint64_t invalidate;
	uint64_t lock_shared;
	uint64_t lock_exclusive;
	uint64_t charge;
	uint64_t uncharge;
	uint64_t hot_hits; /**< Accesses of hot addresses inside callbacks. */
	uint64_t hot_faults;
};

/** Where in a callback the other CPUs run. */
enum fake_event {
	FAKE_AT_ALLOCATE,
	FAKE_AT_FREE,
	FAKE_AT_PREPARE,
	FAKE_AT_SYNC,
	FAKE_BEFORE_INVALIDATE,
	FAKE_AFTER_INVALIDATE,
	FAKE_AT_LOCK,
	FAKE_AT_UNLOCK,
};

struct fake_hot {
	uint64_t gpa;
	unsigned access; /**< A set: each bit is one access. */
};

enum fake_lock {
	FAKE_UNLOCKED,
	FAKE_SHARED,
	FAKE_EXCLUSIVE,
};

struct fake_machine {
	/* Switches: set them at any time. */
	enum addrspace_frame_contents answer; /**< What allocate answers and really delivers; VALID
						 only for guest data, else DIRTY. */
	bool require_prepare; /**< A guest frame met by the guest must have been prepared. */
	bool check_reachable; /**< On free, look for the frame in all tables too. Default on. */
	bool runs_join;       /**< Frames of several requests may be freed as one run: collapsed. */
	bool allow_unlocked;  /**< Init or destroy is running: hooks need no lock. */
	bool capture_failures; /**< Count failures instead of failing the test. */
	uint64_t fail_at;      /**< The n-th allocation from now fails, once; 0: none. */
	uint64_t quota;        /**< Most frames charged at a time. Default: no limit. */
	/** Called at each event, after the hot addresses; may play another CPU. */
	void (*interlude)(struct fake_machine *machine, enum fake_event event, void *ctx);
	void *interlude_ctx;

	/* What happened: read them at any time, zero `counters` when you like. */
	struct fake_counters counters;
	uint64_t live[FAKE_KINDS]; /**< Frames of 4 KiB now out, per kind. */
	uint64_t lent;
	uint64_t charged[FAKE_KINDS];                        /**< Frames of 4 KiB. */
	struct addrspace_invalidation history[FAKE_HISTORY]; /**< Ring; see
								fake_machine_invalidation(). */
	uint64_t history_count;
	uint64_t failures; /**< In capture mode. */
	char last_failure[256];
	bool failed; /**< The test has been failed: the teardown checks nothing more. */

	/* The rest is the machine's own. */
	struct paging_handler handler;
	struct fake_cpu cpus[FAKE_CPUS];
	unsigned current_cpu;
	enum fake_lock held[FAKE_CPUS];
	struct fake_geometry geometry;
	bool attached;
	uint8_t *cached; /**< The arena as this CPU sees it. */
	uint8_t *memory; /**< As an observer behind the caches sees it; NULL: coherent. */
	uint64_t arena_size;
	struct fake_frame *frames;
	uint32_t frame_count;
	uint32_t lowest_free; /**< No frame below it is free. */
	struct {
		uint64_t hpa;
		uint64_t size;
	} linear[FAKE_LINEAR_MAX];
	unsigned linear_count;
	struct {
		uint64_t gpa;
		uint64_t size;
	} busy[FAKE_BUSY_MAX];
	unsigned busy_count;
	struct fake_hot hot[FAKE_HOT_MAX];
	unsigned hot_count;
	bool in_event;
	uint64_t walk_stamp;  /**< Of the last full walk. */
	uint64_t epoch;       /**< Changes with each lock section and invalidation. */
	uint64_t reach_epoch; /**< Epoch of the last full walk for frees. */
	uint64_t reach_stamp; /**< Its stamp. */
};

/** A machine as it was. */
struct fake_checkpoint;

/** Sets up an arena of arena_size bytes (0: the default) at FAKE_ARENA_BASE, every hook present,
 * direct map by offset, coherent. No CPU is attached. */
void fake_machine_init(struct fake_machine *machine, uint64_t arena_size);
/** Releases the arena. Checks nothing. */
void fake_machine_destroy(struct fake_machine *machine);

/** The vtable; ctx is the machine. The struct is machine->handler: tests may null hooks out. */
const struct paging_handler *fake_machine_handler(struct fake_machine *machine);

/** Direct map by constant offset (the default) or by callback. */
void fake_machine_use_offset(struct fake_machine *machine);
void fake_machine_use_callback(struct fake_machine *machine);

/** Gives the machine memory behind the caches: prepare_frame and sync_table then matter, and
 * require_prepare is switched on. */
void fake_machine_set_non_coherent(struct fake_machine *machine);

/** Takes down the whole machine: frames and their bytes, TLBs, locks, counters, switches. */
struct fake_checkpoint *fake_machine_save(const struct fake_machine *machine);
/** Makes the machine what it was. Any number of times; no other machine. */
void fake_machine_restore(struct fake_machine *machine, const struct fake_checkpoint *checkpoint);
void fake_checkpoint_destroy(struct fake_checkpoint *checkpoint);
/** A number that differs where the machine does, in what a guest or the library can see of it (but
 * for one case in 2^64, and the inside of the guest's pages); *frames: the same of frames and their
 * bytes alone. */
uint64_t fake_machine_digest(const struct fake_machine *machine, uint64_t *frames);

/** Reports a broken rule: fails the test, or counts it in capture mode. */
void fake_fail(struct fake_machine *machine, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- Frames of the test ---- */

/** Takes 4096 << order bytes for the test: zeroed, naturally aligned. Guests may reach them. */
uint64_t fake_machine_lend(struct fake_machine *machine, unsigned order);
/** Gives back what fake_machine_lend() gave, whole. No CPU may reach it any more. */
void fake_machine_take_back(struct fake_machine *machine, uint64_t hpa);
/** After a successful addrspace_replace_frame() in an alloc region: the lent page is guest data
 * from now on, to be freed by the library. */
void fake_machine_hand_over(struct fake_machine *machine, uint64_t hpa, uint64_t gpa,
			    uint64_t cookie);
/** Host memory outside the arena (devices) that linear regions may name; never dereferenced. */
void fake_machine_register_linear(struct fake_machine *machine, uint64_t hpa, uint64_t size);
/** An addrspace_copy_frame for addrspace_replace_frame(): copy_ctx is the machine. */
void fake_machine_copy_frame(void *machine, uint64_t old_hpa, uint64_t new_hpa);

/** The frame's bytes, as the CPU sees them. */
void *fake_machine_pointer(struct fake_machine *machine, uint64_t hpa);
/** NULL outside the arena. */
struct fake_frame *fake_machine_frame(struct fake_machine *machine, uint64_t hpa);
/** What a store of the guest at gpa leaves there (per 8 bytes), and what VALID frames hold. */
uint64_t fake_machine_token(uint64_t gpa);

/* ---- CPUs ---- */

/** Decodes the space's root registers (they are checked by this) and points all CPUs at the root.
 * layout tells what the CPU can do. From here on hooks need a lock. */
void fake_machine_attach(struct fake_machine *machine, const struct addrspace *as,
			 const struct layout *layout);
/** The same with a geometry made by hand; for hand-written tables. */
void fake_machine_attach_geometry(struct fake_machine *machine,
				  const struct fake_geometry *geometry);
/** The CPU on which the library runs: THIS_CPU, and the owner of locks. */
void fake_machine_set_cpu(struct fake_machine *machine, unsigned cpu);

/** From now on every CPU that is in the guest makes these accesses (a set of permission bits) at
 * gpa inside every callback. Faults there are fine, and counted. */
void fake_machine_add_hot(struct fake_machine *machine, uint64_t gpa, unsigned access);
void fake_machine_clear_hot(struct fake_machine *machine);

/** The n-th last invalidation: 0 is the last one. */
const struct addrspace_invalidation *fake_machine_invalidation(struct fake_machine *machine,
							       unsigned age);

/* ---- Looking at tables, independently of the library ---- */

struct fake_translation {
	uint64_t hpa;       /**< Of the very byte. */
	uint64_t leaf_size; /**< Bytes. */
	unsigned permissions;
	enum addrspace_memory_type memory_type;
	bool accessed;
	bool dirty;
};

/** Walks the table and no TLB; false if there is no live leaf. */
bool fake_machine_translate(struct fake_machine *machine, uint64_t gpa,
			    struct fake_translation *translation);
/** The same for an IOMMU that does not snoop: it reads tables behind the caches. */
bool fake_iommu_translate(struct fake_machine *machine, uint64_t gpa,
			  struct fake_translation *translation);

/** One entry that is not zero. */
struct fake_walk_step {
	uint64_t gpa; /**< First byte that it covers. */
	unsigned level;
	uint64_t value;
	struct fake_entry entry;
	unsigned permissions; /**< Granted on the whole way down to here. */
};

typedef void (*fake_visit)(struct fake_machine *machine, const struct fake_walk_step *step,
			   void *ctx);

/** Visits every entry that is not zero below the root, in order of gpa. A table in a frame that is
 * not a table's is a failure and is not entered. Returns the number of tables, the root not
 * counted; each has its frame stamped with machine->walk_stamp. */
uint64_t fake_machine_walk_all(struct fake_machine *machine, fake_visit visit, void *ctx);

/* ---- Checks at rest (between calls of the library) ---- */

/** Everything reachable is legal, owned, reached once; nothing is leaked; no table is empty. */
void fake_machine_check_tables(struct fake_machine *machine);
/** No TLB allows what the tables do not; no walk cache leads where the tables do not. */
void fake_machine_check_tlbs(struct fake_machine *machine);
/** Behind the caches the tables read as they do before them; nothing to see in a coherent machine.
 */
void fake_machine_check_synced(struct fake_machine *machine);
/** Where a CPU still holds a leaf, nothing is live that may only come after a break; checked
 * whenever an invalidation begins. */
void fake_machine_check_breaks(struct fake_machine *machine);
/** Charges equal live frames, kind by kind (if the charge hooks are there). */
void fake_machine_assert_charges_balanced(struct fake_machine *machine);
/** No lock held by any CPU. */
void fake_machine_assert_unlocked(struct fake_machine *machine);
/** After addrspace_destroy(): nothing is out, nothing is charged. Lent frames may be. */
void fake_machine_assert_all_returned(struct fake_machine *machine);

/** A job is under way in the range: entries of it that are not present may name anything, and frames
 * that nothing live names are the job's: they may be out. */
void fake_machine_hold(struct fake_machine *machine, uint64_t gpa, uint64_t size);
/** The job that holds the range is done. */
void fake_machine_let_go(struct fake_machine *machine, uint64_t gpa);

/* ---- Did a failing call change anything? ---- */

struct fake_snapshot {
	uint64_t live[FAKE_KINDS];
	uint64_t charged[FAKE_KINDS];
	uint64_t leaves;
	uint64_t leaf_digest;  /**< gpa, hpa, size, permissions and type of each leaf; parked ones
				  too. A and D do not count. */
	uint64_t guest_digest; /**< Which frames are guest data, and of which page. */
	uint64_t regions;
	uint64_t region_digest;
};

/** as may be NULL (hand-written tables). */
void fake_machine_snapshot(struct fake_machine *machine, struct addrspace *as,
			   struct fake_snapshot *snapshot);
void fake_machine_assert_unchanged(struct fake_machine *machine, struct addrspace *as,
				   const struct fake_snapshot *before);

#endif
