/* SPDX-License-Identifier: MIT */
/* The formats, widths and CPU features that each unit test runs over. */
#ifndef LAYOUTS_H
#define LAYOUTS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <addrspace/addrspace.h>

#include "fake_machine.h"

enum layout_format {
	LAYOUT_EPT,
	LAYOUT_NPT,
	LAYOUT_STAGE2,
	LAYOUT_GSTAGE,
	LAYOUT_HOSTILE,
};

/** A format that no CPU has. */
extern const struct addrspace_format addrspace_hostile;

struct layout {
	const char *name;
	enum layout_format kind;
	const struct addrspace_format *format;
	unsigned gpa_bits;
	unsigned levels; /**< As given to init; never 0. */
	unsigned host_bits;
	uint32_t cpu_features;
	uint64_t host_pat;       /**< NPT; 0: as after reset. */
	bool canonical;          /**< The one that stands for its format. */
	bool non_coherent;       /**< prepare_frame and sync_table matter. */
	bool caches_not_present; /**< CPUs may keep not-present entries. */
	bool by_callback;        /**< physical_to_virtual instead of the constant offset. */
};

extern const struct layout layouts[];
extern const size_t layout_count;

/** 1 << gpa_bits. */
uint64_t layout_limit(const struct layout *layout);
/** The largest leaf: 4 KiB, 2 MiB or 1 GiB. */
uint64_t layout_largest_leaf(const struct layout *layout);
bool layout_has(const struct layout *layout, uint32_t cpu_feature);
/** True if the format and CPU can encode these permissions; 0 always can. */
bool layout_can_permit(const struct layout *layout, unsigned permissions);
/** True if map accepts this memory type. */
bool layout_has_type(const struct layout *layout, enum addrspace_memory_type type);
/** The type that a leaf mapped with this type is read back as: without Svpbmt the G-stage has only
 * one. */
enum addrspace_memory_type layout_encoded_type(const struct layout *layout,
					       enum addrspace_memory_type type);

/** What this layout's CPUs walk, decoded from the space's root registers; false, with *why set, if
 * hardware would not accept them. */
bool fake_geometry_of(struct fake_geometry *geometry, const struct addrspace *as,
		      const struct layout *layout, const char **why);

/** A space on a machine: what a unit test gets as *state. */
struct fixture {
	struct fake_machine machine;
	struct addrspace as;
	const struct layout *layout;
	bool initialised; /**< `as` has to be destroyed. */
};

/** cmocka setup: *state is the layout before, the fixture after. */
int fixture_setup(void **state);
/** The same with so many bytes of memory. */
int fixture_setup_with(void **state, uint64_t arena_size);
/** cmocka teardown: checks tables, TLBs, charges and addrspace_verify(), destroys the space, and
 * checks that every frame came back. */
int fixture_teardown(void **state);
/** A machine without a space and without locks, for tests of init itself: *state is the machine. Teardown:
 * every frame came back. */
int fixture_setup_machine(void **state);
int fixture_teardown_machine(void **state);
/** Everything the teardown checks before it destroys; call it between operations as you like. */
void fixture_check(struct fixture *fixture);
/** Destroys the space now, as the teardown does. */
void fixture_destroy_space(struct fixture *fixture);
/** The init configuration of a layout, for this machine. */
void fixture_config(const struct layout *layout, struct fake_machine *machine,
		    struct addrspace_config *config);

/** Read-write-execute, or read-write where the format cannot; write-back, cookie 0x600d. Set by
 * fixture_setup(). */
extern struct addrspace_attributes fixture_rwx;
extern const struct addrspace_attributes fixture_rw;
extern const struct addrspace_attributes fixture_ro;

/** 8 GiB of host memory outside the arena, 1 GiB aligned, for linear regions. */
#define FIXTURE_LINEAR UINT64_C(0x80000000)
/** fixture_setup(), and FIXTURE_LINEAR registered. */
int fixture_setup_linear(void **state);
/** Maps [gpa, gpa + size), readable and writable, to FIXTURE_LINEAR + gpa. */
void fixture_map_linear(struct fixture *fixture, uint64_t gpa, uint64_t size);
/** Maps [gpa, gpa + size), readable and writable, with a frame for every page. */
void fixture_populate(struct fixture *fixture, uint64_t gpa, uint64_t size);

/** The guest accesses gpa on this CPU and the hypervisor answers its faults, until it hits.
 * @return ADDRSPACE_FAULT_RESOLVED, or the outcome that ended it (denied, not backed, ...), or a
 * negative error. Not making progress is a failure. */
int fixture_guest(struct fixture *fixture, unsigned cpu, uint64_t gpa, unsigned access);
/** All CPUs touch the page that way and so have it cached. It must be accessible. */
void fixture_warm(struct fixture *fixture, uint64_t gpa, unsigned access);
/** The table maps gpa (any byte) there, with this leaf size and these permissions. */
void fixture_assert_mapped(struct fixture *fixture, uint64_t gpa, uint64_t hpa, uint64_t leaf_size,
			   unsigned permissions);
void fixture_assert_not_mapped(struct fixture *fixture, uint64_t gpa);
/** hpa of gpa by the table; it must be mapped. */
uint64_t fixture_hpa(struct fixture *fixture, uint64_t gpa);

/** Runs each test once per layout, named "test [layout]", with fixture_setup and fixture_teardown
 * unless the test brings its own. ADDRSPACE_LAYOUT in the environment picks layouts by substring.
 * @return the number of failed tests. */
int run_over_layouts(const char *group, const struct CMUnitTest *tests, size_t count);
/** The same over one layout of each format. */
int run_over_canonical_layouts(const char *group, const struct CMUnitTest *tests, size_t count);

#endif
