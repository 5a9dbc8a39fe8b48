/* See read_ahead.h. One lock guards everything but the buffers of a slot that is being filled or in use. */
#include "logs/read_ahead.h"

#include <sched.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/thread.h"

#define SLOTS       4u
#define THREADS_MAX 3
#define SLOT_BYTES  ((size_t)FRAME_WHOLE_MAX + FRAME_RAW_MAX)
/* Bytes of contents below which no thread is worth its start. */
#define THREADS_FROM (8u * FRAME_RAW_MAX)

enum slot_state { SLOT_FREE, SLOT_BEING_FILLED, SLOT_READY };

struct slot {
    enum slot_state state;
    int result; /* of filling it, with the error */
    struct error error;
    struct read_ahead_frame frame;
    uint8_t *stored; /* FRAME_WHOLE_MAX bytes: as it stands in the log */
    uint8_t *raw;    /* FRAME_RAW_MAX bytes */
};

struct worker {
    pthread_t thread;
    struct frame_codec codec;
    struct read_ahead *ahead;
};

struct read_ahead {
    pthread_mutex_t lock;
    pthread_cond_t slot_ready, slot_free;
    const struct log_source *source;
    struct cursor next; /* of the next frame to be read */
    uint64_t left;      /* bytes of contents from there on */
    bool stopped;     /* nothing more is to be read: there was an error, or a frame of another kind, or it is the end */
    uint64_t claimed; /* frames read or being read so far; frame n is in slot n % SLOTS */
    uint64_t taken;   /* frames handed out */
    struct slot slots[SLOTS];
    struct frame_codec codec; /* of whoever asks */
    struct worker workers[THREADS_MAX];
    int threads;
    uint8_t *buffers;
};

/* Takes the next frame for whoever asks, and moves on to the one behind it. Called with the lock held, so no more of it
 * is read than its header. */
static struct slot *claim(struct read_ahead *ahead)
{
    struct slot *slot = &ahead->slots[ahead->claimed++ % SLOTS];
    struct frame_header header;
    uint8_t bytes[FRAME_HEADER];
    size_t got;

    CHECK(slot->state == SLOT_FREE);
    slot->state = SLOT_BEING_FILLED;
    slot->frame = (struct read_ahead_frame){.at = ahead->next, .after = ahead->next};
    /* What is wrong with it will be said when the whole frame is read. */
    if (ahead->source->read(ahead->source->context, ahead->next.offset, bytes, sizeof bytes, &got, &slot->error) ||
        got < sizeof bytes || frame_header_decode(bytes, &header, &slot->error) ||
        header.kind != FRAME_CHECKPOINT_DATA || header.raw_length >= ahead->left) {
        ahead->stopped = true;
        return slot;
    }
    ahead->left -= header.raw_length;
    ahead->next.offset += FRAME_HEADER + header.stored_length;
    ahead->next.sequence++;
    return slot;
}

/* Reads the frame, and decompresses it. */
static int fill(struct slot *slot, const struct log_source *source, struct frame_codec *codec)
{
    struct walk walk = {.source = source, .codec = codec, .frame = slot->stored};
    struct read_ahead_frame *frame = &slot->frame;

    if (walk_next(&walk, &frame->after, &frame->header, &slot->error) != WALK_FRAME)
        return -1;
    if (frame->header.kind != FRAME_CHECKPOINT_DATA)
        return 0;
    frame->contents = frame->header.compression ? slot->raw : slot->stored + FRAME_HEADER;
    if (frame->header.compression && walk_contents(&walk, &frame->header, slot->raw, &slot->error))
        return walk_locate(&frame->at, &slot->error);
    return 0;
}

