/*
 * Numbers for disk transfers: 0, 1, 2, ... within each exit, all disks together. They depend on nothing but the
 * machine, so that a DISK_ERROR record can say which transfer failed.
 */
#ifndef ENCORE_REPLAY_TRANSFERS_H
#define ENCORE_REPLAY_TRANSFERS_H

#include <stdint.h>

struct transfers {
    uint64_t exit; /* of the last transfer */
    uint32_t next;
};

/* The number of a transfer within exit `exit`. */
static inline uint32_t transfers_number(struct transfers *transfers, uint64_t exit)
{
    if (transfers->exit != exit)
        *transfers = (struct transfers){.exit = exit};
    return transfers->next++;
}

#endif
