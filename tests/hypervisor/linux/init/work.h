/* SPDX-License-Identifier: MIT */
/* Work that makes the kernel allocate, copy, map and free on its own account. */
#ifndef INIT_WORK_H
#define INIT_WORK_H

/** A file in the page cache, processes with pipes, mappings whose permissions change, /proc. */
void work_round(unsigned worker, unsigned round);
/** The name, argument 0, of a process that is to call work_child(). */
#define WORK_CHILD "child"
/** What a process that work_round() executes does. */
_Noreturn void work_child(void);

#endif
