/* A PCI function's configuration space, pin and MSI-X against the PCI Local Bus Specification 3.0, chapter 6. */
#include "tests/unit/device_testing.h"

#include "vmm/devices/pci_function.h"

#define CONTROL_ENABLE   0x8000u
#define CONTROL_MASK_ALL 0x4000u

struct card {
    struct pci_function function;
    struct line_record pin;
    unsigned messages;
    uint64_t address;
    uint32_t data;
    uint8_t window; /* the capability behind the hook */
    unsigned refreshed, written;
};

static void keep_message(void *context, uint64_t address, uint32_t data)
{
    struct card *card = context;

    card->messages++;
    card->address = address;
    card->data = data;
}

static void refresh(void *device, unsigned offset, unsigned size)
{
    struct card *card = device;

    (void)offset;
    (void)size;
    card->refreshed++;
    card->function.config[card->window + 4] = (uint8_t)(0x40 + card->function.config[card->window + 5]);
}

static void hook_written(void *device, unsigned offset, unsigned size)
{
    struct card *card = device;

    (void)offset;
    (void)size;
    card->written++;
}

static void card_init(void *device)
{
    static const struct pci_ids ids = {.vendor = 0x1234,
                                       .device = 0x5678,
                                       .subsystem_vendor = 0x9abc,
                                       .subsystem = 0xdef0,
                                       .revision = 3,
                                       .class = 0x020100};
    static const uint8_t bytes[8] = {0, 0, 8, 1, 2, 3, 4, 5};
    static const uint8_t writable[8] = {0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0};
    struct card *card = device;

    memset(card, 0, sizeof *card);
    pci_function_init(&card->function, &ids, line_record_wire(&card->pin), 11);
    pci_function_add_bar(&card->function, 0, (struct pci_bar){.size = 0x4000});
    pci_function_add_bar(&card->function, 2, (struct pci_bar){.size = 0x20, .ports = true});
    card->window = pci_function_add_capability(&card->function, PCI_CAPABILITY_VENDOR, bytes, writable, sizeof bytes);
    pci_function_add_msix(&card->function, 1, 3, (struct msi_wire){.send = keep_message, .context = card});
    card->function.hook = (struct pci_config_hook){
        .offset = card->window + 4u, .length = 2, .refresh = refresh, .written = hook_written, .device = card};
}

static uint32_t get(struct card *card, unsigned offset, unsigned size)
{
    return pci_config_read(&card->function, offset, size);
}

static void set(struct card *card, unsigned offset, unsigned size, uint32_t value)
{
    pci_config_write(&card->function, offset, size, value);
}

static void set_control(struct card *card, uint32_t value)
{
    set(card, card->function.msix_capability + 2u, 2, value);
}

static uint32_t table_in(struct card *card, unsigned offset)
{
    return (uint32_t)port_in(pci_msix_read, &card->function, offset, 4, 0);
}

static void table_out(struct card *card, unsigned offset, uint32_t value)
{
    port_out(pci_msix_write, &card->function, offset, 4, value, 0);
}

static void header(void **unused)
{
    (void)unused;
    struct card card;
    card_init(&card);
    assert_int_equal(get(&card, PCI_VENDOR_ID, 4), 0x56781234);
    assert_int_equal(get(&card, PCI_COMMAND, 4), 0x00100000);
    assert_int_equal(get(&card, PCI_REVISION, 4), 0x02010003);
    assert_int_equal(get(&card, PCI_SUBSYSTEM_VENDOR, 4), 0xdef09abc);
    assert_int_equal(get(&card, PCI_INTERRUPT_LINE, 2), 0x010b);
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i += 4)
        set(&card, i, 4, 0xffffffff);
    assert_int_equal(get(&card, PCI_VENDOR_ID, 4), 0x56781234);
    assert_int_equal(get(&card, PCI_COMMAND, 4), 0x00100407);
    assert_int_equal(get(&card, PCI_INTERRUPT_LINE, 2), 0x01ff);
    assert_int_equal(get(&card, PCI_SUBSYSTEM_VENDOR, 4), 0xdef09abc);
}

