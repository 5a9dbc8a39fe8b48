#include "vmm/boot/aml.h"

#include <string.h>

#include "base/check.h"

/* Encodings: 20.2. */
enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    PREFIX_BYTE = 0x0a,
    PREFIX_WORD = 0x0b,
    PREFIX_DWORD = 0x0c,
    PREFIX_STRING = 0x0d,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    PREFIX_DUAL = 0x2e,
    PREFIX_ROOT = 0x5c,
    PREFIX_EXTENDED = 0x5b,
    OP_DEVICE = 0x82,
    OP_NOTIFY = 0x86
};

/* Large and small resource descriptors: 6.4. */
enum { RESOURCE_IRQ = 0x22, RESOURCE_PORTS = 0x47, RESOURCE_END = 0x79, RESOURCE_DWORD = 0x87, RESOURCE_WORD = 0x88 };
enum { SPACE_MEMORY = 0, SPACE_PORTS = 1, SPACE_BUS = 2 };
#define SPACE_FIXED     0x0c /* producer, positive decode, minimum and maximum fixed */
#define PORTS_ALL       0x03 /* ISA and non-ISA ranges */
#define MEMORY_WRITABLE 0x01

/* A package length with room for any size that occurs: three bytes, 20.2.4. */
#define LENGTH_BYTES 3

static void put(struct aml *aml, uint8_t byte)
{
    bytes_put_uint(aml->out, 1, byte);
}

static void put_name(struct aml *aml, const char *name)
{
    CHECK(strlen(name) == (name[0] == '\\' ? 5 : 4));
    bytes_put(aml->out, name, strlen(name));
}

static void open_length(struct aml *aml)
{
    CHECK(aml->depth < AML_DEPTH);
    bytes_reserve(aml->out, LENGTH_BYTES);
    aml->open[aml->depth++] = aml->out->length;
}

/* The length counts itself. Bits 7-6 of the first byte: how many bytes follow; bits 3-0 are the lowest of the length.
 */
static void close_length(struct aml *aml)
{
    CHECK(aml->depth > 0);
    size_t start = aml->open[--aml->depth];
    if (aml->out->failed)
        return;
    size_t length = aml->out->length - start + LENGTH_BYTES;
    uint8_t *at = aml->out->data + start - LENGTH_BYTES;
    CHECK(length < 1u << 20);
    at[0] = (uint8_t)((LENGTH_BYTES - 1) << 6 | (length & 15));
    at[1] = (uint8_t)(length >> 4);
    at[2] = (uint8_t)(length >> 12);
}

void aml_scope(struct aml *aml, const char *name)
{
    put(aml, OP_SCOPE);
    open_length(aml);
    put_name(aml, name);
}

void aml_device(struct aml *aml, const char *name)
{
    put(aml, PREFIX_EXTENDED);
    put(aml, OP_DEVICE);
    open_length(aml);
    put_name(aml, name);
}

void aml_package(struct aml *aml, unsigned elements)
{
    CHECK(elements < 256);
    put(aml, OP_PACKAGE);
    open_length(aml);
    put(aml, (uint8_t)elements);
}

void aml_end(struct aml *aml)
{
    close_length(aml);
}

void aml_name(struct aml *aml, const char *name)
{
    put(aml, OP_NAME);
    put_name(aml, name);
}

void aml_integer(struct aml *aml, uint32_t value)
{
    if (value <= 1) {
        put(aml, value ? OP_ONE : OP_ZERO);
        return;
    }
    unsigned width = value < 0x100 ? 1 : value < 0x10000 ? 2 : 4;
    put(aml, width == 1 ? PREFIX_BYTE : width == 2 ? PREFIX_WORD : PREFIX_DWORD);
    bytes_put_uint(aml->out, width, value);
}

void aml_string(struct aml *aml, const char *text)
{
    put(aml, PREFIX_STRING);
    bytes_put(aml->out, text, strlen(text) + 1);
}

void aml_event(struct aml *aml, const char *event, const char *scope, const char *device, uint8_t value)
{
    put(aml, OP_METHOD);
    open_length(aml);
    put_name(aml, event);
    put(aml, 0); /* no arguments */
    put(aml, OP_NOTIFY);
    put(aml, PREFIX_ROOT);
    put(aml, PREFIX_DUAL);
    put_name(aml, scope);
    put_name(aml, device);
    aml_integer(aml, value);
    close_length(aml);
}

static unsigned hex_digit(char digit)
{
    return (unsigned)(digit <= '9' ? digit - '0' : digit - 'A' + 10);
}

/* Three letters of five bits each and four hexadecimal digits, the highest byte first: 19.6.36. */
void aml_hardware_id(struct aml *aml, const char *id)
{
    CHECK(strlen(id) == 7);
    uint32_t value = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 | (uint32_t)(id[2] - '@') << 16;
    for (unsigned i = 0; i < 4; i++)
        value |= hex_digit(id[3 + i]) << (12 - 4 * i);
    aml_name(aml, "_HID");
    put(aml, PREFIX_DWORD);
    bytes_put_uint(aml->out, 4, __builtin_bswap32(value));
}

/* A buffer's size stands before its bytes, as an integer; here always of two bytes. */
#define BUFFER_SIZE_BYTES 3

void aml_resources(struct aml *aml)
{
    aml_name(aml, "_CRS");
    put(aml, OP_BUFFER);
    open_length(aml);
    bytes_reserve(aml->out, BUFFER_SIZE_BYTES);
}

void aml_resource_ports(struct aml *aml, uint16_t base, uint8_t length)
{
    put(aml, RESOURCE_PORTS);
    put(aml, 1); /* all 16 address bits are decoded */
    bytes_put_uint(aml->out, 2, base);
    bytes_put_uint(aml->out, 2, base);
    put(aml, 1);
    put(aml, length);
}

void aml_resource_irq(struct aml *aml, unsigned line)
{
    put(aml, RESOURCE_IRQ);
    bytes_put_uint(aml->out, 2, 1u << line);
}

static void put_window(struct aml *aml, unsigned width, uint8_t space, uint8_t flags, uint32_t first, uint32_t last)
{
    put(aml, width == 2 ? RESOURCE_WORD : RESOURCE_DWORD);
    bytes_put_uint(aml->out, 2, 3 + 5 * width);
    put(aml, space);
    put(aml, SPACE_FIXED);
    put(aml, flags);
    bytes_put_uint(aml->out, width, 0); /* granularity */
    bytes_put_uint(aml->out, width, first);
    bytes_put_uint(aml->out, width, last);
    bytes_put_uint(aml->out, width, 0); /* translation */
    bytes_put_uint(aml->out, width, last - first + 1);
}

void aml_resource_bus(struct aml *aml, uint16_t first, uint16_t last)
{
    put_window(aml, 2, SPACE_BUS, 0, first, last);
}

void aml_resource_port_window(struct aml *aml, uint16_t first, uint16_t last)
{
    put_window(aml, 2, SPACE_PORTS, PORTS_ALL, first, last);
}

void aml_resource_memory_window(struct aml *aml, uint32_t first, uint32_t last)
{
    put_window(aml, 4, SPACE_MEMORY, MEMORY_WRITABLE, first, last);
}

void aml_resources_end(struct aml *aml)
{
    put(aml, RESOURCE_END);
    put(aml, 0); /* no checksum */
    size_t start = aml->open[aml->depth - 1];
    if (!aml->out->failed) {
        aml->out->data[start] = PREFIX_WORD;
        bytes_store(aml->out->data + start + 1, 2, aml->out->length - start - BUFFER_SIZE_BYTES);
    }
    close_length(aml);
}
