/* See outbox.h. */
#include "replay/outbox.h"

#include "base/check.h"

struct outbox outbox(size_t limit)
{
    struct outbox outbox;

    for (unsigned stream = 0; stream < OUTPUT_STREAMS; stream++)
        outbox.streams[stream] = bytes_writer(limit);
    return outbox;
}

void outbox_free(struct outbox *outbox)
{
    for (unsigned stream = 0; stream < OUTPUT_STREAMS; stream++)
        bytes_writer_free(&outbox->streams[stream]);
}

static void put(struct outbox *outbox, struct outputs *outputs, unsigned stream, const uint8_t *bytes, size_t length)
{
    outputs_put(outputs, stream, bytes, length);
    bytes_put(&outbox->streams[stream], bytes, length);
}

void outbox_put_byte(struct outbox *outbox, struct outputs *outputs, uint8_t byte)
{
    put(outbox, outputs, 0, &byte, 1);
}

void outbox_put_frame(struct outbox *outbox, struct outputs *outputs, unsigned card, const uint8_t *frame,
                      size_t length)
{
    uint8_t header[OUTPUT_FRAME_HEADER];

    CHECK(card < MACHINE_CARDS_MAX && length >= FRAME_MIN && length <= FRAME_MAX);
    bytes_store(header, sizeof header, length);
    put(outbox, outputs, OUTPUT_CARD(card), header, sizeof header);
    put(outbox, outputs, OUTPUT_CARD(card), frame, length);
}

bool outbox_is_empty(const struct outbox *outbox)
{
    size_t all = 0;

    for (unsigned stream = 0; stream < OUTPUT_STREAMS; stream++)
        all += outbox->streams[stream].length;
    return all == 0;
}

size_t outbox_next_frame(struct bytes_reader *bytes, const uint8_t **frame)
{
    if (bytes_left(bytes) == 0)
        return 0;
    size_t length = bytes_get_uint(bytes, OUTPUT_FRAME_HEADER);
    *frame = bytes_take(bytes, length);
    CHECK(*frame && length >= FRAME_MIN && length <= FRAME_MAX);
    return length;
}
