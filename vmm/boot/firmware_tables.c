#include "vmm/boot/firmware_tables.h"

#include "base/check.h"

#define TABLE_ROOM FIRMWARE_GENERATION

void firmware_checksum(struct bytes_writer *out, size_t start, size_t at)
{
    uint8_t sum = 0;

    if (out->failed)
        return;
    out->data[at] = 0;
    for (size_t i = start; i < out->length; i++)
        sum = (uint8_t)(sum + out->data[i]);
    out->data[at] = (uint8_t)-sum;
}

static void install(struct ram *ram, uint64_t address, uint64_t end, struct bytes_writer *bytes)
{
    CHECK(!bytes->failed && bytes->length <= end - address && ram_write(ram, address, bytes->data, bytes->length));
    bytes_writer_free(bytes);
}

void firmware_tables_install(struct ram *ram)
{
    struct bytes_writer rsdp = bytes_writer(TABLE_ROOM), tables = bytes_writer(TABLE_ROOM);
    struct bytes_writer pointer = bytes_writer(TABLE_ROOM), mp = bytes_writer(TABLE_ROOM);

    acpi_tables_build(FIRMWARE_ACPI, &rsdp, &tables);
    mp_table_build(&pointer, &mp);
    install(ram, FIRMWARE_ACPI, FIRMWARE_ACPI + FIRMWARE_GENERATION, &tables);
    install(ram, FIRMWARE_RSDP, FIRMWARE_MP_TABLE, &rsdp);
    install(ram, FIRMWARE_MP, FIRMWARE_RSDP, &pointer);
    install(ram, FIRMWARE_MP_TABLE, FIRMWARE_END, &mp);
}

void firmware_tables_install_high(struct ram *ram)
{
    struct bytes_writer rsdp = bytes_writer(TABLE_ROOM), tables = bytes_writer(TABLE_ROOM);
    uint64_t base = firmware_tables_high(ram->size);

    acpi_tables_build((uint32_t)base, &rsdp, &tables);
    install(ram, base, base + FIRMWARE_GENERATION, &tables);
    bytes_writer_free(&rsdp);
}
