/*
 * One PCI function: its configuration space, base address registers, interrupt pin and MSI-X, after the PCI Local Bus
 * Specification 3.0, chapter 6.
 *
 * A device fills in a function when it is made (identity, BARs, capabilities), and from then on only the guest writes
 * to it: through a mask of writable bits, so that nothing that is read-only ever changes. Base address registers are of
 * 32 bits. The bus (pci_host.h) asks where they are; the function does not know who else is there.
 *
 * MSI-X (6.8.2) is a table in a BAR of its own: PCI_MSIX_TABLE at offset 0, the pending bits at PCI_MSIX_PENDING. A
 * vector that is masked when it is signalled stays pending until it is unmasked. While MSI-X is enabled the pin is
 * quiet.
 */
#ifndef ENCORE_VMM_DEVICES_PCI_FUNCTION_H
#define ENCORE_VMM_DEVICES_PCI_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define PCI_CONFIG_SIZE 256
#define PCI_BARS        6

/* Configuration space header, type 0: 6.1. */
#define PCI_VENDOR_ID        0x00
#define PCI_DEVICE_ID        0x02
#define PCI_COMMAND          0x04
#define PCI_STATUS           0x06
#define PCI_REVISION         0x08
#define PCI_CLASS            0x09 /* three bytes: interface, subclass, base class */
#define PCI_HEADER_TYPE      0x0e
#define PCI_BAR0             0x10
#define PCI_SUBSYSTEM_VENDOR 0x2c
#define PCI_SUBSYSTEM_ID     0x2e
#define PCI_CAPABILITIES     0x34
#define PCI_INTERRUPT_LINE   0x3c
#define PCI_INTERRUPT_PIN    0x3d
#define PCI_HEADER_SIZE      0x40

#define PCI_COMMAND_IO           0x0001u
#define PCI_COMMAND_MEMORY       0x0002u
#define PCI_COMMAND_MASTER       0x0004u
#define PCI_COMMAND_INTX_DISABLE 0x0400u
#define PCI_STATUS_INTERRUPT     0x0008u
#define PCI_STATUS_CAPABILITIES  0x0010u

#define PCI_CAPABILITY_MSIX   0x11
#define PCI_CAPABILITY_VENDOR 0x09

#define PCI_MSIX_VECTORS  16
#define PCI_MSIX_TABLE    0x000
#define PCI_MSIX_PENDING  0x800
#define PCI_MSIX_BAR_SIZE 0x1000

struct pci_ids {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint8_t revision;
    uint32_t class; /* base class << 16 | subclass << 8 | interface */
};

/* What a BAR decodes. The handlers get offsets from its base. */
struct pci_bar {
    uint32_t size; /* bytes, a power of two: at least 16 for memory, 4 to 256 for ports; 0: there is no such BAR */
    bool ports;
    bus_read_fn *read;
    bus_write_fn *write;
    void *device;
};

/* A part of configuration space whose accesses mean something: the capability VIRTIO_PCI_CAP_PCI_CFG of virtio. Reads
 * ask `refresh` to bring the bytes up to date first; writes tell `written` afterwards. */
struct pci_config_hook {
    unsigned offset, length; /* length 0: none */
    void (*refresh)(void *device, unsigned offset, unsigned size);
    void (*written)(void *device, unsigned offset, unsigned size);
    void *device;
};

struct pci_msix_entry {
    uint64_t address;
    uint32_t data;
    bool masked;
    bool pending;
};

struct pci_function {
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t writable[PCI_CONFIG_SIZE]; /* wiring: bits that the guest may change */
    uint8_t capability_end;            /* wiring: where the next capability goes */
    struct pci_bar bars[PCI_BARS];     /* wiring */
    struct pci_config_hook hook;       /* wiring */
    struct irq_wire pin;               /* wiring: INTA# */
    struct msi_wire msi;               /* wiring */
    bool pin_wanted;                   /* the device asks for its pin, whatever the command register says */
    uint8_t msix_capability;           /* wiring: its offset; 0: none */
    uint8_t msix_vectors;              /* wiring */
    struct pci_msix_entry msix[PCI_MSIX_VECTORS];
};

/* A function without BARs or capabilities; with a pin if `pin.set` is there. INTERRUPT_LINE reads `line` (the PC's
 * interrupt number) until the guest changes it. */
void pci_function_init(struct pci_function *function, const struct pci_ids *ids, struct irq_wire pin, uint8_t line);

/* Adds BAR `index`; its register reads 0 until the guest has placed it. */
void pci_function_add_bar(struct pci_function *function, unsigned index, struct pci_bar bar);

/* Appends a capability of `length` bytes, of which the first two (ID and next pointer) are filled in here; `writable`
 * is as long, or NULL for a read-only one. Returns its offset. */
uint8_t pci_function_add_capability(struct pci_function *function, uint8_t id, const uint8_t *bytes,
                                    const uint8_t *writable, unsigned length);

/* Gives it MSI-X with `vectors` entries (1 to PCI_MSIX_VECTORS) in BAR `bar`. */
void pci_function_add_msix(struct pci_function *function, unsigned bar, unsigned vectors, struct msi_wire msi);

/* The guest's accesses to configuration space: 1, 2 or 4 bytes, aligned. */
uint32_t pci_config_read(struct pci_function *function, unsigned offset, unsigned size);
void pci_config_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value);

/* A register of configuration space, for devices. */
uint32_t pci_config_get(const struct pci_function *function, unsigned offset, unsigned size);

/* Where BAR `index` is, if the command register lets it decode and it has been placed. */
bool pci_function_bar_base(const struct pci_function *function, unsigned index, uint32_t *base);

/* The device asks for its pin, or no longer. */
void pci_function_set_pin(struct pci_function *function, bool level);

/* Whether MSI-X is enabled (and so the pin not used). */
bool pci_msix_enabled(const struct pci_function *function);
/* Signals a vector; one that does not exist is ignored. Only while MSI-X is enabled. */
void pci_msix_signal(struct pci_function *function, unsigned vector);

/* Handlers for MSI-X's BAR; `device` is a struct pci_function. */
bus_read_fn pci_msix_read;
bus_write_fn pci_msix_write;

/* The field list; section "pci". Restoring refuses values in what is not writable. */
void pci_function_state(struct pci_function *function, struct state *state);

#endif
