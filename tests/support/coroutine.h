/* SPDX-License-Identifier: MIT */
/*
 * Functions that pause in the middle and are resumed, on stacks of their own: how a test lets several
 * CPUs take turns as it chooses.
 */
#ifndef COROUTINE_H
#define COROUTINE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

/** Its fields are private. */
struct coroutine {
	jmp_buf start;
	jmp_buf here;
	jmp_buf resumer;
	void *stack;
	void (*run)(void *ctx);
	void *ctx;
	bool active;    /* between the start and the end of run() */
	bool abandoned; /* is to forget what it was doing when it is resumed */
	/* What AddressSanitizer wants to know of a change of stacks. */
	void *own_frames;
	void *resumer_frames;
	const void *resumer_stack;
	size_t resumer_size;
};

/** Takes the stack, for as long as the program runs. */
void coroutine_create(struct coroutine *coroutine);

/** Runs run(ctx) on it until its first pause, or to its end. What it was doing before is forgotten. */
void coroutine_start(struct coroutine *coroutine, void (*run)(void *ctx), void *ctx);
/** Goes on until the next pause or the end. */
void coroutine_resume(struct coroutine *coroutine);
/** Forgets what it was doing. */
void coroutine_abandon(struct coroutine *coroutine);
/** From inside of it: back to whoever started or resumed it. */
void coroutine_pause(struct coroutine *coroutine);

/** False once run() has returned. */
static inline bool coroutine_is_active(const struct coroutine *coroutine)
{
	return coroutine->active;
}

#endif
