/* SPDX-License-Identifier: MIT */
/* Fences of the G-stage, in HS mode. What is to be done is decided in gstage_tlb.h. Encoded by hand,
 * for assemblers that do not know the H extension (RISC-V Privileged, "Hypervisor Extension"). */
#include "gstage_tlb.h"

#include <addrspace/riscv64.h>

#define SSTATUS_SIE "2"
#define HGATP       "0x680"

/* HFENCE.GVMA rs1, rs2 and HFENCE.VVMA rs1, rs2 */
#define HFENCE_GVMA ".insn r 0x73, 0, 0x31, x0, "
#define HFENCE_VVMA ".insn r 0x73, 0, 0x11, x0, "

static uint64_t read_hgatp(void)
{
	uint64_t value;

	__asm__ volatile("csrr %0, " HGATP : "=r"(value)::"memory");
	return value;
}

static void write_hgatp(uint64_t value)
{
	__asm__ volatile("csrw " HGATP ", %0" ::"r"(value) : "memory");
}

/** Returns what restore_interrupts() takes. */
static uint64_t mask_interrupts(void)
{
	uint64_t before;

	__asm__ volatile("csrrci %0, sstatus, " SSTATUS_SIE : "=r"(before)::"memory");
	return before & 2;
}

static void restore_interrupts(uint64_t before)
{
	__asm__ volatile("csrs sstatus, %0" ::"r"(before) : "memory");
}

static void fence_address(uint64_t operand, uint64_t vmid)
{
	__asm__ volatile(HFENCE_GVMA "%0, %1" ::"r"(operand), "r"(vmid) : "memory");
}

static void fence_vmid(uint64_t vmid)
{
	__asm__ volatile(HFENCE_GVMA "x0, %0" ::"r"(vmid) : "memory");
}

static void fence_here(const struct addrspace_invalidation *invalidation, uint64_t vmid)
{
	uint64_t steps = invalidation_steps(invalidation);

	if (gstage_fence_all(invalidation)) {
		fence_vmid(vmid);
		return;
	}
	for (uint64_t step = 0; step < steps; step++)
		fence_address(gstage_fence_operand(invalidation, step), vmid);
}

int addrspace_gstage_invalidate(const struct addrspace *as, unsigned vmid,
				const struct addrspace_invalidation *invalidation,
				addrspace_gstage_remote remote, void *remote_ctx)
{
	struct addrspace_gstage_registers guest;
	int error = addrspace_gstage_registers(as, vmid, &guest);

	if (error || !invalidation)
		return error ? error : ADDRSPACE_EINVAL;
	fence_here(invalidation, vmid);
	if (!remote || invalidation->scope == ADDRSPACE_THIS_CPU)
		return 0;
	/* The stores to the tables come before what tells other harts, in memory or in a device. */
	__asm__ volatile("fence w, ow" ::: "memory");
	if (gstage_fence_all(invalidation))
		remote(remote_ctx, vmid, 0, UINT64_MAX);
	else
		remote(remote_ctx, vmid, invalidation_start(invalidation),
		       invalidation_steps(invalidation) * invalidation->stride);
	return 0;
}

int addrspace_gstage_vcpu_moved(const struct addrspace *as, unsigned vmid)
{
	struct addrspace_gstage_registers guest;
	int error = addrspace_gstage_registers(as, vmid, &guest);
	uint64_t interrupts, before;

	if (error)
		return error;
	fence_vmid(vmid);
	interrupts = mask_interrupts();
	before = read_hgatp();
	/* HFENCE.VVMA is for the VMID in hgatp. */
	write_hgatp(guest.hgatp);
	__asm__ volatile(HFENCE_VVMA "x0, x0" ::: "memory");
	write_hgatp(before);
	restore_interrupts(interrupts);
	/* FENCE.I, which assemblers may want an extension for */
	__asm__ volatile(".insn i 0x0f, 1, x0, x0, 0" ::: "memory");
	return 0;
}

uint64_t addrspace_gstage_probe(void)
{
	uint64_t interrupts = mask_interrupts();
	uint64_t before = read_hgatp();
	uint64_t found = 0;

	for (uint64_t mode = HGATP_MODE_SV57X4; mode >= HGATP_MODE_SV39X4; mode--) {
		write_hgatp(gstage_probe_value(mode));
		found = read_hgatp();
		if (found >> HGATP_MODE_SHIFT == mode)
			break;
		found = 0;
	}
	write_hgatp(before);
	/* MODE has changed. */
	__asm__ volatile(HFENCE_GVMA "x0, x0" ::: "memory");
	restore_interrupts(interrupts);
	return found;
}
