/*
 * Output on its way out. Bytes gather while the guest prints; the OUTPUT record that announces them is appended before
 * any of them leaves, because later, with a backup, that record's acknowledgement is what lets them go. Frames are let
 * out at the end of the exit in which they were sent, for somebody waits for each of them; one record announces all
 * frames of an exit.
 */
#include "replay/recorder_internal.h"

/* More than a card's queue holds is announced in several records. */
#define FRAMES_GATHER RECORDER_FRAMES_MAX - (OUTPUT_FRAME_HEADER + FRAME_MAX)

static void gathered(struct recorder *recorder, unsigned stream, size_t most)
{
    struct error error;

    recorder->last_output = recorder->machine->engine->exits;
    if (recorder->outbox.streams[stream].failed) {
        error_set(&error, ERROR_HOST, "out of memory");
        return recorder_fail(recorder, &error);
    }
    if (recorder->outbox.streams[stream].length >= most && recorder_release_output(recorder, &error) < 0)
        recorder_fail(recorder, &error);
}

void recorder_output(struct recorder *recorder, uint8_t byte)
{
    recorder->last_byte = byte;
    /* What a script does next may not depend on when output is let out. */
    if (recorder->options.script)
        script_output(recorder->options.script, &byte, 1);
    outbox_put_byte(&recorder->outbox, &recorder->traffic.outputs, byte);
    gathered(recorder, 0, RECORDER_OUTPUT_MAX);
}

void recorder_frame_output(struct recorder *recorder, unsigned card, const uint8_t *frame, size_t length)
{
    outbox_put_frame(&recorder->outbox, &recorder->traffic.outputs, card, frame, length);
    recorder->frames_wait = true;
    gathered(recorder, OUTPUT_CARD(card), FRAMES_GATHER);
}

static void send_frames(struct net *net, const struct bytes_writer *waiting)
{
    struct bytes_reader bytes = bytes_reader(waiting->data, waiting->length);
    const uint8_t *frame;
    size_t length;

    while (net && (length = outbox_next_frame(&bytes, &frame)) > 0)
        net_write(net, frame, length);
}

static int let_out(struct recorder *recorder, unsigned stream, struct error *error)
{
    const struct recorder_options *options = &recorder->options;
    const struct bytes_writer *waiting = &recorder->outbox.streams[stream];

    if (options->relay)
        return options->relay->output(options->relay->context, outputs_channel_of(stream), waiting->data,
                                      waiting->length, error);
    if (stream >= OUTPUT_CARD(0)) {
        send_frames(options->nets[stream - OUTPUT_CARD(0)], waiting);
        return 0;
    }
    return console_write(options->console, waiting->data, waiting->length, error);
}

static int release(struct recorder *recorder, unsigned stream, struct error *error)
{
    struct log_record record = {
        .type = LOG_OUTPUT, .at = position_at_exit(recorder->last_output), .channel = outputs_channel_of(stream)};

    outputs_announce(&recorder->traffic.outputs, stream, &record.length, &record.hash);
    if (recorder_append(recorder, &record, error) < 0 || let_out(recorder, stream, error) < 0)
        return -1;
    bytes_writer_clear(&recorder->outbox.streams[stream]);
    return 0;
}

int recorder_release_output(struct recorder *recorder, struct error *error)
{
    recorder->frames_wait = false;
    recorder->output_at = 0;
    for (unsigned stream = 0; stream < OUTPUT_STREAMS; stream++) {
        if (recorder->outbox.streams[stream].length > 0 && release(recorder, stream, error) < 0)
            return -1;
    }
    return 0;
}
