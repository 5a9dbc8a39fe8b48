/*
 * Restoring a machine from hostile checkpoints (replay/checkpoint_reader.c and all that restores a state).
 *
 * The first byte of the input chooses what the rest is: the data as they are; lists of pages and clusters in front of a
 * good state; or changes to the data of a good checkpoint. Whatever it is is refused with an ERROR_INPUT, or it is a
 * machine, and then a machine like any other: saved and restored it has the digest that it had before, and it runs.
 *
 * A checkpoint's record has a digest too, which guards against accidents; here it never fits, so restoring always ends
 * with that complaint at last, and the machine is looked at all the same.
 */
#include <string.h>

#include "base/check.h"
#include "logs/writer.h"
#include "tests/unit/checkpoint_testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TICKS     1000
#define STRETCHES 10
#define EXITS     50
#define DATA_MAX  (4u << 20)

static uint64_t on_read_clock(void *context, uint64_t now)
{
    (void)context;
    return now + 1000;
}

static void on_entropy(void *context, uint8_t *bytes, size_t length)
{
    (void)context;
    memset(bytes, 0x5a, length);
}

static void on_byte(void *context, uint8_t channel, uint8_t byte)
{
    (void)context;
    (void)channel;
    (void)byte;
}

static void on_frame(void *context, uint8_t card, const uint8_t *frame, size_t length)
{
    (void)context;
    (void)card;
    (void)frame;
    (void)length;
}

static bool on_exit_served(void *context)
{
    struct specimen *s = context;

    return s->machine.engine->exits >= s->exits;
}

static struct specimen *specimen_new(bool booted)
{
    const struct machine_config config = {.virtual_clock = true, /* lets us say where it stops */
                                          .disks = {{.interface = DISK_VIRTIO}, {.interface = DISK_IDE}},
                                          .net_count = 1,
                                          .virtio_console = true};
    const struct door door = {.read_clock = on_read_clock,
                              .entropy = on_entropy,
                              .console_output = on_byte,
                              .frame_output = on_frame,
                              .exit_served = on_exit_served};
    struct error error = {0};

    struct specimen *s = specimen_make(config, door, booted, &error);
    CHECK(s);
    return s;
}

static int put_bytes(void *context, const void *bytes, size_t length, struct error *error)
{
    (void)error;
    bytes_put(context, bytes, length);
    return 0;
}

/* The data of a whole checkpoint; with its digest. */
static struct bytes_writer saved(struct specimen *s, struct digest *digest)
{
    struct bytes_writer data = bytes_writer(DATA_MAX);
    struct error error;

    CHECK(machine_digest(&s->machine, digest, &error) == 0);
    CHECK(checkpoint_save(&s->machine, &s->traffic, true, put_bytes, &data, &error) == 0 && !data.failed);
    return data;
}

/* Restores what the data say, through a log. 0, or -1 with the error. */
static int restore(struct specimen *s, const struct bytes_writer *data, struct digest digest, struct error *error)
{
    struct bytes_writer bytes = bytes_writer(2 * DATA_MAX);
    struct log_sink sink = {.write = put_bytes, .context = &bytes};
    struct log_header header = {.machine = (char *)"{}"};
    struct log_record record = {.type = LOG_CHECKPOINT, .parent = LOG_NO_PARENT, .digest = digest};
    struct log_record end = {.type = LOG_END};

    struct log_writer *writer = log_writer_create(&sink, &header, NULL, error);
    CHECK(writer && log_writer_checkpoint_begin(writer, error) == 0);
    CHECK(log_writer_checkpoint_write(writer, data->data, data->length, error) == 0);
    CHECK(log_writer_checkpoint_end(writer, &record, error) == 0 && log_writer_append(writer, &end, error) == 0);
    CHECK(log_writer_close(writer, error) == 0 && !bytes.failed);
    log_writer_free(writer);
    struct log_memory memory = {.bytes = bytes.data, .length = bytes.length};
    struct log_source source = log_source_memory(&memory);
    struct log_reader *reader = log_reader_open_source(&source, "fuzz", false, error);
    CHECK(reader);
    int result = checkpoint_restore(&s->machine, &s->traffic, reader, 0, error);
    log_reader_close(reader);
    bytes_writer_free(&bytes);
    return result;
}

