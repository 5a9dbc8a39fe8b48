#include "vmm/devices/mc146818.h"

#include "vmm/devices/isa_bytes.h"
#include "vmm/devices/mc146818_clock.h"

#define A_UIP       0x80
#define A_DV        0x70
#define A_DV_RUN    0x20
#define A_RS        0x0f
#define A_POWER_ON  0x26 /* running, 1024 Hz periodic rate */
#define B_SET       0x80
#define B_UIE       0x10
#define B_24H       0x02
#define C_IRQF      0x80
#define C_PF        0x40
#define C_AF        0x20
#define C_UF        0x10
#define C_FLAGS     (C_PF | C_AF | C_UF) /* the same bits in register B enable them */
#define D_VRT       0x80                 /* the battery is good */
#define SECOND      32768                /* counts of the divider chain */
#define HALF_SECOND 16384
#define UIP_COUNTS  8 /* UIP comes 244 us ahead */
#define DATA_PORT   1

/* CMOS memory sizes, as the PC's firmware writes them (low byte first). */
#define CMOS_BASE_KIB      0x15
#define CMOS_EXTENDED_KIB  0x17
#define CMOS_EXTENDED_KIB2 0x30
#define CMOS_ABOVE_16_MIB  0x34 /* in units of 64 KiB */

/* 32768 Hz is 64 counts in every 1953125 ns, exactly. */
static uint64_t chain_count(const struct mc146818 *rtc, uint64_t now)
{
    if (now < rtc->epoch)
        return 0;
    return rtc->preset + (uint64_t)((unsigned __int128)(now - rtc->epoch) * 64 / 1953125);
}

/* The guest time at which the chain reaches `count`. */
static uint64_t chain_time(const struct mc146818 *rtc, uint64_t count)
{
    unsigned __int128 after = ((unsigned __int128)(count - rtc->preset) * 1953125 + 63) / 64;

    return after < NO_DEADLINE - rtc->epoch ? rtc->epoch + (uint64_t)after : NO_DEADLINE;
}

static bool chain_runs(const struct mc146818 *rtc)
{
    return (rtc->bytes[MC146818_A] & A_DV) == A_DV_RUN;
}

