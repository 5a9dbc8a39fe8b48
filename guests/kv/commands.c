/* The commands; see commands.h. */
#include "guests/kv/commands.h"

#include "guests/runtime/console.h"
#include "guests/runtime/cpu.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/rtc.h"
#include "guests/runtime/text.h"
#include "guests/runtime/timer.h"

#define SLEEP_MAX 6000 /* ticks: a minute */

/* The first page above what is mapped. */
#define WILD_ADDRESS 0x7ead00000000ull

struct command {
    struct store *store;
    const char *key; /* 1 to STORE_KEY_MAX bytes, when the command takes one */
    size_t key_length;
    const char *value; /* the rest of the line */
    size_t value_length;
};

static void reply(const char *line)
{
    console_write(line, strlen(line));
}

/* Puts a reply together, so that it goes out in bursts: word, space, bytes. */
static void reply_bytes(const char *word, const char *bytes, size_t length)
{
    char buffer[STORE_VALUE_MAX + 16];
    struct text text = {.data = buffer, .capacity = sizeof buffer};
    text_string(&text, word);
    text_char(&text, ' ');
    text_bytes(&text, bytes, length);
    text_char(&text, '\n');
    console_write(buffer, text.length);
}

static void run_set(const struct command *command)
{
    if (command->value_length > STORE_VALUE_MAX) {
        reply("ERR value too long\n");
        return;
    }
    struct store_entry *entry = store_put(command->store, command->key, command->key_length);
    if (!entry) {
        reply("ERR table full\n");
        return;
    }
    store_set_value(entry, command->value, command->value_length);
    reply("OK\n");
}

static void run_get(const struct command *command)
{
    struct store_entry *entry = store_find(command->store, command->key, command->key_length);
    if (entry)
        reply_bytes("VALUE", entry->value, entry->value_length);
    else
        reply("NONE\n");
}

static void run_incr(const struct command *command)
{
    uint64_t number = 0;
    struct store_entry *entry = store_find(command->store, command->key, command->key_length);
    if (entry && !text_number(entry->value, entry->value_length, &number)) {
        reply("ERR not a number\n");
        return;
    }
    if (!entry)
        entry = store_put(command->store, command->key, command->key_length);
    if (!entry) {
        reply("ERR table full\n");
        return;
    }
    char digits[20];
    struct text text = {.data = digits, .capacity = sizeof digits};
    text_unsigned(&text, number + 1, 10, 1);
    store_set_value(entry, digits, text.length);
    reply_bytes("VALUE", digits, text.length);
}

static void run_del(const struct command *command)
{
    reply(store_remove(command->store, command->key, command->key_length) ? "OK\n" : "NONE\n");
}

static void run_dump(const struct command *command)
{
    for (unsigned i = 0; i < STORE_ENTRIES; i++) {
        const struct store_entry *entry = &command->store->entries[i];
        if (entry->key_length == 0)
            continue;
        char buffer[STORE_KEY_MAX + STORE_VALUE_MAX + 8];
        struct text text = {.data = buffer, .capacity = sizeof buffer};
        text_string(&text, "KEY ");
        text_bytes(&text, entry->key, entry->key_length);
        text_char(&text, ' ');
        text_bytes(&text, entry->value, entry->value_length);
        text_char(&text, '\n');
        console_write(buffer, text.length);
    }
    console_print("END %u\n", command->store->count);
}

static void run_time(const struct command *command)
{
    (void)command;
    struct rtc_time now = rtc_read();
    console_print("TIME %u-%02u-%02u %02u:%02u:%02u ticks %lu\n", now.year, now.month, now.day, now.hour, now.minute,
                  now.second, timer_ticks());
}

static void run_sleep(const struct command *command)
{
    uint64_t ticks;
    if (!text_number(command->key, command->key_length, &ticks)) {
        reply("ERR not a number\n");
        return;
    }
    if (ticks > SLEEP_MAX) {
        reply("ERR too long\n");
        return;
    }
    uint64_t until = timer_ticks() + ticks;
    while (timer_ticks() < until) {
        /* With interrupts off no tick comes between the look and the halt. */
        interrupts_off();
        if (timer_ticks() < until)
            interrupts_wait();
        else
            interrupts_on();
    }
    reply("OK\n");
}

static void run_random(const struct command *command)
{
    (void)command;
    uint32_t high = port_in32(BOOT_PORT_ENTROPY);
    uint32_t low = port_in32(BOOT_PORT_ENTROPY);
    console_print("RANDOM %08x%08x\n", high, low);
}

static void run_crash(const struct command *command)
{
    (void)command;
    *(volatile uint64_t *)WILD_ADDRESS = 0;
}

static void run_quit(const struct command *command)
{
    (void)command;
    reply("BYE\n");
    guest_exit(EXIT_SUCCESS);
}

static void run_help(const struct command *command)
{
    (void)command;
    reply("HELP SET key value, GET key, INCR key, DEL key, DUMP, TIME, SLEEP ticks, RANDOM, CRASH, QUIT, HELP\n");
}

enum shape { ALONE, KEY, KEY_VALUE };

static const struct {
    const char *word;
    enum shape shape;
    void (*run)(const struct command *command);
} known[] = {{"SET", KEY_VALUE, run_set}, {"GET", KEY, run_get},         {"INCR", KEY, run_incr},
             {"DEL", KEY, run_del},       {"DUMP", ALONE, run_dump},     {"TIME", ALONE, run_time},
             {"SLEEP", KEY, run_sleep},   {"RANDOM", ALONE, run_random}, {"CRASH", ALONE, run_crash},
             {"QUIT", ALONE, run_quit},   {"HELP", ALONE, run_help}};

/* Splits the next word off; what follows its space is the rest. */
static size_t next_word(const char **rest, size_t *rest_length)
{
    size_t length = 0;
    while (length < *rest_length && (*rest)[length] != ' ')
        length++;
    size_t step = length < *rest_length ? length + 1 : length;
    *rest += step;
    *rest_length -= step;
    return length;
}

/* Takes the arguments that a command of this shape has; NULL, or what is wrong with them. */
static const char *take_arguments(struct command *command, enum shape shape, const char *rest, size_t length)
{
    if (shape != ALONE) {
        command->key = rest;
        command->key_length = next_word(&rest, &length);
        if (command->key_length == 0)
            return "ERR usage\n";
        if (command->key_length > STORE_KEY_MAX)
            return "ERR key too long\n";
    }
    command->value = rest;
    command->value_length = length;
    /* A value must be there for SET, and nothing more for the others. */
    return (shape == KEY_VALUE) == (length != 0) ? NULL : "ERR usage\n";
}

void commands_execute(struct store *store, const char *line, size_t length)
{
    struct command command = {.store = store};
    const char *rest = line;
    size_t rest_length = length;
    size_t word_length = next_word(&rest, &rest_length);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (memcmp(known[i].word, line, word_length) != 0 || known[i].word[word_length] != 0)
            continue;
        const char *wrong = take_arguments(&command, known[i].shape, rest, rest_length);
        if (wrong)
            reply(wrong);
        else
            known[i].run(&command);
        return;
    }
    reply("ERR unknown command\n");
}
