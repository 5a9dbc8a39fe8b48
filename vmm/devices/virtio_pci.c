/* The PCI transport of virtio: the function, its registers in BAR 0, and negotiation; see virtio_pci.h. What devices
 * call is in virtio_queues.c. */
#include "vmm/devices/virtio_pci.h"

#include "base/bytes.h"
#include "base/check.h"

#define SUBSYSTEM          0x1100 /* of 40h or more for a device that is not transitional: 4.1.2.1 */
#define REVISION           1
#define TRANSPORT_FEATURES (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

/* The structures that capabilities point to: 4.1.4. */
#define CAPABILITY_COMMON 1
#define CAPABILITY_NOTIFY 2
#define CAPABILITY_ISR    3
#define CAPABILITY_OWN    4
#define CAPABILITY_ACCESS 5
#define CAPABILITY_LENGTH 16
#define CAPABILITY_LONGER 20 /* those with a field more */
#define CAP_LENGTH        2  /* offsets in a capability */
#define CAP_TYPE          3
#define CAP_BAR           4
#define CAP_OFFSET        8
#define CAP_SIZE          12
#define CAP_EXTRA         16
#define BAR               0
#define BAR_MSIX          1
#define COMMON_SIZE       64 /* to the end of what virtio 1.2 and later versions define; the rest reads 0 */
#define NOTIFY_MULTIPLIER 4

/* The common registers: 4.1.4.3. */
enum {
    DEVICE_FEATURE_SELECT = 0x00,
    DEVICE_FEATURE = 0x04,
    DRIVER_FEATURE_SELECT = 0x08,
    DRIVER_FEATURE = 0x0c,
    CONFIG_VECTOR = 0x10,
    NUM_QUEUES = 0x12,
    DEVICE_STATUS = 0x14,
    CONFIG_GENERATION = 0x15,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY_OFF = 0x1e,
    QUEUE_DESCRIPTORS = 0x20,
    QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30,
};

#define STATUS_BITS                                                                                                    \
    (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK |          \
     VIRTIO_STATUS_FAILED)
#define ISR_BITS 3

#define IS_SET(status, bit) (((status) & (bit)) != 0)

static uint8_t add_structure(struct virtio_pci *virtio, uint8_t type, uint32_t offset, uint32_t size, unsigned length,
                             uint32_t extra, const uint8_t *writable)
{
    uint8_t bytes[CAPABILITY_LONGER] = {[CAP_LENGTH] = (uint8_t)length, [CAP_TYPE] = type, [CAP_BAR] = BAR};

    bytes_store(bytes + CAP_OFFSET, 4, offset);
    bytes_store(bytes + CAP_SIZE, 4, size);
    bytes_store(bytes + CAP_EXTRA, 4, extra);
    return pci_function_add_capability(&virtio->function, PCI_CAPABILITY_VENDOR, bytes, writable, length);
}

static void access_refresh(void *device, unsigned offset, unsigned size);
static void access_written(void *device, unsigned offset, unsigned size);

/* 4.1.4.9: the driver may write the place, the size and the data. */
static void add_access(struct virtio_pci *virtio)
{
    static const uint8_t writable[CAPABILITY_LONGER] = {
        [CAP_BAR] = 0xff,
        [CAP_OFFSET] = 0xff,
        0xff,
        0xff,
        0xff,
        /* and CAP_SIZE */ 0xff,
        0xff,
        0xff,
        0xff,
        /* and CAP_EXTRA */ 0xff,
        0xff,
        0xff,
        0xff,
    };

    virtio->access_capability = add_structure(virtio, CAPABILITY_ACCESS, 0, 0, CAPABILITY_LONGER, 0, writable);
    virtio->function.hook = (struct pci_config_hook){.offset = virtio->access_capability + CAP_EXTRA,
                                                     .length = 4,
                                                     .refresh = access_refresh,
                                                     .written = access_written,
                                                     .device = virtio};
}

static void reset_registers(struct virtio_pci *virtio)
{
    virtio->driver_features = 0;
    virtio->device_feature_select = virtio->driver_feature_select = 0;
    virtio->queue_select = 0;
    virtio->config_vector = VIRTIO_PCI_NO_VECTOR;
    virtio->status = 0;
    virtio->isr = 0;
    for (unsigned i = 0; i < virtio->kind->queues; i++) {
        virtqueue_init(&virtio->queues[i].ring, virtio->kind->queue_size);
        virtio->queues[i].vector = VIRTIO_PCI_NO_VECTOR;
    }
}

