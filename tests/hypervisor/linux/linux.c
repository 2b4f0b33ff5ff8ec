/* SPDX-License-Identifier: MIT */
/* Boots Linux as it is under a hypervisor that keeps taking its memory away, moving and protecting it, on
 * two CPUs. It passes if Linux' init says that all was well, and the books are in order at the end. */
#include "counts.h"
#include "frame_pool.h"
#include "handler.h"
#include "linux_machine.h"
#include "pressure.h"
#include "print.h"
#include "ram.h"
#include "report_device.h"
#include "spin.h"
#include "swap.h"

/* What machine_mode() says; smaller numbers are mistakes (swap.h). */
enum linux_mode {
	LINUX_BY_PAGES,
	LINUX_BY_RUNS = 16,             /* lazy memory up to 2 MiB at once */
	LINUX_BY_RUNS_IN_DISORDER = 17, /* the same where runs are few: the pool is full of holes */
};

/* After an exit that is no fault, and so comes rarely. */
#define OPERATIONS_AT_REST 2
/* At most one in so many parts of a CPU's time is spent on the guest's memory. */
#define PRESSURE_SHARE 4

enum cpu_state {
	CPU_OFF,
	CPU_BEING_STARTED,
	CPU_ON
};

/* Each is used by its own CPU, but for the state. */
struct linux_cpu {
	enum cpu_state state;
	bool has_left; /* the guest, for good */
	uint64_t entry;
	uint64_t argument;
	struct counts counts;
	struct pressure pressure;
	uint64_t pressure_microseconds;
};

static struct addrspace space;
static struct vm_memory memory;
static struct report_device report_device;
static struct linux_cpu cpus[MACHINE_CPUS];
static bool stopping; /* nobody enters the guest any more */

/* ---- virtual CPUs ---- */

