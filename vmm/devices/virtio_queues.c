/* What devices call while they work on their queues: chains, interrupts, and the end of both; see virtio_pci.h. */
#include "vmm/devices/virtio_pci.h"

#include "base/check.h"

#define ISR_QUEUE  1
#define ISR_CONFIG 2

static struct virtqueue_rules rules(const struct virtio_pci *virtio)
{
    return (struct virtqueue_rules){.indirect = virtio_accepted(virtio, VIRTIO_F_INDIRECT_DESC),
                                    .event_index = virtio_accepted(virtio, VIRTIO_F_EVENT_IDX)};
}

bool virtio_is_live(const struct virtio_pci *virtio)
{
    return (virtio->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) == VIRTIO_STATUS_DRIVER_OK;
}

bool virtio_accepted(const struct virtio_pci *virtio, uint64_t features)
{
    return (virtio->driver_features & features) == features;
}

static void set_isr(struct virtio_pci *virtio, uint8_t bit)
{
    virtio->isr |= bit;
    pci_function_set_pin(&virtio->function, true);
}

/* 4.1.5.3: through the vector, if there is one, or else through the pin. */
static void interrupt_queue(struct virtio_pci *virtio, unsigned queue)
{
    if (pci_msix_enabled(&virtio->function))
        pci_msix_signal(&virtio->function, virtio->queues[queue].vector);
    else
        set_isr(virtio, ISR_QUEUE);
}

/* 4.1.5.4, and 4.1.4.5.1: this bit of the ISR byte is set even with MSI-X. */
static void interrupt_config(struct virtio_pci *virtio)
{
    set_isr(virtio, ISR_CONFIG);
    pci_msix_signal(&virtio->function, virtio->config_vector);
}

void virtio_fail(struct virtio_pci *virtio)
{
    if (!virtio_is_live(virtio))
        return;
    virtio->status |= VIRTIO_STATUS_NEEDS_RESET;
    interrupt_config(virtio);
}

void virtio_config_changed(struct virtio_pci *virtio)
{
    virtio->config_changed = true;
    if (virtio_is_live(virtio))
        interrupt_config(virtio);
}

/* As virtqueue_waiting, for any queue number. */
static int waiting(const struct virtio_pci *virtio, unsigned queue)
{
    if (queue >= virtio->kind->queues || !virtio->queues[queue].ring.enabled || !virtio_is_live(virtio))
        return 0;
    return virtqueue_waiting(&virtio->queues[queue].ring, &virtio->dma);
}

unsigned virtio_waiting(const struct virtio_pci *virtio, unsigned queue)
{
    int count = waiting(virtio, queue);

    return count > 0 ? (unsigned)count : 0;
}

bool virtio_look(const struct virtio_pci *virtio, unsigned queue, unsigned ahead, struct virtqueue_chain *chain)
{
    return virtqueue_take(&virtio->queues[queue].ring, &virtio->dma, rules(virtio), ahead, chain);
}

bool virtio_take(struct virtio_pci *virtio, unsigned queue, struct virtqueue_chain *chain)
{
    if (!virtio_is_live(virtio))
        return false;
    if (virtio_look(virtio, queue, 0, chain))
        return true;
    virtio_fail(virtio);
    return false;
}

void virtio_give(struct virtio_pci *virtio, unsigned queue, const struct virtqueue_chain *chain, uint32_t written)
{
    bool notify = false;

    if (!virtio_is_live(virtio))
        return;
    if (!virtqueue_give(&virtio->queues[queue].ring, &virtio->dma, rules(virtio), chain, written, &notify))
        virtio_fail(virtio);
    else if (notify)
        interrupt_queue(virtio, queue);
}

/* For a queue all of whose chains have been served. */
static void ask(struct virtio_pci *virtio, unsigned queue)
{
    if (!virtqueue_ask(&virtio->queues[queue].ring, &virtio->dma, rules(virtio)))
        virtio_fail(virtio);
}

void virtio_ask_when_empty(struct virtio_pci *virtio, unsigned queue)
{
    if (virtio_is_live(virtio) && virtio->queues[queue].ring.enabled && waiting(virtio, queue) == 0)
        ask(virtio, queue);
}

/* `count` chains and no more: what comes after that, the device itself has made available. */
static void serve(struct virtio_pci *virtio, unsigned queue, unsigned count)
{
    struct virtqueue_chain chain;

    for (; count > 0 && virtio_take(virtio, queue, &chain); count--) {
        uint32_t written = 0;
        if (virtio->kind->serve[queue](virtio->device, &chain, &written))
            virtio_give(virtio, queue, &chain, written);
        else
            virtio_fail(virtio);
    }
    if (virtio_is_live(virtio))
        ask(virtio, queue);
}

void virtio_notify(struct virtio_pci *virtio, unsigned queue)
{
    int count = waiting(virtio, queue);

    if (count < 0)
        virtio_fail(virtio);
    else if (count > 0 && virtio->kind->serve[queue])
        serve(virtio, queue, (unsigned)count);
}
