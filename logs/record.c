/*
 * The wire form of records: tag byte, position, fields. See docs/log-format.md, section "Records".
 */
#include "logs/record.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

/* The tag byte: type in bits 0-3, kind of position in bits 4-5, the type's flag in bit 6, bit 7 zero. */
#define TAG_TYPE       0x0fu
#define TAG_KIND_SHIFT 4
#define TAG_KIND       0x30u
#define TAG_FLAG       0x40u
#define TAG_ZERO       0x80u

bool record_context_equal(const struct record_context *a, const struct record_context *b)
{
    return a->exits == b->exits && a->ticks == b->ticks && a->rip == b->rip && a->time == b->time &&
           a->records == b->records && a->output == b->output;
}

void record_base_encode(const struct record_context *context, struct bytes_writer *writer)
{
    bytes_put_varint(writer, context->records);
    bytes_put_varint(writer, context->exits);
    bytes_put_varint(writer, context->ticks);
    bytes_put_varint(writer, context->rip);
    bytes_put_varint(writer, context->time);
    bytes_put_varint(writer, context->output);
}

void record_base_decode(struct record_context *context, struct bytes_reader *reader)
{
    context->records = bytes_get_varint(reader);
    context->exits = bytes_get_varint(reader);
    context->ticks = bytes_get_varint(reader);
    context->rip = bytes_get_varint(reader);
    context->time = bytes_get_varint(reader);
    context->output = bytes_get_varint(reader);
}

/* Differences modulo 2^64, folded so that small ones of either sign are short: 0, -1, 1, -2 become 0, 1, 2, 3. */
static void put_difference(struct bytes_writer *writer, uint64_t *base, uint64_t value)
{
    uint64_t difference = value - *base;

    bytes_put_varint(writer, difference >> 63 ? ~(difference << 1) : difference << 1);
    *base = value;
}

static uint64_t get_difference(struct bytes_reader *reader, uint64_t *base)
{
    uint64_t folded = bytes_get_varint(reader);

    *base += folded & 1 ? ~(folded >> 1) : folded >> 1;
    return *base;
}

/* Counts that never go back: plain differences. */
static void put_advance(struct bytes_writer *writer, uint64_t *base, uint64_t value)
{
    CHECK(value >= *base);
    bytes_put_varint(writer, value - *base);
    *base = value;
}

static int get_advance(struct bytes_reader *reader, uint64_t *base, uint64_t *value, const char *what,
                       struct error *error)
{
    uint64_t advance = bytes_get_varint(reader);

    if (__builtin_add_overflow(*base, advance, value))
        return error_set(error, ERROR_INPUT, "the count of %s goes beyond 64 bits", what);
    *base = *value;
    return 0;
}

static void put_digest(struct bytes_writer *writer, struct digest digest)
{
    bytes_put_uint(writer, 8, digest.low);
    bytes_put_uint(writer, 8, digest.high);
}

static struct digest get_digest(struct bytes_reader *reader)
{
    uint64_t low = bytes_get_uint(reader, 8);

    return (struct digest){.low = low, .high = bytes_get_uint(reader, 8)};
}

static void put_position(struct record_context *context, const struct position *at, struct bytes_writer *writer)
{
    put_advance(writer, &context->exits, at->exits);
    switch (at->kind) {
    case AT_EXIT:
        break;
    case AT_TICK:
        put_advance(writer, &context->ticks, at->ticks);
        put_difference(writer, &context->rip, at->rip);
        break;
    case AT_LANDMARK:
        put_difference(writer, &context->rip, at->rip);
        put_digest(writer, at->registers);
        put_digest(writer, at->ram);
        break;
    }
}

static int get_position(struct record_context *context, unsigned kind, struct bytes_reader *reader, struct position *at,
                        struct error *error)
{
    if (get_advance(reader, &context->exits, &at->exits, "exits", error))
        return -1;
    switch (kind) {
    case AT_EXIT:
        at->kind = AT_EXIT;
        return 0;
    case AT_TICK:
        at->kind = AT_TICK;
        if (get_advance(reader, &context->ticks, &at->ticks, "ticks", error))
            return -1;
        at->rip = get_difference(reader, &context->rip);
        return 0;
    case AT_LANDMARK:
        at->kind = AT_LANDMARK;
        at->rip = get_difference(reader, &context->rip);
        at->registers = get_digest(reader);
        at->ram = get_digest(reader);
        return 0;
    }
    return error_set(error, ERROR_INPUT, "unknown kind of position %u", kind);
}

static void put_payload(const struct log_record *record, struct bytes_writer *writer)
{
    CHECK(record->length <= LOG_BYTES_MAX);
    bytes_put_varint(writer, record->length);
    bytes_put(writer, record->bytes, record->length);
}

static int get_payload(struct bytes_reader *reader, struct log_record *record, struct error *error)
{
    record->length = bytes_get_varint(reader);
    if (record->length > LOG_BYTES_MAX)
        return error_set(error, ERROR_INPUT, "a payload of %" PRIu64 " bytes, where %d are allowed", record->length,
                         LOG_BYTES_MAX);
    record->bytes = bytes_take(reader, record->length);
    return 0;
}

