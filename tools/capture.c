/* See capture.h. */
#include "tools/capture.h"

#include "replay/outbox.h"
#include "replay/pcap.h"

#define NANOSECONDS UINT64_C(1000000000)
#define PIECE_MAX   (16u << 20)

static int write_piece(struct capture *capture, struct capture_file *file, struct error *error)
{
    const struct bytes_writer *piece = &capture->piece;

    if (piece->failed)
        return error_set(error, ERROR_HOST, "out of memory");
    uint64_t again = file->written - file->made;
    size_t skip = again < piece->length ? (size_t)again : piece->length;
    if (output_write(file->output, piece->data + skip, piece->length - skip, error) < 0)
        return -1;
    file->made += piece->length;
    file->written += piece->length - skip;
    bytes_writer_clear(&capture->piece);
    return 0;
}

static int open_file(struct capture_file *file, struct files *files, const char *path, const char *option,
                     struct error *error)
{
    const struct output_options options = {.replace = true, .stream = true, .mode = 0666};

    if (!path)
        return 0;
    file->output = output_open(files, path, &options, error);
    return file->output ? 0 : error_wrap(error, "%s", option);
}

int capture_again(struct capture *capture, const struct description *description, struct error *error)
{
    capture->pcap.made = capture->cast.made = 0;
    if (capture->pcap.output) {
        pcap_begin(&capture->piece);
        if (write_piece(capture, &capture->pcap, error) < 0)
            return -1;
    }
    if (!capture->cast.output)
        return 0;
    asciicast_begin(&capture->text, &capture->piece, description->rtc_start);
    return write_piece(capture, &capture->cast, error);
}

int capture_open(struct capture *capture, struct files *files, const struct capture_paths *paths,
                 const struct description *description, const struct machine *machine, struct error *error)
{
    if (paths->pcap && description->net_count == 0)
        return error_set(error, ERROR_INPUT, "--pcap: the machine has no network card");
    *capture = (struct capture){.machine = machine, .piece = bytes_writer(PIECE_MAX)};
    capture->origin = description->rtc_start > 0 ? (uint64_t)description->rtc_start * NANOSECONDS : 0;
    if (open_file(&capture->pcap, files, paths->pcap, "--pcap", error) < 0 ||
        open_file(&capture->cast, files, paths->cast, "--cast", error) < 0)
        return -1;
    return capture_again(capture, description, error);
}

static bool takes_stdout(const struct capture_file *file)
{
    return file->output && output_is_stdout(file->output);
}

bool capture_takes_stdout(const struct capture *capture)
{
    return takes_stdout(&capture->pcap) || takes_stdout(&capture->cast);
}

int capture_output(struct capture *capture, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error)
{
    uint64_t now = machine_view(capture->machine);
    struct bytes_reader reader = bytes_reader(bytes, length);
    const uint8_t *frame;
    size_t got;

    if (channel == MACHINE_CONSOLE_COM1) {
        if (!capture->cast.output)
            return 0;
        asciicast_output(&capture->text, &capture->piece, now, bytes, length);
        return write_piece(capture, &capture->cast, error);
    }
    if (!capture->pcap.output)
        return 0;
    while ((got = outbox_next_frame(&reader, &frame)) > 0)
        pcap_frame(&capture->piece, capture->origin + now, frame, got);
    return write_piece(capture, &capture->pcap, error);
}

int capture_frame_in(struct capture *capture, const uint8_t *frame, size_t length, struct error *error)
{
    if (!capture->pcap.output)
        return 0;
    pcap_frame(&capture->piece, capture->origin + machine_view(capture->machine), frame, length);
    return write_piece(capture, &capture->pcap, error);
}

int capture_publish(struct capture *capture, struct error *error)
{
    if (capture->pcap.output && output_publish(capture->pcap.output, error) < 0)
        return -1;
    return capture->cast.output ? output_publish(capture->cast.output, error) : 0;
}

void capture_close(struct capture *capture)
{
    struct error ignored;

    output_close(capture->pcap.output, &ignored);
    output_close(capture->cast.output, &ignored);
    bytes_writer_free(&capture->piece);
    *capture = (struct capture){0};
}
