/* What the machine is made of and how it is connected: all chips, all wires between them, both address maps. */
#include "vmm/boot/firmware_tables.h"
#include "vmm/machine_internal.h"

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

static void turned_off(void *context)
{
    struct machine *machine = context;

    machine->end = MACHINE_POWER_OFF;
}

static void reset_wanted(void *context)
{
    struct machine *machine = context;

    if (machine->config.end_at_reset)
        machine->end = MACHINE_RESET;
    else
        machine->reset_wanted = true;
}

/* An interrupt line of the PC goes to both interrupt controllers; the timer's to another input of the I/O APIC, as the
 * firmware's tables say. */
static void set_line(void *context, unsigned line, bool level)
{
    struct machine *machine = context;
    unsigned input = line == 0 ? 2 : line;

    /* Chips set their lines at each access; neither controller does anything unless a line moves. */
    if ((machine->ioapic.lines >> input & 1) == level)
        return;
    i8259_set_line(&machine->pic, line, level);
    ioapic82093_set_line(&machine->ioapic, input, level);
}

static void end_of_interrupt(void *context, uint8_t vector)
{
    struct machine *machine = context;

    ioapic82093_end_of_interrupt(&machine->ioapic, vector);
}

static struct irq_wire irq_of(struct machine *machine, unsigned line)
{
    return (struct irq_wire){.set = set_line, .context = machine, .line = line};
}

/* The disks of an interface, in their order; NULL where there are no more. */
static struct disk *disk_on(struct machine *machine, enum disk_interface interface, unsigned place)
{
    for (unsigned i = 0; i < machine->disk_count; i++) {
        if (machine->disks[i].config.interface == interface && place-- == 0)
            return &machine->disks[i];
    }
    return NULL;
}

/* Beside the ACPI tables, wherever those are. */
static uint64_t generation_address(const struct machine_config *config)
{
    bool high = config->boot.protocol == BOOT_FIRMWARE;

    return (high ? firmware_tables_high(config->ram_size) : FIRMWARE_ACPI) + FIRMWARE_GENERATION;
}

void machine_create_chips(struct machine *machine)
{
    const struct machine_config *config = &machine->config;
    const struct byte_sink console = {.put = console_put, .context = machine};
    const struct entropy_source entropy = {.fill = entropy_fill, .context = machine};
    const struct debug_exit_wire exits = {.exited = guest_exits, .context = machine};
    const struct acpi_pm_wire off = {.turned_off = turned_off, .context = machine};
    const struct reset_wire reset = {.reset = reset_wanted, .context = machine};
    const struct msi_wire messages = machine_messages(machine);
    const struct dma dma = machine_dma(machine);

    lapic_init(&machine->lapic, end_of_interrupt, machine);
    ioapic82093_init(&machine->ioapic, messages);
    machine->ioapic.id = FIRMWARE_IOAPIC_ID; /* which firmware writes, so that it differs from the processor's */
    i8259_init(&machine->pic);
    pit8254_init(&machine->pit, irq_of(machine, 0));
    port61_init(&machine->port61, &machine->pit);
    port92_init(&machine->port92, reset);
    mc146818_init(&machine->rtc, config->rtc_start, config->ram_size, irq_of(machine, 8));
    uart16550_init(&machine->com1, console, irq_of(machine, UART16550_COM1_IRQ));
    i8042_init(&machine->i8042, irq_of(machine, I8042_IRQ), reset);
    acpi_pm_init(&machine->pm, irq_of(machine, ACPI_PM_SCI), off);
    vmgenid_init(&machine->vmgenid, config->generation, generation_address(config), &dma, &machine->pm);
    reset_port_init(&machine->reset_port, reset);
    pci_host_init(&machine->pci, irq_of(machine, 0));
    entropy_port_init(&machine->entropy, entropy);
    debug_exit_init(&machine->debug_exit, exits);
    post_port_init(&machine->post);
    machine_describe_to_firmware(machine);
    machine_create_pci(machine, console, entropy);
    ide_channel_init(&machine->ide, disk_on(machine, DISK_IDE, 0), disk_on(machine, DISK_IDE, 1),
                     irq_of(machine, IDE_IRQ));
}

/* The configuration mechanism's ports CF8h to CFFh, with the reset register's byte among them. */
static uint64_t pci_ports_read(void *device, const struct bus_access *access)
{
    struct machine *machine = device;

    if (access->offset == RESET_PORT - PCI_HOST_PORT && access->size == 1)
        return reset_port_read(&machine->reset_port, access);
    return pci_host_config_read(&machine->pci, access);
}

static void pci_ports_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct machine *machine = device;

    if (access->offset == RESET_PORT - PCI_HOST_PORT && access->size == 1)
        reset_port_write(&machine->reset_port, access, value);
    else
        pci_host_config_write(&machine->pci, access, value);
}

