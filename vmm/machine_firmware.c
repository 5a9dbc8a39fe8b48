/*
 * What a machine that boots by firmware tells it: through the firmware configuration device, by the names that SeaBIOS
 * knows (its docs/Runtime_config.md, and QEMU's docs/specs/fw_cfg.txt).
 *
 * The firmware makes its own tables, but for ACPI's, which describe this machine best. They are in memory already, in
 * its last 64 KiB, which the memory map calls reserved (firmware_tables.h); what the firmware has to do is to put the
 * pointer to them where an operating system looks.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/boot/firmware_tables.h"
#include "vmm/boot/memory_map.h"
#include "vmm/machine_internal.h"

/* One command of "etc/table-loader": load a file into memory of its own. */
#define COMMAND_SIZE      128
#define COMMAND_ALLOCATE  1u
#define COMMAND_NAME      4
#define COMMAND_ALIGNMENT 60
#define COMMAND_ZONE      64
#define ZONE_F_SEGMENT    2 /* where the root pointer is looked for */

#define RSDP_FILE      "etc/acpi/rsdp"
#define RSDP_ALIGNMENT 16
#define E820_ENTRY     20

static void add_memory_map(struct machine *machine)
{
    uint64_t top = firmware_tables_high(machine->ram.size);
    uint8_t map[2 * E820_ENTRY] = {0};

    bytes_store(map + 8, 8, top);
    bytes_store(map + 16, 4, MEMORY_AVAILABLE);
    bytes_store(map + E820_ENTRY, 8, top);
    bytes_store(map + E820_ENTRY + 8, 8, machine->ram.size - top);
    bytes_store(map + E820_ENTRY + 16, 4, MEMORY_RESERVED);
    fw_cfg_add_file(&machine->fw_cfg, "etc/e820", map, sizeof map);
}

static void add_acpi(struct machine *machine)
{
    uint8_t rsdp[FIRMWARE_RSDP_SIZE], command[COMMAND_SIZE] = {0};

    firmware_tables_root(firmware_tables_high(machine->ram.size), rsdp);
    bytes_store(command, 4, COMMAND_ALLOCATE);
    memcpy(command + COMMAND_NAME, RSDP_FILE, sizeof RSDP_FILE);
    bytes_store(command + COMMAND_ALIGNMENT, 4, RSDP_ALIGNMENT);
    command[COMMAND_ZONE] = ZONE_F_SEGMENT;
    fw_cfg_add_file(&machine->fw_cfg, RSDP_FILE, rsdp, sizeof rsdp);
    fw_cfg_add_file(&machine->fw_cfg, "etc/table-loader", command, sizeof command);
}

void machine_describe_to_firmware(struct machine *machine)
{
    const uint8_t one[2] = {1}, no_menu[2] = {0};
    const uint8_t forever[4] = {0xff, 0xff, 0xff, 0xff};
    struct fw_cfg *fw_cfg = &machine->fw_cfg;
    uint8_t port[8];

    fw_cfg_init(fw_cfg);
    fw_cfg_add(fw_cfg, FW_CFG_PROCESSORS, one, sizeof one);
    fw_cfg_add(fw_cfg, FW_CFG_PROCESSORS_MAX, one, sizeof one);
    fw_cfg_add(fw_cfg, FW_CFG_BOOT_MENU, no_menu, sizeof no_menu);
    /* The screen and the keyboard are the serial console. */
    bytes_store(port, sizeof port, UART16550_COM1_PORT);
    fw_cfg_add_file(fw_cfg, "etc/sercon-port", port, sizeof port);
    /* A machine without a bootable disk says so and waits, rather than trying again each minute. */
    fw_cfg_add_file(fw_cfg, "etc/boot-fail-wait", forever, sizeof forever);
    add_memory_map(machine);
    add_acpi(machine);
}
