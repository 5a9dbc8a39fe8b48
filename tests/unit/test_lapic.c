/*
 * The local APIC, after SDM volume 3, chapter 10: reset, registers, messages and who they are for, priorities, ends of
 * interrupts, interprocessor interrupts, errors, and the 8259 pair behind LINT0. Its timer: test_lapic_timer.c.
 */
#include "tests/unit/device_testing.h"

#include "vmm/devices/lapic.h"

enum {
    ID = 0x20,
    VERSION = 0x30,
    TPR = 0x80,
    PPR = 0xa0,
    EOI = 0xb0,
    LDR = 0xd0,
    DFR = 0xe0,
    SVR = 0xf0,
    ISR = 0x100,
    TMR = 0x180,
    IRR = 0x200,
    ESR = 0x280,
    ICR = 0x300,
    ICR_HIGH = 0x310,
    LVT_TIMER = 0x320,
    LVT_THERMAL = 0x330,
    LVT_COUNTER = 0x340,
    LVT_LINT0 = 0x350,
    LVT_LINT1 = 0x360,
    LVT_ERROR = 0x370
};

#define LEVEL   0xc000u /* of a message: level-triggered, asserted */
#define SELF    0x40000u
#define ALL     0x80000u
#define OTHERS  0xc0000u
#define LOGICAL 0x800u
#define NONE    0x100u /* for "no vector" */

/* A chip and what it told of ended interrupts. */
struct board {
    struct lapic lapic;
    unsigned ended; /* the last vector, or NONE */
    unsigned ends;
};

static void on_end(void *context, uint8_t vector)
{
    struct board *board = context;

    board->ended = vector;
    board->ends++;
}

static void board_init(struct board *board)
{
    lapic_init(&board->lapic, on_end, board);
    board->ended = NONE;
    board->ends = 0;
}

static uint32_t in(struct board *board, unsigned offset)
{
    return (uint32_t)port_in(lapic_read, &board->lapic, offset, 4, 0);
}

static void out(struct board *board, unsigned offset, uint32_t value)
{
    port_out(lapic_write, &board->lapic, offset, 4, value, 0);
}

static void set_up(void *device)
{
    struct board *board = device;

    board_init(board);
    out(board, SVR, 0x1ff);
}

static bool in_bitmap(struct board *board, unsigned registers, unsigned vector)
{
    return in(board, registers + vector / 32 * 0x10) >> vector % 32 & 1;
}

/* A message to APIC 0 by its physical address. */
static void send(struct board *board, uint32_t data)
{
    lapic_message(&board->lapic, LAPIC_BASE, data);
}

static void take(struct board *board, unsigned vector)
{
    assert_true(lapic_output(&board->lapic));
    assert_int_equal(lapic_acknowledge(&board->lapic), vector);
    assert_true(in_bitmap(board, ISR, vector));
    assert_false(in_bitmap(board, IRR, vector));
}

static void reset_state(void **unused)
{
    (void)unused;
    struct board board;
    static const struct {
        unsigned offset;
        uint32_t value;
    } values[] = {
        {ID, 0},
        {VERSION, 0x00050014}, /* integrated, six entries in the local vector table */
        {TPR, 0},
        {PPR, 0},
        {LDR, 0},
        {DFR, 0xffffffff},
        {SVR, 0xff},
        {ESR, 0},
        {ICR, 0},
        {ICR_HIGH, 0},
        {LVT_TIMER, 0x10000},
        {LVT_THERMAL, 0x10000},
        {LVT_COUNTER, 0x10000},
        {LVT_LINT0, 0x700}, /* virtual wire mode, as firmware leaves it: MP specification 3.6.2.2 */
        {LVT_LINT1, 0x400},
        {LVT_ERROR, 0x10000},
    };
    board_init(&board);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_int_equal(in(&board, values[i].offset), values[i].value);
    for (unsigned offset = ISR; offset < ESR; offset += 0x10)
        assert_int_equal(in(&board, offset), 0);
    assert_false(lapic_output(&board.lapic));
    assert_true(lapic_passes_pic(&board.lapic));
    assert_int_equal(lapic_deadline(&board.lapic), NO_DEADLINE);
    assert_int_equal(LAPIC_BASE_VALUE, 0xfee00900);
}

