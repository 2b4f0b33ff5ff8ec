/* SPDX-License-Identifier: MIT */
/* How the guest begins: in long mode, on the table guest_root, with these segments, and told by its
 * bl which instruction is a hypercall. */
#ifndef GUEST_ENTRY_H
#define GUEST_ENTRY_H

#define GUEST_CODE 0x08
#define GUEST_DATA 0x10

#define GUEST_VMCALL  0 /* Intel */
#define GUEST_VMMCALL 1 /* AMD */

#endif
