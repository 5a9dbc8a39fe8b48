/* The option --disk of the commands that start a machine. */
#ifndef ENCORE_TOOLS_DISK_OPTION_H
#define ENCORE_TOOLS_DISK_OPTION_H

#include "replay/description.h"

struct disk_option {
    char path[DESCRIPTION_PATH_MAX];
    enum disk_mode mode;
    enum disk_interface interface;
    uint64_t quota; /* bytes; 0: none */
};

struct disk_options {
    unsigned count;
    bool no_cache; /* hashes that are remembered are not believed */
    struct disk_option disks[MACHINE_DISKS];
};

/* Adds one: FILE[,ro|,overlay|,direct][,quota=SIZE][,if=virtio|ide], where ",," is a comma in the name. Returns 0, or
 * -1 with the error. */
int disk_options_add(struct disk_options *options, const char *text, struct error *error);

#endif
