/* The pair of 8259A against its data sheet: initialisation, priorities, modes, ends of interrupt, cascade, polling. */
#include "tests/unit/device_testing.h"

#include "vmm/devices/i8259.h"

#define SPURIOUS_MASTER 0x27
#define NONSPECIFIC_EOI 0x20
#define SPECIFIC_EOI    0x60

static void out(struct i8259_pair *pair, unsigned port, uint8_t value)
{
    if (port < 0xa0)
        port_out(i8259_master_write, pair, port - 0x20, 1, value, 0);
    else if (port < 0x4d0)
        port_out(i8259_slave_write, pair, port - 0xa0, 1, value, 0);
    else
        port_out(i8259_elcr_write, pair, port - 0x4d0, 1, value, 0);
}

static uint8_t in(struct i8259_pair *pair, unsigned port)
{
    if (port < 0xa0)
        return (uint8_t)port_in(i8259_master_read, pair, port - 0x20, 1, 0);
    if (port < 0x4d0)
        return (uint8_t)port_in(i8259_slave_read, pair, port - 0xa0, 1, 0);
    return (uint8_t)port_in(i8259_elcr_read, pair, port - 0x4d0, 1, 0);
}

/* The PC's usual initialisation with vectors 20h and 28h, and all inputs let through. */
static void set_up(struct i8259_pair *pair, uint8_t icw1, uint8_t master_icw4, uint8_t slave_icw4)
{
    i8259_init(pair);
    out(pair, 0x20, icw1);
    out(pair, 0x21, 0x20);
    out(pair, 0x21, 0x04);
    out(pair, 0x21, master_icw4);
    out(pair, 0xa0, icw1);
    out(pair, 0xa1, 0x28);
    out(pair, 0xa1, 0x02);
    out(pair, 0xa1, slave_icw4);
}

static void raise(struct i8259_pair *pair, unsigned irq)
{
    i8259_set_line(pair, irq, true);
}

static void lower(struct i8259_pair *pair, unsigned irq)
{
    i8259_set_line(pair, irq, false);
}

static void pulse(struct i8259_pair *pair, unsigned irq)
{
    lower(pair, irq);
    raise(pair, irq);
}

static uint8_t read_irr(struct i8259_pair *pair, unsigned port)
{
    out(pair, port, 0x0a);
    return in(pair, port);
}

static uint8_t read_isr(struct i8259_pair *pair, unsigned port)
{
    out(pair, port, 0x0b);
    return in(pair, port);
}

static void take(struct i8259_pair *pair, uint8_t vector)
{
    assert_true(i8259_output(pair));
    assert_int_equal(i8259_acknowledge(pair), vector);
}

static void power_on_is_silent(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    memset(&pair, 0xff, sizeof pair);
    i8259_init(&pair);
    assert_int_equal(in(&pair, 0x21), 0xff);
    assert_int_equal(in(&pair, 0xa1), 0xff);
    for (unsigned irq = 0; irq < 16; irq++) {
        if (irq != 2)
            raise(&pair, irq);
    }
    assert_false(i8259_output(&pair));
    assert_int_equal(read_irr(&pair, 0x20), 0xfb);
    assert_int_equal(read_irr(&pair, 0xa0), 0xff);
}

static void initialisation_sequence(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    i8259_init(&pair);
    raise(&pair, 1);
    out(&pair, 0x20, 0x11);
    /* ICW1 clears IMR and the edge latches: a line that is high already asks for nothing. */
    assert_int_equal(pair.master.imr, 0);
    out(&pair, 0x21, 0x47);
    raise(&pair, 3);
    assert_false(i8259_output(&pair)); /* not before the sequence is complete */
    out(&pair, 0x21, 0x04);
    out(&pair, 0x21, 0x01);
    take(&pair, 0x43); /* the vector's low three bits are the input's */
    lower(&pair, 3);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    assert_false(i8259_output(&pair));
    pulse(&pair, 1);
    take(&pair, 0x41);
    /* Ready: the odd port is IMR. */
    out(&pair, 0x21, 0x5a);
    assert_int_equal(in(&pair, 0x21), 0x5a);
    assert_int_equal(pair.master.vector_base, 0x40);

    /* Without ICW4, and single, the sequence is shorter. */
    out(&pair, 0x20, 0x10);
    out(&pair, 0x21, 0x50);
    out(&pair, 0x21, 0x04);
    out(&pair, 0x21, 0xaa);
    assert_int_equal(pair.master.imr, 0xaa);
    out(&pair, 0x20, 0x12);
    out(&pair, 0x21, 0x58);
    out(&pair, 0x21, 0xbb);
    assert_int_equal(pair.master.imr, 0xbb);
    out(&pair, 0x20, 0x13);
    out(&pair, 0x21, 0x58);
    out(&pair, 0x21, 0x03);
    out(&pair, 0x21, 0xcc);
    assert_int_equal(pair.master.imr, 0xcc);
    assert_int_equal(pair.master.icw4, 0x02);
    /* ICW1 in the midst of a sequence starts it again. */
    out(&pair, 0x20, 0x11);
    out(&pair, 0x21, 0x60);
    out(&pair, 0x20, 0x11);
    out(&pair, 0x21, 0x70);
    assert_int_equal(pair.master.vector_base, 0x70);
    assert_int_equal(pair.master.icw4, 0);
}

