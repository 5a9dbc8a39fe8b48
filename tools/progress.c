/* See progress.h. */
#include "tools/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/host/clock.h"

bool progress_wanted(bool console_on_stdout)
{
    return isatty(STDERR_FILENO) && !(console_on_stdout && isatty(STDOUT_FILENO));
}

void progress_show(struct progress *progress, uint64_t guest_time, uint64_t exits, uint64_t raw_bytes,
                   uint64_t stored_bytes)
{
    uint64_t now = host_clock_now();
    double seconds = (double)(now - progress->last_time) / 1e9;
    double rate = progress->last_time ? (double)(exits - progress->last_exits) / seconds : 0;

    fprintf(stderr, "\r\033[Kguest %.1f s, %" PRIu64 " exits, %.0f exits/s", (double)guest_time / 1e9, exits, rate);
    if (stored_bytes)
        fprintf(stderr, ", log %" PRIu64 " bytes, ratio %.1f", stored_bytes, (double)raw_bytes / (double)stored_bytes);
    fflush(stderr);
    progress->shown = true;
    progress->last_exits = exits;
    progress->last_time = now;
}

void progress_wipe(struct progress *progress)
{
    if (progress->shown)
        fprintf(stderr, "\r\033[K");
    progress->shown = false;
}
