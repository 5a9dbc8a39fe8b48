#include "vmm/boot/firmware_tables.h"

#include "base/check.h"

/* Far more than any of the tables takes. */
#define TABLES_ROOM  8192
#define POINTER_ROOM 64

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

static void install(struct ram *ram, uint64_t address, uint64_t end, const struct bytes_writer *bytes)
{
    CHECK(!bytes->failed && bytes->length <= end - address && ram_write(ram, address, bytes->data, bytes->length));
}

void firmware_tables_install(struct ram *ram)
{
    uint8_t room[2][TABLES_ROOM], pointer_room[2][POINTER_ROOM];
    struct bytes_writer tables = bytes_writer_over(room[0], TABLES_ROOM), mp = bytes_writer_over(room[1], TABLES_ROOM);
    struct bytes_writer rsdp = bytes_writer_over(pointer_room[0], POINTER_ROOM);
    struct bytes_writer pointer = bytes_writer_over(pointer_room[1], POINTER_ROOM);

    acpi_tables_build(FIRMWARE_ACPI, &rsdp, &tables);
    mp_table_build(&pointer, &mp);
    install(ram, FIRMWARE_ACPI, FIRMWARE_ACPI + FIRMWARE_GENERATION, &tables);
    install(ram, FIRMWARE_RSDP, FIRMWARE_MP_TABLE, &rsdp);
    install(ram, FIRMWARE_MP, FIRMWARE_RSDP, &pointer);
    install(ram, FIRMWARE_MP_TABLE, FIRMWARE_END, &mp);
}

void firmware_tables_install_high(struct ram *ram)
{
    uint8_t room[TABLES_ROOM], pointer_room[POINTER_ROOM];
    struct bytes_writer tables = bytes_writer_over(room, TABLES_ROOM);
    struct bytes_writer rsdp = bytes_writer_over(pointer_room, POINTER_ROOM);
    uint64_t base = firmware_tables_high(ram->size);

    acpi_tables_build((uint32_t)base, &rsdp, &tables);
    install(ram, base, base + FIRMWARE_GENERATION, &tables);
}

void firmware_tables_root(uint64_t base, uint8_t rsdp[FIRMWARE_RSDP_SIZE])
{
    uint8_t room[TABLES_ROOM];
    struct bytes_writer tables = bytes_writer_over(room, TABLES_ROOM);
    struct bytes_writer root = bytes_writer_over(rsdp, FIRMWARE_RSDP_SIZE);

    acpi_tables_build((uint32_t)base, &root, &tables);
    CHECK(!root.failed && !tables.failed && root.length == FIRMWARE_RSDP_SIZE);
}
