/* See checkpoint.h. */
#include "replay/checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "replay/checkpoint_layout.h"
#include "vmm/host/page_filler.h"

static void visit_all(struct machine *machine, struct traffic *traffic, struct cpu_state *cpu, uint64_t *ticks,
                      struct state *state)
{
    machine_visit(machine, cpu, state);
    outputs_state(&traffic->outputs, state);
    inputs_state(&traffic->inputs, state);
    /* Not in the digest: engines differ in what they count. */
    state_section(state, "engine", 2);
    state_u64(state, "ticks", ticks);
    state_u64(state, "now_ticks", &machine->now_ticks);
    state_u64(state, "time_seen", &machine->time_seen);
    state_require(state, machine->now_ticks <= *ticks, "now_ticks is not beyond ticks");
}

static int get_processor(struct machine *machine, struct cpu_state *cpu, uint64_t *ticks, struct error *error)
{
    *ticks = 0;
    if (engine_get_cpu(machine->engine, cpu, error) < 0)
        return -1;
    return machine->engine->caps.ticks ? engine_get_ticks(machine->engine, ticks, error) : 0;
}

static int save_state(struct machine *machine, struct traffic *traffic, struct bytes_writer *out, struct error *error)
{
    struct bytes_writer sections = bytes_writer(CHECKPOINT_STATE_MAX);
    struct state state = state_save(&sections);
    struct cpu_state cpu;
    uint64_t ticks;
    int result = -1;

    if (get_processor(machine, &cpu, &ticks, error) == 0) {
        visit_all(machine, traffic, &cpu, &ticks, &state);
        if (state_end(&state, error) == 0) {
            bytes_put_varint(out, sections.length);
            bytes_put(out, sections.data, sections.length);
            result = out->failed ? error_set(error, ERROR_HOST, "out of memory") : 0;
        }
    }
    bytes_writer_free(&sections);
    return result;
}

struct checkpoint_writer checkpoint_writer(checkpoint_write_fn *write, void *context)
{
    struct checkpoint_writer writer = {
        .piece = bytes_writer(CHECKPOINT_PIECE + 2 * CHECKPOINT_STATE_MAX), .write = write, .context = context};

    bytes_put_varint(&writer.piece, CHECKPOINT_VERSION);
    return writer;
}

void checkpoint_writer_free(struct checkpoint_writer *writer)
{
    bytes_writer_free(&writer->piece);
}

static int write_piece(struct checkpoint_writer *writer, struct error *error)
{
    if (writer->piece.failed)
        return error_set(error, ERROR_HOST, "out of memory");
    int result = writer->write(writer->context, writer->piece.data, writer->piece.length, error);
    bytes_writer_clear(&writer->piece);
    writer->run = 0;
    return result;
}

/* What was listed last was number *next - 1 of list *list. Makes it possible to list `number` of `list` next. */
static void open_list(struct checkpoint_writer *writer, unsigned list, uint64_t number)
{
    if (list == writer->list && number >= writer->next)
        return;
    /* A list rises; here begins another. */
    bytes_put_varint(&writer->piece, 0);
    bytes_put_uint(&writer->piece, 1, list == 0 ? PAGES_FOLLOW : CLUSTERS_FOLLOW);
    if (list > 0)
        bytes_put_uint(&writer->piece, 1, list - 1);
    writer->list = list;
    writer->next = 0;
    writer->run = 0;
}

/* Makes the last run longer by one, or begins another. */
static void extend_run(struct checkpoint_writer *writer, uint64_t number, enum run_kind kind)
{
    struct bytes_writer *piece = &writer->piece;
    uint8_t *length = writer->run && !piece->failed ? piece->data + writer->run : NULL;

    if (length && number == writer->next && length[-1] == kind && *length < RUN_LENGTH_MAX) {
        ++*length;
        return;
    }
    bytes_put_varint(piece, number + 1 - writer->next);
    bytes_put_uint(piece, 1, kind);
    writer->run = piece->length;
    bytes_put_uint(piece, 1, 1);
}

/* One more page or cluster; without bytes for the kinds that have none. */
static int put_entry(struct checkpoint_writer *writer, unsigned list, uint64_t number, enum run_kind kind,
                     const uint8_t *bytes, size_t length, struct error *error)
{
    open_list(writer, list, number);
    extend_run(writer, number, kind);
    if (kind == RUN_BYTES)
        bytes_put(&writer->piece, bytes, length);
    writer->next = number + 1;
    writer->entries[list]++;
    return writer->piece.length < CHECKPOINT_PIECE ? 0 : write_piece(writer, error);
}

