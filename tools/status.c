/* encore status: how one side of a replicated machine is. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/json_print.h"
#include "tools/log_support.h"

enum option_key { KEY_JSON = 0x900 };

struct status_options {
    struct control_options control; /* first: it is the child parser's */
    bool json;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct status_options *to = state->input;

    (void)text;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &to->control;
        return 0;
    case KEY_JSON:
        to->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char *text_of(const json_t *answer, const char *name)
{
    const char *text = json_string_value(json_object_get(answer, name));

    return text ? text : "";
}

static double number_of(const json_t *answer, const char *name)
{
    return json_number_value(json_object_get(answer, name));
}

static void print_text(const json_t *answer)
{
    printf("node     ");
    text_print(text_of(answer, "node"), stdout);
    printf("\nstate    ");
    text_print(text_of(answer, "state"), stdout);
    printf(", epoch %.0f\narbiter  ", number_of(answer, "epoch"));
    text_print(text_of(answer, "arbiter"), stdout);
    if (*text_of(answer, "peer")) {
        printf("\npeer     ");
        text_print(text_of(answer, "peer"), stdout);
        printf(", heard %.0f ms ago, round trip %.1f ms, taken for dead after %.0f ms", number_of(answer, "heard_ms"),
               number_of(answer, "round_trip_ms"), number_of(answer, "suspect_after_ms"));
        printf("\nlog      %.0f bytes; the backup has %.0f and has replayed %.0f, %.0f ms behind",
               number_of(answer, "stream_bytes"), number_of(answer, "safe_bytes"), number_of(answer, "replayed_bytes"),
               number_of(answer, "lag_ms"));
    }
    printf("\noutput   %.0f bytes held\nconsoles %.0f", number_of(answer, "output_held_bytes"),
           number_of(answer, "consoles"));
    if (number_of(answer, "console_dropped_bytes") > 0)
        printf(", which have not read %.0f bytes in time", number_of(answer, "console_dropped_bytes"));
    printf("\nguest    %.3f s\n", number_of(answer, "guest_seconds"));
}

int command_status(int argc, char **argv)
{
    static const struct argp_option list[] = {{"json", KEY_JSON, NULL, 0, "As a JSON object, with all there is", 0},
                                              {0}};
    static const struct argp_child children[] = {{&control_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = list,
        .children = children,
        .parser = parse_option,
        .args_doc = "ADDR",
        .doc = "Prints how a primary or backup is.\v"
               "With --json: safe_bytes and replayed_bytes tell how much of the log's stream_bytes the backup has and "
               "has replayed; "
               "lag_ms how long ago the primary wrote what the backup is replaying. Exit code: 0, or 1 when nobody "
               "answers.",
    };
    struct status_options options = {0};
    struct error error = {0};

    command_line_parse(&argp, "status", argc, argv, &options);
    json_t *answer = control_ask(&options.control, "status", &error);
    if (!answer)
        return command_fails("status", &error);
    if (options.json)
        json_print(answer, JSON_INDENT(2));
    else
        print_text(answer);
    json_decref(answer);
    return log_finish("status", NULL, &error);
}
