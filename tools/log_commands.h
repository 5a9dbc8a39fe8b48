/* The subcommands of `encore log`, one file each. */
#ifndef ENCORE_TOOLS_LOG_COMMANDS_H
#define ENCORE_TOOLS_LOG_COMMANDS_H

#include "tools/commands.h"

command_fn command_log_info, command_log_dump, command_log_stat, command_log_verify, command_log_export,
    command_log_pack, command_log_unpack;

#endif
