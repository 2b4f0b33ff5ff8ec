/* SPDX-License-Identifier: MIT */
/* What the manuals say of a format, told independently of the library; each architecture has it. */
#ifndef EXERCISER_FORMAT_FACTS_H
#define EXERCISER_FORMAT_FACTS_H

#include <addrspace/addrspace.h>

struct format_facts {
	/** Bit n: the set n of enum addrspace_permission has no encoding. */
	uint8_t refused_permissions;
	/** Bit n: the type n of enum addrspace_memory_type has one. */
	uint8_t memory_types;
	/** Bit n: of these, the type n is the platform's to know: leaves say write-back. */
	uint8_t untold_types;
	/** Width of the guest-physical addresses that a guest's own translation can come to: the rest
	 * never reaches nested paging. */
	uint8_t nameable_bits;
	/** A host address, shifted right by so much, is these bits of an entry. */
	uint64_t address_bits;
	uint8_t address_shift;
	/** The CPU's accesses to the guest's page tables count as writes. */
	bool walks_write;
	/** The CPU tells a permission from an absent entry. */
	bool tells_cause;
	/**
	 * Loads or stores 8 bytes at a guest-physical address as the guest would with its own translation
	 * off, on this CPU and without entering the guest: what the TLB has kept shows, even where each
	 * entry flushes it. False if it faults. NULL where the hypervisor cannot.
	 */
	bool (*touch)(uint64_t gpa, enum addrspace_permission access, uint64_t *value);
};

#define PERMISSION_SET(permissions) (1u << (permissions))

struct format_facts format_facts(const struct addrspace_config *config);

#endif
