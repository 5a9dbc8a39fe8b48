/*
 * Outputs (base/output.h) and the files of a run (base/files.h): what may be written over, what never is, and that
 * whatever comes in between finds either the old file or the new one, whole.
 */
#include "tests/unit/host_testing.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/output.h"

static const struct output_options new_file = {.mode = 0600};
static const struct output_options replacing = {.replace = true, .mode = 0600};
static const struct output_options streaming = {.replace = true, .stream = true, .mode = 0600};
static const struct output_options live = {.replace = true, .stream = true, .live = true, .mode = 0600};

static struct output *opened(struct files *files, const char *path, const struct output_options *options)
{
    struct error error;
    struct output *output = output_open(files, path, options, &error);

    if (!output)
        fail_msg("%s", error.text);
    return output;
}

static void refused(struct files *files, const char *path, const struct output_options *options, const char *words)
{
    struct error error = {0};

    assert_null(output_open(files, path, options, &error));
    assert_int_equal(error.kind, ERROR_INPUT);
    if (!strstr(error.text, words))
        fail_msg("'%s' does not say '%s'", error.text, words);
}

static void write_text(struct output *output, const char *text)
{
    struct error error;

    assert_int_equal(output_write(output, text, strlen(text), &error), 0);
}

static void publish(struct output *output)
{
    struct error error;

    if (output_publish(output, &error) < 0)
        fail_msg("%s", error.text);
}

static void not_published(struct output *output, const char *words)
{
    struct error error = {0};

    assert_int_equal(output_publish(output, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    if (!strstr(error.text, words))
        fail_msg("'%s' does not say '%s'", error.text, words);
}

static void closed(struct output *output)
{
    struct error error;

    assert_int_equal(output_close(output, &error), 0);
}

static void holds(const char *path, const char *text)
{
    char got[64] = "";
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    size_t length = fread(got, 1, sizeof got - 1, file);
    fclose(file);
    got[length] = 0;
    assert_string_equal(got, text);
}

static void a_new_file_is_there_when_it_is_whole(void **state)
{
    char path[PATH_ROOM];
    struct stat status;

    (void)state;
    struct output *output = opened(NULL, place_path(state, "new", path), &new_file);
    write_text(output, "whole");
    assert_int_equal(access(path, F_OK), -1);
    publish(output);
    holds(path, "whole");
    closed(output);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_nlink, 1);
    refused(NULL, path, &new_file, "exists already");
    place_remove(state, "new");
    /* One that is given up leaves nothing: the directory must be empty in the end. */
    output = opened(NULL, path, &new_file);
    write_text(output, "half");
    closed(output);
}

static void what_comes_in_between_stays(void **state)
{
    char path[PATH_ROOM], other[PATH_ROOM];

    struct output *output = opened(NULL, place_path(state, "new", path), &replacing);
    place_write(state, "new", "theirs", 6, path);
    not_published(output, "exists already");
    closed(output);
    holds(path, "theirs");
    /* A file was looked at, and is another when it is to be replaced. */
    output = opened(NULL, path, &replacing);
    write_text(output, "ours");
    place_write(state, "other", "another", 7, other);
    assert_int_equal(rename(other, path), 0);
    not_published(output, "is another file than it was a moment ago");
    closed(output);
    holds(path, "another");
    /* ... or is gone. */
    output = opened(NULL, path, &replacing);
    write_text(output, "ours");
    place_remove(state, "new");
    publish(output);
    closed(output);
    holds(path, "ours");
    place_remove(state, "new");
}

static void what_is_replaced_is_replaced_at_once(void **state)
{
    char path[PATH_ROOM], link_path[PATH_ROOM];

    place_write(state, "old", "old", 3, path);
    assert_int_equal(link(path, place_path(state, "link", link_path)), 0);
    struct output *output = opened(NULL, path, &replacing);
    write_text(output, "new");
    holds(path, "old");
    publish(output);
    holds(path, "new");
    holds(link_path, "old");
    closed(output);
    place_remove(state, "old");
    place_remove(state, "link");
}

static void one_alone_replaces_a_file(void **state)
{
    char path[PATH_ROOM], words[64];

    place_write(state, "log", "old", 3, path);
    struct output *first = opened(NULL, path, &replacing);
    snprintf(words, sizeof words, "in use by process %d", (int)getpid());
    refused(NULL, path, &replacing, words);
    publish(first);
    refused(NULL, path, &replacing, words); /* the new one is being written */
    refused(NULL, path, &live, words);
    closed(first);
    struct output *second = opened(NULL, path, &replacing);
    closed(second);
    place_remove(state, "log");
}

static void only_files_are_replaced(void **state)
{
    static const struct output_options *const whole[] = {&new_file, &replacing};
    char path[PATH_ROOM], target[PATH_ROOM];

    place_write(state, "target", "precious", 8, target);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(symlink(target, place_path(state, "link", path)), 0);
        refused(NULL, path, whole[i], "symbolic link");
        refused(NULL, path, &streaming, "symbolic link");
        refused(NULL, path, &live, "symbolic link");
        place_remove(state, "link");
        assert_int_equal(symlink("nowhere", path), 0);
        refused(NULL, path, whole[i], "symbolic link");
        refused(NULL, path, &live, "symbolic link");
        place_remove(state, "link");
        assert_int_equal(mkfifo(place_path(state, "fifo", path), 0600), 0);
        refused(NULL, path, whole[i], "FIFO");
        place_remove(state, "fifo");
        refused(NULL, "/tmp", whole[i], "directory");
        refused(NULL, "/tmp/", whole[i], "not the name of a file");
        refused(NULL, "", whole[i], "not the name of a file");
        refused(NULL, "/dev/null", whole[i], "device");
        refused(NULL, "/dev/stdout", whole[i], "symbolic link");
        refused(NULL, "-", whole[i], "standard output");
        refused(NULL, "/nonexistent/a", whole[i], "No such file");
    }
    holds(target, "precious");
    place_remove(state, "target");
}

