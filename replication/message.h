/*
 * What primary and backup say to each other: one closed list of messages, and their bytes.
 *
 * The log of the machine travels as a *stream*: a log as logs/ writes it (header, a checkpoint, then records), from
 * which the backup can build the machine and follow it. A byte of it is named by its offset in the stream; offsets are
 * this protocol's sequence numbers, and everything is acknowledged by offset. Frames inside the stream carry sequence
 * numbers and checksums of their own (logs/frame.h).
 *
 * Every message names the sender's epoch, so that a machine that lost its place cannot be taken for the one that has
 * it. The transport is a pipe that may break and be renewed at any time, losing what was under way, and that neither
 * reorders nor alters (replication/session.h sees to the latter).
 *
 * On the wire: u8 MESSAGE_VERSION, u8 kind, varint epoch, u64 node, then the fields of the kind, in the order of the
 * struct, as varints, then the bytes. Nothing may follow.
 */
#ifndef ENCORE_REPLICATION_MESSAGE_H
#define ENCORE_REPLICATION_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

#define MESSAGE_VERSION   2
#define MESSAGE_BYTES_MAX (64u * 1024)               /* of a LOG's, KEPT's or REFUSE's bytes */
#define MESSAGE_MAX       (MESSAGE_BYTES_MAX + 128u) /* of a whole message */

enum message_kind {
    /* Backup to primary, first on every link: here is where I am. `stream`: whose machine I have, 0 for none;
     * `offset`: how much of it I have received. */
    MESSAGE_HELLO = 1,
    /* Primary's answer: the stream continues (or begins) at `offset`. A backup that has another stream forgets it. */
    MESSAGE_WELCOME,
    /* Either way: we cannot talk; `bytes` are a sentence that says why. */
    MESSAGE_REFUSE,
    /* Primary: the stream's bytes from `offset`. */
    MESSAGE_LOG,
    /* Primary: whoever has the stream up to `offset` may take over when I am gone. */
    MESSAGE_MEMBER,
    /* Backup: I have the stream up to `offset`, safely up to `safe`, have replayed up to `replayed`, where the guest's
     * clock shows `guest_time`; `ready` says that I could be a member. Also its heartbeat. */
    MESSAGE_ACK,
    /* Primary's heartbeat: I have sent the stream up to `offset` on this link; the guest's clock shows `guest_time`. */
    MESSAGE_BEAT,
    /* Backup: my machine differs from yours at `offset`; I give up my place and need a fresh start. */
    MESSAGE_DIVERGED,
    /* Primary: my machine stands still at the stream's end, `offset`; take over. */
    MESSAGE_HANDOVER,
    /* The new primary (its own epoch is in the message) to the one that handed over. */
    MESSAGE_TAKEN,
    /* Primary: the guest ended; the stream is complete at `offset`, and all its output is out. */
    MESSAGE_BYE,
    /* Primary, before MEMBER: output of the guest's from before the checkpoint, which a console client may still lack:
     * `bytes`, from number `offset` on. Pieces come with the latest first. */
    MESSAGE_KEPT,
    /* Primary to a backup that joins, now and then: the stream goes up to `offset`; about `left` bytes are still to
     * come before you can follow, and the checkpoint is written in its `round`. For people. */
    MESSAGE_JOINING,
};

struct message {
    enum message_kind kind;
    uint64_t epoch;
    uint64_t node;       /* the sender; not 0, which is nobody */
    uint64_t stream;     /* all kinds but REFUSE */
    uint64_t offset;     /* all kinds but REFUSE and TAKEN; of the stream, but for KEPT */
    uint64_t safe;       /* ACK */
    uint64_t replayed;   /* ACK */
    uint64_t guest_time; /* ACK, BEAT; ns */
    /* ACK, BEAT; ns. The sender's clock; the newest clock of the other side that it knows (0: none), and for how long
     * it has known it; after how much silence it takes the other for dead. */
    uint64_t clock, echo, held, patience;
    bool ready;           /* ACK */
    uint64_t round, left; /* JOINING */
    const uint8_t *bytes; /* LOG, KEPT, REFUSE: not owned */
    size_t length;        /* 1 to MESSAGE_BYTES_MAX where there are bytes, else 0 */
};

/* Appends the message's bytes. `to` reports exhausted memory (to->failed). */
void message_encode(const struct message *message, struct bytes_writer *to);

/* Reads one message from exactly `length` bytes; message->bytes points into them. Returns 0, or -1 with an ERROR_INPUT
 * that says what is wrong; a peer of another version is named as such. */
int message_decode(const uint8_t *bytes, size_t length, struct message *message, struct error *error);

/* "HELLO" and so on, for people. */
const char *message_name(enum message_kind kind);

#endif
