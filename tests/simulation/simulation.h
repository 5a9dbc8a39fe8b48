/*
 * A simulated world for the replication protocol: nodes with real replicas (replication/replica.h), real gates and real
 * console servers around pretended machines; one real console client that writes, and one that watches; a pretended
 * network, arbiter and operator. Time is virtual and there is one random sequence, so a seed is a run.
 *
 *   world.c      one run: the events in order of their times, and how a run ends
 *   node.c       a process: carries out what its replica says
 *   stream.c     its machine: live, recorded into a stream, and replayed from one
 *   machine.c    what the machine computes
 *   network.c    pipes that delay, stall, break, and are renewed
 *   arbiter.c    the test-and-set, with lost questions, lost answers and late effects
 *   client.c     the person at the console
 *   faults.c     what goes wrong, and the operator who starts processes again
 *   checker.c    what may never be seen (checker.h)
 */
#ifndef ENCORE_TESTS_SIMULATION_H
#define ENCORE_TESTS_SIMULATION_H

#include "replication/arbiter_records.h"
#include "replication/console_client.h"
#include "replication/console_server.h"
#include "replication/replica.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/machine.h"

#define SIM_MS         UINT64_C(1000000)
#define SIM_HOSTS      4
#define SIM_EPOCHS     512
#define SIM_QUEUE      128 /* messages that a pipe holds one way */
#define SIM_REQUESTS   512
#define SIM_EVENTS     2048
#define SIM_STALE      32
#define SIM_PROCESSES  256
#define SIM_STREAM_MAX (4u << 20)
#define SIM_PIPES      (3 * SIM_HOSTS)
#define SIM_CONSOLE    SIM_HOSTS /* pipes below are those of backups, by host; from here on the client's, by host */
#define SIM_WATCHER    (2 * SIM_HOSTS) /* ... and the watcher's */
#define SIM_CLIENT_ID  77

enum sim_event_kind {
    SIM_TICK,           /* a: host */
    SIM_MACHINE,        /* a: host */
    SIM_REPLAY,         /* a: host */
    SIM_SAFE,           /* a: host */
    SIM_MESSAGE,        /* a: pipe, b: direction */
    SIM_CONNECT,        /* a: pipe */
    SIM_LINKED,         /* a: pipe: its client is told that it is up */
    SIM_UNLINKED,       /* a: pipe, b: direction; the receiving end is told that it is down */
    SIM_ARBITER_EFFECT, /* a: request */
    SIM_ARBITER_ANSWER, /* a: request */
    SIM_CLIENT,
    SIM_FAULT,    /* a: which */
    SIM_OPERATOR, /* a: host */
    SIM_WATCH,
    SIM_ARBITER_FORGETS,
    SIM_ARBITER_OPERATOR, /* a: how often he looked already */
};

struct sim_event {
    uint64_t time, order;
    uint32_t generation; /* of the process or pipe that it is for; it is dropped when that is no more */
    uint16_t a, b;
    enum sim_event_kind kind;
};

struct sim_lane {
    struct sim_letter {
        uint64_t time;
        uint8_t *bytes;
        size_t length;
    } letters[SIM_QUEUE];
    unsigned first, count;
    uint64_t last;          /* when the newest letter arrives */
    uint64_t stalled_until; /* nothing arrives before */
};

/* Lane 0 goes from the client of the pipe to its server. */
struct sim_pipe {
    bool up;
    uint32_t generation;
    int server; /* host */
    struct sim_lane lanes[2];
};

struct sim_request {
    struct arbiter_question question;
    int host;
    uint32_t incarnation;
    enum replica_answer answer, told;
    uint64_t forgotten; /* how often the arbiter had lost its memory when it was asked */
    bool unheard;       /* the answer never comes: UNREACHABLE instead */
};

enum sim_stream_phase { SIM_NO_STREAM, SIM_CHECKPOINT, SIM_RECORDS };

struct sim_node {
    int host;
    bool alive;
    uint32_t incarnation;
    uint64_t id;
    int64_t clock;                    /* its clock is the world's and so much */
    uint64_t paused_at, paused_until; /* SIGSTOP */
    uint64_t open_at_pause;           /* so much output might have been let out by then */
    int crash_after;                  /* so many actions; negative: never */
    struct replica_config config;
    struct replica *replica;
    int target;             /* host to follow */
    bool follows;           /* a backup: it links itself to the target */
    uint64_t peer_received; /* as a primary was told on the present link */

