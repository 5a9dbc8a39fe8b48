/* See report.h. */
#include "tools/report.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/output.h"

#define NAME_PART ".divergence-"

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int report_check(const char *directory, struct error *error)
{
    char parent[PATH_MAX];
    struct stat status;

    if (stat(directory, &status) == 0) {
        if (!S_ISDIR(status.st_mode))
            return error_set(error, ERROR_INPUT, "%.300s is not a directory", directory);
        return access(directory, W_OK | X_OK) < 0 ? error_path(error, "%.300s", directory) : 0;
    }
    if (errno != ENOENT || strlen(directory) >= sizeof parent)
        return error_path(error, "%.300s", directory);
    strcpy(parent, directory);
    return access(dirname(parent), W_OK | X_OK) < 0 ? error_path(error, "cannot make %.300s", directory) : 0;
}

static bool is_report(const char *name)
{
    size_t length = strlen(name);

    return strstr(name, NAME_PART) && length > 4 && strcmp(name + length - 4, ".txt") == 0;
}

/* Whether the directory, the first `length` bytes of `path`, has room for one more. */
static int check_room(const char *path, size_t length, struct error *error)
{
    char directory[PATH_MAX];
    unsigned count = 0;

    snprintf(directory, sizeof directory, "%.*s", (int)length, path);
    if (length == 0)
        strcpy(directory, ".");
    DIR *list = opendir(directory);
    if (!list)
        return error_path(error, "%.300s", directory);
    for (struct dirent *entry; count < REPORTS_MAX && (entry = readdir(list));)
        count += is_report(entry->d_name);
    closedir(list);
    return count < REPORTS_MAX
               ? 0
               : error_set(error, ERROR_HOST, "there are %d reports in %.300s already, and no more are kept",
                           REPORTS_MAX, directory);
}

static struct output *open_report(struct files *files, const char *base, uint64_t offset, char path[PATH_MAX],
                                  struct error *error)
{
    const struct output_options options = {.mode = 0600};
    struct output *output = NULL;

    for (unsigned n = 1; !output && n <= REPORTS_MAX; n++) {
        char number[16] = "";
        if (n > 1)
            snprintf(number, sizeof number, ".%u", n);
        if (snprintf(path, PATH_MAX, "%s" NAME_PART "%" PRIu64 "%s.txt", base, offset, number) >= PATH_MAX) {
            error_set(error, ERROR_INPUT, "the name of the report is too long");
            return NULL;
        }
        if (access(path, F_OK) == 0)
            continue;
        output = output_open(files, path, &options, error);
        if (!output)
            return NULL;
    }
    if (!output)
        error_set(error, ERROR_HOST, "%.300s exists already", path);
    return output;
}

static int write_text(struct output *output, const char *text, size_t length, struct error *error)
{
    static const char cut[] = "\n(the rest of this report is left out)\n";

    if (length <= REPORT_SIZE_MAX)
        return output_write(output, text, length, error);
    if (output_write(output, text, REPORT_SIZE_MAX - strlen(cut), error) < 0)
        return -1;
    return output_write(output, cut, strlen(cut), error);
}

int report_write(struct files *files, const char *directory, const char *log, uint64_t offset,
                 const struct divergence *divergence, struct machine *machine, char path[PATH_MAX], struct error *error)
{
    char base[PATH_MAX], *text = NULL;
    size_t length = 0;
    struct error ignored;
    int result = -1;

    if (directory && mkdir(directory, 0700) < 0 && errno != EEXIST)
        return error_path(error, "cannot make %.300s", directory);
    if (snprintf(base, sizeof base, "%s%s%s", directory ? directory : "", directory ? "/" : "",
                 directory ? last_part(log) : log) >= (int)sizeof base)
        return error_set(error, ERROR_INPUT, "the name of the report is too long");
    if (check_room(base, (size_t)(last_part(base) - base), error) < 0)
        return -1;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return error_errno(error, "the report");
    divergence_print(divergence, machine, stream);
    struct output *output = NULL;
    if (fclose(stream) != 0)
        error_errno(error, "the report");
    else
        output = open_report(files, base, offset, path, error);
    if (output && write_text(output, text, length, error) == 0)
        result = output_publish(output, error);
    output_close(output, &ignored);
    free(text);
    return result;
}
