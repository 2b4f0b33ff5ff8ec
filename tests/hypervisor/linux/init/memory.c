/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include "print.h"
#include "system.h"

#define PAGE_WORDS    512
#define COUNTER_PAGES 64
/* Pages between two reports, so that there are exits although nothing faults. */
#define REPORT_EVERY 256
#define CHECKS       3

/* Mapped shared; the counters that are behind it, one in each page, take increments from both CPUs. */
struct memory {
	uint64_t arrived;
	uint64_t generation;
	uint64_t *counters;
	uint64_t *pages;
};

static void *map_shared(size_t size)
{
	return map_memory(size, MAP_READ | MAP_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

struct memory *memory_create(void)
{
	struct memory *memory = map_shared(sizeof(*memory));

	memory->counters = map_shared(COUNTER_PAGES * PAGE_WORDS * sizeof(uint64_t));
	memory->pages = map_shared(MEMORY_PAGES * PAGE_WORDS * sizeof(uint64_t));
	return memory;
}

/** SplitMix64's finaliser: neighbouring inputs have nothing in common afterwards. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

#define PATTERN_STEP UINT64_C(0x9e3779b97f4a7c15)

void pattern_fill(uint64_t *words, uint64_t count, uint64_t salt)
{
	uint64_t value = mix(salt);

	for (uint64_t i = 0; i < count; i++, value += PATTERN_STEP)
		words[i] = value;
}

void pattern_check(const uint64_t *words, uint64_t count, uint64_t salt, const char *where)
{
	uint64_t value = mix(salt);

	for (uint64_t i = 0; i < count; i++, value += PATTERN_STEP)
		if (*(const volatile uint64_t *)&words[i] != value)
			fail("%s (salt 0x%lx): word %lu at %lx is 0x%lx, written was 0x%lx", where,
			     salt, i, (uint64_t)(uintptr_t)&words[i], words[i], value);
}

/** Returns when all workers have come here. */
static void meet(struct memory *memory)
{
	uint64_t generation = __atomic_load_n(&memory->generation, __ATOMIC_ACQUIRE);

	if (__atomic_add_fetch(&memory->arrived, 1, __ATOMIC_ACQ_REL) == WORKERS) {
		memory->arrived = 0;
		__atomic_store_n(&memory->generation, generation + 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&memory->generation, __ATOMIC_ACQUIRE) == generation)
		system_call(SYS_SCHED_YIELD);
}

static uint64_t *page_at(const struct memory *memory, uint64_t page)
{
	return memory->pages + page * PAGE_WORDS;
}

/** One word in each counter page, in a cache line of its own. */
static uint64_t *counter_at(const struct memory *memory, uint64_t page)
{
	uint64_t number = page % COUNTER_PAGES;

	return memory->counters + number * PAGE_WORDS + number * 8 % PAGE_WORDS;
}

static uint64_t salt_of(uint64_t page, unsigned round)
{
	return page << 32 | round;
}

/** Which pages a worker fills changes with the round: the other one's pages are checked too. */
static void fill_own_pages(const struct memory *memory, unsigned worker, unsigned round)
{
	for (uint64_t page = (worker + round) % WORKERS; page < MEMORY_PAGES; page += WORKERS)
		pattern_fill(page_at(memory, page), PAGE_WORDS, salt_of(page, round));
}

static void check_pages(const struct memory *memory, uint64_t first, unsigned round,
			void (*checked)(uint64_t pages))
{
	uint64_t unreported = 0;

	for (uint64_t page = first; page < MEMORY_PAGES; page += WORKERS) {
		pattern_check(page_at(memory, page), PAGE_WORDS, salt_of(page, round), "memory");
		__atomic_add_fetch(counter_at(memory, page), 1, __ATOMIC_RELAXED);
		if (++unreported == REPORT_EVERY) {
			checked(unreported);
			unreported = 0;
		}
	}
	checked(unreported);
}

void memory_round(struct memory *memory, unsigned worker, unsigned round,
		  void (*checked)(uint64_t pages))
{
	fill_own_pages(memory, worker, round);
	meet(memory);
	for (unsigned i = 0; i < CHECKS; i++)
		check_pages(memory, (worker + i) % WORKERS, round, checked);
	meet(memory);
}

uint64_t memory_end(const struct memory *memory, unsigned rounds)
{
	uint64_t wanted = rounds * CHECKS * MEMORY_PAGES;
	uint64_t sum = 0;

	for (uint64_t page = 0; page < COUNTER_PAGES; page++)
		sum += *counter_at(memory, page);
	if (sum != wanted)
		fail("%lu increments were made, %lu have been kept", wanted, sum);
	return sum;
}
