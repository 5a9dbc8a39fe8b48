/* encore arbiter: looks at an arbiter's records, and puts them right when it has lost its memory. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/arbiter_admin.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/log_support.h"
#include "tools/quantity.h"

enum option_key { KEY_JSON = 0x500, KEY_EPOCH, KEY_OWNER };

struct arbiter_options {
    const char *arbiter;
    bool json;
    uint64_t epoch, owner; /* 0: not given */
    bool needs_epoch, needs_owner;
};

static void parse_owner(const char *text, uint64_t *owner, struct argp_state *state)
{
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        argp_error(state, "--owner: '%s' is not a node's id, of 16 hexadecimal digits (encore status)", text);
    *owner = strtoull(text, NULL, 16);
}

static void check(const struct arbiter_options *to, struct argp_state *state)
{
    if (!to->arbiter)
        argp_error(state, "an arbiter is needed: file:PATH or etcd:URL,KEY");
    if (to->needs_epoch && to->epoch == 0)
        argp_error(state, "--epoch is needed");
    if (to->needs_owner && to->owner == 0)
        argp_error(state, "--owner is needed");
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arbiter_options *to = state->input;
    struct error error;

    switch (key) {
    case KEY_JSON:
        to->json = true;
        return 0;
    case KEY_EPOCH:
        if (quantity_count(text, &to->epoch, &error) < 0)
            argp_error(state, "--epoch: %s", error.text);
        return 0;
    case KEY_OWNER:
        parse_owner(text, &to->owner, state);
        return 0;
    case ARGP_KEY_ARG:
        command_line_only(&to->arbiter, text, state);
        return 0;
    case ARGP_KEY_END:
        check(to, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* An owner in words. */
static const char *name_of(uint64_t owner, char *text, size_t size)
{
    if (owner == ARBITER_NONSENSE)
        return "what is there is no record";
    snprintf(text, size, "%016" PRIx64, owner);
    return text;
}

static void print_json(const struct arbiter_list *list)
{
    json_t *records = json_array();

    for (size_t n = 0; n < list->count; n++) {
        char text[32];
        bool sound = list->records[n].owner != ARBITER_NONSENSE;
        json_array_append_new(records, json_pack("{s:I,s:s?}", "epoch", (json_int_t)list->records[n].epoch, "owner",
                                                 sound ? name_of(list->records[n].owner, text, sizeof text) : NULL));
    }
    json_t *whole = json_pack("{s:I,s:o}", "count", (json_int_t)list->total, "records", records);
    json_dumpf(whole, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(whole);
}

static void print_table(const struct arbiter_list *list)
{
    uint64_t expected = list->count ? list->records[0].epoch : 0;

    if (list->total == 0)
        printf("no records\n");
    for (size_t n = 0; n < list->count; n++, expected--) {
        char text[32];
        if (list->records[n].epoch != expected)
            printf("epoch %" PRIu64 " to %" PRIu64 "  missing\n", list->records[n].epoch + 1, expected);
        expected = list->records[n].epoch;
        printf("epoch %" PRIu64 "  %s%s%s\n", expected, list->records[n].owner == ARBITER_NONSENSE ? "" : "owner ",
               name_of(list->records[n].owner, text, sizeof text), n == 0 ? "  (latest)" : "");
    }
    if (list->total > list->count)
        printf("and %" PRIu64 " earlier\n", list->total - list->count);
}

static int show(int argc, char **argv)
{
    static const struct argp_option options[] = {{"json", KEY_JSON, NULL, 0, "As a JSON object", 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "ARBITER",
        .doc = "Shows which machine (node) was given which epoch, the latest first.\v"
               "Of a machine that runs, `encore status` tells its own node and epoch. Exit code: 0; 1 when the arbiter "
               "cannot be reached.",
    };
    struct arbiter_options to = {0};
    struct arbiter_list list;
    struct error error = {0};

    command_line_parse(&argp, "arbiter show", argc, argv, &to);
    if (arbiter_list(to.arbiter, &list, &error) < 0)
        return command_fails("arbiter show", &error);
    if (to.json)
        print_json(&list);
    else
        print_table(&list);
    return log_finish("arbiter show", NULL, &error);
}

static int reset(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"epoch", KEY_EPOCH, "N", 0, "The latest epoch that any machine ever won", 0},
        {"owner", KEY_OWNER, "NODE", 0, "... and the node that won it", 0},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "ARBITER",
        .doc = "Writes again the latest record of an arbiter that has lost its memory. The machines go on by "
               "themselves.\v"
               "Before that, look at every machine that may still live (`encore status`), and at the messages of those "
               "that died: N must be the latest epoch that any of them won. If a later one was won, two machines may "
               "come to live at once, or what the later one let out is lost. Each machine that is not dead must answer "
               "`encore status`; one that stands still (SIGSTOP, a host that hangs) may hold an answer from before. "
               "Refused: an epoch that is not later than all that the arbiter knows. Exit code: 0; 1 when the arbiter "
               "cannot be reached; 2 when it is refused.",
    };
    struct arbiter_options to = {.needs_epoch = true, .needs_owner = true};
    struct error error = {0};

    command_line_parse(&argp, "arbiter reset", argc, argv, &to);
    if (arbiter_reset(to.arbiter, to.epoch, to.owner, &error) < 0)
        return command_fails("arbiter reset", &error);
    printf("epoch %" PRIu64 "  owner %016" PRIx64 "\n", to.epoch, to.owner);
    return log_finish("arbiter reset", NULL, &error);
}

static int forget(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"epoch", KEY_EPOCH, "N", 0, "The latest epoch (encore arbiter show): that no other arbiter is meant", 0},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "ARBITER",
        .doc = "Removes all records of a machine that is dead for good, primary and backup.\v"
               "If one of them lives, it loses its arbiter: its output is held as soon as it needs it, and a new "
               "machine under the same arbiter does not know of it. Exit code: 0; 1 when the arbiter cannot be "
               "reached; 2 when N is not its latest epoch.",
    };
    struct arbiter_options to = {.needs_epoch = true};
    struct error error = {0};
    uint64_t removed;

    command_line_parse(&argp, "arbiter forget", argc, argv, &to);
    if (arbiter_forget(to.arbiter, to.epoch, &removed, &error) < 0)
        return command_fails("arbiter forget", &error);
    printf("%" PRIu64 " record%s removed\n", removed, removed == 1 ? "" : "s");
    return log_finish("arbiter forget", NULL, &error);
}

int command_arbiter(int argc, char **argv)
{
    static const struct subcommand list[] = {
        {"show", show, "which machine was given which epoch"},
        {"reset", reset, "write the latest record again, after the arbiter lost its memory"},
        {"forget", forget, "remove all records of a machine that is dead for good"},
    };

    return subcommand_run("arbiter", "Looks at an arbiter's records, and puts them right.", list,
                          sizeof list / sizeof list[0], argc, argv);
}
