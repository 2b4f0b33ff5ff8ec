/* SPDX-License-Identifier: MIT */
/* The firmware that the Linux guest calls. */
#ifndef LINUX_SBI_ANSWER_H
#define LINUX_SBI_ANSWER_H

#include "linux_machine.h"

/** Answers the call that a0 to a7 of this CPU's guest make; its next instruction is the one behind. */
enum linux_action sbi_answer(unsigned cpu);

#endif
