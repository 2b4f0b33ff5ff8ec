/* SPDX-License-Identifier: MIT */
/* Comparisons, counted. A disagreement is printed with where it happened. */
#ifndef EXERCISER_CHECK_H
#define EXERCISER_CHECK_H

#include <stdbool.h>
#include <stdint.h>

/** Has a failure that ends the machine tell where it happened, as a disagreement does. */
void check_init(void);
/** What the checks that follow are about, until named anew: constant strings. */
void check_layout(const char *name);
void check_theme(const char *name);
/** What this CPU is doing: the address and the access, "unmap" or the like, of its next checks. */
void check_at(uint64_t gpa, const char *access);

/** Each counts as one passed or failed; returns whether it passed. */
bool check_equal(const char *what, uint64_t expected, uint64_t seen);
bool check_true(const char *what, bool holds);
/** For what has names: these are printed in place of the numbers. */
bool check_named(const char *what, int expected, int seen, const char *(*name)(int));

/** Prints one line for the checks of the layout and theme so far. */
void check_report(void);
/** Prints "N passed, N failed" and ends the machine. */
_Noreturn void check_finish(void);

#endif
