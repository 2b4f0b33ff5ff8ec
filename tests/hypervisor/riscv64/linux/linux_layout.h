/* SPDX-License-Identifier: MIT */
/* The Linux guest's physical addresses, of which machine.dts tells Linux the same, and its work. */
#ifndef LINUX_LAYOUT_H
#define LINUX_LAYOUT_H

#define LINUX_REPORT_GPA 0x0a000000
#define LINUX_RAM_GPA    0x80000000
#define LINUX_RAM_SIZE   0x20000000
/* Documentation/arch/riscv/boot.rst: a multiple of 2 MiB. */
#define LINUX_KERNEL_GPA 0x80200000
#define LINUX_DTB_GPA    0x8b000000
#define LINUX_INITRD_GPA 0x8c000000
/* What machine.dts says; the archive is padded with zeroes to it. */
#define LINUX_INITRD_SIZE 0x10000
/* Rounds of init, half of them before its second CPU is away for a while. Fewer than elsewhere: each fence of
 * the guest for its other hart is a call of the firmware that waits for that hart. */
#define LINUX_ROUNDS 6
/* Of the CPU, what the space is not to use. QEMU's walker (7.2, get_physical_address()) begins again when another
 * CPU has changed the entry in which it was to set A or D, but with the last table in place of the root, which is
 * four times as large: it reads behind the table. One boot in some fifty saw a load access fault on memory. */
#define LINUX_FEATURES_OFF ADDRSPACE_CPU_HARDWARE_AD

#endif
