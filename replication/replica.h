/*
 * The protocol between a primary and its backup: the whole of it that decides anything, and nothing that touches the
 * world.
 *
 * A replica is one side. replica_step takes an event and leaves actions: no clock (each event carries the time), no
 * socket, no thread, no randomness. What is around it (replication/node.c with real links, machines and arbiters;
 * tests/simulation with simulated ones) brings events and carries out actions in order.
 *
 * The idea (Scales, Nelson, Venkitachalam, "The Design of a Practical System for Fault-Tolerant Virtual Machines",
 * 2010). The primary's log goes to the backup as a stream, and output leaves the primary only when the backup has the
 * stream up to the output's own record: the *committed* offset. So whatever the world has seen is in what the backup
 * has, and the backup can go on from there.
 *
 * Who lives. Time is cut into *epochs*; an arbiter outside both machines gives each epoch to the first that asks for it
 * (an atomic test-and-set), and only the owner of an epoch runs a machine in it. A primary and its *member* live in
 * one epoch, e. A side that has not heard the other for `suspect_after` asks for epoch e + 1 and does nothing
 * irrevocable until it is told: the winner goes on alone as the owner of e + 1, the loser stops. An epoch has at most
 * one member at a time, because the primary that loses one must win the next epoch before it goes on alone, unless the
 * member itself gave up its place (DIVERGED, or a HELLO with no stream from the same node). A primary that hears of a
 * later epoch than its own asks for the next one too: if what it heard is true, it loses and stops.
 *
 * A link that closes (LINK_DOWN) says that the other side died, or that only the link broke: suspicion begins then,
 * after a grace in which the link may be renewed. The primary's patience is shorter than its member's, with silence as
 * with a closed link: when both live and only the link between them broke, it is the primary that goes on.
 *
 * A primary that was silent for longer than `suspect_after` (it was stopped, or its host was busy) cannot know whether
 * its member owns the next epoch by now, and an acknowledgement that comes may be from before. So it first has the
 * arbiter look whether e + 1 is the member's: if it is, it stops; until the answer nothing is committed.
 *
 * Becoming a member. A backup joins by receiving a stream that begins with a checkpoint; the primary goes on releasing
 * output at once. When the backup has restored it and nearly caught up, the primary sends MEMBER(m) and from then on
 * holds the output whose record is after m; the backup may ask for the next epoch once it has received the stream up to
 * m. So at no time is output out that a backup with the right to take over lacks.
 *
 * Joining comes to an end. A backup repeats its HELLO after ever longer times, and one that has not heard WELCOME yet
 * does not begin anew. How much is under way goes by what the link takes (replica_flow.c). A machine whose log grows
 * faster than that is slowed; and a join that is given up may not begin again at once (replica_join.c). A backup that
 * could not go on with the machine says so (REFUSE), and leaves.
 *
 * An arbiter may lose its memory (its directory emptied, its data restored from before). What it would then give away,
 * it may have given to another already. So a claim of epoch e + 1 holds only where the record of e is there and names
 * the owner that both sides know; without it the answer is FORGOTTEN, which decides nothing: output is held, the
 * arbiter is asked again, and an operator who knows which machines are dead writes the record again (`encore arbiter
 * reset`). The same goes for a doubt: that nothing is known of e + 1 is an answer only where e is known. Each side
 * looks now and then whether the record of its epoch is there, so that an operator hears of the loss before anybody
 * needs the arbiter.
 *
 * An arbiter that cannot be reached is asked again every `arbiter_retry`; the machine may run on, but no output leaves.
 * If meanwhile the other side is heard again, things go on in epoch e as if nothing had been: should an unanswered
 * request have won all the same, then the other side's request will lose and our own, repeated, will win.
 */
#ifndef ENCORE_REPLICATION_REPLICA_H
#define ENCORE_REPLICATION_REPLICA_H

#include "replication/message.h"

enum replica_state {
    REPLICA_STARTING,     /* primary to be: asks for its first epoch; there is no machine yet */
    REPLICA_ALONE,        /* runs the machine; nobody may take over; output leaves at once. A backup may be joining */
    REPLICA_PRIMARY,      /* runs the machine; a member follows; output waits to be committed */
    REPLICA_HANDING_OVER, /* as PRIMARY, but the machine stands still for good, or until the backup is lost */
    REPLICA_CONTENDING,   /* as PRIMARY, but asks for the next epoch; nothing is committed */
    REPLICA_JOINING,      /* follows, or is about to; may not take over */
    REPLICA_BACKUP,       /* follows, and may take over */
    REPLICA_CLAIMING,     /* as BACKUP, but asks for the next epoch */
    REPLICA_TAKING_OVER,  /* owns the epoch; the machine is still replaying what was received */
    REPLICA_ENDED,        /* the guest ended, all its output is out; nothing more will happen */
    REPLICA_STOPPED,      /* this side must not run the machine any more */
};
#define REPLICA_STATES (REPLICA_STOPPED + 1)

