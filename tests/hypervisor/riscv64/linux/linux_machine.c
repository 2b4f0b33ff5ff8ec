/* SPDX-License-Identifier: MIT */
/* The harts of the guest are those of the machine. Its timer and inter-processor interrupts come to us first
 * (sie) and are handed on by hvip, which HS mode writes and, for software interrupts, VS mode clears
 * (RISC-V Privileged, "Hypervisor Interrupt Registers"). */
#include "linux_machine.h"

#include "cpus.h"
#include "print.h"
#include "ram.h"
#include "registers.h"
#include "sbi.h"
#include "sbi_answer.h"
#include "vcpu.h"

void linux_machine_map_devices(struct addrspace *as)
{
	const struct addrspace_attributes attributes = {
		.permissions = ADDRSPACE_READ | ADDRSPACE_WRITE,
		.memory_type = ADDRSPACE_DEVICE,
	};

	require(addrspace_map_linear(as, MACHINE_UART_HPA, ADDRSPACE_PAGE_SIZE, MACHINE_UART_HPA,
				     &attributes, 0));
}

void linux_machine_prepare_cpu(void)
{
	write_csr(CSR_SIE, 1 << INTERRUPT_S_SOFTWARE);
}

/* WFI goes on when one of sie is pending, although sstatus.SIE is 0. Whoever starts the virtual CPU sends a
 * software interrupt afterwards, so it is cleared only before the state is looked at again. */
void linux_machine_rest(void)
{
	clear_csr_bits(CSR_SIE, 1 << INTERRUPT_S_TIMER);
	__asm__ volatile("wfi" : : : "memory");
	clear_csr_bits(CSR_SIP, 1 << INTERRUPT_S_SOFTWARE);
}

/* a0 the hart, a1 the devicetree (Documentation/arch/riscv/boot.rst), or what hart_start was given (SBI,
 * "Hart State Management Extension"). */
void linux_machine_reset_vcpu(unsigned cpu, uint64_t entry, uint64_t argument)
{
	vcpu_reset(machine_vcpu(cpu), entry, cpu, argument);
	/* machine.dts has no Sstc: with STCE, VSTIP would be what an unset vstimecmp says. */
	clear_csr_bits(CSR_HENVCFG, HENVCFG_STCE);
	clear_csr_bits(CSR_SIP, 1 << INTERRUPT_S_SOFTWARE);
	write_csr(CSR_SIE, 1 << INTERRUPT_S_SOFTWARE);
}

/* That CPU's guest is given a software interrupt, if it is entered once more. */
void linux_machine_wake(unsigned cpu)
{
	const uint64_t argument[5] = {UINT64_C(1) << cpus_hart(cpu), 0};
	struct sbi_result result = sbi_call(SBI_IPI, SBI_IPI_SEND, argument);

	if (result.error)
		fail("the firmware's send_ipi: %ld", result.error);
}

enum linux_action linux_machine_answer(unsigned cpu, const struct vcpu_exit *exit)
{
	if (exit->kind == VCPU_EXIT_HYPERCALL)
		return sbi_answer(cpu);
	switch (exit->syndrome) {
	case CAUSE_INTERRUPT | INTERRUPT_S_SOFTWARE:
		clear_csr_bits(CSR_SIP, 1 << INTERRUPT_S_SOFTWARE);
		set_csr_bits(CSR_HVIP, 1 << INTERRUPT_VS_SOFTWARE);
		return LINUX_GO_ON;
	case CAUSE_INTERRUPT | INTERRUPT_S_TIMER:
		/* It stays pending until the guest sets the timer anew. */
		clear_csr_bits(CSR_SIE, 1 << INTERRUPT_S_TIMER);
		set_csr_bits(CSR_HVIP, 1 << INTERRUPT_VS_TIMER);
		return LINUX_GO_ON;
	default:
		fail("an exit with scause 0x%lx at 0x%lx", exit->syndrome,
		     vcpu_program_counter(machine_vcpu(cpu)));
	}
}