static void fully_nested_priorities(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x01, 0x01);
    raise(&pair, 7);
    raise(&pair, 4);
    raise(&pair, 5);
    assert_int_equal(read_irr(&pair, 0x20), 0xb0);
    take(&pair, 0x24);
    assert_int_equal(read_irr(&pair, 0x20), 0xa0); /* acknowledged, an edge is used up */
    assert_int_equal(read_isr(&pair, 0x20), 0x10);
    assert_false(i8259_output(&pair));
    pulse(&pair, 4); /* the same again must wait */
    assert_false(i8259_output(&pair));
    raise(&pair, 1); /* a higher one must not */
    take(&pair, 0x21);
    raise(&pair, 0);
    take(&pair, 0x20);
    assert_int_equal(read_isr(&pair, 0x20), 0x13);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    assert_int_equal(read_isr(&pair, 0x20), 0x12);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    assert_int_equal(read_isr(&pair, 0x20), 0x10);
    assert_false(i8259_output(&pair));
    out(&pair, 0x20, NONSPECIFIC_EOI);
    take(&pair, 0x24);
    out(&pair, 0x20, SPECIFIC_EOI | 4);
    take(&pair, 0x25);
    out(&pair, 0x20, SPECIFIC_EOI | 3); /* not in service: nothing happens */
    assert_int_equal(read_isr(&pair, 0x20), 0x20);
    out(&pair, 0x20, 0x40); /* no operation */
    assert_int_equal(read_isr(&pair, 0x20), 0x20);
    out(&pair, 0x20, SPECIFIC_EOI | 5);
    take(&pair, 0x27);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    assert_false(i8259_output(&pair));
}

static void masked_requests_wait(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x01, 0x01);
    out(&pair, 0x21, 0x08);
    raise(&pair, 3);
    assert_false(i8259_output(&pair));
    assert_int_equal(read_irr(&pair, 0x20), 0x08);
    out(&pair, 0x21, 0x00);
    take(&pair, 0x23);
}

static void edge_and_level(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x01, 0x01);
    raise(&pair, 5);
    take(&pair, 0x25);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    raise(&pair, 5); /* no edge */
    assert_false(i8259_output(&pair));
    /* ELCR makes 5 and 10 level triggered; some inputs cannot be. */
    out(&pair, 0x4d0, 0xff);
    out(&pair, 0x4d1, 0xff);
    assert_int_equal(in(&pair, 0x4d0), 0xf8);
    assert_int_equal(in(&pair, 0x4d1), 0xde);
    take(&pair, 0x25);
    assert_int_equal(read_irr(&pair, 0x20), 0x20); /* still asking while in service */
    out(&pair, 0x20, NONSPECIFIC_EOI);
    take(&pair, 0x25);
    lower(&pair, 5);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    assert_false(i8259_output(&pair));
    raise(&pair, 10);
    take(&pair, 0x2a);
    out(&pair, 0xa0, NONSPECIFIC_EOI);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    take(&pair, 0x2a);
    /* ELCR survives ICW1; 16-bit access writes both. */
    port_out(i8259_elcr_write, &pair, 0, 2, 0x0c20, 0);
    out(&pair, 0x20, 0x11);
    assert_int_equal(port_in(i8259_elcr_read, &pair, 0, 2, 0), 0x0c20);
    /* LTIM makes all of a chip's inputs level triggered. */
    set_up(&pair, 0x19, 0x01, 0x01);
    raise(&pair, 0);
    take(&pair, 0x20);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    take(&pair, 0x20);
}

