/* SPDX-License-Identifier: MIT */
/*
 * Every interleaving of a few CPUs that run code which is made of atomic operations: a test includes
 * stepping.h, then the code itself, whose atomic operations are replaced, one step each; then
 * defines what its CPUs share and includes stepping_engine.h, which visits all states they can reach.
 *
 * A thread's state is the list of values that its steps have brought so far. To let it take one
 * more, its program is run again from the start on that list, does one real step, and is left by
 * longjmp(). Stores that are not sequentially consistent wait in a buffer of their CPU, first in,
 * first out, and become visible at any later time, as they do on x86; loads may so pass them.
 */
#ifndef STEPPING_H
#define STEPPING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t step_load(const void *address, size_t size);
static void step_store(void *address, size_t size, uint64_t value, int order);
/** The sum. */
static inline uint64_t step_add(void *address, size_t size, uint64_t value, int order);
/** These two: what was there before. */
static inline uint32_t step_fetch_add(uint32_t *word, uint32_t value, int order);
static inline uint32_t step_exchange(uint32_t *word, uint32_t value, int order);
static void step_relax(void);

#define __atomic_load_n(address, order)                                                            \
	((__typeof__(*(address)))step_load(address, sizeof(*(address))))
#define __atomic_store_n(address, value, order)                                                    \
	step_store(address, sizeof(*(address)), value, order)
#define __atomic_add_fetch(address, value, order)                                                  \
	step_add(address, sizeof(*(address)), value, order)
#define __atomic_fetch_add(word, value, order)  step_fetch_add(word, value, order)
#define __atomic_fetch_sub(word, value, order)  step_fetch_add(word, 0u - (value), order)
#define __atomic_exchange_n(word, value, order) step_exchange(word, value, order)
#define cpu_relax                               step_relax
/* No barrier of a real CPU is wanted. */
#define ADDRSPACE_SRC_ARCH_X86_64_CPU_H
#define ADDRSPACE_SRC_ARCH_AARCH64_CPU_H
#define ADDRSPACE_SRC_ARCH_RISCV64_CPU_H

#endif
