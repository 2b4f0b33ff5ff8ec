/* SPDX-License-Identifier: MIT */
/*
 * What a workload is, and how it is measured: it and its floor take turns in one process, state
 * restored between, and the figure is the ratio of their medians.
 *
 * A floor does the memory work that no correct implementation can avoid, in a bare loop, with the
 * same compiler flags and the same allocator through the same pointer. Where the library's call is
 * one call for each operation, so is the floor's.
 */
#ifndef BENCH_H
#define BENCH_H

#include <addrspace/addrspace.h>
#include <addrspace/rwlock.h>

#include "arena.h"

#define OUT_OF_LINE __attribute__((noinline))
#define KIB         UINT64_C(1024)
#define MIB         (KIB << 10)
#define GIB         (MIB << 10)
#define TIB         (GIB << 10)
#define PAGE        ADDRSPACE_PAGE_SIZE

/** What floors know of a format: nothing but where bits are. Floors are compiled once for each. */
struct floor_operations;

struct bench_format {
	const char *name;
	const struct addrspace_format *format;
	unsigned gpa_bits;
	unsigned levels;
	uint32_t cpu_features;
	/** Without it this CPU may keep not-present entries. 0: none does, or all may. */
	uint32_t absent_feature;
	const struct floor_operations *floors;
};

#define BENCH_FORMATS 4u
extern const struct bench_format bench_formats[BENCH_FORMATS];

/** Variants of a workload: what of all that a user may have is there. */
enum bench_variant {
	WITH_LOCK = 1 << 0,     /* the ready-made lock's hooks */
	WITH_CALLBACK = 1 << 1, /* physical_to_virtual instead of the direct map */
	ZEROED = 1 << 2,        /* guest frames come zeroed */
	MANY_REGIONS = 1 << 3,  /* 1,000 regions elsewhere in the space */
	ABSENT_CACHED =
		1 << 4,     /* the CPU may keep not-present entries; only formats that know it */
	TWO_CPUS = 1 << 5,  /* runs on both; left out where there is one */
	NOT_TIMED = 1 << 6, /* the run itself says the figure */
	COUNTED = 1 << 7,   /* frames that are out are counted by kind */
};

/** What a floor's search finds: as large as a record of the region set. */
struct record {
	uint64_t start;
	uint64_t size;
	uint64_t cookie;
	uint64_t offset;
};

/** A space, and what its hooks need: their ctx. */
struct bench_space {
	struct addrspace_rwlock_cpu lock_cpus[ARENA_CPUS];
	struct addrspace_rwlock lock;
	uint64_t invalidations;                         /* of all CPUs */
	uint64_t frames_out[ADDRSPACE_FRAME_GUEST + 1]; /* COUNTED: by kind */
	struct addrspace as;
} __attribute__((aligned(128)));

struct bench {
	struct bench_space space;
	struct bench_space other; /* for who needs two */
	struct paging_handler handler;
	const struct bench_format *format;
	unsigned variant;
	uint64_t *floor_root;   /* a table of the floor's own */
	uint64_t *order;        /* numbers of pages or regions, each once */
	struct record *records; /* sorted; the floors' set of regions */
	uint64_t record_count;
	double figure;      /* of a run that is not timed */
	uint64_t both_time; /* of the last bench_on_both(), in nanoseconds */
	uint64_t sink;
};

struct side {
	void (*before)(struct bench *bench);  /* not timed */
	uint64_t (*run)(struct bench *bench); /* timed; returns how many units it did */
	void (*after)(struct bench *bench);   /* not timed; everything given back */
};

/** Looked at elsewhere. */
#define ANY_INVALIDATIONS UINT64_MAX

struct workload {
	const char *name;
	const char *unit;
	unsigned variant;
	double limit; /* of the ratio; 0: none */
	/** Of all CPUs, by the whole run of the work: no more and no less. */
	uint64_t invalidations;
	struct side work;
	struct side floor; /* without run: there is none */
	/** The faster of the two counts; may be NULL. */
	uint64_t (*other_floor)(struct bench *bench);
};

