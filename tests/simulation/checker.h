/*
 * What may never be seen. The checker is told what an observer outside of the system sees: bytes on wires, what the
 * arbiter has, which processes run a machine, what the client's user gets and is promised, and the status that each
 * replica tells. It knows nothing of how the protocol works; it was written from replica.h and console_protocol.h.
 *
 *   one-live      two machines live in one epoch, or one in an epoch that the arbiter gave to another
 *   one-member    two nodes that may take over in one epoch
 *   history       output was let out that is not in a survivor's history, or differs from it, or a machine that was
 *                 superseded let out what its successor did not have
 *   client        the user did not get each byte once and in order
 *   input-lost    a machine took over without input that was confirmed
 *   input-order   a machine took a byte of input twice, or not, or not in order
 *   stream        a backup was given other bytes than the primary wrote
 *   bounds        the backlog or the bytes under way are more than the limits allow
 *   lag           a primary runs on although its member is too far behind, or keeps a member that is so for too long
 *   contract      an action that makes no sense where it comes
 *   awakening     a process that was stopped for too long lets something out before it has asked whether it may
 *   redundancy    the faults have stopped, and a backup that follows the machine does not come to be a member
 *   liveness      the faults have stopped, somebody could go on, and nobody does; or all stopped and nobody was killed
 */
#ifndef ENCORE_TESTS_SIMULATION_CHECKER_H
#define ENCORE_TESTS_SIMULATION_CHECKER_H

#include "replication/replica.h"
#include "tests/simulation/machine.h"

#define CHECKER_EPOCHS  512
#define CHECKER_STREAMS 128
#define CHECKER_INPUT   1024
#define CHECKER_NODES   8
#define CHECKER_CHUNKS  4096

struct checker_stream {
    uint64_t id;
    uint8_t *bytes; /* as the primary wrote them */
    size_t length, capacity;
    struct checker_chunk {
        uint64_t end, time;
    } * chunks; /* CHECKER_CHUNKS */
    unsigned chunk_count, chunk_done;
    uint64_t replayed; /* as the primary was told */
};

struct checker_node {
    uint64_t id; /* 0: no process */
    struct replica_status status;
    bool live;
    uint64_t epoch;     /* in which it is live */
    uint64_t delivered; /* bytes since RESET */
    uint64_t lag_since; /* 0: the member is not too far behind */
};

struct checker {
    const char *failed; /* the check's name; NULL: all is well */
    char text[240];

    uint64_t live_node[CHECKER_EPOCHS]; /* whose machine was live in the epoch */
    uint64_t live_base[CHECKER_EPOCHS]; /* outputs in its history when it began */
    uint64_t highest;                   /* live epoch */
    uint64_t released;                  /* so many bytes of output were ever let out */
    uint8_t released_byte[MACHINE_HISTORY];
    uint64_t seen;      /* bytes that the client's user got */
    uint64_t confirmed; /* bytes of input that the user was promised are safe */
    uint64_t typed;
    uint8_t typed_byte[CHECKER_INPUT];
    struct checker_stream streams[CHECKER_STREAMS];
    unsigned stream_count;
    struct checker_node nodes[CHECKER_NODES];
};

void checker_reset(struct checker *checker);
void checker_free(struct checker *checker);
void checker_fail(struct checker *checker, const char *check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A process began in this place, or is gone (id 0). */
void checker_process(struct checker *checker, unsigned place, uint64_t id);
/* The machine of the process in this place is live in `epoch`, which the arbiter gave to `owner`. */
void checker_live(struct checker *checker, unsigned place, uint64_t epoch, uint64_t owner,
                  const struct sim_machine *machine);
/* ... is not live any more. */
void checker_halted(struct checker *checker, unsigned place);
/* What a replica says of itself, at `now` of its own clock. */
void checker_status(struct checker *checker, unsigned place, const struct replica_status *status,
                    const struct replica_config *config, uint64_t now);
/* Output on its way to a client. */
void checker_released(struct checker *checker, unsigned place, uint64_t number, const uint8_t *bytes, size_t length);
void checker_typed(struct checker *checker, const uint8_t *bytes, size_t length);
void checker_confirmed(struct checker *checker, uint64_t number);
/* A live machine took input. */
void checker_input(struct checker *checker, uint64_t number, const uint8_t *bytes, size_t length);
void checker_user(struct checker *checker, const uint8_t *bytes, size_t length);
/* A primary wrote to its stream; a backup got bytes of one (with RESET, `length` 0, it begins anew). */
void checker_written(struct checker *checker, uint64_t stream, const uint8_t *bytes, size_t length, uint64_t now);
void checker_delivered(struct checker *checker, unsigned place, uint64_t stream, const uint8_t *bytes, size_t length);
/* A primary was told how far its backup has replayed. */
void checker_replayed(struct checker *checker, uint64_t stream, uint64_t replayed);
/* Bytes of a stream up to `end` were sent on a link on which the backup had said `received`. */
void checker_window(struct checker *checker, uint64_t end, uint64_t received, uint64_t window);

#endif
