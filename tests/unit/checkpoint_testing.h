/*
 * A small machine with disks, to take checkpoints of and to restore them into: on the soft engine, booted from an empty
 * sector, with the overlays of its disks in memory.
 */
#ifndef ENCORE_TESTS_UNIT_CHECKPOINT_TESTING_H
#define ENCORE_TESTS_UNIT_CHECKPOINT_TESTING_H

#include <stdlib.h>
#include <string.h>

#include "replay/checkpoint.h"
#include "vmm/soft/soft_engine.h"

#define SPECIMEN_DISKS 2
#define SPECIMEN_SIZE  (10 * DISK_CLUSTER + 512) /* of a disk; the last cluster is a short one */

struct specimen {
    uint8_t sector[512]; /* that the machine is booted from */
    struct engine *engine;
    struct machine machine;
    struct traffic traffic;
    uint8_t overlays[SPECIMEN_DISKS][SPECIMEN_SIZE];
    bool fails;     /* so do writes to overlays, as the door has it */
    uint64_t exits; /* for whoever counts them */
};

/* An image of 0x77 throughout, and an overlay. */
static int specimen_transfer(void *context, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length,
                             struct error *error)
{
    uint8_t *overlay = context;

    (void)error;
    if (kind == DISK_READ_IMAGE)
        memset(bytes, 0x77, length);
    else if (kind == DISK_READ_OVERLAY)
        memcpy(bytes, overlay + offset, length);
    else if (kind == DISK_WRITE_OVERLAY)
        memcpy(overlay + offset, bytes, length);
    return 0;
}

static bool specimen_disk(void *context, unsigned disk, enum disk_transfer kind, uint64_t offset, void *bytes,
                          size_t length)
{
    struct specimen *s = context;
    struct error error;

    if (s->fails && kind == DISK_WRITE_OVERLAY)
        return false;
    return specimen_transfer(s->overlays[disk], kind, offset, bytes, length, &error) == 0;
}

/* A machine as the config says; its size, its disks' sizes and backings, and the door's context and disks are ours.
 * NULL with the error. */
static struct specimen *specimen_make(struct machine_config config, struct door door, bool booted, struct error *error)
{
    struct specimen *s = calloc(1, sizeof *s);
    const struct engine_host none = {0};
    enum boot_protocol chosen;

    if (!s) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    s->sector[510] = 0x55;
    s->sector[511] = 0xaa;
    config.ram_size = MACHINE_RAM_MIN;
    config.boot.protocol = BOOT_SECTOR;
    config.disk_count = SPECIMEN_DISKS;
    for (unsigned i = 0; i < SPECIMEN_DISKS; i++) {
        config.disks[i].size = SPECIMEN_SIZE;
        config.disks[i].backing = (struct disk_backing){.context = s->overlays[i], .transfer = specimen_transfer};
    }
    door.context = s;
    door.disk = specimen_disk;
    s->engine = soft_engine_create(&none, error);
    if (s->engine && machine_create(&s->machine, &config, s->engine, &door, error) == 0 &&
        (!booted || machine_boot(&s->machine, &config, s->sector, sizeof s->sector, "sector", &chosen, error) == 0))
        return s;
    return NULL;
}

static void specimen_free(struct specimen *s)
{
    engine_destroy(s->engine);
    machine_destroy(&s->machine);
    free(s);
}

#endif
