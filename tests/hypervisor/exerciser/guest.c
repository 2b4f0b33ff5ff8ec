/* SPDX-License-Identifier: MIT */
/* The guest: carries out one request after the other. It judges nothing: what it read, and whether it
 * came through, is for the hypervisor to compare. */
#include "guest_layout.h"
#include "guest_machine.h"

void guest_main(uint64_t cpu, uint64_t root);

static uint64_t read_sized(uint64_t address, uint32_t size)
{
	switch (size) {
	case 1:
		return *(volatile uint8_t *)address;
	case 2:
		return *(volatile uint16_t *)address;
	case 4:
		return *(volatile uint32_t *)address;
	default:
		return *(volatile uint64_t *)address;
	}
}

static void write_sized(uint64_t address, uint32_t size, uint64_t value)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)address = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)address = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)address = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)address = value;
		break;
	}
}

static uint64_t atomic_each(const volatile struct guest_mailbox *mailbox)
{
	uint64_t address = mailbox->address;
	uint64_t fresh = 0;

	for (uint64_t i = 0; i < mailbox->repeat; i++) {
		fresh += guest_atomic_add(address, mailbox->value) == 0;
		address += mailbox->stride;
	}
	return fresh;
}

static void wait_for_step(const volatile struct guest_mailbox *mailbox, uint64_t step)
{
	while (mailbox->pace <= step)
		;
	for (volatile uint64_t turns = mailbox->delay; turns; turns = turns - 1)
		;
}

static void atomic_paced(volatile struct guest_mailbox *mailbox)
{
	uint64_t address = mailbox->address;

	for (uint64_t step = 0; step < mailbox->repeat; step++) {
		wait_for_step(mailbox, step);
		guest_atomic_add(address, mailbox->value);
		address += mailbox->stride;
		mailbox->turns = step + 1;
	}
}

static void loop(volatile struct guest_mailbox *mailbox, uint32_t operation)
{
	volatile uint64_t *word = (volatile uint64_t *)mailbox->address;

	for (uint64_t turns = 1; !mailbox->stop; turns++) {
		if (operation == GUEST_LOOP_READ)
			mailbox->result = *word;
		else if (operation == GUEST_LOOP_WRITE)
			*word = turns;
		else
			*word = *word + 1;
		mailbox->turns = turns;
	}
}

static void carry_out(volatile struct guest_mailbox *mailbox, uint32_t operation)
{
	switch (operation) {
	case GUEST_READ:
		mailbox->result = read_sized(mailbox->address, mailbox->size);
		break;
	case GUEST_WRITE:
		write_sized(mailbox->address, mailbox->size, mailbox->value);
		break;
	case GUEST_EXECUTE:
		mailbox->result = ((uint64_t(*)(void))mailbox->address)();
		break;
	case GUEST_ATOMIC:
		mailbox->result = guest_atomic_add(mailbox->address, mailbox->value);
		break;
	case GUEST_ATOMIC_EACH:
		mailbox->result = atomic_each(mailbox);
		break;
	case GUEST_ATOMIC_PACED:
		atomic_paced(mailbox);
		break;
	case GUEST_LOOP_READ:
	case GUEST_LOOP_WRITE:
	case GUEST_LOOP_INCREMENT:
		loop(mailbox, operation);
		break;
	default:
		break;
	}
}

void guest_main(uint64_t cpu, uint64_t root)
{
	volatile struct guest_mailbox *mailbox = (struct guest_mailbox *)GUEST_MAILBOX(cpu);

	guest_load_translation(root);
	for (;;) {
		if (mailbox->flush)
			guest_flush_translation();
		carry_out(mailbox, mailbox->operation);
		hypercall(HYPERCALL_DONE, 0, 0, 0);
	}
}