bool linux_cpu_start(unsigned cpu, uint64_t entry, uint64_t argument)
{
	enum cpu_state off = CPU_OFF;

	if (!__atomic_compare_exchange_n(&cpus[cpu].state, &off, CPU_BEING_STARTED, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	cpus[cpu].entry = entry;
	cpus[cpu].argument = argument;
	__atomic_store_n(&cpus[cpu].state, CPU_ON, __ATOMIC_RELEASE);
	return true;
}

bool linux_cpu_is_on(unsigned cpu)
{
	return __atomic_load_n(&cpus[cpu].state, __ATOMIC_ACQUIRE) != CPU_OFF;
}

static bool is_stopping(void)
{
	return __atomic_load_n(&stopping, __ATOMIC_ACQUIRE);
}

/* ---- exits ---- */

static void count_fault(struct counts *counts, const struct addrspace_fault_info *fault,
			int outcome)
{
	counts->outcomes[outcome]++;
	counts->reads += (fault->access & ADDRSPACE_READ) != 0;
	counts->writes += (fault->access & ADDRSPACE_WRITE) != 0;
	counts->fetches += (fault->access & ADDRSPACE_EXECUTE) != 0;
	counts->table_walks += fault->table_walk;
	if (outcome == ADDRSPACE_FAULT_RESOLVED)
		counts->refills += swap_holds(fault->gpa);
}

static void answer_fault(unsigned cpu, const struct vcpu_exit *exit)
{
	const struct addrspace_fault_info *fault = &exit->fault;
	struct linux_cpu *self = &cpus[cpu];
	uint64_t before = machine_microseconds();
	int outcome = addrspace_handle_fault(&space, fault->gpa, fault->access, NULL);

	if (outcome < 0)
		fail("addrspace_handle_fault at 0x%lx: %s", fault->gpa,
		     addrspace_error_name(outcome));
	self->counts.fault_microseconds += machine_microseconds() - before;
	count_fault(&self->counts, fault, outcome);
	switch (outcome) {
	case ADDRSPACE_FAULT_RESOLVED:
		pressure_note_fault(&self->pressure, fault->gpa);
		return;
	case ADDRSPACE_FAULT_ALREADY_RESOLVED:
		return;
	case ADDRSPACE_FAULT_NOT_BACKED:
		if (!exit->instruction_gone)
			report_device_access(&report_device, machine_vcpu(cpu), exit);
		return;
	case ADDRSPACE_FAULT_DENIED:
		if (ram_contains(fault->gpa)) {
			pressure_unprotect(&self->pressure, fault->gpa);
			return;
		}
		break;
	default:
		break;
	}
	fail("no answer to the fault at 0x%lx (access %u): %s", fault->gpa, fault->access,
	     addrspace_fault_name(outcome));
}

static enum linux_action answer(unsigned cpu, const struct vcpu_exit *exit)
{
	switch (exit->kind) {
	case VCPU_EXIT_RETRY:
		return LINUX_GO_ON;
	case VCPU_EXIT_FAULT:
		answer_fault(cpu, exit);
		return LINUX_GO_ON;
	default:
		return linux_machine_answer(cpu, exit);
	}
}

/* Faults are many while Linux boots; later the guest's own clock and its reports are what keeps us at it.
 * Where the machine's CPUs take turns, as an emulator's on a busy host, an invalidation waits long for the
 * other one: the guest has its share of the time all the same. */
static void apply_pressure(struct linux_cpu *self, const struct vcpu_exit *exit)
{
	unsigned operations =
		exit->kind == VCPU_EXIT_FAULT ? self->counts.exits % 2 : OPERATIONS_AT_REST;
	uint64_t before = machine_microseconds();

	if (self->pressure_microseconds > before / PRESSURE_SHARE)
		return;
	for (unsigned i = 0; i < operations; i++)
		pressure_apply(&self->pressure);
	self->pressure_microseconds += machine_microseconds() - before;
}

/* ---- the end ---- */

/** Nothing of the RAM is accessible any more, so a CPU that is inside the guest comes out of it. */
static void stop_other_cpus(unsigned this_cpu)
{
	__atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
	require(addrspace_protect(&space, LINUX_RAM_GPA, LINUX_RAM_SIZE, 0));
	for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++) {
		uint64_t turns = 0;

		while (cpu != this_cpu && !__atomic_load_n(&cpus[cpu].has_left, __ATOMIC_ACQUIRE)) {
			linux_machine_wake(cpu);
			spin(&turns, "another CPU to leave the guest");
		}
	}
}

static struct addrspace_statistics audit(void)
{
	struct addrspace_statistics statistics;
	struct addrspace_defect defect;

	require(addrspace_statistics(&space, &statistics));
	if (addrspace_verify(&space, &defect))
		fail("verify: %s (gpa 0x%lx, level %u, entry 0x%lx)", defect.what, defect.gpa,
		     defect.level, defect.entry);
	vm_memory_check(&memory, &statistics);
	return statistics;
}

static void print_statistics(const struct addrspace_statistics *statistics)
{
	print("leaves     %lu of 4 KiB, %lu of 2 MiB, %lu of 1 GiB\n", statistics->leaves_4k,
	      statistics->leaves_2m, statistics->leaves_1g);
	print("frames     %lu of guest memory, %lu of tables, %lu of %lu regions: as the pool "
	      "says\n",
	      statistics->data_frames, statistics->table_frames, statistics->region_nodes,
	      statistics->regions);
}

static void check_guest(void)
{
	if (report_device.result != REPORT_WELL)
		fail("the guest has powered off without saying that it is well");
	print("\nguest      Linux reached init after %lu ms, checked %lu pages, and powered off\n",
	      report_device.uptime, report_device.pages);
}

static _Noreturn void power_off(unsigned this_cpu)
{
	struct addrspace_statistics statistics;
	struct counts sum = {0};
	uint64_t left;

	stop_other_cpus(this_cpu);
	check_guest();
	statistics = audit();
	for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++)
		counts_add(&sum, &cpus[cpu].counts);
	counts_print(&sum, memory.invalidations);
	print_statistics(&statistics);
	counts_require_all(&sum);
	print("first      %lu faults for memory that was not there yet; %lu runs came, %lu were "
	      "refused\n",
	      sum.outcomes[ADDRSPACE_FAULT_RESOLVED] - sum.refills, memory.runs,
	      memory.refused_runs);
	addrspace_destroy(&space);
	left = frame_pool_counts().total;
	if (left)
		fail("destroy has kept %lu frames", left);
	print("\nEvery frame is back. The run took %lu ms.\nPASS\n", machine_microseconds() / 1000);
	machine_exit(0);
}

