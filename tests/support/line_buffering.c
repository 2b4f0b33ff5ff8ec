/* SPDX-License-Identifier: MIT */
/* A test that hangs is killed: what it printed must be in its log by then. */
#include <stdio.h>

static void __attribute__((constructor)) buffer_output_by_line(void)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
}
