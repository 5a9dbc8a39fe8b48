/*
 * What a console client and a machine's console say to each other, so that across a takeover the client neither loses
 * nor repeats a byte, of output or of input that was confirmed to it.
 *
 * Several clients may be linked; one writes, and the others watch.
 *
 * Output and input are two streams of bytes, each numbered from the machine's start; the numbers are part of the
 * replicated state, so every primary counts alike. A client is linked to all the addresses it was given and listens to
 * the one that speaks for the highest epoch.
 *
 * On the wire: u8 CONSOLE_VERSION, u8 kind, varint epoch, then the fields of the kind in the order of the struct, as
 * varints (client as u64; wish, writes and status as u8), then the bytes.
 */
#ifndef ENCORE_REPLICATION_CONSOLE_PROTOCOL_H
#define ENCORE_REPLICATION_CONSOLE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

#define CONSOLE_VERSION     2
#define CONSOLE_BYTES_MAX   (16u * 1024)
#define CONSOLE_MESSAGE_MAX (CONSOLE_BYTES_MAX + 64u)

enum console_kind {
    /* Client, first on every link, and again whenever it has heard nothing for a while: I am `client`, want what `wish`
     * says, and have output up to `output`; a client that has none yet says CONSOLE_FROM_NOW or, for all that is kept,
     * 0. */
    CONSOLE_HELLO = 1,
    /* Machine: you have a place at the console, and may write or not (`writes`). It comes again when that changes. The
     * next byte of input has number `input`; those before it came from `client`, as far as they came from anybody
     * lately (0: nobody). The next bytes of output that I send begin at `output`, which is later than you asked for
     * only if older ones are not kept any more. */
    CONSOLE_WELCOME,
    /* Machine: I am not (or not yet, or no longer) the one that speaks. */
    CONSOLE_STANDBY,
    /* Machine: `bytes` of output, from number `output`. */
    CONSOLE_OUTPUT,
    /* Client: I have output up to `output`. */
    CONSOLE_RECEIVED,
    /* Client: `bytes` of input, from number `input`. */
    CONSOLE_INPUT,
    /* Machine: your input up to `input` will never be lost. */
    CONSOLE_CONFIRM,
    /* Machine: the guest ended; its output ends at `output`, and `status` is the exit code. */
    CONSOLE_ENDED,
    /* Client: I leave for good; somebody else may write at once. */
    CONSOLE_LEAVE,
};

enum console_wish {
    CONSOLE_WRITE, /* to write when nobody else does, and to watch until then */
    CONSOLE_WATCH, /* never to write */
    CONSOLE_TAKE,  /* to write at once: whoever writes now is to watch */
};

#define CONSOLE_FROM_NOW UINT64_MAX

struct console_message {
    enum console_kind kind;
    uint64_t epoch;         /* the machine's; a client's messages carry the highest it has heard, 0 at first */
    uint64_t client;        /* HELLO, WELCOME; in HELLO not 0 */
    enum console_wish wish; /* HELLO */
    bool writes;            /* WELCOME */
    uint64_t input;         /* WELCOME, INPUT, CONFIRM */
    uint64_t output;        /* HELLO, WELCOME, OUTPUT, RECEIVED, ENDED */
    uint8_t status;         /* ENDED */
    const uint8_t *bytes;   /* OUTPUT, INPUT: not owned; 1 to CONSOLE_BYTES_MAX of them */
    size_t length;
};

/* As message_encode and message_decode (message.h). */
void console_message_encode(const struct console_message *message, struct bytes_writer *to);
int console_message_decode(const uint8_t *bytes, size_t length, struct console_message *message, struct error *error);

#endif
