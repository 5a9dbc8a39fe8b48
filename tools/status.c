/* encore status: how one side of a replicated machine is. */
#include <stdio.h>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/json_print.h"

int command_status(int argc, char **argv)
{
    static const struct argp_child children[] = {{&control_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .children = children,
        .parser = NULL,
        .args_doc = "ADDR",
        .doc = "Prints how a primary or backup is, as a JSON object.\v"
               "safe_bytes and replayed_bytes tell how much of the log's stream_bytes the backup has and has replayed; "
               "lag_ms how long ago the primary wrote what the backup is replaying. Exit code: 0, or 1 when nobody "
               "answers.",
    };
    struct control_options options = {0};
    struct error error = {0};

    command_line_parse(&argp, "status", argc, argv, &options);
    json_t *answer = control_ask(&options, "status", &error);
    if (!answer)
        return command_fails("status", &error);
    json_print(answer, JSON_INDENT(2));
    json_decref(answer);
    return 0;
}
