/* SPDX-License-Identifier: MIT */
/* The board and its CPUs: console, exit, the hypervisor's own identity map, starting another CPU. */
#include "machine.h"

#include "print.h"
#include "registers.h"

#define UART_DATA  0x00
#define UART_FLAGS 0x18
#define UART_FULL  (1u << 5)

#define SEMIHOSTING_EXIT             0x18
#define SEMIHOSTING_APPLICATION_EXIT 0x20026

uint64_t semihosting_call(uint64_t operation, const void *block);
_Noreturn void machine_start(void);
_Noreturn void machine_cpu_started(void);
void hypervisor_start_cpu(void);
_Noreturn void machine_own_exception(uint64_t esr, uint64_t elr, uint64_t far);

extern char guest_image_hpa[];
extern char guest_image_size[];

void machine_put_char(char character)
{
	volatile uint32_t *flags = (uint32_t *)(MACHINE_UART_HPA + UART_FLAGS);
	volatile uint32_t *data = (uint32_t *)(MACHINE_UART_HPA + UART_DATA);

	while (*flags & UART_FULL)
		;
	*data = (unsigned char)character;
}

void machine_exit(int status)
{
	uint64_t block[2] = {SEMIHOSTING_APPLICATION_EXIT, (uint64_t)status};

	barrier("dsb sy");
	semihosting_call(SEMIHOSTING_EXIT, block);
	for (;;)
		barrier("wfi");
}

void machine_own_exception(uint64_t esr, uint64_t elr, uint64_t far)
{
	fail("the hypervisor itself took an exception: ESR_EL2 0x%lx at 0x%lx, FAR_EL2 0x%lx", esr,
	     elr, far);
}

uint64_t machine_microseconds(void)
{
	barrier("isb");
	return read_register(cntpct_el0) * 1000 / (read_register(cntfrq_el0) / 1000);
}

const void *machine_guest_image(uint64_t *size)
{
	*size = (uint64_t)(uintptr_t)guest_image_size;
	return guest_image_hpa;
}

/* ---- the hypervisor's own map: 1 GiB blocks, virtual = physical, caches on ---- */

#define BLOCK_DEVICE UINT64_C(0x40000000000441) /* AF, AttrIndx 0, execute-never */
#define BLOCK_MEMORY UINT64_C(0x745)            /* AF, inner shareable, AttrIndx 1 */
#define MAIR         UINT64_C(0xff04)           /* 0: Device-nGnRE, 1: Normal write-back */
/* RES1, 40-bit output, 4 KiB granule, inner shareable, write-back walks, 39-bit input. */
#define TCR   UINT64_C(0x80823519)
#define SCTLR UINT64_C(0x30c51835) /* RES1 bits, I, C, M */

static uint64_t own_table[512] __attribute__((aligned(4096)));

static void build_own_table(void)
{
	own_table[0] = BLOCK_DEVICE;
	for (uint64_t i = 1; i < 4; i++)
		own_table[i] = i << 30 | BLOCK_MEMORY;
}

static void enable_translation(void)
{
	write_register(mair_el2, MAIR);
	write_register(tcr_el2, TCR);
	write_register(ttbr0_el2, (uintptr_t)own_table);
	barrier("dsb sy\n\ttlbi alle2\n\tic iallu\n\tdsb sy\n\tisb");
	write_register(sctlr_el2, SCTLR);
	barrier("isb");
}

/* ---- CPUs ---- */

/* PSCI through SMC; the other CPUs are off until they are called (Arm DEN0022, 5.6 CPU_ON). */
#define PSCI_CPU_ON    UINT64_C(0xc4000003)
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)
#define STACK_SIZE     0x10000

static uint8_t stacks[MACHINE_CPUS - 1][STACK_SIZE] __attribute__((aligned(16)));
static void (*entries[MACHINE_CPUS])(void);

static int64_t psci_cpu_on(uint64_t target, uint64_t entry, uint64_t context)
{
	register uint64_t x0 __asm__("x0") = PSCI_CPU_ON;
	register uint64_t x1 __asm__("x1") = target;
	register uint64_t x2 __asm__("x2") = entry;
	register uint64_t x3 __asm__("x3") = context;

	__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return (int64_t)x0;
}

unsigned machine_this_cpu(void)
{
	return register_field(read_register(mpidr_el1), 0, 8);
}

/* It starts with its caches off: what it reads until they are on must be in memory. */
static void clean_to_memory(const void *address)
{
	__asm__ volatile("dc civac, %0\n\tdsb sy" : : "r"(address) : "memory");
}

void machine_start_cpu(unsigned cpu, void (*entry)(void))
{
	uint64_t target = (read_register(mpidr_el1) & MPIDR_AFFINITY & ~UINT64_C(0xff)) | cpu;
	int64_t error;

	if (cpu == 0 || cpu >= MACHINE_CPUS || entries[cpu])
		fail("CPU %u cannot be started", cpu);
	entries[cpu] = entry;
	clean_to_memory(&entries[cpu]);
	for (unsigned i = 0; i < sizeof(own_table); i += 16)
		clean_to_memory((const char *)own_table + i);
	error = psci_cpu_on(target, (uintptr_t)hypervisor_start_cpu,
			    (uintptr_t)stacks[cpu - 1] + STACK_SIZE);
	if (error)
		fail("PSCI CPU_ON for CPU %u: %ld", cpu, error);
}

void machine_cpu_started(void)
{
	enable_translation();
	entries[machine_this_cpu()]();
	fail("the entry function of CPU %u has returned", machine_this_cpu());
}

_Noreturn void machine_start(void)
{
	if (register_field(read_register(CurrentEL), 2, 2) != 2)
		fail("not started at EL2");
	build_own_table();
	enable_translation();
	program_run();
}
