# Encore: one Makefile, no configure step. `make help` lists the targets.
# Nothing here needs a compiler before a rule runs, so that `make deps` can fetch one.
ifeq ($(origin CC),default)
CC      := gcc
endif
PREFIX  ?= /usr/local
DESTDIR ?=

# `make SAN=1 ...` builds with AddressSanitizer and UndefinedBehaviorSanitizer, into a directory of its own.
ifdef SAN
BUILD   ?= build-san
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

# `make TSAN=1 ...` builds with ThreadSanitizer, likewise.
ifdef TSAN
BUILD   ?= build-tsan
SANITIZE := -fsanitize=thread
endif
BUILD   ?= build

# KVM's ABI has structs that end in an array of no size; the entries follow them in structs of ours, as GNU C allows.
WARN    := -Wall -Wextra -Wimplicit-fallthrough -Wshadow -Werror -Wno-gnu-variable-sized-type-not-at-end
CFLAGS  ?= -O2 -g
CSTD    := -std=gnu17 -D_GNU_SOURCE
ALL_CFLAGS = $(CSTD) $(WARN) $(CFLAGS) $(SANITIZE) -I. -pthread -MMD -MP
LIBS      := -lzstd -llz4 -lxxhash -ljansson -lsodium -lslirp -lZydis -lquadmath -lm
ALL_LIBS   = $(SANITIZE) -pthread $(LIBS)

# What must be installed, by the names of Debian 12: for building, and for testing.
BUILD_DEPS := gcc libc6-dev libzstd-dev liblz4-dev libxxhash-dev libjansson-dev libsodium-dev \
              libcurl4-openssl-dev libslirp-dev libzydis-dev
TEST_DEPS  := libcmocka-dev clang-format cppcheck mandoc etcd-server acpica-tools qemu-user iproute2 prometheus

# For making the Linux guest.
LINUX_DEPS := cpio e2fsprogs gzip

