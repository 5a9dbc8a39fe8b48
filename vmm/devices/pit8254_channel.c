#include "vmm/devices/pit8254_channel.h"

#define BCD        0x01
#define RW_LOW     1
#define RW_HIGH    2
#define RW_BOTH    3
#define NEVER      UINT64_MAX
#define MAX_EVENTS 16

/* M2 is a don't-care bit in modes 2 and 3, which can therefore also be written as 6 and 7. */
static unsigned mode_of(const struct pit8254_channel *channel)
{
    unsigned mode = channel->control >> 1 & 7;
    return mode > 5 ? mode - 4 : mode;
}

static unsigned access_of(const struct pit8254_channel *channel)
{
    return channel->control >> 4 & 3;
}

/* How many values the counting element runs through before it is back where it was. */
static uint32_t modulus(const struct pit8254_channel *channel)
{
    return channel->control & BCD ? 10000 : 65536;
}

/* What CR stands for: 1 up to and including the modulus. */
static uint32_t count_value(const struct pit8254_channel *channel)
{
    uint32_t count = channel->count;

    if (channel->control & BCD)
        count = ((count >> 12) * 1000 + (count >> 8 & 15) * 100 + (count >> 4 & 15) * 10 + (count & 15)) % 10000;
    return count ? count : modulus(channel);
}

/* What a reader of the counting element sees. */
static uint16_t counter_image(const struct pit8254_channel *channel)
{
    uint32_t value = channel->counter % modulus(channel);

    if (channel->control & BCD)
        value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
    return (uint16_t)value;
}

static bool counting(const struct pit8254_channel *channel)
{
    if (!channel->loaded)
        return false;
    switch (mode_of(channel)) {
    case 1:
    case 5:
        return true;
    case 0: /* between the two bytes of a new count, counting stands still */
        return channel->gate && !(access_of(channel) == RW_BOTH && channel->write_high);
    default:
        return channel->gate;
    }
}

/* CE takes CR. In mode 3 the counting element counts in twos and an odd count is loaded less one. */
static void load(struct pit8254_channel *channel)
{
    uint32_t count = count_value(channel);

    channel->counter = count;
    if (mode_of(channel) == 3) {
        channel->odd = count & 1;
        channel->counter = count & ~1u;
    }
    channel->loaded = true;
    channel->load_next = false;
    channel->null_count = false;
    channel->armed = true;
}

/* Mode 3: the value of CE that ends the half-cycle. The high half of an odd count lasts one pulse more. */
static uint32_t half_cycle_end(const struct pit8254_channel *channel)
{
    return channel->odd && channel->out ? 0 : 2;
}

static uint32_t decremented(const struct pit8254_channel *channel, uint64_t by)
{
    uint32_t m = modulus(channel);
    uint32_t step = (uint32_t)(by % m);

    return channel->counter >= step ? channel->counter - step : channel->counter + m - step;
}

/* One pulse of counting in modes 0, 1, 4 and 5: wraps around for ever, but reaches its terminal count once. */
static void count_once(struct pit8254_channel *channel)
{
    channel->counter = decremented(channel, 1);
    if (channel->armed && channel->counter == 0) {
        channel->armed = false;
        channel->out = mode_of(channel) <= 1; /* interrupt, end of the one-shot; or else the strobe */
    }
}

static void count_rate(struct pit8254_channel *channel)
{
    if (channel->counter <= 1) {
        channel->out = true;
        load(channel);
        return;
    }
    channel->counter--;
    if (channel->counter == 1)
        channel->out = false;
}

static void count_square(struct pit8254_channel *channel)
{
    if (channel->counter > half_cycle_end(channel)) {
        channel->counter = channel->counter > 2 ? channel->counter - 2 : 0;
        return;
    }
    channel->out = !channel->out;
    load(channel);
    if (count_value(channel) == 1)
        channel->out = true;
}

/* Whether this pulse transfers CR to CE, be it because of a write or of a trigger. */
static bool loads_at_pulse(const struct pit8254_channel *channel)
{
    return channel->load_next || (channel->triggered && channel->counted);
}

