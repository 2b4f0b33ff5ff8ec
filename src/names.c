/* SPDX-License-Identifier: MIT */
#include <addrspace/types.h>

const char *addrspace_error_name(int error)
{
	switch (error) {
	case ADDRSPACE_OK:
		return "ADDRSPACE_OK";
	case ADDRSPACE_EPERM:
		return "ADDRSPACE_EPERM";
	case ADDRSPACE_ENOENT:
		return "ADDRSPACE_ENOENT";
	case ADDRSPACE_ENOMEM:
		return "ADDRSPACE_ENOMEM";
	case ADDRSPACE_EACCES:
		return "ADDRSPACE_EACCES";
	case ADDRSPACE_EFAULT:
		return "ADDRSPACE_EFAULT";
	case ADDRSPACE_EBUSY:
		return "ADDRSPACE_EBUSY";
	case ADDRSPACE_EEXIST:
		return "ADDRSPACE_EEXIST";
	case ADDRSPACE_EINVAL:
		return "ADDRSPACE_EINVAL";
	case ADDRSPACE_ENOSPC:
		return "ADDRSPACE_ENOSPC";
	case ADDRSPACE_ERANGE:
		return "ADDRSPACE_ERANGE";
	case ADDRSPACE_ENOTSUP:
		return "ADDRSPACE_ENOTSUP";
	case ADDRSPACE_EDQUOT:
		return "ADDRSPACE_EDQUOT";
	default:
		return "unknown";
	}
}

const char *addrspace_fault_name(int outcome)
{
	switch (outcome) {
	case ADDRSPACE_FAULT_RESOLVED:
		return "resolved";
	case ADDRSPACE_FAULT_ALREADY_RESOLVED:
		return "already resolved";
	case ADDRSPACE_FAULT_DENIED:
		return "denied";
	case ADDRSPACE_FAULT_NOT_BACKED:
		return "not backed";
	case ADDRSPACE_FAULT_CONFIGURATION:
		return "configuration error";
	case ADDRSPACE_FAULT_OUT_OF_MEMORY:
		return "out of memory";
	case ADDRSPACE_FAULT_EMULATE:
		return "emulate";
	default:
		return "unknown";
	}
}
