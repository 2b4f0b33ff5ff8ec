/* SPDX-License-Identifier: MIT */
/* A PC with 2 GiB of RAM, as Bochs and QEMU emulate it. */
#ifndef HYPERVISOR_MACHINE_LAYOUT_H
#define HYPERVISOR_MACHINE_LAYOUT_H

/* The second CPU's first instructions, in real mode. */
#define MACHINE_TRAMPOLINE_HPA 0x8000
/* Where the boot ROM or the multiboot loader places the hypervisor. */
#define MACHINE_IMAGE_HPA 0x100000
/* Where the mode is left, below MODE_MAGIC: between the hypervisor and the pool. */
#define MACHINE_MODE_HPA 0x01fff000
#define MACHINE_CPUS     2

#ifndef __ASSEMBLER__

#include <stdint.h>

#define MACHINE_NAME        "x86_64"
#define MACHINE_IO_APIC_HPA UINT64_C(0xfec00000)
#define MACHINE_POOL_HPA    UINT64_C(0x04000000)
#define MACHINE_POOL_SIZE   (UINT64_C(64) << 20)
/* Lent to the guest as one piece: 1 GiB, aligned to 1 GiB. */
#define MACHINE_BLOCK_HPA  UINT64_C(0x40000000)
#define MACHINE_BLOCK_SIZE (UINT64_C(1) << 30)
/* So much of the block is RAM, from its start. */
#define MACHINE_BLOCK_RAM MACHINE_BLOCK_SIZE
/* The console that both the hypervisor and the guest write to: the first serial port. */
#define MACHINE_CONSOLE_PORT 0x3f8

#endif
#endif
