/* The PCI transport against virtio 1.2, sections 2.1, 3.1 and 4.1, with a device that gives every chain back. */
#include "tests/unit/virtio_testing.h"

#define FEATURE_ECHO 0x10u

struct echo {
    struct virtio_pci virtio;
    struct guest guest;
    uint8_t config[6];
    uint32_t served[2];
    uint32_t resets;
};

static void config_read(const void *device, uint8_t *config)
{
    const struct echo *echo = device;

    memcpy(config, echo->config, sizeof echo->config);
}

static void config_write(void *device, unsigned offset, unsigned size, uint64_t value)
{
    struct echo *echo = device;

    bytes_store(echo->config + offset, size, value);
}

static bool give_back(struct echo *echo, unsigned queue, const struct virtqueue_chain *chain, uint32_t *written)
{
    echo->served[queue]++;
    *written = (uint32_t)chain->writable_bytes;
    return chain->writable_bytes != 13; /* which it cannot answer */
}

static bool serve0(void *device, const struct virtqueue_chain *chain, uint32_t *written)
{
    return give_back(device, 0, chain, written);
}

static bool serve1(void *device, const struct virtqueue_chain *chain, uint32_t *written)
{
    return give_back(device, 1, chain, written);
}

static void reset(void *device)
{
    struct echo *echo = device;

    echo->resets++;
}

static const struct virtio_kind kind = {
    .id = 9,
    .class = 0xff0000,
    .queues = 2,
    .queue_size = 64,
    .config_bytes = 6,
    .config_read = config_read,
    .config_write = config_write,
    .serve = {serve0, serve1},
    .reset = reset,
};

static void echo_init(void *device)
{
    struct echo *echo = device;

    memset(echo, 0, sizeof *echo);
    struct virtio_wires wires = guest_wires(&echo->guest, &echo->virtio);
    virtio_pci_init(&echo->virtio, &kind, echo, FEATURE_ECHO, &wires);
    memcpy(echo->config, "abcdef", 6);
}

static uint32_t config(struct echo *echo, unsigned offset, unsigned size)
{
    return pci_config_read(&echo->virtio.function, offset, size);
}

static void offer(struct echo *echo, unsigned queue)
{
    guest_describe(&echo->guest, queue, 0, GUEST_BUFFERS, 8, WRITE, 0);
    guest_offer(&echo->guest, queue, 0);
}

/* As Linux's virtio_pci_modern_dev.c looks for them. */
static void capabilities(void **unused)
{
    (void)unused;
    static const struct {
        uint8_t type, length;
        uint32_t offset, size;
    } expected[] = {{1, 16, 0x0000, 0x40}, {3, 16, 0x1000, 1}, {4, 16, 0x2000, 6}, {2, 20, 0x3000, 8}, {5, 20, 0, 0}};
    struct echo echo;
    echo_init(&echo);
    assert_int_equal(config(&echo, PCI_VENDOR_ID, 4), 0x10491af4);
    assert_int_equal(config(&echo, PCI_REVISION, 4), 0xff000001);
    assert_true(config(&echo, PCI_SUBSYSTEM_ID, 2) >= 0x40);
    unsigned at = config(&echo, PCI_CAPABILITIES, 1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(config(&echo, at, 1), 9);
        assert_int_equal(config(&echo, at + 2, 1), expected[i].length);
        assert_int_equal(config(&echo, at + 3, 1), expected[i].type);
        assert_int_equal(config(&echo, at + 4, 1), 0);
        assert_int_equal(config(&echo, at + 8, 4), expected[i].offset);
        assert_int_equal(config(&echo, at + 12, 4), expected[i].size);
        if (expected[i].type == 2)
            assert_int_equal(config(&echo, at + 16, 4), 4); /* the multiplier */
        at = config(&echo, at + 1, 1);
    }
    assert_int_equal(config(&echo, at, 1), 0x11);
    assert_int_equal(config(&echo, at + 1, 1), 0);
    assert_int_equal(config(&echo, at + 2, 2), 2); /* a vector for each queue and one more */
    pci_config_write(&echo.virtio.function, PCI_BAR0, 4, 0xffffffff);
    assert_int_equal(config(&echo, PCI_BAR0, 4), 0xffffc000);
}