/* Lists as the script says. The bytes of pages are cheap to say: one for each. */
static void put_lists(struct bytes_writer *data, struct bytes_reader *script)
{
    uint8_t page[RAM_PAGE_SIZE];

    while (bytes_left(script) > 0 && data->length < DATA_MAX / 2) {
        uint64_t step = bytes_get_uint(script, 1);
        bytes_put_varint(data, step < 250 ? step : UINT64_MAX - step);
        unsigned kind = (unsigned)bytes_get_uint(script, 1) & 3;
        bytes_put_uint(data, 1, kind);
        if (step == 0) {
            if (kind == 2)
                bytes_put_uint(data, 1, bytes_get_uint(script, 1));
            continue;
        }
        uint64_t length = bytes_get_uint(script, 1);
        bytes_put_varint(data, length);
        for (uint64_t i = 0; kind == 1 && i < length; i++) {
            memset(page, (int)bytes_get_uint(script, 1), sizeof page);
            bytes_put(data, page, sizeof page);
        }
    }
}

/* What the input makes of the data of a good checkpoint. */
static struct bytes_writer forge(const struct bytes_writer *good, const uint8_t *input, size_t size)
{
    struct bytes_writer data = bytes_writer(DATA_MAX);
    struct bytes_reader script = bytes_reader(input + 1, size - 1);

    if (input[0] % 4 == 0) {
        bytes_put_varint(&data, 3);
        bytes_put(&data, input + 1, size - 1);
    } else if (input[0] % 4 == 1) {
        bytes_put_varint(&data, 3);
        put_lists(&data, &script);
        /* The good one without its version. */
        bytes_put(&data, good->data + 1, good->length - 1);
    } else {
        bytes_put(&data, good->data, good->length);
        /* The state is at the end. */
        while (bytes_left(&script) >= 3) {
            size_t at = bytes_get_uint(&script, 2) % data.length;
            data.data[data.length - 1 - at] ^= (uint8_t)bytes_get_uint(&script, 1);
        }
    }
    return data;
}

/* Restored, it is a machine. */
static void check_machine(struct specimen *s)
{
    struct specimen *copy = specimen_new(false);
    struct error error = {0};
    struct digest digest, again;

    struct bytes_writer data = saved(s, &digest);
    CHECK(restore(copy, &data, digest, &error) == 0);
    CHECK(machine_digest(&copy->machine, &again, &error) == 0 && digest_equal(digest, again));
    bytes_writer_free(&data);
    copy->exits = copy->machine.engine->exits + EXITS;
    for (unsigned i = 0; i < STRETCHES && copy->machine.end == MACHINE_RUNS; i++) {
        copy->machine.stop_ticks = machine_ticks(&copy->machine) + TICKS;
        CHECK(machine_run(&copy->machine, NULL, &error) != ENGINE_STOP_ERROR);
        if (copy->machine.end == MACHINE_RUNS)
            machine_skip_idle(&copy->machine);
    }
    specimen_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct digest digest;

    if (size < 2)
        return 0;
    struct specimen *s = specimen_new(true);
    struct bytes_writer good = saved(s, &digest);
    struct bytes_writer forged = forge(&good, data, size);
    specimen_free(s);
    s = specimen_new(false);
    if (!forged.failed && restore(s, &forged, (struct digest){0}, &error) < 0) {
        CHECK(error.kind == ERROR_INPUT);
        if (strstr(error.text, "its own digest"))
            check_machine(s);
    }
    bytes_writer_free(&forged);
    bytes_writer_free(&good);
    specimen_free(s);
    return 0;
}
