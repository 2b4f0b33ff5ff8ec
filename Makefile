# SPDX-License-Identifier: MIT
# `make help` lists the targets and variables. Everything is built below $(BUILD).

HOST := $(shell uname -m)
ARCHES := x86_64 aarch64 riscv64
ARCH ?= $(HOST)
BUILD ?= build
CFLAGS ?= -O2 -g
SCRIPTS := tests/support/scripts
STACK_LIMIT := 1024
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(Q),@echo '$(1) $(2)')
need = $(Q)$(SCRIPTS)/need

ifeq ($(filter $(ARCH),$(ARCHES)),)
$(error ARCH=$(ARCH): must be one of $(ARCHES))
endif

# --- compiler -------------------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
TRIPLE := $(ARCH)-linux-gnu
CROSS := $(or $(CROSS_COMPILE),$(if $(filter-out $(HOST),$(ARCH)),$(TRIPLE)-))
CLANG := $(if $(findstring clang,$(CC)),clang)
COMPILER := $(or $(CLANG),gcc)
ifdef CLANG
TARGET_CC := $(CC) $(if $(CROSS),--target=$(TRIPLE))
else
# A plain gcc means the one of the target; anything else is taken as it stands.
TARGET_CC := $(if $(filter gcc cc,$(CC)),$(filter-out gcc cc,$(CC)) $(CROSS)gcc,$(CC))
endif

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wvla -Werror
DEPENDENCIES = -MMD -MP

# The code model, -fpic and the like are the embedder's: make CFLAGS='-O2 -mcmodel=kernel'.
MACHINE_x86_64 := -mgeneral-regs-only -mno-red-zone
MACHINE_aarch64 := -mgeneral-regs-only -mno-outline-atomics -mstrict-align
MACHINE_riscv64 := -march=rv64imac$(if $(CLANG),,_zicsr) -mabi=lp64 -mcmodel=medany
# Only the compiler's own headers: those of a C library are not there for the embedder.
FREESTANDING = -std=c11 -ffreestanding -nostdinc -isystem "$$($(TARGET_CC) -print-file-name=include)" \
	-fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables \
	$(MACHINE_$(ARCH))

# `make stack` reads the call graph that gcc writes beside each object.
CALL_GRAPH := $(if $(CLANG),,-fcallgraph-info=su)

# $(call stamp,file,text): a file that changes when the text does, so that what depends on it is rebuilt.
stamp = @mkdir -p $(dir $(1)); echo '$(2)' | cmp -s - $(1) || echo '$(2)' >$(1)

# --- library --------------------------------------------------------------------------------------

OUT := $(BUILD)/$(ARCH)
LIBRARY := $(OUT)/libaddrspace.a
LIBRARY_SOURCES := $(sort $(wildcard src/*.c src/backend/*.c src/arch/$(ARCH)/*.c))
LIBRARY_OBJECTS := $(LIBRARY_SOURCES:%.c=$(OUT)/obj/%.o)
COMPILE = $(strip $(TARGET_CC) $(FREESTANDING) $(WARNINGS) -Iinclude -Isrc -Isrc/arch/$(ARCH) $(CFLAGS))

## all             build/ARCH/libaddrspace.a, ARCH being the host's unless given
all: $(LIBRARY)

$(LIBRARY): $(LIBRARY_OBJECTS) $(OUT)/objects
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(CROSS)ar rcsD $@ $(LIBRARY_OBJECTS)

$(OUT)/obj/%.o: %.c $(OUT)/flags | need-compiler
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) $(CALL_GRAPH) $(DEPENDENCIES) -c $< -o $@

$(OUT)/flags: FORCE
	$(call stamp,$@,$(COMPILE))

$(OUT)/objects: FORCE
	$(call stamp,$@,$(LIBRARY_OBJECTS))

need-compiler:
	$(need) $(ARCH) $(CLANG)

# Runs a target once for each architecture.
each-arch = +$(Q)status=0; for arch in $(ARCHES); do \
	$(MAKE) --no-print-directory $(1) ARCH=$$arch CROSS_COMPILE= || status=1; done; exit $$status

## libs            the archives of all three architectures
libs: need-libs
	$(call each-arch,all)

need-libs:
	$(need) $(ARCHES) $(CLANG)

# --- unit tests: all formats in one program, on the host --------------------------------------------

UNIT := $(BUILD)/unit/$(COMPILER)$(if $(SANITIZE),-$(SANITIZE:1=sanitize))
UNIT_LIBRARY := $(sort $(filter-out src/arch/%/cpu.c,\
	$(wildcard src/*.c src/backend/*.c src/arch/*/*.c)) $(wildcard src/arch/$(HOST)/cpu.c))
