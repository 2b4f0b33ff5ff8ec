/* SPDX-License-Identifier: MIT */
/* The firmware that the Linux guest calls. */
#ifndef LINUX_PSCI_H
#define LINUX_PSCI_H

#include "linux_machine.h"

/** Answers one call; the guest's next instruction is the one behind it. */
enum linux_action psci_call(unsigned cpu, const struct vcpu_exit *exit);

#endif
