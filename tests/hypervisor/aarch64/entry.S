/* SPDX-License-Identifier: MIT */
/* The hypervisor's first instructions at EL2, its vectors, the way into and out of the guest. */
#include "vcpu.h"

	.section .text.boot, "ax"
	.global hypervisor_start
hypervisor_start:
	adrp	x0, stack_top
	add	x0, x0, :lo12:stack_top
	mov	sp, x0
	adrp	x0, bss_start
	add	x0, x0, :lo12:bss_start
	adrp	x1, bss_end
	add	x1, x1, :lo12:bss_end
1:	cmp	x0, x1
	b.hs	2f
	stp	xzr, xzr, [x0], #16
	b	1b
2:	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	vbar_el2, x0
	isb
	bl	machine_start

/* Another CPU. x0: the top of its stack. */
	.global hypervisor_start_cpu
hypervisor_start_cpu:
	mov	sp, x0
	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	vbar_el2, x0
	isb
	bl	machine_cpu_started

	.text

/* x0: struct vcpu. The host's callee-saved registers wait on the host's stack. */
	.global vcpu_enter
vcpu_enter:
	stp	x19, x20, [sp, #-96]!
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	mov	x1, sp
	str	x1, [x0, #VCPU_HOST_SP]
	msr	tpidr_el2, x0
	ldp	x1, x2, [x0, #VCPU_PC]
	msr	elr_el2, x1
	msr	spsr_el2, x2
	ldp	x2, x3, [x0, #16]
	ldp	x4, x5, [x0, #32]
	ldp	x6, x7, [x0, #48]
	ldp	x8, x9, [x0, #64]
	ldp	x10, x11, [x0, #80]
	ldp	x12, x13, [x0, #96]
	ldp	x14, x15, [x0, #112]
	ldp	x16, x17, [x0, #128]
	ldp	x18, x19, [x0, #144]
	ldp	x20, x21, [x0, #160]
	ldp	x22, x23, [x0, #176]
	ldp	x24, x25, [x0, #192]
	ldp	x26, x27, [x0, #208]
	ldp	x28, x29, [x0, #224]
	ldr	x30, [x0, #240]
	ldp	x0, x1, [x0]
	eret

/* x1: which vector. The guest's x0 and x1 are on the host's stack. */
vcpu_leave:
	mrs	x0, tpidr_el2
	stp	x2, x3, [x0, #16]
	stp	x4, x5, [x0, #32]
	stp	x6, x7, [x0, #48]
	stp	x8, x9, [x0, #64]
	stp	x10, x11, [x0, #80]
	stp	x12, x13, [x0, #96]
	stp	x14, x15, [x0, #112]
	stp	x16, x17, [x0, #128]
	stp	x18, x19, [x0, #144]
	stp	x20, x21, [x0, #160]
	stp	x22, x23, [x0, #176]
	stp	x24, x25, [x0, #192]
	stp	x26, x27, [x0, #208]
	stp	x28, x29, [x0, #224]
	str	x30, [x0, #240]
	ldp	x2, x3, [sp], #16
	stp	x2, x3, [x0]
	mrs	x2, elr_el2
	mrs	x3, spsr_el2
	stp	x2, x3, [x0, #VCPU_PC]
	ldr	x2, [x0, #VCPU_HOST_SP]
	mov	sp, x2
	mov	x0, x1
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	x19, x20, [sp], #96
	ret

	.macro own_vector
	.balign 128
	mrs	x0, esr_el2
	mrs	x1, elr_el2
	mrs	x2, far_el2
	b	machine_own_exception
	.endm

	.macro guest_vector which
	.balign 128
	stp	x0, x1, [sp, #-16]!
	mov	x1, #\which
	b	vcpu_leave
	.endm

	.balign 2048
vectors:
	.rept 8
	own_vector
	.endr
	guest_vector GUEST_SYNCHRONOUS
	guest_vector GUEST_OTHER
	guest_vector GUEST_OTHER
	guest_vector GUEST_OTHER
	.rept 4
	own_vector
	.endr

/* x0: operation, x1: its block. Semihosting, as emulators and debuggers provide it. */
	.global semihosting_call
semihosting_call:
	hlt	#0xf000
	ret

	.section .note.GNU-stack, "", %progbits
