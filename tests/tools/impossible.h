/*
 * For tests: a record of any type that no machine of ours can agree with, so that it is the one that diverges.
 */
#ifndef ENCORE_TESTS_TOOLS_IMPOSSIBLE_H
#define ENCORE_TESTS_TOOLS_IMPOSSIBLE_H

#include <string.h>

#include "logs/record.h"

/* The type of that name, 0 if there is none. */
static inline enum log_record_type type_of_name(const char *name)
{
    for (unsigned type = 1; type < LOG_RECORD_TYPES; type++)
        if (strcmp(record_type_name(type), name) == 0)
            return (enum log_record_type)type;
    return (enum log_record_type)0;
}

/* A record of this type at that place, with fields as large as the log's format lets them be, and bytes that would
 * steer a terminal. Its position is that of `at`, but a TIME's is one that the guest never comes to. */
static inline struct log_record impossible_record(enum log_record_type type, struct position at)
{
    static const uint8_t payload[LOG_BYTES_MAX] = "\x1b]0;owned\a\x1b[2J\x7f\xc2\x9b\xff\r\n";
    struct log_record record = {.type = type, .at = at, .parent = LOG_NO_PARENT, .bytes = payload};

    switch (type) {
    case LOG_TIME:
        record.at = (struct position){.kind = AT_LANDMARK, .exits = at.exits, .rip = ~at.rip, .ram.low = 1};
        record.time = UINT64_MAX;
        break;
    case LOG_CONSOLE_IN:
        record.channel = 255;
        record.length = LOG_BYTES_MAX;
        break;
    case LOG_FRAME_IN:
        record.channel = 255;
        record.length = FRAME_MAX;
        break;
    case LOG_ENTROPY:
        record.length = LOG_BYTES_MAX;
        break;
    case LOG_OPERATOR:
        record.command = UINT16_MAX;
        record.length = LOG_BYTES_MAX;
        break;
    case LOG_OUTPUT:
        record.channel = 255;
        record.length = 1;
        record.hash = UINT32_MAX;
        break;
    case LOG_END:
        record.reason = 255;
        record.exit_value = UINT32_MAX;
        break;
    case LOG_DISK_ERROR:
        record.channel = 255;
        record.transfer = UINT32_MAX;
        break;
    default:
        record.time = UINT64_MAX;
        break;
    }
    if (record.length == 0 || type == LOG_OUTPUT)
        record.bytes = NULL;
    return record;
}

#endif
