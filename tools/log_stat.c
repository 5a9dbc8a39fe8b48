/* encore log stat: what the log's bytes are spent on. */
#include <inttypes.h>
#include <string.h>

#include "tools/log_commands.h"
#include "tools/log_support.h"

/* What a second reading adds to the summary: sizes that the frames hide. */
struct spent {
    uint64_t records[LOG_RECORD_TYPES]; /* bytes of records by type, before compression; [0] is their sum */
    uint64_t checkpoint_stored;         /* bytes of the frames of checkpoints' data, as they stand in the log */
    uint64_t header;
};

/* Each record is coded again, against the record before it, and so has the length that it has in its frame. */
static int spend_records(struct log_reader *reader, struct spent *spent, struct error *error)
{
    struct record_context context = {0};
    struct bytes_writer coded = bytes_writer(LOG_RECORD_MAX);
    struct log_record record;

    *error = (struct error){0};
    while (log_reader_next(reader, &record, error) == LOG_READ_RECORD) {
        bytes_writer_clear(&coded);
        record_encode(&context, &record, &coded);
        if (coded.failed) {
            error_set(error, ERROR_HOST, "out of memory");
            break;
        }
        spent->records[record.type] += coded.length;
        spent->records[0] += coded.length;
    }
    bytes_writer_free(&coded);
    /* Where the log stops, and why, the summary tells. */
    return error->kind == ERROR_HOST ? -1 : 0;
}

static int read_spent(const char *path, struct spent *spent, struct error *error)
{
    struct log_reader *reader = log_reader_open(NULL, path, false, error);
    const struct log_checkpoint *list;
    size_t count;

    if (!reader)
        return -1;
    spent->header = LOG_HEADER_FIXED + strlen(log_reader_header(reader)->machine);
    int result = spend_records(reader, spent, error);
    if (result == 0)
        result = log_reader_checkpoints(reader, &list, &count, error);
    for (size_t i = 0; result == 0 && i < count; i++)
        spent->checkpoint_stored += list[i].offset - list[i].data_offset;
    log_reader_close(reader);
    return result;
}

static double guest_seconds(const struct log_summary *summary)
{
    return (double)summary->time_last / 1e9;
}

static void print_row(const char *name, uint64_t records, uint64_t bytes, const struct log_summary *summary,
                      const struct spent *spent)
{
    double seconds = guest_seconds(summary);

    printf("%-12s %10" PRIu64 " %6.1f%% %12" PRIu64 " %6.1f%% %9.1f", name, records,
           100.0 * (double)records / (double)summary->records[0], bytes,
           100.0 * (double)bytes / (double)spent->records[0], (double)bytes / (double)records);
    if (seconds > 0)
        printf(" %13.1f", (double)records / seconds);
    putchar('\n');
}

static void print_records(const struct log_summary *summary, const struct spent *spent)
{
    printf("%-12s %10s %7s %12s %7s %9s %13s\n", "type", "records", "", "bytes", "", "bytes/rec.", "rec./guest s");
    for (unsigned type = 1; type < LOG_RECORD_TYPES; type++) {
        if (summary->records[type])
            print_row(record_type_name(type), summary->records[type], spent->records[type], summary, spent);
    }
    if (summary->records[0])
        print_row("all", summary->records[0], spent->records[0], summary, spent);
}

static double ratio(uint64_t raw, uint64_t stored)
{
    return stored ? (double)raw / (double)stored : 0;
}

/* Data of checkpoints that were given up count as records: nothing in the log names them. */
static void print_file(const struct log_summary *summary, const struct spent *spent)
{
    uint64_t readable = summary->stop_offset - spent->header;
    uint64_t records = readable - spent->checkpoint_stored;
    double seconds = guest_seconds(summary);

    printf("\n%-16s %12s %8s\n", "in the file", "bytes", "ratio");
    printf("%-16s %12" PRIu64 "\n", "header", spent->header);
    printf("%-16s %12" PRIu64 " %8.1f\n", "records", records, ratio(spent->records[0], records));
    if (summary->records[LOG_CHECKPOINT])
        printf("%-16s %12" PRIu64 " %8.1f\n", "checkpoint data", spent->checkpoint_stored,
               ratio(summary->checkpoint_raw, spent->checkpoint_stored));
    printf("%-16s %12" PRIu64 "\n", summary->ended ? "index, trailer" : "not readable",
           summary->file_bytes - summary->stop_offset);
    printf("%-16s %12" PRIu64 "\n", "all", summary->file_bytes);
    printf("\nguest time       ");
    log_print_time(summary->time_last, stdout);
    if (seconds > 0)
        printf("; %.1f bytes of records in the file for each guest second", (double)records / seconds);
    printf("\ninput payload    %" PRIu64 " bytes (console, entropy, operator, network)\n", summary->payload_bytes);
    printf("guest output     %" PRIu64 " bytes, of which the log holds hashes only\n", summary->output_bytes);
}

int command_log_stat(int argc, char **argv)
{
    const struct log_argument argument = log_parse_alone(
        "log stat",
        "Tells what a log's bytes are spent on.\v"
        "The first table counts records and their bytes before compression; the second, where the file's bytes go. "
        "ratio is before over after compression, where frame headers count as after. Exit code 4, after what is "
        "readable, when the log breaks off or is damaged.",
        argc, argv);
    struct log_summary summary;
    struct spent spent = {0};
    struct error error = {0};

    if (log_verify(argument.path, &summary, &error) < 0 || read_spent(argument.path, &spent, &error) < 0)
        return command_fails("log stat", &error);
    print_records(&summary, &spent);
    print_file(&summary, &spent);
    log_is_whole(&summary, &error);
    return log_finish("log stat", &argument, &error);
}