    struct sim_machine machine;
    bool live;      /* the machine runs by itself */
    uint64_t epoch; /* ... in this epoch */
    bool quiesced;  /* stands still, for a handover */
    bool quiet_due;
    unsigned throttle;
    uint64_t stepped_at;
    bool finished, stopped;

    enum sim_stream_phase phase;
    uint64_t stream_id, stream_end;
    bool checkpoint_begun;
    size_t filler; /* bytes of checkpoint still to be written before the machine's state */
    struct bytes_writer out;

    struct bytes_writer in; /* what was delivered since RESET */
    size_t replay_at;
    bool restored, going_live;
    bool diverged; /* found: it is of no use until RESET */
    uint64_t going_live_epoch;
    uint64_t safe_due; /* offset that is being made safe; 0: none */
    uint64_t replay_every;
    unsigned replay_records; /* at a time */
    uint64_t stuck_until;    /* its replay makes no progress */

    bool gate_made;
    struct output_gate gate;
    bool commit_all;
    struct gate_marks inputs;
    bool requesting; /* the arbiter was asked, and has not answered */

    struct console_server server; /* last, for its buffer need not be cleared */
};

struct sim_client {
    struct console_client console;
    unsigned commands, typed, replied; /* numbered lines of the script */
    unsigned ahead;                    /* how many it types without having seen the replies */
    bool quits;                        /* the last one ends the guest */
    uint8_t frame[8];
    unsigned frame_length;
    uint64_t input; /* bytes typed so far */
};

enum sim_fault {
    SIM_FAULT_CRASH,
    SIM_FAULT_PAUSE,
    SIM_FAULT_CUT,
    SIM_FAULT_STALL,
    SIM_FAULT_PARTITION,
    SIM_FAULT_ARBITER,
    SIM_FAULT_FORGET,
    SIM_FAULT_SLOW,
    SIM_FAULT_STUCK,
    SIM_FAULT_DIVERGE,
    SIM_FAULT_HANDOVER,
    SIM_FAULT_RETARGET,
    SIM_FAULT_STALE,
    SIM_FAULTS,
};

struct sim_world {
    uint64_t seed, random;
    bool trace;
    uint64_t now, order;
    struct sim_event heap[SIM_EVENTS];
    unsigned events;
    int hosts;
    struct sim_node nodes[SIM_HOSTS];
    struct sim_pipe pipes[SIM_PIPES];
    uint64_t cut_off[SIM_HOSTS + 1];    /* until when a host (the last: the client) is partitioned from the others */
    uint64_t owners[SIM_EPOCHS];        /* as the arbiter has it */
    uint64_t given[SIM_EPOCHS];         /* to whom it was given last, even if the arbiter has forgotten */
    bool forgetful;                     /* the arbiter lost its memory, and the operator has not put it right */
    uint64_t taken_over_at[SIM_EPOCHS]; /* when a backup went live in it; 0: none did */
    uint64_t arbiter_away_until;
    struct sim_request requests[SIM_REQUESTS];
    unsigned next_request;
    struct sim_client client;
    struct console_client watcher;
    struct sim_stale {
        uint8_t bytes[512];
        size_t length;
        uint64_t epoch, node;
    } stale[SIM_STALE]; /* what machines said to each other, kept to be said again in a later epoch */
    unsigned stale_next;
    uint64_t fault_every[SIM_FAULTS]; /* mean, ns; 0: never */
    unsigned loss;                    /* permille of messages lost although the pipe stays up */
    uint64_t delay;                   /* of a message, at most */
    uint64_t heal_at, end_at;
    bool lasting;     /* the run goes on after the last fault, until there is a backup again */
    bool guest_ended; /* some machine's, with all its output let out */
    struct sim_process {
        uint64_t id;
        bool lost; /* killed, or its machine was of no use */
    } processes[SIM_PROCESSES];
    unsigned process_count;
    struct replica_config config;
    struct replica_actions actions;
    bool stepping, dead;
    struct bytes_writer letter;
    struct checker checker;
    uint64_t counts[16]; /* of what happened, for the summary; see enum sim_count */
};

enum sim_count {
    SIM_RUNS_DONE,
    SIM_RUNS_ENDED,
    SIM_RUNS_DEAD,
    SIM_TAKEOVERS,
    SIM_WON_ALONE,
    SIM_MEMBERS,
    SIM_LOSERS,
    SIM_DIVERGENCES,
    SIM_HANDOVERS,
    SIM_CRASHES,
    SIM_FORGOTTEN,
    SIM_HELD,
    SIM_RESETS,
    SIM_STEPS,
    SIM_COUNTS,
};

