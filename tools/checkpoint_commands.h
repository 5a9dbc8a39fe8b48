/* The subcommands of `encore checkpoint`, one file each. */
#ifndef ENCORE_TOOLS_CHECKPOINT_COMMANDS_H
#define ENCORE_TOOLS_CHECKPOINT_COMMANDS_H

#include "tools/commands.h"

command_fn command_checkpoint_list, command_checkpoint_extract;

#endif
