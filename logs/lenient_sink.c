/* See lenient_sink.h. */
#include "logs/lenient_sink.h"

static int end(struct lenient_sink *lenient, const struct error *why)
{
    struct error ignored;

    if (lenient->strict)
        return -1;
    lenient->ended = true;
    if (lenient->inner.truncate)
        (void)lenient->inner.truncate(lenient->inner.context, lenient->length, &ignored);
    lenient->tell(lenient->context, why);
    return 0;
}

static int lenient_write(void *context, const void *bytes, size_t length, struct error *error)
{
    struct lenient_sink *lenient = context;

    if (lenient->ended)
        return 0;
    if (lenient->inner.write(lenient->inner.context, bytes, length, error) < 0)
        return end(lenient, error);
    lenient->length += length;
    return 0;
}

static int lenient_publish(void *context, struct error *error)
{
    struct lenient_sink *lenient = context;

    if (lenient->ended || !lenient->inner.publish)
        return 0;
    return lenient->inner.publish(lenient->inner.context, error);
}

static int lenient_sync(void *context, struct error *error)
{
    struct lenient_sink *lenient = context;

    if (lenient->ended || !lenient->inner.sync || lenient->inner.sync(lenient->inner.context, error) == 0)
        return 0;
    return end(lenient, error);
}

static int lenient_truncate(void *context, uint64_t length, struct error *error)
{
    struct lenient_sink *lenient = context;

    if (lenient->ended || !lenient->inner.truncate)
        return 0;
    lenient->length = length;
    return lenient->inner.truncate(lenient->inner.context, length, error);
}

struct log_sink lenient_sink(struct lenient_sink *lenient)
{
    return (struct log_sink){.write = lenient_write,
                             .publish = lenient_publish,
                             .sync = lenient_sync,
                             .truncate = lenient_truncate,
                             .context = lenient};
}
