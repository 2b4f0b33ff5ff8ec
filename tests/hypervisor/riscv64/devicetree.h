/* SPDX-License-Identifier: MIT */
/* Just enough of a flattened devicetree (Devicetree Specification 5) to look one property up. */
#ifndef HYPERVISOR_RISCV64_DEVICETREE_H
#define HYPERVISOR_RISCV64_DEVICETREE_H

#include <stddef.h>
#include <stdint.h>

/** The value of the first property of that name, in whatever node, and its length; NULL if none. */
const void *devicetree_property(const void *tree, const char *name, size_t *length);
/** A big-endian word. */
uint32_t devicetree_word(const void *at);

#endif