static void put_frame(const struct log_record *record, struct bytes_writer *writer)
{
    CHECK(record->length >= FRAME_MIN && record->length <= FRAME_MAX);
    bytes_put_uint(writer, 1, record->channel);
    put_payload(record, writer);
}

static int get_frame(struct bytes_reader *reader, struct log_record *record, struct error *error)
{
    record->channel = (uint8_t)bytes_get_uint(reader, 1);
    if (get_payload(reader, record, error) < 0)
        return -1;
    if (!reader->bad && (record->length < FRAME_MIN || record->length > FRAME_MAX))
        return error_set(error, ERROR_INPUT, "a network frame of %" PRIu64 " bytes", record->length);
    return 0;
}

static void put_checkpoint(struct record_context *context, const struct log_record *record, struct bytes_writer *writer)
{
    CHECK(record->id != LOG_NO_PARENT);
    bytes_put_varint(writer, record->id);
    if (record->parent != LOG_NO_PARENT) {
        CHECK(record->parent < record->id);
        bytes_put_varint(writer, record->parent);
    }
    bytes_put_varint(writer, record->blob_length);
    put_difference(writer, &context->time, record->time);
    put_digest(writer, record->digest);
}

static int get_checkpoint(struct record_context *context, bool has_parent, struct bytes_reader *reader,
                          struct log_record *record, struct error *error)
{
    uint64_t id = bytes_get_varint(reader);
    uint64_t parent = has_parent ? bytes_get_varint(reader) : LOG_NO_PARENT;

    if (id >= LOG_NO_PARENT)
        return error_set(error, ERROR_INPUT, "%" PRIu64 " is no checkpoint's id", id);
    if (has_parent && parent >= id)
        return error_set(error, ERROR_INPUT, "checkpoint %" PRIu64 " names %" PRIu64 " as its parent", id, parent);
    record->id = (uint32_t)id;
    record->parent = (uint32_t)parent;
    record->blob_length = bytes_get_varint(reader);
    record->time = get_difference(reader, &context->time);
    record->digest = get_digest(reader);
    return 0;
}

static int get_disk_error(struct bytes_reader *reader, struct log_record *record, struct error *error)
{
    record->channel = (uint8_t)bytes_get_uint(reader, 1);
    uint64_t transfer = bytes_get_varint(reader);
    if (transfer > UINT32_MAX)
        return error_set(error, ERROR_INPUT, "a disk transfer's number of more than 32 bits");
    record->transfer = (uint32_t)transfer;
    return 0;
}

static int get_end(struct record_context *context, bool unnamed, struct bytes_reader *reader, struct log_record *record,
                   struct error *error)
{
    record->unnamed = unnamed;
    record->reason = (uint8_t)bytes_get_uint(reader, 1);
    uint64_t exit_value = bytes_get_varint(reader);
    if (exit_value > UINT32_MAX)
        return error_set(error, ERROR_INPUT, "an exit value of more than 32 bits");
    record->exit_value = (uint32_t)exit_value;
    record->time = get_difference(reader, &context->time);
    record->digest = get_digest(reader);
    return 0;
}

static void put_fields(struct record_context *context, const struct log_record *record, struct bytes_writer *writer)
{
    switch (record->type) {
    case LOG_TIME:
        if (!record->to_deadline)
            put_difference(writer, &context->time, record->time);
        break;
    case LOG_CLOCK_READ:
        put_difference(writer, &context->time, record->time);
        break;
    case LOG_CONSOLE_IN:
        bytes_put_uint(writer, 1, record->channel);
        put_payload(record, writer);
        break;
    case LOG_ENTROPY:
        put_payload(record, writer);
        break;
    case LOG_OPERATOR:
        bytes_put_uint(writer, 2, record->command);
        put_payload(record, writer);
        break;
    case LOG_OUTPUT:
        bytes_put_uint(writer, 1, record->channel);
        bytes_put_varint(writer, record->length);
        bytes_put_uint(writer, 4, record->hash);
        CHECK(record->length <= UINT64_MAX - context->output);
        context->output += record->length;
        break;
    case LOG_DIGEST:
        put_difference(writer, &context->time, record->time);
        put_digest(writer, record->digest);
        break;
    case LOG_CHECKPOINT:
        put_checkpoint(context, record, writer);
        break;
    case LOG_END:
        bytes_put_uint(writer, 1, record->reason);
        bytes_put_varint(writer, record->exit_value);
        put_difference(writer, &context->time, record->time);
        put_digest(writer, record->digest);
        break;
    case LOG_FRAME_IN:
        put_frame(record, writer);
        break;
    case LOG_DISK_ERROR:
        bytes_put_uint(writer, 1, record->channel);
        bytes_put_varint(writer, record->transfer);
        break;
    }
}

