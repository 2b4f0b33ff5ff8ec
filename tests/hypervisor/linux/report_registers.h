/* SPDX-License-Identifier: MIT */
/* A device that only the guest has: 64-bit registers at LINUX_REPORT_GPA, where no region is, so that
 * each access is a fault that the hypervisor emulates. Linux' init reaches it through /dev/mem and tells
 * by it how the guest is. */
#ifndef LINUX_REPORT_REGISTERS_H
#define LINUX_REPORT_REGISTERS_H

#define REPORT_ROUNDS 0x00 /* read: the rounds that init is to do */
#define REPORT_UPTIME 0x08 /* write: milliseconds since Linux has started, as init starts */
#define REPORT_PAGES  0x10 /* write: that many more pages were as they should be */
#define REPORT_RESULT 0x18 /* write: REPORT_WELL, or anything else; the last one counts */

#define REPORT_WELL 0x77656c6c /* "well" */

#endif
