/*
 * log_doctor: copies a log with one thing in it changed, for tests of what a replay makes of that.
 *
 *     log_doctor IN.enc OUT.enc TYPE NUMBER CHANGE
 *     log_doctor IN.enc OUT.enc HEADER TEXT OTHER
 *
 * The first form changes record NUMBER (from 0) among those of its TYPE: `byte` flips a bit of its first payload byte,
 * `later` makes its time 20 ms later, `back` makes it 0 and `huge` the last there is, `hash`, `length`, `digest` and
 * `value` (the exit value) add one to that field, `reason` makes an END the user's, `exits` puts the position one exit
 * later, `ticks` one tick later, `rip` one byte further, `transfer` adds one to a disk transfer's number, `drop` leaves
 * the record out, `twice` has it twice, `blob` flips a bit in the middle of a CHECKPOINT's data, `insert:TYPE` puts a
 * record before it that no machine agrees with (impossible.h; behind an inserted END or CHECKPOINT comes nothing). TYPE
 * ANY counts all records. It prints the number of the changed record in the log. The second form replaces the first
 * TEXT in the machine's description. Checksums, index and coding of the copy are sound: what is wrong with it is its
 * meaning. Exit code 0, or 1 with a sentence.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logs/file_sink.h"
#include "logs/reader.h"
#include "logs/writer.h"
#include "tests/tools/impossible.h"

#define BLOB_MAX (UINT64_C(1) << 31)
#define LATER    20000000u /* ns */

struct doctor {
    struct log_reader *reader;
    struct log_writer *writer;
    const char *type;
    uint64_t number;
    const char *change;
    uint64_t seen; /* records of the type so far */
    uint64_t time; /* of the last record that had one */
    bool done;
    bool ended;            /* by a record that was inserted, behind which none of the others may come */
    struct position shift; /* added to the positions from there on */
};

static int fail(const char *what, const struct error *error)
{
    fprintf(stderr, "log_doctor: %s%s%s\n", what, error ? ": " : "", error ? error->text : "");
    return -1;
}

/* Changes the record, whose payload is copied to `bytes` first. Returns 0, or -1 when it has no such thing. */
static int change_field(struct doctor *doctor, struct log_record *record, uint8_t *bytes)
{
    const char *change = doctor->change;

    if (strcmp(change, "byte") == 0 && record->bytes && record->length > 0) {
        memcpy(bytes, record->bytes, record->length);
        bytes[0] ^= 1;
        record->bytes = bytes;
    } else if (strcmp(change, "later") == 0) {
        record->time = (record->to_deadline ? doctor->time : record->time) + LATER;
        record->to_deadline = false;
    } else if (strcmp(change, "back") == 0) {
        record->time = 0;
        record->to_deadline = false;
    } else if (strcmp(change, "huge") == 0) {
        record->time = UINT64_MAX;
        record->to_deadline = false;
    } else if (strcmp(change, "reason") == 0) {
        record->reason = LOG_END_SIGNAL;
    } else if (strcmp(change, "exits") == 0) {
        doctor->shift.exits = 1;
    } else if (strcmp(change, "ticks") == 0 && record->at.kind == AT_TICK) {
        doctor->shift.ticks = 1;
    } else if (strcmp(change, "rip") == 0 && record->at.kind != AT_EXIT) {
        record->at.rip++;
    } else if (strcmp(change, "hash") == 0) {
        record->hash++;
    } else if (strcmp(change, "length") == 0) {
        record->length++;
    } else if (strcmp(change, "digest") == 0) {
        record->digest.low++;
    } else if (strcmp(change, "transfer") == 0) {
        record->transfer++;
    } else if (strcmp(change, "value") == 0) {
        record->exit_value++;
    } else {
        return fail("the record has nothing of the kind to change", NULL);
    }
    return 0;
}

static int copy_checkpoint(struct doctor *doctor, const struct log_record *record, bool damage, struct error *error)
{
    struct bytes_writer blob = bytes_writer(BLOB_MAX);
    int result = log_reader_checkpoint(doctor->reader, record->id, &blob, error);

    if (result == 0 && damage && blob.length > 0)
        blob.data[blob.length / 2] ^= 1;
    if (result == 0)
        result = log_writer_checkpoint_begin(doctor->writer, error);
    if (result == 0)
        result = log_writer_checkpoint_write(doctor->writer, blob.data, blob.length, error);
    if (result == 0)
        result = log_writer_checkpoint_end(doctor->writer, record, error);
    bytes_writer_free(&blob);
    return result;
}

static int put(struct doctor *doctor, struct log_record *record, bool damage, struct error *error)
{
    record->at.exits += doctor->shift.exits;
    if (record->at.kind == AT_TICK)
        record->at.ticks += doctor->shift.ticks;
    return record->type == LOG_CHECKPOINT ? copy_checkpoint(doctor, record, damage, error)
                                          : log_writer_append(doctor->writer, record, error);
}