static void spurious_interrupts(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x01, 0x01);
    raise(&pair, 3);
    assert_true(i8259_output(&pair));
    lower(&pair, 3); /* gone before the acknowledge */
    assert_false(i8259_output(&pair));
    assert_int_equal(i8259_acknowledge(&pair), SPURIOUS_MASTER);
    assert_int_equal(read_isr(&pair, 0x20), 0);
    raise(&pair, 9);
    lower(&pair, 9);
    assert_int_equal(i8259_acknowledge(&pair), SPURIOUS_MASTER);
    /* A slave that has nothing when it is asked says its own IR7, and only the master has something in service. The
     * pair's wiring cannot bring this about, so the slave is robbed of its request by hand. */
    raise(&pair, 9);
    pair.slave.lines = 0;
    assert_int_equal(i8259_acknowledge(&pair), 0x2f);
    assert_int_equal(read_isr(&pair, 0x20), 0x04);
    assert_int_equal(read_isr(&pair, 0xa0), 0);
}

static void cascade(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x01, 0x01);
    raise(&pair, 12);
    raise(&pair, 3);
    take(&pair, 0x2c); /* IR2 goes before IR3 */
    assert_int_equal(read_isr(&pair, 0x20), 0x04);
    assert_int_equal(read_isr(&pair, 0xa0), 0x10);
    raise(&pair, 8); /* higher on the slave, but the master's IR2 is in service */
    assert_false(i8259_output(&pair));
    out(&pair, 0x20, NONSPECIFIC_EOI);
    take(&pair, 0x28); /* nested within the slave */
    out(&pair, 0xa0, NONSPECIFIC_EOI);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    take(&pair, 0x23);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    assert_int_equal(read_isr(&pair, 0xa0), 0x10);
    raise(&pair, 14);
    assert_false(i8259_output(&pair)); /* lower on the slave */
    out(&pair, 0xa0, NONSPECIFIC_EOI);
    take(&pair, 0x2e);
    /* Two at once on the slave, one after the other. */
    set_up(&pair, 0x11, 0x01, 0x01);
    pulse(&pair, 9);
    pulse(&pair, 15);
    take(&pair, 0x29);
    out(&pair, 0xa0, NONSPECIFIC_EOI);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    take(&pair, 0x2f);
}

static void cascade_follows_icw3(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x01, 0x01);
    out(&pair, 0xa0, 0x11); /* a slave of another identity does not answer */
    out(&pair, 0xa1, 0x28);
    out(&pair, 0xa1, 0x05);
    out(&pair, 0xa1, 0x01);
    raise(&pair, 9);
    take(&pair, 0xff);
    set_up(&pair, 0x11, 0x01, 0x01);
    out(&pair, 0x20, 0x11); /* a master that does not know of a slave at IR2 answers itself */
    out(&pair, 0x21, 0x20);
    out(&pair, 0x21, 0x00);
    out(&pair, 0x21, 0x01);
    raise(&pair, 9);
    take(&pair, 0x22);
}

static void special_fully_nested_mode(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x11, 0x01);
    raise(&pair, 12);
    take(&pair, 0x2c);
    raise(&pair, 3);
    assert_false(i8259_output(&pair)); /* lower than the slave on the master */
    raise(&pair, 13);
    assert_false(i8259_output(&pair)); /* lower within the slave */
    raise(&pair, 9);
    take(&pair, 0x29);
    assert_int_equal(read_isr(&pair, 0xa0), 0x12);
    /* The software checks the slave's ISR and ends the master's service only when it is empty. */
    out(&pair, 0xa0, NONSPECIFIC_EOI);
    assert_false(i8259_output(&pair));
    out(&pair, 0xa0, NONSPECIFIC_EOI);
    take(&pair, 0x2d);
    /* The slave's own IR2 has no chip behind it: there the mode changes nothing. */
    set_up(&pair, 0x11, 0x11, 0x11);
    raise(&pair, 10);
    take(&pair, 0x2a);
    pulse(&pair, 10);
    assert_false(i8259_output(&pair));
}

