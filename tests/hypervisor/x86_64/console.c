/* SPDX-License-Identifier: MIT */
/* The first serial port, and the end of the machine as either emulator knows it. */
#include "machine.h"
#include "registers.h"
#include "start.h"

#define PORT_DATA         MACHINE_CONSOLE_PORT
#define PORT_LINE_CONTROL (MACHINE_CONSOLE_PORT + 3)
#define PORT_LINE_STATUS  (MACHINE_CONSOLE_PORT + 5)
#define LINE_8_BITS       0x03
#define STATUS_EMPTY      0x20 /* takes another character */
#define STATUS_ALL_SENT   0x40

#define QEMU_EXIT_PORT     0xf4 /* its isa-debug-exit device */
#define QEMU_EXIT_SUCCESS  0x10
#define QEMU_EXIT_FAILURE  0x11
#define BOCHS_SHUTDOWN     0x8900
#define BOCHS_FAILURE_WORD "Shutdown"

void console_start(void)
{
	write_port(PORT_LINE_CONTROL, LINE_8_BITS);
}

static void wait_for(uint8_t status)
{
	while (!(read_port(PORT_LINE_STATUS) & status))
		;
}

void machine_put_char(char character)
{
	wait_for(STATUS_EMPTY);
	write_port(PORT_DATA, (uint8_t)character);
}

/* QEMU ends at its port, which Bochs does not have. Bochs ends with status 1 when it is told to shut
 * down, and with 0 when its debugger takes over at its magic instruction and is told to quit. */
void machine_exit(int status)
{
	wait_for(STATUS_ALL_SENT);
	write_port(QEMU_EXIT_PORT, status ? QEMU_EXIT_FAILURE : QEMU_EXIT_SUCCESS);
	if (!status)
		__asm__ volatile("xchg %%bx, %%bx" : : : "memory");
	for (const char *c = BOCHS_FAILURE_WORD; *c; c++)
		write_port(BOCHS_SHUTDOWN, (uint8_t)*c);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}
