#include "vmm/devices/fw_cfg.h"

#include <string.h>

#include "base/check.h"

#define INTERFACE_PORTS 1u /* of the bits of FW_CFG_ID */
#define DATA_PORT       1

/* The directory: a count, then 64 bytes a file; its numbers are big-endian. */
#define DIRECTORY_COUNT 4u
#define DIRECTORY_ENTRY 64u
#define ENTRY_SIZE      0u
#define ENTRY_KEY       4u
#define ENTRY_NAME      8u

void fw_cfg_init(struct fw_cfg *device)
{
    const uint8_t interfaces[4] = {INTERFACE_PORTS};

    *device = (struct fw_cfg){0};
    fw_cfg_add(device, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add(device, FW_CFG_ID, interfaces, sizeof interfaces);
}

void fw_cfg_add(struct fw_cfg *device, uint16_t key, const void *bytes, size_t length)
{
    CHECK(device->item_count < FW_CFG_ITEMS_MAX && length <= FW_CFG_BYTES_MAX - device->byte_count);
    memcpy(device->bytes + device->byte_count, bytes, length);
    device->items[device->item_count++] =
        (struct fw_cfg_item){.key = key, .start = (uint16_t)device->byte_count, .length = (uint16_t)length};
    device->byte_count += (unsigned)length;
}

void fw_cfg_add_file(struct fw_cfg *device, const char *name, const void *bytes, size_t length)
{
    CHECK(device->file_count < FW_CFG_FILES_MAX && strlen(name) <= FW_CFG_NAME_MAX);
    fw_cfg_add(device, (uint16_t)(FW_CFG_FILES + device->file_count), bytes, length);
    memcpy(device->names[device->file_count++], name, strlen(name) + 1);
}

void fw_cfg_state(struct fw_cfg *device, struct state *state)
{
    state_section(state, "fw-cfg", 1);
    state_u16(state, "key", &device->key);
    state_u32(state, "next", &device->next);
}

static const struct fw_cfg_item *find(const struct fw_cfg *device, uint16_t key)
{
    for (unsigned i = 0; i < device->item_count; i++) {
        if (device->items[i].key == key)
            return &device->items[i];
    }
    return NULL;
}

static uint8_t big_endian(uint32_t value, unsigned bytes, unsigned at)
{
    return (uint8_t)(value >> 8 * (bytes - 1 - at));
}

static uint8_t directory_byte(const struct fw_cfg *device, uint32_t at)
{
    if (at < DIRECTORY_COUNT)
        return big_endian(device->file_count, DIRECTORY_COUNT, at);
    uint32_t file = (at - DIRECTORY_COUNT) / DIRECTORY_ENTRY, field = (at - DIRECTORY_COUNT) % DIRECTORY_ENTRY;
    if (file >= device->file_count)
        return 0;
    uint16_t key = (uint16_t)(FW_CFG_FILES + file);
    if (field < ENTRY_KEY)
        return big_endian(find(device, key)->length, 4, field - ENTRY_SIZE);
    if (field < ENTRY_KEY + 2)
        return big_endian(key, 2, field - ENTRY_KEY);
    return field < ENTRY_NAME ? 0 : (uint8_t)device->names[file][field - ENTRY_NAME];
}

static uint8_t next_byte(struct fw_cfg *device)
{
    const struct fw_cfg_item *item = find(device, device->key);
    uint32_t at = device->next;

    if (device->next < UINT32_MAX)
        device->next++;
    if (device->key == FW_CFG_DIRECTORY)
        return directory_byte(device, at);
    return item && at < item->length ? device->bytes[item->start + at] : 0;
}

/* The selector reads as if nothing were there. */
uint64_t fw_cfg_read(void *device, const struct bus_access *access)
{
    struct fw_cfg *fw_cfg = device;

    if (access->offset == DATA_PORT)
        return next_byte(fw_cfg);
    return access->size == 1 ? UINT64_MAX : (uint64_t)next_byte(fw_cfg) << 8 | 0xff;
}

void fw_cfg_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct fw_cfg *fw_cfg = device;

    if (access->offset != 0 || access->size != 2)
        return;
    fw_cfg->key = (uint16_t)value;
    fw_cfg->next = 0;
}
