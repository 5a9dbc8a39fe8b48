#include "vmm/devices/i8259.h"

#include "base/check.h"
#include "vmm/devices/isa_bytes.h"

#define ICW1_INIT 0x10 /* marks ICW1 at the even port */
#define ICW1_IC4  0x01 /* ICW4 will follow */
#define ICW1_SNGL 0x02 /* no cascade; ICW3 will not follow */
#define ICW1_LTIM 0x08 /* all inputs level triggered */
#define ICW4_AEOI 0x02 /* automatic end of interrupt */
#define ICW4_SFNM 0x10 /* special fully nested mode */
#define OCW3_MARK 0x08 /* tells OCW3 from OCW2 at the even port */
#define OCW3_ESMM 0x40
#define OCW3_SMM  0x20
#define OCW3_POLL 0x04
#define OCW3_RR   0x02
#define OCW3_RIS  0x01
#define POLL_HIT  0x80

/* The inputs that ELCR cannot make level triggered: the timer, the keyboard, the cascade; the clock and the FPU. */
#define ELCR_MASTER 0xf8
#define ELCR_SLAVE  0xde

#define NONE 8 /* no input, and a rank below every rank */

static uint8_t bit(unsigned input)
{
    return (uint8_t)(1u << input);
}

static uint8_t level_triggered(const struct i8259 *chip)
{
    return chip->icw1 & ICW1_LTIM ? 0xff : chip->elcr;
}

static uint8_t requests(const struct i8259 *chip)
{
    return chip->lines & (chip->edges | level_triggered(chip));
}

/* The input of a given rank under the present rotation: 0 is the highest priority, 7 the lowest. */
static unsigned input_at(const struct i8259 *chip, unsigned rank)
{
    return (rank + chip->lowest_priority + 1) & 7;
}

/* The best rank in a set of inputs, or NONE. */
static unsigned best_rank(const struct i8259 *chip, uint8_t inputs)
{
    unsigned first = input_at(chip, 0);
    unsigned ranks = (inputs >> first | inputs << (8 - first)) & 0xff;

    return ranks ? (unsigned)__builtin_ctz(ranks) : NONE;
}

/* The input on which the chip asserts INT, or NONE. */
static unsigned winner(const struct i8259 *chip, bool is_master)
{
    uint8_t in_service = chip->isr;
    unsigned candidate = best_rank(chip, requests(chip) & ~chip->imr);

    if (chip->step != I8259_READY || candidate == NONE)
        return NONE;
    /* In special mask mode a masked input that is in service no longer holds back the others. */
    if (chip->special_mask)
        in_service &= ~chip->imr;
    unsigned input = input_at(chip, candidate);
    unsigned serving = best_rank(chip, in_service);
    if (candidate < serving)
        return input;
    /* In special fully nested mode the master lets the slave interrupt the slave's own service. */
    if (candidate == serving && is_master && (chip->icw4 & ICW4_SFNM) && input == I8259_CASCADE)
        return input;
    return NONE;
}

static void set_input(struct i8259 *chip, unsigned input, bool level)
{
    if (!level) {
        chip->lines &= ~bit(input);
        chip->edges &= ~bit(input);
    } else if (!(chip->lines & bit(input))) {
        chip->lines |= bit(input);
        chip->edges |= bit(input);
    }
}

/* To be called after every change of the slave: its INT is the master's IR2. */
static void drive_cascade(struct i8259_pair *pair)
{
    set_input(&pair->master, I8259_CASCADE, winner(&pair->slave, false) != NONE);
}

/* What an INTA sequence, or a poll, does to the chip whose input has won. */
static void take(struct i8259 *chip, unsigned input)
{
    chip->edges &= ~bit(input);
    if (!(chip->icw4 & ICW4_AEOI))
        chip->isr |= bit(input);
    else if (chip->rotate_on_aeoi)
        chip->lowest_priority = (uint8_t)input;
}

/* The same for the slave. Its INT falls when it is acknowledged; if it has another request to make, the master must see
 * a new edge. */
static void take_from_slave(struct i8259_pair *pair, unsigned input)
{
    take(&pair->slave, input);
    set_input(&pair->master, I8259_CASCADE, false);
    drive_cascade(pair);
}

bool i8259_output(const struct i8259_pair *pair)
{
    return winner(&pair->master, true) != NONE;
}

static bool cascaded(const struct i8259 *master)
{
    return !(master->icw1 & ICW1_SNGL) && (master->icw3 & bit(I8259_CASCADE));
}

static uint8_t acknowledge_slave(struct i8259_pair *pair)
{
    struct i8259 *slave = &pair->slave;

    /* A slave that has been given another identity does not answer, and the bus floats. */
    if ((slave->icw1 & ICW1_SNGL) || slave->icw3 != I8259_CASCADE)
        return 0xff;
    /* A slave whose request has gone between the two INTA pulses answers with its IR7. Here a cycle is one instant and
     * the slave's INT falls with its request, so a guest meets only the master's spurious interrupt. */
    unsigned input = winner(slave, false);
    if (input == NONE)
        return slave->vector_base | 7;
    take_from_slave(pair, input);
    return slave->vector_base | (uint8_t)input;
}

