/* SPDX-License-Identifier: MIT */
/* Calls to the firmware (RISC-V Supervisor Binary Interface 1.0: "Binary Encoding", and a chapter for each
 * extension). */
#ifndef HYPERVISOR_RISCV64_SBI_H
#define HYPERVISOR_RISCV64_SBI_H

#include <stdint.h>

#define SBI_BASE   0x10
#define SBI_TIME   0x54494d45
#define SBI_IPI    0x735049
#define SBI_RFENCE 0x52464e43
#define SBI_HSM    0x48534d
#define SBI_SRST   0x53525354

#define SBI_BASE_PROBE_EXTENSION 3
#define SBI_BASE_LAST            6 /* get_mimpid */

#define SBI_TIME_SET_TIMER 0

#define SBI_IPI_SEND 0

#define SBI_RFENCE_REMOTE_FENCE_I          0
#define SBI_RFENCE_REMOTE_SFENCE_VMA       1
#define SBI_RFENCE_REMOTE_SFENCE_VMA_ASID  2
#define SBI_RFENCE_REMOTE_HFENCE_GVMA_VMID 3
#define SBI_RFENCE_REMOTE_HFENCE_VVMA_ASID 5
#define SBI_RFENCE_REMOTE_HFENCE_VVMA      6

#define SBI_HSM_HART_START      0
#define SBI_HSM_HART_STOP       1
#define SBI_HSM_HART_GET_STATUS 2

#define SBI_HSM_STARTED 0
#define SBI_HSM_STOPPED 1

#define SBI_SRST_SYSTEM_RESET 0

#define SBI_SRST_SHUTDOWN    0
#define SBI_SRST_COLD_REBOOT 1
#define SBI_SRST_WARM_REBOOT 2
#define SBI_SRST_NO_REASON   0

#define SBI_SUCCESS           0
#define SBI_NOT_SUPPORTED     (-2)
#define SBI_INVALID_PARAM     (-3)
#define SBI_INVALID_ADDRESS   (-5)
#define SBI_ALREADY_AVAILABLE (-6)

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
