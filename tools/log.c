/* encore log: looks into a log without running anything. */
#include "tools/log_commands.h"
#include "tools/log_support.h"

int command_log(int argc, char **argv)
{
    static const struct subcommand list[] = {
        {"info", command_log_info, "what was recorded, how much, and how it ended"},
        {"dump", command_log_dump, "the records, one a line; can follow a log that is being written"},
        {"stat", command_log_stat, "what the log's bytes are spent on"},
        {"verify", command_log_verify, "check every checksum and every record"},
        {"export", command_log_export, "the log as JSON lines, its network's frames or its console's output"},
        {"pack", command_log_pack, "a log and all that its replay needs, in one file (a bundle)"},
        {"unpack", command_log_unpack, "a bundle's files, each by itself"},
    };

    return subcommand_run("log", "Looks into a log.", list, sizeof list / sizeof list[0], argc, argv);
}
