/* The machine: wiring, running and inputs. What it looks like from outside is in machine.h. */
#include "vmm/machine.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/boot/firmware_tables.h"
#include "vmm/machine_internal.h"

/* The processor's interrupt line: its local APIC, or the 8259 pair behind it. */
static bool interrupt_line(const struct machine *machine)
{
    return lapic_output(&machine->lapic) || (lapic_passes_pic(&machine->lapic) && i8259_output(&machine->pic));
}

static void update_interrupt_line(struct machine *machine)
{
    machine->engine->intr = interrupt_line(machine);
}

static struct bus *bus_of(struct machine *machine, enum engine_space space)
{
    return space == ENGINE_PORT ? &machine->ports : &machine->memory;
}

static void after_exit(struct machine *machine)
{
    update_interrupt_line(machine);
    machine_set_alarm(machine);
    if (machine->door.exit_served(machine->door.context) || machine->end != MACHINE_RUNS || machine->reset_wanted)
        engine_request_stop(machine->engine);
}

static void advance_devices(struct machine *machine, uint64_t now)
{
    if (now > machine->now)
        machine->now = now;
    machine->now_ticks = machine_ticks(machine);
    pit8254_advance(&machine->pit, machine->now);
    mc146818_advance(&machine->rtc, machine->now);
    uart16550_advance(&machine->com1, machine->now);
    acpi_pm_advance(&machine->pm, machine->now);
    lapic_advance(&machine->lapic, machine->now);
}

/* A device that counts time must know the moment at which it is read, or set to count. */
static void bring_time_up(struct machine *machine, const struct bus *bus, uint64_t address)
{
    const struct bus_range *range = bus_find(bus, address, 1);

    if (machine->virtual_clock)
        advance_devices(machine, machine_view(machine));
    else if (range && range->watches_clock)
        advance_devices(machine, machine->door.read_clock(machine->door.context, machine_view(machine)));
}

/* The model specific registers that belong to the local APIC. */
static uint64_t read_msr(struct machine *machine, uint64_t index)
{
    switch (index) {
    case LAPIC_MSR_DEADLINE:
        return lapic_read_deadline(&machine->lapic);
    case LAPIC_MSR_TPR:
        return machine->lapic.tpr;
    default:
        return LAPIC_BASE_VALUE;
    }
}

static void write_msr(struct machine *machine, uint64_t index, uint64_t value)
{
    if (index == LAPIC_MSR_DEADLINE)
        lapic_write_deadline(&machine->lapic, value);
    else if (index == LAPIC_MSR_TPR)
        machine->lapic.tpr = (uint8_t)value;
}

static uint64_t serve_read(void *context, enum engine_space space, uint64_t address, unsigned size)
{
    struct machine *machine = context;
    uint64_t value;

    if (space == ENGINE_MSR) {
        value = read_msr(machine, address);
    } else {
        struct bus *bus = bus_of(machine, space);
        bring_time_up(machine, bus, address);
        value = bus_read(bus, address, size, machine->now);
    }
    after_exit(machine);
    return value;
}

static void serve_write(void *context, enum engine_space space, uint64_t address, unsigned size, uint64_t value)
{
    struct machine *machine = context;

    if (space == ENGINE_MSR) {
        write_msr(machine, address, value);
    } else {
        struct bus *bus = bus_of(machine, space);
        bring_time_up(machine, bus, address);
        bus_write(bus, address, size, value, machine->now);
    }
    after_exit(machine);
}

static uint8_t serve_acknowledge(void *context)
{
    struct machine *machine = context;
    uint8_t vector =
        lapic_output(&machine->lapic) ? lapic_acknowledge(&machine->lapic) : i8259_acknowledge(&machine->pic);

    update_interrupt_line(machine);
    return vector;
}

static void serve_entropy(void *context, uint8_t *bytes, size_t length)
{
    struct machine *machine = context;

    machine->door.entropy(machine->door.context, bytes, length);
    after_exit(machine);
}

static uint64_t serve_read_time(void *context, uint64_t ticks)
{
    return machine_read_time(context, ticks);
}

static int serve_ram_digest(void *context, struct digest *digest, struct error *error)
{
    return machine_ram_digest(context, digest, error);
}

static int create_disks(struct machine *machine, const struct machine_config *config, struct error *error)
{
    CHECK(config->disk_count <= MACHINE_DISKS);
    for (; machine->disk_count < config->disk_count; machine->disk_count++) {
        unsigned number = machine->disk_count;
        if (disk_create(&machine->disks[number], number, &config->disks[number], &machine->door, error) < 0)
            return -1;
    }
    return 0;
}

