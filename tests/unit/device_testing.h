/*
 * What the tests of the chips share: a seeded random generator, a recording interrupt line, port accesses, and the
 * properties that a device with state must have, as tests that are given the device by subject_test:
 *
 *   round trip: saved at any moment and restored into a fresh device, both go on the same, answer by answer and byte by
 *   byte of their saved state;
 *   hostile restore: whatever bytes are restored, they are refused or give a device that runs on in bounds (the
 *   sanitizers watch) and saves the very bytes that it was restored from;
 *   steps: where a device counts time, it ends the same whether time passes at once or in small steps.
 */
#ifndef ENCORE_TESTS_UNIT_DEVICE_TESTING_H
#define ENCORE_TESTS_UNIT_DEVICE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

/* Marsaglia's xorshift64*; any seed but 0. */
struct dice {
    uint64_t seed;
};

static inline uint32_t dice_roll(struct dice *dice)
{
    dice->seed ^= dice->seed >> 12;
    dice->seed ^= dice->seed << 25;
    dice->seed ^= dice->seed >> 27;
    return (uint32_t)(dice->seed * 0x2545f4914f6cdd1dull >> 32);
}

/* A number below `limit`. */
static inline uint32_t dice_below(struct dice *dice, uint32_t limit)
{
    return dice_roll(dice) % limit;
}

/* An interrupt line that remembers its level and counts its edges. */
struct line_record {
    bool level;
    unsigned rises;
    unsigned falls;
};

static inline void line_record_set(void *context, unsigned line, bool level)
{
    struct line_record *record = context;

    (void)line;
    record->rises += level && !record->level;
    record->falls += !level && record->level;
    record->level = level;
}

static inline struct irq_wire line_record_wire(struct line_record *record)
{
    return (struct irq_wire){.set = line_record_set, .context = record};
}

/* Two lines of devices that are to do the same. */
static inline void assert_same_line(const struct line_record *a, const struct line_record *b)
{
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->rises, b->rises);
    assert_int_equal(a->falls, b->falls);
}

static inline uint64_t port_in(bus_read_fn *read, void *device, uint64_t offset, unsigned size, uint64_t now)
{
    struct bus_access access = {.offset = offset, .size = (uint8_t)size, .now = now};

    return read(device, &access) & (size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1);
}

static inline void port_out(bus_write_fn *write, void *device, uint64_t offset, unsigned size, uint64_t value,
                            uint64_t now)
{
    struct bus_access access = {.offset = offset, .size = (uint8_t)size, .now = now};

    write(device, &access, value);
}

/* A kind of device under test. A fresh one comes from `init`, which must wire it to nothing shared. `operate` does one
 * random thing to it, may move `now` on, and returns what the device answered. */
struct subject {
    size_t size;
    void (*init)(void *device);
    void (*state)(void *device, struct state *state);
    uint64_t (*operate)(void *device, struct dice *dice, uint64_t *now);
};

/* One that counts time. `assert_same_output` compares what two of them have put out: their lines, and whatever else is
 * not in their states. It is called after every operation and after every wait. */
struct timed_subject {
    const struct subject *subject;
    void (*advance)(void *device, uint64_t now);
    void (*assert_same_output)(void *a, void *b);
    uint32_t longest_wait; /* in nanoseconds */
};

static inline void *subject_new(const struct subject *subject)
{
    void *device = malloc(subject->size);

    assert_non_null(device);
    memset(device, 0xa5, subject->size); /* init must not count on zeros */
    subject->init(device);
    return device;
}

static inline struct bytes_writer subject_save(const struct subject *subject, void *device)
{
    struct bytes_writer out = bytes_writer(1 << 20);
    struct state state = state_save(&out);
    struct error error;

    subject->state(device, &state);
    assert_int_equal(state_end(&state, &error), 0);
    return out;
}

static inline int subject_restore(const struct subject *subject, void *device, const void *bytes, size_t length)
{
    struct state state = state_restore(bytes, length);
    struct error error;

    subject->state(device, &state);
    return state_end(&state, &error);
}

static inline void assert_saves_equal(const struct bytes_writer *a, const struct bytes_writer *b)
{
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->data, b->data, a->length);
}

static inline void assert_same_state(const struct subject *subject, void *a, void *b)
{
    struct bytes_writer left = subject_save(subject, a);
    struct bytes_writer right = subject_save(subject, b);

    assert_saves_equal(&left, &right);
    bytes_writer_free(&left);
    bytes_writer_free(&right);
}

