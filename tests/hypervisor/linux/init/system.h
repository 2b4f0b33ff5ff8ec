/* SPDX-License-Identifier: MIT */
/* Linux' system calls as init needs them, without a libc. Numbers and flags are Linux' generic ones
 * (include/uapi/asm-generic), which aarch64 and riscv64 both have. */
#ifndef INIT_SYSTEM_H
#define INIT_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum system_call_number {
	SYS_DUP3 = 24,
	SYS_UNLINKAT = 35,
	SYS_MOUNT = 40,
	SYS_OPENAT = 56,
	SYS_CLOSE = 57,
	SYS_PIPE2 = 59,
	SYS_READ = 63,
	SYS_WRITE = 64,
	SYS_EXIT_GROUP = 94,
	SYS_NANOSLEEP = 101,
	SYS_CLOCK_GETTIME = 113,
	SYS_SCHED_SETAFFINITY = 122,
	SYS_SCHED_YIELD = 124,
	SYS_REBOOT = 142,
	SYS_MUNMAP = 215,
	SYS_CLONE = 220,
	SYS_EXECVE = 221,
	SYS_MMAP = 222,
	SYS_MPROTECT = 226,
	SYS_WAIT4 = 260,
};

#define AT_CWD      (-100)
#define OPEN_READ   0
#define OPEN_WRITE  1
#define OPEN_BOTH   2
#define OPEN_CREATE 0100
#define OPEN_SYNC   04010000

#define MAP_READ         1
#define MAP_WRITE        2
#define MAP_SHARED       0x01
#define MAP_PRIVATE      0x02
#define MAP_ANONYMOUS    0x20
#define SIGNAL_CHILD     17
#define CLOCK_BOOT       7
#define REBOOT_MAGIC     0xfee1dead
#define REBOOT_MAGIC2    672274793
#define REBOOT_POWER_OFF 0x4321fedc
#define REBOOT_RESTART   0x01234567

/** A negative answer is -errno. */
long system_call(enum system_call_number number, ...);

/** Ends everything with a message if the value is negative; returns it. */
#define require(value) require_not_negative((value), #value)
long require_not_negative(long value, const char *what);

void *map_memory(size_t size, int protection, int flags, int file, uint64_t offset);
int open_file(const char *path, int flags);
void close_file(int file);
/** All of it, or the end of everything. */
void write_all(int file, const void *data, size_t size);
/** As much as there is, up to size. */
size_t read_all(int file, void *data, size_t size);
/** Pins this process to one CPU; false if that CPU is not online. */
bool run_on_cpu(unsigned cpu);
void sleep_milliseconds(unsigned milliseconds);
/** The child goes on in entry, which does not return. */
int start_process(void (*entry)(void *argument), void *argument);
/** Ends everything unless the process ends with status 0. */
void await_process(int process);
_Noreturn void end_process(int status);

#endif
