/* encore ctl: an operator's orders to a running guest (replay/operator.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/quantity.h"
#include "tools/scan_codes.h"
#include "vmm/devices/vmgenid.h"
#include "vmm/host/clock.h"
#include "vmm/host/entropy.h"

/* A person types no faster than this, and a keyboard keeps little. */
#define KEY_EVERY 20000000

struct ctl_options {
    struct control_options control;
    const char *command, *argument;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct ctl_options *to = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &to->control;
        return 0;
    case ARGP_KEY_ARG:
        /* The address is the child's. */
        if (!to->control.address)
            return ARGP_ERR_UNKNOWN;
        if (to->argument)
            argp_error(state, "unexpected argument '%s'", text);
        *(to->command ? &to->argument : &to->command) = text;
        return 0;
    case ARGP_KEY_END:
        if (!to->command)
            argp_error(state, "an address and a command are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Sends a request and waits until the guest has it. */
static int order(const struct ctl_options *options, json_t *request, struct error *error)
{
    json_t *answer = control_request(&options->control, request, error);

    json_decref(answer);
    return answer ? 0 : -1;
}

static int press(const struct ctl_options *options, const char *codes, struct error *error)
{
    return order(options, json_pack("{s:s, s:s}", "command", "keys", "codes", codes), error);
}

static int type(const struct ctl_options *options, struct error *error)
{
    static const struct timespec pause = {.tv_nsec = KEY_EVERY};

    for (const char *at = options->argument; *at; at++) {
        uint8_t codes[SCAN_CODES_MAX];
        char text[2 * SCAN_CODES_MAX + 1];
        size_t count = scan_codes_of(*at, codes);
        if (count == 0)
            return error_set(error, ERROR_INPUT, "a US keyboard has no key for the byte 0x%02x", (unsigned char)*at);
        for (size_t n = 0; n < count; n++)
            snprintf(text + 2 * n, 3, "%02x", codes[n]);
        if (press(options, text, error) < 0)
            return -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int balloon(const struct ctl_options *options, struct error *error)
{
    uint64_t bytes = 0;

    if (strcmp(options->argument, "0") != 0 && quantity_size(options->argument, &bytes, error) < 0)
        return -1;
    return order(options, json_pack("{s:s, s:I}", "command", "balloon", "bytes", (json_int_t)bytes), error);
}

static int power_button(const struct ctl_options *options, struct error *error)
{
    return order(options, json_pack("{s:s}", "command", options->command), error);
}

static int keys(const struct ctl_options *options, struct error *error)
{
    return press(options, options->argument, error);
}

/* "now", "@SECONDS" since 1970, or a date and time in UTC. */
static int parse_time(const char *text, int64_t *seconds, struct error *error)
{
    struct tm tm = {0};
    char *end;

    if (!text || strcmp(text, "now") == 0) {
        *seconds = host_clock_wall();
        return 0;
    }
    if (*text == '@') {
        errno = 0;
        *seconds = strtoll(text + 1, &end, 10);
        if (end != text + 1 && !*end && errno == 0)
            return 0;
    } else if ((end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm)) && (!*end || strcmp(end, "Z") == 0)) {
        *seconds = timegm(&tm);
        return 0;
    }
    return error_set(error, ERROR_INPUT, "'%.200s' is no time: now, @SECONDS since 1970, or YYYY-MM-DDTHH:MM:SS in UTC",
                     text);
}

static int set_time(const struct ctl_options *options, struct error *error)
{
    int64_t seconds = 0;

    if (parse_time(options->argument, &seconds, error) < 0)
        return -1;
    return order(options, json_pack("{s:s, s:I}", "command", "set-time", "seconds", (json_int_t)seconds), error);
}

static int new_generation(const struct ctl_options *options, struct error *error)
{
    uint8_t id[VMGENID_BYTES];
    char text[2 * VMGENID_BYTES + 1];

    if (host_entropy(id, sizeof id, error) < 0)
        return -1;
    for (size_t n = 0; n < sizeof id; n++)
        snprintf(text + 2 * n, 3, "%02x", id[n]);
    return order(
        options,
        json_pack("{s:s, s:s}", "command", "new-generation", "id", options->argument ? options->argument : text),
        error);
}

static int run(const struct ctl_options *options, struct error *error)
{
    static const struct {
        const char *name, *argument; /* NULL: it takes none */
        bool optional;               /* it can do without */
        int (*give)(const struct ctl_options *options, struct error *error);
    } orders[] = {
        {"power-button", NULL, false, power_button},
        {"balloon", "SIZE", false, balloon},
        {"keys", "CODES", false, keys},
        {"type", "TEXT", false, type},
        {"set-time", "TIME", true, set_time},
        {"new-generation", "ID", true, new_generation},
    };

    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        if (strcmp(options->command, orders[i].name) != 0)
            continue;
        if (orders[i].argument && !orders[i].optional && !options->argument)
            return error_set(error, ERROR_INPUT, "%s needs an argument: %s", orders[i].name, orders[i].argument);
        if (!orders[i].argument && options->argument)
            return error_set(error, ERROR_INPUT, "unexpected argument '%s'", options->argument);
        return orders[i].give(options, error);
    }
    return error_set(error, ERROR_INPUT,
                     "unknown command '%s' (power-button, balloon SIZE, keys CODES, type TEXT, set-time [TIME] or "
                     "new-generation [ID])",
                     options->command);
}

int command_ctl(int argc, char **argv)
{
    static const struct argp_child children[] = {{&control_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse_option,
        .children = children,
        .args_doc = "ADDR COMMAND [ARGUMENT]",
        .doc =
            "Gives an operator's order to a running guest.\v"
            "ADDR is what run or record were given as --control (unix:PATH), or the address of a replicated "
            "machine. Commands: power-button presses the power button; balloon SIZE asks the guest to give up so "
            "much of its memory (0: none); type TEXT types on a US keyboard; keys CODES sends scan codes of set 1, in "
            "hexadecimal; set-time [TIME] sets the guest's real-time clock, to this host's time, or to @SECONDS since "
            "1970 or YYYY-MM-DDTHH:MM:SS (UTC); new-generation [ID] tells the guest, by its VM generation ID, that it "
            "goes on from a state from which another has gone on. The order is recorded when the guest gets it. Exit "
            "code: 0; 2 when it is not taken; 1 when "
            "nobody answers.",
    };
    struct ctl_options options = {0};
    struct error error = {0};

    command_line_parse(&argp, "ctl", argc, argv, &options);
    return run(&options, &error) < 0 ? command_fails("ctl", &error) : 0;
}
