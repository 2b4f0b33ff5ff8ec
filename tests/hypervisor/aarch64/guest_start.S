/* SPDX-License-Identifier: MIT */
/* The guest's first instructions at EL1, its vectors, a stack for each virtual CPU. x0 and x1 are
 * guest_main()'s; x0 is the virtual CPU's number. */
#include "guest_layout.h"

#define STACK_SHIFT 13

	.text
	.global guest_start
guest_start:
	adrp	x2, guest_stack_top
	add	x2, x2, :lo12:guest_stack_top
	sub	x2, x2, x0, lsl #STACK_SHIFT
	mov	sp, x2
	adrp	x2, guest_vectors
	add	x2, x2, :lo12:guest_vectors
	msr	vbar_el1, x2
	isb
	bl	guest_main
1:	wfi
	b	1b

	.balign 2048
guest_vectors:
	.rept 16
	.balign 128
	mov	x0, #HYPERCALL_CRASHED
	mrs	x1, esr_el1
	mrs	x2, elr_el1
	mrs	x3, far_el1
	hvc	#0
	.endr

	.bss
	.balign 16
	.space 2 << STACK_SHIFT
guest_stack_top:

	.section .note.GNU-stack, "", %progbits