# The rooms of the house; see docs/architecture.md for what a line in each may touch.
ROOMS   := base logs vmm vmm/devices vmm/boot vmm/host vmm/kvm vmm/soft replay replication
SOURCES := $(wildcard $(addsuffix /*.c,$(ROOMS)))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
TOOLS   := $(wildcard tools/*.c)
UNITS   := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNITS:tests/unit/%.c=$(BUILD)/tests/unit/%)
INTEGRATION := $(wildcard tests/integration/*.c)
INTEGRATION_BINS := $(INTEGRATION:tests/integration/%.c=$(BUILD)/tests/integration/%)
TEST_TOOLS := $(patsubst %,$(BUILD)/tests/tools/%,dump_tables failing_allocations link_proxy lying_primary on_terminal \
                poison_cache poke signal_at wire)
BENCHES := $(patsubst %,$(BUILD)/bench/%,checkpoint startup ticks replicated pauses soft_loops soft_dispatch)
FUZZERS := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BINS := $(FUZZERS:tests/fuzz/%.c=$(BUILD)/tests/fuzz/%)

comma := ,

# V=1 shows the commands themselves.
ifndef V
Q := @
say = @echo "  $(1)"
endif

all: encore guests ## Build the command and the guests (default)

# A stack of 128 KiB is enough for the command (ulimit -s); the sanitizers' frames are larger.
ifndef SAN
$(OBJECTS) $(TOOLS:%.c=$(BUILD)/%.o): FRAMES := -Wframe-larger-than=40000
endif

encore: $(BUILD)/encore ## Build the command: build/encore

$(BUILD)/libencore.a: $(OBJECTS)
	@rm -f $@
	$(call say,AR    $@)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/encore: $(TOOLS:%.c=$(BUILD)/%.o) $(BUILD)/libencore.a
	$(call say,LINK  $@)
	$(Q)$(CC) -o $@ $^ $(ALL_LIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC    $<)
	$(Q)$(CC) $(ALL_CFLAGS) $(FRAMES) -c -o $@ $<

$(BUILD)/tests/%: tests/%.c $(BUILD)/libencore.a
	@mkdir -p $(@D)
	$(call say,TEST  $<)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(filter %.o,$^) $(BUILD)/libencore.a -lcmocka $(ALL_LIBS)

# Of the command itself, what is worth a test of its own.
$(BUILD)/tests/unit/test_quantity: $(BUILD)/tools/quantity.o
$(BUILD)/tests/unit/test_time_stamp: $(BUILD)/tools/time_stamp.o

# The truth harness is a program of several files.
$(BUILD)/tests/integration/truth: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/soft/truth_*.c))

# So is the simulation of the replication protocol.
$(BUILD)/tests/integration/replication_sim: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/simulation/*.c))

# Every fuzz target can run without libFuzzer.
$(FUZZ_BINS): $(BUILD)/tests/fuzz/main.o
$(BUILD)/tests/fuzz/fuzz_soft_run: $(BUILD)/tests/fuzz/soft_world.o

$(BUILD)/tests/integration/lengths $(BUILD)/tests/fuzz/fuzz_soft_decode: $(BUILD)/tests/soft/lengths.o

# bench/*.c make the machine as `encore` does.
BENCH_TOOLS := $(patsubst %,$(BUILD)/tools/%.o,guest guest_disks find_files file_places disk_digest progress time_stamp)
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/bench/bench_guest.o $(BENCH_TOOLS) $(BUILD)/libencore.a
	$(call say,LINK  $@)
	$(Q)$(CC) -o $@ $^ $(ALL_LIBS)

# `encore` itself, with the functions that bench/pauses.c measures put behind a stopwatch.
$(BUILD)/bench/pauses: $(BUILD)/bench/pauses.o $(TOOLS:%.c=$(BUILD)/%.o) $(BUILD)/libencore.a
	$(call say,LINK  $@)
	$(Q)$(CC) -o $@ $^ -Wl,--wrap=machine_digest,--wrap=log_writer_checkpoint_end \
	    -Wl,--wrap=checkpoint_restore,--wrap=machine_run $(ALL_LIBS)

# `encore` itself, one of whose allocations fails.
$(BUILD)/tests/tools/failing_allocations: $(BUILD)/tests/tools/failing_allocations.o $(TOOLS:%.c=$(BUILD)/%.o) \
                                          $(BUILD)/libencore.a
	$(call say,LINK  $@)
	$(Q)$(CC) -o $@ $^ $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc aligned_alloc strdup strndup) $(ALL_LIBS)

# `encore` itself, whose primary lies to its backup.
$(BUILD)/tests/tools/lying_primary: $(BUILD)/tests/tools/lying_primary.o $(TOOLS:%.c=$(BUILD)/%.o) $(BUILD)/libencore.a
	$(call say,LINK  $@)
	$(Q)$(CC) -o $@ $^ -Wl,--wrap=follower_record $(ALL_LIBS)

guests: ## Build our own guests: build/guests/NAME

# guests.mk asks the compiler where its headers are, and so has to wait until there is one.
ifneq ($(shell command -v $(firstword $(CC))),)
-include guests/guests.mk
endif

other-guests: guests ## Make guests of Debian's memtest86+, SeaBIOS, GRUB, iPXE and Xen: build/other
	@tools/other_guests.sh $(BUILD)/other $(BUILD)/guests/mbhello

units: $(UNIT_BINS) ## Build the unit tests
integration: $(INTEGRATION_BINS) $(TEST_TOOLS) $(FUZZ_BINS) ## Build those integration tests that are programs
bench-programs: $(BENCHES) ## Build what the benchmarks need

linux-guest: ## Make a Linux guest of Debian's packages: build/linux/{vmlinuz,initrd,disk.img}
	@tools/deps.sh $(LINUX_DEPS)
	@tools/linux_guest.sh $(BUILD)/linux

deps: ## Install missing Debian packages, for building and testing
	@tools/deps.sh $(BUILD_DEPS) $(TEST_DEPS) $(LINUX_DEPS)

# These start from nothing: the packages first, and then a make that can see them.
demo: ## Install what is missing, build, then record and replay a guest
	@tools/deps.sh $(BUILD_DEPS)
	@$(MAKE) --no-print-directory encore guests
	@tools/demo.sh $(BUILD)

demo-failover: ## Kill the machine that a guest runs on, twice, and lose nothing
	@tools/deps.sh $(BUILD_DEPS)
	@$(MAKE) --no-print-directory encore guests
	@tools/demo_failover.sh $(BUILD)

test: deps ## Run all tests; the last line counts them
	@MAKE="$(MAKE)" BUILD="$(BUILD)" tests/run

unit: ## Run the unit tests only
	@MAKE="$(MAKE)" BUILD="$(BUILD)" tests/run unit

lint: encore ## Check format, cppcheck, the one door, sizes, the man page
	@BUILD="$(BUILD)" tests/lint/lint.sh

# Coverage-guided, each target for TIME seconds in one process; needs clang. Findings and corpora stay in build-fuzz.
TIME ?= 600
fuzz: ## Fuzz each target with libFuzzer for TIME=600 seconds
	@LIBS="$(LIBS)" tests/fuzz/libfuzzer.sh $(TIME) $(FUZZERS:tests/fuzz/%.c=%)

format: ## Bring all sources into format
	@tests/lint/sources.sh | xargs clang-format -i

bench: ## Measure; see bench/
	@$(MAKE) --no-print-directory encore guests bench-programs
	@bench/run $(BUILD)

BIN_DIR   = $(DESTDIR)$(PREFIX)/bin
MAN_DIR   = $(DESTDIR)$(PREFIX)/share/man/man1
DOC_DIR   = $(DESTDIR)$(PREFIX)/share/doc/encore
SHARE_DIR = $(DESTDIR)$(PREFIX)/share/encore

install: encore guests ## Install under PREFIX (/usr/local), below DESTDIR
	install -d $(BIN_DIR) $(MAN_DIR) $(DOC_DIR) $(SHARE_DIR)/guests
	install -m 755 $(BUILD)/encore $(BIN_DIR)/encore
	install -m 644 docs/encore.1 $(MAN_DIR)/encore.1
	install -m 644 $(wildcard README.md) CHANGELOG.md LICENSE $(wildcard docs/*.md) $(DOC_DIR)
	install -m 644 $(GUEST_BINS) $(SHARE_DIR)/guests

uninstall: ## Remove what install put there
	rm -f $(BIN_DIR)/encore $(MAN_DIR)/encore.1
	rm -rf $(DOC_DIR) $(SHARE_DIR)

clean: ## Remove everything that was built
	rm -rf $(BUILD) build-san build-fuzz $(BUILD)-clang

help: ## This list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16
	@echo "Settings: BUILD=DIR CC=gcc|clang CFLAGS=... SAN=1 (sanitizers) V=1 (show commands) PREFIX= DESTDIR="

.PHONY: all encore guests units integration linux-guest other-guests deps demo demo-failover test unit lint fuzz format bench bench-programs install uninstall clean help
.DELETE_ON_ERROR:
.SECONDARY: $(BENCHES:%=%.o) $(BUILD)/bench/bench_guest.o

-include $(shell find $(BUILD) \( -name linux -o -name other \) -prune -o -type f -name '*.d' -print 2>/dev/null)
