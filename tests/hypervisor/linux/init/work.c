/* SPDX-License-Identifier: MIT */
#include "work.h"

#include "memory.h"
#include "print.h"
#include "system.h"

#define FILE_SIZE  (256 * 1024)
#define PIPE_SIZE  (64 * 1024)
#define CHILD_SALT 0xc411d
#define ANSWER     UINT64_C(0x616e73776572)

static uint64_t buffer[FILE_SIZE / sizeof(uint64_t)];

static uint64_t salt_of(unsigned worker, unsigned round)
{
	return (uint64_t)round << 8 | worker;
}

/** Written, read back, and read through a mapping: the same pages of the page cache three times. */
static void use_file(unsigned worker, unsigned round)
{
	char path[] = "/file-0";
	uint64_t words = FILE_SIZE / sizeof(uint64_t);
	uint64_t salt = salt_of(worker, round);
	uint64_t *mapped;
	int file;

	path[6] = (char)('0' + worker);
	pattern_fill(buffer, words, salt);
	file = open_file(path, OPEN_BOTH | OPEN_CREATE);
	write_all(file, buffer, FILE_SIZE);
	close_file(file);
	file = open_file(path, OPEN_READ);
	pattern_fill(buffer, words, ~salt);
	if (read_all(file, buffer, FILE_SIZE) != FILE_SIZE)
		fail("%s is shorter than what was written", path);
	pattern_check(buffer, words, salt, "file");
	mapped = map_memory(FILE_SIZE, MAP_READ | MAP_WRITE, MAP_PRIVATE, file, 0);
	pattern_check(mapped, words, salt, "mapped file");
	pattern_fill(mapped, words, ~salt);
	pattern_check(mapped, words, ~salt, "private copy of a file");
	require(system_call(SYS_MUNMAP, mapped, FILE_SIZE));
	close_file(file);
	require(system_call(SYS_UNLINKAT, (long)AT_CWD, path, 0L));
}

/** Fresh pages must be zero, and keep what is written through changes of permission. */
static void use_mapping(unsigned worker, unsigned round)
{
	uint64_t words = FILE_SIZE / sizeof(uint64_t);
	uint64_t salt = salt_of(worker, round);
	uint64_t *mapped =
		map_memory(FILE_SIZE, MAP_READ | MAP_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (uint64_t i = 0; i < words; i++)
		if (mapped[i])
			fail("fresh memory at %lx holds 0x%lx", (uint64_t)(uintptr_t)&mapped[i],
			     mapped[i]);
	pattern_fill(mapped, words, salt);
	require(system_call(SYS_MPROTECT, mapped, FILE_SIZE, (long)MAP_READ));
	pattern_check(mapped, words, salt, "read-only mapping");
	require(system_call(SYS_MPROTECT, mapped, FILE_SIZE, (long)(MAP_READ | MAP_WRITE)));
	pattern_fill(mapped, words, ~salt);
	pattern_check(mapped, words, ~salt, "mapping");
	require(system_call(SYS_MUNMAP, mapped, FILE_SIZE));
}

static void use_proc(const char *path)
{
	int file = open_file(path, OPEN_READ);

	if (!read_all(file, buffer, FILE_SIZE))
		fail("%s is empty", path);
	close_file(file);
}

/* ---- another process ---- */

struct pipes {
	int to_child[2];
	int from_child[2];
};

static void become_child(void *argument)
{
	static const char *const arguments[] = {WORK_CHILD, NULL};
	const struct pipes *pipes = argument;

	require(system_call(SYS_DUP3, (long)pipes->to_child[0], 0L, 0L));
	require(system_call(SYS_DUP3, (long)pipes->from_child[1], 1L, 0L));
	close_file(pipes->to_child[1]);
	require(system_call(SYS_EXECVE, "/init", arguments, arguments + 1));
}

void work_child(void)
{
	uint64_t answer = ANSWER;

	if (read_all(0, buffer, PIPE_SIZE) != PIPE_SIZE)
		fail("a pipe is shorter than what was written");
	pattern_check(buffer, PIPE_SIZE / sizeof(uint64_t), CHILD_SALT, "pipe");
	write_all(1, &answer, sizeof(answer));
	end_process(0);
}

static void use_process(void)
{
	struct pipes pipes;
	uint64_t answer = 0;
	int child;

	require(system_call(SYS_PIPE2, pipes.to_child, 0L));
	require(system_call(SYS_PIPE2, pipes.from_child, 0L));
	child = start_process(become_child, &pipes);
	close_file(pipes.to_child[0]);
	close_file(pipes.from_child[1]);
	pattern_fill(buffer, PIPE_SIZE / sizeof(uint64_t), CHILD_SALT);
	write_all(pipes.to_child[1], buffer, PIPE_SIZE);
	if (read_all(pipes.from_child[0], &answer, sizeof(answer)) != sizeof(answer) ||
	    answer != ANSWER)
		fail("a process has answered 0x%lx", answer);
	close_file(pipes.to_child[1]);
	close_file(pipes.from_child[0]);
	await_process(child);
}

void work_round(unsigned worker, unsigned round)
{
	use_file(worker, round);
	use_mapping(worker, round);
	use_process();
	use_proc("/proc/self/maps");
	use_proc("/proc/meminfo");
}
