/* SPDX-License-Identifier: MIT */
/* Counts that do not depend on sizes. The workloads count their own invalidations too, and mixed.c
 * those of each of its operations. */
#include "bench.h"

#define AT       (64 * TIB) /* the start of what is mapped */
#define HPA      (UINT64_C(1) << 46)
#define POPULATE ADDRSPACE_MAP_POPULATE
#define REPLACE  ADDRSPACE_MAP_REPLACE

static const uint64_t sizes[] = {PAGE,    64 * KIB, 2 * MIB, 64 * MIB,
				 1 * GIB, 64 * GIB, TIB,     64 * TIB};

/** The call succeeds, and invalidates so often. */
static void expect_of(struct bench *bench, int result, uint64_t count, const char *call)
{
	bench_check(!result, call);
	bench_check(bench->space.invalidations == count, call);
	bench->space.invalidations = 0;
}

#define expect(call, count) expect_of(bench, (call), (count), #call " makes " #count)

/** Leaves as large as possible if offset is 0, none but pages if it is a page. */
static void linear(struct bench *bench, uint64_t size, uint64_t offset)
{
	struct addrspace *as = &bench->space.as;

	expect(addrspace_map_linear(as, AT, size, HPA + offset, &bench_rwx, 0), 0);
	expect(addrspace_protect(as, AT, size, ADDRSPACE_READ), 1);
	expect(addrspace_map_linear(as, AT, size, HPA + GIB + offset, &bench_rwx, REPLACE), 1);
	expect(addrspace_unmap(as, AT, size), 1);
	expect(addrspace_unmap(as, AT, size), 0);
	expect(addrspace_map_linear(as, AT, size, HPA + offset, &bench_rwx, REPLACE), 0);
	expect(addrspace_map_alloc(as, AT, size, &bench_rwx, REPLACE), 1);
	expect(addrspace_unmap(as, AT, size), 0);
}

/** No table, and nothing to invalidate, for what nobody has touched. */
static void lazy(struct bench *bench, uint64_t size)
{
	struct addrspace *as = &bench->space.as;

	expect(addrspace_map_alloc(as, AT, size, &bench_rwx, 0), 0);
	expect(addrspace_protect(as, AT, size, ADDRSPACE_READ), 0);
	expect(addrspace_map_alloc(as, AT, size, &bench_rwx, REPLACE), 0);
	expect(addrspace_discard(as, AT, size), 0);
	bench_require(bench->space.frames_out[ADDRSPACE_FRAME_TABLE] == 0);
	expect(addrspace_unmap(as, AT, size), 0);
}

/** The same with one page touched: the last. */
static void touched(struct bench *bench, uint64_t size)
{
	struct addrspace *as = &bench->space.as;
	uint64_t last = AT + size - PAGE;

	expect(addrspace_map_alloc(as, AT, size, &bench_rwx, 0), 0);
	expect(addrspace_handle_fault(as, last, ADDRSPACE_READ, NULL), 0);
	expect(addrspace_protect(as, AT, size, ADDRSPACE_READ), 1);
	expect(addrspace_discard(as, AT, size), 1);
	expect(addrspace_discard(as, AT, size), 0);
	expect(addrspace_handle_fault(as, last, ADDRSPACE_READ, NULL), 0);
	expect(addrspace_map_alloc(as, AT, size, &bench_rwx, REPLACE), 1);
	expect(addrspace_handle_fault(as, last, ADDRSPACE_READ, NULL), 0);
	expect(addrspace_unmap(as, AT, size), 1);
}

static void populated(struct bench *bench, uint64_t size)
{
	struct addrspace *as = &bench->space.as;

	expect(addrspace_map_alloc(as, AT, size, &bench_rwx, POPULATE), 0);
	expect(addrspace_map_alloc(as, AT, size, &bench_rwx, POPULATE | REPLACE), 1);
	expect(addrspace_protect(as, AT, size, ADDRSPACE_READ), 1);
	expect(addrspace_discard(as, AT, size), 1);
	expect(addrspace_unmap(as, AT, size), 0);
}

/** Large leaves cut: a hole, other permissions, another frame. */
static void cut(struct bench *bench)
{
	struct addrspace *as = &bench->space.as;

	expect(addrspace_map_linear(as, AT, 4 * GIB, HPA, &bench_rwx, 0), 0);
	expect(addrspace_unmap(as, AT + 77 * PAGE, PAGE), 1);
	expect(addrspace_protect(as, AT + GIB + 77 * PAGE, PAGE, ADDRSPACE_READ), 1);
	expect(addrspace_replace_frame(as, AT + 2 * GIB + 77 * PAGE, HPA, NULL, NULL), 1);
	expect(addrspace_map_linear(as, AT + 3 * GIB + 77 * PAGE, PAGE, HPA, &bench_rwx, REPLACE),
	       1);
	/* Several regions, all of those ends, and what lies between. */
	expect(addrspace_unmap(as, AT, 4 * GIB), 1);
}

void bench_checks(struct bench *bench)
{
	bench->variant = ZEROED | COUNTED;
	bench_open(bench);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		linear(bench, sizes[i], 0);
		lazy(bench, sizes[i]);
		touched(bench, sizes[i]);
		if (sizes[i] <= 64 * GIB)
			linear(bench, sizes[i], PAGE);
		/* Twice as much is out meanwhile. */
		if (sizes[i] < GIB)
			populated(bench, sizes[i]);
	}
	cut(bench);
	bench_close(bench);
}
