/* SPDX-License-Identifier: MIT */
/* The hypervisor's first instructions in HS mode, its trap vector, the way into and out of the
 * guest. */
#include "registers.h"
#include "vcpu.h"

	.section .text.boot, "ax"
/* a0: hart, a1: devicetree. */
	.global hypervisor_start
hypervisor_start:
	la	t0, is_started
	li	t1, 1
	amoswap.w.aqrl t1, t1, (t0)
	bnez	t1, start_late
	la	sp, stack_top
	la	t0, bss_start
	la	t1, bss_end
1:	bgeu	t0, t1, 2f
	sd	zero, 0(t0)
	addi	t0, t0, 8
	j	1b
2:	la	t0, own_trap
	csrw	stvec, t0
	li	tp, 0
	call	machine_start
3:	wfi
	j	3b

/* OpenSBI 1.1 makes a hart's start pending before it notes where, and a hart that looks in between comes
 * here, where the first one was sent. */
start_late:
	la	a1, cpus_starting
	ld	a1, 0(a1)

/* Another hart. a1: struct start. */
	.global cpus_entry
cpus_entry:
	la	t0, own_trap
	csrw	stvec, t0
	ld	sp, 0(a1)
	ld	tp, 8(a1)
	ld	t0, 16(a1)
	jalr	t0
	call	cpus_entry_returned

	.data
	.balign	4
/* Not in .bss, which the first hart clears. */
is_started:
	.word	0

	.text

/* a0: struct vcpu. The host's callee-saved registers wait on the host's stack. */
	.global vcpu_enter
vcpu_enter:
	addi	sp, sp, -112
	sd	ra, 0(sp)
	sd	s0, 8(sp)
	sd	s1, 16(sp)
	sd	s2, 24(sp)
	sd	s3, 32(sp)
	sd	s4, 40(sp)
	sd	s5, 48(sp)
	sd	s6, 56(sp)
	sd	s7, 64(sp)
	sd	s8, 72(sp)
	sd	s9, 80(sp)
	sd	s10, 88(sp)
	sd	s11, 96(sp)
	sd	sp, VCPU_HOST_SP(a0)
	sd	tp, VCPU_HOST_TP(a0)
	csrw	sscratch, a0
	la	t0, guest_trap
	csrw	stvec, t0
	ld	t0, VCPU_PC(a0)
	csrw	sepc, t0
	ld	t0, VCPU_SSTATUS(a0)
	csrw	sstatus, t0
	ld	t0, VCPU_HSTATUS(a0)
	csrw	CSR_HSTATUS, t0
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	x\n, \n * 8(a0)
	.endr
	ld	a0, 80(a0)
	sret

	.balign 4
guest_trap:
	csrrw	a0, sscratch, a0
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	sd	x\n, \n * 8(a0)
	.endr
	csrr	t0, sscratch
	sd	t0, 80(a0)
	csrr	t0, sepc
	sd	t0, VCPU_PC(a0)
	csrr	t0, sstatus
	sd	t0, VCPU_SSTATUS(a0)
	csrr	t0, CSR_HSTATUS
	sd	t0, VCPU_HSTATUS(a0)
	csrr	t0, scause
	sd	t0, VCPU_SCAUSE(a0)
	csrr	t0, stval
	sd	t0, VCPU_STVAL(a0)
	csrr	t0, CSR_HTVAL
	sd	t0, VCPU_HTVAL(a0)
	csrr	t0, CSR_HTINST
	sd	t0, VCPU_HTINST(a0)
	la	t0, own_trap
	csrw	stvec, t0
	ld	sp, VCPU_HOST_SP(a0)
	ld	tp, VCPU_HOST_TP(a0)
	ld	ra, 0(sp)
	ld	s0, 8(sp)
	ld	s1, 16(sp)
	ld	s2, 24(sp)
	ld	s3, 32(sp)
	ld	s4, 40(sp)
	ld	s5, 48(sp)
	ld	s6, 56(sp)
	ld	s7, 64(sp)
	ld	s8, 72(sp)
	ld	s9, 80(sp)
	ld	s10, 88(sp)
	ld	s11, 96(sp)
	addi	sp, sp, 112
	ret

/* a0: guest-virtual address, a1: the value's place. Returns 0, or the scause of the trap that the access
 * took. The guest's registers of its last exit are saved already. */
	.macro access_as_guest instruction:vararg
	la	t0, 1f
	csrrw	t0, stvec, t0
	ld	t1, 0(a1)
	\instruction
	csrw	stvec, t0
	sd	t1, 0(a1)
	li	a0, 0
	ret
	.balign 4
1:	csrw	stvec, t0
	csrr	a0, scause
	ret
	.endm

/* HLV.D */
	.global guest_load_word
guest_load_word:
	access_as_guest .insn r 0x73, 4, 0x36, t1, a0, x0

/* HSV.D */
	.global guest_store_word
guest_store_word:
	access_as_guest .insn r 0x73, 4, 0x37, x0, a0, t1

/* HLVX.HU: needs permission to execute */
	.global guest_load_code
guest_load_code:
	access_as_guest .insn r 0x73, 4, 0x32, t1, a0, x3

	.balign 4
own_trap:
	csrr	a0, scause
	csrr	a1, sepc
	csrr	a2, stval
	call	machine_own_trap

	.section .note.GNU-stack, "", %progbits
