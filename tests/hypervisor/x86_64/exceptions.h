/* SPDX-License-Identifier: MIT */
/* The CPU's own vectors, and the code that exceptions.inc makes for them. */
#ifndef HYPERVISOR_X86_64_EXCEPTIONS_H
#define HYPERVISOR_X86_64_EXCEPTIONS_H

#define EXCEPTIONS          32
#define EXCEPTION_STUB_SIZE 16 /* bytes from one exception's code to the next */

/* Those with an error code: 8, 10-14, 17, 21, 29, 30 (SDM 3A, table 6-1; APM 2, 8.2). */
#define EXCEPTIONS_WITH_ERROR_CODE 0x60227d00

#endif