void virtio_pci_init(struct virtio_pci *virtio, const struct virtio_kind *kind, void *device, uint64_t features,
                     const struct virtio_wires *wires)
{
    const struct pci_ids ids = {
        .vendor = VIRTIO_PCI_VENDOR,
        .device = VIRTIO_PCI_DEVICE + kind->id,
        .subsystem_vendor = VIRTIO_PCI_VENDOR,
        .subsystem = SUBSYSTEM,
        .revision = REVISION,
        .class = kind->class,
    };
    const struct pci_bar bar = {
        .size = VIRTIO_PCI_BAR_SIZE, .read = virtio_pci_read, .write = virtio_pci_write, .device = virtio};

    CHECK(kind->queues >= 1 && kind->queues <= VIRTIO_QUEUES && kind->config_bytes <= VIRTIO_CONFIG_MAX);
    *virtio = (struct virtio_pci){
        .kind = kind, .device = device, .dma = wires->dma, .features = features | TRANSPORT_FEATURES};
    pci_function_init(&virtio->function, &ids, wires->pin, wires->line);
    pci_function_add_bar(&virtio->function, BAR, bar);
    add_structure(virtio, CAPABILITY_COMMON, VIRTIO_PCI_COMMON, COMMON_SIZE, CAPABILITY_LENGTH, 0, NULL);
    add_structure(virtio, CAPABILITY_ISR, VIRTIO_PCI_ISR, 1, CAPABILITY_LENGTH, 0, NULL);
    if (kind->config_bytes)
        add_structure(virtio, CAPABILITY_OWN, VIRTIO_PCI_OWN, kind->config_bytes, CAPABILITY_LENGTH, 0, NULL);
    add_structure(virtio, CAPABILITY_NOTIFY, VIRTIO_PCI_NOTIFY, NOTIFY_MULTIPLIER * kind->queues, CAPABILITY_LONGER,
                  NOTIFY_MULTIPLIER, NULL);
    add_access(virtio);
    pci_function_add_msix(&virtio->function, BAR_MSIX, kind->queues + 1u, wires->msi);
    reset_registers(virtio);
}

static bool features_fit(const struct virtio_pci *virtio)
{
    return (virtio->driver_features & ~virtio->features) == 0 && (virtio->driver_features & VIRTIO_F_VERSION_1);
}

static bool vector_fits(const struct virtio_pci *virtio, uint16_t vector)
{
    return vector == VIRTIO_PCI_NO_VECTOR || vector < virtio->function.msix_vectors;
}

static void queue_state(struct virtio_pci *virtio, struct virtio_queue *queue, struct state *state)
{
    virtqueue_state(&queue->ring, state);
    state_u16(state, "queue_vector", &queue->vector);
    state_require(state, vector_fits(virtio, queue->vector), "queue_vector is none of the table's");
}

void virtio_pci_state(struct virtio_pci *virtio, struct state *state)
{
    pci_function_state(&virtio->function, state);
    state_section(state, "virtio", 1);
    state_u64(state, "driver_features", &virtio->driver_features);
    state_u32(state, "device_feature_select", &virtio->device_feature_select);
    state_u32(state, "driver_feature_select", &virtio->driver_feature_select);
    state_u16(state, "queue_select", &virtio->queue_select);
    state_u16(state, "config_vector", &virtio->config_vector);
    state_u8(state, "status", &virtio->status);
    state_u8_max(state, "isr", &virtio->isr, ISR_BITS);
    state_u8(state, "generation", &virtio->generation);
    state_bool(state, "config_changed", &virtio->config_changed);
    for (unsigned i = 0; i < virtio->kind->queues; i++)
        queue_state(virtio, &virtio->queues[i], state);
    uint8_t status = virtio->status;
    state_require(state, (status & ~(STATUS_BITS | VIRTIO_STATUS_NEEDS_RESET)) == 0, "status has unknown bits");
    state_require(state, !IS_SET(status, VIRTIO_STATUS_FEATURES_OK) || features_fit(virtio),
                  "the features are not those that are offered");
    state_require(state, !IS_SET(status, VIRTIO_STATUS_DRIVER_OK) || IS_SET(status, VIRTIO_STATUS_FEATURES_OK),
                  "DRIVER_OK without FEATURES_OK");
    state_require(state, !IS_SET(status, VIRTIO_STATUS_NEEDS_RESET) || IS_SET(status, VIRTIO_STATUS_DRIVER_OK),
                  "a device that no driver drives needs a reset");
    state_require(state, vector_fits(virtio, virtio->config_vector), "config_vector is none of the table's");
    state_require(state, virtio->function.pin_wanted == (virtio->isr != 0), "the pin does not follow isr");
}

static struct virtio_queue *selected(struct virtio_pci *virtio)
{
    return virtio->queue_select < virtio->kind->queues ? &virtio->queues[virtio->queue_select] : NULL;
}

/* 32 of the feature bits; there are none above 63. */
static uint32_t feature_word(uint64_t features, uint32_t select)
{
    return select < 2 ? (uint32_t)(features >> 32 * select) : 0;
}

