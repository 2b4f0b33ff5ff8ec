/* SPDX-License-Identifier: MIT */
/* Stage 2 aborts (Arm ARM D24.2: ESR_EL2, HPFAR_EL2, PAR_EL1; rule FKLWR on HPFAR_EL2). */
#include <addrspace/aarch64.h>

#define ESR_EC_SHIFT                 26
#define ESR_EC                       UINT64_C(0x3f)
#define EC_INSTRUCTION_ABORT         0x20 /* from a lower exception level, as the next one */
#define EC_DATA_ABORT                0x24
#define ISS_VALID                    (UINT64_C(1) << 24) /* ISV */
#define ISS_FAR_NOT_PRECISE          (UINT64_C(1) << 15) /* FnP, where ISV is 0: of a data abort */
#define ISS_FAR_NOT_VALID            (UINT64_C(1) << 10) /* FnV */
#define ISS_MAINTENANCE              (UINT64_C(1) << 8)  /* CM */
#define ISS_TABLE_WALK               (UINT64_C(1) << 7)  /* S1PTW */
#define ISS_WRITE                    (UINT64_C(1) << 6)  /* WnR */
#define ISS_STATUS                   UINT64_C(0x3f)      /* FSC */
#define STATUS_ADDRESS_SIZE_LEVEL_M1 0x29
#define STATUS_TRANSLATION_LEVEL_M1  0x2b

#define HPFAR_FIPA       UINT64_C(0x00000ffffffffff0) /* IPA 51:12 in 43:4; NS is bit 63 */
#define HPFAR_FIPA_SHIFT 8
#define PAR_FAILED       (UINT64_C(1) << 0) /* F */
#define PAR_ADDRESS      UINT64_C(0x000ffffffffff000)
#define IN_PAGE          (ADDRSPACE_PAGE_SIZE - 1)

/** ADDRSPACE_CAUSE_UNKNOWN: no fault that a translation causes. */
static enum addrspace_fault_cause fault_cause(uint64_t esr)
{
	unsigned status = (unsigned)(esr & ISS_STATUS);

	if (status == STATUS_ADDRESS_SIZE_LEVEL_M1)
		return ADDRSPACE_CAUSE_MISCONFIGURED;
	if (status == STATUS_TRANSLATION_LEVEL_M1)
		return ADDRSPACE_CAUSE_NOT_PRESENT;
	switch (status >> 2) { /* the level is in the low two bits */
	case 0:
		return ADDRSPACE_CAUSE_MISCONFIGURED; /* an entry's address is too wide */
	case 1:
		return ADDRSPACE_CAUSE_NOT_PRESENT;
	case 2:
		return ADDRSPACE_CAUSE_ACCESS_FLAG;
	case 3:
		return ADDRSPACE_CAUSE_PERMISSION;
	default:
		return ADDRSPACE_CAUSE_UNKNOWN;
	}
}

/**
 * A walk reads, and WnR is of the access that it was for. But where reading is allowed and the walk
 * is refused all the same, the CPU wanted to set the access flag or dirty state in the guest's table.
 */
static unsigned fault_access(uint64_t esr, const struct addrspace_fault_info *fault, bool data)
{
	if (fault->table_walk && fault->cause == ADDRSPACE_CAUSE_PERMISSION)
		return ADDRSPACE_READ | ADDRSPACE_WRITE;
	if (fault->table_walk)
		return ADDRSPACE_READ;
	if (!data)
		return ADDRSPACE_EXECUTE;
	/* Cache maintenance reports WnR = 1 and stores nothing. */
	return esr & ISS_WRITE && !(esr & ISS_MAINTENANCE) ? ADDRSPACE_WRITE : ADDRSPACE_READ;
}

/** HPFAR_EL2 holds the page, except for a permission fault on the access itself. */
static int fault_page(const struct addrspace_stage2_fault_registers *registers,
		      const struct addrspace_fault_info *fault, uint64_t *page)
{
	if (fault->table_walk || fault->cause != ADDRSPACE_CAUSE_PERMISSION) {
		*page = (registers->hpfar_el2 & HPFAR_FIPA) << HPFAR_FIPA_SHIFT;
		return ADDRSPACE_DECODED;
	}
	if (registers->esr_el2 & ISS_FAR_NOT_VALID)
		return ADDRSPACE_ENOTSUP;
	if (!registers->par_valid)
		return ADDRSPACE_DECODE_NEEDS_AT;
	if (registers->par_el1 & PAR_FAILED)
		return ADDRSPACE_DECODE_RETRY;
	*page = registers->par_el1 & PAR_ADDRESS;
	return ADDRSPACE_DECODED;
}

int addrspace_stage2_decode_fault(const struct addrspace_stage2_fault_registers *registers,
				  struct addrspace_fault_info *info)
{
	struct addrspace_fault_info fault = {0};
	uint64_t esr, class;
	bool data, imprecise;
	int answer;

	if (!registers || !info)
		return ADDRSPACE_EINVAL;
	esr = registers->esr_el2;
	class = esr >> ESR_EC_SHIFT & ESR_EC;
	data = class == EC_DATA_ABORT;
	fault.cause = fault_cause(esr);
	if ((!data && class != EC_INSTRUCTION_ABORT) || fault.cause == ADDRSPACE_CAUSE_UNKNOWN)
		return ADDRSPACE_ENOTSUP;
	fault.table_walk = (esr & ISS_TABLE_WALK) != 0;
	fault.access = fault_access(esr, &fault, data);
	imprecise = data && !(esr & ISS_VALID) && esr & ISS_FAR_NOT_PRECISE;
	fault.gpa_page_only = fault.table_walk || imprecise || esr & ISS_FAR_NOT_VALID;
	answer = fault_page(registers, &fault, &fault.gpa);
	if (answer < 0)
		return answer;
	if (answer == ADDRSPACE_DECODED && !fault.gpa_page_only)
		fault.gpa |= registers->far_el2 & IN_PAGE;
	*info = fault;
	return answer;
}
