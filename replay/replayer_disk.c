/*
 * Disks in a replay. What they hold is computed again; a transfer fails when, and only when, the log says so. A failure
 * of this host, which the guest did not see when it was recorded, is not for it to see: the replay ends.
 */
#include "replay/replayer_internal.h"

bool replayer_disk(void *context, unsigned disk, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length)
{
    struct replayer *replayer = context;
    uint64_t exit = replayer->machine->engine->exits;
    uint32_t number = transfers_number(&replayer->transfers, exit);
    const struct log_record *next = &replayer->next;

    if (fetch(replayer) && next->type == LOG_DISK_ERROR && next->at.exits == exit && next->transfer == number &&
        next->channel == disk) {
        divergence_note_input(&replayer->divergence, next);
        consume(replayer);
        return false;
    }
    if (!replayer->failed &&
        disk_transfer(&replayer->machine->disks[disk], kind, offset, bytes, length, &replayer->error) == 0)
        return true;
    replayer->failed = true;
    engine_request_stop(replayer->machine->engine);
    return false;
}
