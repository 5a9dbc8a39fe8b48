/* See files.h. */
#include "base/files.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum file_role {
    FILE_FREE = 0, /* an entry that may be used again */
    FILE_READ,
    FILE_IN_PLACE, /* read and written */
    FILE_WRITTEN,
    FILE_STANDARD, /* standard output or error, into a file */
    FILE_GIVEN,    /* written, through a descriptor like those two */
};

struct file_entry {
    enum file_role role;
    char *path;
    bool named; /* it is what `name` in `directory` is, or will be */
    struct file_id directory;
    char *name;
    unsigned id_count; /* a file that is replaced has two: the old one and the new */
    struct file_id ids[2];
};

struct files {
    pthread_mutex_t lock;
    struct file_entry *entries;
    size_t count;
};

static int no_memory(struct error *error)
{
    return error_set(error, ERROR_HOST, "out of memory");
}

static void entry_free(struct file_entry *entry)
{
    free(entry->path);
    free(entry->name);
    *entry = (struct file_entry){0};
}

/* A copy of the entry is kept; its strings are copied. Returns its index, or -1 with the error. */
static int keep(struct files *files, const struct file_entry *entry, struct error *error)
{
    size_t at = 0;
    struct file_entry copy = *entry;

    while (at < files->count && files->entries[at].role != FILE_FREE)
        at++;
    if (at == files->count) {
        struct file_entry *more = realloc(files->entries, (at + 1) * sizeof *more);
        if (!more)
            return no_memory(error);
        files->entries = more;
        files->entries[at] = (struct file_entry){0};
        files->count++;
    }
    copy.path = strdup(entry->path);
    copy.name = entry->name ? strdup(entry->name) : NULL;
    if (!copy.path || (entry->name && !copy.name)) {
        entry_free(&copy);
        return no_memory(error);
    }
    files->entries[at] = copy;
    return (int)at;
}

static bool has_id(const struct file_entry *entry, struct file_id id)
{
    for (unsigned i = 0; i < entry->id_count; i++) {
        if (file_id_equal(entry->ids[i], id))
            return true;
    }
    return false;
}

static bool same_file(const struct file_entry *a, const struct file_entry *b)
{
    if (a->named && b->named && file_id_equal(a->directory, b->directory) && strcmp(a->name, b->name) == 0)
        return true;
    for (unsigned i = 0; i < b->id_count; i++) {
        if (has_id(a, b->ids[i]))
            return true;
    }
    return false;
}

static bool may_share(enum file_role a, enum file_role b)
{
    bool standard = a == FILE_STANDARD && (b == FILE_STANDARD || b == FILE_GIVEN);

    /* What the shell was told about standard output and error is not ours to judge. */
    return standard || (a == FILE_READ && b == FILE_READ);
}

static const char *doing(enum file_role role)
{
    switch (role) {
    case FILE_READ:
        return "reads";
    case FILE_IN_PLACE:
        return "reads and writes";
    case FILE_WRITTEN:
    case FILE_STANDARD:
    case FILE_GIVEN:
    case FILE_FREE:
        break;
    }
    return "writes";
}

static int refuse(const struct file_entry *now, const struct file_entry *before, struct error *error)
{
    const char *verb = now->role == FILE_READ ? "read" : now->role == FILE_IN_PLACE ? "opened for writing" : "written";

    if (strcmp(now->path, before->path) == 0)
        return error_set(error, ERROR_INPUT, "%.200s cannot be %s: this run %s it already", now->path, verb,
                         doing(before->role));
    return error_set(error, ERROR_INPUT, "%.200s cannot be %s: it is the same file as %.200s, which this run %s",
                     now->path, verb, before->path, doing(before->role));
}

