/* What a replay can write down for other programs: the network's frames both ways, and the console's output, with the
 * guest's time. */
#ifndef ENCORE_TOOLS_CAPTURE_H
#define ENCORE_TOOLS_CAPTURE_H

#include <stdio.h>

#include "replay/asciicast.h"
#include "replay/description.h"

struct capture_paths {
    const char *pcap, *cast; /* NULL: not that */
};

struct capture {
    FILE *pcap, *cast;
    struct capture_paths paths;
    const struct machine *machine;
    uint64_t origin; /* the real-time clock at guest time 0, in ns since 1970 UTC */
    struct asciicast text;
    struct bytes_writer piece;
};

/* Begins the files, replacing what there was. The machine is asked for the time. Returns 0, or -1 with the error;
 * capture_close is to be called either way. */
int capture_open(struct capture *capture, const struct capture_paths *paths, const struct description *description,
                 const struct machine *machine, struct error *error);

/* As in struct replayer_options. */
int capture_output(struct capture *capture, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error);
int capture_frame_in(struct capture *capture, const uint8_t *frame, size_t length, struct error *error);

/* Returns 0, or -1 with the error when not all could be written. */
int capture_close(struct capture *capture, struct error *error);

#endif
