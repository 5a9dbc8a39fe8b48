/* Logs in files of their own or in bundles; see bundle.h. */
#include "logs/bundle.h"

struct bundle *bundle_open_file(struct files *files, const char *path, struct error *error)
{
    struct log_source source;

    if (log_source_file(files, path, &source, error))
        return NULL;
    int is_one = bundle_is_one(&source, error);
    if (is_one > 0)
        return bundle_open(&source, path, error);
    source.close(source.context);
    if (is_one < 0)
        error_wrap(error, "%s", path);
    else
        error->kind = ERROR_NONE;
    return NULL;
}

int log_source_open(struct files *files, const char *path, struct log_source *source, struct error *error)
{
    if (log_source_file(files, path, source, error))
        return -1;
    int is_one = bundle_is_one(source, error);
    if (is_one == 0)
        return 0;
    if (is_one < 0) {
        source->close(source->context);
        return error_wrap(error, "%s", path);
    }
    struct bundle *bundle = bundle_open(source, path, error);
    if (!bundle)
        return -1;
    *source = bundle_log(bundle);
    return 0;
}