/* One CLK pulse, as the data sheet describes each mode. */
static void pulse(struct pit8254_channel *channel)
{
    unsigned mode = mode_of(channel);
    bool loads = loads_at_pulse(channel);

    channel->triggered = false;
    if (mode >= 4)
        channel->out = true; /* a strobe lasts one pulse */
    if (loads) {
        load(channel);
        if (mode == 1)
            channel->out = false;
        else if (mode == 2 || mode == 3)
            channel->out = true;
        return;
    }
    if (!counting(channel))
        return;
    switch (mode) {
    case 2:
        count_rate(channel);
        break;
    case 3:
        count_square(channel);
        break;
    default:
        count_once(channel);
        break;
    }
}

/* How many pulses from now only decrement CE (or do nothing at all), before one that does something else. */
static uint64_t quiet_pulses(const struct pit8254_channel *channel)
{
    unsigned mode = mode_of(channel);

    if (channel->load_next || channel->triggered || (mode >= 4 && !channel->out))
        return 0;
    if (!counting(channel))
        return NEVER;
    if (mode == 2)
        return channel->counter > 2 ? channel->counter - 2 : 0;
    if (mode == 3) {
        uint32_t end = half_cycle_end(channel);
        return channel->counter > end ? (channel->counter - end + 1) / 2 : 0;
    }
    if (!channel->armed)
        return NEVER;
    return channel->counter > 0 ? channel->counter - 1 : modulus(channel) - 1;
}

/* Lets quiet pulses pass. */
static void skip(struct pit8254_channel *channel, uint64_t pulses)
{
    if (!counting(channel))
        return;
    if (mode_of(channel) == 3)
        channel->counter = channel->counter > 2 * pulses ? channel->counter - (uint32_t)(2 * pulses) : 0;
    else
        channel->counter = decremented(channel, pulses);
}

/* Modes 2 and 3: whether the channel stands at the start of a period, CR just loaded and OUT high. */
static bool at_period_start(const struct pit8254_channel *channel)
{
    unsigned mode = mode_of(channel);
    uint32_t count = count_value(channel);

    if (mode != 2 && mode != 3)
        return false;
    return counting(channel) && !channel->null_count && channel->out &&
           channel->counter == (mode == 3 ? count & ~1u : count) && (mode == 2 || channel->odd == (count & 1));
}

/*
 * From the start of a period in mode 2 or 3, the channel stands at the start of a period again after each `count`
 * pulses. So whole periods are dropped from the pulses still to run and less than one is left: the loop ends after a
 * few events. (A period of two pulses or more has a rise at its end; a count of 1 is a period of one pulse without
 * any.)
 */
bool pit8254_channel_run(struct pit8254_channel *channel, uint64_t pulses)
{
    bool rose = false;

    while (pulses > 0) {
        uint64_t quiet = quiet_pulses(channel);
        if (quiet >= pulses) {
            skip(channel, pulses);
            return rose;
        }
        bool before = channel->out;
        skip(channel, quiet);
        pulse(channel);
        pulses -= quiet + 1;
        rose |= !before && channel->out;
        if (pulses >= count_value(channel) && at_period_start(channel)) {
            rose |= count_value(channel) > 1;
            pulses %= count_value(channel);
        }
    }
    return rose;
}

uint64_t pit8254_channel_pulses_to_rise(const struct pit8254_channel *channel)
{
    struct pit8254_channel ahead = *channel;
    uint64_t total = 0;

    /* A load, a trigger, the end of a half-cycle and the next one: after a handful of events OUT has risen, or it is
     * the count of 1 that never lets it. */
    for (unsigned event = 0; event < MAX_EVENTS; event++) {
        uint64_t quiet = quiet_pulses(&ahead);
        if (quiet == NEVER)
            return NEVER;
        bool before = ahead.out;
        skip(&ahead, quiet);
        pulse(&ahead);
        total += quiet + 1;
        if (!before && ahead.out)
            return total;
    }
    return NEVER;
}

void pit8254_channel_control(struct pit8254_channel *channel, uint8_t control)
{
    /* CE keeps its value, which is what a reader sees until the first load; the rest starts afresh. */
    *channel = (struct pit8254_channel){
        .control = control & 0x3f,
        .counter = channel->counter,
        .gate = channel->gate,
        .null_count = true,
    };
    channel->counter %= modulus(channel);
    channel->out = mode_of(channel) != 0;
}

