#include "vmm/bus.h"

#include "base/check.h"

void bus_claim(struct bus *bus, struct bus_range range)
{
    CHECK(bus->range_count < BUS_RANGES);
    CHECK(range.length > 0 && range.base <= UINT64_MAX - range.length);
    for (unsigned i = 0; i < bus->range_count; i++) {
        const struct bus_range *other = &bus->ranges[i];
        CHECK(range.base + range.length <= other->base || other->base + other->length <= range.base);
    }
    bus->ranges[bus->range_count++] = range;
}

const struct bus_range *bus_find(const struct bus *bus, uint64_t address, unsigned size)
{
    for (unsigned i = 0; i < bus->range_count; i++) {
        const struct bus_range *range = &bus->ranges[i];
        if (address >= range->base && address - range->base < range->length &&
            size <= range->length - (address - range->base))
            return range;
    }
    return NULL;
}

static void note_unmapped(struct bus *bus, uint64_t address, bool write)
{
    bus->unmapped_total++;
    for (unsigned i = 0; i < bus->unmapped_count; i++) {
        struct bus_unmapped *seen = &bus->unmapped[i];
        if (seen->address == address && seen->write == write) {
            seen->count++;
            return;
        }
    }
    if (bus->unmapped_count < BUS_UNMAPPED)
        bus->unmapped[bus->unmapped_count++] = (struct bus_unmapped){.address = address, .write = write, .count = 1};
}

static bool any_byte_claimed(const struct bus *bus, uint64_t address, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        if (bus_find(bus, address + i, 1))
            return true;
    }
    return false;
}

static uint64_t size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1;
}

uint64_t bus_read(struct bus *bus, uint64_t address, unsigned size, uint64_t now)
{
    const struct bus_range *range = bus_find(bus, address, size);

    if (range) {
        struct bus_access access = {.offset = address - range->base, .size = (uint8_t)size, .now = now};
        return range->read ? range->read(range->device, &access) & size_mask(size) : size_mask(size);
    }
    if (size > 1 && any_byte_claimed(bus, address, size)) {
        uint64_t value = 0;
        for (unsigned i = 0; i < size; i++)
            value |= bus_read(bus, address + i, 1, now) << (8 * i);
        return value;
    }
    note_unmapped(bus, address, false);
    return size_mask(size);
}

void bus_write(struct bus *bus, uint64_t address, unsigned size, uint64_t value, uint64_t now)
{
    const struct bus_range *range = bus_find(bus, address, size);

    value &= size_mask(size);
    if (range) {
        struct bus_access access = {.offset = address - range->base, .size = (uint8_t)size, .now = now};
        if (range->write)
            range->write(range->device, &access, value);
        return;
    }
    if (size > 1 && any_byte_claimed(bus, address, size)) {
        for (unsigned i = 0; i < size; i++)
            bus_write(bus, address + i, 1, value >> (8 * i) & 0xff, now);
        return;
    }
    note_unmapped(bus, address, true);
}
