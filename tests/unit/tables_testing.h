/*
 * Shared by the tests of the firmware's tables: memory with the tables in it, and finding them as an operating system
 * does.
 */
#ifndef ENCORE_TESTS_UNIT_TABLES_TESTING_H
#define ENCORE_TESTS_UNIT_TABLES_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "vmm/boot/firmware_tables.h"

static inline int tables_setup(void **state)
{
    static struct ram ram;
    struct error error;

    if (ram_create(&ram, 0x100000, &error) < 0)
        return -1;
    firmware_tables_install(&ram);
    *state = &ram;
    return 0;
}

static inline int tables_teardown(void **state)
{
    ram_destroy(*state);
    return 0;
}

static inline void assert_sum_is_zero(const uint8_t *bytes, size_t length)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    assert_int_equal(sum, 0);
}

/* The structure with this signature on a 16-byte boundary in [F0000h, 100000h); there must be one. */
static inline const uint8_t *find_anchor(const struct ram *ram, const char *signature)
{
    const uint8_t *found = NULL;

    for (uint32_t at = 0xf0000; at < 0x100000; at += 16) {
        if (memcmp(ram->bytes + at, signature, strlen(signature)) == 0) {
            assert_null(found);
            found = ram->bytes + at;
        }
    }
    assert_non_null(found);
    return found;
}

/* An ACPI table's whole length; its checksum must be right. */
static inline size_t table_length(const uint8_t *table)
{
    size_t length = bytes_load(table + 4, 4);

    assert_sum_is_zero(table, length);
    return length;
}

/* The table with this signature, by way of RSDP and XSDT; there must be one. */
static inline const uint8_t *find_table(const struct ram *ram, const char *signature)
{
    const uint8_t *xsdt = ram->bytes + bytes_load(find_anchor(ram, "RSD PTR ") + 24, 8), *found = NULL;

    for (size_t at = 36; at + 8 <= table_length(xsdt); at += 8) {
        const uint8_t *table = ram->bytes + bytes_load(xsdt + at, 8);
        if (memcmp(table, signature, 4) == 0) {
            assert_null(found);
            found = table;
        }
    }
    assert_non_null(found);
    return found;
}

/* The DSDT, which the FADT points to. */
static inline const uint8_t *find_dsdt(const struct ram *ram)
{
    return ram->bytes + bytes_load(find_table(ram, "FACP") + 140, 8);
}

/* Entry `index` of the MADT of this type: its bytes from the type on; NULL when there are not so many. */
static inline const uint8_t *madt_entry(const struct ram *ram, uint8_t type, unsigned index)
{
    const uint8_t *madt = find_table(ram, "APIC");

    for (size_t at = 44; at < table_length(madt); at += madt[at + 1]) {
        assert_true(madt[at + 1] >= 2);
        if (madt[at] == type && index-- == 0)
            return madt + at;
    }
    return NULL;
}

#endif
