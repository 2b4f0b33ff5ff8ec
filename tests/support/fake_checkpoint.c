/* SPDX-License-Identifier: MIT */
/* A machine that goes back to what it was, for tests that try all ways in which things may go. */
#include <stdlib.h>
#include <string.h>

#include "digest_map.h"
#include "fake_frames.h"
#include "fake_machine.h"

#define CHUNK UINT64_C(512) /* bytes */

struct fake_checkpoint {
	struct fake_machine machine;
	struct fake_frame *frames;
	struct fake_tlb_entry *tlbs[FAKE_CPUS];
	uint8_t *bytes; /**< Of the frames that are not free, one behind the other. */
};

static void *take(size_t size)
{
	void *memory = malloc(size ? size : 1);

	if (!memory)
		abort();
	return memory;
}

static void *copy_of(const void *from, size_t size)
{
	return memcpy(take(size), from, size);
}

/** The frame's bytes as this CPU sees them, and, if there are such, behind the caches. */
static uint8_t *frame_bytes(const struct fake_machine *machine, uint32_t index, bool behind)
{
	uint8_t *arena = behind ? machine->memory : machine->cached;

	return arena ? arena + index * FAKE_PAGE_SIZE : NULL;
}

static size_t bytes_in_use(const struct fake_machine *machine)
{
	size_t size = 0;

	for (uint32_t i = 0; i < machine->frame_count; i++) {
		if (machine->frames[i].state != FAKE_FREE)
			size += 2 * FAKE_PAGE_SIZE;
	}
	return size;
}

struct fake_checkpoint *fake_machine_save(const struct fake_machine *machine)
{
	struct fake_checkpoint *checkpoint = take(sizeof(*checkpoint));
	uint8_t *at;

	checkpoint->machine = *machine;
	checkpoint->frames =
		copy_of(machine->frames, machine->frame_count * sizeof(*machine->frames));
	for (unsigned i = 0; i < FAKE_CPUS; i++) {
		const struct fake_cpu *cpu = &machine->cpus[i];

		checkpoint->tlbs[i] = take(cpu->tlb_count * sizeof(*cpu->tlb));
		if (cpu->tlb_count)
			memcpy(checkpoint->tlbs[i], cpu->tlb, cpu->tlb_count * sizeof(*cpu->tlb));
	}
	at = checkpoint->bytes = take(bytes_in_use(machine));
	for (uint32_t i = 0; i < machine->frame_count; i++) {
		for (unsigned behind = 0; behind < 2; behind++) {
			const uint8_t *bytes = frame_bytes(machine, i, behind);

			if (machine->frames[i].state == FAKE_FREE || !bytes)
				continue;
			memcpy(at, bytes, FAKE_PAGE_SIZE);
			at += FAKE_PAGE_SIZE;
		}
	}
	return checkpoint;
}

static void restore_frames(struct fake_machine *machine, const struct fake_checkpoint *checkpoint)
{
	const uint8_t *at = checkpoint->bytes;

	for (uint32_t i = 0; i < machine->frame_count; i++) {
		if (checkpoint->frames[i].state == FAKE_FREE) {
			if (machine->frames[i].state != FAKE_FREE)
				fake_frames_fill(machine, FAKE_ARENA_BASE + i * FAKE_PAGE_SIZE,
						 FAKE_PAGE_SIZE, FAKE_POISON);
			continue;
		}
		for (unsigned behind = 0; behind < 2; behind++) {
			uint8_t *bytes = frame_bytes(machine, i, behind);

			if (!bytes)
				continue;
			memcpy(bytes, at, FAKE_PAGE_SIZE);
			at += FAKE_PAGE_SIZE;
		}
	}
	memcpy(machine->frames, checkpoint->frames,
	       machine->frame_count * sizeof(*machine->frames));
}

void fake_machine_restore(struct fake_machine *machine, const struct fake_checkpoint *checkpoint)
{
	struct fake_machine now = *machine;

	restore_frames(machine, checkpoint);
	*machine = checkpoint->machine;
	for (unsigned i = 0; i < FAKE_CPUS; i++) {
		struct fake_cpu *cpu = &machine->cpus[i];

		/* It only ever grows. */
		cpu->tlb = now.cpus[i].tlb;
		cpu->tlb_capacity = now.cpus[i].tlb_capacity;
		if (cpu->tlb_count)
			memcpy(cpu->tlb, checkpoint->tlbs[i], cpu->tlb_count * sizeof(*cpu->tlb));
	}
}

void fake_checkpoint_destroy(struct fake_checkpoint *checkpoint)
{
	for (unsigned i = 0; i < FAKE_CPUS; i++)
		free(checkpoint->tlbs[i]);
	free(checkpoint->bytes);
	free(checkpoint->frames);
	free(checkpoint);
}

/* ---- Digests ---- */

/** Most of it repeats: zeroes, or poison. */
static uint64_t mix_bytes(uint64_t digest, const uint8_t *bytes, size_t size)
{
	uint64_t last = 0;
	uint64_t word;

	for (size_t at = 0; at < size; at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		if (word != last)
			digest = digest_mix(digest_mix(digest, at), word);
		last = word;
		if (at % CHUNK == 0 &&
		    !memcmp(bytes + at, bytes + at + sizeof(word), CHUNK - sizeof(word)))
			at += CHUNK - sizeof(word);
	}
	return digest;
}

static uint64_t mix_frames(uint64_t digest, const struct fake_machine *machine)
{
	for (uint32_t i = 0; i < machine->frame_count; i++) {
		const struct fake_frame *frame = &machine->frames[i];
		/* Guests write to where a page begins. */
		size_t size = frame->state == FAKE_GUEST ? CHUNK : FAKE_PAGE_SIZE;

		if (frame->state == FAKE_FREE)
			continue;
		digest = digest_mix(digest_mix(digest, i), frame->state);
		digest = digest_mix(digest_mix(digest, frame->gpa), frame->prepared);
		digest = mix_bytes(digest, frame_bytes(machine, i, false), size);
		if (machine->memory)
			digest = mix_bytes(digest, frame_bytes(machine, i, true), size);
	}
	return digest;
}

/** Whatever the order in which the entries came. */
static uint64_t mix_cpu(uint64_t digest, const struct fake_cpu *cpu)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < cpu->tlb_count; i++) {
		const struct fake_tlb_entry *entry = &cpu->tlb[i];
		uint64_t one = digest_mix(digest_mix(digest_mix(1, entry->kind), entry->level),
					  entry->gpa);

		one = digest_mix(digest_mix(digest_mix(one, entry->hpa), entry->permissions),
				 entry->memory_type);
		sum += digest_mix(one, entry->dirty);
	}
	return digest_mix(digest_mix(digest_mix(digest, sum), cpu->spinning), cpu->flush_pending);
}

uint64_t fake_machine_digest(const struct fake_machine *machine, uint64_t *frames)
{
	uint64_t digest = mix_frames(1, machine);

	*frames = digest;
	for (unsigned i = 0; i < FAKE_CPUS; i++)
		digest = digest_mix(mix_cpu(digest, &machine->cpus[i]), machine->held[i]);
	for (unsigned i = 0; i < FAKE_KINDS; i++)
		digest = digest_mix(digest, machine->charged[i]);
	return digest_mix(digest, machine->fail_at);
}
