#include "vmm/devices/acpi_pm.h"

#include "vmm/devices/isa_bytes.h"

#define TIMER_HZ  3579545ull
#define SECOND_NS 1000000000ull

/* PM1 status and enable: table 4.11 and 4.12. */
#define STATUS_TIMER  0x0001u
#define STATUS_GLOBAL 0x0020u
#define STATUS_BUTTON 0x0100u
#define STATUS_CLOCK  0x0400u /* the RTC's alarm: never set, but operating systems enable it */
#define STATUS_ALL    (STATUS_TIMER | STATUS_GLOBAL | STATUS_BUTTON | STATUS_CLOCK)

/* PM1 control: table 4.13. */
#define CONTROL_SCI_ENABLED 0x0001u
#define CONTROL_SLEEP_TYPE  0x1c00u
#define CONTROL_SLEEP       0x2000u

void acpi_pm_init(struct acpi_pm *pm, struct irq_wire sci, struct acpi_pm_wire wire)
{
    *pm = (struct acpi_pm){.sci = sci, .wire = wire, .control = CONTROL_SCI_ENABLED};
}

void acpi_pm_state(struct acpi_pm *pm, struct state *state)
{
    state_section(state, "acpi-pm", 2);
    state_u16(state, "status", &pm->status);
    state_u16(state, "enable", &pm->enable);
    state_require(state, ((pm->status | pm->enable) & ~STATUS_ALL) == 0, "an event that does not exist");
    state_u8(state, "general_status", &pm->general_status);
    state_u8(state, "general_enable", &pm->general_enable);
    state_require(state, ((pm->general_status | pm->general_enable) & ~ACPI_PM_GENERAL_EVENTS) == 0,
                  "a general purpose event that does not exist");
    state_u16(state, "control", &pm->control);
    state_require(state, (pm->control & ~CONTROL_SLEEP_TYPE) == CONTROL_SCI_ENABLED,
                  "control has a bit that does not exist");
    state_u64(state, "seen", &pm->seen);
}

static void update(struct acpi_pm *pm)
{
    irq_wire_set(&pm->sci, pm->status & pm->enable || pm->general_status & pm->general_enable);
}

void acpi_pm_press_power_button(struct acpi_pm *pm)
{
    pm->status |= STATUS_BUTTON;
    update(pm);
}

void acpi_pm_raise_event(struct acpi_pm *pm, unsigned event)
{
    pm->general_status |= (uint8_t)(1u << event);
    update(pm);
}

/* Without overflow in 64 bits for all of guest time. */
static uint64_t ticks_at(uint64_t now)
{
    return now / SECOND_NS * TIMER_HZ + now % SECOND_NS * TIMER_HZ / SECOND_NS;
}

/* How often the top bit has changed by `now`. */
static uint64_t changes_at(uint64_t now)
{
    return ticks_at(now) >> 31;
}

/* The first moment with so many changes. */
static uint64_t change_time(uint64_t changes)
{
    uint64_t ticks = changes << 31;

    return ticks / TIMER_HZ * SECOND_NS + (ticks % TIMER_HZ * SECOND_NS + TIMER_HZ - 1) / TIMER_HZ;
}

uint64_t acpi_pm_deadline(const struct acpi_pm *pm)
{
    uint64_t changes = changes_at(pm->seen);

    if (!(pm->enable & STATUS_TIMER) || pm->status & STATUS_TIMER || changes == changes_at(UINT64_MAX))
        return NO_DEADLINE;
    return change_time(changes + 1);
}

void acpi_pm_advance(struct acpi_pm *pm, uint64_t now)
{
    if (now <= pm->seen)
        return;
    if (changes_at(now) != changes_at(pm->seen)) {
        pm->status |= STATUS_TIMER;
        update(pm);
    }
    pm->seen = now;
}

static uint8_t read_event(void *device, uint64_t offset, uint64_t now)
{
    struct acpi_pm *pm = device;
    uint16_t value = offset < 2 ? pm->status : pm->enable;

    (void)now;
    return (uint8_t)(value >> 8 * (offset & 1));
}

/* Status bits are cleared by writing ones. */
static void write_event(void *device, uint64_t offset, uint8_t value, uint64_t now)
{
    struct acpi_pm *pm = device;
    unsigned shift = 8 * (offset & 1);
    uint16_t bits = (uint16_t)(value << shift);

    (void)now;
    if (offset < 2)
        pm->status &= (uint16_t)~bits;
    else
        pm->enable = (uint16_t)((pm->enable & ~(0xffu << shift)) | bits) & STATUS_ALL;
    update(pm);
}

uint64_t acpi_pm_event_read(void *device, const struct bus_access *access)
{
    return isa_read_bytes(device, access, read_event);
}

void acpi_pm_event_write(void *device, const struct bus_access *access, uint64_t value)
{
    isa_write_bytes(device, access, value, write_event);
}

static uint8_t read_general(void *device, uint64_t offset, uint64_t now)
{
    const struct acpi_pm *pm = device;

    (void)now;
    return offset == 0 ? pm->general_status : pm->general_enable;
}

static void write_general(void *device, uint64_t offset, uint8_t value, uint64_t now)
{
    struct acpi_pm *pm = device;

    (void)now;
    if (offset == 0)
        pm->general_status &= (uint8_t)~value;
    else
        pm->general_enable = value & ACPI_PM_GENERAL_EVENTS;
    update(pm);
}

uint64_t acpi_pm_general_read(void *device, const struct bus_access *access)
{
    return isa_read_bytes(device, access, read_general);
}

void acpi_pm_general_write(void *device, const struct bus_access *access, uint64_t value)
{
    isa_write_bytes(device, access, value, write_general);
}

uint64_t acpi_pm_control_read(void *device, const struct bus_access *access)
{
    const struct acpi_pm *pm = device;

    return pm->control >> 8 * access->offset;
}

void acpi_pm_control_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct acpi_pm *pm = device;
    uint32_t written = access->size == 1 ? (uint32_t)(value & 0xff) << 8 * access->offset : (uint32_t)value;

    if (access->size == 1 && access->offset == 0)
        return; /* the low byte has nothing that can be changed */
    pm->control = (uint16_t)((written & CONTROL_SLEEP_TYPE) | CONTROL_SCI_ENABLED);
    if (written & CONTROL_SLEEP && (written & CONTROL_SLEEP_TYPE) >> 10 == ACPI_PM_SLEEP_OFF && pm->wire.turned_off)
        pm->wire.turned_off(pm->wire.context);
}

uint64_t acpi_pm_timer_read(void *device, const struct bus_access *access)
{
    (void)device;
    return (ticks_at(access->now) & 0xffffffffu) >> 8 * access->offset;
}
