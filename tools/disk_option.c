/* See disk_option.h. */
#include "tools/disk_option.h"

#include <string.h>

#include "tools/quantity.h"

/* Copies up to a single comma. Returns where it stopped, or NULL when there is no room. */
static const char *take_path(const char *text, char *path, size_t room)
{
    size_t length = 0;

    for (; *text; text++) {
        if (*text == ',' && text[1] != ',')
            break;
        text += *text == ',';
        if (length + 1 >= room)
            return NULL;
        path[length++] = *text;
    }
    path[length] = 0;
    return length ? text : NULL;
}

static int take_quota(struct disk_option *disk, const char *text, struct error *error)
{
    if (quantity_size(text, &disk->quota, error) < 0)
        return error_wrap(error, "quota");
    if (disk->quota < DISK_CLUSTER || disk->quota > DISK_SIZE_MAX)
        return error_set(error, ERROR_INPUT, "a quota of '%s' is not from 4K to 1024G", text);
    return 0;
}

static int take_word(struct disk_option *disk, const char *word, struct error *error)
{
    if (strncmp(word, "quota=", 6) == 0)
        return take_quota(disk, word + 6, error);
    if (strncmp(word, "if=", 3) == 0 && disk_interface_parse(word + 3, &disk->interface) == 0)
        return 0;
    if (disk_mode_parse(word, &disk->mode) == 0)
        return 0;
    return error_set(error, ERROR_INPUT, "unknown word '%s' (ro, overlay, direct, quota=SIZE, if=virtio or if=ide)",
                     word);
}

static int check(const struct disk_options *options, const struct disk_option *disk, struct error *error)
{
    unsigned ide = disk->interface == DISK_IDE;

    if (disk->quota && disk->mode != DISK_OVERLAY)
        return error_set(error, ERROR_INPUT, "a quota is for an overlay");
    for (unsigned i = 0; i < options->count; i++)
        ide += options->disks[i].interface == DISK_IDE;
    if (ide > MACHINE_IDE_DISKS)
        return error_set(error, ERROR_INPUT, "at most %d disks can be on if=ide", MACHINE_IDE_DISKS);
    return 0;
}

int disk_options_add(struct disk_options *options, const char *text, struct error *error)
{
    struct disk_option disk = {.mode = DISK_OVERLAY, .interface = DISK_VIRTIO};
    const char *rest = take_path(text, disk.path, sizeof disk.path);
    char word[64];

    if (options->count == MACHINE_DISKS)
        return error_set(error, ERROR_INPUT, "at most %d disks", MACHINE_DISKS);
    if (!rest)
        return error_set(error, ERROR_INPUT, "the file's name is missing, or too long");
    while (*rest == ',') {
        size_t length = strcspn(++rest, ",");
        snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word), rest);
        if (take_word(&disk, word, error) < 0)
            return -1;
        rest += length;
    }
    if (check(options, &disk, error) < 0)
        return -1;
    options->disks[options->count++] = disk;
    return 0;
}
