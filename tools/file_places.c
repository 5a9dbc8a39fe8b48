/* See file_places.h. */
#include "tools/file_places.h"

enum option_key { KEY_IMAGE = 0xa00, KEY_INITRD, KEY_DISK, KEY_NO_CACHE };

/* "N=FILE", N below `count`. */
static void take(const char **paths, unsigned count, const char *option, char *text, struct argp_state *state)
{
    unsigned number = (unsigned)(unsigned char)text[0] - '0';

    if (number >= count || text[1] != '=' || !text[2])
        argp_error(state, "--%s: '%s' is not a number from 0 to %u, '=' and a file", option, text, count - 1);
    if (paths[number])
        argp_error(state, "--%s: number %u is given twice", option, number);
    paths[number] = text + 2;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct file_places *to = state->input;

    switch (key) {
    case KEY_IMAGE:
        if (to->image)
            argp_error(state, "--image is given twice");
        to->image = text;
        return 0;
    case KEY_INITRD:
        take(to->initrds, BOOT_MODULES, "initrd", text, state);
        return 0;
    case KEY_DISK:
        take(to->disks, MACHINE_DISKS, "disk", text, state);
        return 0;
    case KEY_NO_CACHE:
        to->no_cache = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Where files are now, if neither where they were nor beside the log:", 5},
    {"image", KEY_IMAGE, "FILE", 0, "The guest's image", 5},
    {"initrd", KEY_INITRD, "N=FILE", 0, "Initial RAM disk or module N, from 0", 5},
    {"disk", KEY_DISK, "N=FILE", 0, "The image of disk N, from 0", 5},
    {"no-cache", KEY_NO_CACHE, NULL, 0, "Read disks' images again, rather than believe a hash that is remembered", 5},
    {0},
};

const struct argp file_places_argp = {.options = options, .parser = parse_option};

static bool any(const char *const *paths, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (paths[i])
            return true;
    }
    return false;
}

bool file_places_given(const struct file_places *places)
{
    return file_places_image_given(places) || any(places->disks, MACHINE_DISKS);
}

bool file_places_image_given(const struct file_places *places)
{
    return places->image || any(places->initrds, BOOT_MODULES);
}

static int expect(const char *const *paths, unsigned count, struct files *files, const char *option,
                  struct error *error)
{
    for (unsigned i = 0; i < count; i++) {
        if (paths[i] && files_expect_input(files, paths[i], error) < 0)
            return error_wrap(error, "--%s", option);
    }
    return 0;
}

int file_places_expect(const struct file_places *places, struct files *files, struct error *error)
{
    if (expect(&places->image, 1, files, "image", error) < 0 ||
        expect(places->initrds, BOOT_MODULES, files, "initrd", error) < 0)
        return -1;
    return expect(places->disks, MACHINE_DISKS, files, "disk", error);
}

static int check_numbers(const char *const *paths, unsigned room, unsigned count, const char *option, const char *what,
                         struct error *error)
{
    for (unsigned i = count; i < room; i++) {
        if (paths[i] && count == 0)
            return error_set(error, ERROR_INPUT, "--%s %u=%s: the machine has no %ss", option, i, paths[i], what);
        if (paths[i])
            return error_set(error, ERROR_INPUT, "--%s %u=%s: the machine's last %s is number %u", option, i, paths[i],
                             what, count - 1);
    }
    return 0;
}

int file_places_check(const struct file_places *places, const struct description *description, struct error *error)
{
    if (check_numbers(places->initrds, BOOT_MODULES, description->module_count, "initrd", "module", error) < 0)
        return -1;
    return check_numbers(places->disks, MACHINE_DISKS, description->disk_count, "disk", "disk", error);
}
