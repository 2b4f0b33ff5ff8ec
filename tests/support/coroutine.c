/* SPDX-License-Identifier: MIT */
/* longjmp() changes stacks here, which that option takes for a mistake. */
#undef _FORTIFY_SOURCE
#include "coroutine.h"

#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

#define STACK_SIZE ((size_t)64 << 10)

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#define leave_stack  __sanitizer_start_switch_fiber
#define arrive_stack __sanitizer_finish_switch_fiber
#else
static void leave_stack(void **frames, const void *bottom, size_t size)
{
	(void)frames, (void)bottom, (void)size;
}

static void arrive_stack(void *frames, const void **bottom, size_t *size)
{
	(void)frames, (void)bottom, (void)size;
}
#endif

void coroutine_pause(struct coroutine *coroutine)
{
	leave_stack(&coroutine->own_frames, coroutine->resumer_stack, coroutine->resumer_size);
	/* Unlike swapcontext() without a call of the kernel. */
	if (!_setjmp(coroutine->here))
		longjmp(coroutine->resumer, 1);
	arrive_stack(coroutine->own_frames, &coroutine->resumer_stack, &coroutine->resumer_size);
	if (coroutine->abandoned)
		longjmp(coroutine->start, 1);
}

/** One stack serves any number of runs: sanitizers keep something for each that is never freed. */
static void body(unsigned high, unsigned low)
{
	struct coroutine *coroutine = (struct coroutine *)((uintptr_t)high << 32 | low);

	arrive_stack(NULL, &coroutine->resumer_stack, &coroutine->resumer_size);
	for (;;) {
		if (!setjmp(coroutine->start)) {
			coroutine->abandoned = false;
			if (coroutine->run)
				coroutine->run(coroutine->ctx);
		}
		coroutine->abandoned = false;
		coroutine->active = false;
		coroutine_pause(coroutine);
	}
}

/** The first time, onto the stack that it has not been on yet. Its own frame is left behind, and must
 * not stay marked as such. */
static __attribute__((no_sanitize_address)) void first_enter(struct coroutine *coroutine)
{
	uintptr_t self = (uintptr_t)coroutine;
	ucontext_t context;

	if (getcontext(&context))
		abort();
	context.uc_stack.ss_sp = coroutine->stack;
	context.uc_stack.ss_size = STACK_SIZE;
	makecontext(&context, (void (*)(void))body, 2, (unsigned)(self >> 32), (unsigned)self);
	setcontext(&context);
}

static void enter(struct coroutine *coroutine, void (*how)(struct coroutine *coroutine))
{
	leave_stack(&coroutine->resumer_frames, coroutine->stack, STACK_SIZE);
	if (!_setjmp(coroutine->resumer))
		how(coroutine);
	arrive_stack(coroutine->resumer_frames, NULL, NULL);
}

static void enter_again(struct coroutine *coroutine)
{
	longjmp(coroutine->here, 1);
}

void coroutine_create(struct coroutine *coroutine)
{
	*coroutine = (struct coroutine){.stack = malloc(STACK_SIZE)};
	if (!coroutine->stack)
		abort();
	enter(coroutine, first_enter);
}

void coroutine_resume(struct coroutine *coroutine)
{
	if (coroutine->active)
		enter(coroutine, enter_again);
}

void coroutine_abandon(struct coroutine *coroutine)
{
	coroutine->abandoned = true;
	coroutine_resume(coroutine);
	coroutine->abandoned = false;
}

void coroutine_start(struct coroutine *coroutine, void (*run)(void *ctx), void *ctx)
{
	coroutine_abandon(coroutine);
	coroutine->run = run;
	coroutine->ctx = ctx;
	coroutine->active = true;
	enter(coroutine, enter_again);
}
