#include "vmm/boot/memory_map.h"

unsigned memory_map(uint64_t size, struct memory_range ranges[MEMORY_MAP_RANGES])
{
    ranges[0] = (struct memory_range){0, size < PC_CONVENTIONAL_END ? size : PC_CONVENTIONAL_END, MEMORY_AVAILABLE};
    if (size <= PC_CONVENTIONAL_END)
        return 1;
    ranges[1] = (struct memory_range){PC_CONVENTIONAL_END, PC_EXTENDED_START, MEMORY_RESERVED};
    if (size <= PC_EXTENDED_START)
        return 2;
    ranges[2] = (struct memory_range){PC_EXTENDED_START, size, MEMORY_AVAILABLE};
    return 3;
}