/* ---- running ---- */

static _Noreturn void leave(struct linux_cpu *self)
{
	__atomic_store_n(&self->has_left, true, __ATOMIC_RELEASE);
	for (;;)
		machine_relax();
}

/** Until the guest turns this CPU off. */
static void run_guest(unsigned cpu)
{
	struct linux_cpu *self = &cpus[cpu];
	struct vcpu_exit exit;

	linux_machine_reset_vcpu(cpu, self->entry, self->argument);
	while (!is_stopping()) {
		vcpu_run(machine_vcpu(cpu), &exit);
		if (is_stopping())
			break;
		self->counts.exits++;
		switch (answer(cpu, &exit)) {
		case LINUX_GO_ON:
			apply_pressure(self, &exit);
			break;
		case LINUX_CPU_OFF:
			__atomic_store_n(&self->state, CPU_OFF, __ATOMIC_RELEASE);
			return;
		case LINUX_POWER_OFF:
			power_off(cpu);
		case LINUX_RESET:
			fail("the guest has asked for a reset");
		}
	}
	leave(self);
}

static _Noreturn void run_cpu(void)
{
	unsigned cpu = machine_this_cpu();

	machine_load_root(&space);
	linux_machine_prepare_cpu();
	for (;;) {
		while (__atomic_load_n(&cpus[cpu].state, __ATOMIC_ACQUIRE) != CPU_ON) {
			if (is_stopping())
				leave(&cpus[cpu]);
			linux_machine_rest();
		}
		run_guest(cpu);
	}
}

static void create_space(void)
{
	const uint32_t mode = machine_mode();
	const struct frame_area pool = {
		.hpa = MACHINE_BLOCK_HPA,
		.size = MACHINE_BLOCK_SIZE / 2,
		.holes = mode == LINUX_BY_RUNS_IN_DISORDER ? 8 : 0,
		.scattered = mode != LINUX_BY_RUNS,
	};
	struct addrspace_config config = {
		.handler = swap_create(MACHINE_BLOCK_HPA + MACHINE_BLOCK_SIZE / 2,
				       MACHINE_BLOCK_SIZE / 2,
				       mode < LINUX_BY_RUNS ? mode : SWAP_NO_MISTAKE),
		.handler_ctx = &memory,
	};

	frame_pool_init_in(&pool);
	machine_configure(&config, 0);
	config.cpu.features &= ~(uint32_t)LINUX_FEATURES_OFF;
	require(addrspace_init(&space, &config));
	memory.as = &space;
	machine_describe_root(&space);
	linux_machine_map_devices(&space);
	ram_create(&space, mode >= LINUX_BY_RUNS ? ADDRSPACE_LEAF_2M : ADDRSPACE_LEAF_4K);
}

_Noreturn void program_run(void)
{
	print("\naddrspace: Linux runs under nested paging (%s)\n\n", MACHINE_NAME);
	machine_describe();
	report_device.rounds = LINUX_ROUNDS;
	create_space();
	print("\n");
	for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++)
		cpus[cpu].pressure = (struct pressure){
			.as = &space,
			.counts = &cpus[cpu].counts,
			.other = &cpus[(cpu + 1) % MACHINE_CPUS].pressure,
			.random = cpu + 1,
		};
	linux_cpu_start(0, LINUX_KERNEL_GPA, LINUX_DTB_GPA);
	for (unsigned cpu = 1; cpu < MACHINE_CPUS; cpu++)
		machine_start_cpu(cpu, run_cpu);
	run_cpu();
}
