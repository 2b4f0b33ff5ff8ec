/* SPDX-License-Identifier: MIT */
#include "ram.h"

#include "libc.h"
#include "machine.h"
#include "print.h"

extern const uint8_t linux_kernel[], linux_kernel_end[];
extern const uint8_t linux_devicetree[], linux_devicetree_end[];
extern const uint8_t linux_initrd[], linux_initrd_end[];

static const struct addrspace_attributes ram_attributes = {.permissions = RAM_ANY_PERMISSION};

void require_ok(int error, const char *call)
{
	if (error)
		fail("%s: %s", call, addrspace_error_name(error));
}

bool ram_is_linear(uint64_t gpa)
{
	return gpa - RAM_LINEAR_GPA < RAM_PART_SIZE;
}

bool ram_contains(uint64_t gpa)
{
	return gpa - LINUX_RAM_GPA < LINUX_RAM_SIZE;
}

int ram_map_linear(struct addrspace *as, uint64_t gpa, uint64_t size, unsigned flags)
{
	return addrspace_map_linear(as, gpa, size, MACHINE_POOL_HPA + (gpa - RAM_LINEAR_GPA),
				    &ram_attributes, flags);
}

static void map_parts(struct addrspace *as, const struct addrspace_attributes *lazy)
{
	uint64_t behind = RAM_POPULATED_GPA + RAM_PART_SIZE;

	_Static_assert(RAM_PART_SIZE <= MACHINE_POOL_SIZE, "it is lent to the guest");
	require(addrspace_map_alloc(as, LINUX_RAM_GPA, RAM_LINEAR_GPA - LINUX_RAM_GPA, lazy, 0));
	memset((void *)(uintptr_t)MACHINE_POOL_HPA, 0, RAM_PART_SIZE);
	machine_prepare_frame(MACHINE_POOL_HPA, RAM_PART_SIZE);
	require(ram_map_linear(as, RAM_LINEAR_GPA, RAM_PART_SIZE, 0));
	require(addrspace_map_alloc(as, RAM_POPULATED_GPA, RAM_PART_SIZE, lazy,
				    ADDRSPACE_MAP_POPULATE));
	require(addrspace_map_alloc(as, behind, LINUX_RAM_GPA + LINUX_RAM_SIZE - behind, lazy, 0));
}

static bool is_zero(const uint8_t *bytes, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/** Lazy pages are zero without being there. */
static void copy_page(struct addrspace *as, uint64_t gpa, const uint8_t *from, uint64_t size)
{
	struct addrspace_translation translation;
	int outcome;

	if (is_zero(from, size))
		return;
	outcome = addrspace_handle_fault(as, gpa, ADDRSPACE_WRITE, NULL);
	if (outcome != ADDRSPACE_FAULT_RESOLVED && outcome != ADDRSPACE_FAULT_ALREADY_RESOLVED)
		fail("the hypervisor's own fault at 0x%lx: %s", gpa, addrspace_fault_name(outcome));
	require(addrspace_walk(as, gpa, &translation));
	if (translation.hpa == gpa)
		fail("guest memory at 0x%lx is at its own address in the host", gpa);
	memcpy((void *)(uintptr_t)translation.hpa, from, size);
	machine_prepare_frame(translation.hpa, ADDRSPACE_PAGE_SIZE);
}

static void load(struct addrspace *as, const char *name, uint64_t gpa, uint64_t room,
		 const uint8_t *start, const uint8_t *end)
{
	uint64_t size = (uint64_t)(end - start);

	if (size > room)
		fail("the %s has %lu bytes, more than the %lu that there is room for", name, size,
		     room);
	for (uint64_t offset = 0; offset < size; offset += ADDRSPACE_PAGE_SIZE) {
		uint64_t rest = size - offset;

		copy_page(as, gpa + offset, start + offset,
			  rest < ADDRSPACE_PAGE_SIZE ? rest : ADDRSPACE_PAGE_SIZE);
	}
	print("guest      %s of %lu KiB copied to 0x%lx\n", name, size / 1024, gpa);
}

/** What the kernel says it needs, its zeroed memory included; the same place on arm64 and riscv
 * (Documentation/arch/arm64/booting, Documentation/riscv/boot-image-header). */
static uint64_t kernel_memory(void)
{
	uint64_t size;

	memcpy(&size, linux_kernel + 16, sizeof(size));
	return size;
}

void ram_create(struct addrspace *as, enum addrspace_leaf largest)
{
	struct addrspace_attributes lazy = ram_attributes;

	lazy.largest_leaf = largest;
	if (LINUX_KERNEL_GPA + kernel_memory() > LINUX_DTB_GPA)
		fail("the kernel needs %lu KiB and runs into its devicetree",
		     kernel_memory() / 1024);
	map_parts(as, &lazy);
	load(as, "kernel", LINUX_KERNEL_GPA, kernel_memory(), linux_kernel, linux_kernel_end);
	load(as, "devicetree", LINUX_DTB_GPA, LINUX_INITRD_GPA - LINUX_DTB_GPA, linux_devicetree,
	     linux_devicetree_end);
	load(as, "initramfs", LINUX_INITRD_GPA, LINUX_INITRD_SIZE, linux_initrd, linux_initrd_end);
}
