/* SPDX-License-Identifier: MIT */
/* The Linux guest's physical addresses, of which machine.dts tells Linux the same, and its work. */
#ifndef LINUX_LAYOUT_H
#define LINUX_LAYOUT_H

#define LINUX_REPORT_GPA 0x0a000000
#define LINUX_RAM_GPA    0x40000000
#define LINUX_RAM_SIZE   0x20000000
/* Documentation/arch/arm64/booting: a multiple of 2 MiB, plus the image's text_offset, which is 0. */
#define LINUX_KERNEL_GPA 0x40200000
#define LINUX_DTB_GPA    0x4b000000
#define LINUX_INITRD_GPA 0x4c000000
/* What machine.dts says; the archive is padded with zeroes to it. */
#define LINUX_INITRD_SIZE 0x10000
/* Rounds of init, half of them before its second CPU is away for a while. */
#define LINUX_ROUNDS 12
/* Of the CPU: nothing that the space is not to use. */
#define LINUX_FEATURES_OFF 0

#endif
