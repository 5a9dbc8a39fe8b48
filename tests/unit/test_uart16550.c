/* The 16550A against the PC16550D data sheet, and our rules for the cable behind it. */
#include "tests/unit/device_testing.h"

#include "vmm/devices/uart16550.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH, FCR = 2 };

#define OUT2 0x08
#define LOOP 0x10
#define DLAB 0x80

struct serial {
    struct uart16550 uart;
    struct line_record irq;
    uint8_t sent[64];
    unsigned sent_count;
};

static void keep_sent(void *context, uint8_t byte)
{
    struct serial *serial = context;

    serial->sent[serial->sent_count++ % sizeof serial->sent] = byte;
}

static void serial_init(void *device)
{
    struct serial *serial = device;

    memset(serial->sent, 0, sizeof serial->sent);
    serial->sent_count = 0;
    serial->irq = (struct line_record){0};
    uart16550_init(&serial->uart, (struct byte_sink){.put = keep_sent, .context = serial},
                   line_record_wire(&serial->irq));
}

static void out_at(struct serial *serial, unsigned port, uint8_t value, uint64_t now)
{
    port_out(uart16550_write, &serial->uart, port, 1, value, now);
}

static uint8_t in_at(struct serial *serial, unsigned port, uint64_t now)
{
    return (uint8_t)port_in(uart16550_read, &serial->uart, port, 1, now);
}

static void out(struct serial *serial, unsigned port, uint8_t value)
{
    out_at(serial, port, value, 0);
}

static uint8_t in(struct serial *serial, unsigned port)
{
    return in_at(serial, port, 0);
}

static void receive(struct serial *serial, const char *text, uint64_t now)
{
    uart16550_receive(&serial->uart, (const uint8_t *)text, strlen(text), now);
}

/* Everything wired to the bus and to the driver: 115200 baud, 8N1, the interrupt line let through. */
static void set_up(struct serial *serial, uint8_t fcr, uint8_t ier)
{
    serial_init(serial);
    out(serial, LCR, DLAB | 3);
    out(serial, DATA, 1);
    out(serial, IER, 0);
    out(serial, LCR, 3);
    out(serial, FCR, fcr);
    out(serial, MCR, OUT2);
    out(serial, IER, ier);
}

static void registers_after_power_on(void **unused)
{
    (void)unused;
    struct serial serial;
    serial_init(&serial);
    assert_int_equal(in(&serial, IER), 0x00);
    assert_int_equal(in(&serial, IIR), 0x01);
    assert_int_equal(in(&serial, LCR), 0x00);
    assert_int_equal(in(&serial, MCR), 0x00);
    assert_int_equal(in(&serial, LSR), 0x60);
    assert_int_equal(in(&serial, MSR), 0xb0);
    assert_int_equal(in(&serial, DATA), 0x00);
    assert_false(serial.irq.level);
}

static void plain_registers(void **unused)
{
    (void)unused;
    struct serial serial;
    serial_init(&serial);
    out(&serial, SCRATCH, 0xa5);
    assert_int_equal(in(&serial, SCRATCH), 0xa5);
    out(&serial, IER, 0xff);
    assert_int_equal(in(&serial, IER), 0x0f);
    out(&serial, MCR, 0xef);
    assert_int_equal(in(&serial, MCR), 0x0f);
    out(&serial, LCR, 0xff);
    assert_int_equal(in(&serial, LCR), 0xff);
    out(&serial, DATA, 0x34);
    out(&serial, IER, 0x12);
    assert_int_equal(in(&serial, DATA), 0x34);
    assert_int_equal(in(&serial, IER), 0x12);
    assert_int_equal(serial.uart.divisor, 0x1234);
    assert_int_equal(serial.sent_count, 0);
    out(&serial, LCR, 0x00);
    assert_int_equal(in(&serial, IER), 0x0f);
    out(&serial, LSR, 0xff); /* read only */
    out(&serial, MSR, 0xff);
    assert_int_equal(in(&serial, LSR), 0x60);
    /* A 16-bit read of LCR and MCR. */
    out(&serial, LCR, 0x1b);
    assert_int_equal(port_in(uart16550_read, &serial.uart, LCR, 2, 0), 0x0f1b);
}

