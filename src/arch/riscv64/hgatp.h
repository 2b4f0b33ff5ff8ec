/* SPDX-License-Identifier: MIT */
/* Fields of the root register (RISC-V Privileged, hgatp): MODE 63:60, VMID 57:44, PPN below. */
#ifndef ADDRSPACE_SRC_ARCH_RISCV64_HGATP_H
#define ADDRSPACE_SRC_ARCH_RISCV64_HGATP_H

#define HGATP_MODE_SHIFT  60
#define HGATP_MODE_SV39X4 8
#define HGATP_MODE_SV57X4 10
#define HGATP_VMID_SHIFT  44
#define HGATP_VMID_BITS   14

#endif