UNIT_SHARED := $(patsubst %.c,$(UNIT)/%.o,$(UNIT_LIBRARY) $(sort $(wildcard tests/support/*.c)) \
	tests/hypervisor/riscv64/instruction.c tests/hypervisor/x86_64/instruction.c)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(UNIT)/%,$(sort $(wildcard tests/unit/test_*.c)))
SANITIZERS_1 := -fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZERS_thread := -fsanitize=thread -fno-omit-frame-pointer
SANITIZERS := $(SANITIZERS_$(SANITIZE))
UNIT_FLAGS = $(strip $(CC) $(WARNINGS) -Iinclude -Isrc -Isrc/arch/$(HOST) -Itests/support $(CFLAGS) \
	$(SANITIZERS))

## unit            the unit tests on the host (CC=clang, SANITIZE=1, ADDRSPACE_SEED=n)
unit: $(UNIT_TESTS)
	$(Q)$(SCRIPTS)/run-unit $(UNIT_TESTS)

unit-build: $(UNIT_TESTS)

$(UNIT_TESTS): $(UNIT)/%: $(UNIT)/tests/unit/%.o $(UNIT_SHARED) $(UNIT)/objects
	$(call say,LD,$@)
	$(Q)$(UNIT_FLAGS) $(filter %.o,$^) -o $@ -lcmocka -pthread

$(UNIT)/%.o: %.c $(UNIT)/flags | need-unit
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(UNIT_FLAGS) -std=$(if $(filter src/%,$<),c11,gnu11) $(DEPENDENCIES) -c $< -o $@

$(UNIT)/flags: FORCE
	$(call stamp,$@,$(UNIT_FLAGS))

$(UNIT)/objects: FORCE
	$(call stamp,$@,$(UNIT_SHARED))

need-unit:
	$(need) host cmocka $(CLANG) $(if $(SANITIZE),$(CLANG:%=sanitize-%))

## unit-sanitize   the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer, gcc and clang
unit-sanitize:
	+$(Q)$(MAKE) --no-print-directory unit SANITIZE=1 CC=gcc
	+$(Q)$(MAKE) --no-print-directory unit SANITIZE=1 CC=clang

# What runs real threads.
UNIT_THREADS := $(filter %/test_threads %/test_rwlock %/test_shootdown,$(UNIT_TESTS))

## unit-threads    the tests with threads under ThreadSanitizer, gcc and clang (ADDRSPACE_SEED=n)
unit-threads:
	+$(Q)$(MAKE) --no-print-directory unit-threads-run SANITIZE=thread CC=gcc
	+$(Q)$(MAKE) --no-print-directory unit-threads-run SANITIZE=thread CC=clang

unit-threads-run: $(UNIT_THREADS)
	$(Q)$(SCRIPTS)/run-unit $(UNIT_THREADS)

# --- benchmarks: the library and its floors, on the host ----------------------------------------------

BENCH := $(BUILD)/bench
BENCH_MEASURED := $(patsubst %.c,$(BENCH)/%.o,$(UNIT_LIBRARY) \
	$(sort $(wildcard tests/bench/floors_*.c)) tests/bench/records.c)
BENCH_PROGRAMS := bench plot instructions
BENCH_HARNESS := $(patsubst %.c,$(BENCH)/%.o,\
	$(filter-out $(BENCH_MEASURED:$(BENCH)/%.o=%.c),$(sort $(wildcard tests/bench/*.c))))
BENCH_MAINS := $(BENCH_PROGRAMS:%=$(BENCH)/tests/bench/%.o)
BENCH_MEMORY := $(BENCH)/tests/bench/memory.o
BENCH_OBJECTS := $(BENCH_MEASURED) $(filter-out $(BENCH_MAINS) $(BENCH_MEMORY),$(BENCH_HARNESS))
# The same for library and floors. Where code lies moves tight loops by more than what they do.
BENCH_FLAGS = $(strip $(CC) $(WARNINGS) -Iinclude -Isrc -Isrc/arch/$(HOST) -Itests/bench \
	-falign-loops=64 -falign-functions=64 $(CFLAGS))
$(BENCH_MEASURED): BENCH_EXTRA = -std=c11 -ffreestanding $(MACHINE_$(HOST))
$(BENCH_HARNESS): BENCH_EXTRA = -std=gnu11

## bench           every workload against its floor; fails above a limit (WORKLOAD=text FORMAT=text)
bench: $(BENCH)/bench
	$(Q)$(BENCH)/bench $(BUILD)/bench.tsv "$(WORKLOAD)" "$(FORMAT)"

## bench-plot      pictures of how cost grows with size, regions and CPUs: build/bench-*.svg (FORMAT=NPT)
bench-plot: $(BENCH)/plot
	$(need) gnuplot
	$(Q)$(BENCH)/plot $(BUILD)/bench "$(or $(FORMAT),EPT)"
	$(Q)gnuplot -e 'prefix = "$(BUILD)/bench"; format = "$(or $(FORMAT),EPT)"' tests/bench/plot.gp

## bench-instructions  instructions of each operation, held against tests/bench/instructions.tsv;
##                 fails if some are more (UPDATE=1 writes the table)
bench-instructions: $(BENCH)/instructions
	$(Q)$(SCRIPTS)/instructions $< "$(HOST), $(COMPILER_VERSION), $(CFLAGS)" $(UPDATE)

# Counts hold for one compiler and one set of flags.
COMPILER_VERSION = $(COMPILER) $(shell $(CC) -dumpfullversion 2>/dev/null || $(CC) -dumpversion)

$(BENCH)/instructions: $(BENCH_MEMORY)
# Valgrind cannot read all that compilers write for debuggers.
$(BENCH)/instructions: LINK_EXTRA = -s

$(BENCH_PROGRAMS:%=$(BENCH)/%): $(BENCH)/%: $(BENCH)/tests/bench/%.o $(BENCH_OBJECTS)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $^ -o $@ -pthread $(LINK_EXTRA)

$(BENCH_MEASURED) $(BENCH_HARNESS): $(BENCH)/%.o: %.c $(BENCH)/flags | need-bench
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(BENCH_FLAGS) $(BENCH_EXTRA) $(DEPENDENCIES) -c $< -o $@

$(BENCH)/flags: FORCE
	$(call stamp,$@,$(BENCH_FLAGS))

need-bench:
	$(need) host $(CLANG)

$(BENCH)/tests/bench/instructions.o: | need-valgrind

need-valgrind:
	$(need) valgrind

# --- test hypervisors: freestanding programs on the archive ------------------------------------------

# story: one guest's story, told; exerciser: hardware held against the library; linux: unmodified Linux.
PROGRAM ?= story
# What a program consists of: what all have in common, its own, the architecture's, and the
# architecture's part in it. A program without a guest of its own needs none of guest_*.
HYPERVISOR := $(BUILD)/hypervisor/$(ARCH)
HYPERVISOR_ELF := $(HYPERVISOR)/$(PROGRAM).elf
HYPERVISOR_FOLDERS := tests/hypervisor tests/hypervisor/$(PROGRAM) tests/hypervisor/$(ARCH) \
	tests/hypervisor/$(ARCH)/$(PROGRAM)
HYPERVISOR_GUEST := $(wildcard tests/hypervisor/$(PROGRAM)/guest*.c)
HYPERVISOR_SOURCES := $(sort $(filter-out $(if $(HYPERVISOR_GUEST),,tests/hypervisor/$(ARCH)/guest_%),\
	$(foreach folder,$(HYPERVISOR_FOLDERS),$(wildcard $(folder)/*.c $(folder)/*.S))))
HYPERVISOR_OBJECTS := $(HYPERVISOR_SOURCES:%=$(HYPERVISOR)/$(PROGRAM)/%.o)
HYPERVISOR_FLAGS = $(strip $(TARGET_CC) $(FREESTANDING) $(WARNINGS) -Iinclude \
	$(HYPERVISOR_FOLDERS:%=-I%) $(if $(filter linux,$(PROGRAM)),-I$(LINUX)) $(CFLAGS))
HYPERVISOR_LINK := tests/hypervisor/$(ARCH)/link.ld

# PCs boot without knowing of ELF: the same program as it stands in memory, and a ROM that jumps there.
HYPERVISOR_BOOT := $(if $(filter x86_64,$(ARCH)),$(HYPERVISOR_ELF:.elf=.bin) $(HYPERVISOR)/rom.bin)

hypervisor: $(HYPERVISOR_ELF) $(HYPERVISOR_BOOT)

$(HYPERVISOR_ELF): $(HYPERVISOR_OBJECTS) $(LIBRARY) $(HYPERVISOR_LINK)
	$(call say,LD,$@)
	$(Q)$(CROSS)ld -nostdlib -static --build-id=none -z noexecstack -T $(HYPERVISOR_LINK) \
		$(HYPERVISOR_OBJECTS) $(LIBRARY) -o $@

$(HYPERVISOR_OBJECTS): $(HYPERVISOR)/$(PROGRAM)/%.o: % $(HYPERVISOR)/$(PROGRAM)/flags | need-compiler
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(HYPERVISOR_FLAGS) $(DEPENDENCIES) -c $< -o $@

$(HYPERVISOR)/$(PROGRAM).bin: $(HYPERVISOR_ELF)
	$(Q)$(CROSS)objcopy -O binary $< $@

$(HYPERVISOR)/rom.bin: tests/hypervisor/x86_64/rom/rom.S tests/hypervisor/x86_64/machine_layout.h | need-compiler
	$(call say,ROM,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(TARGET_CC) $(FREESTANDING) -Itests/hypervisor/x86_64 -c $< -o $@.o
	$(Q)$(CROSS)ld -nostdlib -static -Ttext=0xffff0000 -e rom --oformat=binary $@.o -o $@

$(HYPERVISOR)/$(PROGRAM)/flags: FORCE
	$(call stamp,$@,$(HYPERVISOR_FLAGS))

# --- what the linux program boots: Debian's kernel, an init of ours, a devicetree --------------------

LINUX := $(BUILD)/linux/$(ARCH)
# For fetch-package: architecture, suite, the newest of these packages, and the kernel's place in it.
LINUX_PACKAGE_aarch64 := arm64 bookworm 'linux-image-[0-9]*-cloud-arm64' 'boot/vmlinuz-*'
# The digest: mirrors have been seen whose list for riscv64 is older than the signature on it.
LINUX_PACKAGE_riscv64 := riscv64 trixie 'linux-image-[0-9]*-riscv64' 'boot/vmlinux-*' \
	pool/main/l/linux/linux-image-6.12.107+deb13-riscv64_6.12.107-1_riscv64.deb \
	abe9f65d74b434692149482b031db7a2aaf832921e09f69f775293c0e0c5799c
LINUX_IMAGES := $(LINUX)/Image $(LINUX)/machine.dtb $(LINUX)/initrd
LINUX_INIT_FOLDERS := tests/hypervisor/linux/init tests/hypervisor/$(ARCH)/linux/init \
	tests/hypervisor/linux tests/hypervisor/$(ARCH)/linux tests/hypervisor tests/hypervisor/$(ARCH)
LINUX_INIT_SOURCES := $(sort $(wildcard tests/hypervisor/linux/init/*.c \
	tests/hypervisor/$(ARCH)/linux/init/*.S)) $(addprefix tests/hypervisor/,libc.c print.c spin.c)
LINUX_INIT_OBJECTS := $(LINUX_INIT_SOURCES:%=$(LINUX)/init-objects/%.o)
LINUX_INIT_FLAGS = $(strip $(TARGET_CC) $(FREESTANDING) $(WARNINGS) -Iinclude \
	$(LINUX_INIT_FOLDERS:%=-I%) $(CFLAGS))

linux-images: $(LINUX_IMAGES)

# Downloaded once: `make clean` is how to get a newer one.
$(LINUX)/Image:
	$(Q)mkdir -p $(@D)
	$(Q)$(SCRIPTS)/fetch-package $@ $(LINUX_PACKAGE_$(ARCH))

$(LINUX)/machine.dtb: tests/hypervisor/$(ARCH)/linux/machine.dts \
		tests/hypervisor/$(ARCH)/linux/linux_layout.h | need-linux
	$(call say,DTC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(TARGET_CC) -E -P -undef -nostdinc -x assembler-with-cpp $< | dtc -q -I dts -O dtb -o $@ -

$(LINUX)/init: $(LINUX_INIT_OBJECTS)
	$(call say,LD,$@)
	$(Q)$(CROSS)ld -nostdlib -static --build-id=none -z noexecstack $^ -o $@.whole
	$(Q)$(CROSS)strip -o $@ $@.whole

$(LINUX_INIT_OBJECTS): $(LINUX)/init-objects/%.o: % $(LINUX)/flags | need-compiler
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(LINUX_INIT_FLAGS) $(DEPENDENCIES) -c $< -o $@

$(LINUX)/flags: FORCE
	$(call stamp,$@,$(LINUX_INIT_FLAGS))

# bsdtar writes device nodes from a list, without being root.
$(LINUX)/initrd: tests/hypervisor/linux/init/initramfs.mtree $(LINUX)/init | need-linux
	$(call say,CPIO,$@)
	$(Q)cd $(@D) && bsdtar -c -f initrd --format=newc @- <$(abspath $<)

need-linux:
	$(need) linux

$(HYPERVISOR)/linux/tests/hypervisor/linux/images.S.o: $(LINUX_IMAGES)

# --- boots ---------------------------------------------------------------------------------------------

# The machines that an architecture's programs run on; the first one is the demo's.
MACHINES_x86_64 := ept npt npt-5 npt-bochs
MACHINES_aarch64 := stage2-max stage2-a72
MACHINES_riscv64 := gstage
RUN := tests/hypervisor/run

# $(call build-program,ARCH,PROGRAM)
build-program = +$(Q)$(MAKE) --no-print-directory hypervisor ARCH=$(1) PROGRAM=$(2) CROSS_COMPILE=

## demo            a hypervisor on the archive boots on an emulated machine and tells its guest's story
##                 (ARCH=aarch64 unless given; riscv64, x86_64)
demo: DEMO_ARCH := $(if $(filter file,$(origin ARCH)),aarch64,$(ARCH))
demo:
	$(need) $(DEMO_ARCH) emulator-$(DEMO_ARCH) $(CLANG)
	$(call build-program,$(DEMO_ARCH),story)
	$(Q)$(RUN) $(firstword $(MACHINES_$(DEMO_ARCH))) $(BUILD)/hypervisor/$(DEMO_ARCH)/story.elf

## boot-ARCH       exerciser and story on every emulated machine of the architecture
BOOTS := $(ARCHES:%=boot-%)
$(BOOTS): boot-%:
	$(need) $* emulator-$* $(CLANG)
	$(call build-program,$*,exerciser)
	$(call build-program,$*,story)
	$(Q)$(RUN) --each "$(MACHINES_$*)" $(BUILD)/hypervisor/$*/exerciser.elf $(BUILD)/hypervisor/$*/story.elf

## boot-negative   what the hypervisors leave out on purpose must be found out, on each machine that can show it
boot-negative:
	$(need) $(ARCHES) $(ARCHES:%=emulator-%) $(CLANG)
	+$(Q)for arch in $(ARCHES); do $(MAKE) --no-print-directory hypervisor ARCH=$$arch PROGRAM=exerciser \
		CROSS_COMPILE= || exit; done
	$(Q)$(RUN)-negatives $(BUILD) exerciser $(foreach arch,$(ARCHES),$(MACHINES_$(arch):%=$(arch)/%))

LINUX_ARCHES := aarch64 riscv64
LINUX_BOOTS := $(LINUX_ARCHES:%=boot-linux-%)

## boot-linux-ARCH unmodified Debian Linux on two CPUs, its memory evicted, moved and protected meanwhile,
##                 on each emulated machine, its lazy memory by 4 KiB, by 2 MiB, and by 2 MiB where the
##                 frame pool is full of holes (aarch64, riscv64; RUNS=n times)
$(LINUX_BOOTS): boot-linux-%:
	$(need) $* emulator-$* linux $(CLANG)
	$(call build-program,$*,linux)
	$(Q)TIME_LIMIT=180 $(RUN)-linux $(BUILD)/hypervisor/$*/linux.elf \
		$(foreach run,$(shell seq $(or $(RUNS),1)),$(MACHINES_$*))

## boot-linux-negative  the same with a hypervisor that leaves something out: Linux must come to harm
boot-linux-negative:
	$(need) $(LINUX_ARCHES) $(LINUX_ARCHES:%=emulator-%) linux $(CLANG)
	+$(Q)for arch in $(LINUX_ARCHES); do $(MAKE) --no-print-directory hypervisor ARCH=$$arch PROGRAM=linux \
		CROSS_COMPILE= || exit; done
	$(Q)$(RUN)-negatives $(BUILD) linux $(foreach arch,$(LINUX_ARCHES),$(MACHINES_$(arch):%=$(arch)/%))

# --- reports and promises ---------------------------------------------------------------------------

## size            bytes of text for each format at -O2 and -Os, against the aims
size: need-libs
	+$(Q)for level in O2 Os; do $(MAKE) --no-print-directory libs BUILD=$(BUILD)/size/$$level \
		CFLAGS=-$$level V=$(V) >/dev/null || exit; done
	$(Q)$(SCRIPTS)/size $(BUILD)/size $(ARCHES)

## stack           the largest stack of each public call, per architecture, from gcc's own figures
stack: need-libs
	$(call each-arch,stack-arch CC=gcc)

stack-arch: $(LIBRARY)
	$(Q)$(SCRIPTS)/stack $(ARCH) $(STACK_LIMIT) $(LIBRARY_OBJECTS:.o=.ci)

## freestanding    symbols, sections, registers and indirect calls of the three archives
freestanding: need-libs
	$(call each-arch,freestanding-arch CC=gcc)

freestanding-arch: $(LIBRARY)
	$(Q)$(SCRIPTS)/freestanding $(ARCH) $(CROSS) $(LIBRARY)

## headers-check   each public header by itself, as C11 and as C++17
headers-check:
	$(need) host c++ clang
	$(Q)$(SCRIPTS)/headers include/addrspace/*.h

## example         the examples of README.md, compiled against the host's archive and run
example: need-compiler
	+$(Q)$(MAKE) --no-print-directory all ARCH=$(HOST) CROSS_COMPILE=
	$(Q)$(SCRIPTS)/example README.md $(BUILD)/$(HOST)/libaddrspace.a $(BUILD)/example $(CC)

FORMATTED = $(sort $(shell find include src tests -name '*.[ch]'))

## format          clang-format over all sources
format: need-format
	$(Q)clang-format -i $(FORMATTED)

## format-check    fails if `make format` would change anything
format-check: need-format
	$(Q)clang-format --dry-run -Werror $(FORMATTED)

need-format:
	$(need) format

# --- everything -------------------------------------------------------------------------------------

## check           all of the above; the last line is `N passed, N failed`
check:
	+$(Q)BUILD=$(BUILD) MAKE=$(MAKE) SEEDS=0 BOOTS=0 $(SCRIPTS)/check

## check-long      check, then many seeds and repeated boots (SEEDS=100 BOOTS=20)
check-long:
	+$(Q)BUILD=$(BUILD) MAKE=$(MAKE) SEEDS=$(or $(SEEDS),100) BOOTS=$(or $(BOOTS),20) $(SCRIPTS)/check

## deps            installs what the targets need and the machine lacks
deps:
	$(need) all

## clean           removes BUILD
clean:
	$(Q)rm -rf $(BUILD)

## help            this list
help:
	@sed -n 's/^## /  /p' Makefile
	@echo
	@echo '  ARCH=$(ARCH)  CC=$(CC)  CROSS_COMPILE=$(CROSS)  CFLAGS="$(CFLAGS)"  BUILD=$(BUILD)  V=1: verbose'

FORCE:
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all libs unit unit-build unit-sanitize unit-threads \
	unit-threads-run bench bench-plot bench-instructions hypervisor demo boot-negative \
	boot-linux-negative $(BOOTS) $(LINUX_BOOTS) \
	linux-images size stack stack-arch freestanding freestanding-arch headers-check example \
	format format-check check \
	check-long deps clean help need-compiler need-libs need-unit need-bench need-valgrind need-linux need-format FORCE
.DEFAULT_GOAL := all

-include $(LIBRARY_OBJECTS:.o=.d) $(HYPERVISOR_OBJECTS:.o=.d)
-include $(LINUX_INIT_OBJECTS:.o=.d)
-include $(BENCH_MEASURED:.o=.d) $(BENCH_HARNESS:.o=.d)
-include $(UNIT_SHARED:.o=.d) $(UNIT_TESTS:$(UNIT)/%=$(UNIT)/tests/unit/%.d)
