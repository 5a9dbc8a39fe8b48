/* The files behind a guest's disks. */
#ifndef ENCORE_TOOLS_GUEST_DISKS_H
#define ENCORE_TOOLS_GUEST_DISKS_H

#include "tools/disk_option.h"
#include "tools/find_files.h"
#include "vmm/host/disk_file.h"

struct guest_disks {
    struct files *run; /* the files of the run; may be NULL */
    unsigned count;
    struct disk_file *files[MACHINE_DISKS];
};

/* Opens the images of a machine that is to run, and describes them; with their digests if it is recorded. */
int guest_disks_open(struct guest_disks *disks, const struct disk_options *options, bool recorded,
                     struct description *description, struct error *error);

/* Opens the images of a machine that was recorded. */
int guest_disks_find(struct guest_disks *disks, const struct file_finder *finder, const struct description *description,
                     struct error *error);

/* Where overlays go: to `log`.diskN, which have their names only after guest_disks_publish; or, without a log, to files
 * without a name, near `beside` (a file) if that is not NULL. */
int guest_disks_overlay(struct guest_disks *disks, const char *log, bool force, struct error *error);
int guest_disks_publish(struct guest_disks *disks, struct error *error);
int guest_disks_temporary(struct guest_disks *disks, const char *beside, struct error *error);

/* Puts them behind the disks of a configuration. */
void guest_disks_back(const struct guest_disks *disks, struct machine_config *config);

/* Says which images were changed by others while the guest ran. */
void guest_disks_warn(const struct guest_disks *disks, const struct description *description);

void guest_disks_close(struct guest_disks *disks);

#endif
