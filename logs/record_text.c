/*
 * Records for people (one line) and for programs (JSON).
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "logs/record.h"

/* How many bytes of a payload a line shows. */
#define SHOWN_BYTES 24

const char *record_type_name(enum log_record_type type)
{
    static const char *const names[LOG_RECORD_TYPES] = {
        [LOG_TIME] = "TIME",         [LOG_CLOCK_READ] = "CLOCK_READ", [LOG_CONSOLE_IN] = "CONSOLE_IN",
        [LOG_ENTROPY] = "ENTROPY",   [LOG_OPERATOR] = "OPERATOR",     [LOG_OUTPUT] = "OUTPUT",
        [LOG_DIGEST] = "DIGEST",     [LOG_CHECKPOINT] = "CHECKPOINT", [LOG_END] = "END",
        [LOG_FRAME_IN] = "FRAME_IN", [LOG_DISK_ERROR] = "DISK_ERROR",
    };

    return (unsigned)type < LOG_RECORD_TYPES && names[type] ? names[type] : "?";
}

const char *record_reason_name(unsigned reason)
{
    static const char *const names[] = {
        [LOG_END_DEBUG_EXIT] = "debug exit",
        [LOG_END_HALTED] = "halted",
        [LOG_END_TRIPLE_FAULT] = "triple fault",
        [LOG_END_ENGINE_FAULT] = "engine fault",
        [LOG_END_MAX_EXITS] = "limit on exits reached",
        [LOG_END_TIMEOUT] = "limit on time reached",
        [LOG_END_SIGNAL] = "stopped by the user",
        [LOG_END_POWER_OFF] = "power off",
        [LOG_END_RESET] = "reset",
        [LOG_END_CONTINUED] = "continued in another log",
    };

    return reason < sizeof names / sizeof names[0] ? names[reason] : NULL;
}

