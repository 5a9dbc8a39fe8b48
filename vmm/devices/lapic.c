#include "vmm/devices/lapic.h"

/* Register offsets: SDM volume 3, table 10-1. */
enum {
    REG_ID = 0x020,
    REG_VERSION = 0x030,
    REG_TPR = 0x080,
    REG_APR = 0x090,
    REG_PPR = 0x0a0,
    REG_EOI = 0x0b0,
    REG_LDR = 0x0d0,
    REG_DFR = 0x0e0,
    REG_SVR = 0x0f0,
    REG_ISR = 0x100,
    REG_TMR = 0x180,
    REG_IRR = 0x200,
    REG_ESR = 0x280,
    REG_ICR_LOW = 0x300,
    REG_ICR_HIGH = 0x310,
    REG_LVT = 0x320,
    REG_LVT_END = 0x380,
    REG_INITIAL = 0x380,
    REG_CURRENT = 0x390,
    REG_DIVIDE = 0x3e0
};

#define VERSION (0x14u | (LAPIC_LVTS - 1) << 16)

#define SVR_ENABLED  0x100u
#define SVR_WRITABLE 0x3ffu
#define DFR_FLAT     0xffffffffu
#define DFR_CLUSTER  0x0fffffffu

#define LVT_MASKED     0x10000u
#define LVT_DELIVERY   0x700u
#define LVT_EXTINT     0x700u
#define LVT_NMI        0x400u
#define TIMER_WRITABLE 0x700ffu
#define LINT_WRITABLE  0x1a7ffu
#define OTHER_WRITABLE 0x107ffu
#define ERROR_WRITABLE 0x100ffu

#define DELIVERY_FIXED  0u
#define DELIVERY_LOWEST 1u

/* The vectors below are the processor's own: in a message, an error and no interrupt (10.5.3). */
#define FIRST_VECTOR 16

#define ICR_WRITABLE  0xccfffu
#define ERROR_SEND    0x20u
#define ERROR_RECEIVE 0x40u
#define ERRORS        (ERROR_SEND | ERROR_RECEIVE)

static const uint32_t lvt_writable[LAPIC_LVTS] = {
    [LAPIC_TIMER] = TIMER_WRITABLE, [LAPIC_THERMAL] = OTHER_WRITABLE, [LAPIC_COUNTER] = OTHER_WRITABLE,
    [LAPIC_LINT0] = LINT_WRITABLE,  [LAPIC_LINT1] = LINT_WRITABLE,    [LAPIC_ERROR] = ERROR_WRITABLE,
};

void lapic_init(struct lapic *lapic, void (*end_of_interrupt)(void *context, uint8_t vector), void *context)
{
    *lapic = (struct lapic){.svr = 0xff, .end_of_interrupt = end_of_interrupt, .context = context};
    for (unsigned i = 0; i < LAPIC_LVTS; i++)
        lapic->lvt[i] = LVT_MASKED;
    lapic->lvt[LAPIC_LINT0] = LVT_EXTINT;
    lapic->lvt[LAPIC_LINT1] = LVT_NMI;
    lapic_timer_init(&lapic->timer);
}