/* The inserted record in front of this one. A CHECKPOINT's data are no machine's. */
static int insert(struct doctor *doctor, const char *name, const struct log_record *before, struct error *error)
{
    enum log_record_type type = type_of_name(name);
    struct log_record record = impossible_record(type, before->at);

    if (!type)
        return error_set(error, ERROR_INPUT, "no type of record is called '%s'", name);
    doctor->ended = type == LOG_END || type == LOG_CHECKPOINT;
    if (type != LOG_CHECKPOINT)
        return log_writer_append(doctor->writer, &record, error);
    record.id = (uint32_t)log_writer_counters(doctor->writer)->checkpoints;
    if (log_writer_checkpoint_begin(doctor->writer, error) < 0 ||
        log_writer_checkpoint_write(doctor->writer, record_type_name(type), 10, error) < 0)
        return -1;
    return log_writer_checkpoint_end(doctor->writer, &record, error);
}

static int copy_record(struct doctor *doctor, struct log_record *record, struct error *error)
{
    uint8_t bytes[LOG_BYTES_MAX];
    bool of_type = strcmp(doctor->type, "ANY") == 0 || strcmp(doctor->type, record_type_name(record->type)) == 0;
    bool here = of_type && doctor->seen++ == doctor->number;

    if (record->time && !here)
        doctor->time = record->time;
    if (!here)
        return put(doctor, record, false, error);
    doctor->done = true;
    printf("%" PRIu64 "\n", log_reader_place(doctor->reader).record);
    if (strcmp(doctor->change, "drop") == 0)
        return 0;
    if (strncmp(doctor->change, "insert:", 7) == 0) {
        if (insert(doctor, doctor->change + 7, record, error) < 0)
            return -1;
        return doctor->ended ? 0 : put(doctor, record, false, error);
    }
    if (strcmp(doctor->change, "blob") == 0)
        return put(doctor, record, true, error);
    if (strcmp(doctor->change, "twice") == 0)
        return put(doctor, record, false, error) < 0 ? -1 : put(doctor, record, false, error);
    if (change_field(doctor, record, bytes) < 0)
        return error_set(error, ERROR_INPUT, "nothing was changed");
    return put(doctor, record, false, error);
}

static int copy_records(struct doctor *doctor, struct error *error)
{
    struct log_record record;

    for (;;) {
        if (doctor->ended)
            return log_writer_close(doctor->writer, error);
        switch (log_reader_next(doctor->reader, &record, error)) {
        case LOG_READ_RECORD:
            if (copy_record(doctor, &record, error) < 0)
                return -1;
            break;
        case LOG_READ_END:
            if (!doctor->done && strcmp(doctor->type, "HEADER") != 0)
                return error_set(error, ERROR_INPUT, "there is no such record");
            return log_writer_close(doctor->writer, error);
        case LOG_READ_STOPPED:
        case LOG_READ_WAIT:
            return -1;
        }
    }
}

/* The description with the first `from` replaced, to be freed; NULL when it is not in there. */
static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *result = NULL;

    if (at && asprintf(&result, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) < 0)
        return NULL;
    return result;
}

static int run(struct doctor *doctor, char **argv, struct error *error)
{
    doctor->reader = log_reader_open(NULL, argv[1], false, error);
    if (!doctor->reader)
        return -1;
    struct log_header header = *log_reader_header(doctor->reader);
    char *description =
        strcmp(doctor->type, "HEADER") == 0 ? replaced(header.machine, argv[4], argv[5]) : strdup(header.machine);
    if (!description)
        return error_set(error, ERROR_INPUT, "the description has no such text");
    header.machine = description;
    struct file_sink *file = file_sink_create(NULL, argv[2], true, FILE_SINK_PAGE_CACHE, error);
    int result = -1;
    if (file) {
        struct log_sink sink = file_sink_sink(file);
        doctor->writer = log_writer_create(&sink, &header, NULL, error);
        result = doctor->writer ? copy_records(doctor, error) : -1;
        log_writer_free(doctor->writer);
        struct error closing;
        if (file_sink_close(file, &closing) < 0 && result == 0) {
            *error = closing;
            result = -1;
        }
    }
    free(description);
    return result;
}

int main(int argc, char **argv)
{
    struct error error = {0};

    if (argc != 6) {
        fprintf(stderr, "Usage: log_doctor IN.enc OUT.enc TYPE NUMBER CHANGE\n"
                        "       log_doctor IN.enc OUT.enc HEADER TEXT OTHER\n");
        return 1;
    }
    struct doctor doctor = {.type = argv[3], .number = strtoull(argv[4], NULL, 10), .change = argv[5]};
    int result = run(&doctor, argv, &error);
    log_reader_close(doctor.reader);
    if (result < 0)
        fail(argv[1], &error);
    return result < 0;
}
