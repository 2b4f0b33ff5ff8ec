/* SPDX-License-Identifier: MIT */
/* What is asked of the compiler beyond C11. */
#ifndef ADDRSPACE_SRC_COMPILER_H
#define ADDRSPACE_SRC_COMPILER_H

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NEVER_INLINE  __attribute__((noinline))
#define RARELY        __attribute__((noinline, cold)) /* small rather than fast */

#endif