void lapic_state(struct lapic *lapic, struct state *state)
{
    state_section(state, "lapic", 1);
    state_u8(state, "id", &lapic->id);
    state_u8(state, "tpr", &lapic->tpr);
    state_u8(state, "ldr", &lapic->ldr);
    state_bool(state, "cluster", &lapic->cluster);
    state_u16(state, "svr", &lapic->svr);
    state_require(state, (lapic->svr & ~SVR_WRITABLE) == 0, "svr has a bit that does not exist");
    state_u8(state, "esr", &lapic->esr);
    state_u8(state, "errors", &lapic->errors);
    state_require(state, ((lapic->esr | lapic->errors) & ~ERRORS) == 0, "an error that does not exist");
    state_u32(state, "icr low", &lapic->icr_low);
    state_require(state, (lapic->icr_low & ~ICR_WRITABLE) == 0, "icr has a bit that does not exist");
    state_u8(state, "icr destination", &lapic->icr_destination);
    for (unsigned i = 0; i < LAPIC_LVTS; i++) {
        state_u32(state, "lvt", &lapic->lvt[i]);
        state_require(state, (lapic->lvt[i] & ~lvt_writable[i]) == 0, "lvt has a bit that does not exist");
    }
    for (unsigned i = 0; i < 8; i++) {
        state_u32(state, "irr", &lapic->irr[i]);
        state_u32(state, "isr", &lapic->isr[i]);
        state_u32(state, "tmr", &lapic->tmr[i]);
    }
    lapic_timer_state(&lapic->timer, state);
}

static bool enabled(const struct lapic *lapic)
{
    return lapic->svr & SVR_ENABLED;
}

/* The highest vector in a bitmap; -1 when there is none. */
static int highest(const uint32_t bits[8])
{
    for (int word = 7; word >= 0; word--) {
        if (bits[word])
            return word * 32 + 31 - __builtin_clz(bits[word]);
    }
    return -1;
}

static void set_bit(uint32_t bits[8], uint8_t vector, bool value)
{
    uint32_t bit = 1u << vector % 32;

    bits[vector / 32] = value ? bits[vector / 32] | bit : bits[vector / 32] & ~bit;
}

static void request(struct lapic *lapic, uint8_t vector, bool level)
{
    set_bit(lapic->irr, vector, true);
    set_bit(lapic->tmr, vector, level);
}

/* An error interrupts by its entry of the local vector table; then not again until ESR has been written: 10.5.3. */
static void note_error(struct lapic *lapic, uint8_t error)
{
    uint32_t entry = lapic->lvt[LAPIC_ERROR];
    bool armed = !lapic->errors;

    lapic->errors |= error;
    if (!armed || entry & LVT_MASKED || !enabled(lapic))
        return;
    if ((uint8_t)entry < FIRST_VECTOR)
        lapic->errors |= ERROR_RECEIVE;
    else
        request(lapic, (uint8_t)entry, false);
}

/* Whether a message's destination is this APIC: 10.6.2. */
static bool is_addressed(const struct lapic *lapic, uint8_t destination, bool logical)
{
    if (destination == 0xff)
        return true;
    if (!logical)
        return destination == lapic->id;
    if (!lapic->cluster)
        return destination & lapic->ldr;
    return destination >> 4 == lapic->ldr >> 4 && (destination & lapic->ldr & 0x0f);
}

static void deliver(struct lapic *lapic, unsigned delivery, uint8_t vector, bool level)
{
    if (!enabled(lapic) || (delivery != DELIVERY_FIXED && delivery != DELIVERY_LOWEST))
        return;
    if (vector < FIRST_VECTOR)
        note_error(lapic, ERROR_RECEIVE);
    else
        request(lapic, vector, level);
}

void lapic_message(struct lapic *lapic, uint64_t address, uint32_t data)
{
    uint8_t destination = (uint8_t)(address >> 12);
    bool logical = address & 4;

    if (address >> 20 == LAPIC_BASE >> 20 && is_addressed(lapic, destination, logical))
        deliver(lapic, data >> 8 & 7, (uint8_t)data, data & 0x8000);
}

static void local_interrupt(struct lapic *lapic, enum lapic_lvt which)
{
    uint32_t entry = lapic->lvt[which];

    if (!(entry & LVT_MASKED))
        deliver(lapic, entry >> 8 & 7, (uint8_t)entry, false);
}

static uint8_t processor_priority(const struct lapic *lapic)
{
    int serviced = highest(lapic->isr);
    uint8_t class = serviced < 0 ? 0 : (uint8_t)(serviced & 0xf0);

    return (lapic->tpr & 0xf0) >= class ? lapic->tpr : class;
}