struct replica_config {
    uint64_t node;              /* who I am: unique, not 0 */
    bool backup;                /* begins as a backup, else as a primary */
    uint64_t first_epoch;       /* primary: the epoch to begin with, at least 1 */
    uint64_t beat_every;        /* ns between heartbeats */
    uint64_t suspect_max;       /* up to so many ns it grows with the link's round trip and losses; not if it is less */
    uint64_t suspect_after;     /* ns of silence after which a backup takes the primary for dead; the primary, a part */
    uint64_t arbiter_retry;     /* ns between requests to an arbiter that cannot be reached */
    uint64_t arbiter_watch;     /* ns between two looks at the record of our epoch */
    uint64_t window;            /* bytes of the stream that may be under way */
    uint64_t backlog_max;       /* bytes of the stream kept for a member; beyond that it counts as lost */
    uint64_t lag_slow;          /* ns by which the backup's replay may be behind before the primary is slowed */
    uint64_t lag_max;           /* at this lag the primary stands still; and when it has lasted for */
    uint64_t lag_patience;      /* so many ns, the backup counts as lost */
    uint64_t join_retry;        /* ns until a join that was given up may begin again; twice as long each time */
    uint64_t handover_patience; /* ns that a backup has to take over before the primary wants its place back */
};

/* What is reasonable on one machine or a local network. `node` is left 0. */
struct replica_config replica_config_default(void);

enum replica_event_kind {
    REPLICA_EVENT_TIME,      /* time has passed; to be sent at replica_due, and at least every beat_every / 2 */
    REPLICA_EVENT_LINK_UP,   /* backup: the link to the primary is fresh; what was under way on an older one is lost */
    REPLICA_EVENT_LINK_DOWN, /* the connection to `node` closed: its process died, or the link was cut. At a primary,
                              * a node that nobody follows us as is of no interest; at a backup it is the primary */
    REPLICA_EVENT_MESSAGE,   /* `message` arrived */
    REPLICA_EVENT_STREAM,    /* primary: the log written for the backup grew by `bytes`, `length` */
    REPLICA_EVENT_JOINED,    /* primary: the stream now holds the whole checkpoint; records follow */
    REPLICA_EVENT_JOIN_PROGRESS, /* primary: the checkpoint is being written: `unwritten` bytes are left, in `round` */
    REPLICA_EVENT_JOIN_FAILED,   /* primary: it cannot come to an end: `text` says why */
    REPLICA_EVENT_UNFIT, /* backup: it could not go on with the machine of this stream: `text` says what is missing */
    REPLICA_EVENT_SAFE,  /* backup: the stream is safe up to `offset` */
    REPLICA_EVENT_REPLAYED, /* backup: ... and replayed up to `offset`; the guest's clock shows `guest_time`. The first
                             * of a stream says that the checkpoint was restored */
    REPLICA_EVENT_GUEST_TIME, /* primary: the guest's clock shows `guest_time` */
    REPLICA_EVENT_ARBITER,    /* the answer to CLAIM, VERIFY or DOUBT: `answer` */
    REPLICA_EVENT_LIVE,       /* after GO_LIVE: all that was received is replayed, and the machine runs on by itself */
    REPLICA_EVENT_DIVERGED,   /* backup: the replay differs from the log at `offset`; the machine is of no use */
    REPLICA_EVENT_HANDOVER,   /* primary: the operator wants the backup to take over */
    REPLICA_EVENT_QUIET,      /* after QUIESCE: the machine stands still and its log is in the stream, all of it */
    REPLICA_EVENT_ENDED, /* primary: the guest ended, and its log is in the stream (if there is one), all of it; backup:
                          * the replay came to the guest's end */
};

enum replica_answer {
    REPLICA_WON,
    REPLICA_LOST,
    REPLICA_UNREACHABLE,
    REPLICA_FORGOTTEN, /* the record that the question rests on is not there, or names somebody else */
};

struct replica_event {
    enum replica_event_kind kind;
    uint64_t now;                  /* ns, on a clock of this side that never goes back */
    uint64_t node;                 /* LINK_DOWN: who spoke on the link, if anybody (primary) */
    const struct message *message; /* MESSAGE */
    const uint8_t *bytes;          /* STREAM */
    size_t length;                 /* STREAM */
    uint64_t offset;               /* SAFE, REPLAYED, DIVERGED */
    uint64_t guest_time;           /* REPLAYED, GUEST_TIME */
    enum replica_answer answer;    /* ARBITER */
    uint64_t unwritten;            /* JOIN_PROGRESS */
    unsigned round;                /* JOIN_PROGRESS */
    const char *text;              /* JOIN_FAILED, UNFIT */
};

