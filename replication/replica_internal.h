/*
 * The replica's insides, shared between its files:
 *   replica.c          events and actions
 *   replica_patience.c who is heard, and how long silence is borne
 *   replica_arbiter.c  what is asked of the arbiter
 *   replica_primary.c  the side that runs the machine
 *   replica_flow.c     ... how much of the stream is under way
 *   replica_pace.c     ... how fast the machine runs
 *   replica_join.c     ... and how a backup that joins comes to follow
 *   replica_backup.c   the side that follows
 */
#ifndef ENCORE_REPLICATION_REPLICA_INTERNAL_H
#define ENCORE_REPLICATION_REPLICA_INTERNAL_H

#include "logs/source.h"
#include "replication/output_gate.h"
#include "replication/replica.h"

#define NO_OFFSET UINT64_MAX

/* A request to the arbiter, repeated until it is answered. */
struct replica_request {
    enum {
        REQUEST_NONE,
        REQUEST_CLAIM,
        REQUEST_VERIFY,
        REQUEST_DOUBT, /* primary: the member may have the next epoch; nothing is committed until we know */
        REQUEST_WATCH, /* whether the arbiter still knows of our epoch; nothing waits for the answer */
    } kind;
    bool asked;        /* the answer is awaited */
    bool stale;        /* ... but it is the answer to an earlier request, which does not matter any more */
    uint64_t again_at; /* else: when to ask */
    bool told;         /* the user knows that the arbiter gives no answer that decides anything */
};

/* What the link takes at a time. */
struct replica_flow {
    uint64_t window;   /* bytes that may be under way; at most config.window */
    uint64_t quickest; /* ns that an acknowledgement took, for the link as it is lately; 0: not known */
    bool was_full;     /* the window was what limited us, since the last sample */
    bool probed;       /* the stream up to `probe` was sent at `probed_at`, and is not acknowledged yet */
    uint64_t probe, probed_at;
};

/* A backup that joins. */
struct replica_join {
    uint64_t unwritten;   /* bytes of the checkpoint that the machine has not written yet, as it said last */
    unsigned round;       /* in which it writes */
    uint64_t told_at;     /* when the user was told how it goes */
    uint64_t looked_at;   /* when we looked how much was left, and */
    uint64_t left_before; /* how much that was */
    unsigned stuck;       /* how often that was no less than before */
    uint64_t not_before;  /* the last join was given up: another may begin then */
    unsigned failures;    /* so many were given up in a row */
    char why[256];        /* ... the last one for this reason */
};

struct replica_patience {
    uint64_t whole;                     /* suspect_after, as it is in use here, ns */
    uint64_t agreed;                    /* primary: ... as it is at the backup, by its own word; 0: not known */
    uint64_t round_trip;                /* ns; 0: not known */
    uint64_t peer_clock, peer_clock_at; /* what the other side's clock showed, and when we heard that */
    uint64_t echoed;                    /* what ours showed, as the other side had heard when it spoke last */
};

struct replica {
    struct replica_config config;
    enum replica_state state;
    uint64_t epoch;
    uint64_t now;
    uint64_t peer;     /* node id of the other side; 0: none */
    uint64_t heard_at; /* when it was heard last */
    uint64_t sent_at;  /* when something was sent to it last */
    uint64_t lost_at;  /* when we began to ask the arbiter about it: what it said before that proves nothing */
    struct replica_patience patience;
    bool link_down; /* the link to it closed, and nothing was heard since */
    uint64_t link_down_at;
    struct replica_request request;
    enum replica_arbiter arbiter;
    uint64_t watch_at;               /* when to look whether it still knows of our epoch */
    struct replica_actions *actions; /* of the step under way */

    uint64_t stream;     /* 0: none */
    uint64_t guest_time; /* of the machine here */
    bool handed_over;

    /* Primary. Offsets satisfy acked safe <= received <= sent <= end. */
    uint32_t streams;        /* begun in this epoch */
    struct log_feed backlog; /* the stream from `safe` on */
    uint64_t end;            /* of the stream */
    uint64_t sent;           /* on the present link */
    uint64_t peer_received, peer_safe, peer_replayed;
    struct replica_flow flow;
    struct replica_join join;
    bool peer_ready;
    uint64_t joined;      /* where the checkpoint ends; NO_OFFSET: not yet */
    uint64_t committed;   /* what COMMIT said; NO_OFFSET: everything */
    bool member;          /* the peer may ask for the next epoch */
    uint64_t member_from; /* ... once it has the stream up to here */
    uint64_t member_told_at;
    uint64_t beaten_at;    /* when the last BEAT was sent */
    bool stream_broken;    /* the stream cannot be continued: the member must be given up */
    bool later_epoch;      /* somebody spoke of one: only the arbiter can let us go on */
    bool contend_for_good; /* hearing the member again does not help */
    bool wants_handover;
    bool quiet; /* the machine stands still */
    uint64_t handover_at;
    bool ended;                       /* the guest ended */
    struct gate_marks times;          /* when the stream was how long */
    uint64_t sampled_at, sampled_end; /* the newest of them */
    uint64_t lag_since;               /* 0: the lag is not too long */
    unsigned throttle;                /* permille */

