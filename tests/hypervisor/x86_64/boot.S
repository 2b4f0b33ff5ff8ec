/* SPDX-License-Identifier: MIT */
/* The first instructions of each CPU, up to long mode with the lowest 4 GiB at their own addresses.
 * The boot CPU arrives in 32-bit flat protected mode: from rom.S, or from a multiboot loader. */
#include "machine_layout.h"
#include "registers.h"
#include "segments.h"

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00010003 /* this header says where to load the file, as it is */

/* Entries of the hypervisor's own page table. */
#define ENTRY_TABLE  0x003 /* present, writable */
#define ENTRY_MEMORY 0x083 /* present, writable, large */
#define ENTRY_DEVICE 0x09b /* uncached as well */
#define GIB          0x40000000

#define CPUID_FEATURES 7
#define CPUID_ECX_LA57 0x10000

	.section .text.boot, "ax"
	.code32
	.global	hypervisor_start
hypervisor_start:
	jmp	boot_cpu_start
	.balign	4
multiboot_header:
	.long	MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
	/* header, load address, end of what is loaded (of the file), end of bss, entry */
	.long	multiboot_header, hypervisor_start, 0, 0, hypervisor_start

boot_cpu_start:
	cli
	cld
	lgdt	descriptor_table_pointer
	ljmp	$SELECTOR_CODE_32, $1f
1:	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$bss_start, %edi
	movl	$bss_end, %ecx
	subl	%edi, %ecx
	shrl	$2, %ecx
	xorl	%eax, %eax
	rep stosl
	movl	$boot_cpu_long_mode, %ebx
	jmp	enter_long_mode

/* Copied below 1 MiB: where a CPU begins when another one starts it. */
	.code16
	.global	trampoline_start
	.global	trampoline_end
trampoline_start:
	cli
	cld
	lgdtl	%cs:(1f - trampoline_start)
	movl	%cr0, %eax
	orl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	$SELECTOR_CODE_32, $other_cpu_start
1:	.word	SELECTOR_TASK - 1
	.long	descriptor_table
trampoline_end:

	.code32
other_cpu_start:
	movl	$SELECTOR_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$other_cpu_long_mode, %ebx

/* ebx: where to go on. A CPU that has 5-level paging gets it, so that nested tables of 5 levels can be tried
 * where they have the host's levels. CR0 becomes what we say: a CPU that was just started has its caches off. */
enter_long_mode:
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%ebx, %ebp
	movl	$CPUID_FEATURES, %eax
	xorl	%ecx, %ecx
	cpuid
	movl	%ebp, %ebx
	movl	$CR4_PAE, %eax
	movl	$own_root, %edx
	testl	$CPUID_ECX_LA57, %ecx
	jz	1f
	orl	$CR4_LA57, %eax
	movl	$own_root_5, %edx
1:	movl	%eax, %cr4
	movl	%edx, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$(EFER_LME | EFER_NXE), %eax
	wrmsr
	movl	$(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE), %eax
	movl	%eax, %cr0
	ljmp	$SELECTOR_CODE, $1f
	.code64
1:	movl	%ebx, %ebx
	jmp	*%rbx

boot_cpu_long_mode:
	movq	$stack_top, %rsp
	call	machine_start

other_cpu_long_mode:
	movq	machine_starting_stack, %rsp
	call	machine_start_other

	.data
	.balign	4096
own_root_5:
	.quad	own_root + ENTRY_TABLE
	.fill	511, 8, 0
own_root:
	.quad	own_directory + ENTRY_TABLE
	.fill	511, 8, 0
own_directory:
	.quad	0 * GIB + ENTRY_MEMORY
	.quad	1 * GIB + ENTRY_MEMORY
	.quad	2 * GIB + ENTRY_MEMORY
	.quad	3 * GIB + ENTRY_DEVICE
	.fill	508, 8, 0

/* segments.c adds the tasks. */
	.global	descriptor_table
descriptor_table:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
	.quad	0x00cf9b000000ffff
	.fill	2 * MACHINE_CPUS, 8, 0
descriptor_table_pointer:
	.word	SELECTOR_TASK - 1
	.long	descriptor_table

	.section .note.GNU-stack, "", @progbits
