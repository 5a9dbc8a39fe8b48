/* The disks in a machine's description. */
#include <string.h>

#include "replay/description_internal.h"

static const char *const modes[] = {[DISK_OVERLAY] = "overlay", [DISK_READ_ONLY] = "ro", [DISK_DIRECT] = "direct"};
static const char *const interfaces[] = {[DISK_VIRTIO] = "virtio", [DISK_IDE] = "ide"};

/* The member of the JSON object; a disk has one of them. */
static const char *const digest_names[] = {[DIGEST_WHOLE] = "digest", [DIGEST_SPARSE] = "sparse_digest"};

#define COUNT(names) (sizeof(names) / sizeof(names)[0])

static int find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return (int)i;
    }
    return -1;
}

const char *disk_mode_name(enum disk_mode mode)
{
    return modes[mode];
}

int disk_mode_parse(const char *name, enum disk_mode *mode)
{
    int found = find_name(modes, COUNT(modes), name);

    if (found >= 0)
        *mode = (enum disk_mode)found;
    return found < 0 ? -1 : 0;
}

const char *disk_interface_name(enum disk_interface interface)
{
    return interfaces[interface];
}

int disk_interface_parse(const char *name, enum disk_interface *interface)
{
    int found = find_name(interfaces, COUNT(interfaces), name);

    if (found >= 0)
        *interface = (enum disk_interface)found;
    return found < 0 ? -1 : 0;
}

json_t *description_disks_to_json(const struct description *d)
{
    json_t *array = json_array();

    for (unsigned i = 0; array && i < d->disk_count; i++) {
        const struct description_disk *disk = &d->disks[i];
        char digest[DIGEST_TEXT];
        json_t *object = json_pack("{s:s, s:I, s:s, s:s, s:s, s:I}", "path", disk->path, "size", (json_int_t)disk->size,
                                   digest_names[disk->digest_kind], digest_text(disk->digest, digest), "mode",
                                   disk_mode_name(disk->mode), "interface", disk_interface_name(disk->interface),
                                   "quota", (json_int_t)disk->quota);
        if (!object || json_array_append_new(array, object) < 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static int get_disk(const json_t *object, struct description_disk *disk, struct error *error)
{
    char digest[DIGEST_TEXT], mode[DESCRIPTION_NAME_MAX], interface[DESCRIPTION_NAME_MAX];
    int64_t size, quota;

    disk->digest_kind = json_object_get(object, digest_names[DIGEST_SPARSE]) ? DIGEST_SPARSE : DIGEST_WHOLE;
    if (disk->digest_kind == DIGEST_SPARSE && json_object_get(object, digest_names[DIGEST_WHOLE]))
        return error_set(error, ERROR_INPUT, "machine description: a disk has two digests");
    if (description_text(object, "path", disk->path, sizeof disk->path, error) < 0 ||
        description_number(object, "size", 1, (int64_t)DISK_SIZE_MAX, &size, error) < 0 ||
        description_text(object, digest_names[disk->digest_kind], digest, sizeof digest, error) < 0 ||
        description_text(object, "mode", mode, sizeof mode, error) < 0 ||
        description_text(object, "interface", interface, sizeof interface, error) < 0 ||
        description_number(object, "quota", 0, INT64_MAX, &quota, error) < 0)
        return -1;
    disk->size = (uint64_t)size;
    disk->quota = (uint64_t)quota;
    if (digest_parse(digest, &disk->digest) < 0)
        return error_set(error, ERROR_INPUT, "machine description: a disk's digest is not 32 hexadecimal digits");
    if (disk_mode_parse(mode, &disk->mode) < 0)
        return error_set(error, ERROR_INPUT, "machine description: unknown mode of a disk");
    if (disk_interface_parse(interface, &disk->interface) < 0)
        return error_set(error, ERROR_INPUT, "machine description: unknown interface of a disk");
    if (disk->quota && disk->quota < DISK_CLUSTER)
        return error_set(error, ERROR_INPUT, "machine description: a disk's quota is less than %d", DISK_CLUSTER);
    return 0;
}

int description_disks_from_json(const json_t *root, struct description *d, struct error *error)
{
    const json_t *array = json_object_get(root, "disks");
    unsigned ide = 0;

    if (!array)
        return 0;
    if (!json_is_array(array) || json_array_size(array) > MACHINE_DISKS)
        return error_set(error, ERROR_INPUT, "machine description: disks is not a list of at most %d", MACHINE_DISKS);
    for (; d->disk_count < json_array_size(array); d->disk_count++) {
        if (get_disk(json_array_get(array, d->disk_count), &d->disks[d->disk_count], error) < 0)
            return -1;
        ide += d->disks[d->disk_count].interface == DISK_IDE;
    }
    if (ide > MACHINE_IDE_DISKS)
        return error_set(error, ERROR_INPUT, "machine description: more than %d IDE disks", MACHINE_IDE_DISKS);
    return 0;
}

struct disk_config description_disk_config(const struct description_disk *disk)
{
    return (struct disk_config){
        .size = (disk->size + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR,
        .quota = disk->quota,
        .read_only = disk->mode == DISK_READ_ONLY,
        .in_place = disk->mode == DISK_DIRECT,
        .interface = disk->interface,
    };
}
