/* SPDX-License-Identifier: MIT */
/* The shapes of the guest-physical space, the root register, and the TLB work that the G-stage needs
 * (RISC-V Privileged, "Hypervisor Memory-Management Fence Instructions"). */
#include <addrspace/riscv64.h>

#include "machine.h"
#include "print.h"
#include "registers.h"

#define VMID 0x2a5u
/* One fence of the whole VMID is cheaper than this many by address. */
#define MANY_LEAVES 256

struct layout {
	uint8_t gpa_bits;
	uint8_t levels;
	bool hardware_ad;
};

static const struct layout layouts[] = {
	{41, 3, true}, {34, 3, false}, {50, 4, true}, {42, 4, false}, {59, 5, true}, {51, 5, false},
};

unsigned machine_layout_count(void)
{
	return sizeof(layouts) / sizeof(layouts[0]);
}

void machine_configure(struct addrspace_config *config, unsigned layout)
{
	config->format = &addrspace_gstage;
	config->gpa_bits = layouts[layout].gpa_bits;
	config->levels = layouts[layout].levels;
	config->cpu.host_bits = 52;
	config->cpu.features = ADDRSPACE_CPU_LEAF_2M | ADDRSPACE_CPU_LEAF_1G;
	if (layouts[layout].hardware_ad)
		config->cpu.features |= ADDRSPACE_CPU_HARDWARE_AD;
}

void machine_load_root(const struct addrspace *as)
{
	struct addrspace_gstage_registers registers;
	int error = addrspace_gstage_registers(as, VMID, &registers);

	if (error)
		fail("addrspace_gstage_registers: %s", addrspace_error_name(error));
	write_csr(CSR_HGATP, registers.hgatp);
	hfence_gvma_all();
	if (read_csr(CSR_HGATP) != registers.hgatp)
		fail("hgatp was to hold 0x%lx, and holds 0x%lx", registers.hgatp,
		     read_csr(CSR_HGATP));
	print("G-stage    Sv%lux4, VMID 0x%x, root at 0x%lx: hgatp 0x%lx\n",
	      12 + 9 * ((registers.hgatp >> 60) - 5), VMID, registers.hgatp << 20 >> 8,
	      registers.hgatp);
}

/* Memory is coherent; the guest does its own FENCE.I. */
void machine_prepare_frame(uint64_t hpa, uint64_t size)
{
	(void)hpa;
	(void)size;
}

void machine_invalidate(const struct addrspace_invalidation *range)
{
	if (range->tables_changed || range->size / range->stride > MANY_LEAVES) {
		hfence_gvma_vmid(VMID);
		return;
	}
	for (uint64_t gpa = range->gpa; gpa < range->gpa + range->size; gpa += range->stride)
		hfence_gvma_address(gpa, VMID);
}
