/* SPDX-License-Identifier: MIT */
/* Instructions of the CPU, by name. */
#ifndef HYPERVISOR_X86_64_REGISTERS_H
#define HYPERVISOR_X86_64_REGISTERS_H

#define MSR_EFER 0xc0000080

#define EFER_LME 0x100
#define EFER_LMA 0x400
#define EFER_NXE 0x800

#define CR0_PE 0x00000001
#define CR0_ET 0x00000010
#define CR0_NE 0x00000020
#define CR0_WP 0x00010000
#define CR0_PG 0x80000000

#define CR4_PAE  0x0020
#define CR4_LA57 0x1000

#ifndef __ASSEMBLER__

#include <stdint.h>

static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

#define read_control_register(name)                                                                \
	({                                                                                         \
		uint64_t register_value;                                                           \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(register_value) : : "memory");       \
		register_value;                                                                    \
	})

#define write_control_register(name, value)                                                        \
	__asm__ volatile("mov %0, %%" #name : : "r"((uint64_t)(value)) : "memory")

static inline uint8_t read_port(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void write_port(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint64_t read_timestamp(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid read_cpuid(uint32_t leaf)
{
	struct cpuid id;

	__asm__ volatile("cpuid"
			 : "=a"(id.eax), "=b"(id.ebx), "=c"(id.ecx), "=d"(id.edx)
			 : "a"(leaf), "c"(0));
	return id;
}

#endif
#endif
