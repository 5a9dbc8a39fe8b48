/* Applying and comparing the record at hand. See replayer_internal.h. */
#include <inttypes.h>
#include <string.h>

#include "replay/replayer_internal.h"

bool replayer_diverge(struct replayer *replayer, const char *expected, const char *got)
{
    divergence_note(&replayer->divergence, &replayer->next, log_reader_place(replayer->options.reader), expected, got);
    return false;
}

bool replayer_check_output(struct replayer *replayer, struct error *error)
{
    const struct log_record *record = &replayer->next;
    unsigned stream = outputs_stream_of(record->channel);
    char expected[100], got[100];
    uint64_t length;
    uint32_t hash;

    if (stream == OUTPUT_NO_STREAM)
        return replayer_diverge(replayer, "output on this channel", "there is no such channel");
    struct bytes_writer *waiting = &replayer->waiting.streams[stream];
    outputs_announce(&replayer->traffic.outputs, stream, &length, &hash);
    if (length != record->length || hash != record->hash) {
        snprintf(expected, sizeof expected, "%" PRIu64 " bytes of output, hash %08" PRIx32, record->length,
                 record->hash);
        snprintf(got, sizeof got, "%" PRIu64 " bytes of output, hash %08" PRIx32, length, hash);
        return replayer_diverge(replayer, expected, got);
    }
    replayer->counts.outputs++;
    if (waiting->no_memory)
        return error_set(error, ERROR_HOST, "out of memory") == 0;
    if (waiting->failed)
        return replayer_diverge(replayer, "output in pieces of at most a megabyte", "more at once");
    bool good = !replayer->options.output || replayer->options.output(replayer->options.output_context, record->channel,
                                                                      waiting->data, waiting->length, error) == 0;
    bytes_writer_clear(waiting);
    return good;
}

static bool apply_time(struct replayer *replayer)
{
    struct machine *machine = replayer->machine;
    uint64_t time = replayer->next.time;

    if (machine->virtual_clock)
        return replayer_diverge(replayer, "no record of the time with a virtual clock", "one");
    if (replayer->next.to_deadline)
        time = machine_deadline(machine);
    if (time == NO_DEADLINE)
        return replayer_diverge(replayer, "a device with a deadline", "no device waits for anything");
    machine_set_time(machine, time);
    return true;
}

static bool apply_console_in(struct replayer *replayer)
{
    const struct log_record *record = &replayer->next;

    if (record->channel != MACHINE_CONSOLE_COM1 || record->length > machine_console_room(replayer->machine))
        return replayer_diverge(replayer, "a console with room for these bytes", "none");
    machine_console_input(replayer->machine, record->bytes, record->length);
    return inputs_note(&replayer->traffic.inputs, record);
}

static bool apply_frame_in(struct replayer *replayer, struct error *error)
{
    const struct log_record *record = &replayer->next;
    const struct replayer_options *options = &replayer->options;

    if (machine_net_room(replayer->machine, record->channel) == 0)
        return replayer_diverge(replayer, "a network card with room for this frame", "none");
    if (options->frame_in &&
        options->frame_in(options->output_context, record->channel, record->bytes, record->length, error) < 0)
        return false;
    machine_net_input(replayer->machine, record->channel, record->bytes, record->length);
    return true;
}

static bool apply_operator(struct replayer *replayer)
{
    const struct log_record *record = &replayer->next;
    char got[60];

    if (inputs_note(&replayer->traffic.inputs, record)) {
        machine_look_at_interrupts(replayer->machine);
        return true;
    }
    if (machine_operator(replayer->machine, record->command, record->bytes, record->length))
        return true;
    snprintf(got, sizeof got, "no such command as %u", record->command);
    return replayer_diverge(replayer, "an operator's command that this machine knows", got);
}

bool replayer_check_digest(struct replayer *replayer, struct error *error)
{
    const struct log_record *record = &replayer->next;
    char expected[64], got[64], text[DIGEST_TEXT];
    struct digest digest;

    if (machine_digest(replayer->machine, &digest, error) < 0)
        return false;
    if (digest_equal(digest, record->digest) && record->time == machine_time(replayer->machine))
        return true;
    snprintf(expected, sizeof expected, "digest %s", digest_text(record->digest, text));
    snprintf(got, sizeof got, "digest %s", digest_text(digest, text));
    replayer_diverge(replayer, expected, got);
    if (record->type == LOG_CHECKPOINT)
        divergence_compare(&replayer->divergence, replayer->machine, replayer->options.reader);
    return false;
}

bool replayer_apply(struct replayer *replayer, struct error *error)
{
    struct machine *machine = replayer->machine;

    switch (replayer->next.type) {
    case LOG_TIME:
        divergence_note_input(&replayer->divergence, &replayer->next);
        return apply_time(replayer);
    case LOG_CONSOLE_IN:
        divergence_note_input(&replayer->divergence, &replayer->next);
        return apply_console_in(replayer);
    case LOG_FRAME_IN:
        divergence_note_input(&replayer->divergence, &replayer->next);
        return apply_frame_in(replayer, error);
    case LOG_OUTPUT:
        return replayer_check_output(replayer, error);
    case LOG_DIGEST:
        machine_look_at_interrupts(machine);
        replayer->counts.digests++;
        return replayer_check_digest(replayer, error);
    case LOG_CHECKPOINT:
        machine_look_at_interrupts(machine);
        replayer->counts.checkpoints++;
        return replayer_check_digest(replayer, error);
    case LOG_OPERATOR:
        divergence_note_input(&replayer->divergence, &replayer->next);
        return apply_operator(replayer);
    case LOG_DISK_ERROR:
        return replayer_diverge(replayer, "a disk transfer of this number in this exit", "there was none");
    case LOG_CLOCK_READ:
        return replayer_diverge(replayer, "the guest to read a clock in this exit", "it did not");
    case LOG_ENTROPY:
        return replayer_diverge(replayer, "the guest to ask for entropy in this exit", "it did not");
    case LOG_END:
        break;
    }
    return replayer_diverge(replayer, "a record of a known type", "one of another");
}