/** Once in each program: arena and arrays. */
void bench_create(struct bench *bench, uint64_t arena_size);
/** A space of the format and variant, empty. */
void bench_open(struct bench *bench);
/** Destroys it; every frame must be back, the floor's too. */
void bench_close(struct bench *bench);
/** The same for the other one, between. */
void bench_open_other(struct bench *bench);
void bench_close_other(struct bench *bench);
/** Ends the program unless a call of the library returned what it should. */
#define bench_require(condition) bench_check((condition), #condition)
void bench_check(bool condition, const char *text);
/** A pseudo-random number from the state, which is not 0. */
uint64_t bench_random(uint64_t *state);
/** A pseudo-random permutation of 0..count-1 in bench->order; at most BENCH_ORDER. */
#define BENCH_ORDER (1u << 20)
void bench_shuffle(struct bench *bench, uint64_t count);

/** Regions of MANY_REGIONS, and where each of a number of regions lies: apart, so that none merge. */
#define BENCH_MANY 1000u
uint64_t bench_region_gpa(uint64_t number);

/** Records for that many regions. */
void records_make(struct bench *bench, uint64_t count);
/** The record that gpa lies in or behind: binary search in a sorted array, without branches that
 * depend on the data, or with them. */
const struct record *records_find(const struct bench *bench, uint64_t gpa);
const struct record *records_find_branchy(const struct bench *bench, uint64_t gpa);

/* ---- measure.c ---- */

/** Who is measured: the library, or a floor. */
enum bench_player {
	WORK,
	FLOOR,
	OTHER_FLOOR,
	PLAYERS,
};

struct bench_figures {
	double median;
	double spread; /* (maximum - minimum) / median */
};

bool bench_has(const struct workload *workload, enum bench_player player);
/** One run: nanoseconds for each unit, or the figure that it says. */
double bench_run(struct bench *bench, const struct workload *workload, enum bench_player player);
/** Sorts them. */
struct bench_figures bench_figures_of(double *values, unsigned count);

/* ---- clock.c ---- */

/** Nanoseconds. */
uint64_t bench_now(void);
/** What this thread's run takes, in nanoseconds: what others take from its CPU does not count.
 * undisturbed (may be NULL): whether they took anything. */
void bench_clock_start(void);
uint64_t bench_clock_stop(bool *undisturbed);
void bench_calibrate(void);
/** Before each run; what one start and stop cost is measured, and taken off. */
void bench_timer_reset(void);
/* A run that has to do work between its operations times these one by one. */
void bench_timer_start(void);
void bench_timer_stop(void);
/** Nanoseconds between starts and stops; 0 if there were none. */
double bench_timer_sum(void);

/* ---- threads.c ---- */

/** Keeps this thread on the first CPU that it may use; how many it may use, at most ARENA_CPUS. */
unsigned bench_pin(void);
/**
 * Runs function for each part, 0 to BENCH_PARTS - 1, on both CPUs; they start each part at once.
 * bench->both_time is that of the slower one in each part, from those in which neither was disturbed,
 * as if all had been so. Returns the sum of what it returned.
 */
#define BENCH_PARTS 16u
uint64_t bench_on_both(struct bench *bench,
		       uint64_t (*function)(struct bench *bench, unsigned part));

/* ---- checks.c ---- */

/** What must be true and has no figure: how many invalidations each call makes whatever the size, that
 * lazy mapping takes no table. */
void bench_checks(struct bench *bench);

/* ---- mixed.c ---- */

/** Does the mixed workload with what must be true looked at behind each operation: outcome, frames of
 * guest and tables, invalidations. */
void mixed_check(struct bench *bench);

/* ---- workloads_regions.c ---- */

/** Maps that many. */
void regions_make(struct bench *bench, uint64_t count);
/** Each lookup depends on the last. */
uint64_t regions_find(struct bench *bench);
/** One comes, or goes, each timed by itself; their number stays what it is. */
uint64_t regions_insert(struct bench *bench);
uint64_t regions_remove(struct bench *bench);

struct workload_list {
	const struct workload *workloads;
	unsigned count;
};

extern const struct addrspace_attributes bench_rwx, bench_ro;

/* One list a file. */
extern const struct workload_list workloads_ranges, workloads_pages, workloads_regions,
	workloads_threads, workloads_access, workloads_mixed;

#endif
