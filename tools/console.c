/*
 * encore console: the console of a replicated guest, wherever it runs at the moment
 * (replication/console_protocol.h).
 */
#include <argp.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replication/console_client.h"
#include "replication/link.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/quantity.h"
#include "vmm/host/clock.h"
#include "vmm/host/console.h"
#include "vmm/host/entropy.h"
#include "vmm/host/script.h"
#include "vmm/host/signals.h"

#define MILLISECOND UINT64_C(1000000)
/* After the end of the input, and as long after the last output. */
#define LINGER (1000 * MILLISECOND)

struct console_options {
    char *addresses;
    const char *key, *input;
    uint64_t linger; /* 0: as long as is usual */
    bool all;
    enum console_wish wish;
};

struct console_command {
    struct console_options options;
    struct keys keys;
    struct link *links[CLIENT_LINKS_MAX];
    const char *names[CLIENT_LINKS_MAX];
    struct console_client *client;
    struct console *console;
    struct signals *signals;
    struct script *script;
    struct bytes_writer out; /* a message */
    uint64_t epoch;          /* as told to the user */
    uint64_t lost;           /* as told to the user */
    uint64_t last_output;    /* host time */
    bool watches;            /* as told to the user */
    bool discards;           /* the user was told that what is typed goes nowhere */
    int code;
};

