/* SPDX-License-Identifier: MIT */
#include "system.h"

#include "print.h"

long require_not_negative(long value, const char *what)
{
	if (value < 0)
		fail("%s: error %ld", what, -value);
	return value;
}

void *map_memory(size_t size, int protection, int flags, int file, uint64_t offset)
{
	return (void *)require(system_call(SYS_MMAP, NULL, size, (long)protection, (long)flags,
					   (long)file, offset));
}

int open_file(const char *path, int flags)
{
	long file = system_call(SYS_OPENAT, (long)AT_CWD, path, (long)flags, 0600L);

	if (file < 0)
		fail("%s cannot be opened: error %ld", path, -file);
	return (int)file;
}

void close_file(int file)
{
	require(system_call(SYS_CLOSE, (long)file));
}

void write_all(int file, const void *data, size_t size)
{
	for (size_t done = 0; done < size;)
		done += (size_t)require(
			system_call(SYS_WRITE, (long)file, (const char *)data + done, size - done));
}

size_t read_all(int file, void *data, size_t size)
{
	size_t done = 0;
	size_t part;

	do {
		part = (size_t)require(
			system_call(SYS_READ, (long)file, (char *)data + done, size - done));
		done += part;
	} while (part && done < size);
	return done;
}

bool run_on_cpu(unsigned cpu)
{
	uint64_t mask = UINT64_C(1) << cpu;

	return system_call(SYS_SCHED_SETAFFINITY, 0L, sizeof(mask), &mask) >= 0;
}

void sleep_milliseconds(unsigned milliseconds)
{
	int64_t time[2] = {milliseconds / 1000, milliseconds % 1000 * 1000000};

	system_call(SYS_NANOSLEEP, time, NULL);
}

int start_process(void (*entry)(void *argument), void *argument)
{
	int process =
		(int)require(system_call(SYS_CLONE, (long)SIGNAL_CHILD, NULL, NULL, NULL, NULL));

	if (!process) {
		entry(argument);
		end_process(1);
	}
	return process;
}

void await_process(int process)
{
	int status = 0;

	require(system_call(SYS_WAIT4, (long)process, &status, 0L, NULL));
	if (status)
		fail("process %d has ended with status 0x%x", process, (unsigned)status);
}

void end_process(int status)
{
	for (;;)
		system_call(SYS_EXIT_GROUP, (long)status);
}
