/*
 * kv: a key-value server on the serial line. commands.h has its commands and replies.
 *
 * Prints "kv ready", then answers each line as it comes; lines end with LF (a CR before it is dropped), nothing is
 * echoed, and empty lines are passed over. A line longer than LINE_MAX bytes is read to its end and answered with
 * "ERR line too long"; one with a control character, with "ERR bad character". A timer runs at 100 Hz for TIME.
 */
#include <stdbool.h>
#include <stddef.h>

#include "guests/kv/ballast.h"
#include "guests/kv/commands.h"
#include "guests/kv/store.h"
#include "guests/runtime/console.h"
#include "guests/runtime/cpu.h"
#include "guests/runtime/runtime.h"
#include "guests/runtime/timer.h"

#define LINE_MAX 200
#define TICK_HZ  100

/* Too large for the stack. */
static struct store store;

struct line {
    char bytes[LINE_MAX];
    size_t length;
    bool too_long;
    bool bad_character;
    bool return_pending; /* the last byte was a CR */
};

static void execute(struct line *line)
{
    static const char too_long[] = "ERR line too long\n";
    static const char bad_character[] = "ERR bad character\n";
    if (line->too_long)
        console_write(too_long, sizeof too_long - 1);
    else if (line->bad_character)
        console_write(bad_character, sizeof bad_character - 1);
    else if (line->length > 0)
        commands_execute(&store, line->bytes, line->length);
}

static void take(struct line *line, uint8_t byte)
{
    if (byte == '\n') {
        execute(line);
        line->length = 0;
        line->too_long = false;
        line->bad_character = false;
    } else if (byte == '\r') {
        line->return_pending = true;
        return;
    } else if (line->length == LINE_MAX) {
        line->too_long = true;
    } else {
        /* A CR counts only before LF, where it is dropped. */
        line->bad_character |= byte < 0x20 || byte == 0x7f || line->return_pending;
        line->bytes[line->length++] = (char)byte;
    }
    line->return_pending = false;
}

uint32_t guest_main(const struct boot_info *info)
{
    static const char banner[] = "kv ready\n";
    struct line line = {0};
    struct ballast ballast;
    store_init(&store);
    ballast_start(&ballast, info, TICK_HZ);
    timer_start(TICK_HZ, ballast.a_tick ? ballast_tick : NULL, &ballast);
    console_start_input();
    interrupts_on();
    console_write(banner, sizeof banner - 1);
    for (;;)
        take(&line, console_read());
}
