/* SPDX-License-Identifier: MIT */
/* The guest's first instructions in VS mode, its trap vector, a stack for each virtual CPU. a0 and a1
 * are guest_main()'s; a0 is the virtual CPU's number. */
#include "guest_layout.h"

#define STACK_SHIFT 13

	.text
	.global guest_start
guest_start:
	la	sp, guest_stack_top
	slli	t0, a0, STACK_SHIFT
	sub	sp, sp, t0
	la	t0, guest_trap
	csrw	stvec, t0
	call	guest_main
1:	wfi
	j	1b

	.balign 4
guest_trap:
	li	a0, HYPERCALL_CRASHED
	csrr	a1, scause
	csrr	a2, sepc
	csrr	a3, stval
	ecall

	.bss
	.balign 16
	.space 2 << STACK_SHIFT
guest_stack_top:

	.section .note.GNU-stack, "", %progbits
