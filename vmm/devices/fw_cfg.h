/*
 * The firmware configuration device: what firmware that was written for QEMU asks about the machine it is on, after
 * QEMU's specification (docs/specs/fw_cfg.txt), the port interface only: no DMA.
 *
 * A 16-bit write to port 510h selects an item by its key; each byte read at port 511h is the item's next, and behind
 * its end, or without such an item, 0. Some items have a key of their own; the others are files, found by name through
 * the directory (key 19h). Nothing can be written into an item.
 *
 * What is in the items is wiring: whoever makes the machine adds them, before the guest runs.
 */
#ifndef ENCORE_VMM_DEVICES_FW_CFG_H
#define ENCORE_VMM_DEVICES_FW_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"

#define FW_CFG_PORT  0x510
#define FW_CFG_PORTS 2

/* Keys of their own. */
enum {
    FW_CFG_SIGNATURE = 0x00, /* "QEMU" */
    FW_CFG_ID = 0x01,        /* which interfaces there are */
    FW_CFG_PROCESSORS = 0x05,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_PROCESSORS_MAX = 0x0f,
    FW_CFG_DIRECTORY = 0x19,
    FW_CFG_FILES = 0x20, /* the first file's; the others follow */
};

#define FW_CFG_FILES_MAX 8
#define FW_CFG_ITEMS_MAX (FW_CFG_FILES_MAX + 8)
#define FW_CFG_BYTES_MAX 2048
#define FW_CFG_NAME_MAX  55

struct fw_cfg_item {
    uint16_t key;
    uint16_t start, length; /* in fw_cfg.bytes */
};

struct fw_cfg {
    uint16_t key;  /* selected */
    uint32_t next; /* offset of the byte that the next read gives */
    /* Wiring. */
    struct fw_cfg_item items[FW_CFG_ITEMS_MAX];
    char names[FW_CFG_FILES_MAX][FW_CFG_NAME_MAX + 1];
    unsigned item_count, file_count;
    uint8_t bytes[FW_CFG_BYTES_MAX];
    unsigned byte_count;
};

/* A device with signature, interfaces and an empty directory. */
void fw_cfg_init(struct fw_cfg *device);

/* Adds an item under a key of its own; one under a name (of at most FW_CFG_NAME_MAX characters). The bytes are copied.
 * Running out of room is a broken invariant. */
void fw_cfg_add(struct fw_cfg *device, uint16_t key, const void *bytes, size_t length);
void fw_cfg_add_file(struct fw_cfg *device, const char *name, const void *bytes, size_t length);

void fw_cfg_state(struct fw_cfg *device, struct state *state);

bus_read_fn fw_cfg_read;
bus_write_fn fw_cfg_write;

#endif
