/* SPDX-License-Identifier: MIT */
/* Between the machine's own files: frames by owner, and who can still reach one. */
#ifndef FAKE_FRAMES_H
#define FAKE_FRAMES_H

#include "fake_machine.h"

/** Fills the machine's vtable. */
void fake_handler_init(struct fake_machine *machine);

/** Takes a free run of like->run_order and gives each frame these properties (gpa counts up). */
bool fake_frames_take(struct fake_machine *machine, const struct fake_frame *like, uint64_t *hpa);
/** Fills with one byte value; behind the caches lies stale poison. */
void fake_frames_fill(struct fake_machine *machine, uint64_t hpa, uint64_t size, uint64_t word);
/** Poisons, and makes the frames free. */
void fake_frames_release(struct fake_machine *machine, uint64_t hpa, uint64_t size);
/** Does the whole range lie in one that the test registered as linear? */
bool fake_frames_are_linear(const struct fake_machine *machine, uint64_t hpa, uint64_t size);
/** A failure if any TLB, walk cache or live or parked entry still leads to these bytes. */
void fake_frames_check_unreachable(struct fake_machine *machine, uint64_t hpa, uint64_t size);

#endif