uint8_t i8259_acknowledge(struct i8259_pair *pair)
{
    struct i8259 *master = &pair->master;
    unsigned input = winner(master, true);

    if (input == NONE)
        return master->vector_base | 7;
    take(master, input);
    if (input == I8259_CASCADE && cascaded(master))
        return acknowledge_slave(pair);
    return master->vector_base | (uint8_t)input;
}

void i8259_set_line(void *context, unsigned irq, bool level)
{
    struct i8259_pair *pair = context;

    CHECK(irq < 16 && irq != I8259_CASCADE);
    if (irq < 8) {
        set_input(&pair->master, irq, level);
    } else {
        set_input(&pair->slave, irq - 8, level);
        drive_cascade(pair);
    }
}

/*
 * ICW1 restarts the chip. The data sheet lists: edge sense latches and IMR cleared, IR7 lowest, slave identity 7,
 * special mask mode off, status read of IRR, and ICW4's functions off unless ICW4 follows. It does not speak of ISR,
 * nor of rotation in AEOI mode and a poll under way; we clear them too, so that no driver inherits its predecessor's
 * service.
 */
static void write_icw1(struct i8259 *chip, uint8_t value)
{
    *chip = (struct i8259){
        .lines = chip->lines,
        .elcr = chip->elcr,
        .vector_base = chip->vector_base,
        .icw1 = value & (ICW1_IC4 | ICW1_SNGL | ICW1_LTIM),
        .icw3 = 7,
        .lowest_priority = 7,
        .step = I8259_ICW2,
    };
}

static enum i8259_step step_after(const struct i8259 *chip)
{
    if (chip->step == I8259_ICW2 && !(chip->icw1 & ICW1_SNGL))
        return I8259_ICW3;
    if (chip->step != I8259_ICW4 && (chip->icw1 & ICW1_IC4))
        return I8259_ICW4;
    return I8259_READY;
}

static void write_odd_port(struct i8259 *chip, uint8_t value, bool is_master)
{
    switch ((enum i8259_step)chip->step) {
    case I8259_READY: /* OCW1 */
        chip->imr = value;
        return;
    case I8259_ICW2:
        chip->vector_base = value & 0xf8;
        break;
    case I8259_ICW3:
        chip->icw3 = is_master ? value : value & 7;
        break;
    case I8259_ICW4:
        chip->icw4 = value & (ICW4_SFNM | ICW4_AEOI);
        break;
    }
    chip->step = step_after(chip);
}

static void end_of_interrupt(struct i8259 *chip, unsigned input, bool rotate)
{
    chip->isr &= ~bit(input);
    if (rotate)
        chip->lowest_priority = (uint8_t)input;
}

/* The non-specific end of interrupt ends the service of highest priority; in special mask mode it passes over those
 * that are masked. */
static void end_best(struct i8259 *chip, bool rotate)
{
    unsigned rank = best_rank(chip, chip->special_mask ? chip->isr & ~chip->imr : chip->isr);

    if (rank != NONE)
        end_of_interrupt(chip, input_at(chip, rank), rotate);
}

static void write_ocw2(struct i8259 *chip, uint8_t value)
{
    unsigned input = value & 7;

    switch (value >> 5) { /* R, SL, EOI */
    case 0:
        chip->rotate_on_aeoi = false;
        break;
    case 1:
        end_best(chip, false);
        break;
    case 2: /* no operation */
        break;
    case 3:
        end_of_interrupt(chip, input, false);
        break;
    case 4:
        chip->rotate_on_aeoi = true;
        break;
    case 5:
        end_best(chip, true);
        break;
    case 6:
        chip->lowest_priority = (uint8_t)input;
        break;
    case 7:
        end_of_interrupt(chip, input, true);
        break;
    }
}

static void write_ocw3(struct i8259 *chip, uint8_t value)
{
    if (value & OCW3_ESMM)
        chip->special_mask = (value & OCW3_SMM) != 0;
    /* When both are asked for, the poll goes before the register read. */
    if (value & OCW3_POLL)
        chip->poll = true;
    else if (value & OCW3_RR)
        chip->read_isr = (value & OCW3_RIS) != 0;
}

static void write_chip(struct i8259 *chip, uint64_t port, uint8_t value, bool is_master)
{
    if (port & 1)
        write_odd_port(chip, value, is_master);
    else if (value & ICW1_INIT)
        write_icw1(chip, value);
    else if (value & OCW3_MARK)
        write_ocw3(chip, value);
    else
        write_ocw2(chip, value);
}

/* A poll is an acknowledge cycle by software: the request taken goes into service and the answer names its input. */
static uint8_t poll(struct i8259_pair *pair, struct i8259 *chip)
{
    bool is_master = chip == &pair->master;
    unsigned input = winner(chip, is_master);

    chip->poll = false;
    if (input == NONE)
        return 0;
    if (is_master)
        take(chip, input);
    else
        take_from_slave(pair, input);
    return POLL_HIT | (uint8_t)input;
}

