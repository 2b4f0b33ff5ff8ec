/* SPDX-License-Identifier: MIT */
/*
 * All orders in which a few CPUs can do what they do, on the fake machine. Each CPU is a coroutine
 * that pauses before every access to an entry of a page table (formats are compiled once more for
 * this: switched_entry.h) and before every callback of the paging handler; which CPU goes on is a
 * choice, and all choices are made, depth first. What is reached a second time is not gone through
 * again: a state is the machine, and for each CPU all that its steps have brought so far.
 *
 * After each step the tables must be valid: every entry legal, every leaf to a frame of its own page,
 * for hardware and, behind the caches, for a device; addrspace_verify() finds nothing.
 */
#ifndef INTERLEAVE_H
#define INTERLEAVE_H

#include "layouts.h"

#define INTERLEAVE_STEPS_MOST 2048

/** Entries that switched formats have read, empty ones that they skipped too; ever. */
extern uint64_t interleave_visits;

/** What a CPU is about to do. */
enum interleave_step {
	INTERLEAVE_READ,
	INTERLEAVE_WRITE,
	INTERLEAVE_EXCHANGE,
	INTERLEAVE_OR,
	INTERLEAVE_ALLOCATE,
	INTERLEAVE_FREE,
	INTERLEAVE_PREPARE,
	INTERLEAVE_SYNC,
	INTERLEAVE_INVALIDATE,
	INTERLEAVE_LOCK_SHARED,
	INTERLEAVE_LOCK_EXCLUSIVE,
	INTERLEAVE_UNLOCK,
	INTERLEAVE_CHARGE,
	INTERLEAVE_UNCHARGE,
	INTERLEAVE_GUEST,
};

/** A mistake that is made on purpose in how entries are accessed. */
enum interleave_plant {
	INTERLEAVE_CORRECT,
	INTERLEAVE_PUBLISH_BY_STORE,     /**< An exchange stores, whatever is there. */
	INTERLEAVE_PUBLISH_IN_TWO_STEPS, /**< An exchange looks, and then stores. */
	INTERLEAVE_MARK_LATE,            /**< Bits are set after the next exchange. */
	INTERLEAVE_KEEP,                 /**< What is not wanted after all is not given back. */
	INTERLEAVE_FREE_TWICE,
	INTERLEAVE_SYNC_OWN, /**< Of live entries only those that a CPU stored itself are synced. */
};

struct interleave {
	/* What to do. */
	struct fixture *fixture; /**< Its space is in the state to start from. */
	unsigned cpus;
	/** Where each CPU works. */
	uint64_t page[FAKE_CPUS];
	/** So often at most a CPU has to let another go first though it could go on; 0: no limit. */
	unsigned preemptions_most;
	/** What a CPU does: it may call the library, and interleave_guest(). */
	void (*program[FAKE_CPUS])(struct interleave *interleave, unsigned cpu);
	/** A CPU was just refused a frame, or a charge. */
	void (*at_refusal)(struct interleave *interleave, unsigned cpu);
	/** Once all have come to their end. */
	void (*at_end)(struct interleave *interleave);
	enum interleave_plant plant;
	/** Reads of entries that nobody stores to in any schedule are steps as well. They can't make a
	 * difference, and in calls that read whole tables they are thousands. */
	bool all_reads;

	/* For the programs and at_refusal(): zero at the start of each schedule. */
	int outcome[FAKE_CPUS];
	uint64_t seen[FAKE_CPUS];

	/* What came of it. */
	uint64_t states;
	uint64_t steps;    /**< Made, those included that led back to a state. */
	double schedules;  /**< That the states stand for. */
	const char *found; /**< What went wrong, and when; NULL: nothing. */
};

/** Goes through all schedules, or until something goes wrong. The fixture is as before at the end. */
void interleave_explore(struct interleave *interleave);

/** The guest accesses gpa on this CPU. A step. */
enum fake_access_outcome interleave_guest(struct interleave *interleave, unsigned cpu, uint64_t gpa,
					  unsigned access);

/** The fixture's space is walked by the format that pauses. */
void interleave_switch_format(struct fixture *fixture);

#endif
