/*
 * Reading checkpoints: see checkpoint_visit in checkpoint.h.
 *
 * The bytes come in pieces, and a checkpoint may be larger than memory. So they are taken apart item by item (the head
 * of a run, a page, a cluster, the end of a list, the state); what is not a whole item yet waits for the next piece,
 * and no item is larger than ITEM_MAX.
 */
#include <inttypes.h>
#include <sys/types.h>

#include "replay/checkpoint.h"
#include "replay/checkpoint_layout.h"

#define VARINT_MAX 10
#define ITEM_MAX   (CHECKPOINT_STATE_MAX + VARINT_MAX)

enum stage { IN_VERSION, IN_LIST, IN_RUN, IN_LIST_END, IN_STATE, AT_END };

struct parser {
    struct machine *machine;
    const struct checkpoint_visitor *visitor;
    struct bytes_writer waiting; /* the beginning of an item */
    enum stage stage;
    struct disk *disk;                   /* whose clusters are listed; NULL: pages of RAM are */
    uint64_t next;                       /* number of the list's last page or cluster, plus one */
    uint64_t left;                       /* of the run at hand: how many are to come */
    uint64_t entries[MACHINE_DISKS + 1]; /* so far: of RAM, of each disk */
};

/* Each of these takes one item. Returns 0 when it is done or, with in->bad, not there yet; -1 with the error. */

static int take_version(struct parser *parser, struct bytes_reader *in, struct error *error)
{
    uint64_t version = bytes_get_varint(in);

    if (!in->bad && version != CHECKPOINT_VERSION)
        return error_set(error, ERROR_INPUT, "its layout has version %" PRIu64 ", which this encore does not know",
                         version);
    parser->stage = IN_LIST;
    return 0;
}

static int visit_entry(struct parser *parser, uint64_t kind, const uint8_t *bytes, struct error *error)
{
    static const uint8_t zeros[DISK_CLUSTER];
    const struct checkpoint_visitor *visitor = parser->visitor;
    struct disk *disk = parser->disk;
    uint64_t number = parser->next++;

    if (!disk)
        return visitor->page(visitor->context, parser->machine, number, bytes, error);
    return visitor->cluster(visitor->context, disk, number, kind == RUN_ZERO ? zeros : bytes, error);
}

/* What a run begins with, and all of it when its pages or clusters have no bytes. */
static int take_run(struct parser *parser, struct bytes_reader *in, struct error *error)
{
    const struct disk *disk = parser->disk;
    uint64_t *entries = &parser->entries[disk ? disk->number + 1 : 0];
    uint64_t limit = disk ? CHECKPOINT_CLUSTERS_MAX(disk) : CHECKPOINT_PAGES_MAX(parser->machine->ram.size);
    uint64_t count = disk ? disk->clusters : parser->machine->ram.size >> RAM_PAGE_SHIFT;
    uint64_t step = bytes_get_varint(in);

    if (in->bad || step == 0) {
        parser->stage = IN_LIST_END;
        return 0;
    }
    uint64_t kind = bytes_get_uint(in, 1);
    uint64_t length = bytes_get_varint(in);
    if (in->bad)
        return 0;
    if (step > count - parser->next || length > count - parser->next - (step - 1))
        return error_set(error, ERROR_INPUT, "it mentions what lies outside of memory or a disk");
    if (kind > (disk ? RUN_LOST : RUN_BYTES) || length == 0)
        return error_set(error, ERROR_INPUT, "its lists are damaged");
    if (length > limit - *entries)
        return error_set(error, ERROR_INPUT, "it mentions more than the machine has");
    *entries += length;
    parser->next += step - 1;
    if (kind == RUN_BYTES) {
        parser->left = length;
        parser->stage = IN_RUN;
        return 0;
    }
    while (length-- > 0) {
        if (visit_entry(parser, kind, NULL, error) < 0)
            return -1;
    }
    return 0;
}

static int take_entry(struct parser *parser, struct bytes_reader *in, struct error *error)
{
    const struct disk *disk = parser->disk;
    const uint8_t *bytes = bytes_take(in, disk ? disk_cluster_length(disk, parser->next) : RAM_PAGE_SIZE);

    if (in->bad)
        return 0;
    if (--parser->left == 0)
        parser->stage = IN_LIST;
    return visit_entry(parser, RUN_BYTES, bytes, error);
}

static int take_list_end(struct parser *parser, struct bytes_reader *in, struct error *error)
{
    uint64_t follows = bytes_get_uint(in, 1);
    uint64_t disk = follows == CLUSTERS_FOLLOW ? bytes_get_uint(in, 1) : 0;

    if (in->bad)
        return 0;
    if (follows > CLUSTERS_FOLLOW)
        return error_set(error, ERROR_INPUT, "its lists are damaged");
    if (follows == CLUSTERS_FOLLOW && disk >= parser->machine->disk_count)
        return error_set(error, ERROR_INPUT, "it has clusters of disk %" PRIu64 ", and there is no such disk", disk);
    parser->stage = follows == STATE_FOLLOWS ? IN_STATE : IN_LIST;
    parser->disk = follows == CLUSTERS_FOLLOW ? &parser->machine->disks[disk] : NULL;
    parser->next = 0;
    return 0;
}

