/* encore handover: has the backup go on in place of the primary, as planned: a live migration. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/commands.h"
#include "tools/control.h"

/* The old primary answers until it has handed over; then it is gone. 0: it did, 1: it runs on. */
static int await_end(const struct control_options *options)
{
    struct error ignored;

    for (int n = 0; n < 100; n++) {
        json_t *answer = control_ask(options, "status", &ignored);
        if (!answer)
            return 0;
        const char *state = json_string_value(json_object_get(answer, "state"));
        bool runs_on = state && strcmp(state, "alone") == 0;
        json_decref(answer);
        if (runs_on)
            return 1;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return 1;
}

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
    struct control_options options = {0};
    struct error error = {0};
    char name[] = "encore handover";

    argv[0] = name;
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    json_t *answer = control_ask(&options, "handover", &error);
    if (!answer)
        return command_fails("handover", &error);
    json_decref(answer);
    if (await_end(&options)) {
        error_set(&error, ERROR_HOST, "%s: the primary goes on; its messages say why", options.address);
        return command_fails("handover", &error);
    }
    printf("handed over\n");
    return 0;
}
