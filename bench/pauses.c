/*
 * `encore` with a stopwatch: how long each checkpoint of a recording holds the guest up, and how long it takes from a
 * checkpoint to a machine that runs.
 *
 *     pauses COMMAND ARGUMENT...     (as for encore, with PAUSES=FILE in the environment)
 *
 * The linker puts these functions before the product's own (ld --wrap), which so need not know that they are measured.
 * Into FILE go the lines
 *   whole MS, changes MS   from the digest that a checkpoint begins with to the end of writing it: the guest's pause
 *   restore MS             from the start of checkpoint_restore to the first execution of the guest
 */
#include <stdio.h>
#include <stdlib.h>

#include "logs/writer.h"
#include "replay/checkpoint.h"
#include "vmm/host/clock.h"

int __real_machine_digest(struct machine *machine, struct digest *digest, struct error *error);
int __wrap_machine_digest(struct machine *machine, struct digest *digest, struct error *error);
int __real_log_writer_checkpoint_end(struct log_writer *writer, const struct log_record *record, struct error *error);
int __wrap_log_writer_checkpoint_end(struct log_writer *writer, const struct log_record *record, struct error *error);
int __real_checkpoint_restore(struct machine *machine, struct traffic *traffic, struct log_reader *reader, uint32_t id,
                              struct error *error);
int __wrap_checkpoint_restore(struct machine *machine, struct traffic *traffic, struct log_reader *reader, uint32_t id,
                              struct error *error);
enum engine_stop __real_machine_run(struct machine *machine, const struct engine_stops *stops, struct error *error);
enum engine_stop __wrap_machine_run(struct machine *machine, const struct engine_stops *stops, struct error *error);

/* The functions wrapped hand nothing of ours on, so when they began stands here. 0: no such thing is under way. */
static uint64_t digest_began, restore_began;

static void print(const char *what, uint64_t began)
{
    const char *path = getenv("PAUSES");
    FILE *stream = path ? fopen(path, "a") : NULL;

    if (!stream)
        return;
    fprintf(stream, "%s %.3f\n", what, (double)(host_clock_now() - began) / 1e6);
    fclose(stream);
}

int __wrap_machine_digest(struct machine *machine, struct digest *digest, struct error *error)
{
    digest_began = host_clock_now();
    return __real_machine_digest(machine, digest, error);
}

int __wrap_log_writer_checkpoint_end(struct log_writer *writer, const struct log_record *record, struct error *error)
{
    int result = __real_log_writer_checkpoint_end(writer, record, error);

    print(record->parent == LOG_NO_PARENT ? "whole" : "changes", digest_began);
    return result;
}

int __wrap_checkpoint_restore(struct machine *machine, struct traffic *traffic, struct log_reader *reader, uint32_t id,
                              struct error *error)
{
    restore_began = host_clock_now();
    return __real_checkpoint_restore(machine, traffic, reader, id, error);
}

enum engine_stop __wrap_machine_run(struct machine *machine, const struct engine_stops *stops, struct error *error)
{
    if (restore_began)
        print("restore", restore_began);
    restore_began = 0;
    return __real_machine_run(machine, stops, error);
}