static int add(struct files *files, const struct file_entry *entry, struct error *error)
{
    int result = 0;

    pthread_mutex_lock(&files->lock);
    for (size_t i = 0; result == 0 && i < files->count; i++) {
        const struct file_entry *other = &files->entries[i];
        if (other->role != FILE_FREE && !may_share(other->role, entry->role) && same_file(other, entry))
            result = refuse(entry, other, error);
    }
    if (result == 0)
        result = keep(files, entry, error);
    pthread_mutex_unlock(&files->lock);
    return result;
}

static int add_status(struct files *files, const struct stat *status, const char *path, enum file_role role,
                      struct error *error)
{
    struct file_entry entry = {.role = role, .path = (char *)path, .id_count = 1, .ids = {file_id_of(status)}};

    /* Devices, FIFOs and sockets hold nothing that could be overwritten. */
    return S_ISREG(status->st_mode) && add(files, &entry, error) < 0 ? -1 : 0;
}

static int add_fd(struct files *files, int fd, const char *path, enum file_role role, struct error *error)
{
    struct stat status;

    if (!files)
        return 0;
    return fstat(fd, &status) < 0 ? error_errno(error, "%s", path) : add_status(files, &status, path, role, error);
}

struct files *files_create(struct error *error)
{
    struct files *files = calloc(1, sizeof *files);
    struct error ignored;

    if (!files) {
        no_memory(error);
        return NULL;
    }
    pthread_mutex_init(&files->lock, NULL);
    add_fd(files, STDOUT_FILENO, "standard output", FILE_STANDARD, &ignored);
    add_fd(files, STDERR_FILENO, "standard error", FILE_STANDARD, &ignored);
    return files;
}

void files_free(struct files *files)
{
    if (!files)
        return;
    for (size_t i = 0; i < files->count; i++)
        entry_free(&files->entries[i]);
    pthread_mutex_destroy(&files->lock);
    free(files->entries);
    free(files);
}

int files_add_input(struct files *files, int fd, const char *path, struct error *error)
{
    return add_fd(files, fd, path, FILE_READ, error);
}

int files_expect_input(struct files *files, const char *path, struct error *error)
{
    struct stat status;

    return files && stat(path, &status) == 0 ? add_status(files, &status, path, FILE_READ, error) : 0;
}

int files_add_in_place(struct files *files, int fd, const char *path, struct error *error)
{
    return add_fd(files, fd, path, FILE_IN_PLACE, error);
}

void files_remove_in_place(struct files *files, int fd)
{
    struct stat status;

    if (!files || fstat(fd, &status) < 0)
        return;
    pthread_mutex_lock(&files->lock);
    for (size_t i = 0; i < files->count; i++) {
        if (files->entries[i].role == FILE_IN_PLACE && has_id(&files->entries[i], file_id_of(&status)))
            entry_free(&files->entries[i]);
    }
    pthread_mutex_unlock(&files->lock);
}

int files_claim(struct files *files, const struct files_claim *claim, struct error *error)
{
    struct file_entry entry = {
        .role = claim->given ? FILE_GIVEN : FILE_WRITTEN,
        .path = (char *)claim->path,
        .named = claim->name != NULL,
        .directory = claim->directory,
        .name = (char *)claim->name,
        .id_count = claim->exists,
        .ids = {claim->id},
    };

    if (!files)
        return 0;
    int at = add(files, &entry, error);
    return at < 0 ? -1 : at + 1;
}

void files_claim_becomes(struct files *files, int claim, struct file_id id)
{
    if (!files || claim <= 0)
        return;
    pthread_mutex_lock(&files->lock);
    struct file_entry *entry = &files->entries[claim - 1];
    entry->ids[entry->id_count < 2 ? entry->id_count++ : 1] = id;
    pthread_mutex_unlock(&files->lock);
}

void files_unclaim(struct files *files, int claim)
{
    if (!files || claim <= 0)
        return;
    pthread_mutex_lock(&files->lock);
    entry_free(&files->entries[claim - 1]);
    pthread_mutex_unlock(&files->lock);
}
