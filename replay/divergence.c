/* See divergence.h. */
#include "replay/divergence.h"

#include <inttypes.h>
#include <string.h>

#include "replay/checkpoint.h"

void divergence_note(struct divergence *divergence, const struct log_record *record, struct log_place place,
                     const char *expected, const char *got)
{
    if (divergence->happened)
        return;
    divergence->happened = true;
    divergence->checkpoint = record->id;
    divergence->place = place;
    record_text(record, divergence->record);
    snprintf(divergence->expected, sizeof divergence->expected, "%s", expected);
    snprintf(divergence->got, sizeof divergence->got, "%s", got);
}

void divergence_note_input(struct divergence *divergence, const struct log_record *record)
{
    record_text(record, divergence->inputs[divergence->input_count % DIVERGENCE_INPUTS]);
    divergence->input_count++;
}

static int compare_page(void *context, struct machine *machine, uint64_t page, const uint8_t *bytes,
                        struct error *error)
{
    struct divergence *divergence = context;
    const uint8_t *ours = machine->ram.bytes + (page << RAM_PAGE_SHIFT);

    (void)error;
    if (bytes ? memcmp(ours, bytes, RAM_PAGE_SIZE) == 0 : page_is_zero(ours))
        return 0;
    if (divergence->page_count < DIVERGENCE_PAGES)
        divergence->pages[divergence->page_count] = page;
    divergence->page_count++;
    return 0;
}

static int compare_cluster(void *context, struct disk *disk, uint64_t cluster, const uint8_t *bytes,
                           struct error *error)
{
    struct divergence *divergence = context;
    enum disk_cluster ours = disk_cluster(disk, cluster);

    (void)error;
    if (bytes ? ours != DISK_CLUSTER_BYTES ||
                    !digest_equal(disk_cluster_digest(disk, cluster, bytes), disk->digests[cluster])
              : ours != DISK_CLUSTER_LOST) {
        if (divergence->cluster_count++ == 0)
            divergence->cluster = cluster, divergence->disk = disk->number;
    }
    return 0;
}

/* The processor's section is the first: a visit that stops after it has seen all it needs. */
static int take_registers(void *context, struct machine *machine, const uint8_t *sections, size_t length,
                          struct error *error)
{
    struct divergence *divergence = context;
    struct state state = state_restore(sections, length);

    (void)machine;
    cpu_state_visit(&divergence->registers, &state);
    if (state.bad)
        *error = state.error;
    return state.bad ? -1 : 0;
}

void divergence_compare(struct divergence *divergence, struct machine *machine, struct log_reader *reader)
{
    const struct checkpoint_visitor compare = {
        .context = divergence, .page = compare_page, .cluster = compare_cluster, .state = take_registers};
    struct error ignored;

    divergence->has_registers = checkpoint_visit(machine, reader, divergence->checkpoint, &compare, &ignored) == 0;
}

const char *divergence_stop_text(enum engine_stop stop)
{
    switch (stop) {
    case ENGINE_STOP_HALT:
        return "the guest halted, and no interrupt was due";
    case ENGINE_STOP_SHUTDOWN:
        return "the guest triple-faulted";
    case ENGINE_STOP_FAULT:
        return "the engine could not execute the guest";
    case ENGINE_STOP_MISSED:
        return "the guest went past it";
    case ENGINE_STOP_POSITION:
    case ENGINE_STOP_TICK:
    case ENGINE_STOP_STEP:
    case ENGINE_STOP_BREAK:
    case ENGINE_STOP_ALARM:
    case ENGINE_STOP_OVERSHOT:
    case ENGINE_STOP_KICK:
    case ENGINE_STOP_REQUESTED:
    case ENGINE_STOP_ERROR:
        break;
    }
    return "the guest ended the run";
}

