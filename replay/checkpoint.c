/* See checkpoint.h. */
#include "replay/checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

#define CHECKPOINT_VERSION 2
#define STATE_MAX          (1u << 20)

/* How a page stands in a checkpoint. */
enum page_kind { PAGE_ZERO = 0, PAGE_BYTES = 1 };

/* What comes after a list of pages. */
enum list_end { STATE_FOLLOWS = 0, LIST_FOLLOWS = 1 };

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
    struct bytes_writer sections = bytes_writer(STATE_MAX);
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
        .piece = bytes_writer(CHECKPOINT_PIECE + 2 * STATE_MAX), .write = write, .context = context};

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
    return result;
}

int checkpoint_writer_page(struct checkpoint_writer *writer, const struct ram *ram, uint64_t page, struct error *error)
{
    const uint8_t *bytes = ram->bytes + (page << RAM_PAGE_SHIFT);
    bool zero = page_is_zero(bytes);

    if (page < writer->next) {
        /* A list rises; here begins another. */
        bytes_put_varint(&writer->piece, 0);
        bytes_put_uint(&writer->piece, 1, LIST_FOLLOWS);
        writer->next = 0;
    }
    bytes_put_varint(&writer->piece, page + 1 - writer->next);
    bytes_put_uint(&writer->piece, 1, zero ? PAGE_ZERO : PAGE_BYTES);
    if (!zero)
        bytes_put(&writer->piece, bytes, RAM_PAGE_SIZE);
    writer->next = page + 1;
    writer->pages++;
    return writer->piece.length < CHECKPOINT_PIECE ? 0 : write_piece(writer, error);
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

int checkpoint_save(struct machine *machine, struct traffic *traffic, bool whole, checkpoint_write_fn *write,
                    void *context, struct error *error)
{
    struct checkpoint_writer writer = checkpoint_writer(write, context);
    int result = 0;

    for (uint64_t page = 0; result == 0 && page < machine->ram.size >> RAM_PAGE_SHIFT; page++) {
        if (page_wanted(machine, page, whole))
            result = checkpoint_writer_page(&writer, &machine->ram, page, error);
    }
    if (result == 0)
        result = checkpoint_writer_end(&writer, machine, traffic, error);
    checkpoint_writer_free(&writer);
    return result;
}

/* The state sections, which are all that is left. */
static const uint8_t *take_sections(struct bytes_reader *in, size_t *length, struct error *error)
{
    *length = bytes_get_varint(in);
    const uint8_t *sections = *length <= STATE_MAX ? bytes_take(in, *length) : NULL;

    if (!sections)
        error_set(error, ERROR_INPUT, "checkpoint: its state is cut short");
    else if (bytes_left(in))
        error_set(error, ERROR_INPUT, "checkpoint: bytes are left over after its state");
    return bytes_left(in) ? NULL : sections;
}

static int apply_state(struct machine *machine, struct traffic *traffic, struct bytes_reader *in, struct error *error)
{
    struct cpu_state cpu = {0};
    uint64_t ticks = 0;
    size_t length;
    const uint8_t *sections = take_sections(in, &length, error);

    if (!sections)
        return -1;
    struct state state = state_restore(sections, length);
    visit_all(machine, traffic, &cpu, &ticks, &state);
    if (state_end(&state, error) < 0 || engine_set_cpu(machine->engine, &cpu, ticks, error) < 0)
        return error_wrap(error, "checkpoint");
    if (!machine->engine->caps.tick_time)
        machine->now_ticks = 0;
    return 0;
}

/* One list of pages, whose numbers rise. */
static int each_page(struct machine *machine, struct bytes_reader *in, checkpoint_page_fn *visit, void *context,
                     struct error *error)
{
    const uint64_t count = machine->ram.size >> RAM_PAGE_SHIFT;
    uint64_t next = 0; /* number of the last page plus one */

    for (;;) {
        uint64_t step = bytes_get_varint(in);
        if (in->bad)
            return error_set(error, ERROR_INPUT, "checkpoint: its pages are cut short");
        if (step == 0)
            return 0;
        if (step > count - next)
            return error_set(error, ERROR_INPUT, "checkpoint: a page lies outside of memory");
        next += step;
        uint64_t kind = bytes_get_uint(in, 1);
        const uint8_t *bytes = kind == PAGE_BYTES ? bytes_take(in, RAM_PAGE_SIZE) : NULL;
        if (in->bad || kind > PAGE_BYTES)
            return error_set(error, ERROR_INPUT, "checkpoint: its pages are damaged");
        visit(context, machine, next - 1, bytes);
    }
}

/* All lists of pages; the reader then stands before the state. */
static int each_list(struct machine *machine, struct bytes_reader *in, checkpoint_page_fn *visit, void *context,
                     struct error *error)
{
    uint64_t version = bytes_get_varint(in);
    uint64_t follows;

    if (version != CHECKPOINT_VERSION)
        return error_set(error, ERROR_INPUT, "checkpoint: version %" PRIu64 " is not known to this encore", version);
    do {
        if (each_page(machine, in, visit, context, error) < 0)
            return -1;
        follows = bytes_get_uint(in, 1);
        if (in->bad || follows > LIST_FOLLOWS)
            return error_set(error, ERROR_INPUT, "checkpoint: the end of its pages is damaged");
    } while (follows == LIST_FOLLOWS);
    return 0;
}

static void apply_page(void *context, struct machine *machine, uint64_t page, const uint8_t *bytes)
{
    uint64_t address = page << RAM_PAGE_SHIFT;

    (void)context;
    CHECK(bytes ? ram_write(&machine->ram, address, bytes, RAM_PAGE_SIZE)
                : ram_fill(&machine->ram, address, 0, RAM_PAGE_SIZE));
}

int checkpoint_apply(struct machine *machine, struct traffic *traffic, const uint8_t *bytes, size_t length,
                     struct error *error)
{
    struct bytes_reader in = bytes_reader(bytes, length);

    if (each_list(machine, &in, apply_page, NULL, error) < 0 || apply_state(machine, traffic, &in, error) < 0)
        return -1;
    machine_look_at_interrupts(machine);
    return 0;
}

int checkpoint_inspect(struct machine *machine, const uint8_t *bytes, size_t length, struct cpu_state *cpu,
                       checkpoint_page_fn *page, void *context, struct error *error)
{
    struct bytes_reader in = bytes_reader(bytes, length);
    size_t state_length;

    if (each_list(machine, &in, page, context, error) < 0)
        return -1;
    const uint8_t *sections = take_sections(&in, &state_length, error);
    if (!sections)
        return -1;
    /* The processor's section is the first: a visit that stops after it has seen all it needs. */
    struct state state = state_restore(sections, state_length);
    cpu_state_visit(cpu, &state);
    if (state.bad)
        *error = state.error;
    return state.bad ? -1 : 0;
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

static int restore_one(struct machine *machine, struct traffic *traffic, struct log_reader *reader, uint32_t id,
                       struct error *error)
{
    struct bytes_writer blob = bytes_writer(CHECKPOINT_BLOB_MAX(machine->ram.size));
    int result = log_reader_checkpoint(reader, id, &blob, error);

    if (result == 0)
        result = checkpoint_apply(machine, traffic, blob.data, blob.length, error);
    bytes_writer_free(&blob);
    return result;
}

int checkpoint_restore(struct machine *machine, struct traffic *traffic, struct log_reader *reader, uint32_t id,
                       struct error *error)
{
    uint32_t chain[CHECKPOINT_CHAIN_MAX];
    struct digest expected = {0}, found;
    int length = find_chain(reader, id, chain, &expected, error);

    if (length < 0)
        return -1;
    while (length-- > 0) {
        if (restore_one(machine, traffic, reader, chain[length], error) < 0)
            return -1;
    }
    if (machine_digest(machine, &found, error) < 0)
        return -1;
    if (!digest_equal(found, expected))
        return error_set(error, ERROR_INPUT, "checkpoint %" PRIu32 " does not restore to its own digest", id);
    page_digests_forget_changes(&machine->digests, &machine->ram);
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
