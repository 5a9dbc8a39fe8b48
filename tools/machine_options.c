/* See machine_options.h. */
#include "tools/machine_options.h"

#include <string.h>

#include "tools/command_line.h"
#include "tools/quantity.h"
#include "vmm/machine.h"

enum option_key {
    KEY_ENGINE = 0x100,
    KEY_MEM,
    KEY_CMDLINE,
    KEY_CONSOLE,
    KEY_CONSOLE_DEVICE,
    KEY_INPUT,
    KEY_CONTROL,
    KEY_BOOT,
    KEY_INITRD,
    KEY_FIRMWARE,
    KEY_NO_REBOOT,
    KEY_NET,
    KEY_CLOCK,
    KEY_SEED,
    KEY_CHECKPOINT_EVERY,
    KEY_MAX_EXITS,
    KEY_TIMEOUT,
    KEY_DISK,
    KEY_NO_CACHE,
};

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Machine:", 1},
    {"engine", KEY_ENGINE, "auto|kvm|soft", 0, "What executes the guest (auto)", 1},
    {"mem", KEY_MEM, "SIZE", 0, "Guest memory, 1M to 3G (64M)", 1},
    {"cmdline", KEY_CMDLINE, "TEXT", 0, "Command line for the guest", 1},
    {"boot", KEY_BOOT, "PROTOCOL", 0,
     "auto (by the image), elf64, multiboot1, linux64, linux32, pvh, boot-sector or firmware", 1},
    {"initrd", KEY_INITRD, "FILE[ TEXT]", 0,
     "An initial RAM disk for a Linux kernel, or a module (with its command line) for a Multiboot one; may be repeated",
     1},
    {"firmware", KEY_FIRMWARE, "FILE", 0, "Start with a PC's firmware, such as SeaBIOS, instead of an IMAGE", 1},
    {"no-reboot", KEY_NO_REBOOT, NULL, 0, "End when the guest resets the machine, rather than start it again", 1},
    {"disk", KEY_DISK, "FILE[,WORD...]", 0,
     "A disk; up to four. WORDs: overlay (what the guest writes goes to a file beside the log), ro (it cannot write) "
     "or "
     "direct (it writes to FILE); quota=SIZE (of the overlay, at most); if=virtio or if=ide (overlay, if=virtio)",
     1},
    {"no-cache", KEY_NO_CACHE, NULL, 0, "Read disks' images again, rather than believe a hash that is remembered", 1},
    {"clock", KEY_CLOCK, "host[,catch-up]|virtual", 0,
     "What drives guest time: the host's clock (with catch-up also over a time in which the host stood still), or "
     "executed instructions (host)",
     1},
    {"seed", KEY_SEED, "N", 0, "With --clock virtual: the guest's random numbers follow from N (0)", 1},
    {NULL, 0, NULL, 0, "Console:", 2},
    {"console", KEY_CONSOLE, "stdio|pty|unix:PATH|file:PATH", 0, "Where the guest's console goes (stdio)", 2},
    {"console-device", KEY_CONSOLE_DEVICE, "serial|virtio", 0,
     "What the guest has for a console: COM1, or a virtio console besides, which then gets the input (serial)", 2},
    {"input", KEY_INPUT, "FILE", 0, "Take console input from a script (-: on standard input)", 2},
    {"control", KEY_CONTROL, "unix:PATH", 0, "Where encore ctl finds this guest", 2},
    {NULL, 0, NULL, 0, "Network:", 3},
    {"net", KEY_NET, "BACKEND[,mac=ADDRESS]", 0,
     "A network card, with at its other end: tap:NAME, user[,hostfwd=tcp:[ADDR]:PORT-[GUEST]:PORT]... or "
     "unix:PATH[,listen]; may be repeated",
     3},
    {NULL, 0, NULL, 0, "Limits and checkpoints:", 4},
    {"checkpoint-every", KEY_CHECKPOINT_EVERY, "TIME", 0, "Put a checkpoint into the log each TIME of guest time", 4},
    {"max-exits", KEY_MAX_EXITS, "N", 0, "Stop after N exits", 4},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "Stop after TIME of host time", 4},
    {0},
};

struct machine_options machine_options_default(void)
{
    return (struct machine_options){
        .engine = "auto",
        .clock = "host",
        .cmdline = "",
        .console = "stdio",
        .ram_size = MACHINE_RAM_DEFAULT,
        .protocol = BOOT_AUTO,
    };
}

static void parse_memory(const char *text, struct machine_options *to, struct argp_state *state)
{
    struct error error;

    if (quantity_size(text, &to->ram_size, &error) < 0)
        argp_error(state, "--mem: %s", error.text);
    if (to->ram_size < MACHINE_RAM_MIN || to->ram_size > MACHINE_RAM_MAX || to->ram_size % RAM_PAGE_SIZE)
        argp_error(state, "--mem: '%s' is not from 1M to 3G in whole pages of 4K", text);
}

