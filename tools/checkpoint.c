/* encore checkpoint: the whole machines that a log holds. */
#include "tools/checkpoint_commands.h"
#include "tools/log_support.h"

int command_checkpoint(int argc, char **argv)
{
    static const struct subcommand list[] = {
        {"list", command_checkpoint_list, "the checkpoints of a log"},
        {"extract", command_checkpoint_extract, "one checkpoint as files: guest memory, and the state as text"},
    };

    return subcommand_run("checkpoint", "Lists or extracts the checkpoints of a log.", list,
                          sizeof list / sizeof list[0], argc, argv);
}
