/* SPDX-License-Identifier: MIT */
/* The root register, and how the other harts are reached for the library's TLB work. */
#include <addrspace/riscv64.h>

#include "cpus.h"
#include "machine.h"
#include "print.h"
#include "registers.h"
#include "sbi.h"

#define VMID 0x2a5u

static struct addrspace_gstage_registers registers_of(const struct addrspace *as)
{
	struct addrspace_gstage_registers registers;
	int error = addrspace_gstage_registers(as, VMID, &registers);

	if (error)
		fail("addrspace_gstage_registers: %s", addrspace_error_name(error));
	return registers;
}

/** A virtual CPU comes to this hart. The library puts the space in place of what is loaded, which is
 * another or none, and must give that back. */
static void move_here(const struct addrspace *as)
{
	uint64_t hgatp = read_csr(CSR_HGATP);
	int error = addrspace_gstage_vcpu_moved(as, VMID);

	if (error)
		fail("addrspace_gstage_vcpu_moved: %s", addrspace_error_name(error));
	if (read_csr(CSR_HGATP) != hgatp)
		fail("addrspace_gstage_vcpu_moved has left another hgatp behind");
}

void machine_load_root(const struct addrspace *as)
{
	uint64_t hgatp = registers_of(as).hgatp;

	move_here(as);
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
static void fence_other_harts(void *ctx, unsigned vmid, uint64_t gpa, uint64_t size)
{
	uint64_t argument[5] = {0, 0, gpa, size, vmid};
	struct sbi_result result;

	(void)ctx;
	for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++)
		if (cpu != machine_this_cpu())
			argument[0] |= UINT64_C(1) << cpus_hart(cpu);
	result = sbi_call(SBI_RFENCE, SBI_RFENCE_REMOTE_HFENCE_GVMA_VMID, argument);
	if (result.error)
		fail("the firmware's remote HFENCE.GVMA: %ld", result.error);
}

void machine_invalidate(const struct addrspace *as, const struct addrspace_invalidation *range)
{
	int error = addrspace_gstage_invalidate(as, VMID, range, fence_other_harts, NULL);

	if (error)
		fail("addrspace_gstage_invalidate: %s", addrspace_error_name(error));
}
