/* The command `encore`: finds the subcommand and hands over. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/thread.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "vmm/host/signals.h"

struct command {
    const char *name;
    command_fn *function;
    const char *summary;
};

static const struct command commands[] = {
    {"run", command_run, "run a guest"},
    {"record", command_record, "run a guest and record it in a log"},
    {"replay", command_replay, "run a recorded guest again, exactly"},
    {"log", command_log, "look into a log: info, dump, stat, verify, export, pack, unpack"},
    {"checkpoint", command_checkpoint, "list or extract a log's checkpoints"},
    {"primary", command_primary, "run a guest that a backup can follow"},
    {"backup", command_backup, "follow a primary, and go on when it dies"},
    {"console", command_console, "type to a replicated guest"},
    {"status", command_status, "ask a primary or backup how it is"},
    {"handover", command_handover, "have the backup go on in place of the primary"},
    {"arbiter", command_arbiter, "look at an arbiter's records, and put them right"},
    {"ctl", command_ctl, "press a running guest's power button or keys, set its balloon"},
    {"keygen", command_keygen, "make a key for replication"},
    {"doctor", command_doctor, "find out what this host can do"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_usage(FILE *stream)
{
    fprintf(stream,
            "Usage: encore COMMAND [OPTION...]\n"
            "Runs a virtual machine, records everything nondeterministic that reaches its\nguest, and replays it.\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stream, "  %-11s %s\n", commands[i].name, commands[i].summary);
    fprintf(stream, "\n`encore COMMAND --help` tells the options of a command; encore(1) tells all.\n");
}

int command_fails(const char *name, const struct error *error)
{
    fprintf(stderr, "encore %s: %s\n", name, error->text);
    return error_exit_code(error->kind);
}

/* A closed standard stream would give its number to the first file that is opened, which would then get our messages.
 */
static int open_closed_streams(void)
{
    for (;;) {
        int fd = open("/dev/null", O_RDWR);
        if (fd < 0 || fd > STDERR_FILENO)
            return fd < 0 ? -1 : close(fd);
    }
}

void *command_memory(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory) {
        fprintf(stderr, "encore: out of memory\n");
        exit(1);
    }
    return memory;
}

int main(int argc, char **argv)
{
    signals_ignore_write_faults();
    thread_set_stack();
    if (open_closed_streams() < 0) {
        fprintf(stderr, "encore: /dev/null cannot be opened\n");
        return 1;
    }
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    switch (command_line_asks(argv[1])) {
    case COMMAND_LINE_HELP:
        print_usage(stdout);
        return 0;
    case COMMAND_LINE_VERSION:
        command_line_version(stdout);
        return 0;
    case COMMAND_LINE_OTHER:
        break;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].function(argc - 1, argv + 1);
    }
    fprintf(stderr, "encore: unknown command '%s' (encore --help lists them)\n", argv[1]);
    return 2;
}
