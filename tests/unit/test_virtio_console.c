/* The virtio console against virtio 1.2, section 5.3. */
#include "tests/unit/virtio_testing.h"

#include "vmm/devices/virtio_console.h"

#define RECEIVE  VIRTIO_CONSOLE_RECEIVE
#define TRANSMIT VIRTIO_CONSOLE_TRANSMIT

struct machine {
    struct virtio_console console;
    struct guest guest;
    uint8_t sent[64];
    unsigned sent_count;
};

static void keep_sent(void *context, uint8_t byte)
{
    struct machine *machine = context;

    machine->sent[machine->sent_count++ % sizeof machine->sent] = byte;
}

static void machine_init(void *device)
{
    struct machine *machine = device;

    machine->sent_count = 0;
    struct virtio_wires wires = guest_wires(&machine->guest, &machine->console.virtio);
    virtio_console_init(&machine->console, (struct byte_sink){.put = keep_sent, .context = machine}, &wires);
}

static void start(struct machine *machine)
{
    machine_init(machine);
    guest_start(&machine->guest, VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC);
}

static void receive(struct machine *machine, const char *text)
{
    virtio_console_receive(&machine->console, (const uint8_t *)text, strlen(text));
}

static void says_what_it_is(void **unused)
{
    (void)unused;
    struct machine machine;
    machine_init(&machine);
    assert_int_equal(pci_config_get(&machine.console.virtio.function, PCI_VENDOR_ID, 4), 0x10431af4);
    assert_int_equal(guest_offered(&machine.guest), 0x130000000);
    assert_int_equal(guest_in(&machine.guest, REG_NUM_QUEUES, 2), 2);
}

static void sends(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    start(&machine);
    memcpy(guest->memory + GUEST_BUFFERS, "hello, world", 12);
    guest_describe(guest, TRANSMIT, 0, GUEST_BUFFERS + 7, 5, NEXT, 1);
    guest_describe(guest, TRANSMIT, 1, GUEST_BUFFERS, 7, 0, 0);
    guest_describe(guest, TRANSMIT, 2, GUEST_BUFFERS, 1, 0, 0);
    guest_offer(guest, TRANSMIT, 0);
    guest_offer(guest, TRANSMIT, 2);
    guest_notify(guest, TRANSMIT);
    assert_int_equal(machine.sent_count, 13);
    assert_memory_equal(machine.sent, "worldhello, h", 13);
    assert_int_equal(guest_used(guest, TRANSMIT), 2);
    assert_int_equal(guest_used_entry(guest, TRANSMIT, 1), 2);
}

static void sends_no_more_than_it_may(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    for (unsigned more = 0; more < 2; more++) {
        start(&machine);
        for (unsigned i = 0; i < 32; i++) /* an indirect table that names the same 2 KiB again and again */
            guest_descriptor(guest, GUEST_BUFFERS + 16 * i, 0x700, 2048, NEXT, (uint16_t)(i + 1));
        guest_descriptor(guest, GUEST_BUFFERS + 16 * 32, 0x700, more, 0, 0);
        guest_describe(guest, TRANSMIT, 0, GUEST_BUFFERS, 16 * 33, INDIRECT, 0);
        guest_offer(guest, TRANSMIT, 0);
        guest_notify(guest, TRANSMIT);
        assert_int_equal(machine.sent_count, more ? 0 : 65536);
        assert_int_equal(guest_needs_reset(guest), more);
    }
}

