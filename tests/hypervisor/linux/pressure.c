/* SPDX-License-Identifier: MIT */
#include "pressure.h"

#include "frame_pool.h"
#include "libc.h"
#include "print.h"
#include "ram.h"
#include "swap.h"

#define TRIES     64
#define MAX_PAGES 16

/** Marsaglia's xorshift64: below limit. */
static uint64_t random_below(struct pressure *pressure, uint64_t limit)
{
	pressure->random ^= pressure->random << 13;
	pressure->random ^= pressure->random >> 7;
	pressure->random ^= pressure->random << 17;
	return (pressure->random >> 11) % limit;
}

void pressure_note_fault(struct pressure *pressure, uint64_t gpa)
{
	__atomic_store_n(&pressure->last_fault, gpa & ~(ADDRSPACE_PAGE_SIZE - 1), __ATOMIC_RELAXED);
}

static uint64_t random_page(struct pressure *pressure)
{
	return LINUX_RAM_GPA +
	       random_below(pressure, LINUX_RAM_SIZE / ADDRSPACE_PAGE_SIZE) * ADDRSPACE_PAGE_SIZE;
}

/**
 * A page that is there; the other CPU may take it away at any time. 0: none was found.
 *
 * Now and then the one that the other CPU's guest has just faulted in: it is in the middle of writing to
 * it, or the other CPU is not yet back in the guest.
 */
static uint64_t choose_page(struct pressure *pressure, uint64_t *leaf_size)
{
	struct addrspace_translation translation;
	uint64_t gpa = random_below(pressure, 4)
			       ? random_page(pressure)
			       : __atomic_load_n(&pressure->other->last_fault, __ATOMIC_RELAXED);

	for (unsigned i = 0; i < TRIES; i++, gpa = random_page(pressure)) {
		if (!ram_contains(gpa) || addrspace_walk(pressure->as, gpa, &translation))
			continue;
		*leaf_size = translation.leaf_size;
		return gpa;
	}
	return 0;
}

/* Each operation tells whether it has changed anything. */

static bool evict(struct pressure *pressure, uint64_t gpa)
{
	uint64_t end = LINUX_RAM_GPA + LINUX_RAM_SIZE;
	uint64_t pages = random_below(pressure, 8) ? 1 : 1 + random_below(pressure, MAX_PAGES);
	uint64_t size = pages * ADDRSPACE_PAGE_SIZE;

	if (size > end - gpa)
		size = end - gpa;
	/* The linear part's memory is not the pool's: nothing there can be evicted. */
	if (ram_is_linear(gpa + size - 1) || ram_is_linear(gpa))
		return false;
	require(swap_evict(pressure->as, gpa, size, &pressure->counts->evictions));
	return true;
}

static void copy_page(void *ctx, uint64_t old_hpa, uint64_t new_hpa)
{
	(void)ctx;
	memcpy((void *)(uintptr_t)new_hpa, (const void *)(uintptr_t)old_hpa, ADDRSPACE_PAGE_SIZE);
}

static bool move(struct pressure *pressure, uint64_t gpa)
{
	struct addrspace_frame_request request = {.kind = ADDRSPACE_FRAME_GUEST, .gpa = gpa};
	uint64_t hpa;
	int error;

	if (ram_is_linear(gpa))
		return false;
	if (!frame_pool_take(&request, &hpa))
		fail("no frame to move to");
	error = addrspace_replace_frame(pressure->as, gpa, hpa, copy_page, NULL);
	if (error == ADDRSPACE_ENOENT) {
		/* The other CPU has evicted it meanwhile. */
		frame_pool_give(&request, hpa);
		return false;
	}
	if (error)
		fail("addrspace_replace_frame of 0x%lx by 0x%lx: %s", gpa, hpa,
		     addrspace_error_name(error));
	pressure->counts->moves++;
	return true;
}

static void allow(struct pressure *pressure, uint64_t gpa)
{
	require(addrspace_protect(pressure->as, gpa, ADDRSPACE_PAGE_SIZE, RAM_ANY_PERMISSION));
}

/** Read-only as for a dirty log, also without execution, or not at all. */
static bool protect(struct pressure *pressure, uint64_t gpa)
{
	static const unsigned permissions[] = {ADDRSPACE_READ | ADDRSPACE_EXECUTE, ADDRSPACE_READ,
					       0};
	uint64_t *place = &pressure->protected[pressure->next];

	if (*place)
		allow(pressure, *place);
	*place = gpa;
	pressure->next = (pressure->next + 1) % PRESSURE_PROTECTED;
	require(addrspace_protect(pressure->as, gpa, ADDRSPACE_PAGE_SIZE,
				  permissions[random_below(pressure, 3)]));
	pressure->counts->protects++;
	return true;
}

void pressure_unprotect(struct pressure *pressure, uint64_t gpa)
{
	allow(pressure, gpa & ~(ADDRSPACE_PAGE_SIZE - 1));
	pressure->counts->unprotects++;
}

/** The 2 MiB around a page of the linear part in one leaf again. Those that were protected among them are
 * not any more. */
static void merge(struct pressure *pressure, uint64_t gpa)
{
	gpa &= ~(RAM_LARGE_LEAF - 1);
	require(ram_map_linear(pressure->as, gpa, RAM_LARGE_LEAF, ADDRSPACE_MAP_REPLACE));
	pressure->counts->merges++;
}

void pressure_apply(struct pressure *pressure)
{
	static bool (*const operations[])(struct pressure *, uint64_t) = {
		evict, evict, evict, evict, move, move, protect, protect,
	};
	uint64_t leaf_size = 0;
	uint64_t gpa = choose_page(pressure, &leaf_size);
	uint64_t choice = random_below(pressure, sizeof(operations) / sizeof(operations[0]));

	if (!gpa)
		return;
	if (operations[choice] != protect && ram_is_linear(gpa) && leaf_size == ADDRSPACE_PAGE_SIZE)
		merge(pressure, gpa);
	else if (operations[choice](pressure, gpa) && leaf_size > ADDRSPACE_PAGE_SIZE)
		pressure->counts->splits++;
}
