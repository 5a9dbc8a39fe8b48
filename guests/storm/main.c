/*
 * storm: as many interrupts as the machine will give. The timer runs at a high rate, and every console byte is echoed.
 * Ends at the byte 'q', or after a number of ticks. Options: rate=HZ (default 2000), ticks=NUMBER (default 0: no end).
 *
 * The totals are "storm: N ticks, M bytes, checksum C", where C is Fletcher's 32-bit checksum over the bytes before
 * the 'q'. N depends on when the bytes come, which makes it a good thing to compare between a run and its replay.
 */
#include <stddef.h>

#include "guests/runtime/console.h"
#include "guests/runtime/cpu.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/options.h"
#include "guests/runtime/runtime.h"
#include "guests/runtime/timer.h"

#define ECHO_BURST 16 /* the depth of the transmit FIFO */

struct echo {
    uint64_t bytes;
    uint32_t sum1, sum2; /* Fletcher: running sum, and sum of the running sums, modulo 65535 */
    char pending[ECHO_BURST];
    unsigned pending_count;
};

static void flush(struct echo *echo)
{
    console_write(echo->pending, echo->pending_count);
    echo->pending_count = 0;
}

static void take(struct echo *echo, uint8_t byte)
{
    echo->bytes++;
    echo->sum1 = (echo->sum1 + byte) % 65535;
    echo->sum2 = (echo->sum2 + echo->sum1) % 65535;
    echo->pending[echo->pending_count++] = (char)byte;
    if (echo->pending_count == ECHO_BURST)
        flush(echo);
}

/* Takes all that has come; false when there was a 'q' in it. */
static int take_all(struct echo *echo)
{
    uint8_t byte;
    while (console_try_read(&byte)) {
        if (byte == 'q')
            return 0;
        take(echo, byte);
    }
    return 1;
}

uint32_t guest_main(const struct boot_info *info)
{
    (void)info;
    unsigned rate = (unsigned)option_number("rate", 2000, TIMER_HZ_MIN, TIMER_HZ_MAX);
    uint64_t end = option_number("ticks", 0, 0, UINT64_MAX);
    struct echo echo = {0};
    console_print("storm ready\n");
    timer_start(rate, NULL, NULL);
    console_start_input();
    interrupts_on();
    while (take_all(&echo) && (end == 0 || timer_ticks() < end)) {
        flush(&echo);
        /* A byte that comes between the last look and this HLT is seen at the next tick at the latest. */
        interrupts_off();
        interrupts_wait();
    }
    interrupts_off();
    flush(&echo);
    console_print("\nstorm: %lu ticks, %lu bytes, checksum %08x\n", timer_ticks(), echo.bytes,
                  echo.sum2 << 16 | echo.sum1);
    return EXIT_SUCCESS;
}
