/* SPDX-License-Identifier: MIT */
/* The first instructions of a Linux process, and the system call. */
	.text

/* sp: argc, and behind it the arguments. */
	.global _start
_start:
	.option push
	.option norelax
	la	gp, __global_pointer$
	.option pop
	li	fp, 0
	li	ra, 0
	addi	a0, sp, 8
	call	init_main
	unimp

/* a0: the call's number, a1...: its arguments. Linux takes the number in a7 and changes only a0. */
	.global system_call
system_call:
	mv	a7, a0
	mv	a0, a1
	mv	a1, a2
	mv	a2, a3
	mv	a3, a4
	mv	a4, a5
	mv	a5, a6
	ecall
	ret

	.section .note.GNU-stack, "", %progbits
