/*
 * A virtio entropy device (virtio 1.2, section 5.4).
 *
 * Each buffer that the guest offers is given back at once with random bytes at its beginning: as many as fit, up to
 * VIRTIO_RNG_REQUEST_MAX, because each of them is an input and goes into the log. They come in one call of the source.
 */
#ifndef ENCORE_VMM_DEVICES_VIRTIO_RNG_H
#define ENCORE_VMM_DEVICES_VIRTIO_RNG_H

#include "vmm/devices/virtio_pci.h"

#define VIRTIO_RNG_ID          4
#define VIRTIO_RNG_REQUEST_MAX 256

struct virtio_rng {
    struct virtio_pci virtio;
    struct entropy_source source;
};

/* `source` must have a fill function. */
void virtio_rng_init(struct virtio_rng *rng, struct entropy_source source, const struct virtio_wires *wires);

/* The device has no state besides its transport's. */
void virtio_rng_state(struct virtio_rng *rng, struct state *state);

#endif
