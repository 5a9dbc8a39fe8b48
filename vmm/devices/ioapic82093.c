#include "vmm/devices/ioapic82093.h"

#define REG_SELECT 0x00
#define REG_WINDOW 0x10

#define INDEX_ID          0
#define INDEX_VERSION     1
#define INDEX_ARBITRATION 2
#define INDEX_REDIRECTION 0x10

#define VERSION (0x11u | (IOAPIC_INPUTS - 1) << 16)

/* A redirection entry: 3.2.4 of the data sheet. */
#define ENTRY_VECTOR     0xffull
#define ENTRY_DELIVERY   0x700ull
#define ENTRY_LOGICAL    0x800ull
#define ENTRY_REMOTE_IRR 0x4000ull
#define ENTRY_LEVEL      0x8000ull
#define ENTRY_MASKED     0x10000ull
#define ENTRY_WRITABLE   0xff0000000001afffull
#define ENTRY_KEPT       (ENTRY_WRITABLE | ENTRY_REMOTE_IRR)

void ioapic82093_init(struct ioapic82093 *ioapic, struct msi_wire wire)
{
    *ioapic = (struct ioapic82093){.wire = wire};
    for (unsigned i = 0; i < IOAPIC_INPUTS; i++)
        ioapic->redirection[i] = ENTRY_MASKED;
}

void ioapic82093_state(struct ioapic82093 *ioapic, struct state *state)
{
    state_section(state, "ioapic", 1);
    state_u8(state, "select", &ioapic->select);
    state_u8_max(state, "id", &ioapic->id, 15);
    for (unsigned i = 0; i < IOAPIC_INPUTS; i++) {
        state_u64(state, "redirection", &ioapic->redirection[i]);
        state_require(state, (ioapic->redirection[i] & ~ENTRY_KEPT) == 0, "an entry has a bit that does not exist");
    }
    state_u32_max(state, "lines", &ioapic->lines, (1u << IOAPIC_INPUTS) - 1);
}

/* The message that an entry describes, in the form of an MSI (SDM volume 3, 10.11). */
static void send(struct ioapic82093 *ioapic, uint64_t entry)
{
    uint64_t address = 0xfee00000u | (entry >> 56) << 12 | (entry & ENTRY_LOGICAL ? 4 : 0);
    uint32_t data = (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_DELIVERY | ENTRY_LEVEL)) | 0x4000;

    if (ioapic->wire.send)
        ioapic->wire.send(ioapic->wire.context, address, data);
}

/* Sends for a level-triggered input that is up and waits for nothing. */
static void serve_level(struct ioapic82093 *ioapic, unsigned input)
{
    uint64_t *entry = &ioapic->redirection[input];

    if (!(ioapic->lines >> input & 1) || (*entry & (ENTRY_LEVEL | ENTRY_MASKED | ENTRY_REMOTE_IRR)) != ENTRY_LEVEL)
        return;
    *entry |= ENTRY_REMOTE_IRR;
    send(ioapic, *entry);
}

void ioapic82093_set_line(void *device, unsigned input, bool level)
{
    struct ioapic82093 *ioapic = device;
    uint32_t bit = 1u << input;
    bool rises = level && !(ioapic->lines & bit);
    uint64_t entry = ioapic->redirection[input];

    ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
    if (rises && !(entry & (ENTRY_LEVEL | ENTRY_MASKED)))
        send(ioapic, entry);
    serve_level(ioapic, input);
}

void ioapic82093_end_of_interrupt(struct ioapic82093 *ioapic, uint8_t vector)
{
    for (unsigned i = 0; i < IOAPIC_INPUTS; i++) {
        uint64_t *entry = &ioapic->redirection[i];
        if ((*entry & (ENTRY_LEVEL | ENTRY_REMOTE_IRR)) != (ENTRY_LEVEL | ENTRY_REMOTE_IRR) ||
            (*entry & ENTRY_VECTOR) != vector)
            continue;
        *entry &= ~ENTRY_REMOTE_IRR;
        serve_level(ioapic, i);
    }
}

static uint32_t read_register(const struct ioapic82093 *ioapic)
{
    unsigned index = ioapic->select;

    if (index >= INDEX_REDIRECTION && index < INDEX_REDIRECTION + 2 * IOAPIC_INPUTS) {
        uint64_t entry = ioapic->redirection[(index - INDEX_REDIRECTION) / 2];
        return (uint32_t)(index & 1 ? entry >> 32 : entry);
    }
    switch (index) {
    case INDEX_ID:
    case INDEX_ARBITRATION:
        return (uint32_t)ioapic->id << 24;
    case INDEX_VERSION:
        return VERSION;
    default:
        return 0;
    }
}

static void write_redirection(struct ioapic82093 *ioapic, unsigned input, bool high, uint32_t value)
{
    uint64_t *entry = &ioapic->redirection[input];
    uint64_t changed = high ? (uint64_t)value << 32 | (uint32_t)*entry : (*entry & ~0xffffffffull) | value;

    *entry = (changed & ENTRY_WRITABLE) | (*entry & ENTRY_REMOTE_IRR);
    /* An edge-triggered entry has no use for it; how an operating system gets rid of one that is stuck. */
    if (!(*entry & ENTRY_LEVEL))
        *entry &= ~ENTRY_REMOTE_IRR;
    serve_level(ioapic, input);
}

static void write_register(struct ioapic82093 *ioapic, uint32_t value)
{
    unsigned index = ioapic->select;

    if (index == INDEX_ID)
        ioapic->id = value >> 24 & 15;
    else if (index >= INDEX_REDIRECTION && index < INDEX_REDIRECTION + 2 * IOAPIC_INPUTS)
        write_redirection(ioapic, (index - INDEX_REDIRECTION) / 2, index & 1, value);
}

uint64_t ioapic82093_read(void *device, const struct bus_access *access)
{
    const struct ioapic82093 *ioapic = device;

    if (access->offset == REG_SELECT)
        return ioapic->select;
    return access->offset == REG_WINDOW ? read_register(ioapic) : 0;
}

void ioapic82093_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct ioapic82093 *ioapic = device;

    if (access->offset == REG_SELECT)
        ioapic->select = (uint8_t)value;
    else if (access->offset == REG_WINDOW)
        write_register(ioapic, (uint32_t)value);
}
