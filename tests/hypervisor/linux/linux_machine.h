/* SPDX-License-Identifier: MIT */
/* What an architecture adds so that Linux finds a machine, and what it may ask of the program. */
#ifndef LINUX_MACHINE_H
#define LINUX_MACHINE_H

#include "linux_layout.h"
#include "machine.h"

/** What is to become of the guest after an exit. */
enum linux_action {
	LINUX_GO_ON,
	LINUX_CPU_OFF, /**< This virtual CPU is off until it is started again. */
	LINUX_POWER_OFF,
	LINUX_RESET,
};

/** Maps the devices that Linux drives itself. */
void linux_machine_map_devices(struct addrspace *as);
/** On each CPU, after machine_load_root(): what a guest needs that owns timers and interrupts. */
void linux_machine_prepare_cpu(void);
/** As the architecture's boot protocol or its firmware starts a CPU, on that CPU. For the first one
 * argument is the devicetree's address. */
void linux_machine_reset_vcpu(unsigned cpu, uint64_t entry, uint64_t argument);
/** Answers an exit that is no fault: what firmware does, and what traps. Fails if it is neither. */
enum linux_action linux_machine_answer(unsigned cpu, const struct vcpu_exit *exit);
/** Passes time on a CPU whose virtual CPU is off. It may return at any time, and does when the virtual CPU
 * has been started. */
void linux_machine_rest(void);
/** Makes another CPU go on that waits for an interrupt inside the guest. */
void linux_machine_wake(unsigned cpu);

/* ---- what the architecture may ask ---- */

/** Starts a virtual CPU; false if it is on already. */
bool linux_cpu_start(unsigned cpu, uint64_t entry, uint64_t argument);
bool linux_cpu_is_on(unsigned cpu);

#endif
