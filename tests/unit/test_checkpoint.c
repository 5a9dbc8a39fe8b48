/*
 * Checkpoints of a machine with disks (replay/checkpoint*.c): carried through a log from machine to machine, whole and
 * on top of a parent; and what hostile bytes do, which is to be refused.
 */
#include "tests/unit/log_samples.h"

#include "tests/unit/checkpoint_testing.h"

static struct specimen *specimen_new(bool booted)
{
    const struct machine_config config = {
        .disks = {{.interface = DISK_IDE}, {.interface = DISK_IDE, .quota = 4 * DISK_CLUSTER}}};
    struct error error = {0};

    struct specimen *s = specimen_make(config, (struct door){0}, booted, &error);
    if (!s)
        fail_msg("%s", error.text);
    return s;
}

static struct digest digest_now(struct specimen *s)
{
    struct digest digest;
    struct error error;

    if (machine_digest(&s->machine, &digest, &error) < 0)
        fail_msg("%s", error.text);
    return digest;
}

static int write_piece(void *context, const void *bytes, size_t length, struct error *error)
{
    return log_writer_checkpoint_write(context, bytes, length, error);
}

static void take(struct specimen *s, struct log_writer *writer, uint32_t id, bool whole)
{
    struct log_record record = {
        .type = LOG_CHECKPOINT, .id = id, .parent = whole ? LOG_NO_PARENT : id - 1, .digest = digest_now(s)};
    struct error error;

    if (log_writer_checkpoint_begin(writer, &error) < 0 ||
        checkpoint_save(&s->machine, &s->traffic, whole, write_piece, writer, &error) < 0 ||
        log_writer_checkpoint_end(writer, &record, &error) < 0)
        fail_msg("%s", error.text);
    machine_forget_changes(&s->machine);
}

static void write_disk(struct specimen *s, unsigned disk, uint64_t sector, uint8_t value, uint32_t count, bool good)
{
    uint8_t bytes[16 * DISK_SECTOR];

    assert_true(count <= 16);
    memset(bytes, value, sizeof bytes);
    assert_int_equal(disk_write(&s->machine.disks[disk], sector, bytes, count), good);
}

static struct log_writer *log_begin(struct test_sink *sink)
{
    struct log_header header = sample_header(1);
    struct error error;

    *sink = test_sink();
    struct log_sink to = test_sink_sink(sink);
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);
    assert_non_null(writer);
    return writer;
}

static void log_finish(struct log_writer *writer)
{
    struct log_record end = {.type = LOG_END};
    struct error error;

    assert_int_equal(log_writer_append(writer, &end, &error), 0);
    assert_int_equal(log_writer_close(writer, &error), 0);
    log_writer_free(writer);
}

/* Restores checkpoint `id` into a fresh machine; NULL with the error. */
static struct specimen *restore(const struct test_sink *sink, uint32_t id, struct error *error)
{
    struct log_memory memory = {.bytes = sink->bytes.data, .length = sink->bytes.length};
    struct log_source source = log_source_memory(&memory);
    struct log_reader *reader = log_reader_open_source(&source, "test.enc", false, error);
    struct specimen *s = specimen_new(false);

    assert_non_null(reader);
    int result = checkpoint_restore(&s->machine, &s->traffic, reader, id, error);
    log_reader_close(reader);
    if (result == 0)
        return s;
    specimen_free(s);
    return NULL;
}

/* ... which must work, and give a machine with this digest. */
static struct specimen *restore_like(const struct test_sink *sink, uint32_t id, struct digest digest)
{
    struct error error;

    struct specimen *copy = restore(sink, id, &error);
    if (!copy)
        fail_msg("%s", error.text);
    assert_true(digest_equal(digest_now(copy), digest));
    return copy;
}

static void carried_from_machine_to_machine(void **state)
{
    struct specimen *s = specimen_new(true);
    struct digest digests[3];
    struct test_sink sink;
    uint8_t bytes[8 * DISK_SECTOR];

    (void)state;
    struct log_writer *writer = log_begin(&sink);
    write_disk(s, 0, 0, 1, 16, true);
    write_disk(s, 0, 80, 2, 1, true); /* the short cluster at the end */
    write_disk(s, 1, 9, 3, 3, true);
    write_disk(s, 0, 16, 0, 8, true); /* zeros, where the image has none */
    s->fails = true;
    write_disk(s, 0, 8, 4, 8, false);
    s->fails = false;
    assert_true(ram_write(&s->machine.ram, 5000, "memory", 6));
    digests[0] = digest_now(s);
    take(s, writer, 0, true);
    write_disk(s, 0, 8, 5, 8, true);
    digests[1] = digest_now(s);
    take(s, writer, 1, false);
    write_disk(s, 1, 40, 6, 8, true);
    digests[2] = digest_now(s);
    take(s, writer, 2, false);
    log_finish(writer);
    for (uint32_t id = 0; id < 3; id++) {
        struct specimen *copy = restore_like(&sink, id, digests[id]);
        assert_int_equal(disk_read(&copy->machine.disks[0], 8, bytes, 8), id > 0);
        assert_true(disk_read(&copy->machine.disks[0], 16, bytes, 8) && bytes[100] == 0);
        assert_true(disk_read(&copy->machine.disks[0], 80, bytes, 1) && bytes[100] == 2);
        assert_true(disk_read(&copy->machine.disks[1], 8, bytes, 8) && bytes[0] == 0x77 && bytes[DISK_SECTOR] == 3);
        assert_int_equal(copy->machine.disks[1].written, id == 2 ? 2 : 1);
        specimen_free(copy);
    }
    bytes_writer_free(&sink.bytes);
    specimen_free(s);
}

