/*
 * A virtio device on the PCI bus: the transport of virtio 1.2, section 4.1, for modern drivers only.
 *
 * What kind of device it is (block, network, ...) is a struct of functions; this file does the rest: the PCI function,
 * negotiation, queue registers, notifications and interrupts.
 *
 * BAR 0 (memory, 16 KiB) holds the common registers at 0, the ISR byte at 1000h, the device's own registers at 2000h,
 * and the notification addresses at 3000h, four bytes for each queue. BAR 1 is MSI-X's, with a vector for each queue
 * and one for changes of configuration. Without MSI-X the interrupt pin follows the ISR byte.
 *
 * A driver that breaks a ring (virtqueue.h) or sends what cannot be answered gets DEVICE_NEEDS_RESET; its queues then
 * stand still until it has written 0 to the status. Status bits only come, until a reset. Registers that the driver may
 * not write any more (features after FEATURES_OK, an enabled queue's fields) keep what they have. DRIVER_OK is not
 * taken before FEATURES_OK (3.1.1), and no notification before DRIVER_OK. Whether the bus lets the function be master
 * is not asked.
 */
#ifndef ENCORE_VMM_DEVICES_VIRTIO_PCI_H
#define ENCORE_VMM_DEVICES_VIRTIO_PCI_H

#include "vmm/devices/pci_function.h"
#include "vmm/devices/virtqueue.h"

/* Feature bits that the transport offers for every device: 6. */
#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)

#define VIRTIO_PCI_VENDOR    0x1af4
#define VIRTIO_PCI_DEVICE    0x1040 /* plus the virtio device ID: 4.1.2 */
#define VIRTIO_PCI_BAR_SIZE  0x4000
#define VIRTIO_PCI_COMMON    0x0000
#define VIRTIO_PCI_ISR       0x1000
#define VIRTIO_PCI_OWN       0x2000 /* the device's own configuration */
#define VIRTIO_PCI_NOTIFY    0x3000
#define VIRTIO_PCI_NO_VECTOR 0xffff

#define VIRTIO_QUEUES     2  /* the most that a device of ours has */
#define VIRTIO_CONFIG_MAX 64 /* bytes of a device's own configuration */

/* Device status: 2.1. */
#define VIRTIO_STATUS_ACKNOWLEDGE 0x01
#define VIRTIO_STATUS_DRIVER      0x02
#define VIRTIO_STATUS_DRIVER_OK   0x04
#define VIRTIO_STATUS_FEATURES_OK 0x08
#define VIRTIO_STATUS_NEEDS_RESET 0x40
#define VIRTIO_STATUS_FAILED      0x80

/* A kind of device. `device` is what virtio_pci_init was given. Functions that are NULL have nothing to do. */
struct virtio_kind {
    uint16_t id;          /* the virtio device ID: 5 */
    uint32_t class;       /* as in pci_ids */
    uint8_t queues;       /* 1 to VIRTIO_QUEUES */
    uint16_t queue_size;  /* the most entries in each: a power of two up to VIRTQUEUE_SIZE_MAX */
    uint8_t config_bytes; /* of its own configuration, up to VIRTIO_CONFIG_MAX; 0: it has none */
    /* Fills in all bytes of its own configuration. */
    void (*config_read)(const void *device, uint8_t *config);
    /* The driver wrote there: `size` bytes at `offset`, all within. */
    void (*config_write)(void *device, unsigned offset, unsigned size, uint64_t value);
    /* Does what a chain in this queue asks for, and says how many bytes it has written into it; false when that cannot
     * be answered. Called for each chain that waits when the driver notifies. NULL: a queue whose chains wait until the
     * device has something to put into them. */
    bool (*serve[VIRTIO_QUEUES])(void *device, const struct virtqueue_chain *chain, uint32_t *written);
    /* The driver has reset the device. */
    void (*reset)(void *device);
};

struct virtio_queue {
    struct virtqueue ring;
    uint16_t vector; /* MSI-X, or VIRTIO_PCI_NO_VECTOR */
};

struct virtio_pci {
    struct pci_function function;
    const struct virtio_kind *kind; /* wiring */
    void *device;                   /* wiring */
    struct dma dma;                 /* wiring */
    uint64_t features;              /* wiring: what is offered */
    uint8_t access_capability;      /* wiring: where VIRTIO_PCI_CAP_PCI_CFG is */
    uint64_t driver_features;
    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select;
    uint16_t config_vector;
    uint8_t status;
    uint8_t isr;
    uint8_t generation;
    bool config_changed; /* since the driver last read the device's own configuration */
    struct virtio_queue queues[VIRTIO_QUEUES];
};

/* What a device is connected to. */
struct virtio_wires {
    struct dma dma;
    struct irq_wire pin; /* pci_host_pin, */
    uint8_t line;        /* and pci_host_line */
    struct msi_wire msi;
};

/* `features` are the device's own; those of the transport are added. The device's functions are not called yet. */
void virtio_pci_init(struct virtio_pci *virtio, const struct virtio_kind *kind, void *device, uint64_t features,
                     const struct virtio_wires *wires);

/* The transport's field lists; sections "pci" and "virtio". A device's own list begins with this call. */
void virtio_pci_state(struct virtio_pci *virtio, struct state *state);

/* For devices. */

/* Whether a driver has set the device up, and it does not stand still. */
bool virtio_is_live(const struct virtio_pci *virtio);

/* Whether the driver has accepted these features. */
bool virtio_accepted(const struct virtio_pci *virtio, uint64_t features);

/* How many chains wait in a queue; 0 when the device is not live, the queue not enabled, or its ring broken. */
unsigned virtio_waiting(const struct virtio_pci *virtio, unsigned queue);

/* Copies the `ahead`-th of the waiting chains, without a change to anything; false when the ring is broken there. */
bool virtio_look(const struct virtio_pci *virtio, unsigned queue, unsigned ahead, struct virtqueue_chain *chain);

/* Copies the next waiting chain; false, and the device needs a reset, when the ring is broken. There must be one. */
bool virtio_take(struct virtio_pci *virtio, unsigned queue, struct virtqueue_chain *chain);

/* Hands the next waiting chain back, and interrupts if the driver wants it. Nothing happens when the device has failed
 * meanwhile. */
void virtio_give(struct virtio_pci *virtio, unsigned queue, const struct virtqueue_chain *chain, uint32_t written);

/* Has the driver notify when it makes the next chain available, if it has none in the queue now. */
void virtio_ask_when_empty(struct virtio_pci *virtio, unsigned queue);

/* The driver did what cannot be answered: the device stands still until it is reset. */
void virtio_fail(struct virtio_pci *virtio);

/* The device's own configuration has changed by itself: the driver hears of it. */
void virtio_config_changed(struct virtio_pci *virtio);

/* The driver notifies: the chains that wait are served. For the transport. */
void virtio_notify(struct virtio_pci *virtio, unsigned queue);

/* Handlers of BAR 0; `device` is a struct virtio_pci. */
bus_read_fn virtio_pci_read;
bus_write_fn virtio_pci_write;

#endif
