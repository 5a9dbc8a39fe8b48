/* What a replay can write down for other programs: the network's frames both ways, and the console's output, with the
 * guest's time. */
#ifndef ENCORE_TOOLS_CAPTURE_H
#define ENCORE_TOOLS_CAPTURE_H

#include "base/output.h"
#include "replay/asciicast.h"
#include "replay/description.h"

struct capture_paths {
    const char *pcap, *cast; /* NULL: not that; "-": standard output */
};

/* One of the files. */
struct capture_file {
    struct output *output; /* NULL: it is not wanted */
    uint64_t made;         /* bytes of it made in this attempt */
    uint64_t written;      /* ... and written so far */
};

struct capture {
    struct capture_file pcap, cast;
    const struct machine *machine;
    uint64_t origin; /* the real-time clock at guest time 0, in ns since 1970 UTC */
    struct asciicast text;
    struct bytes_writer piece;
};

/* Opens both, as outputs of the run `files`: nothing is replaced yet. The machine, which may come into being later, is
 * asked for the time. Returns 0, or -1 with the error; capture_close is to be called either way. */
int capture_open(struct capture *capture, struct files *files, const struct capture_paths *paths,
                 const struct description *description, const struct machine *machine, struct error *error);

/* Whether one of them goes to standard output, where then nothing else may go. */
bool capture_takes_stdout(const struct capture *capture);

/* As in struct replayer_options. */
int capture_output(struct capture *capture, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error);
int capture_frame_in(struct capture *capture, const uint8_t *frame, size_t length, struct error *error);

/* The replay begins again, from the same place: what has been written is not written a second time. */
int capture_again(struct capture *capture, const struct description *description, struct error *error);

/* Gives the files their names, in place of what there was. They hold all that the guest sent until then, whether it
 * came to its end or not. Returns 0, or -1 with the error. */
int capture_publish(struct capture *capture, struct error *error);

/* Closes them; what was not published is gone. */
void capture_close(struct capture *capture);

#endif
