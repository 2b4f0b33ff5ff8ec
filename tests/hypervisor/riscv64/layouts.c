/* SPDX-License-Identifier: MIT */
/* What the hart can do, partly by trying, and the layouts of the guest-physical space. */
#include "layouts.h"

#include <addrspace/riscv64.h>

#include "board.h"
#include "machine.h"
#include "print.h"
#include "registers.h"
#include "vcpu.h"

#define HGATP_MODE_SHIFT 60
#define FEWEST_LEVELS    3 /* Sv39x4, mode 8 */
#define MOST_LEVELS      5 /* Sv57x4, mode 10 */

struct layout {
	const char *name;
	uint8_t gpa_bits;
	uint8_t levels;
	uint32_t without; /* what the CPU has and the space is not to use */
};

#define PRESET ADDRSPACE_CPU_HARDWARE_AD

static const struct layout layouts[] = {
	{"Sv39x4, 41 bits", 41, 3, 0},
	{"Sv39x4, 32 bits", 32, 3, 0},
	{"Sv39x4, 40 bits", 40, 3, 0},
	{"Sv39x4, 41 bits, A and D preset", 41, 3, PRESET},
	{"Sv39x4, 34 bits, A and D preset", 34, 3, PRESET},
	{"Sv39x4, 41 bits, no Svpbmt", 41, 3, ADDRSPACE_CPU_SVPBMT},
	{"Sv48x4, 50 bits", 50, 4, 0},
	{"Sv48x4, 42 bits", 42, 4, 0},
	{"Sv48x4, 50 bits, A and D preset", 50, 4, PRESET},
	{"Sv57x4, 59 bits", 59, 5, 0},
	{"Sv57x4, 51 bits", 51, 5, 0},
	{"Sv57x4, 59 bits, A and D preset", 59, 5, PRESET},
};

#define LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static struct addrspace_cpu cpu;
static unsigned vmid_bits;
static bool upper_half_works[MOST_LEVELS + 1]; /* by levels */

/* ---- trying: loads through a root of our own ---- */

#define LEAF     UINT64_C(0x1f) /* U, X, W, R, V */
#define ACCESSED UINT64_C(0x40)
#define DIRTY    UINT64_C(0x80)

static uint64_t probe_root[2048] __attribute__((aligned(16384)));
static uint64_t probe_word;

static unsigned root_shift(unsigned levels)
{
	return 12 + 9 * (levels - 1);
}

static uint64_t mode_of(unsigned levels)
{
	return 8 + (uint64_t)(levels - FEWEST_LEVELS);
}

/** Loads a word of ours through one leaf at the root's index; false if that faults. *leaf is read back. */
static bool probe_load(unsigned levels, unsigned index, uint64_t *leaf)
{
	const uint64_t offset_mask = (UINT64_C(1) << root_shift(levels)) - 1;
	const uint64_t hpa = (uintptr_t)&probe_word;
	volatile uint64_t *entry = &probe_root[index];
	uint64_t value = 0;
	bool loaded;

	probe_word = levels * UINT64_C(0x0123456789abcdef) + index;
	*entry = (hpa & ~offset_mask) >> 2 | *leaf;
	write_csr(CSR_HGATP, mode_of(levels) << HGATP_MODE_SHIFT | (uintptr_t)probe_root >> 12);
	hfence_gvma_all();
	loaded = !guest_load_word((uint64_t)index << root_shift(levels) | (hpa & offset_mask),
				  &value);
	*leaf = *entry;
	*entry = 0;
	if (loaded && value != probe_word)
		fail("a load through %u levels gave 0x%lx for 0x%lx", levels, value, probe_word);
	return loaded;
}

static bool hardware_sets_accessed(void)
{
	uint64_t leaf = LEAF;

	return probe_load(FEWEST_LEVELS, 0, &leaf) && leaf & ACCESSED;
}

/** QEMU 7.2 sign-extends guest-physical addresses as if they were virtual ones. */
static bool has_upper_half(unsigned levels)
{
	uint64_t low = LEAF | ACCESSED | DIRTY;
	uint64_t high = low;

	if (!probe_load(levels, 1, &low))
		fail("a load through %u levels of tables faults", levels);
	return probe_load(levels, 1024, &high);
}

void layouts_probe(void)
{
	uint64_t hgatp = addrspace_gstage_probe();
	int error = addrspace_gstage_identify(board.isa, board.isa_length, hgatp, &cpu);

	if (error)
		fail("addrspace_gstage_identify: %s", addrspace_error_name(error));
	vmid_bits = addrspace_gstage_vmid_bits(hgatp);
	write_csr(CSR_HSTATUS, HSTATUS_VSXL_64 | HSTATUS_SPVP);
	write_csr(CSR_VSATP, 0);
	if (hardware_sets_accessed())
		cpu.features |= ADDRSPACE_CPU_HARDWARE_AD;
	for (unsigned levels = FEWEST_LEVELS; levels <= cpu.max_levels; levels++)
		upper_half_works[levels] = has_upper_half(levels);
	write_csr(CSR_HGATP, 0);
	hfence_gvma_all();
}

/* ---- telling ---- */

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

void machine_describe(void)
{
	print("CPU        hart %lu in HS mode, %s\n", board.boot_hart, board.isa);
	print("           up to Sv%ux4, %u-bit VMIDs, Svpbmt %s, hardware sets A and D %s\n",
	      12 + 9 * cpu.max_levels, vmid_bits, yes_no(cpu.features & ADDRSPACE_CPU_SVPBMT),
	      yes_no(cpu.features & ADDRSPACE_CPU_HARDWARE_AD));
	for (unsigned levels = FEWEST_LEVELS; levels <= cpu.max_levels; levels++)
		if (!upper_half_works[levels])
			print("           this emulator faults on every address from bit %u up in "
			      "Sv%ux4: guests stay below\n",
			      root_shift(levels) + 10, 12 + 9 * levels);
}

static bool is_usable(const struct layout *layout)
{
	return layout->levels <= cpu.max_levels && !(layout->without & ~cpu.features);
}

unsigned machine_layout_count(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < LAYOUTS; i++)
		count += is_usable(&layouts[i]);
	return count;
}

static const struct layout *find_layout(unsigned number)
{
	for (unsigned i = 0; i < LAYOUTS; i++)
		if (is_usable(&layouts[i]) && number-- == 0)
			return &layouts[i];
	fail("there is no such layout");
}

void machine_configure(struct addrspace_config *config, unsigned number)
{
	const struct layout *layout = find_layout(number);

	config->format = &addrspace_gstage;
	config->gpa_bits = layout->gpa_bits;
	config->levels = layout->levels;
	config->cpu = cpu;
	config->cpu.features &= ~layout->without;
}

const char *machine_layout_name(unsigned number)
{
	return find_layout(number)->name;
}

uint64_t machine_gpa_limit(const struct addrspace_config *config)
{
	unsigned upper_half = root_shift(config->levels) + 10;

	if (!upper_half_works[config->levels] && config->gpa_bits > upper_half)
		return UINT64_C(1) << upper_half;
	return UINT64_C(1) << config->gpa_bits;
}
