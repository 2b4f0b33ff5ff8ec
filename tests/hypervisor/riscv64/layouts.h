/* SPDX-License-Identifier: MIT */
#ifndef HYPERVISOR_RISCV64_LAYOUTS_H
#define HYPERVISOR_RISCV64_LAYOUTS_H

/** Finds out what the hart can do; once, before any guest. */
void layouts_probe(void);

#endif
