/* SPDX-License-Identifier: MIT */
/* What is asked of the compiler beyond C11. */
#ifndef ADDRSPACE_SRC_COMPILER_H
#define ADDRSPACE_SRC_COMPILER_H

/* Per entry, where a call would cost more than the work. With -Os the compiler decides. */
#ifdef __OPTIMIZE_SIZE__
#define ALWAYS_INLINE static inline
#else
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif
/* Optional hooks are mostly absent: the path without them comes first. */
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define NEVER_INLINE        __attribute__((noinline))
#define RARELY              __attribute__((noinline, cold)) /* small rather than fast */

#endif
