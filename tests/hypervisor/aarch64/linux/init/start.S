/* SPDX-License-Identifier: MIT */
/* The first instructions of a Linux process, and the system call. */
	.text

/* sp: argc, and behind it the arguments. */
	.global _start
_start:
	mov	x29, xzr
	mov	x30, xzr
	add	x0, sp, #8
	bl	init_main
	brk	#0

/* x0: the call's number, x1...: its arguments. Linux takes the number in x8 and changes only x0. */
	.global system_call
system_call:
	mov	x8, x0
	mov	x0, x1
	mov	x1, x2
	mov	x2, x3
	mov	x3, x4
	mov	x4, x5
	mov	x5, x6
	svc	#0
	ret

	.section .note.GNU-stack, "", %progbits
