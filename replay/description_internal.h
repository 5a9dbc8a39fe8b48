/* Between the files of the description: description.c, description_disks.c. */
#ifndef ENCORE_REPLAY_DESCRIPTION_INTERNAL_H
#define ENCORE_REPLAY_DESCRIPTION_INTERNAL_H

#include <jansson.h>

#include "replay/description.h"

/* A member of an object: a text of less than `room` bytes, or a number from `min` to `max`. Return 0, or -1 with an
 * error that names it. */
int description_text(const json_t *object, const char *name, char *to, size_t room, struct error *error);
int description_number(const json_t *object, const char *name, int64_t min, int64_t max, int64_t *to,
                       struct error *error);

/* The array of disks; NULL when it cannot be made. And the member "disks" of a description, which may be missing. */
json_t *description_disks_to_json(const struct description *description);
int description_disks_from_json(const json_t *root, struct description *description, struct error *error);
struct disk_config description_disk_config(const struct description_disk *disk);

#endif