/* Runs longer than one can be (RUN_LENGTH_MAX), of pages with bytes and of zeros, in data of several frames: whatever
 * was read is used before it goes away. */
static void long_runs(void **state)
{
    struct specimen *s = specimen_new(true);
    struct digest digests[2];
    struct test_sink sink;

    (void)state;
    struct log_writer *writer = log_begin(&sink);
    struct ram *ram = &s->machine.ram;
    for (uint64_t page = 10; page < 240; page++) {
        uint8_t bytes[RAM_PAGE_SIZE];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(page * 31 + i * i + (i >> 8));
        assert_true(ram_write(ram, page << RAM_PAGE_SHIFT, bytes, sizeof bytes));
    }
    digests[0] = digest_now(s);
    take(s, writer, 0, true);
    for (uint64_t page = 20; page < 220; page++) {
        static const uint8_t zeros[RAM_PAGE_SIZE];
        assert_true(ram_write(ram, page << RAM_PAGE_SHIFT, zeros, sizeof zeros));
    }
    digests[1] = digest_now(s);
    take(s, writer, 1, false);
    log_finish(writer);
    for (uint32_t id = 0; id < 2; id++)
        specimen_free(restore_like(&sink, id, digests[id]));
    bytes_writer_free(&sink.bytes);
    specimen_free(s);
}

/* The data of a whole checkpoint of a machine with something on its disks; the caller frees them. */
static struct bytes_writer sample_data(struct digest *digest)
{
    struct specimen *s = specimen_new(true);
    struct bytes_writer data = bytes_writer(1 << 24);
    struct test_sink sink;
    struct error error;

    struct log_writer *writer = log_begin(&sink);
    write_disk(s, 0, 0, 1, 8, true);
    write_disk(s, 1, 80, 3, 1, true);
    s->fails = true;
    write_disk(s, 0, 0, 4, 8, false);
    *digest = digest_now(s);
    take(s, writer, 0, true);
    log_finish(writer);
    struct log_memory memory = {.bytes = sink.bytes.data, .length = sink.bytes.length};
    struct log_source source = log_source_memory(&memory);
    struct log_reader *reader = log_reader_open_source(&source, "test.enc", false, &error);
    assert_non_null(reader);
    assert_int_equal(log_reader_checkpoint(reader, 0, &data, &error), 0);
    log_reader_close(reader);
    bytes_writer_free(&sink.bytes);
    specimen_free(s);
    return data;
}

/* Whether a log whose checkpoint has these data can be restored, with the words if not. */
static bool accepted(const uint8_t *data, size_t length, struct digest digest, struct error *error)
{
    struct log_record record = {.type = LOG_CHECKPOINT, .parent = LOG_NO_PARENT, .digest = digest};
    struct test_sink sink;

    struct log_writer *writer = log_begin(&sink);
    assert_int_equal(log_writer_checkpoint_begin(writer, error), 0);
    assert_int_equal(log_writer_checkpoint_write(writer, data, length, error), 0);
    assert_int_equal(log_writer_checkpoint_end(writer, &record, error), 0);
    log_finish(writer);
    struct specimen *s = restore(&sink, 0, error);
    bool good = s != NULL;
    if (s)
        specimen_free(s);
    bytes_writer_free(&sink.bytes);
    return good;
}

static void every_truncation_is_refused(void **state)
{
    struct digest digest;
    struct bytes_writer data = sample_data(&digest);
    struct error error;

    (void)state;
    assert_true(accepted(data.data, data.length, digest, &error));
    for (size_t length = 0; length < data.length; length += length < 200 || length + 200 > data.length ? 1 : 37) {
        assert_false(accepted(data.data, length, digest, &error));
        assert_int_equal(error.kind, ERROR_INPUT);
    }
    bytes_writer_free(&data);
}

/* Whether the byte is in a field that is no part of the machine's digest: what has passed the door, and the engine's
 * ticks, since engines differ in what they count. (A log's frames have checksums besides.) */
