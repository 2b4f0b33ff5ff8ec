/* SPDX-License-Identifier: MIT */
/* The first process of the Linux guest: works on both CPUs while the hypervisor works on its memory, and
 * powers the machine off if everything was as it should be. Anything else is a reset, which the
 * hypervisor takes as failure. */
#include "libc.h"
#include "linux_layout.h"
#include "machine.h"
#include "memory.h"
#include "print.h"
#include "report_registers.h"
#include "system.h"
#include "work.h"

#define ONLINE_TRIES 1000

void init_main(char **arguments);

static int kernel_log;
static uint8_t *report_device;

static uint64_t uptime_milliseconds(void)
{
	int64_t time[2];

	require(system_call(SYS_CLOCK_GETTIME, (long)CLOCK_BOOT, time));
	return (uint64_t)(time[0] * 1000 + time[1] / 1000000);
}

/* ---- what print() and fail() need of a machine ---- */

unsigned machine_this_cpu(void)
{
	return 0;
}

uint64_t machine_microseconds(void)
{
	return uptime_milliseconds() * 1000;
}

void machine_put_char(char character)
{
	static char line[256] = "<5>init: ";
	static size_t length = 9;

	if (length < sizeof(line) - 1 || character == '\n')
		line[length++] = character;
	if (character != '\n')
		return;
	/* What cannot be told here is told by the report device. */
	system_call(SYS_WRITE, (long)kernel_log, line, length);
	length = 9;
}

static void report(unsigned where, uint64_t value)
{
	*(volatile uint64_t *)(report_device + where) = value;
}

void machine_exit(int status)
{
	if (report_device)
		report(REPORT_RESULT, status ? 0 : REPORT_WELL);
	for (;;) {
		system_call(SYS_REBOOT, (unsigned long)REBOOT_MAGIC, (unsigned long)REBOOT_MAGIC2,
			    status ? (unsigned long)REBOOT_RESTART
				   : (unsigned long)REBOOT_POWER_OFF,
			    NULL);
		sleep_milliseconds(1000);
	}
}

/* ---- set-up ---- */

static void mount(const char *type, const char *where)
{
	require(system_call(SYS_MOUNT, type, where, type, 0L, NULL));
}

static void open_report_device(void)
{
	int memory = open_file("/dev/mem", OPEN_BOTH | OPEN_SYNC);

	report_device =
		map_memory(4096, MAP_READ | MAP_WRITE, MAP_SHARED, memory, LINUX_REPORT_GPA);
	report(REPORT_UPTIME, uptime_milliseconds());
}

/** Waits until the CPU is there, and goes to it. */
static void move_to_cpu(unsigned cpu)
{
	for (unsigned try = 0; try < ONLINE_TRIES; try++) {
		if (run_on_cpu(cpu))
			return;
		sleep_milliseconds(10);
	}
	fail("CPU %u does not come online", cpu);
}

static void set_second_cpu_online(bool online)
{
	int file = open_file("/sys/devices/system/cpu/cpu1/online", OPEN_WRITE);

	write_all(file, online ? "1" : "0", 1);
	close_file(file);
	if (run_on_cpu(1) != online)
		fail("the second CPU does not go %s", online ? "online" : "offline");
}

/* ---- the work ---- */

struct worker {
	struct memory *memory;
	unsigned number;
	unsigned first_round;
	unsigned end_round;
};

static void report_pages(uint64_t pages)
{
	report(REPORT_PAGES, pages);
}

static void work(const struct worker *worker)
{
	move_to_cpu(worker->number);
	for (unsigned round = worker->first_round; round < worker->end_round; round++) {
		memory_round(worker->memory, worker->number, round, report_pages);
		work_round(worker->number, round);
	}
}

static void second_worker(void *argument)
{
	work(argument);
	end_process(0);
}

static void work_on_both_cpus(struct memory *memory, unsigned first_round, unsigned end_round)
{
	struct worker first = {memory, 0, first_round, end_round};
	struct worker second = {memory, 1, first_round, end_round};
	int process = start_process(second_worker, &second);

	work(&first);
	await_process(process);
}

void init_main(char **arguments)
{
	struct memory *memory;
	unsigned rounds;
	uint64_t pages;

	kernel_log = open_file("/dev/kmsg", OPEN_WRITE);
	if (!memcmp(arguments[0], WORK_CHILD, sizeof(WORK_CHILD)))
		work_child();
	mount("proc", "/proc");
	mount("sysfs", "/sys");
	open_report_device();
	rounds = (unsigned)*(volatile uint64_t *)(report_device + REPORT_ROUNDS);
	memory = memory_create();
	print("both CPUs fill and check %lu MiB in %u rounds\n", MEMORY_PAGES >> 8, rounds);
	work_on_both_cpus(memory, 0, rounds / 2);
	set_second_cpu_online(false);
	set_second_cpu_online(true);
	print("the second CPU was away and is back\n");
	work_on_both_cpus(memory, rounds / 2, rounds);
	pages = memory_end(memory, rounds);
	print("%lu pages checked in %lu ms, OK\n", pages, uptime_milliseconds());
	machine_exit(0);
}
