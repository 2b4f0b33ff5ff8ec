/* SPDX-License-Identifier: MIT */
/* INVEPT, in VMX root operation. Its operands are decided in invept.h. */
#include "invept.h"

#include <addrspace/x86_64.h>

static int flush(const struct invept *operands)
{
	bool failed;

	/* CF or ZF: this CPU does not know the type, or the EPT pointer (Intel SDM 3C, 31.2). */
	__asm__ volatile("invept %1, %2"
			 : "=@ccbe"(failed)
			 : "m"(operands->descriptor), "r"(operands->type)
			 : "memory");
	return failed ? ADDRSPACE_ENOTSUP : 0;
}

int addrspace_ept_flush(const struct addrspace *as)
{
	struct addrspace_ept_registers registers;
	struct invept operands;
	int error = addrspace_ept_registers(as, &registers);

	if (error)
		return error;
	operands = invept_single(as->cpu_features, registers.eptp);
	return flush(&operands);
}

int addrspace_ept_flush_all(void)
{
	const struct invept operands = invept_all();

	return flush(&operands);
}