static void streams_go_to_devices_and_fifos(void **state)
{
    char path[PATH_ROOM], got[8] = "";

    struct output *output = opened(NULL, "/dev/null", &streaming);
    write_text(output, "x");
    publish(output);
    closed(output);
    assert_int_equal(symlink("/dev/null", place_path(state, "null", path)), 0);
    closed(opened(NULL, path, &live));
    place_remove(state, "null");
    assert_int_equal(mkfifo(place_path(state, "fifo", path), 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    output = opened(NULL, path, &live);
    write_text(output, "fifo");
    assert_int_equal(read(reader, got, sizeof got), 4);
    closed(output);
    close(reader);
    place_remove(state, "fifo");
}

/* A file behind a descriptor is neither cut nor closed, and ours are not for users. */
static void descriptors_are_those_given(void **state)
{
    char path[PATH_ROOM], name[32];

    place_write(state, "given", "before ", 7, path);
    int fd = open(path, O_WRONLY | O_APPEND);
    snprintf(name, sizeof name, "/dev/fd/%d", fd);
    struct output *output = opened(NULL, name, &streaming);
    assert_false(output_is_stdout(output));
    write_text(output, "after");
    publish(output);
    closed(output);
    holds(path, "before after");
    assert_int_equal(fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
    refused(NULL, name, &streaming, "not a descriptor that is open");
    close(fd);
    refused(NULL, name, &streaming, "not a descriptor that is open");
    fd = open(path, O_RDONLY);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    refused(NULL, name, &live, "for reading only");
    close(fd);
    output = opened(NULL, "-", &streaming);
    assert_true(output_is_stdout(output));
    closed(output);
    place_remove(state, "given");
}

static void a_live_file_is_cut_and_seen(void **state)
{
    char path[PATH_ROOM];

    place_write(state, "console", "older and longer", 16, path);
    struct output *output = opened(NULL, path, &live);
    write_text(output, "new");
    holds(path, "new");
    closed(output);
    place_remove(state, "console");
    output = opened(NULL, path, &live);
    write_text(output, "new");
    holds(path, "new");
    closed(output);
    place_remove(state, "console");
}

static void inputs_are_not_written(void **state)
{
    static const struct output_options *const all[] = {&new_file, &replacing, &streaming, &live};
    char path[PATH_ROOM], hard[PATH_ROOM], through[PATH_ROOM], other[PATH_ROOM];
    struct place *place = *state;
    struct error error;
    struct files *files = files_create(&error);

    place_write(state, "image", "precious", 8, path);
    int fd = open(path, O_RDONLY);
    assert_int_equal(files_add_input(files, fd, path, &error), 0);
    assert_int_equal(files_add_input(files, fd, path, &error), 0); /* twice is nothing wrong */
    assert_int_equal(link(path, place_path(state, "hard", hard)), 0);
    assert_int_equal(symlink(place->directory, place_path(state, "through", other)), 0);
    place_path(state, "through/image", through);
    for (unsigned i = 1; i < 4; i++) {
        refused(files, path, all[i], "this run reads it already");
        refused(files, hard, all[i], "which this run reads");
        refused(files, through, all[i], "which this run reads");
    }
    int in_place = open(path, O_RDWR);
    assert_int_equal(files_add_in_place(files, in_place, hard, &error), -1);
    assert_non_null(strstr(error.text, "which this run reads"));
    holds(path, "precious");
    close(in_place);
    close(fd);
    files_free(files);
    place_remove(state, "image");
    place_remove(state, "hard");
    place_remove(state, "through");
}

/* Neither is read what is written: the order in which they are opened does not matter. */
static void outputs_are_not_read(void **state)
{
    char path[PATH_ROOM], other[PATH_ROOM];
    struct error error;
    struct files *files = files_create(&error);

    place_write(state, "file", "old", 3, path);
    struct output *output = opened(files, path, &replacing);
    int old = open(path, O_RDONLY);
    assert_int_equal(files_add_input(files, old, path, &error), -1);
    assert_non_null(strstr(error.text, "cannot be read: this run writes it already"));
    assert_int_equal(files_expect_input(files, path, &error), -1);
    publish(output);
    assert_int_equal(files_expect_input(files, path, &error), -1); /* the new one as well */
    closed(output);
    assert_int_equal(files_add_input(files, old, path, &error), 0);
    assert_int_equal(files_expect_input(files, place_path(state, "none", other), &error), 0);
    close(old);
    files_free(files);
    place_remove(state, "file");
}

static void outputs_are_different_files(void **state)
{
    char path[PATH_ROOM], other[PATH_ROOM], through[PATH_ROOM];
    struct place *place = *state;
    struct error error;
    struct files *files = files_create(&error);

    assert_int_equal(symlink(place->directory, place_path(state, "through", other)), 0);
    place_path(state, "new", path);
    place_path(state, "through/new", through);
    struct output *output = opened(files, path, &replacing);
    refused(files, path, &replacing, "this run writes it already");
    refused(files, through, &replacing, "which this run writes");
    closed(opened(files, place_path(state, "another", other), &replacing));
    closed(opened(files, "/dev/null", &streaming));
    struct output *null = opened(files, "/dev/null", &streaming);
    closed(opened(files, "/dev/null", &streaming)); /* which nobody minds */
    closed(null);
    closed(output);
    closed(opened(files, path, &replacing));
    files_free(files);
    place_remove(state, "through");
}

/* A disk that is written where it is. */
static void in_place_is_alone(void **state)
{
    char path[PATH_ROOM];
    struct error error;
    struct files *files = files_create(&error);

    place_write(state, "disk", "precious", 8, path);
    int fd = open(path, O_RDWR);
    assert_int_equal(files_add_in_place(files, fd, path, &error), 0);
    assert_int_equal(files_add_in_place(files, fd, path, &error), -1);
    assert_int_equal(files_add_input(files, fd, path, &error), -1);
    assert_non_null(strstr(error.text, "this run reads and writes it already"));
    refused(files, path, &live, "this run reads and writes it already");
    files_remove_in_place(files, fd);
    assert_int_equal(files_add_input(files, fd, path, &error), 0);
    close(fd);
    files_free(files);
    place_remove(state, "disk");
}

/* RLIMIT_FSIZE stands in for a full disk. */
static void what_cannot_be_written_leaves_the_old_file(void **state)
{
    char path[PATH_ROOM];
    struct error error;
    struct rlimit old;

    place_write(state, "old", "old", 3, path);
    struct output *output = opened(NULL, path, &replacing);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit small = {.rlim_cur = 4, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(output_write(output, "too long", 8, &error), -1);
    assert_int_equal(error.kind, ERROR_HOST);
    assert_non_null(strstr(error.text, path));
    closed(output);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    holds(path, "old");
    place_remove(state, "old");
}

struct race {
    const char *path;
    pthread_barrier_t *barrier;
    char text[2];
    bool won;
};

static void *replace(void *context)
{
    struct race *race = context;
    struct error error;

    pthread_barrier_wait(race->barrier);
    struct output *output = output_open(NULL, race->path, &replacing, &error);
    if (output) {
        race->won = output_write(output, race->text, 1, &error) == 0 && output_publish(output, &error) == 0;
        pthread_barrier_wait(race->barrier);
        output_close(output, &error);
    } else {
        pthread_barrier_wait(race->barrier);
    }
    return NULL;
}

/* Of four that would write to one name at once, whether there is an old file or not, exactly one does. */
static void of_several_at_once_one_wins(void **state)
{
    char path[PATH_ROOM];
    pthread_barrier_t barrier;

    place_path(state, "raced", path);
    for (unsigned round = 0; round < 200; round++) {
        struct race races[4];
        pthread_t threads[4];
        unsigned won = 0;
        if (round % 2)
            place_write(state, "raced", "old", 3, path);
        pthread_barrier_init(&barrier, NULL, 4);
        for (unsigned i = 0; i < 4; i++) {
            races[i] = (struct race){.path = path, .barrier = &barrier, .text = {(char)('0' + i), 0}};
            assert_int_equal(pthread_create(&threads[i], NULL, replace, &races[i]), 0);
        }
        for (unsigned i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            if (!races[i].won)
                continue;
            won++;
            holds(path, races[i].text);
        }
        assert_int_equal(won, 1);
        pthread_barrier_destroy(&barrier);
        place_remove(state, "raced");
    }
}

#define in_a_place(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_place(a_new_file_is_there_when_it_is_whole),
        in_a_place(what_comes_in_between_stays),
        in_a_place(what_is_replaced_is_replaced_at_once),
        in_a_place(one_alone_replaces_a_file),
        in_a_place(only_files_are_replaced),
        in_a_place(streams_go_to_devices_and_fifos),
        in_a_place(descriptors_are_those_given),
        in_a_place(a_live_file_is_cut_and_seen),
        in_a_place(inputs_are_not_written),
        in_a_place(outputs_are_not_read),
        in_a_place(outputs_are_different_files),
        in_a_place(in_place_is_alone),
        in_a_place(what_cannot_be_written_leaves_the_old_file),
        in_a_place(of_several_at_once_one_wins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
