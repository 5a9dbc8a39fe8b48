/* The progress line on standard error: only when that is a terminal, and wiped when done. */
#ifndef ENCORE_TOOLS_PROGRESS_H
#define ENCORE_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool shown;
    uint64_t last_exits;
    uint64_t last_time; /* host, ns */
};

/* Whether a progress line is wanted: standard error is a terminal, and the guest does not print on a terminal too (the
 * two would write over each other). `console_on_stdout`: the guest's console is standard output. */
bool progress_wanted(bool console_on_stdout);

/* Shows guest time, exits per second, and, when stored_bytes is not 0, the log's size and compression ratio. */
void progress_show(struct progress *progress, uint64_t guest_time, uint64_t exits, uint64_t raw_bytes,
                   uint64_t stored_bytes);

void progress_wipe(struct progress *progress);

/* How much of a file has been gone through, on standard error if that is a terminal, when it takes longer than a blink.
 */
struct bytes_progress {
    const char *what, *name; /* "reading", and the file */
    uint64_t total, done;
    uint64_t shown_at; /* host, ns; 0 at first */
    bool shown;
};
void progress_bytes(struct bytes_progress *progress, uint64_t more);
void progress_bytes_wipe(struct bytes_progress *progress);

#endif
