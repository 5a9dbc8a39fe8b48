/* The options that describe a machine and its surroundings, shared by run and record (and later by primary). */
#ifndef ENCORE_TOOLS_MACHINE_OPTIONS_H
#define ENCORE_TOOLS_MACHINE_OPTIONS_H

#include <argp.h>
#include <stdint.h>

#include "tools/disk_option.h"
#include "tools/network.h"
#include "vmm/boot/boot.h"

struct machine_options {
    const char *engine; /* auto, kvm or soft */
    const char *clock;  /* host or virtual */
    const char *cmdline;
    const char *console;
    const char *input;   /* a script, or NULL */
    const char *control; /* unix:PATH, or NULL */
    const char *image;
    const char *firmware; /* or NULL; after parsing it is the image, too */
    uint64_t ram_size;
    enum boot_protocol protocol;
    const char *modules[BOOT_MODULES]; /* "PATH" or "PATH TEXT" */
    unsigned module_count;
    struct network_options network;
    bool catch_up; /* --clock host,catch-up; `clock` is then "host" */
    bool end_at_reset;
    bool virtio_console;
    uint64_t seed;
    bool seed_given;
    uint64_t checkpoint_every; /* ns; 0: none */
    uint64_t max_exits;
    bool bundle;  /* pack the log when the guest has ended; no option of these, but of record's */
    bool digest;  /* print the digest at the end even without a log; no option of these, but of run's */
    bool verbose; /* of run's and record's */
    uint64_t timeout;
    struct disk_options disks;
};

/* For the help of commands that take an IMAGE: what that is, and what the quantities are. */
#define MACHINE_OPTIONS_IMAGE                                                                                          \
    "IMAGE is a Linux kernel (bzImage), a kernel with a PVH entry, a Multiboot 1 kernel, an ELF64 guest of encore's "  \
    "own protocol, or a boot sector. "
#define MACHINE_OPTIONS_QUANTITIES                                                                                     \
    "\n\nSIZE is a number of bytes, or one with K, M, G or T: powers of 1024, written in any of the ways 64M, 64m, "   \
    "64MB, 64MiB, 2.5G. TIME is a number of seconds, or one with ns, us, ms, s, m (minutes) or h: 100ms, 1.5s, 2m."

/* Before parsing: what holds when an option is not given. */
struct machine_options machine_options_default(void);

/* A child parser for argp; its input is a struct machine_options. It takes the IMAGE argument too. A bad value ends the
 * program with one sentence and exit code 2. */
extern const struct argp machine_options_argp;

#endif
