/* SPDX-License-Identifier: MIT */
#include "access.h"

#include "guest_paging.h"
#include "libc.h"
#include "print.h"

static const struct {
	const char *name;
	unsigned needs;
	enum guest_operation operation;
} kinds[ACCESS_KINDS] = {
	[ACCESS_READ] = {"read", R, GUEST_READ},
	[ACCESS_WRITE] = {"write", W, GUEST_WRITE},
	[ACCESS_EXECUTE] = {"execute", X, GUEST_EXECUTE},
	[ACCESS_ATOMIC] = {"atomic", RW, GUEST_ATOMIC},
};

/* Counts up, so that no two accesses leave the same value. */
static uint64_t salt;

const char *access_name(enum access_kind kind)
{
	return kinds[kind].name;
}

unsigned access_needs(enum access_kind kind)
{
	return kinds[kind].needs;
}

static uint64_t next_value(void)
{
	return ++salt * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t of_size(uint64_t value, unsigned size)
{
	return value & UINT64_MAX >> (64 - 8 * size);
}

static uint64_t load(const void *host, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, host, size);
	return value;
}

static struct request make_request(const struct access *access)
{
	return (struct request){
		.operation = kinds[access->kind].operation,
		.size = access->size,
		.gpa = access->gpa,
		.value = next_value(),
	};
}

static bool is_through(struct space *space, const struct answer *answer)
{
	if (check_true("goes through", answer->done))
		return true;
	print("         it faulted at 0x%lx, access %u, cause %u%s\n", answer->fault.gpa,
	      answer->fault.access, answer->fault.cause,
	      answer->fault.table_walk ? ", table walk" : "");
	subject_abandon(space);
	return false;
}

/** What the guest is to find there; returns what it must then answer. */
static uint64_t prepare(const struct access *access, void *host)
{
	uint64_t value = next_value();

	if (access->kind == ACCESS_EXECUTE) {
		value %= GUEST_FUNCTION_VALUES;
		guest_write_function(host, (uint32_t)value);
		machine_prepare_frame((uintptr_t)host & ~(ADDRSPACE_PAGE_SIZE - 1),
				      ADDRSPACE_PAGE_SIZE);
		return value;
	}
	memcpy(host, &value, access->kind == ACCESS_ATOMIC ? sizeof(value) : access->size);
	return access->kind == ACCESS_READ ? of_size(value, access->size) : value;
}

void access_goes_through(struct space *space, const struct access *access, void *host)
{
	struct request request = make_request(access);
	uint64_t found = prepare(access, host);
	struct answer answer = subject_try(space, &request);

	check_at(access->gpa, access_name(access->kind));
	if (!is_through(space, &answer))
		return;
	if (access->kind == ACCESS_WRITE)
		check_equal("what the host finds", of_size(request.value, access->size),
			    load(host, access->size));
	else
		check_equal("what the guest gets", found, answer.result);
	if (access->kind == ACCESS_ATOMIC)
		check_equal("what the host finds", found + request.value, load(host, 8));
}

/* A read-modify-write may be told as the part of it that was refused, or as both. */
static void check_access(const struct access *access, unsigned seen, unsigned permissions)
{
	unsigned needs = access_needs(access->kind);

	if (access->kind != ACCESS_ATOMIC)
		check_equal("access of the fault", needs, seen);
	else
		check_true("access of the fault is refused and needed",
			   !(seen & ~needs) && seen & ~permissions);
}

void access_check_fault(struct space *space, const struct access *access,
			const struct addrspace_fault_info *fault, unsigned permissions)
{
	uint64_t in_page = fault->gpa_page_only ? access->gpa % ADDRSPACE_PAGE_SIZE : 0;

	check_equal("address of the fault", access->gpa - in_page, fault->gpa);
	check_access(access, fault->access, permissions);
	check_equal("the fault is a table walk's", false, fault->table_walk);
	if (space->facts.tells_cause)
		check_equal("cause of the fault",
			    permissions ? ADDRSPACE_CAUSE_PERMISSION : ADDRSPACE_CAUSE_NOT_PRESENT,
			    fault->cause);
}

void access_faults(struct space *space, const struct access *access, unsigned permissions)
{
	struct request request = make_request(access);
	struct answer answer = subject_try(space, &request);

	check_at(access->gpa, access_name(access->kind));
	if (!check_equal("goes through", false, answer.done))
		return;
	access_check_fault(space, access, &answer.fault, permissions);
	subject_abandon(space);
}

static void touch(struct space *space, const struct access *access, void *host,
		  enum addrspace_permission permission, bool allowed)
{
	uint64_t in_word = access->gpa % sizeof(uint64_t);
	void *word = (uint8_t *)host - in_word;
	uint64_t before = allowed ? load(word, sizeof(before)) : 0;
	uint64_t value = permission == W ? ~before : 0;
	bool through = space->facts.touch(access->gpa - in_word, permission, &value);

	check_equal("the hypervisor's own access goes through", allowed, through);
	if (!allowed || !through)
		return;
	check_equal("what that gets or leaves", value, load(word, sizeof(value)));
	memcpy(word, &before, sizeof(before));
}

void access_check_touch(struct space *space, const struct access *access, void *host,
			unsigned permissions)
{
	unsigned needs = access_needs(access->kind);

	if (!space->facts.touch)
		return;
	check_at(access->gpa, access_name(access->kind));
	if (needs & R)
		touch(space, access, host, R, permissions & R);
	if (needs & W)
		touch(space, access, host, W, permissions & W);
}

void access_is_as_predicted(struct space *space, const struct access *access, void *host,
			    unsigned permissions)
{
	unsigned needs = access_needs(access->kind);
	bool allowed = !(needs & ~permissions);

	/* First: what is "already resolved" may invalidate. */
	access_check_touch(space, access, host, permissions);
	check_at(access->gpa, access_name(access->kind));
	check_named("the library's outcome",
		    allowed ? ADDRSPACE_FAULT_ALREADY_RESOLVED : ADDRSPACE_FAULT_DENIED,
		    addrspace_handle_fault(&space->as, access->gpa, needs, NULL),
		    addrspace_fault_name);
	if (allowed)
		access_goes_through(space, access, host);
	else
		access_faults(space, access, permissions);
	/* Again: the entry may have dropped what the next change must. */
	access_check_touch(space, access, host, permissions);
}
