/*
 * Shared by the tests of the boot loaders: a machine's memory and processor, and loading an image from memory that ends
 * exactly where the image does, so that a sanitizer sees a read beyond it.
 */
#ifndef ENCORE_TESTS_TEST_BOOT_SUPPORT_H
#define ENCORE_TESTS_TEST_BOOT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "vmm/boot/boot.h"
#include "vmm/boot/boot_info.h"

#define TEST_RAM_SIZE 0x200000u

struct boot_fixture {
    struct ram ram;
    struct cpu_state cpu;
    struct error error;
    enum boot_protocol chosen;
};

static inline int boot_setup(void **state)
{
    struct boot_fixture *fixture = calloc(1, sizeof *fixture);
    if (!fixture || ram_create(&fixture->ram, TEST_RAM_SIZE, &fixture->error) != 0)
        return -1;
    *state = fixture;
    return 0;
}

static inline int boot_teardown(void **state)
{
    struct boot_fixture *fixture = *state;
    ram_destroy(&fixture->ram);
    free(fixture);
    return 0;
}

static inline int boot_try_options(struct boot_fixture *fixture, const void *image, size_t length,
                                   const struct boot_options *options)
{
    uint8_t *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, image, length);
    memset(&fixture->error, 0, sizeof fixture->error);
    fixture->chosen = BOOT_AUTO;
    int result =
        boot_load(&fixture->ram, &fixture->cpu, copy, length, "image", options, &fixture->chosen, &fixture->error);
    free(copy);
    if (result != 0) {
        /* Whatever is wrong, the sentence names the image. */
        assert_int_equal(fixture->error.kind, ERROR_INPUT);
        assert_true(strncmp(fixture->error.text, "image: ", 7) == 0);
    }
    return result;
}

static inline int boot_try(struct boot_fixture *fixture, const void *image, size_t length, const char *cmdline,
                           enum boot_protocol protocol)
{
    struct boot_options options = {.cmdline = cmdline, .protocol = protocol};

    return boot_try_options(fixture, image, length, &options);
}

/* Asserts that the image is refused with these words in the sentence. */
static inline void boot_refused_options(struct boot_fixture *fixture, const void *image, size_t length,
                                        const struct boot_options *options, const char *words)
{
    assert_int_equal(boot_try_options(fixture, image, length, options), -1);
    if (!strstr(fixture->error.text, words))
        fail_msg("\"%s\" does not say \"%s\"", fixture->error.text, words);
}

static inline void boot_refused(struct boot_fixture *fixture, const void *image, size_t length,
                                enum boot_protocol protocol, const char *words)
{
    struct boot_options options = {.cmdline = "", .protocol = protocol};

    boot_refused_options(fixture, image, length, &options, words);
}

/* One field of an image changed, and the words that the refusal must hold. */
struct boot_change {
    unsigned offset;
    unsigned width;
    uint64_t value;
    const char *words;
};

/* A module of `length` bytes, each of them `fill`; to be freed. */
static inline struct boot_module boot_module(size_t length, uint8_t fill, const char *text)
{
    uint8_t *bytes = malloc(length);

    assert_non_null(bytes);
    memset(bytes, fill, length);
    return (struct boot_module){.bytes = bytes, .length = length, .name = "module", .text = text};
}

static inline void boot_module_free(struct boot_module *module)
{
    free((void *)(uintptr_t)module->bytes);
}

/* That memory [address, address + length) holds the module, and the byte on either side of it does not. */
static inline void assert_module_at(const struct boot_fixture *fixture, uint64_t address,
                                    const struct boot_module *module)
{
    const uint8_t *ram = fixture->ram.bytes;

    assert_int_equal(address % RAM_PAGE_SIZE, 0);
    assert_true(address >= 0x100000 && address + module->length <= TEST_RAM_SIZE);
    assert_memory_equal(ram + address, module->bytes, module->length);
    assert_int_not_equal(ram[address - 1], module->bytes[0]);
    if (address + module->length < TEST_RAM_SIZE)
        assert_int_not_equal(ram[address + module->length], module->bytes[0]);
}

/* Loads the image cut short at every length, and with each byte of its first `header` replaced by several others: none
 * may do more than be refused. Returns how many were refused. */
static inline unsigned boot_try_hostile(struct boot_fixture *fixture, const uint8_t *image, size_t length,
                                        size_t header, enum boot_protocol protocol)
{
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    unsigned refused = 0;
    for (size_t cut = 0; cut < length; cut++)
        refused += boot_try(fixture, image, cut, "x", protocol) != 0;
    uint8_t *mutant = malloc(length);
    assert_non_null(mutant);
    for (size_t at = 0; at < header; at++) {
        memcpy(mutant, image, length);
        for (size_t i = 0; i < sizeof values + 8; i++) {
            mutant[at] = i < sizeof values ? values[i] : (uint8_t)(image[at] ^ 1u << (i - sizeof values));
            refused += boot_try(fixture, mutant, length, "x", protocol) != 0;
        }
    }
    free(mutant);
    return refused;
}

#endif
