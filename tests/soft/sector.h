/*
 * A whole machine on the soft engine whose guest is a boot sector, for tests of the machine: real mode, 16 bits,
 * assembled with the test (PC_ASM_BITS). Include cmocka.h first.
 */
#ifndef ENCORE_TESTS_SOFT_SECTOR_H
#define ENCORE_TESTS_SOFT_SECTOR_H

#include "logs/writer.h"
#include "replay/checkpoint.h"
#include "tests/soft/bench_pc.h"
#include "tests/unit/log_samples.h"
#include "vmm/machine.h"

struct sector {
    struct engine *engine;
    struct machine machine;
    uint8_t image[512]; /* a reset loads it again */
    uint64_t random;    /* the state of sector_random; not 0 */
    bool virtual_clock; /* set before sector_create */
    bool eager;         /* the door asks for a stop at some exits */
    uint64_t later;     /* how much later than asked for the host's clock is, in each answer */
    uint64_t asked;     /* the time that the last read of a clock device began with */
    uint64_t drawn;     /* random bytes given */
    struct error error;
};

static inline uint64_t sector_random(struct sector *s, uint64_t bound)
{
    /* xorshift64*, by Vigna. */
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return (s->random * UINT64_C(0x2545f4914f6cdd1d) >> 16) % bound;
}

static inline uint64_t sector_clock(void *context, uint64_t now)
{
    struct sector *s = context;
    assert_false(s->virtual_clock); /* it asks nobody */
    s->asked = now;
    return now + s->later;
}

static inline void sector_entropy(void *context, uint8_t *bytes, size_t length)
{
    struct sector *s = context;
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(0xa0 + s->drawn++);
}

static inline void sector_output(void *context, uint8_t channel, uint8_t byte)
{
    (void)context, (void)channel, (void)byte;
}

static inline bool sector_exit(void *context)
{
    struct sector *s = context;
    return s->eager && sector_random(s, 3) == 0;
}

static inline void sector_create(struct sector *s, const char *code, size_t length)
{
    const struct door door = {.context = s,
                              .read_clock = sector_clock,
                              .entropy = sector_entropy,
                              .console_output = sector_output,
                              .exit_served = sector_exit};
    const struct machine_config config = {
        .ram_size = MACHINE_RAM_MIN, .virtual_clock = s->virtual_clock, .boot.protocol = BOOT_SECTOR};
    const struct engine_host none = {0};

    assert_true(length <= 510);
    memcpy(s->image, code, length);
    s->image[510] = 0x55;
    s->image[511] = 0xaa;
    s->engine = soft_engine_create(&none, &s->error);
    assert_non_null(s->engine);
    assert_int_equal(machine_create(&s->machine, &config, s->engine, &door, &s->error), 0);
    assert_int_equal(machine_boot(&s->machine, &config, s->image, sizeof s->image, "sector", NULL, &s->error), 0);
}

static inline void sector_destroy(struct sector *s)
{
    engine_destroy(s->engine);
    machine_destroy(&s->machine);
}

static inline uint64_t sector_ticks(const struct sector *s)
{
    return soft_engine_ticks(s->engine);
}

static inline struct digest sector_digest(struct sector *s)
{
    struct digest digest;
    assert_int_equal(machine_digest(&s->machine, &digest, &s->error), 0);
    return digest;
}

static inline int sector_keep(void *context, const void *bytes, size_t length, struct error *error)
{
    return log_writer_checkpoint_write(context, bytes, length, error);
}

/* Writes a log that has nothing but a checkpoint of `from`. */
static inline struct test_sink sector_save(struct sector *from)
{
    struct test_sink sink = test_sink();
    struct log_sink to = test_sink_sink(&sink);
    struct log_header header = sample_header(1);
    struct traffic traffic = {0};
    struct error error = {0};
    struct log_record record = {.type = LOG_CHECKPOINT, .parent = LOG_NO_PARENT, .digest = sector_digest(from)};
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);

    assert_true(engine_name_position(from->engine, &record.at, &error));
    assert_int_equal(log_writer_checkpoint_begin(writer, &error), 0);
    assert_int_equal(checkpoint_save(&from->machine, &traffic, true, sector_keep, writer, &error), 0);
    assert_int_equal(log_writer_checkpoint_end(writer, &record, &error), 0);
    assert_int_equal(log_writer_close(writer, &error), 0);
    log_writer_free(writer);
    return sink;
}

/* Makes `to`, fresh from sector_create, what `from` is, by way of a checkpoint. */
static inline void sector_copy(struct sector *from, struct sector *to)
{
    struct test_sink sink = sector_save(from);
    struct log_memory memory = {.bytes = sink.bytes.data, .length = sink.bytes.length};
    struct log_source source = log_source_memory(&memory);
    struct traffic traffic = {0};
    struct log_reader *reader = log_reader_open_source(&source, "test.enc", false, &to->error);

    assert_non_null(reader);
    if (checkpoint_restore(&to->machine, &traffic, reader, 0, &to->error) < 0)
        fail_msg("%s", to->error.text);
    log_reader_close(reader);
    bytes_writer_free(&sink.bytes);
}

#endif
