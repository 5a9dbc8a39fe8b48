/* encore log dump: the records, one a line, with the frame that holds them; also of a log that is still growing. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "tools/command_line.h"
#include "tools/log_commands.h"
#include "tools/log_support.h"
#include "tools/quantity.h"
#include "vmm/host/signals.h"

/* How often a growing log is looked at again, in milliseconds. */
#define FOLLOW_INTERVAL 50
/* How many records may pass before Ctrl-C is looked for. */
#define FOLLOW_BURST 256

struct dump {
    struct log_argument log;
    bool wanted[LOG_RECORD_TYPES]; /* [0]: some types only */
    uint64_t from;
    uint64_t limit; /* 0: none */
    bool follow;
    struct signals *signals; /* when following */
};

enum option_key { KEY_TYPE = 0x100, KEY_FROM_RECORD, KEY_LIMIT, KEY_FOLLOW };

static bool want_type(struct dump *dump, const char *name)
{
    for (unsigned type = 1; type < LOG_RECORD_TYPES; type++) {
        if (strcasecmp(name, record_type_name(type)) == 0) {
            dump->wanted[0] = dump->wanted[type] = true;
            return true;
        }
    }
    return false;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct dump *dump = state->input;
    struct error error;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &dump->log;
        return 0;
    case KEY_TYPE:
        if (!want_type(dump, text))
            argp_error(state, "--type: unknown type of record '%s'", text);
        return 0;
    case KEY_FROM_RECORD:
        if (strcmp(text, "0") != 0 && quantity_count(text, &dump->from, &error) < 0)
            argp_error(state, "--from-record: '%s' is not the number of a record", text);
        return 0;
    case KEY_LIMIT:
        if (quantity_count(text, &dump->limit, &error) < 0)
            argp_error(state, "--limit: %s", error.text);
        return 0;
    case KEY_FOLLOW:
        dump->follow = true;
        return 0;
    case ARGP_KEY_SUCCESS:
        if (dump->follow && dump->log.partial)
            argp_error(state, "--partial: a log that is followed is not over where it breaks off");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_record(struct log_reader *reader, const struct log_record *record)
{
    struct log_place place = log_reader_place(reader);
    char text[RECORD_TEXT];

    printf("%8" PRIu64 " %7" PRIu64 " %9" PRIu64 "  %s\n", place.record, place.frame, place.offset,
           record_text(record, text));
}

static bool is_wanted(const struct dump *dump, const struct log_reader *reader, const struct log_record *record)
{
    return (!dump->wanted[0] || dump->wanted[record->type]) && log_reader_place(reader).record >= dump->from;
}

/* Waits up to so many milliseconds for the user's Ctrl-C. */
static bool interrupted(const struct dump *dump, int milliseconds)
{
    struct pollfd poll_fd = {.events = POLLIN};

    if (!dump->follow)
        return false;
    poll_fd.fd = signals_fd(dump->signals);
    return poll(&poll_fd, 1, milliseconds) > 0;
}

/* Prints until the log ends, breaks off (the error is then set), or nothing more is wanted. */
static void print_records(const struct dump *dump, struct log_reader *reader, struct error *error)
{
    struct log_record record;
    uint64_t printed = 0;

    for (uint64_t read = 1;; read++) {
        switch (log_reader_next(reader, &record, error)) {
        case LOG_READ_RECORD:
            if (is_wanted(dump, reader, &record)) {
                print_record(reader, &record);
                if (++printed == dump->limit || ferror(stdout))
                    return;
            }
            if (read % FOLLOW_BURST == 0 && interrupted(dump, 0))
                return;
            break;
        case LOG_READ_WAIT:
            error->kind = ERROR_NONE;
            if (fflush(stdout) != 0 || interrupted(dump, FOLLOW_INTERVAL))
                return;
            break;
        case LOG_READ_END:
            error->kind = ERROR_NONE;
            /* Behind the END of a log that grows the index is perhaps being written. */
            if (!dump->follow && log_reader_check_end(reader, error) < 0)
                log_stopped(reader, error);
            return;
        case LOG_READ_STOPPED:
            log_stopped(reader, error);
            return;
        }
    }
}

static int run(struct dump *dump, struct error *error)
{
    /* From here on a signal ends the following, and not the program in mid-line. */
    if (dump->follow && !(dump->signals = signals_hold(1, error)))
        return -1;
    struct log_reader *reader = log_reader_open(NULL, dump->log.path, dump->follow, error);
    if (!reader)
        return -1;
    printf("%8s %7s %9s  %s\n", "record", "frame", "offset", "what happened");
    print_records(dump, reader, error);
    log_reader_close(reader);
    return 0;
}

int command_log_dump(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"type", KEY_TYPE, "TYPE", 0, "Only records of this type (TIME, OUTPUT, ...); may be given more than once", 0},
        {"from-record", KEY_FROM_RECORD, "N", 0, "Begin at record N", 0},
        {"limit", KEY_LIMIT, "N", 0, "Stop after N lines", 0},
        {"follow", KEY_FOLLOW, NULL, 0, "Go on as the log grows, until its END record or Ctrl-C", 0},
        {0},
    };
    static const struct argp_child children[] = {{&log_argument_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .children = children,
        .doc = "Prints a log's records, one a line.\v"
               "Columns: the record's number, the frame that holds it, that frame's place in the file in bytes, and "
               "the record. Exit code 4, after all that is readable, when the log breaks off or is damaged.",
    };
    struct dump dump = {0};
    struct error error = {0};

    command_line_parse(&argp, "log dump", argc, argv, &dump);
    run(&dump, &error);
    return log_finish("log dump", &dump.log, &error);
}