enum replica_action_kind {
    REPLICA_SEND,     /* `message`, to the peer; if the link cannot take it, it is lost, which is survivable */
    REPLICA_CLAIM,    /* ask the arbiter for `epoch` in our name, the epoch before being `owner`'s (0: there need be
                       * none): WON if it is ours, LOST if another's, FORGOTTEN if nothing is known of `owner`'s epoch
                       * (but LOST if `epoch` is `rival`'s all the same) */
    REPLICA_VERIFY,   /* ask the arbiter whether `epoch` is `node`'s: WON if so, LOST if another's, FORGOTTEN if nothing
                       * is known of it */
    REPLICA_DOUBT,    /* ask the arbiter whether `epoch` is `node`'s: WON if so, LOST if not and the epoch before is
                       * `owner`'s, else FORGOTTEN */
    REPLICA_START,    /* primary: start the machine */
    REPLICA_COMMIT,   /* output announced, and input recorded, in the stream before `offset` may go out and be
                       * confirmed. UINT64_MAX: all there is, and all that comes until HOLD */
    REPLICA_HOLD,     /* from now on, only what COMMIT says; what was committed before `offset` stays so */
    REPLICA_JOIN,     /* primary: begin a new stream: a checkpoint, then JOINED, then records */
    REPLICA_DROP,     /* primary: the stream has no reader any more: end it */
    REPLICA_DELIVER,  /* backup: `bytes`, the next of the stream. Answered by SAFE, later by REPLAYED */
    REPLICA_RESET,    /* backup: throw away the machine and the stream; a new one begins at offset 0 */
    REPLICA_GO_LIVE,  /* backup: replay what was received, then run. Answered by LIVE (and ENDED if it had ended) */
    REPLICA_QUIESCE,  /* primary: stop the machine at the next place it can; answered by QUIET */
    REPLICA_RESUME,   /* primary: ... let it run on */
    REPLICA_THROTTLE, /* primary: of each time slice the machine gets 1000 - `permille` thousandths */
    REPLICA_FINISH,   /* the guest ended and all its output is out; nothing more will come */
    REPLICA_STOP,     /* stop, release nothing, and say `text` */
    REPLICA_SAY,      /* tell the user: `text` */
};

struct replica_action {
    enum replica_action_kind kind;
    struct message message; /* SEND; its bytes are the replica's, good until the next step */
    uint64_t epoch;         /* CLAIM, VERIFY, DOUBT, GO_LIVE, START */
    uint64_t node;          /* CLAIM: we; VERIFY, DOUBT */
    uint64_t owner;         /* CLAIM, DOUBT: of the epoch before; 0: it need have none */
    uint64_t rival;         /* CLAIM: the other side; 0: there is none */
    uint64_t offset;        /* COMMIT, HOLD */
    const uint8_t *bytes;   /* DELIVER; good until the next step */
    size_t length;
    unsigned permille;
    char text[320];
};

/* One step leaves at most so many actions. */
#define REPLICA_ACTIONS_MAX 64

struct replica_actions {
    size_t count;
    struct replica_action list[REPLICA_ACTIONS_MAX];
};

struct replica;

/* The config is copied. NULL when memory is exhausted. */
struct replica *replica_create(const struct replica_config *config);
void replica_free(struct replica *replica);

/* Takes one event; `actions` is emptied first. Hostile messages are answered by REFUSE or ignored; they change nothing
 * else. When memory for the stream is exhausted, the backup counts as lost. */
void replica_step(struct replica *replica, const struct replica_event *event, struct replica_actions *actions);

/* When the next TIME is due to the instant: for a heartbeat, or because the other side may have fallen silent. After
 * TIME it is later than that event's `now`. UINT64_MAX: never. */
uint64_t replica_due(const struct replica *replica);

/* What is known of the arbiter. */
enum replica_arbiter {
    REPLICA_ARBITER_UNKNOWN,
    REPLICA_ARBITER_ANSWERS,
    REPLICA_ARBITER_UNREACHABLE,
    REPLICA_ARBITER_FORGETFUL, /* it lacks the record of our epoch, or has another's */
};

/* For status lines and for pacing. */
struct replica_status {
    enum replica_state state;
    uint64_t epoch;
    uint64_t peer;           /* node id of the other side; 0: none */
    uint64_t stream;         /* id of the stream; 0: none */
    uint64_t stream_end;     /* primary: written; backup: received */
    uint64_t unsent;         /* primary: bytes of the stream that were never sent */
    uint64_t safe, replayed; /* at the backup, as far as this side knows */
    uint64_t committed;
    uint64_t lag;        /* primary: how long ago it wrote what the backup is to replay next, ns */
    uint64_t guest_time; /* of the machine here, as last told */
    bool awaits_replay;  /* backup: it takes over when it has replayed what there is, as it was asked to */
    bool unfit;          /* STOPPED because this side could not go on with the machine */
    uint64_t join_left;  /* bytes that a joining backup still has to get, about */
    unsigned join_round; /* in which its checkpoint is being written */
    bool handed_over;    /* STOPPED because the backup took over as it was asked to */
    uint64_t heard;      /* ns since the other side was heard */
    unsigned throttle;   /* permille */
    uint64_t patience;   /* suspect_after, as it is in use, ns */
    uint64_t round_trip; /* to the other side and back, ns; 0: not known */
    enum replica_arbiter arbiter;
    bool asking; /* the arbiter has not answered yet */
};

struct replica_status replica_status(const struct replica *replica, uint64_t now);
const char *replica_state_name(enum replica_state state);
const char *replica_arbiter_name(enum replica_arbiter arbiter);

#endif