static int get_fields(struct record_context *context, bool flag, struct bytes_reader *reader, struct log_record *record,
                      struct error *error)
{
    switch (record->type) {
    case LOG_TIME:
        record->to_deadline = flag;
        if (!flag)
            record->time = get_difference(reader, &context->time);
        return 0;
    case LOG_CLOCK_READ:
        record->time = get_difference(reader, &context->time);
        return 0;
    case LOG_CONSOLE_IN:
        record->channel = (uint8_t)bytes_get_uint(reader, 1);
        return get_payload(reader, record, error);
    case LOG_ENTROPY:
        return get_payload(reader, record, error);
    case LOG_OPERATOR:
        record->command = (uint16_t)bytes_get_uint(reader, 2);
        return get_payload(reader, record, error);
    case LOG_OUTPUT:
        record->channel = (uint8_t)bytes_get_uint(reader, 1);
        record->length = bytes_get_varint(reader);
        record->hash = (uint32_t)bytes_get_uint(reader, 4);
        if (__builtin_add_overflow(context->output, record->length, &context->output))
            return error_set(error, ERROR_INPUT, "the count of output bytes goes beyond 64 bits");
        return 0;
    case LOG_DIGEST:
        record->time = get_difference(reader, &context->time);
        record->digest = get_digest(reader);
        return 0;
    case LOG_CHECKPOINT:
        return get_checkpoint(context, flag, reader, record, error);
    case LOG_END:
        return get_end(context, flag, reader, record, error);
    case LOG_FRAME_IN:
        return get_frame(reader, record, error);
    case LOG_DISK_ERROR:
        return get_disk_error(reader, record, error);
    }
    return error_set(error, ERROR_INPUT, "unknown record type %u", (unsigned)record->type);
}

/* The one flag that a type has, if any. */
static bool record_flag(const struct log_record *record)
{
    switch (record->type) {
    case LOG_TIME:
        return record->to_deadline;
    case LOG_CHECKPOINT:
        return record->parent != LOG_NO_PARENT;
    case LOG_END:
        return record->unnamed;
    default:
        return false;
    }
}

static bool type_has_flag(unsigned type)
{
    return type == LOG_TIME || type == LOG_CHECKPOINT || type == LOG_END;
}

void record_encode(struct record_context *context, const struct log_record *record, struct bytes_writer *writer)
{
    CHECK(record->type >= LOG_TIME && record->type < LOG_RECORD_TYPES);
    CHECK(record->at.kind <= AT_LANDMARK);
    bytes_put_uint(writer, 1,
                   (unsigned)record->type | (unsigned)record->at.kind << TAG_KIND_SHIFT |
                       (record_flag(record) ? TAG_FLAG : 0));
    put_position(context, &record->at, writer);
    put_fields(context, record, writer);
    context->records++;
}

int record_decode(struct record_context *context, struct bytes_reader *reader, struct log_record *record,
                  struct error *error)
{
    unsigned tag = (unsigned)bytes_get_uint(reader, 1);
    unsigned type = tag & TAG_TYPE;
    bool flag = tag & TAG_FLAG;

    if (reader->bad)
        return error_set(error, ERROR_INPUT, "a record is missing");
    if (type < LOG_TIME || type >= LOG_RECORD_TYPES)
        return error_set(error, ERROR_INPUT, "unknown record type %u", type);
    if (tag & TAG_ZERO || (flag && !type_has_flag(type)))
        return error_set(error, ERROR_INPUT, "unknown flag in the tag 0x%02x of a record", tag);
    *record = (struct log_record){.type = (enum log_record_type)type, .parent = LOG_NO_PARENT};
    if (get_position(context, (tag & TAG_KIND) >> TAG_KIND_SHIFT, reader, &record->at, error) ||
        get_fields(context, flag, reader, record, error))
        return error_wrap(error, "%s record", record_type_name(record->type));
    if (reader->bad)
        return error_set(error, ERROR_INPUT, "%s record: cut short or malformed", record_type_name(record->type));
    if (context->records++ == UINT64_MAX)
        return error_set(error, ERROR_INPUT, "the count of records goes beyond 64 bits");
    return 0;
}

bool record_equal(const struct log_record *a, const struct log_record *b)
{
    if (a->type != b->type || !position_equal(&a->at, &b->at))
        return false;
    if (a->time != b->time || a->to_deadline != b->to_deadline || a->unnamed != b->unnamed ||
        a->channel != b->channel || a->reason != b->reason || a->command != b->command || a->hash != b->hash ||
        a->length != b->length || !digest_equal(a->digest, b->digest) || a->id != b->id || a->parent != b->parent ||
        a->blob_length != b->blob_length || a->exit_value != b->exit_value || a->transfer != b->transfer)
        return false;
    bool has_payload =
        a->type == LOG_CONSOLE_IN || a->type == LOG_ENTROPY || a->type == LOG_OPERATOR || a->type == LOG_FRAME_IN;
    return !has_payload || a->length == 0 || memcmp(a->bytes, b->bytes, a->length) == 0;
}
