/* SPDX-License-Identifier: MIT */
#ifndef HYPERVISOR_PRINT_H
#define HYPERVISOR_PRINT_H

#include <stdbool.h>

/** Prints %c, %s, %d, %u, %x, %%, with -, 0, a width (or *) and l. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** While muted print() does nothing: repeated runs report only what goes wrong. */
void print_mute(bool muted);

/** What fail() calls first, to tell what the program was at; it may print. NULL: nothing. */
void print_before_failing(void (*describe)(void));

/** Prints "FAIL: reason", whether muted or not, and ends the machine with status 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
