/* What the tests of the host files share: a directory of their own, and small files in it. */
#ifndef ENCORE_TESTS_UNIT_HOST_TESTING_H
#define ENCORE_TESTS_UNIT_HOST_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"

/* How long a test waits for what must come, in ms: long enough never to matter on a slow host. */
#define PATIENCE 60000

#define PATH_ROOM 256

struct place {
    char directory[64];
};

static inline int place_setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    assert_non_null(place);
    strcpy(place->directory, "/tmp/encore-test-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    *state = place;
    return 0;
}

/* The path of a file in the test's directory; returns `path`, which has PATH_ROOM bytes. */
static inline char *place_path(void **state, const char *name, char *path)
{
    struct place *place = *state;

    snprintf(path, PATH_ROOM, "%s/%s", place->directory, name);
    return path;
}

static inline char *place_write(void **state, const char *name, const void *bytes, size_t length, char *path)
{
    FILE *file = fopen(place_path(state, name, path), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* The directory must be empty but for the files named: what a test leaves behind is a fault of what it tests. */
static inline void place_remove(void **state, const char *name)
{
    char path[PATH_ROOM];

    assert_int_equal(unlink(place_path(state, name, path)), 0);
}

static inline int place_teardown(void **state)
{
    struct place *place = *state;
    int failed = rmdir(place->directory);

    free(place);
    return failed;
}

/* Each test is in an empty directory of its own. */
static inline int enter(void **state)
{
    int result = place_setup(state);

    return result == 0 ? chdir(((struct place *)*state)->directory) : result;
}

static inline int leave(void **state)
{
    struct place *place = *state;
    char command[PATH_ROOM];
    int result = chdir("/");

    snprintf(command, sizeof command, "rm -r %s", place->directory);
    result |= system(command);
    free(place);
    return result;
}

#endif