static void negotiation(void **unused)
{
    (void)unused;
    struct echo echo;
    struct guest *guest = &echo.guest;
    echo_init(&echo);
    assert_int_equal(guest_offered(guest), 0x130000010);
    guest_out(guest, REG_DEVICE_FEATURE_SELECT, 4, 2);
    assert_int_equal(guest_in(guest, REG_DEVICE_FEATURE, 4), 0);
    assert_int_equal(guest_in(guest, REG_NUM_QUEUES, 2), 2);
    guest_out(guest, REG_STATUS, 1, 3);
    guest_accept(guest, FEATURE_ECHO); /* without VERSION_1 */
    guest_out(guest, REG_STATUS, 1, 0x0b);
    assert_int_equal(guest_in(guest, REG_STATUS, 1), 3);
    guest_accept(guest, VIRTIO_F_VERSION_1 | 0x20); /* with one that is not offered */
    guest_out(guest, REG_STATUS, 1, 0x0b);
    assert_int_equal(guest_in(guest, REG_STATUS, 1), 3);
    guest_out(guest, REG_STATUS, 1, 0x07); /* DRIVER_OK needs FEATURES_OK */
    assert_int_equal(guest_in(guest, REG_STATUS, 1), 3);
    guest_accept(guest, VIRTIO_F_VERSION_1 | FEATURE_ECHO);
    assert_int_equal(guest_in(guest, REG_DRIVER_FEATURE, 4), 1);
    guest_out(guest, REG_DRIVER_FEATURE_SELECT, 4, 0);
    assert_int_equal(guest_in(guest, REG_DRIVER_FEATURE, 4), 0x10);
    guest_out(guest, REG_STATUS, 1, 0x0b);
    assert_int_equal(guest_in(guest, REG_STATUS, 1), 0x0b);
    guest_accept(guest, VIRTIO_F_VERSION_1); /* too late */
    assert_true(virtio_accepted(&echo.virtio, FEATURE_ECHO));
    assert_false(virtio_is_live(&echo.virtio));
    guest_out(guest, REG_STATUS, 1, 0x0f);
    assert_true(virtio_is_live(&echo.virtio));
    guest_out(guest, REG_STATUS, 1, 0x41); /* bits only come, and this one is the device's */
    assert_int_equal(guest_in(guest, REG_STATUS, 1), 0x0f);
    guest_out(guest, REG_STATUS, 1, 0x80);
    assert_int_equal(guest_in(guest, REG_STATUS, 1), 0x8f);
    guest_out(guest, REG_STATUS, 1, 0);
    assert_int_equal(guest_in(guest, REG_STATUS, 1), 0);
    assert_int_equal(echo.resets, 1);
    assert_int_equal(echo.virtio.driver_features, 0);
}