static void sends_at_once(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0, 0);
    out(&serial, DATA, 'h');
    out(&serial, DATA, 'i');
    assert_int_equal(serial.sent_count, 2);
    assert_memory_equal(serial.sent, "hi", 2);
    assert_int_equal(in(&serial, LSR), 0x60);
    assert_false(serial.irq.level);
}

static void thre_interrupt(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0, 0);
    out(&serial, IER, 0x02); /* THR is empty: enabling raises it */
    assert_true(serial.irq.level);
    assert_int_equal(in(&serial, IIR), 0x02);
    assert_false(serial.irq.level); /* reading IIR clears it */
    assert_int_equal(in(&serial, IIR), 0x01);
    out(&serial, IER, 0x02); /* enabled already: no new interrupt */
    assert_false(serial.irq.level);
    out(&serial, DATA, 'x'); /* written and empty again */
    assert_true(serial.irq.level);
    assert_int_equal(serial.irq.rises, 2);
    out(&serial, DATA, 'y'); /* writing clears it, emptiness raises it: a new edge */
    assert_true(serial.irq.level);
    assert_int_equal(serial.irq.rises, 3);
    out(&serial, IER, 0x00);
    assert_false(serial.irq.level);
    out(&serial, IER, 0x02);
    assert_true(serial.irq.level);
    /* Reading IIR while a higher interrupt stands there does not clear it. */
    out(&serial, IER, 0x03);
    receive(&serial, "a", 0);
    assert_int_equal(in(&serial, IIR), 0x04);
    assert_int_equal(in(&serial, DATA), 'a');
    assert_int_equal(in(&serial, IIR), 0x02);
    assert_int_equal(in(&serial, IIR), 0x01);
}

static void received_data_without_fifos(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0, 0x01);
    receive(&serial, "abc", 0);
    assert_true(serial.irq.level);
    assert_int_equal(in(&serial, LSR), 0x61);
    assert_int_equal(in(&serial, IIR), 0x04);
    assert_int_equal(in(&serial, IIR), 0x04); /* reading IIR does not clear this one */
    /* An edge for every byte, so that a handler may read one at a time. */
    assert_int_equal(in(&serial, DATA), 'a');
    assert_int_equal(serial.irq.rises, 2);
    assert_int_equal(in(&serial, DATA), 'b');
    assert_int_equal(serial.irq.rises, 3);
    assert_true(serial.irq.level);
    assert_int_equal(in(&serial, DATA), 'c');
    assert_false(serial.irq.level);
    assert_int_equal(in(&serial, LSR), 0x60);
    assert_int_equal(in(&serial, IIR), 0x01);
}

static void fifo_trigger_levels(void **unused)
{
    (void)unused;
    static const unsigned levels[4] = {1, 4, 8, 14};
    for (unsigned i = 0; i < 4; i++) {
        struct serial serial;
        set_up(&serial, (uint8_t)(0x01 | i << 6), 0x01);
        for (unsigned n = 1; n <= 20; n++) {
            assert_int_equal(serial.irq.level, n > levels[i]);
            assert_int_equal(in(&serial, IIR), n > levels[i] ? 0xc4 : 0xc1);
            uart16550_receive(&serial.uart, &(uint8_t){(uint8_t)n}, 1, 0);
        }
        for (unsigned n = 1; n <= 20; n++) {
            assert_true(in(&serial, LSR) & 1);
            assert_int_equal(in(&serial, DATA), n);
            assert_int_equal(serial.irq.level, 20 - n >= levels[i]);
        }
        assert_int_equal(in(&serial, LSR), 0x60);
        assert_int_equal(serial.irq.rises, 21 - levels[i]);
    }
}