/* Written with all ones and all zeros, a register shows the bits that exist. */
static void register_bits(void **unused)
{
    (void)unused;
    struct board board;
    static const struct {
        unsigned offset;
        uint32_t ones, zeros;
    } values[] = {
        {ID, 0xff000000, 0},       {VERSION, 0x00050014, 0x00050014}, {TPR, 0xff, 0},
        {LDR, 0xff000000, 0},      {DFR, 0xffffffff, 0x0fffffff},     {ESR, 0, 0},
        {ICR_HIGH, 0xff000000, 0}, {LVT_THERMAL, 0x107ff, 0},         {LVT_COUNTER, 0x107ff, 0},
        {LVT_LINT0, 0x1a7ff, 0}, /* delivery status and remote IRR are read-only */
        {LVT_LINT1, 0x1a7ff, 0},   {LVT_ERROR, 0x100ff, 0},
    };
    set_up(&board);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        out(&board, values[i].offset, 0xffffffff);
        assert_int_equal(in(&board, values[i].offset), values[i].ones);
        out(&board, values[i].offset, 0);
        assert_int_equal(in(&board, values[i].offset), values[i].zeros);
    }
    out(&board, LVT_TIMER, 0xfff9ffff);
    assert_int_equal(in(&board, LVT_TIMER), 0x100ff);
    out(&board, SVR, 0xffffffff);
    assert_int_equal(in(&board, SVR), 0x3ff); /* no suppression of end-of-interrupt broadcasts */
    for (unsigned offset = ISR; offset < ESR; offset += 0x10) {
        out(&board, offset, 0xffffffff);
        assert_int_equal(in(&board, offset), 0);
    }
}

/* Aligned 32-bit accesses are what the manual defines; narrower writes must not do harm, narrower reads give a part. */
static void access_sizes(void **unused)
{
    (void)unused;
    struct board board;
    set_up(&board);
    out(&board, LDR, 0x5a000000);
    assert_int_equal(port_in(lapic_read, &board.lapic, LDR + 3, 1, 0), 0x5a);
    assert_int_equal(port_in(lapic_read, &board.lapic, LDR + 2, 2, 0), 0x5a00);
    assert_int_equal(port_in(lapic_read, &board.lapic, LDR + 4, 4, 0), 0);
    port_out(lapic_write, &board.lapic, TPR, 1, 0x77, 0);
    port_out(lapic_write, &board.lapic, TPR + 4, 4, 0x77, 0);
    assert_int_equal(in(&board, TPR), 0);
}

static void messages_become_requests(void **unused)
{
    (void)unused;
    struct board board;
    set_up(&board);
    for (unsigned vector = 16; vector < 256; vector++) {
        send(&board, vector);
        assert_true(in_bitmap(&board, IRR, vector));
        assert_false(in_bitmap(&board, TMR, vector));
    }
    /* The highest first; after its end, the next. */
    for (unsigned vector = 255; vector >= 16; vector--) {
        take(&board, vector);
        out(&board, EOI, 0);
        assert_false(in_bitmap(&board, ISR, vector));
    }
    assert_false(lapic_output(&board.lapic));
    assert_int_equal(board.ends, 0);
    /* Two of one vector are one, until it is in service; then one more waits. */
    send(&board, 0x41);
    send(&board, 0x41);
    take(&board, 0x41);
    send(&board, 0x41);
    assert_true(in_bitmap(&board, IRR, 0x41));
    assert_false(lapic_output(&board.lapic));
    out(&board, EOI, 0);
    take(&board, 0x41);
    out(&board, EOI, 0);
    assert_false(lapic_output(&board.lapic));
}

