/* The machine: wiring, running and inputs. What it looks like from outside is in machine.h. */
#include "vmm/machine.h"

#include <inttypes.h>

#include "base/check.h"

static void update_interrupt_line(struct machine *machine)
{
    machine->engine->intr = i8259_output(&machine->pic);
}

static struct bus *bus_of(struct machine *machine, enum engine_space space)
{
    return space == ENGINE_PORT ? &machine->ports : &machine->memory;
}

static void after_exit(struct machine *machine)
{
    update_interrupt_line(machine);
    machine_set_alarm(machine);
    if (machine->door.exit_served(machine->door.context) || machine->end != MACHINE_RUNS)
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

static uint64_t serve_read(void *context, enum engine_space space, uint64_t address, unsigned size)
{
    struct machine *machine = context;
    struct bus *bus = bus_of(machine, space);

    bring_time_up(machine, bus, address);
    uint64_t value = bus_read(bus, address, size, machine->now);
    after_exit(machine);
    return value;
}

static void serve_write(void *context, enum engine_space space, uint64_t address, unsigned size, uint64_t value)
{
    struct machine *machine = context;
    struct bus *bus = bus_of(machine, space);

    bring_time_up(machine, bus, address);
    bus_write(bus, address, size, value, machine->now);
    after_exit(machine);
}

static uint8_t serve_acknowledge(void *context)
{
    struct machine *machine = context;
    uint8_t vector = i8259_acknowledge(&machine->pic);

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

static void console_put(void *context, uint8_t byte)
{
    struct machine *machine = context;

    machine->door.console_output(machine->door.context, MACHINE_CONSOLE_COM1, byte);
}

static void entropy_fill(void *context, uint8_t *bytes, size_t length)
{
    struct machine *machine = context;

    machine->door.entropy(machine->door.context, bytes, length);
}

static void guest_exits(void *context, uint32_t value)
{
    struct machine *machine = context;

    machine->end = MACHINE_DEBUG_EXIT;
    machine->exit_value = value;
}

static struct irq_wire irq_of(struct machine *machine, unsigned line)
{
    return (struct irq_wire){.set = i8259_set_line, .context = &machine->pic, .line = line};
}

static void create_chips(struct machine *machine, const struct machine_config *config)
{
    const struct byte_sink console = {.put = console_put, .context = machine};
    const struct entropy_source entropy = {.fill = entropy_fill, .context = machine};
    const struct debug_exit_wire exits = {.exited = guest_exits, .context = machine};

    i8259_init(&machine->pic);
    pit8254_init(&machine->pit, irq_of(machine, 0));
    port61_init(&machine->port61, &machine->pit);
    mc146818_init(&machine->rtc, config->rtc_start, config->ram_size, irq_of(machine, 8));
    uart16550_init(&machine->com1, console, irq_of(machine, UART16550_COM1_IRQ));
    entropy_port_init(&machine->entropy, entropy);
    debug_exit_init(&machine->debug_exit, exits);
    post_port_init(&machine->post);
}

/* The whole of the machine's address map, in one place. */
static void wire_buses(struct machine *machine)
{
    const struct bus_range ports[] = {
        {"8259 master", I8259_MASTER_PORT, I8259_PORTS, i8259_master_read, i8259_master_write, &machine->pic, false},
        {"8259 slave", I8259_SLAVE_PORT, I8259_PORTS, i8259_slave_read, i8259_slave_write, &machine->pic, false},
        {"8259 elcr", I8259_ELCR_PORT, I8259_ELCR_PORTS, i8259_elcr_read, i8259_elcr_write, &machine->pic, false},
        {"8254", PIT8254_PORT, PIT8254_PORTS, pit8254_read, pit8254_write, &machine->pit, true},
        {"port 61h", PORT61_PORT, PORT61_PORTS, port61_read, port61_write, &machine->port61, true},
        {"mc146818", MC146818_PORT, MC146818_PORTS, mc146818_read, mc146818_write, &machine->rtc, true},
        {"16550 com1", UART16550_COM1_PORT, UART16550_PORTS, uart16550_read, uart16550_write, &machine->com1, false},
        {"entropy", ENTROPY_PORT, ENTROPY_PORT_PORTS, entropy_port_read, entropy_port_write, &machine->entropy, false},
        {"debug exit", DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS, debug_exit_read, debug_exit_write, &machine->debug_exit,
         false},
        {"post", POST_PORT, POST_PORT_PORTS, post_port_read, post_port_write, &machine->post, false},
    };

    machine->ports.name = "port";
    machine->memory.name = "memory";
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++)
        bus_claim(&machine->ports, ports[i]);
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
    CHECK(config->ram_size >= MACHINE_RAM_MIN && config->ram_size <= MACHINE_RAM_MAX &&
          config->ram_size % RAM_PAGE_SIZE == 0);
    if (ram_create(&machine->ram, config->ram_size, error) < 0)
        return -1;
    if (page_digests_create(&machine->digests, &machine->ram, error) < 0 ||
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
    engine->prompt = config->virtual_clock;
    create_chips(machine, config);
    wire_buses(machine);
    return 0;
}

void machine_destroy(struct machine *machine)
{
    page_digests_destroy(&machine->digests);
    ram_destroy(&machine->ram);
}

int machine_boot(struct machine *machine, const struct machine_config *config, const void *image, size_t length,
                 const char *image_name, enum boot_protocol *chosen, struct error *error)
{
    struct cpu_state cpu;

    if (boot_load(&machine->ram, &cpu, image, length, image_name, &config->boot, chosen, error) < 0)
        return -1;
    return engine_set_cpu(machine->engine, &cpu, 0, error);
}

/* After a deadline, as after an exit, the door is asked. */
static bool wants_stop(struct machine *machine)
{
    return machine->door.exit_served(machine->door.context) || machine_ticks(machine) >= machine->stop_ticks;
}

enum engine_stop machine_run(struct machine *machine, const struct position *until, struct error *error)
{
    enum engine_stop stop;

    do {
        machine_set_alarm(machine);
        stop = engine_run(machine->engine, until, error);
        machine_pass_deadline(machine);
        if (stop == ENGINE_STOP_ALARM && wants_stop(machine))
            stop = ENGINE_STOP_REQUESTED;
    } while (stop == ENGINE_STOP_ALARM);
    if (stop == ENGINE_STOP_SHUTDOWN)
        machine->end = MACHINE_TRIPLE_FAULT;
    else if (stop == ENGINE_STOP_FAULT)
        machine->end = MACHINE_ENGINE_FAULT;
    else if (machine->engine->halted_for_good && machine->end == MACHINE_RUNS)
        machine->end = MACHINE_HALTED;
    return stop;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t machine_deadline(const struct machine *machine)
{
    return earlier(pit8254_deadline(&machine->pit),
                   earlier(mc146818_deadline(&machine->rtc), uart16550_deadline(&machine->com1)));
}

void machine_set_time(struct machine *machine, uint64_t now)
{
    advance_devices(machine, now);
    machine_look_at_interrupts(machine);
}

size_t machine_console_room(const struct machine *machine)
{
    return uart16550_room(&machine->com1);
}

void machine_console_input(struct machine *machine, const uint8_t *bytes, size_t length)
{
    if (machine->virtual_clock)
        advance_devices(machine, machine_view(machine));
    uart16550_receive(&machine->com1, bytes, length, machine->now);
    machine_look_at_interrupts(machine);
}

void machine_look_at_interrupts(struct machine *machine)
{
    engine_set_intr(machine->engine, i8259_output(&machine->pic));
}

bool machine_interrupt_waits(const struct machine *machine)
{
    return i8259_output(&machine->pic);
}
