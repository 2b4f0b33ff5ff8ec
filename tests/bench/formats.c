/* SPDX-License-Identifier: MIT */
/* The formats that everything is measured for. */
#include "floors.h"

#include <addrspace/aarch64.h>
#include <addrspace/riscv64.h>
#include <addrspace/x86_64.h>

#define LEAVES (ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G)

const struct bench_format bench_formats[BENCH_FORMATS] = {
	{"EPT", &addrspace_ept, 48, 4, LEAVES, 0, &floors_ept},
	{"NPT", &addrspace_npt, 48, 4, LEAVES | ADDRSPACE_CPU_NX, 0, &floors_npt},
	{"stage 2", &addrspace_stage2, 48, 4, LEAVES, 0, &floors_stage2},
	{"G-stage", &addrspace_gstage, 50, 4, LEAVES | ADDRSPACE_CPU_SVVPTC, ADDRSPACE_CPU_SVVPTC,
	 &floors_gstage},
};