int machine_create(struct machine *machine, const struct machine_config *config, struct engine *engine,
                   const struct door *door, struct error *error)
{
    *machine = (struct machine){
        .engine = engine, .door = *door, .virtual_clock = config->virtual_clock, .stop_ticks = UINT64_MAX};
    if (config->virtual_clock && !engine->caps.tick_time)
        return error_set(error, ERROR_INPUT,
                         "the virtual clock needs an engine that counts every instruction: %s does "
                         "not, soft does",
                         engine->ops->name);
    if (config->prompt && !engine->caps.tick_time)
        return error_set(
            error, ERROR_INPUT,
            "interrupts are taken here as soon as the guest lets them, to the instruction, which engine %s "
            "cannot do: soft can",
            engine->ops->name);
    CHECK(config->ram_size >= MACHINE_RAM_MIN && config->ram_size <= MACHINE_RAM_MAX &&
          config->ram_size % RAM_PAGE_SIZE == 0);
    if (ram_create(&machine->ram, config->ram_size, error) < 0)
        return -1;
    if (page_digests_create(&machine->digests, &machine->ram, error) < 0 || create_disks(machine, config, error) < 0 ||
        engine_map_ram(engine, &machine->ram, error) < 0) {
        machine_destroy(machine);
        return -1;
    }
    engine->host = (struct engine_host){
        .context = machine,
        .read = serve_read,
        .write = serve_write,
        .acknowledge = serve_acknowledge,
        .entropy = serve_entropy,
        .read_time = serve_read_time,
        .ram_digest = serve_ram_digest,
    };
    engine->prompt = config->prompt || config->virtual_clock;
    machine->config = *config;
    machine_create_chips(machine);
    machine_wire_buses(machine);
    return 0;
}

void machine_destroy(struct machine *machine)
{
    while (machine->disk_count > 0)
        disk_destroy(&machine->disks[--machine->disk_count]);
    page_digests_destroy(&machine->digests);
    ram_destroy(&machine->ram);
}

void machine_keep_image(struct machine *machine, const struct boot_options *boot, const void *image, size_t length,
                        const char *image_name)
{
    machine->config.boot = *boot;
    machine->boot_image = (struct boot_module){.bytes = image, .length = length, .name = image_name};
}

/* Memory as firmware and boot loader leave it, and the processor at the guest's entry. */
static int load_guest(struct machine *machine, uint64_t ticks, struct error *error)
{
    const struct boot_module *image = &machine->boot_image;
    struct boot_options *boot = &machine->config.boot;
    struct cpu_state cpu;

    if (boot->protocol == BOOT_FIRMWARE)
        firmware_tables_install_high(&machine->ram);
    else
        firmware_tables_install(&machine->ram);
    vmgenid_install(&machine->vmgenid);
    if (boot_load(&machine->ram, &cpu, image->bytes, image->length, image->name, boot, &boot->protocol, error) < 0)
        return -1;
    return engine_set_cpu(machine->engine, &cpu, ticks, error);
}

int machine_boot(struct machine *machine, const struct machine_config *config, const void *image, size_t length,
                 const char *image_name, enum boot_protocol *chosen, struct error *error)
{
    machine_keep_image(machine, &config->boot, image, length, image_name);
    if (load_guest(machine, 0, error) < 0)
        return -1;
    if (chosen)
        *chosen = machine->config.boot.protocol;
    return 0;
}

/* Zeroes what is not zero. The other pages are left alone: the host may never have had to give them memory. */
static int clear_memory(struct machine *machine, struct error *error)
{
    struct digest all;

    if (machine_ram_digest(machine, &all, error) < 0)
        return -1;
    for (uint64_t page = 0; page < machine->ram.size >> RAM_PAGE_SHIFT; page++) {
        const struct digest *digest = &machine->digests.pages[page];
        if (digest->low || digest->high)
            ram_fill(&machine->ram, page << RAM_PAGE_SHIFT, 0, RAM_PAGE_SIZE);
    }
    return 0;
}

/* As after power-on, in the midst of guest time: chips, memory, and the guest loaded again. */
static int reset(struct machine *machine, struct error *error)
{
    uint64_t ticks = 0, now = machine_time(machine);
    uint8_t generation[VMGENID_BYTES];

    machine->reset_wanted = false;
    if (!machine->boot_image.bytes)
        return error_set(error, ERROR_INPUT,
                         "the guest resets the machine, and its image is not there to start it again");
    if (machine->engine->caps.ticks && engine_get_ticks(machine->engine, &ticks, error) < 0)
        return -1;
    memcpy(generation, machine->vmgenid.id, sizeof generation);
    machine_create_chips(machine);
    memcpy(machine->vmgenid.id, generation, sizeof generation); /* the same machine */
    if (clear_memory(machine, error) < 0 || load_guest(machine, ticks, error) < 0)
        return -1;
    engine_ram_written(machine->engine, 0, machine->ram.size);
    advance_devices(machine, now);
    machine_look_at_interrupts(machine);
    return 0;
}

