/*
 * The door, open: a machine that runs on the host's time, console and entropy, with every one of these written down.
 *
 * The recorder runs the machine until it ends, a limit is reached or the user stops it. Whatever comes from the host is
 * applied at a position that the engine can name and is appended to the log before the guest can act on it. With no log
 * writer it does the same and writes nothing: that is `encore run`.
 *
 * Order of calls: recorder_create, machine_create with recorder_door, machine_boot, recorder_run, recorder_free.
 */
#ifndef ENCORE_REPLAY_RECORDER_H
#define ENCORE_REPLAY_RECORDER_H

#include "logs/writer.h"
#include "replay/outputs.h"
#include "vmm/host/console.h"
#include "vmm/host/kicker.h"
#include "vmm/host/script.h"
#include "vmm/machine.h"

struct recorder_progress {
    uint64_t guest_time; /* ns */
    uint64_t exits;
    uint64_t raw_bytes; /* of the log, before compression; 0 without a log */
    uint64_t stored_bytes;
};

struct recorder_options {
    struct log_writer *writer; /* NULL: nothing is logged */
    struct console *console;
    struct script *script;     /* NULL: input comes from the console */
    uint64_t checkpoint_every; /* guest time, ns; 0: none */
    uint64_t max_exits;        /* 0: no limit */
    uint64_t timeout;          /* host time, ns; 0: no limit */
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
};

struct recorder;

struct recorder *recorder_create(struct error *error);
void recorder_free(struct recorder *recorder);

/* The door to give to machine_create. */
struct door recorder_door(struct recorder *recorder);

/* Runs a booted machine to its end. Returns 0 with the result, or -1 with the error; the log then ends, valid, before
 * the fault. */
int recorder_run(struct recorder *recorder, struct machine *machine, const struct recorder_options *options,
                 struct recorder_result *result, struct error *error);

#endif
