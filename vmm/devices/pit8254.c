#include "vmm/devices/pit8254.h"

#include "base/check.h"
#include "vmm/devices/isa_bytes.h"
#include "vmm/devices/pit8254_channel.h"

#define NANOSECONDS  1000000000u
#define CONTROL_PORT 3

uint64_t pit8254_pulses(uint64_t now)
{
    return (uint64_t)((unsigned __int128)now * PIT8254_HZ / NANOSECONDS);
}

uint64_t pit8254_pulse_time(uint64_t pulse)
{
    unsigned __int128 time = ((unsigned __int128)pulse * NANOSECONDS + PIT8254_HZ - 1) / PIT8254_HZ;

    return time < NO_DEADLINE ? (uint64_t)time : NO_DEADLINE;
}

void pit8254_init(struct pit8254 *pit, struct irq_wire irq)
{
    *pit = (struct pit8254){.irq = irq};
    for (unsigned i = 0; i < PIT8254_CHANNELS; i++)
        pit8254_channel_init(&pit->channels[i], i != 2);
}

/* IRQ 0 follows OUT; a rise that has been passed over since the last time is shown first. */
static void drive_irq(struct pit8254 *pit, bool rose)
{
    if (rose) {
        irq_wire_set(&pit->irq, false);
        irq_wire_set(&pit->irq, true);
    }
    irq_wire_set(&pit->irq, pit->channels[0].out);
}

void pit8254_advance(struct pit8254 *pit, uint64_t now)
{
    uint64_t pulse = pit8254_pulses(now);
    bool rose = false;

    if (pulse <= pit->pulse)
        return;
    for (unsigned i = 0; i < PIT8254_CHANNELS; i++) {
        bool rises = pit8254_channel_run(&pit->channels[i], pulse - pit->pulse);
        if (i == 0)
            rose = rises;
    }
    pit->pulse = pulse;
    drive_irq(pit, rose);
}

uint64_t pit8254_deadline(const struct pit8254 *pit)
{
    uint64_t pulses = pit8254_channel_pulses_to_rise(&pit->channels[0]);

    if (pulses > UINT64_MAX - pit->pulse)
        return NO_DEADLINE;
    return pit8254_pulse_time(pit->pulse + pulses);
}

void pit8254_set_gate2(struct pit8254 *pit, bool level, uint64_t now)
{
    pit8254_advance(pit, now);
    pit8254_channel_set_gate(&pit->channels[2], level);
}

bool pit8254_out2(struct pit8254 *pit, uint64_t now)
{
    pit8254_advance(pit, now);
    return pit->channels[2].out;
}

/* Bits 7-6 of a control word select a channel, or the read-back command; bits 5-4 the access, or the latch command. */
static void write_control(struct pit8254 *pit, uint8_t value)
{
    unsigned select = value >> 6;

    if (select < PIT8254_CHANNELS) {
        if (value & 0x30)
            pit8254_channel_control(&pit->channels[select], value & 0x3f);
        else
            pit8254_channel_latch_count(&pit->channels[select]);
        return;
    }
    for (unsigned i = 0; i < PIT8254_CHANNELS; i++) {
        if (!(value & 2u << i))
            continue;
        if (!(value & 0x20))
            pit8254_channel_latch_count(&pit->channels[i]);
        if (!(value & 0x10))
            pit8254_channel_latch_status(&pit->channels[i]);
    }
}

static uint8_t read_byte(void *device, uint64_t port, uint64_t now)
{
    struct pit8254 *pit = device;

    pit8254_advance(pit, now);
    /* The control word cannot be read: the chip leaves the bus alone. */
    return port < CONTROL_PORT ? pit8254_channel_read(&pit->channels[port]) : 0xff;
}

static void write_byte(void *device, uint64_t port, uint8_t value, uint64_t now)
{
    struct pit8254 *pit = device;

    pit8254_advance(pit, now);
    if (port < CONTROL_PORT)
        pit8254_channel_write(&pit->channels[port], value);
    else
        write_control(pit, value);
    drive_irq(pit, false);
}

uint64_t pit8254_read(void *device, const struct bus_access *access)
{
    return isa_read_bytes(device, access, read_byte);
}

void pit8254_write(void *device, const struct bus_access *access, uint64_t value)
{
    isa_write_bytes(device, access, value, write_byte);
}

void pit8254_state(struct pit8254 *pit, struct state *state)
{
    state_section(state, "pit8254", 1);
    state_u64(state, "pulse", &pit->pulse);
    state_require(state, pit->pulse <= pit8254_pulses(UINT64_MAX), "pulse is beyond the end of time");
    for (unsigned i = 0; i < PIT8254_CHANNELS; i++)
        pit8254_channel_state(&pit->channels[i], state);
    state_require(state, pit->channels[0].gate && pit->channels[1].gate, "a gate that is tied high is low");
}