static void character_timeout(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0xc1, 0x01);
    uint64_t characters = 347223; /* 4 * 10 bits at 115200 baud, in ns, rounded up */
    assert_int_equal(uart16550_deadline(&serial.uart), NO_DEADLINE);
    receive(&serial, "abc", 1000);
    assert_int_equal(uart16550_deadline(&serial.uart), 1000 + characters);
    uart16550_advance(&serial.uart, 1000 + characters - 1);
    assert_false(serial.irq.level);
    receive(&serial, "d", 200000); /* a byte starts it again */
    assert_int_equal(uart16550_deadline(&serial.uart), 200000 + characters);
    assert_int_equal(in_at(&serial, DATA, 300000), 'a'); /* and so does a read */
    assert_int_equal(uart16550_deadline(&serial.uart), 300000 + characters);
    uart16550_advance(&serial.uart, 300000 + characters);
    assert_true(serial.irq.level);
    assert_int_equal(uart16550_deadline(&serial.uart), NO_DEADLINE);
    assert_int_equal(in_at(&serial, IIR, 700000), 0xcc);
    assert_int_equal(in_at(&serial, DATA, 700000), 'b'); /* a read clears it */
    assert_false(serial.irq.level);
    uart16550_advance(&serial.uart, 700000 + characters);
    assert_true(serial.irq.level);
    receive(&serial, "0123456789ABCDEF", 2000000); /* at the trigger level it is received data */
    assert_int_equal(in_at(&serial, IIR, 2000000), 0xc4);
    assert_int_equal(uart16550_deadline(&serial.uart), NO_DEADLINE);
    out_at(&serial, FCR, 0xc3, 2000000);
    assert_int_equal(uart16550_deadline(&serial.uart), 2000000 + characters); /* four bytes were still on the cable */
    /* Nobody waits for it when the interrupt is off, but a poll of IIR still finds it later. */
    out_at(&serial, IER, 0x00, 2000000);
    assert_int_equal(uart16550_deadline(&serial.uart), NO_DEADLINE);
    out_at(&serial, IER, 0x01, 4000000);
    assert_int_equal(in_at(&serial, IIR, 4000000), 0xcc);
    /* The slowest line: 300 baud and 12 bits make 160 ms, the data sheet's figure. */
    set_up(&serial, 0xc1, 0x01);
    out(&serial, LCR, DLAB);
    out(&serial, DATA, 0x80);
    out(&serial, IER, 0x01);
    out(&serial, LCR, 0x0f);
    receive(&serial, "z", 0);
    assert_int_equal(uart16550_deadline(&serial.uart), 160000000);
    out(&serial, LCR, DLAB); /* 5 data bits and one and a half stop bits, with the largest divisor, written as 0 */
    out(&serial, DATA, 0x00);
    out(&serial, IER, 0x00);
    out(&serial, LCR, 0x04);
    receive(&serial, "z", 0);
    assert_int_equal(uart16550_deadline(&serial.uart), 17066666667); /* 30 * 65536 / 115200 s */
    receive(&serial, "z", UINT64_MAX - 5);
    assert_int_equal(uart16550_deadline(&serial.uart), NO_DEADLINE);
}

static void interrupt_priorities(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0, 0x00);
    out(&serial, MCR, OUT2 | LOOP); /* DSR and CTS fall: modem deltas */
    out(&serial, DATA, 'a');
    out(&serial, DATA, 'b'); /* overrun */
    out(&serial, IER, 0x0f);
    assert_int_equal(in(&serial, IIR), 0x06);
    assert_int_equal(in(&serial, IIR), 0x06);
    assert_int_equal(in(&serial, LSR), 0x63);
    assert_int_equal(in(&serial, IIR), 0x04);
    assert_int_equal(in(&serial, DATA), 'b'); /* the newer one, without FIFOs */
    assert_int_equal(in(&serial, IIR), 0x02);
    assert_int_equal(in(&serial, IIR), 0x00);
    assert_true(serial.irq.level);
    assert_int_equal(in(&serial, MSR) & 0x0f, 0x03);
    assert_int_equal(in(&serial, IIR), 0x01);
    assert_false(serial.irq.level);
}

static void out2_gates_the_line(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0, 0x01);
    out(&serial, MCR, 0);
    receive(&serial, "a", 0);
    assert_int_equal(in(&serial, IIR), 0x04);
    assert_false(serial.irq.level);
    out(&serial, MCR, OUT2);
    assert_true(serial.irq.level);
    out(&serial, MCR, 0x07);
    assert_false(serial.irq.level);
}

