/* The options by which a user says where the files of a recorded machine are now: of replay, and of whatever else needs
 * them. */
#ifndef ENCORE_TOOLS_FILE_PLACES_H
#define ENCORE_TOOLS_FILE_PLACES_H

#include <argp.h>

#include "base/files.h"
#include "replay/description.h"

/* The paths are borrowed; NULL: not given. */
struct file_places {
    const char *image;
    const char *initrds[BOOT_MODULES];
    const char *disks[MACHINE_DISKS];
    bool no_cache; /* hashes that are remembered are not believed */
};

/* A child parser; its input is a struct file_places. A bad value ends the program with a sentence and exit code 2. */
extern const struct argp file_places_argp;

/* Whether anything was given; whether the image or a module was. */
bool file_places_given(const struct file_places *places);
bool file_places_image_given(const struct file_places *places);

/* For files that are opened late: no output of the run `files` may take their places before (files_expect_input).
 * Returns 0, or -1 with the error. */
int file_places_expect(const struct file_places *places, struct files *files, struct error *error);

/* Refuses what was given for a file that the machine does not have. Returns 0, or -1 with an ERROR_INPUT. */
int file_places_check(const struct file_places *places, const struct description *description, struct error *error);

#endif
