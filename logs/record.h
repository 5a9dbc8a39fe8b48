/*
 * Records: what a log is made of.
 *
 * A record says that something happened at a position of the guest's execution. The list of types is closed: a reader
 * that meets a type it does not know refuses the log, because a replay that skips an input is not a replay.
 *
 * On the wire a record is one tag byte (type, kind of position, one flag), the position, and the fields of its type.
 * Positions, the guest clock and RIP are coded as differences from the record before, so that the record an idle guest
 * causes a hundred times a second is two bytes long and always the same two. docs/log-format.md has the bit by bit
 * account. This file knows nothing of frames, compression or files.
 */
#ifndef ENCORE_LOGS_RECORD_H
#define ENCORE_LOGS_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/ethernet.h"
#include "base/position.h"

/* "The recorder" below is replay's recording side, "the replayer" its replaying side; both stand above this library. */
enum log_record_type {
    /* The guest clock moves. Written by the recorder when it lets the clock move, at the position from which the guest
     * sees the new time; read by the replayer, which moves the clock there. Bytes: nothing when `to_deadline` is set
     * (the clock goes to the machine's next device deadline, which the replayer works out for itself), otherwise
     * `time`. */
    LOG_TIME = 1,

    /* The guest read a clock. Written by the recorder from within exit n (position AT_EXIT n then means "within exit
     * n", not after it); read by the replayer, which hands the guest the same value at that exit. Bytes: `time`. */
    LOG_CLOCK_READ = 2,

    /* Bytes arrived on a console. Written by the recorder at the position where the device gets them; read by the
     * replayer, which feeds them to the same device. Bytes: `channel`, and `length` bytes at `bytes`. */
    LOG_CONSOLE_IN = 3,

    /* The guest asked for random bytes. Written by the recorder from within exit n (position AT_EXIT n, as for
     * CLOCK_READ); read by the replayer. Bytes: `length` bytes at `bytes`. */
    LOG_ENTROPY = 4,

    /* Somebody outside gave the machine an order, a press of the power button for example. Written by the recorder;
     * read by the replayer. What the `command` codes and their bytes mean is the machine's to define. Bytes: `command`,
     * and `length` bytes at `bytes`. */
    LOG_OPERATOR = 5,

    /* The guest sent bytes out. Written by the recorder; read by the replayer, which checks that it sent the same, and
     * by the output gate, which holds the bytes back until this record is acknowledged. Bytes: `channel`, `length` (how
     * many bytes left since the previous OUTPUT of that channel) and `hash` (the low 32 bits of the running hash of
     * everything that ever left through that channel). Channel LOG_CHANNEL_CARD + n is network card n, and its bytes
     * are, for each frame, its length as a u16 and the frame. */
    LOG_OUTPUT = 6,

    /* What the whole machine looked like. Written by the recorder at intervals; read by the replayer, which compares
     * and so notices a divergence near where it began. Bytes: `time` and `digest`. */
    LOG_DIGEST = 7,

    /* A whole machine is stored here: its bytes are in the CHECKPOINT_DATA frames just before the frame of this record,
     * and this record is alone in its frame. Written by the recorder through log_writer_checkpoint_*; read by whoever
     * starts a machine from the middle of a log. `id` rises from one checkpoint of a log to the next; `parent` is an
     * earlier one on which this one builds, or LOG_NO_PARENT. Bytes: `id`, `parent`, `blob_length`, `time` and
     * `digest`. */
    LOG_CHECKPOINT = 8,

    /* The run is over; always the last record. Written by the recorder when the machine stops; read by the replayer,
     * which must stop there too and in the same state. `unnamed` says that the place where the machine stopped could
     * not be named (a timeout or a signal may come anywhere): `at` is then the last exit before it, and `digest` is not
     * to be compared. Bytes: `reason`, `exit_value`, `time` and `digest`. */
    LOG_END = 9,

    /* A network card receives an Ethernet frame, without its check sequence. Written by the recorder at the position
     * where the card gets it; read by the replayer, which gives it to the same card. Several frames that come together
     * are several records at one position. Bytes: `channel` (the card's number), and `length` bytes at
     * `bytes`, FRAME_MIN to FRAME_MAX. */
    LOG_FRAME_IN = 10,

    /* The host failed to do what a disk needed, and the guest sees a disk error. Written by the recorder from within
     * exit n (position AT_EXIT n, as for CLOCK_READ); read by the replayer, which lets the same transfer fail. Bytes:
     * `channel` (the disk's number) and `transfer` (which of the disk transfers of that exit, all disks together, from
     * 0). */
    LOG_DISK_ERROR = 11,
};
#define LOG_RECORD_TYPES 12 /* one more than the last, for tables indexed by type */

