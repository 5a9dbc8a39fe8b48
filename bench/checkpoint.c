/*
 * How long a checkpoint holds the guest up, and how long it takes to restore one.
 *
 *     checkpoint ENGINE IMAGE LOG MEGABYTES TOUCHED_MEGABYTES text|random
 *
 * Boots IMAGE and runs it until it halts; then writes TOUCHED_MEGABYTES of its memory and takes a whole checkpoint into
 * LOG, through the writer and the file that `encore record` uses, with the same steps as replay/recorder_inputs.c; then
 * writes as much again and takes one that holds only the changes. Last it restores both, each into a machine that is
 * fresh. `text` is memory that LZ4 halves or better, `random` memory that it cannot make smaller. What is timed:
 *   whole, incremental   digest of the machine, pages compressed and written: the guest's pause
 *   restore, restore_2   checkpoint_restore of the first, and of the second with its parent: reading, checking,
 *                        decompressing, and the digest of all memory compared
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "bench/bench_guest.h"
#include "logs/file_sink.h"
#include "replay/checkpoint.h"
#include "vmm/host/clock.h"

#define MEGABYTE UINT64_C(1048576)

/* Above what the guest itself uses. */
#define TOUCHED_AT (4 * MEGABYTE)

/* A small generator, so that every run writes the same (Marsaglia, "Xorshift RNGs", 2003). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* As a table of records in a guest's memory might look: some text, some numbers, some room. */
static void fill_text(uint8_t *page, uint64_t *random)
{
    for (size_t at = 0; at < RAM_PAGE_SIZE; at += 64) {
        char line[64] = {0};
        uint64_t number = next_random(random);
        snprintf(line, sizeof line, "user%06u balance=%08x state=active", (unsigned)(number % 1000000),
                 (unsigned)(number >> 32));
        memcpy(page + at, line, sizeof line);
    }
}

static void fill_random(uint8_t *page, uint64_t *random)
{
    for (size_t at = 0; at < RAM_PAGE_SIZE; at += 8) {
        uint64_t number = next_random(random);
        memcpy(page + at, &number, sizeof number);
    }
}

static void touch(struct ram *ram, uint64_t megabytes, bool text, uint64_t seed)
{
    uint8_t page[RAM_PAGE_SIZE];
    uint64_t random = seed;

    for (uint64_t at = 0; at < megabytes * MEGABYTE; at += RAM_PAGE_SIZE) {
        text ? fill_text(page, &random) : fill_random(page, &random);
        CHECK(ram_write(ram, TOUCHED_AT + at, page, sizeof page));
    }
}

static int write_piece(void *context, const void *bytes, size_t length, struct error *error)
{
    return log_writer_checkpoint_write(context, bytes, length, error);
}

/* The steps of the recorder's take_checkpoint; returns their time. */
static uint64_t take(struct machine *machine, struct log_writer *writer, uint32_t id, bool whole)
{
    struct traffic traffic = {0};
    struct error error;
    uint64_t start = host_clock_now();
    struct log_record record = {.type = LOG_CHECKPOINT,
                                .at = position_at_exit(machine->engine->exits),
                                .id = id,
                                .parent = whole ? LOG_NO_PARENT : id - 1};

    if (machine_digest(machine, &record.digest, &error) < 0 || log_writer_checkpoint_begin(writer, &error) < 0 ||
        checkpoint_save(machine, &traffic, whole, write_piece, writer, &error) < 0 ||
        log_writer_checkpoint_end(writer, &record, &error) < 0)
        bench_fail("checkpoint", &error);
    page_digests_forget_changes(&machine->digests, &machine->ram);
    return host_clock_now() - start;
}

static void save_both(struct guest *guest, const char *path, uint64_t megabytes, bool text)
{
    struct machine *machine = &guest->machine;
    struct log_header header = {.machine = (char[]){"{}"}};
    struct error error;
    struct file_sink *file = file_sink_create(NULL, path, true, FILE_SINK_PAGE_CACHE, &error);

    if (!file)
        bench_fail("log", &error);
    struct log_sink sink = file_sink_sink(file);
    struct log_writer *writer = log_writer_create(&sink, &header, NULL, &error);
    if (!writer)
        bench_fail("log", &error);
    touch(&machine->ram, megabytes, text, 1);
    uint64_t before = log_writer_counters(writer)->stored_bytes;
    bench_print_ms("whole", take(machine, writer, 0, true));
    printf("whole_bytes %llu\n", (unsigned long long)(log_writer_counters(writer)->stored_bytes - before));
    touch(&machine->ram, megabytes, text, 2);
    before = log_writer_counters(writer)->stored_bytes;
    bench_print_ms("incremental", take(machine, writer, 1, false));
    printf("incremental_bytes %llu\n", (unsigned long long)(log_writer_counters(writer)->stored_bytes - before));
    const struct log_record end = {.type = LOG_END, .at = position_at_exit(machine->engine->exits)};
    if (log_writer_append(writer, &end, &error) < 0 || log_writer_close(writer, &error) < 0)
        bench_fail("log", &error);
    log_writer_free(writer);
    if (file_sink_close(file, &error) < 0)
        bench_fail("log", &error);
}

static void restore(const char *engine, const char *path, uint64_t ram_size, uint32_t id, const char *name)
{
    struct traffic traffic = {0};
    struct guest guest;
    struct error error;

    bench_guest_create(&guest, engine, ram_size, NULL, NULL);
    struct log_reader *reader = log_reader_open(NULL, path, false, &error);
    if (!reader)
        bench_fail("log", &error);
    uint64_t start = host_clock_now();
    if (checkpoint_restore(&guest.machine, &traffic, reader, id, &error) < 0)
        bench_fail("restore", &error);
    bench_print_ms(name, host_clock_now() - start);
    log_reader_close(reader);
    guest_free(&guest);
}

int main(int argc, char **argv)
{
    struct error error = {0};
    struct guest guest;

    if (argc != 7) {
        fprintf(stderr, "usage: checkpoint ENGINE IMAGE LOG MEGABYTES TOUCHED_MEGABYTES text|random\n");
        return 2;
    }
    uint64_t ram_size = strtoull(argv[4], NULL, 10) * MEGABYTE;
    uint64_t touched = strtoull(argv[5], NULL, 10);
    bench_guest_create(&guest, argv[1], ram_size, argv[2], NULL);
    if (touched * MEGABYTE + TOUCHED_AT > ram_size || guest_boot(&guest, &error) < 0)
        bench_fail("boot", &error);
    if (machine_run(&guest.machine, NULL, &error) != ENGINE_STOP_HALT)
        bench_fail("the guest did not come to a halt", &error);
    save_both(&guest, argv[3], touched, strcmp(argv[6], "text") == 0);
    guest_free(&guest);
    restore(argv[1], argv[3], ram_size, 0, "restore");
    restore(argv[1], argv[3], ram_size, 1, "restore_2");
    return 0;
}
