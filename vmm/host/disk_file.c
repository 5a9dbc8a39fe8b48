/* See disk_file.h. */
#include "vmm/host/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/output.h"

struct disk_file {
    char *path;
    int image; /* -1: it is no file, but what `elsewhere` says */
    struct disk_image elsewhere;
    bool in_place, noted;
    struct stat opened; /* the image, when it was */
    struct files *files;
    struct output *kept; /* the overlay, if it is to have a name */
    int overlay;         /* its descriptor, or that of one without a name; -1: there is none (yet) */
    bool temporary_overlay;
};

/* What this run does with it besides is told before what others do. */
static int note_image(struct disk_file *file, const char *path, struct error *error)
{
    return file->in_place ? files_add_in_place(file->files, file->image, path, error)
                          : files_add_input(file->files, file->image, path, error);
}

static int check_image(struct disk_file *file, const char *path, struct error *error)
{
    if (fstat(file->image, &file->opened) < 0)
        return error_errno(error, "%s", path);
    if (!S_ISREG(file->opened.st_mode))
        return error_set(error, ERROR_INPUT, "%s: is not a regular file, as a disk's image must be", path);
    if (file->opened.st_size == 0)
        return error_set(error, ERROR_INPUT, "%s: is empty, and no disk is", path);
    if (note_image(file, path, error) < 0)
        return -1;
    file->noted = true;
    if (flock(file->image, (file->in_place ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return error_set(error, ERROR_INPUT, "%s: %s", path,
                         file->in_place ? "is another guest's disk, and cannot be written here"
                                        : "is a disk that another guest writes");
    file->path = realpath(path, NULL);
    return file->path ? 0 : error_errno(error, "%s", path);
}

/* O_NONBLOCK, so that opening a FIFO by mistake is told to the user instead of waiting. */
struct disk_file *disk_file_open(struct files *files, const char *path, bool in_place, struct error *error)
{
    struct disk_file *file = calloc(1, sizeof *file);

    if (!file) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    file->files = files;
    file->overlay = -1;
    file->in_place = in_place;
    file->image = open(path, (in_place ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file->image < 0)
        error_set(error, ERROR_INPUT, "%s: %m", path);
    if (file->image < 0 || check_image(file, path, error) < 0) {
        disk_file_close(file);
        return NULL;
    }
    return file;
}

struct disk_file *disk_file_of_image(const struct disk_image *image, struct error *error)
{
    struct disk_file *file = calloc(1, sizeof *file);

    if (file)
        file->path = strdup(image->name);
    if (!file || !file->path) {
        image->close(image->context);
        free(file);
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    file->image = file->overlay = -1;
    file->elsewhere = *image;
    file->opened.st_size = (off_t)image->size;
    return file;
}

void disk_file_close(struct disk_file *file)
{
    struct error ignored;

    if (!file)
        return;
    if (file->kept)
        output_close(file->kept, &ignored);
    else if (file->overlay >= 0)
        close(file->overlay);
    if (file->in_place && file->noted)
        files_remove_in_place(file->files, file->image);
    if (file->image >= 0)
        close(file->image);
    if (file->elsewhere.close)
        file->elsewhere.close(file->elsewhere.context);
    free(file->path);
    free(file);
}

const char *disk_file_path(const struct disk_file *file)
{
    return file->path;
}

uint64_t disk_file_size(const struct disk_file *file)
{
    return (uint64_t)file->opened.st_size;
}

/* Reads up to the end of the file; what is not there is zeros. Returns 0, or -1 with errno. */
static int read_at(int fd, uint64_t offset, uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t got = pread(fd, bytes, length, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0) {
            memset(bytes, 0, length);
            break;
        }
        offset += (uint64_t)got;
        bytes += got;
        length -= (size_t)got;
    }
    return 0;
}

uint64_t disk_file_extent(const struct disk_file *file, uint64_t offset, bool *hole)
{
    uint64_t size = disk_file_size(file);

    if (file->elsewhere.extent)
        return file->elsewhere.extent(file->elsewhere.context, offset, hole);
    off_t next = lseek(file->image, (off_t)offset, SEEK_DATA);
    *hole = (next < 0 && errno == ENXIO) || next > (off_t)offset;
    if (!*hole)
        next = lseek(file->image, (off_t)offset, SEEK_HOLE);
    /* A file that changes under us may say anything; and where holes are not known, all of it is data. */
    uint64_t end = next > (off_t)offset && (uint64_t)next < size ? (uint64_t)next : size;
    return end - offset;
}

int disk_file_fd(const struct disk_file *file)
{
    return file->image;
}

bool disk_file_unchanged(const struct disk_file *file)
{
    const struct stat *then = &file->opened;
    struct stat now;

    if (file->image < 0)
        return true;
    return fstat(file->image, &now) == 0 && now.st_size == then->st_size &&
           now.st_mtim.tv_sec == then->st_mtim.tv_sec && now.st_mtim.tv_nsec == then->st_mtim.tv_nsec;
}

bool disk_file_wants_overlay(const struct disk_file *file)
{
    return !file->in_place;
}

int disk_file_overlay(struct disk_file *file, const char *path, bool force, struct error *error)
{
    const struct output_options options = {.replace = force, .mode = 0600};

    file->kept = output_open(file->files, path, &options, error);
    file->overlay = file->kept ? output_fd(file->kept) : -1;
    return file->kept ? 0 : -1;
}

int disk_file_publish(struct disk_file *file, struct error *error)
{
    return file->kept ? output_publish(file->kept, error) : 0;
}

int disk_file_temporary(struct disk_file *file, const char *const *directories, struct error *error)
{
    file->temporary_overlay = true;
    for (; *directories; directories++) {
        file->overlay = output_unnamed(*directories);
        if (file->overlay >= 0)
            return 0;
        error_errno(error, "no place for what the guest writes to %s: %s", file->path, *directories);
    }
    return -1;
}

int disk_file_read_image(const struct disk_file *file, uint64_t offset, void *bytes, size_t length, struct error *error)
{
    if (file->elsewhere.read)
        return file->elsewhere.read(file->elsewhere.context, offset, bytes, length, error);
    return read_at(file->image, offset, bytes, length) < 0 ? error_errno(error, "cannot read %s", file->path) : 0;
}

/* What the guest writes goes here. */
static int written_fd(const struct disk_file *file)
{
    return file->in_place ? file->image : file->overlay;
}

static const char *written_name(const struct disk_file *file)
{
    if (file->in_place)
        return file->path;
    return file->kept ? output_path(file->kept) : "a temporary file";
}

int disk_file_read(const struct disk_file *file, uint64_t offset, void *bytes, size_t length, struct error *error)
{
    return read_at(written_fd(file), offset, bytes, length) < 0
               ? error_errno(error, "cannot read %s", written_name(file))
               : 0;
}

int disk_file_write(const struct disk_file *file, uint64_t offset, const void *bytes, size_t length,
                    struct error *error)
{
    const uint8_t *from = bytes;

    while (length > 0) {
        ssize_t put = pwrite(written_fd(file), from, length, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_errno(error, "cannot write to %s", written_name(file));
        offset += (uint64_t)put;
        from += put;
        length -= (size_t)put;
    }
    return 0;
}

int disk_file_flush(const struct disk_file *file, struct error *error)
{
    if (!file->temporary_overlay && fdatasync(written_fd(file)) < 0)
        return error_errno(error, "cannot bring %s to the disk", written_name(file));
    return 0;
}
