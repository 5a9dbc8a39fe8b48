#include "logs/header.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAGIC_LENGTH    8u
#define VERSION_AT      8u
#define ZERO_AT         10u
#define LENGTH_AT       12u
#define ID_AT           16u
#define MACHINE_AT      32u
#define CHECKSUM_LENGTH 8u

/* The description must be a JSON object; what is in it is not this library's business. */
static int check_machine(const char *text, size_t length, struct error *error)
{
    json_error_t where;

    if (length > LOG_MACHINE_MAX)
        return error_set(error, ERROR_INPUT, "the machine's description is longer than %u bytes", LOG_MACHINE_MAX);
    json_t *machine = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!machine)
        return error_set(error, ERROR_INPUT, "the machine's description is not JSON (line %d: %s)", where.line,
                         where.text);
    bool is_object = json_is_object(machine);
    json_decref(machine);
    if (!is_object)
        return error_set(error, ERROR_INPUT, "the machine's description is not a JSON object");
    return 0;
}

int log_header_encode(const struct log_header *header, struct bytes_writer *out, struct error *error)
{
    size_t length = strlen(header->machine);
    size_t start = out->length;

    if (check_machine(header->machine, length, error))
        return -1;
    bytes_put(out, LOG_MAGIC, MAGIC_LENGTH);
    bytes_put_uint(out, 2, LOG_FORMAT_VERSION);
    bytes_put_uint(out, 2, 0);
    bytes_put_uint(out, 4, LOG_HEADER_FIXED + length);
    bytes_put(out, header->id.bytes, sizeof header->id.bytes);
    bytes_put(out, header->machine, length);
    if (!out->failed)
        bytes_put_uint(out, CHECKSUM_LENGTH, XXH3_64bits(out->data + start, out->length - start));
    if (out->failed)
        return error_set(error, ERROR_HOST, "no memory for the log's header");
    return 0;
}

/* Magic and version, from as many bytes as there are. Returns 1, 0 or -1 as log_header_decode. */
static int check_start(const uint8_t *bytes, size_t length, struct error *error)
{
    if (memcmp(bytes, LOG_MAGIC, length < MAGIC_LENGTH ? length : MAGIC_LENGTH) != 0)
        return error_set(error, ERROR_INPUT, "not an Encore log");
    if (length < ZERO_AT)
        return 0;
    unsigned version = (unsigned)bytes_load(bytes + VERSION_AT, 2);
    if (version > LOG_FORMAT_VERSION)
        return error_set(error, ERROR_INPUT, "written by a newer encore (format %u, this one reads up to %d)", version,
                         LOG_FORMAT_VERSION);
    if (version == 0)
        return error_set(error, ERROR_INPUT, "the log's header is damaged (format 0)");
    return 1;
}

int log_header_decode(const uint8_t *bytes, size_t length, struct log_header *header, size_t *used, struct error *error)
{
    int started = check_start(bytes, length, error);

    if (started != 1)
        return started;
    if (length < ID_AT)
        return 0;
    uint64_t whole = bytes_load(bytes + LENGTH_AT, 4);
    if (whole < LOG_HEADER_FIXED || whole > LOG_HEADER_MAX || bytes_load(bytes + ZERO_AT, 2) != 0)
        return error_set(error, ERROR_INPUT, "the log's header is damaged");
    if (length < whole)
        return 0;
    if (XXH3_64bits(bytes, whole - CHECKSUM_LENGTH) != bytes_load(bytes + whole - CHECKSUM_LENGTH, 8))
        return error_set(error, ERROR_INPUT, "the log's header is damaged (its checksum does not match)");
    const char *machine = (const char *)bytes + MACHINE_AT;
    size_t machine_length = whole - LOG_HEADER_FIXED;
    if (check_machine(machine, machine_length, error))
        return -1;
    memcpy(header->id.bytes, bytes + ID_AT, sizeof header->id.bytes);
    header->machine = strndup(machine, machine_length);
    if (!header->machine)
        return error_set(error, ERROR_HOST, "no memory for the log's header");
    *used = whole;
    return 1;
}

void log_header_free(struct log_header *header)
{
    free(header->machine);
    header->machine = NULL;
}
