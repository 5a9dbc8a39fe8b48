/* encore log export: the whole log in a form that other programs read. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tools/command_line.h"
#include "tools/json_print.h"
#include "tools/log_commands.h"
#include "tools/log_support.h"
#include "tools/replay.h"

struct export_options {
    struct log_argument log;
    bool json;
    struct file_places places;
    struct capture_paths capture;
};

enum option_key { KEY_JSON = 0x100, KEY_PCAP, KEY_CAST };

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct export_options *to = state->input;

    switch (key) {
    case KEY_JSON:
        to->json = true;
        return 0;
    case KEY_PCAP:
        to->capture.pcap = text;
        return 0;
    case KEY_CAST:
        to->capture.cast = text;
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &to->log;
        state->child_inputs[1] = &to->places;
        return 0;
    case ARGP_KEY_END:
        if (!to->json && !to->capture.pcap && !to->capture.cast)
            argp_error(state, "one of --json, --pcap and --cast is needed");
        if (to->json && (to->capture.pcap || to->capture.cast))
            argp_error(state, "--json goes to standard output, alone");
        if (to->json && file_places_given(&to->places))
            argp_error(state, "--json needs none of the guest's files: --image, --initrd and --disk are for --pcap and "
                              "--cast");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Prints an object as one line and releases it. NULL stands for memory that was not there. */
static int print_object(json_t *object, struct error *error)
{
    int result = json_print(object, JSON_COMPACT);

    json_decref(object);
    if (result < 0)
        return error_set(error, ERROR_HOST, "out of memory");
    return 0;
}

static int export_header(const struct log_header *header, const char *path, struct error *error)
{
    char id[2 * sizeof header->id.bytes + 1];
    json_error_t problem;
    json_t *machine = json_loads(header->machine, 0, &problem);

    if (!machine)
        return error_set(error, ERROR_INPUT, "%s: machine description: %.200s", path, problem.text);
    for (size_t i = 0; i < sizeof header->id.bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", header->id.bytes[i]);
    return print_object(
        json_pack("{s:s, s:i, s:s, s:o}", "type", "HEADER", "format", LOG_FORMAT_VERSION, "id", id, "machine", machine),
        error);
}

static int export_record(const struct log_reader *reader, const struct log_record *record, struct error *error)
{
    struct log_place place = log_reader_place(reader);
    json_t *object = record_json(record);

    if (object && (json_object_set_new(object, "record", json_integer((json_int_t)place.record)) < 0 ||
                   json_object_set_new(object, "frame", json_integer((json_int_t)place.frame)) < 0 ||
                   json_object_set_new(object, "offset", json_integer((json_int_t)place.offset)) < 0)) {
        json_decref(object);
        object = NULL;
    }
    return print_object(object, error);
}

static int export_records(struct log_reader *reader, struct error *error)
{
    struct log_record record;
    enum log_read result;

    while ((result = log_reader_next(reader, &record, error)) == LOG_READ_RECORD) {
        if (export_record(reader, &record, error) < 0)
            return -1;
        if (ferror(stdout))
            return 0; /* log_finish tells */
    }
    error->kind = result == LOG_READ_END ? ERROR_NONE : error->kind;
    if (result == LOG_READ_END && log_reader_check_end(reader, error) == 0)
        return 0;
    log_stopped(reader, error);
    return -1;
}

int command_log_export(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"json", KEY_JSON, NULL, 0, "JSON lines: the header, then one object a record", 0},
        {"pcap", KEY_PCAP, "FILE", 0, "The network's frames, both ways, for Wireshark", 0},
        {"cast", KEY_CAST, "FILE", 0, "The console's output as an asciicast, for asciinema", 0},
        {0},
    };
    static const struct argp_child children[] = {
        {&log_argument_argp, 0, NULL, 0}, {&file_places_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .children = children,
        .doc = "Puts a log into a form that other programs read.\v"
               "For --pcap and --cast the guest is run again, for the log does not hold what it sent. Of --json the "
               "first line is the header (type HEADER); each line after it is one record, with its number, its "
               "frame and that frame's offset in the file. A log was read to its end if the last line is of type END; "
               "otherwise the exit code is 4.",
    };
    struct export_options to = {0};
    struct error error = {0};

    command_line_parse(&argp, "log export", argc, argv, &to);
    if (!to.json)
        return replay_capture("log export", &to.log, &to.places, &to.capture);
    struct log_reader *reader = log_reader_open(NULL, to.log.path, false, &error);
    if (reader && export_header(log_reader_header(reader), to.log.path, &error) == 0)
        export_records(reader, &error);
    log_reader_close(reader);
    return log_finish("log export", &to.log, &error);
}
