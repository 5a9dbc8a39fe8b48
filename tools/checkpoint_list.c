/* encore checkpoint list: where in the run the log holds the whole machine. */
#include <inttypes.h>

#include "tools/checkpoint_commands.h"
#include "tools/log_support.h"

static void print_checkpoint(const struct log_checkpoint *checkpoint)
{
    const struct log_record *record = &checkpoint->record;
    char position[POSITION_TEXT], parent[16] = "-", size[64];

    if (record->parent != LOG_NO_PARENT)
        snprintf(parent, sizeof parent, "%" PRIu32, record->parent);
    snprintf(size, sizeof size, "%" PRIu64 " (%" PRIu64 " in the log)", record->blob_length,
             checkpoint->offset - checkpoint->data_offset);
    printf("%6" PRIu32 " %6s  %5" PRIu64 ".%09" PRIu64 " s  %-30s %s\n", record->id, parent, record->time / 1000000000,
           record->time % 1000000000, size, position_text(&record->at, position));
}

static int print_list(const char *path, struct error *error)
{
    struct log_reader *reader = log_reader_open(NULL, path, false, error);
    const struct log_checkpoint *list;
    size_t count;

    if (!reader)
        return -1;
    int result = log_reader_checkpoints(reader, &list, &count, error);
    if (result < 0)
        error_wrap(error, "%s", path);
    else if (count == 0)
        printf("no checkpoints (encore record --checkpoint-every makes them)\n");
    else
        printf("%6s %6s  %17s  %-30s %s\n", "id", "parent", "guest time", "bytes", "position");
    for (size_t i = 0; result == 0 && i < count; i++)
        print_checkpoint(&list[i]);
    log_reader_close(reader);
    return result;
}

int command_checkpoint_list(int argc, char **argv)
{
    const struct log_argument argument = log_parse_alone(
        "checkpoint list",
        "Lists the checkpoints of a log.\v"
        "A checkpoint with a parent holds only what changed since that one. Exit code 4, after those that are "
        "readable, when the log breaks off or is damaged.",
        argc, argv);
    struct log_summary summary;
    struct error error = {0};

    /* A list that is short because the log is must not pass for the whole. */
    if (print_list(argument.path, &error) < 0 || log_verify(argument.path, &summary, &error) < 0)
        return command_fails("checkpoint list", &error);
    log_is_whole(&summary, &error);
    return log_finish("checkpoint list", &argument, &error);
}
