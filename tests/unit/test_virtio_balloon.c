/* The virtio balloon against virtio 1.2, section 5.5. Its guest has a few pages more than the others' guests. */
#include "tests/unit/virtio_testing.h"

#include "vmm/devices/virtio_balloon.h"

#define PAGES 8

struct machine {
    struct virtio_balloon balloon;
    struct guest guest;
};

static void machine_init(void *device)
{
    struct machine *machine = device;
    struct virtio_wires wires = guest_wires(&machine->guest, &machine->balloon.virtio);

    virtio_balloon_init(&machine->balloon, &wires);
}

static void target(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    machine_init(&machine);
    assert_int_equal(pci_config_get(&machine.balloon.virtio.function, PCI_VENDOR_ID, 4), 0x10451af4);
    assert_int_equal(guest_offered(guest), 0x130000004);
    virtio_balloon_set_target(&machine.balloon, 0x1234);
    assert_false(guest->pin.level);
    assert_int_equal(guest_in(guest, 0x2000, 4), 0x1234);
    guest_start(guest, 0);
    virtio_balloon_set_target(&machine.balloon, 0x1234);
    assert_false(guest->pin.level); /* nothing new */
    virtio_balloon_set_target(&machine.balloon, 7);
    assert_true(guest->pin.level);
    assert_int_equal(guest_in(guest, VIRTIO_PCI_ISR, 1), 2);
    assert_int_equal(guest_in(guest, 0x2000, 4), 7);
    guest_out(guest, 0x2000, 4, 9); /* the device's, not the driver's */
    guest_out(guest, 0x2004, 2, 9);
    guest_out(guest, 0x2004, 4, 5);
    assert_int_equal(guest_in(guest, 0x2000, 4), 7);
    assert_int_equal(guest_in(guest, 0x2004, 4), 5);
    assert_int_equal(machine.balloon.actual, 5);
    guest_out(guest, REG_STATUS, 1, 0);
    assert_int_equal(machine.balloon.actual, 0);
    assert_int_equal(machine.balloon.target, 7);
}

static void inflate_and_deflate(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    struct error error;
    struct ram ram;
    machine_init(&machine);
    guest_start(guest, 0);
    /* Memory as a machine has it, of which the first page is the guest's as it stands. */
    assert_int_equal(ram_create(&ram, PAGES * RAM_PAGE_SIZE, &error), 0);
    static const uint32_t pages[] = {3, 5, PAGES, 0xffffffff, 0x100000};
    memset(ram.bytes, 0xaa, ram.size);
    memcpy(ram.bytes, guest->memory, GUEST_MEMORY);
    machine.balloon.virtio.dma.ram = &ram;
    for (unsigned i = 0; i < 5; i++)
        bytes_store(ram.bytes + GUEST_BUFFERS + 4 * i, 4, pages[i]);
    bytes_store(ram.bytes, 8, GUEST_BUFFERS); /* a descriptor: five numbers and two bytes that are none */
    bytes_store(ram.bytes + 8, 8, 22);
    bytes_store(ram.bytes + GUEST_AVAILABLE + 2, 4, 1);
    guest_notify(guest, VIRTIO_BALLOON_INFLATE);
    assert_int_equal(bytes_load(ram.bytes + GUEST_USED + 2, 2), 1);
    for (unsigned page = 1; page < PAGES; page++) {
        uint8_t expected = page == 3 || page == 5 ? 0 : 0xaa;
        for (unsigned i = 0; i < RAM_PAGE_SIZE; i++)
            assert_int_equal(ram.bytes[page * RAM_PAGE_SIZE + i], expected);
        assert_int_equal(ram_is_dirty(&ram, page * RAM_PAGE_SIZE), expected == 0);
    }
    memset(ram.bytes + 3 * RAM_PAGE_SIZE, 0xbb, RAM_PAGE_SIZE); /* the guest takes one back */
    memcpy(ram.bytes + guest_ring(1), ram.bytes, 16);
    bytes_store(ram.bytes + guest_ring(1) + GUEST_AVAILABLE + 2, 4, 1);
    guest_notify(guest, VIRTIO_BALLOON_DEFLATE);
    assert_int_equal(bytes_load(ram.bytes + guest_ring(1) + GUEST_USED + 2, 2), 1);
    assert_int_equal(ram.bytes[3 * RAM_PAGE_SIZE], 0xbb);
    assert_int_equal(ram.bytes[5 * RAM_PAGE_SIZE], 0);
    assert_false(guest_needs_reset(guest));
    ram_destroy(&ram);
}

/* Memory that the host will not take back, because it is no page of its own, is zeroed all the same. */
static void memory_that_stays(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    uint8_t *memory = malloc(RAM_PAGE_SIZE + 16);
    assert_non_null(memory);
    machine_init(&machine);
    guest_start(guest, 0);
    guest_describe(guest, VIRTIO_BALLOON_INFLATE, 0, GUEST_BUFFERS, 4, 0, 0); /* the page with all of this: number 0 */
    guest_offer(guest, VIRTIO_BALLOON_INFLATE, 0);
    guest->ram.bytes = memory + ((uintptr_t)memory % RAM_PAGE_SIZE == 0 ? 8 : 0);
    memcpy(guest->ram.bytes, guest->memory, GUEST_MEMORY);
    guest->ram.bytes[GUEST_MEMORY - 1] = 0xaa;
    guest_notify(guest, VIRTIO_BALLOON_INFLATE);
    assert_int_equal(guest->ram.bytes[GUEST_MEMORY - 1], 0);
    assert_int_equal(bytes_load(guest->ram.bytes + GUEST_USED + 2, 2), 1);
    free(memory);
}

/* The numbers themselves are not in memory. */
static void no_numbers(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    machine_init(&machine);
    guest_start(guest, 0);
    guest_describe(guest, VIRTIO_BALLOON_INFLATE, 0, GUEST_MEMORY, 4, 0, 0);
    guest_offer(guest, VIRTIO_BALLOON_INFLATE, 0);
    guest_notify(guest, VIRTIO_BALLOON_INFLATE);
    assert_true(guest_needs_reset(guest));
}

static void machine_state(void *device, struct state *state)
{
    struct machine *machine = device;

    virtio_balloon_state(&machine->balloon, state);
    guest_state(&machine->guest, state);
}

static void own_state(void *device, struct state *state)
{
    struct machine *machine = device;

    virtio_balloon_state(&machine->balloon, state);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct machine *machine = device;

    (void)now;
    if (dice_below(dice, 10) == 0)
        virtio_balloon_set_target(&machine->balloon, dice_below(dice, 3));
    return guest_operate(&machine->guest, dice) + machine->balloon.actual;
}

static const struct subject subject = {sizeof(struct machine), machine_init, machine_state, operate};
static const struct subject own = {sizeof(struct machine), machine_init, own_state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(target),
        cmocka_unit_test(inflate_and_deflate),
        cmocka_unit_test(memory_that_stays),
        cmocka_unit_test(no_numbers),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
