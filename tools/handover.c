/* encore handover: has the backup go on in place of the primary, as planned: a live migration. */
#include <stdio.h>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/control.h"

/* A primary knows within two seconds (replication/replica.c) and an answer of its arbiter. */
#define PATIENCE_MS 5000

int command_handover(int argc, char **argv)
{
    static const struct argp_child children[] = {{&control_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .children = children,
        .args_doc = "ADDR",
        .doc = "Asks the primary at ADDR to hand over to its backup, and waits until it has.\v"
               "The guest stands still for the moment in between. The old primary ends, with exit code 0. Exit code: "
               "0; 2 when there is no backup to hand over to; 1 when the primary goes on after all, or nobody answers.",
    };
    struct control_options options = {.patience_ms = PATIENCE_MS};
    struct error error = {0};

    command_line_parse(&argp, "handover", argc, argv, &options);
    json_t *answer = control_ask(&options, "handover", &error);
    if (!answer)
        return command_fails("handover", &error);
    json_decref(answer);
    printf("handed over\n");
    return 0;
}
