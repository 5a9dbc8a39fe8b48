/*
 * A sink around another that may fail once: a log that ends where its disk was full, while the machine goes on.
 *
 * What failed is told, once; the log is cut after the last frame that it took whole, and everything from then on is
 * thrown away with success. Making the log visible (publish) may still fail, for then nothing depends on it yet.
 */
#ifndef ENCORE_LOGS_LENIENT_SINK_H
#define ENCORE_LOGS_LENIENT_SINK_H

#include "logs/writer.h"

struct lenient_sink {
    struct log_sink inner;
    uint64_t length; /* that the inner sink has; to be set where it goes on with a log */
    bool ended;
    bool strict; /* from now on what fails is an error */
    void (*tell)(void *context, const struct error *why);
    void *context; /* tell's */
};

/* The sink to give to a writer, which hands over a frame at a time; `lenient` must outlive it. */
struct log_sink lenient_sink(struct lenient_sink *lenient);

#endif