/* The round trip, from one seed. */
static inline void check_round_trip(const struct subject *subject, uint64_t seed)
{
    void *original = subject_new(subject);
    struct dice dice = {seed};
    uint64_t now = 0;

    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = dice_below(&dice, 40); i > 0; i--)
            subject->operate(original, &dice, &now);
        void *copy = subject_new(subject);
        struct bytes_writer saved = subject_save(subject, original);
        assert_int_equal(subject_restore(subject, copy, saved.data, saved.length), 0);
        bytes_writer_free(&saved);
        for (unsigned i = 0; i < 60; i++) {
            struct dice dice_copy = dice;
            uint64_t now_copy = now;
            uint64_t left = subject->operate(original, &dice, &now);
            uint64_t right = subject->operate(copy, &dice_copy, &now_copy);
            assert_int_equal(left, right);
            assert_same_state(subject, original, copy);
        }
        free(copy);
    }
    free(original);
}

/* Restores the bytes; when they are taken, they must save as they are, and the device must live with them. */
static inline bool try_hostile(const struct subject *subject, const uint8_t *bytes, size_t length, struct dice *dice)
{
    void *device = subject_new(subject);
    bool taken = subject_restore(subject, device, bytes, length) == 0;

    if (taken) {
        struct bytes_writer again = subject_save(subject, device);
        assert_int_equal(again.length, length);
        assert_memory_equal(again.data, bytes, length);
        bytes_writer_free(&again);
        uint64_t now = dice_below(dice, 4) ? dice_roll(dice) : UINT64_MAX - dice_roll(dice);
        for (unsigned i = 0; i < 40; i++)
            subject->operate(device, dice, &now);
    }
    free(device);
    return taken;
}

/* The hostile restore, from one seed. */
static inline void check_hostile_restore(const struct subject *subject, uint64_t seed)
{
    void *device = subject_new(subject);
    struct dice dice = {seed};
    uint64_t now = 0;

    for (unsigned round = 0; round < 8; round++) {
        for (unsigned i = 0; i < 60; i++)
            subject->operate(device, &dice, &now);
        struct bytes_writer saved = subject_save(subject, device);
        for (size_t at = 0; at < saved.length; at++) {
            uint8_t kept = saved.data[at];
            uint8_t values[4] = {0, 0xff, kept ^ (uint8_t)(1u << dice_below(&dice, 8)), (uint8_t)dice_roll(&dice)};
            for (unsigned i = 0; i < 4; i++) {
                saved.data[at] = values[i];
                try_hostile(subject, saved.data, saved.length, &dice);
            }
            saved.data[at] = kept;
            assert_false(try_hostile(subject, saved.data, at, &dice)); /* cut short */
        }
        /* Many bytes at once, keeping the section's head so that the fields are reached. */
        size_t head = 1u + saved.data[0] + 6u;
        for (unsigned i = 0; i < 300; i++) {
            struct bytes_writer wild = bytes_writer(1 << 20);
            bytes_put(&wild, saved.data, saved.length);
            for (unsigned n = 1 + dice_below(&dice, 12); n > 0; n--)
                wild.data[head + dice_below(&dice, (uint32_t)(saved.length - head))] = (uint8_t)dice_roll(&dice);
            try_hostile(subject, wild.data, wild.length, &dice);
            bytes_writer_free(&wild);
        }
        bytes_writer_free(&saved);
    }
    free(device);
}

/* An entry of a program's list of tests: one of the tests below, of this subject. */
#define subject_test(test, subject) cmocka_unit_test_prestate(test, (void *)(subject))

static inline void restored_runs_on_the_same(void **subject)
{
    for (uint64_t seed = 1; seed <= 10; seed++)
        check_round_trip(*subject, seed);
}

static inline void hostile_state_is_safe(void **subject)
{
    for (uint64_t seed = 1; seed <= 2; seed++)
        check_hostile_restore(*subject, seed);
}

/* Waits now and then for years, as far as half of guest time. */
static inline uint64_t wait_for_years(struct dice *dice, uint64_t now)
{
    if (dice_below(dice, 50) != 0 || now > UINT64_MAX / 2)
        return now;
    return now + ((uint64_t)dice_roll(dice) << 26);
}

static inline void steps_do_not_matter(void **timed_subject)
{
    const struct timed_subject *timed = *timed_subject;
    const struct subject *subject = timed->subject;
    void *at_once = subject_new(subject);
    void *in_steps = subject_new(subject);
    struct dice dice = {12};
    uint64_t now = 0;

    for (unsigned round = 0; round < 3000; round++) {
        struct dice same = dice;
        uint64_t same_now = now;
        uint64_t answer = subject->operate(at_once, &dice, &now);
        assert_int_equal(subject->operate(in_steps, &same, &same_now), answer);
        timed->assert_same_output(at_once, in_steps);
        now = wait_for_years(&dice, now);
        uint64_t until = now + dice_below(&dice, timed->longest_wait);
        for (; now < until; now += 1 + dice_below(&dice, timed->longest_wait / 7))
            timed->advance(in_steps, now);
        now = until;
        timed->advance(in_steps, now);
        timed->advance(at_once, now);
        assert_same_state(subject, at_once, in_steps);
        timed->assert_same_output(at_once, in_steps);
    }
    free(at_once);
    free(in_steps);
}

#endif
