/* SPDX-License-Identifier: MIT */
/* CPU 1: does one piece of work at a time for CPU 0. */
#ifndef EXERCISER_SECOND_CPU_H
#define EXERCISER_SECOND_CPU_H

/** Has CPU 1 call work(context); it is started the first time. */
void second_cpu_call(void (*work)(void *context), void *context);
/** Waits until the work is done. */
void second_cpu_join(void);

#endif