/* 6.2.5.1: writing ones shows how large a BAR is. */
static void bars(void **unused)
{
    (void)unused;
    struct card card;
    uint32_t base = 7;
    card_init(&card);
    assert_int_equal(get(&card, PCI_BAR0, 4), 0);
    assert_int_equal(get(&card, PCI_BAR0 + 8, 4), 1);
    set(&card, PCI_BAR0, 4, 0xffffffff);
    set(&card, PCI_BAR0 + 8, 4, 0xffffffff);
    set(&card, PCI_BAR0 + 12, 4, 0xffffffff);
    assert_int_equal(get(&card, PCI_BAR0, 4), 0xffffc000);
    assert_int_equal(get(&card, PCI_BAR0 + 8, 4), 0xffffffe1);
    assert_int_equal(get(&card, PCI_BAR0 + 12, 4), 0);
    set(&card, PCI_BAR0, 2, 0x1234);
    set(&card, PCI_BAR0 + 2, 2, 0xc001);
    assert_int_equal(get(&card, PCI_BAR0, 4), 0xc0010000);
    assert_false(pci_function_bar_base(&card.function, 0, &base));
    set(&card, PCI_COMMAND, 2, PCI_COMMAND_IO);
    assert_false(pci_function_bar_base(&card.function, 0, &base));
    set(&card, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_true(pci_function_bar_base(&card.function, 0, &base));
    assert_int_equal(base, 0xc0010000);
    assert_false(pci_function_bar_base(&card.function, 1, &base)); /* not placed */
    assert_false(pci_function_bar_base(&card.function, 3, &base)); /* not there */
    set(&card, PCI_BAR0 + 8, 4, 0x1025);
    set(&card, PCI_COMMAND, 2, PCI_COMMAND_IO);
    assert_true(pci_function_bar_base(&card.function, 2, &base));
    assert_int_equal(base, 0x1020);
}

static void capabilities(void **unused)
{
    (void)unused;
    struct card card;
    card_init(&card);
    assert_int_equal(get(&card, PCI_CAPABILITIES, 1), 0x40);
    assert_int_equal(get(&card, 0x40, 4), 0x01084809);
    assert_int_equal(get(&card, 0x46, 2), 0x0504);
    assert_int_equal(get(&card, 0x48, 4), 0x00020011); /* three vectors */
    assert_int_equal(get(&card, 0x4c, 4), 0x00000001); /* the table in BAR 1, */
    assert_int_equal(get(&card, 0x50, 4), 0x00000801); /* and the pending bits */
    set_control(&card, 0xffff);
    assert_int_equal(get(&card, 0x48, 4), 0xc0020011);
    assert_int_equal(get(&card, PCI_BAR0 + 4, 4), 0);
    set(&card, PCI_BAR0 + 4, 4, 0xffffffff);
    assert_int_equal(get(&card, PCI_BAR0 + 4, 4), 0xfffff000);
}

static void hooks(void **unused)
{
    (void)unused;
    struct card card;
    card_init(&card);
    get(&card, 0x40, 4);
    set(&card, 0x40, 4, 0);
    get(&card, 0x46, 2);
    assert_int_equal(card.refreshed + card.written, 0);
    set(&card, 0x45, 1, 5);
    assert_int_equal(card.written, 1);
    assert_int_equal(get(&card, 0x44, 1), 0x45);
    assert_int_equal(card.refreshed, 1);
}

static void pin(void **unused)
{
    (void)unused;
    struct card card;
    card_init(&card);
    pci_function_set_pin(&card.function, true);
    assert_true(card.pin.level);
    assert_int_equal(get(&card, PCI_STATUS, 2), 0x0018);
    set(&card, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    assert_false(card.pin.level);
    assert_int_equal(get(&card, PCI_COMMAND, 4), 0x00180400);
    set(&card, PCI_COMMAND, 2, 0);
    assert_true(card.pin.level);
    set_control(&card, CONTROL_ENABLE);
    assert_false(card.pin.level);
    assert_int_equal(get(&card, PCI_STATUS, 1), 0x10);
    set_control(&card, 0);
    assert_true(card.pin.level);
    pci_function_set_pin(&card.function, false);
    assert_false(card.pin.level);
    assert_int_equal(get(&card, PCI_STATUS, 1), 0x10);
}

static void messages(void **unused)
{
    (void)unused;
    struct card card;
    card_init(&card);
    assert_int_equal(table_in(&card, 0x1c), 1); /* masked after reset */
    table_out(&card, 0x10, 0xfee01003);
    table_out(&card, 0x14, 0x12);
    port_out(pci_msix_write, &card.function, 0x18, 8, 0x0000000000004041, 0); /* data, and the mask off */
    assert_int_equal(table_in(&card, 0x10), 0xfee01000);
    assert_int_equal(port_in(pci_msix_read, &card.function, 0x10, 8, 0), 0x00000012fee01000);
    assert_int_equal(table_in(&card, 0x1c), 0);
    pci_msix_signal(&card.function, 1); /* MSI-X is off */
    assert_int_equal(card.messages, 0);
    set_control(&card, CONTROL_ENABLE);
    assert_int_equal(card.messages, 0);
    pci_msix_signal(&card.function, 1);
    assert_int_equal(card.messages, 1);
    assert_int_equal(card.address, 0x12fee01000);
    assert_int_equal(card.data, 0x4041);
    pci_msix_signal(&card.function, 3); /* there is no such vector */
    assert_int_equal(card.messages, 1);
}

/* 6.8.2.10 and 6.8.3.4: a masked vector waits. */
static void masked_messages(void **unused)
{
    (void)unused;
    struct card card;
    card_init(&card);
    set_control(&card, CONTROL_ENABLE);
    table_out(&card, 0x08, 5);
    pci_msix_signal(&card.function, 0);
    pci_msix_signal(&card.function, 0);
    assert_int_equal(card.messages, 0);
    assert_int_equal(table_in(&card, PCI_MSIX_PENDING), 1);
    table_out(&card, PCI_MSIX_PENDING, 0xffff); /* read only */
    assert_int_equal(table_in(&card, PCI_MSIX_PENDING), 1);
    set_control(&card, CONTROL_ENABLE | CONTROL_MASK_ALL);
    table_out(&card, 0x0c, 0);
    table_out(&card, 0x1c, 0);
    pci_msix_signal(&card.function, 1); /* masked with all the others */
    pci_msix_signal(&card.function, 2);
    assert_int_equal(card.messages, 0);
    assert_int_equal(table_in(&card, PCI_MSIX_PENDING), 7);
    table_out(&card, 0x18, 6);
    set_control(&card, CONTROL_ENABLE);
    assert_int_equal(card.messages, 2);
    assert_int_equal(card.data, 6);
    assert_int_equal(table_in(&card, PCI_MSIX_PENDING), 4);
    set_control(&card, 0); /* turned off, nothing waits */
    set_control(&card, CONTROL_ENABLE);
    assert_int_equal(table_in(&card, PCI_MSIX_PENDING), 0);
    assert_int_equal(card.messages, 2);
}

static void card_state(void *device, struct state *state)
{
    struct card *card = device;

    pci_function_state(&card->function, state);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct card *card = device;
    unsigned size = 1u << dice_below(dice, 3);
    unsigned offset = dice_below(dice, PCI_CONFIG_SIZE) & ~(size - 1);

    (void)now;
    switch (dice_below(dice, 8)) {
    case 0:
        pci_msix_signal(&card->function, dice_below(dice, 4));
        return 0;
    case 1:
        pci_function_set_pin(&card->function, dice_below(dice, 2));
        return 0;
    case 2:
        port_out(pci_msix_write, &card->function, dice_below(dice, 0x40), 2 * size, dice_roll(dice), 0);
        return 0;
    case 3:
        return port_in(pci_msix_read, &card->function, dice_below(dice, 2) * 0x800 + dice_below(dice, 0x40), size, 0);
    case 4:
        set_control(card, dice_roll(dice));
        return 0;
    case 5:
        return get(card, offset, size);
    default:
        set(card, offset, size, dice_roll(dice));
        return card->function.config[offset];
    }
}

static const struct subject subject = {sizeof(struct card), card_init, card_state, operate};

/* What the guest could not have written is refused, byte by byte. */
static void another_devices_state(void **unused)
{
    (void)unused;
    struct card card;
    card_init(&card);
    struct bytes_writer saved = subject_save(&subject, &card);
    size_t config = 1 + 3 + 6; /* after the section's head */
    saved.data[config + PCI_DEVICE_ID] ^= 1;
    assert_int_equal(subject_restore(&subject, &card, saved.data, saved.length), -1);
    saved.data[config + PCI_DEVICE_ID] ^= 1;
    assert_int_equal(subject_restore(&subject, &card, saved.data, saved.length), 0);
    saved.data[config + PCI_BAR0] ^= 0x10;
    assert_int_equal(subject_restore(&subject, &card, saved.data, saved.length), -1);
    bytes_writer_free(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header),
        cmocka_unit_test(bars),
        cmocka_unit_test(capabilities),
        cmocka_unit_test(hooks),
        cmocka_unit_test(pin),
        cmocka_unit_test(messages),
        cmocka_unit_test(masked_messages),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
        cmocka_unit_test(another_devices_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
