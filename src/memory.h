/* SPDX-License-Identifier: MIT */
/* All that the library wants from a C library; the embedding kernel has these. */
#ifndef ADDRSPACE_SRC_MEMORY_H
#define ADDRSPACE_SRC_MEMORY_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *one, const void *other, size_t size);

#endif