/* Why a run ended; LOG_END's `reason`. A reader shows a number that it does not know as a number. */
enum log_end_reason {
    LOG_END_DEBUG_EXIT = 1,   /* the guest wrote `exit_value` to the debug-exit port */
    LOG_END_HALTED = 2,       /* the guest halted with interrupts off: nothing can wake it */
    LOG_END_TRIPLE_FAULT = 3, /* the guest shut down through a triple fault */
    LOG_END_ENGINE_FAULT = 4, /* the engine could not execute what the guest asked of it */
    LOG_END_MAX_EXITS = 5,    /* the limit on exits that the user had set was reached */
    LOG_END_TIMEOUT = 6,      /* the limit on time that the user had set was reached */
    LOG_END_SIGNAL = 7,       /* the user stopped the recording */
    LOG_END_POWER_OFF = 8,    /* the guest turned the machine off */
    LOG_END_RESET = 9,        /* the guest reset the machine, and the run was to end there */
    LOG_END_CONTINUED = 10,   /* the run goes on, in another log that begins with a checkpoint of this place */
};

#define LOG_CHANNEL_CARD 16 /* OUTPUT's channel of network card 0 */

#define LOG_BYTES_MAX  4096       /* the most bytes that one CONSOLE_IN, ENTROPY or OPERATOR record carries */
#define LOG_NO_PARENT  UINT32_MAX /* the parent of a checkpoint that stands by itself; never an id */
#define LOG_RECORD_MAX 4352       /* no record is longer than this on the wire */

/* One record of any type. A decoder sets the fields that its type does not have to zero (`parent` to LOG_NO_PARENT). */
struct log_record {
    enum log_record_type type;
    struct position at;
    uint64_t time;        /* guest clock in ns: TIME (unless to_deadline), CLOCK_READ, DIGEST, CHECKPOINT, END */
    bool to_deadline;     /* TIME */
    bool unnamed;         /* END */
    uint8_t channel;      /* CONSOLE_IN, OUTPUT, FRAME_IN; the disk of DISK_ERROR */
    uint8_t reason;       /* END: an enum log_end_reason */
    uint16_t command;     /* OPERATOR */
    uint32_t hash;        /* OUTPUT */
    uint64_t length;      /* bytes: of `bytes` for CONSOLE_IN, ENTROPY, OPERATOR (<= LOG_BYTES_MAX), FRAME_IN; sent, for
                             OUTPUT */
    const uint8_t *bytes; /* CONSOLE_IN, ENTROPY, OPERATOR, FRAME_IN: `length` bytes that belong to somebody else */
    struct digest digest; /* DIGEST, CHECKPOINT, END: of the whole machine */
    uint32_t id;          /* CHECKPOINT; not LOG_NO_PARENT */
    uint32_t parent;      /* CHECKPOINT: less than id, or LOG_NO_PARENT */
    uint64_t blob_length; /* CHECKPOINT: bytes of its data, before compression */
    uint32_t exit_value;  /* END */
    uint32_t transfer;    /* DISK_ERROR */
};

/*
 * What a record is coded against: the record before it, as far as that matters, and two running totals. All zero before
 * a log's first record. A RECORDS frame begins with the context of its first record (record_base_*), which is what
 * makes each frame readable by itself.
 */
struct record_context {
    uint64_t exits;   /* of the last record */
    uint64_t ticks;   /* of the last AT_TICK position */
    uint64_t rip;     /* of the last AT_TICK or AT_LANDMARK position */
    uint64_t time;    /* of the last record that carried a time */
    uint64_t records; /* how many records came before */
    uint64_t output;  /* how many bytes the OUTPUT records before announced, all channels together */
};

bool record_context_equal(const struct record_context *a, const struct record_context *b);

/* The context as six varints. The decoder marks the reader bad when they are not there. */
void record_base_encode(const struct record_context *context, struct bytes_writer *writer);
void record_base_decode(struct record_context *context, struct bytes_reader *reader);

/*
 * Appends the record to the writer and moves the context on. At most LOG_RECORD_MAX bytes; a writer that has no room
 * for them fails in the usual way. Checked, because only a defect in the recorder can cause it: the exits and ticks of
 * positions never go back, and every field is in its range.
 */
void record_encode(struct record_context *context, const struct log_record *record, struct bytes_writer *writer);

/*
 * Reads the next record and moves the context on. `bytes` of the record point into the reader's memory. Returns 0, or
 * -1 with an ERROR_INPUT for anything that record_encode would not have written; reader and context are then of no more
 * use.
 */
int record_decode(struct record_context *context, struct bytes_reader *reader, struct log_record *record,
                  struct error *error);

/* Whether two records say the same, byte for byte of what `bytes` points at. */
bool record_equal(const struct log_record *a, const struct log_record *b);

/* "TIME", "CLOCK_READ", ...; "?" for a number that is no type. */
const char *record_type_name(enum log_record_type type);

/* "debug exit", "halted", ...; NULL for a reason without a name. */
const char *record_reason_name(unsigned reason);

/* Room for any record in words. */
#define RECORD_TEXT 320

/* The record as one line without a newline; payloads are cut after a few bytes. Writes into text[RECORD_TEXT] and
 * returns it. */
char *record_text(const struct log_record *record, char *text);

/*
 * The record as a new JSON object with all of its fields. Payloads and digests are hexadecimal strings, RIP is a string
 * in the style "0x101234", and a number that JSON's signed 64 bits cannot hold becomes a string of decimal digits.
 * Returns NULL when memory is exhausted.
 */
json_t *record_json(const struct log_record *record);

#endif
