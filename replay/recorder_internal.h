/*
 * The recorder's insides, shared between its files:
 *   recorder.c          the loop, and the door's callbacks
 *   recorder_alarm.c    when the guest is to be stopped next
 *   recorder_inputs.c   applying time, console bytes, digests and checkpoints at a boundary
 *   recorder_net.c      applying frames
 *   recorder_operator.c  applying an operator's orders
 *   recorder_output.c   gathering output, its records, and letting it out
 *   recorder_disk.c     what disks need from the host
 *   recorder_relay.c    what stands in place of a console when the machine is replicated
 */
#ifndef ENCORE_REPLAY_RECORDER_INTERNAL_H
#define ENCORE_REPLAY_RECORDER_INTERNAL_H

#include <stdatomic.h>

#include "replay/recorder.h"
#include "replay/transfers.h"

/* The descriptors, as the kicker numbers them. */
#define WATCH_CONSOLE   0
#define WATCH_RELAY     1
#define WATCH_CONTROL   2
#define WATCH_NET(card) (3 + (card))
_Static_assert(WATCH_NET(MACHINE_CARDS_MAX) <= KICKER_WATCHES, "the kicker has enough watches");

#define MILLISECOND UINT64_C(1000000)
#define SECOND      UINT64_C(1000000000)

struct recorder {
    struct recorder_options options;
    struct machine *machine;
    struct kicker *_Atomic kicker;
    struct error error; /* from a callback that could not return it */
    bool failed;

    uint64_t origin;   /* host time at guest time 0, and what was taken out of guest time since */
    uint64_t alarm_at; /* host time at which the guest is to be stopped next; UINT64_MAX: not known */
    uint32_t events;   /* taken from the kicker, not dealt with yet */
    bool input_waits;  /* the console has bytes, or may have */
    bool always_input; /* the console's descriptor cannot be watched: it always may have bytes */
    bool room_seen; /* the console had room at the exit or deadline before this boundary, and nothing was done about it
                       yet */
    uint32_t net_waits; /* bit n: card n's backend has frames, or may have */

    uint64_t drawn; /* random bytes from the seed so far */
    struct traffic traffic;
    struct outbox outbox;
    bool frames_wait;     /* in the outbox */
    uint8_t last_byte;    /* of the output */
    uint64_t last_output; /* the exit in which the last output left */

    struct transfers transfers;
    uint64_t disk_errors;    /* transfers in which the host failed */
    struct error disk_error; /* the first of them */

    uint64_t stopped_at; /* host time of the last boundary */
    uint64_t deadline;   /* the machine's, when the alarm was last set */
    uint64_t relay_at;   /* host time at which the relay wants its next call; UINT64_MAX: none */
    uint64_t retry_at;   /* host time; 0: no retry wanted. When the line is up, or the guest stood at no name */
    uint64_t held_until; /* host time at which the relay lets output go that it holds back; UINT64_MAX: it holds none */
    uint64_t output_at;  /* host time at which waiting console output is to leave; 0: not known to wait */
    uint64_t deferred_since; /* host time; 0: nothing was put off */
    bool masked;             /* putting off was in vain, and since then no boundary was one with interrupts on */
    uint64_t last_time;      /* host time of the last TIME record */
    uint64_t last_flush;     /* host time */
    uint64_t last_progress;
    uint64_t last_digest;     /* by recorder_check_time */
    uint64_t next_checkpoint; /* by recorder_check_time */
    uint32_t checkpoint_id;   /* the next one's: how many there are */
    unsigned chain;           /* checkpoints since the last whole one */
    uint64_t started;

    bool stopping; /* a limit or the user wants the end, at the next nameable place */
    enum log_end_reason stop_reason;
    uint64_t stop_by; /* host time at which the end comes even without a name */
    uint64_t checkpoint_pause;
};

/* recorder.c */
void recorder_fail(struct recorder *recorder, const struct error *error);
uint64_t recorder_guest_now(struct recorder *recorder);
int recorder_append(struct recorder *recorder, const struct log_record *record, struct error *error);

/* recorder_alarm.c */
/* Progress is reported so often. */
#define RECORDER_PROGRESS (SECOND / 5)
/* Takes the time in which the guest could not run out of guest time, if that was long. Returns the host time. */
uint64_t recorder_note_stop(struct recorder *recorder);
/* Sets the alarm for the next stop that time alone brings about. */
void recorder_set_alarm(struct recorder *recorder);
/* At a boundary: whether there is anything that needs a place with a name. */
bool recorder_anything_due(const struct recorder *recorder);

/* recorder_inputs.c */
/* The console's descriptor has something. */
void recorder_console_event(struct recorder *recorder);
/* The host time at which a checkpoint is due; never for a guest that sleeps, which has nothing new to keep. */
uint64_t recorder_checkpoint_at(const struct recorder *recorder);
/* A guest that computes is given the time at least once in so many ns. */
uint64_t recorder_pace(const struct recorder *recorder);
/* The clock by which digests and checkpoints are due: guest time; with the virtual clock without that slept away. */
uint64_t recorder_check_time(const struct recorder *recorder);
/* Whether the guest would take an interrupt where it stands. */
bool recorder_interrupts_open(const struct recorder *recorder);
/* Whether there is console input for which the guest has room. */
bool recorder_input_ready(const struct recorder *recorder);
/* Whether anything is to be applied now; cheap, for every exit. */
bool recorder_has_inputs(const struct recorder *recorder);
/* Applies what is due, at a named place. */
int recorder_apply(struct recorder *recorder, const struct position *at, struct error *error);

/* recorder_net.c */
int recorder_net_watch(struct recorder *recorder, struct error *error);
void recorder_net_event(struct recorder *recorder, uint32_t events);
/* Whether there may be a frame for a card that has room. */
bool recorder_net_ready(const struct recorder *recorder);
/* The host time at which the next frames are due that are there already; UINT64_MAX: there are none. */
uint64_t recorder_net_at(const struct recorder *recorder);
int recorder_net_apply(struct recorder *recorder, const struct position *at, struct error *error);

/* recorder_operator.c */
int recorder_operator_watch(struct recorder *recorder, struct error *error);
int recorder_operator_apply(struct recorder *recorder, const struct position *at, struct error *error);

/* recorder_relay.c: the relay's functions, where there is a relay. */
int recorder_relay_record(struct recorder *recorder, const struct log_record *record, struct error *error);
int recorder_relay_let_go(struct recorder *recorder, struct error *error);
void recorder_relay_event(struct recorder *recorder);
int recorder_relay_boundary(struct recorder *recorder, const struct position *at, struct error *error);
/* Takes input from the relay, with a record of its own for a new owner. */
int recorder_relay_input(struct recorder *recorder, const struct position *at, uint8_t *bytes, size_t *length,
                         struct error *error);

/* recorder_disk.c: a callback of the door */
bool recorder_disk(void *context, unsigned disk, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length);

/* recorder_output.c */
void recorder_output(struct recorder *recorder, uint8_t byte);
void recorder_frame_output(struct recorder *recorder, unsigned card, const uint8_t *frame, size_t length);
/* Announces and lets out what has gathered. */
int recorder_release_output(struct recorder *recorder, struct error *error);

#endif