static void automatic_end_of_interrupt(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x03, 0x03);
    raise(&pair, 4);
    take(&pair, 0x24);
    assert_int_equal(read_isr(&pair, 0x20), 0);
    raise(&pair, 6);
    take(&pair, 0x26);
    raise(&pair, 9);
    raise(&pair, 10);
    take(&pair, 0x29); /* the slave asks again with a new edge */
    take(&pair, 0x2a);
    assert_false(i8259_output(&pair));
    /* Rotating: the one just served becomes the lowest. */
    out(&pair, 0x20, 0x80);
    pulse(&pair, 4);
    take(&pair, 0x24);
    pulse(&pair, 4);
    pulse(&pair, 0);
    pulse(&pair, 5);
    take(&pair, 0x25);
    take(&pair, 0x20);
    take(&pair, 0x24);
    out(&pair, 0x20, 0x00); /* rotation off; 4 stays the lowest */
    pulse(&pair, 3);
    pulse(&pair, 5);
    take(&pair, 0x25);
    take(&pair, 0x23);
    assert_int_equal(pair.master.lowest_priority, 4);
}

static void rotation(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x01, 0x01);
    /* The data sheet's example: IR4 and IR6 in service, IR4 the highest; rotating its EOI makes IR4 the lowest. */
    raise(&pair, 6);
    take(&pair, 0x26);
    raise(&pair, 4);
    take(&pair, 0x24);
    out(&pair, 0x20, 0xa0);
    assert_int_equal(read_isr(&pair, 0x20), 0x40);
    assert_int_equal(pair.master.lowest_priority, 4);
    raise(&pair, 3); /* now below 6 */
    assert_false(i8259_output(&pair));
    raise(&pair, 5);
    take(&pair, 0x25);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    assert_int_equal(read_isr(&pair, 0x20), 0x40);
    /* Specific rotation: set priority, with and without EOI. */
    out(&pair, 0x20, 0xc0 | 5);
    assert_int_equal(pair.master.lowest_priority, 5);
    assert_int_equal(read_isr(&pair, 0x20), 0x40);
    out(&pair, 0x20, 0xe0 | 6);
    assert_int_equal(pair.master.lowest_priority, 6);
    assert_int_equal(read_isr(&pair, 0x20), 0);
    out(&pair, 0x20, 0xa0); /* nothing in service: nothing rotates */
    assert_int_equal(pair.master.lowest_priority, 6);
    /* Every rotation orders all eight inputs. */
    for (unsigned lowest = 0; lowest < 8; lowest++) {
        set_up(&pair, 0x11, 0x03, 0x01); /* AEOI */
        out(&pair, 0x20, (uint8_t)(0xc0 | lowest));
        for (unsigned irq = 0; irq < 8; irq++) {
            if (irq != 2)
                pulse(&pair, irq);
        }
        for (unsigned rank = 0; rank < 8; rank++) {
            unsigned irq = (lowest + 1 + rank) % 8;
            if (irq != 2)
                take(&pair, (uint8_t)(0x20 + irq));
        }
        assert_false(i8259_output(&pair));
    }
}

static void special_mask_mode(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x01, 0x01);
    raise(&pair, 1);
    take(&pair, 0x21);
    raise(&pair, 5);
    assert_false(i8259_output(&pair));
    out(&pair, 0x21, 0x02);
    assert_false(i8259_output(&pair)); /* masking alone does not help */
    out(&pair, 0x20, 0x68);
    take(&pair, 0x25);
    /* A non-specific EOI passes over the masked service. */
    out(&pair, 0x20, NONSPECIFIC_EOI);
    assert_int_equal(read_isr(&pair, 0x20), 0x02);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    assert_int_equal(read_isr(&pair, 0x20), 0x02);
    out(&pair, 0x20, 0x28); /* SMM without ESMM: no change */
    assert_true(pair.master.special_mask);
    out(&pair, 0x20, 0x48);
    assert_false(pair.master.special_mask);
    raise(&pair, 6);
    assert_false(i8259_output(&pair));
    out(&pair, 0x20, NONSPECIFIC_EOI);
    take(&pair, 0x26);
}