/* The vector that the processor is to take, or -1. */
static int pending(const struct lapic *lapic)
{
    int vector = enabled(lapic) ? highest(lapic->irr) : -1;

    return vector >= 0 && (vector & 0xf0) > (processor_priority(lapic) & 0xf0) ? vector : -1;
}

bool lapic_output(const struct lapic *lapic)
{
    return pending(lapic) >= 0;
}

bool lapic_passes_pic(const struct lapic *lapic)
{
    return (lapic->lvt[LAPIC_LINT0] & (LVT_MASKED | LVT_DELIVERY)) == LVT_EXTINT;
}

uint8_t lapic_acknowledge(struct lapic *lapic)
{
    int vector = pending(lapic);

    if (vector < 0)
        return (uint8_t)lapic->svr;
    set_bit(lapic->irr, (uint8_t)vector, false);
    set_bit(lapic->isr, (uint8_t)vector, true);
    return (uint8_t)vector;
}

static void end_of_interrupt(struct lapic *lapic)
{
    int vector = highest(lapic->isr);

    if (vector < 0)
        return;
    set_bit(lapic->isr, (uint8_t)vector, false);
    if ((lapic->tmr[vector / 32] >> vector % 32 & 1) && lapic->end_of_interrupt)
        lapic->end_of_interrupt(lapic->context, (uint8_t)vector);
}

uint64_t lapic_deadline(const struct lapic *lapic)
{
    return lapic_timer_due(&lapic->timer);
}

void lapic_advance(struct lapic *lapic, uint64_t now)
{
    if (lapic_timer_expired(&lapic->timer, now))
        local_interrupt(lapic, LAPIC_TIMER);
}

uint64_t lapic_read_deadline(const struct lapic *lapic)
{
    return lapic_timer_deadline_register(&lapic->timer);
}

void lapic_write_deadline(struct lapic *lapic, uint64_t when)
{
    lapic_timer_set_deadline(&lapic->timer, when);
}

/* An interprocessor interrupt: 10.6.1. There is nobody but this processor. */
static void send_command(struct lapic *lapic)
{
    unsigned shorthand = lapic->icr_low >> 18 & 3;
    bool logical = lapic->icr_low & 0x800;
    bool here =
        shorthand == 1 || shorthand == 2 || (shorthand == 0 && is_addressed(lapic, lapic->icr_destination, logical));
    unsigned delivery = lapic->icr_low >> 8 & 7;
    uint8_t vector = (uint8_t)lapic->icr_low;

    if (delivery <= DELIVERY_LOWEST && vector < FIRST_VECTOR)
        note_error(lapic, ERROR_SEND);
    else if (here)
        deliver(lapic, delivery, vector, false);
}

static void write_svr(struct lapic *lapic, uint32_t value)
{
    lapic->svr = value & SVR_WRITABLE;
    /* While the APIC is disabled by software, all its local interrupts are masked: 10.4.7.2. */
    for (unsigned i = 0; i < LAPIC_LVTS && !enabled(lapic); i++)
        lapic->lvt[i] |= LVT_MASKED;
}

static void write_lvt(struct lapic *lapic, unsigned which, uint32_t value)
{
    lapic->lvt[which] = value & lvt_writable[which];
    if (!enabled(lapic))
        lapic->lvt[which] |= LVT_MASKED;
    if (which == LAPIC_TIMER) {
        unsigned mode = value >> 17 & 3;
        lapic_timer_set_mode(&lapic->timer, mode > LAPIC_TIMER_TSC_DEADLINE ? LAPIC_TIMER_ONE_SHOT : mode);
    }
}