static void receives(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    start(&machine);
    assert_int_equal(virtio_console_room(&machine.console), 0);
    receive(&machine, "");
    for (unsigned i = 0; i < 3; i++) {
        guest_describe(guest, RECEIVE, i, GUEST_BUFFERS + 0x100 * i, i == 1 ? 0 : 4, WRITE, 0);
        guest_offer(guest, RECEIVE, (uint16_t)i);
    }
    guest_notify(guest, RECEIVE);
    assert_int_equal(virtio_console_room(&machine.console), 8);
    receive(&machine, "ab"); /* one buffer, not full: it is not kept for more */
    assert_int_equal(guest_used_entry(guest, RECEIVE, 0), 0 | UINT64_C(2) << 32);
    assert_memory_equal(guest->memory + GUEST_BUFFERS, "ab\0", 3);
    assert_true(guest->pin.level);
    assert_int_equal(virtio_console_room(&machine.console), 4);
    receive(&machine, "cdef");
    assert_int_equal(guest_used(guest, RECEIVE), 3);
    assert_int_equal(guest_used_entry(guest, RECEIVE, 1), 1);
    assert_int_equal(guest_used_entry(guest, RECEIVE, 2), 2 | UINT64_C(4) << 32);
    assert_memory_equal(guest->memory + GUEST_BUFFERS + 0x200, "cdef", 4);
    uint64_t avail_event = guest_ring(RECEIVE) + GUEST_USED + 4 + 8 * GUEST_ENTRIES;
    assert_int_equal(guest_load(guest, avail_event, 2), 3);
}

/* A driver that starts the device without its queues. */
static void no_queues(void **unused)
{
    (void)unused;
    struct machine machine;
    machine_init(&machine);
    guest_accept(&machine.guest, VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX);
    guest_out(&machine.guest, REG_STATUS, 1, 0x0f);
    assert_true(virtio_is_live(&machine.console.virtio));
    assert_int_equal(virtio_console_room(&machine.console), 0);
    receive(&machine, "");
    guest_notify(&machine.guest, TRANSMIT);
    assert_int_equal(guest_in(&machine.guest, REG_STATUS, 1), 0x0f);
}

static void room_has_bounds(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    start(&machine);
    guest_describe(guest, RECEIVE, 0, GUEST_BUFFERS, UINT32_MAX, WRITE, 0);
    guest_offer(guest, RECEIVE, 0);
    assert_int_equal(virtio_console_room(&machine.console), VIRTIO_CONSOLE_ROOM_MAX);
    receive(&machine, "as long as the bytes themselves are in memory");
    assert_int_equal(guest_written(guest, RECEIVE, 0), 45);
    guest_describe(guest, RECEIVE, 0, GUEST_BUFFERS, 8, WRITE, 0);
    guest_offer(guest, RECEIVE, 0);
    guest_offer(guest, RECEIVE, 99); /* what comes after a broken chain does not count */
    guest_offer(guest, RECEIVE, 0);
    assert_int_equal(virtio_console_room(&machine.console), 8);
    receive(&machine, "12345678");
    assert_int_equal(virtio_console_room(&machine.console), 0);
    assert_false(guest_needs_reset(guest));
    guest_notify(guest, RECEIVE);
    start(&machine);
    guest_describe(guest, RECEIVE, 0, GUEST_MEMORY, 8, WRITE, 0);
    guest_offer(guest, RECEIVE, 0);
    receive(&machine, "x");
    assert_true(guest_needs_reset(guest));
}

static void machine_state(void *device, struct state *state)
{
    struct machine *machine = device;

    virtio_console_state(&machine->console, state);
    guest_state(&machine->guest, state);
}

static void own_state(void *device, struct state *state)
{
    struct machine *machine = device;

    virtio_console_state(&machine->console, state);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct machine *machine = device;
    uint8_t bytes[64];
    size_t room = virtio_console_room(&machine->console);

    (void)now;
    if (room > 0 && dice_below(dice, 2)) {
        memset(bytes, (int)dice_below(dice, 256), sizeof bytes);
        virtio_console_receive(&machine->console, bytes, room < sizeof bytes ? room : sizeof bytes);
        return room;
    }
    return guest_operate(&machine->guest, dice) + room;
}

static const struct subject subject = {sizeof(struct machine), machine_init, machine_state, operate};
static const struct subject own = {sizeof(struct machine), machine_init, own_state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_it_is),
        cmocka_unit_test(sends),
        cmocka_unit_test(sends_no_more_than_it_may),
        cmocka_unit_test(receives),
        cmocka_unit_test(no_queues),
        cmocka_unit_test(room_has_bounds),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