static void parse_time(const char *option, const char *text, uint64_t *to, struct argp_state *state)
{
    struct error error;

    if (quantity_time(text, to, &error) < 0)
        argp_error(state, "%s: %s", option, error.text);
}

/* Firmware stands where an image would: it is what is loaded. */
static void end_of_options(struct machine_options *to, struct argp_state *state)
{
    if (to->firmware && to->image)
        argp_error(state, "unexpected argument '%s': with --firmware there is no IMAGE", to->image);
    if (to->firmware && to->protocol != BOOT_AUTO && to->protocol != BOOT_FIRMWARE)
        argp_error(state, "--firmware is a boot protocol of its own: --boot %s does not go with it",
                   boot_protocol_name(to->protocol));
    if (to->firmware) {
        to->image = to->firmware;
        to->protocol = BOOT_FIRMWARE;
    }
    if (!to->image)
        argp_error(state, "an IMAGE is needed, or --firmware");
    if (to->seed_given && strcmp(to->clock, "virtual"))
        argp_error(state, "--seed is for --clock virtual: with the host's clock random numbers are the host's");
    if (strcmp(to->clock, "virtual") == 0 && strcmp(to->engine, "kvm") == 0)
        argp_error(state, "--clock virtual needs an engine that counts every instruction: --engine soft");
}

/* The console, limits and checkpoints: what is around a machine. */
static error_t parse_surroundings(int key, char *text, struct argp_state *state)
{
    struct machine_options *to = state->input;
    struct error error;

    switch (key) {
    case KEY_CONSOLE_DEVICE:
        if (strcmp(text, "serial") && strcmp(text, "virtio"))
            argp_error(state, "--console-device: unknown device '%s' (serial or virtio)", text);
        to->virtio_console = strcmp(text, "virtio") == 0;
        return 0;
    case KEY_CONSOLE:
        to->console = text;
        return 0;
    case KEY_INPUT:
        to->input = text;
        return 0;
    case KEY_CONTROL:
        to->control = text;
        return 0;
    case KEY_CHECKPOINT_EVERY:
        parse_time("--checkpoint-every", text, &to->checkpoint_every, state);
        return 0;
    case KEY_TIMEOUT:
        parse_time("--timeout", text, &to->timeout, state);
        return 0;
    case KEY_MAX_EXITS:
        if (quantity_count(text, &to->max_exits, &error) < 0)
            argp_error(state, "--max-exits: %s", error.text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct machine_options *to = state->input;
    struct error error;

    switch (key) {
    case KEY_ENGINE:
        if (strcmp(text, "auto") && strcmp(text, "kvm") && strcmp(text, "soft"))
            argp_error(state, "--engine: unknown engine '%s' (auto, kvm or soft)", text);
        to->engine = text;
        return 0;
    case KEY_MEM:
        parse_memory(text, to, state);
        return 0;
    case KEY_CMDLINE:
        if (strlen(text) > BOOT_CMDLINE_MAX)
            argp_error(state, "--cmdline: longer than %d bytes", BOOT_CMDLINE_MAX);
        to->cmdline = text;
        return 0;
    case KEY_BOOT:
        if (boot_protocol_parse(text, &to->protocol) < 0)
            argp_error(state,
                       "--boot: unknown protocol '%s' (auto, elf64, multiboot1, linux64, linux32, pvh, boot-sector or "
                       "firmware)",
                       text);
        return 0;
    case KEY_INITRD:
        if (to->module_count == BOOT_MODULES)
            argp_error(state, "--initrd: more than %d", BOOT_MODULES);
        to->modules[to->module_count++] = text;
        return 0;
    case KEY_NET:
        if (network_options_add(&to->network, text, true, &error) < 0)
            argp_error(state, "--net: %s", error.text);
        return 0;
    case KEY_NO_REBOOT:
        to->end_at_reset = true;
        return 0;
    case KEY_CLOCK:
        to->catch_up = strcmp(text, "host,catch-up") == 0;
        to->clock = to->catch_up ? "host" : text;
        if (strcmp(to->clock, "host") && strcmp(to->clock, "virtual"))
            argp_error(state, "--clock: unknown clock '%s' (host, host,catch-up or virtual)", text);
        return 0;
    case KEY_SEED:
        if (strcmp(text, "0") != 0 && quantity_count(text, &to->seed, &error) < 0)
            argp_error(state, "--seed: %s", error.text);
        to->seed_given = true;
        return 0;
    case KEY_DISK:
        if (disk_options_add(&to->disks, text, &error) < 0)
            argp_error(state, "--disk: %s", error.text);
        return 0;
    case KEY_NO_CACHE:
        to->disks.no_cache = true;
        return 0;
    case KEY_FIRMWARE:
        to->firmware = text;
        return 0;
    case ARGP_KEY_ARG:
        command_line_only(&to->image, text, state);
        return 0;
    case ARGP_KEY_END:
        end_of_options(to, state);
        return 0;
    default:
        return parse_surroundings(key, text, state);
    }
}

const struct argp machine_options_argp = {.options = options, .parser = parse_option};
