/* SPDX-License-Identifier: MIT */
/* The board and the CPU: console, exit, the hypervisor's own identity map, what the CPU can do. */
#include "machine.h"

#include <addrspace/aarch64.h>

#include "print.h"
#include "registers.h"

#define UART_DATA  0x00
#define UART_FLAGS 0x18
#define UART_FULL  (1u << 5)

#define SEMIHOSTING_EXIT             0x18
#define SEMIHOSTING_APPLICATION_EXIT 0x20026

uint64_t semihosting_call(uint64_t operation, const void *block);
_Noreturn void machine_start(void);
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

static void map_self(void)
{
	own_table[0] = BLOCK_DEVICE;
	for (uint64_t i = 1; i < 4; i++)
		own_table[i] = i << 30 | BLOCK_MEMORY;
	write_register(mair_el2, MAIR);
	write_register(tcr_el2, TCR);
	write_register(ttbr0_el2, (uintptr_t)own_table);
	barrier("dsb sy\n\ttlbi alle2\n\tic iallu\n\tdsb sy\n\tisb");
	write_register(sctlr_el2, SCTLR);
	barrier("isb");
}

/* ---- what the CPU can do ---- */

struct features {
	unsigned host_bits;
	bool hardware_af;
	bool hardware_dirty;
	bool vmid16;
	bool fwb;
	bool xnx;
};

static struct features detect_features(void)
{
	static const uint8_t pa_bits[] = {32, 36, 40, 42, 44, 48, 52};
	uint64_t mmfr0 = read_register(id_aa64mmfr0_el1);
	uint64_t mmfr1 = read_register(id_aa64mmfr1_el1);
	uint64_t mmfr2 = read_register(s3_0_c0_c7_2); /* ID_AA64MMFR2_EL1 */
	unsigned pa_range = register_field(mmfr0, 0, 4);

	if (pa_range >= sizeof(pa_bits))
		fail("unknown PARange %u", pa_range);
	return (struct features){
		.host_bits = pa_bits[pa_range],
		.hardware_af = register_field(mmfr1, 0, 4) >= 1,
		.hardware_dirty = register_field(mmfr1, 0, 4) >= 2,
		.vmid16 = register_field(mmfr1, 4, 4) == 2,
		.xnx = register_field(mmfr1, 28, 4) >= 1,
		.fwb = register_field(mmfr2, 40, 4) >= 1,
	};
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

void machine_describe(void)
{
	struct features features = detect_features();

	print("CPU        MIDR_EL1 0x%08lx at EL%u, %u physical address bits\n",
	      read_register(midr_el1), register_field(read_register(CurrentEL), 2, 2),
	      features.host_bits);
	print("           FEAT_S2FWB %s, 16-bit VMID %s, hardware access flag %s, "
	      "hardware dirty %s, FEAT_XNX %s\n",
	      yes_no(features.fwb), yes_no(features.vmid16), yes_no(features.hardware_af),
	      yes_no(features.hardware_dirty), yes_no(features.xnx));
}

unsigned machine_layout_count(void)
{
	return detect_features().host_bits >= 44 ? 3 : 2;
}

/** 40 bits from Arm level 1 with 2 tables, 34 from level 2 with 16, 44 from level 0 with one. */
void machine_configure(struct addrspace_config *config, unsigned layout)
{
	static const uint8_t gpa_bits[] = {40, 34, 44};
	static const uint8_t levels[] = {3, 2, 4};
	struct features features = detect_features();

	config->format = &addrspace_stage2;
	config->gpa_bits = gpa_bits[layout];
	config->levels = levels[layout];
	config->cpu.host_bits = features.host_bits;
	config->cpu.features = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G;
	if (features.hardware_dirty)
		config->cpu.features |= ADDRSPACE_CPU_HARDWARE_AD;
	if (features.fwb)
		config->cpu.features |= ADDRSPACE_CPU_FWB;
	if (features.vmid16)
		config->cpu.features |= ADDRSPACE_CPU_VMID16;
}

_Noreturn void machine_start(void)
{
	if (register_field(read_register(CurrentEL), 2, 2) != 2)
		fail("not started at EL2");
	map_self();
	program_run();
}