/* Counts of the chain between periodic interrupts, or 0. At 32768 Hz the rates 1 and 2 are those of 8 and 9. */
static uint64_t period(const struct mc146818 *rtc)
{
    unsigned rate = rtc->bytes[MC146818_A] & A_RS;

    if (rate == 0)
        return 0;
    return 1ull << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static void drive_irq(struct mc146818 *rtc)
{
    irq_wire_set(&rtc->irq, (rtc->bytes[MC146818_C] & rtc->bytes[MC146818_B] & C_FLAGS) != 0);
}

/* `seconds` updates pass; SET holds them off. */
static void update(struct mc146818 *rtc, uint64_t seconds)
{
    if (seconds == 0 || (rtc->bytes[MC146818_B] & B_SET))
        return;
    if (mc146818_clock_alarm(rtc->bytes) <= seconds)
        rtc->bytes[MC146818_C] |= C_AF;
    rtc->bytes[MC146818_C] |= C_UF;
    mc146818_clock_add(rtc->bytes, seconds);
}

void mc146818_set(struct mc146818 *rtc, int64_t unix_seconds)
{
    mc146818_clock_set(rtc->bytes, unix_seconds);
}

void mc146818_advance(struct mc146818 *rtc, uint64_t now)
{
    uint64_t count = chain_count(rtc, now);
    uint64_t every = period(rtc);

    if (!chain_runs(rtc) || count <= rtc->count)
        return;
    if (every && count / every != rtc->count / every)
        rtc->bytes[MC146818_C] |= C_PF;
    update(rtc, count / SECOND - rtc->count / SECOND);
    rtc->count = count;
    drive_irq(rtc);
}

uint64_t mc146818_deadline(const struct mc146818 *rtc)
{
    uint8_t b = rtc->bytes[MC146818_B];
    uint64_t next = UINT64_MAX;

    /* While the line is high, no further flag can be noticed by it. */
    if (!chain_runs(rtc) || (b & rtc->bytes[MC146818_C] & C_FLAGS))
        return NO_DEADLINE;
    if ((b & C_PF) && period(rtc))
        next = (rtc->count / period(rtc) + 1) * period(rtc);
    if (!(b & B_SET)) {
        uint64_t second = rtc->count / SECOND;
        if (b & C_UF)
            next = earlier(next, (second + 1) * SECOND);
        uint64_t alarm = b & C_AF ? mc146818_clock_alarm(rtc->bytes) : MC146818_NO_ALARM;
        if (alarm != MC146818_NO_ALARM)
            next = earlier(next, (second + alarm) * SECOND);
    }
    return next == UINT64_MAX ? NO_DEADLINE : chain_time(rtc, next);
}

static uint8_t read_a(const struct mc146818 *rtc)
{
    uint8_t value = rtc->bytes[MC146818_A];

    if (chain_runs(rtc) && !(rtc->bytes[MC146818_B] & B_SET) && rtc->count % SECOND >= SECOND - UIP_COUNTS)
        value |= A_UIP;
    return value;
}

static uint8_t read_c(struct mc146818 *rtc)
{
    uint8_t value = rtc->bytes[MC146818_C];

    if (value & rtc->bytes[MC146818_B] & C_FLAGS)
        value |= C_IRQF;
    rtc->bytes[MC146818_C] = 0;
    drive_irq(rtc);
    return value;
}

static void write_a(struct mc146818 *rtc, uint8_t value, uint64_t now)
{
    bool ran = chain_runs(rtc);

    rtc->bytes[MC146818_A] = value & ~A_UIP;
    if (!ran && chain_runs(rtc)) {
        rtc->epoch = now;
        rtc->preset = HALF_SECOND;
        rtc->count = HALF_SECOND;
    }
}

static void write_b(struct mc146818 *rtc, uint8_t value)
{
    /* SET clears UIE, says the data sheet. */
    rtc->bytes[MC146818_B] = value & B_SET ? value & ~B_UIE : value;
    drive_irq(rtc);
}

static uint8_t read_byte(void *device, uint64_t port, uint64_t now)
{
    struct mc146818 *rtc = device;

    if (port != DATA_PORT)
        return 0xff;
    mc146818_advance(rtc, now);
    switch (rtc->index) {
    case MC146818_A:
        return read_a(rtc);
    case MC146818_C:
        return read_c(rtc);
    default:
        return rtc->bytes[rtc->index];
    }
}

static void write_byte(void *device, uint64_t port, uint8_t value, uint64_t now)
{
    struct mc146818 *rtc = device;

    if (port != DATA_PORT) {
        rtc->index = value & (MC146818_BYTES - 1);
        return;
    }
    mc146818_advance(rtc, now);
    switch (rtc->index) {
    case MC146818_A:
        write_a(rtc, value, now);
        break;
    case MC146818_B:
        write_b(rtc, value);
        break;
    case MC146818_C: /* read only */
    case MC146818_D:
        break;
    default:
        rtc->bytes[rtc->index] = value;
        break;
    }
}

uint64_t mc146818_read(void *device, const struct bus_access *access)
{
    return isa_read_bytes(device, access, read_byte);
}

void mc146818_write(void *device, const struct bus_access *access, uint64_t value)
{
    isa_write_bytes(device, access, value, write_byte);
}

static void put_size(struct mc146818 *rtc, unsigned address, uint64_t units)
{
    uint64_t shown = units < UINT16_MAX ? units : UINT16_MAX;

    rtc->bytes[address] = (uint8_t)shown;
    rtc->bytes[address + 1] = (uint8_t)(shown >> 8);
}

static uint64_t above(uint64_t size, uint64_t floor)
{
    return size > floor ? size - floor : 0;
}

void mc146818_init(struct mc146818 *rtc, int64_t unix_seconds, uint64_t low_memory, struct irq_wire irq)
{
    *rtc = (struct mc146818){.irq = irq};
    rtc->bytes[MC146818_A] = A_POWER_ON;
    rtc->bytes[MC146818_B] = B_24H;
    rtc->bytes[MC146818_D] = D_VRT;
    mc146818_clock_set(rtc->bytes, unix_seconds);
    put_size(rtc, CMOS_BASE_KIB, earlier(low_memory >> 10, 640));
    put_size(rtc, CMOS_EXTENDED_KIB, above(low_memory, 1 << 20) >> 10);
    put_size(rtc, CMOS_EXTENDED_KIB2, above(low_memory, 1 << 20) >> 10);
    put_size(rtc, CMOS_ABOVE_16_MIB, above(low_memory, 16 << 20) >> 16);
}

void mc146818_state(struct mc146818 *rtc, struct state *state)
{
    state_section(state, "mc146818", 1);
    state_bytes(state, "bytes", rtc->bytes, sizeof rtc->bytes);
    state_u8_max(state, "index", &rtc->index, MC146818_BYTES - 1);
    state_u64(state, "epoch", &rtc->epoch);
    state_u32_max(state, "preset", &rtc->preset, HALF_SECOND);
    state_u64(state, "count", &rtc->count);
    state_require(state, !(rtc->bytes[MC146818_A] & A_UIP), "register A holds UIP");
    state_require(state, (rtc->bytes[MC146818_C] & ~C_FLAGS) == 0, "register C holds more than flags");
    state_require(state, rtc->bytes[MC146818_D] == D_VRT, "register D is not what it always is");
    state_require(state, !(rtc->bytes[MC146818_B] & B_SET) || !(rtc->bytes[MC146818_B] & B_UIE), "SET with UIE");
    state_require(state, rtc->count >= rtc->preset && rtc->count <= chain_count(rtc, UINT64_MAX),
                  "count is beyond the divider chain's reach");
}