static void queue_registers(void **unused)
{
    (void)unused;
    struct echo echo;
    struct guest *guest = &echo.guest;
    echo_init(&echo);
    guest_out(guest, REG_QUEUE_SELECT, 2, 2);
    assert_int_equal(guest_in(guest, REG_QUEUE_SIZE, 2), 0); /* there is none */
    guest_out(guest, REG_QUEUE_ENABLE, 2, 1);
    guest_out(guest, REG_QUEUE_SELECT, 2, 1);
    assert_int_equal(guest_in(guest, REG_QUEUE_SELECT, 2), 1);
    assert_int_equal(guest_in(guest, REG_QUEUE_SIZE, 2), 64);
    assert_int_equal(guest_in(guest, REG_QUEUE_NOTIFY_OFF, 2), 1);
    assert_int_equal(guest_in(guest, REG_QUEUE_VECTOR, 2), 0xffff);
    guest_out(guest, REG_QUEUE_SIZE, 2, 24);
    guest_out(guest, REG_QUEUE_SIZE, 2, 128);
    guest_out(guest, REG_QUEUE_SIZE, 2, 0);
    assert_int_equal(guest_in(guest, REG_QUEUE_SIZE, 2), 64);
    guest_out(guest, REG_QUEUE_SIZE, 2, 16);
    guest_out(guest, REG_QUEUE_DESCRIPTORS, 4, 0x11223344);
    guest_out(guest, REG_QUEUE_DESCRIPTORS + 4, 4, 0x55667788);
    guest_out(guest, REG_QUEUE_DRIVER, 8, 0x0102030405060708);
    guest_out(guest, REG_QUEUE_DEVICE + 4, 4, 9);
    assert_int_equal(guest_in(guest, REG_QUEUE_DESCRIPTORS, 4), 0x11223344);
    assert_int_equal(guest_in(guest, REG_QUEUE_DESCRIPTORS + 4, 4), 0x55667788);
    assert_true(port_in(virtio_pci_read, &echo.virtio, REG_QUEUE_DRIVER, 8, 0) == 0x0102030405060708);
    assert_true(port_in(virtio_pci_read, &echo.virtio, REG_QUEUE_DEVICE, 8, 0) == 0x900000000);
    guest_out(guest, REG_QUEUE_ENABLE, 2, 0);
    assert_int_equal(guest_in(guest, REG_QUEUE_ENABLE, 2), 0);
    guest_out(guest, REG_QUEUE_ENABLE, 2, 1);
    assert_int_equal(guest_in(guest, REG_QUEUE_ENABLE, 2), 1);
    guest_out(guest, REG_QUEUE_SIZE, 2, 8); /* too late for this one and the others */
    guest_out(guest, REG_QUEUE_DESCRIPTORS, 4, 0);
    guest_out(guest, REG_QUEUE_ENABLE, 2, 0);
    assert_int_equal(guest_in(guest, REG_QUEUE_SIZE, 2), 16);
    assert_int_equal(guest_in(guest, REG_QUEUE_DESCRIPTORS, 4), 0x11223344);
    assert_int_equal(guest_in(guest, REG_QUEUE_ENABLE, 2), 1);
    guest_out(guest, REG_QUEUE_SELECT, 2, 0);
    assert_int_equal(guest_in(guest, REG_QUEUE_ENABLE, 2), 0);
    guest_out(guest, REG_STATUS, 1, 0);
    guest_out(guest, REG_QUEUE_SELECT, 2, 1);
    assert_int_equal(guest_in(guest, REG_QUEUE_ENABLE, 2), 0);
    assert_int_equal(guest_in(guest, REG_QUEUE_SIZE, 2), 64);
}