    /* Backup. */
    bool welcomed;       /* on the present link */
    uint64_t given_up;   /* the stream in which we gave up our place last; 0: none */
    uint64_t hello_at;   /* when to say HELLO again; and */
    uint64_t hello_wait; /* how long after that once more */
    uint64_t received;
    uint64_t safe, replayed;
    bool restored;         /* the machine exists */
    bool verified;         /* the arbiter is the same as the primary's */
    uint64_t member_at;    /* we may take over once we have so much; NO_OFFSET: not invited */
    bool bye;              /* the guest ended, and the stream is complete */
    bool diverged;         /* found while we contended */
    uint64_t take_over_at; /* HANDOVER: take over when so much is replayed; NO_OFFSET: not asked to */
    char refused[256];     /* what REFUSE said last */
    bool unfit;            /* what the machine would need here is not there: refused[] says what */
    uint64_t join_left;    /* bytes that the primary had still to send, as it said last */
    unsigned join_round;
};

/* replica.c */
struct replica_action *replica_act(struct replica *replica, enum replica_action_kind kind);
void replica_say(struct replica *replica, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sends a message of this kind; the caller fills in more through the pointer. */
struct message *replica_send(struct replica *replica, enum message_kind kind);
void replica_refuse(struct replica *replica, const char *text);
/* What a REFUSE says, fit to be shown (base/text.h), in at most `size` - 1 bytes. */
void replica_quote(const struct message *refusal, char *text, size_t size);
void replica_stop(struct replica *replica, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool replica_is_backup(const struct replica *replica);

/* replica_patience.c */
/* Another stream begins. */
void patience_begin(struct replica *replica);
/* The times in ACK and BEAT. */
void patience_take(struct replica *replica, const struct message *message);
void patience_tell(const struct replica *replica, struct message *message);
void replica_hear(struct replica *replica);
void replica_lose_link(struct replica *replica, uint64_t node);
/* When, without a word from the other side, it is taken for dead. */
uint64_t replica_suspects_at(const struct replica *replica);
bool replica_hears(const struct replica *replica);
/* The arbiter cannot tell either side anything, and the other is heard: things go on in this epoch. */
bool replica_heard_without_arbiter(const struct replica *replica);

/* replica_arbiter.c */
/* Begins a request; the answer, or silence, comes through replica_step. */
void replica_ask(struct replica *replica, int kind);
/* Puts the request to the arbiter when it is time to. */
void replica_tend_request(struct replica *replica);
void replica_take_answer(struct replica *replica, enum replica_answer answer);

/* replica_primary.c */
/* To be called before any event is looked at. */
void primary_wake(struct replica *replica);
void primary_step(struct replica *replica, const struct replica_event *event);
void primary_tick(struct replica *replica);
void primary_answer(struct replica *replica, enum replica_answer answer);
/* Our epoch is another's, as the arbiter sees it. */
void primary_usurped(struct replica *replica);
/* A machine that runs by itself, in the present epoch. */
void primary_alone(struct replica *replica);

/* replica_flow.c */
/* A message about the stream, with its offset and the guest's time. */
struct message *primary_send(struct replica *replica, enum message_kind kind, uint64_t offset);
/* A new stream begins. */
void flow_begin(struct replica *replica);
/* The link is fresh: the peer has the stream up to `offset`, and what comes after it is sent again. */
void flow_rewind(struct replica *replica, uint64_t offset);
/* peer_received has grown. */
void flow_acknowledged(struct replica *replica);
/* Sends what the window and one step allow. */
void primary_pump(struct replica *replica);

/* replica_join.c */
void join_begin(struct replica *replica);
/* The machine has written so much of the checkpoint that `unwritten` bytes are left, in its `round`. */
void join_wrote(struct replica *replica, uint64_t unwritten, unsigned round);
/* The backup follows. */
void join_done(struct replica *replica);
/* It never will: `why`. Both sides are told, and another join may not begin at once. */
void join_give_up(struct replica *replica, const char *why);
/* Bytes that are still to be sent; of pages not yet written it is the most that they can come to. */
uint64_t join_left(const struct replica *replica);
bool join_may_begin(const struct replica *replica);
void join_tick(struct replica *replica);

/* replica_pace.c */
uint64_t primary_lag(const struct replica *replica);
void primary_throttle(struct replica *replica, unsigned permille);
/* Slows the machine as the backup falls behind; false when that has not helped for too long. */
bool primary_pace(struct replica *replica);

/* replica_backup.c */
void backup_step(struct replica *replica, const struct replica_event *event);
void backup_tick(struct replica *replica);
void backup_answer(struct replica *replica, enum replica_answer answer);
void backup_begin(struct replica *replica);

#endif
