/* SPDX-License-Identifier: MIT */
/* QEMU's virt machine with 2 GiB of RAM at 0x40000000. */
#ifndef HYPERVISOR_MACHINE_LAYOUT_H
#define HYPERVISOR_MACHINE_LAYOUT_H

#include <stdint.h>

#define MACHINE_NAME "aarch64 stage 2"
#define MACHINE_CPUS 2
/* Where `run` leaves the mode, below MODE_MAGIC: between the devicetree and the hypervisor. */
#define MACHINE_MODE_HPA  UINT64_C(0x403ff000)
#define MACHINE_UART_HPA  UINT64_C(0x09000000)
#define MACHINE_POOL_HPA  UINT64_C(0x48000000)
#define MACHINE_POOL_SIZE (UINT64_C(64) << 20)
/* Lent to the guest as one piece: 1 GiB, aligned to 1 GiB. */
#define MACHINE_BLOCK_HPA  UINT64_C(0x80000000)
#define MACHINE_BLOCK_SIZE (UINT64_C(1) << 30)
/* So much of the block is RAM, from its start. */
#define MACHINE_BLOCK_RAM MACHINE_BLOCK_SIZE

#endif
