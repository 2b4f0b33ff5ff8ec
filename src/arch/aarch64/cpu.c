/* SPDX-License-Identifier: MIT */
/* TLB and cache instructions of stage 2, at EL2. What is to be done is decided in stage2_tlb.h. */
#include "stage2_tlb.h"

#include <addrspace/aarch64.h>

#define VTTBR_CNP UINT64_C(1)

#define read_register(name)                                                                        \
	({                                                                                         \
		uint64_t register_value;                                                           \
		__asm__ volatile("mrs %0, " #name : "=r"(register_value)::"memory");               \
		register_value;                                                                    \
	})

#define write_register(name, value)                                                                \
	__asm__ volatile("msr " #name ", %0" ::"r"((uint64_t)(value)) : "memory")

#define instruction(text) __asm__ volatile(text ::: "memory")

#define instruction_on(text, operand) __asm__ volatile(text ", %0" ::"r"(operand) : "memory")

/* ---- the guest's regime in place of another ---- */

struct regime {
	uint64_t daif;
	uint64_t hcr_el2;
	uint64_t vtcr_el2;
	uint64_t vttbr_el2;
};

/**
 * Makes TLBI and AT mean the regime that these registers describe; interrupts are masked, since their
 * handlers expect their own.
 */
static void enter_regime(const struct addrspace_stage2_registers *guest, struct regime *before)
{
	before->daif = read_register(daif);
	instruction("msr daifset, #3");
	before->hcr_el2 = read_register(hcr_el2);
	before->vtcr_el2 = read_register(vtcr_el2);
	before->vttbr_el2 = read_register(vttbr_el2);
	if ((before->vttbr_el2 & ~VTTBR_CNP) != guest->vttbr_el2 ||
	    before->vtcr_el2 != guest->vtcr_el2) {
		write_register(vtcr_el2, guest->vtcr_el2);
		write_register(vttbr_el2, guest->vttbr_el2);
		instruction("isb");
	}
	write_register(hcr_el2, stage2_guest_hcr(before->hcr_el2));
	instruction("isb");
}

static void leave_regime(const struct regime *before)
{
	write_register(hcr_el2, before->hcr_el2);
	instruction("isb");
	write_register(vtcr_el2, before->vtcr_el2);
	write_register(vttbr_el2, before->vttbr_el2);
	instruction("isb");
	write_register(daif, before->daif);
}

/* ---- invalidation (Arm ARM D8.14) ---- */

/** Operations before it are complete: on all CPUs or on this one. */
static void complete(enum addrspace_scope scope)
{
	if (scope == ADDRSPACE_THIS_CPU)
		instruction("dsb nsh");
	else
		instruction("dsb ish");
}

static void invalidate_vmid(enum addrspace_scope scope)
{
	if (scope == ADDRSPACE_THIS_CPU)
		instruction("tlbi vmalls12e1");
	else
		instruction("tlbi vmalls12e1is");
}

/** What combines both stages is found by the guest's virtual addresses only: all of it goes. */
static void invalidate_combined(enum addrspace_scope scope)
{
	if (scope == ADDRSPACE_THIS_CPU)
		instruction("tlbi vmalle1");
	else
		instruction("tlbi vmalle1is");
}

static void invalidate_ipa(enum addrspace_scope scope, uint64_t operand)
{
	if (scope == ADDRSPACE_THIS_CPU)
		instruction_on("tlbi ipas2e1", operand);
	else
		instruction_on("tlbi ipas2e1is", operand);
}

/** RIPAS2E1 and RIPAS2E1IS, which assemblers know from Armv8.4 on. */
static void invalidate_range(enum addrspace_scope scope, uint64_t operand)
{
	if (scope == ADDRSPACE_THIS_CPU)
		instruction_on("sys #4, c8, c4, #2", operand);
	else
		instruction_on("sys #4, c8, c0, #2", operand);
}

static void invalidate_leaves(uint32_t cpu_features,
			      const struct addrspace_invalidation *invalidation)
{
	struct stage2_tlbi_list list = stage2_tlbi_start(cpu_features, invalidation);
	enum addrspace_scope scope = invalidation->scope;
	uint64_t operand;

	for (;;) {
		switch (stage2_tlbi_next(&list, &operand)) {
		case STAGE2_TLBI_IPA:
			invalidate_ipa(scope, operand);
			break;
		case STAGE2_TLBI_RANGE:
			invalidate_range(scope, operand);
			break;
		case STAGE2_TLBI_DONE:
			/* Or a walk could combine what is being invalidated once more. */
			complete(scope);
			invalidate_combined(scope);
			return;
		}
	}
}

int addrspace_stage2_invalidate(const struct addrspace *as, unsigned vmid,
				const struct addrspace_invalidation *invalidation)
{
	struct addrspace_stage2_registers guest;
	struct regime before;
	int error = addrspace_stage2_registers(as, vmid, &guest);

	if (error || !invalidation)
		return error ? error : ADDRSPACE_EINVAL;
	/* The stores to the tables come first, for every walker. */
	instruction("dsb ishst");
	enter_regime(&guest, &before);
	if (stage2_tlbi_all(as->cpu_features, invalidation))
		invalidate_vmid(invalidation->scope);
	else
		invalidate_leaves(as->cpu_features, invalidation);
	complete(invalidation->scope);
	instruction("isb");
	leave_regime(&before);
	return 0;
}

int addrspace_stage2_vcpu_moved(const struct addrspace *as, unsigned vmid)
{
	struct addrspace_stage2_registers guest;
	struct regime before;
	int error = addrspace_stage2_registers(as, vmid, &guest);

	if (error)
		return error;
	enter_regime(&guest, &before);
	invalidate_combined(ADDRSPACE_THIS_CPU);
	if (instruction_work(read_register(ctr_el0), 0) != INSTRUCTION_COHERENT)
		instruction("ic iallu");
	complete(ADDRSPACE_THIS_CPU);
	instruction("isb");
	leave_regime(&before);
	return 0;
}

/* ---- translation (Arm ARM C5.4, AT S1E1R) ---- */

uint64_t addrspace_stage2_translate_va(uint64_t va)
{
	uint64_t hcr_el2 = read_register(hcr_el2);
	uint64_t guest_par = read_register(par_el1);
	uint64_t daif = read_register(daif);
	uint64_t par;

	instruction("msr daifset, #3");
	write_register(hcr_el2, stage2_guest_hcr(hcr_el2));
	instruction("isb");
	instruction_on("at s1e1r", va);
	instruction("isb");
	par = read_register(par_el1);
	write_register(par_el1, guest_par);
	write_register(hcr_el2, hcr_el2);
	instruction("isb");
	write_register(daif, daif);
	return par;
}

/* ---- caches (Arm ARM D7.5, B2.7.4) ---- */

/** To the point of coherency, and out of the caches: a guest whose caches are off reads and writes
 * behind them, and must not meet an older clean line when it turns them on. */
static void clean_data(uint64_t address, uint64_t size, uint64_t line)
{
	for (uint64_t offset = 0; offset < size; offset += line)
		instruction_on("dc civac", address + offset);
}

static void invalidate_instructions(uint64_t address, uint64_t size, uint64_t line)
{
	for (uint64_t offset = 0; offset < size; offset += line)
		instruction_on("ic ivau", address + offset);
}

void addrspace_stage2_prepare_frame(const void *address, uint64_t size, uint32_t cpu_features)
{
	uint64_t ctr = read_register(ctr_el0);
	uint64_t start = (uintptr_t)address;

	/* FWB implies IDC: instruction fetches need no cleaning either. */
	if (!(cpu_features & ADDRSPACE_CPU_FWB))
		clean_data(start, size, data_line_size(ctr));
	/* Contents before the invalidation of instructions, and before the entry that leads here; for
	 * accesses that miss the caches too, which are outer shareable. */
	instruction("dsb sy");
	switch (instruction_work(ctr, size)) {
	case INSTRUCTION_COHERENT:
		return;
	case INSTRUCTION_LINES:
		invalidate_instructions(start, size, instruction_line_size(ctr));
		break;
	case INSTRUCTION_ALL:
		instruction("ic ialluis");
		break;
	}
	instruction("dsb ish\n\tisb");
}