/* One register of a queue, or half an address. */
static uint32_t queue_read(const struct virtio_queue *queue, const struct virtio_pci *virtio, unsigned offset)
{
    switch (offset) {
    case QUEUE_SIZE:
        return queue->ring.size;
    case QUEUE_VECTOR:
        return queue->vector;
    case QUEUE_ENABLE:
        return queue->ring.enabled;
    case QUEUE_NOTIFY_OFF:
        return virtio->queue_select;
    case QUEUE_DESCRIPTORS:
        return (uint32_t)queue->ring.descriptors;
    case QUEUE_DESCRIPTORS + 4:
        return (uint32_t)(queue->ring.descriptors >> 32);
    case QUEUE_DRIVER:
        return (uint32_t)queue->ring.driver;
    case QUEUE_DRIVER + 4:
        return (uint32_t)(queue->ring.driver >> 32);
    case QUEUE_DEVICE:
        return (uint32_t)queue->ring.device;
    case QUEUE_DEVICE + 4:
        return (uint32_t)(queue->ring.device >> 32);
    default:
        return 0;
    }
}

static uint32_t common_read(struct virtio_pci *virtio, unsigned offset)
{
    const struct virtio_queue *queue = selected(virtio);

    switch (offset) {
    case DEVICE_FEATURE_SELECT:
        return virtio->device_feature_select;
    case DEVICE_FEATURE:
        return feature_word(virtio->features, virtio->device_feature_select);
    case DRIVER_FEATURE_SELECT:
        return virtio->driver_feature_select;
    case DRIVER_FEATURE:
        return feature_word(virtio->driver_features, virtio->driver_feature_select);
    case CONFIG_VECTOR:
        return virtio->config_vector;
    case NUM_QUEUES:
        return virtio->kind->queues;
    case DEVICE_STATUS:
        return virtio->status;
    case CONFIG_GENERATION:
        return virtio->generation;
    case QUEUE_SELECT:
        return virtio->queue_select;
    default:
        return queue ? queue_read(queue, virtio, offset) : 0;
    }
}

static void write_features(struct virtio_pci *virtio, uint32_t value)
{
    uint32_t select = virtio->driver_feature_select;

    if (select >= 2 || IS_SET(virtio->status, VIRTIO_STATUS_FEATURES_OK))
        return;
    virtio->driver_features &= ~(UINT64_C(0xffffffff) << 32 * select);
    virtio->driver_features |= (uint64_t)value << 32 * select;
}

static void write_status(struct virtio_pci *virtio, uint8_t value)
{
    if (value == 0) {
        reset_registers(virtio);
        pci_function_set_pin(&virtio->function, false);
        if (virtio->kind->reset)
            virtio->kind->reset(virtio->device);
        return;
    }
    value |= virtio->status;
    /* 2.2.2 and 3.1.1: a driver that asks for what is not there sees that FEATURES_OK does not stay. */
    if (!features_fit(virtio))
        value &= ~VIRTIO_STATUS_FEATURES_OK;
    if (!IS_SET(value, VIRTIO_STATUS_FEATURES_OK))
        value &= ~VIRTIO_STATUS_DRIVER_OK;
    virtio->status = (value & STATUS_BITS) | (virtio->status & VIRTIO_STATUS_NEEDS_RESET);
}

static void set_half(uint64_t *address, bool high, uint32_t value)
{
    *address = high ? (*address & 0xffffffff) | (uint64_t)value << 32 : (*address & ~UINT64_C(0xffffffff)) | value;
}

static void queue_write(struct virtio_pci *virtio, struct virtio_queue *queue, unsigned offset, uint32_t value)
{
    struct virtqueue *ring = &queue->ring;

    if (offset == QUEUE_VECTOR) {
        queue->vector = vector_fits(virtio, (uint16_t)value) ? (uint16_t)value : VIRTIO_PCI_NO_VECTOR;
        return;
    }
    if (ring->enabled)
        return;
    switch (offset) {
    case QUEUE_SIZE:
        if (value > 0 && value <= ring->size_max && (value & (value - 1)) == 0)
            ring->size = (uint16_t)value;
        break;
    case QUEUE_ENABLE:
        ring->enabled = value == 1;
        break;
    case QUEUE_DESCRIPTORS:
    case QUEUE_DESCRIPTORS + 4:
        set_half(&ring->descriptors, offset != QUEUE_DESCRIPTORS, value);
        break;
    case QUEUE_DRIVER:
    case QUEUE_DRIVER + 4:
        set_half(&ring->driver, offset != QUEUE_DRIVER, value);
        break;
    case QUEUE_DEVICE:
    case QUEUE_DEVICE + 4:
        set_half(&ring->device, offset != QUEUE_DEVICE, value);
        break;
    default:
        break;
    }
}

