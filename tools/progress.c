/* See progress.h. */
#include "tools/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
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

#define BYTES_EVERY 300000000 /* ns */

void progress_bytes(struct bytes_progress *progress, uint64_t more)
{
    uint64_t now = host_clock_now();

    progress->done += more;
    if (progress->shown_at == 0)
        progress->shown_at = now;
    if (now - progress->shown_at < BYTES_EVERY || progress->total == 0 || !isatty(STDERR_FILENO))
        return;
    progress->shown_at = now;
    progress->shown = true;
    fprintf(stderr, "\r\033[K%s ", progress->what);
    text_print(progress->name, stderr);
    fprintf(stderr, ": %.0f %% of %.1f GiB", 100 * (double)progress->done / (double)progress->total,
            (double)progress->total / (1 << 30));
    fflush(stderr);
}

void progress_bytes_wipe(struct bytes_progress *progress)
{
    if (progress->shown)
        fprintf(stderr, "\r\033[K");
    progress->shown = false;
}