/* Makes one more frame ready. Called with the lock held, which is given up for most of it. */
static void prepare(struct read_ahead *ahead, struct frame_codec *codec)
{
    struct slot *slot = claim(ahead);

    pthread_mutex_unlock(&ahead->lock);
    slot->result = fill(slot, ahead->source, codec);
    pthread_mutex_lock(&ahead->lock);
    slot->state = SLOT_READY;
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct read_ahead *ahead = worker->ahead;

    pthread_mutex_lock(&ahead->lock);
    while (!ahead->stopped) {
        /* The frame handed out last is in use. */
        if (ahead->claimed + 1 - ahead->taken < SLOTS) {
            prepare(ahead, &worker->codec);
            pthread_cond_signal(&ahead->slot_ready);
        } else {
            pthread_cond_wait(&ahead->slot_free, &ahead->lock);
        }
    }
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

static void start_threads(struct read_ahead *ahead)
{
    cpu_set_t ours;
    int processors = sched_getaffinity(0, sizeof ours, &ours) == 0 ? CPU_COUNT(&ours) : 1;

    while (ahead->threads < THREADS_MAX && ahead->threads + 1 < processors) {
        struct worker *worker = &ahead->workers[ahead->threads];
        struct error ignored;
        *worker = (struct worker){.codec = {.seed = ahead->codec.seed}, .ahead = ahead};
        if (thread_start(&worker->thread, work, worker, &ignored) < 0)
            break;
        ahead->threads++;
    }
}

struct read_ahead *read_ahead_begin(const struct log_source *source, const struct frame_codec *codec,
                                    const struct cursor *from, uint64_t length, struct error *error)
{
    struct read_ahead *ahead = calloc(1, sizeof *ahead);
    uint8_t *buffers = malloc(SLOTS * SLOT_BYTES);

    if (!ahead || !buffers) {
        free(ahead);
        free(buffers);
        error_set(error, ERROR_HOST, "no memory for reading a checkpoint");
        return NULL;
    }
    *ahead = (struct read_ahead){.source = source,
                                 .next = *from,
                                 .left = length,
                                 .stopped = length == 0,
                                 .codec = {.seed = codec->seed},
                                 .buffers = buffers};
    for (unsigned i = 0; i < SLOTS; i++) {
        ahead->slots[i].stored = buffers + i * SLOT_BYTES;
        ahead->slots[i].raw = ahead->slots[i].stored + FRAME_WHOLE_MAX;
    }
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->slot_ready, NULL);
    pthread_cond_init(&ahead->slot_free, NULL);
    if (length >= THREADS_FROM)
        start_threads(ahead);
    return ahead;
}

int read_ahead_next(struct read_ahead *ahead, struct read_ahead_frame *frame, struct error *error)
{
    struct slot *slot = &ahead->slots[ahead->taken % SLOTS];

    pthread_mutex_lock(&ahead->lock);
    if (ahead->taken > 0)
        ahead->slots[(ahead->taken - 1) % SLOTS].state = SLOT_FREE;
    CHECK(ahead->claimed > ahead->taken || !ahead->stopped);
    while (slot->state != SLOT_READY) {
        if (!ahead->stopped && ahead->claimed - ahead->taken < SLOTS)
            prepare(ahead, &ahead->codec);
        else
            pthread_cond_wait(&ahead->slot_ready, &ahead->lock);
    }
    ahead->taken++;
    /* Waking a thread costs more than a frame: it is left asleep until there is some work. */
    if (ahead->claimed - ahead->taken <= SLOTS / 2)
        pthread_cond_broadcast(&ahead->slot_free);
    pthread_mutex_unlock(&ahead->lock);
    *frame = slot->frame;
    if (slot->result < 0)
        *error = slot->error;
    return slot->result;
}

void read_ahead_end(struct read_ahead *ahead)
{
    if (!ahead)
        return;
    pthread_mutex_lock(&ahead->lock);
    ahead->stopped = true;
    pthread_cond_broadcast(&ahead->slot_free);
    pthread_mutex_unlock(&ahead->lock);
    for (int i = 0; i < ahead->threads; i++) {
        pthread_join(ahead->workers[i].thread, NULL);
        frame_codec_free(&ahead->workers[i].codec);
    }
    pthread_cond_destroy(&ahead->slot_free);
    pthread_cond_destroy(&ahead->slot_ready);
    pthread_mutex_destroy(&ahead->lock);
    frame_codec_free(&ahead->codec);
    free(ahead->buffers);
    free(ahead);
}