static void print_side_by_side(const struct divergence *divergence, struct machine *machine, FILE *stream)
{
    const struct cpu_state *log = &divergence->registers;
    struct cpu_state ours;
    struct error error;

    if (engine_get_cpu(machine->engine, &ours, &error) < 0) {
        fprintf(stream, "  the registers cannot be read: %s\n", error.text);
        return;
    }
    fprintf(stream, "  %-7s %-18s %-18s\n", "", "log", "replay");
    for (unsigned i = 0; i < CPU_GPRS + 5; i++) {
        const struct {
            const char *name;
            uint64_t log, ours;
        } others[] = {{"rip", log->rip, ours.rip},
                      {"rflags", log->rflags, ours.rflags},
                      {"cr0", log->cr0, ours.cr0},
                      {"cr2", log->cr2, ours.cr2},
                      {"cr3", log->cr3, ours.cr3}};
        const char *name = i < CPU_GPRS ? cpu_gpr_names[i] : others[i - CPU_GPRS].name;
        uint64_t a = i < CPU_GPRS ? log->gprs[i] : others[i - CPU_GPRS].log;
        uint64_t b = i < CPU_GPRS ? ours.gprs[i] : others[i - CPU_GPRS].ours;
        fprintf(stream, "  %-7s 0x%016" PRIx64 " 0x%016" PRIx64 "%s\n", name, a, b, a == b ? "" : "  <-- differs");
    }
    if (digest_equal(cpu_state_digest(log), cpu_state_digest(&ours)))
        fprintf(stream, "  the whole processor state is the same\n");
    else
        fprintf(stream, "  the processor state differs\n");
}

static void print_pages(const struct divergence *divergence, FILE *stream)
{
    if (divergence->page_count == 0) {
        fprintf(stream, "pages: none of those in the checkpoint differ\n");
        return;
    }
    fprintf(stream, "pages that differ (%" PRIu64 " of those in the checkpoint):", divergence->page_count);
    for (uint64_t i = 0; i < divergence->page_count && i < DIVERGENCE_PAGES; i++)
        fprintf(stream, " 0x%" PRIx64, divergence->pages[i] << RAM_PAGE_SHIFT);
    fprintf(stream, "%s\n", divergence->page_count > DIVERGENCE_PAGES ? " ..." : "");
}

static void print_clusters(const struct divergence *divergence, FILE *stream)
{
    if (divergence->cluster_count)
        fprintf(stream,
                "disks: %" PRIu64 " clusters of those in the checkpoint differ, the first at 0x%" PRIx64
                " of disk %u\n",
                divergence->cluster_count, divergence->cluster << DISK_CLUSTER_SHIFT, divergence->disk);
}

static void print_inputs(const struct divergence *divergence, FILE *stream)
{
    uint64_t count = divergence->input_count < DIVERGENCE_INPUTS ? divergence->input_count : DIVERGENCE_INPUTS;

    fprintf(stream, "last inputs before it%s\n", count ? ":" : ": none");
    for (uint64_t i = divergence->input_count - count; i < divergence->input_count; i++)
        fprintf(stream, "  %s\n", divergence->inputs[i % DIVERGENCE_INPUTS]);
}

void divergence_print(const struct divergence *divergence, struct machine *machine, FILE *stream)
{
    fprintf(stream, "the replay diverged at record %" PRIu64 " (frame %" PRIu64 ", offset %" PRIu64 " of the log)\n",
            divergence->place.record, divergence->place.frame, divergence->place.offset);
    fprintf(stream, "  record:   %s\n", divergence->record);
    fprintf(stream, "  expected: %s\n", divergence->expected);
    fprintf(stream, "  got:      %s\n", divergence->got);
    fprintf(stream, "registers at exit %" PRIu64 ":\n", machine->engine->exits);
    if (divergence->has_registers) {
        print_side_by_side(divergence, machine, stream);
        print_pages(divergence, stream);
        print_clusters(divergence, stream);
    } else {
        machine_print_registers(machine, stream);
    }
    print_inputs(divergence, stream);
}
