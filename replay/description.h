/*
 * The machine's description, as the log's header carries it: everything that a replay needs besides the inputs.
 *
 * In the log it is a JSON object. Reading one treats every field as hostile.
 */
#ifndef ENCORE_REPLAY_DESCRIPTION_H
#define ENCORE_REPLAY_DESCRIPTION_H

#include "base/error.h"
#include "base/image_digest.h"
#include "vmm/machine.h"

#define DESCRIPTION_PATH_MAX 4096
#define DESCRIPTION_NAME_MAX 32

enum disk_mode {
    DISK_OVERLAY, /* what the guest writes goes beside the image */
    DISK_READ_ONLY,
    DISK_DIRECT, /* it goes into the image */
};

struct description_disk {
    char path[DESCRIPTION_PATH_MAX]; /* of the image: absolute, when recorded */
    uint64_t size;                   /* of the image, in bytes; the disk's is rounded up to whole sectors */
    enum digest_kind digest_kind;
    struct digest digest; /* of the whole image, of that kind */
    enum disk_mode mode;
    enum disk_interface interface;
    uint64_t quota; /* bytes that the guest may write; 0: no limit but the disk's size */
};

/* A file that belongs to the machine: an initial RAM disk, a module. */
struct description_module {
    char path[DESCRIPTION_PATH_MAX]; /* absolute when recorded */
    uint64_t size;
    struct digest digest;
    char text[DESCRIPTION_PATH_MAX]; /* its command line */
};

struct description {
    char image[DESCRIPTION_PATH_MAX]; /* absolute path when recorded */
    uint64_t image_size;
    struct digest image_digest;
    char engine[DESCRIPTION_NAME_MAX];    /* "kvm", "soft" */
    char tick_unit[DESCRIPTION_NAME_MAX]; /* engine_caps.tick_unit */
    char clock[DESCRIPTION_NAME_MAX];     /* "host" or "virtual" */
    char cmdline[BOOT_CMDLINE_MAX + 1];
    uint64_t ram_size;
    int64_t rtc_start;
    enum boot_protocol protocol; /* the one that was used: never BOOT_AUTO */
    unsigned disk_count;
    struct description_disk disks[MACHINE_DISKS];
    struct description_module modules[BOOT_MODULES];
    unsigned module_count;
    unsigned net_count; /* network cards, and their addresses */
    uint8_t macs[MACHINE_CARDS_MAX][MAC_BYTES];
    bool prompt;          /* as in machine_config */
    bool end_at_reset;    /* likewise */
    bool virtio_console;  /* likewise */
    bool from_checkpoint; /* the log begins in mid-run, with checkpoint 0, and not with the image's first instruction */
};

/* The JSON text, to be freed by the caller; NULL with the error when memory is exhausted or a text is not UTF-8. */
char *description_to_json(const struct description *description, struct error *error);

/* Reads it. Returns 0, or -1 with an ERROR_INPUT that names the field. */
int description_from_json(const char *json, size_t length, struct description *description, struct error *error);

/* "overlay", "ro", "direct"; "virtio", "ide". Parsing returns 0, or -1 for another word. */
const char *disk_mode_name(enum disk_mode mode);
int disk_mode_parse(const char *name, enum disk_mode *mode);
const char *disk_interface_name(enum disk_interface interface);
int disk_interface_parse(const char *name, enum disk_interface *interface);

/* The configuration of a machine; its command line points into the description. Its modules are the caller's to fill
 * in: the description does not have their bytes. Its disks have no backing yet. */
struct machine_config description_config(const struct description *description);

#endif