static void polling(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x01, 0x01);
    out(&pair, 0x20, 0x0c);
    assert_int_equal(in(&pair, 0x20), 0);
    raise(&pair, 6);
    raise(&pair, 4);
    out(&pair, 0x20, 0x0e); /* poll goes before the register read */
    assert_int_equal(in(&pair, 0x20), 0x84);
    assert_int_equal(in(&pair, 0x20), 0x40); /* one read only; then IRR as before */
    assert_int_equal(read_isr(&pair, 0x20), 0x10);
    out(&pair, 0x20, NONSPECIFIC_EOI);
    out(&pair, 0x20, 0x0c);
    assert_int_equal(in(&pair, 0x21), 0x86); /* at either port */
    out(&pair, 0x20, NONSPECIFIC_EOI);
    /* A slave's request is polled at both chips. */
    raise(&pair, 11);
    out(&pair, 0x20, 0x0c);
    assert_int_equal(in(&pair, 0x20), 0x82);
    out(&pair, 0xa0, 0x0c);
    assert_int_equal(in(&pair, 0xa0), 0x83);
    assert_int_equal(read_isr(&pair, 0xa0), 0x08);
    out(&pair, 0xa0, 0x0c);
    assert_int_equal(in(&pair, 0xa0), 0);
}

static void register_reads(void **unused)
{
    (void)unused;
    struct i8259_pair pair;
    set_up(&pair, 0x11, 0x01, 0x01);
    raise(&pair, 1);
    i8259_acknowledge(&pair);
    raise(&pair, 3);
    assert_int_equal(in(&pair, 0x20), 0x08); /* IRR after initialisation */
    out(&pair, 0x20, 0x0b);
    assert_int_equal(in(&pair, 0x20), 0x02);
    assert_int_equal(in(&pair, 0x20), 0x02); /* the choice stays */
    out(&pair, 0x20, 0x08);                  /* RR clear: no change */
    assert_int_equal(in(&pair, 0x20), 0x02);
    out(&pair, 0x20, 0x0a);
    assert_int_equal(in(&pair, 0x20), 0x08);
    /* A 16-bit read takes both ports. */
    out(&pair, 0x21, 0x81);
    assert_int_equal(port_in(i8259_master_read, &pair, 0, 2, 0), 0x8108);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    static const unsigned ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
    struct i8259_pair *pair = device;
    unsigned port = ports[dice_below(dice, 6)];
    unsigned irq = dice_below(dice, 16);

    (void)now;
    switch (dice_below(dice, 8)) {
    case 0:
        out(pair, port, (uint8_t)dice_roll(dice));
        break;
    case 1:
        out(pair, port & ~1u, dice_below(dice, 2) ? NONSPECIFIC_EOI : 0x0c);
        break;
    case 2:
        return in(pair, port);
    case 3:
    case 4:
        return i8259_output(pair) ? i8259_acknowledge(pair) : 0x100;
    case 5:
        if (dice_below(dice, 20) == 0)
            set_up(pair, dice_below(dice, 2) ? 0x11 : 0x19, (uint8_t)dice_roll(dice), (uint8_t)dice_roll(dice));
        return i8259_acknowledge(pair);
    default:
        i8259_set_line(pair, irq == 2 ? 9 : irq, dice_below(dice, 2));
        break;
    }
    return i8259_output(pair);
}

static void init(void *device)
{
    set_up(device, 0x11, 0x01, 0x01);
}

static void state(void *device, struct state *visit)
{
    i8259_state(device, visit);
}

static const struct subject subject = {sizeof(struct i8259_pair), init, state, operate};

/* The slave's INT is the master's IR2 after whatever has happened; restoring depends on it. */
static void cascade_line_is_always_the_slaves(void **unused)
{
    (void)unused;
    struct dice dice = {31337};
    struct i8259_pair pair;
    uint64_t now = 0;
    init(&pair);
    for (unsigned i = 0; i < 200000; i++) {
        operate(&pair, &dice, &now);
        if (i % 16 == 0) {
            struct bytes_writer saved = subject_save(&subject, &pair);
            assert_int_equal(subject_restore(&subject, &pair, saved.data, saved.length), 0);
            bytes_writer_free(&saved);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_on_is_silent),
        cmocka_unit_test(initialisation_sequence),
        cmocka_unit_test(fully_nested_priorities),
        cmocka_unit_test(masked_requests_wait),
        cmocka_unit_test(edge_and_level),
        cmocka_unit_test(spurious_interrupts),
        cmocka_unit_test(cascade),
        cmocka_unit_test(cascade_follows_icw3),
        cmocka_unit_test(special_fully_nested_mode),
        cmocka_unit_test(automatic_end_of_interrupt),
        cmocka_unit_test(rotation),
        cmocka_unit_test(special_mask_mode),
        cmocka_unit_test(polling),
        cmocka_unit_test(register_reads),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
        cmocka_unit_test(cascade_line_is_always_the_slaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
