/* SPDX-License-Identifier: MIT */
/* What the guest starts from, as make has put it together, at addresses of the host. */
	.section .images, "a"

	.macro image name, file
	.balign 4096
	.global \name
\name:
	.incbin "\file"
	.global \name\()_end
\name\()_end:
	.endm

	image linux_kernel, Image
	image linux_devicetree, machine.dtb
	image linux_initrd, initrd

	.section .note.GNU-stack, "", %progbits