static uint8_t read_chip(struct i8259_pair *pair, struct i8259 *chip, uint64_t port)
{
    if (chip->poll)
        return poll(pair, chip);
    if (port & 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : requests(chip);
}

static uint8_t master_read_byte(void *device, uint64_t port, uint64_t now)
{
    struct i8259_pair *pair = device;

    (void)now;
    return read_chip(pair, &pair->master, port);
}

static void master_write_byte(void *device, uint64_t port, uint8_t value, uint64_t now)
{
    struct i8259_pair *pair = device;

    (void)now;
    write_chip(&pair->master, port, value, true);
}

static uint8_t slave_read_byte(void *device, uint64_t port, uint64_t now)
{
    struct i8259_pair *pair = device;

    (void)now;
    return read_chip(pair, &pair->slave, port);
}

static void slave_write_byte(void *device, uint64_t port, uint8_t value, uint64_t now)
{
    struct i8259_pair *pair = device;

    (void)now;
    write_chip(&pair->slave, port, value, false);
    drive_cascade(pair);
}

static uint8_t elcr_read_byte(void *device, uint64_t port, uint64_t now)
{
    struct i8259_pair *pair = device;

    (void)now;
    return port & 1 ? pair->slave.elcr : pair->master.elcr;
}

static void elcr_write_byte(void *device, uint64_t port, uint8_t value, uint64_t now)
{
    struct i8259_pair *pair = device;

    (void)now;
    if (port & 1)
        pair->slave.elcr = value & ELCR_SLAVE;
    else
        pair->master.elcr = value & ELCR_MASTER;
    drive_cascade(pair);
}

uint64_t i8259_master_read(void *device, const struct bus_access *access)
{
    return isa_read_bytes(device, access, master_read_byte);
}

void i8259_master_write(void *device, const struct bus_access *access, uint64_t value)
{
    isa_write_bytes(device, access, value, master_write_byte);
}

uint64_t i8259_slave_read(void *device, const struct bus_access *access)
{
    return isa_read_bytes(device, access, slave_read_byte);
}

void i8259_slave_write(void *device, const struct bus_access *access, uint64_t value)
{
    isa_write_bytes(device, access, value, slave_write_byte);
}

uint64_t i8259_elcr_read(void *device, const struct bus_access *access)
{
    return isa_read_bytes(device, access, elcr_read_byte);
}

void i8259_elcr_write(void *device, const struct bus_access *access, uint64_t value)
{
    isa_write_bytes(device, access, value, elcr_write_byte);
}

static void init_chip(struct i8259 *chip)
{
    *chip = (struct i8259){.imr = 0xff, .lowest_priority = 7};
}

void i8259_init(struct i8259_pair *pair)
{
    init_chip(&pair->master);
    init_chip(&pair->slave);
}

static void chip_state(struct i8259 *chip, struct state *state, bool is_master)
{
    state_u8(state, "lines", &chip->lines);
    state_u8(state, "edges", &chip->edges);
    state_u8(state, "imr", &chip->imr);
    state_u8(state, "isr", &chip->isr);
    state_u8(state, "elcr", &chip->elcr);
    state_u8_max(state, "step", &chip->step, I8259_ICW4);
    state_u8(state, "icw1", &chip->icw1);
    state_u8(state, "vector_base", &chip->vector_base);
    state_u8_max(state, "icw3", &chip->icw3, is_master ? 0xff : 7);
    state_u8(state, "icw4", &chip->icw4);
    state_u8_max(state, "lowest_priority", &chip->lowest_priority, 7);
    state_bool(state, "rotate_on_aeoi", &chip->rotate_on_aeoi);
    state_bool(state, "special_mask", &chip->special_mask);
    state_bool(state, "read_isr", &chip->read_isr);
    state_bool(state, "poll", &chip->poll);
    state_require(state, (chip->edges & ~chip->lines) == 0, "an edge is latched on a line that is low");
    state_require(state, (chip->elcr & ~(is_master ? ELCR_MASTER : ELCR_SLAVE)) == 0,
                  "ELCR makes an input level triggered that cannot be");
    state_require(state, (chip->icw1 & ~(ICW1_IC4 | ICW1_SNGL | ICW1_LTIM)) == 0, "icw1 has unknown bits");
    state_require(state, (chip->vector_base & 7) == 0, "the vector base is not a multiple of eight");
    state_require(state, (chip->icw4 & ~(ICW4_SFNM | ICW4_AEOI)) == 0, "icw4 has unknown bits");
}

void i8259_state(struct i8259_pair *pair, struct state *state)
{
    state_section(state, "i8259", 1);
    chip_state(&pair->master, state, true);
    chip_state(&pair->slave, state, false);
    state_require(state, ((pair->master.lines & bit(I8259_CASCADE)) != 0) == (winner(&pair->slave, false) != NONE),
                  "the master's IR2 is not the slave's INT");
}
