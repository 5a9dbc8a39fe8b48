/*
 * Disks. What they hold is the machine's own, so only the host's failing is an input: the guest sees a disk error, and
 * the log which transfer it was.
 */
#include "replay/recorder_internal.h"

bool recorder_disk(void *context, unsigned disk, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length)
{
    struct recorder *recorder = context;
    struct machine *machine = recorder->machine;
    uint32_t number = transfers_number(&recorder->transfers, machine->engine->exits);
    struct log_record record = {.type = LOG_DISK_ERROR,
                                .at = position_at_exit(machine->engine->exits),
                                .channel = (uint8_t)disk,
                                .transfer = number};
    struct error error;

    if (disk_transfer(&machine->disks[disk], kind, offset, bytes, length, &error) == 0)
        return true;
    if (recorder->disk_errors++ == 0)
        recorder->disk_error = error;
    if (recorder_append(recorder, &record, &error) < 0)
        recorder_fail(recorder, &error);
    return false;
}