static uint32_t read_register(const struct lapic *lapic, uint32_t offset, uint64_t now)
{
    switch (offset) {
    case REG_ID:
        return (uint32_t)lapic->id << 24;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return lapic->tpr;
    case REG_PPR:
        return processor_priority(lapic);
    case REG_LDR:
        return (uint32_t)lapic->ldr << 24;
    case REG_DFR:
        return lapic->cluster ? DFR_CLUSTER : DFR_FLAT;
    case REG_SVR:
        return lapic->svr;
    case REG_ESR:
        return lapic->esr;
    case REG_ICR_LOW:
        return lapic->icr_low;
    case REG_ICR_HIGH:
        return (uint32_t)lapic->icr_destination << 24;
    case REG_INITIAL:
        return lapic->timer.initial;
    case REG_CURRENT:
        return lapic_timer_current(&lapic->timer, now);
    case REG_DIVIDE:
        return lapic->timer.divide;
    default:
        break;
    }
    unsigned word = offset >> 4 & 7;
    if (offset >= REG_ISR && offset < REG_TMR)
        return lapic->isr[word];
    if (offset >= REG_TMR && offset < REG_IRR)
        return lapic->tmr[word];
    if (offset >= REG_IRR && offset < REG_ESR)
        return lapic->irr[word];
    if (offset >= REG_LVT && offset < REG_LVT_END)
        return lapic->lvt[(offset - REG_LVT) >> 4];
    return 0;
}

static void write_register(struct lapic *lapic, uint32_t offset, uint32_t value, uint64_t now)
{
    switch (offset) {
    case REG_ID:
        lapic->id = (uint8_t)(value >> 24);
        break;
    case REG_TPR:
        lapic->tpr = (uint8_t)value;
        break;
    case REG_EOI:
        end_of_interrupt(lapic);
        break;
    case REG_LDR:
        lapic->ldr = (uint8_t)(value >> 24);
        break;
    case REG_DFR:
        lapic->cluster = value >> 28 == 0;
        break;
    case REG_SVR:
        write_svr(lapic, value);
        break;
    case REG_ESR: /* a write brings the register up to date: 10.5.3 */
        lapic->esr = lapic->errors;
        lapic->errors = 0;
        break;
    case REG_ICR_LOW:
        lapic->icr_low = value & ICR_WRITABLE;
        send_command(lapic);
        break;
    case REG_ICR_HIGH:
        lapic->icr_destination = (uint8_t)(value >> 24);
        break;
    case REG_INITIAL:
        lapic_timer_set_initial(&lapic->timer, value, now);
        break;
    case REG_DIVIDE:
        lapic_timer_set_divide(&lapic->timer, value, now);
        break;
    default:
        if (offset >= REG_LVT && offset < REG_LVT_END)
            write_lvt(lapic, (offset - REG_LVT) >> 4, value);
        break;
    }
}

/* Registers are 32 bits wide and 16 bytes apart; other accesses are undefined (10.4.1). Here a part of a register can
 * be read, and only whole ones written. */
static uint64_t read_at(const struct lapic *lapic, uint64_t offset, const struct bus_access *access)
{
    unsigned byte = offset & 0xf;

    return byte < 4 ? (uint64_t)read_register(lapic, (uint32_t)(offset & ~0xfull), access->now) >> (8 * byte) : 0;
}

static void write_at(struct lapic *lapic, uint64_t offset, const struct bus_access *access, uint64_t value)
{
    if ((offset & 0xf) == 0 && access->size >= 4)
        write_register(lapic, (uint32_t)offset, (uint32_t)value, access->now);
}

uint64_t lapic_read(void *device, const struct bus_access *access)
{
    return read_at(device, access->offset, access);
}

void lapic_write(void *device, const struct bus_access *access, uint64_t value)
{
    write_at(device, access->offset, access, value);
}

uint64_t lapic_read_timed(void *device, const struct bus_access *access)
{
    return read_at(device, LAPIC_TIMED_START + access->offset, access);
}

void lapic_write_timed(void *device, const struct bus_access *access, uint64_t value)
{
    write_at(device, LAPIC_TIMED_START + access->offset, access, value);
}