/* The whole of the machine's port map, in one place. */
static void wire_ports(struct machine *machine)
{
    struct acpi_pm *pm = &machine->pm;
    const struct bus_range ports[] = {
        {"8259 master", I8259_MASTER_PORT, I8259_PORTS, i8259_master_read, i8259_master_write, &machine->pic, false},
        {"8259 slave", I8259_SLAVE_PORT, I8259_PORTS, i8259_slave_read, i8259_slave_write, &machine->pic, false},
        {"8259 elcr", I8259_ELCR_PORT, I8259_ELCR_PORTS, i8259_elcr_read, i8259_elcr_write, &machine->pic, false},
        {"8254", PIT8254_PORT, PIT8254_PORTS, pit8254_read, pit8254_write, &machine->pit, true},
        {"port 61h", PORT61_PORT, PORT61_PORTS, port61_read, port61_write, &machine->port61, true},
        {"port 92h", PORT92_PORT, PORT92_PORTS, port92_read, port92_write, &machine->port92, false},
        {"mc146818", MC146818_PORT, MC146818_PORTS, mc146818_read, mc146818_write, &machine->rtc, true},
        {"16550 com1", UART16550_COM1_PORT, UART16550_PORTS, uart16550_read, uart16550_write, &machine->com1, false},
        {"8042 data", I8042_DATA_PORT, 1, i8042_data_read, i8042_data_write, &machine->i8042, false},
        {"8042 status", I8042_STATUS_PORT, 1, i8042_status_read, i8042_command_write, &machine->i8042, false},
        {"entropy", ENTROPY_PORT, ENTROPY_PORT_PORTS, entropy_port_read, entropy_port_write, &machine->entropy, false},
        {"debug exit", DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS, debug_exit_read, debug_exit_write, &machine->debug_exit,
         false},
        {"post", POST_PORT, POST_PORT_PORTS, post_port_read, post_port_write, &machine->post, false},
        {"fw_cfg", FW_CFG_PORT, FW_CFG_PORTS, fw_cfg_read, fw_cfg_write, &machine->fw_cfg, false},
        {"acpi events", ACPI_PM_EVENT_PORT, ACPI_PM_EVENT_PORTS, acpi_pm_event_read, acpi_pm_event_write, pm, true},
        {"acpi control", ACPI_PM_CONTROL_PORT, ACPI_PM_CONTROL_PORTS, acpi_pm_control_read, acpi_pm_control_write, pm,
         false},
        {"acpi general events", ACPI_PM_GENERAL_PORT, ACPI_PM_GENERAL_PORTS, acpi_pm_general_read,
         acpi_pm_general_write, pm, false},
        {"acpi timer", ACPI_PM_TIMER_PORT, ACPI_PM_TIMER_PORTS, acpi_pm_timer_read, NULL, pm, true},
        {"pci configuration", PCI_HOST_PORT, PCI_HOST_PORTS, pci_ports_read, pci_ports_write, machine, false},
        {"pci ports", PCI_PORTS_BASE, PCI_PORTS_END - PCI_PORTS_BASE, pci_host_ports_read, pci_host_ports_write,
         &machine->pci, false},
    };

    const struct bus_range ide[] = {
        {"ide command", IDE_COMMAND_PORT, IDE_COMMAND_PORTS, ide_command_read, ide_command_write, &machine->ide, false},
        {"ide control", IDE_CONTROL_PORT, 1, ide_control_read, ide_control_write, &machine->ide, false},
    };

    machine->ports.name = "port";
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++)
        bus_claim(&machine->ports, ports[i]);
    for (size_t i = 0; ide_channel_is_used(&machine->ide) && i < sizeof ide / sizeof ide[0]; i++)
        bus_claim(&machine->ports, ide[i]);
}

/* What answers outside RAM. */
static void wire_memory(struct machine *machine)
{
    struct lapic *lapic = &machine->lapic;
    const struct bus_range memory[] = {
        {"pci memory", PCI_MEMORY_BASE, PCI_MEMORY_END - PCI_MEMORY_BASE, pci_host_memory_read, pci_host_memory_write,
         &machine->pci, false},
        {"io apic", IOAPIC_BASE, IOAPIC_SIZE, ioapic82093_read, ioapic82093_write, &machine->ioapic, false},
        {"local apic", LAPIC_BASE, LAPIC_TIMED_START, lapic_read, lapic_write, lapic, false},
        {"local apic timer", LAPIC_BASE + LAPIC_TIMED_START, LAPIC_TIMED_END - LAPIC_TIMED_START, lapic_read_timed,
         lapic_write_timed, lapic, true},
    };

    machine->memory.name = "memory";
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        bus_claim(&machine->memory, memory[i]);
}

void machine_wire_buses(struct machine *machine)
{
    wire_ports(machine);
    wire_memory(machine);
}