int checkpoint_writer_page(struct checkpoint_writer *writer, const struct ram *ram, uint64_t page, struct error *error)
{
    const uint8_t *bytes = ram->bytes + (page << RAM_PAGE_SHIFT);

    return put_entry(writer, 0, page, page_is_zero(bytes) ? RUN_ZERO : RUN_BYTES, bytes, RAM_PAGE_SIZE, error);
}

int checkpoint_writer_cluster(struct checkpoint_writer *writer, const struct disk *disk, uint64_t cluster,
                              struct error *error)
{
    _Static_assert(DISK_CLUSTER == RAM_PAGE_SIZE, "one question for zeros does for both");
    bool lost = disk_cluster(disk, cluster) == DISK_CLUSTER_LOST;
    uint8_t bytes[DISK_CLUSTER] = {0};

    if (!lost && disk_save_cluster(disk, cluster, bytes, error) < 0)
        return -1;
    return put_entry(writer, disk->number + 1, cluster,
                     lost                  ? RUN_LOST
                     : page_is_zero(bytes) ? RUN_ZERO
                                           : RUN_BYTES,
                     bytes, disk_cluster_length(disk, cluster), error);
}

int checkpoint_writer_end(struct checkpoint_writer *writer, struct machine *machine, struct traffic *traffic,
                          struct error *error)
{
    bytes_put_varint(&writer->piece, 0);
    bytes_put_uint(&writer->piece, 1, STATE_FOLLOWS);
    if (save_state(machine, traffic, &writer->piece, error) < 0)
        return -1;
    return write_piece(writer, error);
}

static bool page_wanted(const struct machine *machine, uint64_t page, bool whole)
{
    if (!whole)
        return machine->digests.changed[page / 64] >> page % 64 & 1;
    const struct digest digest = machine->digests.pages[page];
    return digest.low || digest.high;
}

static int save_disk(struct checkpoint_writer *writer, const struct disk *disk, bool whole, struct error *error)
{
    const uint64_t *wanted = whole ? disk->present : disk->changed;

    for (size_t word = 0; word < disk->words; word++) {
        for (uint64_t bits = wanted[word]; bits; bits &= bits - 1) {
            uint64_t cluster = word * 64 + (unsigned)__builtin_ctzll(bits);
            if (checkpoint_writer_cluster(writer, disk, cluster, error) < 0)
                return -1;
        }
    }
    return 0;
}

int checkpoint_save(struct machine *machine, struct traffic *traffic, bool whole, checkpoint_write_fn *write,
                    void *context, struct error *error)
{
    struct checkpoint_writer writer = checkpoint_writer(write, context);
    int result = 0;

    for (uint64_t page = 0; result == 0 && page < machine->ram.size >> RAM_PAGE_SHIFT; page++) {
        if (page_wanted(machine, page, whole))
            result = checkpoint_writer_page(&writer, &machine->ram, page, error);
    }
    for (unsigned i = 0; result == 0 && i < machine->disk_count; i++)
        result = save_disk(&writer, &machine->disks[i], whole, error);
    if (result == 0)
        result = checkpoint_writer_end(&writer, machine, traffic, error);
    checkpoint_writer_free(&writer);
    return result;
}

/* What restoring takes. */
struct restore {
    struct machine *machine;
    struct traffic *traffic;
    struct page_filler filler;
};

static void note_pages(void *context, size_t offset, size_t length)
{
    struct machine *machine = ((struct restore *)context)->machine;

    ram_mark(&machine->ram, offset, length);
    page_digests_update_some(&machine->digests, &machine->ram, offset >> RAM_PAGE_SHIFT, length >> RAM_PAGE_SHIFT);
}

static int apply_page(void *context, struct machine *machine, uint64_t page, const uint8_t *bytes, struct error *error)
{
    _Static_assert(FILLER_PAGE == RAM_PAGE_SIZE, "pages are put as they stand in a checkpoint");
    struct restore *restore = context;

    (void)error;
    CHECK(page < machine->ram.size >> RAM_PAGE_SHIFT);
    page_filler_put(&restore->filler, page << RAM_PAGE_SHIFT, bytes);
    return 0;
}

