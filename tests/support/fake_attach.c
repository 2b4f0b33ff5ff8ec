/* SPDX-License-Identifier: MIT */
/* From a space to the geometry its CPUs walk, by way of the root registers only, where there are
 * any. */
#include <inttypes.h>

#include <addrspace/aarch64.h>
#include <addrspace/riscv64.h>
#include <addrspace/x86_64.h>

#include "fake_machine.h"
#include "layouts.h"

#define VMID     0x5a
#define CR4_LA57 (UINT64_C(1) << 12)
#define EFER_NXE (UINT64_C(1) << 11)
#define HCR_VM   (UINT64_C(1) << 0)
#define HCR_FWB  (UINT64_C(1) << 46)

static bool decode_ept(struct fake_geometry *geometry, const struct addrspace *as, const char **why)
{
	struct addrspace_ept_registers registers;

	*why = "addrspace_ept_registers() failed";
	if (addrspace_ept_registers(as, &registers))
		return false;
	return fake_ept_decode_root(geometry, registers.eptp, why);
}

/** The host runs with as many levels as the layout says. */
static bool decode_npt(struct fake_geometry *geometry, const struct addrspace *as,
		       const struct layout *layout, const char **why)
{
	uint64_t cr4 = layout->levels == 5 ? CR4_LA57 : 0;
	uint64_t efer = layout_has(layout, ADDRSPACE_CPU_NX) ? EFER_NXE : 0;
	struct addrspace_npt_registers registers;

	*why = "addrspace_npt_registers() failed";
	if (addrspace_npt_registers(as, &registers))
		return false;
	*why = "host_cr4 is not what the host runs with, or leaves LA57 open";
	if (registers.host_cr4_mask != CR4_LA57 || registers.host_cr4 != cr4)
		return false;
	*why = "host_efer asks for more or less than NXE";
	if (registers.host_efer != efer)
		return false;
	return fake_npt_decode_root(geometry, registers.ncr3, layout->levels == 5, why);
}

static bool decode_stage2(struct fake_geometry *geometry, const struct addrspace *as,
			  const struct layout *layout, const char **why)
{
	struct addrspace_stage2_registers registers;

	*why = "addrspace_stage2_registers() failed";
	if (addrspace_stage2_registers(as, VMID, &registers))
		return false;
	*why = "hcr_el2 sets FWB on a CPU without it, or not on one with it";
	if (!(registers.hcr_el2 & HCR_FWB) != !layout_has(layout, ADDRSPACE_CPU_FWB))
		return false;
	*why = "hcr_el2_mask leaves VM or FWB open";
	if ((registers.hcr_el2_mask & (HCR_VM | HCR_FWB)) != (HCR_VM | HCR_FWB))
		return false;
	*why = "vttbr_el2 has another VMID";
	if (registers.vttbr_el2 >> 48 != VMID)
		return false;
	return fake_stage2_decode_root(geometry, registers.vtcr_el2, registers.vttbr_el2,
				       registers.hcr_el2, layout_has(layout, ADDRSPACE_CPU_VMID16),
				       why);
}

static bool decode_gstage(struct fake_geometry *geometry, const struct addrspace *as,
			  const char **why)
{
	struct addrspace_gstage_registers registers;

	*why = "addrspace_gstage_registers() failed";
	if (addrspace_gstage_registers(as, VMID, &registers))
		return false;
	*why = "hgatp has another VMID";
	if (((registers.hgatp >> 44) & 0x3fff) != VMID)
		return false;
	return fake_gstage_decode_root(geometry, registers.hgatp, why);
}

/** It has no registers: the space itself says where its root is and how wide. */
static bool decode_hostile(struct fake_geometry *geometry, const struct addrspace *as,
			   const char **why)
{
	unsigned root_order = as->root_order;

	geometry->walker = &fake_walker_hostile;
	geometry->root_hpa = as->root_hpa;
	geometry->levels = as->levels;
	geometry->input_bits = 12 + 9 * geometry->levels + root_order;
	*why = "the root is not two frames, aligned to both";
	return root_order == 1 && as->root_hpa % (2 * FAKE_PAGE_SIZE) == 0;
}

static bool decode_registers(struct fake_geometry *geometry, const struct addrspace *as,
			     const struct layout *layout, const char **why)
{
	switch (layout->kind) {
	case LAYOUT_EPT:
		return decode_ept(geometry, as, why);
	case LAYOUT_NPT:
		return decode_npt(geometry, as, layout, why);
	case LAYOUT_STAGE2:
		return decode_stage2(geometry, as, layout, why);
	case LAYOUT_GSTAGE:
		return decode_gstage(geometry, as, why);
	case LAYOUT_HOSTILE:
		return decode_hostile(geometry, as, why);
	}
	return false;
}

bool fake_geometry_of(struct fake_geometry *geometry, const struct addrspace *as,
		      const struct layout *layout, const char **why)
{
	*why = NULL;
	*geometry = (struct fake_geometry){
		.host_bits = layout->host_bits,
		.hardware_ad = layout_has(layout, ADDRSPACE_CPU_HARDWARE_AD),
		.execute_only = layout_has(layout, ADDRSPACE_CPU_EXECUTE_ONLY),
		.leaf_2m = layout_has(layout, ADDRSPACE_CPU_LEAF_2M),
		.leaf_1g = layout_has(layout, ADDRSPACE_CPU_LEAF_1G),
		.svpbmt = layout_has(layout, ADDRSPACE_CPU_SVPBMT),
		.no_execute = layout_has(layout, ADDRSPACE_CPU_NX),
		.host_pat = layout->host_pat,
		.caches_not_present = layout->caches_not_present,
	};
	return decode_registers(geometry, as, layout, why);
}

void fake_machine_attach(struct fake_machine *machine, const struct addrspace *as,
			 const struct layout *layout)
{
	struct fake_geometry geometry;
	const char *why;

	if (!fake_geometry_of(&geometry, as, layout, &why)) {
		fake_fail(machine, "root registers: %s", why);
		return;
	}
	if (geometry.levels != layout->levels)
		fake_fail(machine, "root registers: %u levels, not %u", geometry.levels,
			  layout->levels);
	if (geometry.input_bits < layout->gpa_bits)
		fake_fail(machine, "root registers: %u bits of guest address, not %u",
			  geometry.input_bits, layout->gpa_bits);
	if (geometry.hardware_ad != layout_has(layout, ADDRSPACE_CPU_HARDWARE_AD))
		fake_fail(machine, "root registers: A/D disagrees with the CPU");
	fake_machine_attach_geometry(machine, &geometry);
}
