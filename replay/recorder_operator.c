/*
 * An operator's orders, at a boundary that has a name. They come in on a control socket or, where the machine is
 * replicated, through the relay. An order that the machine does not take leaves no record.
 */
#include <stdlib.h>

#include "replay/operator.h"
#include "replay/recorder_internal.h"

/* Gives the order to the machine, and writes it down. Returns 1 when it was not taken, -1 with the error when the
 * recording cannot go on. */
static int carry_out(struct recorder *recorder, const struct operator_order *order, const struct position *at,
                     struct error *error)
{
    struct log_record record = {
        .type = LOG_OPERATOR, .at = *at, .command = order->command, .bytes = order->bytes, .length = order->length};

    if (operator_check(order, recorder->machine->ram.size, error) < 0)
        return 1;
    if (!machine_operator(recorder->machine, order->command, order->bytes, order->length)) {
        error_set(error, ERROR_INPUT, "the machine does not take this order");
        return 1;
    }
    return recorder_append(recorder, &record, error);
}

int recorder_operator_watch(struct recorder *recorder, struct error *error)
{
    struct control *control = recorder->options.control;

    return control ? kicker_watch(recorder->kicker, WATCH_CONTROL, control_poll_fd(control), error) : 0;
}

/* Takes one request from the socket. Returns 0 when there was none. */
static int take_request(struct recorder *recorder, const struct position *at, struct error *error)
{
    struct control *control = recorder->options.control;
    struct operator_order order;
    struct error refusal;
    size_t length;
    const char *line = control_next(control, &length);

    if (!line)
        return 0;
    int status = operator_parse(line, length, &order, &refusal) < 0 ? 1 : carry_out(recorder, &order, at, &refusal);
    char *answer = operator_answer(status ? &refusal : NULL);
    control_answer(control, answer ? answer : "");
    free(answer);
    if (status < 0)
        *error = refusal;
    return status < 0 ? -1 : 1;
}

static int take_requests(struct recorder *recorder, const struct position *at, struct error *error)
{
    int status;

    if (!(recorder->events & KICKER_WATCH(WATCH_CONTROL)))
        return 0;
    while ((status = take_request(recorder, at, error)) > 0)
        ;
    kicker_rearm(recorder->kicker, WATCH_CONTROL);
    return status;
}

static int take_relayed(struct recorder *recorder, const struct position *at, struct error *error)
{
    const struct recorder_relay *relay = recorder->options.relay;
    struct operator_order order;

    while (relay->order(relay->context, &order)) {
        if (carry_out(recorder, &order, at, error) < 0)
            return -1;
    }
    return 0;
}

int recorder_operator_apply(struct recorder *recorder, const struct position *at, struct error *error)
{
    if (recorder->options.relay)
        return take_relayed(recorder, at, error);
    return recorder->options.control ? take_requests(recorder, at, error) : 0;
}
