/*
 * A kept log in segments: when one is long enough the next begins, with a checkpoint, and so replays by itself.
 *
 * The checkpoint is written while the machine runs, as a backup's is (follower.h). At the place where it is complete
 * the log before gets an END record that says that the run goes on elsewhere, and records go to the new one. A segment
 * that cannot be written to the end of its checkpoint is not begun: the one before goes on, and later it is tried
 * again. So it is, too, when the log before has ended because it could not be written: with space come back there is a
 * log again, with a gap before it.
 *
 * The first segment has the log's own name, FILE; the next ones are FILE.1, FILE.2, and so on. All of it is the
 * machine's thread.
 */
#ifndef ENCORE_REPLICATION_LOG_SEGMENTS_H
#define ENCORE_REPLICATION_LOG_SEGMENTS_H

#include "replication/follower.h"
#include "replication/kept_log.h"

struct log_segments {
    /* Given. */
    const struct kept_log *kept; /* how logs are kept, and the name of the first */
    uint64_t size;               /* bytes after which the next begins; but no sooner than twice its checkpoint */
    unsigned keep;               /* so many are kept, the latest; 0: all */
    void (*say)(void *context, const char *text);
    /* A log that had ended goes on in this segment. */
    void (*resumed)(void *context, const char *name);
    void *context; /* of both */
    struct log_writer *
        *writer; /* of the present segment; the caller's, who closes and frees what is there in the end */

    unsigned number;        /* of the present segment; 0 is the first */
    uint64_t begun_with;    /* how long it was when its checkpoint was whole */
    struct file_sink *file; /* of the present segment; NULL: the caller's, of the first */
    struct lenient_sink *lenient;
    struct follower next; /* writes the checkpoint of the next one */
    struct file_sink *next_file;
    struct lenient_sink *next_lenient;
    struct log_sink next_sink;
    uint32_t attempts;
    uint64_t try_at; /* host time; not before */
    bool waits;      /* the present one has ended, and try_at is of that */
};

/* Sets up what is not given. The machine is the one that runs. */
void log_segments_start(struct log_segments *segments, struct port *port, struct machine *machine,
                        const char *description);
/* At a boundary with a name; `busy`: another checkpoint is being written, so none may begin. Returns 0, or -1 with the
 * error when the host failed or the log is required and cannot be written. */
int log_segments_tend(struct log_segments *segments, struct recorder *recorder, bool busy, const struct position *at,
                      uint64_t *again_at, struct error *error);
/* Whether a checkpoint is being written: no other one may begin. */
bool log_segments_busy(const struct log_segments *segments);
/* No segment will begin any more. The present one's file stays open, for its writer. */
void log_segments_stop(struct log_segments *segments);
/* After the last writer was freed. */
void log_segments_free(struct log_segments *segments);

/* Whether a second segment of this log could be begun: an ERROR_INPUT when there is such a file, and it may not be
 * replaced. */
int log_segments_check(const char *path, bool force, struct error *error);

#endif