/* After a deadline, as after an exit, the door is asked; but not where only the host wanted to stop. */
static bool wants_stop(struct machine *machine, bool passed)
{
    return (passed && machine->door.exit_served(machine->door.context)) ||
           machine_ticks(machine) >= machine->stop_ticks;
}

enum engine_stop machine_run(struct machine *machine, const struct engine_stops *stops, struct error *error)
{
    enum engine_stop stop;

    do {
        machine_set_alarm(machine);
        stop = engine_run(machine->engine, stops, error);
        bool passed = machine_pass_deadline(machine);
        if (stop == ENGINE_STOP_ALARM && wants_stop(machine, passed))
            stop = ENGINE_STOP_REQUESTED;
    } while (stop == ENGINE_STOP_ALARM);
    if (stop == ENGINE_STOP_SHUTDOWN)
        machine->end = MACHINE_TRIPLE_FAULT;
    else if (stop == ENGINE_STOP_FAULT)
        machine->end = MACHINE_ENGINE_FAULT;
    else if (machine->engine->halted_for_good && machine->end == MACHINE_RUNS)
        machine->end = MACHINE_HALTED;
    if (machine->reset_wanted && machine->end == MACHINE_RUNS && stop != ENGINE_STOP_ERROR && reset(machine, error) < 0)
        return ENGINE_STOP_ERROR;
    return stop;
}

uint64_t machine_deadline(const struct machine *machine)
{
    uint64_t deadline = earlier(pit8254_deadline(&machine->pit),
                                earlier(mc146818_deadline(&machine->rtc), uart16550_deadline(&machine->com1)));

    return earlier(deadline, earlier(lapic_deadline(&machine->lapic), acpi_pm_deadline(&machine->pm)));
}

void machine_set_time(struct machine *machine, uint64_t now)
{
    advance_devices(machine, now);
    machine_look_at_interrupts(machine);
}

/* Input comes at a time of its own when time goes on by itself. */
static void bring_view(struct machine *machine)
{
    if (machine->virtual_clock)
        advance_devices(machine, machine_view(machine));
}

size_t machine_console_room(const struct machine *machine)
{
    return machine->config.virtio_console ? virtio_console_room(&machine->console) : uart16550_room(&machine->com1);
}

bool machine_console_ready(const struct machine *machine)
{
    return machine_console_room(machine) >= (machine->config.virtio_console ? 1 : UART16550_BACKLOG / 2);
}

void machine_console_input(struct machine *machine, const uint8_t *bytes, size_t length)
{
    bring_view(machine);
    if (machine->config.virtio_console)
        virtio_console_receive(&machine->console, bytes, length);
    else
        uart16550_receive(&machine->com1, bytes, length, machine->now);
    machine_look_at_interrupts(machine);
}

size_t machine_net_room(const struct machine *machine, unsigned card)
{
    return card < machine->card_count ? machine->cards[card].room(machine->cards[card].card) : 0;
}

void machine_net_input(struct machine *machine, unsigned card, const uint8_t *frame, size_t length)
{
    CHECK(card < machine->card_count);
    bring_view(machine);
    machine->cards[card].receive(machine->cards[card].card, frame, length);
    machine_look_at_interrupts(machine);
}

bool machine_operator(struct machine *machine, uint16_t command, const uint8_t *bytes, size_t length)
{
    bring_view(machine);
    if (command == MACHINE_POWER_BUTTON && length == 0)
        acpi_pm_press_power_button(&machine->pm);
    else if (command == MACHINE_BALLOON && length == 4 && bytes_load(bytes, 4) <= machine->ram.size >> RAM_PAGE_SHIFT)
        virtio_balloon_set_target(&machine->balloon, (uint32_t)bytes_load(bytes, 4));
    else if (command == MACHINE_KEYS && length > 0)
        i8042_press(&machine->i8042, bytes, length);
    else if (command == MACHINE_SET_TIME && length == 8)
        mc146818_set(&machine->rtc, (int64_t)bytes_load(bytes, 8));
    else if (command == MACHINE_NEW_GENERATION && length == VMGENID_BYTES)
        vmgenid_change(&machine->vmgenid, bytes);
    else
        return false;
    machine_look_at_interrupts(machine);
    return true;
}

void machine_look_at_interrupts(struct machine *machine)
{
    engine_set_intr(machine->engine, interrupt_line(machine));
}

bool machine_interrupt_waits(const struct machine *machine)
{
    return interrupt_line(machine);
}