static void common_write(struct virtio_pci *virtio, unsigned offset, uint32_t value)
{
    struct virtio_queue *queue = selected(virtio);

    switch (offset) {
    case DEVICE_FEATURE_SELECT:
        virtio->device_feature_select = value;
        break;
    case DRIVER_FEATURE_SELECT:
        virtio->driver_feature_select = value;
        break;
    case DRIVER_FEATURE:
        write_features(virtio, value);
        break;
    case CONFIG_VECTOR:
        virtio->config_vector = vector_fits(virtio, (uint16_t)value) ? (uint16_t)value : VIRTIO_PCI_NO_VECTOR;
        break;
    case DEVICE_STATUS:
        write_status(virtio, (uint8_t)value);
        break;
    case QUEUE_SELECT:
        virtio->queue_select = (uint16_t)value;
        break;
    default:
        if (queue)
            queue_write(virtio, queue, offset, value);
        break;
    }
}

/* 4.1.4.3.1: a driver that has read something that has changed since must be able to see that. */
static uint64_t own_read(struct virtio_pci *virtio, unsigned offset, unsigned size)
{
    uint8_t config[VIRTIO_CONFIG_MAX + 8] = {0};

    if (offset >= virtio->kind->config_bytes)
        return 0;
    virtio->generation += virtio->config_changed;
    virtio->config_changed = false;
    virtio->kind->config_read(virtio->device, config);
    return bytes_load(config + offset, size);
}

static void own_write(struct virtio_pci *virtio, unsigned offset, unsigned size, uint64_t value)
{
    if (virtio->kind->config_write && size <= virtio->kind->config_bytes && offset <= virtio->kind->config_bytes - size)
        virtio->kind->config_write(virtio->device, offset, size, value);
}

static uint8_t isr_read(struct virtio_pci *virtio)
{
    uint8_t isr = virtio->isr;

    virtio->isr = 0;
    pci_function_set_pin(&virtio->function, false);
    return isr;
}

/* Drivers access each register as a whole, an address by its halves (4.1.3.1). Some write an address at once. */
uint64_t virtio_pci_read(void *device, const struct bus_access *access)
{
    struct virtio_pci *virtio = device;
    unsigned offset = (unsigned)access->offset;

    if (offset >= VIRTIO_PCI_NOTIFY)
        return 0;
    if (offset >= VIRTIO_PCI_OWN)
        return own_read(virtio, offset - VIRTIO_PCI_OWN, access->size);
    if (offset == VIRTIO_PCI_ISR)
        return isr_read(virtio);
    uint64_t value = common_read(virtio, offset);
    return access->size == 8 ? value | (uint64_t)common_read(virtio, offset + 4) << 32 : value;
}

void virtio_pci_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct virtio_pci *virtio = device;
    unsigned offset = (unsigned)access->offset;

    if (offset >= VIRTIO_PCI_NOTIFY) {
        virtio_notify(virtio, (offset - VIRTIO_PCI_NOTIFY) / NOTIFY_MULTIPLIER);
    } else if (offset >= VIRTIO_PCI_OWN) {
        own_write(virtio, offset - VIRTIO_PCI_OWN, access->size, value);
    } else {
        common_write(virtio, offset, (uint32_t)value);
        if (access->size == 8)
            common_write(virtio, offset + 4, (uint32_t)(value >> 32));
    }
}

/* The access to BAR 0 that the access capability describes. False when it is none: 4.1.4.9.2 has drivers not do that.
 */
static bool described_access(const struct virtio_pci *virtio, struct bus_access *access)
{
    unsigned at = virtio->access_capability;
    uint32_t offset = pci_config_get(&virtio->function, at + CAP_OFFSET, 4);
    uint32_t size = pci_config_get(&virtio->function, at + CAP_SIZE, 4);

    if (pci_config_get(&virtio->function, at + CAP_BAR, 1) != BAR || (size != 1 && size != 2 && size != 4) ||
        offset % size != 0 || offset >= VIRTIO_PCI_BAR_SIZE)
        return false;
    *access = (struct bus_access){.offset = offset, .size = (uint8_t)size};
    return true;
}

static void access_refresh(void *device, unsigned offset, unsigned size)
{
    struct virtio_pci *virtio = device;
    struct bus_access access;

    (void)offset;
    (void)size;
    if (described_access(virtio, &access))
        bytes_store(virtio->function.config + virtio->access_capability + CAP_EXTRA, access.size,
                    virtio_pci_read(virtio, &access));
}

static void access_written(void *device, unsigned offset, unsigned size)
{
    struct virtio_pci *virtio = device;
    struct bus_access access;

    (void)offset;
    (void)size;
    if (described_access(virtio, &access))
        virtio_pci_write(virtio, &access,
                         pci_config_get(&virtio->function, virtio->access_capability + CAP_EXTRA, access.size));
}
