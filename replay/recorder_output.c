/*
 * Output on its way out. Bytes gather while the guest prints; the OUTPUT record that announces them is appended before
 * any of them leaves, because later, with a backup, that record's acknowledgement is what lets them go.
 */
#include "replay/recorder_internal.h"

void recorder_output(struct recorder *recorder, uint8_t channel, uint8_t byte)
{
    struct error error;

    outputs_put(&recorder->traffic.outputs, channel, byte);
    /* What a script does next may not depend on when output is let out. */
    if (recorder->options.script)
        script_output(recorder->options.script, &byte, 1);
    recorder->last_byte = byte;
    recorder->last_output = recorder->machine->engine->exits;
    recorder->gathered[recorder->gathered_length++] = byte;
    if (recorder->gathered_length == OUTPUT_GATHER && recorder_release_output(recorder, &error) < 0)
        recorder_fail(recorder, &error);
}

int recorder_release_output(struct recorder *recorder, struct error *error)
{
    struct log_record record = {
        .type = LOG_OUTPUT, .at = position_at_exit(recorder->last_output), .channel = MACHINE_CONSOLE_COM1};

    if (recorder->gathered_length == 0)
        return 0;
    outputs_announce(&recorder->traffic.outputs, record.channel, &record.length, &record.hash);
    if (recorder_append(recorder, &record, error) < 0)
        return -1;
    if (recorder->options.relay) {
        const struct recorder_relay *relay = recorder->options.relay;
        size_t length = recorder->gathered_length;
        recorder->gathered_length = 0;
        return relay->output(relay->context, recorder->gathered, length, error);
    }
    int result = console_write(recorder->options.console, recorder->gathered, recorder->gathered_length, error);
    recorder->gathered_length = 0;
    return result;
}
