/* SPDX-License-Identifier: MIT */
#ifndef HYPERVISOR_STORY_H
#define HYPERVISOR_STORY_H

/** Runs the guest through all steps in each layout; ends the machine with PASS or FAIL. */
_Noreturn void story_run(void);

#endif
