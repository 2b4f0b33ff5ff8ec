/* SPDX-License-Identifier: MIT */
/* The end of the ROM that Bochs starts from instead of a BIOS: the 64 KiB below 4 GiB, linked for where
 * they are. Before them `run` has put the hypervisor's image and, last, the mode: this copies both to RAM
 * and jumps there, in flat protected mode. */
#include "machine_layout.h"

#define ROM_START 0xffe00000
#define ROM_END   0xffff0000
#define ROM_MODE  (ROM_END - 8)

#define FLAT_CODE 0x08
#define FLAT_DATA 0x10

	.text
	.code16
	.global	rom
rom:
	cli
	cld
	lgdtl	%cs:(table_pointer - rom)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$FLAT_CODE, $protected_mode

	.code32
protected_mode:
	movl	$FLAT_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$ROM_START, %esi
	movl	$MACHINE_IMAGE_HPA, %edi
	movl	$((ROM_END - ROM_START) / 4), %ecx
	rep movsl
	movl	$ROM_MODE, %esi
	movl	$MACHINE_MODE_HPA, %edi
	movsl
	movsl
	movl	$MACHINE_IMAGE_HPA, %eax
	jmp	*%eax

	.balign	8
table:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
table_pointer:
	.word	. - table - 1
	.long	table

	/* The first instruction after a reset (SDM 3A, 9.1.4). */
	.org	0xfff0
	.code16
	jmp	rom
	.org	0x10000

	.section .note.GNU-stack, "", @progbits
