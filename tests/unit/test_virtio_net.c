/* The virtio network card against virtio 1.2, section 5.1. */
#include "tests/unit/virtio_testing.h"

#include "vmm/devices/virtio_net.h"

#define RECEIVE  VIRTIO_NET_RECEIVE
#define TRANSMIT VIRTIO_NET_TRANSMIT
#define FRAME    (GUEST_BUFFERS + 0x40)

static const uint8_t address[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

struct machine {
    struct virtio_net net;
    struct guest guest;
    unsigned sent; /* frames, and the last of them */
    uint8_t frame[FRAME_MAX];
    size_t length;
};

static void keep_sent(void *context, const uint8_t *frame, size_t length)
{
    struct machine *machine = context;

    assert_true(length <= sizeof machine->frame);
    machine->sent++;
    machine->length = length;
    memcpy(machine->frame, frame, length);
}

static void machine_init(void *device)
{
    struct machine *machine = device;

    machine->sent = 0;
    struct virtio_wires wires = guest_wires(&machine->guest, &machine->net.virtio);
    virtio_net_init(&machine->net, address, (struct frame_sink){.put = keep_sent, .context = machine}, &wires);
}

static void start(struct machine *machine)
{
    machine_init(machine);
    guest_start(&machine->guest, VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS | VIRTIO_F_EVENT_IDX);
}

static void says_what_it_is(void **unused)
{
    (void)unused;
    struct machine machine;
    machine_init(&machine);
    assert_int_equal(pci_config_get(&machine.net.virtio.function, PCI_VENDOR_ID, 4), 0x10411af4);
    assert_int_equal(pci_config_get(&machine.net.virtio.function, PCI_CLASS + 1, 2), 0x0200);
    assert_int_equal(guest_offered(&machine.guest), 0x130010020);
    assert_int_equal(guest_in(&machine.guest, 0x2000, 4), 0x12005452);
    assert_int_equal(guest_in(&machine.guest, 0x2004, 2), 0x5634);
    assert_int_equal(guest_in(&machine.guest, 0x2006, 2), 1); /* the link is up */
    assert_int_equal(guest_in(&machine.guest, REG_NUM_QUEUES, 2), 2);
}

/* A frame of `length` bytes with its header in one descriptor. */
static void send(struct machine *machine, uint32_t length)
{
    guest_describe(&machine->guest, TRANSMIT, 0, FRAME - 12, 12 + length, 0, 0);
    guest_offer(&machine->guest, TRANSMIT, 0);
    guest_notify(&machine->guest, TRANSMIT);
}

static void sends(void **unused)
{
    (void)unused;
    struct machine machine;
    struct guest *guest = &machine.guest;
    start(&machine);
    for (unsigned i = 0; i < FRAME_MAX; i++)
        guest->memory[FRAME + i] = (uint8_t)(i * 7);
    send(&machine, 60);
    assert_int_equal(machine.sent, 1);
    assert_int_equal(machine.length, 60);
    assert_memory_equal(machine.frame, guest->memory + FRAME, 60);
    assert_int_equal(guest_used_entry(guest, TRANSMIT, 0), 0);
    send(&machine, 1518);
    assert_int_equal(machine.length, 1518);
    assert_memory_equal(machine.frame, guest->memory + FRAME, 1518);
    send(&machine, 1519); /* too long, and two too short, go nowhere */
    send(&machine, 13);
    guest_describe(guest, TRANSMIT, 0, FRAME, 5, 0, 0);
    guest_offer(guest, TRANSMIT, 0);
    guest_notify(guest, TRANSMIT);
    assert_int_equal(machine.sent, 2);
    assert_int_equal(guest_used(guest, TRANSMIT), 5); /* but their buffers come back */
    send(&machine, 14);
    assert_int_equal(machine.length, 14);
    /* Header and frame apart, as Linux sends them. */
    guest_describe(guest, TRANSMIT, 3, GUEST_BUFFERS, 12, NEXT, 4);
    guest_describe(guest, TRANSMIT, 4, FRAME, 20, NEXT, 5);
    guest_describe(guest, TRANSMIT, 5, FRAME + 100, 30, 0, 0);
    guest_offer(guest, TRANSMIT, 3);
    guest_notify(guest, TRANSMIT);
    assert_int_equal(machine.length, 50);
    assert_memory_equal(machine.frame, guest->memory + FRAME, 20);
    assert_memory_equal(machine.frame + 20, guest->memory + FRAME + 100, 30);
    assert_false(guest_needs_reset(guest));
}

static void receives(void **unused)
{
    (void)unused;
    static const uint8_t header[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
    uint8_t frame[FRAME_MAX];
    struct machine machine;
    struct guest *guest = &machine.guest;
    for (unsigned i = 0; i < sizeof frame; i++)
        frame[i] = (uint8_t)(i + 3);
    machine_init(&machine);
    assert_int_equal(virtio_net_room(&machine.net), 0);
    start(&machine);
    assert_int_equal(virtio_net_room(&machine.net), 0);
    guest_describe(guest, RECEIVE, 2, FRAME, 1530, WRITE, 0);
    guest_describe(guest, RECEIVE, 3, FRAME + 1600, 10, NEXT | WRITE, 4);
    guest_describe(guest, RECEIVE, 4, FRAME + 1650, 100, WRITE, 0);
    guest_offer(guest, RECEIVE, 2);
    guest_offer(guest, RECEIVE, 3);
    guest_notify(guest, RECEIVE);
    assert_int_equal(virtio_net_room(&machine.net), 2);
    assert_int_equal(guest_used(guest, RECEIVE), 0);
    virtio_net_receive(&machine.net, frame, sizeof frame);
    assert_int_equal(virtio_net_room(&machine.net), 1);
    assert_int_equal(guest_used_entry(guest, RECEIVE, 0), 2 | UINT64_C(1530) << 32);
    assert_memory_equal(guest->memory + FRAME, header, 12);
    assert_memory_equal(guest->memory + FRAME + 12, frame, sizeof frame);
    assert_true(guest->pin.level);
    /* Not asked yet; when the last buffer is gone, asked for the next. */
    uint64_t avail_event = guest_ring(RECEIVE) + GUEST_USED + 4 + 8 * GUEST_ENTRIES;
    assert_int_equal(guest_load(guest, avail_event, 2), 0);
    virtio_net_receive(&machine.net, frame, 60);
    assert_int_equal(guest_load(guest, avail_event, 2), 2);
    assert_int_equal(guest_used_entry(guest, RECEIVE, 1), 3 | UINT64_C(72) << 32);
    assert_memory_equal(guest->memory + FRAME + 1600, header, 10);
    assert_memory_equal(guest->memory + FRAME + 1650 + 2, frame, 60);
    assert_int_equal(virtio_net_room(&machine.net), 0);
}

static void frames_that_do_not_fit(void **unused)
{
    (void)unused;
    uint8_t frame[100] = {0};
    struct machine machine;
    struct guest *guest = &machine.guest;
    start(&machine);
    guest_describe(guest, RECEIVE, 0, FRAME, 111, WRITE, 0);
    guest_offer(guest, RECEIVE, 0);
    virtio_net_receive(&machine.net, frame, 100); /* lost, and the buffer stays */
    assert_int_equal(guest_used(guest, RECEIVE), 0);
    assert_int_equal(virtio_net_room(&machine.net), 1);
    virtio_net_receive(&machine.net, frame, 99);
    assert_int_equal(guest_used(guest, RECEIVE), 1);
    assert_false(guest_needs_reset(guest));
    guest_describe(guest, RECEIVE, 0, GUEST_MEMORY - 64, 512, WRITE, 0);
    guest_offer(guest, RECEIVE, 0);
    virtio_net_receive(&machine.net, frame, 99); /* the buffer is not all memory */
    assert_true(guest_needs_reset(guest));
    assert_int_equal(virtio_net_room(&machine.net), 0);
    start(&machine);
    guest_offer(guest, RECEIVE, 77); /* no such descriptor */
    assert_int_equal(virtio_net_room(&machine.net), 1);
    virtio_net_receive(&machine.net, frame, 99);
    assert_true(guest_needs_reset(guest));
    start(&machine);
    guest_describe(guest, TRANSMIT, 0, UINT64_MAX - 100, 60, 0, 0);
    guest_offer(guest, TRANSMIT, 0);
    guest_notify(guest, TRANSMIT);
    assert_true(guest_needs_reset(guest));
    assert_int_equal(machine.sent, 0);
}

static void machine_state(void *device, struct state *state)
{
    struct machine *machine = device;

    virtio_net_state(&machine->net, state);
    guest_state(&machine->guest, state);
}

static void own_state(void *device, struct state *state)
{
    struct machine *machine = device;

    virtio_net_state(&machine->net, state);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct machine *machine = device;
    uint8_t frame[200];
    unsigned room = virtio_net_room(&machine->net);

    (void)now;
    if (room > 0 && dice_below(dice, 2)) {
        memset(frame, (int)dice_below(dice, 256), sizeof frame);
        virtio_net_receive(&machine->net, frame, dice_below(dice, sizeof frame));
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
        cmocka_unit_test(receives),
        cmocka_unit_test(frames_that_do_not_fit),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