enum option_key { KEY_KEY = 0x700, KEY_INPUT, KEY_ALL, KEY_LINGER, KEY_WATCH, KEY_TAKE };

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct console_options *to = state->input;
    struct error error;

    switch (key) {
    case KEY_KEY:
        to->key = text;
        return 0;
    case KEY_INPUT:
        to->input = text;
        return 0;
    case KEY_ALL:
        to->all = true;
        return 0;
    case KEY_WATCH:
    case KEY_TAKE:
        if (to->wish != CONSOLE_WRITE)
            argp_error(state, "--watch and --take: one of them only");
        to->wish = key == KEY_WATCH ? CONSOLE_WATCH : CONSOLE_TAKE;
        return 0;
    case KEY_LINGER:
        if (quantity_time(text, &to->linger, &error) < 0)
            argp_error(state, "--linger: %s", error.text);
        return 0;
    case ARGP_KEY_ARG:
        if (to->addresses)
            argp_error(state, "unexpected argument '%s'", text);
        to->addresses = text;
        return 0;
    case ARGP_KEY_END:
        if (!to->addresses)
            argp_error(state, "an address is needed, or several with commas between");
        if (to->linger && to->input)
            argp_error(state,
                       "--linger is about the end of what is typed; with --input the script says what to wait for");
        if (to->input && to->wish == CONSOLE_WATCH)
            argp_error(state, "--input is what to write, and --watch is not to write");
        if (!to->linger)
            to->linger = LINGER;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int open_links(struct console_command *command, unsigned *count, struct error *error)
{
    const struct console_options *options = &command->options;
    char *rest = options->addresses;
    const char *address;

    *count = 0;
    if (options->key && keys_read(NULL, options->key, KEY_CONSOLE, &command->keys, error) < 0)
        return -1;
    while ((address = strsep(&rest, ","))) {
        if (*count == CLIENT_LINKS_MAX)
            return error_set(error, ERROR_INPUT, "more than %d addresses", CLIENT_LINKS_MAX);
        command->names[*count] = address;
        command->links[*count] = link_connect(address, SESSION_CONSOLE, options->key ? &command->keys : NULL, error);
        if (!command->links[*count])
            return -1;
        ++*count;
    }
    return 0;
}

static int open_all(struct console_command *command, struct error *error)
{
    uint64_t id = 0;
    unsigned count;

    if (open_links(command, &count, error) < 0 || host_entropy((uint8_t *)&id, sizeof id, error) < 0)
        return -1;
    command->client = malloc(sizeof *command->client);
    if (!command->client)
        return error_set(error, ERROR_HOST, "out of memory");
    console_client_init(command->client, id | 1, count, command->options.all, command->options.wish);
    command->watches = command->options.wish == CONSOLE_WATCH;
    command->out = bytes_writer(CONSOLE_MESSAGE_MAX);
    if (command->options.input) {
        command->script = script_open(NULL, command->options.input, error);
        if (!command->script)
            return -1;
    }
    command->signals = signals_hold(1, error);
    if (!command->signals)
        return -1;
    command->console = console_open(NULL, "stdio", error);
    return command->console ? 0 : -1;
}

/* Who watches leaves a script or a file for later. At a terminal somebody may want to leave; what else is typed is not
 * kept, for it would come at a time when nobody expects it. */
static bool reads(const struct console_command *command)
{
    const struct console_client *client = command->client;

    if (client->watches)
        return !command->script && isatty(STDIN_FILENO);
    return client->kept_length < CLIENT_KEEP;
}

static void discard(struct console_command *command)
{
    uint8_t bytes[1024];

    if (console_read(command->console, bytes, sizeof bytes) == 0 || command->discards)
        return;
    command->discards = true;
    fprintf(stderr, "\r\nencore console: this console watches; what you type goes nowhere (Ctrl-A x leaves)\r\n");
}

/* Typed, or scripted, input, as much as the client can keep until it is confirmed. */
static void take_input(struct console_command *command)
{
    uint8_t bytes[1024];

    if (!reads(command))
        return;
    if (command->client->watches)
        return discard(command);
    size_t room = CLIENT_KEEP - command->client->kept_length;
    size_t length = room < sizeof bytes ? room : sizeof bytes;

    length =
        command->script ? script_read(command->script, bytes, length) : console_read(command->console, bytes, length);
    if (length)
        console_client_type(command->client, bytes, length);
}

static int print(struct console_command *command, const uint8_t *bytes, size_t length, struct error *error)
{
    if (length == 0)
        return 0;
    command->last_output = host_clock_now();
    if (command->script)
        script_output(command->script, bytes, length);
    return console_write(command->console, bytes, length, error);
}

/* What the user should know. */
static void tell(struct console_command *command)
{
    const struct console_client *client = command->client;

    if (client->epoch > command->epoch && client->link >= 0) {
        if (command->epoch)
            fprintf(stderr, "\r\nencore console: epoch %" PRIu64 ": the machine at %s goes on\r\n", client->epoch,
                    command->names[client->link]);
        command->epoch = client->epoch;
    }
    if (client->watches != command->watches && client->link >= 0) {
        command->watches = client->watches;
        command->discards = false;
        fprintf(stderr, "\r\nencore console: %s\r\n",
                client->watches ? "another console writes; you watch, and write when it leaves (--take: at once)"
                                : "you write now");
    }
    if (client->lost > command->lost) {
        fprintf(stderr, "\r\nencore console: %" PRIu64 " bytes of output are not kept any more\r\n",
                client->lost - command->lost);
        command->lost = client->lost;
        command->code = 1;
    }
}

static int receive(struct console_command *command, unsigned n, struct error *error)
{
    struct console_message message;
    const uint8_t *bytes;
    size_t length;
    uint64_t now = host_clock_now();

    for (;;) {
        switch (link_receive(command->links[n], &bytes, &length, error)) {
        case LINK_NOTHING:
            return 0;
        case LINK_UP:
        case LINK_DOWN:
            console_client_unlinked(command->client, n, now);
            break;
        case LINK_REFUSED:
            error_wrap(error, "%s", command->names[n]);
            /* Once there was a machine that speaks to us, no other can send us away. */
            if (command->client->epoch == 0)
                return -1;
            fprintf(stderr, "\r\nencore console: %s\r\n", error->text);
            break;
        case LINK_MESSAGE: {
            const uint8_t *output;
            size_t new;
            if (console_message_decode(bytes, length, &message, error) < 0)
                return error_wrap(error, "%s", command->names[n]);
            if (!console_client_receive(command->client, n, &message, now, &output, &new))
                return error_set(error, ERROR_INPUT, "%s: the machine's answer makes no sense", command->names[n]);
            if (print(command, output, new, error) < 0)
                return -1;
            tell(command);
            break;
        }
        }
    }
}

/* A link that takes nothing is not up, or its machine has stopped reading; what is lost is said again. */
static void send_next(struct console_command *command)
{
    struct bytes_writer *out = &command->out;
    unsigned link;

    for (;;) {
        uint64_t now = host_clock_now();
        bytes_writer_clear(out);
        if (!console_client_next(command->client, now, &link, out))
            return;
        if (!link_send(command->links[link], out->data, out->length))
            console_client_unlinked(command->client, link, now);
    }
}

static void wait_for_something(struct console_command *command)
{
    struct pollfd fds[CLIENT_LINKS_MAX + 2];
    nfds_t count = 0;
    bool room = reads(command);
    int input = console_poll_fd(command->console);
    /* A script goes on when the output says so; a file is always ready. */
    int patience = command->script && script_ready(command->script) && room ? 0 : 10;

    for (unsigned n = 0; n < command->client->links; n++) {
        count += link_poll(command->links[n], &fds[count]);
    }
    fds[count++] = (struct pollfd){.fd = signals_fd(command->signals), .events = POLLIN};
    if (input >= 0 && room && !command->script && !console_ended(command->console))
        fds[count++] = (struct pollfd){.fd = input, .events = POLLIN};
    (void)poll(fds, count, patience);
}

/* When there is no more to do here. */
static bool is_done(struct console_command *command)
{
    const struct console_client *client = command->client;
    uint64_t now = host_clock_now();

    if (client->ended) {
        command->code = client->status;
        return true;
    }
    if (client->taken) {
        fprintf(stderr, "\r\nencore console: another console writes now; %zu bytes of input are not confirmed\r\n",
                client->kept_length);
        command->code = 1;
        return true;
    }
    if (signals_came(command->signals)) {
        command->code = 130;
        return true;
    }
    if (console_quit(command->console))
        return true;
    if (!console_client_settled(client))
        return false;
    if (command->script)
        return script_ended(command->script);
    return console_ended(command->console) && now - command->last_output > command->options.linger;
}

static int converse(struct console_command *command, struct error *error)
{
    command->last_output = host_clock_now();
    while (!is_done(command)) {
        wait_for_something(command);
        for (unsigned n = 0; n < command->client->links; n++) {
            link_tend(command->links[n], host_clock_now());
            if (receive(command, n, error) < 0)
                return -1;
        }
        take_input(command);
        send_next(command);
    }
    return 0;
}

/* So that another console need not wait whether this one comes back. */
static void take_leave(struct console_command *command)
{
    unsigned link;

    bytes_writer_clear(&command->out);
    if (console_client_leave(command->client, &link, &command->out))
        link_send(command->links[link], command->out.data, command->out.length);
}

static void release(struct console_command *command)
{
    if (command->client)
        take_leave(command);
    console_close(command->console);
    for (unsigned n = 0; n < CLIENT_LINKS_MAX; n++)
        link_close(command->links[n]);
    script_free(command->script);
    bytes_writer_free(&command->out);
    free(command->client);
    keys_forget(&command->keys);
}

int command_console(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"key", KEY_KEY, "FILE", 0, "A console's key, or the master key (encore keygen)", 0},
        {"input", KEY_INPUT, "FILE", 0,
         "Take input from a script (-: on standard input), as run and record do; end with it", 0},
        {"all", KEY_ALL, NULL, 0, "Begin with all output that is kept, not only with what comes now", 0},
        {"watch", KEY_WATCH, NULL, 0, "See what is printed, and never write", 0},
        {"take", KEY_TAKE, NULL, 0, "Write, also when another console does, which then watches", 0},
        {"linger", KEY_LINGER, "TIME", 0, "After the end of the input go on until so long after the last output (1s)",
         0},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "ADDR[,ADDR...]",
        .doc = "The console of a replicated guest: of the machine at one of the addresses that runs it.\v"
               "When that dies and another goes on, so does the console: no byte of output is lost or repeated, and "
               "none of the input that was confirmed is lost. Of several consoles the first writes and the others "
               "watch; when it leaves, or has been silent for 3 s, the next one writes. On a terminal Ctrl-A x leaves. "
               "Exit code: the guest's when it ended, otherwise 0; 1 when output was lost, or input that is not "
               "confirmed because another console writes now.",
    };
    struct console_command command = {0};
    struct error error = {0};

    command_line_parse(&argp, "console", argc, argv, &command.options);
    bool good = open_all(&command, &error) == 0 && converse(&command, &error) == 0;
    release(&command);
    return good ? command.code : command_fails("console", &error);
}
