/* SPDX-License-Identifier: MIT */
/* The board: start, console, clock, exit. HS mode runs without translation. */
#include "machine.h"

#include "board.h"
#include "devicetree.h"
#include "layouts.h"
#include "print.h"
#include "registers.h"

#define UART_DATA           0
#define UART_STATUS         5
#define UART_TRANSMIT_EMPTY (1u << 5)

#define FINISHER_PASS 0x5555u
#define FINISHER_FAIL 0x3333u

_Noreturn void machine_start(uint64_t hart, const void *devicetree);
_Noreturn void machine_own_trap(uint64_t scause, uint64_t sepc, uint64_t stval);

extern const uint64_t guest_image_hpa;
extern const uint64_t guest_image_size;

struct board board;

void machine_put_char(char character)
{
	volatile uint8_t *uart = (uint8_t *)MACHINE_UART_HPA;

	while (!(uart[UART_STATUS] & UART_TRANSMIT_EMPTY))
		;
	uart[UART_DATA] = (uint8_t)character;
}

void machine_exit(int status)
{
	volatile uint32_t *finisher = (uint32_t *)MACHINE_FINISHER_HPA;

	*finisher = status ? (uint32_t)status << 16 | FINISHER_FAIL : FINISHER_PASS;
	for (;;)
		__asm__ volatile("wfi");
}

void machine_own_trap(uint64_t scause, uint64_t sepc, uint64_t stval)
{
	fail("the hypervisor itself took a trap: scause 0x%lx at 0x%lx, stval 0x%lx, htval 0x%lx",
	     scause, sepc, stval, read_csr(CSR_HTVAL));
}

uint64_t machine_microseconds(void)
{
	uint64_t time;

	__asm__ volatile("rdtime %0" : "=r"(time));
	return time * 1000 / (board.timebase / 1000);
}

const void *machine_guest_image(uint64_t *size)
{
	*size = guest_image_size;
	return (const void *)guest_image_hpa;
}

static const void *required_property(const void *tree, const char *name, size_t *length)
{
	const void *value = devicetree_property(tree, name, length);

	if (!value)
		fail("the devicetree has no %s", name);
	return value;
}

_Noreturn void machine_start(uint64_t hart, const void *devicetree)
{
	size_t length;

	board.boot_hart = hart;
	board.devicetree = devicetree;
	board.isa = required_property(devicetree, "riscv,isa", &board.isa_length);
	board.timebase =
		devicetree_word(required_property(devicetree, "timebase-frequency", &length));
	layouts_probe();
	program_run();
}