static void loopback_and_modem_lines(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0, 0);
    receive(&serial, "xyz", 0);
    in(&serial, MSR);
    out(&serial, MCR, LOOP);
    /* CTS, DSR and DCD fall. */
    assert_int_equal(in(&serial, MSR), 0x0b);
    assert_int_equal(in(&serial, MSR), 0x00);
    static const uint8_t expected[16] = {0x00, 0x20, 0x10, 0x30, 0x40, 0x60, 0x50, 0x70,
                                         0x80, 0xa0, 0x90, 0xb0, 0xc0, 0xe0, 0xd0, 0xf0};
    for (unsigned i = 0; i < 16; i++) {
        out(&serial, MCR, (uint8_t)(LOOP | i));
        assert_int_equal(in(&serial, MSR) & 0xf0, expected[i]);
    }
    /* Only RI's trailing edge is told. */
    out(&serial, MCR, LOOP);
    in(&serial, MSR);
    out(&serial, MCR, LOOP | 0x04);
    assert_int_equal(in(&serial, MSR), 0x40);
    out(&serial, MCR, LOOP);
    assert_int_equal(in(&serial, MSR), 0x04);
    /* What is sent comes back; nothing goes out or in. */
    assert_int_equal(in(&serial, DATA), 'x'); /* had come off the cable before */
    assert_int_equal(in(&serial, LSR), 0x60);
    out(&serial, DATA, 0x5a);
    assert_int_equal(in(&serial, LSR), 0x61);
    assert_int_equal(in(&serial, DATA), 0x5a);
    assert_int_equal(serial.sent_count, 0);
    out(&serial, MCR, 0);
    assert_int_equal(in(&serial, DATA), 'y');
    assert_int_equal(in(&serial, DATA), 'z');
    assert_int_equal(in(&serial, MSR), 0xbb);
}

static void overrun_of_a_full_fifo(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0x01, 0x04);
    out(&serial, MCR, LOOP | OUT2);
    for (unsigned i = 0; i < 17; i++)
        out(&serial, DATA, (uint8_t)(i + 1));
    assert_int_equal(in(&serial, IIR), 0xc6);
    assert_int_equal(in(&serial, LSR), 0x63);
    assert_int_equal(in(&serial, LSR), 0x61);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in(&serial, DATA), i + 1); /* the seventeenth is lost */
    assert_int_equal(in(&serial, LSR), 0x60);
}

static void break_in_loopback(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0x01, 0x04);
    out(&serial, LCR, 0x43); /* outside loopback nothing comes of it here */
    assert_int_equal(in(&serial, LSR), 0x60);
    out(&serial, LCR, 0x03);
    out(&serial, MCR, LOOP | OUT2);
    out(&serial, DATA, 'a');
    out(&serial, LCR, 0x43);
    out(&serial, DATA, 'b'); /* cannot be heard through the break */
    out(&serial, LCR, 0x03);
    out(&serial, DATA, 'c');
    /* The break is told when it is next to be read; until then only bit 7 says that something is wrong. */
    assert_int_equal(in(&serial, LSR), 0xe1);
    assert_int_equal(in(&serial, IIR), 0xc1);
    assert_int_equal(in(&serial, DATA), 'a');
    assert_int_equal(in(&serial, IIR), 0xc6);
    assert_int_equal(in(&serial, LSR), 0xf9);
    assert_int_equal(in(&serial, LSR), 0x61);
    assert_int_equal(in(&serial, DATA), 0);
    assert_int_equal(in(&serial, DATA), 'c');
    assert_int_equal(in(&serial, LSR), 0x60);
}

static void fifo_control(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0xc1, 0x00);
    assert_int_equal(in(&serial, IIR), 0xc1);
    receive(&serial, "0123456789", 0);
    out(&serial, FCR, 0xc3); /* reset of the receiver */
    assert_int_equal(in(&serial, LSR), 0x60);
    receive(&serial, "ab", 0);
    out(&serial, FCR, 0xc5); /* of the transmitter: nothing to lose */
    assert_int_equal(in(&serial, DATA), 'a');
    out(&serial, FCR, 0xc0); /* switching the FIFOs off clears them */
    assert_int_equal(in(&serial, LSR), 0x60);
    assert_int_equal(in(&serial, IIR), 0x01);
    out(&serial, FCR, 0xc2); /* without bit 0 the rest does not count */
    assert_int_equal(serial.uart.fcr, 0);
    /* What is still on the cable is not lost by a reset. */
    set_up(&serial, 0x01, 0x00);
    receive(&serial, "pqr", 0);
    out(&serial, FCR, 0x03);
    assert_int_equal(in(&serial, DATA), 'q');
    assert_int_equal(in(&serial, DATA), 'r');
}