/* world.c */
struct sim_world *sim_new(void);
void sim_free(struct sim_world *world);
/* Runs one seed to its end. Returns NULL, or the name of the check that failed; world->checker.text says more. */
const char *sim_run(struct sim_world *world, uint64_t seed, bool trace);
void sim_at(struct sim_world *world, uint64_t time, enum sim_event_kind kind, unsigned a, unsigned b,
            uint32_t generation);
uint64_t sim_random(struct sim_world *world);
uint64_t sim_below(struct sim_world *world, uint64_t limit); /* 0 to limit - 1 */
uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high);
bool sim_chance(struct sim_world *world, unsigned permille);
void sim_trace(struct sim_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define SIM_TRACE(world, ...)                                                                                          \
    do {                                                                                                               \
        if ((world)->trace)                                                                                            \
            sim_trace(world, __VA_ARGS__);                                                                             \
    } while (0)

/* node.c */
void node_start(struct sim_world *world, int host, bool backup, int target);
void node_kill(struct sim_world *world, struct sim_node *node, const char *why);
void node_tick(struct sim_world *world, struct sim_node *node);
/* How long from now until the next of them. */
uint64_t node_next_tick(struct sim_world *world, const struct sim_node *node);
void node_step(struct sim_world *world, struct sim_node *node, struct replica_event event);
void node_message(struct sim_world *world, struct sim_node *node, const uint8_t *bytes, size_t length);
void node_console(struct sim_world *world, struct sim_node *node, unsigned seat, const uint8_t *bytes, size_t length);
void node_speak(struct sim_world *world, struct sim_node *node); /* sends what its console has to say */
struct replica_status node_status(const struct sim_world *world, const struct sim_node *node);
void node_lost(struct sim_world *world, const struct sim_node *node);
bool node_is_primary(const struct sim_world *world, const struct sim_node *node);

/* stream.c */
void stream_begin(struct sim_world *world, struct sim_node *node);
void stream_drop(struct sim_node *node);
void stream_machine(struct sim_world *world, struct sim_node *node);
void stream_safe(struct sim_world *world, struct sim_node *node);
void stream_deliver(struct sim_world *world, struct sim_node *node, const uint8_t *bytes, size_t length);
void stream_reset(struct sim_world *world, struct sim_node *node);
void stream_replay(struct sim_world *world, struct sim_node *node);
void stream_commit(struct sim_node *node, uint64_t offset);

/* network.c */
bool pipe_send(struct sim_world *world, unsigned pipe, unsigned direction, const uint8_t *bytes, size_t length);
bool pipe_has_room(const struct sim_world *world, unsigned pipe, unsigned direction);
void pipe_cut(struct sim_world *world, unsigned pipe);
void pipe_arrive(struct sim_world *world, unsigned pipe, unsigned direction);
void pipe_connect(struct sim_world *world, unsigned pipe);
void pipe_linked(struct sim_world *world, unsigned pipe);
void pipe_unlinked(struct sim_world *world, unsigned pipe, unsigned direction);
/* The pipe through which a host is followed, or -1. */
int pipe_to(const struct sim_world *world, int host);
void pipes_forget(struct sim_world *world);

/* arbiter.c */
void arbiter_question(struct sim_world *world, struct sim_node *node, const struct arbiter_question *question);
void arbiter_lose_memory(struct sim_world *world);
/* An operator who knows the truth, as far as he should, puts a forgetful arbiter right. */
void arbiter_operator(struct sim_world *world, unsigned looked);
void arbiter_effect(struct sim_world *world, unsigned request);
void arbiter_tell(struct sim_world *world, unsigned request);

/* client.c */
void client_start(struct sim_world *world);
void client_tick(struct sim_world *world);
/* Of the client's pipes, or the watcher's. */
void client_receive(struct sim_world *world, unsigned pipe, const uint8_t *bytes, size_t length);
void client_unlinked(struct sim_world *world, unsigned pipe);
bool client_done(const struct sim_world *world);

/* faults.c */
void faults_plan(struct sim_world *world);
void faults_strike(struct sim_world *world, enum sim_fault fault);
void faults_operator(struct sim_world *world, int host);

#endif
