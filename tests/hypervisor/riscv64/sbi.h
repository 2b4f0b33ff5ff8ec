/* SPDX-License-Identifier: MIT */
/* Calls to the firmware (RISC-V Supervisor Binary Interface: binary encoding, HSM, RFENCE). */
#ifndef HYPERVISOR_RISCV64_SBI_H
#define HYPERVISOR_RISCV64_SBI_H

#include <stdint.h>

#define SBI_HSM    0x48534d
#define SBI_RFENCE 0x52464e43

#define SBI_HSM_HART_START 0

#define SBI_RFENCE_REMOTE_HFENCE_GVMA_VMID 3

struct sbi_result {
	int64_t error;
	uint64_t value;
};

static inline struct sbi_result sbi_call(uint64_t extension, uint64_t function,
					 const uint64_t argument[5])
{
	register uint64_t a0 __asm__("a0") = argument[0];
	register uint64_t a1 __asm__("a1") = argument[1];
	register uint64_t a2 __asm__("a2") = argument[2];
	register uint64_t a3 __asm__("a3") = argument[3];
	register uint64_t a4 __asm__("a4") = argument[4];
	register uint64_t a6 __asm__("a6") = function;
	register uint64_t a7 __asm__("a7") = extension;

	__asm__ volatile("ecall"
			 : "+r"(a0), "+r"(a1)
			 : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7)
			 : "memory");
	return (struct sbi_result){.error = (int64_t)a0, .value = a1};
}

#endif
