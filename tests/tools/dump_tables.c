/*
 * Writes the firmware's ACPI tables into files, as they are in a machine's memory, for tools that read such tables.
 *
 *     dump_tables DIRECTORY      writes DIRECTORY/NAME.dat for facp, apic, xsdt, facs and dsdt
 */
#include <stdio.h>
#include <string.h>

#include "vmm/boot/firmware_tables.h"

static int write_table(const char *directory, const char *name, const struct ram *ram, uint64_t address)
{
    char path[4096];
    const uint8_t *table = ram->bytes + address;
    size_t length = bytes_load(table + 4, 4);

    snprintf(path, sizeof path, "%s/%s.dat", directory, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(table, length, 1, file) != 1 || fclose(file) != 0) {
        perror(path);
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct ram ram;
    struct error error;

    if (argc != 2) {
        fprintf(stderr, "usage: dump_tables DIRECTORY\n");
        return 2;
    }
    if (ram_create(&ram, FIRMWARE_END, &error) < 0) {
        fprintf(stderr, "dump_tables: %s\n", error.text);
        return 1;
    }
    firmware_tables_install(&ram);
    uint64_t xsdt = bytes_load(ram.bytes + FIRMWARE_RSDP + 24, 8);
    uint64_t facp = bytes_load(ram.bytes + xsdt + 36, 8);
    uint64_t apic = bytes_load(ram.bytes + xsdt + 44, 8);
    int failed = write_table(argv[1], "xsdt", &ram, xsdt) || write_table(argv[1], "facp", &ram, facp) ||
                 write_table(argv[1], "apic", &ram, apic) ||
                 write_table(argv[1], "facs", &ram, bytes_load(ram.bytes + facp + 132, 8)) ||
                 write_table(argv[1], "dsdt", &ram, bytes_load(ram.bytes + facp + 140, 8));
    ram_destroy(&ram);
    return failed;
}
