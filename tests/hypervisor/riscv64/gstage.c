/* SPDX-License-Identifier: MIT */
/* The root register, and the TLB work that the G-stage needs (RISC-V Privileged, "Hypervisor
 * Memory-Management Fence Instructions"). */
#include <addrspace/riscv64.h>

#include "cpus.h"
#include "machine.h"
#include "print.h"
#include "registers.h"
#include "sbi.h"

#define VMID 0x2a5u
/* One fence of the whole VMID is cheaper than this many by address. */
#define MANY_LEAVES 256

static struct addrspace_gstage_registers registers_of(const struct addrspace *as)
{
	struct addrspace_gstage_registers registers;
	int error = addrspace_gstage_registers(as, VMID, &registers);

	if (error)
		fail("addrspace_gstage_registers: %s", addrspace_error_name(error));
	return registers;
}

void machine_load_root(const struct addrspace *as)
{
	uint64_t hgatp = registers_of(as).hgatp;

	write_csr(CSR_HGATP, hgatp);
	hfence_gvma_all();
	if (read_csr(CSR_HGATP) != hgatp)
		fail("hgatp was to hold 0x%lx, and holds 0x%lx", hgatp, read_csr(CSR_HGATP));
}

void machine_describe_root(const struct addrspace *as)
{
	uint64_t hgatp = registers_of(as).hgatp;

	print("G-stage    Sv%lux4, VMID 0x%x, root at 0x%lx: hgatp 0x%lx\n",
	      12 + 9 * ((hgatp >> 60) - 5), VMID, hgatp << 20 >> 8, hgatp);
}

/* Memory is coherent; the guest does its own FENCE.I. */
void machine_prepare_frame(uint64_t hpa, uint64_t size)
{
	(void)hpa;
	(void)size;
}

/* The firmware does it there, whether that hart is in its guest or not. */
static void fence_other_harts(uint64_t gpa, uint64_t size)
{
	uint64_t argument[5] = {0, 0, gpa, size, VMID};
	struct sbi_result result;

	for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++)
		if (cpu != machine_this_cpu())
			argument[0] |= UINT64_C(1) << cpus_hart(cpu);
	result = sbi_call(SBI_RFENCE, SBI_RFENCE_REMOTE_HFENCE_GVMA_VMID, argument);
	if (result.error)
		fail("the firmware's remote HFENCE.GVMA: %ld", result.error);
}

static void fence_this_hart(const struct addrspace_invalidation *range)
{
	uint64_t leaves = (range->size + range->stride - 1) / range->stride;

	for (uint64_t i = 0; i < leaves; i++)
		hfence_gvma_address(range->gpa + i * range->stride, VMID);
}

void machine_invalidate(const struct addrspace *as, const struct addrspace_invalidation *range)
{
	bool all = range->tables_changed || range->size / range->stride > MANY_LEAVES;

	(void)as;
	if (all)
		hfence_gvma_vmid(VMID);
	else
		fence_this_hart(range);
	if (range->scope == ADDRSPACE_ALL_CPUS)
		fence_other_harts(all ? 0 : range->gpa, all ? UINT64_MAX : range->size);
}
