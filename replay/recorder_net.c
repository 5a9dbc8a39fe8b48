/*
 * Frames from the network, at a boundary that has a name. A card that has no room lets them wait in the backend, whose
 * queue is bounded and drops what is too much; what the log holds is what the guest got.
 */
#include "replay/recorder_internal.h"
#include "vmm/host/clock.h"

/* So many frames are applied at one stop at the most, so that time and console get their turn. */
#define BURST 64
/* With more frames at hand the guest runs for so long before the next ones: time to take those it has. */
#define BURST_AGAIN (MILLISECOND / 10)

int recorder_net_watch(struct recorder *recorder, struct error *error)
{
    for (unsigned card = 0; card < MACHINE_CARDS_MAX; card++) {
        const struct net *net = recorder->options.nets[card];
        if (net && kicker_watch(recorder->kicker, WATCH_NET(card), net_poll_fd(net), error) < 0)
            return -1;
    }
    return 0;
}

void recorder_net_event(struct recorder *recorder, uint32_t events)
{
    for (unsigned card = 0; card < MACHINE_CARDS_MAX; card++) {
        if (events & KICKER_WATCH(WATCH_NET(card)))
            recorder->net_waits |= 1u << card;
    }
}

static bool is_ready(const struct recorder *recorder, unsigned card)
{
    return recorder->net_waits & 1u << card && machine_net_room(recorder->machine, card) > 0;
}

bool recorder_net_ready(const struct recorder *recorder)
{
    if (!recorder->net_waits)
        return false;
    for (unsigned card = 0; card < MACHINE_CARDS_MAX; card++) {
        if (is_ready(recorder, card))
            return true;
    }
    return false;
}

uint64_t recorder_net_at(const struct recorder *recorder)
{
    return recorder_net_ready(recorder) ? host_clock_now() + BURST_AGAIN : UINT64_MAX;
}

static int apply_card(struct recorder *recorder, unsigned card, const struct position *at, struct error *error)
{
    uint8_t frame[FRAME_MAX];

    for (unsigned n = 0; n < BURST && is_ready(recorder, card); n++) {
        struct log_record record = {.type = LOG_FRAME_IN, .at = *at, .channel = (uint8_t)card, .bytes = frame};
        record.length = net_read(recorder->options.nets[card], frame);
        if (record.length == 0) {
            recorder->net_waits &= ~(1u << card);
            kicker_rearm(recorder->kicker, WATCH_NET(card));
            return 0;
        }
        if (recorder_append(recorder, &record, error) < 0)
            return -1;
        machine_net_input(recorder->machine, card, frame, record.length);
    }
    return 0;
}

int recorder_net_apply(struct recorder *recorder, const struct position *at, struct error *error)
{
    for (unsigned card = 0; card < MACHINE_CARDS_MAX && recorder->net_waits; card++) {
        if (apply_card(recorder, card, at, error) < 0)
            return -1;
    }
    return 0;
}
