/* SPDX-License-Identifier: MIT */
/* The guest's first instructions in long mode, its first tables, its vectors, a stack for each virtual
 * CPU. rdi and rsi are guest_main()'s; rdi is the virtual CPU's number. */
#include "exceptions.h"
#include "exceptions.inc"
#include "guest_entry.h"
#include "guest_layout.h"

#define STACK_SHIFT 13

#define ENTRY_TABLE 0x003 /* present, writable */
#define ENTRY_LARGE 0x0e3 /* present, writable, accessed, dirty, large */

	.text
	.global	guest_start
guest_start:
	movb	%bl, guest_hypercall_is_vmmcall
	lgdt	table_pointer
	movq	%rdi, %rax
	shlq	$STACK_SHIFT, %rax
	movq	$guest_stack_top, %rsp
	subq	%rax, %rsp
	movq	$exceptions, %rax
	movq	$gates, %rcx
1:	movw	%ax, (%rcx)
	movw	$GUEST_CODE, 2(%rcx)
	movw	$0x8e00, 4(%rcx) /* 64-bit interrupt gate */
	movq	%rax, %rdx
	shrq	$16, %rdx
	movw	%dx, 6(%rcx)
	addq	$EXCEPTION_STUB_SIZE, %rax
	addq	$16, %rcx
	cmpq	$gates_end, %rcx
	jb	1b
	lidt	gates_pointer
	call	guest_main
2:	hlt
	jmp	2b

	.balign	EXCEPTION_STUB_SIZE
exceptions:
	exception_stubs crashed

/* syndrome: the vector, and above it the error code */
crashed:
	popq	%rdi
	popq	%rsi
	shlq	$8, %rsi
	orq	%rsi, %rdi
	movq	(%rsp), %rsi
	movq	%cr2, %rdx
	movl	$HYPERCALL_CRASHED, %eax
	cmpb	$0, guest_hypercall_is_vmmcall
	jne	1f
	vmcall
1:	vmmcall

/* Virtual = guest-physical below 512 GiB, until the guest has tables of its own. */
	.data
	.balign	4096
	.global	guest_root
guest_root:
	.quad	directory + ENTRY_TABLE
	.fill	511, 8, 0
directory:
	.set	gpa, ENTRY_LARGE
	.rept	512
	.quad	gpa
	.set	gpa, gpa + 0x40000000
	.endr

table:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
table_pointer:
	.word	. - table - 1
	.quad	table
gates_pointer:
	.word	EXCEPTIONS * 16 - 1
	.quad	gates

	.bss
	.balign	16
gates:
	.space	EXCEPTIONS * 16
gates_end:
	.global	guest_hypercall_is_vmmcall
guest_hypercall_is_vmmcall:
	.byte	0
	.balign	16
	.space	2 << STACK_SHIFT
guest_stack_top:

	.section .note.GNU-stack, "", @progbits