static int apply_cluster(void *context, struct disk *disk, uint64_t cluster, const uint8_t *bytes, struct error *error)
{
    struct restore *restore = context;

    page_filler_flush(&restore->filler);
    return disk_load_cluster(disk, cluster, bytes, error);
}

static int apply_state(void *context, struct machine *machine, const uint8_t *sections, size_t length,
                       struct error *error)
{
    struct restore *restore = context;
    struct cpu_state cpu = {0};
    uint64_t ticks = 0;
    struct state state = state_restore(sections, length);

    page_filler_flush(&restore->filler);
    visit_all(machine, restore->traffic, &cpu, &ticks, &state);
    if (state_end(&state, error) < 0)
        return -1;
    if (!machine->engine->caps.tick_time)
        machine->now_ticks = 0;
    return engine_set_cpu(machine->engine, &cpu, ticks, error);
}

/* Pages are written from where they stand in what was read. */
static void write_pages(void *context)
{
    page_filler_write(&((struct restore *)context)->filler);
}

static const struct log_checkpoint *find(const struct log_checkpoint *list, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].record.id == id)
            return &list[i];
    }
    return NULL;
}

/* The ids from `id` up to its ancestor without a parent, the youngest first. Returns how many, or -1. */
static int find_chain(struct log_reader *reader, uint32_t id, uint32_t *chain, struct digest *digest,
                      struct error *error)
{
    const struct log_checkpoint *list;
    size_t count;
    int length = 0;

    if (log_reader_checkpoints(reader, &list, &count, error) < 0)
        return -1;
    for (uint32_t next = id; next != LOG_NO_PARENT; length++) {
        const struct log_checkpoint *found = find(list, count, next);
        if (!found)
            return error_set(error, ERROR_INPUT, "the log holds no checkpoint %" PRIu32, next);
        if (length == CHECKPOINT_CHAIN_MAX)
            return error_set(error, ERROR_INPUT, "checkpoint %" PRIu32 " has too many parents", id);
        if (length == 0)
            *digest = found->record.digest;
        chain[length] = next;
        next = found->record.parent;
    }
    return length;
}

/* The checkpoints of the chain, the oldest, which is its last, first. Each ends with its state, so no page waits after
 * it. */
static int apply_chain(struct machine *machine, struct traffic *traffic, struct log_reader *reader,
                       const uint32_t *chain, int length, struct error *error)
{
    struct restore restore = {.machine = machine, .traffic = traffic};
    const struct checkpoint_visitor apply = {.context = &restore,
                                             .page = apply_page,
                                             .cluster = apply_cluster,
                                             .state = apply_state,
                                             .bytes_go = write_pages};
    int result = 0;

    if (!page_filler_create(&restore.filler, machine->ram.bytes, machine->ram.size, note_pages, &restore))
        return error_set(error, ERROR_HOST, "out of memory for restoring a checkpoint");
    while (result == 0 && length-- > 0)
        result = checkpoint_visit(machine, reader, chain[length], &apply, error);
    page_filler_destroy(&restore.filler);
    return result;
}

int checkpoint_restore(struct machine *machine, struct traffic *traffic, struct log_reader *reader, uint32_t id,
                       struct error *error)
{
    uint32_t chain[CHECKPOINT_CHAIN_MAX];
    struct digest expected = {0}, found;
    int length = find_chain(reader, id, chain, &expected, error);

    if (length < 0 || apply_chain(machine, traffic, reader, chain, length, error) < 0)
        return -1;
    machine_look_at_interrupts(machine);
    if (machine_digest(machine, &found, error) < 0)
        return -1;
    if (!digest_equal(found, expected))
        return error_set(error, ERROR_INPUT, "checkpoint %" PRIu32 " does not restore to its own digest", id);
    machine_forget_changes(machine);
    return log_reader_seek_checkpoint(reader, id, error);
}

int checkpoint_print(struct machine *machine, struct traffic *traffic, FILE *stream, struct error *error)
{
    struct state state = state_print(stream);
    struct cpu_state cpu;
    uint64_t ticks;

    if (get_processor(machine, &cpu, &ticks, error) < 0)
        return -1;
    visit_all(machine, traffic, &cpu, &ticks, &state);
    return state_end(&state, error);
}
