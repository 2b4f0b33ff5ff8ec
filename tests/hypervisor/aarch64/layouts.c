/* SPDX-License-Identifier: MIT */
/* What the CPU can do, and the layouts of the guest-physical space that follow from it. */
#include <addrspace/aarch64.h>

#include "machine.h"
#include "print.h"
#include "registers.h"

/* With the 4 KiB granule the start level resolves 1 to 13 bits, of which up to 4 choose among
 * concatenated tables (Arm ARM D8.2). */
struct layout {
	const char *name;
	uint8_t gpa_bits;
	uint8_t levels;
	uint32_t without; /* what the CPU has and the space is not to use */
};

static const struct layout layouts[] = {
	{"40 bits, 3 levels, 2 root tables", 40, 3, 0},
	{"32 bits, 2 levels, 4 root tables", 32, 2, 0},
	{"32 bits, 3 levels, 1 root table", 32, 3, 0},
	{"34 bits, 2 levels, 16 root tables", 34, 2, 0},
	{"34 bits, 3 levels, 1 root table", 34, 3, 0},
	{"36 bits, 3 levels, 1 root table", 36, 3, 0},
	{"39 bits, 3 levels, 1 root table", 39, 3, 0},
	{"40 bits, 4 levels, 1 root table", 40, 4, 0},
	{"42 bits, 3 levels, 8 root tables", 42, 3, 0},
	{"42 bits, 4 levels, 1 root table", 42, 4, 0},
	{"43 bits, 3 levels, 16 root tables", 43, 3, 0},
	{"43 bits, 4 levels, 1 root table", 43, 4, 0},
	{"44 bits, 4 levels, 1 root table", 44, 4, 0},
	{"48 bits, 4 levels, 1 root table", 48, 4, 0},
	{"40 bits, 3 levels, A and D preset", 40, 3, ADDRSPACE_CPU_HARDWARE_AD},
	{"40 bits, 3 levels, no FWB", 40, 3, ADDRSPACE_CPU_FWB},
};

#define LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static struct addrspace_cpu identify(void)
{
	const struct addrspace_stage2_id id = {
		.id_aa64mmfr0_el1 = read_register(id_aa64mmfr0_el1),
		.id_aa64mmfr1_el1 = read_register(id_aa64mmfr1_el1),
		.id_aa64mmfr2_el1 = read_register(s3_0_c0_c7_2),
		.id_aa64isar0_el1 = read_register(id_aa64isar0_el1),
	};
	struct addrspace_cpu cpu;
	int error = addrspace_stage2_identify(&id, &cpu);

	if (error)
		fail("addrspace_stage2_identify: %s", addrspace_error_name(error));
	return cpu;
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

void machine_describe(void)
{
	struct addrspace_cpu cpu = identify();

	print("CPU        MIDR_EL1 0x%08lx at EL%u, %u physical address bits\n",
	      read_register(midr_el1), register_field(read_register(CurrentEL), 2, 2),
	      cpu.host_bits);
	print("           FEAT_S2FWB %s, 16-bit VMID %s, hardware access flag and dirty state %s, "
	      "range TLBI %s\n",
	      yes_no(cpu.features & ADDRSPACE_CPU_FWB), yes_no(cpu.features & ADDRSPACE_CPU_VMID16),
	      yes_no(cpu.features & ADDRSPACE_CPU_HARDWARE_AD),
	      yes_no(cpu.features & ADDRSPACE_CPU_TLBI_RANGE));
}

/* A layout that leaves out what the CPU lacks has been before. */
static bool is_usable(const struct layout *layout, const struct addrspace_cpu *cpu)
{
	return layout->gpa_bits <= cpu->host_bits && layout->levels <= cpu->max_levels &&
	       !(layout->without & ~cpu->features);
}

unsigned machine_layout_count(void)
{
	struct addrspace_cpu cpu = identify();
	unsigned count = 0;

	for (unsigned i = 0; i < LAYOUTS; i++)
		count += is_usable(&layouts[i], &cpu);
	return count;
}

static const struct layout *find_layout(unsigned number, const struct addrspace_cpu *cpu)
{
	for (unsigned i = 0; i < LAYOUTS; i++)
		if (is_usable(&layouts[i], cpu) && number-- == 0)
			return &layouts[i];
	fail("there is no such layout");
}

void machine_configure(struct addrspace_config *config, unsigned number)
{
	struct addrspace_cpu cpu = identify();
	const struct layout *layout = find_layout(number, &cpu);

	cpu.features &= ~layout->without;
	config->format = &addrspace_stage2;
	config->gpa_bits = layout->gpa_bits;
	config->levels = layout->levels;
	config->cpu = cpu;
}

const char *machine_layout_name(unsigned number)
{
	struct addrspace_cpu cpu = identify();

	return find_layout(number, &cpu)->name;
}

uint64_t machine_gpa_limit(const struct addrspace_config *config)
{
	return UINT64_C(1) << config->gpa_bits;
}