/* CR is complete: when CE takes it depends on the mode. */
static void count_written(struct pit8254_channel *channel, uint16_t count)
{
    unsigned mode = mode_of(channel);

    channel->count = count;
    channel->counted = true;
    channel->null_count = true;
    if (mode == 0)
        channel->out = false;
    if (mode == 0 || mode == 4)
        channel->load_next = true;
    else if ((mode == 2 || mode == 3) && !channel->loaded)
        channel->load_next = true;
}

void pit8254_channel_write(struct pit8254_channel *channel, uint8_t value)
{
    switch (access_of(channel)) {
    case RW_LOW:
        count_written(channel, value);
        break;
    case RW_HIGH:
        count_written(channel, (uint16_t)(value << 8));
        break;
    default:
        channel->write_high = !channel->write_high;
        if (channel->write_high) {
            channel->write_low = value;
            /* In mode 0 the first byte stops the counting and sets OUT low without waiting for a pulse. */
            if (mode_of(channel) == 0)
                channel->out = false;
        } else {
            count_written(channel, (uint16_t)(value << 8 | channel->write_low));
        }
        break;
    }
}

uint8_t pit8254_channel_read(struct pit8254_channel *channel)
{
    if (channel->status_latched) {
        channel->status_latched = false;
        return channel->status;
    }
    uint16_t image = channel->latched ? channel->latch : counter_image(channel);
    bool high = access_of(channel) == RW_HIGH;
    bool last = true;
    if (access_of(channel) == RW_BOTH) {
        high = channel->read_high;
        last = high;
        channel->read_high = !channel->read_high;
    }
    if (last)
        channel->latched = false;
    return (uint8_t)(high ? image >> 8 : image);
}

void pit8254_channel_latch_count(struct pit8254_channel *channel)
{
    if (channel->latched)
        return;
    channel->latched = true;
    channel->latch = counter_image(channel);
}

void pit8254_channel_latch_status(struct pit8254_channel *channel)
{
    if (channel->status_latched)
        return;
    channel->status_latched = true;
    channel->status = (uint8_t)(channel->out << 7 | channel->null_count << 6 | channel->control);
}

void pit8254_channel_set_gate(struct pit8254_channel *channel, bool level)
{
    unsigned mode = mode_of(channel);

    if (level == channel->gate)
        return;
    channel->gate = level;
    /* Modes 0 and 4 know only GATE's level; modes 1 and 5 only its rise; modes 2 and 3 both, and its fall ends a low
     * OUT at once. */
    if (level && mode != 0 && mode != 4)
        channel->triggered = true;
    if (!level && (mode == 2 || mode == 3))
        channel->out = true;
}

void pit8254_channel_init(struct pit8254_channel *channel, bool gate)
{
    *channel = (struct pit8254_channel){.gate = gate};
    pit8254_channel_control(channel, RW_BOTH << 4);
}

void pit8254_channel_state(struct pit8254_channel *channel, struct state *state)
{
    state_u8_max(state, "control", &channel->control, 0x3f);
    state_u16(state, "count", &channel->count);
    state_u32(state, "counter", &channel->counter);
    state_bool(state, "gate", &channel->gate);
    state_bool(state, "out", &channel->out);
    state_bool(state, "counted", &channel->counted);
    state_bool(state, "loaded", &channel->loaded);
    state_bool(state, "load_next", &channel->load_next);
    state_bool(state, "triggered", &channel->triggered);
    state_bool(state, "armed", &channel->armed);
    state_bool(state, "odd", &channel->odd);
    state_bool(state, "null_count", &channel->null_count);
    state_bool(state, "write_high", &channel->write_high);
    state_bool(state, "read_high", &channel->read_high);
    state_u8(state, "write_low", &channel->write_low);
    state_bool(state, "latched", &channel->latched);
    state_u16(state, "latch", &channel->latch);
    state_bool(state, "status_latched", &channel->status_latched);
    state_u8(state, "status", &channel->status);
    state_require(state, access_of(channel) != 0, "a channel without a read/write mode");
    state_require(state, channel->counter <= modulus(channel), "counter is out of range");
    state_require(state, channel->counted || (!channel->loaded && !channel->load_next), "a load without a count");
    state_require(state, channel->null_count || channel->counted, "no count, yet none missing");
}
