/* SPDX-License-Identifier: MIT */
/* Where the hypervisor's own exceptions and interrupts arrive. */
#include "exceptions.h"
#include "exceptions.inc"
#include "segments.h"

	.text
	.global	exception_vectors
	.balign	EXCEPTION_STUB_SIZE
exception_vectors:
	exception_stubs own_exception

own_exception:
	popq	%rdi
	popq	%rsi
	movq	(%rsp), %rdx
	movq	%cr2, %rcx
	andq	$-16, %rsp
	call	machine_own_exception

/* It has made the CPU leave the guest: that was its purpose. */
	.global	kick_vector
kick_vector:
	pushq	%rax
	movl	$APIC_EOI_ADDRESS, %eax
	movl	$0, (%rax)
	popq	%rax
	iretq

/* No end of interrupt for these (SDM 3A, 11.9). */
	.global	spurious_vector
spurious_vector:
	iretq

	.section .note.GNU-stack, "", @progbits
