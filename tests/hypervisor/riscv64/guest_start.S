/* SPDX-License-Identifier: MIT */
/* The guest's first instructions in VS mode, its trap vector and its one stack. a0, a1:
 * guest_main()'s. */
#include "guest_layout.h"

	.text
	.global guest_start
guest_start:
	la	sp, guest_stack_top
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
	.space 8192
guest_stack_top:

	.section .note.GNU-stack, "", %progbits
