/* Writing AML: the encodings of the ACPI specification 6.5, 20.2, and the resource descriptors of 6.4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/boot/aml.h"

static void check(struct bytes_writer *out, const char *expected, size_t length)
{
    assert_false(out->failed);
    assert_int_equal(out->length, length);
    assert_memory_equal(out->data, expected, length);
    bytes_writer_clear(out);
}

#define CHECK_BYTES(out, bytes) check(out, bytes, sizeof bytes - 1)

/* 20.2.3: the shortest encoding of each value. */
static void integers(void **state)
{
    struct bytes_writer out = bytes_writer(100);
    struct aml aml = {.out = &out};
    (void)state;
    aml_integer(&aml, 0);
    CHECK_BYTES(&out, "\x00");
    aml_integer(&aml, 1);
    CHECK_BYTES(&out, "\x01");
    aml_integer(&aml, 2);
    CHECK_BYTES(&out, "\x0a\x02");
    aml_integer(&aml, 0xff);
    CHECK_BYTES(&out, "\x0a\xff");
    aml_integer(&aml, 0x100);
    CHECK_BYTES(&out, "\x0b\x00\x01");
    aml_integer(&aml, 0xffff);
    CHECK_BYTES(&out, "\x0b\xff\xff");
    aml_integer(&aml, 0x10000);
    CHECK_BYTES(&out, "\x0c\x00\x00\x01\x00");
    aml_integer(&aml, 0xffffffff);
    CHECK_BYTES(&out, "\x0c\xff\xff\xff\xff");
    bytes_writer_free(&out);
}

/* 19.3.4: EISA identifiers. */
static void hardware_ids(void **state)
{
    struct bytes_writer out = bytes_writer(100);
    struct aml aml = {.out = &out};
    (void)state;
    aml_hardware_id(&aml, "PNP0A03");
    CHECK_BYTES(&out, "\x08_HID\x0c\x41\xd0\x0a\x03");
    aml_hardware_id(&aml, "PNP0501");
    CHECK_BYTES(&out, "\x08_HID\x0c\x41\xd0\x05\x01");
    aml_hardware_id(&aml, "ACPF0B1");
    CHECK_BYTES(&out, "\x08_HID\x0c\x04\x70\xf0\xb1");
    bytes_writer_free(&out);
}

/* The length that a package says, 20.2.4; it counts its own bytes. */
static size_t package_length(const uint8_t *at)
{
    unsigned more = at[0] >> 6;
    size_t length = more ? at[0] & 0x0f : at[0] & 0x3f;

    for (unsigned i = 1; i <= more; i++)
        length |= (size_t)at[i] << (8 * i - 4);
    return length;
}

static void package_lengths(void **state)
{
    (void)state;
    for (unsigned size = 0; size < 70000; size += size < 300 ? 1 : 997) {
        struct bytes_writer out = bytes_writer(100000);
        struct aml aml = {.out = &out};
        aml_package(&aml, 1);
        for (unsigned i = 0; i < size; i++)
            bytes_put_uint(&out, 1, 0);
        aml_end(&aml);
        assert_int_equal(out.data[0], 0x12);
        assert_int_equal(package_length(out.data + 1), out.length - 1);
        bytes_writer_free(&out);
    }
}

/* Scope(\_SB_) { Device(PCI0) { Name(_UID, 0) } Device(PCI1) {} } */
static void nesting(void **state)
{
    struct bytes_writer out = bytes_writer(100);
    struct aml aml = {.out = &out};
    (void)state;
    aml_scope(&aml, "\\_SB_");
    aml_device(&aml, "PCI0");
    aml_name(&aml, "_UID");
    aml_integer(&aml, 0);
    aml_end(&aml);
    aml_device(&aml, "PCI1");
    aml_end(&aml);
    aml_end(&aml);
    assert_int_equal(aml.depth, 0);
    CHECK_BYTES(&out, "\x10\x80\x02\x00\\_SB_"
                      "\x5b\x82\x8d\x00\x00PCI0\x08_UID\x00"
                      "\x5b\x82\x87\x00\x00PCI1");
    bytes_writer_free(&out);
}

static void resources(void **state)
{
    struct bytes_writer out = bytes_writer(200);
    struct aml aml = {.out = &out};
    (void)state;
    aml_resources(&aml);
    aml_resources_end(&aml);
    CHECK_BYTES(&out, "\x08_CRS\x11\x88\x00\x00\x0b\x02\x00\x79\x00");
    aml_resources(&aml);
    aml_resource_ports(&aml, 0x3f8, 8);
    aml_resource_irq(&aml, 4);
    aml_resource_irq(&aml, 15);
    aml_resource_bus(&aml, 0, 0x7f);
    aml_resource_port_window(&aml, 0x1000, 0xffff);
    aml_resource_memory_window(&aml, 0xc0000000, 0xfebfffff);
    aml_resources_end(&aml);
    CHECK_BYTES(&out, "\x08_CRS\x11\x80\x05\x00\x0b\x4a\x00"
                      "\x47\x01\xf8\x03\xf8\x03\x01\x08"
                      "\x22\x10\x00\x22\x00\x80"
                      "\x88\x0d\x00\x02\x0c\x00\x00\x00\x00\x00\x7f\x00\x00\x00\x80\x00"
                      "\x88\x0d\x00\x01\x0c\x03\x00\x00\x00\x10\xff\xff\x00\x00\x00\xf0"
                      "\x87\x17\x00\x00\x0c\x01\x00\x00\x00\x00\x00\x00\x00\xc0\xff\xff\xbf\xfe"
                      "\x00\x00\x00\x00\x00\x00\xc0\x3e"
                      "\x79\x00");
    bytes_writer_free(&out);
}

/* Without room the writer says so, and nothing else happens. */
static void no_room(void **state)
{
    (void)state;
    for (size_t room = 0; room < 40; room++) {
        struct bytes_writer out = bytes_writer(room);
        struct aml aml = {.out = &out};
        aml_device(&aml, "COM1");
        aml_resources(&aml);
        aml_resource_ports(&aml, 0x3f8, 8);
        aml_resources_end(&aml);
        aml_end(&aml);
        assert_int_equal(out.failed, room < 31);
        bytes_writer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers), cmocka_unit_test(hardware_ids), cmocka_unit_test(package_lengths),
        cmocka_unit_test(nesting),  cmocka_unit_test(resources),    cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests_name("aml", tests, NULL, NULL);
}