static void notifications(void **unused)
{
    (void)unused;
    struct echo echo;
    struct guest *guest = &echo.guest;
    echo_init(&echo);
    offer(&echo, 1);
    guest_notify(guest, 1);
    assert_int_equal(echo.served[1], 0); /* no driver yet */
    guest_start(guest, 0);
    guest_notify(guest, 1);
    assert_int_equal(echo.served[1], 0); /* nothing is there */
    offer(&echo, 1);
    guest_notify(guest, 0);
    guest_notify(guest, 2);
    assert_int_equal(echo.served[0] + echo.served[1], 0);
    guest_out(guest, VIRTIO_PCI_NOTIFY + 4, 4, 1);
    assert_int_equal(echo.served[1], 1);
    assert_int_equal(guest_used(guest, 1), 1);
    assert_true(guest->pin.level);
    assert_int_equal(config(&echo, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
    assert_int_equal(guest_in(guest, VIRTIO_PCI_ISR, 1), 1);
    assert_int_equal(guest_in(guest, VIRTIO_PCI_ISR, 1), 0);
    assert_false(guest->pin.level);
}

static void through_msix(void **unused)
{
    (void)unused;
    struct echo echo;
    struct guest *guest = &echo.guest;
    echo_init(&echo);
    pci_config_write(&echo.virtio.function, echo.virtio.function.msix_capability + 2u, 2, 0x8000);
    for (unsigned i = 0; i < 3; i++) {
        port_out(pci_msix_write, &echo.virtio.function, 16 * i, 8, 0xfee00000, 0);
        port_out(pci_msix_write, &echo.virtio.function, 16 * i + 8, 8, 0x40 + i, 0);
    }
    guest_start(guest, 0);
    offer(&echo, 0);
    guest_notify(guest, 0);
    assert_int_equal(guest->messages, 0); /* no vector */
    guest_out(guest, REG_QUEUE_SELECT, 2, 0);
    guest_out(guest, REG_QUEUE_VECTOR, 2, 3);
    assert_int_equal(guest_in(guest, REG_QUEUE_VECTOR, 2), 0xffff);
    guest_out(guest, REG_QUEUE_VECTOR, 2, 2);
    assert_int_equal(guest_in(guest, REG_QUEUE_VECTOR, 2), 2);
    guest_out(guest, REG_CONFIG_VECTOR, 2, 1);
    assert_int_equal(guest_in(guest, REG_CONFIG_VECTOR, 2), 1);
    offer(&echo, 0);
    guest_notify(guest, 0);
    assert_int_equal(guest->messages, 1);
    assert_int_equal(guest->message_data, 0x42);
    assert_int_equal(guest_in(guest, VIRTIO_PCI_ISR, 1), 0);
    virtio_config_changed(&echo.virtio);
    assert_int_equal(guest->message_data, 0x41);
    assert_false(guest->pin.level);
    assert_int_equal(guest_in(guest, VIRTIO_PCI_ISR, 1), 2);
    guest_out(guest, REG_STATUS, 1, 0);
    assert_int_equal(guest_in(guest, REG_CONFIG_VECTOR, 2), 0xffff);
}

/* 4.1.4.3.1 on config_generation. */
static void own_configuration(void **unused)
{
    (void)unused;
    struct echo echo;
    struct guest *guest = &echo.guest;
    echo_init(&echo);
    assert_int_equal(guest_in(guest, 0x2000, 4), 0x64636261);
    assert_int_equal(guest_in(guest, 0x2004, 2), 0x6665);
    assert_int_equal(guest_in(guest, 0x2004, 4), 0x6665);
    assert_int_equal(guest_in(guest, 0x2006, 1), 0);
    guest_out(guest, 0x2002, 2, 0x2120);
    guest_out(guest, 0x2005, 2, 0x2322); /* not all of it is there */
    assert_memory_equal(echo.config, "ab !ef", 6);
    uint32_t generation = guest_in(guest, REG_GENERATION, 1);
    virtio_config_changed(&echo.virtio);
    assert_false(guest->pin.level); /* before DRIVER_OK nobody is told */
    for (unsigned i = 0; i < 256; i++)
        virtio_config_changed(&echo.virtio);
    guest_in(guest, 0x2000, 4);
    assert_int_equal(guest_in(guest, REG_GENERATION, 1), generation + 1);
    guest_in(guest, 0x2000, 4);
    assert_int_equal(guest_in(guest, REG_GENERATION, 1), generation + 1);
    guest_start(guest, 0);
    virtio_config_changed(&echo.virtio);
    assert_true(guest->pin.level);
    assert_int_equal(guest_in(guest, VIRTIO_PCI_ISR, 1), 2);
}

/* 4.1.4.9: registers through configuration space. */
static void access_capability(void **unused)
{
    (void)unused;
    struct echo echo;
    struct pci_function *function = &echo.virtio.function;
    echo_init(&echo);
    unsigned at = echo.virtio.access_capability;
    pci_config_write(function, at + 8, 4, REG_NUM_QUEUES);
    pci_config_write(function, at + 12, 4, 2);
    assert_int_equal(config(&echo, at + 16, 4), 2);
    pci_config_write(function, at + 8, 4, 0x2000);
    pci_config_write(function, at + 12, 4, 4);
    assert_int_equal(config(&echo, at + 16, 4), 0x64636261);
    pci_config_write(function, at + 12, 4, 1);
    pci_config_write(function, at + 16, 4, 0x58);
    assert_memory_equal(echo.config, "Xbcdef", 6);
    pci_config_write(function, at + 12, 4, 3); /* no such size */
    pci_config_write(function, at + 16, 4, 0x59);
    pci_config_write(function, at + 12, 4, 4);
    pci_config_write(function, at + 8, 4, 0x2002); /* not aligned */
    pci_config_write(function, at + 16, 4, 0x59);
    pci_config_write(function, at + 4, 1, 1); /* another BAR */
    pci_config_write(function, at + 8, 4, 0x2000);
    pci_config_write(function, at + 16, 4, 0x59);
    pci_config_write(function, at + 4, 1, 0);
    pci_config_write(function, at + 8, 4, 0xfffffffc); /* outside */
    pci_config_write(function, at + 16, 4, 0x59);
    assert_int_equal(config(&echo, at + 16, 4), 0x59);
    assert_memory_equal(echo.config, "Xbcdef", 6);
}

static void a_broken_ring(void **unused)
{
    (void)unused;
    struct echo echo;
    struct guest *guest = &echo.guest;
    echo_init(&echo);
    for (unsigned i = 0; i < 3; i++) {
        guest_start(guest, VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC);
        if (i == 0)
            guest_store(guest, GUEST_AVAILABLE + 2, 2, 9); /* more than fit */
        else
            guest_offer(guest, 0, i == 1 ? 8 : 0); /* no such descriptor; one that the device cannot answer */
        guest_describe(guest, 0, 0, GUEST_BUFFERS, 13, WRITE, 0);
        guest_notify(guest, 0);
        assert_true(guest_needs_reset(guest));
        assert_true(guest->pin.level);
        assert_int_equal(guest_in(guest, VIRTIO_PCI_ISR, 1), 2);
        assert_int_equal(guest_used(guest, 0), 0);
        memset(guest->memory, 0, GUEST_RINGS);
        offer(&echo, 0);
        guest_notify(guest, 0);
        assert_int_equal(guest_used(guest, 0), 0);
        guest_out(guest, REG_STATUS, 1, 0x0f); /* that is no reset */
        assert_true(guest_needs_reset(guest));
    }
    guest_start(guest, 0);
    offer(&echo, 0);
    guest_notify(guest, 0);
    assert_int_equal(guest_used(guest, 0), 1);
}

static void echo_state(void *device, struct state *state)
{
    struct echo *echo = device;

    virtio_pci_state(&echo->virtio, state);
    guest_state(&echo->guest, state);
    state_bytes(state, "config", echo->config, sizeof echo->config);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct echo *echo = device;

    (void)now;
    if (dice_below(dice, 20) == 0)
        virtio_config_changed(&echo->virtio);
    return guest_operate(&echo->guest, dice);
}

static const struct subject subject = {sizeof(struct echo), echo_init, echo_state, operate};

/* The guest's memory is its own, and may hold anything anyway. */
static void own_state(void *device, struct state *state)
{
    struct echo *echo = device;

    virtio_pci_state(&echo->virtio, state);
}

static const struct subject own = {sizeof(struct echo), echo_init, own_state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities),
        cmocka_unit_test(negotiation),
        cmocka_unit_test(queue_registers),
        cmocka_unit_test(notifications),
        cmocka_unit_test(through_msix),
        cmocka_unit_test(own_configuration),
        cmocka_unit_test(access_capability),
        cmocka_unit_test(a_broken_ring),
        subject_test(hostile_state_is_safe, &own),
        subject_test(restored_runs_on_the_same, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