/* 10.6.2: physical, logical flat and logical cluster destinations. */
static void destinations(void **unused)
{
    (void)unused;
    struct board board;
    static const struct {
        uint32_t id, ldr, dfr;
        uint8_t destination;
        bool logical, ours;
    } cases[] = {
        {0, 0, ~0u, 0, false, true},       {0, 0, ~0u, 1, false, false},      {0, 0, ~0u, 0xff, false, true},
        {3, 0, ~0u, 0, false, false},      {3, 0, ~0u, 3, false, true},       {0, 0x01, ~0u, 0x01, true, true},
        {0, 0x01, ~0u, 0x03, true, true},  {0, 0x01, ~0u, 0x02, true, false}, {0, 0x01, ~0u, 0x00, true, false},
        {0, 0x80, ~0u, 0xff, true, true},  {0, 0x00, ~0u, 0xff, true, true}, /* a broadcast is for all */
        {0, 0x00, ~0u, 0x0f, true, false}, {0, 0x21, 0, 0x21, true, true},    {0, 0x21, 0, 0x23, true, true},
        {0, 0x21, 0, 0x22, true, false},   {0, 0x21, 0, 0x31, true, false},   {0, 0x21, 0, 0x11, true, false},
        {0, 0x21, 0, 0xff, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_up(&board);
        out(&board, ID, cases[i].id << 24);
        out(&board, LDR, cases[i].ldr << 24);
        out(&board, DFR, cases[i].dfr);
        lapic_message(&board.lapic, LAPIC_BASE | cases[i].destination << 12 | (cases[i].logical ? 4 : 0), 0x55);
        assert_int_equal(in_bitmap(&board, IRR, 0x55), cases[i].ours);
        /* The same as an interprocessor interrupt. */
        out(&board, ICR_HIGH, (uint32_t)cases[i].destination << 24);
        out(&board, ICR, 0x66u | (cases[i].logical ? LOGICAL : 0));
        assert_int_equal(in_bitmap(&board, IRR, 0x66), cases[i].ours);
    }
}

/* Not everything that is written to memory is a message, and not every message asks for an interrupt. */
static void messages_that_are_none(void **unused)
{
    (void)unused;
    struct board board;
    set_up(&board);
    lapic_message(&board.lapic, 0xfed00000, 0x55);
    lapic_message(&board.lapic, 0xfef00000, 0x55);
    lapic_message(&board.lapic, 0x1fee00000, 0x55);
    for (unsigned delivery = 2; delivery < 8; delivery++) /* SMI, NMI, INIT, start-up, ExtINT: nobody takes them */
        send(&board, delivery << 8 | 0x55);
    assert_false(in_bitmap(&board, IRR, 0x55));
    send(&board, 0x100 | 0x55); /* lowest priority, of one */
    take(&board, 0x55);
    /* The redirection hint and the bits that nobody decodes change nothing. */
    lapic_message(&board.lapic, LAPIC_BASE | 0xff8, 0x66);
    take(&board, 0x66);
}

/* 10.8.3: the priority class must be above that of the task and of what is in service. */
static void priorities(void **unused)
{
    (void)unused;
    struct board board;
    set_up(&board);
    for (unsigned class = 0; class < 16; class ++) {
        set_up(&board);
        out(&board, TPR, class << 4 | 5);
        assert_int_equal(in(&board, PPR), class << 4 | 5);
        for (unsigned vector = 16; vector < 256; vector += 5) {
            send(&board, vector);
            assert_int_equal(lapic_output(&board.lapic), vector >> 4 > class);
        }
    }
    /* Service raises the priority to its class; within a class there is no nesting. */
    set_up(&board);
    out(&board, TPR, 0x23);
    send(&board, 0x45);
    take(&board, 0x45);
    assert_int_equal(in(&board, PPR), 0x40);
    send(&board, 0x4f);
    assert_false(lapic_output(&board.lapic));
    send(&board, 0x50);
    take(&board, 0x50);
    assert_int_equal(in(&board, PPR), 0x50);
    out(&board, TPR, 0x6c);
    assert_int_equal(in(&board, PPR), 0x6c);
    out(&board, EOI, 0); /* 50h, the highest in service */
    assert_int_equal(in(&board, PPR), 0x6c);
    out(&board, TPR, 0x00);
    assert_int_equal(in(&board, PPR), 0x40);
    assert_false(lapic_output(&board.lapic));
    out(&board, EOI, 0);
    assert_int_equal(in(&board, PPR), 0x00);
    take(&board, 0x4f);
    out(&board, EOI, 0);
    out(&board, EOI, 0); /* nothing in service: nothing happens */
    assert_int_equal(board.ends, 0);
}

static void spurious(void **unused)
{
    (void)unused;
    struct board board;
    set_up(&board);
    out(&board, SVR, 0x1ef);
    assert_int_equal(lapic_acknowledge(&board.lapic), 0xef);
    assert_int_equal(in(&board, ISR + 0x70), 0); /* it is not put in service: 10.9 */
    send(&board, 0x41);
    out(&board, TPR, 0x40); /* raised between the request and its being taken */
    assert_int_equal(lapic_acknowledge(&board.lapic), 0xef);
    assert_true(in_bitmap(&board, IRR, 0x41));
    out(&board, TPR, 0x3f);
    take(&board, 0x41);
}

/* The end of a level-triggered interrupt is told to the I/O APIC; that of an edge is not. */
static void ends_of_level_interrupts(void **unused)
{
    (void)unused;
    struct board board;
    set_up(&board);
    send(&board, LEVEL | 0x51);
    assert_true(in_bitmap(&board, TMR, 0x51));
    send(&board, 0x82);
    take(&board, 0x82);
    out(&board, EOI, 0);
    assert_int_equal(board.ends, 0);
    take(&board, 0x51);
    out(&board, EOI, 0xffffffff); /* whatever is written */
    assert_int_equal(board.ends, 1);
    assert_int_equal(board.ended, 0x51);
    send(&board, 0x51); /* the same vector again, as an edge now */
    assert_false(in_bitmap(&board, TMR, 0x51));
    take(&board, 0x51);
    out(&board, EOI, 0);
    assert_int_equal(board.ends, 1);
    /* Nested: the inner one ends first. */
    send(&board, LEVEL | 0x51);
    take(&board, 0x51);
    send(&board, LEVEL | 0x61);
    take(&board, 0x61);
    out(&board, EOI, 0);
    assert_int_equal(board.ended, 0x61);
    out(&board, EOI, 0);
    assert_int_equal(board.ended, 0x51);
    assert_int_equal(board.ends, 3);
    /* Without a wire, the end goes nowhere. */
    lapic_init(&board.lapic, NULL, NULL);
    out(&board, SVR, 0x1ff);
    send(&board, LEVEL | 0x51);
    take(&board, 0x51);
    out(&board, EOI, 0);
    assert_false(in_bitmap(&board, ISR, 0x51));
}

static void interprocessor_interrupts(void **unused)
{
    (void)unused;
    struct board board;
    set_up(&board);
    out(&board, ICR_HIGH, 0x07000000); /* a shorthand has no use for the destination */
    out(&board, ICR, SELF | 0x71);
    take(&board, 0x71);
    assert_int_equal(in(&board, ICR), SELF | 0x71); /* delivery status: idle again */
    out(&board, ICR, ALL | 0x82);
    take(&board, 0x82);
    out(&board, ICR, OTHERS | 0x93);
    assert_false(lapic_output(&board.lapic));
    out(&board, ICR, 0x93); /* to APIC 7, which does not exist */
    assert_false(lapic_output(&board.lapic));
    out(&board, ICR_HIGH, 0);
    assert_false(lapic_output(&board.lapic)); /* the low half is what sends */
    out(&board, ICR, LEVEL | 0x93);           /* interrupts from processors are edges */
    assert_false(in_bitmap(&board, TMR, 0x93));
    take(&board, 0x93);
    for (unsigned delivery = 2; delivery < 8; delivery++)
        out(&board, ICR, ALL | delivery << 8 | 0xa4);
    assert_false(lapic_output(&board.lapic));
    assert_int_equal(in(&board, ICR), ALL | 0x7a4);
}

/* 10.5.3: an error is seen after ESR has been written, and interrupts once until then. */
static void errors(void **unused)
{
    (void)unused;
    struct board board;
    set_up(&board);
    out(&board, ICR, SELF | 0x0f); /* an illegal vector, sent */
    assert_int_equal(in(&board, ESR), 0);
    out(&board, ESR, 0);
    assert_int_equal(in(&board, ESR), 0x20);
    assert_false(lapic_output(&board.lapic));
    out(&board, ESR, 0xffffffff); /* nothing since */
    assert_int_equal(in(&board, ESR), 0);
    send(&board, 0x03); /* received */
    out(&board, ICR, OTHERS | 0x00);
    out(&board, ESR, 0);
    assert_int_equal(in(&board, ESR), 0x60);
    out(&board, ICR, SELF | 0x500 | 0x03); /* a vector only where there is one: this is INIT */
    out(&board, ESR, 0);
    assert_int_equal(in(&board, ESR), 0);
    assert_int_equal(in(&board, IRR), 0);

    out(&board, LVT_ERROR, 0xfe);
    send(&board, 0x03);
    take(&board, 0xfe);
    out(&board, EOI, 0);
    send(&board, 0x04);
    assert_false(lapic_output(&board.lapic)); /* until ESR is written */
    out(&board, ESR, 0);
    assert_int_equal(in(&board, ESR), 0x40);
    out(&board, ICR, SELF | 0x05);
    take(&board, 0xfe);
    out(&board, EOI, 0);
    out(&board, ESR, 0);
    assert_int_equal(in(&board, ESR), 0x20);
    out(&board, LVT_ERROR, 0x05); /* whose own vector is illegal */
    out(&board, ICR, SELF | 0x05);
    out(&board, ESR, 0);
    assert_int_equal(in(&board, ESR), 0x60);
    assert_false(lapic_output(&board.lapic));
}

/* 10.4.7.2: the state after power-on, and after clearing bit 8 of SVR. */
static void disabled_by_software(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    send(&board, 0x41);
    out(&board, ICR, SELF | 0x42);
    assert_int_equal(in(&board, IRR + 0x20), 0);
    out(&board, LVT_ERROR, 0xfe); /* a mask bit cannot be cleared */
    assert_int_equal(in(&board, LVT_ERROR), 0x100fe);
    out(&board, SVR, 0x1ff);
    assert_int_equal(in(&board, LVT_ERROR), 0x100fe);
    assert_int_equal(in(&board, LVT_LINT0), 0x700);
    out(&board, LVT_ERROR, 0xfe);
    out(&board, LVT_LINT1, 0x400);
    send(&board, 0x41);
    out(&board, SVR, 0x0ff);
    assert_int_equal(in(&board, LVT_ERROR), 0x100fe);
    assert_int_equal(in(&board, LVT_LINT0), 0x10700);
    assert_int_equal(in(&board, LVT_LINT1), 0x10400);
    assert_false(lapic_output(&board.lapic)); /* held, as are those in service */
    out(&board, SVR, 0x1ff);
    take(&board, 0x41);
    out(&board, SVR, 0x0ff);
    out(&board, EOI, 0);
    assert_false(in_bitmap(&board, ISR, 0x41));
}

/* The 8259 pair gets through while LINT0 is unmasked in ExtINT mode. */
static void pic_behind_lint0(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    assert_true(lapic_passes_pic(&board.lapic));
    out(&board, SVR, 0x1ff);
    assert_true(lapic_passes_pic(&board.lapic));
    out(&board, TPR, 0xff); /* no priority holds it up */
    assert_true(lapic_passes_pic(&board.lapic));
    out(&board, LVT_LINT0, 0x10700);
    assert_false(lapic_passes_pic(&board.lapic));
    out(&board, LVT_LINT0, 0x8700); /* whatever the trigger mode */
    assert_true(lapic_passes_pic(&board.lapic));
    for (unsigned delivery = 0; delivery < 7; delivery++) {
        out(&board, LVT_LINT0, delivery << 8 | 0x30);
        assert_false(lapic_passes_pic(&board.lapic));
    }
    out(&board, LVT_LINT0, 0x700);
    out(&board, SVR, 0x0ff);
    assert_false(lapic_passes_pic(&board.lapic));
    out(&board, LVT_LINT1, 0x700); /* the pair is not at LINT1 */
    assert_false(lapic_passes_pic(&board.lapic));
}

static void state(void *device, struct state *visit)
{
    struct board *board = device;

    lapic_state(&board->lapic, visit);
}

static uint64_t operate_timed(struct board *board, struct dice *dice, uint64_t *now)
{
    unsigned offset = dice_below(dice, 7) * 0x10;

    *now += dice_below(dice, 3) ? dice_below(dice, 5000) : 0;
    lapic_advance(&board->lapic, *now);
    switch (dice_below(dice, 4)) {
    case 0:
        port_out(lapic_write_timed, &board->lapic, offset, 4, dice_below(dice, 20000), *now);
        return lapic_deadline(&board->lapic);
    case 1:
        lapic_write_deadline(&board->lapic, *now + dice_below(dice, 3000));
        return lapic_read_deadline(&board->lapic);
    default:
        return port_in(lapic_read_timed, &board->lapic, offset, 4, *now);
    }
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct board *board = device;
    unsigned offset = dice_below(dice, 0x38) * 0x10;

    board->ended = NONE;
    switch (dice_below(dice, 8)) {
    case 0:
        send(board, dice_roll(dice) & 0xfdff);
        break;
    case 1:
        lapic_message(&board->lapic, LAPIC_BASE | dice_below(dice, 0x100000), dice_roll(dice) & 0xf1ff);
        break;
    case 2:
        out(board, offset, offset == SVR ? dice_roll(dice) | 0x100 : dice_roll(dice));
        break;
    case 3:
        out(board, EOI, 0);
        return board->ended;
    case 4:
        return lapic_output(&board->lapic) ? lapic_acknowledge(&board->lapic) : NONE;
    case 5:
        out(board, LVT_TIMER, dice_roll(dice) & 0x600ff);
        out(board, TPR, dice_below(dice, 128));
        return operate_timed(board, dice, now);
    case 6:
        return operate_timed(board, dice, now);
    default:
        break;
    }
    return in(board, offset) + (uint64_t)lapic_passes_pic(&board->lapic);
}

static const struct subject subject = {sizeof(struct board), set_up, state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reset_state),
        cmocka_unit_test(register_bits),
        cmocka_unit_test(access_sizes),
        cmocka_unit_test(messages_become_requests),
        cmocka_unit_test(destinations),
        cmocka_unit_test(messages_that_are_none),
        cmocka_unit_test(priorities),
        cmocka_unit_test(spurious),
        cmocka_unit_test(ends_of_level_interrupts),
        cmocka_unit_test(interprocessor_interrupts),
        cmocka_unit_test(errors),
        cmocka_unit_test(disabled_by_software),
        cmocka_unit_test(pic_behind_lint0),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
