# Encore: one Makefile, no configure step. `make help` lists the targets.
CC      ?= gcc
BUILD   ?= build
PREFIX  ?= /usr/local

WARN    := -Wall -Wextra -Wimplicit-fallthrough -Wshadow -Werror
CFLAGS  ?= -O2 -g
CSTD    := -std=gnu17 -D_GNU_SOURCE
PKGS    := libzstd libxxhash jansson
ALL_CFLAGS = $(CSTD) $(WARN) $(CFLAGS) $(SANITIZE) -I. -pthread -MMD -MP
ALL_LIBS   = $(SANITIZE) -pthread -lzstd -lxxhash -ljansson

# The rooms of the house; see docs/architecture.md for what a line in each may touch.
ROOMS   := base logs vmm vmm/devices vmm/boot vmm/host vmm/kvm replay
SOURCES := $(wildcard $(addsuffix /*.c,$(ROOMS)))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
TOOLS   := $(wildcard tools/*.c)
UNITS   := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNITS:tests/unit/%.c=$(BUILD)/tests/unit/%)

all: $(BUILD)/encore

$(BUILD)/libencore.a: $(OBJECTS)
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/encore: $(TOOLS:%.c=$(BUILD)/%.o) $(BUILD)/libencore.a
	$(CC) -o $@ $^ $(ALL_LIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libencore.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -o $@ $^ -lcmocka $(ALL_LIBS)

.PHONY: all clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
