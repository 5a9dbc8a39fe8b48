# Our own guests: `make guests` puts them into $(BUILD)/guests/NAME; see docs/guests.md. Included by the top Makefile,
# and run from the repository's root. They are freestanding and reproducible: no build-id, and no path of this host.
GUESTS_ELF64 := kv tasks user sieve faulty storm windows disk tsc math
GUEST_BINS   := $(addprefix $(BUILD)/guests/,$(GUESTS_ELF64) mbhello bootsec biosboot reset priority poll)
GUEST_OBJ    := $(BUILD)/guests/obj

GUEST_COMMON := -std=gnu17 -O2 -g -ffile-prefix-map=$(CURDIR)=. $(WARN) -I. \
                -nostdinc -isystem $(shell $(CC) -print-file-name=include) \
                -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
                -fcf-protection=none -mgeneral-regs-only -MMD -MP
# The processor pushes interrupt frames where a red zone would be.
GUEST_CFLAGS64 := -m64 $(GUEST_COMMON) -mno-red-zone -ffunction-sections -fdata-sections
GUEST_CFLAGS32 := -m32 $(GUEST_COMMON)
GUEST_LDFLAGS  := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
                  -Wl,--gc-sections -Wl,--fatal-warnings

guests: $(GUEST_BINS)
.PHONY: guests

# Objects of the 64-bit guests, of the 32-bit ones (name.32.o), and of boot sectors.
$(GUEST_OBJ)/%.c.o: guests/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS64) -c -o $@ $<

$(GUEST_OBJ)/%.S.o: guests/%.S
	@mkdir -p $(@D)
	$(CC) -m64 -I. -MMD -MP -c -o $@ $<

$(GUEST_OBJ)/%.c.32.o: guests/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS32) -c -o $@ $<

$(GUEST_OBJ)/%.S.32.o: guests/%.S
	@mkdir -p $(@D)
	$(CC) -m32 -I. -MMD -MP -c -o $@ $<

# A guest of the elf64 protocol is its own folder's sources and the runtime's.
guest_objects  = $(patsubst guests/%,$(GUEST_OBJ)/%.o,$(wildcard $(foreach d,$(1),guests/$(d)/*.c guests/$(d)/*.S)))
GUEST_RUNTIME := $(call guest_objects,runtime)

define guest_elf64_rule
$(BUILD)/guests/$(1): $(call guest_objects,$(1) $(1)/program) $(GUEST_RUNTIME) $(2)
	$$(CC) -m64 $$(GUEST_LDFLAGS) -T $(2) -o $$@ $$(filter %.o,$$^)
endef
$(foreach guest,$(filter-out user,$(GUESTS_ELF64)),$(eval $(call guest_elf64_rule,$(guest),guests/runtime/guest.ld)))
$(eval $(call guest_elf64_rule,user,guests/user/user.ld))

$(BUILD)/guests/mbhello: $(GUEST_OBJ)/mbhello/main.c.32.o $(GUEST_OBJ)/mbhello/entry.S.32.o guests/mbhello/mbhello.ld
	$(CC) -m32 $(GUEST_LDFLAGS) -T guests/mbhello/mbhello.ld -o $@ $(filter %.o,$^)

define guest_sector_rule
$(BUILD)/guests/$(1): $(GUEST_OBJ)/$(1)/$(1).S.32.o
	$$(LD) -m elf_i386 --oformat binary -Ttext 0x7c00 --build-id=none -o $$@ $$<
endef
$(foreach guest,bootsec biosboot reset priority poll,$(eval $(call guest_sector_rule,$(guest))))

# A boot loader of the elf64 protocol for other monitors: `make guests-qemu` tries every guest under QEMU.
$(BUILD)/guests/stub: $(GUEST_OBJ)/test/stub.c.32.o $(GUEST_OBJ)/test/stub_entry.S.32.o guests/test/stub.ld
	$(CC) -m32 $(GUEST_LDFLAGS) -T guests/test/stub.ld -o $@ $(filter %.o,$^)

# What bench/soft.sh measures the soft engine and QEMU with.
$(BUILD)/guests/speed: $(GUEST_OBJ)/speed/main.c.32.o $(GUEST_OBJ)/speed/entry.S.32.o $(GUEST_OBJ)/speed/kernels.S.32.o \
                       guests/mbhello/mbhello.ld
	$(CC) -m32 $(GUEST_LDFLAGS) -T guests/mbhello/mbhello.ld -o $@ $(filter %.o,$^)

guests-qemu: guests $(BUILD)/guests/stub
	guests/test/run_qemu.sh $(BUILD)/guests
.PHONY: guests-qemu