static int take_state(struct parser *parser, struct bytes_reader *in, struct error *error)
{
    uint64_t length = bytes_get_varint(in);

    if (!in->bad && length > CHECKPOINT_STATE_MAX)
        return error_set(error, ERROR_INPUT, "its state has %" PRIu64 " bytes", length);
    const uint8_t *sections = bytes_take(in, length);
    if (in->bad)
        return 0;
    parser->stage = AT_END;
    return parser->visitor->state(parser->visitor->context, parser->machine, sections, length, error);
}

static int take_item(struct parser *parser, struct bytes_reader *in, struct error *error)
{
    switch (parser->stage) {
    case IN_VERSION:
        return take_version(parser, in, error);
    case IN_LIST:
        return take_run(parser, in, error);
    case IN_RUN:
        return take_entry(parser, in, error);
    case IN_LIST_END:
        return take_list_end(parser, in, error);
    case IN_STATE:
        return take_state(parser, in, error);
    case AT_END:
        break;
    }
    return error_set(error, ERROR_INPUT, "bytes are left over after its state");
}

/* Takes as many items as are whole. Returns how many bytes they had, or -1. */
static ssize_t take_items(struct parser *parser, const uint8_t *bytes, size_t length, struct error *error)
{
    struct bytes_reader in = bytes_reader(bytes, length);

    while (bytes_left(&in) > 0) {
        struct bytes_reader item = in;
        enum stage stage = parser->stage;
        if (take_item(parser, &item, error) < 0)
            return -1;
        if (item.bad) {
            parser->stage = stage;
            break;
        }
        in = item;
    }
    if (parser->visitor->bytes_go)
        parser->visitor->bytes_go(parser->visitor->context);
    if (bytes_left(&in) > ITEM_MAX)
        return error_set(error, ERROR_INPUT, "it is damaged");
    return (ssize_t)(length - bytes_left(&in));
}

/* Takes items of which the beginning waits from before. Returns how many of the bytes went into that, or -1. */
static ssize_t take_waiting(struct parser *parser, const uint8_t *bytes, size_t length, struct error *error)
{
    struct bytes_writer *waiting = &parser->waiting;
    size_t before = waiting->length;
    /* Little by little, since what is behind the item need not be copied. */
    size_t more = length < 2 * RAM_PAGE_SIZE ? length : 2 * RAM_PAGE_SIZE;

    bytes_put(waiting, bytes, more);
    if (waiting->failed)
        return error_set(error, ERROR_HOST, "out of memory for a checkpoint");
    ssize_t taken = take_items(parser, waiting->data, waiting->length, error);
    if (taken < 0)
        return -1;
    if (taken == 0)
        return (ssize_t)more;
    /* Only one item waited, so its end is among the new bytes. */
    bytes_writer_clear(waiting);
    return taken - (ssize_t)before;
}

static int take_piece(void *context, const uint8_t *bytes, size_t length, struct error *error)
{
    struct parser *parser = context;

    while (parser->waiting.length > 0 && length > 0) {
        ssize_t taken = take_waiting(parser, bytes, length, error);
        if (taken < 0)
            return -1;
        bytes += taken;
        length -= (size_t)taken;
    }
    ssize_t taken = take_items(parser, bytes, length, error);
    if (taken < 0)
        return -1;
    bytes_put(&parser->waiting, bytes + taken, length - (size_t)taken);
    return parser->waiting.failed ? error_set(error, ERROR_HOST, "out of memory for a checkpoint") : 0;
}

/* The most bytes that a checkpoint of this machine can have. */
static uint64_t size_max(const struct machine *machine)
{
    const uint64_t entry = RAM_PAGE_SIZE + 2 * VARINT_MAX + 8; /* with a run of its own, and its share of lists' ends */
    uint64_t size = CHECKPOINT_PAGES_MAX(machine->ram.size) * entry + ITEM_MAX + 64;

    for (unsigned i = 0; i < machine->disk_count; i++)
        size += CHECKPOINT_CLUSTERS_MAX(&machine->disks[i]) * entry;
    return size;
}

int checkpoint_visit(struct machine *machine, struct log_reader *reader, uint32_t id,
                     const struct checkpoint_visitor *visitor, struct error *error)
{
    struct parser parser = {.machine = machine, .visitor = visitor, .waiting = bytes_writer(4 * ITEM_MAX)};
    int result = log_reader_checkpoint_pieces(reader, id, size_max(machine), take_piece, &parser, error);

    if (result == 0 && parser.stage != AT_END)
        result = error_set(error, ERROR_INPUT, "checkpoint %" PRIu32 " is cut short", id);
    bytes_writer_free(&parser.waiting);
    return result;
}
