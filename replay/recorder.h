/*
 * The door, open: a machine that runs on the host's time, console and entropy, with every one of these written down.
 *
 * The recorder runs the machine until it ends, a limit is reached or the user stops it. Whatever comes from the host is
 * applied at a position that the engine can name and is appended to the log before the guest can act on it. With no log
 * writer it does the same and writes nothing: that is `encore run`.
 *
 * With the machine's virtual clock the host decides nothing but when a person's input comes. Time needs no records;
 * random bytes come from a generator; a script's bytes are applied at the boundary after the exit, or the deadline,
 * that made them due. So two runs with the same script are the same run.
 *
 * Order of calls: recorder_create, machine_create with recorder_door, machine_boot, recorder_run, recorder_free.
 */
#ifndef ENCORE_REPLAY_RECORDER_H
#define ENCORE_REPLAY_RECORDER_H

#include "logs/writer.h"
#include "replay/operator.h"
#include "replay/outbox.h"
#include "replay/traffic.h"
#include "vmm/host/console.h"
#include "vmm/host/control.h"
#include "vmm/host/kicker.h"
#include "vmm/host/net.h"
#include "vmm/host/script.h"
#include "vmm/host/signals.h"
#include "vmm/machine.h"

struct recorder_progress {
    uint64_t guest_time; /* ns */
    uint64_t exits;
    uint64_t raw_bytes; /* of the log, before compression; 0 without a log */
    uint64_t stored_bytes;
};

/*
 * What stands between the machine and the world when the machine is replicated, in place of a console. Called from the
 * machine's thread only; functions that return int return -1 with the error when the recording cannot go on.
 */
struct recorder_relay {
    void *context;
    /* A descriptor that polls readable when there is input, or when `boundary` is wanted; `drain` makes it unreadable.
     */
    int fd;
    void (*drain)(void *context);
    /* Each record, after it was given to options->writer. In place of a checkpoint, a digest. */
    int (*record)(void *context, const struct log_record *record, struct error *error);
    /* The bytes that the OUTPUT record just given announced; of a card, as outbox_next_frame takes them apart. They may
     * be held back, until `let_go` finds that it is time. */
    int (*output)(void *context, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error);
    /* At every boundary. *again_at: the host time of the boundary that held output waits for,
     * UINT64_MAX when there is none. */
    int (*let_go)(void *context, uint64_t *again_at, struct error *error);
    /* Input: up to `length` bytes; returns how many. *owner: who has the console from these bytes on; 0: as before. */
    size_t (*input)(void *context, uint8_t *bytes, size_t length, uint64_t *owner);
    /* An operator's order. False: there is none. */
    bool (*order)(void *context, struct operator_order *order);
    /* Whether somebody replays the records as they come, and so has to be told often how far the guest is. */
    bool (*followed)(void *context);
    /* At a boundary with a name, after all that was due was applied. May take its time: the machine stands still.
     * *again_at: the host time at which it wants to be called again at the latest, UINT64_MAX as it comes. Returns 1
     * when the recording shall end. */
    int (*boundary)(void *context, const struct position *at, uint64_t *again_at, struct error *error);
};

struct recorder_options {
    struct log_writer *writer;          /* NULL: nothing is logged */
    const struct recorder_relay *relay; /* NULL: none; otherwise there is neither console nor script */
    struct console *console;
    struct script *script; /* NULL: input comes from the console */
    uint64_t seed;         /* with the virtual clock: the guest's random bytes follow from this */
    /* By card. NULL: what the card sends is lost, and nothing comes. With a relay, what it sends is the relay's. */
    struct net *nets[MACHINE_CARDS_MAX];
    const struct signals *signals; /* NULL: they are not the recorder's */
    struct control *control;       /* NULL: there is no operator, or he speaks through the relay */
    uint64_t checkpoint_every;     /* guest time, ns; 0: none */
    uint64_t max_exits;            /* 0: no limit */
    bool catch_up;                 /* guest time follows the host's clock even over a time in which nothing ran */
    uint64_t timeout;              /* host time, ns; 0: no limit */
    /* Called a few times a second when not NULL. */
    void (*progress)(void *context, const struct recorder_progress *progress);
    void *progress_context;
};

struct recorder_result {
    enum log_end_reason reason;
    uint32_t exit_value; /* LOG_END_DEBUG_EXIT */
    bool named;          /* the place where the machine stopped has a name, so that the digest can be compared */
    struct digest digest;
    bool in_line; /* the guest's output did not end with a newline */
    uint64_t checkpoints;
    uint64_t checkpoint_pause; /* the longest, ns */
    uint64_t disk_errors;      /* transfers of disks in which the host failed */
    struct error disk_error;   /* the first of them, if there was one */
};

struct recorder;

struct recorder *recorder_create(struct error *error);
void recorder_free(struct recorder *recorder);

/* The door to give to machine_create. */
struct door recorder_door(struct recorder *recorder);

/* Output is announced at the latest when so many bytes of a console, or of a card, have gathered. */
#define RECORDER_OUTPUT_MAX 1024
#define RECORDER_FRAMES_MAX (64 * 1024)

/* For a machine that was replayed up to here and shall now run by itself: what has passed its door so far, how many
 * checkpoints the log to be written already has, and the output that no record has announced yet. Before recorder_run.
 * Returns 0, or -1 with an ERROR_INPUT when that is more output than a recorder leaves unannounced. */
int recorder_adopt(struct recorder *recorder, const struct traffic *traffic, uint32_t checkpoints,
                   const struct outbox *output, struct error *error);

/* For a relay's functions. */
const struct traffic *recorder_traffic(const struct recorder *recorder);
/* Appends a DIGEST of the machine at this boundary, which must have a name. */
int recorder_digest(struct recorder *recorder, const struct position *at, struct error *error);

/* From this boundary on records go to another log, which begins with checkpoint 0 of it (and nothing else yet); the log
 * before is the caller's to end. */
void recorder_continue_in(struct recorder *recorder, struct log_writer *writer);

/* Runs a booted machine to its end. Returns 0 with the result, or -1 with the error; the log then ends, valid, before
 * the fault. */
int recorder_run(struct recorder *recorder, struct machine *machine, const struct recorder_options *options,
                 struct recorder_result *result, struct error *error);

#endif
