/*
 * `encore`, whose primary tells its backup one thing that is not true: what a backup does when a record of that type is
 * the first to disagree.
 *
 *     LIE=TYPE lying_primary primary ...
 *
 * Once the guest has had as many inputs as LIE_AFTER says, a record of that TYPE that no machine agrees with
 * (impossible.h) goes to the backup in front of the next OUTPUT; an END takes the place of the guest's own. The guest,
 * and a log that is kept here, know nothing of it. It happens once.
 */
#include <stdlib.h>

#include "replication/follower.h"
#include "tests/tools/impossible.h"

int __real_follower_record(struct follower *follower, const struct log_record *record, struct error *error);
int __wrap_follower_record(struct follower *follower, const struct log_record *record, struct error *error);

/* A checkpoint's data are no machine's. */
static int insert(struct follower *follower, const struct log_record *lie, struct error *error)
{
    if (lie->type != LOG_CHECKPOINT)
        return __real_follower_record(follower, lie, error);
    if (log_writer_checkpoint_begin(follower->writer, error) < 0 ||
        log_writer_checkpoint_write(follower->writer, "not a machine", 13, error) < 0)
        return -1;
    return log_writer_checkpoint_end(follower->writer, lie, error);
}

int __wrap_follower_record(struct follower *follower, const struct log_record *record, struct error *error)
{
    static unsigned inputs;
    static bool told;
    const char *name = getenv("LIE");
    const char *after = getenv("LIE_AFTER");
    enum log_record_type type = name ? type_of_name(name) : (enum log_record_type)0;

    if (record->type == LOG_CONSOLE_IN)
        inputs++;
    if (!type || told || !follower->following || inputs < (after ? strtoul(after, NULL, 10) : 1) ||
        record->type != (type == LOG_END ? LOG_END : LOG_OUTPUT))
        return __real_follower_record(follower, record, error);
    told = true;
    struct log_record lie = impossible_record(type, record->at);
    lie.id = 1;
    if (type == LOG_END)
        return __real_follower_record(follower, &lie, error);
    return insert(follower, &lie, error) < 0 ? -1 : __real_follower_record(follower, record, error);
}