/* A line being written; what does not fit is dropped. */
struct line {
    char *text;
    size_t size;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void line_add(struct line *line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int added = vsnprintf(line->text + line->used, line->size - line->used, format, arguments);
    va_end(arguments);
    if (added > 0)
        line->used += (size_t)added < line->size - line->used ? (size_t)added : line->size - line->used - 1;
}

/* Nanoseconds as seconds with nine decimals. */
static void line_add_time(struct line *line, uint64_t time)
{
    line_add(line, "%" PRIu64 ".%09" PRIu64 " s", time / 1000000000, time % 1000000000);
}

static void line_add_digest(struct line *line, struct digest digest)
{
    char text[DIGEST_TEXT];

    line_add(line, "%s", digest_text(digest, text));
}

/* Of those that are known today. */
static const char *command_name(uint16_t command)
{
    static const char *const names[] = {[1] = " (owner)", [2] = " (power-button)", [3] = " (balloon)",
                                        [4] = " (keys)",  [5] = " (set-time)",     [6] = " (new-generation)"};

    return command < sizeof names / sizeof names[0] && names[command] ? names[command] : "";
}

/* Payload bytes as a C string literal would show them. */
static void line_add_payload(struct line *line, const struct log_record *record)
{
    size_t shown = record->length < SHOWN_BYTES ? record->length : SHOWN_BYTES;

    line_add(line, "%" PRIu64 " byte%s \"", record->length, record->length == 1 ? "" : "s");
    for (size_t i = 0; i < shown; i++) {
        uint8_t byte = record->bytes[i];
        if (byte == '"' || byte == '\\')
            line_add(line, "\\%c", byte);
        else if (byte >= ' ' && byte <= '~')
            line_add(line, "%c", byte);
        else
            line_add(line, "\\x%02x", byte);
    }
    line_add(line, "\"%s", shown < record->length ? "..." : "");
}

/* An Ethernet frame begins with the destination, the source, and the type of what it carries (IEEE 802.3, 3.2). */
static void line_add_frame(struct line *line, const struct log_record *record)
{
    char from[MAC_TEXT], to[MAC_TEXT];

    line_add(line, "card %u, %" PRIu64 " bytes, %s to %s, type %02x%02x", record->channel, record->length,
             mac_text(record->bytes + MAC_BYTES, from), mac_text(record->bytes, to), record->bytes[12],
             record->bytes[13]);
}

static void line_add_end(struct line *line, const struct log_record *record)
{
    const char *name = record_reason_name(record->reason);

    if (name)
        line_add(line, "%s", name);
    else
        line_add(line, "reason %u", record->reason);
    line_add(line, ", exit value %" PRIu32 ", at ", record->exit_value);
    line_add_time(line, record->time);
    line_add(line, ", machine ");
    line_add_digest(line, record->digest);
    if (record->unnamed)
        line_add(line, ", at an unnamed place after that exit");
}

static void line_add_checkpoint(struct line *line, const struct log_record *record)
{
    line_add(line, "%" PRIu32 ", ", record->id);
    if (record->parent != LOG_NO_PARENT)
        line_add(line, "on %" PRIu32 ", ", record->parent);
    line_add(line, "%" PRIu64 " bytes, at ", record->blob_length);
    line_add_time(line, record->time);
    line_add(line, ", machine ");
    line_add_digest(line, record->digest);
}

static void line_add_fields(struct line *line, const struct log_record *record)
{
    switch (record->type) {
    case LOG_TIME:
        if (record->to_deadline)
            line_add(line, "to the next deadline");
        else
            line_add_time(line, record->time);
        break;
    case LOG_CLOCK_READ:
        line_add_time(line, record->time);
        break;
    case LOG_CONSOLE_IN:
        line_add(line, "channel %u, ", record->channel);
        line_add_payload(line, record);
        break;
    case LOG_ENTROPY:
        line_add_payload(line, record);
        break;
    case LOG_OPERATOR:
        line_add(line, "command %u%s, ", record->command, command_name(record->command));
        line_add_payload(line, record);
        break;
    case LOG_OUTPUT:
        line_add(line, "channel %u, %" PRIu64 " byte%s, stream %08" PRIx32, record->channel, record->length,
                 record->length == 1 ? "" : "s", record->hash);
        break;
    case LOG_DIGEST:
        line_add(line, "at ");
        line_add_time(line, record->time);
        line_add(line, ", machine ");
        line_add_digest(line, record->digest);
        break;
    case LOG_CHECKPOINT:
        line_add_checkpoint(line, record);
        break;
    case LOG_END:
        line_add_end(line, record);
        break;
    case LOG_FRAME_IN:
        line_add_frame(line, record);
        break;
    case LOG_DISK_ERROR:
        line_add(line, "disk %u, transfer %" PRIu32 " of this exit", record->channel, record->transfer);
        break;
    }
}

char *record_text(const struct log_record *record, char *text)
{
    struct line line = {.text = text, .size = RECORD_TEXT};
    char position[POSITION_TEXT];

    text[0] = 0;
    line_add(&line, "%s: %s ", position_text(&record->at, position), record_type_name(record->type));
    line_add_fields(&line, record);
    return text;
}

/* Adds a member, which is consumed; `failed` stays set once memory has run out. */
static void json_add(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (!value || json_object_set_new(object, key, value))
        *failed = true;
}

static json_t *json_number(uint64_t value)
{
    char digits[24];

    if (value <= INT64_MAX)
        return json_integer((json_int_t)value);
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    return json_string(digits);
}

static json_t *json_digest(struct digest digest)
{
    char text[DIGEST_TEXT];

    return json_string(digest_text(digest, text));
}

static json_t *json_address(uint64_t address)
{
    char text[24];

    snprintf(text, sizeof text, "0x%" PRIx64, address);
    return json_string(text);
}

static json_t *json_payload(const struct log_record *record)
{
    char text[2 * LOG_BYTES_MAX + 1];

    CHECK(record->length <= LOG_BYTES_MAX);
    text[0] = 0;
    for (size_t i = 0; i < record->length; i++)
        snprintf(text + 2 * i, 3, "%02x", record->bytes[i]);
    return json_string(text);
}

static json_t *json_position(const struct position *at, bool *failed)
{
    static const char *const kinds[] = {[AT_EXIT] = "exit", [AT_TICK] = "tick", [AT_LANDMARK] = "landmark"};
    json_t *object = json_object();

    json_add(object, "kind", json_string(kinds[at->kind]), failed);
    json_add(object, "exits", json_number(at->exits), failed);
    if (at->kind == AT_TICK)
        json_add(object, "ticks", json_number(at->ticks), failed);
    if (at->kind != AT_EXIT)
        json_add(object, "rip", json_address(at->rip), failed);
    if (at->kind == AT_LANDMARK) {
        json_add(object, "registers", json_digest(at->registers), failed);
        json_add(object, "ram", json_digest(at->ram), failed);
    }
    return object;
}

static void json_add_end(json_t *object, const struct log_record *record, bool *failed)
{
    const char *name = record_reason_name(record->reason);

    json_add(object, "reason", json_integer(record->reason), failed);
    if (name)
        json_add(object, "reason_name", json_string(name), failed);
    json_add(object, "exit_value", json_integer(record->exit_value), failed);
    json_add(object, "unnamed", json_boolean(record->unnamed), failed);
    json_add(object, "time", json_number(record->time), failed);
    json_add(object, "digest", json_digest(record->digest), failed);
}

static void json_add_checkpoint(json_t *object, const struct log_record *record, bool *failed)
{
    bool has_parent = record->parent != LOG_NO_PARENT;

    json_add(object, "id", json_integer(record->id), failed);
    json_add(object, "parent", has_parent ? json_integer(record->parent) : json_null(), failed);
    json_add(object, "blob_length", json_number(record->blob_length), failed);
    json_add(object, "time", json_number(record->time), failed);
    json_add(object, "digest", json_digest(record->digest), failed);
}

static void json_add_fields(json_t *object, const struct log_record *record, bool *failed)
{
    switch (record->type) {
    case LOG_TIME:
        json_add(object, "to_deadline", json_boolean(record->to_deadline), failed);
        if (!record->to_deadline)
            json_add(object, "time", json_number(record->time), failed);
        break;
    case LOG_CLOCK_READ:
        json_add(object, "time", json_number(record->time), failed);
        break;
    case LOG_CONSOLE_IN:
    case LOG_FRAME_IN:
        json_add(object, "channel", json_integer(record->channel), failed);
        json_add(object, "bytes", json_payload(record), failed);
        break;
    case LOG_ENTROPY:
        json_add(object, "bytes", json_payload(record), failed);
        break;
    case LOG_OPERATOR:
        json_add(object, "command", json_integer(record->command), failed);
        json_add(object, "bytes", json_payload(record), failed);
        break;
    case LOG_OUTPUT:
        json_add(object, "channel", json_integer(record->channel), failed);
        json_add(object, "length", json_number(record->length), failed);
        json_add(object, "hash", json_integer(record->hash), failed);
        break;
    case LOG_DIGEST:
        json_add(object, "time", json_number(record->time), failed);
        json_add(object, "digest", json_digest(record->digest), failed);
        break;
    case LOG_CHECKPOINT:
        json_add_checkpoint(object, record, failed);
        break;
    case LOG_END:
        json_add_end(object, record, failed);
        break;
    case LOG_DISK_ERROR:
        json_add(object, "disk", json_integer(record->channel), failed);
        json_add(object, "transfer", json_integer(record->transfer), failed);
        break;
    }
}

json_t *record_json(const struct log_record *record)
{
    json_t *object = json_object();
    bool failed = !object;

    if (!object)
        return NULL;
    json_add(object, "type", json_string(record_type_name(record->type)), &failed);
    json_add(object, "at", json_position(&record->at, &failed), &failed);
    json_add_fields(object, record, &failed);
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}
