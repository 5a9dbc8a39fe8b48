/* See capture.h. */
#include "tools/capture.h"

#include "replay/outbox.h"
#include "replay/pcap.h"

#define NANOSECONDS UINT64_C(1000000000)
#define PIECE_MAX   (16u << 20)

static int write_piece(struct capture *capture, FILE *file, const char *path, struct error *error)
{
    if (capture->piece.failed)
        return error_set(error, ERROR_HOST, "out of memory");
    if (fwrite(capture->piece.data, 1, capture->piece.length, file) != capture->piece.length)
        return error_errno(error, "%s", path);
    bytes_writer_clear(&capture->piece);
    return 0;
}

static FILE *open_file(const char *path, struct error *error)
{
    FILE *file = fopen(path, "we");

    if (!file)
        error_errno(error, "%s", path);
    return file;
}

int capture_open(struct capture *capture, const struct capture_paths *paths, const struct description *description,
                 const struct machine *machine, struct error *error)
{
    *capture = (struct capture){.paths = *paths, .machine = machine, .piece = bytes_writer(PIECE_MAX)};
    capture->origin = description->rtc_start > 0 ? (uint64_t)description->rtc_start * NANOSECONDS : 0;
    if (paths->pcap) {
        capture->pcap = open_file(paths->pcap, error);
        pcap_begin(&capture->piece);
        if (!capture->pcap || write_piece(capture, capture->pcap, paths->pcap, error) < 0)
            return -1;
    }
    if (paths->cast) {
        capture->cast = open_file(paths->cast, error);
        asciicast_begin(&capture->text, &capture->piece, description->rtc_start);
        if (!capture->cast || write_piece(capture, capture->cast, paths->cast, error) < 0)
            return -1;
    }
    return 0;
}

int capture_output(struct capture *capture, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error)
{
    uint64_t now = machine_view(capture->machine);
    struct bytes_reader reader = bytes_reader(bytes, length);
    const uint8_t *frame;
    size_t got;

    if (channel == MACHINE_CONSOLE_COM1) {
        if (!capture->cast)
            return 0;
        asciicast_output(&capture->text, &capture->piece, now, bytes, length);
        return write_piece(capture, capture->cast, capture->paths.cast, error);
    }
    if (!capture->pcap)
        return 0;
    while ((got = outbox_next_frame(&reader, &frame)) > 0)
        pcap_frame(&capture->piece, capture->origin + now, frame, got);
    return write_piece(capture, capture->pcap, capture->paths.pcap, error);
}

int capture_frame_in(struct capture *capture, const uint8_t *frame, size_t length, struct error *error)
{
    if (!capture->pcap)
        return 0;
    pcap_frame(&capture->piece, capture->origin + machine_view(capture->machine), frame, length);
    return write_piece(capture, capture->pcap, capture->paths.pcap, error);
}

static int close_file(FILE *file, const char *path, struct error *error)
{
    return file && fclose(file) != 0 ? error_errno(error, "%s", path) : 0;
}

int capture_close(struct capture *capture, struct error *error)
{
    int pcap = close_file(capture->pcap, capture->paths.pcap, error);
    int cast = close_file(capture->cast, capture->paths.cast, error);

    bytes_writer_free(&capture->piece);
    *capture = (struct capture){0};
    return pcap < 0 || cast < 0 ? -1 : 0;
}