static bool is_beside_the_machine(const struct bytes_writer *data, size_t at)
{
    static const char *const sections[] = {"\7outputs", "\6inputs", "\6engine"};

    for (unsigned i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        const uint8_t *section = memmem(data->data, data->length, sections[i], strlen(sections[i]));
        assert_non_null(section);
        size_t fields = (size_t)(section - data->data) + strlen(sections[i]) + 6;
        if (at >= fields && at < fields + bytes_load(data->data + fields - 4, 4))
            return true;
    }
    return false;
}

static void changed_bytes_are_refused(void **state)
{
    struct digest digest;
    struct bytes_writer data = sample_data(&digest);
    struct dice dice = {.state = 4};
    struct error error;

    (void)state;
    for (unsigned i = 0; i < 400; i++) {
        size_t at = i < 40 ? i : dice_below(&dice, data.length);
        uint8_t change = (uint8_t)(1 + dice_below(&dice, 255));
        if (is_beside_the_machine(&data, at))
            continue;
        data.data[at] ^= change;
        if (accepted(data.data, data.length, digest, &error))
            fail_msg("byte %zu may be another", at);
        data.data[at] ^= change;
    }
    bytes_writer_free(&data);
}

/* Lists that say what cannot be: `lists` come before the state, where there would be none but an empty one of pages. */
static void expect_refusal(const char *words, const uint8_t *lists, size_t length)
{
    struct bytes_writer data = bytes_writer(1 << 16);
    struct error error = {.kind = ERROR_NONE};

    bytes_put_varint(&data, 3);
    bytes_put(&data, lists, length);
    bytes_put(&data, "\0\0\0\0\0\0\0", 7);
    assert_false(accepted(data.data, data.length, (struct digest){0}, &error));
    if (!strstr(error.text, words))
        fail_msg("'%s' does not say '%s'", error.text, words);
    bytes_writer_free(&data);
}

#define REFUSE(words, ...)                                                                                             \
    do {                                                                                                               \
        const uint8_t lists_[] = {__VA_ARGS__};                                                                        \
        expect_refusal(words, lists_, sizeof lists_);                                                                  \
    } while (0)

static void lists_of_what_cannot_be(void **state)
{
    /* A run of five clusters of disk 1. */
    static const uint8_t clusters[6 + 5 * DISK_CLUSTER + 2] = {0, 2, 1, 1, 1, 5};

    (void)state;
    REFUSE("outside", 0x81, 0x02, 0, 1);             /* page 256 of 256 */
    REFUSE("outside", 0x80, 0x02, 0, 1, 0x01, 0, 1); /* page 255, and one more */
    REFUSE("outside", 0x80, 0x02, 0, 2);             /* ... in one run */
    REFUSE("outside", 1, 0, 0x81, 0x02);
    REFUSE("outside", 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
    REFUSE("lists are damaged", 1, 2, 1); /* a page that is lost */
    REFUSE("lists are damaged", 1, 0, 0); /* a run of nothing */
    REFUSE("lists are damaged", 0, 3);    /* what follows is not known */
    REFUSE("no such disk", 0, 2, 2);
    REFUSE("outside", 0, 2, 0, 12, 0, 1); /* cluster 11 of 11 */
    REFUSE("outside", 0, 2, 0, 11, 0, 2);
    REFUSE("lists are damaged", 0, 2, 0, 1, 3, 1);
    /* More than the quota of four clusters. */
    expect_refusal("more is written to it than may be", clusters, sizeof clusters);
}

static void mentions_are_counted(void **state)
{
    struct bytes_writer lists = bytes_writer(1 << 16);
    struct specimen *s = specimen_new(true);
    uint64_t limit = CHECKPOINT_CLUSTERS_MAX(&s->machine.disks[0]);

    (void)state;
    specimen_free(s);
    bytes_put(&lists, "\0", 1);
    for (uint64_t i = 0; i <= limit; i++)
        bytes_put(&lists, "\2\0\1\2\1\0", 6); /* a list of disk 0: cluster 0 is lost */
    expect_refusal("mentions more than", lists.data, lists.length);
    bytes_writer_free(&lists);
}

static void an_overlay_of_somebody_else_stops_it(void **state)
{
    struct specimen *s = specimen_new(true);
    struct test_sink sink;
    struct error error;

    (void)state;
    struct log_writer *writer = log_begin(&sink);
    write_disk(s, 0, 0, 1, 8, true);
    digest_now(s);
    s->overlays[0][7] ^= 1;
    assert_int_equal(log_writer_checkpoint_begin(writer, &error), 0);
    assert_int_equal(checkpoint_save(&s->machine, &s->traffic, true, write_piece, writer, &error), -1);
    assert_int_equal(error.kind, ERROR_HOST);
    log_writer_free(writer);
    bytes_writer_free(&sink.bytes);
    specimen_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carried_from_machine_to_machine),
        cmocka_unit_test(long_runs),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(changed_bytes_are_refused),
        cmocka_unit_test(lists_of_what_cannot_be),
        cmocka_unit_test(mentions_are_counted),
        cmocka_unit_test(an_overlay_of_somebody_else_stops_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