static void backlog_keeps_order_and_bounds(void **unused)
{
    (void)unused;
    struct serial serial;
    set_up(&serial, 0x81, 0x01);
    struct dice dice = {17};
    uint32_t in_count = 0;
    uint32_t out_count = 0;
    assert_int_equal(uart16550_room(&serial.uart), UART16550_BACKLOG);
    for (unsigned round = 0; round < 3000; round++) {
        uint8_t bytes[UART16550_BACKLOG];
        size_t room = uart16550_room(&serial.uart);
        size_t length = dice_below(&dice, 4) ? dice_below(&dice, (uint32_t)room + 1) % 40 : room;
        length = length < room ? length : room;
        for (size_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)(in_count++ * 7 >> 3);
        uart16550_receive(&serial.uart, bytes, length, 0);
        for (unsigned n = dice_below(&dice, 6000); n > 0 && (in(&serial, LSR) & 1); n--)
            assert_int_equal(in(&serial, DATA), (uint8_t)(out_count++ * 7 >> 3));
        assert_int_equal(in_count - out_count,
                         serial.uart.received_count + UART16550_BACKLOG - uart16550_room(&serial.uart));
    }
    assert_true(out_count > 100000);
    while (in(&serial, LSR) & 1)
        assert_int_equal(in(&serial, DATA), (uint8_t)(out_count++ * 7 >> 3));
    assert_int_equal(in_count, out_count);
}

static void serial_state(void *device, struct state *state)
{
    uart16550_state(&((struct serial *)device)->uart, state);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct serial *serial = device;
    uint64_t pass = dice_roll(dice) >> dice_below(dice, 30);
    unsigned port = dice_below(dice, 8);
    uint8_t bytes[24];

    *now = pass < UINT64_MAX - *now ? *now + pass : UINT64_MAX;
    switch (dice_below(dice, 8)) {
    case 0:
        out_at(serial, port, (uint8_t)dice_roll(dice), *now);
        break;
    case 1:
        out_at(serial, FCR, (uint8_t)dice_roll(dice) | 1, *now);
        break;
    case 2:
        out_at(serial, dice_below(dice, 2) ? MCR : LCR, (uint8_t)dice_roll(dice) & 0x7f, *now);
        break;
    case 3: {
        size_t length = dice_below(dice, sizeof bytes);
        length = length < uart16550_room(&serial->uart) ? length : uart16550_room(&serial->uart);
        for (size_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)dice_roll(dice);
        uart16550_receive(&serial->uart, bytes, length, *now);
        break;
    }
    case 4: {
        uint64_t deadline = uart16550_deadline(&serial->uart);
        if (deadline != NO_DEADLINE && deadline > *now)
            *now = deadline;
        uart16550_advance(&serial->uart, *now);
        return deadline;
    }
    case 5:
        out_at(serial, DATA, (uint8_t)dice_roll(dice), *now);
        break;
    default:
        return in_at(serial, port, *now);
    }
    return uart16550_room(&serial->uart);
}

static const struct subject subject = {sizeof(struct serial), serial_init, serial_state, operate};

static void advance(void *device, uint64_t now)
{
    uart16550_advance(&((struct serial *)device)->uart, now);
}

static void assert_same_output(void *a, void *b)
{
    struct serial *one = a, *other = b;

    assert_same_line(&one->irq, &other->irq);
    assert_int_equal(one->sent_count, other->sent_count);
    assert_memory_equal(one->sent, other->sent, sizeof one->sent);
}

static const struct timed_subject timed_subject = {&subject, advance, assert_same_output, 100000000};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_after_power_on),
        cmocka_unit_test(plain_registers),
        cmocka_unit_test(sends_at_once),
        cmocka_unit_test(thre_interrupt),
        cmocka_unit_test(received_data_without_fifos),
        cmocka_unit_test(fifo_trigger_levels),
        cmocka_unit_test(character_timeout),
        cmocka_unit_test(interrupt_priorities),
        cmocka_unit_test(out2_gates_the_line),
        cmocka_unit_test(loopback_and_modem_lines),
        cmocka_unit_test(overrun_of_a_full_fifo),
        cmocka_unit_test(break_in_loopback),
        cmocka_unit_test(fifo_control),
        cmocka_unit_test(backlog_keeps_order_and_bounds),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
        subject_test(steps_do_not_matter, &timed_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
