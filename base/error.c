#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static void error_format(struct error *error, const char *format, va_list arguments)
{
    char raw[sizeof error->text];

    vsnprintf(raw, sizeof raw, format, arguments);
    text_escape(raw, strlen(raw), error->text, sizeof error->text);
}

int error_set(struct error *error, enum error_kind kind, const char *format, ...)
{
    va_list arguments;

    error->kind = kind;
    va_start(arguments, format);
    error_format(error, format, arguments);
    va_end(arguments);
    return -1;
}

static void append_errno(struct error *error, int code)
{
    size_t used = strlen(error->text);

    snprintf(error->text + used, sizeof error->text - used, ": %s", strerror(code));
}

int error_errno(struct error *error, const char *format, ...)
{
    int saved = errno;
    va_list arguments;

    error->kind = ERROR_HOST;
    va_start(arguments, format);
    error_format(error, format, arguments);
    va_end(arguments);
    append_errno(error, saved);
    return -1;
}

static bool path_is_wrong(int code)
{
    return code == ENOENT || code == ENOTDIR || code == EISDIR || code == ENAMETOOLONG || code == ELOOP ||
           code == EACCES || code == EPERM || code == EROFS;
}

int error_path(struct error *error, const char *format, ...)
{
    int saved = errno;
    va_list arguments;

    error->kind = path_is_wrong(saved) ? ERROR_INPUT : ERROR_HOST;
    va_start(arguments, format);
    error_format(error, format, arguments);
    va_end(arguments);
    append_errno(error, saved);
    return -1;
}

int error_wrap(struct error *error, const char *format, ...)
{
    char inner[sizeof error->text];
    va_list arguments;

    memcpy(inner, error->text, sizeof inner);
    va_start(arguments, format);
    error_format(error, format, arguments);
    va_end(arguments);
    size_t used = strlen(error->text);
    snprintf(error->text + used, sizeof error->text - used, ": %s", inner);
    return -1;
}

int error_exit_code(enum error_kind kind)
{
    switch (kind) {
    case ERROR_NONE:
        return 0;
    case ERROR_HOST:
        return 1;
    case ERROR_INPUT:
        return 2;
    case ERROR_DIVERGED:
        return 3;
    case ERROR_CUT:
    case ERROR_DAMAGED:
        return 4;
    }
    return 1;
}
