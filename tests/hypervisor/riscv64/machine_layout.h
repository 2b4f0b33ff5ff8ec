/* SPDX-License-Identifier: MIT */
/* QEMU's virt machine with RAM from 0x80000000 on: OpenSBI at its start, the devicetree in the last
 * 16 MiB of the first GiB or, with newer emulators, of all RAM, which ends above the guest's block. */
#ifndef HYPERVISOR_MACHINE_LAYOUT_H
#define HYPERVISOR_MACHINE_LAYOUT_H

#include <stdint.h>

#define MACHINE_NAME "riscv64 G-stage"
#define MACHINE_CPUS 2
/* Where `run` leaves the mode, below MODE_MAGIC: between OpenSBI and the hypervisor. */
#define MACHINE_MODE_HPA     UINT64_C(0x801ff000)
#define MACHINE_UART_HPA     UINT64_C(0x10000000)
#define MACHINE_FINISHER_HPA UINT64_C(0x00100000)
#define MACHINE_POOL_HPA     UINT64_C(0x88000000)
#define MACHINE_POOL_SIZE    (UINT64_C(64) << 20)
/* Lent to the guest as one piece: 1 GiB, aligned to 1 GiB. */
#define MACHINE_BLOCK_HPA  UINT64_C(0xc0000000)
#define MACHINE_BLOCK_SIZE (UINT64_C(1) << 30)
/* So much of the block is RAM, from its start. */
#define MACHINE_BLOCK_RAM MACHINE_BLOCK_SIZE

#endif
